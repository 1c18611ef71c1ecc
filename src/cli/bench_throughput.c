//  cli/bench_throughput.c - how many messages per second
//
//  All messages from publishers to consumers, as fast as they may; or each of
//  them to every durable subscriber of an exchange.  Tern and its baseline run in
//  alternation: what the machine does besides falls on both alike.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench_stage.h"
#include "cli/format.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static double
s_own_cpu_s (void)
{
    struct rusage usage;
    getrusage (RUSAGE_SELF, &usage);
    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
           + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

//  Everybody is ready: let them go, wait, and read what they measured.  The end
//  is when the last message was consumed (consumers_time), or when the last
//  publisher has learnt that all of its messages are settled.

static int
s_time_run (cli_stage_t *self, cli_bench_run_t *run, bool consumers_time)
{
    const cli_bench_t *bench = self->bench;
    const size_t publishers = bench->publishers;
    const size_t consumers = bench->consumers;
    const double own_cpu_s = s_own_cpu_s ();
    const uint64_t deliveries
        = bench->count * (bench->fanout ? bench->fanout : 1);
    cli_workers_say (self->consumers, consumers, "go");
    const int64_t began_ns = cli_clock_ns ();
    cli_workers_say (self->publishers, publishers, "go");
    int code = cli_workers_hear (self->publishers, publishers, "done");
    if (code != CLI_DONE) {
        return code;
    }
    cli_workers_say (self->consumers, consumers, "stop");
    code = cli_workers_hear (self->consumers, consumers, "done");
    if (code != CLI_DONE) {
        return code;
    }
    const uint64_t ended_ns
        = consumers_time
              ? cli_workers_largest (self->consumers, consumers, "last_ns")
              : cli_workers_largest (self->publishers, publishers,
                                     "settled_ns");
    const uint64_t cpu_us
        = cli_workers_sum (self->publishers, publishers, "cpu_us")
          + cli_workers_sum (self->consumers, consumers, "cpu_us");
    run->seconds = (double) (ended_ns - (uint64_t) began_ns) / 1e9;
    run->msgs_per_s = (double) deliveries / run->seconds;
    run->cpu_s = (double) cpu_us / 1e6 + s_own_cpu_s () - own_cpu_s;
    run->rss_publisher_kib
        = cli_workers_largest (self->publishers, publishers, "peak_kib");
    run->rss_consumer_kib
        = cli_workers_largest (self->consumers, consumers, "peak_kib");
    return cli_bench_check_count (
        deliveries, cli_workers_sum (self->consumers, consumers, "count"));
}

//  count messages over all publishers: the first ones take the remainder.

static uint64_t
s_share (uint64_t count, uint64_t parts, uint64_t index)
{
    return count / parts + (index < count % parts);
}

static int
s_staff_tern (cli_stage_t *self)
{
    const cli_bench_t *bench = self->bench;
    for (size_t index = 0; index < bench->consumers; index++) {
        cli_bench_job_t job
            = cli_stage_job (self, "consume", "consumer", index);
        job.first = bench->fanout ? index : 0;
        job.exchange = bench->fanout > 0;
        self->consumers[index] = cli_crew_start (&self->crew, &job);
        if (!self->consumers[index]) {
            return CLI_FAILED;
        }
    }
    for (size_t index = 0; index < bench->publishers; index++) {
        cli_bench_job_t job
            = cli_stage_job (self, "publish", "publisher", index);
        job.count = s_share (bench->count, bench->publishers, index);
        job.consumers = bench->consumers;
        job.exchange = bench->fanout > 0;
        job.progress = 1;
        self->publishers[index] = cli_crew_start (&self->crew, &job);
        if (!self->publishers[index]) {
            return CLI_FAILED;
        }
    }
    return CLI_DONE;
}

//  Every PUSH connects to every PULL.

static int
s_staff_zmq (cli_stage_t *self)
{
    const cli_bench_t *bench = self->bench;
    char endpoints[CLI_BENCH_WORKERS_MAX * 32] = "";
    for (size_t index = 0; index < bench->consumers; index++) {
        const cli_bench_job_t job
            = {.role = "pull",
               .size = bench->size,
               .count = bench->consumers == 1 ? bench->count : 0};
        char endpoint[64];
        cli_worker_t *worker = cli_crew_start (&self->crew, &job);
        if (!worker) {
            return CLI_FAILED;
        }
        cli_worker_text (worker, "endpoint", endpoint, 30);
        const size_t used = strlen (endpoints);
        snprintf (endpoints + used, sizeof endpoints - used, "%s%s",
                  used > 0 ? "," : "", endpoint);
        self->consumers[index] = worker;
    }
    for (size_t index = 0; index < bench->publishers; index++) {
        const cli_bench_job_t job
            = {.role = "push",
               .endpoints = endpoints,
               .size = bench->size,
               .count = s_share (bench->count, bench->publishers, index)};
        self->publishers[index] = cli_crew_start (&self->crew, &job);
        if (!self->publishers[index]) {
            return CLI_FAILED;
        }
    }
    return CLI_DONE;
}

//  One PUB, to which every SUB connects.

static int
s_staff_zmq_fanout (cli_stage_t *self)
{
    const cli_bench_t *bench = self->bench;
    char endpoint[64];
    cli_bench_job_t job = {.role = "pub",
                           .size = bench->size,
                           .count = bench->count,
                           .consumers = bench->consumers};
    self->publishers[0] = cli_crew_start (&self->crew, &job);
    if (!self->publishers[0]) {
        return CLI_FAILED;
    }
    cli_worker_text (self->publishers[0], "endpoint", endpoint,
                     sizeof endpoint);
    job.role = "sub";
    job.endpoints = endpoint;
    for (size_t index = 0; index < bench->consumers; index++) {
        self->consumers[index] = cli_crew_start (&self->crew, &job);
        if (!self->consumers[index]) {
            return CLI_FAILED;
        }
    }
    return CLI_DONE;
}

static int
s_staff (cli_stage_t *self, bool zmq)
{
    return !zmq                  ? s_staff_tern (self)
           : self->bench->fanout ? s_staff_zmq_fanout (self)
                                 : s_staff_zmq (self);
}

static int
s_run_once (const cli_bench_t *bench, cli_bench_run_t *run, bool zmq)
{
    cli_stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    int code = cli_stage_open (stage, bench);
    if (code == CLI_DONE) {
        code = s_staff (stage, zmq);
    }
    if (code == CLI_DONE) {
        code = s_time_run (stage, run, zmq);
    }
    cli_stage_close (stage);
    free (stage);
    return code;
}

static int
s_compare_runs (const void *a, const void *b)
{
    const double x = ((const cli_bench_run_t *) a)->msgs_per_s;
    const double y = ((const cli_bench_run_t *) b)->msgs_per_s;
    return (x > y) - (x < y);
}

static cli_bench_run_t
s_median (const cli_bench_run_t *runs, size_t count)
{
    cli_bench_run_t sorted[CLI_BENCH_RUNS_MAX];
    memcpy (sorted, runs, count * sizeof *runs);
    qsort (sorted, count, sizeof *sorted, s_compare_runs);
    return sorted[count / 2];
}

//  In alternation: what the machine does besides falls on both alike.

int
cli_bench_throughput (cli_bench_t *self)
{
    cli_bench_t other = *self;
    other.consumers = self->few ? self->few : self->consumers;
    for (size_t run = 0; run < self->runs; run++) {
        cli_progress ("run %zu of %" PRIu64, run + 1, self->runs);
        int code = s_run_once (self, &self->tern[run], false);
        if (code == CLI_DONE && self->baseline) {
            code = s_run_once (&other, &self->zmq[run], self->zmq_alone);
        }
        if (code != CLI_DONE) {
            return code;
        }
    }
    self->tern_median = s_median (self->tern, self->runs);
    if (self->baseline) {
        self->zmq_median = s_median (self->zmq, self->runs);
    }
    return CLI_DONE;
}
