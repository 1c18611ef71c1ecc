//  test_cli_options.c - the command line, word by word
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/options.h"
#include "cli/say.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WORDS_MAX 80

//  A command with one option of each kind.
typedef struct {
    cli_common_t common;
    bool flag;
    const char *text;
    uint64_t number;
    cli_list_t list;
    char *words[WORDS_MAX];
    size_t operands;
} command_t;

//  Parse "x" and the given words, up to NULL.

static int
s_parse (command_t *self, const char *const *words)
{
    *self = (command_t) {.number = 7};
    const cli_option_t options[] = {
        {"flag", 'f', CLI_FLAG, &self->flag, NULL, "a flag", 0, 0},
        {"text", 't', CLI_TEXT, &self->text, "TEXT", "a text", 0, 0},
        {"number", 'n', CLI_NUMBER, &self->number, "N", "a number", 1, 100},
        {"item", 'i', CLI_MANY, &self->list, "ITEM", "items", 0, 0},
    };
    const cli_usage_t usage = {
        .name = "test",
        .synopsis = "THING [OTHER]",
        .summary = "Test.",
        .options = options,
        .option_count = 4,
        .operands_min = 1,
        .operands_max = 2,
        .missing = "name the thing",
    };
    int argc = 0;
    self->words[argc++] = (char *) "test";
    while (*words) {
        self->words[argc++] = (char *) *words++;
    }
    return cli_parse (&usage, &self->common, argc, self->words,
                      &self->operands);
}

#define PARSE(self, ...)                                                       \
    s_parse (self, (const char *const[]) {__VA_ARGS__, NULL})

static void
options_and_operands_mix (void **state)
{
    (void) state;
    command_t it;
    assert_int_equal (PARSE (&it, "a", "--flag", "-n", "5", "b"), CLI_PARSED);
    assert_int_equal (it.operands, 2);
    assert_string_equal (it.words[1], "a");
    assert_string_equal (it.words[2], "b");
    assert_true (it.flag);
    assert_int_equal (it.number, 5);
}

static void
values_stand_behind_a_blank_an_equals_sign_or_the_letter (void **state)
{
    (void) state;
    command_t it;
    assert_int_equal (PARSE (&it, "a", "--text", "x"), CLI_PARSED);
    assert_string_equal (it.text, "x");
    assert_int_equal (PARSE (&it, "a", "--text=x=y"), CLI_PARSED);
    assert_string_equal (it.text, "x=y");
    assert_int_equal (PARSE (&it, "a", "--text="), CLI_PARSED);
    assert_string_equal (it.text, "");
    assert_int_equal (PARSE (&it, "a", "-tx"), CLI_PARSED);
    assert_string_equal (it.text, "x");
    assert_int_equal (PARSE (&it, "a", "-ft", "--flag"), CLI_PARSED);
    assert_string_equal (it.text, "--flag");
    assert_true (it.flag);
}

static void
two_dashes_end_the_options_and_one_is_a_word (void **state)
{
    (void) state;
    command_t it;
    assert_int_equal (PARSE (&it, "--", "--flag", "-"), CLI_PARSED);
    assert_int_equal (it.operands, 2);
    assert_string_equal (it.words[1], "--flag");
    assert_false (it.flag);
    assert_int_equal (PARSE (&it, "-"), CLI_PARSED);
    assert_string_equal (it.words[1], "-");
}

static void
what_is_not_an_option_is_refused (void **state)
{
    (void) state;
    command_t it;
    assert_int_equal (PARSE (&it, "a", "--nope"), CLI_USAGE);
    assert_int_equal (PARSE (&it, "a", "--fla"), CLI_USAGE);
    assert_int_equal (PARSE (&it, "a", "-z"), CLI_USAGE);
    assert_int_equal (PARSE (&it, "a", "-fz"), CLI_USAGE);
    assert_int_equal (PARSE (&it, "a", "--flag=yes"), CLI_USAGE);
    assert_int_equal (PARSE (&it, "a", "--text"), CLI_USAGE);
    assert_int_equal (PARSE (&it, "a", "-n"), CLI_USAGE);
}

static void
too_few_and_too_many_words_are_refused (void **state)
{
    (void) state;
    command_t it;
    assert_int_equal (PARSE (&it, "--flag"), CLI_USAGE);
    assert_int_equal (PARSE (&it, "a", "b", "c"), CLI_USAGE);
}

static void
numbers_are_decimal_and_in_range (void **state)
{
    (void) state;
    static const char *const bad[]
        = {"0",  "101", "-1",  "+1",  " 1",
           "1 ", "",    "0x1", "1e2", "99999999999999999999999"};
    command_t it;
    assert_int_equal (PARSE (&it, "a", "-n1"), CLI_PARSED);
    assert_int_equal (it.number, 1);
    assert_int_equal (PARSE (&it, "a", "-n100"), CLI_PARSED);
    assert_int_equal (it.number, 100);
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++) {
        assert_int_equal (PARSE (&it, "a", "--number", bad[at]), CLI_USAGE);
        assert_int_equal (it.number, 7);
    }
}

static void
lists_collect_up_to_their_limit (void **state)
{
    (void) state;
    command_t it;
    const char *words[CLI_LIST_MAX + 3] = {"a"};
    for (size_t at = 1; at <= CLI_LIST_MAX; at++) {
        words[at] = "-ix";
    }
    assert_int_equal (s_parse (&it, words), CLI_PARSED);
    assert_int_equal (it.list.count, CLI_LIST_MAX);
    words[CLI_LIST_MAX + 1] = "-ix";
    assert_int_equal (s_parse (&it, words), CLI_USAGE);
}

static void
common_options_are_understood_by_all (void **state)
{
    (void) state;
    command_t it;
    assert_int_equal (PARSE (&it, "a", "--name", "n", "--data=d", "--directory",
                             "tcp://h:1", "--config", "c", "--json", "-qvv"),
                      CLI_PARSED);
    assert_string_equal (it.common.name, "n");
    assert_string_equal (it.common.data, "d");
    assert_string_equal (it.common.directory, "tcp://h:1");
    assert_string_equal (it.common.config, "c");
    assert_true (it.common.json);
    assert_true (it.common.quiet);
    assert_int_equal (it.common.verbosity, 2);
}

//  Command line beats environment beats file.

static void
the_command_line_beats_the_environment (void **state)
{
    (void) state;
    tern_config_t *config = NULL;
    const cli_common_t none = {0};
    const cli_common_t named = {.name = "from-options"};
    setenv ("TERN_NAME", "from-environment", 1);
    assert_int_equal (cli_config (&config, &none), CLI_DONE);
    assert_string_equal (tern_config_get (config, "name"), "from-environment");
    tern_config_destroy (&config);
    assert_int_equal (cli_config (&config, &named), CLI_DONE);
    assert_string_equal (tern_config_get (config, "name"), "from-options");
    tern_config_destroy (&config);
    unsetenv ("TERN_NAME");
}

static void
settings_that_cannot_be_are_usage_errors (void **state)
{
    (void) state;
    tern_config_t *config = NULL;
    const cli_common_t name = {.name = "No Name"};
    const cli_common_t endpoint = {.directory = "smtp://host"};
    const cli_common_t file = {.config = "/does/not/exist"};
    assert_int_equal (cli_config (&config, &name), CLI_USAGE);
    assert_null (config);
    assert_int_equal (cli_config (&config, &endpoint), CLI_USAGE);
    assert_int_equal (cli_config (&config, &file), CLI_FAILED);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (options_and_operands_mix),
        cmocka_unit_test (
            values_stand_behind_a_blank_an_equals_sign_or_the_letter),
        cmocka_unit_test (two_dashes_end_the_options_and_one_is_a_word),
        cmocka_unit_test (what_is_not_an_option_is_refused),
        cmocka_unit_test (too_few_and_too_many_words_are_refused),
        cmocka_unit_test (numbers_are_decimal_and_in_range),
        cmocka_unit_test (lists_collect_up_to_their_limit),
        cmocka_unit_test (common_options_are_understood_by_all),
        cmocka_unit_test (the_command_line_beats_the_environment),
        cmocka_unit_test (settings_that_cannot_be_are_usage_errors),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
