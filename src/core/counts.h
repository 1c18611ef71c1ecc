//  core/counts.h - how often each seq was delivered
//
//  A number per seq, 0 for most: pages of 4096 of them, two bytes each, exist
//  where one is not 0, in the order of their seqs.  Setting and asking cost
//  O(log pages), however far apart the pages are.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_COUNTS_H
#define TRN_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  More is not counted.
#define TRN_COUNT_MAX UINT16_MAX

//  A zeroed trn_counts_t is all 0.
typedef struct {
    struct trn_counts_page **pages;  //  ascending
    size_t used, room;
    uint64_t total;  //  seqs that are not 0
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
typedef struct {
    uint64_t from, to;
    uint32_t count;
} trn_counted_t;

bool
trn_counts_next (const trn_counts_t *self, uint64_t from, uint64_t to,
                 trn_counted_t *found);

#endif
