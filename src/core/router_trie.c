//  core/router_trie.c - the nodes of a router, found by the step that leads there
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/router_inside.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

uint64_t
trn_router_hash (trn_text_t word)
{
    return XXH3_64bits (word.at, word.size);
}

//  Of the step from a node by a word.
static uint64_t
s_hash_step (uint32_t parent, uint64_t word_hash)
{
    uint64_t hash = word_hash ^ (parent + 1) * UINT64_C (0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    hash *= UINT64_C (0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

//  Twice the room, and the index made anew for it.
static void
s_grow_nodes (trn_router_t *self)
{
    const uint32_t capacity
        = self->node_capacity ? 2 * self->node_capacity : 16;
    self->nodes = trn_realloc (self->nodes, capacity * sizeof *self->nodes);
    self->marks = trn_realloc (self->marks, capacity * sizeof *self->marks);
    memset (self->marks + self->node_capacity, 0,
            (capacity - self->node_capacity) * sizeof *self->marks);
    self->node_capacity = capacity;
    trn_index_clear (&self->by_step);
    trn_index_init (&self->by_step, capacity);
    for (uint32_t index = 0; index < self->node_count; index++) {
        const trn_router_node_t *node = &self->nodes[index];
        if (node->word) {
            const trn_text_t word = {node->word, node->word_size};
            trn_index_add (&self->by_step,
                           s_hash_step (node->parent, trn_router_hash (word)),
                           index);
        }
    }
}

uint32_t
trn_router_new_node (trn_router_t *self, uint32_t parent)
{
    uint32_t number = self->free_node;
    if (number != TRN_INDEX_NONE) {
        self->free_node = self->nodes[number].parent;
    } else {
        if (self->node_count == self->node_capacity) {
            s_grow_nodes (self);
        }
        number = self->node_count++;
    }
    self->nodes[number] = (trn_router_node_t) {.parent = parent};
    return number;
}

uint32_t
trn_router_child (const trn_router_t *self, uint32_t parent, trn_text_t word,
                  uint64_t word_hash)
{
    if (!self->nodes[parent].children) {
        return 0;
    }
    const uint64_t hash = s_hash_step (parent, word_hash);
    for (uint32_t slot = trn_index_first (&self->by_step, hash);
         slot != TRN_INDEX_NONE; slot = trn_index_next (&self->by_step, slot)) {
        const trn_router_node_t *node = &self->nodes[slot];
        if (node->parent == parent && node->word_size == word.size
            && (!word.size || !memcmp (node->word, word.at, word.size))) {
            return slot;
        }
    }
    return 0;
}

uint32_t
trn_router_make_child (trn_router_t *self, uint32_t parent, trn_text_t word)
{
    const uint64_t word_hash = trn_router_hash (word);
    uint32_t number = trn_router_child (self, parent, word, word_hash);
    if (number) {
        return number;
    }
    number = trn_router_new_node (self, parent);
    trn_router_node_t *node = &self->nodes[number];
    node->word = trn_strndup (word.size ? word.at : "", word.size);
    node->word_size = word.size;
    trn_index_add (&self->by_step, s_hash_step (parent, word_hash), number);
    self->nodes[parent].children++;
    return number;
}

void
trn_router_prune (trn_router_t *self, uint32_t number)
{
    while (number != TRN_ROUTER_ROOT) {
        trn_router_node_t *node = &self->nodes[number];
        if (node->targets.count || node->star || node->hash || node->children) {
            return;
        }
        trn_router_node_t *parent = &self->nodes[node->parent];
        const uint32_t above = node->parent;
        if (node->word) {
            trn_index_remove (&self->by_step, number);
            parent->children--;
        } else if (node->many) {
            parent->hash = 0;
        } else {
            parent->star = 0;
        }
        free (node->word);
        free (node->targets.at);
        *node = (trn_router_node_t) {.parent = self->free_node};
        self->free_node = number;
        number = above;
    }
}
