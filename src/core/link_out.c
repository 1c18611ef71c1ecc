//  core/link_out.c - the publisher's side of a link: one consuming peer
//
//  Invariants: flows exist only while OPEN; a socket exists while GREETING or
//  OPEN and never otherwise.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/link_out.h"

#include "base/memory.h"
#include "core/call_out.h"
#include "core/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  A connection that lived so long was healthy: failures start anew.
#define HEALTHY_MS 10000

//  What was cancelled is offered again after this, while the roster lists it.
#define OFFER_AGAIN_MS 2000

//  Sending ------------------------------------------------------------------

static trn_frame_t *
s_send (trn_engine_t *engine, trn_link_t *self, trn_action_type_t action_type,
        trn_frame_type_t type)
{
    trn_action_t *action = trn_actions_add (&engine->actions, action_type);
    action->link = self->id;
    action->frame.type = type;
    action->frame.connection = self->connection;
    self->sent_ms = engine->now_ms;
    return &action->frame;
}

trn_frame_t *
trn_link_out_send (trn_engine_t *engine, trn_link_t *self,
                   trn_frame_type_t type)
{
    assert (engine && self);
    return s_send (engine, self, TRN_DO_SEND, type);
}

trn_frame_t *
trn_link_out_send_run (trn_engine_t *engine, trn_link_t *self,
                       trn_frame_type_t type, const trn_engine_run_t *run)
{
    assert (engine && self && run);
    trn_frame_t *frame = s_send (engine, self, TRN_DO_SEND_RUN, type);
    engine->actions.at[engine->actions.count - 1].run = *run;
    return frame;
}

//  What there is to do ------------------------------------------------------

static bool
s_consumes (const trn_link_t *self, const char *queue)
{
    for (size_t index = 0; index < self->queue_count; index++) {
        if (strcmp (self->queues[index], queue) == 0) {
            return true;
        }
    }
    return false;
}

//  Call fn for every subscription whose queue this peer consumes, until it
//  says false; returns false then.
static bool
s_each_wanted (trn_engine_t *engine, trn_link_t *self,
               bool (*fn) (trn_engine_t *, trn_link_t *, trn_subscription_t *))
{
    for (size_t index = 0; index < engine->publications.count; index++) {
        trn_publication_t *publication = engine->publications.at[index];
        for (size_t at = 0; at < publication->subs.count; at++) {
            trn_subscription_t *sub = publication->subs.at[at];
            if (s_consumes (self, sub->queue) && !fn (engine, self, sub)) {
                return false;
            }
        }
    }
    return true;
}

static bool
s_stop (trn_engine_t *engine, trn_link_t *self, trn_subscription_t *sub)
{
    (void) engine;
    (void) self;
    (void) sub;
    return false;
}

static bool
s_has_work (trn_engine_t *engine, trn_link_t *self)
{
    return self->listed && !engine->closed
           && (!s_each_wanted (engine, self, s_stop)
               || trn_call_out_wants (engine, self));
}

//  A queue that no saved state knows may have another number after a crash, and
//  the one of its name before it may not be over.
static bool
s_offer (trn_engine_t *engine, trn_link_t *self, trn_subscription_t *sub)
{
    if (sub->unknown) {
        return true;
    }
    for (size_t index = 0; index < self->flows.count; index++) {
        const trn_flow_t *flow = self->flows.at[index];
        if (flow->sub == sub) {
            return true;
        }
    }
    if (self->flows.count >= TRN_STREAMS_MAX) {
        trn_action_t *report = trn_engine_report (engine, TRN_TABLE_FULL);
        trn_report_text (report, "table", "flows");
        trn_report_text (report, "peer", self->name);
        return false;
    }
    trn_flow_new (engine, self, sub);
    return true;
}

static void
s_offer_all (trn_engine_t *engine, trn_link_t *self)
{
    self->offer_ms = INT64_MAX;
    s_each_wanted (engine, self, s_offer);
    trn_call_out_seek (engine, self);
}

//  Coming and going ---------------------------------------------------------

static void
s_greet (trn_engine_t *engine, trn_link_t *self)
{
    self->state = TRN_LINK_GREETING;
    self->connection = 0;
    self->due_ms = engine->now_ms + engine->config.hello_ms;
    trn_action_t *action = trn_actions_add (&engine->actions, TRN_DO_CONNECT);
    action->link = self->id;
    memcpy (action->endpoint, self->endpoint, sizeof action->endpoint);
    trn_frame_t *frame = trn_link_out_send (engine, self, TRN_HELLO);
    frame->hello.version_min = TRN_PROTOCOL_MIN;
    frame->hello.version_max = TRN_PROTOCOL_MAX;
    frame->hello.who = trn_engine_identity (engine);
}

//  No socket, no flows: what was sent and not settled goes to others now.
static void
s_hang_up (trn_engine_t *engine, trn_link_t *self)
{
    while (self->flows.count) {
        trn_flow_t *flow = self->flows.at[--self->flows.count];
        trn_flow_end (engine, &flow);
    }
    self->flow_number = 0;
    self->offer_ms = INT64_MAX;
    self->connection = 0;
    trn_call_out_lose (engine, self);
    trn_actions_add (&engine->actions, TRN_DO_DISCONNECT)->link = self->id;
}

static void
s_report_gone (trn_engine_t *engine, trn_link_t *self, const char *reason)
{
    trn_action_t *report = trn_engine_report (engine, TRN_PEER_GONE);
    trn_report_text (report, "peer", self->name);
    trn_report_text (report, "role", "consumer");
    trn_report_text (report, "reason", reason);
}

//  The attempt or the connection failed.
static void
s_fail (trn_engine_t *engine, trn_link_t *self, const char *reason)
{
    if (self->state == TRN_LINK_OPEN) {
        if (engine->now_ms - self->since_ms >= HEALTHY_MS) {
            self->backoff.attempts = 0;
        }
        s_report_gone (engine, self, reason);
    }
    s_hang_up (engine, self);
    self->state = TRN_LINK_IDLE;
    if (s_has_work (engine, self)) {
        self->state = TRN_LINK_WAITING;
        self->due_ms
            = engine->now_ms + trn_backoff_next (&self->backoff, &engine->rng);
    }
}

static void
s_fail_protocol (trn_engine_t *engine, trn_link_t *self,
                 const trn_frame_t *frame, const char *what)
{
    engine->stats.garbage++;
    trn_action_t *report = trn_engine_report (engine, TRN_PROTOCOL_ERROR);
    trn_report_text (report, "peer", self->name);
    trn_report_text (report, "role", "consumer");
    trn_report_text (report, "frame", trn_frame_name (frame->type));
    trn_report_text (report, "what", what);
    if (self->state == TRN_LINK_OPEN) {
        trn_link_out_send (engine, self, TRN_BYE)->bye.reason
            = trn_text ("protocol error");
    }
    s_fail (engine, self, "protocol error");
}

//  What the roster changed --------------------------------------------------

trn_link_t *
trn_link_out_new (trn_engine_t *engine, const char *name)
{
    assert (engine && name && strlen (name) <= TRN_NAME_MAX);
    trn_link_t *self = trn_alloc (sizeof *self);
    memcpy (self->name, name, strlen (name) + 1);
    self->id = ++engine->link_id;
    self->offer_ms = INT64_MAX;
    self->backoff.min_ms = engine->config.backoff_min_ms;
    self->backoff.max_ms = engine->config.backoff_max_ms;
    return self;
}

void
trn_link_out_look (trn_engine_t *engine, trn_link_t *self)
{
    assert (engine && self);
    switch (self->state) {
    case TRN_LINK_IDLE:
        if (s_has_work (engine, self)) {
            s_greet (engine, self);
        }
        break;
    case TRN_LINK_WAITING:
        if (!s_has_work (engine, self)) {
            self->state = TRN_LINK_IDLE;
        }
        break;
    case TRN_LINK_GREETING: break;
    case TRN_LINK_OPEN:
        if (self->listed) {
            s_offer_all (engine, self);
        } else {
            self->offer_ms = INT64_MAX;
        }
        break;
    }
}

void
trn_link_out_look_at (trn_engine_t *engine, trn_link_t *self,
                      trn_subscription_t *sub)
{
    assert (engine && self && sub);
    if (!self->listed || engine->closed || !s_consumes (self, sub->queue)) {
        return;
    }
    if (self->state == TRN_LINK_IDLE) {
        s_greet (engine, self);
    } else if (self->state == TRN_LINK_OPEN) {
        s_offer (engine, self, sub);
    }
}

void
trn_link_out_move (trn_engine_t *engine, trn_link_t *self)
{
    assert (engine && self);
    self->backoff.attempts = 0;
    if (self->state == TRN_LINK_OPEN) {
        s_report_gone (engine, self, "moved");
    }
    if (self->state >= TRN_LINK_GREETING) {
        s_hang_up (engine, self);
    }
    self->state = TRN_LINK_IDLE;
}

//  Frames -------------------------------------------------------------------

//  Is the one who answered whom we mean, and not older than it was (T-12)?
static bool
s_check_identity (trn_engine_t *engine, trn_link_t *self,
                  const trn_identity_t *who)
{
    if (!trn_text_is (who->name, self->name)) {
        trn_action_t *report = trn_engine_report (engine, TRN_PEER_WRONG_NAME);
        trn_report_text (report, "peer", self->name);
        trn_report_text (report, "endpoint", self->endpoint);
        trn_report_bytes (report, "answered", who->name.at, who->name.size);
        return false;
    }
    const bool same
        = self->known && memcmp (self->store_uuid, who->store_uuid, 16) == 0;
    if (same
        && (who->incarnation < self->incarnation
            || (who->incarnation == self->incarnation
                && who->random != self->random))) {
        trn_action_t *report = trn_engine_report (engine, TRN_PEER_FENCED);
        trn_report_text (report, "peer", self->name);
        trn_report_number (report, "incarnation", who->incarnation);
        trn_report_number (report, "known", self->incarnation);
        return false;
    }
    if (self->known && !same) {
        trn_action_t *report = trn_engine_report (engine, TRN_PEER_LOST_STATE);
        trn_report_text (report, "peer", self->name);
        trn_report_text (report, "role", "consumer");
    }
    self->known = true;
    memcpy (self->store_uuid, who->store_uuid, 16);
    self->incarnation = who->incarnation;
    self->random = who->random;
    return true;
}

static void
s_on_welcome (trn_engine_t *engine, trn_link_t *self, const trn_frame_t *frame)
{
    if (frame->connection == 0 || frame->welcome.version < TRN_PROTOCOL_MIN
        || frame->welcome.version > TRN_PROTOCOL_MAX) {
        s_fail_protocol (engine, self, frame, "version");
        return;
    }
    if (!s_check_identity (engine, self, &frame->welcome.who)) {
        s_fail (engine, self, "identity");
        return;
    }
    self->state = TRN_LINK_OPEN;
    self->connection = frame->connection;
    self->since_ms = engine->now_ms;
    self->heard_ms = engine->now_ms;
    trn_action_t *report = trn_engine_report (engine, TRN_PEER_UP);
    trn_report_text (report, "peer", self->name);
    trn_report_text (report, "role", "consumer");
    s_offer_all (engine, self);
}

static const char *
s_refusal (trn_refusal_t reason)
{
    switch (reason) {
    case TRN_REFUSE_VERSION: return "version";
    case TRN_REFUSE_NAME: return "name";
    case TRN_REFUSE_FENCED: return "fenced";
    case TRN_REFUSE_FULL: return "full";
    case TRN_REFUSE_RIGHTS: return "rights";
    }
    return "unknown";
}

static void
s_on_refuse (trn_engine_t *engine, trn_link_t *self, const trn_frame_t *frame)
{
    const bool fenced = frame->refuse.reason == TRN_REFUSE_FENCED;
    trn_action_t *report = trn_engine_report (
        engine, fenced ? TRN_PEER_FENCED : TRN_PEER_REFUSED);
    trn_report_text (report, "by", self->name);
    trn_report_text (report, "reason", s_refusal (frame->refuse.reason));
    trn_report_bytes (report, "text", frame->refuse.text.at,
                      frame->refuse.text.size);

    //  Asking again soon would not change the answer.
    self->backoff.attempts = 31;
    s_fail (engine, self, "refused");
}

static trn_flow_t *
s_find_flow (trn_link_t *self, uint32_t number)
{
    for (size_t index = 0; index < self->flows.count; index++) {
        trn_flow_t *flow = self->flows.at[index];
        if (flow->number == number) {
            return flow;
        }
    }
    return NULL;
}

static bool
s_on_cancel (trn_engine_t *engine, trn_link_t *self, trn_flow_t *flow)
{
    trn_list_remove (&self->flows, flow);
    trn_flow_end (engine, &flow);
    if (self->listed) {
        self->offer_ms = engine->now_ms + OFFER_AGAIN_MS;
    }
    return true;
}

//  A frame about one flow.  A flow that we know to be over may still be spoken
//  of by frames that were on their way.
static bool
s_on_flow_frame (trn_engine_t *engine, trn_link_t *self, uint32_t number,
                 const trn_frame_t *frame)
{
    trn_flow_t *flow = s_find_flow (self, number);
    if (!flow) {
        engine->stats.late++;
        return number != 0 && number <= self->flow_number;
    }
    if (frame->type == TRN_ACCEPT) {
        return trn_flow_on_accept (engine, flow, frame);
    }
    if (frame->type == TRN_CREDIT) {
        return trn_flow_on_credit (engine, flow, frame);
    }
    if (frame->type == TRN_SETTLE) {
        return trn_flow_on_settle (engine, flow, frame);
    }
    return s_on_cancel (engine, self, flow);
}

static void
s_on_open_frame (trn_engine_t *engine, trn_link_t *self,
                 const trn_frame_t *frame, uint32_t answer_size)
{
    bool fine = true;
    self->heard_ms = engine->now_ms;
    switch (frame->type) {
    case TRN_ACCEPT:
        fine = s_on_flow_frame (engine, self, frame->accept.flow, frame);
        break;
    case TRN_CREDIT:
        fine = s_on_flow_frame (engine, self, frame->credit.flow, frame);
        break;
    case TRN_SETTLE:
        fine = s_on_flow_frame (engine, self, frame->settle.flow, frame);
        break;
    case TRN_CANCEL:
        fine = s_on_flow_frame (engine, self, frame->cancel.flow, frame);
        break;
    case TRN_PING:
        trn_link_out_send (engine, self, TRN_PONG)->pong.nonce
            = frame->ping.nonce;
        break;
    case TRN_PONG: break;
    case TRN_BYE: s_fail (engine, self, "bye"); return;
    case TRN_HELLO:
    case TRN_WELCOME:
    case TRN_REFUSE:
    case TRN_OFFER:
    case TRN_DATA:
    case TRN_FLOOR:
    case TRN_SEEK:
    case TRN_CALL:
    case TRN_TAKE:
    case TRN_ABANDON:
    case TRN_RETIRE: fine = false; break;
    case TRN_ROOM:
    case TRN_ANSWER:
    case TRN_FAIL:
        fine = trn_call_out_on_frame (engine, self, frame, answer_size);
        break;
    }
    if (!fine) {
        s_fail_protocol (engine, self, frame, "not now");
    }
}

void
trn_link_out_on_frame (trn_engine_t *engine, trn_link_t *self,
                       const trn_frame_t *frame, uint32_t answer_size)
{
    assert (engine && self && frame);
    if (self->state == TRN_LINK_GREETING && frame->type == TRN_WELCOME) {
        s_on_welcome (engine, self, frame);
    } else if (self->state >= TRN_LINK_GREETING && frame->type == TRN_REFUSE) {
        s_on_refuse (engine, self, frame);
    } else if (self->state == TRN_LINK_OPEN
               && frame->connection == self->connection) {
        s_on_open_frame (engine, self, frame, answer_size);
    } else {
        engine->stats.late++;
    }
}

void
trn_link_out_on_damage (trn_engine_t *engine, trn_link_t *self)
{
    assert (engine && self);
    if (self->state >= TRN_LINK_GREETING) {
        s_fail (engine, self, "damaged answer");
    }
}

void
trn_link_out_on_disconnected (trn_engine_t *engine, trn_link_t *self)
{
    assert (engine && self);
    if (self->state >= TRN_LINK_GREETING) {
        s_fail (engine, self, "disconnected");
    }
}

//  Time ---------------------------------------------------------------------

static void
s_tick_open (trn_engine_t *engine, trn_link_t *self)
{
    const int64_t now_ms = engine->now_ms;
    if (now_ms - self->heard_ms >= engine->config.suspect_ms) {
        s_fail (engine, self, "silent");
        return;
    }
    if (now_ms >= self->offer_ms) {
        s_offer_all (engine, self);
    }
    if (now_ms - self->sent_ms < engine->config.ping_ms) {
        return;
    }
    if (!self->flows.count && !s_has_work (engine, self)) {
        trn_link_out_close (engine, self);
    } else {
        trn_link_out_send (engine, self, TRN_PING)->ping.nonce
            = trn_rng_next (&engine->rng);
    }
}

void
trn_link_out_on_tick (trn_engine_t *engine, trn_link_t *self)
{
    assert (engine && self);
    if (self->state == TRN_LINK_OPEN) {
        s_tick_open (engine, self);
    } else if (self->state == TRN_LINK_GREETING
               && engine->now_ms >= self->due_ms) {
        s_fail (engine, self, "no welcome");
    } else if (self->state == TRN_LINK_WAITING
               && engine->now_ms >= self->due_ms) {
        s_greet (engine, self);
    }
}

void
trn_link_out_forgive (trn_engine_t *engine, trn_link_t *self)
{
    assert (engine && self);
    if (self->state == TRN_LINK_OPEN) {
        self->heard_ms = engine->now_ms;
    } else if (self->state == TRN_LINK_GREETING) {
        self->due_ms = engine->now_ms + engine->config.hello_ms;
    }
}

int64_t
trn_link_out_deadline (const trn_engine_t *engine, const trn_link_t *self)
{
    assert (engine && self);
    if (self->state == TRN_LINK_IDLE) {
        return INT64_MAX;
    }
    if (self->state != TRN_LINK_OPEN) {
        return self->due_ms;
    }
    const int64_t silent_ms = self->heard_ms + engine->config.suspect_ms;
    const int64_t ping_ms = self->sent_ms + engine->config.ping_ms;
    const int64_t first_ms = silent_ms < ping_ms ? silent_ms : ping_ms;
    return first_ms < self->offer_ms ? first_ms : self->offer_ms;
}

//  The end ------------------------------------------------------------------

void
trn_link_out_close (trn_engine_t *engine, trn_link_t *self)
{
    assert (engine && self);
    if (self->state == TRN_LINK_OPEN) {
        trn_link_out_send (engine, self, TRN_BYE)->bye.reason
            = trn_text ("closing");
    }
    if (self->state >= TRN_LINK_GREETING) {
        s_hang_up (engine, self);
    }
    self->state = TRN_LINK_IDLE;
}

void
trn_link_out_destroy (trn_engine_t *engine, trn_link_t **self_p)
{
    assert (engine && self_p);
    trn_link_t *self = *self_p;
    if (!self) {
        return;
    }
    while (self->flows.count) {
        trn_flow_t *flow = self->flows.at[--self->flows.count];
        trn_flow_end (engine, &flow);
    }
    trn_list_clear (&self->flows);
    trn_call_out_lose (engine, self);
    trn_list_clear (&self->seats);
    free (self->queues);
    free (self);
    *self_p = NULL;
}
