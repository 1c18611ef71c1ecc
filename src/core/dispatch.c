//  core/dispatch.c - which consumer gets which messages, and when
//
//  Knows: fairness.  What may go is the subscription's business, how much one
//  consumer takes the flow's, and where the bytes are the shell's.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/dispatch.h"

#include "core/burial.h"
#include "core/expiry.h"
#include "core/flow.h"
#include "core/link_out.h"
#include "core/publication.h"
#include "core/ready.h"

#include <assert.h>
#include <string.h>

//  Seqs that are named to the shell at once when it has to read.
#define WANTED_MAX 256

typedef enum {
    SENT,     //  a run went out
    DROPPED,  //  what was asked for does not exist; ask again
    NOTHING   //  no message to give, or it is being read
} s_result_t;

void
trn_dispatch_join (trn_engine_t *engine, trn_flow_t *flow)
{
    assert (engine && flow);
    trn_list_add (&flow->sub->flows, flow);
    trn_dispatch_touch (engine, flow->sub);
}

void
trn_dispatch_leave (trn_engine_t *engine, trn_flow_t *flow)
{
    assert (engine && flow);
    trn_list_remove (&flow->sub->flows, flow);
    trn_dispatch_touch (engine, flow->sub);
}

void
trn_dispatch_touch (trn_engine_t *engine, trn_subscription_t *sub)
{
    assert (engine && sub);
    if (!sub->dirty) {
        sub->dirty = true;
        trn_engine_stale (engine, sub->publication);
        trn_list_add (&engine->subs, sub);
    }
}

void
trn_dispatch_on_records (trn_engine_t *engine, trn_subscription_t *sub)
{
    assert (engine && sub);
    if (sub->reading) {
        sub->reading = false;
        trn_dispatch_touch (engine, sub);
    }
}

static uint64_t
s_least (uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

//  The last seq that this queue may give out.
static uint64_t
s_high (const trn_subscription_t *sub)
{
    const trn_publication_t *publication = sub->publication;
    return publication->routed ? s_least (publication->high, sub->told)
                               : publication->high;
}

static uint64_t
s_available (const trn_subscription_t *sub)
{
    return trn_ready_available (sub, s_high (sub));
}

//  The seqs from the chance's start to skip_to - 1 name nothing any more.
static void
s_drop (trn_engine_t *engine, trn_subscription_t *sub,
        const trn_chance_t *chance, uint64_t skip_to)
{
    assert (skip_to > chance->from);
    const uint64_t to = s_least (skip_to - 1, sub->publication->high);
    const uint64_t count = trn_subscription_drop (sub, chance->from, to);
    trn_publication_urge (engine, sub->publication);
    trn_action_t *report = trn_engine_report (engine, TRN_MESSAGES_DROPPED);
    trn_report_text (report, "outbox", sub->publication->name);
    trn_report_text (report, "queue", sub->queue);
    trn_report_number (report, "from", chance->from);
    trn_report_number (report, "to", to);
    trn_report_number (report, "count", count);
}

static void
s_send (trn_engine_t *engine, trn_flow_t *flow, const trn_chance_t *chance,
        const trn_engine_run_t *run)
{
    const trn_lease_t lease = {
        .token = ++engine->token,
        .first = run->first_seq,
        .last = run->first_seq + run->count - 1,
        .open = run->count,
        .stamp_us = run->stamp_us,
        .size = run->size,
        .deliveries = chance->deliveries,
        .redelivered = chance->redelivered,
    };
    trn_leases_add (&flow->leases, &lease);
    flow->sent_messages += run->count;
    flow->sent_bytes += run->size;
    trn_frame_t *frame
        = trn_link_out_send_run (engine, flow->link, TRN_DATA, run);
    frame->data.flow = flow->number;
    frame->data.token = lease.token;
    frame->data.low = trn_flow_floor (flow);
    frame->data.segment = run->segment;
    frame->data.offset = run->offset;
    frame->data.first_seq = run->first_seq;
    frame->data.count = run->count;
    frame->data.deliveries = chance->deliveries;
    frame->data.flags = chance->redelivered ? TRN_DATA_REDELIVERED : 0;
    frame->data.missed = 0;
    frame->data.told = 0;
    if (trn_lost_tell (&flow->sub->lost, run->first_seq)) {
        frame->data.missed = flow->sub->lost.telling;
        frame->data.told = flow->sub->lost.told;
    }
    uint64_t bytes;
    if (!trn_flow_room (flow, &bytes) && s_available (flow->sub)) {
        frame->data.flags |= TRN_DATA_MORE;
        flow->told_more = true;
    }
}

//  The shell must read: name what will be asked for next, if that is not just
//  what follows.
static void
s_want (trn_engine_t *engine, const trn_subscription_t *sub, uint64_t first)
{
    if (!engine->want || !sub->ready) {
        return;
    }
    uint64_t seqs[WANTED_MAX + 1] = {first};
    const size_t count = trn_ready_peek (sub, seqs + 1, WANTED_MAX) + 1;
    engine->want (engine->want_arg, sub->publication->id, seqs, count);
}

//  One run of at most share messages to this flow.
static s_result_t
s_give (trn_engine_t *engine, trn_subscription_t *sub, trn_flow_t *flow,
        uint64_t share)
{
    trn_chance_t chance;
    if (!trn_ready_chance (sub, s_high (sub), &chance)) {
        return NOTHING;
    }
    chance.to = trn_lost_end (&sub->lost, chance.from, chance.to);
    uint64_t bytes = 0;
    uint64_t count = s_least (trn_flow_room (flow, &bytes), share);
    count = s_least (count, chance.to - chance.from + 1);
    count = s_least (count, TRN_RUN_COUNT);
    bytes = s_least (bytes, TRN_RUN_BYTES);
    trn_engine_run_t run = {0};
    switch (engine->source.run (engine->source.arg, sub->publication->id,
                                chance.from, (uint32_t) count, (uint32_t) bytes,
                                &run)) {
    case TRN_RUN_READY:
        assert (run.first_seq == chance.from);
        assert (run.count >= 1 && run.count <= count);
        if (trn_expiry_is_over (engine, sub, run.stamp_us)) {
            engine->source.release (engine->source.arg, run.handle);
            trn_expiry_end (engine, sub, chance.from, chance.from);
            return DROPPED;
        }
        trn_subscription_assign (sub, &chance, run.count);
        s_send (engine, flow, &chance, &run);
        return SENT;
    case TRN_RUN_GONE:
        s_drop (engine, sub, &chance, run.skip_to);
        return DROPPED;
    case TRN_RUN_LATER: break;
    }
    sub->reading = true;
    s_want (engine, sub, chance.from);
    return NOTHING;
}

//  Single active: the one of the lowest name, and only while no other one holds
//  anything.
static bool
s_may_take (const trn_subscription_t *sub, const trn_flow_t *flow)
{
    for (size_t index = 0; sub->policy.single && index < sub->flows.count;
         index++) {
        const trn_flow_t *other = sub->flows.at[index];
        if (other != flow
            && (other->leases.open
                || strcmp (other->link->name, flow->link->name) < 0)) {
            return false;
        }
    }
    return true;
}

static uint64_t
s_room (const trn_subscription_t *sub, const trn_flow_t *flow)
{
    uint64_t bytes;
    return s_may_take (sub, flow) ? trn_flow_room (flow, &bytes) : 0;
}

static size_t
s_count_takers (const trn_subscription_t *sub)
{
    size_t takers = 0;
    for (size_t index = 0; index < sub->flows.count; index++) {
        takers += s_room (sub, sub->flows.at[index]) ? 1 : 0;
    }
    return takers;
}

//  A fair share, or what a fast consumer has done in no time: thin runs would cost
//  both sides more than the messages in them.
static uint64_t
s_worth (const trn_engine_t *engine, const trn_flow_t *flow, uint64_t share)
{
    const uint64_t pace = trn_flow_pace (flow, engine->now_ms);
    return pace > share ? pace : share;
}

//  One run to every flow with room, beginning with the one whose turn it is.
//  False: there is nothing more to give now.
static bool
s_give_round (trn_engine_t *engine, trn_subscription_t *sub, uint64_t share)
{
    const size_t start = sub->turn;
    for (size_t step = 0; step < sub->flows.count; step++) {
        const size_t index = (start + step) % sub->flows.count;
        trn_flow_t *flow = sub->flows.at[index];
        if (!s_room (sub, flow)) {
            continue;
        }
        const uint64_t worth = s_worth (engine, flow, share);
        s_result_t result;
        do {
            result = s_give (engine, sub, flow, worth);
        } while (result == DROPPED);
        if (result == NOTHING) {
            return false;
        }
        sub->turn = index + 1;
    }
    return true;
}

static void
s_give_all (trn_engine_t *engine, trn_subscription_t *sub)
{
    bool more = !sub->reading && !sub->unknown && !engine->closed;
    uint64_t available = 0;
    while (more) {
        available = s_available (sub);
        const size_t takers = s_count_takers (sub);
        if (!takers || !available) {
            break;
        }
        more = s_give_round (engine, sub, (available - 1) / takers + 1);
    }
    if (more && available) {
        for (size_t index = 0; index < sub->flows.count; index++) {
            trn_flow_tell_more (engine, sub->flows.at[index]);
        }
    }
}

//  First what time has changed, then who gets what, then what has died by it.
static void
s_dispatch (trn_engine_t *engine, trn_subscription_t *sub)
{
    trn_engine_stale (engine, sub->publication);
    trn_ready_ripen (sub, engine->now_ms);
    trn_expiry_run (engine, sub);
    s_give_all (engine, sub);
    trn_burial_run (engine, sub);
    if (sub->wants_save) {
        trn_publication_urge (engine, sub->publication);
    }
}

void
trn_dispatch_run (trn_engine_t *engine)
{
    assert (engine);
    while (engine->subs.count) {
        trn_subscription_t *sub = engine->subs.at[--engine->subs.count];
        sub->dirty = false;
        s_dispatch (engine, sub);
    }
}

int64_t
trn_dispatch_deadline (const trn_engine_t *engine,
                       const trn_subscription_t *sub)
{
    const int64_t ripe_ms = trn_returned_deadline (&sub->returned);
    const int64_t wall_ms = trn_expiry_deadline (engine, sub);
    const int64_t bury_ms = trn_burial_deadline (sub);
    const int64_t first_ms = ripe_ms < wall_ms ? ripe_ms : wall_ms;
    return first_ms < bury_ms ? first_ms : bury_ms;
}
