//  cli/stats.c - tern stats: the numbers of each peer and queue
//
//  One block per row that a peer told the directory:
//
//      hello at orders-1, publisher
//                     TOTAL    1 S   10 S   60 S
//        P produced   ...
//        T_process
//        T_delay   p50 ...  p99 ...  max ...
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/fleet.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

//  The model's processing time of one message in seconds: 1/R + 1/Q + 1/C over
//  one of the three windows; NAN while any of them stands still.

static double
s_process_s (const tern_stats_t *row, size_t window)
{
    const double r = row->accepted.per_s[window];
    const double q = row->transmitted.per_s[window];
    const double c = row->consumed.per_s[window];
    return r > 0 && q > 0 && c > 0 ? 1 / r + 1 / q + 1 / c : NAN;
}

//  JSON ----------------------------------------------------------------------

static void
s_json_rate (cli_json_t *json, const char *key, const tern_rate_t *rate)
{
    cli_json_open (json, key, '{');
    cli_json_count (json, "total", rate->total);
    cli_json_real (json, "per_s_1", rate->per_s[0]);
    cli_json_real (json, "per_s_10", rate->per_s[1]);
    cli_json_real (json, "per_s_60", rate->per_s[2]);
    cli_json_close (json);
}

static void
s_json_row (cli_json_t *json, const tern_stats_t *row)
{
    const bool publisher = row->role == TERN_ROLE_PUBLISHER;
    cli_json_open (json, NULL, '{');
    cli_json_text (json, "peer", row->peer);
    cli_json_text (json, "queue", row->queue);
    cli_json_text (json, "role", publisher ? "publisher" : "consumer");
    s_json_rate (json, "produced", &row->produced);
    s_json_rate (json, "accepted", &row->accepted);
    s_json_rate (json, "transmitted", &row->transmitted);
    s_json_rate (json, "consumed", &row->consumed);
    cli_json_open (json, "t_process_us", '{');
    cli_json_real (json, "over_1", s_process_s (row, 0) * 1e6);
    cli_json_real (json, "over_10", s_process_s (row, 1) * 1e6);
    cli_json_real (json, "over_60", s_process_s (row, 2) * 1e6);
    cli_json_close (json);
    cli_json_open (json, "t_delay_us", '{');
    cli_json_count (json, "p50", row->delay_p50_us);
    cli_json_count (json, "p99", row->delay_p99_us);
    cli_json_count (json, "max", row->delay_max_us);
    cli_json_close (json);
    cli_json_count (json, "depth", row->depth);
    cli_json_count (json, "in_flight", row->in_flight);
    cli_json_count (json, "oldest_ms", row->oldest_ms);
    cli_json_count (json, "redelivered", row->redelivered);
    cli_json_count (json, "refused", row->refused);
    cli_json_count (json, "rejected", row->rejected);
    cli_json_count (json, "duplicates", row->duplicates);
    cli_json_count (json, "dropped", row->dropped);
    cli_json_count (json, "expired", row->expired);
    cli_json_count (json, "dead", row->dead);
    cli_json_count (json, "delayed", row->delayed);
    cli_json_count (json, "missed", row->missed);
    cli_json_count (json, "disk_bytes", row->disk_bytes);
    cli_json_count (json, "sync_us_last", row->sync_us_last);
    cli_json_count (json, "sync_us_max", row->sync_us_max);
    cli_json_count (json, "consumers", row->consumers);
    cli_json_close (json);
}

//  For people ----------------------------------------------------------------

static void
s_add_rate (cli_table_t *table, const char *title, const tern_rate_t *rate)
{
    cli_text_t text;
    cli_table_add (table, title);
    cli_table_add (table, cli_format_count (&text, rate->total));
    for (size_t window = 0; window < 3; window++) {
        cli_table_add (table, cli_format_rate (&text, rate->per_s[window]));
    }
}

static void
s_print_counts (const tern_stats_t *row)
{
    const struct {
        const char *title;
        uint64_t count;
        bool always;
    } counts[] = {
        {"depth", row->depth, true},
        {"in flight", row->in_flight, true},
        {"consumers", row->consumers, row->role == TERN_ROLE_PUBLISHER},
        {"redelivered", row->redelivered, true},
        {"duplicates dropped", row->duplicates, false},
        {"rejected", row->rejected, false},
        {"refused", row->refused, false},
        {"dropped", row->dropped, false},
        {"of them expired", row->expired, false},
        {"dead", row->dead, false},
        {"delayed", row->delayed, false},
        {"missed", row->missed, false},
    };
    const char *between = "  ";
    for (size_t index = 0; index < sizeof counts / sizeof *counts; index++) {
        if (counts[index].always || counts[index].count > 0) {
            cli_text_t text;
            printf ("%s%s %s", between, counts[index].title,
                    cli_format_count (&text, counts[index].count));
            between = ", ";
        }
    }
    putchar ('\n');
}

static void
s_print_publisher (const tern_stats_t *row)
{
    cli_text_t a, b, c;
    if (row->delay_max_us > 0) {
        printf ("  T_delay p50 %s, p99 %s, max %s\n",
                cli_format_us (&a, (double) row->delay_p50_us),
                cli_format_us (&b, (double) row->delay_p99_us),
                cli_format_us (&c, (double) row->delay_max_us));
    }
    if (row->oldest_ms > 0) {
        printf ("  oldest waits for %s\n",
                cli_format_us (&a, (double) row->oldest_ms * 1e3));
    }
    printf ("  on disk %s, last sync %s, longest %s\n",
            cli_format_bytes (&a, row->disk_bytes),
            cli_format_us (&b, (double) row->sync_us_last),
            cli_format_us (&c, (double) row->sync_us_max));
}

static void
s_print_row (const tern_stats_t *row)
{
    static const char *const titles[]
        = {"  per second", ">TOTAL", ">1 S", ">10 S", ">60 S"};
    const bool publisher = row->role == TERN_ROLE_PUBLISHER;
    cli_table_t table;
    printf ("%s at %s, %s\n", row->queue, row->peer,
            publisher ? "publisher" : "consumer");
    cli_table_init (&table, titles, 5);
    if (publisher) {
        s_add_rate (&table, "  P produced", &row->produced);
        s_add_rate (&table, "  R accepted", &row->accepted);
    }
    s_add_rate (&table, publisher ? "  Q transmitted" : "  Q received",
                &row->transmitted);
    s_add_rate (&table, "  C consumed", &row->consumed);
    if (publisher) {
        cli_text_t text;
        cli_table_add (&table, "  T_process");
        cli_table_add (&table, "");
        for (size_t window = 0; window < 3; window++) {
            const double process_us = s_process_s (row, window) * 1e6;
            cli_table_add (&table, isnan (process_us)
                                       ? "-"
                                       : cli_format_us (&text, process_us));
        }
    }
    cli_table_print (&table);
    s_print_counts (row);
    if (publisher) {
        s_print_publisher (row);
    }
}

static int
s_print (const tern_fleet_t *fleet, const char *filter, bool as_json)
{
    tern_stats_t row;
    size_t shown = 0;
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '[');
    for (size_t index = 0; tern_fleet_stats_at (fleet, index, &row); index++) {
        if (filter && strcmp (filter, row.peer) != 0
            && strcmp (filter, row.queue) != 0) {
            continue;
        }
        if (as_json) {
            s_json_row (&json, &row);
        } else {
            fputs (shown > 0 ? "\n" : "", stdout);
            s_print_row (&row);
        }
        shown++;
    }
    cli_json_close (&json);
    if (as_json && (shown > 0 || !filter)) {
        return cli_output_end (&output);
    }
    cli_output_free (&output);
    if (shown == 0 && filter) {
        return cli_fail (CLI_FAILED,
                         "%s: no such peer or queue; see tern peers and tern "
                         "queues",
                         filter);
    }
    if (shown == 0) {
        cli_note ("no numbers: no peer publishes or consumes");
    }
    return CLI_DONE;
}

int
cli_stats (int argc, char **argv)
{
    cli_common_t common = {0};
    uint64_t timeout_ms = CLI_FLEET_TIMEOUT_MS;
    const cli_option_t options[] = {
        {"timeout", 't', CLI_NUMBER, &timeout_ms, "MS",
         "how long the directory may take", 1, INT32_MAX},
    };
    const cli_usage_t usage = {
        .name = "stats",
        .synopsis = "[PEER|QUEUE]",
        .summary = "Show rates, delays and backlog of each peer and queue.",
        .text = "T_process = 1/R + 1/Q + 1/C; T_delay = t(settled) - "
                "t(accepted).",
        .options = options,
        .option_count = 1,
        .operands_max = 1,
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    tern_fleet_t *fleet = NULL;
    code = cli_fleet_fetch (&fleet, &common, timeout_ms);
    if (code == CLI_DONE) {
        code = s_print (fleet, operands > 0 ? argv[1] : NULL, common.json);
    }
    tern_fleet_destroy (&fleet);
    return code;
}
