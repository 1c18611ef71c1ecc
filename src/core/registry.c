//  core/registry.c - what one directory node decides, without doing any of it
//
//  Knows: what has happened, and what is to be done next.  What a frame is
//  answered with is in core/registry_frame.c, who is told what in
//  core/registry_tell.c; core/registry_inside.h says where the tables are.
//
//      on_frame () -> a reply in the queue   ---.
//      change of the census -> routes ready  ----+-> action () makes the next
//      WATCH, QUERY -> that route is ready   ---'    frame, one per call
//
//  Frames are made when they are asked for, one at a time, so nothing queues up
//  here but replies (one per frame in) and reports (at a bounded rate).
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/registry_inside.h"

#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_MIN_MS 1000
#define FRAMES_PER_S 200
#define REFUSALS_PER_MIN 10

//  A route that says nothing for so long is forgotten.  Those that register
//  refresh sooner, those that watch ping.
#define ROUTE_IDLE_MS (2 * TRN_LEASE_MAX_MS)

//  While there is a lease, somebody calls us at least so often; a gap of twice
//  that means that we were stopped.
#define TICK_MS 1000

#define REPORTS_PER_S 20

trn_registry_t *
trn_registry_new (const trn_registry_config_t *config)
{
    assert (config && config->epoch);
    trn_registry_t *self = trn_alloc (sizeof *self);
    trn_registry_config_t *own = &self->config;
    *own = *config;
    own->lease_min_ms = own->lease_min_ms ? own->lease_min_ms : LEASE_MIN_MS;
    own->peers_max = own->peers_max ? own->peers_max : TRN_REGISTRY_PEERS_MAX;
    own->routes_max
        = own->routes_max ? own->routes_max : TRN_REGISTRY_ROUTES_MAX;
    own->memory_max
        = own->memory_max ? own->memory_max : TRN_REGISTRY_MEMORY_MAX;
    own->frames_per_s = own->frames_per_s ? own->frames_per_s : FRAMES_PER_S;
    own->refusals_per_min
        = own->refusals_per_min ? own->refusals_per_min : REFUSALS_PER_MIN;
    trn_census_init (&self->census, own->peers_max, TRN_REGISTRY_HISTORY,
                     own->memory_max, own->seed);
    own->bindings_max
        = own->bindings_max ? own->bindings_max : TRN_BINDINGS_MAX;
    trn_bound_init (&self->bound, own->bindings_max, TRN_BINDINGS_BYTES,
                    own->durable);
    trn_routes_init (&self->routes, own->routes_max, own->seed);
    self->now_ms = -1;
    self->replies = trn_alloc (TRN_REGISTRY_REPLIES * sizeof *self->replies);
    self->reports = trn_alloc (TRN_REGISTRY_REPORTS * sizeof *self->reports);
    self->bytes = trn_alloc (TRN_DIRECTORY_FRAME_MAX);
    self->change_bytes = trn_alloc (TRN_DIRECTORY_FRAME_MAX);
    return self;
}

void
trn_registry_destroy (trn_registry_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    trn_registry_t *self = *self_p;
    trn_census_clear (&self->census);
    trn_bound_clear (&self->bound);
    trn_routes_clear (&self->routes);
    free (self->replies);
    free (self->reports);
    free (self->bytes);
    free (self->change_bytes);
    free (self);
    *self_p = NULL;
}

//  Keeping bindings ------------------------------------------------------

uint8_t *
trn_registry_state (const trn_registry_t *self, size_t *size_p)
{
    assert (self && size_p);
    return trn_bindings_save (self->bound.table, SIZE_MAX, size_p);
}

int
trn_registry_restore (trn_registry_t *self, const uint8_t *state, size_t size)
{
    assert (self && self->now_ms < 0);
    return trn_bindings_load (self->bound.table, state, size);
}

void
trn_registry_forget (trn_registry_t *self, uint64_t below_us)
{
    assert (self);
    trn_bindings_forget (self->bound.table, below_us);
}

const trn_bindings_t *
trn_registry_bindings (const trn_registry_t *self)
{
    assert (self);
    return self->bound.table;
}

//  Reports ---------------------------------------------------------------

void
trn_registry_report (trn_registry_t *self, tern_log_level_t level,
                     const char *id, const char *format, ...)
{
    const int64_t cost_us = 1000000 / REPORTS_PER_S;
    if (self->report_count == TRN_REGISTRY_REPORTS
        || !trn_allowance_take (&self->report_allowance, self->now_ms, cost_us,
                                2 * 1000000)) {
        self->suppressed++;
        return;
    }
    trn_registry_report_t *report
        = &self->reports[(self->report_first + self->report_count++)
                         % TRN_REGISTRY_REPORTS];
    report->id = id;
    report->level = level;
    va_list args;
    va_start (args, format);
    int used = vsnprintf (report->text, sizeof report->text, format, args);
    va_end (args);
    if (self->suppressed && used >= 0 && (size_t) used < sizeof report->text) {
        snprintf (report->text + used, sizeof report->text - (size_t) used,
                  " suppressed=%" PRIu64, self->suppressed);
        self->suppressed = 0;
    }
}

//  Events ----------------------------------------------------------------

//  Every event starts here.  Our time never goes back, and a gap in it is
//  nobody's silence: what was said meanwhile still waits in the socket.
static int64_t
s_enter (trn_registry_t *self, int64_t now_ms)
{
    now_ms = now_ms > self->now_ms ? now_ms : self->now_ms;
    const int64_t gap_ms = self->now_ms < 0 ? 0 : now_ms - self->now_ms;
    if (gap_ms > 2 * TICK_MS && self->census.count) {
        trn_census_forgive (&self->census, gap_ms);
        trn_registry_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-PAUSED",
                             "ms=%" PRIi64, gap_ms);
    }
    self->now_ms = now_ms;
    return now_ms;
}

void
trn_registry_on_frame (trn_registry_t *self, trn_directory_route_t route_id,
                       const void *bytes, size_t size, int64_t now_ms)
{
    assert (self && (bytes || !size));
    now_ms = s_enter (self, now_ms);
    self->stats.frames++;
    trn_routes_slot_t *route
        = trn_routes_hear (&self->routes, route_id, now_ms);
    if (now_ms < route->deaf_until_ms) {
        self->stats.garbage++;
        return;
    }
    const int64_t cost_us = 1000000 / self->config.frames_per_s;
    if (!trn_allowance_take (&route->frames, now_ms, cost_us, 2 * 1000000)) {
        self->stats.garbage++;
        trn_registry_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-FLOOD",
                             "route=%" PRIx64, route_id);
        return;
    }
    trn_dirframe_t frame;
    const int rc = trn_dirframe_decode (&frame, bytes, size);
    if (rc == TERN_EVERSION) {
        return;  //  a later Tern may say more than we know
    }
    if (rc) {
        self->stats.garbage++;
        trn_registry_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-GARBAGE",
                             "route=%" PRIx64 " size=%zu", route_id, size);
        trn_registry_count_refusal (self, route);
        return;
    }
    trn_registry_answer (self, route, &frame);
}

void
trn_registry_on_garbage (trn_registry_t *self, int64_t now_ms)
{
    assert (self);
    s_enter (self, now_ms);
    self->stats.frames++;
    self->stats.garbage++;
    trn_registry_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-GARBAGE",
                         "not one frame");
}

void
trn_registry_on_tick (trn_registry_t *self, int64_t now_ms)
{
    assert (self);
    now_ms = s_enter (self, now_ms);
    trn_census_slot_t *slot;
    bool changed = false;
    while ((slot = trn_census_expired (&self->census, now_ms))) {
        trn_registry_report (self, TERN_LOG_INFO, "TERN-DIRECTORY-EXPIRED",
                             "peer=%s", slot->member->name);
        trn_census_remove (&self->census, slot);
        self->stats.expired++;
        changed = true;
    }
    if (changed) {
        trn_registry_wake (self);
    }
    trn_routes_slot_t *route;
    while (
        (route = trn_routes_silent (&self->routes, now_ms - ROUTE_IDLE_MS))) {
        trn_routes_remove (&self->routes, route);
    }
    trn_routes_unblock (&self->routes, now_ms);
}

int64_t
trn_registry_deadline (const trn_registry_t *self)
{
    assert (self);
    const int64_t save_ms = trn_bound_deadline (&self->bound);
    if (!self->census.count && !self->routes.count) {
        return save_ms;
    }
    int64_t deadline = self->now_ms + TICK_MS;
    deadline = save_ms < deadline ? save_ms : deadline;
    if (self->census.next_expiry_ms < deadline) {
        deadline = self->census.next_expiry_ms;
    }
    if (self->routes.blocked && self->routes.next_unblock_ms < deadline) {
        deadline = self->routes.next_unblock_ms;
    }
    return deadline;
}

void
trn_registry_on_blocked (trn_registry_t *self, trn_directory_route_t route_id,
                         int64_t now_ms)
{
    assert (self && self->sending && self->action.route == route_id);
    now_ms = s_enter (self, now_ms);
    self->sending = false;
    trn_routes_slot_t *route = trn_routes_find (&self->routes, route_id);
    if (!route) {
        return;
    }
    //  What was to be told is told later; a lost reply is asked for again.
    if (self->telling) {
        route->telling = self->before;
    }
    trn_routes_block (&self->routes, route, now_ms);
}

void
trn_registry_on_gone (trn_registry_t *self, trn_directory_route_t route_id,
                      int64_t now_ms)
{
    assert (self);
    s_enter (self, now_ms);
    self->sending = false;
    trn_routes_slot_t *route = trn_routes_find (&self->routes, route_id);
    if (route) {
        trn_routes_remove (&self->routes, route);
    }
}

//  Those who waited for it are told.
void
trn_registry_on_saved (trn_registry_t *self, bool good, int64_t now_ms)
{
    assert (self);
    now_ms = s_enter (self, now_ms);
    trn_bound_end_save (&self->bound, good, now_ms);
}

//  Actions ---------------------------------------------------------------

static void
s_take_report (trn_registry_t *self)
{
    const trn_registry_report_t *report = &self->reports[self->report_first];
    self->report_first = (self->report_first + 1) % TRN_REGISTRY_REPORTS;
    self->report_count--;
    self->action.type = TRN_REGISTRY_REPORT;
    self->action.report.id = report->id;
    self->action.report.level = report->level;
    memcpy (self->action.report.text, report->text, sizeof report->text);
}

static void
s_take_reply (trn_registry_t *self)
{
    const trn_registry_reply_t *reply = &self->replies[self->reply_first];
    self->reply_first = (self->reply_first + 1) % TRN_REGISTRY_REPLIES;
    self->reply_count--;
    self->action.route = reply->route;
    self->action.bytes = self->bytes;
    self->action.size = trn_dirframe_encode (&reply->frame, self->bytes,
                                             TRN_DIRECTORY_FRAME_MAX);
}

//  Answers that waited for the disk become replies, as far as there is room.
static void
s_take_answers (trn_registry_t *self)
{
    const trn_bound_answer_t *answer;
    while (self->reply_count < TRN_REGISTRY_REPLIES
           && (answer = trn_bound_next_answer (&self->bound))) {
        const trn_routes_slot_t *route
            = trn_routes_find (&self->routes, answer->route);
        if (route) {
            trn_registry_reply_taken (self, route, answer);
        }
    }
}

//  The frame before went out, or we would have heard.
static void
s_note_sent (trn_registry_t *self)
{
    if (self->sending) {
        trn_routes_slot_t *route
            = trn_routes_find (&self->routes, self->action.route);
        if (route) {
            trn_routes_flowing (route);
        }
    }
    self->sending = false;
    self->telling = false;
}

const trn_registry_action_t *
trn_registry_action (trn_registry_t *self)
{
    assert (self);
    s_note_sent (self);
    if (self->report_count) {
        s_take_report (self);
        return &self->action;
    }
    if (trn_bound_begin_save (&self->bound, self->now_ms)) {
        self->action.type = TRN_REGISTRY_SAVE;
        return &self->action;
    }
    self->action.type = TRN_REGISTRY_SEND;
    s_take_answers (self);
    if (self->reply_count) {
        s_take_reply (self);
        self->sending = true;
        return &self->action;
    }
    trn_routes_slot_t *route;
    while ((route = trn_routes_pop_ready (&self->routes))) {
        if (trn_registry_has_to_tell (self, route)) {
            trn_registry_tell (self, route);
            self->sending = true;
            return &self->action;
        }
    }
    return NULL;
}

//  Numbers ---------------------------------------------------------------

uint64_t
trn_registry_number (const trn_registry_t *self)
{
    assert (self);
    return self->census.number;
}

void
trn_registry_stats (const trn_registry_t *self, tern_directory_stats_t *stats)
{
    assert (self && stats);
    *stats = self->stats;
    stats->peers = self->census.count;
    stats->watchers = trn_routes_watchers (&self->routes);
    stats->bindings = trn_bindings_count (self->bound.table);
}

size_t
trn_registry_memory (const trn_registry_t *self)
{
    assert (self);
    return self->census.memory;
}

size_t
trn_registry_routes (const trn_registry_t *self)
{
    assert (self);
    return self->routes.count;
}
