//  core/hand.c - what is in hand of one stream: runs of seqs, in order
//
//  Hides: the blocks.  A full block splits when a run comes into it; one that
//  comes behind all others starts a new block, so blocks are full where all is
//  in order.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/hand.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 63  //  with the count, 2 KiB
};

struct trn_hand_block {
    size_t count;
    trn_hand_t at[BLOCK];
};

void
trn_hands_clear (trn_hands_t *self)
{
    assert (self);
    for (size_t index = 0; index < self->block_count; index++) {
        free (self->block[index]);
    }
    free (self->block);
    *self = (trn_hands_t) {0};
}

static uint64_t
s_last (const trn_hand_block_t *block)
{
    return block->at[block->count - 1].to;
}

//  Index of the first block that ends at or after seq.
static size_t
s_find_block (const trn_hands_t *self, uint64_t seq)
{
    size_t low = 0;
    size_t high = self->block_count;
    if (high && s_last (self->block[0]) >= seq) {
        return 0;
    }
    if (high && s_last (self->block[high - 1]) < seq) {
        return high;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s_last (self->block[middle]) < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

//  Index of the first run of a block that ends at or after seq.
static size_t
s_find_index (const trn_hand_block_t *block, uint64_t seq)
{
    size_t low = 0;
    size_t high = block->count;
    if (block->at[0].to >= seq) {
        return 0;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (block->at[middle].to < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

trn_hand_t *
trn_hands_find (const trn_hands_t *self, uint64_t seq, trn_hand_at_t *at_p)
{
    assert (self && at_p);
    at_p->block = s_find_block (self, seq);
    if (at_p->block == self->block_count) {
        return NULL;
    }
    trn_hand_block_t *block = self->block[at_p->block];
    at_p->index = s_find_index (block, seq);
    return &block->at[at_p->index];
}

trn_hand_t *
trn_hands_next (const trn_hands_t *self, trn_hand_at_t *at_p)
{
    assert (self && at_p && at_p->block < self->block_count);
    if (++at_p->index == self->block[at_p->block]->count) {
        at_p->block++;
        at_p->index = 0;
    }
    return at_p->block < self->block_count
               ? &self->block[at_p->block]->at[at_p->index]
               : NULL;
}

//  A new block with the given runs.
static void
s_insert_block (trn_hands_t *self, size_t index, const trn_hand_t *from,
                size_t count)
{
    if (self->block_count == self->block_capacity) {
        self->block_capacity
            = self->block_capacity ? self->block_capacity * 2 : 4;
        self->block = trn_realloc (self->block,
                                   self->block_capacity * sizeof *self->block);
    }
    memmove (self->block + index + 1, self->block + index,
             (self->block_count - index) * sizeof *self->block);
    trn_hand_block_t *block = trn_realloc (NULL, sizeof *block);
    block->count = count;
    memcpy (block->at, from, count * sizeof *from);
    self->block[index] = block;
    self->block_count++;
}

void
trn_hands_add (trn_hands_t *self, const trn_hand_t *hand)
{
    assert (self && hand && hand->from <= hand->to);
    self->count++;
    size_t index = s_find_block (self, hand->from);
    if (index == self->block_count) {
        if (index == 0 || self->block[index - 1]->count == BLOCK) {
            s_insert_block (self, index, hand, 1);
            return;
        }
        index--;
    }
    trn_hand_block_t *block = self->block[index];
    if (block->count == BLOCK) {
        const size_t half = BLOCK / 2;
        s_insert_block (self, index + 1, block->at + half, BLOCK - half);
        block->count = half;
        block = hand->from > s_last (block) ? self->block[index + 1] : block;
    }
    const size_t at = s_find_index (block, hand->from);
    assert (at == block->count || block->at[at].from > hand->to);
    memmove (block->at + at + 1, block->at + at,
             (block->count - at) * sizeof *hand);
    block->at[at] = *hand;
    block->count++;
}

void
trn_hands_remove (trn_hands_t *self, trn_hand_at_t at)
{
    assert (self && at.block < self->block_count);
    trn_hand_block_t *block = self->block[at.block];
    assert (at.index < block->count);
    self->count--;
    block->count--;
    memmove (block->at + at.index, block->at + at.index + 1,
             (block->count - at.index) * sizeof *block->at);
    if (block->count == 0) {
        free (block);
        self->block_count--;
        memmove (self->block + at.block, self->block + at.block + 1,
                 (self->block_count - at.block) * sizeof *self->block);
    }
}
