//  core/counts.c - how often each seq was delivered
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/counts.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define PAGE 4096u

typedef struct {
    uint32_t used;  //  of at, not 0
    uint16_t at[PAGE];
} s_page_t;

static s_page_t *
s_page (const trn_counts_t *self, uint64_t number)
{
    return trn_table_get (&self->pages, number);
}

void
trn_counts_clear (trn_counts_t *self)
{
    assert (self);
    for (uint64_t number = self->first;
         self->pages.count && number <= self->last; number++) {
        free (s_page (self, number));
        trn_table_remove (&self->pages, number);
    }
    trn_table_clear (&self->pages);
    *self = (trn_counts_t) {0};
}

static s_page_t *
s_add_page (trn_counts_t *self, uint64_t number)
{
    s_page_t *page = trn_alloc (sizeof *page);
    if (!self->pages.count) {
        self->first = self->last = number;
    }
    self->first = number < self->first ? number : self->first;
    self->last = number > self->last ? number : self->last;
    trn_table_put (&self->pages, number, page);
    return page;
}

static void
s_set_part (trn_counts_t *self, uint64_t number, uint32_t from, uint32_t to,
            uint16_t count)
{
    s_page_t *page = s_page (self, number);
    if (!page && !count) {
        return;
    }
    page = page ? page : s_add_page (self, number);
    for (uint32_t index = from; index <= to; index++) {
        if ((page->at[index] != 0) != (count != 0)) {
            page->used += count ? 1 : UINT32_MAX;
            self->total += count ? 1 : UINT64_MAX;
        }
        page->at[index] = count;
    }
    if (!page->used) {
        trn_table_remove (&self->pages, number);
        free (page);
    }
}

void
trn_counts_set (trn_counts_t *self, uint64_t from, uint64_t to, uint32_t count)
{
    assert (self && from <= to);
    count = count < TRN_COUNT_MAX ? count : TRN_COUNT_MAX;
    uint64_t number = from / PAGE;
    uint64_t last = to / PAGE;
    if (!count) {
        //  What was never set need not be cleared.
        number = number > self->first ? number : self->first;
        last = last < self->last ? last : self->last;
    }
    for (; number <= last && (count || self->total); number++) {
        s_set_part (self, number,
                    number == from / PAGE ? (uint32_t) (from % PAGE) : 0,
                    number == to / PAGE ? (uint32_t) (to % PAGE) : PAGE - 1,
                    (uint16_t) count);
    }
}

//  The number of seq, and how far it goes within its page.
static uint32_t
s_get (const trn_counts_t *self, uint64_t seq, uint64_t *to_p)
{
    const uint64_t end = seq / PAGE * PAGE + PAGE - 1;
    uint64_t to = *to_p < end ? *to_p : end;
    const s_page_t *page = s_page (self, seq / PAGE);
    uint32_t count = 0;
    if (page) {
        count = page->at[seq % PAGE];
        uint64_t next = seq;
        while (next < to && page->at[(next + 1) % PAGE] == count) {
            next++;
        }
        to = next;
    }
    *to_p = to;
    return count;
}

uint32_t
trn_counts_get (const trn_counts_t *self, uint64_t from, uint64_t *to_p)
{
    assert (self && to_p && from <= *to_p);
    if (!self->total || from / PAGE > self->last) {
        return 0;
    }
    const uint64_t limit = *to_p;
    uint64_t to = limit;
    const uint32_t count = s_get (self, from, &to);
    while (to < limit && to / PAGE < self->last) {
        uint64_t more = limit;
        if (s_get (self, to + 1, &more) != count) {
            break;
        }
        to = more;
    }
    //  Beyond the last page all is 0.
    *to_p = to / PAGE >= self->last && to % PAGE == PAGE - 1 && !count ? limit
                                                                       : to;
    return count;
}

bool
trn_counts_next (const trn_counts_t *self, uint64_t from, uint64_t to,
                 trn_counted_t *found)
{
    assert (self && found);
    if (!self->total) {
        return false;
    }
    from = from > self->first * PAGE ? from : self->first * PAGE;
    const uint64_t end = self->last * PAGE + PAGE - 1;
    to = to < end ? to : end;
    while (from <= to) {
        uint64_t part = to;
        const uint32_t count = s_get (self, from, &part);
        if (count) {
            *found = (trn_counted_t) {from, part, count};
            return true;
        }
        from = part + 1;
    }
    return false;
}
