//  core/index.c - chains of slot numbers, twice as many heads as slots
//
//  Invariant: a slot is in the chain of its hash, and in no other.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/index.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

void
trn_index_init (trn_index_t *self, uint32_t slots)
{
    assert (self && slots && slots <= 1u << 24);
    uint32_t heads = 16;
    while (heads < 2 * slots) {
        heads *= 2;
    }
    self->mask = heads - 1;
    self->heads = trn_alloc (heads * sizeof *self->heads);
    self->nexts = trn_alloc (slots * sizeof *self->nexts);
    self->hashes = trn_alloc (slots * sizeof *self->hashes);
    for (uint32_t index = 0; index < heads; index++) {
        self->heads[index] = TRN_INDEX_NONE;
    }
}

void
trn_index_clear (trn_index_t *self)
{
    free (self->heads);
    free (self->nexts);
    free (self->hashes);
    *self = (trn_index_t) {0};
}

void
trn_index_add (trn_index_t *self, uint64_t hash, uint32_t slot)
{
    uint32_t *head = &self->heads[hash & self->mask];
    self->hashes[slot] = hash;
    self->nexts[slot] = *head;
    *head = slot;
}

void
trn_index_remove (trn_index_t *self, uint32_t slot)
{
    uint32_t *at = &self->heads[self->hashes[slot] & self->mask];
    while (*at != slot) {
        assert (*at != TRN_INDEX_NONE);
        at = &self->nexts[*at];
    }
    *at = self->nexts[slot];
}

static uint32_t
s_same_hash (const trn_index_t *self, uint64_t hash, uint32_t slot)
{
    while (slot != TRN_INDEX_NONE && self->hashes[slot] != hash) {
        slot = self->nexts[slot];
    }
    return slot;
}

uint32_t
trn_index_first (const trn_index_t *self, uint64_t hash)
{
    return s_same_hash (self, hash, self->heads[hash & self->mask]);
}

uint32_t
trn_index_next (const trn_index_t *self, uint32_t slot)
{
    return s_same_hash (self, self->hashes[slot], self->nexts[slot]);
}
