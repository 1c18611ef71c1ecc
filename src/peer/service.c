//  peer/service.c - answering, both forms
//
//  Knows: a service is a consumer of its queue, whose messages are the durable
//  requests; light ones are put in the same line, as parcels of one record that
//  know what they are.  So waiting, descriptors and fetching in the actor's
//  place are those of a consumer.
//
//  Invariants: a served call ends once: by its last reply, its failure, or when
//  nobody can answer it any more because its message is gone.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/service.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"
#include "peer/actor.h"
#include "peer/call.h"
#include "peer/consumer.h"
#include "peer/message.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define PREFETCH 16
#define PREFETCH_MAX 65536
#define PREFETCH_BYTES (8 * 1024 * 1024)

struct trn_served {
    atomic_uint references;  //  its parcel, the actor's table
    tern_peer_t *peer;
    tern_service_t *service;  //  while it is not finished
    uint64_t id;              //  the engine's task
    atomic_bool gone;         //  nobody waits
    atomic_bool finished;     //  ended here
    atomic_bool seen;         //  by the application

    //  The service's lock.
    uint64_t answers, bytes;
    uint64_t answers_max, bytes_max;
};

struct tern_service {
    tern_peer_t *peer;
    tern_consumer_t *consumer;
    char name[TRN_NAME_MAX + 2];

    //  Actor only.
    tern_service_t *next;  //  of the peer's
    uint32_t id;

    pthread_mutex_t lock;
    pthread_cond_t room;  //  for replies, or nobody waits
};

//  The actor's side --------------------------------------------------------

static void
s_release (trn_served_t *served)
{
    if (atomic_fetch_sub (&served->references, 1) == 1) {
        free (served);
    }
}

//  No action speaks of it any more.
static void
s_forget (tern_peer_t *peer, uint64_t id)
{
    trn_served_t *served = trn_table_get (&peer->tasks, id);
    if (served) {
        trn_table_remove (&peer->tasks, id);
        s_release (served);
    }
}

static void
s_serve (tern_peer_t *peer, const trn_action_t *action)
{
    tern_service_t *self = peer->services;
    while (self && self->id != action->call.service) {
        self = self->next;
    }
    if (!self || !peer->inrun) {
        return;
    }
    trn_served_t *served = trn_alloc (sizeof *served);
    atomic_init (&served->references, 2);
    served->peer = peer;
    served->service = self;
    served->id = action->call.number;
    served->answers_max = action->call.answers;
    served->bytes_max = action->call.bytes;
    trn_table_put (&peer->tasks, served->id, served);

    trn_parcel_t *parcel = trn_parcel_new (
        peer->inrun, peer->inrun_first, peer->inrun_first, peer->inrun_first);
    parcel->served = served;
    parcel->redelivered = action->call.repeated;
    parcel->deliveries = action->call.repeated ? 2 : 1;
    memcpy (parcel->store_uuid, peer->inrun_store, sizeof parcel->store_uuid);
    memcpy (parcel->publisher, peer->inrun_publisher, sizeof parcel->publisher);
    memcpy (parcel->outbox, peer->inrun_outbox, sizeof parcel->outbox);
    memcpy (parcel->queue, self->name, sizeof parcel->queue);
    trn_consumer_push (self->consumer, parcel);
}

void
trn_service_do (tern_peer_t *peer, const trn_action_t *action)
{
    if (action->type == TRN_DO_SERVE) {
        s_serve (peer, action);
        return;
    }
    if (action->type == TRN_DO_ANSWER) {
        trn_inbound_answer (peer, action->route, &action->frame, peer->answer);
        return;
    }
    trn_served_t *served = trn_table_get (&peer->tasks, action->call.number);
    if (!served || atomic_load (&served->finished)) {
        return;  //  its last reply is on the way
    }
    tern_service_t *self = served->service;
    pthread_mutex_lock (&self->lock);
    if (action->type == TRN_DO_TASK_ROOM) {
        served->answers_max = action->call.answers;
        served->bytes_max = action->call.bytes;
    } else {
        atomic_store (&served->gone, true);
    }
    pthread_cond_broadcast (&self->room);
    pthread_mutex_unlock (&self->lock);
    if (action->type == TRN_DO_TASK_GONE) {
        s_forget (peer, served->id);
    }
}

//  Ops ---------------------------------------------------------------------

typedef struct {
    trn_op_t op;
    trn_served_t *served;  //  one reference
    zmq_msg_t record;
    bool last;
    trn_failure_t reason;
    char words[TRN_TEXT_MAX + 1];
} s_answer_t;

static s_answer_t *
s_new_answer (trn_served_t *served)
{
    s_answer_t *answer = trn_alloc (sizeof *answer);
    answer->served = served;
    atomic_fetch_add (&served->references, 1);
    return answer;
}

static void
s_run_answer (tern_peer_t *peer, trn_op_t *op)
{
    s_answer_t *answer = (s_answer_t *) op;
    peer->answer = &answer->record;
    trn_engine_on_answer (peer->engine, answer->served->id,
                          (uint32_t) zmq_msg_size (&answer->record),
                          answer->last, trn_clock_ms ());
    trn_actor_drain (peer);
    peer->answer = NULL;
    if (answer->last) {
        s_forget (peer, answer->served->id);
    }
    zmq_msg_close (&answer->record);
    s_release (answer->served);
    free (answer);
}

static void
s_run_over (tern_peer_t *peer, trn_op_t *op)
{
    s_answer_t *answer = (s_answer_t *) op;
    trn_engine_on_task_over (peer->engine, answer->served->id, answer->reason,
                             answer->words, trn_clock_ms ());
    //  The words end with this op: let the engine finish.
    trn_actor_drain (peer);
    s_forget (peer, answer->served->id);
    s_release (answer->served);
    free (answer);
}

//  The first to end it tells the engine.  False: it has ended before.
static bool
s_finish (trn_served_t *served, const char *words, bool alone)
{
    if (atomic_exchange (&served->finished, true)) {
        return false;
    }
    s_answer_t *answer = s_new_answer (served);
    answer->op.run = s_run_over;
    answer->reason = TRN_FAIL_FAILED;
    strncpy (answer->words, words, sizeof answer->words - 1);
    trn_op_post (served->peer, &answer->op, alone);
    return true;
}

void
trn_served_release (trn_served_t **served_p)
{
    trn_served_t *served = *served_p;
    *served_p = NULL;
    s_finish (served, "the server gave no reply", false);
    s_release (served);
}

//  Open and close ----------------------------------------------------------

typedef struct {
    tern_service_t *service;
    uint32_t calls;
    uint32_t bytes;
} s_opening_t;

static void
s_open (tern_peer_t *peer, void *arg)
{
    const s_opening_t *opening = arg;
    tern_service_t *self = opening->service;
    self->id = trn_engine_add_service (peer->engine, self->name, opening->calls,
                                       opening->bytes, trn_clock_ms ());
    self->next = peer->services;
    peer->services = self;
}

int
tern_service_open (tern_service_t **self_p, tern_peer_t *peer,
                   const char *service, const tern_service_options_t *options)
{
    assert (self_p && peer && service);
    *self_p = NULL;
    uint32_t prefetch = options ? options->prefetch : 0;
    uint32_t bytes = options ? options->prefetch_bytes : 0;
    prefetch = prefetch ? prefetch : PREFETCH;
    prefetch = prefetch < PREFETCH_MAX ? prefetch : PREFETCH_MAX;
    bytes = bytes ? bytes : PREFETCH_BYTES;
    tern_service_t *self = trn_alloc (sizeof *self);
    const tern_consumer_options_t consuming
        = {.prefetch = prefetch, .prefetch_bytes = bytes};
    const int rc
        = tern_consumer_open (&self->consumer, peer, service, &consuming);
    if (rc != TERN_OK) {
        free (self);
        return rc;
    }
    self->peer = peer;
    memcpy (self->name, service, strlen (service));
    pthread_mutex_init (&self->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init (&attributes);
    pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
    pthread_cond_init (&self->room, &attributes);
    pthread_condattr_destroy (&attributes);
    s_opening_t opening = {self, prefetch, bytes};
    trn_actor_call (peer, s_open, &opening);
    *self_p = self;
    return TERN_OK;
}

//  What the application has not seen was not done by anybody.
static void
s_give_back (tern_peer_t *peer, tern_service_t *self, trn_served_t *served)
{
    if (served->service != self || atomic_exchange (&served->finished, true)) {
        return;
    }
    if (!atomic_load (&served->seen)) {
        trn_engine_on_task_over (peer->engine, served->id, TRN_FAIL_NOBODY, "",
                                 trn_clock_ms ());
    }
}

static void
s_close (tern_peer_t *peer, void *arg)
{
    tern_service_t *self = arg;
    trn_op_collect (peer);
    for (size_t slot = 0; slot < peer->tasks.capacity; slot++) {
        if (peer->tasks.slots[slot].value) {
            s_give_back (peer, self, peer->tasks.slots[slot].value);
        }
    }
    trn_engine_remove_service (peer->engine, self->id, trn_clock_ms ());
    //  Removing moves the slots behind, so look at a place until it is empty.
    for (size_t slot = 0; slot < peer->tasks.capacity;) {
        trn_served_t *served = peer->tasks.slots[slot].value;
        if (served && served->service == self) {
            s_forget (peer, served->id);
        } else {
            slot++;
        }
    }
    tern_service_t **link = &peer->services;
    while (*link != self) {
        link = &(*link)->next;
    }
    *link = self->next;
}

void
tern_service_close (tern_service_t **self_p)
{
    assert (self_p);
    tern_service_t *self = *self_p;
    if (!self) {
        return;
    }
    trn_actor_call (self->peer, s_close, self);
    tern_consumer_close (&self->consumer);
    pthread_cond_destroy (&self->room);
    pthread_mutex_destroy (&self->lock);
    free (self);
    *self_p = NULL;
}

//  Requests ----------------------------------------------------------------

bool
tern_service_wanted (const tern_service_t *self, const tern_msg_t *request)
{
    assert (self && request && request->parcel);
    const trn_served_t *served = request->parcel->served;
    return !served
           || (!atomic_load (&served->gone)
               && !atomic_load (&served->finished));
}

tern_msg_t *
tern_service_recv (tern_service_t *self, int timeout_ms)
{
    assert (self);
    const int64_t until_ms
        = timeout_ms < 0 ? INT64_MAX : trn_clock_ms () + timeout_ms;
    for (;;) {
        tern_msg_t *msg = tern_consumer_recv (self->consumer, timeout_ms);
        trn_served_t *served = msg ? msg->parcel->served : NULL;
        if (!served || tern_service_wanted (self, msg)) {
            if (served) {
                atomic_store (&served->seen, true);
            }
            return msg;
        }
        //  Too late for this one.
        s_finish (served, "", false);
        if (timeout_ms > 0) {
            const int64_t left = until_ms - trn_clock_ms ();
            timeout_ms = left > 0 ? (int) left : 0;
        }
    }
}

int
tern_service_fd (const tern_service_t *self)
{
    assert (self);
    return tern_consumer_fd (self->consumer);
}

//  Replies -----------------------------------------------------------------

//  Has nobody else been in line when this one is answered?
static bool
s_is_alone (tern_service_t *self)
{
    return atomic_load (&self->consumer->ready) == 0;
}

//  Wait for room and take it.  0, TERN_ENOENT, TERN_ETIMEOUT.
static int
s_take_room (tern_service_t *self, trn_served_t *served, uint64_t *number_p,
             int timeout_ms)
{
    const struct timespec until
        = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
    int expired = timeout_ms == 0;
    pthread_mutex_lock (&self->lock);
    while (!atomic_load (&served->gone) && !atomic_load (&served->finished)
           && (served->answers >= served->answers_max
               || served->bytes >= served->bytes_max)
           && !expired) {
        expired = timeout_ms < 0 ? pthread_cond_wait (&self->room, &self->lock)
                                 : pthread_cond_timedwait (&self->room,
                                                           &self->lock, &until);
    }
    int rc = TERN_OK;
    if (atomic_load (&served->gone) || atomic_load (&served->finished)) {
        rc = TERN_ENOENT;
    } else if (served->answers >= served->answers_max
               || served->bytes >= served->bytes_max) {
        rc = TERN_ETIMEOUT;
    } else {
        *number_p = served->answers + 1;
    }
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_reply_light (tern_service_t *self, trn_served_t *served,
               const tern_msg_t *reply, bool last, int timeout_ms)
{
    uint64_t number = 0;
    int rc = s_take_room (self, served, &number, timeout_ms);
    if (rc == TERN_ENOENT) {
        s_finish (served, "", false);
    }
    if (rc != TERN_OK) {
        return rc;
    }
    s_answer_t *answer = s_new_answer (served);
    rc = trn_call_pack (self->peer, self->name, reply, number, &answer->record);
    if (rc != TERN_OK || (last && atomic_exchange (&served->finished, true))) {
        if (rc == TERN_OK) {
            zmq_msg_close (&answer->record);
            rc = TERN_ENOENT;
        }
        s_release (served);
        free (answer);
        return rc;
    }
    pthread_mutex_lock (&self->lock);
    served->answers++;
    served->bytes += zmq_msg_size (&answer->record);
    pthread_mutex_unlock (&self->lock);
    answer->op.run = s_run_answer;
    answer->last = last;
    trn_op_post (self->peer, &answer->op, s_is_alone (self));
    return TERN_OK;
}

int
tern_service_reply (tern_service_t *self, const tern_msg_t *request,
                    const tern_msg_t *reply, bool last, int timeout_ms)
{
    assert (self && request && request->parcel && (reply || last));
    tern_msg_t *mark = reply ? NULL : trn_call_end_mark ();
    trn_served_t *served = request->parcel->served;
    const int rc
        = s_reply_light (self, served, reply ? reply : mark, last, timeout_ms);
    tern_msg_destroy (&mark);
    return rc;
}

int
tern_service_fail (tern_service_t *self, const tern_msg_t *request,
                   const char *why)
{
    assert (self && request && request->parcel && why);
    trn_served_t *served = request->parcel->served;
    const bool gone = atomic_load (&served->gone);
    return s_finish (served, why, s_is_alone (self)) && !gone ? TERN_OK
                                                              : TERN_ENOENT;
}
