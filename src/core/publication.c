//  core/publication.c - an outbox as the engine sees it: progress and saving
//
//  A state is asked for at once after a quiet time, and then at most every
//  save_ms while things move, or more seldom where there are many outboxes, and
//  then those of many at a time.  Only one is on its way to the disk; what it says
//  is told to the consumers when it has arrived, never before: they forget what
//  we promise not to send again (reliability I5).
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/publication.h"

#include "base/memory.h"
#include "core/burial.h"
#include "core/callees.h"
#include "core/dispatch.h"
#include "core/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  A state that is waited for may be saved so much sooner.
#define URGENT 50

//  Of many outboxes each is saved more seldom, so that all of them together do not
//  keep the disk busy with what nobody waits for.  In that time there are so many
//  moments at which some are saved, together.
#define SAVE_EACH_MS 10
#define SAVE_MOMENTS 64

trn_publication_t *
trn_publication_new (trn_outbox_id_t id, const char *name, uint64_t high)
{
    assert (name);
    trn_publication_t *self = trn_alloc (sizeof *self);
    assert (strlen (name) < sizeof self->name);
    memcpy (self->name, name, strlen (name) + 1);
    self->id = id;
    self->opened_high = high;
    self->high = high;
    self->saved_ms = INT64_MIN / 2;
    self->mark_every_ms = 1000;
    trn_policy_default (&self->policy);
    return self;
}

void
trn_publication_destroy (trn_publication_t **self_p)
{
    assert (self_p);
    trn_publication_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t index = 0; index < self->subs.count; index++) {
        trn_subscription_t *sub = self->subs.at[index];
        trn_subscription_destroy (&sub);
    }
    trn_list_clear (&self->subs);
    trn_ranges_clear (&self->gaps);
    free (self->marks);
    free (self->holds);
    free (self);
    *self_p = NULL;
}

uint64_t
trn_publication_low (const trn_publication_t *self)
{
    assert (self);
    uint64_t low = self->high + 1;
    for (size_t index = 0; index < self->subs.count; index++) {
        const uint64_t other = trn_subscription_low (self->subs.at[index]);
        low = other < low ? other : low;
    }
    return low;
}

void
trn_publication_look (trn_engine_t *engine, trn_publication_t *self)
{
    assert (engine && self);
    if (!self->touched) {
        self->touched = true;
        trn_list_add (&engine->touched, self);
    }
}

void
trn_publication_touch (trn_engine_t *engine, trn_publication_t *self)
{
    assert (engine && self);
    if (!self->unsaved) {
        self->unsaved = true;
        self->unsaved_ms = engine->now_ms;
    }
    trn_engine_stale (engine, self);
    trn_publication_look (engine, self);
}

//  One of many outboxes: its next moment.
static int64_t
s_moment (const trn_publication_t *self, int64_t share_ms)
{
    const int64_t due_ms = self->saved_ms + share_ms;
    const int64_t first_ms
        = due_ms > self->unsaved_ms ? due_ms : self->unsaved_ms;
    const int64_t step_ms = share_ms / SAVE_MOMENTS + 1;
    return (first_ms / step_ms + 1) * step_ms;
}

int64_t
trn_publication_deadline (const trn_engine_t *engine,
                          const trn_publication_t *self)
{
    if (!self->unsaved || self->saving) {
        return INT64_MAX;
    }
    const int64_t least_ms = engine->config.save_ms;
    const int64_t share_ms
        = (int64_t) (engine->publications.count * SAVE_EACH_MS);
    if (self->urgent) {
        return self->saved_ms + least_ms / URGENT;
    }
    return least_ms >= share_ms ? self->saved_ms + least_ms
                                : s_moment (self, share_ms);
}

void
trn_publication_urge (trn_engine_t *engine, trn_publication_t *self)
{
    assert (engine && self);
    self->urgent = true;
    trn_publication_touch (engine, self);
}

//  Queues -------------------------------------------------------------------

trn_subscription_t *
trn_publication_queue (const trn_publication_t *self, uint32_t number)
{
    assert (self);
    for (size_t index = 0; index < self->subs.count; index++) {
        trn_subscription_t *sub = self->subs.at[index];
        if (sub->number == number) {
            return sub;
        }
    }
    return NULL;
}

void
trn_publication_add_gap (trn_publication_t *self, const trn_range_t *gap)
{
    assert (self && gap);
    trn_ranges_add (&self->gaps, gap->from, gap->to);
    for (size_t index = 0; index < self->subs.count; index++) {
        trn_subscription_add_settled (self->subs.at[index], gap->from, gap->to);
    }
}

trn_subscription_t *
trn_publication_add_queue (trn_publication_t *self, const char *queue,
                           uint32_t number, uint64_t low)
{
    assert (self && queue && number);
    trn_subscription_t *sub = trn_subscription_new (queue, low);
    sub->publication = self;
    sub->number = number;
    sub->policy = self->policy;
    self->sub_number = number > self->sub_number ? number : self->sub_number;
    for (size_t index = 0; index < self->gaps.count; index++) {
        const trn_range_t *gap = &self->gaps.at[index];
        trn_subscription_add_settled (sub, gap->from, gap->to);
    }
    trn_list_add (&self->subs, sub);
    return sub;
}

//  Progress -----------------------------------------------------------------

//  The last seq that every queue has settled or stored, together with all before
//  it.  Where nobody stores that is processed, and is not looked for.
static uint64_t
s_stored (const trn_publication_t *self, uint64_t processed)
{
    uint64_t low = self->high + 1;
    bool any = false;
    for (size_t index = 0; index < self->subs.count; index++) {
        const trn_subscription_t *sub = self->subs.at[index];
        any = any || trn_seqset_total (&sub->stored);
    }
    for (size_t index = 0; any && index < self->subs.count; index++) {
        const uint64_t other = trn_subscription_stored (self->subs.at[index]);
        low = other < low ? other : low;
    }
    return any && low - 1 > processed ? low - 1 : processed;
}

//  How many above processed every queue has settled, at least.  Of a message that
//  several queues have, each counts as one that is open.
static uint64_t
s_ahead (const trn_publication_t *self, uint64_t processed)
{
    uint64_t open = 0;
    for (size_t index = 0; index < self->subs.count; index++) {
        const trn_subscription_t *sub = self->subs.at[index];
        open += self->high - trn_seqset_total (&sub->settled);
    }
    const uint64_t all = self->high - processed;
    return all > open ? all - open : 0;
}

void
trn_publication_run (trn_engine_t *engine)
{
    assert (engine);
    for (size_t index = 0; index < engine->touched.count; index++) {
        trn_publication_t *self = engine->touched.at[index];
        self->touched = false;
        const uint64_t processed = trn_publication_low (self) - 1;
        const uint64_t stored = s_stored (self, processed);
        const uint64_t ahead = s_ahead (self, processed);
        if (processed > self->processed || stored > self->stored
            || ahead > self->ahead) {
            self->processed = processed;
            self->stored = stored > self->stored ? stored : self->stored;
            trn_action_t *action
                = trn_actions_add (&engine->actions, TRN_DO_PROGRESS);
            action->outbox = self->id;
            action->processed = processed;
            action->stored = self->stored;
            action->ahead = self->ahead = ahead;
        }
        if (trn_publication_deadline (engine, self) <= engine->now_ms) {
            trn_engine_stale (engine, self);
            self->saving = true;
            self->saved_ms = engine->now_ms;
            trn_actions_add (&engine->actions, TRN_DO_SAVE)->outbox = self->id;
        }
    }
    engine->touched.count = 0;
}

static void
s_tell_floors (trn_engine_t *engine, trn_subscription_t *sub)
{
    for (size_t index = 0; index < sub->flows.count; index++) {
        trn_flow_tell_floor (engine, sub->flows.at[index]);
    }
}

void
trn_publication_on_saved (trn_engine_t *engine, trn_publication_t *self,
                          uint64_t stamp)
{
    assert (engine && self);
    if (!self->saving || stamp != self->stamp) {
        return;
    }
    self->saving = false;
    trn_engine_stale (engine, self);
    for (size_t index = 0; index < self->subs.count; index++) {
        trn_subscription_t *sub = self->subs.at[index];
        const bool unknown = sub->unknown;
        trn_subscription_saved (sub);
        trn_dispatch_touch (engine, sub);
        s_tell_floors (engine, sub);
        if (unknown && !sub->unknown) {
            trn_callees_on_subscription (engine, sub);
        }
    }
    trn_burial_on_saved (engine, self);
}
