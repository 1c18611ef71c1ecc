//  core/lease.c - which messages a consumer holds, under which token
//
//  Leases that are over leave at once from the front, and from the middle as
//  soon as they are more than those that live: a consumer that sits on its first
//  message for ever does not make us remember the million it finished since.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/lease.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
trn_leases_clear (trn_leases_t *self)
{
    assert (self);
    for (size_t index = self->head; index < self->count; index++) {
        trn_ranges_clear (&self->at[index].done);
    }
    free (self->at);
    *self = (trn_leases_t) {0};
}

void
trn_leases_add (trn_leases_t *self, const trn_lease_t *lease)
{
    assert (self && lease && lease->open);
    assert (self->count == self->head
            || self->at[self->count - 1].token < lease->token);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 8;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    self->at[self->count++] = *lease;
    self->open += lease->open;
    self->bytes += lease->size;
}

trn_lease_t *
trn_leases_find (trn_leases_t *self, uint64_t token)
{
    assert (self);
    size_t low = self->head;
    size_t high = self->count;
    if (low < high && self->at[low].token == token) {
        high = low;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->at[middle].token < token) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == self->count || self->at[low].token != token
        || !self->at[low].open) {
        return NULL;
    }
    return &self->at[low];
}

//  The first number at or after first that is not done, up to last + 1.
static uint64_t
s_skip_done (trn_lease_t *lease, uint64_t first)
{
    if (lease->done.count && lease->done.at[0].from <= first) {
        first = lease->done.at[0].to + 1;
        trn_ranges_remove (&lease->done, 0, first - 1);
    }
    return first;
}

bool
trn_leases_settle (trn_leases_t *self, trn_lease_t *lease, uint64_t from,
                   uint64_t to, trn_range_t *part)
{
    assert (self && lease && part && from <= to);
    from = from > lease->first ? from : lease->first;
    to = to < lease->last ? to : lease->last;
    if (!lease->open || from > to) {
        return false;
    }
    if (!lease->done.count) {
        *part = (trn_range_t) {from, to};
    } else if (!trn_ranges_first_out (&lease->done, from, to, part)) {
        return false;
    }
    const uint64_t settled = part->to - part->from + 1;
    if (part->from == lease->first) {
        lease->first = s_skip_done (lease, part->to + 1);
    } else {
        trn_ranges_add (&lease->done, part->from, part->to);
    }
    lease->open -= settled;
    self->open -= settled;
    if (!lease->open) {
        self->bytes -= lease->size;
        self->over++;
        trn_ranges_clear (&lease->done);
    }
    return true;
}

static void
s_compact (trn_leases_t *self)
{
    size_t kept = 0;
    for (size_t index = self->head; index < self->count; index++) {
        if (self->at[index].open) {
            self->at[kept++] = self->at[index];
        }
    }
    self->head = 0;
    self->count = kept;
    self->over = 0;
}

void
trn_leases_tidy (trn_leases_t *self)
{
    assert (self);
    while (self->head < self->count && !self->at[self->head].open) {
        self->head++;
        self->over--;
    }
    if (self->head == self->count) {
        self->head = self->count = 0;
    } else if ((self->head + self->over) * 2 > self->count
               && self->count > 16) {
        s_compact (self);
    }
}

trn_lease_t *
trn_leases_first (trn_leases_t *self)
{
    assert (self);
    trn_leases_tidy (self);
    return self->count > self->head ? &self->at[self->head] : NULL;
}
