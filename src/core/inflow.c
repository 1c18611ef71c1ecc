//  core/inflow.c - one stream as it comes in over one connection
//
//  A run is cut into what is new (delivered), what is in hand already (takes the
//  new token, so that the application's answer finds the publisher), and what
//  was settled here before (answered at once, delivered never again): T-32 and
//  T-33.  With nothing gone wrong it is all new, and is not cut.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/inflow.h"

#include "base/memory.h"
#include "base/name.h"
#include "core/intake.h"
#include "core/known.h"
#include "core/link_in.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Settlements --------------------------------------------------------------

static void
s_flush (trn_engine_t *engine, trn_inflow_t *self)
{
    if (!self->entry_count) {
        return;
    }
    trn_frame_t *frame = trn_link_in_send (engine, self->inbound, TRN_SETTLE);
    frame->settle.flow = self->number;
    frame->settle.count = self->entry_count;
    memcpy (frame->settle.entries, self->entries,
            self->entry_count * sizeof *self->entries);
    self->entry_count = 0;
}

//  Entries wait until the shell has drained; neighbours become one.
static void
s_answer (trn_engine_t *engine, trn_inflow_t *self, const trn_settle_t *entry)
{
    if (self->entry_count) {
        trn_settle_t *last = &self->entries[self->entry_count - 1];
        if (last->token == entry->token && last->outcome == entry->outcome
            && last->to + 1 == entry->from) {
            last->to = entry->to;
            return;
        }
    }
    if (self->entry_count == TRN_SETTLES_MAX) {
        s_flush (engine, self);
    }
    self->entries[self->entry_count++] = *entry;
    if (entry->outcome == TRN_RELEASED) {
        self->told = true;
    }
    if (!self->dirty) {
        self->dirty = true;
        trn_list_add (&engine->settling, self);
    }
}

void
trn_inflow_run (trn_engine_t *engine)
{
    assert (engine);
    for (size_t index = 0; index < engine->settling.count; index++) {
        trn_inflow_t *self = engine->settling.at[index];
        self->dirty = false;
        s_flush (engine, self);
    }
    engine->settling.count = 0;
}

//  Part left the consumer's hand: there is room again.
static void
s_unhold (trn_stream_t *stream, trn_consumer_t *consumer,
          const trn_hand_t *part)
{
    const uint64_t count = part->to - part->from + 1;
    const uint64_t bytes = count * part->each;
    stream->held -= count;
    stream->held_bytes -= bytes;
    consumer->held -= count;
    consumer->held_bytes -= bytes;
    consumer->intake->dirty = true;
}

//  What was told with a message that goes back has not been told, and may come with
//  another one.
static void
s_untell (trn_stream_t *stream, uint64_t from, uint64_t to)
{
    trn_missed_t *missed = &stream->missed;
    if (from <= missed->seq && missed->seq <= to) {
        missed->total = missed->before;
        missed->seq = 0;
    }
}

void
trn_inflow_settle (trn_engine_t *engine, trn_stream_t *stream,
                   trn_consumer_t *consumer, uint64_t from, uint64_t to,
                   trn_outcome_t outcome)
{
    assert (engine && stream && consumer && from <= to);
    uint64_t left = to - from + 1;
    trn_hand_t part;
    while (trn_dedup_release (&stream->dedup, consumer->id, from, to, &part)) {
        left -= part.to - part.from + 1;
        s_unhold (stream, consumer, &part);
        if (outcome == TRN_ACCEPTED) {
            trn_dedup_settle (&stream->dedup, part.from, part.to);
        } else if (outcome != TRN_REJECTED) {
            s_untell (stream, part.from, part.to);
        }
        //  Without a lease there is nobody to answer: what was accepted is told
        //  when the publisher is back, the rest it has taken back already.
        if (part.token && stream->flow) {
            const trn_settle_t entry
                = {part.token, outcome, part.from, part.to};
            s_answer (engine, stream->flow, &entry);
        }
    }
    trn_known_count (engine, stream);
    engine->stats.unknown += left;
}

//  Tell what of from..to is durable here, under the leases that hold now.
static void
s_tell_stored (trn_engine_t *engine, trn_stream_t *stream, uint64_t from,
               uint64_t to)
{
    trn_inflow_t *flow = stream->flow;
    if (!flow || !flow->inbound->told_stored) {
        return;
    }
    trn_hand_at_t at;
    for (const trn_hand_t *hand
         = trn_hands_find (&stream->dedup.hand, from, &at);
         hand && hand->from <= to;
         hand = trn_hands_next (&stream->dedup.hand, &at)) {
        if (hand->stored && hand->token) {
            const trn_settle_t entry = {
                .token = hand->token,
                .outcome = TRN_STORED,
                .from = hand->from > from ? hand->from : from,
                .to = hand->to < to ? hand->to : to,
            };
            s_answer (engine, flow, &entry);
        }
    }
}

void
trn_inflow_store (trn_engine_t *engine, trn_stream_t *stream,
                  trn_consumer_id_t consumer, uint64_t from, uint64_t to)
{
    assert (engine && stream && from <= to);
    trn_dedup_store (&stream->dedup, consumer, from, to);
    s_tell_stored (engine, stream, from, to);
}

void
trn_inflow_give_back (trn_engine_t *engine, trn_stream_t *stream,
                      trn_consumer_t *consumer)
{
    assert (engine && stream && consumer);
    const uint64_t unknown = engine->stats.unknown;
    trn_inflow_settle (engine, stream, consumer, 1, stream->dedup.seen + 1,
                       TRN_REQUEUED);
    engine->stats.unknown = unknown;
}

//  Coming and going ---------------------------------------------------------

trn_inflow_t *
trn_inflow_find (const trn_inbound_t *inbound, uint32_t number)
{
    assert (inbound);
    for (size_t index = 0; index < inbound->flows.count; index++) {
        trn_inflow_t *flow = inbound->flows.at[index];
        if (flow->number == number) {
            return flow;
        }
    }
    return NULL;
}

void
trn_inflow_end (trn_engine_t *engine, trn_inflow_t **self_p)
{
    assert (engine && self_p && *self_p);
    trn_inflow_t *self = *self_p;
    if (self->intake) {
        trn_intake_leave (self->intake, self);
    }
    if (self->dirty) {
        trn_list_remove (&engine->settling, self);
    }
    self->stream->flow = NULL;
    trn_dedup_orphan (&self->stream->dedup);
    engine->inflow_count--;
    free (self);
    *self_p = NULL;
}

static trn_inflow_verdict_t
s_cancel (trn_engine_t *engine, trn_inbound_t *inbound, uint32_t number)
{
    trn_link_in_send (engine, inbound, TRN_CANCEL)->cancel.flow = number;
    return TRN_INFLOW_FINE;
}

static void
s_report_back (trn_engine_t *engine, const trn_stream_t *stream, uint64_t low,
               uint64_t high)
{
    trn_action_t *report = trn_engine_report (engine, TRN_PUBLISHER_WENT_BACK);
    trn_report_text (report, "publisher", stream->store->name);
    trn_report_text (report, "outbox", stream->outbox);
    trn_report_text (report, "queue", stream->queue);
    trn_report_number (report, "high", high);
    trn_report_number (report, "seen", stream->dedup.seen);
    trn_report_number (report, "low", low);
    trn_report_number (report, "floor", stream->dedup.floor);
}

//  Losses that were told with a message that will not come again.
static uint64_t
s_told (const trn_stream_t *stream)
{
    const trn_missed_t *missed = &stream->missed;
    const trn_dedup_t *dedup = &stream->dedup;
    const bool settled = missed->seq < dedup->floor
                         || trn_seqset_has (&dedup->settled, missed->seq);
    return settled ? missed->total : missed->before;
}

static void
s_accept (trn_engine_t *engine, trn_inflow_t *self, const trn_intake_t *intake)
{
    const trn_dedup_t *dedup = &self->stream->dedup;
    trn_frame_t *frame = trn_link_in_send (engine, self->inbound, TRN_ACCEPT);
    frame->accept.flow = self->number;
    frame->accept.seen = self->stream->seen_before;
    uint32_t count = 0;
    uint64_t from = 0;
    trn_range_t *part = frame->accept.ranges;
    for (; count < TRN_RANGES_MAX
           && trn_seqset_first_in (&dedup->settled, from, TRN_SEQ_MAX, part);
         count++) {
        from = part++->to + 1;
    }
    frame->accept.range_count = count;
    frame->accept.told = s_told (self->stream);
    frame->accept.flags
        = intake && trn_intake_keeps (intake) && self->inbound->told_stored
              ? TRN_ACCEPT_STORES
              : 0;
}

//  The same flow offered again says that messages wait without credit.
static trn_inflow_verdict_t
s_on_reminder (trn_inflow_t *self, const trn_frame_t *frame)
{
    if (!trn_text_is (frame->offer.queue, self->stream->queue)
        || !trn_text_is (frame->offer.outbox, self->stream->outbox)) {
        return TRN_INFLOW_BROKEN;
    }
    if (self->intake) {
        self->wants = true;
        self->intake->dirty = true;
    }
    return TRN_INFLOW_FINE;
}

//  A new flow for a stream that may be sent.
static trn_inflow_t *
s_new_flow (trn_engine_t *engine, trn_inbound_t *inbound, trn_stream_t *stream,
            uint32_t number)
{
    trn_inflow_t *self = trn_alloc (sizeof *self);
    self->number = number;
    self->inbound = inbound;
    self->stream = stream;
    stream->flow = self;
    trn_list_add (&inbound->flows, self);
    engine->inflow_count++;
    return self;
}

//  A log only grows, and so does what is settled of it.
static bool
s_goes_back (uint64_t offered, uint64_t known)
{
#ifdef TERN_BUG_12
    known = 0;
#endif
    return offered < known;
}

//  A queue was removed, and another one has its name now: it may begin anywhere.
static bool
s_begins_anew (const trn_stream_t *stream, const trn_frame_t *frame)
{
    return stream->number && frame->offer.number > stream->number;
}

//  What lies in an inbox is between us and ourselves.
static bool
s_may_offer (const trn_engine_t *engine, const trn_inbound_t *inbound,
             const trn_frame_t *frame)
{
    return frame->offer.queue.at[0] != TRN_INBOX_MARK
           || memcmp (inbound->store->store_uuid, engine->config.store_uuid, 16)
                  == 0;
}

trn_inflow_verdict_t
trn_inflow_on_offer (trn_engine_t *engine, trn_inbound_t *inbound,
                     const trn_frame_t *frame)
{
    assert (engine && inbound && frame->type == TRN_OFFER);
    const uint32_t number = frame->offer.flow;
    trn_inflow_t *known = trn_inflow_find (inbound, number);
    if (known) {
        return s_on_reminder (known, frame);
    }
    if (number <= inbound->flow_number) {
        //  Cancelled; the publisher did not know yet.
        engine->stats.late++;
        return TRN_INFLOW_FINE;
    }
    inbound->flow_number = number;
    trn_intake_t *intake = trn_intake_find (engine, frame->offer.queue);
    if (!intake || engine->closed || !s_may_offer (engine, inbound, frame)) {
        return s_cancel (engine, inbound, number);
    }
    trn_stream_t *stream
        = engine->inflow_count < TRN_FLOWS_MAX ? trn_known_stream (
              engine, inbound->store, frame->offer.outbox, frame->offer.queue)
                                               : NULL;
    if (!stream) {
        trn_action_t *report = trn_engine_report (engine, TRN_TABLE_FULL);
        trn_report_text (report, "table", "flows");
        trn_report_text (report, "peer", inbound->store->name);
        return s_cancel (engine, inbound, number);
    }
    if (stream->flow) {
        return TRN_INFLOW_BROKEN;
    }
    trn_dedup_t *dedup = &stream->dedup;
    if (s_begins_anew (stream, frame)) {
        stream->missed = (trn_missed_t) {0};
        trn_dedup_renew (dedup);
        trn_known_count (engine, stream);
    }
    if (s_goes_back (frame->offer.low, dedup->floor)
        || (frame->offer.number
            && s_goes_back (frame->offer.number, stream->number))
        || stream->went_back) {
        s_report_back (engine, stream, frame->offer.low, frame->offer.high);
        stream->went_back = true;
        return TRN_INFLOW_FORKED;
    }
    if (s_goes_back (frame->offer.high, stream->seen_before)) {
        //  Its next life may have gone past that, and would still be wrong.
        stream->went_back = true;
        //  Our answer tells it; nothing is granted, so nothing may come.
        s_report_back (engine, stream, frame->offer.low, frame->offer.high);
        s_accept (engine, s_new_flow (engine, inbound, stream, number), NULL);
        return TRN_INFLOW_FINE;
    }
    trn_dedup_raise (dedup, frame->offer.low);
    if (frame->offer.number) {
        stream->number = frame->offer.number;
    }
    trn_inflow_t *self = s_new_flow (engine, inbound, stream, number);
    s_accept (engine, self, intake);
    trn_intake_join (engine, intake, self);
    return TRN_INFLOW_FINE;
}

//  Data ---------------------------------------------------------------------

//  Within what we ever granted (T-55), and by its own word?
static bool
s_obeys (const trn_inflow_t *self, const trn_frame_t *frame, uint32_t run_size)
{
    const bool fits = self->received_bytes + run_size <= self->ceiling_bytes
                      || (frame->data.count == 1
                          && self->received_bytes < self->ceiling_bytes);
    return self->intake && frame->data.token != 0
           && frame->data.first_seq >= frame->data.low
           && self->received_messages + frame->data.count
                  <= self->ceiling_messages
           && fits;
}

//  How many were lost before this run that the application has not heard of.
static uint64_t
s_missed (trn_engine_t *engine, trn_inflow_t *self, const trn_frame_t *frame)
{
    trn_missed_t *missed = &self->stream->missed;
    const uint64_t total = frame->data.missed;
    if (total && missed->seq != frame->data.first_seq) {
        missed->before = missed->total;
        missed->seq = frame->data.first_seq;
    }
    if (missed->before < frame->data.told) {
        missed->before = frame->data.told;
    }
    if (total <= missed->before) {
        return 0;
    }
    missed->total = total;
    trn_action_t *report = trn_engine_report (engine, TRN_MESSAGES_MISSED);
    trn_report_text (report, "peer", self->inbound->store->name);
    trn_report_text (report, "outbox", self->stream->outbox);
    trn_report_text (report, "queue", self->stream->queue);
    trn_report_number (report, "count", total - missed->before);
    trn_report_number (report, "before", frame->data.first_seq);
    return total - missed->before;
}

//  New records go to whoever has room.
static void
s_deliver (trn_engine_t *engine, trn_inflow_t *self, const trn_frame_t *frame,
           uint64_t from, uint64_t to, uint32_t each)
{
    trn_stream_t *stream = self->stream;
    uint64_t missed
        = from == frame->data.first_seq ? s_missed (engine, self, frame) : 0;
    while (from <= to) {
        uint64_t count;
        trn_consumer_t *consumer
            = trn_intake_choose (self->intake, to - from + 1, &count);
        const trn_hand_t hand = {
            .from = from,
            .to = from + count - 1,
            .token = frame->data.token,
            .consumer = consumer->id,
            .each = each,
        };
        trn_dedup_take (&stream->dedup, &hand);
        stream->held += count;
        stream->held_bytes += count * each;
        consumer->held += count;
        consumer->held_bytes += count * each;
        engine->stats.delivered += count;
#ifdef TERN_BUG_8
        trn_dedup_settle (&stream->dedup, hand.from, hand.to);
#endif
#ifdef TERN_BUG_2
        const trn_settle_t early
            = {hand.token, TRN_ACCEPTED, hand.from, hand.to};
        s_answer (engine, self, &early);
#endif
        trn_action_t *action
            = trn_actions_add (&engine->actions, TRN_DO_DELIVER);
        action->consumer = consumer->id;
        action->deliver.flow = stream->handle;
        action->deliver.number = stream->number;
        action->deliver.from = hand.from;
        action->deliver.to = hand.to;
        action->deliver.deliveries = frame->data.deliveries;
        action->deliver.redelivered
            = (frame->data.flags & TRN_DATA_REDELIVERED) != 0;
        action->deliver.missed = missed;
        missed = 0;
        from += count;
    }
}

static void
s_take_run (trn_engine_t *engine, trn_inflow_t *self, const trn_frame_t *frame,
            uint32_t each)
{
    trn_dedup_t *dedup = &self->stream->dedup;
    const uint64_t last = frame->data.first_seq + frame->data.count - 1;
    uint64_t from = frame->data.first_seq;
    while (from <= last) {
        uint64_t to;
        switch (trn_dedup_look (dedup, from, last, &to)) {
        case TRN_SEQ_NEW:
            s_deliver (engine, self, frame, from, to, each);
            break;
        case TRN_SEQ_IN_HAND:
            trn_dedup_adopt (dedup, from, to, frame->data.token);
            s_tell_stored (engine, self->stream, from, to);
            break;
        case TRN_SEQ_SETTLED: {
            const trn_settle_t again
                = {frame->data.token, TRN_ACCEPTED, from, to};
            s_answer (engine, self, &again);
            engine->stats.duplicates += to - from + 1;
            break;
        }
        }
        from = to + 1;
    }
}

trn_inflow_verdict_t
trn_inflow_on_data (trn_engine_t *engine, trn_inbound_t *inbound,
                    const trn_frame_t *frame, uint32_t run_size)
{
    assert (engine && inbound && frame->type == TRN_DATA);
    trn_inflow_t *self = trn_inflow_find (inbound, frame->data.flow);
    if (!self) {
        engine->stats.late++;
        return frame->data.flow <= inbound->flow_number ? TRN_INFLOW_FINE
                                                        : TRN_INFLOW_BROKEN;
    }
    if (!s_obeys (self, frame, run_size)) {
        return TRN_INFLOW_BROKEN;
    }
    self->received_messages += frame->data.count;
    self->received_bytes += run_size;
    self->used_ms = engine->now_ms;
    self->wants = (frame->data.flags & TRN_DATA_MORE) != 0;
    self->intake->dirty = true;
    engine->stats.received += frame->data.count;
    trn_stream_t *stream = self->stream;
    trn_dedup_raise (&stream->dedup, frame->data.low);
    const uint64_t first = frame->data.first_seq;
    if (trn_dedup_promised (&stream->dedup, first,
                            first + frame->data.count - 1)) {
        //  It does not know any more what it had saved (T-73).
        s_report_back (engine, stream, frame->data.low, first);
        stream->went_back = true;
        return TRN_INFLOW_FORKED;
    }
    trn_known_count (engine, stream);
    s_take_run (engine, self, frame, run_size / frame->data.count);
    return TRN_INFLOW_FINE;
}

trn_inflow_verdict_t
trn_inflow_on_floor (trn_engine_t *engine, trn_inbound_t *inbound,
                     const trn_frame_t *frame)
{
    assert (engine && inbound && frame->type == TRN_FLOOR);
    trn_inflow_t *self = trn_inflow_find (inbound, frame->floor.flow);
    if (!self) {
        engine->stats.late++;
        return frame->floor.flow <= inbound->flow_number ? TRN_INFLOW_FINE
                                                         : TRN_INFLOW_BROKEN;
    }
    trn_dedup_t *dedup = &self->stream->dedup;
    trn_dedup_raise (dedup, frame->floor.low);
    for (uint32_t index = 0; index < frame->floor.range_count; index++) {
        const trn_range_t *range = &frame->floor.ranges[index];
        if (engine->remembered < TRN_REMEMBERED_MAX) {
            trn_dedup_promise (dedup, range->from, range->to);
        }
    }
    trn_known_count (engine, self->stream);
    if (self->intake) {
        self->intake->dirty = true;
    }
    return TRN_INFLOW_FINE;
}

trn_inflow_verdict_t
trn_inflow_on_retire (trn_engine_t *engine, trn_inbound_t *inbound,
                      const trn_frame_t *frame)
{
    assert (engine && inbound && frame->type == TRN_RETIRE);
    trn_inflow_t *self = trn_inflow_find (inbound, frame->retire.flow);
    if (self) {
        //  A queue of that name would begin to count anew.
        self->stream->missed = (trn_missed_t) {0};
        trn_list_remove (&inbound->flows, self);
        trn_inflow_end (engine, &self);
    }
    return TRN_INFLOW_FINE;
}
