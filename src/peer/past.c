//  peer/past.c - queues that begin in the past of an exchange
//
//  Knows: what a new queue gets of what its publisher has kept.  A fanout's queue
//  gets all from some seq on, which the engine does by itself once the seq is
//  known.  A routed message names its targets, and a new queue is not among
//  those of the past: so the kept records are gone through once, those that match
//  are remembered, and when the end is reached the queue is made and told of
//  them, all in one turn.  Meanwhile others are served as ever.
//
//      time asked ──▶ reading ──▶ at the end: queue added, told, routed to
//
//  After a crash the binding is still there, and it begins again.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/exchange.h"

#include "base/memory.h"
#include "io/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RUN_COUNT 1024
#define RUN_BYTES (256 * 1024)

//  So many runs in one turn; then the others have theirs.
#define RUNS_MAX 8

struct trn_past {
    trn_past_t *next;  //  of the box
    char queue[TRN_NAME_MAX + 2];
    uint64_t time_us;      //  whose seq is wanted; 0: it is known
    bool asked;            //  for that; of an outbox one at a time
    uint64_t first;        //  where it begins
    uint64_t seq;          //  to be looked at next
    trn_router_t *router;  //  its bindings; each leads to 1
    uint32_t bindings;
    trn_rulings_t found;
};

//  From where on -------------------------------------------------------------

static void
s_begin_at (trn_box_t *box, trn_past_t *self, uint64_t seq)
{
    const uint64_t first
        = trn_log_first_retained (trn_outbox_log (box->outbox));
    self->time_us = 0;
    self->asked = false;
    self->first = seq > first ? seq : first;
    self->seq = self->first;
}

static trn_past_t *
s_new (trn_box_t *box, const trn_binding_t *binding)
{
    trn_past_t *self = trn_alloc (sizeof *self);
    memcpy (self->queue, binding->queue.at, binding->queue.size);
    self->router = trn_router_new (binding->type);
    self->next = box->pasts;
    box->pasts = self;
    box->peer->past_count++;
    switch (binding->from) {
    case TRN_FROM_TIME: self->time_us = binding->from_value * 1000; break;
    case TRN_FROM_SEQ: s_begin_at (box, self, binding->from_value); break;
    case TRN_FROM_EARLIEST:
    case TRN_FROM_NEW:
    default: s_begin_at (box, self, 1);
    }
    return self;
}

static void
s_free (trn_box_t *box, trn_past_t **link)
{
    trn_past_t *self = *link;
    box->peer->past_count--;
    *link = self->next;
    trn_router_destroy (&self->router);
    trn_rulings_clear (&self->found);
    free (self);
}

static trn_past_t **
s_find (trn_box_t *box, trn_text_t queue)
{
    trn_past_t **link = &box->pasts;
    while (*link && !trn_text_is (queue, (*link)->queue)) {
        link = &(*link)->next;
    }
    return link;
}

static trn_past_t *
s_find_asked (trn_box_t *box)
{
    trn_past_t *self = box->pasts;
    while (self && !self->asked) {
        self = self->next;
    }
    return self;
}

//  An answer to one that is gone is nobody's.
static void
s_ask_time (trn_box_t *box)
{
    trn_past_t *asked = s_find_asked (box);
    uint64_t seq = 0;
    const int rc = trn_outbox_time (box->outbox, &seq);
    if (asked && rc != 0) {
        //  Unreadable: with all that there is.
        s_begin_at (box, asked, rc > 0 ? seq : 1);
    } else if (asked) {
        return;
    }
    for (trn_past_t *at = box->pasts; at; at = at->next) {
        if (at->time_us) {
            at->asked = true;
            trn_outbox_want_time (box->outbox, at->time_us);
            return;
        }
    }
}

//  Reading -------------------------------------------------------------------

//  What was to be delivered by some time, and was not, is nobody's any more.
static void
s_remember (trn_past_t *self, const trn_record_t *record)
{
    uint32_t target = 0;
    if (!trn_router_route (self->router, record->key, record->key_size,
                           record->props, record->props_size, &target, 1)) {
        return;
    }
    trn_ruling_t ruling;
    trn_ruling_read (record, &ruling);
    free (ruling.targets);
    ruling.targets = NULL;
    ruling.rule.targets = NULL;
    ruling.rule.target_count = 0;
    ruling.number = 0;
    if (!ruling.rule.expires_ms
        || ruling.rule.expires_ms > trn_clock_wall_us () / 1000) {
        trn_rulings_add (&self->found, &ruling);
    }
}

static void
s_read_run (trn_past_t *self, const trn_engine_run_t *run)
{
    const trn_chunk_t *chunk = run->handle;
    const uint8_t *at = chunk->data + ((int64_t) run->offset - chunk->offset);
    const uint8_t *end = at + run->size;
    for (uint32_t count = 0; count < run->count; count++) {
        trn_record_t record;
        const int size = trn_record_peek (at, (size_t) (end - at), &record);
        if (size <= 0) {
            break;  //  cannot be: it was checked when it was read
        }
        s_remember (self, &record);
        at += size;
    }
    self->seq = run->first_seq + run->count;
}

//  True at the end of what there is.
static bool
s_read (trn_box_t *box, trn_past_t *self)
{
    for (int runs = 0; runs < RUNS_MAX && self->seq <= box->seen; runs++) {
        trn_engine_run_t run = {0};
        const trn_run_answer_t answer = trn_box_run (
            box->peer, box->id, self->seq, RUN_COUNT, RUN_BYTES, &run);
        if (answer == TRN_RUN_LATER) {
            return false;
        }
        if (answer == TRN_RUN_GONE) {
            self->seq = run.skip_to > self->seq ? run.skip_to : self->seq + 1;
        } else {
            s_read_run (self, &run);
            trn_box_release_run (box->peer, run.handle);
        }
    }
    if (self->seq <= box->seen) {
        trn_wake_up (&box->peer->wake);
        return false;
    }
    return true;
}

static void
s_finish (trn_box_t *box, trn_past_t *self)
{
    const uint32_t number
        = trn_exchange_add_queue (box, trn_text (self->queue), self->first);
    for (size_t index = 0; number && index < self->found.count; index++) {
        trn_rule_t rule = self->found.at[index].rule;
        rule.targets = &number;
        rule.target_count = 1;
        trn_engine_on_message (box->peer->engine, box->id, &rule);
    }
}

//  Outside -------------------------------------------------------------------

void
trn_past_bind (trn_box_t *box, const trn_binding_t *binding)
{
    assert (box && binding);
    trn_past_t *self = *s_find (box, binding->queue);
    self = self ? self : s_new (box, binding);
    const bool known = trn_router_unbind (self->router, binding, 1);
    const int rc = trn_router_bind (self->router, binding, 1);
    self->bindings += rc == TERN_OK && !known;
    trn_wake_up (&box->peer->wake);
}

bool
trn_past_unbind (trn_box_t *box, const trn_binding_t *binding)
{
    assert (box && binding);
    trn_past_t **link = s_find (box, binding->queue);
    if (!*link) {
        return false;
    }
    (*link)->bindings -= trn_router_unbind ((*link)->router, binding, 1);
    if (!(*link)->bindings) {
        s_free (box, link);
    }
    return true;
}

bool
trn_past_has (trn_box_t *box, trn_text_t queue)
{
    return *s_find (box, queue) != NULL;
}

void
trn_past_run (trn_box_t *box)
{
    assert (box);
    s_ask_time (box);
    trn_past_t **link = &box->pasts;
    while (*link) {
        trn_past_t *self = *link;
        const bool routed
            = trn_exchange_routed (trn_exchange_spec (box->exchange));
        if (self->time_us || (routed && !s_read (box, self))) {
            link = &self->next;
            continue;
        }
        char queue[TRN_NAME_MAX + 2];
        memcpy (queue, self->queue, sizeof queue);
        s_finish (box, self);
        s_free (box, link);
        trn_exchange_take_queue (box, trn_text (queue));
    }
}

void
trn_past_clear (trn_box_t *box)
{
    assert (box);
    while (box->pasts) {
        s_free (box, &box->pasts);
    }
}
