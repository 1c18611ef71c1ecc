//  cli/peers.c - tern peers: who is there
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/fleet.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/table.h"

#include <stdio.h>

static int
s_print_json (const tern_fleet_t *fleet)
{
    cli_output_t output;
    cli_json_t json;
    tern_fleet_peer_t peer;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '[');
    for (size_t index = 0; tern_fleet_peer_at (fleet, index, &peer); index++) {
        cli_json_open (&json, NULL, '{');
        cli_json_text (&json, "name", peer.name);
        cli_json_text (&json, "endpoint", peer.endpoint);
        cli_json_text (&json, "store", peer.store);
        cli_json_count (&json, "incarnation", peer.incarnation);
        cli_json_count (&json, "heard_ms", peer.heard_ms);
        cli_json_open (&json, "queues", '[');
        for (size_t queue = 0; queue < peer.queue_count; queue++) {
            cli_json_text (&json, NULL, peer.queues[queue]);
        }
        cli_json_close (&json);
        cli_json_close (&json);
    }
    cli_json_close (&json);
    return cli_output_end (&output);
}

static int
s_print_table (const tern_fleet_t *fleet)
{
    static const char *const titles[]
        = {"PEER", "ENDPOINT", ">HEARD", ">INCARNATION", "CONSUMES"};
    cli_table_t table;
    tern_fleet_peer_t peer;
    cli_table_init (&table, titles, 5);
    for (size_t index = 0; tern_fleet_peer_at (fleet, index, &peer); index++) {
        cli_text_t text;
        cli_table_add (&table, peer.name);
        cli_table_add (&table, peer.endpoint);
        cli_table_add (&table,
                       cli_format_us (&text, (double) peer.heard_ms * 1e3));
        snprintf (text.text, sizeof text.text, "%llu",
                  (unsigned long long) peer.incarnation);
        cli_table_add (&table, text.text);

        cli_output_t queues;
        cli_output_init (&queues);
        for (size_t queue = 0; queue < peer.queue_count; queue++) {
            cli_output_text (&queues, queue > 0 ? " " : "");
            cli_output_text (&queues, peer.queues[queue]);
        }
        cli_output_add (&queues, "", 1);
        cli_table_add (&table, queues.size > 1 ? queues.bytes : "-");
        cli_output_free (&queues);
    }
    if (table.count == 0) {
        cli_note ("no peers");
    }
    cli_table_print (&table);
    return CLI_DONE;
}

int
cli_peers (int argc, char **argv)
{
    cli_common_t common = {0};
    uint64_t timeout_ms = CLI_FLEET_TIMEOUT_MS;
    const cli_option_t options[] = {
        {"timeout", 't', CLI_NUMBER, &timeout_ms, "MS",
         "how long the directory may take", 1, INT32_MAX},
    };
    const cli_usage_t usage = {
        .name = "peers",
        .synopsis = "",
        .summary = "List the peers that the directory knows.",
        .options = options,
        .option_count = 1,
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    tern_fleet_t *fleet = NULL;
    code = cli_fleet_fetch (&fleet, &common, timeout_ms);
    if (code == CLI_DONE) {
        code = common.json ? s_print_json (fleet) : s_print_table (fleet);
    }
    tern_fleet_destroy (&fleet);
    return code;
}
