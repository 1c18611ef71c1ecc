//  cli/bench_trip.c - there and back, with few messages in hand
//
//  One consumer with a small prefetch.  One message at a time: from sending it
//  until its publisher knows that it is settled.  Many that wait: from accepting
//  one until the next is in hand.  Beside both, REQ and REP of libzmq alone.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench_stage.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SAMPLES 5000
#define ROUNDS 3

enum {
    SETTLED,
    NEXT,
    ZMQ,
    KINDS
};

static cli_bench_latency_t
s_read (const cli_worker_t *worker)
{
    return (cli_bench_latency_t) {
        .samples = cli_worker_number (worker, "samples"),
        .p50_us = (double) cli_worker_number (worker, "p50_ns") / 1e3,
        .p99_us = (double) cli_worker_number (worker, "p99_ns") / 1e3,
    };
}

static cli_worker_t *
s_start (cli_stage_t *stage, const char *role, uint64_t single, uint64_t count)
{
    cli_bench_job_t job = cli_stage_job (stage, role, role, 0);
    job.queues = job.consumers = 1;
    job.size = job.size < sizeof (int64_t) ? sizeof (int64_t) : job.size;
    job.single = single;
    job.count = count;
    return cli_crew_start (&stage->crew, &job);
}

static int
s_time_tern (cli_stage_t *stage, uint64_t single, uint64_t count,
             cli_bench_latency_t *latency)
{
    cli_worker_t *consumer = s_start (stage, "consume", single, count);
    cli_worker_t *publisher
        = consumer ? s_start (stage, "publish", single, count) : NULL;
    if (!publisher) {
        return CLI_FAILED;
    }
    cli_worker_say (consumer, "go");
    cli_worker_say (publisher, "go");
    int code = cli_worker_hear (publisher, "done");
    if (code == CLI_DONE) {
        cli_worker_say (consumer, "stop");
        code = cli_worker_hear (consumer, "done");
    }
    *latency = s_read (single == CLI_BENCH_TURNS ? consumer : publisher);
    return code;
}

static int
s_time_zmq (cli_stage_t *stage, uint64_t count, cli_bench_latency_t *latency)
{
    char endpoint[64];
    cli_bench_job_t job
        = {.role = "rep", .size = stage->bench->size, .count = count};
    const cli_worker_t *server = cli_crew_start (&stage->crew, &job);
    if (!server) {
        return CLI_FAILED;
    }
    cli_worker_text (server, "endpoint", endpoint, sizeof endpoint);
    job.role = "req";
    job.endpoints = endpoint;
    cli_worker_t *client = cli_crew_start (&stage->crew, &job);
    if (!client) {
        return CLI_FAILED;
    }
    cli_worker_say (client, "go");
    const int code = cli_worker_hear (client, "done");
    *latency = s_read (client);
    return code;
}

//  One of each kind, its own processes each.
static int
s_round (cli_stage_t *stage, uint64_t count, cli_bench_latency_t *latencies)
{
    int code
        = s_time_tern (stage, CLI_BENCH_STAMPED, count, &latencies[SETTLED]);
    cli_crew_end (&stage->crew);
    if (code == CLI_DONE) {
        code = s_time_tern (stage, CLI_BENCH_TURNS, count, &latencies[NEXT]);
        cli_crew_end (&stage->crew);
    }
    if (code == CLI_DONE) {
        code = s_time_zmq (stage, count, &latencies[ZMQ]);
        cli_crew_end (&stage->crew);
    }
    return code;
}

static int
s_compare (const void *a, const void *b)
{
    const double x = ((const cli_bench_latency_t *) a)->p50_us;
    const double y = ((const cli_bench_latency_t *) b)->p50_us;
    return (x > y) - (x < y);
}

static void
s_print (const char *what, const cli_bench_latency_t *self,
         const cli_bench_latency_t *zmq)
{
    cli_text_t a, b;
    printf ("%-8s p50 %s, p99 %s", what, cli_format_us (&a, self->p50_us),
            cli_format_us (&b, self->p99_us));
    if (self != zmq) {
        printf (", ratio %.2f", self->p50_us / zmq->p50_us);
    }
    printf ("\n");
}

static int
s_report (const cli_bench_t *self, uint64_t count,
          const cli_bench_latency_t *latencies)
{
    static const char *const names[KINDS] = {"settled", "next", "zmq"};
    if (!self->common.json) {
        printf ("%" PRIu64 " messages of %" PRIu64 " B, prefetch %" PRIu64 "\n",
                count, self->size, self->prefetch);
        for (size_t kind = 0; kind < KINDS; kind++) {
            s_print (names[kind], &latencies[kind], &latencies[ZMQ]);
        }
        return CLI_DONE;
    }
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '{');
    cli_json_count (&json, "size", self->size);
    cli_json_count (&json, "count", count);
    cli_json_count (&json, "prefetch", self->prefetch);
    cli_json_real (&json, "settled_p50_us", latencies[SETTLED].p50_us);
    cli_json_real (&json, "settled_p99_us", latencies[SETTLED].p99_us);
    cli_json_real (&json, "next_p50_us", latencies[NEXT].p50_us);
    cli_json_real (&json, "next_p99_us", latencies[NEXT].p99_us);
    cli_json_real (&json, "baseline_p50_us", latencies[ZMQ].p50_us);
    cli_json_real (&json, "baseline_p99_us", latencies[ZMQ].p99_us);
    cli_json_real (&json, "settled_ratio",
                   latencies[SETTLED].p50_us / latencies[ZMQ].p50_us);
    cli_json_real (&json, "next_ratio",
                   latencies[NEXT].p50_us / latencies[ZMQ].p50_us);
    cli_json_close (&json);
    return cli_output_end (&output);
}

//  In alternation; of each kind the round in the middle counts.
int
cli_bench_round_trip (cli_bench_t *self)
{
    const uint64_t count = self->count < SAMPLES ? self->count : SAMPLES;
    cli_bench_latency_t rounds[KINDS][ROUNDS] = {0};
    cli_bench_latency_t middle[KINDS];
    cli_stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    self->prefetch = self->prefetch ? self->prefetch : 1;
    int code = cli_stage_open (stage, self);
    for (size_t round = 0; round < ROUNDS && code == CLI_DONE; round++) {
        cli_progress ("round trips, round %zu", round + 1);
        code = s_round (stage, count, middle);
        for (size_t kind = 0; kind < KINDS; kind++) {
            rounds[kind][round] = middle[kind];
        }
    }
    cli_stage_close (stage);
    free (stage);
    if (code != CLI_DONE) {
        return code;
    }
    for (size_t kind = 0; kind < KINDS; kind++) {
        qsort (rounds[kind], ROUNDS, sizeof **rounds, s_compare);
        middle[kind] = rounds[kind][ROUNDS / 2];
    }
    return s_report (self, count, middle);
}
