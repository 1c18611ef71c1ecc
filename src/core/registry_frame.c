//  core/registry_frame.c - what a frame is answered with
//
//  Knows: who may take a name, for how long, and which frame of a stranger is
//  one too many.  Replies wait in a ring, one per frame in.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/registry_inside.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

//  Of the protocol between peers and directories.
#define VERSION 1

#define DEAF_MS (60 * 1000)

//  Replies ---------------------------------------------------------------

//  Make room for one reply to a route.
static trn_dirframe_t *
s_reply (trn_registry_t *self, const trn_routes_slot_t *route,
         trn_dirframe_type_t type)
{
    //  The shell drains after every event, so there is always room; if it did
    //  not, the oldest reply goes and its peer asks again.
    if (self->reply_count == TRN_REGISTRY_REPLIES) {
        self->reply_first = (self->reply_first + 1) % TRN_REGISTRY_REPLIES;
        self->reply_count--;
    }
    trn_registry_reply_t *reply
        = &self->replies[(self->reply_first + self->reply_count++)
                         % TRN_REGISTRY_REPLIES];
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

void
trn_registry_count_refusal (trn_registry_t *self, trn_routes_slot_t *route)
{
    const int64_t cost_us = 60 * 1000000LL / self->config.refusals_per_min;
    if (!trn_allowance_take (&route->refusals, self->now_ms, cost_us,
                             60 * 1000000LL)) {
        route->deaf_until_ms = self->now_ms + DEAF_MS;
        route->refusals = 0;
        trn_registry_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-IGNORED",
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

//  Peers -----------------------------------------------------------------

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
        trn_registry_report (self, TERN_LOG_WARNING,
                             "TERN-DIRECTORY-NAME-TAKEN", "peer=%s",
                             member->name);
        return false;
    }
    if (entry->incarnation < member->incarnation) {
        s_reply_refused (self, route, TRN_DIR_FENCED,
                         "a newer incarnation is registered");
        trn_registry_report (
            self, TERN_LOG_WARNING, "TERN-DIRECTORY-FENCED",
            "peer=%s incarnation=%" PRIu64 " registered=%" PRIu64, member->name,
            entry->incarnation, member->incarnation);
        return false;
    }
    if (entry->incarnation == member->incarnation
        && entry->random != member->random) {
        s_reply_refused (self, route, TRN_DIR_FENCED,
                         "a copy of this store is registered");
        trn_registry_report (self, TERN_LOG_ERROR, "TERN-DIRECTORY-CLONE",
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
        trn_registry_count_refusal (self, route);
        return;
    }
    trn_census_slot_t *slot = trn_census_find (&self->census, entry->name);
    if (slot && !s_may_replace (self, route, slot, entry)) {
        trn_registry_count_refusal (self, route);
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
            trn_registry_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-FULL",
                                 "peers=%" PRIu32, self->census.count);
            trn_registry_count_refusal (self, route);
            return;
        }
        if (reborn) {
            trn_census_drop_rows (&self->census, slot);
        }
        if (fresh || reborn) {
            trn_registry_report (self, TERN_LOG_INFO,
                                 "TERN-DIRECTORY-REGISTERED",
                                 "peer=%s incarnation=%" PRIu64,
                                 slot->member->name, slot->member->incarnation);
        }
        trn_registry_wake (self);
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
    trn_registry_report (self, TERN_LOG_INFO, "TERN-DIRECTORY-GOODBYE",
                         "peer=%s", slot->member->name);
    trn_census_remove (&self->census, slot);
    self->stats.goodbyes++;
    trn_registry_wake (self);
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
        trn_registry_count_refusal (self, route);
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
        trn_registry_start_stream (self, route, frame->watch.number);
        s_reply_pong (self, route, 0);
        return;
    }
    trn_registry_start_snapshot (self, route);
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

void
trn_registry_reply_taken (trn_registry_t *self, const trn_routes_slot_t *route,
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
        trn_registry_count_refusal (self, route);
        return;
    }
    trn_bound_answer_t answer = {.route = route->id};
    bool news;
    const uint32_t refused
        = trn_bound_take (&self->bound, frame, &answer, &news);
    if (refused) {
        trn_registry_report (
            self, TERN_LOG_WARNING, "TERN-DIRECTORY-NOT-BOUND",
            "route=%" PRIx64 " refused=%" PRIu32 " bindings=%zu", route->id,
            refused, trn_bindings_count (self->bound.table));
    }
    if (news) {
        trn_registry_wake (self);
    }
    if (asked && !trn_bound_wait (&self->bound, &answer)) {
        trn_registry_reply_taken (self, route, &answer);
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

void
trn_registry_answer (trn_registry_t *self, trn_routes_slot_t *route,
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
        trn_registry_count_refusal (self, route);
        break;
    }
}
