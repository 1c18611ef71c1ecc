//  core/dedup.c - what a consumer knows of one stream
//
//  Invariant: settled, promised and hand are disjoint, unless a promise was
//  broken or given for what is in hand.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/dedup.h"

#include "base/limits.h"

#include <assert.h>

void
trn_dedup_clear (trn_dedup_t *self)
{
    assert (self);
    trn_seqset_clear (&self->settled);
    trn_seqset_clear (&self->promised);
    trn_hands_clear (&self->hand);
    *self = (trn_dedup_t) {0};
}

size_t
trn_dedup_held (const trn_dedup_t *self)
{
    return self->hand.count;
}

size_t
trn_dedup_pages (const trn_dedup_t *self)
{
    return trn_seqset_pages (&self->settled)
           + trn_seqset_pages (&self->promised);
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
    trn_hand_at_t at;
    const trn_hand_t *hand = trn_hands_find (&self->hand, from, &at);
    if (!hand || hand->from > *end_p) {
        return false;
    }
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
    trn_hands_add (&self->hand, hand);
    self->seen = hand->to > self->seen ? hand->to : self->seen;
}

//  Split so that an entry starts at seq, if one contains it.
static void
s_split (trn_dedup_t *self, uint64_t seq)
{
    trn_hand_at_t at;
    trn_hand_t *hand = trn_hands_find (&self->hand, seq, &at);
    if (!hand || hand->from >= seq) {
        return;
    }
    trn_hand_t rest = *hand;
    rest.from = seq;
    hand->to = seq - 1;
    trn_hands_add (&self->hand, &rest);
}

void
trn_dedup_adopt (trn_dedup_t *self, uint64_t from, uint64_t to, uint64_t token)
{
    assert (self && from <= to);
    s_split (self, from);
    s_split (self, to + 1);
    trn_hand_at_t at;
    for (trn_hand_t *hand = trn_hands_find (&self->hand, from, &at);
         hand && hand->from <= to; hand = trn_hands_next (&self->hand, &at)) {
        hand->token = token;
    }
}

void
trn_dedup_store (trn_dedup_t *self, uint32_t consumer, uint64_t from,
                 uint64_t to)
{
    assert (self && from <= to);
    s_split (self, from);
    s_split (self, to + 1);
    trn_hand_at_t at;
    for (trn_hand_t *hand = trn_hands_find (&self->hand, from, &at);
         hand && hand->from <= to; hand = trn_hands_next (&self->hand, &at)) {
        hand->stored = hand->stored || hand->consumer == consumer;
    }
}

bool
trn_dedup_release (trn_dedup_t *self, uint32_t consumer, uint64_t from,
                   uint64_t to, trn_hand_t *part)
{
    assert (self && part && from <= to);
    trn_hand_at_t at;
    trn_hand_t *hand = trn_hands_find (&self->hand, from, &at);
    while (hand && hand->from <= to && hand->consumer != consumer) {
        hand = trn_hands_next (&self->hand, &at);
    }
    if (!hand || hand->from > to) {
        return false;
    }
    *part = *hand;
    part->from = hand->from > from ? hand->from : from;
    part->to = hand->to < to ? hand->to : to;
    if (part->from > hand->from && part->to < hand->to) {
        trn_hand_t rest = *hand;
        rest.from = part->to + 1;
        hand->to = part->from - 1;
        trn_hands_add (&self->hand, &rest);
    } else if (part->from > hand->from) {
        hand->to = part->from - 1;
    } else if (part->to < hand->to) {
        hand->from = part->to + 1;
    } else {
        trn_hands_remove (&self->hand, at);
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
    trn_hand_at_t at;
    for (trn_hand_t *hand = trn_hands_find (&self->hand, 0, &at); hand;
         hand = trn_hands_next (&self->hand, &at)) {
        hand->token = 0;
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

void
trn_dedup_renew (trn_dedup_t *self)
{
    assert (self);
    trn_seqset_clear (&self->settled);
    trn_seqset_clear (&self->promised);
    self->floor = 0;
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
