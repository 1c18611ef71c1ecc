//  store/outbox.c - what appenders and the actor call
//
//  The path of an append: copy into the log, then look at one flag.  If the
//  syncer has this outbox on its list already, that is all.
//
//  No wake-up is lost: the syncer clears the flag and then takes the log's lock
//  to see what has grown; an appender leaves the log's lock and then reads the
//  flag.  Whichever of the two had the log's lock first, either the syncer sees
//  the record or the appender sees the flag down.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/store_private.h"

#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

//  While the syncer is at the disk, the writer is called for so much.  Less
//  waits for the next turn of the syncer, which writes before it syncs.
#define WRITER_WORTH (128 * 1024)

void
trn_condition_init (pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init (&attributes);
    pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
    pthread_cond_init (condition, &attributes);
    pthread_condattr_destroy (&attributes);
}

trn_outbox_t *
trn_outbox_new (trn_store_t *store, const char *name)
{
    trn_outbox_t *const self = trn_alloc (sizeof *self);
    self->store = store;
    self->dir = -1;
    snprintf (self->name, sizeof self->name, "%s", name);
    pthread_mutex_init (&self->lock, NULL);
    trn_condition_init (&self->progress);
    return self;
}

void
trn_outbox_destroy (trn_outbox_t **self_p)
{
    assert (self_p);
    trn_outbox_t *const self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    trn_reads_clear (self);
    trn_selections_clear (self);
    trn_log_abandon (&self->log);
    free (self->save.bytes);
    free (self->last_state);
    pthread_cond_destroy (&self->progress);
    pthread_mutex_destroy (&self->lock);
    free (self);
}

const char *
trn_outbox_name (const trn_outbox_t *self)
{
    return self->name;
}

trn_log_t *
trn_outbox_log (trn_outbox_t *self)
{
    return self->log;
}

bool
trn_outbox_news (trn_outbox_t *self)
{
    assert (self);
    //  Looked at first: mostly there is none, and then nothing is written.
    return atomic_load (&self->news) && atomic_exchange (&self->news, false);
}

//  Deadlines -------------------------------------------------------------

static struct timespec
s_deadline (int timeout_ms)
{
    struct timespec at;
    clock_gettime (CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long) (timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

//  Wait for any progress; under lock.  false when the time is up.
static bool
s_wait_progress (trn_outbox_t *self, int timeout_ms,
                 const struct timespec *deadline)
{
    int rc = 0;
    self->waiters++;
    if (timeout_ms < 0) {
        rc = pthread_cond_wait (&self->progress, &self->lock);
    } else {
        rc = pthread_cond_timedwait (&self->progress, &self->lock, deadline);
    }
    self->waiters--;
    return rc != ETIMEDOUT;
}

void
trn_outbox_progress (trn_outbox_t *self)
{
    //  Always through the lock: a waiter that has looked at the log and not
    //  yet gone to sleep holds it.
    pthread_mutex_lock (&self->lock);
    if (self->waiters) {
        pthread_cond_broadcast (&self->progress);
    }
    pthread_mutex_unlock (&self->lock);
}

//  Appending -------------------------------------------------------------

static bool
s_marked (const trn_outbox_t *self, trn_duty_t duty)
{
    return atomic_load_explicit (&self->marked[duty], memory_order_acquire);
}

static bool
s_closing (const trn_outbox_t *self)
{
    return atomic_load_explicit (&self->store->closing, memory_order_acquire);
}

static void
s_call_disk (trn_outbox_t *self)
{
    if (!s_marked (self, TRN_FOR_SYNCER)) {
        trn_outbox_mark (self, TRN_FOR_SYNCER);
    }
    //  The syncer may be waiting for the disk: somebody else writes then.
    if (!s_marked (self, TRN_FOR_WRITER)
        && (trn_log_unwritten (self->log) >= WRITER_WORTH
            || trn_log_wants_segment (self->log))) {
        trn_outbox_mark (self, TRN_FOR_WRITER);
    }
}

//  Wait until an append may succeed, or for as long as is allowed.
static int
s_append_later (trn_outbox_t *self, trn_record_t *record, int timeout_ms,
                uint64_t *seq_p)
{
    const struct timespec deadline
        = s_deadline (timeout_ms > 0 ? timeout_ms : 0);
    int rc = TERN_EAGAIN;
    bool time_left = true;
    pthread_mutex_lock (&self->lock);
    while (rc == TERN_EAGAIN) {
        pthread_mutex_unlock (&self->lock);
        s_call_disk (self);
        pthread_mutex_lock (&self->lock);
        //  Under the lock: progress made from here on is announced after we
        //  sleep.
        rc = trn_log_append (self->log, record, seq_p);
        if (rc != TERN_EAGAIN) {
            break;
        }
        if (!time_left || s_closing (self)) {
            rc = time_left ? TERN_ECLOSED : TERN_ETIMEOUT;
            break;
        }
        time_left = s_wait_progress (self, timeout_ms, &deadline);
    }
    pthread_mutex_unlock (&self->lock);
    return rc;
}

int
trn_outbox_append (trn_outbox_t *self, trn_record_t *record, int timeout_ms,
                   uint64_t *seq_p)
{
    assert (self && record && seq_p);
    int rc = trn_log_append (self->log, record, seq_p);
    if (rc == TERN_EAGAIN && timeout_ms != 0) {
        rc = s_append_later (self, record, timeout_ms, seq_p);
    }
    if (rc == TERN_EAGAIN || rc == TERN_EFULL) {
        s_call_disk (self);
    }
    return rc;
}

void
trn_outbox_store (trn_outbox_t *self)
{
    assert (self);
    s_call_disk (self);
}

void
trn_outbox_want_room (trn_outbox_t *self)
{
    assert (self);
    atomic_store (&self->room_wanted, true);
    s_call_disk (self);
}

int
trn_outbox_wait_room (trn_outbox_t *self, uint32_t size, int timeout_ms)
{
    assert (self);
    s_call_disk (self);
    const struct timespec deadline
        = s_deadline (timeout_ms > 0 ? timeout_ms : 0);
    bool time_left = timeout_ms != 0;
    bool room;
    pthread_mutex_lock (&self->lock);
    //  Under the lock: progress made from here on is announced after we sleep.
    while (!(room = trn_log_room (self->log, size)) && time_left
           && !s_closing (self)) {
        time_left = s_wait_progress (self, timeout_ms, &deadline);
    }
    pthread_mutex_unlock (&self->lock);
    return room ? TERN_OK : s_closing (self) ? TERN_ECLOSED : TERN_ETIMEOUT;
}

static int
s_reached (const trn_outbox_t *self, uint64_t seq, bool synced)
{
    const uint64_t at
        = synced ? trn_log_synced (self->log) : trn_log_written (self->log);
    if (at >= seq) {
        return 0;
    }
    if (trn_log_status (self->log) == TERN_EIO) {
        return TERN_EIO;
    }
    return s_closing (self) ? TERN_ECLOSED : TERN_EAGAIN;
}

int
trn_outbox_wait (trn_outbox_t *self, uint64_t seq, bool synced, int timeout_ms)
{
    assert (self);
    int rc = s_reached (self, seq, synced);
    if (rc != TERN_EAGAIN || timeout_ms == 0) {
        return rc == TERN_EAGAIN ? TERN_ETIMEOUT : rc;
    }
    s_call_disk (self);
    if (!synced && !s_marked (self, TRN_FOR_WRITER)) {
        trn_outbox_mark (self, TRN_FOR_WRITER);
    }
    const struct timespec deadline
        = s_deadline (timeout_ms > 0 ? timeout_ms : 0);
    bool time_left = true;
    pthread_mutex_lock (&self->lock);
    while ((rc = s_reached (self, seq, synced)) == TERN_EAGAIN && time_left) {
        time_left = s_wait_progress (self, timeout_ms, &deadline);
    }
    pthread_mutex_unlock (&self->lock);
    return rc == TERN_EAGAIN ? TERN_ETIMEOUT : rc;
}

void
trn_outbox_settled (trn_outbox_t *self, uint64_t low, uint64_t ahead)
{
    assert (self);
    trn_log_settled (self->log, low, ahead);
    trn_outbox_progress (self);
}

//  States ----------------------------------------------------------------

void
trn_outbox_save (trn_outbox_t *self, const uint8_t *state, size_t size,
                 uint64_t low, uint64_t stamp)
{
    assert (self && size <= TRN_LOG_STATE_MAX);
    uint8_t *bytes = trn_alloc (size + 1);
    if (size) {
        memcpy (bytes, state, size);
    }
    pthread_mutex_lock (&self->lock);
    uint8_t *const older = self->save.bytes;
    self->save = (trn_save_request_t) {.bytes = bytes,
                                       .size = size,
                                       .low = low,
                                       .stamp = stamp,
                                       .waits = true};
    pthread_mutex_unlock (&self->lock);
    free (older);
    trn_outbox_mark (self, TRN_FOR_WRITER);
}

uint64_t
trn_outbox_saved (const trn_outbox_t *self)
{
    return atomic_load_explicit (&self->saved, memory_order_acquire);
}

int
trn_outbox_wait_saved (trn_outbox_t *self, uint64_t stamp, int timeout_ms)
{
    assert (self);
    const struct timespec deadline
        = s_deadline (timeout_ms > 0 ? timeout_ms : 0);
    bool time_left = timeout_ms != 0;
    int rc = TERN_OK;
    pthread_mutex_lock (&self->lock);
    while (rc == TERN_OK && trn_outbox_saved (self) < stamp) {
        rc = trn_log_status (self->log) == TERN_EIO ? TERN_EIO
             : s_closing (self)                     ? TERN_ECLOSED
             : !time_left                           ? TERN_ETIMEOUT
                                                    : TERN_OK;
        if (rc == TERN_OK) {
            time_left = s_wait_progress (self, timeout_ms, &deadline);
        }
    }
    pthread_mutex_unlock (&self->lock);
    return rc;
}

int
trn_outbox_inherit (trn_outbox_t *self, const uint8_t *state, size_t size,
                    uint64_t low, bool final)
{
    assert (self && (state || size == 0));
    const int rc = trn_log_save_state (self->log, state, size, low);
    if (rc < 0) {
        return rc;
    }
    uint8_t *bytes = trn_alloc (size + 1);
    if (size) {
        memcpy (bytes, state, size);
    }
    pthread_mutex_lock (&self->lock);
    uint8_t *const older = self->last_state;
    self->last_state = bytes;
    self->last_state_size = size;
    self->stated = final;
    pthread_mutex_unlock (&self->lock);
    free (older);
    return 0;
}
