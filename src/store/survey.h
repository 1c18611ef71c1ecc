//  store/survey.h - read all segments of an outbox and say how it is
//
//  The common part of opening a log and of looking into one that somebody else
//  may own: nothing is changed here.
//
//  Thread: one at a time.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SURVEY_H
#define TRN_SURVEY_H

#include "base/ranges.h"
#include "store/log_state.h"
#include "store/segment.h"

//  One segment of the dense row from the first that is needed.
typedef struct {
    uint64_t segment;
    int64_t size;  //  declared in its header
    int64_t file_size;
    int64_t end;         //  after its last good record
    uint64_t first_seq;  //  0: none
    uint64_t last_seq;
} trn_survey_segment_t;

//  Sees each good record before the place where the log ends.
typedef void
trn_survey_record_fn (void *arg, size_t segment_index,
                      const trn_record_t *record, int64_t offset);

typedef struct {
    //  Given.
    trn_disk_t *disk;
    int dir;
    const trn_log_meta_t *meta;
    const trn_log_state_t *state;
    trn_survey_record_fn *on_record;  //  may be NULL
    void *arg;

    //  Found; trn_survey_clear () releases it.
    trn_survey_segment_t *segments;
    size_t segment_count;
    uint64_t *stale;  //  files below the first needed segment
    size_t stale_count;
    uint64_t *foreign;  //  files of another store, outbox or number
    size_t foreign_count;
    trn_ranges_t gaps;
    uint64_t first_seq;  //  of the oldest record; 0: none
    uint64_t next_seq;   //  after the last good record
    uint64_t messages;
    uint64_t bytes;
    uint64_t proved;       //  highest seq known to have been synced
    uint32_t incarnation;  //  highest in a record
    trn_tail_t tail;
    size_t end_index;  //  segment where the log ends
    int64_t end;       //  and the offset there
    bool broken;       //  something that is no log follows

    //  With TERN_ECORRUPT and TERN_EVERSION: where and why, in a few words.
    const char *problem;
    uint64_t problem_segment;
    int64_t problem_offset;

    //  Private.
    bool misplaced;
    trn_beyond_t beyond;
} trn_survey_t;

//  The segment files in a directory, rising; the caller frees.  0 or an error.
int
trn_survey_list (trn_disk_t *disk, int dir, uint64_t **numbers_p,
                 size_t *count_p);

//  0 whether the tail is clean or torn; TERN_ECORRUPT, TERN_EVERSION,
//  TERN_EACCESS, TERN_EIO.
int
trn_survey (trn_survey_t *self);

void
trn_survey_clear (trn_survey_t *self);

#endif
