//  cli/bench_backlog.c - many messages and nobody to take them
//
//  Stored, opened again by another process, then drained: how long each takes,
//  and that memory does not grow with the backlog.  With a rule they are not
//  given out in the order in which they lie on the disk.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench_stage.h"
#include "cli/say.h"

#include <stdlib.h>

//  N messages and nobody to take them.

static int
s_store_backlog (cli_stage_t *self, cli_bench_backlog_t *result)
{
    cli_bench_job_t job = cli_stage_job (self, "publish", "publisher", 0);
    job.count = self->bench->backlog;
    job.rule = (uint64_t) self->bench->rule;
    job.progress = 1;
    cli_worker_t *worker = cli_crew_start (&self->crew, &job);
    if (!worker) {
        return CLI_FAILED;
    }
    cli_worker_say (worker, "go");
    const int code = cli_worker_hear (worker, "done");
    result->store_s = (double) (cli_worker_number (worker, "confirmed_ns")
                                - cli_worker_number (worker, "begin_ns"))
                      / 1e9;
    if (self->bench->rule == CLI_RULE_DELAY) {
        result->due_ns = cli_worker_number (worker, "begin_ns")
                         + CLI_BENCH_DELAY_MS * UINT64_C (1000000);
    }
    result->rss_store_kib = cli_worker_number (worker, "peak_kib");
    cli_crew_end (&self->crew);
    result->store_bytes = cli_bench_tree_bytes (self->folder);
    return code;
}

//  The same store opened again, then a consumer that takes everything.

static int
s_drain_backlog (cli_stage_t *self, cli_bench_backlog_t *result)
{
    cli_bench_job_t job = cli_stage_job (self, "publish", "publisher", 0);
    cli_worker_t *publisher = cli_crew_start (&self->crew, &job);
    if (!publisher) {
        return CLI_FAILED;
    }
    result->open_ms = (double) cli_worker_number (publisher, "open_ns") / 1e6;
    job = cli_stage_job (self, "consume", "consumer", 0);
    cli_worker_t *consumer = cli_crew_start (&self->crew, &job);
    if (!consumer) {
        return CLI_FAILED;
    }
    cli_worker_say (consumer, "go");
    cli_worker_say (publisher, "go");
    int code = cli_worker_hear (publisher, "done");
    cli_worker_say (consumer, "stop");
    if (code == CLI_DONE) {
        code = cli_worker_hear (consumer, "done");
    }
    if (code != CLI_DONE) {
        return code;
    }
    const uint64_t began_ns = cli_worker_number (publisher, "begin_ns");
    const uint64_t from_ns
        = result->due_ns > began_ns ? result->due_ns : began_ns;
    result->drain_s
        = (double) (cli_worker_number (publisher, "settled_ns") - from_ns)
          / 1e9;
    result->drain_cpu_s = (double) (cli_worker_number (publisher, "cpu_us")
                                    + cli_worker_number (consumer, "cpu_us"))
                          / 1e6;
    result->rss_drain_kib = cli_worker_number (publisher, "peak_kib");
    result->rss_consumer_kib = cli_worker_number (consumer, "peak_kib");
    return cli_bench_check_count (self->bench->backlog,
                                  cli_worker_number (consumer, "count"));
}

int
cli_bench_backlog (cli_bench_t *self)
{
    cli_stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    int code = cli_stage_open (stage, self);
    if (code == CLI_DONE) {
        code = s_store_backlog (stage, &self->waiting);
    }
    if (code == CLI_DONE) {
        code = s_drain_backlog (stage, &self->waiting);
    }
    cli_stage_close (stage);
    free (stage);
    return code;
}
