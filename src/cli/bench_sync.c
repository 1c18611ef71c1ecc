//  cli/bench_sync.c - confirmation against the bare disk
//
//  One process: a message until it is synced, in turn with a bare write.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/format.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

//  Confirmation against the bare disk ----------------------------------------

//  In turn: one message until it is synced, one bare write of the same size
//  until it is synced.  Same folder, same minute, same neighbours.

static bool
s_sync_in_turn (const cli_bench_job_t *job, tern_producer_t *producer, int fd,
                const char *body, uint64_t *confirmed, uint64_t *bare)
{
    for (uint64_t index = 0; index < job->count; index++) {
        uint64_t seq = 0;
        int64_t began_ns = cli_clock_ns ();
        int rc = tern_producer_send (producer, body, job->size, -1, &seq);
        if (rc == TERN_OK) {
            rc = tern_producer_wait (producer, seq, TERN_SYNCED, -1);
        }
        if (rc) {
            cli_fail_tern (rc, job->name, NULL);
            return false;
        }
        confirmed[index] = (uint64_t) (cli_clock_ns () - began_ns);

        began_ns = cli_clock_ns ();
        if (pwrite (fd, body, job->size, (off_t) (index * job->size))
                != (ssize_t) job->size
            || fdatasync (fd)) {
            cli_fail (CLI_FAILED, "%s: %s", job->data, strerror (errno));
            return false;
        }
        bare[index] = (uint64_t) (cli_clock_ns () - began_ns);
    }
    return true;
}

static bool
s_sync (const cli_bench_job_t *job, tern_producer_t *producer, int fd)
{
    char *body = calloc (1, job->size);
    uint64_t *confirmed = calloc (job->count, sizeof *confirmed);
    uint64_t *bare = calloc (job->count, sizeof *bare);
    bool good = body && confirmed && bare;
    if (good) {
        cli_bench_tell ("ready");
        good = cli_bench_hear ("go")
               && s_sync_in_turn (job, producer, fd, body, confirmed, bare);
    }
    if (good) {
        cli_bench_tell (
            "done samples=%" PRIu64 " p50_ns=%" PRIu64 " p99_ns=%" PRIu64
            " bare_p50_ns=%" PRIu64 " bare_p99_ns=%" PRIu64,
            job->count, cli_bench_quantile (confirmed, job->count, 0.5),
            cli_bench_quantile (confirmed, job->count, 0.99),
            cli_bench_quantile (bare, job->count, 0.5),
            cli_bench_quantile (bare, job->count, 0.99));
        good = cli_bench_hear ("stop");
    }
    free (body);
    free (confirmed);
    free (bare);
    return good;
}

int
cli_bench_sync (const cli_bench_job_t *job)
{
    char path[4096], why[256] = "";
    tern_producer_t *producer = NULL;
    tern_peer_t *peer = cli_bench_peer (job);
    bool good = false;
    if (peer) {
        const int rc = tern_producer_open (&producer, peer, "bench-sync", why,
                                           sizeof why);
        snprintf (path, sizeof path, "%s.bare", job->data);
        const int fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (rc) {
            cli_fail_tern (rc, job->data, why);
        } else if (fd < 0
                   || posix_fallocate (fd, 0, (off_t) (job->count * job->size))
                   || fsync (fd)) {
            cli_fail (CLI_FAILED, "%s: cannot be preallocated", path);
        } else {
            good = s_sync (job, producer, fd);
        }
        if (fd >= 0) {
            close (fd);
        }
    }
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
    return good ? CLI_DONE : CLI_FAILED;
}
