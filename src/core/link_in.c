//  core/link_in.c - the consumer's side of a link: one connection that came in
//
//  A connection begins with HELLO, which says whose store it is; one store has
//  one connection at a time, and a later one replaces it.  The table of
//  reliability 3.3 is decided here as far as it is about identities; inflow.c
//  decides what is about seqs.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/link_in.h"

#include "base/memory.h"
#include "base/name.h"
#include "core/call_in.h"
#include "core/inflow.h"
#include "core/intake.h"
#include "core/known.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Sending ------------------------------------------------------------------

static trn_frame_t *
s_reply (trn_engine_t *engine, trn_route_t route, trn_frame_type_t type)
{
    trn_action_t *action = trn_actions_add (&engine->actions, TRN_DO_REPLY);
    action->route = route;
    action->frame.type = type;
    return &action->frame;
}

trn_frame_t *
trn_link_in_send (trn_engine_t *engine, trn_inbound_t *self,
                  trn_frame_type_t type)
{
    assert (engine && self);
    trn_frame_t *frame = s_reply (engine, self->route, type);
    frame->connection = self->connection;
    self->sent_ms = engine->now_ms;
    return frame;
}

static void
s_drop_route (trn_engine_t *engine, trn_route_t route)
{
    trn_actions_add (&engine->actions, TRN_DO_DROP_ROUTE)->route = route;
}

//  The end ------------------------------------------------------------------

void
trn_link_in_close (trn_engine_t *engine, trn_inbound_t *self,
                   const char *goodbye)
{
    assert (engine && self);
    while (self->flows.count) {
        trn_inflow_t *flow = self->flows.at[--self->flows.count];
        trn_inflow_end (engine, &flow);
    }
    trn_list_clear (&self->flows);
    trn_call_in_end (engine, self);
    if (goodbye) {
        trn_link_in_send (engine, self, TRN_BYE)->bye.reason
            = trn_text (goodbye);
    }
    s_drop_route (engine, self->route);
    self->store->inbound = NULL;
    trn_list_remove (&engine->inbounds, self);
    trn_table_remove (&engine->inbounds_by_route, self->route);
    free (self);
}

static void
s_end (trn_engine_t *engine, trn_inbound_t *self, const char *reason,
       const char *goodbye)
{
    trn_action_t *report = trn_engine_report (engine, TRN_PEER_GONE);
    trn_report_text (report, "peer", self->store->name);
    trn_report_text (report, "role", "publisher");
    trn_report_text (report, "reason", reason);
    trn_link_in_close (engine, self, goodbye);
}

static void
s_end_protocol (trn_engine_t *engine, trn_inbound_t *self,
                const trn_frame_t *frame)
{
    engine->stats.garbage++;
    trn_action_t *report = trn_engine_report (engine, TRN_PROTOCOL_ERROR);
    trn_report_text (report, "peer", self->store->name);
    trn_report_text (report, "role", "publisher");
    trn_report_text (report, "frame", trn_frame_name (frame->type));
    s_end (engine, self, "protocol error", "protocol error");
}

//  HELLO --------------------------------------------------------------------

static void
s_refuse (trn_engine_t *engine, trn_route_t route, trn_refusal_t reason,
          const char *text)
{
    trn_frame_t *frame = s_reply (engine, route, TRN_REFUSE);
    frame->refuse.reason = reason;
    frame->refuse.text = trn_text (text);
    s_drop_route (engine, route);
}

static void
s_refuse_fenced (trn_engine_t *engine, trn_route_t route,
                 const trn_identity_t *who, uint64_t known_incarnation)
{
    trn_action_t *report = trn_engine_report (engine, TRN_PEER_FENCED);
    trn_report_bytes (report, "peer", who->name.at, who->name.size);
    trn_report_text (report, "role", "publisher");
    trn_report_number (report, "incarnation", who->incarnation);
    trn_report_number (report, "known", known_incarnation);
    s_refuse (engine, route, TRN_REFUSE_FENCED,
              "another opening of this store is known");
}

//  An older opening of a store, or another one under the same number (T-12).
static bool
s_is_fenced (const trn_identity_t *who, uint64_t incarnation, uint64_t random)
{
#ifdef TERN_BUG_12
    return false;
#endif
    return who->incarnation < incarnation
           || (who->incarnation == incarnation && who->random != random);
}

//  A peer may consume what it publishes, over its own ROUTER: then everything
//  is the same.  My store under another number is a clone of me; my name with
//  another store is somebody who must not have it.
static bool
s_check_mine (trn_engine_t *engine, trn_route_t route,
              const trn_identity_t *who)
{
    const trn_engine_config_t *me = &engine->config;
    if (memcmp (who->store_uuid, me->store_uuid, 16) == 0) {
        if (who->incarnation == me->incarnation && who->random == me->random
            && trn_text_is (who->name, engine->name)) {
            return true;
        }
        s_refuse_fenced (engine, route, who, me->incarnation);
        return false;
    }
    if (trn_text_is (who->name, engine->name)) {
        s_refuse (engine, route, TRN_REFUSE_NAME, "that name is mine");
        return false;
    }
    return true;
}

//  The store as we remember it now, or NULL and it was refused.
static trn_known_t *
s_recognise (trn_engine_t *engine, trn_route_t route, const trn_identity_t *who)
{
    trn_known_t *known = trn_known_find (engine, who->store_uuid);
    if (known) {
        if (s_is_fenced (who, known->incarnation, known->random)) {
            s_refuse_fenced (engine, route, who, known->incarnation);
            return NULL;
        }
        if (!trn_text_is (who->name, known->name)) {
            s_refuse (engine, route, TRN_REFUSE_NAME,
                      "that store has another name");
            return NULL;
        }
        if (who->incarnation > known->incarnation) {
            trn_known_begin_life (known);
        }
        known->incarnation = who->incarnation;
        known->random = who->random;
        return known;
    }
    trn_known_t *before = trn_known_find_name (engine, who->name);
    if (before) {
        trn_action_t *report = trn_engine_report (engine, TRN_PEER_LOST_STATE);
        trn_report_text (report, "peer", before->name);
        trn_report_text (report, "role", "publisher");
        if (before->inbound) {
            trn_link_in_close (engine, before->inbound, "replaced");
        }
    }
    known = trn_known_add (engine, who);
    if (!known) {
        s_refuse (engine, route, TRN_REFUSE_FULL, "too many publishers");
    }
    return known;
}

static void
s_on_hello (trn_engine_t *engine, trn_route_t route, const trn_frame_t *frame)
{
    const trn_identity_t *who = &frame->hello.who;
    if (frame->hello.version_min > TRN_PROTOCOL_MAX
        || frame->hello.version_max < TRN_PROTOCOL_MIN) {
        s_refuse (engine, route, TRN_REFUSE_VERSION, "no common version");
        return;
    }
    if (!trn_name_valid (who->name.at, who->name.size)) {
        s_refuse (engine, route, TRN_REFUSE_NAME, "not a name");
        return;
    }
    if (!s_check_mine (engine, route, who)) {
        return;
    }
    if (engine->inbounds.count >= TRN_LINKS_MAX) {
        trn_action_t *report = trn_engine_report (engine, TRN_TABLE_FULL);
        trn_report_text (report, "table", "connections");
        trn_report_bytes (report, "peer", who->name.at, who->name.size);
        s_refuse (engine, route, TRN_REFUSE_FULL, "too many connections");
        return;
    }
    trn_known_t *store = s_recognise (engine, route, who);
    if (!store) {
        return;
    }
    if (store->inbound) {
        trn_link_in_close (engine, store->inbound, "replaced");
    }
    trn_inbound_t *self = trn_alloc (sizeof *self);
    self->route = route;
    self->store = store;
    self->told_stored = (who->features & TRN_FEATURE_STORED) != 0;
    self->heard_ms = engine->now_ms;
    do {
        self->connection = trn_rng_next (&engine->rng);
    } while (!self->connection);
    store->inbound = self;
    store->heard_ms = engine->now_ms;
    trn_list_add (&engine->inbounds, self);
    trn_table_put (&engine->inbounds_by_route, route, self);
    trn_frame_t *welcome = trn_link_in_send (engine, self, TRN_WELCOME);
    welcome->welcome.version = TRN_PROTOCOL_MAX;
    welcome->welcome.who = trn_engine_identity (engine);
    trn_action_t *report = trn_engine_report (engine, TRN_PEER_UP);
    trn_report_text (report, "peer", store->name);
    trn_report_text (report, "role", "publisher");
}

//  Frames -------------------------------------------------------------------

static void
s_on_pong (trn_inbound_t *self, uint64_t nonce)
{
    for (size_t index = 0; index < self->flows.count; index++) {
        trn_intake_on_pong (self->flows.at[index], nonce);
    }
}

static void
s_on_forked (trn_engine_t *engine, trn_inbound_t *self)
{
    const trn_route_t route = self->route;
    trn_frame_t *frame = s_reply (engine, route, TRN_REFUSE);
    frame->refuse.reason = TRN_REFUSE_FENCED;
    frame->refuse.text = trn_text ("the store is older than it was");
    s_end (engine, self, "went back", NULL);
}

static void
s_on_known_frame (trn_engine_t *engine, trn_inbound_t *self,
                  const trn_frame_t *frame, uint32_t run_size)
{
    trn_inflow_verdict_t verdict = TRN_INFLOW_FINE;
    self->heard_ms = engine->now_ms;
    self->store->heard_ms = engine->now_ms;
    switch (frame->type) {
    case TRN_OFFER: verdict = trn_inflow_on_offer (engine, self, frame); break;
    case TRN_DATA:
        verdict = trn_inflow_on_data (engine, self, frame, run_size);
        break;
    case TRN_FLOOR: verdict = trn_inflow_on_floor (engine, self, frame); break;
    case TRN_RETIRE:
        verdict = trn_inflow_on_retire (engine, self, frame);
        break;
    case TRN_PING:
        trn_link_in_send (engine, self, TRN_PONG)->pong.nonce
            = frame->ping.nonce;
        break;
    case TRN_PONG: s_on_pong (self, frame->pong.nonce); break;
    case TRN_BYE: s_end (engine, self, "bye", NULL); return;
    case TRN_HELLO:
    case TRN_WELCOME:
    case TRN_REFUSE:
    case TRN_ACCEPT:
    case TRN_CREDIT:
    case TRN_SETTLE:
    case TRN_ROOM:
    case TRN_ANSWER:
    case TRN_FAIL:
    case TRN_CANCEL: verdict = TRN_INFLOW_BROKEN; break;
    case TRN_SEEK:
    case TRN_CALL:
    case TRN_TAKE:
    case TRN_ABANDON:
        if (!trn_call_in_on_frame (engine, self, frame, run_size)) {
            verdict = TRN_INFLOW_BROKEN;
        }
        break;
    }
    if (verdict == TRN_INFLOW_BROKEN) {
        s_end_protocol (engine, self, frame);
    } else if (verdict == TRN_INFLOW_FORKED) {
        s_on_forked (engine, self);
    }
}

void
trn_link_in_on_frame (trn_engine_t *engine, trn_route_t route,
                      const trn_frame_t *frame, uint32_t run_size)
{
    assert (engine && frame);
    trn_inbound_t *self = trn_table_get (&engine->inbounds_by_route, route);
    if (!self && frame->type == TRN_HELLO) {
        s_on_hello (engine, route, frame);
    } else if (self
               && (frame->connection == self->connection
                   || frame->type == TRN_HELLO)) {
        s_on_known_frame (engine, self, frame, run_size);
    } else {
        engine->stats.late++;
    }
}

void
trn_link_in_on_lost (trn_engine_t *engine, trn_inbound_t *self)
{
    assert (engine && self);
    s_end (engine, self, "unreachable", NULL);
}

void
trn_link_in_on_garbage (trn_engine_t *engine, trn_route_t route, bool run)
{
    assert (engine);
    engine->stats.garbage++;
    trn_inbound_t *self = trn_table_get (&engine->inbounds_by_route, route);
    trn_action_t *report = trn_engine_report (engine, TRN_GARBAGE);
    trn_report_text (report, "peer", self ? self->store->name : "?");
    trn_report_text (report, "what", run ? "run" : "frame");
    if (self && run) {
        s_end (engine, self, "damaged run", "damaged run");
    }
}

//  Time ---------------------------------------------------------------------

void
trn_link_in_on_tick (trn_engine_t *engine, trn_inbound_t *self)
{
    assert (engine && self);
    if (engine->now_ms - self->heard_ms >= engine->config.suspect_ms) {
        s_end (engine, self, "silent", "silent");
    } else if (engine->now_ms - self->sent_ms >= engine->config.ping_ms) {
        trn_link_in_send (engine, self, TRN_PING)->ping.nonce
            = trn_rng_next (&engine->rng);
    }
}

void
trn_link_in_forgive (trn_engine_t *engine, trn_inbound_t *self)
{
    assert (engine && self);
    self->heard_ms = engine->now_ms;
}

int64_t
trn_link_in_deadline (const trn_engine_t *engine, const trn_inbound_t *self)
{
    assert (engine && self);
    const int64_t silent_ms = self->heard_ms + engine->config.suspect_ms;
    const int64_t ping_ms = self->sent_ms + engine->config.ping_ms;
    return silent_ms < ping_ms ? silent_ms : ping_ms;
}
