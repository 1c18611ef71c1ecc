//  core/registry.c - what one directory node decides, without doing any of it
//
//  Knows: who may take a name, what a frame is answered with, who is told what
//  next, and how much of each a stranger may have.  The tables themselves are
//  core/census.c (peers, leases, history), core/bound.c (bindings) and
//  core/routes.c (connections).
//
//      on_frame () -> a reply in the queue   ---.
//      change of the census -> routes ready  ----+-> action () makes the next
//      WATCH, QUERY -> that route is ready   ---'    frame, one per call
//
//  Frames are made when they are asked for, one at a time, so nothing queues up
//  here but replies (one per frame in) and reports (at a bounded rate).
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/registry.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/name.h"
#include "core/bound.h"
#include "core/census.h"
#include "core/routes.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Of the protocol between peers and directories.
#define VERSION 1

#define LEASE_MIN_MS 1000
#define FRAMES_PER_S 200
#define REFUSALS_PER_MIN 10
#define DEAF_MS (60 * 1000)

//  A route that says nothing for so long is forgotten.  Those that register
//  refresh sooner, those that watch ping.
#define ROUTE_IDLE_MS (2 * TRN_LEASE_MAX_MS)

//  While there is a lease, somebody calls us at least so often; a gap of twice
//  that means that we were stopped.
#define TICK_MS 1000

#define REPLIES_MAX 16
#define REPORTS_MAX 16
#define REPORTS_PER_S 20

typedef struct {
    const char *id;
    tern_log_level_t level;
    char text[256];
} report_t;

typedef struct {
    trn_directory_route_t route;
    trn_dirframe_t frame;  //  its texts are static
} reply_t;

struct trn_registry {
    trn_registry_config_t config;
    trn_census_t census;
    trn_bound_t bound;
    trn_routes_t routes;
    int64_t now_ms;    //  of the last call, -1 before the first
    reply_t *replies;  //  a ring
    size_t reply_first, reply_count;
    report_t *reports;  //  a ring
    size_t report_first, report_count;
    uint64_t suppressed;  //  reports left out since the last
    trn_allowance_t report_allowance;
    tern_directory_stats_t stats;
    trn_registry_action_t action;
    trn_telling_t before;   //  of the action's route, to be put back
    bool telling;           //  the action moved its route's cursors
    bool sending;           //  the action is a SEND
    uint8_t *bytes;         //  the action's frame
    uint8_t *change_bytes;  //  the change told last, encoded once for all
    size_t change_size;
    uint64_t change_number;  //  0: none
};

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
    self->replies = trn_alloc (REPLIES_MAX * sizeof *self->replies);
    self->reports = trn_alloc (REPORTS_MAX * sizeof *self->reports);
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

//  Reports and replies -------------------------------------------------------

//  Say something to the operator, at a bounded rate.  Texts from outside are
//  names (grammar checked) or escaped.
__attribute__ ((format (printf, 4, 5))) static void
s_report (trn_registry_t *self, tern_log_level_t level, const char *id,
          const char *format, ...)
{
    const int64_t cost_us = 1000000 / REPORTS_PER_S;
    if (self->report_count == REPORTS_MAX
        || !trn_allowance_take (&self->report_allowance, self->now_ms, cost_us,
                                2 * 1000000)) {
        self->suppressed++;
        return;
    }
    report_t *report
        = &self->reports[(self->report_first + self->report_count++)
                         % REPORTS_MAX];
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

//  Make room for one reply to a route.
static trn_dirframe_t *
s_reply (trn_registry_t *self, const trn_routes_slot_t *route,
         trn_dirframe_type_t type)
{
    //  The shell drains after every event, so there is always room; if it did
    //  not, the oldest reply goes and its peer asks again.
    if (self->reply_count == REPLIES_MAX) {
        self->reply_first = (self->reply_first + 1) % REPLIES_MAX;
        self->reply_count--;
    }
    reply_t *reply = &self->replies[(self->reply_first + self->reply_count++)
                                    % REPLIES_MAX];
    memset (reply, 0, sizeof *reply);
    reply->route = route->id;
    reply->frame.type = type;
    return &reply->frame;
}

static void
s_reply_refused (trn_registry_t *self, trn_routes_slot_t *route,
                 trn_dir_refusal_t reason, const char *text)
{
    trn_dirframe_t *frame = s_reply (self, route, TRN_DIR_REFUSED);
    frame->refused.reason = reason;
    frame->refused.text = trn_text (text);
}

//  Something this route will not do better next time.  Too many of them, and
//  it is not listened to for a while.
static void
s_count_refusal (trn_registry_t *self, trn_routes_slot_t *route)
{
    const int64_t cost_us = 60 * 1000000LL / self->config.refusals_per_min;
    if (!trn_allowance_take (&route->refusals, self->now_ms, cost_us,
                             60 * 1000000LL)) {
        route->deaf_until_ms = self->now_ms + DEAF_MS;
        route->refusals = 0;
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-IGNORED",
                  "route=%" PRIx64 " for_ms=%d", route->id, DEAF_MS);
    }
}

static void
s_reply_registered (trn_registry_t *self, const trn_routes_slot_t *route,
                    const trn_census_slot_t *slot)
{
    trn_dirframe_t *frame = s_reply (self, route, TRN_DIR_REGISTERED);
    frame->registered.epoch = self->config.epoch;
    frame->registered.number = self->census.number;
    frame->registered.version = slot->member->version;
    frame->registered.lease_ms = slot->lease_ms;
}

//  Watchers --------------------------------------------------------------

//  Has a binding changed that it was not told?
static bool
s_has_news (const trn_registry_t *self, const trn_telling_t *telling)
{
    return telling->watch == TRN_WATCH_STREAM
           && telling->binding_number < trn_bindings_number (self->bound.table);
}

static bool
s_has_to_tell (const trn_registry_t *self, const trn_routes_slot_t *route)
{
    const trn_telling_t *telling = &route->telling;
    return telling->asked || telling->comparing
           || telling->watch == TRN_WATCH_SNAPSHOT
           || (telling->watch == TRN_WATCH_STREAM
               && telling->number < self->census.number)
           || s_has_news (self, telling);
}

//  Something has changed: everybody who follows it has something to hear.
static void
s_wake_watchers (trn_registry_t *self)
{
    for (trn_routes_slot_t *route = trn_routes_next (&self->routes, NULL);
         route; route = trn_routes_next (&self->routes, route)) {
        if (route->telling.watch == TRN_WATCH_STREAM) {
            trn_routes_push_ready (&self->routes, route);
        }
    }
}

//  Tell everything from the start.
static void
s_start_snapshot (trn_registry_t *self, trn_routes_slot_t *route)
{
    route->telling.watch = TRN_WATCH_SNAPSHOT;
    route->telling.watch_slot = 0;
    route->telling.watch_page = 0;
    route->telling.number = self->census.number;
    trn_routes_push_ready (&self->routes, route);
}

//  Tell what changes after this number.
static void
s_start_stream (trn_registry_t *self, trn_routes_slot_t *route, uint64_t number)
{
    route->telling.watch = TRN_WATCH_STREAM;
    route->telling.number = number;
    if (s_has_to_tell (self, route)) {
        trn_routes_push_ready (&self->routes, route);
    }
}

//  Frames ----------------------------------------------------------------

static bool
s_speaks_version (uint64_t min, uint64_t max)
{
    return min <= VERSION && VERSION <= max;
}

//  May this entry stand where slot's stands now?  If not, the reply says why.
static bool
s_may_replace (trn_registry_t *self, trn_routes_slot_t *route,
               const trn_census_slot_t *slot, const trn_entry_t *entry)
{
    const trn_member_t *member = slot->member;
    if (memcmp (member->store_uuid, entry->store_uuid,
                sizeof member->store_uuid)) {
        s_reply_refused (self, route, TRN_DIR_NAME,
                         "another store holds this name");
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-NAME-TAKEN",
                  "peer=%s", member->name);
        return false;
    }
    if (entry->incarnation < member->incarnation) {
        s_reply_refused (self, route, TRN_DIR_FENCED,
                         "a newer incarnation is registered");
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-FENCED",
                  "peer=%s incarnation=%" PRIu64 " registered=%" PRIu64,
                  member->name, entry->incarnation, member->incarnation);
        return false;
    }
    if (entry->incarnation == member->incarnation
        && entry->random != member->random) {
        s_reply_refused (self, route, TRN_DIR_FENCED,
                         "a copy of this store is registered");
        s_report (self, TERN_LOG_ERROR, "TERN-DIRECTORY-CLONE",
                  "peer=%s incarnation=%" PRIu64, member->name,
                  entry->incarnation);
        return false;
    }
    return true;
}

static uint32_t
s_grant_lease (const trn_registry_t *self, uint64_t wanted_ms)
{
    const uint32_t least = self->config.lease_min_ms;
    return wanted_ms < least              ? least
           : wanted_ms > TRN_LEASE_MAX_MS ? TRN_LEASE_MAX_MS
                                          : (uint32_t) wanted_ms;
}

static void
s_on_register (trn_registry_t *self, trn_routes_slot_t *route,
               const trn_dirframe_t *frame)
{
    const trn_entry_t *entry = &frame->enrol.entry;
    if (!s_speaks_version (frame->enrol.version_min,
                           frame->enrol.version_max)) {
        s_reply_refused (self, route, TRN_DIR_VERSION,
                         "this directory speaks version 1");
        s_count_refusal (self, route);
        return;
    }
    trn_census_slot_t *slot = trn_census_find (&self->census, entry->name);
    if (slot && !s_may_replace (self, route, slot, entry)) {
        s_count_refusal (self, route);
        return;
    }

    //  A late frame of this very life changes nothing, but it is alive.
    const bool late = slot && entry->incarnation == slot->member->incarnation
                      && entry->version < slot->member->version;
    if (!late && !(slot && trn_member_same (slot->member, entry))) {
        const bool reborn
            = slot && entry->incarnation != slot->member->incarnation;
        const bool fresh = !slot;
        slot = trn_census_put (&self->census, slot, entry);
        if (!slot) {
            s_reply_refused (self, route, TRN_DIR_FULL,
                             "this directory is full");
            s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-FULL",
                      "peers=%" PRIu32, self->census.count);
            s_count_refusal (self, route);
            return;
        }
        if (reborn) {
            trn_census_drop_rows (&self->census, slot);
        }
        if (fresh || reborn) {
            s_report (self, TERN_LOG_INFO, "TERN-DIRECTORY-REGISTERED",
                      "peer=%s incarnation=%" PRIu64, slot->member->name,
                      slot->member->incarnation);
        }
        s_wake_watchers (self);
    }
    slot->lease_ms = s_grant_lease (self, frame->enrol.lease_ms);
    trn_census_renew (&self->census, slot, self->now_ms);
    self->stats.registrations++;
    s_reply_registered (self, route, slot);
}

static void
s_on_refresh (trn_registry_t *self, trn_routes_slot_t *route,
              const trn_dirframe_t *frame)
{
    trn_census_slot_t *slot
        = trn_census_find (&self->census, frame->refresh.name);
    if (!slot
        || memcmp (slot->member->store_uuid, frame->refresh.store_uuid,
                   sizeof slot->member->store_uuid)
        || slot->member->incarnation != frame->refresh.incarnation
        || slot->member->version != frame->refresh.version) {
        //  The registration that follows is told the true reason.
        if (frame->refresh.last) {
            s_reply_refused (self, route, TRN_DIR_UNKNOWN,
                             "not registered like this");
        }
        return;
    }
    if (frame->refresh.page == 0) {
        slot->row_count = 0;
    }
    trn_items_t rows = frame->refresh.rows;
    tern_stats_t row;
    while (trn_rows_next (&rows, &row)) {
        //  Nobody reports in another's name.
        memcpy (row.peer, slot->member->name, strlen (slot->member->name) + 1);
        if (!trn_census_add_row (&self->census, slot, &row,
                                 TRN_REGISTRY_ROWS_MAX)) {
            break;
        }
    }
    trn_census_renew (&self->census, slot, self->now_ms);
    self->stats.refreshes++;
    if (frame->refresh.last) {
        s_reply_registered (self, route, slot);
    }
}

static void
s_on_goodbye (trn_registry_t *self, const trn_dirframe_t *frame)
{
    trn_census_slot_t *slot
        = trn_census_find (&self->census, frame->goodbye.name);
    //  Of a life that is over, or of somebody else: not this entry.
    if (!slot
        || memcmp (slot->member->store_uuid, frame->goodbye.store_uuid,
                   sizeof slot->member->store_uuid)
        || slot->member->incarnation != frame->goodbye.incarnation) {
        return;
    }
    s_report (self, TERN_LOG_INFO, "TERN-DIRECTORY-GOODBYE", "peer=%s",
              slot->member->name);
    trn_census_remove (&self->census, slot);
    self->stats.goodbyes++;
    s_wake_watchers (self);
}

static void
s_reply_pong (trn_registry_t *self, const trn_routes_slot_t *route,
              uint64_t nonce)
{
    trn_dirframe_t *frame = s_reply (self, route, TRN_DIR_PONG);
    frame->pong.nonce = nonce;
    frame->pong.epoch = self->config.epoch;
    frame->pong.number = self->census.number;
    frame->pong.digest = trn_bindings_digest (self->bound.table);
}

static void
s_on_watch (trn_registry_t *self, trn_routes_slot_t *route,
            const trn_dirframe_t *frame)
{
    if (!s_speaks_version (frame->watch.version_min,
                           frame->watch.version_max)) {
        s_reply_refused (self, route, TRN_DIR_VERSION,
                         "this directory speaks version 1");
        s_count_refusal (self, route);
        return;
    }
    route->telling.once = frame->watch.flags & TRN_WATCH_ONCE;
    if (route->telling.watch == TRN_WATCH_NONE) {
        route->telling.binding_number = trn_bindings_number (self->bound.table);
    }
    if (!route->telling.once && frame->watch.epoch == self->config.epoch
        && trn_census_has_history (&self->census, frame->watch.number)) {
        //  It missed little or nothing.  The PONG tells it so: what follows
        //  are changes, not a snapshot.
        s_start_stream (self, route, frame->watch.number);
        s_reply_pong (self, route, 0);
        return;
    }
    s_start_snapshot (self, route);
}

static void
s_copy_filter (char filter[TRN_NAME_MAX + 2], trn_text_t text)
{
    assert (text.size < TRN_NAME_MAX + 2);
    if (text.size) {
        memcpy (filter, text.at, text.size);
    }
    filter[text.size] = 0;
}

static void
s_on_query (trn_registry_t *self, trn_routes_slot_t *route,
            const trn_dirframe_t *frame)
{
    trn_telling_t *telling = &route->telling;
    telling->asked = true;
    telling->query_slot = 0;
    telling->query_row = 0;
    telling->query_page = 0;
    telling->query_nonce = frame->query.nonce;
    s_copy_filter (telling->query_peer, frame->query.peer);
    s_copy_filter (telling->query_queue, frame->query.queue);
    trn_routes_push_ready (&self->routes, route);
}

//  Bindings --------------------------------------------------------------

static void
s_reply_taken (trn_registry_t *self, const trn_routes_slot_t *route,
               const trn_bound_answer_t *answer)
{
    trn_dirframe_t *frame = s_reply (self, route, TRN_DIR_TAKEN);
    frame->taken.nonce = answer->nonce;
    frame->taken.count = answer->count;
    memcpy (frame->taken.verdicts, answer->verdicts, answer->count);
}

static void
s_on_bindings (trn_registry_t *self, trn_routes_slot_t *route,
               const trn_dirframe_t *frame)
{
    const bool asked = frame->bindings.nonce != 0;
    if (asked && frame->bindings.items.left > TRN_DIR_ASK_MAX) {
        self->stats.garbage++;
        s_count_refusal (self, route);
        return;
    }
    trn_bound_answer_t answer = {.route = route->id};
    bool news;
    const uint32_t refused
        = trn_bound_take (&self->bound, frame, &answer, &news);
    if (refused) {
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-NOT-BOUND",
                  "route=%" PRIx64 " refused=%" PRIu32 " bindings=%zu",
                  route->id, refused, trn_bindings_count (self->bound.table));
    }
    if (news) {
        s_wake_watchers (self);
    }
    if (asked && !trn_bound_wait (&self->bound, &answer)) {
        s_reply_taken (self, route, &answer);
    }
}

//  Answered with our digests, then with all bindings of the buckets that
//  differ.
static void
s_on_digests (trn_registry_t *self, trn_routes_slot_t *route,
              const trn_dirframe_t *frame)
{
    trn_telling_t *telling = &route->telling;
    telling->comparing = true;
    telling->compare_said = false;
    telling->compare_nonce = frame->digests.nonce;
    telling->compare_page = 0;
    telling->compare_bucket = 0;
    telling->compare_index = 0;
    memset (telling->compare_differ, 0, sizeof telling->compare_differ);
    for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
        if (trn_digest_at (frame->digests.buckets, bucket)
            != trn_bindings_bucket (self->bound.table, bucket)) {
            telling->compare_differ[bucket / 8] |= (uint8_t) (1 << bucket % 8);
        }
    }
    trn_routes_push_ready (&self->routes, route);
}

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

static void
s_on_decoded (trn_registry_t *self, trn_routes_slot_t *route,
              const trn_dirframe_t *frame)
{
    switch (frame->type) {
    case TRN_DIR_REGISTER: s_on_register (self, route, frame); break;
    case TRN_DIR_REFRESH: s_on_refresh (self, route, frame); break;
    case TRN_DIR_GOODBYE: s_on_goodbye (self, frame); break;
    case TRN_DIR_WATCH: s_on_watch (self, route, frame); break;
    case TRN_DIR_QUERY: s_on_query (self, route, frame); break;
    case TRN_DIR_PING: s_reply_pong (self, route, frame->ping.nonce); break;
    case TRN_DIR_BINDINGS: s_on_bindings (self, route, frame); break;
    case TRN_DIR_DIGESTS: s_on_digests (self, route, frame); break;
    case TRN_DIR_REGISTERED:
    case TRN_DIR_REFUSED:
    case TRN_DIR_SNAPSHOT:
    case TRN_DIR_DELTA:
    case TRN_DIR_STATS:
    case TRN_DIR_PONG:
    case TRN_DIR_TAKEN:
        //  Only a directory says these.
        self->stats.garbage++;
        s_count_refusal (self, route);
        break;
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
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-PAUSED",
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
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-FLOOD",
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
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-GARBAGE",
                  "route=%" PRIx64 " size=%zu", route_id, size);
        s_count_refusal (self, route);
        return;
    }
    s_on_decoded (self, route, &frame);
}

void
trn_registry_on_garbage (trn_registry_t *self, int64_t now_ms)
{
    assert (self);
    s_enter (self, now_ms);
    self->stats.frames++;
    self->stats.garbage++;
    s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-GARBAGE",
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
        s_report (self, TERN_LOG_INFO, "TERN-DIRECTORY-EXPIRED", "peer=%s",
                  slot->member->name);
        trn_census_remove (&self->census, slot);
        self->stats.expired++;
        changed = true;
    }
    if (changed) {
        s_wake_watchers (self);
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

static size_t
s_encode_snapshot (trn_registry_t *self, trn_telling_t *telling)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_SNAPSHOT,
        .snapshot = {.epoch = self->config.epoch,
                     .number = telling->number,
                     .page = telling->watch_page++},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
    const trn_census_t *census = &self->census;
    while (telling->watch_slot < census->slots_used
           && page.out.used < TRN_REGISTRY_PAGE_BYTES) {
        const trn_census_slot_t *slot = &census->slots[telling->watch_slot];
        if (slot->member) {
            trn_entry_t entry;
            trn_member_entry (slot->member,
                              (uint64_t) (self->now_ms - slot->heard_at_ms),
                              &entry);
            if (!trn_dirpage_add_entry (&page, &entry)) {
                break;
            }
        }
        telling->watch_slot++;
    }
    const bool last = telling->watch_slot >= census->slots_used;
    if (last) {
        telling->watch = telling->once ? TRN_WATCH_NONE : TRN_WATCH_STREAM;
    }
    return trn_dirpage_end (&page, last);
}

static bool
s_row_wanted (const trn_telling_t *telling, const tern_stats_t *row)
{
    return (!telling->query_peer[0] || !strcmp (telling->query_peer, row->peer))
           && (!telling->query_queue[0]
               || !strcmp (telling->query_queue, row->queue));
}

static size_t
s_encode_stats (trn_registry_t *self, trn_telling_t *telling)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_STATS,
        .stats = {.nonce = telling->query_nonce, .page = telling->query_page++},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
    const trn_census_t *census = &self->census;
    while (telling->query_slot < census->slots_used
           && page.out.used < TRN_REGISTRY_PAGE_BYTES) {
        const trn_census_slot_t *slot = &census->slots[telling->query_slot];
        if (telling->query_row >= slot->row_count) {
            telling->query_slot++;
            telling->query_row = 0;
            continue;
        }
        const tern_stats_t *row = &slot->rows[telling->query_row];
        if (s_row_wanted (telling, row) && !trn_dirpage_add_row (&page, row)) {
            break;
        }
        telling->query_row++;
    }
    const bool last = telling->query_slot >= census->slots_used;
    telling->asked = !last;
    return trn_dirpage_end (&page, last);
}

//  Bindings that have changed since the last that were told.  One who is too
//  far behind is told nothing: its next PING shows that it differs.
static size_t
s_encode_news (trn_registry_t *self, trn_telling_t *telling)
{
    const trn_bindings_t *table = self->bound.table;
    const trn_dirframe_t frame = {.type = TRN_DIR_BINDINGS};
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
    if (trn_bindings_missed (table, telling->binding_number)) {
        telling->binding_number = trn_bindings_number (table);
    }
    uint64_t number = telling->binding_number;
    trn_binding_t binding;
    while (page.out.used < TRN_REGISTRY_PAGE_BYTES
           && trn_bindings_next_news (table, &number, &binding)
           && trn_dirpage_add_binding (&page, &binding)) {
        telling->binding_number = number;
    }
    if (page.out.used < TRN_REGISTRY_PAGE_BYTES
        && number == trn_bindings_number (table)) {
        telling->binding_number = number;
    }
    return trn_dirpage_end (&page, true);
}

static size_t
s_encode_digests (trn_registry_t *self, trn_telling_t *telling)
{
    uint8_t buckets[TRN_BINDING_BUCKETS * 8];
    for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
        trn_put_u64 (buckets + (size_t) bucket * 8,
                     trn_bindings_bucket (self->bound.table, bucket));
    }
    const trn_dirframe_t frame = {
        .type = TRN_DIR_DIGESTS,
        .digests = {.nonce = telling->compare_nonce, .buckets = buckets},
    };
    telling->compare_said = true;
    return trn_dirframe_encode (&frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
}

static size_t
s_encode_differing (trn_registry_t *self, trn_telling_t *telling)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_BINDINGS,
        .bindings
        = {.nonce = telling->compare_nonce, .page = telling->compare_page++},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
    while (telling->compare_bucket < TRN_BINDING_BUCKETS
           && page.out.used < TRN_REGISTRY_PAGE_BYTES) {
        const uint32_t bucket = telling->compare_bucket;
        trn_binding_t binding;
        if (!(telling->compare_differ[bucket / 8] & 1 << bucket % 8)
            || !trn_bindings_in_bucket (self->bound.table, bucket,
                                        telling->compare_index, &binding)) {
            telling->compare_bucket++;
            telling->compare_index = 0;
            continue;
        }
        if (!trn_dirpage_add_binding (&page, &binding)) {
            break;
        }
        telling->compare_index++;
    }
    const bool last = telling->compare_bucket == TRN_BINDING_BUCKETS;
    telling->comparing = !last;
    return trn_dirpage_end (&page, last);
}

//  The change that all watchers hear next is the same frame for all of them.
static void
s_encode_change (trn_registry_t *self, uint64_t number)
{
    if (self->change_number == number) {
        return;
    }
    trn_dirframe_t frame = {
        .type = TRN_DIR_DELTA,
        .delta = {.epoch = self->config.epoch, .number = number},
    };
    trn_census_change (&self->census, number, self->now_ms,
                       &frame.delta.removed, &frame.delta.entry);
    self->change_size = trn_dirframe_encode (&frame, self->change_bytes,
                                             TRN_DIRECTORY_FRAME_MAX);
    self->change_number = number;
}

//  Make the next frame for a route that has something to be told.
static void
s_tell (trn_registry_t *self, trn_routes_slot_t *route)
{
    trn_telling_t *telling = &route->telling;
    trn_registry_action_t *action = &self->action;
    if (telling->watch == TRN_WATCH_STREAM
        && !trn_census_has_history (&self->census, telling->number)) {
        s_start_snapshot (self, route);
    }
    self->before = *telling;
    self->telling = true;
    action->route = route->id;
    action->bytes = self->bytes;
    if (telling->watch == TRN_WATCH_STREAM
        && telling->number < self->census.number) {
        s_encode_change (self, ++telling->number);
        action->bytes = self->change_bytes;
        action->size = self->change_size;
    } else if (telling->watch == TRN_WATCH_SNAPSHOT) {
        action->size = s_encode_snapshot (self, telling);
    } else if (s_has_news (self, telling)) {
        action->size = s_encode_news (self, telling);
    } else if (telling->comparing) {
        action->size = telling->compare_said
                           ? s_encode_differing (self, telling)
                           : s_encode_digests (self, telling);
    } else {
        action->size = s_encode_stats (self, telling);
    }
    if (s_has_to_tell (self, route)) {
        trn_routes_push_ready (&self->routes, route);
    }
}

static void
s_take_report (trn_registry_t *self)
{
    const report_t *report = &self->reports[self->report_first];
    self->report_first = (self->report_first + 1) % REPORTS_MAX;
    self->report_count--;
    self->action.type = TRN_REGISTRY_REPORT;
    self->action.report.id = report->id;
    self->action.report.level = report->level;
    memcpy (self->action.report.text, report->text, sizeof report->text);
}

static void
s_take_reply (trn_registry_t *self)
{
    const reply_t *reply = &self->replies[self->reply_first];
    self->reply_first = (self->reply_first + 1) % REPLIES_MAX;
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
    while (self->reply_count < REPLIES_MAX
           && (answer = trn_bound_next_answer (&self->bound))) {
        const trn_routes_slot_t *route
            = trn_routes_find (&self->routes, answer->route);
        if (route) {
            s_reply_taken (self, route, answer);
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
        if (s_has_to_tell (self, route)) {
            s_tell (self, route);
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
