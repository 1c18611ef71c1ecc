//  ternd/settings.c - command line, environment and file of ternd(8)
//
//  SPDX-License-Identifier: MPL-2.0

#include "ternd/settings.h"

#include <tern.h>

#include <czmq.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BIND "tcp://127.0.0.1:5670"
#define FILE_MAX (1024 * 1024)

int
ternd_fail (int exit_code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    fprintf (stderr, "ternd: %s\n", text);
    return exit_code;
}

static void
s_print_help (void)
{
    fputs (
        "usage: ternd [--bind ENDPOINT]... [OPTION]...\n"
        "Run a directory node: it tells Tern's peers where the others are.\n"
        "\n"
        "  -b, --bind ENDPOINT  listen there, up to four times; port * takes\n"
        "                       a free one (default: " DEFAULT_BIND ")\n"
        "      --state DIR      folder for what a node keeps, made if need be\n"
        "      --config FILE    ZPL file, section ternd: bind, state\n"
        "                       (default: $TERN_CONFIG)\n"
        "  -q, --quiet          say nothing but errors\n"
        "  -v, --verbose        say who comes and goes; twice: everything\n"
        "  -h, --help           this text\n"
        "  -V, --version\n"
        "\n"
        "Prints the endpoints it is bound to on stdout, then serves until\n"
        "SIGINT or SIGTERM.  Manual: ternd(8)\n",
        stdout);
}

static char *
s_duplicate (const char *text)
{
    char *copy = strdup (text);
    if (!copy) {
        fputs ("ternd: out of memory\n", stderr);
        abort ();
    }
    return copy;
}

static int
s_add_bind (ternd_settings_t *self, const char *endpoint)
{
    if (self->bind_count == TERND_BINDS_MAX) {
        return ternd_fail (TERND_USAGE, "--bind: at most %d endpoints",
                           TERND_BINDS_MAX);
    }
    self->binds[self->bind_count++] = s_duplicate (endpoint);
    return -1;
}

//  The file ----------------------------------------------------------------

//  A whole text file, or NULL with one line said.  The caller frees it.
static char *
s_read_file (const char *path)
{
    FILE *file = fopen (path, "re");
    if (!file) {
        ternd_fail (0, "%s: %s", path, strerror (errno));
        return NULL;
    }
    char *text = calloc (1, FILE_MAX + 1);
    const size_t size = text ? fread (text, 1, FILE_MAX, file) : 0;
    const bool whole = text && !ferror (file) && fgetc (file) == EOF;
    fclose (file);
    if (!whole || strlen (text) != size) {
        ternd_fail (0, "%s: not a text file of at most 1 MiB", path);
        free (text);
        return NULL;
    }
    return text;
}

//  What the file says counts where the command line was silent.
static int
s_take_section (ternd_settings_t *self, const char *path, zconfig_t *section)
{
    const bool bound = self->bind_count > 0;
    const bool state = self->state != NULL;
    for (zconfig_t *item = zconfig_child (section); item;
         item = zconfig_next (item)) {
        const char *name = zconfig_name (item);
        const char *value = zconfig_value (item);
        const char *text = value ? value : "";
        if (!strcmp (name, "bind")) {
            const int rc = bound ? -1 : s_add_bind (self, text);
            if (rc >= 0) {
                return rc;
            }
        } else if (!strcmp (name, "state")) {
            if (!state) {
                free (self->state);
                self->state = s_duplicate (text);
            }
        } else {
            return ternd_fail (
                TERND_USAGE, "%s: %.64s: there is no such setting", path, name);
        }
    }
    return -1;
}

static int
s_load (ternd_settings_t *self, const char *path)
{
    char *text = s_read_file (path);
    if (!text) {
        return TERND_USAGE;
    }
    zconfig_t *root = zconfig_str_load (text);
    free (text);
    if (!root) {
        return ternd_fail (TERND_USAGE, "%s: not a ZPL file", path);
    }
    zconfig_t *section = zconfig_locate (root, "ternd");
    const int rc = section ? s_take_section (self, path, section) : -1;
    zconfig_destroy (&root);
    return rc;
}

//  The command line ----------------------------------------------------------

enum {
    OPTION_STATE = 256,
    OPTION_CONFIG,
    OPTION_HTTP
};

static const struct option s_options[] = {
    {"bind", required_argument, NULL, 'b'},
    {"state", required_argument, NULL, OPTION_STATE},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"http", required_argument, NULL, OPTION_HTTP},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

//  -1: go on; else the exit code.
static int
s_take_option (ternd_settings_t *self, int option, const char **config_p)
{
    switch (option) {
    case 'b': return s_add_bind (self, optarg);
    case OPTION_STATE:
        free (self->state);
        self->state = s_duplicate (optarg);
        return -1;
    case OPTION_CONFIG: *config_p = optarg; return -1;
    case OPTION_HTTP:
        return ternd_fail (TERND_USAGE,
                           "--http: this build has no page to serve");
    case 'q': self->quiet = true; return -1;
    case 'v': self->verbose++; return -1;
    case 'h': s_print_help (); return TERND_DONE;
    case 'V': printf ("ternd %s\n", tern_version ()); return TERND_DONE;
    default: return TERND_USAGE;  //  getopt has said why
    }
}

int
ternd_settings_read (ternd_settings_t *self, int argc, char **argv)
{
    static char name[] = "ternd";  //  what getopt's errors begin with
    memset (self, 0, sizeof *self);
    argv[0] = name;
    const char *config = getenv ("TERN_CONFIG");
    int option;
    while ((option = getopt_long (argc, argv, "b:qvhV", s_options, NULL))
           != -1) {
        const int rc = s_take_option (self, option, &config);
        if (rc >= 0) {
            return rc;
        }
    }
    if (optind < argc) {
        return ternd_fail (TERND_USAGE,
                           "%.64s: there are no operands; see "
                           "ternd --help",
                           argv[optind]);
    }
    if (config && *config) {
        const int rc = s_load (self, config);
        if (rc >= 0) {
            return rc;
        }
    }
    return self->bind_count ? -1 : s_add_bind (self, DEFAULT_BIND);
}

void
ternd_settings_clear (ternd_settings_t *self)
{
    for (size_t index = 0; index < self->bind_count; index++) {
        free (self->binds[index]);
    }
    free (self->state);
    memset (self, 0, sizeof *self);
}
