//  support/core_world.c - a few engines, and a network in the hand of a test
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/core_world.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  One frame on its way, encoded, with the size of its run.
typedef struct {
    uint8_t *bytes;
    size_t size;
    uint32_t run_size;
    bool to_consumer;
} parcel_t;

//  One connection: a DEALER of the publisher to the ROUTER of the consumer.
typedef struct conn {
    peer_t *publisher, *consumer;
    trn_link_id_t link;
    trn_route_t route;
    bool closed;   //  the publisher's socket is
    bool dropped;  //  the consumer does not listen any more
    parcel_t *parcels;
    size_t head, count, capacity;
} conn_t;

//  Network ------------------------------------------------------------------

static void
s_post (conn_t *conn, const trn_frame_t *frame, uint32_t run_size,
        bool to_consumer)
{
    uint8_t buffer[TRN_CONTROL_MAX];
    const size_t size = trn_frame_encode (frame, buffer, sizeof buffer);
    if (conn->count == conn->capacity) {
        conn->capacity = conn->capacity ? conn->capacity * 2 : 16;
        conn->parcels = trn_realloc (conn->parcels,
                                     conn->capacity * sizeof *conn->parcels);
    }
    parcel_t *parcel = &conn->parcels[conn->count++];
    *parcel = (parcel_t) {trn_alloc (size), size, run_size, to_consumer};
    memcpy (parcel->bytes, buffer, size);
}

static conn_t *
s_conn_of_link (const peer_t *peer, trn_link_id_t link)
{
    const world_t *world = peer->world;
    for (unsigned index = world->conn_count; index; index--) {
        conn_t *conn = world->conns[index - 1];
        if (conn->publisher == peer && conn->link == link && !conn->closed) {
            return conn;
        }
    }
    return NULL;
}

static conn_t *
s_conn_of_route (const peer_t *peer, trn_route_t route)
{
    const world_t *world = peer->world;
    if (route < 1 || route > world->conn_count) {
        return NULL;
    }
    conn_t *conn = world->conns[route - 1];
    return conn->consumer == peer && !conn->dropped ? conn : NULL;
}

static peer_t *
s_peer_at (world_t *world, const char *endpoint)
{
    for (unsigned index = 0; index < world->peer_count; index++) {
        peer_t *peer = &world->peers[index];
        if (strcmp (endpoint + strlen ("inproc://"), peer->name) == 0) {
            return peer;
        }
    }
    return NULL;
}

static void
s_connect (peer_t *self, const trn_action_t *action)
{
    world_t *world = self->world;
    assert (world->conn_count < WORLD_CONNS);
    assert (!s_conn_of_link (self, action->link));
    conn_t *conn = trn_alloc (sizeof *conn);
    conn->publisher = self;
    conn->consumer = s_peer_at (world, action->endpoint);
    conn->link = action->link;
    world->conns[world->conn_count++] = conn;
    conn->route = world->conn_count;
}

static void
s_hand_over (conn_t *conn, const parcel_t *parcel)
{
    trn_frame_t frame;
    const int rc = trn_frame_decode (&frame, parcel->bytes, parcel->size);
    assert (rc == 0);
    const int64_t now_ms = conn->publisher->world->now_ms;
    if (parcel->to_consumer) {
        if (conn->consumer && conn->consumer->engine && !conn->dropped) {
            conn->consumer->data_route = conn->route;
            conn->consumer->data_connection = frame.connection;
            conn->consumer->data_flow
                = frame.type == TRN_DATA ? frame.data.flow : 0;
            trn_engine_on_inbound (conn->consumer->engine, conn->route, &frame,
                                   parcel->run_size, now_ms);
        }
    } else if (conn->publisher->engine && !conn->closed) {
        trn_engine_on_answered (conn->publisher->engine, conn->link, &frame,
                                parcel->run_size, now_ms);
    }
}

//  Actions ------------------------------------------------------------------

static void
s_add_hands (peer_t *self, const trn_action_t *action)
{
    const uint8_t *uuid;
    const char *outbox;
    const char *name;
    const bool known = trn_engine_inbound_flow (
        self->engine, self->data_route, self->data_connection, self->data_flow,
        &uuid, &outbox, &name);
    assert (known);
    for (uint64_t seq = action->deliver.from; seq <= action->deliver.to;
         seq++) {
        if (self->hand_count == self->hand_capacity) {
            self->hand_capacity
                = self->hand_capacity ? self->hand_capacity * 2 : 64;
            self->hands = trn_realloc (self->hands, self->hand_capacity
                                                        * sizeof *self->hands);
        }
        self->hands[self->hand_count++] = (hand_t) {
            .consumer = action->consumer,
            .publisher = uuid[0] - 1u,
            .flow = action->deliver.flow,
            .seq = seq,
            .deliveries = action->deliver.deliveries,
            .redelivered = action->deliver.redelivered,
            .missed = seq == action->deliver.from ? action->deliver.missed : 0,
        };
        if (self->world->on_hand) {
            self->world->on_hand (self->world->on_hand_arg, self,
                                  &self->hands[self->hand_count - 1]);
        }
    }
}

static void
s_save (peer_t *self, trn_outbox_id_t outbox)
{
    uint64_t low;
    uint64_t stamp;
    if (outbox != self->outbox) {
        uint8_t unused[TRN_STATE_MAX];
        trn_engine_state (self->engine, outbox, false, unused, sizeof unused,
                          &low, &stamp);
        trn_engine_on_saved (self->engine, outbox, stamp, self->world->now_ms);
        return;
    }
    self->state_size
        = trn_engine_state (self->engine, self->outbox, false, self->state,
                            sizeof self->state, &low, &stamp);
    if (self->save_held) {
        self->stamp_held = stamp;
    } else {
        trn_engine_on_saved (self->engine, self->outbox, stamp,
                             self->world->now_ms);
    }
}

static void
s_note_report (peer_t *self, const trn_action_t *action)
{
    if (self->report_count < WORLD_REPORTS) {
        snprintf (self->reports[self->report_count].id, 32, "%s",
                  action->report.id);
        snprintf (self->reports[self->report_count].text, 256, "%s",
                  action->report.text);
        self->report_count++;
    }
}

//  The test answers.
static void
s_note_bury (peer_t *self, const trn_action_t *action)
{
    bury_t *bury = &self->buries[self->bury_count++ % WORLD_BURIES];
    *bury = (bury_t) {
        .number = action->bury.number,
        .seq = action->bury.seq,
        .deliveries = action->bury.deliveries,
    };
    snprintf (bury->reason, sizeof bury->reason, "%s", action->bury.reason);
    snprintf (bury->consumer, sizeof bury->consumer, "%s",
              action->bury.consumer);
}

static void
s_send (peer_t *self, const trn_action_t *action)
{
    conn_t *conn = s_conn_of_link (self, action->link);
    if (action->type == TRN_DO_SEND_RUN) {
        self->world->runs_out--;
        self->runs_sent++;
    }
    self->offers_sent += action->frame.type == TRN_OFFER;
    if (conn) {
        s_post (conn, &action->frame,
                action->type == TRN_DO_CALL ? WORLD_RECORD : action->run.size,
                true);
    }
}

static void
s_reply (peer_t *self, const trn_action_t *action)
{
    conn_t *conn = s_conn_of_route (self, action->route);
    self->settles_sent += action->frame.type == TRN_SETTLE;
    self->credits_sent += action->frame.type == TRN_CREDIT;
    if (conn) {
        s_post (conn, &action->frame,
                action->type == TRN_DO_ANSWER ? WORLD_RECORD : 0, false);
    }
}

static world_task_t *
s_find_task (peer_t *self, uint64_t id)
{
    //  The newest: a restarted peer counts from one again.
    for (unsigned index = self->task_count; index; index--) {
        if (self->tasks[index - 1].id == id) {
            return &self->tasks[index - 1];
        }
    }
    return NULL;
}

static void
s_on_task (peer_t *self, const trn_action_t *action)
{
    world_task_t *task = s_find_task (self, action->call.number);
    if (action->type == TRN_DO_SERVE) {
        assert (self->task_count < WORLD_CALLS);
        task = &self->tasks[self->task_count++];
        *task = (world_task_t) {.id = action->call.number,
                                .repeated = action->call.repeated,
                                .due_ms = action->call.due_ms};
    }
    assert (task);
    if (action->type == TRN_DO_TASK_GONE) {
        task->gone = true;
    } else {
        task->room = action->call.answers;
        task->bytes = action->call.bytes;
    }
}

static void
s_on_call (peer_t *self, const trn_action_t *action)
{
    const uint64_t number = action->call.number;
    assert (number >= 1 && number < WORLD_CALLS);
    world_call_t *call = &self->calls[number];
    assert (!call->over);
    if (action->type == TRN_DO_ANSWERED) {
        call->answers++;
        call->over = action->call.last;
        call->answered = call->over;
    } else {
        call->over = true;
        call->end = action->call.end;
        snprintf (call->words, sizeof call->words, "%.*s",
                  (int) action->call.words_size,
                  action->call.words_size ? action->call.words : "");
    }
}

static void
s_act (peer_t *self, const trn_action_t *action)
{
    conn_t *conn = NULL;
    switch (action->type) {
    case TRN_DO_CONNECT: s_connect (self, action); break;
    case TRN_DO_DISCONNECT:
        conn = s_conn_of_link (self, action->link);
        if (conn) {
            conn->closed = true;
        }
        break;
    case TRN_DO_SEND:
    case TRN_DO_SEND_RUN: s_send (self, action); break;
    case TRN_DO_REPLY: s_reply (self, action); break;
    case TRN_DO_DROP_ROUTE:
        conn = s_conn_of_route (self, action->route);
        if (conn) {
            conn->dropped = true;
        }
        break;
    case TRN_DO_DELIVER: s_add_hands (self, action); break;
    case TRN_DO_CALL: s_send (self, action); break;
    case TRN_DO_ANSWER: s_reply (self, action); break;
    case TRN_DO_SERVE:
    case TRN_DO_TASK_ROOM:
    case TRN_DO_TASK_GONE: s_on_task (self, action); break;
    case TRN_DO_ANSWERED:
    case TRN_DO_CALL_OVER: s_on_call (self, action); break;
    case TRN_DO_SAVE: s_save (self, action->outbox); break;
    case TRN_DO_PROGRESS:
        if (action->outbox != self->outbox) {
            break;
        }
        assert (action->processed >= self->processed);
        self->processed = action->processed;
        break;
    case TRN_DO_BURY: s_note_bury (self, action); break;
    case TRN_DO_REPORT: s_note_report (self, action); break;
    }
}

static bool
s_drain (peer_t *self)
{
    bool busy = false;
    const trn_action_t *action;
    while (self->engine && (action = trn_engine_action (self->engine))) {
        s_act (self, action);
        busy = true;
    }
    return busy;
}

//  Runs: made up, 100 bytes a record ----------------------------------------

static trn_run_answer_t
s_run (void *arg, trn_outbox_id_t outbox, uint64_t seq, uint32_t count_max,
       uint32_t bytes_max, trn_engine_run_t *run)
{
    peer_t *self = arg;
    assert (outbox == self->outbox || outbox == self->grave);
    assert (seq <= self->high && count_max >= 1);
    if (seq < self->gone_below) {
        run->skip_to = self->gone_below;
        return TRN_RUN_GONE;
    }
    if (self->later) {
        self->asked = true;
        return TRN_RUN_LATER;
    }
    uint64_t count = self->high - seq + 1;
    count = count < count_max ? count : count_max;
    const uint32_t size
        = self->world->record_size ? self->world->record_size : WORLD_RECORD;
    if (count * size > bytes_max) {
        count = bytes_max / size;
    }
    count = count ? count : 1;
    *run = (trn_engine_run_t) {
        .handle = self,
        .first_seq = seq,
        .count = (uint32_t) count,
        .size = (uint32_t) count * size,
        .stamp_us = self->world->stamp_us + seq,
    };
    self->world->runs_out++;
    return TRN_RUN_READY;
}

static void
s_release (void *arg, void *handle)
{
    peer_t *self = arg;
    assert (handle == self);
    self->world->runs_out--;
}

static void
s_on_delay (void *arg, trn_outbox_id_t outbox, uint64_t stamp_us,
            uint64_t count)
{
    peer_t *self = arg;
    assert ((outbox == self->outbox || outbox == self->grave) && stamp_us);
    self->delays += count;
}

//  Peers --------------------------------------------------------------------

world_t *
world_new (void)
{
    world_t *self = trn_alloc (sizeof *self);
    self->now_ms = 1000000;
    return self;
}

static void
s_add_outbox (peer_t *self, bool clean)
{
    const int rc = trn_engine_add_outbox (
        self->engine, self->queue, self->queue, self->high, NULL, clean,
        self->state, self->state_size, &self->outbox);
    assert (rc == 0);
}

void
peer_start (peer_t *self, bool clean)
{
    assert (!self->engine);
    self->incarnation++;
    self->random
        = self->incarnation * 1000 + (uint64_t) self->name[0] + self->salt;
    trn_engine_config_t config = {
        .name = self->name,
        .incarnation = self->incarnation,
        .random = self->random,
        .seed = self->random,
    };
    memcpy (config.store_uuid, self->store_uuid, 16);
    const trn_run_source_t source = {s_run, s_release, self};
    self->engine = trn_engine_new (&config, &source);
    trn_engine_on_delay (self->engine, s_on_delay, self);
    trn_engine_on_tick (self->engine, self->world->now_ms);
    self->processed = 0;
    if (self->queue[0]) {
        s_add_outbox (self, clean);
    }
}

peer_t *
world_peer (world_t *self, const char *name)
{
    assert (self->peer_count < WORLD_PEERS);
    peer_t *peer = &self->peers[self->peer_count++];
    peer->world = self;
    snprintf (peer->name, sizeof peer->name, "%s", name);
    memset (peer->store_uuid, name[0], 16);
    peer->store_uuid[0] = (uint8_t) self->peer_count;
    peer_start (peer, true);
    return peer;
}

static void
s_free_parcels (conn_t *conn)
{
    for (size_t index = conn->head; index < conn->count; index++) {
        free (conn->parcels[index].bytes);
    }
    conn->head = conn->count = 0;
}

void
peer_kill (peer_t *self)
{
    world_t *world = self->world;
    trn_engine_destroy (&self->engine);
    self->hand_count = 0;
    self->consumer_count = 0;
    for (unsigned index = 0; index < world->conn_count; index++) {
        conn_t *conn = world->conns[index];
        if (conn->publisher == self) {
            conn->closed = true;
        } else if (conn->consumer == self) {
            s_free_parcels (conn);
            conn->dropped = true;
        }
    }
}

void
world_destroy (world_t **self_p)
{
    world_t *self = *self_p;
    for (unsigned index = 0; index < self->peer_count; index++) {
        trn_engine_destroy (&self->peers[index].engine);
        free (self->peers[index].hands);
    }
    assert (self->runs_out == 0);
    for (unsigned index = 0; index < self->conn_count; index++) {
        s_free_parcels (self->conns[index]);
        free (self->conns[index]->parcels);
        free (self->conns[index]);
    }
    free (self);
    *self_p = NULL;
}

void
peer_publish (peer_t *self, const char *queue, uint64_t count)
{
    if (!self->queue[0]) {
        snprintf (self->queue, sizeof self->queue, "%s", queue);
        s_add_outbox (self, true);
    }
    assert (strcmp (self->queue, queue) == 0);
    self->high += count;
    trn_engine_on_appended (self->engine, self->outbox, self->high,
                            self->world->now_ms);
}

trn_consumer_id_t
peer_consume (peer_t *self, const char *queue, uint32_t prefetch)
{
    assert (self->consumer_count < 4);
    const trn_consumer_id_t id = trn_engine_add_consumer (
        self->engine, queue, prefetch, 1u << 20, self->world->now_ms);
    self->consumes[self->consumer_count] = queue;
    self->consumers[self->consumer_count++] = id;
    return id;
}

void
world_meet (world_t *self)
{
    for (unsigned index = 0; index < self->peer_count; index++) {
        peer_t *peer = &self->peers[index];
        for (unsigned at = 0; peer->engine && at < self->peer_count; at++) {
            const peer_t *other = &self->peers[at];
            char endpoint[64];
            snprintf (endpoint, sizeof endpoint, "inproc://%s", other->name);
            if (other->engine) {
                trn_engine_on_peer (
                    peer->engine, other->name, other->incarnation, endpoint,
                    other->consumes, other->consumer_count, self->now_ms);
            }
        }
    }
}

//  Letting things happen ----------------------------------------------------

static bool
s_move (world_t *self)
{
    bool busy = false;
    for (unsigned index = 0; index < self->conn_count; index++) {
        conn_t *conn = self->conns[index];
        if (conn->head < conn->count) {
            const parcel_t parcel = conn->parcels[conn->head++];
            s_hand_over (conn, &parcel);
            s_drain (conn->publisher);
            if (conn->consumer) {
                s_drain (conn->consumer);
            }
            free (parcel.bytes);
            busy = true;
        }
    }
    return busy;
}

void
world_settle (world_t *self)
{
    bool busy = true;
    for (unsigned round = 0; busy; round++) {
        assert (round < 1000000);
        busy = false;
        for (unsigned index = 0; index < self->peer_count; index++) {
            busy |= s_drain (&self->peers[index]);
        }
        busy |= !self->partitioned && s_move (self);
    }
}

void
world_wait (world_t *self, int64_t ms)
{
    const int64_t until_ms = self->now_ms + ms;
    while (self->now_ms < until_ms) {
        world_settle (self);
        int64_t next_ms = until_ms;
        for (unsigned index = 0; index < self->peer_count; index++) {
            trn_engine_t *engine = self->peers[index].engine;
            const int64_t due_ms
                = engine ? trn_engine_deadline (engine) : INT64_MAX;
            next_ms = due_ms < next_ms ? due_ms : next_ms;
        }
        self->now_ms = next_ms > self->now_ms ? next_ms : self->now_ms + 1;
        for (unsigned index = 0; index < self->peer_count; index++) {
            if (self->peers[index].engine) {
                trn_engine_on_tick (self->peers[index].engine, self->now_ms);
            }
        }
    }
    world_settle (self);
}

void
world_cut (world_t *self, const peer_t *one, const peer_t *other, bool known)
{
    for (unsigned index = 0; index < self->conn_count; index++) {
        conn_t *conn = self->conns[index];
        const bool between
            = (conn->publisher == one && conn->consumer == other)
              || (conn->publisher == other && conn->consumer == one);
        if (!between || conn->closed) {
            continue;
        }
        s_free_parcels (conn);
        conn->dropped = true;
        if (known && conn->publisher->engine) {
            trn_engine_on_disconnected (conn->publisher->engine, conn->link,
                                        self->now_ms);
        }
    }
}

//  The application ----------------------------------------------------------

void
peer_settle_at (peer_t *self, size_t index, trn_outcome_t outcome)
{
    assert (index < self->hand_count);
    const hand_t hand = self->hands[index];
    self->hand_count--;
    memmove (self->hands + index, self->hands + index + 1,
             (self->hand_count - index) * sizeof *self->hands);
    trn_engine_on_settle (self->engine, hand.consumer, hand.flow, hand.seq,
                          hand.seq, outcome, self->world->now_ms);
}

void
peer_settle (peer_t *self, size_t count, trn_outcome_t outcome)
{
    while (count--) {
        peer_settle_at (self, 0, outcome);
    }
}

unsigned
peer_reported (const peer_t *self, const char *id)
{
    unsigned count = 0;
    for (unsigned index = 0; index < self->report_count; index++) {
        count += strcmp (self->reports[index].id, id) == 0;
    }
    return count;
}

trn_engine_outbox_stats_t
peer_outbox_stats (const peer_t *self)
{
    trn_engine_outbox_stats_t stats;
    trn_engine_outbox_stats (self->engine, self->outbox, &stats);
    return stats;
}
