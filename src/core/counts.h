//  core/counts.h - how often each seq was delivered
//
//  A number per seq, 0 for most: pages of 4096 of them, two bytes each, exist
//  where one is not 0.  Setting and asking cost O(1).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_COUNTS_H
#define TRN_COUNTS_H

#include "core/table.h"

#include <stdbool.h>
#include <stdint.h>

//  More is not counted.
#define TRN_COUNT_MAX UINT16_MAX

//  A zeroed trn_counts_t is all 0.
typedef struct {
    trn_table_t pages;     //  by seq / 4096
    uint64_t first, last;  //  pages are between these, if there are any
    uint64_t total;        //  seqs that are not 0
} trn_counts_t;

void
trn_counts_clear (trn_counts_t *self);

//  Set every seq of from..to to this number.
void
trn_counts_set (trn_counts_t *self, uint64_t from, uint64_t to, uint32_t count);

//  The number of from; *to_p, not before it, is lowered to the last seq that
//  has the same one as all between.
uint32_t
trn_counts_get (const trn_counts_t *self, uint64_t from, uint64_t *to_p);

//  The first part of from..to that has one number other than 0: false if none.
//  Costs O(pages between).
typedef struct {
    uint64_t from, to;
    uint32_t count;
} trn_counted_t;

bool
trn_counts_next (const trn_counts_t *self, uint64_t from, uint64_t to,
                 trn_counted_t *found);

#endif
