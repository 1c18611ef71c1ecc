//  core/table.c - find a thing by its number
//
//  Invariant: from the home slot of a key to where it lies, no slot is free; so
//  removing closes the hole by moving later ones back, and leaves no marks.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/table.h"

#include "base/memory.h"
#include "core/rng.h"

#include <assert.h>
#include <stdlib.h>

void
trn_table_clear (trn_table_t *self)
{
    assert (self);
    free (self->slots);
    *self = (trn_table_t) {0};
}

static size_t
s_home (const trn_table_t *self, uint64_t key)
{
    trn_rng_t mixer = {key};
    return (size_t) trn_rng_next (&mixer) & (self->capacity - 1);
}

//  The slot of the key, or the free one where it would go.
static size_t
s_slot (const trn_table_t *self, uint64_t key)
{
    size_t index = s_home (self, key);
    while (self->slots[index].value && self->slots[index].key != key) {
        index = (index + 1) & (self->capacity - 1);
    }
    return index;
}

void *
trn_table_get (const trn_table_t *self, uint64_t key)
{
    assert (self);
    return self->count ? self->slots[s_slot (self, key)].value : NULL;
}

static void
s_grow (trn_table_t *self)
{
    trn_table_t grown = {0};
    grown.capacity = self->capacity ? self->capacity * 2 : 16;
    grown.slots = trn_alloc (grown.capacity * sizeof *grown.slots);
    grown.count = self->count;
    for (size_t index = 0; index < self->capacity; index++) {
        const trn_table_slot_t slot = self->slots[index];
        if (slot.value) {
            grown.slots[s_slot (&grown, slot.key)] = slot;
        }
    }
    free (self->slots);
    *self = grown;
}

void
trn_table_put (trn_table_t *self, uint64_t key, void *value)
{
    assert (self && value);
    if (self->count * 4 >= self->capacity * 3) {
        s_grow (self);
    }
    trn_table_slot_t *slot = &self->slots[s_slot (self, key)];
    self->count += slot->value ? 0 : 1;
    *slot = (trn_table_slot_t) {key, value};
}

void
trn_table_remove (trn_table_t *self, uint64_t key)
{
    assert (self);
    if (!self->count) {
        return;
    }
    size_t hole = s_slot (self, key);
    if (!self->slots[hole].value) {
        return;
    }
    const size_t mask = self->capacity - 1;
    self->count--;
    for (size_t at = (hole + 1) & mask; self->slots[at].value;
         at = (at + 1) & mask) {
        //  It may move back unless its home lies between the hole and it.
        const size_t home = s_home (self, self->slots[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            self->slots[hole] = self->slots[at];
            hole = at;
        }
    }
    self->slots[hole].value = NULL;
}
