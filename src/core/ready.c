//  core/ready.c - which message of a queue comes next
//
//  Knows: when a message is ready, and the order of those that are.  A ruled one
//  is ready when none of the reasons to wait holds; each of these, when it ends,
//  asks again.  So no reason has to know the others.
//
//      ruled   not due · an older one of its key is unsettled
//      all     unripe · its count is not durable · held
//
//  After an unclean end, all up to `doubt` may have been delivered once more than
//  its count says.  Where a limit of deliveries holds, that one is counted, and
//  the count is made durable, before it is delivered again: for plain ones in
//  chunks, just before they are needed, so that an outbox that crashes again and
//  again does not count what it never came to.
//
//  While something that came back waits for nothing but its count, nothing that
//  is new, and nothing behind it, is given out: the order of messages survives a
//  broken connection and a crash.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/ready.h"

#include <assert.h>

//  Seqs whose doubt is counted by one save.
#define PLAIN_CHUNK 16384u
#define RULED_CHUNK 1024u

//  Ordering keys are told apart by so much of their hash.
static uint32_t
s_fold (uint64_t hash)
{
    const uint32_t folded = (uint32_t) (hash ^ (hash >> 32));
    return hash && !folded ? 1 : folded;
}

static uint64_t
s_time (uint64_t wall_ms)
{
    return wall_ms < TRN_RULED_TIME_MAX ? wall_ms : TRN_RULED_TIME_MAX;
}

static bool
s_has (const trn_seqset_t *set, uint64_t seq)
{
    return trn_seqset_total (set) && trn_seqset_has (set, seq);
}

static bool
s_in_doubt (const trn_subscription_t *self, uint64_t seq)
{
    return self->doubt_from <= seq && seq <= self->doubt;
}

//  Becoming ready -----------------------------------------------------------

static bool
s_rests (const trn_subscription_t *self, uint64_t seq)
{
    return s_has (&self->unripe, seq) || s_has (&self->uncounted, seq)
           || s_has (&self->counting, seq) || s_has (&self->held, seq);
}

static void
s_try_ruled (trn_subscription_t *self, uint32_t number, bool came_back)
{
    const trn_ruled_entry_t *entry = &self->ruled.at[number];
    const uint64_t seq = entry->seq;
    if (entry->due_ms || s_rests (self, seq) || s_has (&self->leased, seq)
        || s_has (&self->parked, seq) || s_has (&self->settled, seq)
        || s_has (&self->again[entry->priority], seq)
        || s_has (&self->fresh[entry->priority], seq)) {
        return;
    }
#ifndef TERN_BUG_25
    if (!trn_ruled_is_first (&self->ruled, number)) {
        return;
    }
#endif
    uint64_t to = seq;
    const bool again = came_back || s_in_doubt (self, seq)
                       || trn_counts_get (&self->counts, seq, &to);
    self->ready += trn_seqset_add (again ? &self->again[entry->priority]
                                         : &self->fresh[entry->priority],
                                   seq, seq);
}

void
trn_ready_try_ruled (trn_subscription_t *self, uint32_t number)
{
    assert (self);
    s_try_ruled (self, number, false);
}

static void
s_try_plain (trn_subscription_t *self, uint64_t from, uint64_t to,
             bool came_back)
{
    const trn_seqset_t *const rests[]
        = {&self->unripe, &self->uncounted, &self->counting, &self->held};
    const size_t count = sizeof rests / sizeof *rests;
    while (from <= to) {
        trn_range_t part = {from, to};
        size_t index = 0;
        while (index < count
               && (!trn_seqset_total (rests[index])
                   || trn_seqset_first_out (rests[index], part.from, part.to,
                                            &part))) {
            index++;
        }
        if (index == count) {
            self->ready += trn_seqset_add (came_back ? &self->again[0]
                                                     : &self->fresh[0],
                                           part.from, part.to);
        }
        from = part.to + 1;
    }
}

void
trn_ready_try (trn_subscription_t *self, uint64_t from, uint64_t to,
               bool came_back)
{
    assert (self && from <= to);
    trn_range_t part;
    while (from <= to && trn_seqset_total (&self->ruled_seqs)
           && trn_seqset_first_in (&self->ruled_seqs, from, to, &part)) {
        if (part.from > from) {
            s_try_plain (self, from, part.from - 1, came_back);
        }
        for (uint64_t seq = part.from; seq <= part.to; seq++) {
            s_try_ruled (self, trn_ruled_find (&self->ruled, seq), came_back);
        }
        from = part.to + 1;
    }
    if (from <= to) {
        s_try_plain (self, from, to, came_back);
    }
}

void
trn_ready_add (trn_subscription_t *self, const trn_rule_t *rule, uint64_t high,
               uint64_t wall_ms)
{
    assert (self && rule && rule->priority < TRN_PRIORITIES);
    const uint64_t seq = rule->seq;
    if (seq <= self->told) {
        return;
    }
    self->told = seq;
    const bool plain
        = !rule->priority && !rule->due_ms && !rule->expires_ms && !rule->order;
    if (plain || seq < self->next || trn_seqset_has (&self->settled, seq)) {
        return;
    }
    const uint64_t due_ms = rule->due_ms > wall_ms ? rule->due_ms : 0;
    const trn_ruled_entry_t entry = {
        .seq = seq,
        .due_ms = s_time (due_ms) & TRN_RULED_TIME_MAX,
        .expires_ms = s_time (rule->expires_ms) & TRN_RULED_TIME_MAX,
        .order = s_fold (rule->order),
        .priority = rule->priority & 15u,
        .counted = !s_in_doubt (self, seq),
    };
    if (trn_seqset_total (&self->again[0])) {
        self->ready -= trn_seqset_remove (&self->again[0], seq, seq);
    }
    trn_seqset_add (&self->ruled_seqs, seq, seq);
    const uint32_t number = trn_ruled_add (&self->ruled, &entry);
    trn_ruled_set_time (&self->ruled, number, seq <= high);
    s_try_ruled (self, number, false);
}

//  Standing nowhere ---------------------------------------------------------

static void
s_pull_ruled (trn_subscription_t *self, uint64_t seq)
{
    const trn_ruled_entry_t *entry
        = &self->ruled.at[trn_ruled_find (&self->ruled, seq)];
    self->ready -= trn_seqset_remove (&self->again[entry->priority], seq, seq);
    self->ready -= trn_seqset_remove (&self->fresh[entry->priority], seq, seq);
}

static uint64_t
s_remove (trn_seqset_t *set, uint64_t from, uint64_t to)
{
    return trn_seqset_total (set) ? trn_seqset_remove (set, from, to) : 0;
}

void
trn_ready_press (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    trn_range_t part;
    while (from <= to && trn_seqset_total (&self->ruled_seqs)
           && trn_seqset_first_in (&self->ruled_seqs, from, to, &part)) {
        if (part.from > from) {
            trn_seqset_add (&self->pressing[0], from, part.from - 1);
        }
        for (uint64_t seq = part.from; seq <= part.to; seq++) {
            const uint32_t number = trn_ruled_find (&self->ruled, seq);
            trn_seqset_add (&self->pressing[self->ruled.at[number].priority],
                            seq, seq);
        }
        from = part.to + 1;
    }
    if (from <= to) {
        trn_seqset_add (&self->pressing[0], from, to);
    }
}

void
trn_ready_unpress (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    for (size_t index = 0; index < TRN_PRIORITIES; index++) {
        s_remove (&self->pressing[index], from, to);
    }
}

void
trn_ready_pull (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    self->ready -= s_remove (&self->again[0], from, to);
    self->ready -= s_remove (&self->fresh[0], from, to);
    trn_seqset_t *const sets[] = {&self->unripe, &self->uncounted,
                                  &self->counting, &self->held, &self->parked};
    for (size_t index = 0; index < sizeof sets / sizeof *sets; index++) {
        s_remove (sets[index], from, to);
    }
    trn_ready_unpress (self, from, to);
    trn_range_t part;
    while (from <= to && trn_seqset_total (&self->ruled_seqs)
           && trn_seqset_first_in (&self->ruled_seqs, from, to, &part)) {
        for (uint64_t seq = part.from; seq <= part.to; seq++) {
            s_pull_ruled (self, seq);
        }
        from = part.to + 1;
    }
}

void
trn_ready_ripen (trn_subscription_t *self, int64_t now_ms)
{
    assert (self);
    trn_return_t ripe;
    while (trn_returned_take (&self->returned, now_ms, &ripe)) {
        uint64_t from = ripe.from;
        trn_range_t part;
        //  What was settled since is not unripe any more.
        while (from <= ripe.to && trn_seqset_total (&self->unripe)
               && trn_seqset_first_in (&self->unripe, from, ripe.to, &part)) {
            trn_seqset_remove (&self->unripe, part.from, part.to);
            trn_ready_try (self, part.from, part.to, true);
            from = part.to + 1;
        }
    }
}

//  Doubt --------------------------------------------------------------------

//  An earlier life may have delivered from..to: count it, or it is spent.  What
//  was spent before was not delivered again.
static void
s_count_doubt (trn_subscription_t *self, uint64_t from, uint64_t to)
{
    const uint32_t most = self->policy.max_deliveries;
    while (from <= to) {
        uint64_t last = to;
        uint32_t count = trn_counts_get (&self->counts, from, &last);
        count += count < most;
        if (count >= most) {
            trn_counts_set (&self->counts, from, last, count);
            trn_subscription_park (self, from, last, TRN_DEAD_SPENT, 0);
        } else {
            trn_counts_set (&self->counts, from, last, count);
            trn_seqset_add (&self->uncounted, from, last);
            trn_ready_press (self, from, last);
            self->wants_save = true;
        }
        from = last + 1;
    }
}

//  from is ruled, ready and in doubt: count it and some of those behind it.
static void
s_count_ruled (trn_subscription_t *self, trn_seqset_t *set, uint64_t from)
{
    trn_range_t part;
    for (uint32_t count = 0;
         count < RULED_CHUNK && from <= self->doubt
         && trn_seqset_first_in (set, from, self->doubt, &part);
         count++) {
        const uint64_t seq = part.from;
        const uint32_t number = trn_ruled_find (&self->ruled, seq);
        if (number != TRN_RULED_NONE && !self->ruled.at[number].counted) {
            self->ruled.at[number].counted = 1;
            self->ready -= trn_seqset_remove (set, seq, seq);
            s_count_doubt (self, seq, seq);
        }
        from = seq + 1;
    }
}

static bool
s_is_uncounted (const trn_subscription_t *self, uint64_t seq)
{
    if (!s_in_doubt (self, seq) || !trn_subscription_counts (self)) {
        return false;
    }
    const uint32_t number = trn_ruled_find (&self->ruled, seq);
    return number != TRN_RULED_NONE && !self->ruled.at[number].counted;
}

//  The next one ------------------------------------------------------------

//  Consecutive ones that are alike; part is cut to them.
static void
s_fill (const trn_subscription_t *self, const trn_range_t *part,
        trn_seqset_t *set, trn_chance_t *chance)
{
    uint64_t to = part->to;
    if (part->from < self->doubt_from) {
        to = to < self->doubt_from ? to : self->doubt_from - 1;
    } else if (part->from <= self->doubt) {
        to = to < self->doubt ? to : self->doubt;
        //  Each of them may be in doubt or not.
        if (set && self->ruled.count) {
            to = part->from;
        }
    }
    const uint32_t count = trn_counts_get (&self->counts, part->from, &to);
    *chance = (trn_chance_t) {
        .from = part->from,
        .to = to,
        .deliveries = count + 1,
        .redelivered = count || s_in_doubt (self, part->from),
        .set = set,
    };
}

//  The first part of a set that may go.
static bool
s_first_in (trn_subscription_t *self, trn_seqset_t *set, size_t priority,
            uint64_t high, trn_range_t *part)
{
    while (trn_seqset_total (set) && self->low <= high
           && trn_seqset_first_in (set, self->low, high, part)) {
        if (!s_is_uncounted (self, part->from)) {
            return true;
        }
        s_count_ruled (self, set, part->from);
        const trn_seqset_t *pressing = &self->pressing[priority];
        if (trn_seqset_total (pressing)) {
            return false;
        }
    }
    return false;
}

static bool
s_first_plain (const trn_subscription_t *self, uint64_t from, uint64_t to,
               trn_range_t *part)
{
    while (from <= to
           && trn_seqset_first_out (&self->settled, from, to, part)) {
        if ((!trn_seqset_total (&self->ruled_seqs)
             || trn_seqset_first_out (&self->ruled_seqs, part->from, part->to,
                                      part))
            && (!trn_seqset_total (&self->parked)
                || trn_seqset_first_out (&self->parked, part->from, part->to,
                                         part))
            && (!trn_seqset_total (&self->aside)
                || trn_seqset_first_out (&self->aside, part->from, part->to,
                                         part))) {
            return true;
        }
        from = part->to + 1;
    }
    return false;
}

//  Too scattered to assign anything new: only what came back is delivered.
static bool
s_is_crowded (const trn_subscription_t *self)
{
    return trn_seqset_pages (&self->settled) >= TRN_SCATTER_PAGES
           || trn_seqset_pages (&self->parked) >= TRN_SCATTER_PAGES;
}

//  The first plain ones that were never given out; next moves up to them.
static bool
s_next_plain (trn_subscription_t *self, uint64_t high, trn_range_t *part)
{
    while (self->next <= high && !s_is_crowded (self)) {
        if (!s_first_plain (self, self->next, high, part)) {
            self->next = high + 1;
            return false;
        }
        self->next = part->from;
        if (!s_in_doubt (self, self->next) || !trn_subscription_counts (self)) {
            return true;
        }
        uint64_t end = self->next + PLAIN_CHUNK - 1;
        end = end < self->doubt ? end : self->doubt;
        end = end < high ? end : high;
        while (self->next <= end
               && s_first_plain (self, self->next, end, part)) {
            self->next = part->to + 1;
            s_count_doubt (self, part->from, part->to);
        }
        self->next = end + 1;
        if (trn_seqset_total (&self->pressing[0])) {
            break;
        }
    }
    return false;
}

uint64_t
trn_ready_available (const trn_subscription_t *self, uint64_t high)
{
    assert (self);
    uint64_t available = self->ready;
    if (self->next <= high && !s_is_crowded (self)) {
        available += high - self->next + 1;
    }
    return available;
}

static bool
s_plain_chance (trn_subscription_t *self, uint64_t high, trn_chance_t *chance)
{
    trn_range_t plain;
    trn_range_t ruled;
    const bool is_plain = s_next_plain (self, high, &plain);
    const bool is_ruled = s_first_in (self, &self->fresh[0], 0, high, &ruled);
    if (is_plain && (!is_ruled || plain.from < ruled.from)) {
        s_fill (self, &plain, NULL, chance);
    } else if (is_ruled) {
        s_fill (self, &ruled, &self->fresh[0], chance);
    }
    return is_plain || is_ruled;
}

static bool
s_chance (trn_subscription_t *self, uint64_t high, trn_chance_t *chance)
{
    trn_range_t part;
    //  A rule comes before its message is there: ready may lie behind high.
    for (size_t left = TRN_PRIORITIES; left && high && self->ready; left--) {
        const size_t priority = left - 1;
        trn_seqset_t *again = &self->again[priority];
        trn_seqset_t *fresh = &self->fresh[priority];
        const bool presses
            = trn_seqset_first_in (&self->pressing[priority], 1, high, &part);
        const uint64_t end = presses ? part.from - 1 : high;
        if (s_first_in (self, again, priority, end, &part)) {
            s_fill (self, &part, again, chance);
            return true;
        }
        //  What is held up here must not be overtaken by less urgent ones.
        if (presses && (trn_seqset_total (again) || trn_seqset_total (fresh))) {
            return false;
        }
        if (priority && !presses
            && s_first_in (self, fresh, priority, high, &part)) {
            s_fill (self, &part, fresh, chance);
            return true;
        }
    }
    return !trn_seqset_total (&self->pressing[0])
           && s_plain_chance (self, high, chance);
}

//  An earlier life, or a rule of that time, gave them out as often as may be.
static bool
s_is_spent (const trn_subscription_t *self, const trn_chance_t *chance)
{
    const trn_policy_t *policy = &self->policy;
    return policy->max_deliveries && !policy->terminal
           && chance->deliveries > policy->max_deliveries;
}

bool
trn_ready_chance (trn_subscription_t *self, uint64_t high, trn_chance_t *chance)
{
    assert (self && chance);
    while (s_chance (self, high, chance)) {
        if (!s_is_spent (self, chance)) {
            return true;
        }
        trn_subscription_park (self, chance->from, chance->to, TRN_DEAD_SPENT,
                               0);
        if (!chance->set) {
            self->next = chance->to + 1;
        }
    }
    return false;
}

//  Ahead -------------------------------------------------------------------

static size_t
s_peek_set (const trn_subscription_t *self, const trn_seqset_t *set,
            uint64_t *seqs, size_t max)
{
    size_t count = 0;
    uint64_t from = self->low;
    trn_range_t part;
    while (count < max && trn_seqset_total (set)
           && trn_seqset_first_in (set, from, TRN_SEQ_MAX, &part)) {
        for (uint64_t seq = part.from; seq <= part.to && count < max; seq++) {
            seqs[count++] = seq;
        }
        from = part.to + 1;
    }
    return count;
}

size_t
trn_ready_peek (const trn_subscription_t *self, uint64_t *seqs, size_t max)
{
    assert (self && seqs);
    size_t count = 0;
    for (size_t left = TRN_PRIORITIES; left; left--) {
        count += s_peek_set (self, &self->again[left - 1], seqs + count,
                             max - count);
        count += s_peek_set (self, &self->fresh[left - 1], seqs + count,
                             max - count);
    }
    return count;
}
