//  peer/inbox.c - a consumer's own durable copy of what it is given
//
//  Knows: when a publisher may hear what.  It is an engine's consumer of the queue
//  as any other; what it is given it appends to the log, and settles when the copy
//  is synced (early) or settled.  `told` is how far publishers have heard of what
//  is synced.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/inbox.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"
#include "peer/consumer.h"
#include "peer/origin.h"
#include "peer/taken.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Credit of an inbox that settles early, whatever its consumers hold.
#define WINDOW 16384
#define WINDOW_BYTES (8 * 1024 * 1024)

struct trn_inbox {
    trn_box_t *box;
    const char *queue;   //  whose inbox it is
    trn_taken_t *taken;  //  owned
    uint64_t told;

    trn_consumer_id_t taker;   //  the engine's consumer of queue; 0 none
    uint32_t users, paused;    //  consumers of ours
    uint64_t prefetch, bytes;  //  of all of them
    bool early;
    bool full;              //  no room: nothing is taken in
    uint64_t resume_below;  //  ... before so few are left
    bool failed;
};

//  Publishers ---------------------------------------------------------------

static void
s_answer (trn_inbox_t *self, const trn_giver_t *giver, const trn_range_t *part,
          trn_outcome_t outcome)
{
    if (self->taker && giver->flow) {
        trn_engine_on_settle (self->box->peer->engine, self->taker, giver->flow,
                              part->from, part->to, outcome, trn_clock_ms ());
    }
}

static void
s_remove_taker (trn_inbox_t *self)
{
    if (self->taker) {
        trn_engine_remove_consumer (self->box->peer->engine, self->taker,
                                    trn_clock_ms ());
        self->taker = 0;
        self->box->peer->queues_changed = true;
    }
}

//  These are durable here.  Of a large one its publisher still has the body, so
//  that is not said of it, and it is not accepted early.
static void
s_tell_sure (trn_inbox_t *self, const trn_giver_t *giver,
             const trn_range_t *all)
{
    trn_range_t part;
    for (uint64_t from = all->from;
         from <= all->to
         && trn_seqset_first_out (&giver->large, from, all->to, &part);
         from = part.to + 1) {
        if (self->early) {
            s_answer (self, giver, &part, TRN_ACCEPTED);
        } else if (self->taker && giver->flow) {
            trn_engine_on_stored (self->box->peer->engine, self->taker,
                                  giver->flow, part.from, part.to,
                                  trn_clock_ms ());
        }
    }
}

//  From told on, up to what is synced: what is not done yet is sure now.
static void
s_tell_synced (trn_inbox_t *self)
{
    const trn_log_t *log = trn_outbox_log (self->box->outbox);
    const uint64_t synced = trn_log_synced (log);
    uint64_t from = self->told + 1;
    trn_giver_t *giver;
    trn_range_t part;
    while (trn_taken_next (self->taken, &from, synced, &giver, &part)) {
        trn_giver_make_sure (giver, part.from, part.to);
        s_tell_sure (self, giver, &part);
    }
    self->told = synced > self->told ? synced : self->told;
    if (self->told < trn_log_appended (log)) {
        trn_outbox_want_room (self->box->outbox);  //  told when it has moved on
    } else if (!self->users) {
        s_remove_taker (self);
    }
}

//  Credit --------------------------------------------------------------------

static uint64_t
s_depth (const trn_inbox_t *self)
{
    trn_engine_outbox_stats_t stats;
    trn_engine_outbox_stats (self->box->peer->engine, self->box->id, &stats);
    return stats.waiting + stats.in_flight + stats.parked;
}

static void
s_apply_pause (trn_inbox_t *self)
{
    if (self->taker) {
        const bool none = self->paused >= self->users;
        trn_engine_pause_consumer (self->box->peer->engine, self->taker,
                                   self->full || none, trn_clock_ms ());
    }
}

//  No room: what comes meanwhile goes back, and nothing is granted before half of
//  what waits here is gone.
static void
s_fill (trn_inbox_t *self)
{
    self->full = true;
    self->resume_below = s_depth (self) / 2;
    s_apply_pause (self);
    trn_outbox_want_room (self->box->outbox);
}

static void
s_look_for_room (trn_inbox_t *self)
{
    const trn_box_t *box = self->box;
    trn_log_t *log = trn_outbox_log (box->outbox);
    if (!self->full || trn_log_status (log) != TERN_OK
        || s_depth (self) > self->resume_below) {
        return;
    }
    if (trn_log_room (log, 1)) {
        self->full = false;
        s_apply_pause (self);
    } else {
        trn_outbox_want_room (box->outbox);
    }
}

static uint32_t
s_less (uint64_t wanted, uint64_t limit)
{
    const uint64_t most = limit ? (limit > 1 ? limit / 2 : 1) : wanted;
    const uint64_t less = wanted < most ? wanted : most;
    return less < UINT32_MAX ? (uint32_t) less : UINT32_MAX;
}

//  What publishers may have under way fits into half of what the inbox may hold.
static void
s_apply_window (trn_inbox_t *self)
{
    trn_engine_t *engine = self->box->peer->engine;
    const uint32_t prefetch = s_less (self->early ? WINDOW : self->prefetch,
                                      self->box->limit_messages);
    const uint32_t bytes = s_less (self->early ? WINDOW_BYTES : self->bytes,
                                   self->box->limit_bytes);
    const int64_t now = trn_clock_ms ();
    if (!self->taker) {
        self->taker = trn_engine_add_consumer (engine, self->queue, prefetch,
                                               bytes, now);
        trn_engine_keep_consumer (engine, self->taker);
        self->box->peer->queues_changed = true;
    } else {
        trn_engine_resize_consumer (engine, self->taker, prefetch, bytes, now);
    }
}

int
trn_inbox_join (trn_inbox_t *self, const trn_inbox_terms_t *terms)
{
    assert (self && terms);
    if (self->failed) {
        return TERN_EIO;
    }
    if (self->users && self->early != terms->early) {
        return TERN_EINVAL;
    }
    self->users++;
    self->early = terms->early;
    self->prefetch += terms->prefetch;
    self->bytes += terms->bytes;
    s_apply_window (self);
    s_apply_pause (self);
    return TERN_OK;
}

//  What was not accepted towards its publisher goes back there, and stays here as
//  well: whoever comes first.  One that settles early has what it is about to
//  accept synced before.
void
trn_inbox_leave (trn_inbox_t *self, const trn_inbox_terms_t *terms)
{
    assert (self && terms && self->users);
    self->users--;
    self->prefetch -= terms->prefetch;
    self->bytes -= terms->bytes;
    if (self->users) {
        s_apply_window (self);
    } else if (!self->early) {
        s_remove_taker (self);
    }
    s_apply_pause (self);
    s_tell_synced (self);
}

void
trn_inbox_pause (trn_inbox_t *self, bool paused)
{
    assert (self);
    self->paused += paused ? 1u : UINT32_MAX;
    s_apply_pause (self);
}

bool
trn_inbox_takes (const trn_inbox_t *self)
{
    assert (self);
    return self->taker != 0;
}

//  Taking in -----------------------------------------------------------------

typedef struct {
    trn_giver_t *giver;
    trn_origin_t origin;
    uint64_t first, missed;  //  lost before the first one
} s_delivery_t;

//  A message that was taken in before comes again.
static bool
s_take_again (trn_inbox_t *self, const trn_giver_t *giver, uint64_t seq)
{
    const bool open = trn_seqset_has (&giver->open, seq);
    const bool sure = trn_seqset_has (&giver->sure, seq);
    const trn_range_t one = {seq, seq};
    if (open && sure) {
        s_tell_sure (self, giver, &one);
    } else if (sure) {
        s_answer (self, giver, &one, TRN_ACCEPTED);
    }
    return open || sure;
}

static int
s_append (trn_inbox_t *self, s_delivery_t *delivery, const trn_record_t *from)
{
    trn_record_t record = *from;
    trn_propset_t props = {0};
    uint64_t at = 0;
    delivery->origin.seq = from->seq;
    delivery->origin.stamp_us = from->stamp_us;
    delivery->origin.missed
        = from->seq == delivery->first ? delivery->missed : 0;
    trn_origin_seal (&delivery->origin, from, self->early, &props);
    size_t size = 0;
    record.props = trn_propset_map (&props, &size);
    record.props_size = (uint16_t) size;
    const uint8_t large = from->flags & TRN_RECORD_LARGE;
    record.flags = TRN_RECORD_RULED | large;
    record.stamp_us = trn_clock_wall_us ();
    const int rc = trn_ruled_copy (self->box, &record, &at);
    if (rc == TERN_OK) {
        trn_taken_add (self->taken, delivery->giver, at, from->seq);
        if (large) {
            trn_seqset_add (&delivery->giver->large, from->seq, from->seq);
        }
    }
    trn_propset_clear (&props);
    return rc;
}

//  True if all of the parcel is here now; else it stands at the first that is
//  not.
static bool
s_take (trn_inbox_t *self, s_delivery_t *delivery, trn_parcel_t *parcel,
        uint64_t *next_p)
{
    trn_record_t record;
    *next_p = parcel->from;
    while (trn_parcel_step (parcel, &record)) {
        if (!s_take_again (self, delivery->giver, record.seq)
            && s_append (self, delivery, &record) != TERN_OK) {
            return false;
        }
        *next_p = record.seq + 1;
    }
    return true;
}

static trn_inbox_t *
s_find (const tern_peer_t *peer, trn_consumer_id_t taker)
{
    for (uint32_t index = 0; index < peer->box_count; index++) {
        trn_inbox_t *inbox = peer->boxes[index]->inbox;
        if (inbox && inbox->taker == taker) {
            return inbox;
        }
    }
    return NULL;
}

bool
trn_inbox_deliver (tern_peer_t *peer, const trn_action_t *action)
{
    assert (peer && action);
    trn_inbox_t *self = peer->inboxes ? s_find (peer, action->consumer) : NULL;
    if (!self || !peer->inrun) {
        return self != NULL;
    }
    const uint64_t to = action->deliver.to;
    uint64_t next = action->deliver.from;
    s_delivery_t delivery = {
        .giver = trn_taken_giver (self->taken, peer->inrun_store,
 peer->inrun_outbox),
        .first = next,
        .missed = action->deliver.missed,
        .origin = {
            .floor = peer->inrun_floor,
            .deliveries = action->deliver.deliveries,
            .redelivered = action->deliver.redelivered,
            .publisher = peer->inrun_publisher,
            .outbox = peer->inrun_outbox,
        },
    };
    memcpy (delivery.origin.store_uuid, peer->inrun_store, 16);
    delivery.giver->flow = action->deliver.flow;
    trn_giver_meet (delivery.giver, action->deliver.number);
    trn_giver_raise (delivery.giver, peer->inrun_floor);
    bool taken = false;
    if (!self->full && !self->failed) {
        trn_parcel_t *parcel
            = trn_parcel_new (peer->inrun, peer->inrun_first, next, to);
        taken = s_take (self, &delivery, parcel, &next);
        trn_parcel_release (&parcel);
    }
    if (!taken) {
        const trn_range_t rest = {next, to};
        s_answer (self, delivery.giver, &rest, TRN_RELEASED);
        s_fill (self);
    }
    trn_box_appended (self->box, trn_ruled_collect (self->box),
                      trn_clock_ms ());
    trn_outbox_want_room (self->box->outbox);
    return true;
}

//  Settling ------------------------------------------------------------------

//  Has its publisher heard already that it is accepted?
static bool
s_is_accepted (const trn_inbox_t *self, const trn_giver_t *giver, uint64_t seq)
{
    return self->early && trn_seqset_has (&giver->sure, seq)
           && !trn_seqset_has (&giver->large, seq);
}

static void
s_accept (trn_inbox_t *self, const trn_giver_t *giver, const trn_range_t *all)
{
    if (!self->early) {
        s_answer (self, giver, all, TRN_ACCEPTED);
        return;
    }
    for (uint64_t seq = all->from; seq <= all->to; seq++) {
        if (!s_is_accepted (self, giver, seq)) {
            const trn_range_t one = {seq, seq};
            s_answer (self, giver, &one, TRN_ACCEPTED);
        }
    }
}

//  from..to of the log are done: answer for them, and know them as done.
static void
s_done (trn_inbox_t *self, uint64_t from, uint64_t to)
{
    trn_giver_t *giver;
    trn_range_t part;
    while (trn_taken_next (self->taken, &from, to, &giver, &part)) {
        trn_seqset_remove (&giver->open, part.from, part.to);
        s_accept (self, giver, &part);
        trn_giver_make_sure (giver, part.from, part.to);
        trn_seqset_remove (&giver->large, part.from, part.to);
    }
}

//  Large ones that died here, up to this seq of the log: it is for their publisher,
//  who has their bodies, to bury them.
static void
s_return_large (trn_inbox_t *self, uint64_t to)
{
    trn_giver_t *giver;
    trn_range_t part;
    uint64_t from = 1;
    while (trn_taken_next (self->taken, &from, to, &giver, &part)) {
        trn_range_t large;
        while (
            trn_seqset_first_in (&giver->large, part.from, part.to, &large)) {
            trn_seqset_remove (&giver->open, large.from, large.to);
            trn_seqset_remove (&giver->sure, large.from, large.to);
            trn_seqset_remove (&giver->large, large.from, large.to);
            s_answer (self, giver, &large, TRN_REJECTED);
        }
    }
}

//  The publisher can still do it over, or bury it: its copy is the one that
//  counts, and ours goes.
static bool
s_hand_back (trn_inbox_t *self, uint64_t at, trn_outcome_t outcome)
{
    uint64_t from = at;
    trn_giver_t *giver;
    trn_range_t one;
    if (!self->taker || !trn_taken_next (self->taken, &from, at, &giver, &one)
        || (self->early && !trn_seqset_has (&giver->large, one.from))
        || !giver->flow
        || !trn_engine_leased (self->box->peer->engine, self->taker,
                               giver->flow, one.from)) {
        return false;
    }
    trn_taken_drop (self->taken, at);
    trn_seqset_remove (&giver->large, one.from, one.from);
    s_answer (self, giver, &one, outcome);
    return true;
}

void
trn_inbox_settle (trn_inbox_t *self, trn_consumer_id_t consumer, uint32_t flow,
                  uint64_t from, uint64_t to, trn_outcome_t outcome,
                  int64_t now_ms)
{
    assert (self && from <= to);
    trn_engine_t *engine = self->box->peer->engine;
    if (outcome == TRN_ACCEPTED) {
        trn_engine_on_settle (engine, consumer, flow, from, to, outcome,
                              now_ms);
        s_done (self, from, to);
        return;
    }
    if (outcome == TRN_RELEASED) {
        trn_engine_on_settle (engine, consumer, flow, from, to, outcome,
                              now_ms);
        return;
    }
    for (uint64_t at = from; at <= to; at++) {
        const bool back = trn_engine_leased (engine, consumer, flow, at)
                          && s_hand_back (self, at, outcome);
        trn_engine_on_settle (engine, consumer, flow, at, at,
                              back ? TRN_ACCEPTED : outcome, now_ms);
    }
}

//  Whatever else was settled, dead or expired, is done as well: this store has
//  seen to it.
void
trn_inbox_progress (trn_inbox_t *self)
{
    assert (self);
    const uint64_t processed = atomic_load (&self->box->processed);
    s_return_large (self, processed);
    s_done (self, 1, processed);
    trn_taken_forget (self->taken, processed);
    s_look_for_room (self);
}

//  The disk ------------------------------------------------------------------

//  The log is over: what is not synced stays with its publishers, who hear no
//  more of us; the rest comes in the next life.
static void
s_fail (trn_inbox_t *self)
{
    tern_peer_t *peer = self->box->peer;
    self->failed = true;
    s_remove_taker (self);
    for (tern_consumer_t *at = peer->consumers; at;
         at = trn_consumer_next (at)) {
        if (at->inbox == self) {
            trn_consumer_end (at);
        }
    }
    trn_events_addf (&peer->events, "TERN-INBOX-FAILED", TERN_LOG_ERROR,
                     "queue=%s", self->queue);
}

void
trn_inbox_look (trn_inbox_t *self)
{
    assert (self);
    const int status = trn_log_status (trn_outbox_log (self->box->outbox));
    if (status != TERN_OK && status != TERN_EFULL) {
        if (!self->failed) {
            s_fail (self);
        }
        return;
    }
    s_tell_synced (self);
    s_look_for_room (self);
}

//  Lives ---------------------------------------------------------------------

trn_inbox_t *
trn_inbox_new (trn_box_t *box)
{
    assert (box && box->queue[0] == TRN_INBOX_MARK);
    trn_inbox_t *self = trn_alloc (sizeof *self);
    self->box = box;
    self->queue = trn_inbox_of (box->queue);
    self->taken = trn_taken_new ();
    return self;
}

void
trn_inbox_destroy (trn_inbox_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        trn_taken_destroy (&(*self_p)->taken);
        free (*self_p);
        *self_p = NULL;
    }
}

void
trn_inbox_found (void *arg, const trn_record_t *record)
{
    trn_box_t *box = arg;
    trn_origin_t origin;
    trn_ruled_found (box, record);
    if (trn_origin_read (record, &origin)) {
        trn_taken_t *taken = box->inbox->taken;
        trn_giver_t *giver
            = trn_taken_giver (taken, origin.store_uuid, origin.outbox);
        trn_giver_raise (giver, origin.floor);
        trn_taken_add (taken, giver, record->seq, origin.seq);
        if (record->flags & TRN_RECORD_LARGE) {
            trn_seqset_add (&giver->large, origin.seq, origin.seq);
        }
    }
}

static bool
s_is_settled (void *arg, uint64_t at)
{
    const trn_box_t *box = arg;
    return trn_engine_settled (box->peer->engine, box->id, at);
}

//  What the state says is done is no copy of anything: whether its publisher may
//  send it again, the state says as well.
void
trn_inbox_start (trn_box_t *box)
{
    assert (box && box->inbox);
    trn_taken_restore (box->inbox->taken, s_is_settled, box);
    box->inbox->told = trn_log_synced (trn_outbox_log (box->outbox));
    box->peer->inboxes++;
}

size_t
trn_inbox_pack (const trn_inbox_t *self, uint8_t to[TRN_INBOX_STATE_MAX])
{
    assert (self);
    return trn_taken_pack (self->taken, to);
}

size_t
trn_inbox_unpack (trn_inbox_t *self, const uint8_t *bytes, size_t size)
{
    return trn_taken_unpack (self ? self->taken : NULL, bytes, size);
}
