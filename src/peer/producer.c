//  peer/producer.c - publishing to a queue
//
//  Knows: that sending is one append to the outbox's log and at most one
//  wake-up of each of disk and actor, whatever the rate.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/exchange.h"
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

trn_box_t *
trn_producer_box (tern_producer_t *self)
{
    return self->box;
}

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
    if (trn_dead_name (queue)) {
        if (why && why_size) {
            snprintf (why, why_size,
                      "%s: names that end in .dead are for dead letters",
                      queue);
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

static int
s_specify (const char *exchange, tern_exchange_type_t type,
           const tern_exchange_options_t *options, trn_exchange_spec_t *spec)
{
    *spec = (trn_exchange_spec_t) {.type = (trn_exchange_type_t) type};
    if (!trn_name_valid (exchange, strlen (exchange))) {
        return TERN_ENAME;
    }
    if (type < TERN_DIRECT || type > TERN_HEADERS) {
        return TERN_EINVAL;
    }
    const char *alternate = options ? options->alternate : NULL;
    if (alternate) {
        if (!trn_name_valid (alternate, strlen (alternate))
            || strcmp (alternate, exchange) == 0 || type == TERN_FANOUT) {
            return TERN_EINVAL;
        }
        memcpy (spec->alternate, alternate, strlen (alternate));
    }
    spec->retain_ms = options ? options->retain_ms : 0;
    spec->retain_bytes = options ? options->retain_bytes : 0;
    return TERN_OK;
}

int
tern_producer_open_exchange (tern_producer_t **self_p, tern_peer_t *peer,
                             const char *exchange, tern_exchange_type_t type,
                             const tern_exchange_options_t *options, char *why,
                             size_t why_size)
{
    assert (self_p && peer && exchange);
    *self_p = NULL;
    char line[256] = "";
    trn_exchange_spec_t spec;
    trn_box_t *box = NULL;
    int rc = s_specify (exchange, type, options, &spec);
    if (rc == TERN_OK && !trn_exchange_type_free (peer, exchange, spec.type)) {
        rc = TERN_ETYPE;
    }
    if (rc == TERN_OK) {
        rc = trn_box_open_exchange (peer, exchange, &spec, &box, line,
                                    sizeof line);
    }
    if (rc != TERN_OK) {
        if (why && why_size) {
            char shown[TRN_ESCAPED_MAX];
            snprintf (why, why_size, "exchange %s: %s",
                      trn_escape (shown, exchange, strlen (exchange)),
                      line[0] ? line : tern_strerror (rc));
        }
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
        trn_box_leave ((*self_p)->box);
        free (*self_p);
        *self_p = NULL;
    }
}

//  A publisher sends by itself what has no unsettled message before it: waiting
//  for the actor is all that would happen to it.  Else at most so often: at
//  higher rates the actor, once awake, sends many messages for one wake-up, be
//  they of one outbox or of many.
#define HELP_EVERY_US 100

static uint64_t
s_get (const atomic_uint_fast64_t *number)
{
    return atomic_load_explicit (number, memory_order_relaxed);
}

static void
s_set (atomic_uint_fast64_t *number, uint64_t value)
{
    atomic_store_explicit (number, value, memory_order_relaxed);
}

//  A clock that was set back looks like a long pause; so be it.
static bool
s_paused (const trn_box_t *box, uint64_t now_us)
{
    return now_us - s_get (&box->helped_us) > HELP_EVERY_US;
}

//  A message of another outbox has just left in this way and is not settled yet.
static bool
s_in_burst (const trn_box_t *box, uint64_t now_us)
{
    const trn_box_t *other = atomic_load (&box->peer->helped);
    return other && other != box && !s_paused (other, now_us)
           && s_get (&other->processed) < s_get (&other->helped_seq);
}

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

void
trn_box_grew (trn_box_t *box, uint64_t seq, uint64_t now_us)
{
    if (!s_mark_dirty (box)) {
        return;
    }
    const bool lone = s_get (&box->processed) + 1 == seq;
    if ((lone || s_paused (box, now_us)) && !s_in_burst (box, now_us)) {
        s_set (&box->helped_us, now_us);
        if (trn_actor_help (box->peer)) {
            s_set (&box->helped_seq, seq);
            atomic_store (&box->peer->helped, box);
            atomic_fetch_add_explicit (&box->helped, 1, memory_order_relaxed);
            return;
        }
    }
    trn_wake_up (&box->peer->wake);
}

//  It was not accepted: count that, and say whether it is worth trying again.
static int
s_refused (trn_box_t *box, int rc, uint32_t size, uint32_t ruled)
{
    atomic_fetch_add (&box->refused, 1);
    if (rc == TERN_EAGAIN || rc == TERN_ETIMEOUT) {
        trn_room_refused (box, size, ruled);
    }
    return rc;
}

static bool
s_drains (const trn_box_t *box)
{
    return atomic_load_explicit (&box->peer->drains, memory_order_relaxed);
}

static int
s_send (tern_producer_t *self, trn_record_t *record, int timeout_ms,
        uint64_t *seq_p)
{
    uint64_t seq = 0;
    if (s_drains (self->box)) {
        return TERN_ECLOSED;
    }
    record->kind = TRN_RECORD_MESSAGE;
    record->stamp_us = trn_clock_wall_us ();
    const int rc
        = trn_outbox_append (self->box->outbox, record, timeout_ms, &seq);
    if (rc != TERN_OK) {
        return s_refused (self->box, rc, trn_record_size (record), 0);
    }
    //  The consumer need not wait for the disk, so its way begins first.
    trn_box_grew (self->box, seq, record->stamp_us);
    trn_outbox_store (self->box->outbox);
    if (seq_p) {
        *seq_p = seq;
    }
    return TERN_OK;
}

//  The same for what has a rule, or a number that may be known.
static int
s_send_ruled (tern_producer_t *self, const tern_msg_t *msg, trn_seal_t *seal,
              int timeout_ms, uint64_t *seq_p)
{
    trn_box_t *box = self->box;
    trn_sent_t sent = {0};
    if (s_drains (box)) {
        return TERN_ECLOSED;
    }
    const int rc = trn_ruled_send (box, msg, seal, timeout_ms, &sent);
    if (seal->stale) {
        return rc;
    }
    if (rc != TERN_OK) {
        return s_refused (box, rc, sent.size, sent.ruled);
    }
    if (sent.seq) {
        trn_box_grew (box, sent.seq, sent.stamp_us);
        trn_outbox_store (box->outbox);
    }
    if (seq_p) {
        *seq_p = sent.seq;
    }
    return TERN_OK;
}

static int
s_send_sealed (tern_producer_t *self, const tern_msg_t *msg, trn_seal_t *seal,
               int timeout_ms, uint64_t *seq_p)
{
    trn_propset_t scratch = {0};
    trn_record_t record;
    int rc = trn_msg_seal (msg, seal, &scratch, &record);
    if (rc == TERN_OK) {
        rc = record.flags & TRN_RECORD_RULED
                 ? s_send_ruled (self, msg, seal, timeout_ms, seq_p)
                 : s_send (self, &record, timeout_ms, seq_p);
    }
    trn_propset_clear (&scratch);
    return rc;
}

//  How much of a timeout that is not 0 is left.
static int
s_left (int64_t until)
{
    const int64_t left = until - trn_clock_ms ();
    return until == INT64_MAX ? -1 : left > 0 ? (int) left : 0;
}

//  To the queues of an exchange; which ones is said in targets, the caller's to
//  clear.
static int
s_send_routed (tern_producer_t *self, const tern_msg_t *msg, uint64_t number,
               int timeout_ms, uint64_t *seq_p, trn_targets_t *targets)
{
    trn_box_t *box = self->box;
    const int64_t until
        = timeout_ms < 0 ? INT64_MAX : trn_clock_ms () + timeout_ms;
    trn_seal_t seal = {.number = number, .routes = atomic_load (&box->routes)};
    int rc = trn_exchange_route (box, &msg->record, until, targets);
    if (rc != TERN_OK) {
        atomic_fetch_add (&box->refused, 1);
        return rc == TERN_EAGAIN && timeout_ms != 0 ? TERN_ETIMEOUT : rc;
    }
    if (trn_exchange_routed (trn_exchange_spec (box->exchange))) {
        seal.targets = targets->at;
        seal.target_count = targets->count;
    }
    rc = s_send_sealed (self, msg, &seal, timeout_ms, seq_p);
    if (!seal.stale) {
        return rc;
    }
    //  Rare: a queue comes once.
    trn_targets_clear (targets);
    return s_send_routed (self, msg, number, s_left (until), seq_p, targets);
}

static int
s_send_msg (tern_producer_t *self, const tern_msg_t *msg, uint64_t number,
            int timeout_ms, uint64_t *seq_p)
{
    if (!self->box->exchange) {
        trn_seal_t seal = {.number = number};
        return s_send_sealed (self, msg, &seal, timeout_ms, seq_p);
    }
    trn_targets_t targets;
    const int rc
        = s_send_routed (self, msg, number, timeout_ms, seq_p, &targets);
    trn_targets_clear (&targets);
    return rc;
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
    if (self->box->exchange) {
        const tern_msg_t msg = {.record = record};
        return s_send_msg (self, &msg, 0, timeout_ms, seq_p);
    }
    return s_send (self, &record, timeout_ms, seq_p);
}

int
tern_producer_send_msg (tern_producer_t *self, const tern_msg_t *msg,
                        int timeout_ms, uint64_t *seq_p)
{
    assert (self && msg);
    return s_send_msg (self, msg, 0, timeout_ms, seq_p);
}

int
tern_producer_send_routed (tern_producer_t *self, const tern_msg_t *msg,
                           int timeout_ms, uint64_t *seq_p, uint32_t *numbers,
                           size_t max, size_t *count_p)
{
    assert (self && msg && (numbers || !max) && count_p);
    trn_targets_t targets = {.at = targets.few, .count = 1, .few = {1}};
    const int rc
        = self->box->exchange
              ? s_send_routed (self, msg, 0, timeout_ms, seq_p, &targets)
              : s_send_msg (self, msg, 0, timeout_ms, seq_p);
    *count_p = rc == TERN_OK ? targets.count : 0;
    const size_t shown = *count_p < max ? *count_p : max;
    if (shown) {
        memcpy (numbers, targets.at, shown * sizeof *numbers);
    }
    trn_targets_clear (&targets);
    return rc;
}

bool
tern_producer_queue_name (tern_producer_t *self, uint32_t number, char *name,
                          size_t name_size)
{
    assert (self && name && name_size);
    char found[TRN_NAME_MAX + 2] = "";
    const trn_box_t *box = self->box;
    if (box->exchange) {
        if (!trn_exchange_queue (box->exchange, number, found)) {
            return false;
        }
    } else if (number == 1) {
        memcpy (found, box->queue, sizeof found);
    } else {
        return false;
    }
    snprintf (name, name_size, "%s", found);
    return true;
}

int
tern_producer_send_once (tern_producer_t *self, const tern_msg_t *msg,
                         uint64_t number, int timeout_ms, uint64_t *seq_p)
{
    assert (self && msg);
    if (number < 1 || number > INT64_MAX) {
        return TERN_EINVAL;
    }
    return s_send_msg (self, msg, number, timeout_ms, seq_p);
}

uint64_t
tern_producer_number (tern_producer_t *self)
{
    assert (self);
    return trn_ruled_number (self->box);
}

int
tern_producer_set_policy (tern_producer_t *self, const tern_policy_t *policy)
{
    assert (self && policy);
    return trn_box_policy (self->box, policy);
}

//  Wait until the number, processed or stored, is at least seq.
static int
s_wait_for (trn_box_t *box, const atomic_uint_fast64_t *number, uint64_t seq,
            int timeout_ms)
{
    if (atomic_load (number) >= seq) {
        return TERN_OK;
    }
    const struct timespec until
        = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
    tern_peer_t *peer = box->peer;
    int rc = timeout_ms == 0;
    atomic_fetch_add (&box->waiters, 1);
    pthread_mutex_lock (&peer->lock);
    while (atomic_load (number) < seq && rc == 0) {
        rc = timeout_ms < 0
                 ? pthread_cond_wait (&peer->changed, &peer->lock)
                 : pthread_cond_timedwait (&peer->changed, &peer->lock, &until);
    }
    pthread_mutex_unlock (&peer->lock);
    atomic_fetch_sub (&box->waiters, 1);
    return atomic_load (number) >= seq ? TERN_OK : TERN_ETIMEOUT;
}

//  On both disks: a consumer may be faster than our own.
static int
s_wait_stored (trn_box_t *box, uint64_t seq, int timeout_ms)
{
    const int64_t began_ms = trn_clock_ms ();
    const int rc = s_wait_for (box, &box->stored, seq, timeout_ms);
    if (rc != TERN_OK || atomic_load (&box->processed) >= seq) {
        return rc;
    }
    const int64_t left_ms = timeout_ms - (trn_clock_ms () - began_ms);
    return trn_outbox_wait (box->outbox, seq, true,
                            timeout_ms < 0 ? -1
                            : left_ms > 0  ? (int) left_ms
                                           : 0);
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
    case TERN_STORED: return s_wait_stored (box, seq, timeout_ms);
    case TERN_PROCESSED:
        return s_wait_for (box, &box->processed, seq, timeout_ms);
    default: return TERN_EINVAL;
    }
}

static uint64_t
s_stored (const trn_box_t *box)
{
    const uint64_t processed = atomic_load (&box->processed);
    const uint64_t stored = atomic_load (&box->stored);
    const uint64_t synced = trn_log_synced (trn_outbox_log (box->outbox));
    const uint64_t both = stored < synced ? stored : synced;
    return both > processed ? both : processed;
}

uint64_t
tern_producer_reached (tern_producer_t *self, tern_level_t level)
{
    assert (self);
    const trn_log_t *log = trn_outbox_log (self->box->outbox);
    switch (level) {
    case TERN_WRITTEN: return trn_log_written (log);
    case TERN_SYNCED: return trn_log_synced (log);
    case TERN_STORED: return s_stored (self->box);
    case TERN_PROCESSED: return atomic_load (&self->box->processed);
    default: return 0;
    }
}

uint64_t
tern_producer_last (tern_producer_t *self)
{
    assert (self);
    return trn_log_appended (trn_outbox_log (self->box->outbox));
}

//  Asking ------------------------------------------------------------------

typedef struct {
    const trn_box_t *box;
    const char *queue;  //  NULL: all
    uint64_t seq;
    uint64_t count;
    bool found, stored;
} s_asking_t;

static void
s_settled (tern_peer_t *peer, void *arg)
{
    s_asking_t *asking = arg;
    asking->found
        = trn_engine_settled (peer->engine, asking->box->id, asking->seq);
    asking->stored
        = trn_engine_stored (peer->engine, asking->box->id, asking->seq);
}

static void
s_stores (tern_peer_t *peer, void *arg)
{
    s_asking_t *asking = arg;
    asking->found = trn_engine_stores (peer->engine, asking->box->id);
}

bool
tern_producer_stores (tern_producer_t *self)
{
    assert (self);
    s_asking_t asking = {.box = self->box};
    trn_actor_call (self->box->peer, s_stores, &asking);
    return asking.found;
}

int
tern_producer_level (tern_producer_t *self, uint64_t seq)
{
    assert (self);
    const trn_log_t *log = trn_outbox_log (self->box->outbox);
    if (!seq || seq > trn_log_appended (log)) {
        return 0;
    }
    s_asking_t asking = {.box = self->box, .seq = seq};
    if (atomic_load (&self->box->processed) < seq) {
        trn_actor_call (self->box->peer, s_settled, &asking);
    } else {
        asking.found = true;
    }
    const bool synced = trn_log_synced (log) >= seq;
    return asking.found ? TERN_PROCESSED
           : synced     ? asking.stored ? TERN_STORED : TERN_SYNCED
           : trn_log_written (log) >= seq ? TERN_WRITTEN
                                          : 0;
}

int
tern_producer_fd (tern_producer_t *self)
{
    assert (self);
    return trn_room_fd (self->box);
}

static void
s_purge (tern_peer_t *peer, void *arg)
{
    s_asking_t *asking = arg;
    const char *queue = NULL;
    uint32_t number = 0;
    const int64_t now = trn_clock_ms ();
    asking->found = !asking->queue;
    for (size_t index = 0; trn_engine_queue_at (peer->engine, asking->box->id,
                                                index, &queue, &number);
         index++) {
        if (!asking->queue || strcmp (asking->queue, queue) == 0) {
            asking->found = true;
            asking->count += trn_engine_purge (peer->engine, asking->box->id,
                                               number, now);
        }
    }
}

int
tern_producer_purge (tern_producer_t *self, const char *queue,
                     uint64_t *count_p)
{
    assert (self);
    s_asking_t asking = {.box = self->box, .queue = queue};
    trn_actor_call (self->box->peer, s_purge, &asking);
    if (count_p) {
        *count_p = asking.count;
    }
    return asking.found ? TERN_OK : TERN_ENOENT;
}
