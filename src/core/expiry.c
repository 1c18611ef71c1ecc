//  core/expiry.c - what happens to messages because the wall clock moves
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/expiry.h"

#include "base/memory.h"
#include "core/burial.h"
#include "core/dispatch.h"
#include "core/publication.h"
#include "core/ready.h"

#include <assert.h>

//  Between two marks, as long as there are few.
#define MARK_EVERY_MS 1000

//  Marks --------------------------------------------------------------------

//  Half of them, twice as far apart.
static void
s_thin_out (trn_publication_t *self)
{
    size_t kept = 0;
    for (size_t index = 1; index < self->mark_count; index += 2) {
        self->marks[kept++] = self->marks[index];
    }
    self->mark_count = kept;
    self->mark_every_ms *= 2;
}

static void
s_forget_marks (trn_publication_t *self, uint64_t below)
{
    size_t gone = 0;
    while (gone < self->mark_count && self->marks[gone].seq < below) {
        gone++;
    }
    for (size_t index = gone; gone && index < self->mark_count; index++) {
        self->marks[index - gone] = self->marks[index];
    }
    self->mark_count -= gone;
    if (!self->mark_count) {
        self->mark_every_ms = MARK_EVERY_MS;
    }
}

void
trn_expiry_mark (const trn_engine_t *engine, trn_publication_t *publication)
{
    assert (engine && publication);
    const uint64_t wall_ms = trn_engine_wall (engine);
    const trn_mark_t *last
        = publication->mark_count
              ? &publication->marks[publication->mark_count - 1]
              : NULL;
    if (!wall_ms || !publication->high
        || (last
            && (publication->high <= last->seq
                || wall_ms < last->wall_ms + publication->mark_every_ms))) {
        return;
    }
    if (!publication->marks) {
        publication->marks
            = trn_alloc (TRN_MARKS_MAX * sizeof *publication->marks);
    }
    s_forget_marks (publication, trn_publication_low (publication));
    if (publication->mark_count == TRN_MARKS_MAX) {
        s_thin_out (publication);
    }
    publication->marks[publication->mark_count++]
        = (trn_mark_t) {publication->high, wall_ms};
}

//  The first mark that this queue has not come to, or NULL.
static const trn_mark_t *
s_next_mark (const trn_subscription_t *sub)
{
    const trn_publication_t *publication = sub->publication;
    for (size_t index = 0;
         sub->policy.ttl_ms && index < publication->mark_count; index++) {
        if (publication->marks[index].seq > sub->swept) {
            return &publication->marks[index];
        }
    }
    return NULL;
}

//  The end of a time --------------------------------------------------------

static void
s_end_part (trn_engine_t *engine, trn_subscription_t *sub,
            const trn_range_t *part)
{
    if (!sub->policy.drop_expired && !sub->policy.terminal) {
        trn_burial_park (engine, sub, part->from, part->to, TRN_DEAD_EXPIRED,
                         0);
        return;
    }
    trn_subscription_expire (sub, part->from, part->to);
    trn_publication_urge (engine, sub->publication);
}

void
trn_expiry_end (trn_engine_t *engine, trn_subscription_t *sub, uint64_t from,
                uint64_t to)
{
    assert (engine && sub && from <= to);
    trn_range_t part;
    while (from <= to && trn_subscription_waits (sub, from, to, &part)) {
        s_end_part (engine, sub, &part);
        from = part.to + 1;
    }
}

void
trn_expiry_look (trn_engine_t *engine, trn_subscription_t *sub, uint64_t from,
                 uint64_t to)
{
    assert (engine && sub);
    if (from <= sub->swept) {
        trn_expiry_end (engine, sub, from, to < sub->swept ? to : sub->swept);
    }
}

bool
trn_expiry_is_over (const trn_engine_t *engine, const trn_subscription_t *sub,
                    uint64_t stamp_us)
{
    return sub->policy.ttl_ms
           && stamp_us / 1000 + sub->policy.ttl_ms <= trn_engine_wall (engine);
}

//  Time passes --------------------------------------------------------------

static void
s_on_time (trn_engine_t *engine, trn_subscription_t *sub, uint32_t number,
           uint64_t wall_ms)
{
    const trn_ruled_entry_t *entry = &sub->ruled.at[number];
    if (entry->expires_ms && entry->expires_ms <= wall_ms) {
        const uint64_t seq = entry->seq;
        trn_ruled_set_time (&sub->ruled, number, false);
        trn_expiry_end (engine, sub, seq, seq);
        return;
    }
    trn_ruled_set_due (&sub->ruled, number);
    trn_ready_try_ruled (sub, number);
}

void
trn_expiry_run (trn_engine_t *engine, trn_subscription_t *sub)
{
    assert (engine && sub);
    const uint64_t now_ms = trn_engine_wall (engine);
    uint64_t wall_ms = 0;
    uint32_t number = trn_ruled_earliest (&sub->ruled, &wall_ms);
    while (number != TRN_RULED_NONE && wall_ms <= now_ms) {
        s_on_time (engine, sub, number, now_ms);
        number = trn_ruled_earliest (&sub->ruled, &wall_ms);
    }
    const trn_mark_t *mark = s_next_mark (sub);
    while (mark && mark->wall_ms + sub->policy.ttl_ms <= now_ms) {
        const uint64_t from = sub->low > sub->swept ? sub->low : sub->swept + 1;
        sub->swept = mark->seq;
        if (from <= sub->swept) {
            trn_expiry_end (engine, sub, from, sub->swept);
        }
        mark = s_next_mark (sub);
    }
}

int64_t
trn_expiry_deadline (const trn_engine_t *engine, const trn_subscription_t *sub)
{
    uint64_t wall_ms = 0;
    int64_t first = INT64_MAX;
    if (trn_ruled_earliest (&sub->ruled, &wall_ms) != TRN_RULED_NONE) {
        first = trn_engine_at_wall (engine, wall_ms);
    }
    const trn_mark_t *mark = s_next_mark (sub);
    if (mark) {
        const int64_t over_ms
            = trn_engine_at_wall (engine, mark->wall_ms + sub->policy.ttl_ms);
        first = over_ms < first ? over_ms : first;
    }
    return first;
}
