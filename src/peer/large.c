//  peer/large.c - large bodies, from the publisher's side
//
//  Knows: who holds what.  References belong to the actor and lie with their
//  box; how many a body has, in one table.  The keeper, a thread, only reads
//  bodies and removes those that it is told to.
//
//  Invariant: a body without a reference is either being uploaded, or its
//  manifest was appended and the actor has not looked yet, or it is going.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/large.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "io/clock.h"
#include "peer/service.h"
#include "store/store.h"
#include "wire/manifest.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

//  Between two looks at a limit, as a peer may be drained meanwhile.
#define LOOK_MS 200

//  Between two words about damage.
#define TOLD_MS 1000

//  For the last state of an outbox to be durable.  Without it, what is settled
//  goes when the store is opened next.
#define LAST_MS 2000

//  One manifest that is not settled for good.
typedef struct trn_large_ref {
    uint64_t seq;
    uint64_t body, size;
    uint64_t stamp;  //  of a state that was made after it was settled; or 0
} s_ref_t;

typedef struct {
    uint64_t id;
    uint32_t references;
} s_body_t;

typedef struct {
    uint64_t *at;
    size_t count, capacity;
} s_ids_t;

struct trn_large {
    tern_peer_t *peer;
    trn_bodies_t *bodies;
    trn_table_t by_id;  //  actor: s_body_t

    pthread_mutex_t opening;  //  the next four
    tern_service_t *service;  //  NULL: nobody was served yet
    pthread_t thread;
    bool running;
    int wake;  //  eventfd, or -1

    //  The keeper's.
    int64_t damage_told_ms;  //  say no more before
    uint32_t damage_untold;

    pthread_mutex_t lock;  //  the rest
    s_ids_t going;
    bool stopping;
};

static void
s_ids_add (s_ids_t *self, uint64_t id)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    self->at[self->count++] = id;
}

trn_bodies_t *
trn_large_bodies (tern_peer_t *peer)
{
    return peer->large->bodies;
}

bool
trn_large_is_ours (const char *queue)
{
    return queue[0] == '%';
}

//  References --------------------------------------------------------------

void
trn_large_refer (trn_box_t *box, uint64_t seq, uint64_t body, uint64_t size)
{
    assert (box && seq && body);
    if (box->inbox) {
        return;  //  a copy: the body is with its publisher
    }
    trn_table_t *by_id = &box->peer->large->by_id;
    s_body_t *found = trn_table_get (by_id, body);
    if (!found) {
        found = trn_alloc (sizeof *found);
        found->id = body;
        trn_table_put (by_id, body, found);
    }
    found->references++;
    if (box->large_count == box->large_capacity) {
        box->large_capacity = box->large_capacity ? box->large_capacity * 2 : 4;
        box->larges = trn_realloc (box->larges,
                                   box->large_capacity * sizeof *box->larges);
    }
    box->larges[box->large_count++]
        = (s_ref_t) {.seq = seq, .body = body, .size = size};
}

//  The box does not need it any more.  True if nobody does.
static bool
s_release (trn_box_t *box, const s_ref_t *ref)
{
    trn_table_t *by_id = &box->peer->large->by_id;
    s_body_t *body = trn_table_get (by_id, ref->body);
    atomic_fetch_sub (&box->large_bytes, ref->size);
    if (--body->references) {
        return false;
    }
    trn_table_remove (by_id, body->id);
    free (body);
    return true;
}

void
trn_large_saving (trn_box_t *box, uint64_t stamp)
{
    for (size_t index = 0; index < box->large_count; index++) {
        s_ref_t *ref = &box->larges[index];
        if (!ref->stamp
            && trn_engine_settled (box->peer->engine, box->id, ref->seq)) {
            ref->stamp = stamp;
        }
    }
}

static void
s_wake (const struct trn_large *self)
{
    const uint64_t one = 1;
    const ssize_t put = write (self->wake, &one, sizeof one);
    (void) put;  //  it can only be full, which wakes as well
}

//  A state has room for so many ranges: one that was left out waits for the
//  next.
static bool
s_is_over (const trn_box_t *box, const s_ref_t *ref, uint64_t saved)
{
    return ref->stamp && ref->stamp <= saved
           && trn_engine_settled_for_good (box->peer->engine, box->id,
                                           ref->seq);
}

void
trn_large_saved (trn_box_t *box)
{
    struct trn_large *self = box->peer->large;
    const uint64_t saved = trn_outbox_saved (box->outbox);
    size_t kept = 0;
    for (size_t index = 0; index < box->large_count; index++) {
        const s_ref_t ref = box->larges[index];
        if (!s_is_over (box, &ref, saved)) {
            box->larges[kept++] = ref;
        } else if (s_release (box, &ref)) {
            pthread_mutex_lock (&self->lock);
            s_ids_add (&self->going, ref.body);
            pthread_mutex_unlock (&self->lock);
        }
    }
    if (kept < box->large_count) {
        box->large_count = kept;
        box->peer->progressed = true;
        s_wake (self);
    }
}

//  Opening -----------------------------------------------------------------

int
trn_large_open (tern_peer_t *peer)
{
    assert (peer && !peer->large);
    struct trn_large *self = trn_alloc (sizeof *self);
    self->peer = peer;
    self->wake = -1;
    pthread_mutex_init (&self->opening, NULL);
    pthread_mutex_init (&self->lock, NULL);
    peer->large = self;
    return trn_store_bodies (peer->store, &self->bodies);
}

//  What was settled for good before needs no body; what it was settled in is
//  durable.
static void
s_prune (trn_box_t *box)
{
    size_t kept = 0;
    for (size_t index = 0; index < box->large_count; index++) {
        const s_ref_t ref = box->larges[index];
        atomic_fetch_add (&box->large_bytes, ref.size);
        if (trn_engine_settled_for_good (box->peer->engine, box->id, ref.seq)) {
            s_release (box, &ref);
        } else {
            box->larges[kept++] = ref;
        }
    }
    box->large_count = kept;
}

typedef struct {
    struct trn_large *large;
    s_ids_t unnamed;
} s_looking_t;

static void
s_look (void *arg, uint64_t id)
{
    s_looking_t *looking = arg;
    if (!trn_table_get (&looking->large->by_id, id)) {
        s_ids_add (&looking->unnamed, id);
    }
}

void
trn_large_restore (tern_peer_t *peer)
{
    assert (peer && peer->large);
    struct trn_large *self = peer->large;
    for (uint32_t index = 0; index < peer->box_count; index++) {
        s_prune (peer->boxes[index]);
    }
    s_looking_t looking = {.large = self};
    const int rc = trn_bodies_each (self->bodies, s_look, &looking);
    for (size_t index = 0; rc == TERN_OK && index < looking.unnamed.count;
         index++) {
        //  What cannot be removed now is found again by the next opening.
        (void) trn_bodies_remove (self->bodies, looking.unnamed.at[index]);
    }
    free (looking.unnamed.at);
}

//  Giving parts ------------------------------------------------------------

typedef struct {
    uint64_t id;
    uint32_t part, size;
} s_part_t;

//  Into buffer.  0, or as trn_bodies_read ().
static int
s_read_part (const struct trn_large *self, const uint8_t *ask, s_part_t *part,
             void *buffer)
{
    *part = (s_part_t) {
        .id = trn_get_u64 (ask + 16),
        .part = trn_get_u32 (ask + 24),
        .size = trn_get_u32 (ask + 28),
    };
    if (memcmp (ask, trn_store_uuid (self->peer->store), 16) != 0
        || part->part >= TRN_PARTS_OF_LARGE || part->size > TRN_LARGE_PART) {
        return TERN_ENOENT;
    }
    return trn_bodies_read (self->bodies, part->id,
                            (uint64_t) part->part * TRN_LARGE_PART, buffer,
                            part->size);
}

//  Whoever asks can make us say so: now and then.
static void
s_tell_damage (struct trn_large *self, const s_part_t *part)
{
    const int64_t now = trn_clock_ms ();
    if (now < self->damage_told_ms) {
        self->damage_untold++;
        return;
    }
    trn_events_addf (&self->peer->events, "TERN-LARGE-DAMAGED", TERN_LOG_ERROR,
                     "body=%016" PRIx64 " part=%" PRIu32 " suppressed=%" PRIu32,
                     part->id, part->part, self->damage_untold);
    self->damage_told_ms = now + TOLD_MS;
    self->damage_untold = 0;
}

static void
s_give (struct trn_large *self, const tern_msg_t *request, void *buffer)
{
    if (tern_msg_size (request) != TRN_LARGE_ASK_SIZE) {
        (void) tern_service_fail (self->service, request, "not a part");
        return;
    }
    s_part_t part;
    int rc = s_read_part (self, tern_msg_body (request), &part, buffer);
    tern_msg_t *msg = tern_msg_new (buffer, rc == TERN_OK ? part.size : 0);
    if (rc == TERN_ECORRUPT) {
        //  Shorter than its manifest says: an empty part will not fit.
        s_tell_damage (self, &part);
    } else if (rc != TERN_OK) {
        rc = tern_msg_set_key (msg, rc == TERN_ENOENT ? TRN_LARGE_GONE
                                                      : TRN_LARGE_UNREADABLE);
        assert (rc == TERN_OK);
    }
    //  Who asks has room for one answer; who is gone needs none.
    rc = tern_service_reply (self->service, request, msg, true, 0);
    (void) rc;
    tern_msg_destroy (&msg);
}

static void
s_remove_going (struct trn_large *self)
{
    pthread_mutex_lock (&self->lock);
    s_ids_t going = self->going;
    self->going = (s_ids_t) {0};
    pthread_mutex_unlock (&self->lock);
    for (size_t index = 0; index < going.count; index++) {
        trn_large_drop (self->peer, going.at[index]);
    }
    free (going.at);
}

static bool
s_stopping (struct trn_large *self)
{
    pthread_mutex_lock (&self->lock);
    const bool stopping = self->stopping;
    pthread_mutex_unlock (&self->lock);
    return stopping;
}

static void *
s_run (void *arg)
{
    struct trn_large *self = arg;
    void *buffer = trn_alloc (TRN_LARGE_PART);
    struct pollfd items[2] = {
        {.fd = tern_service_fd (self->service), .events = POLLIN},
        {.fd = self->wake, .events = POLLIN},
    };
    while (!s_stopping (self)) {
        s_remove_going (self);
        const tern_msg_t *request;
        while (!s_stopping (self)
               && (request = tern_service_recv (self->service, 0)) != NULL) {
            s_give (self, request, buffer);
        }
        poll (items, 2, -1);
        uint64_t count;
        const ssize_t got = read (self->wake, &count, sizeof count);
        (void) got;
    }
    s_remove_going (self);
    free (buffer);
    return NULL;
}

//  Under `opening`.
static int
s_start (struct trn_large *self)
{
    char place[TRN_NAME_MAX + 2];
    snprintf (place, sizeof place, "%%%s", self->peer->name);
    int rc = TERN_OK;
    if (self->wake < 0) {
        self->wake = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
        rc = self->wake < 0 ? TERN_ETOOBIG : TERN_OK;
    }
    if (rc == TERN_OK && !self->service) {
        rc = trn_service_open (&self->service, self->peer, place, NULL);
    }
    if (rc == TERN_OK) {
        //  The thread takes no signals: they are the application's.
        sigset_t all;
        sigset_t old;
        sigfillset (&all);
        pthread_sigmask (SIG_SETMASK, &all, &old);
        self->running = pthread_create (&self->thread, NULL, s_run, self) == 0;
        pthread_sigmask (SIG_SETMASK, &old, NULL);
        rc = self->running ? TERN_OK : TERN_ETOOBIG;
    }
    return rc;
}

int
trn_large_serve (tern_peer_t *peer)
{
    struct trn_large *self = peer->large;
    pthread_mutex_lock (&self->opening);
    const int rc = self->running ? TERN_OK : s_start (self);
    pthread_mutex_unlock (&self->opening);
    return rc;
}

int
trn_large_resume (tern_peer_t *peer)
{
    return peer->large->by_id.count ? trn_large_serve (peer) : TERN_OK;
}

//  Closing -----------------------------------------------------------------

void
trn_large_stop (tern_peer_t *peer)
{
    struct trn_large *self = peer->large;
    if (self->running) {
        pthread_mutex_lock (&self->lock);
        self->stopping = true;
        pthread_mutex_unlock (&self->lock);
        s_wake (self);
        pthread_join (self->thread, NULL);
        self->running = false;
    }
    tern_service_close (&self->service);
}

void
trn_large_settle (tern_peer_t *peer)
{
    for (uint32_t index = 0; index < peer->box_count; index++) {
        trn_box_t *box = peer->boxes[index];
        uint64_t stamp = 0;
        for (size_t at = 0; at < box->large_count; at++) {
            stamp
                = box->larges[at].stamp > stamp ? box->larges[at].stamp : stamp;
        }
        if (stamp
            && trn_outbox_wait_saved (box->outbox, stamp, LAST_MS) == TERN_OK) {
            trn_engine_on_saved (peer->engine, box->id,
                                 trn_outbox_saved (box->outbox),
                                 trn_clock_ms ());
            trn_large_saved (box);
        }
    }
    s_remove_going (peer->large);
}

void
trn_large_free (tern_peer_t *peer)
{
    struct trn_large *self = peer->large;
    peer->large = NULL;
    if (!self) {
        return;
    }
    for (size_t slot = 0; slot < self->by_id.capacity; slot++) {
        free (self->by_id.slots[slot].value);
    }
    trn_table_clear (&self->by_id);
    trn_bodies_close (&self->bodies);
    free (self->going.at);
    if (self->wake >= 0) {
        close (self->wake);
    }
    pthread_mutex_destroy (&self->opening);
    pthread_mutex_destroy (&self->lock);
    free (self);
}

//  For those who send ------------------------------------------------------

void
trn_large_drop (tern_peer_t *peer, uint64_t body)
{
    const int rc = trn_bodies_remove (peer->large->bodies, body);
    if (rc != TERN_OK && rc != TERN_ENOENT) {
        trn_events_addf (&peer->events, "TERN-LARGE-LEFT", TERN_LOG_WARNING,
                         "body=%016" PRIx64 " reason=\"%s\"", body,
                         tern_strerror (rc));
    }
}

int
trn_large_wait_room (trn_box_t *box, int timeout_ms)
{
    tern_peer_t *peer = box->peer;
    if (!box->large_limit) {
        return TERN_OK;
    }
    const int64_t until
        = timeout_ms < 0 ? INT64_MAX : trn_clock_ms () + timeout_ms;
    int rc = TERN_OK;
    pthread_mutex_lock (&peer->lock);
    while (rc == TERN_OK
           && atomic_load (&box->large_bytes) >= box->large_limit) {
        const int64_t left = until - trn_clock_ms ();
        if (box->at_limit == TRN_AT_LIMIT_REFUSE) {
            rc = TERN_EFULL;
        } else if (atomic_load (&peer->drains)) {
            rc = TERN_ECLOSED;
        } else if (left <= 0) {
            rc = timeout_ms == 0 ? TERN_EAGAIN : TERN_ETIMEOUT;
        } else {
            const struct timespec next
                = trn_clock_after (left < LOOK_MS ? (int) left : LOOK_MS);
            pthread_cond_timedwait (&peer->changed, &peer->lock, &next);
        }
    }
    pthread_mutex_unlock (&peer->lock);
    return rc;
}
