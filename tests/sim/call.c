//  sim/call.c - calls that are not stored, and who serves them
//
//  Knows: what src/peer's requester and service do with the light form.  A call
//  says in its record whose it is, an answer of which task it is, so that who
//  gets it can tell whether it is his, whole, and in order:
//
//      L-call   a call ends once, and hears nothing after; its answers are all
//               from one task of its, in order, none missing, and no more than
//               it has room for; its time is over no earlier than it said; one
//               that is for one server at most is served once, and one that is
//               served again says so; no server has more in hand than it takes
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/peer.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

//  One that this life has made.
struct sim_call {
    sim_call_t *next;
    trn_call_terms_t terms;
    uint64_t task;  //  whose answers it hears, 0: none yet
    uint64_t answers;
    unsigned served;     //  so often
    unsigned unflagged;  //  ... without saying that somebody else may have it
    bool over;
    bool abandoned;  //  what was on its way to be told may still come
};

//  One that this life has in hand.
struct sim_task {
    sim_task_t *next;
    uint64_t id;
    uint64_t mark;  //  no other has it
    uint64_t number;
    uint64_t sent, total, room;
    bool gone;
};

enum {
    CALL_SIZE = 16,    //  asker u32, life u32, number u64
    ANSWER_SIZE = 32,  //  number u64, task u64, part u64, is it the last u64
    RECORD_MAX = 256
};

static sim_call_t *
s_call (const sim_peer_t *self, uint64_t number)
{
    sim_call_t *call = self->calls;
    while (call && call->terms.number != number) {
        call = call->next;
    }
    return call;
}

static sim_task_t *
s_task (const sim_peer_t *self, uint64_t id)
{
    sim_task_t *task = self->tasks;
    while (task && task->id != id) {
        task = task->next;
    }
    return task;
}

static uint32_t
s_write (const sim_peer_t *self, uint64_t seq, const uint8_t *body,
         uint32_t size, uint8_t bytes[RECORD_MAX])
{
    const trn_record_t record = {
        .kind = TRN_RECORD_MESSAGE,
        .seq = seq,
        .body = body,
        .body_size = size,
    };
    assert (trn_record_size (&record) <= RECORD_MAX);
    trn_record_write (bytes, &record,
                      trn_record_seed (self->store_uuid, self->service, 0), 0);
    return trn_record_size (&record);
}

//  The record that came with the frame at hand.
static trn_record_t
s_inbound (const sim_peer_t *self)
{
    trn_record_t record;
    const int size = trn_record_peek (self->inbound->run,
                                      self->inbound->run_size, &record);
    assert (size > 0);
    return record;
}

//  Asking --------------------------------------------------------------------

static void
s_ask (sim_peer_t *self)
{
    sim_world_t *world = self->world;
    sim_call_t *call = trn_alloc (sizeof *call);
    const int64_t left_ms = (int64_t) sim_random (world, 1, 3000);
    call->terms = (trn_call_terms_t) {
        .number = ++self->call_number,
        .answers = sim_random (world, 1, 3),
        .bytes = 100000,
        .due_ms
        = sim_chance (world, 500) ? sim_peer_now (self) + left_ms : INT64_MAX,
        .once = sim_chance (world, 200),
    };
    call->next = self->calls;
    self->calls = call;
    sim_trace (world, "%-5s calls %s, %" PRIu64, self->name, self->service,
               call->terms.number);
    trn_engine_on_call (self->engine, self->service, &call->terms,
                        sim_peer_now (self));
}

//  It does not want to know any more.
static void
s_abandon (sim_peer_t *self)
{
    for (sim_call_t *call = self->calls; call; call = call->next) {
        if (!call->over && sim_chance (self->world, 100)) {
            call->over = call->abandoned = true;
            trn_engine_on_abandon (self->engine, call->terms.number,
                                   sim_peer_now (self));
            return;
        }
    }
}

static void
s_on_ask (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *self = event->peer;
    if (self->drain_mode) {
        return;
    }
    for (uint64_t count = sim_random (world, 1, 4); count; count--) {
        s_ask (self);
    }
    s_abandon (self);
    sim_peer_drain_soon (self);
    sim_after (world, (int64_t) sim_random (world, 1000, 200000), s_on_ask,
               self, NULL, 0);
}

static void
s_send_call (sim_peer_t *self, const trn_action_t *action)
{
    sim_conn_t *conn = sim_net_link (self->world->net, self, action->link);
    uint8_t body[CALL_SIZE];
    trn_put_u32 (body, self->index);
    trn_put_u32 (body + 4, self->life);
    trn_put_u64 (body + 8, action->call.number);
    uint8_t bytes[RECORD_MAX];
    const uint32_t size
        = s_write (self, action->call.number, body, sizeof body, bytes);
    if (conn) {
        sim_watch_frame (self, conn, &action->frame);
        sim_net_send (self->world->net, conn, SIM_TO_CONSUMER, &action->frame,
                      bytes, size);
    }
}

static void
s_hear (sim_peer_t *self, sim_call_t *call, bool last)
{
    const trn_record_t record = s_inbound (self);
    const uint64_t task = trn_get_u64 (record.body + 8);
    call->answers++;
    if (trn_get_u64 (record.body) != call->terms.number
        || (call->task && call->task != task)
        || trn_get_u64 (record.body + 16) != call->answers
        || call->answers > call->terms.answers
        || (trn_get_u64 (record.body + 24) != 0) != last) {
        sim_fail (self->world,
                  "L-call: %s: answer %" PRIu64 " to call %" PRIu64
                  " is not the one that follows",
                  self->name, call->answers, call->terms.number);
    }
    call->task = task;
    call->over = last;
    if (!last && sim_chance (self->world, 700)) {
        call->terms.answers += sim_random (self->world, 1, 2);
    }
}

//  Room that was made while an answer was taken.
static void
s_on_take (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *self = event->peer;
    sim_call_t *call = s_call (self, event->number);
    (void) world;
    if (call && !call->over) {
        if (call->terms.answers == call->answers) {
            call->terms.answers++;
        }
        trn_engine_on_take (self->engine, call->terms.number,
                            call->terms.answers, call->terms.bytes,
                            sim_peer_now (self));
        sim_peer_drain_soon (self);
    }
}

static void
s_end (sim_peer_t *self, sim_call_t *call, trn_call_end_t end)
{
    const bool timed = end == TRN_CALL_TIME_OUT || end == TRN_CALL_NOBODY;
    call->over = true;
    if (timed && sim_peer_now (self) < call->terms.due_ms) {
        sim_fail (self->world,
                  "L-call: %s: the time of call %" PRIu64 " is over too early",
                  self->name, call->terms.number);
    }
    if (end == TRN_CALL_LOST && !call->answers && !call->terms.once) {
        sim_fail (self->world,
                  "L-call: %s: call %" PRIu64 " is lost, and nobody else was "
                  "asked",
                  self->name, call->terms.number);
    }
}

static void
s_on_call (sim_peer_t *self, const trn_action_t *action)
{
    sim_call_t *call = s_call (self, action->call.number);
    if (call && call->abandoned) {
        return;
    }
    if (!call || call->over) {
        sim_fail (self->world,
                  "L-call: %s: call %" PRIu64 " is over, and goes on",
                  self->name, action->call.number);
    } else if (action->type == TRN_DO_ANSWERED) {
        s_hear (self, call, action->call.last);
        sim_after (self->world, (int64_t) sim_random (self->world, 0, 5000),
                   s_on_take, self, NULL, call->terms.number);
    } else {
        s_end (self, call, action->call.end);
    }
}

//  Serving -------------------------------------------------------------------

static void
s_forget (sim_peer_t *self, uint64_t id)
{
    sim_task_t **link = &self->tasks;
    while (*link && (*link)->id != id) {
        link = &(*link)->next;
    }
    sim_task_t *task = *link;
    if (task) {
        *link = task->next;
        free (task);
    }
}

static void
s_answer (sim_peer_t *self, sim_task_t *task)
{
    const uint64_t id = task->id;
    const bool last = ++task->sent == task->total;
    uint8_t body[ANSWER_SIZE];
    trn_put_u64 (body, task->number);
    trn_put_u64 (body + 8, task->mark);
    trn_put_u64 (body + 16, task->sent);
    trn_put_u64 (body + 24, last);
    uint8_t bytes[RECORD_MAX];
    self->answer_size = s_write (self, task->sent, body, sizeof body, bytes);
    self->answer = bytes;
    trn_engine_on_answer (self->engine, id, self->answer_size, last,
                          sim_peer_now (self));
    sim_peer_drain (self);
    self->answer = NULL;
    if (last) {
        s_forget (self, id);
    }
}

static void
s_on_work (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *self = event->peer;
    sim_task_t *task = s_task (self, event->number);
    if (!task) {
        return;
    }
    const bool fails = !self->drain_mode && sim_chance (world, 50);
    if (task->gone || fails) {
        const trn_failure_t reason
            = sim_chance (world, 500) ? TRN_FAIL_FAILED : TRN_FAIL_LEFT;
        s_forget (self, event->number);
        trn_engine_on_task_over (self->engine, event->number, reason, "no",
                                 sim_peer_now (self));
        sim_peer_drain_soon (self);
        return;
    }
    if (task->sent < task->room) {
        s_answer (self, task);
    }
    sim_after (world, (int64_t) sim_random (world, 100, 20000), s_on_work, self,
               NULL, event->number);
}

//  Whose call it is, if that life goes on.
static void
s_note_served (const sim_peer_t *self, const trn_action_t *action,
               const trn_record_t *record)
{
    const sim_peer_t *asker = self->world->peers[trn_get_u32 (record->body)];
    if (asker->life != trn_get_u32 (record->body + 4)) {
        return;
    }
    sim_call_t *call = s_call (asker, trn_get_u64 (record->body + 8));
    assert (call);
    //  A first one that was long on its way may come after the second.
    call->served++;
    call->unflagged += !action->call.repeated;
    if (call->unflagged > 1 || (call->served > 1 && call->terms.once)) {
        sim_fail (self->world,
                  "L-call: %s serves call %" PRIu64
                  " of %s for the second time",
                  self->name, call->terms.number, asker->name);
    }
}

static void
s_serve (sim_peer_t *self, const trn_action_t *action)
{
    const trn_record_t record = s_inbound (self);
    sim_trace (self->world, "%-5s serves call %" PRIu64 "%s", self->name,
               trn_get_u64 (record.body + 8),
               action->call.repeated ? " again" : "");
    s_note_served (self, action, &record);
    sim_task_t *task = trn_alloc (sizeof *task);
    task->id = action->call.number;
    task->mark = sim_random (self->world, 1, UINT64_MAX);
    task->number = trn_get_u64 (record.body + 8);
    task->room = action->call.answers;
    task->total = sim_random (self->world, 1, 4);
    task->next = self->tasks;
    self->tasks = task;
    unsigned open = 0;
    for (const sim_task_t *at = task; at; at = at->next) {
        open++;
    }
    if (open > self->tasks_max) {
        sim_fail (self->world, "L-call: %s has %u calls in hand, of %u",
                  self->name, open, self->tasks_max);
    }
    sim_after (self->world, (int64_t) sim_random (self->world, 0, 20000),
               s_on_work, self, NULL, task->id);
}

static void
s_send_answer (sim_peer_t *self, const trn_action_t *action)
{
    sim_conn_t *conn = sim_net_route (self->world->net, self, action->route);
    assert (self->answer);
    if (conn && !conn->dropped && !conn->closed && !conn->cut) {
        sim_watch_frame (self, conn, &action->frame);
        sim_net_send (self->world->net, conn, SIM_TO_PUBLISHER, &action->frame,
                      self->answer, self->answer_size);
    }
}

//  The shell's part ----------------------------------------------------------

void
sim_call_do (sim_peer_t *self, const trn_action_t *action)
{
    sim_task_t *task = NULL;
    if (action->type == TRN_DO_CALL) {
        s_send_call (self, action);
    } else if (action->type == TRN_DO_SERVE) {
        s_serve (self, action);
    } else if (action->type == TRN_DO_ANSWER) {
        s_send_answer (self, action);
    } else if (action->type == TRN_DO_ANSWERED
               || action->type == TRN_DO_CALL_OVER) {
        s_on_call (self, action);
    } else if ((task = s_task (self, action->call.number)) != NULL) {
        task->gone = task->gone || action->type == TRN_DO_TASK_GONE;
        task->room = action->call.answers > task->room ? action->call.answers
                                                       : task->room;
    }
}

static bool
s_is_whole (const sim_peer_t *self, const sim_packet_t *packet,
            const uint8_t *store_uuid, const char *service, uint64_t seq)
{
    trn_record_t record;
    const int size = trn_record_read (packet->run, packet->run_size,
                                      trn_record_seed (store_uuid, service, 0),
                                      0, &record);
    const bool whole
        = size > 0 && (uint32_t) size == packet->run_size && record.seq == seq;
    if (!whole) {
        sim_fail (self->world, "%s: the record of a call fails its sum",
                  self->name);
    }
    return whole;
}

void
sim_call_on_call (sim_peer_t *self, const sim_conn_t *conn,
                  const trn_frame_t *frame, const sim_packet_t *packet)
{
    const uint8_t *store_uuid = NULL;
    const char *service = NULL;
    const char *peer = NULL;
    if (trn_engine_calling (self->engine, conn->number, frame->connection,
                            frame->call.seat, &store_uuid, &service, &peer)
        && !s_is_whole (self, packet, store_uuid, service, frame->call.call)) {
        return;
    }
    self->inbound = packet;
    trn_engine_on_inbound (self->engine, conn->number, frame, packet->run_size,
                           sim_peer_now (self));
    sim_peer_drain (self);
    self->inbound = NULL;
}

void
sim_call_on_answer (sim_peer_t *self, const sim_conn_t *conn,
                    const trn_frame_t *frame, const sim_packet_t *packet)
{
    const uint8_t *store_uuid = NULL;
    const char *service = NULL;
    const char *peer = NULL;
    if (trn_engine_answering (self->engine, conn->link, frame->connection,
                              frame->answer.call, &store_uuid, &service, &peer)
        && !s_is_whole (self, packet, store_uuid, service,
                        frame->answer.number)) {
        return;
    }
    self->inbound = packet;
    trn_engine_on_answered (self->engine, conn->link, frame, packet->run_size,
                            sim_peer_now (self));
    sim_peer_drain (self);
    self->inbound = NULL;
}

//  Lives ---------------------------------------------------------------------

void
sim_call_start (sim_peer_t *self)
{
    if (self->service && self->calls_out) {
        const int rc = trn_engine_add_need (self->engine, self->service,
                                            sim_peer_now (self));
        assert (rc == 0);
        sim_after (self->world, (int64_t) sim_random (self->world, 0, 100000),
                   s_on_ask, self, NULL, 0);
    }
}

void
sim_call_join (sim_peer_t *self)
{
    self->service_id
        = trn_engine_add_service (self->engine, self->service, self->tasks_max,
                                  1000000, sim_peer_now (self));
}

void
sim_call_leave (sim_peer_t *self)
{
    trn_engine_remove_service (self->engine, self->service_id,
                               sim_peer_now (self));
    while (self->tasks) {
        s_forget (self, self->tasks->id);
    }
}

void
sim_call_drop (sim_peer_t *self)
{
    while (self->tasks) {
        s_forget (self, self->tasks->id);
    }
    while (self->calls) {
        sim_call_t *call = self->calls;
        self->calls = call->next;
        free (call);
    }
}

uint64_t
sim_call_open (const sim_peer_t *self)
{
    uint64_t open = 0;
    for (const sim_call_t *call = self->calls; call; call = call->next) {
        open += !call->over;
    }
    return open;
}
