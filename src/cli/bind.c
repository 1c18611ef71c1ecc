//  cli/bind.c - tern bind, tern unbind: which queue gets what from an exchange
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/binding.h"
#include "cli/command.h"
#include "cli/say.h"
#include "cli/seat.h"

#include <stdio.h>

#define TIMEOUT_MS 5000

static int
s_run (const char *command, bool removed, int argc, char **argv)
{
    cli_common_t common = {0};
    cli_binding_words_t words = {.type = NULL};
    uint64_t timeout_ms = TIMEOUT_MS;
    const cli_option_t options[] = {
        {"type", 0, CLI_TEXT, &words.type, "TYPE",
         "direct, fanout, topic or headers", 0, 0},
        {"pattern", 0, CLI_TEXT, &words.pattern, "PATTERN",
         "direct: the key; topic: words, * and #", 0, 0},
        {"header", 'H', CLI_MANY, &words.headers, "NAME=VALUE",
         "headers: a message must have it; may be repeated", 0, 0},
        {"any", 0, CLI_FLAG, &words.any, NULL, "one of the headers is enough",
         0, 0},
        {"timeout", 't', CLI_NUMBER, &timeout_ms, "MS",
         "how long the directory may take", 1, INT32_MAX},
        //  Not for unbind, so it is the last.
        {"from", 0, CLI_TEXT, &words.from, "WHERE",
         "new (default), earliest, number or time", 0, 0},
    };
    const size_t option_count = sizeof options / sizeof *options;
    const cli_usage_t usage = {
        .name = command,
        .synopsis = "EXCHANGE QUEUE",
        .summary = removed ? "Remove a binding."
                           : "Bind a queue to an exchange, for good.",
        .text = "Without --type: headers if there are any, topic with a "
                "pattern, else fanout.",
        .options = options,
        .option_count = removed ? option_count - 1 : option_count,
        .operands_min = 2,
        .operands_max = 2,
        .missing = "name the exchange and the queue",
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    cli_binding_t binding;
    tern_peer_t *peer = NULL;
    code = cli_binding_read (&binding, argv[1], argv[2], &words);
    if (code == CLI_DONE) {
        code = cli_seat_open (&peer, &common, command);
    }
    if (code == CLI_DONE) {
        code = cli_binding_say (peer, &binding, removed, timeout_ms);
        cli_seat_close (&peer);
    }
    cli_binding_free (&binding);
    return code;
}

int
cli_bind (int argc, char **argv)
{
    return s_run ("bind", false, argc, argv);
}

int
cli_unbind (int argc, char **argv)
{
    return s_run ("unbind", true, argc, argv);
}
