//  core/engine_outbox.c - what the shell tells the engine of its outboxes
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/memory.h"
#include "base/name.h"
#include "core/callees.h"
#include "core/dispatch.h"
#include "core/expiry.h"
#include "core/inside.h"
#include "core/publication.h"
#include "core/state.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

static trn_publication_t *
s_publication (const trn_engine_t *self, trn_outbox_id_t outbox)
{
    assert (self && outbox >= 1 && outbox <= self->publications.count);
    return self->publications.at[outbox - 1];
}

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

//  An outbox as an earlier life left it.  NULL, and *rc_p says why, if its state
//  is not ours.
static trn_publication_t *
s_open (trn_engine_t *self, const char *name, uint64_t high, bool clean,
        const uint8_t *state, size_t size, int *rc_p)
{
    *rc_p = TERN_ETOOBIG;
    if (self->publications.count >= TRN_OUTBOXES_MAX) {
        return NULL;
    }
    const trn_outbox_id_t id = (trn_outbox_id_t) self->publications.count + 1;
    trn_publication_t *publication = trn_publication_new (id, name, high);
    publication->policy.pause_min_ms = self->config.redeliver_min_ms;
    publication->policy.pause_max_ms = self->config.redeliver_max_ms;
    *rc_p = size ? trn_state_decode (publication, clean, state, size) : 0;
    if (*rc_p) {
        trn_publication_destroy (&publication);
    }
    return publication;
}

static trn_outbox_id_t
s_begin (trn_engine_t *self, trn_publication_t *publication,
         const trn_ranges_t *gaps)
{
    for (size_t index = 0; gaps && index < gaps->count; index++) {
        trn_publication_add_gap (publication, &gaps->at[index]);
    }
    trn_list_add (&self->publications, publication);
    self->dues = trn_realloc (self->dues,
                              self->publications.count * sizeof *self->dues);
    self->dues[publication->id - 1] = INT64_MAX;
    trn_engine_stale (self, publication);
    trn_expiry_mark (self, publication);

    //  The application learns how far an earlier life had come.
    publication->touched = true;
    trn_list_add (&self->touched, publication);
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_callees_on_subscription (self, publication->subs.at[index]);
    }
    return publication->id;
}

int
trn_engine_add_outbox (trn_engine_t *self, const char *name, const char *queue,
                       uint64_t high, const trn_ranges_t *gaps, bool clean,
                       const uint8_t *state, size_t size,
                       trn_outbox_id_t *outbox_p)
{
    assert (self && name && queue && outbox_p && high < TRN_SEQ_MAX);
    assert (trn_subscribed_valid (name, strlen (name)));
    assert (trn_subscribed_valid (queue, strlen (queue)));
    int rc = 0;
    trn_publication_t *publication
        = s_open (self, name, high, clean, state, size, &rc);
    if (!publication) {
        return rc;
    }
    if (!s_find_queue (publication, queue)) {
        trn_subscription_t *sub = trn_publication_add_queue (
            publication, queue, publication->sub_number + 1, 1);
        sub->doubt = clean ? 0 : high;
    }
    *outbox_p = s_begin (self, publication, gaps);
    return 0;
}

int
trn_engine_add_exchange (trn_engine_t *self, const char *name, bool routed,
                         uint64_t high, const trn_ranges_t *gaps, bool clean,
                         const uint8_t *state, size_t size,
                         trn_outbox_id_t *outbox_p)
{
    assert (self && name && outbox_p && high < TRN_SEQ_MAX);
    int rc = 0;
    trn_publication_t *publication
        = s_open (self, name, high, clean, state, size, &rc);
    if (!publication) {
        return rc;
    }
    publication->exchange = true;
    publication->routed = routed;
    *outbox_p = s_begin (self, publication, gaps);
    return 0;
}

static void
s_touch_subs (trn_engine_t *self, trn_publication_t *publication,
              void (*touch) (trn_engine_t *, trn_subscription_t *))
{
    for (size_t index = 0; index < publication->subs.count; index++) {
        touch (self, publication->subs.at[index]);
    }
}

void
trn_engine_on_appended (trn_engine_t *self, trn_outbox_id_t outbox,
                        uint64_t seq, int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    assert (seq < TRN_SEQ_MAX);
    trn_engine_advance (self, now_ms);
    if (seq > publication->high) {
        for (size_t index = 0; index < publication->subs.count; index++) {
            trn_subscription_append (publication->subs.at[index],
                                     publication->high + 1, seq);
        }
        publication->high = seq;
        trn_expiry_mark (self, publication);
        s_touch_subs (self, publication, trn_dispatch_touch);
    }
}

void
trn_engine_on_records (trn_engine_t *self, trn_outbox_id_t outbox,
                       int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_advance (self, now_ms);
    s_touch_subs (self, publication, trn_dispatch_on_records);
}

void
trn_engine_on_dropped (trn_engine_t *self, trn_outbox_id_t outbox,
                       uint64_t floor, int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_advance (self, now_ms);
    const uint64_t last
        = floor > publication->high ? publication->high : floor - 1;
    if (floor <= 1 || last == 0) {
        return;
    }
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        const uint64_t count = trn_subscription_drop (sub, 1, last);
        if (count) {
            trn_dispatch_touch (self, sub);
            trn_action_t *report
                = trn_engine_report (self, TRN_MESSAGES_DROPPED);
            trn_report_text (report, "outbox", publication->name);
            trn_report_text (report, "queue", sub->queue);
            trn_report_number (report, "below", floor);
            trn_report_number (report, "count", count);
            trn_publication_urge (self, publication);
        }
    }
}

size_t
trn_engine_state (trn_engine_t *self, trn_outbox_id_t outbox, bool closing,
                  uint8_t *buffer, size_t capacity, uint64_t *low_p,
                  uint64_t *stamp_p)
{
    trn_publication_t *publication = s_publication (self, outbox);
    assert (buffer && low_p && stamp_p);
    //  It says the same either way: next tells what was sent.
    publication->saving = publication->saving || closing;
    const size_t size = trn_state_encode (publication, buffer, capacity);
    publication->unsaved = false;
    publication->urgent = false;
    publication->saving = true;  //  also one that the owner takes unasked
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        if (sub->withheld) {
            continue;
        }
        trn_subscription_saving (sub);
        if (sub->cut) {
            trn_action_t *report = trn_engine_report (self, TRN_COUNTS_CUT);
            trn_report_text (report, "outbox", publication->name);
            trn_report_text (report, "queue", sub->queue);
            trn_report_number (report, "seq", sub->cut);
        }
    }
    *low_p = trn_publication_low (publication);
    *stamp_p = ++publication->stamp;
    return size;
}

void
trn_engine_on_saved (trn_engine_t *self, trn_outbox_id_t outbox, uint64_t stamp,
                     int64_t now_ms)
{
    trn_publication_t *publication = s_publication (self, outbox);
    trn_engine_advance (self, now_ms);
    trn_publication_on_saved (self, publication, stamp);
}

bool
trn_engine_settled (const trn_engine_t *self, trn_outbox_id_t outbox,
                    uint64_t seq)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        if (!trn_seqset_has (&sub->settled, seq)) {
            return false;
        }
    }
    return true;
}

bool
trn_engine_settled_for_good (const trn_engine_t *self, trn_outbox_id_t outbox,
                             uint64_t seq)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    for (size_t index = 0; index < publication->subs.count; index++) {
        if (!trn_subscription_settled_for_good (publication->subs.at[index],
                                                seq)) {
            return false;
        }
    }
    return true;
}

bool
trn_engine_stored (const trn_engine_t *self, trn_outbox_id_t outbox,
                   uint64_t seq)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        if (!trn_seqset_has (&sub->settled, seq)
            && !trn_seqset_has (&sub->stored, seq)) {
            return false;
        }
    }
    return true;
}

bool
trn_engine_stores (const trn_engine_t *self, trn_outbox_id_t outbox)
{
    const trn_publication_t *publication = s_publication (self, outbox);
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        for (size_t at = 0; at < sub->flows.count; at++) {
            const trn_flow_t *flow = sub->flows.at[at];
            if (flow->stores) {
                return true;
            }
        }
    }
    return false;
}
