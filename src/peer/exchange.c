//  peer/exchange.c - an outbox whose messages go to the queues that are bound
//
//  Knows: how bindings become queues of the outbox, and where a message goes.
//
//      directory ─▶ roster ─▶ bindings ─▶ engine: queues by number
//                                     └─▶ router (lock) ◀─ publisher: targets
//
//  A number is in the router only while the engine has its queue: added there
//  first, removed there last.  A publisher that routed just before a queue went
//  names a number that the engine passes over.
//
//  The alternate exchange's bindings are routed here too, into this outbox: so a
//  message has one seq, whichever way it goes.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/exchange.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

//  A queue of the outbox, by its number.
typedef struct {
    char name[TRN_NAME_MAX + 2];
    uint32_t bindings;  //  that lead to it, of both exchanges
    bool live;          //  the engine has it
} s_queue_t;

struct trn_exchange {
    char name[TRN_NAME_MAX + 1];
    pthread_mutex_t lock;  //  the rest; changed by the actor only
    trn_exchange_spec_t spec;
    trn_router_t *router;
    trn_router_t *alternate;  //  of what was not routed; NULL none
    trn_exchange_type_t alternate_type;
    s_queue_t *queues;  //  [number - 1]
    size_t queue_count;
    size_t live;
    bool refused;  //  a bound queue found no room
};

//  What it is ---------------------------------------------------------------

size_t
trn_exchange_pack (const trn_exchange_spec_t *spec,
                   uint8_t to[TRN_EXCHANGE_SPEC_MAX])
{
    assert (spec && to);
    const size_t size = strlen (spec->alternate);
    to[0] = VERSION;
    to[1] = (uint8_t) spec->type;
    to[2] = 0;
    to[3] = (uint8_t) size;
    trn_put_u64 (to + 4, spec->retain_ms);
    trn_put_u64 (to + 12, spec->retain_bytes);
    memcpy (to + 20, spec->alternate, size);
    return 20 + size;
}

size_t
trn_exchange_unpack (trn_exchange_spec_t *spec, const uint8_t *bytes,
                     size_t size)
{
    assert (spec && (bytes || !size));
    *spec = (trn_exchange_spec_t) {0};
    if (size < 20 || bytes[0] != VERSION || bytes[1] < TRN_EXCHANGE_DIRECT
        || bytes[1] > TRN_EXCHANGE_HEADERS || bytes[3] > TRN_NAME_MAX
        || size < 20u + bytes[3]) {
        return 0;
    }
    spec->type = (trn_exchange_type_t) bytes[1];
    spec->retain_ms = trn_get_u64 (bytes + 4);
    spec->retain_bytes = trn_get_u64 (bytes + 12);
    memcpy (spec->alternate, bytes + 20, bytes[3]);
    if (bytes[3] && !trn_name_valid (spec->alternate, bytes[3])) {
        return 0;
    }
    return 20u + bytes[3];
}

bool
trn_exchange_routed (const trn_exchange_spec_t *spec)
{
    return spec->type != TRN_EXCHANGE_FANOUT;
}

trn_exchange_t *
trn_exchange_new (const trn_exchange_spec_t *spec, const char *name)
{
    assert (spec && name && strlen (name) <= TRN_NAME_MAX);
    trn_exchange_t *self = trn_alloc (sizeof *self);
    snprintf (self->name, sizeof self->name, "%.63s", name);
    pthread_mutex_init (&self->lock, NULL);
    self->spec = *spec;
    self->router = trn_router_new (spec->type);
    return self;
}

void
trn_exchange_destroy (trn_exchange_t **self_p)
{
    assert (self_p);
    trn_exchange_t *self = *self_p;
    *self_p = NULL;
    if (self) {
        trn_router_destroy (&self->router);
        trn_router_destroy (&self->alternate);
        free (self->queues);
        pthread_mutex_destroy (&self->lock);
        free (self);
    }
}

const trn_exchange_spec_t *
trn_exchange_spec (const trn_exchange_t *self)
{
    return &self->spec;
}

typedef struct {
    const char *name;
    trn_exchange_type_t type;
} s_asking_t;

static void
s_ask_type (tern_peer_t *peer, void *arg)
{
    s_asking_t *asking = arg;
    asking->type = trn_bindings_type (trn_roster_bindings (peer->roster),
                                      trn_text (asking->name));
}

bool
trn_exchange_type_free (tern_peer_t *peer, const char *name,
                        trn_exchange_type_t type)
{
    assert (peer && name);
    s_asking_t asking = {name, type};
    trn_actor_call (peer, s_ask_type, &asking);
    //  0: it has no binding
    return !asking.type || asking.type == type;
}

//  Queues ------------------------------------------------------------------

//  Lock held: note a queue that the engine has.
static s_queue_t *
s_note_queue (trn_exchange_t *self, uint32_t number, trn_text_t name)
{
    assert (number > 0);
    if (number > self->queue_count) {
        self->queues
            = trn_realloc (self->queues, number * sizeof *self->queues);
        memset (self->queues + self->queue_count, 0,
                (number - self->queue_count) * sizeof *self->queues);
        self->queue_count = number;
    }
    s_queue_t *queue = &self->queues[number - 1];
    if (!queue->live) {
        memcpy (queue->name, name.at, name.size);
        queue->name[name.size] = 0;
        queue->live = true;
        self->live++;
    }
    return queue;
}

static uint32_t
s_find_queue (const trn_exchange_t *self, trn_text_t name)
{
    for (size_t index = 0; index < self->queue_count; index++) {
        if (self->queues[index].live
            && trn_text_is (name, self->queues[index].name)) {
            return (uint32_t) index + 1;
        }
    }
    return 0;
}

uint32_t
trn_exchange_add_queue (trn_box_t *box, trn_text_t queue, uint64_t from)
{
    assert (box && box->exchange && queue.size < sizeof box->queue);
    trn_exchange_t *self = box->exchange;
    tern_peer_t *peer = box->peer;
    uint32_t number = 0;
    char name[TRN_NAME_MAX + 2];
    memcpy (name, queue.at, queue.size);
    name[queue.size] = 0;
    const int rc = trn_engine_add_queue (peer->engine, box->id, name, from,
                                         &number, trn_clock_ms ());
    if (rc != TERN_OK) {
        trn_events_addf (&peer->events, "TERN-EXCHANGE-FULL", TERN_LOG_WARNING,
                         "exchange=%s queue=%s reason=\"%s\"", self->name, name,
                         tern_strerror (rc));
        self->refused = true;
        return 0;
    }
    trn_box_set_policy (box, number, name);
    pthread_mutex_lock (&self->lock);
    s_note_queue (self, number, queue);
    pthread_mutex_unlock (&self->lock);
    return number;
}

//  The number of a queue, which the engine gets to know if it does not.  0 if it
//  takes no more.
static uint32_t
s_add_queue (trn_box_t *box, const trn_binding_t *binding)
{
    uint32_t number = s_find_queue (box->exchange, binding->queue);
    const uint64_t next = trn_log_appended (trn_outbox_log (box->outbox)) + 1;
    if (!number) {
        number = trn_exchange_add_queue (box, binding->queue, next);
        trn_crowd_recount (box, 0);
    }
    return number;
}

static void
s_remove_queue (trn_box_t *box, uint32_t number)
{
    trn_exchange_t *self = box->exchange;
    pthread_mutex_lock (&self->lock);
    self->queues[number - 1].live = false;
    self->live--;
    pthread_mutex_unlock (&self->lock);
    trn_engine_remove_queue (box->peer->engine, box->id, number,
                             trn_clock_ms ());
    trn_crowd_recount (box, 0);
}

//  Bindings ----------------------------------------------------------------

//  The router that this binding belongs to, made if it is the alternate's; NULL
//  if it is for another exchange or of another type.
static trn_router_t *
s_router (trn_exchange_t *self, const trn_binding_t *binding)
{
    if (trn_text_is (binding->exchange, self->name)) {
        return binding->type == self->spec.type ? self->router : NULL;
    }
    if (!self->spec.alternate[0]
        || !trn_text_is (binding->exchange, self->spec.alternate)) {
        return NULL;
    }
    if (!self->alternate && !binding->removed) {
        self->alternate = trn_router_new (binding->type);
        self->alternate_type = binding->type;
    }
    return self->alternate_type == binding->type ? self->alternate : NULL;
}

//  Bound or not, it leads to its queue once.
static void
s_bind (trn_box_t *box, const trn_binding_t *binding)
{
    trn_exchange_t *self = box->exchange;
    const uint32_t number = s_add_queue (box, binding);
    if (!number) {
        return;
    }
    pthread_mutex_lock (&self->lock);
    trn_router_t *router = s_router (self, binding);
    assert (router);
    const bool known = trn_router_unbind (router, binding, number);
    const int rc = trn_router_bind (router, binding, number);
    self->queues[number - 1].bindings += rc == TERN_OK && !known;
    pthread_mutex_unlock (&self->lock);
}

static void
s_unbind (trn_box_t *box, const trn_binding_t *binding)
{
    trn_exchange_t *self = box->exchange;
    const uint32_t number = s_find_queue (self, binding->queue);
    if (!number) {
        return;
    }
    pthread_mutex_lock (&self->lock);
    s_queue_t *queue = &self->queues[number - 1];
    const bool known
        = trn_router_unbind (s_router (self, binding), binding, number);
    queue->bindings -= known;
    const bool last = known && !queue->bindings;
    pthread_mutex_unlock (&self->lock);
    //  Bindings are told one by one, and another may follow: before all are told
    //  for the first time, it is not the last.
    if (last && atomic_load (&box->peer->bindings_known)) {
        s_remove_queue (box, number);
    }
}

//  Shall its queue get something that was published before?  What leads to it by
//  the alternate exchange is of now only.
static bool
s_in_past (trn_box_t *box, const trn_binding_t *binding)
{
    if (s_find_queue (box->exchange, binding->queue)) {
        return false;
    }
    return trn_past_has (box, binding->queue)
           || (binding->from != TRN_FROM_NEW
               && trn_text_is (binding->exchange, box->exchange->name));
}

//  Whatever a binding calls for, once.
static void
s_take (trn_box_t *box, const trn_binding_t *binding)
{
    trn_exchange_t *self = box->exchange;
    pthread_mutex_lock (&self->lock);
    const bool ours = s_router (self, binding) != NULL;
    pthread_mutex_unlock (&self->lock);
    if (!ours) {
        return;
    }
    if (binding->removed) {
        if (!trn_past_unbind (box, binding)) {
            s_unbind (box, binding);
        }
    } else if (s_in_past (box, binding)) {
        trn_past_bind (box, binding);
    } else {
        s_bind (box, binding);
    }
}

static void
s_take_bindings (trn_box_t *box)
{
    const trn_bindings_t *bindings = trn_roster_bindings (box->peer->roster);
    trn_binding_t binding;
    for (size_t index = 0; trn_bindings_at (bindings, index, &binding);
         index++) {
        if (!binding.removed) {
            s_take (box, &binding);
        }
    }
}

//  A queue has gone: there is room for one that found none.
static void
s_fill_room (trn_box_t *box)
{
    trn_exchange_t *self = box->exchange;
    if (self->refused && self->live < TRN_QUEUES_MAX) {
        self->refused = false;
        s_take_bindings (box);
    }
}

void
trn_exchange_on_binding (trn_box_t *box, const trn_binding_t *binding)
{
    assert (box && box->exchange && binding);
    s_take (box, binding);
    s_fill_room (box);
}

void
trn_exchange_take_queue (trn_box_t *box, trn_text_t queue)
{
    assert (box && box->exchange);
    const trn_bindings_t *bindings = trn_roster_bindings (box->peer->roster);
    trn_binding_t binding;
    for (size_t index = 0; trn_bindings_at (bindings, index, &binding);
         index++) {
        if (!binding.removed && binding.queue.size == queue.size
            && memcmp (binding.queue.at, queue.at, queue.size) == 0) {
            s_take (box, &binding);
        }
    }
}

void
trn_exchange_start (trn_box_t *box)
{
    assert (box && box->exchange);
    trn_exchange_t *self = box->exchange;
    const char *queue = NULL;
    uint32_t number = 0;
    for (size_t index = 0; trn_engine_queue_at (box->peer->engine, box->id,
                                                index, &queue, &number);
         index++) {
        pthread_mutex_lock (&self->lock);
        s_note_queue (self, number, trn_text (queue));
        pthread_mutex_unlock (&self->lock);
        trn_box_set_policy (box, number, self->queues[number - 1].name);
    }
    trn_log_retain (trn_outbox_log (box->outbox), self->spec.retain_ms,
                    self->spec.retain_bytes);
    s_take_bindings (box);
    if (atomic_load (&box->peer->bindings_known)) {
        trn_exchange_on_known (box);
    }
}

//  Did somebody say that the queue is not bound any more?  That nobody says it is
//  proves nothing: a directory and a view may have been lost, and whoever knows
//  better may not have answered yet.
static bool
s_taken_back (trn_box_t *box, const char *queue)
{
    const trn_bindings_t *bindings = trn_roster_bindings (box->peer->roster);
    trn_binding_t binding;
    for (size_t index = 0; trn_bindings_at (bindings, index, &binding);
         index++) {
        if (binding.removed && trn_text_is (binding.queue, queue)
            && s_router (box->exchange, &binding)) {
            return true;
        }
    }
    return false;
}

void
trn_exchange_on_known (trn_box_t *box)
{
    assert (box && box->exchange);
    trn_exchange_t *self = box->exchange;
    for (uint32_t number = 1; number <= self->queue_count; number++) {
        const s_queue_t *queue = &self->queues[number - 1];
        if (queue->live && !queue->bindings
            && s_taken_back (box, queue->name)) {
            s_remove_queue (box, number);
        }
    }
    s_fill_room (box);
}

//  The bindings of an alternate exchange that is none any more lead nowhere.
static void
s_forget_alternate (trn_box_t *box)
{
    trn_exchange_t *self = box->exchange;
    const trn_bindings_t *bindings = trn_roster_bindings (box->peer->roster);
    trn_binding_t binding;
    for (size_t index = 0; trn_bindings_at (bindings, index, &binding);
         index++) {
        if (!binding.removed && self->alternate
            && trn_text_is (binding.exchange, self->spec.alternate)) {
            s_unbind (box, &binding);
        }
    }
    pthread_mutex_lock (&self->lock);
    trn_router_destroy (&self->alternate);
    pthread_mutex_unlock (&self->lock);
}

void
trn_exchange_respecify (trn_box_t *box, const trn_exchange_spec_t *spec)
{
    assert (box && box->exchange && spec);
    trn_exchange_t *self = box->exchange;
    assert (spec->type == self->spec.type);
    trn_log_retain (trn_outbox_log (box->outbox), spec->retain_ms,
                    spec->retain_bytes);
    const bool another = strcmp (spec->alternate, self->spec.alternate) != 0;
    if (another) {
        s_forget_alternate (box);
    }
    pthread_mutex_lock (&self->lock);
    self->spec = *spec;
    pthread_mutex_unlock (&self->lock);
    if (another) {
        s_take_bindings (box);
    }
}

//  Routing -----------------------------------------------------------------

//  Lock held: all that are bound.
static size_t
s_all (const trn_exchange_t *self, uint32_t *targets, size_t max)
{
    size_t count = 0;
    for (size_t index = 0; index < self->queue_count; index++) {
        if (self->queues[index].live && count++ < max) {
            targets[count - 1] = (uint32_t) index + 1;
        }
    }
    return count;
}

static size_t
s_match (trn_router_t *router, const trn_record_t *record, uint32_t *targets,
         size_t max)
{
    return trn_router_route (router, record->key, record->key_size,
                             record->props, record->props_size, targets, max);
}

//  Lock held.
static size_t
s_route (trn_exchange_t *self, const trn_record_t *record, uint32_t *targets,
         size_t max)
{
    if (!trn_exchange_routed (&self->spec)) {
        return s_all (self, targets, max);
    }
    const size_t count = s_match (self->router, record, targets, max);
    return count || !self->alternate
               ? count
               : s_match (self->alternate, record, targets, max);
}

static void
s_route_once (trn_exchange_t *self, const trn_record_t *record,
              trn_targets_t *targets)
{
    const size_t few = sizeof targets->few / sizeof *targets->few;
    pthread_mutex_lock (&self->lock);
    targets->count = s_route (self, record, targets->few, few);
    if (targets->count > few) {
        targets->at = trn_alloc (targets->count * sizeof *targets->at);
        s_route (self, record, targets->at, targets->count);
    }
    pthread_mutex_unlock (&self->lock);
}

int
tern_peer_bindings_known (tern_peer_t *self, int timeout_ms)
{
    assert (self);
    const struct timespec until
        = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
    int rc = 0;
    pthread_mutex_lock (&self->lock);
    while (!atomic_load (&self->bindings_known) && rc == 0) {
        rc = timeout_ms < 0
                 ? pthread_cond_wait (&self->changed, &self->lock)
                 : pthread_cond_timedwait (&self->changed, &self->lock, &until);
    }
    const bool known = atomic_load (&self->bindings_known);
    pthread_mutex_unlock (&self->lock);
    return known ? 0 : TERN_ETIMEOUT;
}

//  With bindings of an earlier life, no directory is waited for longer than this
//  after opening.
#define KNOWN_MS 1000

//  A publisher that has just started knows no binding yet, or not the latest, and
//  must not take that for none: what was bound before it started counts.
static bool
s_wait_known (tern_peer_t *peer, int64_t until)
{
    if (peer->view_restored) {
        const int64_t soon = peer->opened_ms + KNOWN_MS;
        until = until < soon ? until : soon;
    }
    pthread_mutex_lock (&peer->lock);
    while (!atomic_load (&peer->bindings_known)) {
        const int64_t left = until - trn_clock_ms ();
        if (left <= 0) {
            break;
        }
        const struct timespec next
            = trn_clock_after (left < 3600000 ? (int) left : 3600000);
        pthread_cond_timedwait (&peer->changed, &peer->lock, &next);
    }
    pthread_mutex_unlock (&peer->lock);
    return atomic_load (&peer->bindings_known) || peer->view_restored;
}

int
trn_exchange_route (trn_box_t *box, const trn_record_t *record, int64_t until,
                    trn_targets_t *targets)
{
    assert (box && box->exchange && record && targets);
    targets->at = targets->few;
    if (!atomic_load (&box->peer->bindings_known)
        && !s_wait_known (box->peer, until)) {
        return TERN_EAGAIN;
    }
    s_route_once (box->exchange, record, targets);
    return targets->count ? TERN_OK : TERN_ENOROUTE;
}

void
trn_targets_clear (trn_targets_t *self)
{
    assert (self);
    if (self->at != self->few) {
        free (self->at);
    }
}

bool
trn_exchange_queue (trn_exchange_t *self, uint32_t number,
                    char name[TRN_NAME_MAX + 2])
{
    assert (self && name);
    pthread_mutex_lock (&self->lock);
    const bool found = number > 0 && number <= self->queue_count
                       && self->queues[number - 1].name[0];
    if (found) {
        memcpy (name, self->queues[number - 1].name, TRN_NAME_MAX + 2);
    }
    pthread_mutex_unlock (&self->lock);
    return found;
}
