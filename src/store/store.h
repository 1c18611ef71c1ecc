//  store/store.h - a peer's data directory: identity, lock, outboxes, threads
//
//      <data>/LOCK             flock: one process, one opening
//      <data>/META             store uuid, name, incarnation: a cell
//      <data>/outbox/<hash>/   one outbox: META, STATE, seg-%016x
//
//  <hash> is hex BLAKE2b-128 of the outbox's name: no name ever becomes a path.
//  Every opening raises the incarnation by one and draws a fresh random number,
//  durable before open returns (L22).
//
//  The store runs two threads for all its outboxes.  The syncer wakes when
//  something was appended, writes it and syncs it; the writer goes on writing
//  while a sync is under way.  One message alone therefore costs one wake-up.
//
//  Threads: open, close, add: one at a time.  The rest as said.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_STORE_H
#define TRN_STORE_H

#include "store/bodies.h"
#include "store/log.h"
#include "store/selection.h"

typedef struct trn_store trn_store_t;
typedef struct trn_outbox trn_outbox_t;

//  Called on a disk thread; must only set a flag and wake somebody.
typedef void
trn_store_notify_fn (void *arg);

typedef struct {
    trn_disk_t *disk;             //  NULL: the real one
    const char *path;             //  the data directory
    const char *name;             //  peer name; NULL: what META says
    trn_store_notify_fn *notify;  //  reads done, states saved, failures
    void *notify_arg;
} trn_store_config_t;

//  0; TERN_EINUSE (locked), TERN_ENAME (store belongs to another name),
//  TERN_ENOENT (no store and no name), TERN_ECORRUPT, TERN_EVERSION,
//  TERN_EACCESS, TERN_EIO, TERN_EFULL, TERN_ENOMEM (no thread), each with one
//  line in why.  warning gets one line about the file system, or "".
int
trn_store_open (trn_store_t **self_p, const trn_store_config_t *config,
                char *why, char *warning, size_t size);

//  Finish what is queued, sync, mark clean, join the threads, unlock.  Every
//  outbox must have got its last state by trn_outbox_save () before; one that
//  was found in doubt and got none stays in doubt.  Returns what the disk said;
//  the memory is gone in any case.  Nobody may be inside another call when this
//  returns.
int
trn_store_close (trn_store_t **self_p);

//  Leave as a kill would: nothing more is marked clean.  For tests.
void
trn_store_abandon (trn_store_t **self_p);

const uint8_t *
trn_store_uuid (const trn_store_t *self);

uint64_t
trn_store_incarnation (const trn_store_t *self);

uint64_t
trn_store_random (const trn_store_t *self);

const char *
trn_store_name (const trn_store_t *self);

//  Names of the outboxes on disk; fn returns a positive number to stop, which
//  comes back.  0 after all of them, or TERN_ECORRUPT, TERN_EVERSION, TERN_EIO
//  if one has a META that cannot be read: messages may wait there.
int
trn_store_each (trn_store_t *self, int (*fn) (void *arg, const char *name),
                void *arg);

//  Open or create an outbox.  Handles live until the store closes.
//  config's disk, dir, uuid, incarnation and name are filled in here.  As
//  trn_log_open (), or TERN_EBUSY if it is open already.  After TERN_EIO it can
//  be opened again by the next process only.
int
trn_store_outbox (trn_store_t *self, const char *name,
                  const trn_log_config_t *config, trn_outbox_t **outbox_p,
                  uint8_t **state_p, size_t *state_size_p,
                  trn_log_report_t *report, char *why, size_t why_size);

//  Append as trn_log_append ().  With timeout_ms > 0 (or -1, no limit) waits
//  while the answer is TERN_EAGAIN, then says TERN_ETIMEOUT.  After success, and
//  whatever else should start before the disk does, call trn_outbox_store (),
//  which wakes the disk threads if they sleep.  Any thread.
int
trn_outbox_append (trn_outbox_t *self, trn_record_t *record, int timeout_ms,
                   uint64_t *seq_p);

void
trn_outbox_store (trn_outbox_t *self);

//  Notify the owner, once, when the log has moved on.  Any thread.
void
trn_outbox_want_room (trn_outbox_t *self);

//  Wait until an append of so many bytes need not say TERN_EAGAIN, if nobody
//  else is faster.  0, TERN_ETIMEOUT, TERN_ECLOSED.  Any thread.
int
trn_outbox_wait_room (trn_outbox_t *self, uint32_t size, int timeout_ms);

//  Wait until seq is written (or synced).  0, TERN_ETIMEOUT, TERN_EIO,
//  TERN_ECLOSED.  Any thread.
int
trn_outbox_wait (trn_outbox_t *self, uint64_t seq, bool synced, int timeout_ms);

//  Nothing below low is needed any more, nor so many behind it, though no state
//  says so yet: they stop counting towards the limits (log.h), and appenders that
//  wait for them look again.  Actor.
void
trn_outbox_settled (trn_outbox_t *self, uint64_t low, uint64_t ahead);

//  Queue a state to be saved; a newer one replaces one that still waits.
//  stamp comes back from trn_outbox_saved () once it is durable.  Actor.
void
trn_outbox_save (trn_outbox_t *self, const uint8_t *state, size_t size,
                 uint64_t low, uint64_t stamp);

uint64_t
trn_outbox_saved (const trn_outbox_t *self);

//  Wait until that is durable, or a later one.  0, TERN_ETIMEOUT, TERN_EIO,
//  TERN_ECLOSED.  Any thread.
int
trn_outbox_wait_saved (trn_outbox_t *self, uint64_t stamp, int timeout_ms);

//  Save, at once, the state that another outbox of this name ended with, whose
//  seqs this one has taken over.  Not final: that one did not end properly, and
//  what it sent last is in doubt here too, also after closing.  As
//  trn_log_save_state ().  For who has no actor, instead of save ().
int
trn_outbox_inherit (trn_outbox_t *self, const uint8_t *state, size_t size,
                    uint64_t low, bool final);

//  Ask for records from seq on to be read; at most TRN_OUTBOX_READS wait.
//  false if too many wait already or this seq does.  The result is fetched by
//  trn_outbox_fetch () after the notification: 1 and a chunk, or a negative
//  error for the seq in *seq_p; 0 when nothing is there.  Actor.
#define TRN_OUTBOX_READS 16

bool
trn_outbox_want (trn_outbox_t *self, uint64_t seq, uint32_t max_bytes);

//  Ask for single records, in any order, the most urgent first; beyond
//  TRN_OUTBOX_BATCH they are ignored.  They are read in one pass, and fetched as
//  above (2 and a chunk): it holds the seq it is fetched for and those wanted that
//  follow it without a hole.  Of more than about TRN_OUTBOX_BATCH_BYTES the rest
//  is left out.  false while the batch before this one is not all fetched.
//  Actor.
#define TRN_OUTBOX_BATCH 257
#define TRN_OUTBOX_BATCH_BYTES (8 * 1024 * 1024)

bool
trn_outbox_want_many (trn_outbox_t *self, const uint64_t *seqs, size_t count);

//  Ask which seq is the first at or after a wall time, see trn_log_find_time ().
//  Takes the place of a question that was not answered yet.  The answer is
//  taken, after the notification, by trn_outbox_time (): 1 and the seq, 0 while
//  there is none, or a negative error.  Actor.
void
trn_outbox_want_time (trn_outbox_t *self, uint64_t wall_us);

int
trn_outbox_time (trn_outbox_t *self, uint64_t *seq_p);

int
trn_outbox_fetch (trn_outbox_t *self, uint64_t *seq_p, trn_chunk_t **chunk_p);

//  Keep what a queue was given of the past, in the background; on a full disk
//  that waits.  When it is durable, or cannot be, the owner is notified, and told
//  by selected (): 1 and the queue's number, a negative error and the number, or
//  0 when there is no more to tell.  Actor.
void
trn_outbox_select (trn_outbox_t *self, const trn_selection_t *selection);

int
trn_outbox_selected (trn_outbox_t *self, uint32_t *number_p);

//  The same at once: 0, or as trn_selection_write ().  For who has no actor,
//  before anything is selected.
int
trn_outbox_keep (trn_outbox_t *self, const trn_selection_t *selection);

//  Nobody needs it any more.  Actor.
void
trn_outbox_unselect (trn_outbox_t *self, uint32_t number);

//  What was kept in earlier lives, as trn_selection_each ().  The opening thread,
//  before anything is selected.
int
trn_outbox_selections (trn_outbox_t *self, trn_selection_fn *fn, void *arg,
                       char *why, size_t why_size);

//  Was a notification about this outbox, since the last time it was asked?
bool
trn_outbox_news (trn_outbox_t *self);

//  Replace the owner's note, a file beside META, in the background and without
//  syncing it: whether it survives a crash is not promised, and its owner must
//  be able to tell damage.  bytes are copied.  Any thread.
#define TRN_STORE_NOTE_MAX (24 * 1024 * 1024)

void
trn_store_note (trn_store_t *self, const uint8_t *bytes, size_t size);

//  Read the note.  0 and memory that the caller frees, TERN_ENOENT, TERN_EIO.
//  The opening thread, before anything was noted.
int
trn_store_read_note (trn_store_t *self, uint8_t **bytes_p, size_t *size_p);

//  The store's large bodies, to be closed before the store.  As
//  trn_bodies_open ().
int
trn_store_bodies (trn_store_t *self, trn_bodies_t **bodies_p);

//  The log below, for run (), hint (), stats () and the progress numbers.
trn_log_t *
trn_outbox_log (trn_outbox_t *self);

const char *
trn_outbox_name (const trn_outbox_t *self);

#endif
