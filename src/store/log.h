//  store/log.h - one append-only log of records, in segments
//
//  The part of an outbox that knows the disk format: design rules L1 to L31 in
//  docs/STORAGE.md.  It has no thread of its own.  Three parties use it, each
//  from one thread, and the log's own short lock joins them:
//
//      appenders   append ()                     any thread
//      disk        write () sync () save () ...  the store's disk threads
//      actor       run () trim ()                never waits for the disk
//
//      appended >= written >= synced             always, in seqs
//
//  A log that failed (first failed sync, a write that cannot be undone) stays
//  failed: every later call says TERN_EIO; closing and opening recovers (L16).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LOG_H
#define TRN_LOG_H

#include "base/limits.h"
#include "base/ranges.h"
#include "store/chunk.h"
#include "store/disk.h"
#include "wire/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct trn_log trn_log_t;

typedef enum {
    TRN_AT_LIMIT_BLOCK,       //  append says TERN_EAGAIN until there is room
    TRN_AT_LIMIT_REFUSE,      //  append says TERN_EFULL
    TRN_AT_LIMIT_DROP_OLDEST  //  the oldest go, counted in dropped
} trn_at_limit_t;

#define TRN_LOG_RESERVE (1u << 22)

typedef struct {
    trn_disk_t *disk;
    int dir;  //  the outbox's own directory; borrowed
    uint8_t store_uuid[16];
    uint64_t incarnation;
    const char *name;             //  the outbox's name; copied
    uint64_t (*clock_us) (void);  //  to time syncs; NULL: they take 0
    uint32_t segment_min;         //  bytes of the first segment; 0: 1152 KiB
    uint32_t segment_max;         //  they grow fourfold up to this; 0: 64 MiB
    uint32_t reserve;             //  seqs reserved ahead; 0: TRN_LOG_RESERVE
    uint32_t unwritten_max;   //  bytes in memory before append waits; 0: 8 MiB
    uint32_t kept_max;        //  bytes kept in memory for sending; 0: 16 MiB
    uint64_t limit_bytes;     //  of unsettled backlog; 0: none
    uint64_t limit_messages;  //  0: none
    trn_at_limit_t at_limit;
    //  Called while opening, in order of seqs, for each message record at or
    //  above the saved low whose flags say TRN_RECORD_RULED.  Borrowed.  What
    //  it was told is void if opening fails.
    void (*on_ruled) (void *arg, const trn_record_t *record);
    void *on_ruled_arg;
    uint64_t retain_ms;  //  see trn_log_retain ()
    uint64_t retain_bytes;
    uint64_t (*wall_us) (void);  //  for retain_ms; NULL: the newest stamp
} trn_log_config_t;

//  What opening found; also the answer of verify.
typedef struct {
    uint64_t first_seq;   //  of the oldest record kept; next if empty
    uint64_t high;        //  last seq used or given up; next is high + 1
    uint64_t messages;    //  message records found
    uint64_t bytes;       //  their bytes in the log
    uint64_t torn_bytes;  //  cut from the tail and kept in seg-….torn
    bool clean;           //  closed properly: nothing was in doubt
    trn_ranges_t gaps;    //  seqs that name no message; owned by the caller
    //  Only with TERN_ECORRUPT:
    uint64_t segment;
    int64_t offset;
    uint64_t last_good_seq;
    uint64_t durable_seq;  //  what is known to have been synced
} trn_log_report_t;

//  Create or open.  The state blob is what save_state () last made durable
//  (size 0 for a new log); *state_p is the caller's to free ().
//  0, or TERN_ECORRUPT, TERN_EVERSION, TERN_EIO, TERN_EFULL, TERN_EACCESS with
//  one line in why (may be NULL).  report may be NULL; on every return its gaps
//  are the caller's to clear.
int
trn_log_open (trn_log_t **self_p, const trn_log_config_t *config,
              uint8_t **state_p, size_t *state_size_p, trn_log_report_t *report,
              char *why, size_t why_size);

//  Writes and syncs what is left, marks the log clean with the given state (see
//  save_state ()), frees.  Returns what the disk said; the memory is gone in
//  any case.
int
trn_log_close (trn_log_t **self_p, const uint8_t *state, size_t state_size);

//  Frees without touching the disk: what a kill would leave (for tests and for
//  a log that failed).
void
trn_log_abandon (trn_log_t **self_p);

//  Append one message.  seq, incarnation and unsynced are filled in here.  0
//  and *seq_p, or TERN_EAGAIN (memory, block limit, seqs not yet reserved:
//  wait until room () or progress), TERN_EFULL, TERN_ETOOBIG, TERN_EIO.
int
trn_log_append (trn_log_t *self, trn_record_t *record, uint64_t *seq_p);

//  Would append () of size bytes (trn_record_size ()) say TERN_EAGAIN?
bool
trn_log_room (trn_log_t *self, uint32_t size);

//  Disk side.  write () puts what has grown into the files; prepares the next
//  segment ahead.  sync () makes what was written when it began durable and
//  extends the reservation.  Both return 1 if they did something, 0 if there
//  was nothing to do, or a negative error: TERN_EFULL means no space now,
//  nothing is lost, try again later; TERN_EIO means the log has failed.
//  write () and sync () may run at the same time in two threads.
int
trn_log_write (trn_log_t *self);

int
trn_log_sync (trn_log_t *self);

//  sync () in two halves, for who syncs the files of many logs at once.  begin ()
//  returns how many files there are to sync.  end () is told what the disk said
//  to each (0 or -errno, as many as there were) and how long that took; with
//  NULL it syncs them itself.  It returns as sync ().  Between the two nobody
//  else may sync or close this log.
#define TRN_LOG_SYNC_FILES 16

size_t
trn_log_begin_sync (trn_log_t *self, int files[TRN_LOG_SYNC_FILES]);

int
trn_log_end_sync (trn_log_t *self, const int *errors, uint64_t took_us);

//  The two halves of write (), for a caller with two threads: push () only
//  writes, prepare () only readies the next segment (and syncs its file and
//  its directory, which takes a while).
int
trn_log_push (trn_log_t *self);

int
trn_log_prepare (trn_log_t *self);

//  Is there something for push () or prepare () to do?  A hint, any thread.
size_t
trn_log_unwritten (const trn_log_t *self);

bool
trn_log_wants_segment (const trn_log_t *self);

//  Durably replace the owner's state blob (settled positions and the like, up
//  to TRN_LOG_STATE_MAX bytes) in place: works on a full disk.  Then segments
//  wholly below low may go (L24).  Disk side.
#define TRN_LOG_STATE_MAX (60 * 1024)

int
trn_log_save_state (trn_log_t *self, const uint8_t *state, size_t size,
                    uint64_t low);

//  Keep settled records for replay: those younger than ms, if not 0, and of
//  them the newest that take about so many bytes, if not 0; by whole segments.
//  0 and 0: none, as a log begins unless its config says otherwise.  Looked at
//  by save_state (); so an owner that lets it begin with 0 and 0 must say what
//  holds before it saves for the first time.  While a log retains, save_state ()
//  also takes a low below the last one, down to first_retained ().  Any thread.
void
trn_log_retain (trn_log_t *self, uint64_t ms, uint64_t bytes);

//  The oldest seq that can be read, settled or not; what comes next if there is
//  none.  Grows when segments go.  Any thread.
uint64_t
trn_log_first_retained (trn_log_t *self);

//  The next message gets this seq: those before it that were not given out name
//  nothing, and readers pass over them as over what an unclean end gave up.  For
//  who fills a log with messages that have seqs; an owner that was told of the
//  gaps when it opened does not hear of these.  Writes what was appended before,
//  reserves seqs if need be.  A seq that was given out already changes nothing.
//  0, TERN_ETOOBIG beyond TRN_LOG_SKIP_MAX, TERN_EFULL (nothing was skipped),
//  TERN_EIO.  Disk side or a tool's thread.
#define TRN_LOG_SKIP_MAX (TRN_SEQ_MAX / 2)

int
trn_log_skip (trn_log_t *self, uint64_t seq);

//  Somebody needs space: the older half of what is only retained goes.  1, 0 if
//  nothing is, or a negative error.  write () and prepare () do it by
//  themselves before they say TERN_EFULL.  Disk side.
int
trn_log_yield (trn_log_t *self);

//  The first message at or above first_retained () whose stamp is not before
//  wall_us; what comes next if there is none.  Reads at most one segment.  0,
//  TERN_ECORRUPT, TERN_EFULL (too many files), TERN_EIO.  Disk side or a tool's
//  thread.
int
trn_log_find_time (trn_log_t *self, uint64_t wall_us, uint64_t *seq_p);

//  Nothing below low is needed any more, though that is not durable yet, nor at
//  least so many seqs at or above it, gaps among them: messages that no longer
//  count towards the limit.  What lies on the disk from low on counts in bytes.
//  One thread.
void
trn_log_settled (trn_log_t *self, uint64_t low, uint64_t ahead);

//  How far things are.  Any thread, no lock.
uint64_t
trn_log_appended (const trn_log_t *self);

uint64_t
trn_log_written (const trn_log_t *self);

uint64_t
trn_log_synced (const trn_log_t *self);

//  0, or TERN_EIO once failed; TERN_EFULL while the disk is full.
int
trn_log_status (const trn_log_t *self);

//  Why it failed, in one line: the call, the file.  "" if it did not.
void
trn_log_failure (trn_log_t *self, char *why, size_t size);

typedef struct {
    uint64_t first_seq;     //  oldest kept
    uint64_t bytes;         //  unsettled or kept bytes in the files
    uint64_t disk_bytes;    //  files on disk
    uint64_t dropped;       //  seqs passed over by drop_oldest, ever
    uint64_t syncs;         //  fdatasync calls
    uint64_t sync_us_last;  //  duration of the last one (0 with a test disk)
    uint64_t sync_us_max;
    uint32_t segments;
    size_t memory;  //  bytes in chunks now
} trn_log_stats_t;

void
trn_log_stats (trn_log_t *self, trn_log_stats_t *stats);

//  Lowest seq that may still be delivered, or read again while the log retains:
//  grows by save_state () and by drop_oldest.  The owner then saves the new
//  low.  Any thread.
uint64_t
trn_log_floor (const trn_log_t *self);

//  Records from seq on, at most max_count and about max_bytes (one record is
//  always allowed), if they are in memory: 1 and *run with a reference, 0 when
//  they must be read (see read ()), TERN_ENOENT beyond appended.  Actor.
int
trn_log_run (trn_log_t *self, uint64_t seq, uint32_t max_count,
             uint32_t max_bytes, trn_run_t *run);

//  Read records from seq on into a chunk of about max_bytes, checking each.
//  0 and *chunk_p (caller's reference); TERN_ENOENT if seq is a gap, trimmed or
//  not written yet; TERN_ECORRUPT, TERN_EIO.  Disk side or a tool's thread.
int
trn_log_read (trn_log_t *self, uint64_t seq, uint32_t max_bytes,
              trn_chunk_t **chunk_p);

//  Read single records in one pass: seqs rise.  fn gets a chunk (its reference)
//  with a seq and those of the seqs that follow it without a hole, each
//  checked; or for one seq what read () would say.  It stops after about
//  max_bytes; returns how many seqs fn has been told of, at least one.  Disk
//  side or a tool's thread.
typedef void
trn_log_picked_fn (void *arg, uint64_t seq, int rc, trn_chunk_t *chunk);

size_t
trn_log_pick (trn_log_t *self, const uint64_t *seqs, size_t count,
              uint64_t max_bytes, trn_log_picked_fn *fn, void *arg);

//  A slice of a chunk that read () gave, as run () does for memory.
int
trn_chunk_run (trn_chunk_t *chunk, uint64_t seq, uint32_t max_count,
               uint32_t max_bytes, trn_run_t *run);

//  The actor says from which seq on it will send next: chunks below may leave
//  memory.  Of the rest the newest are kept, as far as kept_max allows.
void
trn_log_hint (trn_log_t *self, uint64_t next_seq);

#endif
