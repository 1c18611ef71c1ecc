//  base/ranges.c - a set of 64-bit numbers, kept as sorted ranges
//
//  Knows: how ranges join and split.  Hides: the search.  Invariant: at[i].to
//  + 1 < at[i + 1].from, so the same set has one representation only.
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/ranges.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
trn_ranges_clear (trn_ranges_t *self)
{
    assert (self);
    free (self->at);
    *self = (trn_ranges_t) {0};
}

//  Index of the first range that ends at or after the number.
static size_t
s_find (const trn_ranges_t *self, uint64_t number)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->at[middle].to < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

//  Replace count ranges at index with the given ones (at most two).
static void
s_splice (trn_ranges_t *self, size_t index, size_t removed,
          const trn_range_t *added, size_t added_count)
{
    const size_t rest = self->count - index - removed;
    const size_t total = index + added_count + rest;
    if (total > self->capacity) {
        self->capacity = total < 8 ? 8 : total * 2;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    if (rest && added_count != removed) {
        memmove (self->at + index + added_count, self->at + index + removed,
                 rest * sizeof *self->at);
    }
    if (added_count) {
        memcpy (self->at + index, added, added_count * sizeof *added);
    }
    self->count = total;
}

void
trn_ranges_add (trn_ranges_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to && to < UINT64_MAX);

    //  The common case: the next numbers of the last range.
    if (self->count) {
        trn_range_t *last = &self->at[self->count - 1];
        if (from >= last->from && from <= last->to + 1) {
            last->to = to > last->to ? to : last->to;
            return;
        }
    }
    const size_t index = s_find (self, from ? from - 1 : 0);
    size_t end = index;
    trn_range_t joined = {from, to};
    while (end < self->count && self->at[end].from <= to + 1) {
        const trn_range_t *other = &self->at[end++];
        joined.from = other->from < joined.from ? other->from : joined.from;
        joined.to = other->to > joined.to ? other->to : joined.to;
    }
    s_splice (self, index, end - index, &joined, 1);
}

void
trn_ranges_remove (trn_ranges_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    const size_t index = s_find (self, from);
    size_t end = index;
    trn_range_t kept[2];
    size_t kept_count = 0;
    while (end < self->count && self->at[end].from <= to) {
        const trn_range_t *other = &self->at[end++];
        if (other->from < from) {
            kept[kept_count++] = (trn_range_t) {other->from, from - 1};
        }
        if (other->to > to) {
            kept[kept_count++] = (trn_range_t) {to + 1, other->to};
        }
    }
    if (end > index) {
        s_splice (self, index, end - index, kept, kept_count);
    }
}

bool
trn_ranges_has (const trn_ranges_t *self, uint64_t number)
{
    assert (self);
    const size_t index = s_find (self, number);
    return index < self->count && self->at[index].from <= number;
}

bool
trn_ranges_first_in (const trn_ranges_t *self, uint64_t from, uint64_t to,
                     trn_range_t *found)
{
    assert (self && found && from <= to);
    const size_t index = s_find (self, from);
    if (index == self->count || self->at[index].from > to) {
        return false;
    }
    const trn_range_t *at = &self->at[index];
    found->from = at->from > from ? at->from : from;
    found->to = at->to < to ? at->to : to;
    return true;
}

bool
trn_ranges_first_out (const trn_ranges_t *self, uint64_t from, uint64_t to,
                      trn_range_t *found)
{
    assert (self && found && from <= to);
    size_t index = s_find (self, from);
    if (index < self->count && self->at[index].from <= from) {
        if (self->at[index].to >= to) {
            return false;
        }
        from = self->at[index++].to + 1;
    }
    found->from = from;
    found->to = to;
    if (index < self->count && self->at[index].from <= to) {
        found->to = self->at[index].from - 1;
    }
    return true;
}

uint64_t
trn_ranges_total (const trn_ranges_t *self)
{
    assert (self);
    uint64_t total = 0;
    for (size_t index = 0; index < self->count; index++) {
        total += self->at[index].to - self->at[index].from + 1;
    }
    return total;
}
