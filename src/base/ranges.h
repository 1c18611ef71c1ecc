//  base/ranges.h - a set of 64-bit numbers, kept as sorted ranges
//
//  Settled positions, gaps and deduplication are all sets of seqs that are
//  nearly contiguous.  Adding at the end or joining the last range costs O(1);
//  anything else is a binary search and one memmove.
//
//  Thread: the owner's.  Numbers: any but UINT64_MAX.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_RANGES_H
#define TRN_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t from;  //  first number inside
    uint64_t to;    //  last number inside, >= from
} trn_range_t;

typedef struct {
    trn_range_t *at;  //  sorted, disjoint, not touching; owned
    size_t count;     //  ranges in use
    size_t capacity;  //  ranges allocated
} trn_ranges_t;

//  A zeroed trn_ranges_t is an empty set.  Release its memory; empty after.
void
trn_ranges_clear (trn_ranges_t *self);

//  Add or remove every number from..to (from <= to).
void
trn_ranges_add (trn_ranges_t *self, uint64_t from, uint64_t to);

void
trn_ranges_remove (trn_ranges_t *self, uint64_t from, uint64_t to);

bool
trn_ranges_has (const trn_ranges_t *self, uint64_t number);

//  The first part of from..to that is inside (or outside) the set.  Returns
//  false when there is none.
bool
trn_ranges_first_in (const trn_ranges_t *self, uint64_t from, uint64_t to,
                     trn_range_t *found);

bool
trn_ranges_first_out (const trn_ranges_t *self, uint64_t from, uint64_t to,
                      trn_range_t *found);

//  How many numbers are in the set.  O(ranges).
uint64_t
trn_ranges_total (const trn_ranges_t *self);

#endif
