//  core/ruled.c - the messages of one queue that are not plain
//
//  Knows: how to find them.  Both maps are open addressing with linear probing
//  over numbers of entries; what a slot's key is, the entry says.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/ruled.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct trn_ruled_map s_map_t;

//  An empty table keeps the memory of so many.
#define KEPT 1024u

void
trn_ruled_clear (trn_ruled_t *self)
{
    assert (self);
    free (self->at);
    free (self->by_seq.slots);
    free (self->by_key.slots);
    free (self->times);
    *self = (trn_ruled_t) {0};
}

//  Maps ---------------------------------------------------------------------

static uint64_t
s_key (const trn_ruled_t *self, const s_map_t *map, uint32_t number)
{
    const trn_ruled_entry_t *entry = &self->at[number];
    return map == &self->by_seq ? entry->seq : entry->order;
}

static uint32_t
s_home (const s_map_t *map, uint64_t key)
{
    return (uint32_t) ((key * 0x9e3779b97f4a7c15u) >> 32) & map->mask;
}

//  The slot that has this key, or the free one where it would be.
static uint32_t
s_probe (const trn_ruled_t *self, const s_map_t *map, uint64_t key)
{
    uint32_t slot = s_home (map, key);
    while (map->slots[slot] && s_key (self, map, map->slots[slot] - 1) != key) {
        slot = (slot + 1) & map->mask;
    }
    return slot;
}

static uint32_t
s_get (const trn_ruled_t *self, const s_map_t *map, uint64_t key)
{
    const uint32_t found
        = map->count ? map->slots[s_probe (self, map, key)] : 0;
    return found ? found - 1 : TRN_RULED_NONE;
}

static void
s_grow (const trn_ruled_t *self, s_map_t *map)
{
    const s_map_t old = *map;
    const uint32_t size = old.slots ? (old.mask + 1) * 2 : 16;
    map->slots = trn_alloc (size * sizeof *map->slots);
    map->mask = size - 1;
    for (uint32_t slot = 0; old.slots && slot <= old.mask; slot++) {
        if (old.slots[slot]) {
            const uint64_t key = s_key (self, map, old.slots[slot] - 1);
            map->slots[s_probe (self, map, key)] = old.slots[slot];
        }
    }
    free (old.slots);
}

//  Enter it, or put it in the place of the one that has its key.
static void
s_put (const trn_ruled_t *self, s_map_t *map, uint32_t number)
{
    if (!map->slots || map->count >= (map->mask + 1) / 4 * 3) {
        s_grow (self, map);
    }
    assert (map->slots);
    const uint32_t slot = s_probe (self, map, s_key (self, map, number));
    map->count += !map->slots[slot];
    map->slots[slot] = number + 1;
}

static void
s_drop (const trn_ruled_t *self, s_map_t *map, uint64_t key)
{
    uint32_t hole = s_probe (self, map, key);
    assert (map->slots[hole]);
    map->slots[hole] = 0;
    map->count--;
    //  Those behind move up if the hole is between them and their home.
    for (uint32_t slot = (hole + 1) & map->mask; map->slots[slot];
         slot = (slot + 1) & map->mask) {
        const uint32_t home
            = s_home (map, s_key (self, map, map->slots[slot] - 1));
        if (((slot - home) & map->mask) >= ((slot - hole) & map->mask)) {
            map->slots[hole] = map->slots[slot];
            map->slots[slot] = 0;
            hole = slot;
        }
    }
}

//  Times --------------------------------------------------------------------

static uint64_t
s_time (const trn_ruled_t *self, uint32_t number)
{
    const trn_ruled_entry_t *entry = &self->at[number];
    const uint64_t due_ms = entry->due_ms;
    const uint64_t expires_ms = entry->expires_ms;
    return due_ms && (due_ms < expires_ms || !expires_ms) ? due_ms : expires_ms;
}

static void
s_set_place (trn_ruled_t *self, uint32_t place, uint32_t number)
{
    self->times[place] = number;
    self->at[number].place = place;
}

static void
s_sift (trn_ruled_t *self, uint32_t place)
{
    const uint32_t number = self->times[place];
    const uint64_t time = s_time (self, number);
    while (place && time < s_time (self, self->times[(place - 1) / 2])) {
        s_set_place (self, place, self->times[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = place * 2 + 1;
        if (child + 1 < self->time_count
            && s_time (self, self->times[child + 1])
                   < s_time (self, self->times[child])) {
            child++;
        }
        if (child >= self->time_count
            || s_time (self, self->times[child]) >= time) {
            break;
        }
        s_set_place (self, place, self->times[child]);
        place = child;
    }
    s_set_place (self, place, number);
}

void
trn_ruled_set_time (trn_ruled_t *self, uint32_t number, bool waits)
{
    assert (self && number < self->used);
    trn_ruled_entry_t *entry = &self->at[number];
    if (waits && s_time (self, number)) {
        if (entry->place == TRN_RULED_NONE) {
            if (self->time_count == self->time_capacity) {
                self->time_capacity
                    = self->time_capacity ? self->time_capacity * 2 : 16;
                self->times = trn_realloc (
                    self->times, self->time_capacity * sizeof *self->times);
            }
            entry->place = self->time_count++;
            self->times[entry->place] = number;
        }
        s_sift (self, entry->place);
        return;
    }
    const uint32_t place = entry->place;
    if (place != TRN_RULED_NONE) {
        entry->place = TRN_RULED_NONE;
        const uint32_t last = self->times[--self->time_count];
        if (place < self->time_count) {
            s_set_place (self, place, last);
            s_sift (self, place);
        }
    }
}

void
trn_ruled_set_due (trn_ruled_t *self, uint32_t number)
{
    assert (self && number < self->used);
    self->delayed -= self->at[number].due_ms ? 1 : 0;
    self->at[number].due_ms = 0;
    trn_ruled_set_time (self, number, self->at[number].expires_ms != 0);
}

uint32_t
trn_ruled_earliest (const trn_ruled_t *self, uint64_t *wall_ms_p)
{
    assert (self && wall_ms_p);
    if (!self->time_count) {
        return TRN_RULED_NONE;
    }
    *wall_ms_p = s_time (self, self->times[0]);
    return self->times[0];
}

//  Entries ------------------------------------------------------------------

static uint32_t
s_take_entry (trn_ruled_t *self)
{
    if (self->free) {
        const uint32_t number = self->free - 1;
        self->free = self->at[number].next;
        return number;
    }
    if (self->used == self->capacity) {
        self->capacity
            = self->capacity ? self->capacity + self->capacity / 2 : 16;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    return self->used++;
}

uint32_t
trn_ruled_add (trn_ruled_t *self, const trn_ruled_entry_t *entry)
{
    assert (self && entry && entry->priority < TRN_PRIORITIES);
    const uint32_t number = s_take_entry (self);
    trn_ruled_entry_t *added = &self->at[number];
    *added = *entry;
    added->next = added->before = number;
    added->place = TRN_RULED_NONE;
    self->count++;
    self->delayed += added->due_ms ? 1 : 0;
    s_put (self, &self->by_seq, number);
    if (entry->order) {
        const uint32_t first = s_get (self, &self->by_key, entry->order);
        if (first == TRN_RULED_NONE) {
            s_put (self, &self->by_key, number);
        } else {
            const uint32_t last = self->at[first].before;
            added->before = last;
            added->next = first;
            self->at[last].next = number;
            self->at[first].before = number;
        }
    }
    return number;
}

uint32_t
trn_ruled_find (const trn_ruled_t *self, uint64_t seq)
{
    assert (self);
    return s_get (self, &self->by_seq, seq);
}

bool
trn_ruled_is_first (const trn_ruled_t *self, uint32_t number)
{
    assert (self && number < self->used);
    const uint32_t order = self->at[number].order;
    return !order || s_get (self, &self->by_key, order) == number;
}

//  Take it out of the ring of its key.
static uint32_t
s_leave_key (trn_ruled_t *self, uint32_t number)
{
    const trn_ruled_entry_t entry = self->at[number];
    const bool first = trn_ruled_is_first (self, number);
    if (entry.next == number) {
        s_drop (self, &self->by_key, entry.order);
        return TRN_RULED_NONE;
    }
    self->at[entry.before].next = entry.next;
    self->at[entry.next].before = entry.before;
    if (!first) {
        return TRN_RULED_NONE;
    }
    s_put (self, &self->by_key, entry.next);
    return entry.next;
}

uint32_t
trn_ruled_remove (trn_ruled_t *self, uint32_t number)
{
    assert (self && number < self->used);
    trn_ruled_set_time (self, number, false);
    uint32_t first = TRN_RULED_NONE;
    if (self->at[number].order) {
        first = s_leave_key (self, number);
    }
    self->delayed -= self->at[number].due_ms ? 1 : 0;
    s_drop (self, &self->by_seq, self->at[number].seq);
    self->at[number] = (trn_ruled_entry_t) {.next = self->free};
    self->free = number + 1;
    if (!--self->count && self->capacity > KEPT) {
        trn_ruled_clear (self);
    }
    return first;
}
