//  base/seqset.h - a set of seqs that may be scattered
//
//  What trn_ranges_t is for few ranges, this is for many: pages of 4096 bits,
//  where a page that is all in or all out takes no memory but its pointer.  Adding,
//  removing and asking cost O(1) wherever the seq is; looking for the next one in
//  or out costs O(1) per page that is passed over.  A million scattered seqs take
//  some 130 KB.
//
//  Seqs come and go at both ends: what lies below the first page with a bit that
//  differs from the pages before is one border, not pages.  So a set that is full
//  up to some seq, or starts at some seq, is small however large that is.
//
//  Thread: the owner's.  Numbers: 1..TRN_SEQ_MAX.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SEQSET_H
#define TRN_SEQSET_H

#include "base/ranges.h"

//  One page: NULL is all out, trn_seqset_full all in, else 64 words that are owned.
//  A zeroed trn_seqset_t is empty.
typedef struct {
    uint64_t **page;  //  ring or array of pages, from number `base` on; owned
    uint64_t base;    //  seq >> 12 of page[head]
    size_t head, count, capacity;
    bool below;      //  everything before `base` is in
    uint64_t total;  //  in the pages (not what `below` says)
    size_t bitmaps;  //  pages with memory of their own
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

//  Pages with memory of their own (512 bytes each), for bounding.
size_t
trn_seqset_pages (const trn_seqset_t *self);

#endif
