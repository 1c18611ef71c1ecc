//  store/log_private.h - what the files of the log share
//
//      log.c          appending, runs, progress        appenders, actor
//      log_write.c    write, sync, prepare, skip       disk threads
//      log_save.c     save, trim, retain               disk threads
//      log_read.c     reading back in order            disk side, tools
//      log_pick.c     reading back single records      disk side, tools
//      log_recover.c  opening, closing                 one thread
//      log_repair.c   torn tails, after a survey       one thread
//
//  Locks, always taken in this order; only `lock` is ever taken by appenders
//  and the actor, and nothing that can wait happens under it:
//
//      sync_lock      one sync at a time; META
//      state_lock     one save at a time; STATE
//      prepare_lock   one prepare at a time
//      read_lock      the reader's open file
//      write_lock     one write at a time
//      lock           everything else that is not atomic
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LOG_PRIVATE_H
#define TRN_LOG_PRIVATE_H

#include "store/cell.h"
#include "store/log.h"
#include "store/log_state.h"
#include "store/segment.h"
#include "store/survey.h"

#include <pthread.h>
#include <stdatomic.h>

//  A gap record: header and the last seq.
#define TRN_GAP_SIZE (TRN_RECORD_HEADER + 8u)

//  One mark per so many bytes of log: 8 bytes of memory for each.
#define TRN_MARK_STEP (16 * 1024)

//  Where a record starts, to begin a search there.
typedef struct {
    uint64_t seq;
    int64_t offset;
} trn_mark_t;

//  The same, as a segment keeps it.
typedef struct {
    uint32_t after;  //  seqs after the first mark's
    uint32_t offset;
} trn_kept_mark_t;

//  What a file system makes really written at once, or a multiple of it.
#define TRN_LOG_PAGE 4096

typedef struct {
    uint64_t segment;
    int64_t size;        //  bytes that were allocated
    int64_t end;         //  bytes appended, header included
    uint64_t base;       //  log bytes before this segment
    uint64_t first_seq;  //  0: no record yet
    uint64_t last_seq;
    uint64_t stamp_us;       //  the latest in a record of it
    int file;                //  open for writing, or -1
    bool dirty;              //  written since its last sync
    int64_t wiped;           //  bytes that were really written, zeros included
    trn_kept_mark_t *marks;  //  rising
    uint64_t mark_seq;       //  of the first one
    size_t mark_count;
    size_t mark_capacity;
} trn_log_segment_t;

//  A segment whose records may not be synced yet.
typedef struct {
    uint64_t segment;
    int file;
    bool dirty;
    bool complete;  //  nothing more will be written to it
} trn_unsynced_t;

struct trn_log {
    //  Fixed by opening.
    trn_disk_t *disk;
    int dir;
    trn_log_config_t config;  //  defaults filled in
    char name[TRN_NAME_MAX + 2];
    uint8_t store_uuid[16];

    pthread_mutex_t sync_lock;
    pthread_mutex_t state_lock;
    pthread_mutex_t prepare_lock;
    pthread_mutex_t read_lock;
    pthread_mutex_t write_lock;
    pthread_mutex_t lock;

    //  Under sync_lock: the sync that is under way.
    bool syncing;  //  begun and not ended
    trn_unsynced_t unsynced[TRN_LOG_SYNC_FILES];
    size_t unsynced_count;
    uint64_t covers;  //  all up to this seq; 0: there is nothing to sync

    //  Under lock: the segments, dense and rising; the last ones may be empty.
    trn_log_segment_t *segments;
    size_t segment_count;
    size_t segment_capacity;
    size_t tail;         //  the one that grows
    uint64_t tail_seed;  //  of its records
    uint64_t sync_from;  //  segments below are not dirty

    //  Under lock: chunks ring[first..next-1], rising; write is the first that
    //  is not wholly written; numbers count for ever, slots wrap.
    trn_chunk_t **ring;
    size_t ring_capacity;  //  a power of two
    size_t ring_first;
    size_t ring_write;
    size_t ring_next;
    size_t kept;  //  bytes of chunks first..write-1
    uint64_t hint;
    trn_chunk_account_t *account;

    //  Under lock: the next record.
    uint64_t next_seq;
    uint64_t gap_from;  //  a gap record must come first, or 0
    trn_ranges_t gaps;
    uint64_t backlog_low;   //  the seq that backlog_base belongs to
    uint64_t backlog_base;  //  log bytes before it
    uint64_t backlog_gaps;  //  seqs from it on that name nothing
    uint64_t dropped;
    const char *failed_call;
    uint64_t failed_segment;

    //  Any thread.
    atomic_uint_least64_t reserved;
    atomic_uint_least64_t appended;
    atomic_uint_least64_t written;
    atomic_uint_least64_t synced;
    atomic_uint_least64_t proved;  //  as synced, but never inside a gap
    atomic_uint_least64_t settled;
    atomic_uint_least64_t ahead;  //  settled behind that
    atomic_uint_least64_t floor;
    atomic_uint_least64_t syncs;
    atomic_uint_least64_t sync_us_last;
    atomic_uint_least64_t sync_us_max;
    atomic_uint_least64_t retain_ms;
    atomic_uint_least64_t retain_bytes;
    atomic_size_t unwritten;
    atomic_bool wants_segment;
    atomic_bool full;
    atomic_bool failed;

    trn_cell_t meta;     //  under sync_lock
    trn_cell_t state;    //  under state_lock
    uint64_t saved_low;  //  under state_lock
    int read_file;       //  under read_lock; -1: none
    uint64_t read_segment;
    uint64_t read_next_seq;  //  where the last read ended
    int64_t read_next_offset;
};

//  The log stops for good: call on segment said so.  Returns TERN_EIO.
int
trn_log_fail (trn_log_t *self, const char *call, uint64_t segment);

//  A new last segment; under lock.
trn_log_segment_t *
trn_log_add_segment (trn_log_t *self, uint64_t segment, int64_t size);

//  Remember where a record lies, and when it was made; under lock or while
//  opening.
void
trn_log_mark (trn_log_segment_t *segment, const trn_record_t *record,
              int64_t offset);

//  Under lock: the segment that holds seq, or NULL.
trn_log_segment_t *
trn_log_find_segment (trn_log_t *self, uint64_t seq);

//  Under lock: what the first record from the index-th segment on is, or will
//  be.  Segments in front may be empty: a crash can leave them so.
uint64_t
trn_log_first_seq (const trn_log_t *self, size_t index);

//  Under lock: the last mark at or before seq, and in *next_p (may be NULL) the
//  one behind it, or where the segment ends.
trn_mark_t
trn_log_find_mark (const trn_log_segment_t *segment, uint64_t seq,
                   trn_mark_t *next_p);

//  Under lock: let chunks go that need not stay.  They are put into gone (which
//  has room for max), to be released without the lock; returns how many.
size_t
trn_log_evict (trn_log_t *self, trn_chunk_t **gone, size_t max);

//  Under lock: nothing below low counts towards the limits any more.
void
trn_log_move_backlog (trn_log_t *self, uint64_t low);

//  Durably write META.  Under sync_lock or while opening and closing.
int
trn_log_put_meta (trn_log_t *self, uint64_t reserved, bool clean);

//  Between which marks a record lies, and how far its segment is filled.
typedef struct {
    uint64_t segment;
    trn_mark_t from;  //  at or before it
    trn_mark_t to;    //  behind it; the end of the segment at the latest
    int64_t end;
} trn_read_plan_t;

//  0, or TERN_ENOENT for what names nothing that is written.
int
trn_log_plan_read (trn_log_t *self, uint64_t seq, trn_read_plan_t *plan);

//  Under read_lock: make read_file this segment's.
int
trn_log_open_read (trn_log_t *self, uint64_t segment);

//  Index and check the messages in the first size bytes of the chunk, of which
//  the first must be seq; stop in front of a gap, of what is not written, and of
//  a record that is cut.  0, a negative error, or how many bytes the first
//  record needs if it is the one that is cut.
int64_t
trn_log_index_chunk (trn_log_t *self, trn_chunk_t *chunk, uint32_t size);

//  Create, allocate and sync one segment file under its name.  The file, or an
//  error; *size_p comes back as what the file was given.
int
trn_log_create_segment (trn_log_t *self, uint64_t segment, int64_t *size_p);

//  Cut what follows the last good record, durably, later segments first.
int
trn_log_cut_tail (trn_log_t *self, const trn_survey_t *survey,
                  uint64_t *torn_bytes_p);

//  Make every record after proved durable, whatever the page cache believes.
int
trn_log_harden (trn_log_t *self, uint64_t proved);

static inline trn_place_t
trn_log_place (const trn_log_t *self, uint64_t segment)
{
    return (trn_place_t) {.store_uuid = self->store_uuid,
                          .outbox = self->name,
                          .segment = segment};
}

#endif
