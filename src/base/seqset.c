//  base/seqset.c - a set of seqs that may be scattered
//
//  Knows: which seqs are in.  Hides: the parts.  A part is a bitmap or a run of
//  full pages:
//
//      page   12        13..15    16       900..        (nothing between)
//      part   [bitmap]  [full x3] [bitmap] [full x2]
//
//  Invariants: parts are sorted and disjoint; a bitmap is neither empty nor full;
//  two runs of full pages never touch.  So the same set has one representation
//  only, and `in` of the parts adds up to total.
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/seqset.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE TRN_SEQSET_PAGE
#define PAGE_SHIFT 12
#define WORDS (PAGE / 64)

//  Array of parts that an empty set may keep.
#define SPARE_MAX 64

void
trn_seqset_clear (trn_seqset_t *self)
{
    assert (self);
    for (size_t index = 0; index < self->count; index++) {
        free (self->at[self->head + index].bits);
    }
    free (self->at);
    *self = (trn_seqset_t) {0};
}

static trn_seqset_part_t *
s_at (const trn_seqset_t *self, size_t index)
{
    return &self->at[self->head + index];
}

static uint64_t
s_last_page (const trn_seqset_part_t *part)
{
    return part->bits ? part->page : part->page + (part->in >> PAGE_SHIFT) - 1;
}

static trn_seqset_part_t
s_full (uint64_t page, uint64_t last)
{
    return (trn_seqset_part_t) {.page = page,
                                .in = (last - page + 1) << PAGE_SHIFT};
}

//  Index of the first part that ends at or after this page.
static size_t
s_find (const trn_seqset_t *self, uint64_t page)
{
    size_t low = 0;
    size_t high = self->count;
    if (high && s_last_page (s_at (self, high - 1)) < page) {
        return high;
    }
    if (high && s_at (self, high - 1)->page <= page) {
        return high - 1;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s_last_page (s_at (self, middle)) < page) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

//  Parts: how they come and go --------------------------------------------

//  Make room for one part more, at the end of the array.
static void
s_grow (trn_seqset_t *self)
{
    if (self->head > self->count) {
        memcpy (self->at, self->at + self->head,
                self->count * sizeof *self->at);
        self->head = 0;
        return;
    }
    const size_t used = self->head + self->count;
    self->capacity = used < 4 ? 4 : used + used / 2;
    self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
}

static void
s_insert (trn_seqset_t *self, size_t index, trn_seqset_part_t part)
{
    if (index == 0 && self->head) {
        self->head--;
    } else {
        if (self->head + self->count == self->capacity) {
            s_grow (self);
        }
        memmove (s_at (self, index) + 1, s_at (self, index),
                 (self->count - index) * sizeof *self->at);
    }
    self->count++;
    *s_at (self, index) = part;
}

//  Take parts out; their bitmaps are gone or were moved.
static void
s_erase (trn_seqset_t *self, size_t index, size_t count)
{
    if (index == 0) {
        self->head += count;
    } else if (count) {
        memmove (s_at (self, index), s_at (self, index + count),
                 (self->count - index - count) * sizeof *self->at);
    }
    self->count -= count;
    if (!self->count && self->capacity > SPARE_MAX) {
        free (self->at);
        self->at = NULL;
        self->capacity = 0;
    }
    if (!self->count) {
        self->head = 0;
    }
}

//  Make page..last one part, or no part (if !in), whatever parts they were
//  before.  Returns how many numbers changed.
static uint64_t
s_replace (trn_seqset_t *self, uint64_t page, uint64_t last, bool in)
{
    const size_t index = s_find (self, page);
    size_t end = index;
    trn_seqset_part_t kept[2];
    size_t kept_count = 0;
    uint64_t before = 0;
    uint64_t kept_in = 0;
    while (end < self->count && s_at (self, end)->page <= last) {
        const trn_seqset_part_t part = *s_at (self, end++);
        const uint64_t part_last = s_last_page (&part);
        before += part.in;
        if (part.page < page) {
            kept[kept_count++] = s_full (part.page, page - 1);
        }
        if (part_last > last) {
            kept[kept_count++] = s_full (last + 1, part_last);
        }
        free (part.bits);
    }
    for (size_t each = 0; each < kept_count; each++) {
        kept_in += kept[each].in;
    }
    s_erase (self, index, end - index);
    const uint64_t size = (last - page + 1) << PAGE_SHIFT;
    const uint64_t was = before - kept_in;
    if (!in) {
        for (size_t each = kept_count; each > 0; each--) {
            s_insert (self, index, kept[each - 1]);
        }
        self->total -= was;
        return was;
    }

    //  What was kept is full and touches; so may the neighbours.
    trn_seqset_part_t full = s_full (page, last);
    if (kept_count) {
        full.page = kept[0].page < page ? kept[0].page : page;
        full.in += kept_in;
    }
    s_insert (self, index, full);
    size_t first = index;
    if (index + 1 < self->count && !s_at (self, index + 1)->bits
        && s_at (self, index + 1)->page
               == s_last_page (s_at (self, index)) + 1) {
        s_at (self, index)->in += s_at (self, index + 1)->in;
        s_erase (self, index + 1, 1);
    }
    if (first && !s_at (self, first - 1)->bits
        && s_last_page (s_at (self, first - 1)) + 1
               == s_at (self, first)->page) {
        s_at (self, first - 1)->in += s_at (self, first)->in;
        s_erase (self, first, 1);
    }
    self->total += size - was;
    return size - was;
}

//  Bits of one page -------------------------------------------------------

static unsigned
s_bits_in (uint64_t word)
{
    word -= (word >> 1) & UINT64_C (0x5555555555555555);
    word = (word & UINT64_C (0x3333333333333333))
           + ((word >> 2) & UINT64_C (0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C (0x0f0f0f0f0f0f0f0f);
    return (unsigned) ((word * UINT64_C (0x0101010101010101)) >> 56);
}

//  Those bits of word number `word` that lie in from..to of the page.
static uint64_t
s_mask (unsigned word, unsigned from, unsigned to)
{
    uint64_t mask = UINT64_MAX;
    if (from > word * 64) {
        mask <<= from - word * 64;
    }
    if (to < word * 64 + 63) {
        mask &= UINT64_MAX >> (word * 64 + 63 - to);
    }
    return mask;
}

//  Set or clear from..to of a bitmap; return how many changed.
static unsigned
s_change_bits (uint64_t *bits, unsigned from, unsigned to, bool in)
{
    unsigned changed = 0;
    for (unsigned word = from / 64; word <= to / 64; word++) {
        const uint64_t mask = s_mask (word, from, to);
        const uint64_t wrong = (in ? ~bits[word] : bits[word]) & mask;
        changed += s_bits_in (wrong);
        bits[word] ^= wrong;
    }
    return changed;
}

static unsigned
s_count_bits (const uint64_t *bits, unsigned from, unsigned to)
{
    unsigned count = 0;
    for (unsigned word = from / 64; word <= to / 64; word++) {
        count += s_bits_in (bits[word] & s_mask (word, from, to));
    }
    return count;
}

//  The first bit from `from` on that is set (or clear); PAGE if none is.
static unsigned
s_scan_bits (const uint64_t *bits, unsigned from, bool in)
{
    for (unsigned word = from / 64; word < WORDS; word++) {
        const uint64_t found
            = (in ? bits[word] : ~bits[word]) & s_mask (word, from, PAGE - 1);
        if (found) {
            return word * 64 + s_bits_in ((found & (0 - found)) - 1);
        }
    }
    return PAGE;
}

//  Split a full page off its run, as a bitmap that is about to lose bits.
static size_t
s_make_bitmap (trn_seqset_t *self, size_t index, uint64_t page)
{
    const trn_seqset_part_t run = *s_at (self, index);
    const uint64_t last = s_last_page (&run);
    trn_seqset_part_t part = {.page = page, .in = PAGE};
    part.bits = trn_alloc (WORDS * sizeof *part.bits);
    memset (part.bits, 0xff, WORDS * sizeof *part.bits);
    *s_at (self, index) = part;
    if (last > page) {
        s_insert (self, index + 1, s_full (page + 1, last));
    }
    if (run.page < page) {
        s_insert (self, index, s_full (run.page, page - 1));
        index++;
    }
    return index;
}

//  Add or remove from..to of one page, not all of it.
static uint64_t
s_change_page (trn_seqset_t *self, uint64_t page, unsigned from, unsigned to,
               bool in)
{
    size_t index = s_find (self, page);
    const bool known = index < self->count && s_at (self, index)->page <= page;
    if (in ? known && !s_at (self, index)->bits : !known) {
        return 0;
    }
    if (!known) {
        uint64_t *bits = trn_alloc (WORDS * sizeof *bits);
        s_insert (self, index, (trn_seqset_part_t) {page, 0, bits});
    } else if (!s_at (self, index)->bits) {
        index = s_make_bitmap (self, index, page);
    }
    trn_seqset_part_t *part = s_at (self, index);
    const uint64_t changed = s_change_bits (part->bits, from, to, in);
    if (!in) {
        part->in -= changed;
        self->total -= changed;
        if (!part->in) {
            free (part->bits);
            s_erase (self, index, 1);
        }
        return changed;
    }
    part->in += changed;
    self->total += changed;
    if (part->in == PAGE) {
        s_replace (self, page, page, true);
    }
    return changed;
}

//  What users call --------------------------------------------------------

static uint64_t
s_change (trn_seqset_t *self, uint64_t from, uint64_t to, bool in)
{
    uint64_t page = from >> PAGE_SHIFT;
    const uint64_t last = to >> PAGE_SHIFT;
    const unsigned first_bit = (unsigned) (from % PAGE);
    const unsigned last_bit = (unsigned) (to % PAGE);
    if (page == last && (first_bit || last_bit != PAGE - 1)) {
        return s_change_page (self, page, first_bit, last_bit, in);
    }
    uint64_t changed = 0;
    if (first_bit) {
        changed += s_change_page (self, page++, first_bit, PAGE - 1, in);
    }
    if (last_bit != PAGE - 1) {
        changed += s_change_page (self, last, 0, last_bit, in);
        if (page < last) {
            changed += s_replace (self, page, last - 1, in);
        }
    } else if (page <= last) {
        changed += s_replace (self, page, last, in);
    }
    return changed;
}

uint64_t
trn_seqset_add (trn_seqset_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to && to < UINT64_MAX);
    return s_change (self, from, to, true);
}

uint64_t
trn_seqset_remove (trn_seqset_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to && to < UINT64_MAX);
    return s_change (self, from, to, false);
}

bool
trn_seqset_has (const trn_seqset_t *self, uint64_t seq)
{
    assert (self);
    const uint64_t page = seq >> PAGE_SHIFT;
    const size_t index = s_find (self, page);
    if (index == self->count || s_at (self, index)->page > page) {
        return false;
    }
    const uint64_t *bits = s_at (self, index)->bits;
    const unsigned bit = (unsigned) (seq % PAGE);
    return !bits || (bits[bit / 64] >> (bit % 64) & 1);
}

//  The first number of from..to that is in the set (or out of it).
static bool
s_seek (const trn_seqset_t *self, uint64_t from, uint64_t to, bool in,
        uint64_t *at_p)
{
    for (size_t index = s_find (self, from >> PAGE_SHIFT); from <= to;
         index++) {
        const uint64_t page = from >> PAGE_SHIFT;
        const trn_seqset_part_t *part
            = index < self->count ? s_at (self, index) : NULL;
        if (!in && (!part || part->page > page)) {
            *at_p = from;
            return true;
        }
        if (!part || part->page > to >> PAGE_SHIFT) {
            return false;
        }
        if (part->page > page) {
            from = part->page << PAGE_SHIFT;
        }
        if (!part->bits && in) {
            *at_p = from;
            return true;
        }
        const unsigned bit
            = part->bits
                  ? s_scan_bits (part->bits, (unsigned) (from % PAGE), in)
                  : PAGE;
        if (bit < PAGE) {
            *at_p = (part->page << PAGE_SHIFT) + bit;
            return *at_p <= to;
        }
        from = (s_last_page (part) + 1) << PAGE_SHIFT;
        if (!from) {
            return false;
        }
    }
    return false;
}

static bool
s_first (const trn_seqset_t *self, uint64_t from, uint64_t to, bool in,
         trn_range_t *found)
{
    if (!s_seek (self, from, to, in, &found->from)) {
        return false;
    }
    uint64_t end;
    found->to = s_seek (self, found->from, to, !in, &end) ? end - 1 : to;
    return true;
}

bool
trn_seqset_first_in (const trn_seqset_t *self, uint64_t from, uint64_t to,
                     trn_range_t *found)
{
    assert (self && found && from <= to);
    return s_first (self, from, to, true, found);
}

bool
trn_seqset_first_out (const trn_seqset_t *self, uint64_t from, uint64_t to,
                      trn_range_t *found)
{
    assert (self && found && from <= to);
    return s_first (self, from, to, false, found);
}

uint64_t
trn_seqset_count (const trn_seqset_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    uint64_t count = 0;
    const uint64_t last = to >> PAGE_SHIFT;
    for (size_t index = s_find (self, from >> PAGE_SHIFT);
         index < self->count && s_at (self, index)->page <= last; index++) {
        const trn_seqset_part_t *part = s_at (self, index);
        const uint64_t part_from = part->page << PAGE_SHIFT;
        const uint64_t part_to
            = (s_last_page (part) << PAGE_SHIFT) + (PAGE - 1);
        const uint64_t low = from > part_from ? from : part_from;
        const uint64_t high = to < part_to ? to : part_to;
        if (low == part_from && high == part_to) {
            count += part->in;
        } else if (!part->bits) {
            count += high - low + 1;
        } else {
            count += s_count_bits (part->bits, (unsigned) (low % PAGE),
                                   (unsigned) (high % PAGE));
        }
    }
    return count;
}

uint64_t
trn_seqset_total (const trn_seqset_t *self)
{
    assert (self);
    return self->total;
}

size_t
trn_seqset_pages (const trn_seqset_t *self)
{
    assert (self);
    return self->count;
}
