//  peer/producer.c - publishing to a queue
//
//  Knows: that sending is one append to the outbox's log and at most one
//  wake-up of each of disk and actor, whatever the rate.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/message.h"
#include "peer/peer.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tern_producer {
    trn_box_t *box;
};

int
tern_producer_open (tern_producer_t **self_p, tern_peer_t *peer,
                    const char *queue, char *why, size_t why_size)
{
    assert (self_p && peer && queue);
    *self_p = NULL;
    if (!trn_queue_valid (queue, strlen (queue))) {
        if (why && why_size) {
            char shown[TRN_ESCAPED_MAX];
            snprintf (why, why_size,
                      "\"%s\" is not a queue name (1 to 63 of a-z 0-9 . _ -, "
                      "starting and ending with a letter or digit)",
                      trn_escape (shown, queue, strlen (queue)));
        }
        return TERN_ENAME;
    }
    trn_box_t *box = NULL;
    const int rc = trn_box_open (peer, queue, &box, why, why_size);
    if (rc != TERN_OK) {
        return rc;
    }
    tern_producer_t *self = trn_alloc (sizeof *self);
    self->box = box;
    *self_p = self;
    return TERN_OK;
}

void
tern_producer_close (tern_producer_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        tern_peer_t *peer = (*self_p)->box->peer;
        pthread_mutex_lock (&peer->lock);
        (*self_p)->box->producers--;
        pthread_mutex_unlock (&peer->lock);
        free (*self_p);
        *self_p = NULL;
    }
}

//  A publisher sends by itself what has no unsettled message before it: waiting
//  for the actor is all that would happen to it.  Else at most so often: at
//  higher rates the actor, once awake, sends many messages for one wake-up.
#define HELP_EVERY_US 100

//  Put the box on the dirty list, once until somebody has looked.
static bool
s_mark_dirty (trn_box_t *box)
{
    //  Exchanged on both sides, never only read: if it was queued, then whoever
    //  clears `queued` after us sees what we have appended.
    if (atomic_exchange (&box->queued, true)) {
        return false;
    }
    tern_peer_t *peer = box->peer;
    trn_box_t *first = atomic_load (&peer->dirty);
    do {
        box->dirty_next = first;
    } while (!atomic_compare_exchange_weak (&peer->dirty, &first, box));
    return true;
}

//  The box has grown by this message at this time: see that it is sent.
static void
s_begin_delivery (trn_box_t *box, uint64_t seq, uint64_t now_us)
{
    if (!s_mark_dirty (box)) {
        return;
    }
    const uint64_t helped_us
        = atomic_load_explicit (&box->helped_us, memory_order_relaxed);
    const bool lone
        = atomic_load_explicit (&box->processed, memory_order_relaxed) + 1
          == seq;
    //  A clock that was set back looks like a long pause; so be it.
    if (lone || now_us - helped_us > HELP_EVERY_US) {
        atomic_store_explicit (&box->helped_us, now_us, memory_order_relaxed);
        if (trn_actor_help (box->peer)) {
            atomic_fetch_add_explicit (&box->helped, 1, memory_order_relaxed);
            return;
        }
    }
    trn_wake_up (&box->peer->wake);
}

static int
s_send (tern_producer_t *self, trn_record_t *record, int timeout_ms,
        uint64_t *seq_p)
{
    uint64_t seq = 0;
    record->kind = TRN_RECORD_MESSAGE;
    record->flags = 0;
    record->stamp_us = trn_clock_wall_us ();
    const int rc
        = trn_outbox_append (self->box->outbox, record, timeout_ms, &seq);
    if (rc != TERN_OK) {
        atomic_fetch_add (&self->box->refused, 1);
        return rc;
    }
    //  The consumer need not wait for the disk, so its way begins first.
    s_begin_delivery (self->box, seq, record->stamp_us);
    trn_outbox_store (self->box->outbox);
    if (seq_p) {
        *seq_p = seq;
    }
    return TERN_OK;
}

int
tern_producer_send (tern_producer_t *self, const void *body, size_t size,
                    int timeout_ms, uint64_t *seq_p)
{
    assert (self && (body || size == 0));
    if (size > TERN_BODY_MAX) {
        return TERN_ETOOBIG;
    }
    trn_record_t record = {
        .body = body,
        .body_size = (uint32_t) size,
    };
    return s_send (self, &record, timeout_ms, seq_p);
}

int
tern_producer_send_msg (tern_producer_t *self, const tern_msg_t *msg,
                        int timeout_ms, uint64_t *seq_p)
{
    assert (self && msg);
    trn_record_t record = msg->record;
    return s_send (self, &record, timeout_ms, seq_p);
}

static int
s_wait_processed (trn_box_t *box, uint64_t seq, int timeout_ms)
{
    if (atomic_load (&box->processed) >= seq) {
        return TERN_OK;
    }
    const struct timespec until
        = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
    tern_peer_t *peer = box->peer;
    int rc = timeout_ms == 0;
    atomic_fetch_add (&box->waiters, 1);
    pthread_mutex_lock (&peer->lock);
    while (atomic_load (&box->processed) < seq && rc == 0) {
        rc = timeout_ms < 0
                 ? pthread_cond_wait (&peer->changed, &peer->lock)
                 : pthread_cond_timedwait (&peer->changed, &peer->lock, &until);
    }
    pthread_mutex_unlock (&peer->lock);
    atomic_fetch_sub (&box->waiters, 1);
    return atomic_load (&box->processed) >= seq ? TERN_OK : TERN_ETIMEOUT;
}

int
tern_producer_wait (tern_producer_t *self, uint64_t seq, tern_level_t level,
                    int timeout_ms)
{
    assert (self);
    trn_box_t *box = self->box;
    if (seq > trn_log_appended (trn_outbox_log (box->outbox))) {
        return TERN_EINVAL;
    }
    switch (level) {
    case TERN_WRITTEN:
        return trn_outbox_wait (box->outbox, seq, false, timeout_ms);
    case TERN_SYNCED:
        return trn_outbox_wait (box->outbox, seq, true, timeout_ms);
    case TERN_PROCESSED: return s_wait_processed (box, seq, timeout_ms);
    case TERN_STORED:
    default: return TERN_ENOTSUP;
    }
}

uint64_t
tern_producer_reached (tern_producer_t *self, tern_level_t level)
{
    assert (self);
    const trn_log_t *log = trn_outbox_log (self->box->outbox);
    switch (level) {
    case TERN_WRITTEN: return trn_log_written (log);
    case TERN_SYNCED: return trn_log_synced (log);
    case TERN_PROCESSED: return atomic_load (&self->box->processed);
    case TERN_STORED:
    default: return 0;
    }
}

uint64_t
tern_producer_last (tern_producer_t *self)
{
    assert (self);
    return trn_log_appended (trn_outbox_log (self->box->outbox));
}
