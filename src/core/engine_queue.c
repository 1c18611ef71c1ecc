//  core/engine_queue.c - rules and queues of an outbox, as the shell tells them
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/name.h"
#include "core/burial.h"
#include "core/callees.h"
#include "core/dispatch.h"
#include "core/expiry.h"
#include "core/flow.h"
#include "core/inside.h"
#include "core/link_out.h"
#include "core/publication.h"
#include "core/ready.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

static trn_publication_t *
s_publication (const trn_engine_t *self, trn_outbox_id_t outbox)
{
    assert (self && outbox >= 1 && outbox <= self->publications.count);
    return self->publications.at[outbox - 1];
}

//  The clock ----------------------------------------------------------------

uint64_t
trn_engine_wall (const trn_engine_t *self)
{
    assert (self);
    return self->wall_ms
               ? self->wall_ms + (uint64_t) (self->now_ms - self->wall_at_ms)
               : 0;
}

int64_t
trn_engine_at_wall (const trn_engine_t *self, uint64_t wall_ms)
{
    assert (self);
    const uint64_t now_ms = trn_engine_wall (self);
    if (!now_ms) {
        return INT64_MAX;
    }
    return wall_ms > now_ms ? self->now_ms + (int64_t) (wall_ms - now_ms)
                            : self->now_ms;
}

void
trn_engine_on_clock (trn_engine_t *self, uint64_t wall_ms, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    self->wall_ms = wall_ms;
    self->wall_at_ms = self->now_ms;
    for (size_t index = 0; index < self->publications.count; index++) {
        trn_publication_t *publication = self->publications.at[index];
        trn_engine_stale (self, publication);
        trn_expiry_mark (self, publication);
        for (size_t at = 0; at < publication->subs.count; at++) {
            trn_subscription_t *sub = publication->subs.at[at];
            if (trn_expiry_deadline (self, sub) <= self->now_ms) {
                trn_dispatch_touch (self, sub);
            }
        }
    }
}

//  Messages -----------------------------------------------------------------

static bool
s_is_target (const trn_rule_t *rule, uint32_t number)
{
    size_t index = 0;
    while (index < rule->target_count && rule->targets[index] < number) {
        index++;
    }
    return index < rule->target_count && rule->targets[index] == number;
}

//  A routed message, or one that is not said before it, is for the queues that
//  it names.  True if it is for this one.
static bool
s_route (trn_subscription_t *sub, const trn_rule_t *rule)
{
    if (rule->seq <= sub->told) {
        return false;
    }
    if (rule->seq > sub->told + 1) {
        trn_subscription_skip (sub, sub->told + 1, rule->seq - 1);
    }
    if (s_is_target (rule, sub->number)) {
        return true;
    }
    trn_subscription_skip (sub, rule->seq, rule->seq);
    sub->told = rule->seq;
    return false;
}

void
trn_engine_on_message (trn_engine_t *self, trn_outbox_id_t outbox,
                       const trn_rule_t *rule)
{
    trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_stale (self, publication);
    assert (rule && rule->seq && rule->seq < TRN_SEQ_MAX);
    assert (rule->priority < TRN_PRIORITIES);
    const uint64_t wall_ms = trn_engine_wall (self);
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        if (!publication->routed || s_route (sub, rule)) {
            trn_ready_add (sub, rule, publication->high, wall_ms);
        }
        if (rule->seq <= publication->high) {
            trn_dispatch_touch (self, sub);
        }
    }
}

void
trn_engine_on_number (trn_engine_t *self, trn_outbox_id_t outbox,
                      uint64_t number)
{
    trn_publication_t *publication = s_publication (self, outbox);
    publication->given
        = number > publication->given ? number : publication->given;
}

uint64_t
trn_engine_number (const trn_engine_t *self, trn_outbox_id_t outbox)
{
    return s_publication (self, outbox)->given;
}

//  Queues -------------------------------------------------------------------

static trn_subscription_t *
s_find_queue (const trn_publication_t *publication, const char *queue)
{
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        if (strcmp (sub->queue, queue) == 0) {
            return sub;
        }
    }
    return NULL;
}

int
trn_engine_add_queue (trn_engine_t *self, trn_outbox_id_t outbox,
                      const char *queue, uint64_t from, uint32_t *number_p,
                      int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    assert (queue && trn_queue_valid (queue, strlen (queue)));
    assert (number_p && publication->exchange && from >= 1);
    trn_engine_advance (self, now_ms);
    trn_subscription_t *sub = s_find_queue (publication, queue);
    if (!sub) {
        if (publication->subs.count >= TRN_QUEUES_MAX) {
            return TERN_ETOOBIG;
        }
        from = from <= publication->high ? from : publication->high + 1;
        sub = trn_publication_add_queue (publication, queue,
                                         publication->sub_number + 1, from);
        sub->told = from - 1;
        sub->unknown = true;
        trn_publication_urge (self, publication);
        trn_dispatch_touch (self, sub);
        //  Not to be offered before it is saved, but the way there takes time.
        trn_callees_on_subscription (self, sub);
    }
    *number_p = sub->number;
    return 0;
}

void
trn_engine_on_past (trn_engine_t *self, trn_outbox_id_t outbox,
                    const trn_engine_past_t *past)
{
    trn_publication_t *publication = s_publication (self, outbox);
    assert (past && past->own && (past->rules || !past->rule_count));
    trn_subscription_t *sub = trn_publication_queue (publication, past->number);
    assert (sub && sub->unknown);
    const uint64_t wall_ms = trn_engine_wall (self);
    trn_subscription_begin (sub, past->own, past->to, publication->routed);
    for (size_t index = 0; index < past->rule_count; index++) {
        trn_ready_add (sub, &past->rules[index], publication->high, wall_ms);
    }
    sub->told = past->to > sub->told ? past->to : sub->told;
    sub->withheld = past->withheld;
    trn_engine_stale (self, publication);
    trn_publication_touch (self, publication);
    trn_dispatch_touch (self, sub);
}

void
trn_engine_on_past_kept (trn_engine_t *self, trn_outbox_id_t outbox,
                         uint32_t number, int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_advance (self, now_ms);
    trn_subscription_t *sub = trn_publication_queue (publication, number);
    if (sub && sub->withheld) {
        sub->withheld = false;
        trn_publication_urge (self, publication);
    }
}

uint64_t
trn_engine_after_gap (const trn_engine_t *self, trn_outbox_id_t outbox,
                      uint64_t seq)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    trn_range_t open = {seq, seq};
    (void) trn_ranges_first_out (&publication->gaps, seq, TRN_SEQ_MAX, &open);
    return open.from;
}

bool
trn_engine_past_over (const trn_engine_t *self, trn_outbox_id_t outbox,
                      uint32_t number, uint64_t to)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    const trn_subscription_t *sub = trn_publication_queue (publication, number);
    return !sub || sub->durable_low > to;
}

//  Nobody is given anything of it any more.
static void
s_end_flows (trn_engine_t *self, const trn_subscription_t *sub)
{
    for (size_t index = 0; index < self->links.count; index++) {
        trn_link_t *link = self->links.at[index];
        for (size_t at = link->flows.count; at; at--) {
            trn_flow_t *flow = link->flows.at[at - 1];
            if (flow->sub == sub) {
                trn_link_out_send (self, link, TRN_RETIRE)->retire.flow
                    = flow->number;
                trn_list_remove (&link->flows, flow);
                trn_flow_end (self, &flow);
            }
        }
    }
}

void
trn_engine_remove_queue (trn_engine_t *self, trn_outbox_id_t outbox,
                         uint32_t number, int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_advance (self, now_ms);
    trn_subscription_t *sub = trn_publication_queue (publication, number);
    if (!sub) {
        return;
    }
    s_end_flows (self, sub);
    const uint64_t waiting = trn_subscription_waiting (sub, publication->high)
                             + trn_seqset_total (&sub->parked);
    if (waiting) {
        trn_action_t *report = trn_engine_report (self, TRN_MESSAGES_DROPPED);
        trn_report_text (report, "outbox", publication->name);
        trn_report_text (report, "queue", sub->queue);
        trn_report_text (report, "reason", "unbound");
        trn_report_number (report, "count", waiting);
    }
    trn_list_remove (&publication->subs, sub);
    trn_list_remove (&self->subs, sub);
    trn_list_add (&self->removed, sub);
    trn_publication_touch (self, publication);
}

bool
trn_engine_queue_at (const trn_engine_t *self, trn_outbox_id_t outbox,
                     size_t index, const char **queue_p, uint32_t *number_p)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    assert (queue_p && number_p);
    if (index >= publication->subs.count) {
        return false;
    }
    const trn_subscription_t *sub = publication->subs.at[index];
    *queue_p = sub->queue;
    *number_p = sub->number;
    return true;
}

uint64_t
trn_engine_purge (trn_engine_t *self, trn_outbox_id_t outbox, uint32_t number,
                  int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_advance (self, now_ms);
    uint64_t count = 0;
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        if (!number || sub->number == number) {
            count += trn_subscription_purge (sub, publication->high);
            trn_dispatch_touch (self, sub);
        }
    }
    trn_publication_touch (self, publication);
    return count;
}

//  Too many -----------------------------------------------------------------

uint64_t
trn_engine_ruled (const trn_engine_t *self, trn_outbox_id_t outbox,
                  uint32_t *queues_p)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    assert (queues_p);
    uint64_t count = 0;
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        count += sub->ruled.count;
    }
    *queues_p = (uint32_t) publication->subs.count;
    return count;
}

//  The oldest ones that nobody holds; last_p: the last of them.
static uint64_t
s_drop_ruled (trn_subscription_t *sub, uint64_t high, uint64_t count,
              uint64_t *last_p)
{
    uint64_t dropped = 0;
    uint64_t from = sub->low;
    trn_range_t ruled;
    trn_range_t part;
    while (dropped < count && from <= high
           && trn_seqset_first_in (&sub->ruled_seqs, from, high, &ruled)) {
        if (!trn_subscription_waits (sub, ruled.from, ruled.to, &part)) {
            from = ruled.to + 1;
            continue;
        }
        const uint64_t left = count - dropped;
        if (part.to - part.from >= left) {
            part.to = part.from + left - 1;
        }
        dropped += trn_subscription_drop (sub, part.from, part.to);
        *last_p = part.to;
        from = part.to + 1;
    }
    return dropped;
}

static uint64_t
s_relieve (trn_engine_t *self, trn_publication_t *publication,
           trn_subscription_t *sub, uint64_t count)
{
    uint64_t last = 0;
    const uint64_t dropped
        = s_drop_ruled (sub, publication->high, count, &last);
    if (dropped) {
        trn_dispatch_touch (self, sub);
        trn_action_t *report = trn_engine_report (self, TRN_MESSAGES_DROPPED);
        trn_report_text (report, "outbox", publication->name);
        trn_report_text (report, "queue", sub->queue);
        trn_report_text (report, "reason", "limit_ruled");
        trn_report_number (report, "below", last + 1);
        trn_report_number (report, "count", dropped);
        trn_publication_urge (self, publication);
    }
    return dropped;
}

uint64_t
trn_engine_drop_ruled (trn_engine_t *self, trn_outbox_id_t outbox,
                       uint64_t count, int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_advance (self, now_ms);
    trn_subscription_t *most = NULL;
    uint64_t highest = 0;
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        if (sub->ruled.count > highest) {
            highest = sub->ruled.count;
            most = sub;
        }
    }
    uint64_t dropped = most ? s_relieve (self, publication, most, count) : 0;
    for (size_t index = 0; dropped < count && index < publication->subs.count;
         index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        dropped += s_relieve (self, publication, sub, count - dropped);
    }
    return dropped;
}

//  Policies -----------------------------------------------------------------

//  What follows from a rule has to be looked at again.
static void
s_set_policy (trn_engine_t *self, trn_subscription_t *sub,
              const trn_policy_t *policy)
{
    sub->policy = *policy;
    sub->swept = 0;
    trn_dispatch_touch (self, sub);
}

static bool
s_is_same (const trn_policy_t *one, const trn_policy_t *other)
{
    uint8_t left[TRN_POLICY_SIZE_MAX];
    uint8_t right[TRN_POLICY_SIZE_MAX];
    const size_t size = trn_policy_encode (one, left);
    return size == trn_policy_encode (other, right)
           && memcmp (left, right, size) == 0;
}

//  No queue has a policy of its own.
static bool
s_is_shared (const trn_publication_t *publication)
{
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        if (sub->own_policy) {
            return false;
        }
    }
    return true;
}

void
trn_engine_set_policy (trn_engine_t *self, trn_outbox_id_t outbox,
                       uint32_t number, const trn_policy_t *policy,
                       int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    assert (policy && policy->pause_count <= TRN_PAUSES_MAX);
    trn_engine_advance (self, now_ms);
    trn_subscription_t *one = trn_publication_queue (publication, number);
    if (s_is_same (policy, trn_engine_policy (self, outbox, number))
        && (number ? one && one->own_policy : s_is_shared (publication))) {
        return;
    }
    trn_publication_touch (self, publication);
    if (one) {
        one->own_policy = true;
        s_set_policy (self, one, policy);
    }
    if (number) {
        return;
    }
    publication->policy = *policy;
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        sub->own_policy = false;
        s_set_policy (self, sub, policy);
    }
}

const trn_policy_t *
trn_engine_policy (const trn_engine_t *self, trn_outbox_id_t outbox,
                   uint32_t number)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    const trn_subscription_t *sub = trn_publication_queue (publication, number);
    return sub ? &sub->policy : &publication->policy;
}

//  Dead letters -------------------------------------------------------------

void
trn_engine_on_buried (trn_engine_t *self, trn_outbox_id_t outbox,
                      uint32_t number, uint64_t seq,
                      trn_outbox_id_t dead_outbox, uint64_t dead_seq,
                      int64_t now_ms)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    assert (!dead_seq
            || (dead_outbox && dead_outbox <= self->publications.count));
    trn_engine_advance (self, now_ms);
    trn_subscription_t *sub = trn_publication_queue (publication, number);
    if (sub && seq) {
        trn_burial_on_buried (self, sub, seq, dead_outbox, dead_seq);
    }
}

void
trn_engine_on_bury_failed (trn_engine_t *self, trn_outbox_id_t outbox,
                           uint32_t number, uint64_t seq, int64_t now_ms)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_advance (self, now_ms);
    trn_subscription_t *sub = trn_publication_queue (publication, number);
    if (sub) {
        trn_burial_on_failed (self, sub, seq);
    }
}
