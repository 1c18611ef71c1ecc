//  cli/bench.c - tern bench: measure this machine
//
//  Real processes over tcp loopback, real stores on a real disk.  The clock of
//  a run starts when the publishers are told to go and stops when the last of
//  them holds the confirmation of its last message and has learnt that all of
//  its messages are settled.  Whether none was lost is counted at the other
//  end, by the consumers.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench_stage.h"
#include "cli/command.h"
#include "cli/say.h"

#include <string.h>

//  Without --count: so many bytes of bodies, but not more messages than this.
#define DEFAULT_BYTES (512 * 1024 * 1024)
#define DEFAULT_COUNT_MAX 4000000

//  zmq, or so many consumers.
static int
s_check_baseline (cli_bench_t *self)
{
    if (!self->baseline) {
        return CLI_DONE;
    }
    self->zmq_alone = strcmp (self->baseline, "zmq") == 0;
    if (!self->zmq_alone
        && !cli_number (self->baseline, 1, CLI_BENCH_WORKERS_MAX - 1,
                        &self->few)) {
        return cli_fail (CLI_USAGE,
                         "--baseline: \"%s\" is not zmq or a number of "
                         "consumers",
                         self->baseline);
    }
    if (self->few && (self->fanout || self->request || self->round_trip)) {
        return cli_fail (CLI_USAGE, "--baseline: not a number of consumers "
                                    "here");
    }
    return CLI_DONE;
}

static int
s_check_rule (cli_bench_t *self)
{
    static const char *const names[] = {"", "priority", "delay", "key"};
    if (!self->rules) {
        return CLI_DONE;
    }
    for (size_t rule = 1; rule < sizeof names / sizeof *names; rule++) {
        if (strcmp (self->rules, names[rule]) == 0) {
            self->rule = (cli_rule_t) rule;
        }
    }
    if (self->rule == CLI_RULE_NONE) {
        return cli_fail (CLI_USAGE,
                         "--rule: \"%s\" is not priority, delay or key",
                         self->rules);
    }
    if (self->backlog == 0) {
        return cli_fail (CLI_USAGE, "--rule: for --backlog only");
    }
    return CLI_DONE;
}

//  These are measured alone.
static int
s_check_alone (const cli_bench_t *self)
{
    const struct {
        bool asked;
        const char *name;
    } modes[] = {
        {self->backlog > 0, "--backlog"},   {self->request, "--request"},
        {self->round_trip, "--round-trip"}, {self->trickle > 0, "--trickle"},
        {self->fanout > 0, "--fanout"},
    };
    const char *alone = NULL;
    for (size_t mode = 0; mode < sizeof modes / sizeof *modes; mode++) {
        if (modes[mode].asked && (alone || self->latency)) {
            return cli_fail (CLI_USAGE, "%s: measured alone, without %s",
                             modes[mode].name, alone ? alone : "--latency");
        }
        alone = modes[mode].asked ? modes[mode].name : alone;
    }
    return CLI_DONE;
}

static int
s_check (cli_bench_t *self)
{
    const int code = s_check_alone (self);
    if (code != CLI_DONE) {
        return code;
    }
    if (self->fanout > 0) {
        self->consumers = self->fanout;
    }
    if (self->publishers + self->consumers > CLI_BENCH_WORKERS_MAX) {
        return cli_fail (CLI_USAGE,
                         "--publishers and --consumers: more than %d "
                         "processes",
                         CLI_BENCH_WORKERS_MAX);
    }
    if (self->fanout > 0 && (self->publishers > 1 || self->queues > 1)) {
        return cli_fail (CLI_USAGE, "--fanout: one publisher, and a queue for "
                                    "each consumer");
    }
    if (strcmp (self->wait, "written") == 0) {
        self->level = TERN_WRITTEN;
    } else if (strcmp (self->wait, "synced") == 0) {
        self->level = TERN_SYNCED;
    } else if (strcmp (self->wait, "processed") == 0) {
        self->level = TERN_PROCESSED;
    } else if (strcmp (self->wait, "stored") == 0) {
        return cli_fail (CLI_USAGE, "--wait stored: its consumers keep no "
                                    "inbox; use synced or processed");
    } else {
        return cli_fail (CLI_USAGE,
                         "--wait: \"%s\" is not written, synced or processed",
                         self->wait);
    }
    if (self->backlog > 0 && self->level == TERN_PROCESSED) {
        return cli_fail (CLI_USAGE, "--backlog: nobody is there to process "
                                    "it; use --wait synced");
    }
    if (self->backlog > 0 && self->baseline) {
        return cli_fail (CLI_USAGE,
                         "--backlog: measured alone, without --baseline");
    }
    if (self->count == 0) {
        self->count = DEFAULT_BYTES / self->size;
        self->count
            = self->count > DEFAULT_COUNT_MAX ? DEFAULT_COUNT_MAX : self->count;
    }
    if (self->runs == 0) {
        self->runs = self->baseline ? 3 : 1;
    }
    const int rule_code = s_check_rule (self);
    return rule_code == CLI_DONE ? s_check_baseline (self) : rule_code;
}

static int
s_measure (cli_bench_t *self)
{
    char folder[CLI_BENCH_PATH];
    int code = cli_bench_make_folder (self, folder);
    if (code != CLI_DONE) {
        return code;
    }
    if (self->request || self->round_trip || self->trickle) {
        code = self->request      ? cli_bench_request (self)
               : self->round_trip ? cli_bench_round_trip (self)
                                  : cli_bench_trickle (self);
        cli_bench_remove_tree (folder);
        return code;
    }
    if (self->backlog > 0) {
        code = cli_bench_backlog (self);
    } else {
        code = cli_bench_throughput (self);
        if (code == CLI_DONE && self->latency) {
            code = cli_bench_latency (self);
        }
    }
    cli_bench_remove_tree (folder);
    return code == CLI_DONE ? cli_bench_report (self) : code;
}

int
cli_bench (int argc, char **argv)
{
    cli_bench_t self = {.size = 64,
                        .queues = 1,
                        .consumers = 1,
                        .publishers = 1,
                        .seconds = 10,
                        .wait = "synced"};
    const cli_option_t options[] = {
        {"size", 's', CLI_NUMBER, &self.size, "B", "bytes of a body (64)", 1,
         TERN_BODY_MAX},
        {"count", 'n', CLI_NUMBER, &self.count, "N",
         "messages (512 MiB of them, at most 4000000)", 1, 1000000000},
        {"queues", 0, CLI_NUMBER, &self.queues, "N", "queues (1)", 1, 256},
        {"publishers", 0, CLI_NUMBER, &self.publishers, "N",
         "publishing processes (1)", 1, CLI_BENCH_WORKERS_MAX},
        {"consumers", 0, CLI_NUMBER, &self.consumers, "N",
         "consuming processes (1)", 1, CLI_BENCH_WORKERS_MAX},
        {"wait", 0, CLI_TEXT, &self.wait, "LEVEL",
         "written, synced (default) or processed", 0, 0},
        {"latency", 0, CLI_FLAG, &self.latency, NULL,
         "measure one message at a time too", 0, 0},
        {"request", 0, CLI_FLAG, &self.request, NULL,
         "measure requests and their replies instead", 0, 0},
        {"round-trip", 0, CLI_FLAG, &self.round_trip, NULL,
         "measure there and back with --prefetch (1) instead", 0, 0},
        {"fanout", 0, CLI_NUMBER, &self.fanout, "N",
         "every message to N durable subscribers", 1,
         CLI_BENCH_WORKERS_MAX - 1},
        {"trickle", 0, CLI_NUMBER, &self.trickle, "N",
         "one message per second to each of N queues", 1, CLI_BENCH_QUEUES_MAX},
        {"seconds", 0, CLI_NUMBER, &self.seconds, "S", "of --trickle (10)", 1,
         3600},
        {"prefetch", 0, CLI_NUMBER, &self.prefetch, "N",
         "messages that a consumer holds", 1, 1000000},
        {"baseline", 0, CLI_TEXT, &self.baseline, "zmq|N",
         "libzmq alone, or N consumers, in alternation", 0, 0},
        {"runs", 0, CLI_NUMBER, &self.runs, "N",
         "runs of each; the median counts (1, or 3)", 1, CLI_BENCH_RUNS_MAX},
        {"backlog", 0, CLI_NUMBER, &self.backlog, "N",
         "store N with no consumer, open, drain", 1, 1000000000},
        {"rule", 0, CLI_TEXT, &self.rules, "RULE",
         "of the backlog: priority, delay or key", 0, 0},
    };
    const cli_usage_t usage = {
        .name = "bench",
        .synopsis = "",
        .summary = "Measure how fast this machine moves messages, end to end.",
        .text = "Processes talk over tcp loopback; stores lie below --data, "
                "$TMPDIR or /var/tmp\nand are removed afterwards.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    code = s_check (&self);
    return code == CLI_DONE ? s_measure (&self) : code;
}
