//  tests/support/disk_log.h - a log on a test disk, and what must be in it
//
//  Drives one log over a faulty disk over a disk in memory, and remembers what
//  was promised: which payload each seq named, what was said to be synced,
//  which state was said to be saved.  Every opening compares.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TEST_DISK_LOG_H
#define TRN_TEST_DISK_LOG_H

#include "store/log.h"
#include "support/disk_faulty.h"
#include "support/disk_memory.h"

typedef struct {
    uint64_t seed;    //  printed when something is wrong
    uint64_t random;  //  state of the generator
    trn_disk_t *memory;
    trn_disk_t *disk;  //  the faulty one above it
    trn_log_config_t config;
    trn_log_t *log;           //  NULL between lives
    trn_log_report_t report;  //  of the last opening; gaps cleared
    int root;
    char why[256];

    uint64_t *tags;  //  what seq names; 0: nothing was appended
    size_t tag_count;
    uint64_t appended;   //  highest seq ever given out
    uint64_t least;      //  what comes next in this life was skipped up to here
    uint64_t synced;     //  highest ever said to be synced
    uint64_t saved_low;  //  of the last state said to be saved
    uint64_t saved_stamp;  //  stamps rise with each save
    uint64_t tried_stamp;  //  of the last state that was offered
    uint64_t low;          //  settled in this test's opinion
    unsigned syncs;        //  that were asked for
    uint64_t clock_us;     //  of the stamps: one millisecond for each
    uint64_t *ruled;       //  what opening said of ruled records
    size_t ruled_count;
} trn_disk_log_t;

//  Small segments and reservations, so that a short script meets every edge.
trn_disk_log_t *
trn_disk_log_new (uint64_t seed);

//  Half of the seeds retain what is settled: by age, by size or by both.
void
trn_disk_log_vary_retention (trn_disk_log_t *self);

void
trn_disk_log_destroy (trn_disk_log_t **self_p);

//  A number below `below`.
uint64_t
trn_disk_log_random (trn_disk_log_t *self, uint64_t below);

//  Open, and if that works, compare everything.  What trn_log_open () said.
int
trn_disk_log_open (trn_disk_log_t *self);

//  Append a message of that many bytes.
int
trn_disk_log_append (trn_disk_log_t *self, uint32_t body_size);

//  The next message shall get this seq.
int
trn_disk_log_skip (trn_disk_log_t *self, uint64_t seq);

int
trn_disk_log_sync (trn_disk_log_t *self);

//  Settle up to low and save that.
int
trn_disk_log_save (trn_disk_log_t *self, uint64_t low);

int
trn_disk_log_close (trn_disk_log_t *self);

//  The process dies; what it wrote stays.
void
trn_disk_log_kill (trn_disk_log_t *self);

//  The power goes too.
void
trn_disk_log_crash (trn_disk_log_t *self, uint64_t seed);

//  One random step of everything above.  Negative when the log said so.
int
trn_disk_log_step (trn_disk_log_t *self);

//  Fails the test, with seed and place.
void
trn_disk_log_fail (const trn_disk_log_t *self, const char *what, int line);

#define TRN_REQUIRE(self, condition)                                           \
    do {                                                                       \
        if (!(condition)) {                                                    \
            trn_disk_log_fail ((self), #condition, __LINE__);                  \
        }                                                                      \
    } while (0)

#endif
