//  core/routes.c - slots of connections, by id, by age, and by readiness
//
//  Invariants: every used slot is in the index and in the list by age; a slot
//  is in the ready queue if and only if its flag says so; a blocked slot is not
//  ready.  Nothing here allocates after the start.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/routes.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#define BLOCKED_MIN_MS 10
#define BLOCKED_MAX_MS 1000

bool
trn_allowance_take (trn_allowance_t *self, int64_t now_ms, int64_t cost_us,
                    int64_t burst_us)
{
    const int64_t now_us = now_ms * 1000;
    const int64_t from_us = *self > now_us ? *self : now_us;
    if (from_us + cost_us - now_us > burst_us) {
        return false;
    }
    *self = from_us + cost_us;
    return true;
}

void
trn_routes_init (trn_routes_t *self, uint32_t slots_max, uint64_t seed)
{
    assert (self && slots_max);
    *self = (trn_routes_t) {
        .slots = trn_alloc (slots_max * sizeof *self->slots),
        .slots_max = slots_max,
        .free_head = TRN_INDEX_NONE,
        .newest = TRN_INDEX_NONE,
        .oldest = TRN_INDEX_NONE,
        .ready_head = TRN_INDEX_NONE,
        .ready_tail = TRN_INDEX_NONE,
        .next_unblock_ms = INT64_MAX,
        .seed = seed,
    };
    trn_index_init (&self->index, slots_max);
}

void
trn_routes_clear (trn_routes_t *self)
{
    free (self->slots);
    trn_index_clear (&self->index);
    *self = (trn_routes_t) {0};
}

static trn_routes_slot_t *
s_at (trn_routes_t *self, uint32_t slot)
{
    return slot == TRN_INDEX_NONE ? NULL : &self->slots[slot];
}

static uint32_t
s_number (const trn_routes_t *self, const trn_routes_slot_t *slot)
{
    return (uint32_t) (slot - self->slots);
}

static uint64_t
s_hash (const trn_routes_t *self, uint64_t id)
{
    return XXH3_64bits_withSeed (&id, sizeof id, self->seed);
}

trn_routes_slot_t *
trn_routes_find (trn_routes_t *self, uint64_t id)
{
    for (uint32_t slot = trn_index_first (&self->index, s_hash (self, id));
         slot != TRN_INDEX_NONE; slot = trn_index_next (&self->index, slot)) {
        if (self->slots[slot].id == id) {
            return &self->slots[slot];
        }
    }
    return NULL;
}

//  The list by age.

static void
s_link_newest (trn_routes_t *self, trn_routes_slot_t *slot)
{
    const uint32_t number = s_number (self, slot);
    slot->newer = TRN_INDEX_NONE;
    slot->older = self->newest;
    if (self->newest != TRN_INDEX_NONE) {
        self->slots[self->newest].newer = number;
    } else {
        self->oldest = number;
    }
    self->newest = number;
}

static void
s_unlink (trn_routes_t *self, const trn_routes_slot_t *slot)
{
    if (slot->newer != TRN_INDEX_NONE) {
        self->slots[slot->newer].older = slot->older;
    } else {
        self->newest = slot->older;
    }
    if (slot->older != TRN_INDEX_NONE) {
        self->slots[slot->older].newer = slot->newer;
    } else {
        self->oldest = slot->newer;
    }
}

static trn_routes_slot_t *
s_take_slot (trn_routes_t *self)
{
    if (self->free_head == TRN_INDEX_NONE
        && self->slots_used == self->slots_max) {
        trn_routes_remove (self, s_at (self, self->oldest));
    }
    if (self->free_head == TRN_INDEX_NONE) {
        return &self->slots[self->slots_used++];
    }
    trn_routes_slot_t *slot = &self->slots[self->free_head];
    self->free_head = slot->newer;
    return slot;
}

trn_routes_slot_t *
trn_routes_hear (trn_routes_t *self, uint64_t id, int64_t now_ms)
{
    trn_routes_slot_t *slot = trn_routes_find (self, id);
    if (slot) {
        s_unlink (self, slot);
    } else {
        slot = s_take_slot (self);
        *slot = (trn_routes_slot_t) {.id = id, .used = true};
        trn_index_add (&self->index, s_hash (self, id), s_number (self, slot));
        self->count++;
    }
    slot->heard_at_ms = now_ms;
    s_link_newest (self, slot);
    return slot;
}

//  Take a slot out of the middle of the ready queue.  Rare: a route that goes
//  while something was to be told to it.
static void
s_unready (trn_routes_t *self, trn_routes_slot_t *slot)
{
    const uint32_t number = s_number (self, slot);
    uint32_t before = TRN_INDEX_NONE;
    uint32_t at = self->ready_head;
    while (at != number) {
        before = at;
        at = self->slots[at].next_ready;
    }
    if (before == TRN_INDEX_NONE) {
        self->ready_head = slot->next_ready;
    } else {
        self->slots[before].next_ready = slot->next_ready;
    }
    if (self->ready_tail == number) {
        self->ready_tail = before;
    }
    slot->ready = false;
}

void
trn_routes_remove (trn_routes_t *self, trn_routes_slot_t *slot)
{
    assert (slot && slot->used);
    if (slot->ready) {
        s_unready (self, slot);
    }
    if (slot->blocked_until_ms) {
        self->blocked--;
    }
    s_unlink (self, slot);
    trn_index_remove (&self->index, s_number (self, slot));
    *slot = (trn_routes_slot_t) {.newer = self->free_head};
    self->free_head = s_number (self, slot);
    self->count--;
}

trn_routes_slot_t *
trn_routes_silent (trn_routes_t *self, int64_t since_ms)
{
    trn_routes_slot_t *slot = s_at (self, self->oldest);
    return slot && slot->heard_at_ms <= since_ms ? slot : NULL;
}

void
trn_routes_push_ready (trn_routes_t *self, trn_routes_slot_t *slot)
{
    if (slot->ready || slot->blocked_until_ms) {
        return;
    }
    const uint32_t number = s_number (self, slot);
    slot->ready = true;
    slot->next_ready = TRN_INDEX_NONE;
    if (self->ready_tail == TRN_INDEX_NONE) {
        self->ready_head = number;
    } else {
        self->slots[self->ready_tail].next_ready = number;
    }
    self->ready_tail = number;
}

trn_routes_slot_t *
trn_routes_pop_ready (trn_routes_t *self)
{
    trn_routes_slot_t *slot = s_at (self, self->ready_head);
    if (slot) {
        self->ready_head = slot->next_ready;
        if (self->ready_head == TRN_INDEX_NONE) {
            self->ready_tail = TRN_INDEX_NONE;
        }
        slot->ready = false;
    }
    return slot;
}

void
trn_routes_block (trn_routes_t *self, trn_routes_slot_t *slot, int64_t now_ms)
{
    if (slot->ready) {
        s_unready (self, slot);
    }
    if (!slot->blocked_until_ms) {
        self->blocked++;
    }
    int64_t wait_ms = slot->blocked_wait_ms * 2;
    wait_ms = wait_ms < BLOCKED_MIN_MS ? BLOCKED_MIN_MS : wait_ms;
    wait_ms = wait_ms > BLOCKED_MAX_MS ? BLOCKED_MAX_MS : wait_ms;
    slot->blocked_wait_ms = wait_ms;
    slot->blocked_until_ms = now_ms + wait_ms;
    if (slot->blocked_until_ms < self->next_unblock_ms) {
        self->next_unblock_ms = slot->blocked_until_ms;
    }
}

void
trn_routes_flowing (trn_routes_slot_t *slot)
{
    slot->blocked_wait_ms = 0;
}

void
trn_routes_unblock (trn_routes_t *self, int64_t now_ms)
{
    if (now_ms < self->next_unblock_ms) {
        return;
    }
    self->next_unblock_ms = INT64_MAX;
    for (trn_routes_slot_t *slot = trn_routes_next (self, NULL);
         slot && self->blocked; slot = trn_routes_next (self, slot)) {
        if (!slot->blocked_until_ms) {
            continue;
        }
        if (slot->blocked_until_ms <= now_ms) {
            slot->blocked_until_ms = 0;
            self->blocked--;
            trn_routes_push_ready (self, slot);
        } else if (slot->blocked_until_ms < self->next_unblock_ms) {
            self->next_unblock_ms = slot->blocked_until_ms;
        }
    }
}

uint32_t
trn_routes_watchers (const trn_routes_t *self)
{
    uint32_t count = 0;
    for (uint32_t slot = self->newest; slot != TRN_INDEX_NONE;
         slot = self->slots[slot].older) {
        count += self->slots[slot].telling.watch != TRN_WATCH_NONE;
    }
    return count;
}

trn_routes_slot_t *
trn_routes_next (trn_routes_t *self, const trn_routes_slot_t *slot)
{
    return s_at (self, slot ? slot->older : self->newest);
}
