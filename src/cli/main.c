//  cli/main.c - tern(1): find the command and let it do its work
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/say.h"
#include "cli/stop.h"

#include <tern.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    cli_command_fn *fn;
    const char *summary;
} command_t;

static const command_t s_commands[] = {
    {"send", cli_send, "publish messages to a queue"},
    {"recv", cli_recv, "consume a queue"},
    {"request", cli_request, "ask a service"},
    {"serve", cli_serve, "answer requests with a command"},
    {"bind", cli_bind, "bind a queue to an exchange"},
    {"unbind", cli_unbind, "remove a binding"},
    {"drain", cli_drain, "deliver what processes that are gone left behind"},
    {"peers", cli_peers, "list the peers"},
    {"queues", cli_queues, "list the queues"},
    {"exchanges", cli_exchanges, "list the exchanges and what is bound"},
    {"stats", cli_stats, "show rates, delays and backlog"},
    {"outbox", cli_outbox,
     "look into stores: ls, peek, verify, salvage, purge"},
    {"dead", cli_dead, "look at dead letters, send them again, drop them"},
    {"trace", cli_trace, "say what became of one message"},
    {"bench", cli_bench, "measure this machine"},
};

#define COMMANDS (sizeof s_commands / sizeof *s_commands)

static void
s_print_usage (FILE *file)
{
    fputs ("usage: tern COMMAND [ARGUMENT]...\n"
           "Reliable messaging without a broker.\n\n",
           file);
    for (size_t index = 0; index < COMMANDS; index++) {
        fprintf (file, "  %-9s  %s\n", s_commands[index].name,
                 s_commands[index].summary);
    }
    fputs ("  help       what a command does: tern help COMMAND\n\n"
           "Try it, in two terminals:\n"
           "  tern recv hello\n"
           "  tern send hello \"Hello World!\"\n\n"
           "guide: tern(7), commands: tern(1)\n",
           file);
}

static const command_t *
s_find_command (const char *name)
{
    for (size_t index = 0; index < COMMANDS; index++) {
        if (strcmp (s_commands[index].name, name) == 0) {
            return &s_commands[index];
        }
    }
    return NULL;
}

//  Results that never arrived are no results.

static int
s_check_stdout (int code)
{
    if (fflush (stdout) == 0 && !ferror (stdout)) {
        return code;
    }
    return cli_fail (CLI_FAILED, "standard output: %s", strerror (errno));
}

static int
s_run (const char *name, int argc, char **argv)
{
    const command_t *command = s_find_command (name);
    if (!command) {
        return cli_fail (CLI_USAGE, "%s: no such command; see tern --help",
                         name);
    }
    return s_check_stdout (command->fn (argc, argv));
}

static int
s_help (int argc, char **argv)
{
    if (argc < 2) {
        s_print_usage (stdout);
        return s_check_stdout (CLI_DONE);
    }
    char help[] = "--help";
    char *words[] = {argv[1], help, NULL};
    return s_run (argv[1], 2, words);
}

int
main (int argc, char **argv)
{
    cli_say_setup ("", false, 0);
    if (argc < 2) {
        s_print_usage (stderr);
        return CLI_USAGE;
    }
    const char *word = argv[1];
    if (strcmp (word, CLI_BENCH_WORKER) == 0) {
        return cli_bench_worker (argc - 1, argv + 1);
    }
    cli_stop_setup ();
    if (strcmp (word, "--version") == 0 || strcmp (word, "-V") == 0) {
        printf ("tern %s\n", tern_version ());
        return s_check_stdout (CLI_DONE);
    }
    if (strcmp (word, "--help") == 0 || strcmp (word, "-h") == 0) {
        return s_help (1, argv);
    }
    if (strcmp (word, "help") == 0) {
        return s_help (argc - 1, argv + 1);
    }
    if (word[0] == '-') {
        return cli_fail (CLI_USAGE,
                         "%s: options follow the command; see tern "
                         "--help",
                         word);
    }
    return s_run (word, argc - 1, argv + 1);
}
