//  core/dedup.c - what a consumer knows of one stream
//
//  Invariant: settled, promised and hand are disjoint, unless a promise was
//  broken or given for what is in hand.  Runs come in order, so what comes
//  into hand is appended, and what is settled in order leaves from the head.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/dedup.h"

#include "base/limits.h"
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
trn_dedup_clear (trn_dedup_t *self)
{
    assert (self);
    trn_seqset_clear (&self->settled);
    trn_seqset_clear (&self->promised);
    free (self->hand);
    *self = (trn_dedup_t) {0};
}

size_t
trn_dedup_held (const trn_dedup_t *self)
{
    return self->count - self->head;
}

size_t
trn_dedup_pages (const trn_dedup_t *self)
{
    return trn_seqset_pages (&self->settled)
           + trn_seqset_pages (&self->promised);
}

//  Index of the first entry in hand that ends at or after seq.
static size_t
s_find (const trn_dedup_t *self, uint64_t seq)
{
    size_t low = self->head;
    size_t high = self->count;
    if (low < high && self->hand[low].to >= seq) {
        return low;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->hand[middle].to < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void
s_insert (trn_dedup_t *self, size_t index, const trn_hand_t *hand)
{
    if (self->count == self->capacity && self->head * 2 > self->count) {
        const size_t live = self->count - self->head;
        memmove (self->hand, self->hand + self->head,
                 live * sizeof *self->hand);
        index -= self->head;
        self->head = 0;
        self->count = live;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->hand
            = trn_realloc (self->hand, self->capacity * sizeof *self->hand);
    }
    memmove (self->hand + index + 1, self->hand + index,
             (self->count - index) * sizeof *self->hand);
    self->hand[index] = *hand;
    self->count++;
}

static void
s_remove (trn_dedup_t *self, size_t index)
{
    if (index == self->head) {
        self->head++;
    } else {
        memmove (self->hand + index, self->hand + index + 1,
                 (self->count - index - 1) * sizeof *self->hand);
        self->count--;
    }
    if (self->head == self->count) {
        self->head = self->count = 0;
    }
}

//  Is from in the set, and how far towards *end_p does that answer reach?
static bool
s_is_in (const trn_seqset_t *set, uint64_t from, uint64_t *end_p)
{
    trn_range_t part;
    if (!trn_seqset_first_in (set, from, *end_p, &part)) {
        return false;
    }
    *end_p = part.from > from ? part.from - 1 : part.to;
    return part.from == from;
}

static bool
s_is_in_hand (const trn_dedup_t *self, uint64_t from, uint64_t *end_p)
{
    const size_t index = s_find (self, from);
    if (index == self->count || self->hand[index].from > *end_p) {
        return false;
    }
    const trn_hand_t *hand = &self->hand[index];
    if (hand->from > from) {
        *end_p = hand->from - 1;
        return false;
    }
    *end_p = *end_p < hand->to ? *end_p : hand->to;
    return true;
}

bool
trn_dedup_promised (const trn_dedup_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    trn_range_t part;
    return from < self->floor
           || trn_seqset_first_in (&self->promised, from, to, &part);
}

trn_seq_state_t
trn_dedup_look (const trn_dedup_t *self, uint64_t from, uint64_t to,
                uint64_t *end_p)
{
    assert (self && end_p && from <= to);
    *end_p = to;
    if (from > self->seen) {
        return TRN_SEQ_NEW;
    }
    if (s_is_in_hand (self, from, end_p)) {
        return TRN_SEQ_IN_HAND;
    }
    return s_is_in (&self->settled, from, end_p) ? TRN_SEQ_SETTLED
                                                 : TRN_SEQ_NEW;
}

void
trn_dedup_take (trn_dedup_t *self, const trn_hand_t *hand)
{
    assert (self && hand && hand->from <= hand->to);
    size_t index = self->count;
    if (index > self->head && self->hand[index - 1].to >= hand->from) {
        index = s_find (self, hand->from);
        assert (self->hand[index].from > hand->to);
    }
    s_insert (self, index, hand);
    self->seen = hand->to > self->seen ? hand->to : self->seen;
}

//  Split so that an entry starts at seq, if one contains it.
static void
s_split (trn_dedup_t *self, uint64_t seq)
{
    const size_t index = s_find (self, seq);
    if (index == self->count || self->hand[index].from >= seq) {
        return;
    }
    trn_hand_t rest = self->hand[index];
    rest.from = seq;
    self->hand[index].to = seq - 1;
    s_insert (self, index + 1, &rest);
}

void
trn_dedup_adopt (trn_dedup_t *self, uint64_t from, uint64_t to, uint64_t token)
{
    assert (self && from <= to);
    s_split (self, from);
    s_split (self, to + 1);
    for (size_t index = s_find (self, from);
         index < self->count && self->hand[index].from <= to; index++) {
        self->hand[index].token = token;
    }
}

bool
trn_dedup_release (trn_dedup_t *self, uint32_t consumer, uint64_t from,
                   uint64_t to, trn_hand_t *part)
{
    assert (self && part && from <= to);
    size_t index = s_find (self, from);
    while (index < self->count && self->hand[index].from <= to
           && self->hand[index].consumer != consumer) {
        index++;
    }
    if (index == self->count || self->hand[index].from > to) {
        return false;
    }
    trn_hand_t *entry = &self->hand[index];
    *part = *entry;
    part->from = entry->from > from ? entry->from : from;
    part->to = entry->to < to ? entry->to : to;
    if (part->from > entry->from && part->to < entry->to) {
        trn_hand_t rest = *entry;
        rest.from = part->to + 1;
        entry->to = part->from - 1;
        s_insert (self, index + 1, &rest);
    } else if (part->from > entry->from) {
        entry->to = part->from - 1;
    } else if (part->to < entry->to) {
        entry->from = part->to + 1;
    } else {
        s_remove (self, index);
    }
    return true;
}

void
trn_dedup_settle (trn_dedup_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    if (to < self->floor) {
        return;
    }
    trn_seqset_add (&self->settled, from > self->floor ? from : self->floor,
                    to);
#ifdef TERN_BUG_9
    trn_range_t at[3];
    while (trn_seqset_first_in (&self->settled, 0, TRN_SEQ_MAX, &at[0])
           && trn_seqset_first_in (&self->settled, at[0].to + 1, TRN_SEQ_MAX,
                                   &at[1])
           && trn_seqset_first_in (&self->settled, at[1].to + 1, TRN_SEQ_MAX,
                                   &at[2])) {
        trn_seqset_remove (&self->settled, 0, at[0].to);
    }
#endif
}

void
trn_dedup_orphan (trn_dedup_t *self)
{
    assert (self);
    for (size_t index = self->head; index < self->count; index++) {
        self->hand[index].token = 0;
    }
}

void
trn_dedup_raise (trn_dedup_t *self, uint64_t floor)
{
    assert (self);
    if (floor > self->floor) {
        self->floor = floor;
        trn_seqset_remove (&self->settled, 0, floor - 1);
        trn_seqset_remove (&self->promised, 0, floor - 1);
    }
}

//  A publisher that scatters its promises does not make us grow: beyond the
//  limit we keep what we know ourselves.
void
trn_dedup_promise (trn_dedup_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    if (from >= self->floor
        && trn_seqset_pages (&self->promised) < TRN_DEDUP_PAGES_MAX) {
        trn_seqset_add (&self->promised, from, to);
        trn_seqset_remove (&self->settled, from, to);
    }
}
