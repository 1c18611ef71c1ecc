//  core/intake.c - a queue consumed here: who takes it, and who may send how much
//
//  Invariant, per queue, for messages and for bytes (these may be exceeded by
//  one record per flow):
//
//      sum over flows (ceiling - received) + held  <=  sum of prefetch
//
//  The ceiling of a flow is the highest limit its publisher may still go by; it
//  comes down only when the publisher has confirmed a lower one.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/intake.h"

#include "base/memory.h"
#include "core/link_in.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  A grant smaller than half a window waits so long for more to join it.
#define GATHER_MS 10

//  Credit that was not used for so long may be taken for somebody who was
//  given something before.
#define UNUSED_MS 100

//  Consumers ----------------------------------------------------------------

trn_intake_t *
trn_intake_find (trn_engine_t *engine, trn_text_t queue)
{
    assert (engine);
    for (size_t index = 0; index < engine->intakes.count; index++) {
        trn_intake_t *intake = engine->intakes.at[index];
        if (trn_text_is (queue, intake->queue)) {
            return intake;
        }
    }
    return NULL;
}

trn_consumer_t *
trn_intake_add_consumer (trn_engine_t *engine, const char *queue,
                         uint32_t prefetch, uint32_t bytes)
{
    assert (engine && queue);
    trn_intake_t *self = trn_intake_find (engine, trn_text (queue));
    if (!self) {
        self = trn_alloc (sizeof *self);
        assert (strlen (queue) < sizeof self->queue);
        memcpy (self->queue, queue, strlen (queue) + 1);
        self->due_ms = INT64_MAX;
        trn_list_add (&engine->intakes, self);
    }
    trn_consumer_t *consumer = trn_alloc (sizeof *consumer);
    consumer->id = ++engine->consumer_id;
    consumer->intake = self;
    consumer->prefetch = prefetch ? prefetch : 1;
    consumer->bytes = bytes ? bytes : 1;
    trn_list_add (&self->consumers, consumer);
    trn_table_put (&engine->consumers_by_id, consumer->id, consumer);
    self->dirty = true;
    return consumer;
}

void
trn_intake_remove_consumer (trn_engine_t *engine, trn_consumer_t *consumer)
{
    assert (engine && consumer);
    consumer->intake->dirty = true;
    trn_list_remove (&consumer->intake->consumers, consumer);
    trn_table_remove (&engine->consumers_by_id, consumer->id);
    free (consumer);
}

bool
trn_intake_keeps (const trn_intake_t *self)
{
    assert (self);
    for (size_t index = 0; index < self->consumers.count; index++) {
        const trn_consumer_t *consumer = self->consumers.at[index];
        if (consumer->keeps) {
            return true;
        }
    }
    return false;
}

void
trn_intake_pause (trn_consumer_t *consumer, bool paused)
{
    assert (consumer);
    consumer->paused = paused;
    consumer->intake->dirty = true;
}

void
trn_intake_destroy (trn_engine_t *engine, trn_intake_t **self_p)
{
    assert (engine && self_p);
    trn_intake_t *self = *self_p;
    if (!self) {
        return;
    }
    assert (!self->flows.count);
    for (size_t index = 0; index < self->consumers.count; index++) {
        trn_consumer_t *consumer = self->consumers.at[index];
        trn_table_remove (&engine->consumers_by_id, consumer->id);
        free (consumer);
    }
    trn_list_remove (&engine->intakes, self);
    trn_list_clear (&self->consumers);
    trn_list_clear (&self->flows);
    free (self);
    *self_p = NULL;
}

trn_consumer_t *
trn_intake_choose (const trn_intake_t *self, uint64_t count, uint64_t *room_p)
{
    assert (self && self->consumers.count && room_p);
    trn_consumer_t *best = self->consumers.at[0];
    uint64_t most = 0;
    for (size_t index = 0; index < self->consumers.count; index++) {
        trn_consumer_t *consumer = self->consumers.at[index];
        if (!consumer->paused && consumer->held < consumer->prefetch
            && consumer->prefetch - consumer->held > most) {
            best = consumer;
            most = consumer->prefetch - consumer->held;
        }
    }
    *room_p = most && most < count ? most : count;
    return best;
}

//  Flows --------------------------------------------------------------------

void
trn_intake_join (trn_engine_t *engine, trn_intake_t *self, trn_inflow_t *flow)
{
    assert (engine && self && flow);
    flow->intake = self;
    flow->used_ms = engine->now_ms;
    trn_list_add (&self->flows, flow);
    self->dirty = true;
}

void
trn_intake_leave (trn_intake_t *self, trn_inflow_t *flow)
{
    assert (self && flow);
    trn_list_remove (&self->flows, flow);
    self->dirty = true;
    if (self->recalled == flow) {
        self->recalled = NULL;
    }
}

//  Budget -------------------------------------------------------------------

typedef struct {
    uint64_t prefetch, bytes;  //  what the consumers hold at most
    int64_t messages_left, bytes_left;
    uint64_t share, share_bytes;  //  what an idle flow may keep
} s_budget_t;

static uint64_t
s_unused_messages (const trn_inflow_t *flow)
{
    return flow->ceiling_messages - flow->received_messages;
}

//  The last record may have gone beyond the limit.
static uint64_t
s_unused_bytes (const trn_inflow_t *flow)
{
    return flow->ceiling_bytes > flow->received_bytes
               ? flow->ceiling_bytes - flow->received_bytes
               : 0;
}

static s_budget_t
s_budget (const trn_intake_t *self)
{
    s_budget_t budget = {0};
    uint64_t messages = 0;
    uint64_t bytes = 0;
    for (size_t index = 0; index < self->consumers.count; index++) {
        const trn_consumer_t *consumer = self->consumers.at[index];
        if (consumer->paused) {
            continue;
        }
        budget.prefetch += consumer->prefetch;
        budget.bytes += consumer->bytes;
        messages += consumer->held;
        bytes += consumer->held_bytes;
    }
    for (size_t index = 0; index < self->flows.count; index++) {
        const trn_inflow_t *flow = self->flows.at[index];
        messages += s_unused_messages (flow);
        bytes += s_unused_bytes (flow);
    }
    budget.messages_left = (int64_t) budget.prefetch - (int64_t) messages;
    budget.bytes_left = (int64_t) budget.bytes - (int64_t) bytes;
    const size_t flows = self->flows.count ? self->flows.count : 1;
    budget.share = budget.prefetch / (4 * flows);
    if (!budget.share && budget.prefetch >= flows) {
        budget.share = 1;
    }
    if (budget.prefetch) {
        budget.share_bytes = budget.bytes * budget.share / budget.prefetch;
    }
    return budget;
}

//  Granting -----------------------------------------------------------------

//  A flow that is alone may have everything; of several each starts small and
//  doubles whenever it used up what it had.
static uint64_t
s_window (const trn_intake_t *self, trn_inflow_t *flow,
          const s_budget_t *budget)
{
    if (self->flows.count == 1) {
        flow->window = 0;
        return budget->prefetch;
    }
    if (!flow->window) {
        flow->window = budget->share * 2;
    } else if (flow->wants && !s_unused_messages (flow)) {
        flow->window *= 2;
    }
    const uint64_t least = budget->share ? budget->share : 1;
    if (flow->window < least) {
        flow->window = least;
    } else if (flow->window > budget->prefetch) {
        flow->window = budget->prefetch;
    }
    return flow->window;
}

//  How much of what is left this dimension should get now.  A grant worth less
//  than half a window waits a little, unless nothing more is under way.
static uint64_t
s_worth (const trn_engine_t *engine, trn_intake_t *self,
         const trn_inflow_t *flow, uint64_t window, uint64_t used,
         uint64_t unused, int64_t left)
{
    if (left <= 0 || used >= window) {
        return 0;
    }
    const uint64_t room = window - used;
    if (room < window - room && !flow->told) {
        const int64_t due_ms = flow->used_ms + GATHER_MS;
        if (unused) {
            return 0;
        }
        if (engine->now_ms < due_ms) {
            self->due_ms = due_ms < self->due_ms ? due_ms : self->due_ms;
            return 0;
        }
    }
    return room < (uint64_t) left ? room : (uint64_t) left;
}

static void
s_tell_credit (trn_engine_t *engine, trn_inflow_t *flow)
{
    trn_frame_t *frame = trn_link_in_send (engine, flow->inbound, TRN_CREDIT);
    frame->credit.flow = flow->number;
    frame->credit.messages = flow->granted_messages;
    frame->credit.bytes = flow->granted_bytes;
    flow->told = false;
}

//  So much is remembered of it that it may send only when it has promised more.
static bool
s_is_scattered (const trn_engine_t *engine, const trn_inflow_t *flow)
{
    const size_t settled = trn_seqset_pages (&flow->stream->dedup.settled);
    return settled >= TRN_DEDUP_PAGES_MAX
           || (engine->remembered >= TRN_REMEMBERED_MAX
               && settled >= TRN_REMEMBERED_LITTLE);
}

static void
s_grant (trn_engine_t *engine, trn_intake_t *self, trn_inflow_t *flow,
         s_budget_t *budget)
{
    if (flow->recall || s_is_scattered (engine, flow)) {
        return;
    }
    const uint64_t window = s_window (self, flow, budget);
    const uint64_t window_bytes = 1 + budget->bytes * window / budget->prefetch;
    const uint64_t unused = s_unused_messages (flow);
    const uint64_t unused_bytes = s_unused_bytes (flow);
    uint64_t messages
        = s_worth (engine, self, flow, window, flow->stream->held + unused,
                   unused, budget->messages_left);
    uint64_t bytes = s_worth (engine, self, flow, window_bytes,
                              flow->stream->held_bytes + unused_bytes,
                              unused_bytes, budget->bytes_left);
    //  Messages without bytes are of no use, nor bytes without messages: two
    //  flows that had one of them each would wait for each other.
    if (!(unused + messages) || !(unused_bytes + bytes)) {
        messages = bytes = 0;
    }
    if (!messages && !bytes && !flow->told) {
        return;
    }
    flow->granted_messages += messages;
    flow->ceiling_messages = flow->granted_messages;
    flow->granted_bytes = flow->received_bytes + unused_bytes + bytes;
    flow->ceiling_bytes = flow->granted_bytes;
    budget->messages_left -= (int64_t) messages;
    budget->bytes_left -= (int64_t) bytes;
    if (s_unused_messages (flow) && s_unused_bytes (flow)) {
        flow->wanted = flow->wants;
        flow->wants = false;
        flow->used_ms = engine->now_ms;
    }
    s_tell_credit (engine, flow);
}

//  Taking back --------------------------------------------------------------

//  Somebody has messages for us, no credit, and there is none left to give.
//  Says in *bytes_p what it lacks: bytes, or messages.
static trn_inflow_t *
s_find_hungry (const trn_intake_t *self, const s_budget_t *budget,
               bool *bytes_p)
{
    for (size_t index = 0; index < self->flows.count; index++) {
        trn_inflow_t *flow = self->flows.at[index];
        const bool lacks_messages
            = !s_unused_messages (flow) && budget->messages_left <= 0;
        const bool lacks_bytes
            = !s_unused_bytes (flow) && budget->bytes_left <= 0;
        if (flow->wants && !flow->recall && (lacks_messages || lacks_bytes)) {
            *bytes_p = !lacks_messages;
            return flow;
        }
    }
    return NULL;
}

//  Who has most that it does not use, beyond the share that everybody keeps
//  (T-51).
static trn_inflow_t *
s_find_victim (const trn_intake_t *self, const s_budget_t *budget,
               const trn_inflow_t *hungry, bool bytes)
{
    trn_inflow_t *victim = NULL;
    uint64_t most = bytes ? budget->share_bytes : budget->share;
    for (size_t index = 0; index < self->flows.count; index++) {
        trn_inflow_t *flow = self->flows.at[index];
        const uint64_t unused
            = bytes ? s_unused_bytes (flow) : s_unused_messages (flow);
        if (flow != hungry && unused > most) {
            victim = flow;
            most = unused;
        }
    }
    return victim;
}

//  Lower the victim's limits.  Only when it has answered the PING is it certain
//  that what it had is free (T-54).
static void
s_take_back (trn_engine_t *engine, trn_intake_t *self, trn_inflow_t *victim,
             const s_budget_t *budget)
{
    const uint64_t messages = victim->received_messages + budget->share;
    const uint64_t bytes = victim->received_bytes + budget->share_bytes;
    if (victim->granted_messages > messages) {
        victim->granted_messages = messages;
    }
    if (victim->granted_bytes > bytes) {
        victim->granted_bytes = bytes;
    }
    victim->window = budget->share ? budget->share : 1;
    do {
        victim->recall = trn_rng_next (&engine->rng);
    } while (!victim->recall);
    self->recalled = victim;
    s_tell_credit (engine, victim);
    trn_link_in_send (engine, victim->inbound, TRN_PING)->ping.nonce
        = victim->recall;
}

static void
s_recall (trn_engine_t *engine, trn_intake_t *self, const s_budget_t *budget)
{
    if (self->recalled) {
        return;
    }
    bool bytes = false;
    const trn_inflow_t *hungry = s_find_hungry (self, budget, &bytes);
    trn_inflow_t *victim
        = hungry ? s_find_victim (self, budget, hungry, bytes) : NULL;
    if (!victim) {
        return;
    }
    //  Who wanted what it has is about to use it, and who has something in hand
    //  goes on soon by itself: then only what lies idle is taken.
    const int64_t idle_ms = victim->used_ms + UNUSED_MS;
    if ((victim->wanted || hungry->stream->held) && engine->now_ms < idle_ms) {
        self->due_ms = idle_ms < self->due_ms ? idle_ms : self->due_ms;
        return;
    }
    s_take_back (engine, self, victim, budget);
}

//  All are paused: take back what lies with the publishers, one after the other.
static void
s_recall_all (trn_engine_t *engine, trn_intake_t *self,
              const s_budget_t *budget)
{
    for (size_t index = 0; index < self->flows.count && !self->recalled;
         index++) {
        trn_inflow_t *flow = self->flows.at[index];
        if (s_unused_messages (flow)) {
            s_take_back (engine, self, flow, budget);
        }
    }
}

void
trn_intake_on_pong (trn_inflow_t *flow, uint64_t nonce)
{
    assert (flow);
    if (!flow->recall || flow->recall != nonce) {
        return;
    }
    //  What it sent before it saw the lower limit has been received by now.
    if (flow->granted_messages < flow->received_messages) {
        flow->granted_messages = flow->received_messages;
    }
    flow->ceiling_messages = flow->granted_messages;
    flow->ceiling_bytes = flow->granted_bytes;
    flow->recall = 0;
    flow->intake->recalled = NULL;
    flow->intake->dirty = true;
}

//  All --------------------------------------------------------------------

//  One grant to every flow that wants (or to every other one), beginning with
//  the one whose turn it is.
static void
s_grant_round (trn_engine_t *engine, trn_intake_t *self, s_budget_t *budget,
               bool wants)
{
    const size_t start = self->turn;
    for (size_t step = 0; step < self->flows.count; step++) {
        const size_t index = (start + step) % self->flows.count;
        trn_inflow_t *flow = self->flows.at[index];
        if (flow->wants != wants) {
            continue;
        }
        const uint64_t before = flow->granted_messages;
        s_grant (engine, self, flow, budget);
        if (flow->granted_messages != before) {
            self->turn = index + 1;
        }
    }
}

static void
s_run (trn_engine_t *engine, trn_intake_t *self)
{
    if (self->flows.count && self->consumers.count) {
        s_budget_t budget = s_budget (self);
        if (!budget.prefetch) {
            s_recall_all (engine, self, &budget);
            return;
        }
        s_grant_round (engine, self, &budget, true);
        s_grant_round (engine, self, &budget, false);
        s_recall (engine, self, &budget);
    }
}

void
trn_intake_run (trn_engine_t *engine)
{
    assert (engine);
    for (size_t index = 0; index < engine->intakes.count; index++) {
        trn_intake_t *self = engine->intakes.at[index];
        if (self->dirty || engine->now_ms >= self->due_ms) {
            self->dirty = false;
            self->due_ms = INT64_MAX;
            s_run (engine, self);
        }
    }
}
