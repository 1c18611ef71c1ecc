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
#include <stdio.h>
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

//  Where durable replies to one peer go.
typedef struct s_outlet {
    struct s_outlet *next;
    tern_producer_t *producer;
    char queue[TRN_NAME_MAX + 2];
} s_outlet_t;

//  A durable request with replies, but not the last.
typedef struct s_stream {
    struct s_stream *next;
    uint8_t store_uuid[16];
    char outbox[TRN_NAME_MAX + 2];
    uint64_t seq;
    uint64_t parts;  //  sent
} s_stream_t;

struct tern_service {
    tern_peer_t *peer;
    tern_consumer_t *consumer;
    char name[TRN_NAME_MAX + 2];

    //  Actor only.
    tern_service_t *next;  //  of the peer's
    uint32_t id;

    pthread_mutex_t lock;
    pthread_cond_t room;  //  for replies, or nobody waits
    s_outlet_t *outlets;  //  of durable replies
    s_stream_t *streams;  //  durable requests replied to in part
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
    trn_call_words (answer->words, words);
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
    return trn_queue_valid (service, strlen (service))
               ? trn_service_open (self_p, peer, service, options)
               : TERN_ENAME;
}

int
trn_service_open (tern_service_t **self_p, tern_peer_t *peer,
                  const char *service, const tern_service_options_t *options)
{
    uint32_t prefetch = options ? options->prefetch : 0;
    uint32_t bytes = options ? options->prefetch_bytes : 0;
    prefetch = prefetch ? prefetch : PREFETCH;
    prefetch = prefetch < PREFETCH_MAX ? prefetch : PREFETCH_MAX;
    bytes = bytes ? bytes : PREFETCH_BYTES;
    tern_service_t *self = trn_alloc (sizeof *self);
    const tern_consumer_options_t consuming
        = {.prefetch = prefetch, .prefetch_bytes = bytes};
    const int rc
        = trn_consumer_open (&self->consumer, peer, service, &consuming);
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
    while (self->outlets) {
        s_outlet_t *outlet = self->outlets;
        self->outlets = outlet->next;
        tern_producer_close (&outlet->producer);
        free (outlet);
    }
    while (self->streams) {
        s_stream_t *stream = self->streams;
        self->streams = stream->next;
        free (stream);
    }
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

//  Durable replies -----------------------------------------------------------

//  The outlet to a private queue, opened if there is none.
static int
s_find_outlet (tern_service_t *self, const char *queue,
               tern_producer_t **producer_p)
{
    int rc = TERN_OK;
    pthread_mutex_lock (&self->lock);
    s_outlet_t *outlet = self->outlets;
    while (outlet && strcmp (outlet->queue, queue) != 0) {
        outlet = outlet->next;
    }
    if (!outlet) {
        outlet = trn_alloc (sizeof *outlet);
        snprintf (outlet->queue, sizeof outlet->queue, "%s", queue);
        rc = tern_producer_open (&outlet->producer, self->peer, queue, NULL, 0);
        if (rc == TERN_OK) {
            outlet->next = self->outlets;
            self->outlets = outlet;
        } else {
            free (outlet);
            outlet = NULL;
        }
    }
    *producer_p = outlet ? outlet->producer : NULL;
    pthread_mutex_unlock (&self->lock);
    return rc;
}

//  Under lock: the place of this request in the list of streams.
static s_stream_t **
s_find_stream (tern_service_t *self, const tern_msg_t *request)
{
    const trn_parcel_t *parcel = request->parcel;
    s_stream_t **link = &self->streams;
    while (*link
           && ((*link)->seq != request->record.seq
               || memcmp ((*link)->store_uuid, parcel->store_uuid, 16) != 0
               || strcmp ((*link)->outbox, parcel->outbox) != 0)) {
        link = &(*link)->next;
    }
    return link;
}

static uint64_t
s_parts (tern_service_t *self, const tern_msg_t *request)
{
    pthread_mutex_lock (&self->lock);
    s_stream_t *const *link = s_find_stream (self, request);
    const uint64_t parts = *link ? (*link)->parts : 0;
    pthread_mutex_unlock (&self->lock);
    return parts;
}

static void
s_note_part (tern_service_t *self, const tern_msg_t *request, bool last)
{
    pthread_mutex_lock (&self->lock);
    s_stream_t **link = s_find_stream (self, request);
    if (!*link && !last) {
        s_stream_t *stream = trn_alloc (sizeof *stream);
        memcpy (stream->store_uuid, request->parcel->store_uuid, 16);
        memcpy (stream->outbox, request->parcel->outbox, sizeof stream->outbox);
        stream->seq = request->record.seq;
        *link = stream;
    }
    s_stream_t *stream = *link;
    if (stream && last) {
        *link = stream->next;
        free (stream);
    } else if (stream) {
        stream->parts++;
    }
    pthread_mutex_unlock (&self->lock);
}

//  Where the reply goes, and what it is known by.  NULL: nobody waits.
static int
s_address (tern_service_t *self, const tern_msg_t *request, tern_msg_t *msg,
           tern_producer_t **producer_p)
{
    char queue[TRN_NAME_MAX + 2] = "";
    char correlation[TRN_WORD_MAX + 1] = "";
    size_t size = 0;
    const char *text = tern_msg_reply_to (request, &size);
    *producer_p = NULL;
    //  Only to private queues: a request cannot make us publish elsewhere.
    if (!text || size == 0 || size >= sizeof queue || text[0] != '@') {
        return TERN_OK;
    }
    memcpy (queue, text, size);
    text = tern_msg_correlation (request, &size);
    if (text && size < sizeof correlation) {
        memcpy (correlation, text, size);
    }
    int rc = TERN_OK;
    if (correlation[0]) {
        rc = tern_msg_set_correlation (msg, correlation);
    }
    return rc == TERN_OK ? s_find_outlet (self, queue, producer_p) : rc;
}

//  Send it, and with the last settle the request when that is on the disk: if we
//  die between, both come again, and the requester drops what it knows.
static int
s_send_durable (tern_service_t *self, const tern_msg_t *request,
                tern_msg_t *msg, bool last, int timeout_ms)
{
    tern_producer_t *producer = NULL;
    uint64_t seq = 0;
    int rc = trn_call_set_part (msg, s_parts (self, request) + 1);
    if (rc == TERN_OK) {
        rc = s_address (self, request, msg, &producer);
    }
    if (rc == TERN_OK && producer) {
        rc = tern_producer_send_msg (producer, msg, timeout_ms, &seq);
    }
    if (rc == TERN_OK && producer) {
        rc = tern_producer_wait (producer, seq, TERN_SYNCED, -1);
    }
    if (rc == TERN_OK) {
        s_note_part (self, request, last);
    }
    return rc == TERN_OK && last
               ? tern_consumer_accept (self->consumer, request)
               : rc;
}

static int
s_reply_durable (tern_service_t *self, const tern_msg_t *request,
                 const tern_msg_t *reply, bool last, int timeout_ms)
{
    if (request->settled) {
        return TERN_ENOENT;
    }
    tern_msg_t *msg = trn_call_copy (reply);
    int rc = last ? trn_call_set_end (msg, !reply) : TERN_OK;
    if (rc == TERN_OK) {
        rc = s_send_durable (self, request, msg, last, timeout_ms);
    }
    tern_msg_destroy (&msg);
    return rc;
}

static int
s_fail_durable (tern_service_t *self, const tern_msg_t *request,
                const char *why)
{
    if (request->settled) {
        return TERN_ENOENT;
    }
    tern_msg_t *msg = trn_call_copy (NULL);
    int rc = trn_call_set_fail (msg, why);
    if (rc == TERN_OK) {
        rc = s_send_durable (self, request, msg, true, -1);
    }
    tern_msg_destroy (&msg);
    return rc;
}

//  Both ----------------------------------------------------------------------

int
tern_service_reply (tern_service_t *self, const tern_msg_t *request,
                    const tern_msg_t *reply, bool last, int timeout_ms)
{
    assert (self && request && request->parcel && (reply || last));
    trn_served_t *served = request->parcel->served;
    if (!served) {
        return s_reply_durable (self, request, reply, last, timeout_ms);
    }
    if (reply) {
        return s_reply_light (self, served, reply, last, timeout_ms);
    }
    tern_msg_t *mark = trn_call_copy (NULL);
    int rc = trn_call_set_end (mark, true);
    if (rc == TERN_OK) {
        rc = s_reply_light (self, served, mark, last, timeout_ms);
    }
    tern_msg_destroy (&mark);
    return rc;
}

int
tern_service_fail (tern_service_t *self, const tern_msg_t *request,
                   const char *why)
{
    assert (self && request && request->parcel && why);
    trn_served_t *served = request->parcel->served;
    if (!served) {
        return s_fail_durable (self, request, why);
    }
    const bool gone = atomic_load (&served->gone);
    return s_finish (served, why, s_is_alone (self)) && !gone ? TERN_OK
                                                              : TERN_ENOENT;
}
