//  base/seqset.h - a set of seqs that may be scattered
//
//  What trn_ranges_t is for few ranges, this is for many.  Seqs are kept by
//  pages of 4096: a page that is partly in is a bitmap of 512 bytes, any number
//  of pages in a row that are all in are one entry of 24 bytes, and what is all
//  out takes nothing.  So a million scattered seqs of two million take 260 KB,
//  and a jump of the seqs, or a set that starts at a large seq, costs nothing.
//
//  Finding a page is a binary search, O(1) at the end where seqs come; what
//  is inside a page costs O(1).  Looking for the next seq in or out passes over
//  one page, or run of full ones, or hole, per step.  Entries come and go cheaply
//  at both ends.
//
//  Thread: the owner's.  Numbers: any but UINT64_MAX; seqs are 1..TRN_SEQ_MAX.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SEQSET_H
#define TRN_SEQSET_H

#include "base/ranges.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_SEQSET_PAGE 4096u

typedef struct {
    uint64_t page;   //  seq / 4096 of the first
    uint64_t in;     //  seqs inside: 4096 for each page if bits is NULL
    uint64_t *bits;  //  one page, neither empty nor full; NULL: full pages
} trn_seqset_part_t;

//  A zeroed trn_seqset_t is empty.
typedef struct {
    trn_seqset_part_t *at;  //  sorted, disjoint; owned, live from head on
    size_t head, count, capacity;
    uint64_t total;
} trn_seqset_t;

//  Release its memory; empty after.
void
trn_seqset_clear (trn_seqset_t *self);

//  Add or remove every number from..to (from <= to); return how many changed.
uint64_t
trn_seqset_add (trn_seqset_t *self, uint64_t from, uint64_t to);

uint64_t
trn_seqset_remove (trn_seqset_t *self, uint64_t from, uint64_t to);

bool
trn_seqset_has (const trn_seqset_t *self, uint64_t seq);

//  The first unbroken part of from..to that is inside (or outside) the set.
//  Returns false when there is none.
bool
trn_seqset_first_in (const trn_seqset_t *self, uint64_t from, uint64_t to,
                     trn_range_t *found);

bool
trn_seqset_first_out (const trn_seqset_t *self, uint64_t from, uint64_t to,
                      trn_range_t *found);

//  How many of from..to are in the set.  O(pages).
uint64_t
trn_seqset_count (const trn_seqset_t *self, uint64_t from, uint64_t to);

//  How many are in the set.  O(1).
uint64_t
trn_seqset_total (const trn_seqset_t *self);

//  What bounds its memory: bitmaps, and runs of full pages between them; some
//  600 bytes each.
size_t
trn_seqset_pages (const trn_seqset_t *self);

#endif
