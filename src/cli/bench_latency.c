//  cli/bench_latency.c - how long one message takes
//
//  One message in flight: until it is in the consumer's hands, beside libzmq
//  alone; until it is synced, beside a bare write.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench_stage.h"
#include "cli/say.h"

#include <stdio.h>
#include <stdlib.h>

#define LATENCY_SAMPLES 5000
#define LATENCY_ROUNDS 3
#define SYNC_SAMPLES 2000

static uint64_t
s_samples (const cli_bench_t *self, uint64_t most)
{
    return self->count < most ? self->count : most;
}

//  The stamp must fit.

static uint64_t
s_stamped_size (const cli_bench_t *self)
{
    return self->size < sizeof (int64_t) ? sizeof (int64_t) : self->size;
}

static cli_bench_latency_t
s_read_latency (const cli_worker_t *worker, const char *p50, const char *p99)
{
    return (cli_bench_latency_t) {
        .samples = cli_worker_number (worker, "samples"),
        .p50_us = (double) cli_worker_number (worker, p50) / 1e3,
        .p99_us = (double) cli_worker_number (worker, p99) / 1e3,
    };
}

//  sender goes, receiver took the samples.

static int
s_time_single (cli_worker_t *sender, cli_worker_t *receiver,
               cli_bench_latency_t *latency)
{
    cli_worker_say (receiver, "go");
    cli_worker_say (sender, "go");
    int code = cli_worker_hear (sender, "done");
    if (code == CLI_DONE) {
        cli_worker_say (receiver, "stop");
        code = cli_worker_hear (receiver, "done");
    }
    *latency = s_read_latency (receiver, "p50_ns", "p99_ns");
    return code;
}

static int
s_delivery_tern (cli_stage_t *self, cli_bench_latency_t *latency)
{
    const uint64_t samples = s_samples (self->bench, LATENCY_SAMPLES);
    cli_bench_job_t job = cli_stage_job (self, "consume", "consumer", 0);
    job.queues = job.single = 1;
    job.size = s_stamped_size (self->bench);
    job.count = samples;
    cli_worker_t *receiver = cli_crew_start (&self->crew, &job);
    if (!receiver) {
        return CLI_FAILED;
    }
    job = cli_stage_job (self, "publish", "publisher", 0);
    job.queues = job.single = job.consumers = 1;
    job.size = s_stamped_size (self->bench);
    job.count = samples;
    cli_worker_t *sender = cli_crew_start (&self->crew, &job);
    return sender ? s_time_single (sender, receiver, latency) : CLI_FAILED;
}

static int
s_delivery_zmq (cli_stage_t *self, cli_bench_latency_t *latency)
{
    cli_bench_job_t job = {.role = "pong",
                           .size = s_stamped_size (self->bench),
                           .count = s_samples (self->bench, LATENCY_SAMPLES)};
    char in[64], out[64], endpoints[160];
    cli_worker_t *receiver = cli_crew_start (&self->crew, &job);
    if (!receiver) {
        return CLI_FAILED;
    }
    cli_worker_text (receiver, "in", in, sizeof in);
    cli_worker_text (receiver, "out", out, sizeof out);
    snprintf (endpoints, sizeof endpoints, "%s,%s", in, out);
    job.role = "ping";
    job.endpoints = endpoints;
    cli_worker_t *sender = cli_crew_start (&self->crew, &job);
    return sender ? s_time_single (sender, receiver, latency) : CLI_FAILED;
}

static int
s_confirmation (cli_stage_t *self, cli_bench_t *bench)
{
    cli_bench_job_t job = cli_stage_job (self, "sync", "publisher", 0);
    job.count = s_samples (bench, SYNC_SAMPLES);
    cli_worker_t *worker = cli_crew_start (&self->crew, &job);
    if (!worker) {
        return CLI_FAILED;
    }
    cli_worker_say (worker, "go");
    const int code = cli_worker_hear (worker, "done");
    bench->confirmed = s_read_latency (worker, "p50_ns", "p99_ns");
    bench->bare = s_read_latency (worker, "bare_p50_ns", "bare_p99_ns");
    return code;
}

static int
s_compare_latencies (const void *a, const void *b)
{
    const double x = ((const cli_bench_latency_t *) a)->p50_us;
    const double y = ((const cli_bench_latency_t *) b)->p50_us;
    return (x > y) - (x < y);
}

static cli_bench_latency_t
s_middle (cli_bench_latency_t *rounds, size_t count)
{
    qsort (rounds, count, sizeof *rounds, s_compare_latencies);
    return rounds[count / 2];
}

//  As throughput: in alternation, and the round in the middle counts.

static int
s_delivery (cli_stage_t *stage, cli_bench_t *self)
{
    cli_bench_latency_t tern[LATENCY_ROUNDS], zmq[LATENCY_ROUNDS];
    for (size_t round = 0; round < LATENCY_ROUNDS; round++) {
        cli_progress ("latency of delivery, round %zu", round + 1);
        int code = s_delivery_tern (stage, &tern[round]);
        cli_crew_end (&stage->crew);
        if (code == CLI_DONE) {
            code = s_delivery_zmq (stage, &zmq[round]);
            cli_crew_end (&stage->crew);
        }
        if (code != CLI_DONE) {
            return code;
        }
    }
    self->delivery = s_middle (tern, LATENCY_ROUNDS);
    self->zmq_delivery = s_middle (zmq, LATENCY_ROUNDS);
    return CLI_DONE;
}

int
cli_bench_latency (cli_bench_t *self)
{
    cli_stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    int code = cli_stage_open (stage, self);
    if (code == CLI_DONE) {
        code = s_delivery (stage, self);
    }
    cli_stage_close (stage);
    if (code == CLI_DONE) {
        cli_progress ("latency of confirmation");
        code = cli_stage_open (stage, self);
        if (code == CLI_DONE) {
            code = s_confirmation (stage, self);
        }
        cli_stage_close (stage);
    }
    free (stage);
    return code;
}
