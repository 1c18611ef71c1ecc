//  cli/bench.c - tern bench: measure this machine
//
//  Real processes over tcp loopback, real stores on a real disk.  The clock of
//  a run starts when the publishers are told to go and stops when the last of
//  them holds the confirmation of its last message and has learnt that all of
//  its messages are settled.  Whether none was lost is counted at the other
//  end, by the consumers.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/say.h"
#include "cli/stop.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

//  Without --count: so many bytes of bodies, within these numbers.
#define DEFAULT_BYTES (512 * 1024 * 1024)
#define DEFAULT_COUNT_MAX 4000000
#define LATENCY_SAMPLES 5000
#define SYNC_SAMPLES 2000

#define PATH_SIZE 512

//  The folder ----------------------------------------------------------------

static bool
s_in_memory (const char *path)
{
    struct statfs status;
    return statfs (path, &status) == 0
           && ((unsigned long) status.f_type == TMPFS_MAGIC
               || (unsigned long) status.f_type == RAMFS_MAGIC);
}

//  A fresh folder on a disk: below --data, or $TMPDIR, or /var/tmp.

static int
s_make_folder (cli_bench_t *self, char folder[PATH_SIZE])
{
    const char *parent = self->common.data;
    if (!parent) {
        parent = getenv ("TMPDIR");
        if (!parent || !*parent || s_in_memory (parent)) {
            parent = "/var/tmp";
        }
    }
    const int size
        = snprintf (folder, PATH_SIZE, "%s/tern-bench-XXXXXX", parent);
    if (size >= PATH_SIZE - 64) {
        return cli_fail (CLI_REFUSED, "%s: path too long", parent);
    }
    if (!mkdtemp (folder)) {
        const int code = cli_fail (
            errno == EACCES || errno == EROFS ? CLI_REFUSED : CLI_FAILED,
            "%s: %s; choose another folder with --data", parent,
            strerror (errno));
        *folder = '\0';
        return code;
    }
    if (s_in_memory (folder)) {
        cli_note ("%s is in memory: syncing costs nothing there, so these "
                  "numbers say nothing about a disk",
                  parent);
    }
    self->data = folder;
    return CLI_DONE;
}

static int
s_remove_entry (const char *path, const struct stat *status, int type,
                struct FTW *where)
{
    (void) status;
    (void) type;
    (void) where;
    return remove (path);
}

static void
s_remove_tree (const char *path)
{
    nftw (path, s_remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static uint64_t s_tree_bytes;

static int
s_add_entry (const char *path, const struct stat *status, int type,
             struct FTW *where)
{
    (void) path;
    (void) where;
    s_tree_bytes += type == FTW_F ? (uint64_t) status->st_blocks * 512u : 0;
    return 0;
}

static uint64_t
s_measure_tree (const char *path)
{
    s_tree_bytes = 0;
    nftw (path, s_add_entry, 16, FTW_PHYS | FTW_MOUNT);
    return s_tree_bytes;
}

//  Parts of a run ------------------------------------------------------------

typedef struct {
    const cli_bench_t *bench;
    tern_directory_t *directory;
    char folder[PATH_SIZE];  //  of this run; removed with it
    char names[CLI_BENCH_WORKERS_MAX][32];
    char paths[CLI_BENCH_WORKERS_MAX][PATH_SIZE + 32];
    cli_crew_t crew;
    cli_worker_t *publishers[CLI_BENCH_WORKERS_MAX];
    cli_worker_t *consumers[CLI_BENCH_WORKERS_MAX];
} stage_t;

static int
s_stage_open (stage_t *self, const cli_bench_t *bench)
{
    static const char *const binds[] = {"tcp://127.0.0.1:*"};
    const tern_directory_options_t options = {.binds = binds, .bind_count = 1};
    char why[256] = "";
    *self = (stage_t) {.bench = bench};
    snprintf (self->folder, sizeof self->folder, "%s/run", bench->data);
    if (mkdir (self->folder, 0700)) {
        return cli_fail (CLI_FAILED, "%s: %s", self->folder, strerror (errno));
    }
    const int rc
        = tern_directory_open (&self->directory, &options, why, sizeof why);
    return rc ? cli_fail_tern (rc, binds[0], why) : CLI_DONE;
}

static void
s_stage_close (stage_t *self)
{
    cli_crew_end (&self->crew);
    tern_directory_close (&self->directory);
    s_remove_tree (self->folder);
}

//  A job for a Tern peer of this name.

static cli_bench_job_t
s_job (stage_t *self, const char *role, const char *kind, size_t index)
{
    const cli_bench_t *bench = self->bench;
    char *name = self->names[self->crew.count];
    char *path = self->paths[self->crew.count];
    snprintf (name, sizeof self->names[0], "bench-%s-%zu", kind, index + 1);
    snprintf (path, sizeof self->paths[0], "%s/bench-%s-%zu", self->folder,
              kind, index + 1);
    return (cli_bench_job_t) {
        .role = role,
        .name = name,
        .data = path,
        .directory = tern_directory_endpoint (self->directory, 0),
        .size = bench->size,
        .queues = bench->queues,
        .level = bench->level,
    };
}

//  count messages over all publishers: the first ones take the remainder.

static uint64_t
s_share (uint64_t count, uint64_t parts, uint64_t index)
{
    return count / parts + (index < count % parts);
}

static int
s_hear_all (cli_worker_t **workers, size_t count, const char *word)
{
    for (size_t index = 0; index < count; index++) {
        const int code = cli_worker_hear (workers[index], word);
        if (code != CLI_DONE) {
            return code;
        }
    }
    return CLI_DONE;
}

static void
s_say_all (cli_worker_t **workers, size_t count, const char *word)
{
    for (size_t index = 0; index < count; index++) {
        cli_worker_say (workers[index], word);
    }
}

static uint64_t
s_sum (cli_worker_t **workers, size_t count, const char *key)
{
    uint64_t sum = 0;
    for (size_t index = 0; index < count; index++) {
        sum += cli_worker_number (workers[index], key);
    }
    return sum;
}

static uint64_t
s_largest (cli_worker_t **workers, size_t count, const char *key)
{
    uint64_t largest = 0;
    for (size_t index = 0; index < count; index++) {
        const uint64_t number = cli_worker_number (workers[index], key);
        largest = number > largest ? number : largest;
    }
    return largest;
}

//  Two lost messages are as wrong as two too many.

static int
s_check_count (uint64_t expected, uint64_t counted)
{
    return counted == expected
               ? CLI_DONE
               : cli_fail (CLI_FAILED,
                           "%" PRIu64 " messages were sent and %" PRIu64
                           " were consumed; please report this",
                           expected, counted);
}

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
s_time_run (stage_t *self, cli_bench_run_t *run, bool consumers_time)
{
    const cli_bench_t *bench = self->bench;
    const size_t publishers = bench->publishers;
    const size_t consumers = bench->consumers;
    const double own_cpu_s = s_own_cpu_s ();
    s_say_all (self->consumers, consumers, "go");
    const int64_t began_ns = cli_clock_ns ();
    s_say_all (self->publishers, publishers, "go");
    int code = s_hear_all (self->publishers, publishers, "done");
    if (code != CLI_DONE) {
        return code;
    }
    s_say_all (self->consumers, consumers, "stop");
    code = s_hear_all (self->consumers, consumers, "done");
    if (code != CLI_DONE) {
        return code;
    }
    const uint64_t ended_ns
        = consumers_time
              ? s_largest (self->consumers, consumers, "last_ns")
              : s_largest (self->publishers, publishers, "settled_ns");
    const uint64_t cpu_us = s_sum (self->publishers, publishers, "cpu_us")
                            + s_sum (self->consumers, consumers, "cpu_us");
    run->seconds = (double) (ended_ns - (uint64_t) began_ns) / 1e9;
    run->msgs_per_s = (double) bench->count / run->seconds;
    run->cpu_s = (double) cpu_us / 1e6 + s_own_cpu_s () - own_cpu_s;
    run->rss_publisher_kib
        = s_largest (self->publishers, publishers, "peak_kib");
    run->rss_consumer_kib = s_largest (self->consumers, consumers, "peak_kib");
    return s_check_count (bench->count,
                          s_sum (self->consumers, consumers, "count"));
}

//  Throughput ----------------------------------------------------------------

static int
s_staff_tern (stage_t *self)
{
    const cli_bench_t *bench = self->bench;
    for (size_t index = 0; index < bench->consumers; index++) {
        const cli_bench_job_t job = s_job (self, "consume", "consumer", index);
        self->consumers[index] = cli_crew_start (&self->crew, &job);
        if (!self->consumers[index]) {
            return CLI_FAILED;
        }
    }
    for (size_t index = 0; index < bench->publishers; index++) {
        cli_bench_job_t job = s_job (self, "publish", "publisher", index);
        job.count = s_share (bench->count, bench->publishers, index);
        job.consumers = bench->consumers;
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
s_staff_zmq (stage_t *self)
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

static int
s_run_once (const cli_bench_t *bench, cli_bench_run_t *run, bool zmq)
{
    stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    int code = s_stage_open (stage, bench);
    if (code == CLI_DONE) {
        code = zmq ? s_staff_zmq (stage) : s_staff_tern (stage);
    }
    if (code == CLI_DONE) {
        code = s_time_run (stage, run, zmq);
    }
    s_stage_close (stage);
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

static int
s_throughput (cli_bench_t *self)
{
    for (size_t run = 0; run < self->runs; run++) {
        cli_progress ("run %zu of %" PRIu64, run + 1, self->runs);
        int code = s_run_once (self, &self->tern[run], false);
        if (code == CLI_DONE && self->baseline) {
            code = s_run_once (self, &self->zmq[run], true);
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

//  Latency -------------------------------------------------------------------

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
s_delivery_tern (stage_t *self, cli_bench_latency_t *latency)
{
    const uint64_t samples = s_samples (self->bench, LATENCY_SAMPLES);
    cli_bench_job_t job = s_job (self, "consume", "consumer", 0);
    job.queues = job.single = 1;
    job.size = s_stamped_size (self->bench);
    job.count = samples;
    cli_worker_t *receiver = cli_crew_start (&self->crew, &job);
    if (!receiver) {
        return CLI_FAILED;
    }
    job = s_job (self, "publish", "publisher", 0);
    job.queues = job.single = job.consumers = 1;
    job.size = s_stamped_size (self->bench);
    job.count = samples;
    cli_worker_t *sender = cli_crew_start (&self->crew, &job);
    return sender ? s_time_single (sender, receiver, latency) : CLI_FAILED;
}

static int
s_delivery_zmq (stage_t *self, cli_bench_latency_t *latency)
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
s_confirmation (stage_t *self, cli_bench_t *bench)
{
    cli_bench_job_t job = s_job (self, "sync", "publisher", 0);
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
s_latency (cli_bench_t *self)
{
    stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    int code = s_stage_open (stage, self);
    if (code == CLI_DONE) {
        cli_progress ("latency of delivery");
        code = s_delivery_tern (stage, &self->delivery);
        cli_crew_end (&stage->crew);
    }
    if (code == CLI_DONE) {
        code = s_delivery_zmq (stage, &self->zmq_delivery);
        cli_crew_end (&stage->crew);
    }
    s_stage_close (stage);
    if (code == CLI_DONE) {
        cli_progress ("latency of confirmation");
        code = s_stage_open (stage, self);
        if (code == CLI_DONE) {
            code = s_confirmation (stage, self);
        }
        s_stage_close (stage);
    }
    free (stage);
    return code;
}

//  Backlog -------------------------------------------------------------------

//  N messages and nobody to take them.

static int
s_store_backlog (stage_t *self, cli_bench_backlog_t *result)
{
    cli_bench_job_t job = s_job (self, "publish", "publisher", 0);
    job.count = self->bench->backlog;
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
    result->rss_store_kib = cli_worker_number (worker, "peak_kib");
    cli_crew_end (&self->crew);
    result->store_bytes = s_measure_tree (self->folder);
    return code;
}

//  The same store opened again, then a consumer that takes everything.

static int
s_drain_backlog (stage_t *self, cli_bench_backlog_t *result)
{
    cli_bench_job_t job = s_job (self, "publish", "publisher", 0);
    cli_worker_t *publisher = cli_crew_start (&self->crew, &job);
    if (!publisher) {
        return CLI_FAILED;
    }
    result->open_ms = (double) cli_worker_number (publisher, "open_ns") / 1e6;
    job = s_job (self, "consume", "consumer", 0);
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
    result->drain_s = (double) (cli_worker_number (publisher, "settled_ns")
                                - cli_worker_number (publisher, "begin_ns"))
                      / 1e9;
    result->rss_drain_kib = cli_worker_number (publisher, "peak_kib");
    result->rss_consumer_kib = cli_worker_number (consumer, "peak_kib");
    return s_check_count (self->bench->backlog,
                          cli_worker_number (consumer, "count"));
}

static int
s_backlog (cli_bench_t *self)
{
    stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    int code = s_stage_open (stage, self);
    if (code == CLI_DONE) {
        code = s_store_backlog (stage, &self->waiting);
    }
    if (code == CLI_DONE) {
        code = s_drain_backlog (stage, &self->waiting);
    }
    s_stage_close (stage);
    free (stage);
    return code;
}

//  Entry ---------------------------------------------------------------------

static int
s_check (cli_bench_t *self)
{
    if (self->publishers + self->consumers > CLI_BENCH_WORKERS_MAX) {
        return cli_fail (CLI_USAGE,
                         "--publishers and --consumers: more than %d "
                         "processes",
                         CLI_BENCH_WORKERS_MAX);
    }
    if (self->baseline && strcmp (self->baseline, "zmq") != 0) {
        return cli_fail (CLI_USAGE, "--baseline: \"%s\" is not zmq",
                         self->baseline);
    }
    if (strcmp (self->wait, "written") == 0) {
        self->level = TERN_WRITTEN;
    } else if (strcmp (self->wait, "synced") == 0) {
        self->level = TERN_SYNCED;
    } else if (strcmp (self->wait, "processed") == 0) {
        self->level = TERN_PROCESSED;
    } else if (strcmp (self->wait, "stored") == 0) {
        return cli_fail (CLI_USAGE, "--wait stored: not offered yet; use "
                                    "synced or processed");
    } else {
        return cli_fail (CLI_USAGE,
                         "--wait: \"%s\" is not written, synced or processed",
                         self->wait);
    }
    if (self->backlog > 0 && self->level == TERN_PROCESSED) {
        return cli_fail (CLI_USAGE, "--backlog: nobody is there to process "
                                    "it; use --wait synced");
    }
    if (self->backlog > 0 && (self->latency || self->baseline)) {
        return cli_fail (CLI_USAGE, "--backlog: measured alone, without "
                                    "--latency and --baseline");
    }
    if (self->count == 0) {
        self->count = DEFAULT_BYTES / self->size;
        self->count
            = self->count > DEFAULT_COUNT_MAX ? DEFAULT_COUNT_MAX : self->count;
    }
    if (self->runs == 0) {
        self->runs = self->baseline ? 3 : 1;
    }
    return CLI_DONE;
}

static int
s_measure (cli_bench_t *self)
{
    char folder[PATH_SIZE];
    int code = s_make_folder (self, folder);
    if (code != CLI_DONE) {
        return code;
    }
    if (self->backlog > 0) {
        code = s_backlog (self);
    } else {
        code = s_throughput (self);
        if (code == CLI_DONE && self->latency) {
            code = s_latency (self);
        }
    }
    s_remove_tree (folder);
    return code == CLI_DONE ? cli_bench_report (self) : code;
}

int
cli_bench (int argc, char **argv)
{
    cli_bench_t self = {.size = 64,
                        .queues = 1,
                        .consumers = 1,
                        .publishers = 1,
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
        {"baseline", 0, CLI_TEXT, &self.baseline, "zmq",
         "libzmq alone, in alternation", 0, 0},
        {"runs", 0, CLI_NUMBER, &self.runs, "N",
         "runs of each; the median counts (1, or 3)", 1, CLI_BENCH_RUNS_MAX},
        {"backlog", 0, CLI_NUMBER, &self.backlog, "N",
         "store N with no consumer, open, drain", 1, 1000000000},
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
