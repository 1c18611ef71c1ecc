//  store/threads.c - the syncer and the writer
//
//      syncer   takes what was appended, writes it, syncs it, again at once if
//               there is more (group commit: one sync covers what came during
//               the last)
//      writer   reads, writes what grows while the syncer waits for the disk,
//               readies the next segments, saves states and selections; and
//               when the disk is full, tries again every while
//
//  Each has a list of outboxes, so that a thousand quiet ones cost nothing.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/store_private.h"

#include <tern/error.h>

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define FULL_RETRY_MS 200

//  Files that are synced together: the last waits for the others.
#define TOGETHER 128

//  So many are synced at once, if the disk can.  That waits for what others write
//  to the file system, too: where it took longer than this, or failed, each is
//  synced by itself for a while, and for twice as long if it is so again.
#define MANY 4
#define AT_ONCE_US_MAX 100000u
#define ALONE_US_MIN 10000000u
#define ALONE_US_MAX 3600000000u

void
trn_outbox_mark (trn_outbox_t *self, trn_duty_t duty)
{
    if (atomic_exchange_explicit (&self->marked[duty], true,
                                  memory_order_acq_rel)) {
        return;
    }
    trn_store_t *const store = self->store;
    trn_worker_t *const worker = &store->workers[duty];
    pthread_mutex_lock (&store->lock);
    self->next_marked[duty] = NULL;
    if (worker->last) {
        worker->last->next_marked[duty] = self;
    } else {
        worker->first = self;
    }
    worker->last = self;
    const bool wake = worker->sleeps;
    pthread_mutex_unlock (&store->lock);
    if (wake) {
        pthread_cond_signal (&worker->wake);
    }
}

//  The whole list, and the marks with it; under the store's lock.
static trn_outbox_t *
s_take_list (trn_worker_t *worker)
{
    trn_outbox_t *const first = worker->first;
    worker->first = worker->last = NULL;
    return first;
}

//  From here on a mark puts the outbox on the list again.
static trn_outbox_t *
s_unmark (trn_outbox_t *self, trn_duty_t duty)
{
    trn_outbox_t *const next = self->next_marked[duty];
    atomic_exchange_explicit (&self->marked[duty], false, memory_order_acq_rel);
    return next;
}

void
trn_outbox_tell (trn_outbox_t *self)
{
    atomic_store (&self->news, true);
    if (self->store->notify) {
        self->store->notify (self->store->notify_arg);
    }
}

//  The log moved on or failed.  Those who wait for it look themselves; only a
//  failure, and that a full disk has room again, are the owner's news, so that
//  its thread sleeps through the rest.
static void
s_told (trn_outbox_t *self, int rc)
{
    if (rc != 0) {
        trn_outbox_progress (self);
    }
    if (rc == TERN_EFULL) {
        atomic_store (&self->told_full, true);
    }
    if (rc < 0
        || (rc > 0 && trn_log_status (self->log) != TERN_EFULL
            && atomic_exchange (&self->told_full, false))
        || (rc > 0 && atomic_exchange (&self->room_wanted, false))) {
        trn_outbox_tell (self);
    }
}

static bool
s_closing (const trn_store_t *self)
{
    return atomic_load_explicit (&self->closing, memory_order_acquire);
}

//  The syncer ------------------------------------------------------------

static void
s_write_out (trn_outbox_t *self)
{
    //  Somebody may already act on what is written, so say that first.
    const int pushed = trn_log_push (self->log);
    s_told (self, pushed);
    if (pushed == TERN_EFULL) {
        //  It tries again every while, whether anybody appends or not.
        trn_outbox_mark (self, TRN_FOR_WRITER);
    }
}

//  Several files at once, as long as that is worth it.  True if it was done, and
//  errors says how.
static bool
s_sync_at_once (trn_worker_t *worker, trn_disk_t *disk, const int *files,
                size_t count, int *errors, uint64_t *took_us)
{
    const uint64_t before = trn_store_clock_us ();
    if (count < MANY || before < worker->alone_until_us) {
        return false;
    }
    const int rc = disk->sync_files (disk, files, count, errors);
    const uint64_t now = trn_store_clock_us ();
    *took_us = now - before;
    if (rc < 0 || *took_us > AT_ONCE_US_MAX) {
        const uint64_t longer = 2 * worker->alone_us;
        worker->alone_us = longer < ALONE_US_MIN   ? ALONE_US_MIN
                           : longer > ALONE_US_MAX ? ALONE_US_MAX
                                                   : longer;
        worker->alone_until_us = now + worker->alone_us;
    } else {
        worker->alone_us = 0;
    }
    return rc == 0;
}

//  Outboxes of the list, written out and about to be synced.
typedef struct {
    trn_outbox_t *outboxes[TOGETHER];
    size_t counts[TOGETHER];  //  files of each
    size_t count;
    int files[TOGETHER + TRN_LOG_SYNC_FILES];
    size_t file_count;
} trn_batch_sync_t;

//  The first few of the list; returns the rest of it.
static trn_outbox_t *
s_gather (trn_batch_sync_t *batch, trn_outbox_t *first)
{
    batch->count = batch->file_count = 0;
    while (first && batch->count < TOGETHER && batch->file_count < TOGETHER) {
        trn_outbox_t *const outbox = first;
        first = s_unmark (outbox, TRN_FOR_SYNCER);
        s_write_out (outbox);
        const size_t files = trn_log_begin_sync (
            outbox->log, batch->files + batch->file_count);
        batch->outboxes[batch->count] = outbox;
        batch->counts[batch->count++] = files;
        batch->file_count += files;
    }
    return first;
}

//  A quiet queue has little to sync, so that waiting for the disk is most of the
//  price: many wait together.
static trn_outbox_t *
s_sync_some (trn_worker_t *worker, trn_outbox_t *first)
{
    trn_disk_t *const disk = first->store->disk;
    trn_batch_sync_t batch;
    first = s_gather (&batch, first);
    int errors[TOGETHER + TRN_LOG_SYNC_FILES];
    uint64_t took_us = 0;
    const bool done = s_sync_at_once (worker, disk, batch.files,
                                      batch.file_count, errors, &took_us);
    //  Else all are on their way before the first is waited for.
    for (size_t i = 0; !done && batch.file_count > 1 && i < batch.file_count;
         i++) {
        (void) disk->start_sync (disk, batch.files[i]);
    }
    const int *said = errors;
    for (size_t i = 0; i < batch.count; i++) {
        trn_outbox_t *const outbox = batch.outboxes[i];
        s_told (outbox,
                trn_log_end_sync (outbox->log, done ? said : NULL, took_us));
        said += batch.counts[i];
    }
    return first;
}

static void *
s_syncer (void *arg)
{
    trn_store_t *const self = arg;
    trn_worker_t *const worker = &self->workers[TRN_FOR_SYNCER];
    pthread_mutex_lock (&self->lock);
    for (;;) {
        trn_outbox_t *outbox = s_take_list (worker);
        if (!outbox) {
            if (s_closing (self)) {
                break;
            }
            worker->sleeps = true;
            pthread_cond_wait (&worker->wake, &self->lock);
            worker->sleeps = false;
            continue;
        }
        pthread_mutex_unlock (&self->lock);
        while (outbox) {
            outbox = s_sync_some (worker, outbox);
        }
        pthread_mutex_lock (&self->lock);
    }
    pthread_mutex_unlock (&self->lock);
    return NULL;
}

//  The writer ------------------------------------------------------------

//  The state that waits goes out; on a full disk it waits on.
static int
s_serve_save (trn_outbox_t *self)
{
    pthread_mutex_lock (&self->lock);
    trn_save_request_t request = self->save;
    self->save = (trn_save_request_t) {.waits = false};
    pthread_mutex_unlock (&self->lock);
    if (!request.waits) {
        return 0;
    }
    const int rc = trn_log_save_state (self->log, request.bytes, request.size,
                                       request.low);
    pthread_mutex_lock (&self->lock);
    uint8_t *unused = request.bytes;
    if (rc == 0) {
        unused = self->last_state;
        self->last_state = request.bytes;
        self->last_state_size = request.size;
        self->stated = true;
        atomic_store_explicit (&self->saved, request.stamp,
                               memory_order_release);
    } else if (rc == TERN_EFULL && !self->save.waits) {
        self->save = request;
        unused = NULL;
    }
    pthread_mutex_unlock (&self->lock);
    free (unused);
    trn_outbox_progress (self);
    trn_outbox_tell (self);
    return rc;
}

//  One outbox has no space: what others only retain goes before anything that
//  waits has to.
static void
s_yield_all (trn_store_t *self)
{
    pthread_mutex_lock (&self->lock);
    trn_outbox_t *outbox = self->outboxes;
    pthread_mutex_unlock (&self->lock);
    for (; outbox; outbox = outbox->next) {
        (void) trn_log_yield (outbox->log);
    }
}

//  What this outbox wants of the writer.
static void
s_write_one (trn_outbox_t *self)
{
    trn_reads_serve (self);
    const int pushed = trn_log_push (self->log);
    s_told (self, pushed);
    if (pushed > 0) {
        //  The syncer may have been here when there was no space.
        trn_outbox_mark (self, TRN_FOR_SYNCER);
    }
    const int selected = trn_selections_serve (self);
    const int saved = s_serve_save (self);
    const int prepared = trn_log_prepare (self->log);
    s_told (self, prepared);
    self->stuck = pushed == TERN_EFULL || selected == TERN_EFULL
                  || saved == TERN_EFULL || prepared == TERN_EFULL;
    if (self->stuck) {
        s_yield_all (self->store);
    }
}

static void
s_sleep_a_while (trn_store_t *self, trn_worker_t *worker)
{
    struct timespec until;
    clock_gettime (CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long) FULL_RETRY_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void) pthread_cond_timedwait (&worker->wake, &self->lock, &until);
}

//  Outboxes on a full disk are not marked by anybody; keep them in mind here.
static bool
s_mark_stuck (trn_store_t *self)
{
    bool any = false;
    pthread_mutex_lock (&self->lock);
    trn_outbox_t *outbox = self->outboxes;
    pthread_mutex_unlock (&self->lock);
    for (; outbox; outbox = outbox->next) {
        if (outbox->stuck) {
            trn_outbox_mark (outbox, TRN_FOR_WRITER);
            any = true;
        }
    }
    return any;
}

static void *
s_writer (void *arg)
{
    trn_store_t *const self = arg;
    trn_worker_t *const worker = &self->workers[TRN_FOR_WRITER];
    bool stuck = false;
    pthread_mutex_lock (&self->lock);
    for (;;) {
        trn_outbox_t *outbox = s_take_list (worker);
        if (self->note) {
            pthread_mutex_unlock (&self->lock);
            trn_store_write_note (self);
            pthread_mutex_lock (&self->lock);
        }
        if (!outbox) {
            if (self->note || worker->first) {
                continue;  //  came while the lock was not held
            }
            if (s_closing (self)) {
                break;
            }
            worker->sleeps = true;
            if (stuck) {
                s_sleep_a_while (self, worker);
            } else {
                pthread_cond_wait (&worker->wake, &self->lock);
            }
            worker->sleeps = false;
            pthread_mutex_unlock (&self->lock);
            stuck = stuck && s_mark_stuck (self);
            pthread_mutex_lock (&self->lock);
            continue;
        }
        pthread_mutex_unlock (&self->lock);
        while (outbox) {
            trn_outbox_t *const next = s_unmark (outbox, TRN_FOR_WRITER);
            s_write_one (outbox);
            stuck = stuck || outbox->stuck;
            outbox = next;
        }
        pthread_mutex_lock (&self->lock);
    }
    pthread_mutex_unlock (&self->lock);
    return NULL;
}

//  Life ------------------------------------------------------------------

int
trn_threads_start (trn_store_t *self)
{
    static void *(*const loops[TRN_THREADS]) (void *)
        = {[TRN_FOR_SYNCER] = s_syncer, [TRN_FOR_WRITER] = s_writer};
    //  Signals belong to the application: none is delivered to our threads.
    sigset_t all;
    sigset_t before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    int rc = 0;
    for (unsigned i = 0; i < TRN_THREADS && rc == 0; i++) {
        trn_worker_t *const worker = &self->workers[i];
        rc = pthread_create (&worker->thread, NULL, loops[i], self);
        worker->started = rc == 0;
    }
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : TERN_ENOMEM;
}

void
trn_threads_stop (trn_store_t *self)
{
    pthread_mutex_lock (&self->lock);
    atomic_store_explicit (&self->closing, true, memory_order_release);
    for (unsigned i = 0; i < TRN_THREADS; i++) {
        pthread_cond_broadcast (&self->workers[i].wake);
    }
    pthread_mutex_unlock (&self->lock);
    for (trn_outbox_t *outbox = self->outboxes; outbox; outbox = outbox->next) {
        trn_outbox_progress (outbox);
    }
    for (unsigned i = 0; i < TRN_THREADS; i++) {
        if (self->workers[i].started) {
            pthread_join (self->workers[i].thread, NULL);
            self->workers[i].started = false;
        }
    }
}
