//  cli/bench_stage.h - where a measurement plays: folder, directory, workers
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_BENCH_STAGE_H
#define CLI_BENCH_STAGE_H

#include "cli/bench.h"

#define CLI_BENCH_PATH 512

typedef struct {
    const cli_bench_t *bench;
    tern_directory_t *directory;
    char folder[CLI_BENCH_PATH];  //  of this run; removed with it
    char names[CLI_BENCH_WORKERS_MAX][32];
    char paths[CLI_BENCH_WORKERS_MAX][CLI_BENCH_PATH + 32];
    cli_crew_t crew;
    cli_worker_t *publishers[CLI_BENCH_WORKERS_MAX];
    cli_worker_t *consumers[CLI_BENCH_WORKERS_MAX];
} cli_stage_t;

//  A fresh folder on a disk, below --data, or $TMPDIR, or /var/tmp.  CLI_DONE,
//  or the exit code with one line said and folder empty.
int
cli_bench_make_folder (cli_bench_t *self, char folder[CLI_BENCH_PATH]);

void
cli_bench_remove_tree (const char *path);

//  Bytes that its files take on the disk.
uint64_t
cli_bench_tree_bytes (const char *path);

//  A directory and a folder for one run.  To be closed in any case.
int
cli_stage_open (cli_stage_t *self, const cli_bench_t *bench);

void
cli_stage_close (cli_stage_t *self);

//  The job of a worker that is a peer, bench-<kind>-<index + 1>.  Its texts live
//  as long as the stage.
cli_bench_job_t
cli_stage_job (cli_stage_t *self, const char *role, const char *kind,
               size_t index);

//  Several workers at a time: as cli_worker_say (), cli_worker_hear ().
void
cli_workers_say (cli_worker_t **workers, size_t count, const char *word);

int
cli_workers_hear (cli_worker_t **workers, size_t count, const char *word);

uint64_t
cli_workers_sum (cli_worker_t **workers, size_t count, const char *key);

uint64_t
cli_workers_largest (cli_worker_t **workers, size_t count, const char *key);

//  Two messages lost are as wrong as two too many.  CLI_DONE or CLI_FAILED.
int
cli_bench_check_count (uint64_t expected, uint64_t counted);

#endif
