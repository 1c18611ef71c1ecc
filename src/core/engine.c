//  core/engine.c - what one peer decides: the way in and the way out
//
//  Knows: the clock, the tables, and in which order consequences are drawn when
//  the shell has fetched everything that was said.  What is decided stands in
//  the other files of this folder; inside.h shows how they hang together.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/engine.h"

#include "base/memory.h"
#include "base/name.h"
#include "core/call_in.h"
#include "core/call_out.h"
#include "core/callees.h"
#include "core/dispatch.h"
#include "core/flow.h"
#include "core/inflow.h"
#include "core/inside.h"
#include "core/intake.h"
#include "core/known.h"
#include "core/link_in.h"
#include "core/link_out.h"
#include "core/publication.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Tokens of one incarnation; the next one's are all greater.
#define TOKEN_BITS 40

//  Making and breaking ------------------------------------------------------

static uint32_t
s_or (uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

trn_engine_t *
trn_engine_new (const trn_engine_config_t *config,
                const trn_run_source_t *source)
{
    assert (config && config->name && source && source->run && source->release);
    assert (trn_name_valid (config->name, strlen (config->name)));
    trn_engine_t *self = trn_alloc (sizeof *self);
    memcpy (self->name, config->name, strlen (config->name));
    self->config = *config;
    self->config.name = self->name;
    self->config.hello_ms = s_or (config->hello_ms, 3000);
    self->config.ping_ms = s_or (config->ping_ms, 1000);
    self->config.suspect_ms = s_or (config->suspect_ms, 4000);
    self->config.backoff_min_ms = s_or (config->backoff_min_ms, 50);
    self->config.backoff_max_ms = s_or (config->backoff_max_ms, 30000);
    self->config.save_ms = s_or (config->save_ms, 500);
    self->config.redeliver_min_ms = s_or (config->redeliver_min_ms, 100);
    self->config.redeliver_max_ms = s_or (config->redeliver_max_ms, 30000);
    self->source = *source;
    self->rng.state = config->seed;
    self->token = config->incarnation << TOKEN_BITS;
    self->calls_out.due_ms = INT64_MAX;
    self->calls_in.due_ms = INT64_MAX;
    self->first_due_ms = INT64_MAX;
    return self;
}

static void
s_destroy_consumer_side (trn_engine_t *self)
{
    while (self->inbounds.count) {
        trn_link_in_close (self, self->inbounds.at[0], NULL);
    }
    while (self->intakes.count) {
        trn_intake_t *intake = self->intakes.at[0];
        trn_intake_destroy (self, &intake);
    }
    while (self->stores.count) {
        trn_known_remove (self, self->stores.at[0]);
    }
    trn_list_clear (&self->inbounds);
    trn_list_clear (&self->intakes);
    trn_list_clear (&self->stores);
    trn_list_clear (&self->settling);
    trn_table_clear (&self->consumers_by_id);
    trn_table_clear (&self->inbounds_by_route);
    trn_table_clear (&self->streams_by_handle);
}

static void
s_destroy_publisher_side (trn_engine_t *self)
{
    for (size_t index = 0; index < self->links.count; index++) {
        trn_link_t *link = self->links.at[index];
        trn_link_out_destroy (self, &link);
    }
    for (size_t index = 0; index < self->publications.count; index++) {
        trn_publication_t *publication = self->publications.at[index];
        trn_publication_destroy (&publication);
    }
    trn_list_clear (&self->links);
    trn_list_clear (&self->publications);
    trn_list_clear (&self->touched);
    trn_list_clear (&self->stale);
    free (self->dues);
    trn_list_clear (&self->subs);
    trn_table_clear (&self->links_by_id);
}

//  All is said: nothing speaks of them any more.
static void
s_clear_removed (trn_engine_t *self)
{
    for (size_t index = 0; index < self->removed.count; index++) {
        trn_subscription_t *sub = self->removed.at[index];
        trn_subscription_destroy (&sub);
    }
    trn_list_clear (&self->removed);
}

void
trn_engine_destroy (trn_engine_t **self_p)
{
    assert (self_p);
    trn_engine_t *self = *self_p;
    if (!self) {
        return;
    }
    s_destroy_consumer_side (self);
    s_destroy_publisher_side (self);
    s_clear_removed (self);
    trn_call_out_clear (self);
    trn_call_in_clear (self);
    trn_actions_clear (&self->actions, &self->source);
    free (self);
    *self_p = NULL;
}

//  For the parts ------------------------------------------------------------

trn_identity_t
trn_engine_identity (const trn_engine_t *self)
{
    trn_identity_t who = {
        .name = trn_text (self->name),
        .incarnation = self->config.incarnation,
        .random = self->config.random,
        .features = TRN_FEATURE_STORED,
        .frame_max = TRN_FRAME_MAX,
    };
    memcpy (who.store_uuid, self->config.store_uuid, sizeof who.store_uuid);
    return who;
}

void
trn_engine_advance (trn_engine_t *self, int64_t now_ms)
{
    if (now_ms > self->now_ms) {
        self->now_ms = now_ms;
    }
}

trn_action_t *
trn_engine_report (trn_engine_t *self, trn_report_kind_t kind)
{
    return trn_report (&self->reports, &self->actions, kind, self->now_ms);
}

//  The way out --------------------------------------------------------------

//  Answers first, then what they make room for, then what may go now, then what
//  this means for the disk and the application.
static void
s_conclude (trn_engine_t *self)
{
    trn_inflow_run (self);
    trn_intake_run (self);
    trn_dispatch_run (self);
    trn_publication_run (self);
    trn_call_out_run (self);
}

const trn_action_t *
trn_engine_action (trn_engine_t *self)
{
    assert (self);
    const trn_action_t *action = trn_actions_next (&self->actions);
    if (!action) {
        s_clear_removed (self);
        trn_call_out_free_lost (self);
        s_conclude (self);
        action = trn_actions_next (&self->actions);
    }
    return action;
}

//  Time ---------------------------------------------------------------------

static int64_t
s_earlier (int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static int64_t
s_publication_deadline (const trn_engine_t *self,
                        const trn_publication_t *publication)
{
    int64_t first = trn_publication_deadline (self, publication);
    for (size_t index = 0; index < publication->subs.count; index++) {
        first = s_earlier (
            first, trn_dispatch_deadline (self, publication->subs.at[index]));
    }
    return first;
}

void
trn_engine_stale (trn_engine_t *self, trn_publication_t *publication)
{
    assert (self && publication);
    if (!publication->stale) {
        publication->stale = true;
        trn_list_add (&self->stale, publication);
    }
}

static void
s_find_first (trn_engine_t *self)
{
    self->first_due_ms = INT64_MAX;
    for (size_t index = 0; index < self->publications.count; index++) {
        self->first_due_ms = s_earlier (self->first_due_ms, self->dues[index]);
    }
}

//  A peer may have a thousand outboxes, and a turn happens for one of them.
static void
s_refresh (trn_engine_t *self)
{
    bool found = true;
    for (size_t index = 0; index < self->stale.count; index++) {
        trn_publication_t *publication = self->stale.at[index];
        publication->stale = false;
        int64_t *due_ms = &self->dues[publication->id - 1];
        const int64_t before_ms = *due_ms;
        *due_ms = s_publication_deadline (self, publication);
        if (*due_ms <= self->first_due_ms) {
            self->first_due_ms = *due_ms;
        } else if (before_ms == self->first_due_ms) {
            found = false;  //  the first one waits longer now
        }
    }
    self->stale.count = 0;
    if (!found) {
        s_find_first (self);
    }
}

int64_t
trn_engine_deadline (trn_engine_t *self)
{
    assert (self);
    if (self->closed) {
        return INT64_MAX;
    }
    s_refresh (self);
    int64_t first = self->first_due_ms;
    for (size_t index = 0; index < self->links.count; index++) {
        first = s_earlier (first,
                           trn_link_out_deadline (self, self->links.at[index]));
    }
    for (size_t index = 0; index < self->inbounds.count; index++) {
        first = s_earlier (
            first, trn_link_in_deadline (self, self->inbounds.at[index]));
    }
    for (size_t index = 0; index < self->intakes.count; index++) {
        const trn_intake_t *intake = self->intakes.at[index];
        first = s_earlier (first, intake->due_ms);
    }
    first = s_earlier (first, self->calls_out.due_ms);
    return s_earlier (first, self->calls_in.due_ms);
}

static void
s_tick_publication (trn_engine_t *self, trn_publication_t *publication)
{
    trn_engine_stale (self, publication);
    if (trn_publication_deadline (self, publication) <= self->now_ms) {
        trn_publication_touch (self, publication);
    }
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        if (trn_dispatch_deadline (self, sub) <= self->now_ms) {
            trn_dispatch_touch (self, sub);
        }
    }
}

//  We were not there to listen: whoever was silent meanwhile may not have been
//  silent at all (a pause is not a partition, T-82).
static void
s_forgive (trn_engine_t *self)
{
    for (size_t index = 0; index < self->links.count; index++) {
        trn_link_out_forgive (self, self->links.at[index]);
    }
    for (size_t index = 0; index < self->inbounds.count; index++) {
        trn_link_in_forgive (self, self->inbounds.at[index]);
    }
}

void
trn_engine_on_tick (trn_engine_t *self, int64_t now_ms)
{
    assert (self);
    if (self->closed) {
        return;
    }
    const int64_t due_ms = trn_engine_deadline (self);
    trn_engine_advance (self, now_ms);
    if (due_ms < now_ms && now_ms - due_ms > self->config.suspect_ms / 2) {
        s_forgive (self);
    }
    for (size_t index = 0; index < self->publications.count; index++) {
        if (self->dues[index] <= self->now_ms) {
            s_tick_publication (self, self->publications.at[index]);
        }
    }
    for (size_t index = 0; index < self->links.count; index++) {
        trn_link_out_on_tick (self, self->links.at[index]);
    }
    //  Backwards: a connection that ends leaves the list.
    for (size_t index = self->inbounds.count; index; index--) {
        trn_link_in_on_tick (self, self->inbounds.at[index - 1]);
    }
    trn_call_out_on_tick (self);
    trn_call_in_on_tick (self);
}

//  Consumers ----------------------------------------------------------------

trn_consumer_id_t
trn_engine_add_consumer (trn_engine_t *self, const char *queue,
                         uint32_t prefetch, uint32_t bytes, int64_t now_ms)
{
    assert (self && queue);
    assert (trn_place_valid (queue, strlen (queue))
            || trn_subscribed_valid (queue, strlen (queue)));
    trn_engine_advance (self, now_ms);
    return trn_intake_add_consumer (self, queue, prefetch, bytes)->id;
}

void
trn_engine_pause_consumer (trn_engine_t *self, trn_consumer_id_t consumer,
                           bool paused, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_consumer_t *found = trn_table_get (&self->consumers_by_id, consumer);
    if (found && found->paused != paused) {
        trn_intake_pause (found, paused);
    }
}

//  Every stream of a queue gives back what this consumer holds.
static void
s_give_back (trn_engine_t *self, trn_consumer_t *consumer)
{
    for (size_t index = 0; index < self->stores.count; index++) {
        const trn_known_t *store = self->stores.at[index];
        for (size_t at = 0; at < store->streams.count; at++) {
            trn_stream_t *stream = store->streams.at[at];
            if (strcmp (stream->queue, consumer->intake->queue) == 0) {
                trn_inflow_give_back (self, stream, consumer);
            }
        }
    }
}

//  Nobody consumes this queue here any more: its flows end, and the publishers
//  take everything back without waiting for a redelivery's time.
static void
s_cancel_flows (trn_engine_t *self, trn_intake_t *intake)
{
    while (intake->flows.count) {
        trn_inflow_t *flow = intake->flows.at[0];
        trn_inbound_t *inbound = flow->inbound;
        trn_link_in_send (self, inbound, TRN_CANCEL)->cancel.flow
            = flow->number;
        trn_list_remove (&inbound->flows, flow);
        trn_inflow_end (self, &flow);
    }
}

void
trn_engine_remove_consumer (trn_engine_t *self, trn_consumer_id_t consumer_id,
                            int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_consumer_t *consumer
        = trn_table_get (&self->consumers_by_id, consumer_id);
    if (!consumer) {
        return;
    }
    trn_intake_t *intake = consumer->intake;
    trn_inflow_run (self);
    if (intake->consumers.count == 1) {
        s_cancel_flows (self, intake);
    }
    s_give_back (self, consumer);
    trn_intake_remove_consumer (self, consumer);
    if (!intake->consumers.count) {
        trn_intake_destroy (self, &intake);
    }
}

void
trn_engine_on_settle (trn_engine_t *self, trn_consumer_id_t consumer_id,
                      uint32_t flow, uint64_t from, uint64_t to,
                      trn_outcome_t outcome, int64_t now_ms)
{
    assert (self && from <= to);
    trn_engine_advance (self, now_ms);
    trn_consumer_t *consumer
        = trn_table_get (&self->consumers_by_id, consumer_id);
    trn_stream_t *stream = trn_table_get (&self->streams_by_handle, flow);
    if (consumer && stream) {
        trn_inflow_settle (self, stream, consumer, from, to, outcome);
    } else {
        self->stats.unknown += to - from + 1;
    }
}

void
trn_engine_resize_consumer (trn_engine_t *self, trn_consumer_id_t consumer_id,
                            uint32_t prefetch, uint32_t bytes, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_consumer_t *consumer
        = trn_table_get (&self->consumers_by_id, consumer_id);
    if (consumer) {
        consumer->prefetch = prefetch ? prefetch : 1;
        consumer->bytes = bytes ? bytes : 1;
        consumer->intake->dirty = true;
    }
}

void
trn_engine_keep_consumer (trn_engine_t *self, trn_consumer_id_t consumer_id)
{
    assert (self);
    trn_consumer_t *consumer
        = trn_table_get (&self->consumers_by_id, consumer_id);
    if (consumer) {
        consumer->keeps = true;
    }
}

void
trn_engine_on_stored (trn_engine_t *self, trn_consumer_id_t consumer_id,
                      uint32_t flow, uint64_t from, uint64_t to, int64_t now_ms)
{
    assert (self && from <= to);
    trn_engine_advance (self, now_ms);
    trn_stream_t *stream = trn_table_get (&self->streams_by_handle, flow);
    if (stream) {
        trn_inflow_store (self, stream, consumer_id, from, to);
    }
}

bool
trn_engine_leased (const trn_engine_t *self, trn_consumer_id_t consumer,
                   uint32_t flow, uint64_t seq)
{
    assert (self);
    const trn_stream_t *stream = trn_table_get (&self->streams_by_handle, flow);
    trn_hand_at_t at;
    const trn_hand_t *hand
        = stream ? trn_hands_find (&stream->dedup.hand, seq, &at) : NULL;
    return hand && hand->from <= seq && hand->token
           && hand->consumer == consumer;
}

//  Links --------------------------------------------------------------------

void
trn_engine_on_peer (trn_engine_t *self, const char *name, uint64_t incarnation,
                    const char *endpoint, const char *const *queues,
                    size_t queue_count, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    if (!self->closed) {
        trn_callees_on_peer (self, name, incarnation, endpoint, queues,
                             queue_count);
    }
}

void
trn_engine_on_peer_gone (trn_engine_t *self, const char *name, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_callees_on_peer_gone (self, name);
}

void
trn_engine_on_frame (trn_engine_t *self, trn_link_id_t link,
                     const trn_frame_t *frame, int64_t now_ms)
{
    assert (self && frame);
    trn_engine_on_answered (self, link, frame, 0, now_ms);
}

void
trn_engine_on_answered (trn_engine_t *self, trn_link_id_t link,
                        const trn_frame_t *frame, uint32_t answer_size,
                        int64_t now_ms)
{
    assert (self && frame);
    trn_engine_advance (self, now_ms);
    trn_link_t *known = trn_table_get (&self->links_by_id, link);
    if (known && !self->closed) {
        trn_link_out_on_frame (self, known, frame, answer_size);
    }
}

void
trn_engine_on_disconnected (trn_engine_t *self, trn_link_id_t link,
                            int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_link_t *known = trn_table_get (&self->links_by_id, link);
    if (known && !self->closed) {
        trn_link_out_on_disconnected (self, known);
    }
}

void
trn_engine_on_inbound (trn_engine_t *self, trn_route_t route,
                       const trn_frame_t *frame, uint32_t run_size,
                       int64_t now_ms)
{
    assert (self && frame);
    trn_engine_advance (self, now_ms);
    if (!self->closed) {
        trn_link_in_on_frame (self, route, frame, run_size);
    }
}

void
trn_engine_on_route_lost (trn_engine_t *self, trn_route_t route, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_inbound_t *inbound = trn_table_get (&self->inbounds_by_route, route);
    if (inbound && !self->closed) {
        trn_link_in_on_lost (self, inbound);
    }
}

bool
trn_engine_inbound_flow (const trn_engine_t *self, trn_route_t route,
                         uint64_t connection, uint32_t flow,
                         const uint8_t **store_uuid_p, const char **outbox_p,
                         const char **peer_p)
{
    assert (self && store_uuid_p && outbox_p && peer_p);
    const trn_inbound_t *inbound
        = trn_table_get (&self->inbounds_by_route, route);
    if (!inbound || inbound->connection != connection) {
        return false;
    }
    const trn_inflow_t *known = trn_inflow_find (inbound, flow);
    if (!known) {
        return false;
    }
    *store_uuid_p = inbound->store->store_uuid;
    *outbox_p = known->stream->outbox;
    *peer_p = inbound->store->name;
    return true;
}

void
trn_engine_on_garbage (trn_engine_t *self, trn_route_t route, bool run,
                       int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    if (!self->closed) {
        trn_link_in_on_garbage (self, route, run);
    }
}

//  What this stream of ours has settled, though the frame that says so will not
//  arrive any more.
static void
s_settle_own_stream (trn_engine_t *self, const trn_stream_t *stream,
                     trn_subscription_t *sub)
{
    trn_range_t part;
    for (uint64_t from = 1;
         trn_seqset_first_in (&stream->dedup.settled, from, TRN_SEQ_MAX, &part);
         from = part.to + 1) {
        for (size_t index = 0; index < sub->flows.count; index++) {
            trn_flow_t *flow = sub->flows.at[index];
            if (strcmp (flow->link->name, self->name) == 0) {
                trn_flow_settled (self, flow, part.from, part.to);
            }
        }
        trn_subscription_resume (sub, part.from, part.to,
                                 sub->publication->high);
        trn_publication_touch (self, sub->publication);
    }
}

//  What we consume of ourselves.  Another queue may have the name by now, and have
//  been offered to nobody.
static void
s_settle_own (trn_engine_t *self)
{
    const trn_known_t *me = trn_known_find (self, self->config.store_uuid);
    for (size_t index = 0; me && index < me->streams.count; index++) {
        const trn_stream_t *stream = me->streams.at[index];
        for (size_t at = 0; at < self->publications.count; at++) {
            trn_publication_t *publication = self->publications.at[at];
            for (size_t queue = 0; queue < publication->subs.count; queue++) {
                trn_subscription_t *sub = publication->subs.at[queue];
                if (sub->number == stream->number
                    && strcmp (publication->name, stream->outbox) == 0
                    && strcmp (sub->queue, stream->queue) == 0) {
                    s_settle_own_stream (self, stream, sub);
                }
            }
        }
    }
}

void
trn_engine_on_close (trn_engine_t *self, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    if (self->closed) {
        return;
    }
    trn_inflow_run (self);
    s_settle_own (self);
    self->closed = true;
    while (self->inbounds.count) {
        trn_link_in_close (self, self->inbounds.at[0], "closing");
    }
    for (size_t index = 0; index < self->links.count; index++) {
        trn_link_out_close (self, self->links.at[index]);
    }
}
