//  core/index.h - finding a slot of a table by the hash of its key
//
//  The owner keeps its things in numbered slots and compares keys itself; the
//  index only answers "which slots have this hash".  Hash with a secret seed
//  where strangers choose the keys.
//
//      for (uint32_t slot = trn_index_first (&index, hash);
//           slot != TRN_INDEX_NONE; slot = trn_index_next (&index, slot)) {
//          if (key of slot is the one) ...
//      }
//
//  Thread: the owner's.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_INDEX_H
#define TRN_INDEX_H

#include <stdint.h>

#define TRN_INDEX_NONE UINT32_MAX

typedef struct {
    uint32_t *heads;   //  first slot of each chain; mask + 1 of them
    uint32_t *nexts;   //  per slot: the next of its chain
    uint64_t *hashes;  //  per slot
    uint32_t mask;
} trn_index_t;

//  Room for slots 0..slots - 1.
void
trn_index_init (trn_index_t *self, uint32_t slots);

void
trn_index_clear (trn_index_t *self);

//  A slot is added once, and removed before it is added again.
void
trn_index_add (trn_index_t *self, uint64_t hash, uint32_t slot);

void
trn_index_remove (trn_index_t *self, uint32_t slot);

uint32_t
trn_index_first (const trn_index_t *self, uint64_t hash);

uint32_t
trn_index_next (const trn_index_t *self, uint32_t slot);

#endif
