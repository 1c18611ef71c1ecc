//  core/returned.c - messages that came back and wait to be delivered again
//
//  A flow that ends gives back many leases at once: they are appended and
//  sorted when somebody looks.  Single returns find their place at once.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/returned.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
trn_returned_clear (trn_returned_t *self)
{
    assert (self);
    free (self->due);
    free (self->later);
    *self = (trn_returned_t) {0};
}

size_t
trn_returned_entries (const trn_returned_t *self)
{
    return self->due_count - self->due_head + self->later_count;
}

int64_t
trn_returned_deadline (const trn_returned_t *self)
{
    return self->later_count ? self->later[0].due_ms : INT64_MAX;
}

static bool
s_joins (const trn_return_t *left, const trn_return_t *right)
{
    return left->to + 1 == right->from && left->deliveries == right->deliveries
           && left->redelivered == right->redelivered;
}

//  The part that is due -----------------------------------------------------

static void
s_make_room (trn_returned_t *self)
{
    if (self->due_head > 16 && self->due_head * 2 > self->due_count) {
        const size_t live = self->due_count - self->due_head;
        memmove (self->due, self->due + self->due_head,
                 live * sizeof *self->due);
        self->due_head = 0;
        self->due_count = live;
    }
    if (self->due_count == self->due_capacity) {
        self->due_capacity = self->due_capacity ? self->due_capacity * 2 : 16;
        self->due
            = trn_realloc (self->due, self->due_capacity * sizeof *self->due);
    }
}

static void
s_append_due (trn_returned_t *self, const trn_return_t *entry)
{
    self->due_messages += entry->to - entry->from + 1;
    if (self->due_count > self->due_head) {
        trn_return_t *last = &self->due[self->due_count - 1];
        if (s_joins (last, entry)) {
            last->to = entry->to;
            return;
        }
        if (entry->from < last->from) {
            self->sorted = false;
        }
    } else {
        self->sorted = true;
    }
    s_make_room (self);
    self->due[self->due_count++] = *entry;
}

static int
s_compare (const void *left, const void *right)
{
    const trn_return_t *one = left;
    const trn_return_t *other = right;
    return one->from < other->from ? -1 : one->from > other->from;
}

static void
s_sort (trn_returned_t *self)
{
    const size_t live = self->due_count - self->due_head;
    if (self->sorted || !live) {
        return;
    }
    trn_return_t *at = self->due + self->due_head;
    qsort (at, live, sizeof *at, s_compare);
    size_t kept = 0;
    for (size_t index = 1; index < live; index++) {
        if (s_joins (&at[kept], &at[index])) {
            at[kept].to = at[index].to;
        } else {
            at[++kept] = at[index];
        }
    }
    self->due_count = self->due_head + kept + 1;
    self->sorted = true;
}

//  The part that waits ------------------------------------------------------

static bool
s_before (const trn_return_t *one, const trn_return_t *other)
{
    return one->due_ms < other->due_ms
           || (one->due_ms == other->due_ms && one->from < other->from);
}

static void
s_sift_up (trn_returned_t *self, size_t index)
{
    const trn_return_t entry = self->later[index];
    while (index && s_before (&entry, &self->later[(index - 1) / 2])) {
        self->later[index] = self->later[(index - 1) / 2];
        index = (index - 1) / 2;
    }
    self->later[index] = entry;
}

static void
s_sift_down (trn_returned_t *self, size_t index)
{
    const trn_return_t entry = self->later[index];
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= self->later_count) {
            break;
        }
        if (child + 1 < self->later_count
            && s_before (&self->later[child + 1], &self->later[child])) {
            child++;
        }
        if (!s_before (&self->later[child], &entry)) {
            break;
        }
        self->later[index] = self->later[child];
        index = child;
    }
    self->later[index] = entry;
}

static void
s_push_later (trn_returned_t *self, const trn_return_t *entry)
{
    if (self->later_count == self->later_capacity) {
        self->later_capacity
            = self->later_capacity ? self->later_capacity * 2 : 16;
        self->later = trn_realloc (self->later,
                                   self->later_capacity * sizeof *self->later);
    }
    self->later[self->later_count] = *entry;
    s_sift_up (self, self->later_count++);
}

static void
s_remove_later (trn_returned_t *self, size_t index)
{
    self->later[index] = self->later[--self->later_count];
    if (index < self->later_count) {
        s_sift_down (self, index);
        s_sift_up (self, index);
    }
}

//  Both ---------------------------------------------------------------------

void
trn_returned_add (trn_returned_t *self, const trn_return_t *entry)
{
    assert (self && entry && entry->from <= entry->to);
    self->messages += entry->to - entry->from + 1;
    if (entry->due_ms) {
        s_push_later (self, entry);
    } else {
        s_append_due (self, entry);
    }
}

bool
trn_returned_ripen (trn_returned_t *self, int64_t now_ms)
{
    assert (self);
    while (self->later_count && self->later[0].due_ms <= now_ms) {
        const trn_return_t ripe = self->later[0];
        s_remove_later (self, 0);
        s_append_due (self, &ripe);
    }
    return self->due_count > self->due_head;
}

const trn_return_t *
trn_returned_first (trn_returned_t *self)
{
    assert (self);
    s_sort (self);
    return self->due_count > self->due_head ? &self->due[self->due_head] : NULL;
}

void
trn_returned_shift (trn_returned_t *self, uint64_t count)
{
    assert (self && self->sorted && self->due_count > self->due_head);
    trn_return_t *first = &self->due[self->due_head];
    assert (count <= first->to - first->from + 1);
    self->messages -= count;
    self->due_messages -= count;
    first->from += count;
    if (first->from > first->to) {
        self->due_head++;
    }
    if (self->due_head == self->due_count) {
        self->due_head = self->due_count = 0;
    }
}

static trn_return_t
s_overlap (const trn_return_t *entry, uint64_t from, uint64_t to)
{
    trn_return_t part = *entry;
    part.from = entry->from > from ? entry->from : from;
    part.to = entry->to < to ? entry->to : to;
    return part;
}

//  Cut part out of the due entry at index.
static void
s_cut_due (trn_returned_t *self, size_t index, const trn_return_t *part)
{
    trn_return_t *entry = &self->due[index];
    const uint64_t to = entry->to;
    self->due_messages -= part->to - part->from + 1;
    if (part->from > entry->from && part->to < to) {
        trn_return_t rest = *entry;
        rest.from = part->to + 1;
        entry->to = part->from - 1;
        s_make_room (self);
        self->due[self->due_count++] = rest;
        self->sorted = false;
    } else if (part->from > entry->from) {
        entry->to = part->from - 1;
    } else if (part->to < to) {
        entry->from = part->to + 1;
    } else {
        memmove (entry, entry + 1,
                 (self->due_count - index - 1) * sizeof *entry);
        self->due_count--;
    }
}

static bool
s_take_due (trn_returned_t *self, uint64_t from, uint64_t to,
            trn_return_t *taken)
{
    s_sort (self);
    size_t low = self->due_head;
    size_t high = self->due_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->due[middle].to < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == self->due_count || self->due[low].from > to) {
        return false;
    }
    *taken = s_overlap (&self->due[low], from, to);
    s_cut_due (self, low, taken);
    return true;
}

//  What waits is not sorted by seq; nobody asks often.
static bool
s_take_later (trn_returned_t *self, uint64_t from, uint64_t to,
              trn_return_t *taken)
{
    for (size_t index = 0; index < self->later_count; index++) {
        const trn_return_t entry = self->later[index];
        if (entry.to < from || entry.from > to) {
            continue;
        }
        *taken = s_overlap (&entry, from, to);
        s_remove_later (self, index);
        trn_return_t rest = entry;
        if (taken->from > entry.from) {
            rest.to = taken->from - 1;
            s_push_later (self, &rest);
        }
        if (taken->to < entry.to) {
            rest.from = taken->to + 1;
            rest.to = entry.to;
            s_push_later (self, &rest);
        }
        return true;
    }
    return false;
}

bool
trn_returned_take (trn_returned_t *self, uint64_t from, uint64_t to,
                   trn_return_t *taken)
{
    assert (self && taken && from <= to);
    if (!s_take_due (self, from, to, taken)
        && !s_take_later (self, from, to, taken)) {
        return false;
    }
    self->messages -= taken->to - taken->from + 1;
    return true;
}
