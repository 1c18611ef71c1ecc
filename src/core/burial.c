//  core/burial.c - what becomes of dead messages
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/burial.h"

#include "base/memory.h"
#include "core/dispatch.h"
#include "core/publication.h"

#include <assert.h>
#include <string.h>

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 30000

static const char *
s_reason (trn_death_t reason)
{
    switch (reason) {
    case TRN_DEAD_REJECTED: return "rejected";
    case TRN_DEAD_SPENT: return "spent";
    case TRN_DEAD_EXPIRED: break;
    }
    return "expired";
}

void
trn_burial_park (trn_engine_t *engine, trn_subscription_t *sub, uint64_t from,
                 uint64_t to, trn_death_t reason, uint32_t link)
{
    assert (engine && sub);
    trn_subscription_park (sub, from, to, reason, link);
    if (reason == TRN_DEAD_SPENT) {
        trn_action_t *report = trn_engine_report (engine, TRN_MESSAGE_SPENT);
        trn_report_text (report, "outbox", sub->publication->name);
        trn_report_text (report, "queue", sub->queue);
        trn_report_number (report, "seq", from);
        trn_report_number (report, "count", to - from + 1);
    }
    trn_publication_touch (engine, sub->publication);
    trn_dispatch_touch (engine, sub);
}

//  Asking -------------------------------------------------------------------

static size_t
s_size (const trn_graves_t *graves)
{
    return graves->count - graves->head;
}

//  Take the first dead seq that is still parked; false if there is none.
static bool
s_next (trn_subscription_t *sub, trn_grave_t *one)
{
    trn_graves_t *graves = &sub->graves;
    while (s_size (graves)) {
        trn_grave_t *grave = &graves->at[graves->head];
        *one = *grave;
        one->to = one->from;
        if (grave->from++ == grave->to) {
            graves->head++;
        }
        //  A limit may have dropped it meanwhile.
        if (trn_seqset_has (&sub->parked, one->from)) {
            return true;
        }
    }
    graves->head = graves->count = 0;
    return false;
}

static void
s_ask (trn_engine_t *engine, const trn_subscription_t *sub,
       const trn_grave_t *one)
{
    uint64_t to = one->from;
    const trn_link_t *link = trn_table_get (&engine->links_by_id, one->link);
    trn_action_t *action = trn_actions_add (&engine->actions, TRN_DO_BURY);
    action->outbox = sub->publication->id;
    action->bury.number = sub->number;
    action->bury.queue = sub->queue;
    action->bury.seq = one->from;
    action->bury.reason = s_reason (one->reason);
    action->bury.deliveries = trn_counts_get (&sub->counts, one->from, &to);
    action->bury.consumer = link ? link->name : "";
}

//  A queue that no state knows may begin anew after a crash, and what died in it
//  would be buried again.
static bool
s_may_ask (const trn_subscription_t *sub)
{
    return !sub->unknown && s_size (&sub->asked) < TRN_BURIES_MAX;
}

void
trn_burial_run (trn_engine_t *engine, trn_subscription_t *sub)
{
    assert (engine && sub);
    trn_grave_t one;
    while (s_may_ask (sub) && !engine->closed && engine->now_ms >= sub->bury_ms
           && s_next (sub, &one)) {
        trn_graves_add (&sub->asked, &one);
        s_ask (engine, sub, &one);
    }
}

int64_t
trn_burial_deadline (const trn_subscription_t *sub)
{
    return s_size (&sub->graves) && s_may_ask (sub) ? sub->bury_ms : INT64_MAX;
}

//  Answers ------------------------------------------------------------------

//  What was asked for this seq; false if nothing was.
static bool
s_take_asked (trn_subscription_t *sub, uint64_t seq, trn_grave_t *one)
{
    trn_graves_t *asked = &sub->asked;
    for (size_t index = asked->head; index < asked->count; index++) {
        if (asked->at[index].from == seq) {
            *one = asked->at[index];
            memmove (&asked->at[index], &asked->at[index + 1],
                     (asked->count - index - 1) * sizeof *asked->at);
            asked->count--;
            return true;
        }
    }
    return false;
}

void
trn_burial_on_failed (trn_engine_t *engine, trn_subscription_t *sub,
                      uint64_t seq)
{
    assert (engine && sub);
    trn_grave_t one;
    if (!s_take_asked (sub, seq, &one)) {
        return;
    }
    trn_graves_add (&sub->graves, &one);
    const uint32_t pause
        = trn_backoff_ceiling (PAUSE_MIN_MS, PAUSE_MAX_MS, sub->bury_failures);
    //  Those that were asked for together fail together, and count once.
    if (engine->now_ms >= sub->bury_ms) {
        sub->bury_failures++;
        sub->bury_ms = engine->now_ms + 1 + pause / 2
                       + (int64_t) trn_rng_below (&engine->rng, pause / 2 + 1);
    }
    trn_dispatch_touch (engine, sub);
}

static trn_publication_t *
s_publication (const trn_engine_t *engine, trn_outbox_id_t outbox)
{
    return engine->publications.at[outbox - 1];
}

static void
s_hold (trn_engine_t *engine, trn_subscription_t *sub, const trn_hold_t *hold)
{
    trn_publication_t *self = sub->publication;
    if (self->hold_count == self->hold_capacity) {
        self->hold_capacity = self->hold_capacity ? self->hold_capacity * 2 : 8;
        self->holds = trn_realloc (self->holds,
                                   self->hold_capacity * sizeof *self->holds);
    }
    self->holds[self->hold_count++] = *hold;
    const trn_publication_t *dead = s_publication (engine, hold->dead_outbox);
    for (size_t index = 0; index < dead->subs.count; index++) {
        trn_subscription_hold (dead->subs.at[index], hold->dead_seq);
    }
}

void
trn_burial_on_buried (trn_engine_t *engine, trn_subscription_t *sub,
                      uint64_t seq, trn_outbox_id_t dead_outbox,
                      uint64_t dead_seq)
{
    assert (engine && sub);
    trn_publication_t *publication = sub->publication;
    trn_grave_t one;
    if (s_take_asked (sub, seq, &one)) {
        sub->bury_failures = 0;
    }
    trn_dispatch_touch (engine, sub);
    if (seq > publication->high) {
        return;
    }
    if (!trn_seqset_has (&sub->settled, seq)
        && !trn_seqset_has (&sub->leased, seq)) {
        trn_subscription_settle (sub, seq, seq);
        sub->stats.dead += dead_seq ? 1 : 0;
        sub->stats.dropped += dead_seq ? 0 : 1;
        trn_publication_touch (engine, publication);
    }
#ifndef TERN_BUG_26
    if (dead_seq && !trn_subscription_settled_for_good (sub, seq)) {
        const trn_hold_t hold = {sub->number, seq, dead_outbox, dead_seq};
        s_hold (engine, sub, &hold);
        //  Settled in an earlier life, it is no news, and no state would come.
        trn_publication_touch (engine, publication);
    }
#endif
}

//  Seeing them --------------------------------------------------------------

static const trn_subscription_t *
s_find (const trn_publication_t *publication, uint32_t number)
{
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        if (sub->number == number) {
            return sub;
        }
    }
    return NULL;
}

static void
s_unhold (trn_engine_t *engine, const trn_hold_t *hold)
{
    const trn_publication_t *dead = s_publication (engine, hold->dead_outbox);
    for (size_t index = 0; index < dead->subs.count; index++) {
        trn_subscription_unhold (dead->subs.at[index], hold->dead_seq);
        trn_dispatch_touch (engine, dead->subs.at[index]);
    }
}

void
trn_burial_on_saved (trn_engine_t *engine, trn_publication_t *publication)
{
    assert (engine && publication);
    size_t kept = 0;
    for (size_t index = 0; index < publication->hold_count; index++) {
        const trn_hold_t hold = publication->holds[index];
        const trn_subscription_t *sub = s_find (publication, hold.number);
        //  A state that is too small may leave some of them out.
        if (sub && !trn_subscription_settled_for_good (sub, hold.seq)) {
            publication->holds[kept++] = hold;
        } else {
            s_unhold (engine, &hold);
        }
    }
    publication->hold_count = kept;
}
