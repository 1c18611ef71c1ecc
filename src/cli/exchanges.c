//  cli/exchanges.c - tern exchanges: which queues are bound to what
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/binding.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/seat.h"
#include "cli/stop.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 2000

//  What a queue gets, as people write it.

static void
s_describe (cli_output_t *text, const tern_binding_t *binding)
{
    if (binding->header_count > 0) {
        cli_output_text (text, binding->any ? "any of" : "all of");
    }
    for (size_t index = 0; index < binding->header_count; index++) {
        cli_output_text (text, " ");
        cli_output_text (text, binding->headers[index].name);
        cli_output_text (text, "=");
        cli_output_text (text, binding->headers[index].value);
    }
    if (binding->pattern) {
        cli_output_text (text, binding->pattern);
    }
    cli_output_add (text, "", 1);
}

static int
s_print_table (tern_peer_t *peer)
{
    static const char *const titles[] = {"EXCHANGE", "TYPE", "QUEUE", "GETS"};
    cli_table_t table;
    tern_binding_t binding;
    cli_table_init (&table, titles, 4);
    for (size_t index = 0; tern_peer_binding_at (peer, index, &binding);
         index++) {
        cli_output_t text;
        cli_output_init (&text);
        s_describe (&text, &binding);
        cli_table_add (&table, binding.exchange);
        cli_table_add (&table, cli_type_name (binding.type));
        cli_table_add (&table, binding.queue);
        cli_table_add (&table, text.size > 1 ? text.bytes
                               : binding.any ? "nothing"
                                             : "everything");
        cli_output_free (&text);
    }
    if (table.count == 0) {
        cli_note ("no queue is bound to an exchange");
    }
    cli_table_print (&table);
    return CLI_DONE;
}

static int
s_print_json (tern_peer_t *peer)
{
    cli_output_t output;
    cli_json_t json;
    tern_binding_t binding;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '[');
    for (size_t index = 0; tern_peer_binding_at (peer, index, &binding);
         index++) {
        cli_json_open (&json, NULL, '{');
        cli_json_text (&json, "exchange", binding.exchange);
        cli_json_text (&json, "type", cli_type_name (binding.type));
        cli_json_text (&json, "queue", binding.queue);
        cli_json_text (&json, "pattern",
                       binding.pattern ? binding.pattern : "");
        cli_json_open (&json, "headers", '{');
        for (size_t header = 0; header < binding.header_count; header++) {
            const char *name = binding.headers[header].name;
            const char *value = binding.headers[header].value;
            cli_json_member (&json, name, strlen (name), value, strlen (value));
        }
        cli_json_close (&json);
        cli_json_bool (&json, "any", binding.any);
        cli_json_close (&json);
    }
    cli_json_close (&json);
    return cli_output_end (&output);
}

int
cli_exchanges (int argc, char **argv)
{
    cli_common_t common = {0};
    uint64_t timeout_ms = TIMEOUT_MS;
    const cli_option_t options[] = {
        {"timeout", 't', CLI_NUMBER, &timeout_ms, "MS",
         "how long the directory may take", 1, INT32_MAX},
    };
    const cli_usage_t usage = {
        .name = "exchanges",
        .synopsis = "",
        .summary = "List the exchanges and the queues bound to them.",
        .options = options,
        .option_count = 1,
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    tern_peer_t *peer = NULL;
    code = cli_seat_open (&peer, &common, "exchanges");
    if (code != CLI_DONE) {
        return code;
    }
    if (cli_binding_learn (peer, timeout_ms) != TERN_OK) {
        code = cli_stop_asked ()
                   ? CLI_FAILED
                   : cli_fail (CLI_TIMEOUT,
                               "no directory answered in %" PRIu64
                               " ms; start ternd or a peer, or check "
                               "--directory",
                               timeout_ms);
    }
    if (code == CLI_DONE) {
        code = common.json ? s_print_json (peer) : s_print_table (peer);
    }
    cli_seat_close (&peer);
    return code;
}
