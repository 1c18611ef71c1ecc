//  peer/requester.c - asking a service, both forms
//
//  Knows: an ask is one request.  It belongs to its requester until the
//  application has its last reply, and to the actor until no more can come; the
//  latter holds the request's bytes, to be able to repeat them.
//
//      begin ──▶ op ──▶ peer's table ──▶ heard ──▶ next
//                           │               ▲
//                           └── over ───────┘
//
//  A durable one is a message in the outbox of the service's queue, and waits at
//  the desk instead of the peer's table.
//
//  Invariants: an ask with something heard that nobody waits for by itself is
//  on its requester's list of ready ones, and only then is the descriptor
//  readable.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/call.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"
#include "peer/desk.h"
#include "peer/message.h"
#include "peer/service.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define OPEN_MAX 1024
#define OPEN_BYTES (64 * 1024 * 1024)

//  Replies of one request that may be on their way or wait to be taken.
#define AHEAD 8
#define AHEAD_BYTES (1024 * 1024)

//  Something heard of an ask.
typedef struct trn_heard {
    struct trn_heard *next;
    tern_reply_t reply;
    tern_msg_t *settle;  //  durable: to be settled when it is taken
    uint64_t size;       //  of its record
} trn_heard_t;

typedef struct trn_ask {
    trn_op_t begin, abandon;
    atomic_uint references;
    tern_requester_t *owner;
    uint64_t number;  //  the engine's
    trn_call_terms_t terms;
    zmq_msg_t record;  //  the actor's
    uint64_t size;

    //  The owner's lock.
    struct trn_ask *before, *after;  //  of the owner's open ones
    struct trn_ask *ready_before, *ready_after;
    trn_heard_t *heard, **heard_last;
    pthread_cond_t arrived;
    bool direct;  //  waited for by itself
    bool ready;   //  on the list
    bool abandoned;
    uint64_t taken, taken_bytes;

    trn_wanted_t wanted;  //  durable: the desk's
} trn_ask_t;

struct tern_requester {
    tern_peer_t *peer;
    char service[TRN_NAME_MAX + 2];
    bool once;
    uint32_t open_max;
    int fd;
    trn_desk_t *desk;  //  durable, else NULL
    tern_producer_t *producer;

    pthread_mutex_t lock;  //  the rest
    pthread_cond_t arrived;
    trn_ask_t *first;
    uint32_t open;
    uint64_t open_bytes;
    trn_ask_t *ready_first, *ready_last;
    bool fd_set;
};

//  Asks --------------------------------------------------------------------

static void
s_release (trn_ask_t *ask)
{
    if (atomic_fetch_sub (&ask->references, 1) != 1) {
        return;
    }
    assert (!ask->heard);
    zmq_msg_close (&ask->record);
    pthread_cond_destroy (&ask->arrived);
    free (ask);
}

//  Under lock.
static void
s_set_fd (tern_requester_t *self)
{
    const bool wanted = self->ready_first != NULL;
    uint64_t count = 1;
    if (wanted && !self->fd_set) {
        self->fd_set = write (self->fd, &count, sizeof count) == sizeof count;
    } else if (!wanted && self->fd_set) {
        self->fd_set = read (self->fd, &count, sizeof count) < 0;
    }
}

//  Under lock: put it on the list of ready ones, or off, as is right.
static void
s_update (tern_requester_t *self, trn_ask_t *ask)
{
    const bool ready = ask->heard && !ask->direct && !ask->abandoned;
    if (ready == ask->ready) {
        return;
    }
    ask->ready = ready;
    if (ready) {
        ask->ready_before = self->ready_last;
        ask->ready_after = NULL;
        *(self->ready_last ? &self->ready_last->ready_after
                           : &self->ready_first)
            = ask;
        self->ready_last = ask;
    } else {
        *(ask->ready_before ? &ask->ready_before->ready_after
                            : &self->ready_first)
            = ask->ready_after;
        *(ask->ready_after ? &ask->ready_after->ready_before
                           : &self->ready_last)
            = ask->ready_before;
    }
    s_set_fd (self);
}

//  Nobody takes it: settle it, and count it.
static void
s_drop (tern_requester_t *self, trn_heard_t *heard)
{
    const tern_msg_t *kept = heard->settle ? heard->settle : heard->reply.msg;
    if (self->desk && kept) {
        trn_desk_settle (self->desk, kept);
    }
    atomic_fetch_add (&self->peer->replies_dropped, kept != NULL);
    tern_msg_destroy (&heard->settle);
    tern_msg_destroy (&heard->reply.msg);
    free (heard);
}

//  Under lock: the application has done with it.
static void
s_forget (tern_requester_t *self, trn_ask_t *ask)
{
    ask->abandoned = true;
    while (ask->heard) {
        trn_heard_t *heard = ask->heard;
        ask->heard = heard->next;
        s_drop (self, heard);
    }
    s_update (self, ask);
    *(ask->before ? &ask->before->after : &self->first) = ask->after;
    if (ask->after) {
        ask->after->before = ask->before;
    }
    self->open--;
    self->open_bytes -= ask->size;
    s_release (ask);
}

//  Under lock.
static trn_ask_t *
s_find (tern_requester_t *self, uint64_t id)
{
    trn_ask_t *ask = self->first;
    while (ask && (ask->number != id || ask->direct)) {
        ask = ask->after;
    }
    return ask;
}

//  Actor -------------------------------------------------------------------

static trn_ask_t *
s_get (tern_peer_t *peer, uint64_t number)
{
    return trn_table_get (&peer->asks, number);
}

//  No more can be heard of it.
static void
s_end (tern_peer_t *peer, uint64_t number)
{
    trn_ask_t *ask = s_get (peer, number);
    trn_table_remove (&peer->asks, number);
    s_release (ask);
}

static void
s_begin (tern_peer_t *peer, trn_op_t *op)
{
    trn_ask_t *ask = (trn_ask_t *) op;
    trn_table_put (&peer->asks, ask->number, ask);
    trn_engine_on_call (peer->engine, ask->owner->service, &ask->terms,
                        trn_clock_ms ());
}

static void
s_abandon (tern_peer_t *peer, trn_op_t *op)
{
    trn_ask_t *ask
        = (trn_ask_t *) ((char *) op - offsetof (trn_ask_t, abandon));
    if (s_get (peer, ask->number)) {
        trn_engine_on_abandon (peer->engine, ask->number, trn_clock_ms ());
        s_end (peer, ask->number);
    }
    s_release (ask);
}

//  Room for more replies, told when a good part of it is used.
typedef struct {
    trn_op_t op;
    uint64_t number, answers, bytes;
} s_take_t;

static void
s_take (tern_peer_t *peer, trn_op_t *op)
{
    s_take_t *take = (s_take_t *) op;
    trn_engine_on_take (peer->engine, take->number, take->answers, take->bytes,
                        trn_clock_ms ());
    free (take);
}

static void
s_hear (trn_ask_t *ask, trn_heard_t *heard)
{
    tern_requester_t *self = ask->owner;
    pthread_mutex_lock (&self->lock);
    if (ask->abandoned) {
        s_drop (self, heard);
        pthread_mutex_unlock (&self->lock);
        return;
    }
    heard->reply.id = ask->number;
    *ask->heard_last = heard;
    ask->heard_last = &heard->next;
    s_update (self, ask);
    if (ask->direct) {
        pthread_cond_signal (&ask->arrived);
    } else {
        //  Those who wait may wait for different ones.
        pthread_cond_broadcast (&self->arrived);
    }
    pthread_mutex_unlock (&self->lock);
}

static void
s_on_answer (tern_peer_t *peer, trn_ask_t *ask, bool last)
{
    trn_heard_t *heard = trn_alloc (sizeof *heard);
    trn_parcel_t *parcel = trn_parcel_new (
        peer->inrun, peer->inrun_first, peer->inrun_first, peer->inrun_first);
    parcel->deliveries = 1;
    memcpy (parcel->store_uuid, peer->inrun_store, sizeof parcel->store_uuid);
    memcpy (parcel->publisher, peer->inrun_publisher, sizeof parcel->publisher);
    memcpy (parcel->outbox, peer->inrun_outbox, sizeof parcel->outbox);
    memcpy (parcel->queue, peer->inrun_outbox, sizeof parcel->queue);
    tern_msg_t *msg = trn_alloc (sizeof *msg);
    const bool there = trn_parcel_step (parcel, &msg->record);
    assert (there);  //  it was verified
    (void) there;
    msg->parcel = parcel;
    heard->reply.msg = msg;
    heard->reply.last = last;
    heard->size = trn_record_size (&msg->record);
    if (last && trn_call_marks (msg).empty) {
        tern_msg_destroy (&heard->reply.msg);
    }
    s_hear (ask, heard);
}

static void
s_on_over (trn_ask_t *ask, const trn_action_t *action)
{
    static const int statuses[] = {
        [TRN_CALL_FAILED] = TERN_EFAILED,
        [TRN_CALL_TIME_OUT] = TERN_ETIMEOUT,
        [TRN_CALL_NOBODY] = TERN_ENOROUTE,
        [TRN_CALL_LOST] = TERN_ELOST,
    };
    trn_heard_t *heard = trn_alloc (sizeof *heard);
    heard->reply.status = statuses[action->call.end];
    heard->reply.last = true;
    size_t size = action->call.words_size;
    size = size < sizeof heard->reply.why ? size : sizeof heard->reply.why - 1;
    if (size) {
        memcpy (heard->reply.why, action->call.words, size);
    }
    s_hear (ask, heard);
}

void
trn_requester_do (tern_peer_t *peer, const trn_action_t *action)
{
    trn_ask_t *ask = s_get (peer, action->call.number);
    if (!ask) {
        return;
    }
    if (action->type == TRN_DO_CALL) {
        trn_outlink_send_part (peer, action->link, &action->frame,
                               &ask->record);
    } else if (action->type == TRN_DO_ANSWERED) {
        s_on_answer (peer, ask, action->call.last);
        if (action->call.last) {
            s_end (peer, action->call.number);
        }
    } else {
        s_on_over (ask, action);
        s_end (peer, action->call.number);
    }
}

//  The desk ----------------------------------------------------------------

static trn_ask_t *
s_ask_of (trn_wanted_t *wanted)
{
    return (trn_ask_t *) ((char *) wanted - offsetof (trn_ask_t, wanted));
}

static bool
s_on_desk (trn_wanted_t *wanted, const trn_desk_reply_t *reply)
{
    trn_ask_t *ask = s_ask_of (wanted);
    trn_heard_t *heard = trn_alloc (sizeof *heard);
    heard->reply.status = reply->status;
    heard->reply.last = reply->last;
    if (reply->why.size) {
        memcpy (heard->reply.why, reply->why.at, reply->why.size);
    }
    //  A message that only says so is kept to be settled.
    *(reply->empty ? &heard->settle : &heard->reply.msg) = reply->msg;
    s_hear (ask, heard);
    return true;
}

static void
s_on_desk_done (trn_wanted_t *wanted)
{
    s_release (s_ask_of (wanted));
}

//  Store the request; it is on the disk when this returns.
static int
s_send (tern_requester_t *self, const trn_ask_t *ask, const tern_msg_t *request,
        int timeout_ms)
{
    char queue[TRN_NAME_MAX + 2];
    uint64_t seq = 0;
    tern_msg_t *msg = trn_call_copy (request);
    snprintf (queue, sizeof queue, "@%s", self->peer->name);
    int rc = tern_msg_set_reply_to (msg, queue);
    if (rc == TERN_OK) {
        rc = tern_msg_set_correlation (msg, ask->wanted.correlation);
    }
    if (rc == TERN_OK) {
        rc = tern_producer_send_msg (self->producer, msg, timeout_ms, &seq);
    }
    if (rc == TERN_OK) {
        rc = tern_producer_wait (self->producer, seq, TERN_SYNCED, -1);
    }
    tern_msg_destroy (&msg);
    return rc;
}

//  The application's own, or one that no other life of this peer gives.
static void
s_correlate (tern_requester_t *self, trn_ask_t *ask, const tern_msg_t *request,
             const char *resumed)
{
    char *correlation = ask->wanted.correlation;
    const char *own = resumed;
    size_t size = resumed ? strlen (resumed) : 0;
    if (!resumed && !request->parcel) {
        own = tern_msg_correlation (request, &size);
    }
    if (own && size) {
        memcpy (correlation, own, size);
    } else {
        snprintf (correlation, sizeof ask->wanted.correlation,
                  "%" PRIu64 ".%" PRIu64,
                  trn_store_incarnation (self->peer->store), ask->number);
    }
}

//  Open and close ----------------------------------------------------------

typedef struct {
    tern_requester_t *requester;
    int result;
} s_opening_t;

static void
s_open (tern_peer_t *peer, void *arg)
{
    s_opening_t *opening = arg;
    opening->result = trn_engine_add_need (
        peer->engine, opening->requester->service, trn_clock_ms ());
}

static void
s_close (tern_peer_t *peer, void *arg)
{
    const tern_requester_t *self = arg;
    trn_op_collect (peer);
    trn_engine_remove_need (peer->engine, self->service, trn_clock_ms ());
}

static int
s_open_durable (tern_requester_t *self)
{
    const int rc = tern_producer_open (&self->producer, self->peer,
                                       self->service, NULL, 0);
    return rc == TERN_OK ? trn_desk_acquire (self->peer, &self->desk) : rc;
}

static void
s_free (tern_requester_t **self_p)
{
    tern_requester_t *self = *self_p;
    tern_producer_close (&self->producer);
    trn_desk_release (&self->desk);
    if (self->fd >= 0) {
        close (self->fd);
    }
    pthread_cond_destroy (&self->arrived);
    pthread_mutex_destroy (&self->lock);
    free (self);
    *self_p = NULL;
}

static void
s_init_cond (pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init (&attributes);
    pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
    pthread_cond_init (cond, &attributes);
    pthread_condattr_destroy (&attributes);
}

int
tern_requester_open (tern_requester_t **self_p, tern_peer_t *peer,
                     const char *service,
                     const tern_requester_options_t *options)
{
    assert (self_p && peer && service);
    *self_p = NULL;
    return trn_queue_valid (service, strlen (service))
               ? trn_requester_open (self_p, peer, service, options)
               : TERN_ENAME;
}

int
trn_requester_open (tern_requester_t **self_p, tern_peer_t *peer,
                    const char *service,
                    const tern_requester_options_t *options)
{
    tern_requester_t *self = trn_alloc (sizeof *self);
    self->peer = peer;
    memcpy (self->service, service, strlen (service));
    self->once = options && options->once;
    self->open_max
        = options && options->open_max ? options->open_max : OPEN_MAX;
    pthread_mutex_init (&self->lock, NULL);
    s_init_cond (&self->arrived);
    self->fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    s_opening_t opening = {self, self->fd < 0 ? TERN_ETOOBIG : TERN_OK};
    if (opening.result == TERN_OK && options && options->durable) {
        opening.result = s_open_durable (self);
    } else if (opening.result == TERN_OK) {
        trn_actor_call (peer, s_open, &opening);
    }
    if (opening.result != TERN_OK) {
        s_free (&self);
        return opening.result;
    }
    *self_p = self;
    return TERN_OK;
}

//  Under lock: nobody waits for it.
static void
s_cancel (tern_requester_t *self, trn_ask_t *ask)
{
    if (self->desk) {
        //  Our lock is behind the desk's, so the desk finds it dead.
        atomic_store (&ask->wanted.dead, true);
        s_forget (self, ask);
        return;
    }
    atomic_fetch_add (&ask->references, 1);  //  the op's
    ask->abandon.run = s_abandon;
    trn_op_post (self->peer, &ask->abandon, false);
    s_forget (self, ask);
}

void
tern_requester_close (tern_requester_t **self_p)
{
    assert (self_p);
    tern_requester_t *self = *self_p;
    if (!self) {
        return;
    }
    if (self->desk) {
        trn_desk_leave (self->desk);
    }
    pthread_mutex_lock (&self->lock);
    while (self->first) {
        s_cancel (self, self->first);
    }
    pthread_mutex_unlock (&self->lock);
    if (self->desk) {
        trn_desk_sweep (self->desk);
    } else {
        trn_actor_call (self->peer, s_close, self);
    }
    s_free (self_p);
}

//  Asking ------------------------------------------------------------------

//  Wait at the desk first, so that no reply can miss us.  request NULL: it was
//  sent in an earlier life.
static int
s_ask_durable (tern_requester_t *self, trn_ask_t *ask,
               const tern_msg_t *request, int timeout_ms, bool shared)
{
    ask->wanted.due_ms = ask->terms.due_ms;
    ask->wanted.hear = s_on_desk;
    ask->wanted.done = s_on_desk_done;
    if (shared) {
        //  Another thread may take the reply before we are done here.
        atomic_fetch_add (&ask->references, 1);
    }
    trn_desk_add (self->desk, &ask->wanted);
    const int rc = request ? s_send (self, ask, request, timeout_ms) : TERN_OK;
    if (rc != TERN_OK) {
        pthread_mutex_lock (&self->lock);
        if (!ask->abandoned) {
            s_cancel (self, ask);
        }
        pthread_mutex_unlock (&self->lock);
        trn_desk_sweep (self->desk);
    }
    if (shared) {
        s_release (ask);
    }
    return rc;
}

static int
s_ask (tern_requester_t *self, const tern_msg_t *request, const char *resumed,
       int timeout_ms, trn_ask_t **direct_p, uint64_t *id_p)
{
    if (timeout_ms == 0 || timeout_ms < -1) {
        return TERN_EINVAL;
    }
    trn_ask_t *ask = trn_alloc (sizeof *ask);
    ask->owner = self;
    ask->direct = direct_p != NULL;
    ask->heard_last = &ask->heard;
    ask->begin.run = s_begin;
    atomic_init (&ask->references, 2);
    ask->number = atomic_fetch_add (&self->peer->call_number, 1) + 1;
    zmq_msg_init (&ask->record);
    int rc = TERN_OK;
    if (self->desk) {
        ask->size = request ? request->record.body_size : 0;
        s_correlate (self, ask, request, resumed);
    } else {
        rc = trn_call_pack (self->peer, self->service, request, ask->number,
                            &ask->record);
        ask->size = zmq_msg_size (&ask->record);
    }
    if (rc != TERN_OK) {
        free (ask);
        return rc;
    }
    s_init_cond (&ask->arrived);
    ask->terms = (trn_call_terms_t) {
        .number = ask->number,
        .answers = AHEAD,
        .bytes = AHEAD_BYTES,
        .due_ms = timeout_ms < 0 ? INT64_MAX : trn_clock_ms () + timeout_ms,
        .once = self->once,
    };
    pthread_mutex_lock (&self->lock);
    const bool full = self->open >= self->open_max
                      || (self->open && self->open_bytes >= OPEN_BYTES);
    if (!full) {
        ask->after = self->first;
        if (self->first) {
            self->first->before = ask;
        }
        self->first = ask;
        self->open++;
        self->open_bytes += ask->size;
    }
    const bool alone = self->open == 1;
    pthread_mutex_unlock (&self->lock);
    if (full) {
        atomic_store (&ask->references, 1);
        s_release (ask);
        return TERN_EAGAIN;
    }
    //  Once it is posted it may be over, and another thread may take the reply.
    if (direct_p) {
        *direct_p = ask;
    } else {
        *id_p = ask->number;
    }
    if (!self->desk) {
        trn_op_post (self->peer, &ask->begin, alone);
        return TERN_OK;
    }
    return s_ask_durable (self, ask, request, timeout_ms, !direct_p);
}

//  Under lock: take what was heard first.
static void
s_pop (tern_requester_t *self, trn_ask_t *ask, tern_reply_t *reply)
{
    trn_heard_t *heard = ask->heard;
    ask->heard = heard->next;
    if (!ask->heard) {
        ask->heard_last = &ask->heard;
    }
    *reply = heard->reply;
    if (self->desk && (heard->settle || reply->msg)) {
        trn_desk_settle (self->desk,
                         heard->settle ? heard->settle : reply->msg);
        tern_msg_destroy (&heard->settle);
    }
    ask->taken++;
    ask->taken_bytes += heard->size;
    free (heard);
    s_update (self, ask);
    if (reply->last) {
        s_forget (self, ask);
        return;
    }
    if (self->desk) {
        return;
    }
    const bool low = ask->terms.answers - ask->taken <= AHEAD / 2
                     || ask->terms.bytes - ask->taken_bytes <= AHEAD_BYTES / 2
                     || ask->taken_bytes >= ask->terms.bytes;
    if (low) {
        ask->terms.answers = ask->taken + AHEAD;
        ask->terms.bytes = ask->taken_bytes + AHEAD_BYTES;
        s_take_t *take = trn_alloc (sizeof *take);
        take->op.run = s_take;
        take->number = ask->number;
        take->answers = ask->terms.answers;
        take->bytes = ask->terms.bytes;
        trn_op_post (self->peer, &take->op, false);
    }
}

int
tern_requester_request (tern_requester_t *self, const tern_msg_t *request,
                        int timeout_ms, tern_msg_t **reply_p, char *why,
                        size_t why_size)
{
    assert (self && request && reply_p);
    *reply_p = NULL;
    if (why && why_size) {
        why[0] = 0;
    }
    trn_ask_t *ask = NULL;
    int rc = s_ask (self, request, NULL, timeout_ms, &ask, NULL);
    if (rc != TERN_OK) {
        return rc;
    }
    //  The engine keeps the time: something is heard when it is over.
    tern_reply_t reply;
    pthread_mutex_lock (&self->lock);
    while (!ask->heard) {
        pthread_cond_wait (&ask->arrived, &self->lock);
    }
    s_pop (self, ask, &reply);
    if (!reply.last) {
        s_cancel (self, ask);
    }
    pthread_mutex_unlock (&self->lock);
    *reply_p = reply.msg;
    rc = reply.status;
    if (why && why_size) {
        snprintf (why, why_size, "%s", reply.why);
    }
    return rc;
}

int
tern_requester_begin (tern_requester_t *self, const tern_msg_t *request,
                      int timeout_ms, uint64_t *id_p)
{
    assert (self && request && id_p);
    return s_ask (self, request, NULL, timeout_ms, NULL, id_p);
}

int
tern_requester_resume (tern_requester_t *self, const char *correlation,
                       int timeout_ms, uint64_t *id_p)
{
    assert (self && correlation && id_p);
    const size_t size = strlen (correlation);
    if (!self->desk) {
        return TERN_ENOTSUP;
    }
    if (size == 0 || size > TRN_WORD_MAX) {
        return TERN_EINVAL;
    }
    return s_ask (self, NULL, correlation, timeout_ms, NULL, id_p);
}

int
tern_requester_correlation (tern_requester_t *self, uint64_t id,
                            char correlation[128])
{
    assert (self && correlation);
    pthread_mutex_lock (&self->lock);
    const trn_ask_t *ask = self->desk ? s_find (self, id) : NULL;
    if (ask) {
        memcpy (correlation, ask->wanted.correlation,
                sizeof ask->wanted.correlation);
    }
    pthread_mutex_unlock (&self->lock);
    return ask ? TERN_OK : TERN_ENOENT;
}

//  Under lock: has this one, or anyone with 0, something to take?
static trn_ask_t *
s_find_ready (tern_requester_t *self, uint64_t id, bool *known_p)
{
    trn_ask_t *ask = id ? s_find (self, id) : self->ready_first;
    *known_p = ask || !id;
    return ask && ask->heard ? ask : NULL;
}

int
tern_requester_next (tern_requester_t *self, uint64_t id, tern_reply_t *reply,
                     int timeout_ms)
{
    assert (self && reply);
    const struct timespec until
        = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
    int expired = timeout_ms == 0;
    bool known = true;
    pthread_mutex_lock (&self->lock);
    trn_ask_t *ask;
    while (!(ask = s_find_ready (self, id, &known)) && known && !expired) {
        expired = timeout_ms < 0
                      ? pthread_cond_wait (&self->arrived, &self->lock)
                      : pthread_cond_timedwait (&self->arrived, &self->lock,
                                                &until);
    }
    if (ask) {
        s_pop (self, ask, reply);
    }
    pthread_mutex_unlock (&self->lock);
    if (ask) {
        return TERN_OK;
    }
    return known ? TERN_ETIMEOUT : TERN_ENOENT;
}

int
tern_requester_cancel (tern_requester_t *self, uint64_t id)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    trn_ask_t *ask = s_find (self, id);
    if (ask) {
        s_cancel (self, ask);
        pthread_cond_broadcast (&self->arrived);
    }
    pthread_mutex_unlock (&self->lock);
    return ask ? TERN_OK : TERN_ENOENT;
}

int
tern_requester_fd (tern_requester_t *self)
{
    assert (self);
    return self->fd;
}

//  Asking the actor --------------------------------------------------------

static void
s_stats (tern_peer_t *peer, void *arg)
{
    tern_request_stats_t *stats = arg;
    trn_engine_stats_t found;
    trn_engine_stats (peer->engine, &found);
    *stats = (tern_request_stats_t) {
        .sent = atomic_load (&peer->call_number),
        .repeated = found.calls_repeated,
        .replies = found.answers,
        .dropped = found.answers_late + atomic_load (&peer->replies_dropped),
        .busy = found.served_busy,
        .served = found.served,
    };
}

void
tern_peer_request_stats (tern_peer_t *peer, tern_request_stats_t *stats)
{
    assert (peer && stats);
    trn_actor_call (peer, s_stats, stats);
}
