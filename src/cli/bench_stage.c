//  cli/bench_stage.c - where a measurement plays: folder, directory, workers
//
//  Every store lies in one folder that is removed with everything in it; every
//  peer registers with a directory that the parent hosts on tcp loopback.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench_stage.h"
#include "cli/say.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

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

int
cli_bench_make_folder (cli_bench_t *self, char folder[CLI_BENCH_PATH])
{
    const char *parent = self->common.data;
    if (!parent) {
        parent = getenv ("TMPDIR");
        if (!parent || !*parent || s_in_memory (parent)) {
            parent = "/var/tmp";
        }
    }
    const int size
        = snprintf (folder, CLI_BENCH_PATH, "%s/tern-bench-XXXXXX", parent);
    if (size >= CLI_BENCH_PATH - 64) {
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

void
cli_bench_remove_tree (const char *path)
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

uint64_t
cli_bench_tree_bytes (const char *path)
{
    s_tree_bytes = 0;
    nftw (path, s_add_entry, 16, FTW_PHYS | FTW_MOUNT);
    return s_tree_bytes;
}

//  The stage -----------------------------------------------------------------

int
cli_stage_open (cli_stage_t *self, const cli_bench_t *bench)
{
    static const char *const binds[] = {"tcp://127.0.0.1:*"};
    const tern_directory_options_t options = {.binds = binds, .bind_count = 1};
    char why[256] = "";
    *self = (cli_stage_t) {.bench = bench};
    snprintf (self->folder, sizeof self->folder, "%s/run", bench->data);
    if (mkdir (self->folder, 0700)) {
        return cli_fail (CLI_FAILED, "%s: %s", self->folder, strerror (errno));
    }
    const int rc
        = tern_directory_open (&self->directory, &options, why, sizeof why);
    return rc ? cli_fail_tern (rc, binds[0], why) : CLI_DONE;
}

void
cli_stage_close (cli_stage_t *self)
{
    cli_crew_end (&self->crew);
    tern_directory_close (&self->directory);
    cli_bench_remove_tree (self->folder);
}

//  A job for a Tern peer of this name.

cli_bench_job_t
cli_stage_job (cli_stage_t *self, const char *role, const char *kind,
               size_t index)
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
        .prefetch = bench->prefetch,
        .level = bench->level,
    };
}

int
cli_workers_hear (cli_worker_t **workers, size_t count, const char *word)
{
    for (size_t index = 0; index < count; index++) {
        const int code = cli_worker_hear (workers[index], word);
        if (code != CLI_DONE) {
            return code;
        }
    }
    return CLI_DONE;
}

void
cli_workers_say (cli_worker_t **workers, size_t count, const char *word)
{
    for (size_t index = 0; index < count; index++) {
        cli_worker_say (workers[index], word);
    }
}

uint64_t
cli_workers_sum (cli_worker_t **workers, size_t count, const char *key)
{
    uint64_t sum = 0;
    for (size_t index = 0; index < count; index++) {
        sum += cli_worker_number (workers[index], key);
    }
    return sum;
}

uint64_t
cli_workers_largest (cli_worker_t **workers, size_t count, const char *key)
{
    uint64_t largest = 0;
    for (size_t index = 0; index < count; index++) {
        const uint64_t number = cli_worker_number (workers[index], key);
        largest = number > largest ? number : largest;
    }
    return largest;
}

//  Two lost messages are as wrong as two too many.

int
cli_bench_check_count (uint64_t expected, uint64_t counted)
{
    return counted == expected
               ? CLI_DONE
               : cli_fail (CLI_FAILED,
                           "%" PRIu64 " messages were sent and %" PRIu64
                           " were consumed; please report this",
                           expected, counted);
}
