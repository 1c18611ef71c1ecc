//  core/census.c - peers by name, under leases, with a history of changes
//
//  Slots keep their place while they are used, so that a snapshot can be told
//  slot by slot while others come and go: what moves behind its back has a
//  number after the snapshot's, and is told as a change.
//
//  The history holds whom a change was about, not what it was.  A watcher is
//  told what is so now: if that peer changed again, the later change tells the
//  same once more, and both ends agree at the last number.
//
//  next_expiry_ms is a lower bound.  Renewing only moves leases back, so the
//  bound stays true without being touched; it is found anew when it is reached.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/census.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void
trn_census_init (trn_census_t *self, uint32_t slots_max, uint32_t history_max,
                 size_t memory_max, uint64_t seed)
{
    assert (self && slots_max && history_max);
    *self = (trn_census_t) {
        .slots = trn_alloc (slots_max * sizeof *self->slots),
        .slots_max = slots_max,
        .free_slots = trn_alloc (slots_max * sizeof *self->free_slots),
        .seed = seed,
        .history = trn_alloc (history_max * sizeof *self->history),
        .history_max = history_max,
        .next_expiry_ms = INT64_MAX,
        .memory_max = memory_max,
    };
    trn_index_init (&self->index, slots_max);
}

void
trn_census_clear (trn_census_t *self)
{
    for (uint32_t slot = 0; slot < self->slots_used; slot++) {
        free (self->slots[slot].member);
        free (self->slots[slot].rows);
    }
    free (self->slots);
    free (self->free_slots);
    free (self->history);
    trn_index_clear (&self->index);
    *self = (trn_census_t) {0};
}

static uint64_t
s_hash (const trn_census_t *self, trn_text_t name)
{
    return XXH3_64bits_withSeed (name.at, name.size, self->seed);
}

trn_census_slot_t *
trn_census_find (trn_census_t *self, trn_text_t name)
{
    for (uint32_t slot = trn_index_first (&self->index, s_hash (self, name));
         slot != TRN_INDEX_NONE; slot = trn_index_next (&self->index, slot)) {
        if (trn_text_is (name, self->slots[slot].member->name)) {
            return &self->slots[slot];
        }
    }
    return NULL;
}

//  The peer of this member has changed, or goes.
static void
s_note_change (trn_census_t *self, const trn_member_t *member)
{
    self->number++;
    trn_census_change_t *change
        = &self->history[self->number % self->history_max];
    const size_t size = strlen (member->name);
    assert (size <= TRN_NAME_MAX);
    memcpy (change->name, member->name, size + 1);
    memcpy (change->store_uuid, member->store_uuid, sizeof change->store_uuid);
    change->incarnation = member->incarnation;
    change->random = member->random;
    change->version = member->version;
}

static trn_census_slot_t *
s_take_slot (trn_census_t *self)
{
    if (self->free_count) {
        return &self->slots[self->free_slots[--self->free_count]];
    }
    if (self->slots_used < self->slots_max) {
        return &self->slots[self->slots_used++];
    }
    return NULL;
}

trn_census_slot_t *
trn_census_put (trn_census_t *self, trn_census_slot_t *slot,
                const trn_entry_t *entry)
{
    trn_member_t *member = trn_member_new (entry);
    const size_t before = slot ? slot->member->bytes : 0;
    if (self->memory - before + member->bytes > self->memory_max) {
        free (member);
        return NULL;
    }
    if (slot) {
        free (slot->member);
    } else {
        slot = s_take_slot (self);
        if (!slot) {
            free (member);
            return NULL;
        }
        trn_index_add (&self->index, s_hash (self, entry->name),
                       (uint32_t) (slot - self->slots));
        self->count++;
    }
    self->memory += member->bytes - before;
    slot->member = member;
    s_note_change (self, member);
    return slot;
}

void
trn_census_remove (trn_census_t *self, trn_census_slot_t *slot)
{
    assert (slot && slot->member);
    const uint32_t number = (uint32_t) (slot - self->slots);
    s_note_change (self, slot->member);
    trn_census_drop_rows (self, slot);
    self->memory -= slot->member->bytes;
    trn_index_remove (&self->index, number);
    free (slot->member);
    *slot = (trn_census_slot_t) {0};
    self->free_slots[self->free_count++] = number;
    self->count--;
}

void
trn_census_renew (trn_census_t *self, trn_census_slot_t *slot, int64_t now_ms)
{
    slot->heard_at_ms = now_ms;
    slot->expires_at_ms = now_ms + slot->lease_ms;
    if (slot->expires_at_ms < self->next_expiry_ms) {
        self->next_expiry_ms = slot->expires_at_ms;
    }
}

trn_census_slot_t *
trn_census_expired (trn_census_t *self, int64_t now_ms)
{
    if (now_ms < self->next_expiry_ms) {
        return NULL;
    }
    int64_t next = INT64_MAX;
    for (uint32_t slot = 0; slot < self->slots_used; slot++) {
        trn_census_slot_t *at = &self->slots[slot];
        if (!at->member) {
            continue;
        }
        if (at->expires_at_ms <= now_ms) {
            return at;
        }
        if (at->expires_at_ms < next) {
            next = at->expires_at_ms;
        }
    }
    self->next_expiry_ms = next;
    return NULL;
}

void
trn_census_forgive (trn_census_t *self, int64_t missed_ms)
{
    for (uint32_t slot = 0; slot < self->slots_used; slot++) {
        self->slots[slot].expires_at_ms += missed_ms;
    }
    if (self->next_expiry_ms != INT64_MAX) {
        self->next_expiry_ms += missed_ms;
    }
}

bool
trn_census_add_row (trn_census_t *self, trn_census_slot_t *slot,
                    const tern_stats_t *row, size_t rows_max)
{
    if (slot->row_count >= rows_max) {
        return false;
    }
    if (slot->row_count == slot->row_capacity) {
        const size_t capacity = slot->row_capacity ? 2 * slot->row_capacity : 4;
        const size_t more = (capacity - slot->row_capacity) * sizeof *row;
        if (self->memory + more > self->memory_max) {
            return false;
        }
        self->memory += more;
        slot->rows = trn_realloc (slot->rows, capacity * sizeof *row);
        slot->row_capacity = capacity;
    }
    slot->rows[slot->row_count++] = *row;
    return true;
}

void
trn_census_drop_rows (trn_census_t *self, trn_census_slot_t *slot)
{
    self->memory -= slot->row_capacity * sizeof *slot->rows;
    free (slot->rows);
    slot->rows = NULL;
    slot->row_count = 0;
    slot->row_capacity = 0;
}

bool
trn_census_has_history (const trn_census_t *self, uint64_t number)
{
    return number <= self->number && self->number - number <= self->history_max;
}

void
trn_census_change (trn_census_t *self, uint64_t number, int64_t now_ms,
                   bool *removed_p, trn_entry_t *entry)
{
    assert (number && trn_census_has_history (self, number - 1));
    const trn_census_change_t *change
        = &self->history[number % self->history_max];
    const trn_census_slot_t *slot
        = trn_census_find (self, trn_text (change->name));
    *removed_p = !slot;
    if (slot) {
        trn_member_entry (slot->member, (uint64_t) (now_ms - slot->heard_at_ms),
                          entry);
        return;
    }
    *entry = (trn_entry_t) {
        .name = trn_text (change->name),
        .incarnation = change->incarnation,
        .random = change->random,
        .version = change->version,
    };
    memcpy (entry->store_uuid, change->store_uuid, sizeof entry->store_uuid);
}
