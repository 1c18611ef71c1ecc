//  core/counts.c - how often each seq was delivered
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/counts.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

typedef struct trn_counts_page {
    uint64_t number;  //  of its first seq, / PAGE
    uint32_t used;    //  of at, not 0
    uint16_t at[PAGE];
} s_page_t;

void
trn_counts_clear (trn_counts_t *self)
{
    assert (self);
    for (size_t index = 0; index < self->used; index++) {
        free (self->pages[index]);
    }
    free (self->pages);
    *self = (trn_counts_t) {0};
}

//  Where the first page with this number or a higher one is, or would be.
static size_t
s_find (const trn_counts_t *self, uint64_t number)
{
    size_t from = 0;
    size_t to = self->used;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (self->pages[middle]->number < number) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

//  The page with this number at index, or NULL.
static s_page_t *
s_page_at (const trn_counts_t *self, size_t index, uint64_t number)
{
    return index < self->used && self->pages[index]->number == number
               ? self->pages[index]
               : NULL;
}

static s_page_t *
s_insert (trn_counts_t *self, size_t index, uint64_t number)
{
    if (self->used == self->room) {
        self->room = self->room ? 2 * self->room : 4;
        self->pages
            = trn_realloc (self->pages, self->room * sizeof self->pages[0]);
    }
    memmove (self->pages + index + 1, self->pages + index,
             (self->used - index) * sizeof self->pages[0]);
    self->used++;
    s_page_t *page = trn_alloc (sizeof *page);
    page->number = number;
    self->pages[index] = page;
    return page;
}

static void
s_remove (trn_counts_t *self, size_t index)
{
    free (self->pages[index]);
    self->used--;
    memmove (self->pages + index, self->pages + index + 1,
             (self->used - index) * sizeof self->pages[0]);
}

//  from..to is within this page.
static void
s_fill (trn_counts_t *self, s_page_t *page, uint64_t from, uint64_t to,
        uint16_t count)
{
    for (uint64_t index = from % PAGE; index <= to % PAGE; index++) {
        if ((page->at[index] != 0) != (count != 0)) {
            page->used += count ? 1 : UINT32_MAX;
            self->total += count ? 1 : UINT64_MAX;
        }
        page->at[index] = count;
    }
}

//  The last seq of its page, or to if that is less.
static uint64_t
s_page_end (uint64_t seq, uint64_t to)
{
    const uint64_t end = seq / PAGE * PAGE + PAGE - 1;
    return end < to ? end : to;
}

static void
s_zero (trn_counts_t *self, uint64_t from, uint64_t to)
{
    size_t index = s_find (self, from / PAGE);
    while (index < self->used && self->pages[index]->number <= to / PAGE) {
        s_page_t *page = self->pages[index];
        const uint64_t first
            = page->number == from / PAGE ? from : page->number * PAGE;
        s_fill (self, page, first, s_page_end (first, to), 0);
        if (page->used) {
            index++;
        } else {
            s_remove (self, index);
        }
    }
}

void
trn_counts_set (trn_counts_t *self, uint64_t from, uint64_t to, uint32_t count)
{
    assert (self && from <= to);
    if (!count) {
        s_zero (self, from, to);
        return;
    }
    count = count < TRN_COUNT_MAX ? count : TRN_COUNT_MAX;
    size_t index = s_find (self, from / PAGE);
    for (uint64_t seq = from; seq <= to; seq = s_page_end (seq, to) + 1) {
        s_page_t *page = s_page_at (self, index, seq / PAGE);
        page = page ? page : s_insert (self, index, seq / PAGE);
        s_fill (self, page, seq, s_page_end (seq, to), (uint16_t) count);
        index++;
    }
}

uint32_t
trn_counts_get (const trn_counts_t *self, uint64_t from, uint64_t *to_p)
{
    assert (self && to_p && from <= *to_p);
    const uint64_t limit = *to_p;
    size_t index = s_find (self, from / PAGE);
    const s_page_t *page = s_page_at (self, index, from / PAGE);
    const uint32_t count = page ? page->at[from % PAGE] : 0;
    uint64_t to = from;
    while (to < limit) {
        //  to + 1: a page without a number there is 0 up to the next that has.
        page = index < self->used ? self->pages[index] : NULL;
        if (!page || page->number > (to + 1) / PAGE) {
            if (count) {
                break;
            }
            to = page && page->number * PAGE - 1 < limit
                     ? page->number * PAGE - 1
                     : limit;
        } else if (page->number < (to + 1) / PAGE) {
            index++;
        } else if (page->at[(to + 1) % PAGE] == count) {
            to++;
        } else {
            break;
        }
    }
    *to_p = to;
    return count;
}

bool
trn_counts_next (const trn_counts_t *self, uint64_t from, uint64_t to,
                 trn_counted_t *found)
{
    assert (self && found);
    for (size_t index = s_find (self, from / PAGE); index < self->used;
         index++) {
        const s_page_t *page = self->pages[index];
        const uint64_t start = page->number * PAGE;
        uint64_t seq = from > start ? from : start;
        while (seq <= to && seq < start + PAGE) {
            if (page->at[seq - start]) {
                *found = (trn_counted_t) {seq, to, 0};
                found->count = trn_counts_get (self, seq, &found->to);
                return true;
            }
            seq++;
        }
        if (seq > to) {
            return false;
        }
    }
    return false;
}
