//  core/subscription.c - one queue's position in one outbox
//
//  Knows: how seqs change their state.  What is ready and in which order is
//  known by ready.c.
//
//  Invariants: settled, leased and parked are disjoint; what is leased or parked
//  stands in no other set but ruled_seqs and counts; every plain seq at or above
//  next that is not settled and not aside has never been given out here.  With
//  plain messages in order everything here is O(1).
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/subscription.h"

#include "base/memory.h"
#include "core/ready.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

trn_subscription_t *
trn_subscription_new (const char *queue, uint64_t low)
{
    assert (queue && low >= 1);
    trn_subscription_t *self = trn_alloc (sizeof *self);
    assert (strlen (queue) < sizeof self->queue);
    memcpy (self->queue, queue, strlen (queue) + 1);
    trn_policy_default (&self->policy);
    self->next = low;
    self->low = low;
    self->durable_low = self->saving_low = low;
    if (low > 1) {
        trn_seqset_add (&self->settled, 1, low - 1);
    }
    return self;
}

void
trn_subscription_destroy (trn_subscription_t **self_p)
{
    assert (self_p);
    trn_subscription_t *self = *self_p;
    if (!self) {
        return;
    }
    trn_seqset_t *const sets[] = {
        &self->settled,  &self->foreign,    &self->leased, &self->parked,
        &self->aside,    &self->unripe,     &self->held,   &self->uncounted,
        &self->counting, &self->ruled_seqs, &self->stored,
    };
    for (size_t index = 0; index < sizeof sets / sizeof *sets; index++) {
        trn_seqset_clear (sets[index]);
    }
    for (size_t index = 0; index < TRN_PRIORITIES; index++) {
        trn_seqset_clear (&self->again[index]);
        trn_seqset_clear (&self->fresh[index]);
        trn_seqset_clear (&self->pressing[index]);
    }
    trn_counts_clear (&self->counts);
    trn_ruled_clear (&self->ruled);
    trn_returned_clear (&self->returned);
    trn_ranges_clear (&self->durable);
    trn_ranges_clear (&self->saving);
    free (self->graves.at);
    free (self->asked.at);
    trn_list_clear (&self->flows);
    free (self);
    *self_p = NULL;
}

uint64_t
trn_subscription_low (const trn_subscription_t *self)
{
    return self->low;
}

bool
trn_subscription_counts (const trn_subscription_t *self)
{
    return self->policy.max_deliveries > 1 && !self->policy.terminal;
}

//  Settled ------------------------------------------------------------------

static void
s_forget_ruled (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    trn_range_t part;
    while (trn_seqset_total (&self->ruled_seqs)
           && trn_seqset_first_in (&self->ruled_seqs, from, to, &part)) {
        trn_seqset_remove (&self->ruled_seqs, part.from, part.to);
        for (uint64_t seq = part.from; seq <= part.to; seq++) {
            const uint32_t next = trn_ruled_remove (
                &self->ruled, trn_ruled_find (&self->ruled, seq));
            if (next != TRN_RULED_NONE) {
                trn_ready_try_ruled (self, next);
            }
        }
    }
}

//  from..to is neither leased nor in any set that ready.c keeps.
static void
s_settle (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    trn_seqset_add (&self->settled, from, to);
    if (trn_seqset_total (&self->aside)) {
        trn_seqset_remove (&self->aside, from, to);
    }
    if (self->counts.total) {
        trn_counts_set (&self->counts, from, to, 0);
    }
    if (trn_seqset_total (&self->stored)) {
        trn_seqset_remove (&self->stored, from, to);
    }
    s_forget_ruled (self, from, to);
    trn_lost_settle (&self->lost, from, to, false);
    trn_range_t open;
    if (from <= self->low && self->low <= to
        && trn_seqset_first_out (&self->settled, to, TRN_SEQ_MAX, &open)) {
        self->low = open.from;
    }
}

void
trn_subscription_add_settled (trn_subscription_t *self, uint64_t from,
                              uint64_t to)
{
    assert (self && from <= to);
    s_settle (self, from, to);
}

void
trn_subscription_add_count (trn_subscription_t *self, uint64_t from,
                            uint64_t to, uint32_t count)
{
    assert (self && from <= to && count);
    trn_range_t part;
    while (from <= to
           && trn_seqset_first_out (&self->settled, from, to, &part)) {
        trn_counts_set (&self->counts, part.from, part.to, count);
        //  What is in doubt comes in its turn, to be counted once more.
        if (part.from > self->doubt || part.to < self->doubt_from) {
            trn_seqset_add (&self->aside, part.from, part.to);
            trn_ready_try (self, part.from, part.to, true);
        }
        from = part.to + 1;
    }
}

void
trn_subscription_settle (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    trn_ready_pull (self, from, to);
    s_settle (self, from, to);
}

//  Leased -------------------------------------------------------------------

//  Ruled ones of from..to wait for their times, or no longer.
static void
s_set_times (trn_subscription_t *self, uint64_t from, uint64_t to, bool wait)
{
    //  Of those with priorities or keys only, nothing has a time.
    if (!wait && !self->ruled.time_count) {
        return;
    }
    trn_range_t part;
    while (trn_seqset_total (&self->ruled_seqs) && from <= to
           && trn_seqset_first_in (&self->ruled_seqs, from, to, &part)) {
        for (uint64_t seq = part.from; seq <= part.to; seq++) {
            trn_ruled_set_time (&self->ruled,
                                trn_ruled_find (&self->ruled, seq), wait);
        }
        from = part.to + 1;
    }
}

void
trn_subscription_append (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    s_set_times (self, from, to, true);
}

void
trn_subscription_assign (trn_subscription_t *self, const trn_chance_t *chance,
                         uint64_t count)
{
    assert (self && chance && count && count <= chance->to - chance->from + 1);
    const uint64_t to = chance->from + count - 1;
    if (chance->set) {
        self->ready -= trn_seqset_remove (chance->set, chance->from, to);
        s_set_times (self, chance->from, to, false);
    } else {
        assert (chance->from == self->next);
        self->next += count;
    }
    trn_seqset_add (&self->leased, chance->from, to);
    self->stats.transmitted += count;
    self->stats.redelivered += chance->redelivered ? count : 0;
}

static void
s_unlease (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    const uint64_t gone = trn_seqset_remove (&self->leased, from, to);
    assert (gone == to - from + 1);
    (void) gone;
}

void
trn_subscription_accept (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    s_unlease (self, from, to);
    self->stats.consumed += to - from + 1;
    trn_lost_settle (&self->lost, from, to, true);
    s_settle (self, from, to);
}

void
trn_subscription_release (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    s_unlease (self, from, to);
    s_set_times (self, from, to, true);
    trn_ready_try (self, from, to, true);
}

void
trn_subscription_return (trn_subscription_t *self, uint64_t from, uint64_t to,
                         uint32_t deliveries, int64_t due_ms)
{
    assert (self && from <= to && deliveries);
    s_unlease (self, from, to);
    s_set_times (self, from, to, true);
    trn_counts_set (&self->counts, from, to, deliveries);
    if (due_ms) {
        const trn_return_t entry = {due_ms, from, to};
        trn_returned_add (&self->returned, &entry);
        trn_seqset_add (&self->unripe, from, to);
    }
#ifndef TERN_BUG_15
    if (trn_subscription_counts (self)) {
        trn_seqset_add (&self->uncounted, from, to);
        self->wants_save = true;
        if (!due_ms) {
            trn_ready_press (self, from, to);
        }
    }
#endif
    trn_ready_try (self, from, to, true);
}

//  Dead ---------------------------------------------------------------------

void
trn_graves_add (trn_graves_t *self, const trn_grave_t *grave)
{
    assert (self && grave);
    assert (self->head <= self->count && (self->at || !self->count));
    if (self->head > 16 && self->head * 2 > self->count) {
        self->count -= self->head;
        memmove (self->at, self->at + self->head,
                 self->count * sizeof *self->at);
        self->head = 0;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    assert (self->at);
    self->at[self->count++] = *grave;
}

void
trn_subscription_park (trn_subscription_t *self, uint64_t from, uint64_t to,
                       trn_death_t reason, uint32_t link)
{
    assert (self && from <= to);
    trn_seqset_remove (&self->leased, from, to);
    trn_ready_pull (self, from, to);
    if (reason == TRN_DEAD_REJECTED) {
        trn_lost_settle (&self->lost, from, to, true);
    }
    if (self->policy.terminal) {
        s_settle (self, from, to);
        self->stats.dropped += to - from + 1;
        return;
    }
    s_set_times (self, from, to, false);
    trn_seqset_add (&self->parked, from, to);
    trn_grave_t *last = self->graves.count > self->graves.head
                            ? &self->graves.at[self->graves.count - 1]
                            : NULL;
    if (last && last->to + 1 == from && last->reason == reason
        && last->link == link) {
        last->to = to;
    } else {
        trn_graves_add (&self->graves, &(trn_grave_t) {from, to, reason, link});
    }
}

//  What nobody holds --------------------------------------------------------

bool
trn_subscription_waits (const trn_subscription_t *self, uint64_t from,
                        uint64_t to, trn_range_t *part)
{
    assert (self && part);
    while (from <= to
           && trn_seqset_first_out (&self->settled, from, to, part)) {
        if (trn_seqset_first_out (&self->leased, part->from, part->to, part)
            && trn_seqset_first_out (&self->parked, part->from, part->to,
                                     part)) {
            //  Each step may have cut the end off, or have begun later; what
            //  was cut off is looked at by the next call.
            return true;
        }
        from = part->to + 1;
    }
    return false;
}

uint64_t
trn_subscription_drop (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    uint64_t count = 0;
    from = from > self->low ? from : self->low;
    trn_range_t part;
    for (uint64_t at = from;
         at <= to && trn_seqset_first_in (&self->parked, at, to, &part);
         at = part.to + 1) {
        trn_subscription_settle (self, part.from, part.to);
        count += part.to - part.from + 1;
    }
    for (uint64_t at = from;
         at <= to && trn_subscription_waits (self, at, to, &part);
         at = part.to + 1) {
        trn_subscription_settle (self, part.from, part.to);
        count += part.to - part.from + 1;
        trn_lost_add (&self->lost, part.to - part.from + 1);
    }
    self->stats.dropped += count;
    return count;
}

void
trn_subscription_expire (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    const uint64_t count = to - from + 1;
    trn_subscription_settle (self, from, to);
    trn_lost_add (&self->lost, count);
    self->stats.expired += count;
    self->stats.dropped += count;
}

void
trn_subscription_skip (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    trn_range_t part;
    while (from <= to && trn_subscription_waits (self, from, to, &part)) {
        trn_seqset_add (&self->foreign, part.from, part.to);
        trn_subscription_settle (self, part.from, part.to);
        from = part.to + 1;
    }
}

void
trn_subscription_begin (trn_subscription_t *self, const trn_seqset_t *own,
                        uint64_t to, bool foreign)
{
    assert (self && own);
    trn_range_t part;
    for (uint64_t from = self->low;
         from <= to && trn_seqset_first_out (own, from, to, &part);
         from = part.to + 1) {
        if (foreign) {
            trn_subscription_skip (self, part.from, part.to);
        } else {
            trn_subscription_settle (self, part.from, part.to);
        }
    }
}

uint64_t
trn_subscription_purge (trn_subscription_t *self, uint64_t high)
{
    assert (self);
    uint64_t count = 0;
    uint64_t from = self->low;
    trn_range_t part;
    while (from <= high && trn_subscription_waits (self, from, high, &part)) {
        trn_subscription_settle (self, part.from, part.to);
        count += part.to - part.from + 1;
        from = part.to + 1;
    }
    self->stats.dropped += count;
    return count;
}

uint64_t
trn_subscription_resume (trn_subscription_t *self, uint64_t from, uint64_t to,
                         uint64_t high)
{
    assert (self && from <= to);
    to = to < high ? to : high;
    from = from > self->low ? from : self->low;
    uint64_t count = 0;
    trn_range_t part;
    while (from <= to && trn_subscription_waits (self, from, to, &part)) {
        trn_lost_settle (&self->lost, part.from, part.to, true);
        trn_subscription_settle (self, part.from, part.to);
        count += part.to - part.from + 1;
        from = part.to + 1;
    }
    self->stats.consumed += count;
    return count;
}

void
trn_subscription_hold (trn_subscription_t *self, uint64_t seq)
{
    assert (self);
    if (!trn_seqset_has (&self->settled, seq)
        && !trn_seqset_has (&self->leased, seq)) {
        trn_ready_pull (self, seq, seq);
        trn_seqset_add (&self->held, seq, seq);
        if (seq >= self->next) {
            trn_seqset_add (&self->aside, seq, seq);
        }
    }
}

void
trn_subscription_unhold (trn_subscription_t *self, uint64_t seq)
{
    assert (self);
    if (trn_seqset_remove (&self->held, seq, seq)) {
        trn_ready_try (self, seq, seq, false);
    }
}

//  Saved --------------------------------------------------------------------

void
trn_subscription_saving (trn_subscription_t *self)
{
    assert (self);
    self->introduced = true;
    trn_range_t part;
    if (trn_seqset_total (&self->foreign) && self->low > 1) {
        trn_seqset_remove (&self->foreign, 1, self->low - 1);
    }
    while (trn_seqset_total (&self->uncounted)
           && trn_seqset_first_in (&self->uncounted, 1, TRN_SEQ_MAX, &part)) {
        trn_seqset_remove (&self->uncounted, part.from, part.to);
        trn_seqset_add (&self->counting, part.from, part.to);
    }
    self->wants_save = false;
    trn_lost_saving (&self->lost);
}

void
trn_subscription_saved (trn_subscription_t *self)
{
    assert (self);
    self->unknown = self->unknown && !self->introduced;
    trn_ranges_clear (&self->durable);
    self->durable = self->saving;
    self->saving = (trn_ranges_t) {0};
    self->durable_low = self->saving_low;
    trn_lost_saved (&self->lost);
    trn_range_t part;
    while (trn_seqset_total (&self->counting)
           && trn_seqset_first_in (&self->counting, 1, TRN_SEQ_MAX, &part)) {
        trn_seqset_remove (&self->counting, part.from, part.to);
        trn_ready_unpress (self, part.from, part.to);
        trn_ready_try (self, part.from, part.to, true);
    }
}

bool
trn_subscription_settled_for_good (const trn_subscription_t *self, uint64_t seq)
{
    assert (self);
    return seq < self->durable_low || trn_ranges_has (&self->durable, seq)
           || trn_seqset_has (&self->foreign, seq);
}

//  Stored -------------------------------------------------------------------

void
trn_subscription_store (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    trn_seqset_add (&self->stored, from, to);
}

uint64_t
trn_subscription_stored (const trn_subscription_t *self)
{
    assert (self);
    uint64_t seq = self->low;
    trn_range_t part;
    //  Settled and stored are disjoint, so they take turns.
    while (trn_seqset_first_out (&self->stored, seq, TRN_SEQ_MAX, &part)
           && (part.from > seq || trn_seqset_has (&self->settled, part.from))) {
        seq = part.from;
        if (trn_seqset_first_out (&self->settled, seq, TRN_SEQ_MAX, &part)) {
            seq = part.from;
        }
    }
    return seq;
}

uint64_t
trn_subscription_waiting (const trn_subscription_t *self, uint64_t high)
{
    assert (self);
    if (self->low > high) {
        return 0;
    }
    return high - self->low + 1
           - trn_seqset_count (&self->settled, self->low, high)
           - trn_seqset_total (&self->leased)
           - trn_seqset_total (&self->parked);
}
