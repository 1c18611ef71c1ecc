//  core/flow.c - one subscription given to one consuming peer
//
//  Invariants: every leased seq of the subscription is in the leases of exactly
//  one flow; sent <= credit as long as credit is not lowered; a token is known
//  to one flow only, so an answer can finish nothing that was given to another
//  since.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/flow.h"

#include "base/memory.h"
#include "core/burial.h"
#include "core/dispatch.h"
#include "core/expiry.h"
#include "core/link_out.h"
#include "core/publication.h"

#include <assert.h>
#include <stdlib.h>

//  FLOOR frames after one save: the rest follows after the next.
#define FLOORS_MAX 16

//  A pace is what was accepted in so many ms, measured over so many, and holds
//  for as many again.
#define PACE_MS 16
#define PACE_OVER_MS 64

uint64_t
trn_flow_floor (const trn_flow_t *self)
{
#ifdef TERN_BUG_1
    return trn_subscription_low (self->sub);
#else
    return self->sub->durable_low;
#endif
}

static void
s_offer (trn_engine_t *engine, trn_flow_t *self)
{
    self->told_low = trn_flow_floor (self);
    trn_frame_t *frame = trn_link_out_send (engine, self->link, TRN_OFFER);
    frame->offer.flow = self->number;
    frame->offer.queue = trn_text (self->sub->queue);
    frame->offer.outbox = trn_text (self->sub->publication->name);
    frame->offer.low = self->told_low;
    frame->offer.high = self->sub->publication->opened_high;
    frame->offer.number = self->sub->number;
}

trn_flow_t *
trn_flow_new (trn_engine_t *engine, trn_link_t *link, trn_subscription_t *sub)
{
    assert (engine && link && sub);
    trn_flow_t *self = trn_alloc (sizeof *self);
    self->number = ++link->flow_number;
    self->link = link;
    self->sub = sub;
    self->paced_ms = engine->now_ms;
    trn_list_add (&link->flows, self);
    s_offer (engine, self);
    return self;
}

void
trn_flow_tell_more (trn_engine_t *engine, trn_flow_t *self)
{
    assert (engine && self);
    uint64_t bytes;
    if (self->state == TRN_FLOW_OPEN && !self->told_more
        && !trn_flow_room (self, &bytes)) {
        s_offer (engine, self);
        self->told_more = true;
    }
}

//  from..to was delivered and not accepted: again, unless that was the last time.
static void
s_give_back (trn_engine_t *engine, trn_flow_t *self, const trn_range_t *part,
             uint32_t deliveries, int64_t due_ms)
{
    trn_subscription_t *sub = self->sub;
    const trn_policy_t *policy = &sub->policy;
    if (policy->max_deliveries && deliveries >= policy->max_deliveries
        && !policy->terminal) {
        trn_counts_set (&sub->counts, part->from, part->to, deliveries);
        trn_burial_park (engine, sub, part->from, part->to, TRN_DEAD_SPENT,
                         self->link->id);
        return;
    }
    trn_subscription_return (sub, part->from, part->to, deliveries, due_ms);
    trn_expiry_look (engine, sub, part->from, part->to);
}

//  All that a lease still holds goes back, to be delivered again before
//  anything new: somebody had it in hand and may have acted on it (T-40).
static void
s_return_lease (trn_engine_t *engine, trn_flow_t *self, trn_lease_t *lease)
{
    const uint64_t first = lease->first;
    const uint64_t last = lease->last;
    trn_range_t part;
    while (trn_leases_settle (&self->leases, lease, first, last, &part)) {
        s_give_back (engine, self, &part, lease->deliveries, 0);
    }
}

void
trn_flow_end (trn_engine_t *engine, trn_flow_t **self_p)
{
    assert (engine && self_p && *self_p);
    trn_flow_t *self = *self_p;
    trn_lease_t *lease;
    while ((lease = trn_leases_first (&self->leases))) {
        s_return_lease (engine, self, lease);
    }
    trn_leases_clear (&self->leases);
    if (self->state == TRN_FLOW_OPEN) {
        trn_dispatch_leave (engine, self);
    }
    free (self);
    *self_p = NULL;
}

uint64_t
trn_flow_room (const trn_flow_t *self, uint64_t *bytes_p)
{
    if (self->state != TRN_FLOW_OPEN || self->paused
        || self->sent_messages >= self->credit_messages
        || self->sent_bytes >= self->credit_bytes
        || self->leases.open >= TRN_WINDOW_MESSAGES
        || self->leases.bytes >= TRN_WINDOW_BYTES) {
        return 0;
    }
    *bytes_p = self->credit_bytes - self->sent_bytes;
    const uint64_t window = TRN_WINDOW_MESSAGES - self->leases.open;
    const uint64_t room = self->credit_messages - self->sent_messages;
    return room < window ? room : window;
}

static void
s_keep_pace (trn_flow_t *self, uint64_t count, int64_t now_ms)
{
    const int64_t over_ms = now_ms - self->paced_ms;
    self->paced += count;
    if (over_ms >= PACE_OVER_MS) {
        self->pace = self->paced * PACE_MS / (uint64_t) over_ms;
        self->paced = 0;
        self->paced_ms = now_ms;
    }
}

uint64_t
trn_flow_pace (const trn_flow_t *self, int64_t now_ms)
{
    assert (self);
    return now_ms - self->paced_ms < 2 * PACE_OVER_MS ? self->pace : 0;
}

//  The resume table: the consumer says how far it got in our earlier lives.
//  What this life sent proves nothing, for a store that was put back in time
//  uses the numbers of its lost future again.
bool
trn_flow_on_accept (trn_engine_t *engine, trn_flow_t *self,
                    const trn_frame_t *frame)
{
    assert (engine && self && frame->type == TRN_ACCEPT);
    if (self->state != TRN_FLOW_OFFERED) {
        return false;
    }
    trn_publication_t *publication = self->sub->publication;
    if (frame->accept.seen > publication->opened_high) {
        self->state = TRN_FLOW_REFUSED;
        trn_action_t *report
            = trn_engine_report (engine, TRN_PUBLISHER_WENT_BACK);
        trn_report_text (report, "outbox", publication->name);
        trn_report_text (report, "queue", self->sub->queue);
        trn_report_text (report, "consumer", self->link->name);
        trn_report_number (report, "high", publication->opened_high);
        trn_report_number (report, "seen", frame->accept.seen);
        trn_link_out_send (engine, self->link, TRN_RETIRE)->retire.flow
            = self->number;
        return true;
    }
    trn_lost_heard (&self->sub->lost, frame->accept.told);
    for (uint32_t index = 0; index < frame->accept.range_count; index++) {
        const trn_range_t *range = &frame->accept.ranges[index];
        if (trn_subscription_resume (self->sub, range->from, range->to,
                                     publication->high)) {
            trn_publication_touch (engine, publication);
        }
    }
    self->stores = (frame->accept.flags & TRN_ACCEPT_STORES) != 0;
    self->state = TRN_FLOW_OPEN;
    trn_dispatch_join (engine, self);
    return true;
}

bool
trn_flow_on_credit (trn_engine_t *engine, trn_flow_t *self,
                    const trn_frame_t *frame)
{
    assert (engine && self && frame->type == TRN_CREDIT);
    if (self->state != TRN_FLOW_OPEN) {
        return self->state == TRN_FLOW_REFUSED;
    }
    //  A limit, not an increment (T-54).  It may be lower than before: the consumer
    //  takes back what was not used, and knows that we have seen it when the
    //  PING it sends next is answered.
#ifdef TERN_BUG_17
    self->credit_messages += frame->credit.messages;
    self->credit_bytes += frame->credit.bytes;
#else
    self->credit_messages = frame->credit.messages;
    self->credit_bytes = frame->credit.bytes;
#endif
    self->paused = false;
    self->told_more = false;
    trn_dispatch_touch (engine, self->sub);
    return true;
}

static void
s_settle_part (trn_engine_t *engine, trn_flow_t *self, const trn_lease_t *lease,
               trn_outcome_t outcome, const trn_range_t *part)
{
    trn_subscription_t *sub = self->sub;
    const uint64_t count = part->to - part->from + 1;
    switch (outcome) {
    case TRN_ACCEPTED:
        trn_subscription_accept (sub, part->from, part->to);
        s_keep_pace (self, count, engine->now_ms);
        trn_publication_touch (engine, sub->publication);
        if (engine->delay) {
            engine->delay (engine->delay_arg, sub->publication->id,
                           lease->stamp_us, count);
        }
        break;
    case TRN_REQUEUED:
        sub->stats.requeued += count;
        //  Half the time fixed, half of it chance, as the policy says (T-42).
        s_give_back (engine, self, part, lease->deliveries,
                     engine->now_ms + 1
                         + (int64_t) trn_policy_pause (
                             &sub->policy, lease->deliveries, &engine->rng));
        trn_dispatch_touch (engine, sub);
        break;
    case TRN_RELEASED:
        //  Nobody saw it: this delivery does not count.  A consumer that
        //  releases does not want it back, so the flow waits for its word
        //  (T-44).
        trn_subscription_release (sub, part->from, part->to);
        trn_expiry_look (engine, sub, part->from, part->to);
        sub->stats.released += count;
        self->paused = true;
        trn_dispatch_touch (engine, sub);
        break;
    case TRN_REJECTED: {
        sub->stats.rejected += count;
        trn_counts_set (&sub->counts, part->from, part->to, lease->deliveries);
        trn_burial_park (engine, sub, part->from, part->to, TRN_DEAD_REJECTED,
                         self->link->id);
        trn_action_t *report = trn_engine_report (engine, TRN_MESSAGE_REJECTED);
        trn_report_text (report, "outbox", sub->publication->name);
        trn_report_text (report, "queue", sub->queue);
        trn_report_text (report, "consumer", self->link->name);
        trn_report_number (report, "seq", part->from);
        trn_report_number (report, "count", count);
        break;
    }
    case TRN_STORED: break;  //  settles nothing, see s_store_entry ()
    }
}

//  They have these on their disk.  They hold them as before; of what they do not
//  hold any more they need not speak.
static void
s_store_entry (trn_engine_t *engine, trn_flow_t *self,
               const trn_settle_t *entry)
{
    const trn_lease_t *lease = trn_leases_find (&self->leases, entry->token);
    if (!lease) {
        return;
    }
    uint64_t from = entry->from > lease->first ? entry->from : lease->first;
    const uint64_t to = entry->to < lease->last ? entry->to : lease->last;
    trn_range_t part;
    while (from <= to && trn_ranges_first_out (&lease->done, from, to, &part)) {
        trn_subscription_store (self->sub, part.from, part.to);
        from = part.to + 1;
    }
    trn_publication_look (engine, self->sub->publication);
}

#ifdef TERN_BUG_16
//  A stale token completes whatever was given to others since.
static void
s_settle_stale (trn_engine_t *engine, trn_flow_t *self,
                const trn_settle_t *entry)
{
    trn_subscription_t *sub = self->sub;
    for (size_t index = 0; index < sub->flows.count; index++) {
        trn_flow_t *flow = sub->flows.at[index];
        for (size_t at = flow->leases.head; at < flow->leases.count; at++) {
            trn_lease_t *lease = &flow->leases.at[at];
            trn_range_t part;
            while (trn_leases_settle (&flow->leases, lease, entry->from,
                                      entry->to, &part)) {
                s_settle_part (engine, flow, lease, entry->outcome, &part);
            }
        }
        trn_leases_tidy (&flow->leases);
    }
    trn_subscription_resume (sub, entry->from, entry->to,
                             sub->publication->high);
    trn_publication_touch (engine, sub->publication);
}
#endif

static void
s_settle_entry (trn_engine_t *engine, trn_flow_t *self,
                const trn_settle_t *entry)
{
    trn_lease_t *lease = trn_leases_find (&self->leases, entry->token);
    uint64_t from = entry->from;
#ifdef TERN_BUG_10
    from = 1;
#endif
#ifdef TERN_BUG_16
    if (!lease) {
        s_settle_stale (engine, self, entry);
    }
#endif
    trn_range_t part;
    uint64_t settled = 0;
    while (
        lease
        && trn_leases_settle (&self->leases, lease, from, entry->to, &part)) {
        s_settle_part (engine, self, lease, entry->outcome, &part);
        settled += part.to - part.from + 1;
    }
    trn_leases_tidy (&self->leases);

    //  The rest was not theirs any more: given back, or settled before (T-47).
    //  A number made up by a stranger must not blow up the counter.
    const uint64_t said = entry->to - entry->from + 1;
    if (said > settled) {
        const uint64_t refused = said - settled;
        self->sub->stats.stale
            += refused < TRN_RUN_COUNT ? refused : TRN_RUN_COUNT;
    }
}

void
trn_flow_settled (trn_engine_t *engine, trn_flow_t *self, uint64_t from,
                  uint64_t to)
{
    assert (engine && self && from <= to);
    for (size_t index = self->leases.head; index < self->leases.count;
         index++) {
        trn_lease_t *lease = &self->leases.at[index];
        trn_range_t part;
        while (lease->open
               && trn_leases_settle (&self->leases, lease, from, to, &part)) {
            s_settle_part (engine, self, lease, TRN_ACCEPTED, &part);
        }
    }
    trn_leases_tidy (&self->leases);
}

bool
trn_flow_on_settle (trn_engine_t *engine, trn_flow_t *self,
                    const trn_frame_t *frame)
{
    assert (engine && self && frame->type == TRN_SETTLE);
    if (self->state != TRN_FLOW_OPEN) {
        return self->state == TRN_FLOW_REFUSED;
    }
    for (uint32_t index = 0; index < frame->settle.count; index++) {
        const trn_settle_t *entry = &frame->settle.entries[index];
        if (entry->outcome == TRN_STORED) {
            s_store_entry (engine, self, entry);
        } else {
            s_settle_entry (engine, self, entry);
        }
    }
    //  What was settled may have filled the window.
    trn_dispatch_touch (engine, self->sub);
    return true;
}

//  The next ranges from floor_turn on into one frame; false when all were told.
static bool
s_tell_ranges (trn_engine_t *engine, trn_flow_t *self)
{
    const trn_ranges_t *durable = &self->sub->durable;
    size_t index = 0;
    while (index < durable->count
           && durable->at[index].from < self->floor_turn) {
        index++;
    }
    trn_frame_t *frame = trn_link_out_send (engine, self->link, TRN_FLOOR);
    frame->floor.flow = self->number;
    frame->floor.low = trn_flow_floor (self);
    uint32_t count = 0;
    for (; index < durable->count && count < TRN_RANGES_MAX; index++) {
        if (durable->at[index].from >= frame->floor.low) {
            frame->floor.ranges[count++] = durable->at[index];
        }
    }
    frame->floor.range_count = count;
    self->floor_turn = index < durable->count ? durable->at[index].from : 0;
    return self->floor_turn != 0;
}

void
trn_flow_tell_floor (trn_engine_t *engine, trn_flow_t *self)
{
    assert (engine && self);
    if (self->state != TRN_FLOW_OPEN
        || (trn_flow_floor (self) == self->told_low
            && !self->sub->durable.count)) {
        return;
    }
    self->told_low = trn_flow_floor (self);
    for (int count = 0; count < FLOORS_MAX; count++) {
        if (!s_tell_ranges (engine, self)) {
            break;
        }
    }
}
