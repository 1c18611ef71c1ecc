//  cli/options.c - the command line as a table
//
//  Knows the common options and how --help looks; hides the order in which
//  words are recognised.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/options.h"
#include "cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMON_COUNT 7
#define HELP_COLUMN 26

static void
s_common_options (cli_common_t *common, cli_option_t table[COMMON_COUNT])
{
    const cli_option_t options[COMMON_COUNT] = {
        {"name", 0, CLI_TEXT, &common->name, "NAME", "name of this peer", 0, 0},
        {"data", 0, CLI_TEXT, &common->data, "DIR", "its data directory", 0, 0},
        {"directory", 0, CLI_TEXT, &common->directory, "EP[,EP]",
         "directory nodes; default: this user's own", 0, 0},
        {"config", 0, CLI_TEXT, &common->config, "FILE",
         "settings in ZPL, section \"tern\"", 0, 0},
        {"json", 0, CLI_FLAG, &common->json, NULL, "results as JSON", 0, 0},
        {"quiet", 'q', CLI_FLAG, &common->quiet, NULL, "errors only", 0, 0},
        {"verbose", 'v', CLI_FLAG, &common->verbose, NULL,
         "say what happens; twice: everything", 0, 0},
    };
    memcpy (table, options, sizeof options);
}

bool
cli_number (const char *text, uint64_t least, uint64_t most, uint64_t *number_p)
{
    //  strtoull () alone would take signs, blanks and empty text.
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull (text, &end, 10);
    if (errno || *end || number < least || number > most) {
        return false;
    }
    *number_p = number;
    return true;
}

//  Help ----------------------------------------------------------------------

static void
s_print_option (const cli_option_t *option)
{
    char left[64];
    const int used
        = option->letter
              ? snprintf (left, sizeof left, "  -%c, --%s", option->letter,
                          option->name)
              : snprintf (left, sizeof left, "      --%s", option->name);
    if (option->metavar) {
        snprintf (left + used, sizeof left - (size_t) used, " %s",
                  option->metavar);
    }
    printf ("%-*s  %s\n", HELP_COLUMN, left, option->help);
}

static int
s_print_help (const cli_usage_t *usage, const cli_option_t *common)
{
    printf ("usage: tern %s [OPTION]... %s\n%s\n", usage->name, usage->synopsis,
            usage->summary);
    if (usage->text) {
        printf ("\n%s\n", usage->text);
    }
    if (usage->option_count > 0) {
        puts ("\noptions:");
    }
    for (size_t index = 0; index < usage->option_count; index++) {
        s_print_option (&usage->options[index]);
    }
    puts ("\ncommon options:");
    for (size_t index = 0; index < COMMON_COUNT; index++) {
        s_print_option (&common[index]);
    }
    const cli_option_t help
        = {"help", 'h', CLI_FLAG, NULL, NULL, "this text", 0, 0};
    s_print_option (&help);
    printf ("\nmanual: tern-%s(1)\n", usage->name);
    return CLI_DONE;
}

//  Parsing -------------------------------------------------------------------

typedef struct {
    const cli_usage_t *usage;
    cli_option_t common_options[COMMON_COUNT];
    cli_common_t *common;
    int argc;
    char **argv;
    int next;      //  word to look at
    int operands;  //  kept so far, in argv[1..]
} parser_t;

//  Long options are compared by the length up to '='; letter 0 means long.

static const cli_option_t *
s_find_option (const parser_t *self, const char *name, size_t size, char letter)
{
    const cli_option_t *tables[] = {self->usage->options, self->common_options};
    const size_t counts[] = {self->usage->option_count, COMMON_COUNT};
    for (size_t table = 0; table < 2; table++) {
        for (size_t index = 0; index < counts[table]; index++) {
            const cli_option_t *option = &tables[table][index];
            if (letter ? option->letter == letter
                       : strlen (option->name) == size
                             && memcmp (option->name, name, size) == 0) {
                return option;
            }
        }
    }
    return NULL;
}

static int
s_store_value (const parser_t *self, const cli_option_t *option,
               const char *text)
{
    switch (option->kind) {
    case CLI_TEXT: *(const char **) option->value = text; return CLI_PARSED;
    case CLI_NUMBER:
        if (!cli_number (text, option->least, option->most,
                         (uint64_t *) option->value)) {
            return cli_fail (CLI_USAGE,
                             "--%s: \"%s\" is not a number from %" PRIu64
                             " to %" PRIu64,
                             option->name, text, option->least, option->most);
        }
        return CLI_PARSED;
    case CLI_MANY: {
        cli_list_t *list = option->value;
        if (list->count == CLI_LIST_MAX) {
            return cli_fail (CLI_USAGE, "--%s: given more than %d times",
                             option->name, CLI_LIST_MAX);
        }
        list->items[list->count++] = text;
        return CLI_PARSED;
    }
    case CLI_FLAG: break;
    }
    *(bool *) option->value = true;
    if (option->value == &self->common->verbose) {
        self->common->verbosity++;
    }
    return CLI_PARSED;
}

//  option was recognised; attached is what stood behind '=' or the letter.

static int
s_take_option (parser_t *self, const cli_option_t *option, const char *attached)
{
    if (option->kind == CLI_FLAG) {
        if (attached) {
            return cli_fail (CLI_USAGE, "--%s: takes no value", option->name);
        }
        return s_store_value (self, option, NULL);
    }
    if (!attached) {
        if (self->next == self->argc) {
            return cli_fail (CLI_USAGE, "--%s: needs %s; see tern %s --help",
                             option->name, option->metavar, self->usage->name);
        }
        attached = self->argv[self->next++];
    }
    return s_store_value (self, option, attached);
}

static int
s_unknown_option (const parser_t *self, const char *word, size_t size)
{
    return cli_fail (CLI_USAGE, "%.*s: unknown option; see tern %s --help",
                     (int) size, word, self->usage->name);
}

static int
s_parse_long (parser_t *self, const char *word)
{
    const char *name = word + 2;
    const size_t size = strcspn (name, "=");
    const char *attached = name[size] ? name + size + 1 : NULL;
    if (size == 4 && memcmp (name, "help", 4) == 0) {
        return s_print_help (self->usage, self->common_options);
    }
    if (size == 7 && memcmp (name, "version", 7) == 0) {
        printf ("tern %s\n", tern_version ());
        return CLI_DONE;
    }
    const cli_option_t *option = s_find_option (self, name, size, 0);
    if (!option) {
        return s_unknown_option (self, word, size + 2);
    }
    return s_take_option (self, option, attached);
}

//  "-n5", "-n 5", and flags together: "-qv".

static int
s_parse_letters (parser_t *self, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        if (*letter == 'h') {
            return s_print_help (self->usage, self->common_options);
        }
        const cli_option_t *option = s_find_option (self, NULL, 0, *letter);
        if (!option) {
            const char unknown[] = {'-', *letter, '\0'};
            return s_unknown_option (self, unknown, 2);
        }
        if (option->kind != CLI_FLAG) {
            return s_take_option (self, option, letter[1] ? letter + 1 : NULL);
        }
        const int rc = s_take_option (self, option, NULL);
        if (rc != CLI_PARSED) {
            return rc;
        }
    }
    return CLI_PARSED;
}

static int
s_parse_words (parser_t *self)
{
    bool options = true;
    while (self->next < self->argc) {
        char *word = self->argv[self->next++];
        int rc = CLI_PARSED;
        if (!options || word[0] != '-' || word[1] == '\0') {
            self->argv[++self->operands] = word;
        } else if (strcmp (word, "--") == 0) {
            options = false;
        } else {
            rc = word[1] == '-' ? s_parse_long (self, word)
                                : s_parse_letters (self, word);
        }
        if (rc != CLI_PARSED) {
            return rc;
        }
    }
    return CLI_PARSED;
}

int
cli_parse (const cli_usage_t *usage, cli_common_t *common, int argc,
           char **argv, size_t *operands_p)
{
    parser_t parser = {.usage = usage,
                       .common = common,
                       .argc = argc,
                       .argv = argv,
                       .next = 1};
    cli_say_setup (usage->name, false, 0);
    s_common_options (common, parser.common_options);
    const int rc = s_parse_words (&parser);
    if (rc != CLI_PARSED) {
        return rc;
    }
    *operands_p = (size_t) parser.operands;
    if (*operands_p < usage->operands_min) {
        return cli_fail (CLI_USAGE, "%s; usage: tern %s %s", usage->missing,
                         usage->name, usage->synopsis);
    }
    if (*operands_p > usage->operands_max) {
        return cli_fail (CLI_USAGE, "%s: one word too many; usage: tern %s %s",
                         argv[usage->operands_max + 1], usage->name,
                         usage->synopsis);
    }
    cli_say_setup (usage->name, common->quiet, common->verbosity);
    return CLI_PARSED;
}

//  Configuration -------------------------------------------------------------

static int
s_set (tern_config_t *config, const char *key, const char *value)
{
    char why[256] = "";
    if (!value) {
        return CLI_DONE;
    }
    const int rc = tern_config_set (config, key, value, why, sizeof why);
    //  The library names the key, which is the option without its dashes.
    return rc ? cli_fail (CLI_USAGE, "--%s", why) : CLI_DONE;
}

int
cli_config (tern_config_t **config_p, const cli_common_t *common)
{
    tern_config_t *config = tern_config_new ();
    char why[512] = "";
    int rc = TERN_OK;
    const char *from = "environment";
    if (common->config) {
        //  The environment's file is a default for this option, not a later
        //  layer above it.
        unsetenv ("TERN_CONFIG");
        from = common->config;
        rc = tern_config_load (config, common->config, why, sizeof why);
    }
    if (rc == TERN_OK) {
        from = "environment";
        rc = tern_config_environment (config, why, sizeof why);
    }
    int code = CLI_DONE;
    if (rc) {
        cli_fail_tern (rc, from, why);
        code = rc == TERN_ENOENT ? CLI_FAILED : CLI_USAGE;
    }
    if (code == CLI_DONE) {
        code = s_set (config, "name", common->name);
    }
    if (code == CLI_DONE) {
        code = s_set (config, "data", common->data);
    }
    if (code == CLI_DONE) {
        code = s_set (config, "directory", common->directory);
    }
    if (code != CLI_DONE) {
        tern_config_destroy (&config);
    }
    *config_p = config;
    return code;
}
