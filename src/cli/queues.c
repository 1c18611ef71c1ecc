//  cli/queues.c - tern queues: every queue on one line
//
//  A queue exists where somebody publishes to it or consumes it.  Each peer
//  tells its own part; here the parts are added up by name.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/fleet.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char name[65];
    uint64_t publishers, consumers;
    uint64_t depth, in_flight, delayed, oldest_ms;
    uint64_t redelivered, rejected, expired, dead;
    double in_per_s, out_per_s;  //  R and C over 10 s, at the publishers
} queue_t;

typedef struct {
    queue_t *items;
    size_t count, capacity;
} queues_t;

static queue_t *
s_find_or_add (queues_t *self, const char *name)
{
    for (size_t index = 0; index < self->count; index++) {
        if (strcmp (self->items[index].name, name) == 0) {
            return &self->items[index];
        }
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 32;
        self->items
            = realloc (self->items, self->capacity * sizeof *self->items);
        if (!self->items) {
            fputs ("tern: no memory for the list of queues\n", stderr);
            abort ();
        }
    }
    queue_t *queue = &self->items[self->count++];
    *queue = (queue_t) {0};
    snprintf (queue->name, sizeof queue->name, "%s", name);
    return queue;
}

static void
s_add_publisher (queue_t *queue, const tern_stats_t *row)
{
    queue->publishers++;
    queue->depth += row->depth;
    queue->in_flight += row->in_flight;
    queue->redelivered += row->redelivered;
    queue->rejected += row->rejected;
    queue->expired += row->expired;
    queue->dead += row->dead;
    queue->delayed += row->delayed;
    queue->in_per_s += row->accepted.per_s[1];
    queue->out_per_s += row->consumed.per_s[1];
    if (row->oldest_ms > queue->oldest_ms) {
        queue->oldest_ms = row->oldest_ms;
    }
}

static int
s_compare (const void *a, const void *b)
{
    return strcmp (((const queue_t *) a)->name, ((const queue_t *) b)->name);
}

static void
s_collect (queues_t *self, const tern_fleet_t *fleet)
{
    tern_fleet_peer_t peer;
    for (size_t index = 0; tern_fleet_peer_at (fleet, index, &peer); index++) {
        for (size_t queue = 0; queue < peer.queue_count; queue++) {
            s_find_or_add (self, peer.queues[queue])->consumers++;
        }
    }
    tern_stats_t row;
    for (size_t index = 0; tern_fleet_stats_at (fleet, index, &row); index++) {
        if (row.role == TERN_ROLE_PUBLISHER) {
            s_add_publisher (s_find_or_add (self, row.queue), &row);
        }
    }
    if (self->count > 0) {
        qsort (self->items, self->count, sizeof *self->items, s_compare);
    }
}

static int
s_print_json (const queues_t *self)
{
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '[');
    for (size_t index = 0; index < self->count; index++) {
        const queue_t *queue = &self->items[index];
        cli_json_open (&json, NULL, '{');
        cli_json_text (&json, "queue", queue->name);
        cli_json_count (&json, "publishers", queue->publishers);
        cli_json_count (&json, "consumers", queue->consumers);
        cli_json_count (&json, "depth", queue->depth);
        cli_json_count (&json, "in_flight", queue->in_flight);
        cli_json_count (&json, "oldest_ms", queue->oldest_ms);
        cli_json_count (&json, "redelivered", queue->redelivered);
        cli_json_count (&json, "rejected", queue->rejected);
        cli_json_count (&json, "expired", queue->expired);
        cli_json_count (&json, "dead", queue->dead);
        cli_json_count (&json, "delayed", queue->delayed);
        cli_json_real (&json, "in_per_s", queue->in_per_s);
        cli_json_real (&json, "out_per_s", queue->out_per_s);
        cli_json_close (&json);
    }
    cli_json_close (&json);
    return cli_output_end (&output);
}

static int
s_print_table (const queues_t *self)
{
    static const char *const titles[]
        = {"QUEUE",   ">PUBLISHERS", ">CONSUMERS", ">DEPTH",       ">IN FLIGHT",
           ">OLDEST", ">IN/S",       ">OUT/S",     ">REDELIVERED", ">DEAD"};
    cli_table_t table;
    cli_table_init (&table, titles, sizeof titles / sizeof *titles);
    for (size_t index = 0; index < self->count; index++) {
        const queue_t *queue = &self->items[index];
        cli_text_t text;
        cli_table_add (&table, queue->name);
        cli_table_add (&table, cli_format_count (&text, queue->publishers));
        cli_table_add (&table, cli_format_count (&text, queue->consumers));
        cli_table_add (&table, cli_format_count (&text, queue->depth));
        cli_table_add (&table, cli_format_count (&text, queue->in_flight));
        cli_table_add (&table,
                       cli_format_us (&text, (double) queue->oldest_ms * 1e3));
        cli_table_add (&table, cli_format_rate (&text, queue->in_per_s));
        cli_table_add (&table, cli_format_rate (&text, queue->out_per_s));
        cli_table_add (&table, cli_format_count (&text, queue->redelivered));
        cli_table_add (&table, cli_format_count (&text, queue->dead));
    }
    if (self->count == 0) {
        cli_note ("no queues");
    }
    cli_table_print (&table);
    return CLI_DONE;
}

int
cli_queues (int argc, char **argv)
{
    cli_common_t common = {0};
    uint64_t timeout_ms = CLI_FLEET_TIMEOUT_MS;
    const cli_option_t options[] = {
        {"timeout", 't', CLI_NUMBER, &timeout_ms, "MS",
         "how long the directory may take", 1, INT32_MAX},
    };
    const cli_usage_t usage = {
        .name = "queues",
        .synopsis = "",
        .summary = "List the queues that peers publish to or consume.",
        .text = "Rates are messages per second over the last 10 seconds.",
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
        queues_t queues = {0};
        s_collect (&queues, fleet);
        code = common.json ? s_print_json (&queues) : s_print_table (&queues);
        free (queues.items);
    }
    tern_fleet_destroy (&fleet);
    return code;
}
