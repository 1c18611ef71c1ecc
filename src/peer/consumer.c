//  peer/consumer.c - handing out messages, taking settlements back
//
//  Knows: how the consumer's thread and the actor share parcels.  Locks and one
//  wake-up per parcel, not per message, and for thin parcels that come in one burst
//  only one for all of them:
//
//      actor ── deliver ──▶ queue ── recv ──▶ current ── recv ──▶ done
//        ▲                                       │ accepted        │
//        └───────────────── collect ─────────────┴─────────────────┘
//
//  Accepting in order stores `accepted` in the parcel.  Everything else goes to
//  the list of exceptions.  When does the actor look?  The first settlement in
//  a while wakes it; from then on it watches this consumer, once a millisecond,
//  and stops when nothing came.  A settlement after which nothing is left to
//  hand out does not wait for that millisecond.
//
//  A message for which recv waits and which comes alone needs no actor.  The
//  waiting thread watches the router's descriptor beside its own, and takes the
//  turn to receive, and again to send the settlement.  One consumer of a peer
//  watches at a time, and while it does the actor's poller is deaf to the
//  router; the others wait to be called.  When the actor turns out to be awake,
//  the router is its own again.
//
//  Invariants: a settlement is either seen by the actor's last look, or its
//  author finds `watched` false and calls the actor; between two bursts nothing
//  is gathered.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/consumer.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PREFETCH 16384
#define PREFETCH_BYTES (8 * 1024 * 1024)
#define PREFETCH_MAX (1u << 20)
#define PREFETCH_BYTES_MAX (1u << 30)

//  A run of fewer bytes is not worth a lock and a wake-up of its own.
#define THIN_BYTES 4096

tern_consumer_t *
trn_consumer_next (const tern_consumer_t *self)
{
    return self->next;
}

const char *
trn_consumer_queue (const tern_consumer_t *self)
{
    return self->queue;
}

trn_inbox_t *
trn_consumer_inbox (const tern_consumer_t *self)
{
    return self->inbox;
}

//  Open and close ----------------------------------------------------------

typedef struct {
    tern_consumer_t *consumer;
    int result;
} s_opening_t;

static void
s_open (tern_peer_t *peer, void *arg)
{
    s_opening_t *opening = arg;
    tern_consumer_t *self = opening->consumer;
    if (peer->consumer_count >= TRN_QUEUES_MAX) {
        opening->result = TERN_ETOOBIG;
        return;
    }
    if (self->inbox) {
        opening->result = trn_inbox_join (self->inbox, &self->terms);
        if (opening->result != TERN_OK) {
            return;
        }
    }
    self->id = trn_engine_add_consumer (peer->engine, self->queue,
                                        self->terms.prefetch, self->terms.bytes,
                                        trn_clock_ms ());
    self->next = peer->consumers;
    peer->consumers = self;
    peer->consumer_count++;
    peer->queues_changed = true;
    opening->result = TERN_OK;
    if (atomic_load (&peer->drains)) {
        trn_consumer_end (self);
    }
}

static void
s_free (tern_consumer_t **self_p)
{
    tern_consumer_t *self = *self_p;
    trn_msg_clear (&self->lent);
    trn_parcel_release (&self->current);
    trn_parcel_t *lists[2] = {self->queue_first, self->done};
    for (size_t index = 0; index < 2; index++) {
        while (lists[index]) {
            trn_parcel_t *parcel = lists[index];
            lists[index] = parcel->next;
            trn_parcel_release (&parcel);
        }
    }
    free (self->exceptions);
    if (self->fd >= 0) {
        close (self->fd);
    }
    if (self->box) {
        trn_box_leave (self->box);
    }
    pthread_cond_destroy (&self->arrived);
    pthread_mutex_destroy (&self->lock);
    free (self);
    *self_p = NULL;
}

static tern_consumer_t *
s_new (tern_peer_t *peer, const char *queue,
       const tern_consumer_options_t *options)
{
    const uint32_t prefetch
        = options && options->prefetch ? options->prefetch : PREFETCH;
    const uint32_t bytes = options && options->prefetch_bytes
                               ? options->prefetch_bytes
                               : PREFETCH_BYTES;
    tern_consumer_t *self = trn_alloc (sizeof *self);
    self->peer = peer;
    self->terms = (trn_inbox_terms_t) {
        .prefetch = prefetch < PREFETCH_MAX ? prefetch : PREFETCH_MAX,
        .bytes = bytes < PREFETCH_BYTES_MAX ? bytes : PREFETCH_BYTES_MAX,
        .early = options && options->settle_early,
    };
    memcpy (self->queue, queue, strlen (queue));
    self->queue_last = &self->queue_first;
    pthread_mutex_init (&self->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init (&attributes);
    pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
    pthread_cond_init (&self->arrived, &attributes);
    pthread_condattr_destroy (&attributes);
    self->fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    return self;
}

//  Take from the inbox instead of from publishers.
static int
s_open_inbox (tern_consumer_t *self)
{
    char place[TRN_NAME_MAX + 2];
    if (self->queue[0] == '@') {
        return TERN_ENAME;
    }
    snprintf (place, sizeof place, "%c%.63s", TRN_INBOX_MARK, self->queue);
    memcpy (self->queue, place, sizeof place);
    const int rc = trn_box_open (self->peer, place, &self->box, NULL, 0);
    if (rc == TERN_OK) {
        self->inbox = self->box->inbox;
    }
    return rc;
}

int
tern_consumer_open (tern_consumer_t **self_p, tern_peer_t *peer,
                    const char *queue, const tern_consumer_options_t *options)
{
    assert (self_p && peer && queue);
    *self_p = NULL;
    const bool inbox = options && options->inbox;
    if (options && options->settle_early && !inbox) {
        return TERN_EINVAL;
    }
    return trn_queue_valid (queue, strlen (queue))
               ? trn_consumer_open (self_p, peer, queue, options)
               : TERN_ENAME;
}

int
trn_consumer_open (tern_consumer_t **self_p, tern_peer_t *peer,
                   const char *queue, const tern_consumer_options_t *options)
{
    const bool inbox = options && options->inbox;
    tern_consumer_t *self = s_new (peer, queue, options);
    s_opening_t opening = {.consumer = self};
    opening.result = self->fd < 0 ? TERN_ETOOBIG
                     : inbox      ? s_open_inbox (self)
                                  : TERN_OK;
    if (opening.result == TERN_OK) {
        trn_actor_call (peer, s_open, &opening);
    }
    if (opening.result != TERN_OK) {
        s_free (&self);
        return opening.result;
    }
    *self_p = self;
    return TERN_OK;
}

static void
s_remove (tern_consumer_t **list, tern_consumer_t *self, bool watched)
{
    while (*list && *list != self) {
        list = watched ? &(*list)->watched_next : &(*list)->next;
    }
    if (*list) {
        *list = watched ? self->watched_next : self->next;
    }
}

//  Actor: what was never handed out goes back as if it had not been sent.
static void
s_give_back (tern_consumer_t *self, int64_t now_ms)
{
    trn_engine_t *engine = self->peer->engine;
    const trn_parcel_t *current = self->current;
    if (current && !current->served && current->next_seq <= current->to) {
        trn_engine_on_settle (engine, self->id, current->flow,
                              current->next_seq, current->to, TRN_RELEASED,
                              now_ms);
    }
    for (const trn_parcel_t *parcel = self->queue_first; parcel;
         parcel = parcel->next) {
        if (!parcel->served) {
            trn_engine_on_settle (engine, self->id, parcel->flow, parcel->from,
                                  parcel->to, TRN_RELEASED, now_ms);
        }
    }
}

static void
s_close (tern_peer_t *peer, void *arg)
{
    tern_consumer_t *self = arg;
    const int64_t now = trn_clock_ms ();
    trn_consumer_collect (peer, now, true);
    s_remove (&peer->watched, self, true);
    s_give_back (self, now);
    trn_engine_remove_consumer (peer->engine, self->id, now);
    if (self->inbox) {
        if (atomic_load (&self->paused)) {
            trn_inbox_pause (self->inbox, false);
        }
        trn_inbox_leave (self->inbox, &self->terms);
    }
    s_remove (&peer->consumers, self, false);
    peer->consumer_count--;
    peer->queues_changed = true;
}

void
tern_consumer_close (tern_consumer_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        trn_actor_call ((*self_p)->peer, s_close, *self_p);
        s_free (self_p);
    }
}

//  Pausing ------------------------------------------------------------------

//  Actor: take what recv has not begun with, and give it back.
static void
s_pause (tern_peer_t *peer, void *arg)
{
    tern_consumer_t *self = arg;
    const int64_t now = trn_clock_ms ();
    if (!atomic_exchange (&self->paused, true) && self->inbox) {
        trn_inbox_pause (self->inbox, true);
    }
    trn_engine_pause_consumer (peer->engine, self->id, true, now);
    pthread_mutex_lock (&self->lock);
    trn_parcel_t *waiting = self->queue_first;
    self->queue_first = NULL;
    self->queue_last = &self->queue_first;
    atomic_store (&self->ready, 0);
    pthread_mutex_unlock (&self->lock);
    while (waiting) {
        trn_parcel_t *parcel = waiting;
        waiting = parcel->next;
        trn_engine_on_settle (peer->engine, self->id, parcel->flow,
                              parcel->from, parcel->to, TRN_RELEASED, now);
        const uint64_t count = parcel->to - parcel->from + 1;
        self->settled += count;
        trn_parcel_release (&parcel);
    }
}

void
trn_consumer_end (tern_consumer_t *self)
{
    s_pause (self->peer, self);
    pthread_mutex_lock (&self->lock);
    atomic_store (&self->ended, true);
    pthread_cond_broadcast (&self->arrived);
    if (self->polls && !self->fd_set) {
        const uint64_t one = 1;
        self->fd_set = write (self->fd, &one, sizeof one) == sizeof one;
    }
    pthread_mutex_unlock (&self->lock);
}

uint64_t
trn_consumer_held (const tern_consumer_t *self)
{
    return self->received - self->settled;
}

static void
s_resume (tern_peer_t *peer, void *arg)
{
    tern_consumer_t *self = arg;
    if (!atomic_load (&self->ended)) {
        if (atomic_exchange (&self->paused, false) && self->inbox) {
            trn_inbox_pause (self->inbox, false);
        }
        trn_engine_pause_consumer (peer->engine, self->id, false,
                                   trn_clock_ms ());
    }
}

void
tern_consumer_pause (tern_consumer_t *self)
{
    assert (self);
    trn_actor_call (self->peer, s_pause, self);
}

void
tern_consumer_resume (tern_consumer_t *self)
{
    assert (self);
    trn_actor_call (self->peer, s_resume, self);
}

//  Messages in -------------------------------------------------------------

//  It waits for others of this burst.
static void
s_gather (tern_consumer_t *self, trn_parcel_t *parcel)
{
    if (self->gathered_first) {
        self->gathered_last->next = parcel;
        self->gathered_count++;
    } else {
        self->gathering_next = self->peer->gathering;
        self->peer->gathering = self;
        self->gathered_first = parcel;
        self->gathered_count = 1;
    }
    self->gathered_last = parcel;
}

void
trn_consumer_deliver (tern_peer_t *peer, const trn_action_t *action)
{
    tern_consumer_t *self = peer->consumers;
    while (self && self->id != action->consumer) {
        self = self->next;
    }
    if (!self || !peer->inrun) {
        return;
    }
    if (atomic_load (&self->paused)) {
        //  It was on its way when we asked for no more.
        trn_engine_on_settle (peer->engine, self->id, action->deliver.flow,
                              action->deliver.from, action->deliver.to,
                              TRN_RELEASED, trn_clock_ms ());
        return;
    }
    trn_parcel_t *parcel
        = trn_parcel_new (peer->inrun, peer->inrun_first, action->deliver.from,
                          action->deliver.to);
    parcel->flow = action->deliver.flow;
    parcel->floor = peer->inrun_floor;
    parcel->deliveries = action->deliver.deliveries;
    parcel->redelivered = action->deliver.redelivered;
    parcel->missed = action->deliver.missed;
    memcpy (parcel->store_uuid, peer->inrun_store, sizeof parcel->store_uuid);
    memcpy (parcel->publisher, peer->inrun_publisher, sizeof parcel->publisher);
    memcpy (parcel->outbox, peer->inrun_outbox, sizeof parcel->outbox);
    parcel->copied = self->inbox != NULL;
    memcpy (parcel->queue, trn_inbox_of (self->queue),
            strlen (trn_inbox_of (self->queue)));
    const uint64_t count = parcel->to - parcel->from + 1;
    self->received += count;
    self->redelivered += parcel->redelivered ? count : 0;
    s_gather (self, parcel);
    if (parcel->end - parcel->at >= THIN_BYTES) {
        trn_consumer_hand_over (peer);
    }
}

//  count parcels, linked from first to last, under one lock and with one wake-up.
static void
s_push (tern_consumer_t *self, trn_parcel_t *first, trn_parcel_t *last,
        uint32_t count)
{
    pthread_mutex_lock (&self->lock);
    *self->queue_last = first;
    self->queue_last = &last->next;
    atomic_fetch_add (&self->ready, count);
    if (self->sleepers) {
        pthread_cond_signal (&self->arrived);
    }
    if ((self->fd_used || self->polls) && !self->fd_set) {
        const uint64_t one = 1;
        self->fd_set = write (self->fd, &one, sizeof one) == sizeof one;
    }
    pthread_mutex_unlock (&self->lock);
}

void
trn_consumer_push (tern_consumer_t *self, trn_parcel_t *parcel)
{
    s_push (self, parcel, parcel, 1);
}

void
trn_consumer_hand_over (tern_peer_t *peer)
{
    while (peer->gathering) {
        tern_consumer_t *self = peer->gathering;
        peer->gathering = self->gathering_next;
        trn_parcel_t *first = self->gathered_first;
        self->gathered_first = NULL;
        s_push (self, first, self->gathered_last, self->gathered_count);
    }
}

//  Under lock: no message waits.
static void
s_clear_fd (tern_consumer_t *self)
{
    if (self->fd_set) {
        uint64_t count;
        const ssize_t got = read (self->fd, &count, sizeof count);
        (void) got;
        self->fd_set = false;
    }
}

//  The last message of the current parcel was handed out.
static void
s_end_parcel (tern_consumer_t *self)
{
    if (atomic_load (&self->ready)) {
        return;
    }
    pthread_mutex_lock (&self->lock);
    if (!self->queue_first) {
        s_clear_fd (self);
    }
    pthread_mutex_unlock (&self->lock);
}

//  Sleep until the router may have something; false if a parcel has come
//  meanwhile or the time is over.
static bool
s_watch_router (tern_consumer_t *self, int64_t until_ms)
{
    struct pollfd items[2] = {
        {.fd = self->peer->router_item.fd, .events = POLLIN},
        {.fd = self->fd, .events = POLLIN},
    };
    for (;;) {
        const int64_t left = until_ms - trn_clock_ms ();
        pthread_mutex_lock (&self->lock);
        const bool sleeps
            = !self->queue_first && left > 0 && !atomic_load (&self->ended);
        self->polls = sleeps;
        pthread_mutex_unlock (&self->lock);
        if (!sleeps) {
            return false;
        }
        const int rc = poll (items, 2, left > INT_MAX ? -1 : (int) left);
        pthread_mutex_lock (&self->lock);
        self->polls = false;
        pthread_mutex_unlock (&self->lock);
        if (rc > 0 && items[0].revents) {
            return true;
        }
    }
}

//  Receive in the actor's place until a parcel has come or the time is over, or
//  until the actor or another consumer does so anyway.
static void
s_receive (tern_consumer_t *self, int timeout_ms)
{
    tern_peer_t *peer = self->peer;
    if (atomic_exchange (&peer->router_led, true)) {
        return;
    }
    const int64_t until_ms
        = timeout_ms < 0 ? INT64_MAX : trn_clock_ms () + timeout_ms;
    trn_poller_mute (peer->poller, &peer->router_item);
    while (s_watch_router (self, until_ms) && trn_actor_receive (peer)) {
        self->direct++;
    }
    trn_poller_unmute (peer->poller, &peer->router_item);
    atomic_store (&peer->router_led, false);
}

//  The current parcel is walked.  True if there is another, else no message
//  waits.
static bool
s_end_current (tern_consumer_t *self)
{
    trn_parcel_t *request = NULL;
    pthread_mutex_lock (&self->lock);
    if (self->current && self->current->served) {
        request = self->current;  //  nothing to collect
    } else if (self->current) {
        self->current->next = self->done;
        self->done = self->current;
    }
    self->current = NULL;
    const bool more = self->queue_first != NULL;
    if (!more) {
        s_clear_fd (self);
    }
    pthread_mutex_unlock (&self->lock);
    trn_parcel_release (&request);
    return more;
}

//  Take the next parcel; false after timeout_ms.  The one before is done.
static bool
s_next_parcel (tern_consumer_t *self, int timeout_ms)
{
    struct timespec until = {0};
    const bool waits = !s_end_current (self) && timeout_ms != 0;
    if (waits) {
        until = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
        s_receive (self, timeout_ms);
    }
    pthread_mutex_lock (&self->lock);
    int rc = timeout_ms == 0;
    while (!self->queue_first && rc == 0 && !atomic_load (&self->ended)) {
        self->sleepers++;
        rc = timeout_ms < 0
                 ? pthread_cond_wait (&self->arrived, &self->lock)
                 : pthread_cond_timedwait (&self->arrived, &self->lock, &until);
        self->sleepers--;
    }
    trn_parcel_t *parcel = self->queue_first;
    if (parcel) {
        self->queue_first = parcel->next;
        parcel->next = NULL;
        if (!self->queue_first) {
            self->queue_last = &self->queue_first;
        }
        atomic_fetch_sub (&self->ready, 1);
        self->current = parcel;
        atomic_store (&self->lone, waits && parcel->from == parcel->to);
    } else {
        s_clear_fd (self);
    }
    pthread_mutex_unlock (&self->lock);
    return parcel != NULL;
}

//  Settlements, on their way to the actor -----------------------------------

static void
s_call_actor (tern_consumer_t *self, bool urgent)
{
    tern_peer_t *peer = self->peer;
    if (!atomic_load (&self->watched)
        && !atomic_exchange (&self->watched, true)) {
        tern_consumer_t *first = atomic_load (&peer->settled);
        do {
            self->settled_next = first;
        } while (!atomic_compare_exchange_weak (&peer->settled, &first, self));
    } else if (urgent) {
        atomic_store (&peer->urgent, true);
    } else {
        return;
    }
    if (!atomic_load (&self->lone) || !trn_actor_help (peer)) {
        trn_wake_up (&peer->wake);
    }
}

static void
s_except (tern_consumer_t *self, uint32_t flow, uint64_t from, uint64_t to,
          trn_outcome_t outcome)
{
    pthread_mutex_lock (&self->lock);
    trn_exception_t *last = self->exception_count
                                ? &self->exceptions[self->exception_count - 1]
                                : NULL;
    if (last && last->flow == flow && last->outcome == outcome
        && last->to + 1 == from) {
        last->to = to;
    } else {
        if (self->exception_count == self->exception_capacity) {
            self->exception_capacity
                = self->exception_capacity ? self->exception_capacity * 2 : 16;
            self->exceptions = trn_realloc (self->exceptions,
                                            self->exception_capacity
                                                * sizeof *self->exceptions);
        }
        assert (self->exceptions);
        self->exceptions[self->exception_count++]
            = (trn_exception_t) {flow, outcome, from, to};
    }
    pthread_mutex_unlock (&self->lock);
}

//  Paused: what recv has not handed out goes back as if it had not been sent.
static void
s_release_rest (tern_consumer_t *self)
{
    trn_parcel_t *current = self->current;
    if (current && current->next_seq <= current->to) {
        s_except (self, current->flow, current->next_seq, current->to,
                  TRN_RELEASED);
        current->next_seq = current->to + 1;
        s_end_parcel (self);
        s_call_actor (self, true);
    }
}

//  Handing out --------------------------------------------------------------

tern_msg_t *
tern_consumer_recv (tern_consumer_t *self, int timeout_ms)
{
    assert (self);
    tern_msg_t *msg = &self->lent;
    for (;;) {
        if (atomic_load_explicit (&self->paused, memory_order_relaxed)) {
            s_release_rest (self);
        }
        trn_parcel_t *parcel = self->current;
        if (parcel && trn_parcel_step (parcel, &msg->record)) {
            if (msg->parcel != parcel) {
                trn_parcel_release (&msg->parcel);
                msg->parcel = trn_parcel_retain (parcel);
            }
            if (msg->id) {
                free (msg->id);
                msg->id = NULL;
            }
            msg->lent = true;
            msg->settled = false;
            if (parcel->next_seq > parcel->to) {
                s_end_parcel (self);
            }
            return msg;
        }
        if (!s_next_parcel (self,
                            atomic_load (&self->ended) ? 0 : timeout_ms)) {
            msg->settled = true;  //  no longer lent
            return NULL;
        }
    }
}

int
tern_consumer_fd (const tern_consumer_t *self)
{
    assert (self);
    //  The handle is const to its user; whether the descriptor is in use is
    //  between us and the actor.
    tern_consumer_t *mutable = (tern_consumer_t *) (uintptr_t) self;
    pthread_mutex_lock (&mutable->lock);
    mutable->fd_used = true;
    const trn_parcel_t *current = mutable->current;
    if (!mutable->fd_set
        && (mutable->queue_first
            || (current && current->next_seq <= current->to))) {
        const uint64_t one = 1;
        mutable->fd_set = write (mutable->fd, &one, sizeof one) == sizeof one;
    }
    pthread_mutex_unlock (&mutable->lock);
    return self->fd;
}

//  Settlements out ---------------------------------------------------------

//  What comes again says again what was missed before it.
static void
s_count_missed (tern_consumer_t *self, const tern_msg_t *msg,
                trn_outcome_t outcome)
{
    const trn_parcel_t *parcel = msg->parcel;
    if ((parcel->missed || parcel->copied) && outcome != TRN_REQUEUED) {
        const uint64_t missed = tern_msg_missed (msg);
        if (missed) {
            atomic_fetch_add (&self->missed, missed);
        }
    }
}

static int
s_settle (tern_consumer_t *self, const tern_msg_t *msg, trn_outcome_t outcome)
{
    assert (self && msg && msg->parcel);
    //  Settling does not change the message for its reader, only our mark.
    tern_msg_t *marked = (tern_msg_t *) (uintptr_t) msg;
    if (marked->settled) {
        return TERN_ENOENT;
    }
    marked->settled = true;
    s_count_missed (self, msg, outcome);
    trn_parcel_t *parcel = msg->parcel;
    const uint64_t seq = msg->record.seq;
    bool last = true;
    if (msg->lent) {
        last = seq == parcel->to && atomic_load (&self->ready) == 0;
    }
    if (msg->lent && outcome == TRN_ACCEPTED
        && atomic_load_explicit (&parcel->accepted, memory_order_relaxed) + 1
               == seq) {
        //  Sequentially consistent, as s_call_actor () reads `watched` next.
        atomic_store (&parcel->accepted, seq);
    } else {
        s_except (self, parcel->flow, seq, seq, outcome);
        last = true;
    }
    s_call_actor (self, last);
    return TERN_OK;
}

int
tern_consumer_accept (tern_consumer_t *self, const tern_msg_t *msg)
{
    return s_settle (self, msg, TRN_ACCEPTED);
}

int
tern_consumer_requeue (tern_consumer_t *self, const tern_msg_t *msg)
{
    return s_settle (self, msg, TRN_REQUEUED);
}

int
tern_consumer_reject (tern_consumer_t *self, const tern_msg_t *msg)
{
    return s_settle (self, msg, TRN_REJECTED);
}

//  Actor: tell the engine, and count.
static void
s_tell (tern_consumer_t *self, uint32_t flow, uint64_t from, uint64_t to,
        trn_outcome_t outcome, int64_t now_ms)
{
    const uint64_t count = to - from + 1;
    self->settled += count;
    self->accepted += outcome == TRN_ACCEPTED ? count : 0;
    self->rejected += outcome == TRN_REJECTED ? count : 0;
    if (self->inbox) {
        trn_inbox_settle (self->inbox, self->id, flow, from, to, outcome,
                          now_ms);
    } else {
        trn_engine_on_settle (self->peer->engine, self->id, flow, from, to,
                              outcome, now_ms);
    }
}

//  Actor: what one parcel has accepted since the last look.
static bool
s_collect_parcel (tern_consumer_t *self, trn_parcel_t *parcel, int64_t now_ms)
{
    const uint64_t accepted = atomic_load (&parcel->accepted);
    if (accepted == parcel->collected) {
        return false;
    }
    s_tell (self, parcel->flow, parcel->collected + 1, accepted, TRN_ACCEPTED,
            now_ms);
    parcel->collected = accepted;
    return true;
}

//  Actor: true if there was anything.
static bool
s_collect (tern_consumer_t *self, int64_t now_ms)
{
    bool found = false;
    pthread_mutex_lock (&self->lock);
    trn_parcel_t *done = self->done;
    self->done = NULL;
    trn_parcel_t *current
        = self->current ? trn_parcel_retain (self->current) : NULL;
    trn_exception_t *exceptions = self->exceptions;
    const size_t count = self->exception_count;
    if (count) {
        self->exceptions = NULL;
        self->exception_count = self->exception_capacity = 0;
    }
    pthread_mutex_unlock (&self->lock);

    while (done) {
        trn_parcel_t *parcel = done;
        done = parcel->next;
        found |= s_collect_parcel (self, parcel, now_ms);
        trn_parcel_release (&parcel);
    }
    if (current) {
        found |= s_collect_parcel (self, current, now_ms);
        trn_parcel_release (&current);
    }
    for (size_t index = 0; index < count; index++) {
        const trn_exception_t *at = &exceptions[index];
        s_tell (self, at->flow, at->from, at->to, at->outcome, now_ms);
        found = true;
    }
    if (count) {
        free (exceptions);
    }
    return found;
}

void
trn_consumer_collect (tern_peer_t *peer, int64_t now_ms, bool all)
{
    //  The newly called join the watched.
    tern_consumer_t *called = atomic_exchange (&peer->settled, NULL);
    while (called) {
        tern_consumer_t *self = called;
        called = self->settled_next;
        self->watched_next = peer->watched;
        peer->watched = self;
        all = true;
    }
    const bool urgent = atomic_exchange (&peer->urgent, false);
    if (!all && !urgent && now_ms < peer->watch_at) {
        return;
    }
    tern_consumer_t **link = &peer->watched;
    while (*link) {
        tern_consumer_t *self = *link;
        bool stays = s_collect (self, now_ms) && !atomic_load (&self->lone);
        if (!stays) {
            //  Nothing for a while, or nothing more to come: stop watching,
            //  then look once more.
            atomic_store (&self->watched, false);
            if (s_collect (self, now_ms)) {
                stays = atomic_exchange (&self->watched, true) == false;
                //  Already true: its author has called us, so it is on the
                //  settled list and must leave this one.
            }
        }
        if (stays) {
            link = &self->watched_next;
        } else {
            *link = self->watched_next;
        }
    }
    peer->watch_at = peer->watched ? now_ms + 1 : INT64_MAX;
}

static void
s_flush (tern_peer_t *peer, void *arg)
{
    (void) arg;
    trn_consumer_collect (peer, trn_clock_ms (), true);
}

int
tern_consumer_flush (tern_consumer_t *self, int timeout_ms)
{
    assert (self);
    (void) timeout_ms;  //  the actor never waits, so neither do we
    trn_actor_call (self->peer, s_flush, NULL);
    return TERN_OK;
}
