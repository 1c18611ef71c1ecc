//  core/table.h - find a thing by its number
//
//  Open addressing with linear probing; no order, no iteration: who needs an
//  order keeps a list besides, so that no decision depends on a hash.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TABLE_H
#define TRN_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t key;
    void *value;  //  NULL: the slot is free
} trn_table_slot_t;

//  A zeroed trn_table_t is empty.
typedef struct {
    trn_table_slot_t *slots;
    size_t capacity;  //  a power of two, or 0
    size_t count;
} trn_table_t;

void
trn_table_clear (trn_table_t *self);

void *
trn_table_get (const trn_table_t *self, uint64_t key);

//  value is not NULL; an earlier value of this key is replaced.
void
trn_table_put (trn_table_t *self, uint64_t key, void *value);

void
trn_table_remove (trn_table_t *self, uint64_t key);

#endif
