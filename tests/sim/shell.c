//  sim/shell.c - the actor's part of a simulated peer
//
//  Knows: how actions become frames and events, and what a shell must check
//  before it gives a run to the engine.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/exchange.h"

#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Runs -------------------------------------------------------------------

static sim_outbox_t *
s_outbox (sim_peer_t *self, trn_outbox_id_t id)
{
    for (unsigned index = 0; index < self->outbox_count; index++) {
        if (self->outboxes[index].id == id) {
            return &self->outboxes[index];
        }
    }
    assert (false);
    return NULL;
}

//  Behind the handle of a run: whose it is, and its reference.
typedef struct {
    sim_outbox_t *outbox;
    trn_chunk_t *chunk;
} s_piece_t;

static trn_run_answer_t
s_ready (sim_outbox_t *outbox, trn_engine_run_t *run, const trn_run_t *found)
{
    s_piece_t *piece = trn_alloc (sizeof *piece);
    *piece = (s_piece_t) {outbox, found->chunk};
    *run = (trn_engine_run_t) {
        .handle = piece,
        .first_seq = found->first_seq,
        .count = found->count,
        .size = found->size,
        .segment = found->segment,
        .offset = (uint64_t) found->offset,
        .stamp_us = found->stamp_us,
    };
    return TRN_RUN_READY;
}

static trn_run_answer_t
s_run (void *arg, trn_outbox_id_t id, uint64_t seq, uint32_t count_max,
       uint32_t bytes_max, trn_engine_run_t *run)
{
    sim_peer_t *self = arg;
    sim_outbox_t *outbox = s_outbox (self, id);
    trn_log_hint (outbox->log, seq);
    trn_run_t found;
    const uint64_t floor = trn_log_floor (outbox->log);
    if (seq < floor) {
        if (outbox->limit_messages) {
            sim_ledger_drop (self->world->ledger, outbox->stream, floor);
        }
        run->skip_to = floor;
        return TRN_RUN_GONE;
    }
    const int rc = trn_log_run (outbox->log, seq, count_max, bytes_max, &found);
    if (rc == 1) {
        return s_ready (outbox, run, &found);
    }
    if (rc < 0) {
        sim_fail (self->world, "%s/%s: run of %" PRIu64 ": %s", self->name,
                  outbox->queue, seq, tern_strerror (rc));
        return TRN_RUN_LATER;
    }
    for (unsigned index = 0; index < SIM_CHUNKS; index++) {
        if (outbox->chunks[index]
            && trn_chunk_run (outbox->chunks[index], seq, count_max, bytes_max,
                              &found)
                   == 1) {
            return s_ready (outbox, run, &found);
        }
    }
    sim_trace (self->world, "%-5s must read back %s %" PRIu64, self->name,
               outbox->queue, seq);
    sim_outbox_want (outbox, seq);
    return TRN_RUN_LATER;
}

static void
s_release (void *arg, void *handle)
{
    (void) arg;
    s_piece_t *piece = handle;
    trn_chunk_release (&piece->chunk);
    free (piece);
}

trn_run_source_t
sim_peer_source (sim_peer_t *self)
{
    return (trn_run_source_t) {s_run, s_release, self};
}

//  Actions ----------------------------------------------------------------

static void
s_send (sim_peer_t *self, const trn_action_t *action)
{
    sim_conn_t *conn = sim_net_link (self->world->net, self, action->link);
    if (conn) {
        sim_watch_offer (conn, &action->frame);
        sim_watch_frame (self, conn, &action->frame);
        sim_net_send (self->world->net, conn, SIM_TO_CONSUMER, &action->frame,
                      NULL, 0);
    }
}

static void
s_send_run (sim_peer_t *self, const trn_action_t *action)
{
    const trn_engine_run_t *run = &action->run;
    const s_piece_t *piece = run->handle;
    sim_conn_t *conn = sim_net_link (self->world->net, self, action->link);
    //  For the engine it is out, even if the connection is gone.
    unsigned stream;
    if (sim_watch_stream (piece->outbox, conn, action->frame.data.flow,
                          &stream)) {
        sim_ledger_send (self->world->ledger, stream, run->first_seq,
                         run->count, action->frame.data.token,
                         action->frame.data.flags & TRN_DATA_REDELIVERED);
    }
    if (conn) {
        sim_watch_run (piece->outbox, conn, &action->frame, run->size);
        sim_watch_frame (self, conn, &action->frame);
        const uint8_t *data = piece->chunk->data
                              + ((int64_t) run->offset - piece->chunk->offset);
        sim_net_send (self->world->net, conn, SIM_TO_CONSUMER, &action->frame,
                      data, run->size);
    }
    s_release (self, run->handle);
}

static void
s_on_route_lost (sim_world_t *world, const sim_event_t *event)
{
    (void) world;
    trn_engine_on_route_lost (event->peer->engine, event->number,
                              sim_peer_now (event->peer));
    sim_peer_drain_soon (event->peer);
}

//  A router says at once that a peer is not there any more, if it knows.
static void
s_reply (sim_peer_t *self, const trn_action_t *action)
{
    sim_conn_t *conn = sim_net_route (self->world->net, self, action->route);
    if (!conn || conn->dropped) {
        return;
    }
    if (conn->closed || conn->cut) {
        if (sim_chance (self->world, 500)) {
            sim_after (self->world, 0, s_on_route_lost, self, NULL,
                       conn->number);
        }
        return;
    }
    sim_watch_frame (self, conn, &action->frame);
    sim_net_send (self->world->net, conn, SIM_TO_PUBLISHER, &action->frame,
                  NULL, 0);
}

static sim_consumer_t *
s_consumer (sim_peer_t *self, trn_consumer_id_t id)
{
    for (unsigned index = 0; index < self->consumer_count; index++) {
        if (self->consumers[index].id == id) {
            return &self->consumers[index];
        }
    }
    assert (false);
    return NULL;
}

//  Hand out the named records of the run that is being looked at.
static void
s_deliver (sim_peer_t *self, const trn_action_t *action)
{
    sim_consumer_t *consumer = s_consumer (self, action->consumer);
    const uint8_t *store_uuid = NULL;
    const char *outbox = NULL;
    const char *peer = NULL;
    const trn_frame_t *frame = self->inbound_frame;
    assert (frame && self->inbound);
    if (!trn_engine_inbound_flow (self->engine, self->inbound_conn->number,
                                  frame->connection, frame->data.flow,
                                  &store_uuid, &outbox, &peer)) {
        sim_fail (self->world, "%s: a delivery without its flow", self->name);
        return;
    }
    const uint8_t *at = self->inbound->run;
    uint32_t left = self->inbound->run_size;
    for (uint64_t seq = frame->data.first_seq; seq <= action->deliver.to;
         seq++) {
        trn_record_t record;
        const int step = trn_record_peek (at, left, &record);
        assert (step > 0);
        if (seq >= action->deliver.from) {
            sim_hand_t hand = {
                .seq = seq,
                .print = sim_ledger_print (record.body, record.body_size),
                .flow = action->deliver.flow,
                .size = (uint32_t) step,
                .deliveries = action->deliver.deliveries,
                .redelivered = action->deliver.redelivered,
            };
            memcpy (hand.store_uuid, store_uuid, 16);
            if (strcmp (outbox, consumer->queue) == 0) {
                snprintf (hand.outbox, sizeof hand.outbox, "%s", outbox);
            } else {
                sim_exchange_stream_name (outbox, consumer->queue, hand.outbox);
            }
            if (consumer->serves) {
                hand.asker = sim_request_asker (self->world, record.body,
                                                record.body_size);
            }
            if (self->keep_texts) {
                hand.text = trn_strndup ((const char *) record.body,
                                         record.body_size);
            }
            sim_app_on_delivery (consumer, &hand);
        }
        at += step;
        left -= (uint32_t) step;
    }
}

//  What is dropped because that was asked for: by an outbox's limit, by an
//  unbinding, or of the past of an exchange, where a queue that is new to it may
//  come too late.  The ledger sees what nobody asked for.
static bool
s_is_drop (const sim_peer_t *self, const trn_action_t *action)
{
    bool allowed = false;
    for (unsigned index = 0; index < self->outbox_count; index++) {
        const sim_outbox_t *outbox = &self->outboxes[index];
        char text[TRN_NAME_MAX + 16];
        snprintf (text, sizeof text, "outbox=%s ", outbox->queue);
        allowed = allowed
                  || (strstr (action->report.text, text)
                      && (outbox->exchange || outbox->limit_messages));
    }
    return allowed && strcmp (action->report.id, "TERN-MESSAGES-DROPPED") == 0;
}

//  Peers of the simulation speak the protocol, lose no records, stay far below
//  the limits, and go back only with their disk; so nobody may say otherwise of
//  anybody.
static void
s_check_report (sim_peer_t *self, const trn_action_t *action)
{
    static const char *const never[]
        = {"TERN-PROTOCOL-ERROR", "TERN-GARBAGE", "TERN-MESSAGES-DROPPED",
           "TERN-TABLE-FULL", "TERN-PUBLISHER-WENT-BACK"};
    static const size_t WENT_BACK = 4;
    for (size_t index = 0; index < sizeof never / sizeof *never; index++) {
        if (strcmp (action->report.id, never[index]) == 0
            && !s_is_drop (self, action)
            && !(self->world->put_back && index == WENT_BACK)) {
            sim_fail (self->world, "%s reports %s: %s", self->name,
                      action->report.id, action->report.text);
        }
    }
}

static void
s_report (sim_peer_t *self, const trn_action_t *action)
{
    sim_trace (self->world, "%-5s reports %s %s", self->name, action->report.id,
               action->report.text);
    s_check_report (self, action);
    for (unsigned index = 0; index < self->report_count; index++) {
        if (strcmp (self->reports[index].id, action->report.id) == 0) {
            self->reports[index].count++;
            return;
        }
    }
    assert (self->report_count < SIM_REPORTS_MAX);
    self->reports[self->report_count].id = action->report.id;
    self->reports[self->report_count++].count = 1;
}

unsigned
sim_peer_reported (const sim_peer_t *self, const char *id)
{
    for (unsigned index = 0; index < self->report_count; index++) {
        if (strcmp (self->reports[index].id, id) == 0) {
            return self->reports[index].count;
        }
    }
    return 0;
}

static bool
s_is_settled (void *arg, uint64_t seq)
{
    const sim_outbox_t *outbox = arg;
    return trn_engine_settled (outbox->peer->engine, outbox->id, seq);
}

static void
s_act (sim_peer_t *self, const trn_action_t *action)
{
    sim_world_t *world = self->world;
    switch (action->type) {
    case TRN_DO_CONNECT:
        sim_trace (world, "%-5s connects link %u to %s", self->name,
                   action->link, action->endpoint);
        sim_net_connect (world->net, self, action->link, action->endpoint);
        break;
    case TRN_DO_DISCONNECT:
        sim_trace (world, "%-5s disconnects link %u", self->name, action->link);
        sim_net_disconnect (world->net, self, action->link);
        break;
    case TRN_DO_SEND: s_send (self, action); break;
    case TRN_DO_SEND_RUN: s_send_run (self, action); break;
    case TRN_DO_REPLY: s_reply (self, action); break;
    case TRN_DO_DROP_ROUTE: {
        sim_conn_t *conn = sim_net_route (world->net, self, action->route);
        if (conn) {
            conn->dropped = true;
        }
        break;
    }
    case TRN_DO_DELIVER: s_deliver (self, action); break;
    case TRN_DO_CALL:
    case TRN_DO_ANSWERED:
    case TRN_DO_CALL_OVER:
    case TRN_DO_SERVE:
    case TRN_DO_TASK_ROOM:
    case TRN_DO_TASK_GONE:
    case TRN_DO_ANSWER: sim_call_do (self, action); break;
    case TRN_DO_SAVE: {
        sim_outbox_t *outbox = s_outbox (self, action->outbox);
        unsigned stream;
        for (unsigned at = 0; sim_outbox_stream (outbox, at, &stream); at++) {
            sim_ledger_audit (world->ledger, stream, s_is_settled, outbox);
        }
        sim_outbox_save (outbox);
        break;
    }
    case TRN_DO_PROGRESS: {
        const sim_outbox_t *outbox = s_outbox (self, action->outbox);
        sim_trace (world, "%-5s has settled %s up to %" PRIu64, self->name,
                   outbox->queue, action->processed);
        trn_log_settled (outbox->log, action->processed + 1, action->ahead);
        unsigned stream;
        for (unsigned at = 0; sim_outbox_stream (outbox, at, &stream); at++) {
            sim_ledger_progress (world->ledger, stream, action->processed);
        }
        break;
    }
    case TRN_DO_BURY:
        sim_grave_bury (s_outbox (self, action->outbox), action);
        break;
    case TRN_DO_REPORT: s_report (self, action); break;
    }
}

static void
s_on_tick (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *self = event->peer;
    (void) world;
    if (self->tick_at_us == event->at_us
        || self->tick_at_us <= self->world->now_us) {
        self->tick_at_us = INT64_MAX;
    }
    trn_engine_on_clock (self->engine, sim_peer_wall_ms (self),
                         sim_peer_now (self));
    trn_engine_on_tick (self->engine, sim_peer_now (self));
    sim_peer_drain (self);
}

static void
s_ask_tick (sim_peer_t *self)
{
    const int64_t deadline_ms = trn_engine_deadline (self->engine);
    if (deadline_ms == INT64_MAX) {
        return;
    }
    int64_t at_us = (deadline_ms - self->clock_ms) * 1000;
    if (at_us <= self->world->now_us) {
        at_us = (self->world->now_us / 1000 + 1) * 1000;
    }
    if (at_us < self->tick_at_us) {
        self->tick_at_us = at_us;
        sim_after (self->world, at_us - self->world->now_us, s_on_tick, self,
                   NULL, 0);
    }
}

enum {
    ACTIONS_MAX = 100000  //  of one event; more is a machine run wild
};

void
sim_peer_drain (sim_peer_t *self)
{
    if (self->draining || !self->engine) {
        return;
    }
    self->draining = true;
    unsigned count = 0;
    const trn_action_t *action = trn_engine_action (self->engine);
    while (action) {
        if (++count > ACTIONS_MAX) {
            sim_fail (self->world, "%s does not stop acting", self->name);
            break;
        }
        s_act (self, action);
        action = trn_engine_action (self->engine);
    }
    self->draining = false;
    s_ask_tick (self);
}

static void
s_on_drain (sim_world_t *world, const sim_event_t *event)
{
    (void) world;
    event->peer->drain_asked = false;
    //  It may have stood still since.
    trn_engine_on_clock (event->peer->engine, sim_peer_wall_ms (event->peer),
                         sim_peer_now (event->peer));
    sim_peer_drain (event->peer);
}

//  A shell takes what has come before it acts: sometimes that is one event,
//  sometimes several.
void
sim_peer_drain_soon (sim_peer_t *self)
{
    if (self->draining || self->drain_asked) {
        return;
    }
    if (!sim_chance (self->world, 250)) {
        sim_peer_drain (self);
        return;
    }
    self->drain_asked = true;
    sim_after (self->world, (int64_t) sim_random (self->world, 0, 300),
               s_on_drain, self, NULL, 0);
}

//  Frames -----------------------------------------------------------------

//  Is every record of the run what its publisher wrote, at its place?
static bool
s_verify_run (const sim_peer_t *self, const sim_conn_t *conn,
              const trn_frame_t *frame, const sim_packet_t *packet)
{
    const uint8_t *store_uuid = NULL;
    const char *outbox = NULL;
    const char *peer = NULL;
    if (!trn_engine_inbound_flow (self->engine, conn->number, frame->connection,
                                  frame->data.flow, &store_uuid, &outbox,
                                  &peer)) {
        return true;
    }
    const uint64_t seed
        = trn_record_seed (store_uuid, outbox, frame->data.segment);
    const uint8_t *at = packet->run;
    uint32_t left = packet->run_size;
    int64_t offset = (int64_t) frame->data.offset;
    for (uint32_t index = 0; index < frame->data.count; index++) {
        trn_record_t record;
        const int step = trn_record_read (at, left, seed, offset, &record);
        if (step <= 0 || record.kind != TRN_RECORD_MESSAGE
            || record.seq != frame->data.first_seq + index) {
            return false;
        }
        at += step;
        left -= (uint32_t) step;
        offset += step;
    }
    return left == 0;
}

static void
s_on_inbound (sim_peer_t *self, sim_conn_t *conn, const trn_frame_t *frame,
              const sim_packet_t *packet)
{
    const int64_t now_ms = sim_peer_now (self);
    if (frame->type == TRN_CALL) {
        sim_call_on_call (self, conn, frame, packet);
        return;
    }
    if (frame->type != TRN_DATA) {
        trn_engine_on_inbound (self->engine, conn->number, frame, 0, now_ms);
        sim_peer_drain_soon (self);
        return;
    }
    if (!s_verify_run (self, conn, frame, packet)) {
        sim_fail (self->world, "%s: a run from %s fails its checksums",
                  self->name, conn->publisher->name);
        return;
    }
    self->inbound = packet;
    self->inbound_frame = frame;
    self->inbound_conn = conn;
    trn_engine_on_inbound (self->engine, conn->number, frame, packet->run_size,
                           now_ms);
    sim_peer_drain (self);
    self->inbound = NULL;
    self->inbound_frame = NULL;
}

void
sim_peer_on_packet (sim_peer_t *self, sim_conn_t *conn, sim_direction_t way,
                    const sim_packet_t *packet)
{
    trn_frame_t frame;
    const int rc = trn_frame_decode (&frame, packet->bytes, packet->frame_size);
    if (rc) {
        sim_fail (self->world, "%s: a %s does not decode: %s", self->name,
                  trn_frame_name (packet->type), tern_strerror (rc));
        return;
    }
    if (way == SIM_TO_CONSUMER) {
        s_on_inbound (self, conn, &frame, packet);
        return;
    }
    if (frame.type == TRN_ANSWER) {
        sim_call_on_answer (self, conn, &frame, packet);
        return;
    }
    sim_watch_credit (conn, &frame);
    sim_stale_t stale;
    if (sim_watch_stale (conn, &frame, &stale)) {
        sim_peer_drain (self);
    }
    trn_engine_on_frame (self->engine, conn->link, &frame, sim_peer_now (self));
    if (stale.count) {
        sim_peer_drain (self);
        sim_watch_stale_end (self, &stale);
    } else {
        sim_peer_drain_soon (self);
    }
}

void
sim_peer_on_disconnected (sim_peer_t *self, trn_link_id_t link)
{
    trn_engine_on_disconnected (self->engine, link, sim_peer_now (self));
    sim_peer_drain_soon (self);
}
