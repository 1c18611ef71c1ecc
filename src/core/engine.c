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
#include "core/dispatch.h"
#include "core/flow.h"
#include "core/inflow.h"
#include "core/inside.h"
#include "core/intake.h"
#include "core/known.h"
#include "core/link_in.h"
#include "core/link_out.h"
#include "core/publication.h"
#include "core/state.h"

#include <tern/error.h>

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
    trn_list_clear (&self->subs);
    trn_table_clear (&self->links_by_id);
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
        .frame_max = TRN_FRAME_MAX,
    };
    memcpy (who.store_uuid, self->config.store_uuid, sizeof who.store_uuid);
    return who;
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
}

const trn_action_t *
trn_engine_action (trn_engine_t *self)
{
    assert (self);
    const trn_action_t *action = trn_actions_next (&self->actions);
    if (!action) {
        s_conclude (self);
        action = trn_actions_next (&self->actions);
    }
    return action;
}

//  Time ---------------------------------------------------------------------

static void
s_advance (trn_engine_t *self, int64_t now_ms)
{
    if (now_ms > self->now_ms) {
        self->now_ms = now_ms;
    }
}

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
        first = s_earlier (first,
                           trn_dispatch_deadline (publication->subs.at[index]));
    }
    return first;
}

int64_t
trn_engine_deadline (const trn_engine_t *self)
{
    assert (self);
    int64_t first = INT64_MAX;
    if (self->closed) {
        return first;
    }
    for (size_t index = 0; index < self->publications.count; index++) {
        first = s_earlier (
            first, s_publication_deadline (self, self->publications.at[index]));
    }
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
    return first;
}

static void
s_tick_publication (trn_engine_t *self, trn_publication_t *publication)
{
    if (trn_publication_deadline (self, publication) <= self->now_ms) {
        trn_publication_touch (self, publication);
    }
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        if (trn_dispatch_deadline (sub) <= self->now_ms) {
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
    s_advance (self, now_ms);
    if (due_ms < now_ms && now_ms - due_ms > self->config.suspect_ms / 2) {
        s_forgive (self);
    }
    for (size_t index = 0; index < self->publications.count; index++) {
        s_tick_publication (self, self->publications.at[index]);
    }
    for (size_t index = 0; index < self->links.count; index++) {
        trn_link_out_on_tick (self, self->links.at[index]);
    }
    //  Backwards: a connection that ends leaves the list.
    for (size_t index = self->inbounds.count; index; index--) {
        trn_link_in_on_tick (self, self->inbounds.at[index - 1]);
    }
}

//  Outboxes -----------------------------------------------------------------

static trn_publication_t *
s_publication (const trn_engine_t *self, trn_outbox_id_t outbox)
{
    assert (self && outbox >= 1 && outbox <= self->publications.count);
    return self->publications.at[outbox - 1];
}

static bool
s_has_queue (const trn_publication_t *publication, const char *queue)
{
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        if (strcmp (sub->queue, queue) == 0) {
            return true;
        }
    }
    return false;
}

static void
s_add_gaps (trn_subscription_t *sub, const trn_ranges_t *gaps)
{
    for (size_t index = 0; gaps && index < gaps->count; index++) {
        trn_ranges_add (&sub->settled, gaps->at[index].from,
                        gaps->at[index].to);
    }
}

int
trn_engine_add_outbox (trn_engine_t *self, const char *name, const char *queue,
                       uint64_t high, const trn_ranges_t *gaps, bool clean,
                       const uint8_t *state, size_t size,
                       trn_outbox_id_t *outbox_p)
{
    assert (self && name && queue && outbox_p && high < TRN_SEQ_MAX);
    assert (trn_queue_valid (name, strlen (name)));
    assert (trn_queue_valid (queue, strlen (queue)));
    if (self->publications.count >= TRN_OUTBOXES_MAX) {
        return TERN_ETOOBIG;
    }
    const trn_outbox_id_t id = (trn_outbox_id_t) self->publications.count + 1;
    trn_publication_t *publication = trn_publication_new (id, name, high);
    const int rc
        = size ? trn_state_decode (publication, clean, state, size) : 0;
    if (rc) {
        trn_publication_destroy (&publication);
        return rc;
    }
    if (!s_has_queue (publication, queue)) {
        trn_subscription_t *sub = trn_subscription_new (queue, 1);
        sub->publication = publication;
        sub->doubt = clean ? 0 : high;
        trn_list_add (&publication->subs, sub);
    }
    for (size_t index = 0; index < publication->subs.count; index++) {
        s_add_gaps (publication->subs.at[index], gaps);
    }
    trn_list_add (&self->publications, publication);

    //  The application learns how far an earlier life had come.
    publication->touched = true;
    trn_list_add (&self->touched, publication);
    trn_link_out_on_subscription (self);
    *outbox_p = id;
    return 0;
}

static void
s_touch_subs (trn_engine_t *self, trn_publication_t *publication,
              void (*touch) (trn_engine_t *, trn_subscription_t *))
{
    for (size_t index = 0; index < publication->subs.count; index++) {
        touch (self, publication->subs.at[index]);
    }
}

void
trn_engine_on_appended (trn_engine_t *self, trn_outbox_id_t outbox,
                        uint64_t seq, int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    assert (seq < TRN_SEQ_MAX);
    s_advance (self, now_ms);
    if (seq > publication->high) {
        publication->high = seq;
        s_touch_subs (self, publication, trn_dispatch_touch);
    }
}

void
trn_engine_on_records (trn_engine_t *self, trn_outbox_id_t outbox,
                       int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    s_advance (self, now_ms);
    s_touch_subs (self, publication, trn_dispatch_on_records);
}

void
trn_engine_on_dropped (trn_engine_t *self, trn_outbox_id_t outbox,
                       uint64_t floor, int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    s_advance (self, now_ms);
    const uint64_t last
        = floor > publication->high ? publication->high : floor - 1;
    if (floor <= 1 || last == 0) {
        return;
    }
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        const uint64_t count = trn_subscription_drop (sub, 1, last);
        if (count) {
            trn_action_t *report
                = trn_engine_report (self, TRN_MESSAGES_DROPPED);
            trn_report_text (report, "outbox", publication->name);
            trn_report_text (report, "queue", sub->queue);
            trn_report_number (report, "below", floor);
            trn_report_number (report, "count", count);
            trn_publication_touch (self, publication);
        }
    }
}

size_t
trn_engine_state (trn_engine_t *self, trn_outbox_id_t outbox, bool closing,
                  uint8_t *buffer, size_t capacity, uint64_t *low_p,
                  uint64_t *stamp_p)
{
    trn_publication_t *publication = s_publication (self, outbox);
    assert (buffer && low_p && stamp_p);
    (void) closing;  //  the same either way: next says what was sent
    const size_t size = trn_state_encode (publication, buffer, capacity);
    publication->unsaved = false;
    *low_p = trn_publication_low (publication);
    *stamp_p = ++publication->stamp;
    return size;
}

void
trn_engine_on_saved (trn_engine_t *self, trn_outbox_id_t outbox, uint64_t stamp,
                     int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    s_advance (self, now_ms);
    trn_publication_on_saved (self, publication, stamp);
}

bool
trn_engine_settled (const trn_engine_t *self, trn_outbox_id_t outbox,
                    uint64_t seq)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        if (!trn_ranges_has (&sub->settled, seq)) {
            return false;
        }
    }
    return true;
}

//  Consumers ----------------------------------------------------------------

trn_consumer_id_t
trn_engine_add_consumer (trn_engine_t *self, const char *queue,
                         uint32_t prefetch, uint32_t bytes, int64_t now_ms)
{
    assert (self && queue && trn_queue_valid (queue, strlen (queue)));
    s_advance (self, now_ms);
    return trn_intake_add_consumer (self, queue, prefetch, bytes)->id;
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
    s_advance (self, now_ms);
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
    s_advance (self, now_ms);
    trn_consumer_t *consumer
        = trn_table_get (&self->consumers_by_id, consumer_id);
    trn_stream_t *stream = trn_table_get (&self->streams_by_handle, flow);
    if (consumer && stream) {
        trn_inflow_settle (self, stream, consumer, from, to, outcome);
    } else {
        self->stats.unknown += to - from + 1;
    }
}

//  Links --------------------------------------------------------------------

void
trn_engine_on_peer (trn_engine_t *self, const char *name, uint64_t incarnation,
                    const char *endpoint, const char *const *queues,
                    size_t queue_count, int64_t now_ms)
{
    assert (self);
    s_advance (self, now_ms);
    if (!self->closed) {
        trn_link_out_on_peer (self, name, incarnation, endpoint, queues,
                              queue_count);
    }
}

void
trn_engine_on_peer_gone (trn_engine_t *self, const char *name, int64_t now_ms)
{
    assert (self);
    s_advance (self, now_ms);
    trn_link_out_on_peer_gone (self, name);
}

void
trn_engine_on_frame (trn_engine_t *self, trn_link_id_t link,
                     const trn_frame_t *frame, int64_t now_ms)
{
    assert (self && frame);
    s_advance (self, now_ms);
    trn_link_t *known = trn_table_get (&self->links_by_id, link);
    if (known && !self->closed) {
        trn_link_out_on_frame (self, known, frame);
    }
}

void
trn_engine_on_disconnected (trn_engine_t *self, trn_link_id_t link,
                            int64_t now_ms)
{
    assert (self);
    s_advance (self, now_ms);
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
    s_advance (self, now_ms);
    if (!self->closed) {
        trn_link_in_on_frame (self, route, frame, run_size);
    }
}

void
trn_engine_on_route_lost (trn_engine_t *self, trn_route_t route, int64_t now_ms)
{
    assert (self);
    s_advance (self, now_ms);
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
    s_advance (self, now_ms);
    if (!self->closed) {
        trn_link_in_on_garbage (self, route, run);
    }
}

void
trn_engine_on_close (trn_engine_t *self, int64_t now_ms)
{
    assert (self);
    s_advance (self, now_ms);
    if (self->closed) {
        return;
    }
    trn_inflow_run (self);
    self->closed = true;
    while (self->inbounds.count) {
        trn_link_in_close (self, self->inbounds.at[0], "closing");
    }
    for (size_t index = 0; index < self->links.count; index++) {
        trn_link_out_close (self, self->links.at[index]);
    }
}
