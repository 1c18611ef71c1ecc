//  tests/bench/bench_log.c - what the log costs by itself
//
//      bench_log [DIR]     DIR must be on the disk that is to be measured
//
//  Prints one line per measure: the cost of an append in memory, the rate of
//  append + write + sync for three sizes, reading back, opening, and reading
//  single records anywhere, as priorities and ordering keys do.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/log.h"

#include <tern/error.h>

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double
s_now (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void
s_must (int rc, const char *what)
{
    if (rc < 0) {
        fprintf (stderr, "bench_log: %s: %s\n", what, tern_strerror (rc));
        exit (1);
    }
}

static void
s_empty (trn_disk_t *disk, const char *path)
{
    char command[512];
    (void) disk;
    snprintf (command, sizeof command, "rm -rf '%s'", path);
    if (system (command) != 0) {
        exit (1);
    }
}

static trn_log_t *
s_open (trn_disk_t *disk, int dir, trn_log_report_t *report)
{
    const trn_log_config_t config
        = {.disk = disk, .dir = dir, .incarnation = 1, .name = "bench"};
    trn_log_t *log = NULL;
    uint8_t *state = NULL;
    size_t size = 0;
    char why[256];
    const int rc
        = trn_log_open (&log, &config, &state, &size, report, why, sizeof why);
    if (rc < 0) {
        fprintf (stderr, "bench_log: %s\n", why);
    }
    s_must (rc, "open");
    free (state);
    return log;
}

//  Seconds per append when nobody else wants the log; writing is not counted.
static double
s_append_cost (trn_log_t *log, uint32_t body_size, uint64_t count)
{
    uint8_t *body = malloc (body_size);
    memset (body, 'x', body_size);
    double spent = 0;
    uint64_t done = 0;
    while (done < count) {
        const double before = s_now ();
        for (unsigned i = 0; i < 20000; i++) {
            trn_record_t record = {.body = body, .body_size = body_size};
            uint64_t seq = 0;
            if (trn_log_append (log, &record, &seq) < 0) {
                break;
            }
            done++;
        }
        spent += s_now () - before;
        s_must (trn_log_write (log), "write");
        trn_log_hint (log, trn_log_appended (log) + 1);
    }
    free (body);
    s_must (trn_log_sync (log), "sync");
    return spent / (double) done;
}

typedef struct {
    trn_log_t *log;
    uint64_t target;
} bench_sync_t;

static void *
s_sync_thread (void *arg)
{
    bench_sync_t *const self = arg;
    while (trn_log_synced (self->log) < self->target) {
        const int wrote = trn_log_write (self->log);
        s_must (wrote, "write");
        const int synced = trn_log_sync (self->log);
        s_must (synced, "sync");
        if (wrote == 0 && synced == 0) {
            usleep (50);
        }
    }
    return NULL;
}

//  Messages per second from the first append to the last sync.
static double
s_throughput (trn_log_t *log, uint32_t body_size, uint64_t count)
{
    uint8_t *body = malloc (body_size);
    memset (body, 'y', body_size);
    bench_sync_t sync = {.log = log, .target = trn_log_appended (log) + count};
    const double before = s_now ();
    pthread_t thread;
    pthread_create (&thread, NULL, s_sync_thread, &sync);
    for (uint64_t i = 0; i < count;) {
        trn_record_t record = {.body = body, .body_size = body_size};
        uint64_t seq = 0;
        const int rc = trn_log_append (log, &record, &seq);
        if (rc == TERN_EAGAIN) {
            usleep (20);
            continue;
        }
        s_must (rc, "append");
        if (++i % 1024 == 0) {
            trn_log_hint (log, seq + 1);
        }
    }
    pthread_join (thread, NULL);
    free (body);
    return (double) count / (s_now () - before);
}

static void
s_read_back (trn_log_t *log)
{
    const double before = s_now ();
    uint64_t bytes = 0;
    for (uint64_t seq = 1; seq <= trn_log_written (log);) {
        trn_chunk_t *chunk = NULL;
        const int rc = trn_log_read (log, seq, 512 * 1024, &chunk);
        s_must (rc, "read");
        bytes += chunk->filled;
        seq += atomic_load (&chunk->count);
        trn_chunk_release (&chunk);
    }
    const double took = s_now () - before;
    printf ("read back            %8.2f GB/s  (%.2f GB)\n",
            (double) bytes / took / 1e9, (double) bytes / 1e9);
}

static void
s_single (trn_log_t *log, uint32_t body_size)
{
    uint8_t *body = calloc (1, body_size);
    double best[400];
    for (unsigned i = 0; i < 400; i++) {
        const double before = s_now ();
        trn_record_t record = {.body = body, .body_size = body_size};
        uint64_t seq = 0;
        s_must (trn_log_append (log, &record, &seq), "append");
        s_must (trn_log_push (log), "write");
        s_must (trn_log_sync (log), "sync");
        best[i] = s_now () - before;
    }
    free (body);
    for (unsigned i = 1; i < 400; i++) {
        for (unsigned j = i; j > 0 && best[j] < best[j - 1]; j--) {
            const double swap = best[j];
            best[j] = best[j - 1];
            best[j - 1] = swap;
        }
    }
    printf ("one at a time %5u B  %8.1f us p50  %8.1f us p99\n", body_size,
            best[200] * 1e6, best[396] * 1e6);
}

static void
s_count_picked (void *arg, uint64_t seq, int rc, trn_chunk_t *chunk)
{
    (void) seq;
    s_must (rc, "pick");
    *(uint64_t *) arg += atomic_load (&chunk->count);
    trn_chunk_release (&chunk);
}

static int
s_compare (const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *) left;
    const uint64_t b = *(const uint64_t *) right;
    return (a > b) - (a < b);
}

//  Batches of any of a million records, out of the page cache.
static void
s_scattered (trn_disk_t *disk, const char *path, uint32_t body_size)
{
    enum {
        RECORDS = 1000000,
        BATCHES = 2000,
        BATCH = 256
    };
    const int dir = disk->open_root (disk, path, 1);
    trn_log_t *log = s_open (disk, dir, NULL);
    (void) s_append_cost (log, body_size, RECORDS);
    uint64_t state = 1;
    uint64_t picked = 0;
    const double before = s_now ();
    for (unsigned i = 0; i < BATCHES; i++) {
        uint64_t seqs[BATCH];
        for (unsigned j = 0; j < BATCH; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            seqs[j] = 1 + (state >> 33) % RECORDS;
        }
        qsort (seqs, BATCH, sizeof *seqs, s_compare);
        size_t count = 1;
        for (unsigned j = 1; j < BATCH; j++) {
            if (seqs[j] != seqs[count - 1]) {
                seqs[count++] = seqs[j];
            }
        }
        (void) trn_log_pick (log, seqs, count, UINT64_MAX, s_count_picked,
                             &picked);
    }
    printf ("any of 1M     %5u B  %8.0f msg/s\n", body_size,
            (double) picked / (s_now () - before));
    trn_log_abandon (&log);
    (void) disk->close (disk, dir);
    s_empty (disk, path);
}

int
main (int argc, char **argv)
{
    trn_disk_t *const disk = trn_disk_real ();
    char path[256];
    snprintf (path, sizeof path, "%s/bench_log.%ld",
              argc > 1 ? argv[1] : "/tmp", (long) getpid ());
    int dir = disk->open_root (disk, path, 1);
    s_must (dir < 0 ? TERN_EIO : 0, path);

    trn_log_t *log = s_open (disk, dir, NULL);
    const uint32_t sizes[] = {64, 1024, 16384};
    const uint64_t counts[] = {4000000, 500000, 40000};
    for (unsigned i = 0; i < 3; i++) {
        printf ("append        %5u B  %8.1f ns\n", sizes[i],
                s_append_cost (log, sizes[i], counts[i] / 2) * 1e9);
    }
    for (unsigned i = 0; i < 3; i++) {
        const double rate = s_throughput (log, sizes[i], counts[i]);
        printf ("append to sync %4u B  %8.0f msg/s  %8.1f MB/s\n", sizes[i],
                rate, rate * sizes[i] / 1e6);
    }
    s_single (log, 64);
    s_single (log, 4096);
    s_read_back (log);
    trn_log_stats_t stats;
    trn_log_stats (log, &stats);
    s_must (trn_log_close (&log, NULL, 0), "close");

    const double before = s_now ();
    trn_log_report_t report;
    log = s_open (disk, dir, &report);
    const double took = s_now () - before;
    printf ("open                 %8.2f s/GB  (%" PRIu64
            " messages, %.2f GB)\n",
            took / ((double) stats.bytes / 1e9), report.messages,
            (double) stats.bytes / 1e9);
    trn_ranges_clear (&report.gaps);
    trn_log_abandon (&log);
    (void) disk->close (disk, dir);
    s_empty (disk, path);
    s_scattered (disk, path, 64);
    s_scattered (disk, path, 1024);
    return 0;
}
