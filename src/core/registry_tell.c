//  core/registry_tell.c - who is told what next
//
//  Knows: how far each route has been told (trn_telling_t), and what comes next
//  for it.  Frames are made when they are asked for, one at a time, so nothing
//  queues up here.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/registry_inside.h"

#include "base/bytes.h"

#include <string.h>

//  Watchers --------------------------------------------------------------

//  Has a binding changed that it was not told?
static bool
s_has_news (const trn_registry_t *self, const trn_telling_t *telling)
{
    return telling->watch == TRN_WATCH_STREAM
           && telling->binding_number < trn_bindings_number (self->bound.table);
}

bool
trn_registry_has_to_tell (const trn_registry_t *self,
                          const trn_routes_slot_t *route)
{
    const trn_telling_t *telling = &route->telling;
    return telling->asked || telling->comparing
           || telling->watch == TRN_WATCH_SNAPSHOT
           || (telling->watch == TRN_WATCH_STREAM
               && telling->number < self->census.number)
           || s_has_news (self, telling);
}

void
trn_registry_wake (trn_registry_t *self)
{
    for (trn_routes_slot_t *route = trn_routes_next (&self->routes, NULL);
         route; route = trn_routes_next (&self->routes, route)) {
        if (route->telling.watch == TRN_WATCH_STREAM) {
            trn_routes_push_ready (&self->routes, route);
        }
    }
}

void
trn_registry_start_snapshot (trn_registry_t *self, trn_routes_slot_t *route)
{
    route->telling.watch = TRN_WATCH_SNAPSHOT;
    route->telling.watch_slot = 0;
    route->telling.watch_page = 0;
    route->telling.number = self->census.number;
    trn_routes_push_ready (&self->routes, route);
}

void
trn_registry_start_stream (trn_registry_t *self, trn_routes_slot_t *route,
                           uint64_t number)
{
    route->telling.watch = TRN_WATCH_STREAM;
    route->telling.number = number;
    if (trn_registry_has_to_tell (self, route)) {
        trn_routes_push_ready (&self->routes, route);
    }
}

//  Frames ----------------------------------------------------------------

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

void
trn_registry_tell (trn_registry_t *self, trn_routes_slot_t *route)
{
    trn_telling_t *telling = &route->telling;
    trn_registry_action_t *action = &self->action;
    if (telling->watch == TRN_WATCH_STREAM
        && !trn_census_has_history (&self->census, telling->number)) {
        trn_registry_start_snapshot (self, route);
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
    if (trn_registry_has_to_tell (self, route)) {
        trn_routes_push_ready (&self->routes, route);
    }
}
