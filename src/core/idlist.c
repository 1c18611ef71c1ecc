//  core/idlist.c - a list of numbers, ascending or not
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/idlist.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void
trn_idlist_reserve (trn_idlist_t *self, size_t more)
{
    if (self->count + more > self->capacity) {
        self->capacity = 2 * (self->count + more);
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
}

void
trn_idlist_append_all (trn_idlist_t *self, const trn_idlist_t *other)
{
    if (other->count) {
        trn_idlist_reserve (self, other->count);
        memcpy (self->at + self->count, other->at,
                other->count * sizeof *self->at);
        self->count += other->count;
    }
}

//  Where number is in an ascending list, or would be.
static size_t
s_place (const trn_idlist_t *self, uint32_t number)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->at[middle] < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void
trn_idlist_add (trn_idlist_t *self, uint32_t number)
{
    const size_t at = s_place (self, number);
    if (at < self->count && self->at[at] == number) {
        return;
    }
    trn_idlist_reserve (self, 1);
    memmove (self->at + at + 1, self->at + at,
             (self->count - at) * sizeof *self->at);
    self->at[at] = number;
    self->count++;
}

bool
trn_idlist_remove (trn_idlist_t *self, uint32_t number)
{
    const size_t at = s_place (self, number);
    if (at == self->count || self->at[at] != number) {
        return false;
    }
    self->count--;
    memmove (self->at + at, self->at + at + 1,
             (self->count - at) * sizeof *self->at);
    return true;
}

static int
s_order (const void *one, const void *other)
{
    const uint32_t a = *(const uint32_t *) one;
    const uint32_t b = *(const uint32_t *) other;
    return (a > b) - (a < b);
}

void
trn_idlist_sort (trn_idlist_t *self)
{
    size_t sorted = 1;
    while (sorted < self->count && self->at[sorted - 1] < self->at[sorted]) {
        sorted++;
    }
    if (sorted >= self->count) {
        return;
    }
    qsort (self->at, self->count, sizeof *self->at, s_order);
    size_t kept = 1;
    for (size_t index = 1; index < self->count; index++) {
        if (self->at[index] != self->at[kept - 1]) {
            self->at[kept++] = self->at[index];
        }
    }
    self->count = kept;
}

void
trn_idlist_pick (trn_idlist_t *self, uint32_t number)
{
    for (size_t index = 0; index < self->count; index++) {
        if (self->at[index] == number) {
            self->at[index] = self->at[--self->count];
            return;
        }
    }
}
