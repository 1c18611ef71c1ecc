//  core/subscription.c - one queue's position in one outbox
//
//  Invariant: settled, parked, returned and the leases of the flows are
//  disjoint; all returned, parked and leased seqs are below next.  In order,
//  with one consumer, settled is one range that grows at its end, and every
//  function here is O(1).
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/subscription.h"

#include "base/memory.h"

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
    self->next = low;
    self->durable_low = low;
    if (low > 1) {
        trn_ranges_add (&self->settled, 1, low - 1);
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
    trn_ranges_clear (&self->settled);
    trn_ranges_clear (&self->parked);
    trn_ranges_clear (&self->durable);
    trn_ranges_clear (&self->saving);
    trn_returned_clear (&self->returned);
    trn_list_clear (&self->flows);
    free (self);
    *self_p = NULL;
}

uint64_t
trn_subscription_low (const trn_subscription_t *self)
{
    const trn_ranges_t *settled = &self->settled;
    return settled->count && settled->at[0].from <= 1 ? settled->at[0].to + 1
                                                      : 1;
}

bool
trn_subscription_crowded (const trn_subscription_t *self)
{
    return self->settled.count >= TRN_SCATTER_MAX
           || self->parked.count >= TRN_SCATTER_MAX
           || trn_returned_entries (&self->returned) >= TRN_SCATTER_MAX;
}

uint64_t
trn_subscription_available (trn_subscription_t *self, uint64_t high,
                            int64_t now_ms)
{
    assert (self);
    trn_returned_ripen (&self->returned, now_ms);
    uint64_t available = self->returned.due_messages;
    if (self->next <= high && !trn_subscription_crowded (self)) {
        available += high - self->next + 1;
    }
    return available;
}

//  The first new seqs that are not settled; next moves up to them.
static bool
s_chance_new (trn_subscription_t *self, uint64_t high, trn_chance_t *chance)
{
    if (self->next > high || trn_subscription_crowded (self)) {
        return false;
    }
    trn_range_t open;
    if (!trn_ranges_first_out (&self->settled, self->next, high, &open)) {
        self->next = high + 1;
        return false;
    }
    self->next = open.from;
    *chance = (trn_chance_t) {
        .from = open.from,
        .to = open.to,
        .deliveries = 1,
    };
    //  What an earlier life may have sent is cut off from what nobody saw.
    if (open.from <= self->doubt) {
        chance->redelivered = true;
        chance->to = open.to < self->doubt ? open.to : self->doubt;
    }
    return true;
}

bool
trn_subscription_chance (trn_subscription_t *self, uint64_t high,
                         int64_t now_ms, trn_chance_t *chance)
{
    assert (self && chance);
    trn_returned_ripen (&self->returned, now_ms);
    const trn_return_t *first = trn_returned_first (&self->returned);
    if (!first) {
        return s_chance_new (self, high, chance);
    }
    *chance = (trn_chance_t) {
        .from = first->from,
        .to = first->to,
        .deliveries = first->deliveries + 1,
        .redelivered = first->redelivered,
        .returned = true,
    };
    return true;
}

//  The first count seqs of the chance leave their place.
static void
s_advance (trn_subscription_t *self, const trn_chance_t *chance, uint64_t count)
{
    assert (count && count <= chance->to - chance->from + 1);
    if (chance->returned) {
        trn_returned_shift (&self->returned, count);
    } else {
        assert (chance->from == self->next);
        self->next += count;
    }
}

void
trn_subscription_assign (trn_subscription_t *self, const trn_chance_t *chance,
                         uint64_t count)
{
    assert (self && chance);
    s_advance (self, chance, count);
    self->leased += count;
    self->stats.transmitted += count;
    self->stats.redelivered += chance->redelivered ? count : 0;
}

//  Settle the new seqs of from..to, without moving next.
static uint64_t
s_settle_new (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    from = from > self->next ? from : self->next;
    trn_range_t part;
    while (from <= to
           && trn_ranges_first_out (&self->settled, from, to, &part)) {
        trn_ranges_add (&self->settled, part.from, part.to);
        count += part.to - part.from + 1;
        from = part.to + 1;
    }
    return count;
}

//  Settle the returned seqs of from..to.
static uint64_t
s_settle_returned (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    trn_return_t taken;
    while (self->returned.messages
           && trn_returned_take (&self->returned, from, to, &taken)) {
        trn_ranges_add (&self->settled, taken.from, taken.to);
        count += taken.to - taken.from + 1;
    }
    return count;
}

uint64_t
trn_subscription_drop (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    uint64_t count = s_settle_returned (self, from, to);
    count += s_settle_new (self, from, to);
    self->stats.dropped += count;
    return count;
}

uint64_t
trn_subscription_resume (trn_subscription_t *self, uint64_t from, uint64_t to,
                         uint64_t high)
{
    assert (self && from <= to);
    if (from > high) {
        return 0;
    }
    to = to < high ? to : high;
    uint64_t count = s_settle_returned (self, from, to);
    count += s_settle_new (self, from, to);
    self->stats.consumed += count;
    return count;
}

static void
s_unlease (trn_subscription_t *self, uint64_t count)
{
    assert (self->leased >= count);
    self->leased -= count;
}

void
trn_subscription_accept (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    s_unlease (self, to - from + 1);
    self->stats.consumed += to - from + 1;
    trn_ranges_add (&self->settled, from, to);
}

void
trn_subscription_park (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    s_unlease (self, to - from + 1);
    self->stats.rejected += to - from + 1;
    trn_ranges_add (&self->parked, from, to);
}

void
trn_subscription_return (trn_subscription_t *self, const trn_return_t *entry)
{
    assert (self && entry);
    s_unlease (self, entry->to - entry->from + 1);
    trn_returned_add (&self->returned, entry);
}

uint64_t
trn_subscription_waiting (const trn_subscription_t *self, uint64_t high)
{
    assert (self);
    uint64_t waiting = self->returned.messages;
    uint64_t from = self->next;
    trn_range_t part;
    while (from <= high
           && trn_ranges_first_out (&self->settled, from, high, &part)) {
        waiting += part.to - part.from + 1;
        from = part.to + 1;
    }
    return waiting;
}
