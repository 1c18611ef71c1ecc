//  cli/bench_trickle.c - many queues in one peer, little in each
//
//  One peer publishes to all queues, one message to each per second, evenly
//  spread in slots of SLOT_MS; some others consume them, a peer no more than
//  PART.  What counts is processor time and memory.  Beside it, the same without
//  Tern: so many files, a pwrite and an fdatasync to each per second, nothing
//  sent to anybody.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench_stage.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLOT_MS 10
#define PART 250  //  queues of one consuming peer; it may have 256
#define OPEN_MS 60000

//  A message to queue number `queue`; false: it cannot be.
typedef bool
s_drip_fn (void *arg, uint64_t queue);

//  One to each queue per second, for so many seconds.
static bool
s_drip (const cli_bench_job_t *job, s_drip_fn *fn, void *arg)
{
    const uint64_t total = job->queues * job->seconds;
    const uint64_t slots = job->seconds * 1000 / SLOT_MS;
    struct timespec at;
    clock_gettime (CLOCK_MONOTONIC, &at);
    uint64_t sent = 0;
    for (uint64_t slot = 1; slot <= slots; slot++) {
        for (; sent < total * slot / slots; sent++) {
            if (!fn (arg, sent % job->queues)) {
                return false;
            }
        }
        at.tv_nsec += SLOT_MS * 1000000L;
        if (at.tv_nsec >= 1000000000L) {
            at.tv_nsec -= 1000000000L;
            at.tv_sec++;
        }
        clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
    return true;
}

static bool
s_tell_drip (const cli_bench_job_t *job, s_drip_fn *fn, void *arg)
{
    cli_bench_meter_t meter;
    cli_bench_tell ("ready");
    if (!cli_bench_hear ("go")) {
        return false;
    }
    cli_bench_meter_start (&meter);
    if (!s_drip (job, fn, arg)) {
        return false;
    }
    const int64_t spent_ns = cli_clock_ns () - meter.began_ns;
    cli_bench_tell (
        "done spent_ns=%" PRId64 " cpu_us=%" PRIu64 " peak_kib=%" PRIu64,
        spent_ns, cli_bench_meter_cpu_us (&meter), cli_bench_peak_kib ());
    return true;
}

//  Workers -------------------------------------------------------------------

typedef struct {
    const cli_bench_job_t *job;
    tern_peer_t *peer;
    tern_producer_t *producers[CLI_BENCH_QUEUES_MAX];
    uint64_t last[CLI_BENCH_QUEUES_MAX];
    int files[CLI_BENCH_QUEUES_MAX];
    uint64_t written[CLI_BENCH_QUEUES_MAX];  //  bytes
    char *body;
} s_source_t;

static bool
s_send (void *arg, uint64_t queue)
{
    s_source_t *self = arg;
    const int rc = tern_producer_send (self->producers[queue], self->body,
                                       self->job->size, -1, &self->last[queue]);
    if (rc) {
        cli_fail_tern (rc, self->job->name, NULL);
    }
    return rc == TERN_OK;
}

static bool
s_open_producers (s_source_t *self)
{
    char name[CLI_BENCH_NAME], why[256] = "";
    int rc = TERN_OK;
    for (uint64_t queue = 0; queue < self->job->queues && rc == TERN_OK;
         queue++) {
        rc = tern_producer_open (&self->producers[queue], self->peer,
                                 cli_bench_queue_name (name, queue), why,
                                 sizeof why);
    }
    const int64_t until_ms = cli_clock_ms () + OPEN_MS;
    for (uint64_t queue = 0; queue < self->job->queues && rc == TERN_OK;
         queue++) {
        cli_bench_queue_name (name, queue);
        while (rc == TERN_OK && tern_peer_consumers (self->peer, name) == 0) {
            tern_event_t event;
            tern_peer_event (self->peer, &event, 10);
            rc = cli_clock_ms () > until_ms ? TERN_ETIMEOUT : TERN_OK;
        }
    }
    if (rc) {
        cli_fail_tern (rc, name, why);
    }
    return rc == TERN_OK;
}

//  Nothing is lost when the consumers are told to stop.
static bool
s_await_all (s_source_t *self)
{
    int rc = TERN_OK;
    for (uint64_t queue = 0; queue < self->job->queues && rc == TERN_OK;
         queue++) {
        rc = self->last[queue] ? tern_producer_wait (
                 self->producers[queue], self->last[queue], TERN_PROCESSED, -1)
                               : TERN_OK;
    }
    return rc == TERN_OK;
}

int
cli_bench_drip (const cli_bench_job_t *job)
{
    s_source_t *self = calloc (1, sizeof *self);
    char *body = calloc (1, job->size + 1);
    if (!self || !body) {
        abort ();
    }
    self->job = job;
    self->body = body;
    self->peer = cli_bench_peer (job);
    bool good = self->peer && s_open_producers (self)
                && s_tell_drip (job, s_send, self) && s_await_all (self);
    if (good) {
        cli_bench_tell ("settled");
        good = cli_bench_hear ("stop");
    }
    for (uint64_t queue = 0; queue < job->queues; queue++) {
        tern_producer_close (&self->producers[queue]);
    }
    tern_peer_close (&self->peer, 0);
    free (body);
    free (self);
    return good ? CLI_DONE : CLI_FAILED;
}

static bool
s_write (void *arg, uint64_t queue)
{
    s_source_t *self = arg;
    const uint64_t size = self->job->size;
    const bool good = pwrite (self->files[queue], self->body, size,
                              (off_t) self->written[queue])
                          == (ssize_t) size
                      && fdatasync (self->files[queue]) == 0;
    self->written[queue] += size;
    if (!good) {
        cli_fail (CLI_FAILED, "%s: %s", self->job->data, strerror (errno));
    }
    return good;
}

//  Preallocated, as outboxes are.
static bool
s_open_files (s_source_t *self)
{
    const off_t size = (off_t) (self->job->size * (self->job->seconds + 1));
    bool good = mkdir (self->job->data, 0700) == 0;
    for (uint64_t queue = 0; queue < self->job->queues && good; queue++) {
        char path[4096];
        snprintf (path, sizeof path, "%s/%" PRIu64, self->job->data, queue);
        self->files[queue]
            = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        good = self->files[queue] >= 0
               && posix_fallocate (self->files[queue], 0, size) == 0;
    }
    if (!good) {
        cli_fail (CLI_FAILED, "%s: %s", self->job->data, strerror (errno));
    } else {
        sync ();
    }
    return good;
}

int
cli_bench_bare_drip (const cli_bench_job_t *job)
{
    s_source_t *self = calloc (1, sizeof *self);
    char *body = calloc (1, job->size + 1);
    if (!self || !body) {
        abort ();
    }
    self->job = job;
    self->body = body;
    const bool good = s_open_files (self) && s_tell_drip (job, s_write, self)
                      && cli_bench_hear ("stop");
    for (uint64_t queue = 0; queue < job->queues; queue++) {
        if (self->files[queue] > 0) {
            close (self->files[queue]);
        }
    }
    free (body);
    free (self);
    return good ? CLI_DONE : CLI_FAILED;
}

//  The parent's side ---------------------------------------------------------

typedef struct {
    double publisher_share, consumer_share, bare_share;  //  of one core
    double publisher_mb, consumer_mb;
} s_cost_t;

static double
s_mb (uint64_t kib)
{
    return (double) kib * 1024 / 1e6;
}

static double
s_share (const cli_worker_t *worker, double spent_ns)
{
    return (double) cli_worker_number (worker, "cpu_us") * 1e3 / spent_ns;
}

static int
s_start_consumers (cli_stage_t *stage, size_t *count_p)
{
    const uint64_t queues = stage->bench->trickle;
    size_t count = 0;
    for (uint64_t first = 0; first < queues; first += PART) {
        cli_bench_job_t job
            = cli_stage_job (stage, "consume", "consumer", count);
        job.first = first;
        job.queues = queues - first < PART ? queues - first : PART;
        stage->consumers[count] = cli_crew_start (&stage->crew, &job);
        if (!stage->consumers[count]) {
            return CLI_FAILED;
        }
        count++;
    }
    *count_p = count;
    return CLI_DONE;
}

static int
s_time_tern (cli_stage_t *stage, s_cost_t *cost)
{
    const cli_bench_t *bench = stage->bench;
    size_t count = 0;
    int code = s_start_consumers (stage, &count);
    if (code != CLI_DONE) {
        return code;
    }
    cli_bench_job_t job = cli_stage_job (stage, "drip", "publisher", 0);
    job.queues = bench->trickle;
    job.seconds = bench->seconds;
    cli_worker_t *publisher = cli_crew_start (&stage->crew, &job);
    if (!publisher) {
        return CLI_FAILED;
    }
    cli_workers_say (stage->consumers, count, "go");
    cli_worker_say (publisher, "go");
    code = cli_worker_hear (publisher, "done");
    if (code != CLI_DONE) {
        return code;
    }
    const double spent_ns = (double) cli_worker_number (publisher, "spent_ns");
    cost->publisher_share = s_share (publisher, spent_ns);
    cost->publisher_mb = s_mb (cli_worker_number (publisher, "peak_kib"));
    code = cli_worker_hear (publisher, "settled");
    cli_workers_say (stage->consumers, count, "stop");
    if (code == CLI_DONE) {
        code = cli_workers_hear (stage->consumers, count, "done");
    }
    for (size_t index = 0; index < count; index++) {
        const double share = s_share (stage->consumers[index], spent_ns);
        cost->consumer_share
            = share > cost->consumer_share ? share : cost->consumer_share;
    }
    cost->consumer_mb
        = s_mb (cli_workers_largest (stage->consumers, count, "peak_kib"));
    return code != CLI_DONE
               ? code
               : cli_bench_check_count (
                   bench->trickle * bench->seconds,
                   cli_workers_sum (stage->consumers, count, "count"));
}

static int
s_time_bare (cli_stage_t *stage, s_cost_t *cost)
{
    cli_bench_job_t job = cli_stage_job (stage, "bare-drip", "bare", 0);
    job.queues = stage->bench->trickle;
    job.seconds = stage->bench->seconds;
    cli_worker_t *worker = cli_crew_start (&stage->crew, &job);
    if (!worker) {
        return CLI_FAILED;
    }
    cli_worker_say (worker, "go");
    const int code = cli_worker_hear (worker, "done");
    cost->bare_share
        = s_share (worker, (double) cli_worker_number (worker, "spent_ns"));
    return code;
}

static int
s_report (const cli_bench_t *self, const s_cost_t *cost)
{
    const double ratio = cost->publisher_share / cost->bare_share;
    if (!self->common.json) {
        printf ("%" PRIu64 " queues in one peer, one message of %" PRIu64
                " B to each per second\n"
                "publisher   %5.2f %% of a core, %.0f MB\n"
                "a consumer  %5.2f %% of a core, %.0f MB (up to %d queues)\n"
                "bare disk   %5.2f %% of a core, ratio %.2f\n",
                self->trickle, self->size, cost->publisher_share * 100,
                cost->publisher_mb, cost->consumer_share * 100,
                cost->consumer_mb, PART, cost->bare_share * 100, ratio);
        return CLI_DONE;
    }
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '{');
    cli_json_count (&json, "size", self->size);
    cli_json_count (&json, "queues", self->trickle);
    cli_json_count (&json, "seconds", self->seconds);
    cli_json_real (&json, "publisher_core_percent",
                   cost->publisher_share * 100);
    cli_json_real (&json, "rss_publisher_mb", cost->publisher_mb);
    cli_json_real (&json, "consumer_core_percent", cost->consumer_share * 100);
    cli_json_real (&json, "rss_consumer_mb", cost->consumer_mb);
    cli_json_real (&json, "bare_core_percent", cost->bare_share * 100);
    cli_json_real (&json, "core_ratio", ratio);
    cli_json_close (&json);
    return cli_output_end (&output);
}

int
cli_bench_trickle (cli_bench_t *self)
{
    s_cost_t cost = {0};
    cli_stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    int code = cli_stage_open (stage, self);
    if (code == CLI_DONE) {
        cli_progress ("%" PRIu64 " queues", self->trickle);
        code = s_time_tern (stage, &cost);
        cli_crew_end (&stage->crew);
    }
    if (code == CLI_DONE) {
        code = s_time_bare (stage, &cost);
    }
    cli_stage_close (stage);
    free (stage);
    return code == CLI_DONE ? s_report (self, &cost) : code;
}
