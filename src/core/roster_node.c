//  core/roster_node.c - one directory node, as the roster sees it
//
//  Knows: when a node is there and when it is lost, what its answers mean, and
//  when something of what it tells was missed.
//
//      IDLE --retry--> [HOSTING] --> OPEN --silence, trouble--> IDLE
//                       local only
//
//  Invariant: a node that is not OPEN has told us nothing that is not stale.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/roster_inside.h"

#include "base/name.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

//  The first sign of life after a connect; a local node answers at once.
#define FIRST_ANSWER_MS 1500
#define FIRST_ANSWER_LOCAL_MS 150
//  Changes of our own entry are told at most so often.
#define REGISTER_GAP_MS 50
//  After a refusal that only time can cure.
#define REFUSED_MIN_MS 500
#define REFUSED_MAX_MS 10000
//  So long a connection must hold before the backoff starts anew.
#define HEALTHY_MS 10000
//  Nonsense from one connection before it is given up.
#define GARBAGE_MAX 16

//  Connections -----------------------------------------------------------

uint32_t
trn_dirnode_number (const trn_roster_t *self, const trn_dirnode_t *node)
{
    return (uint32_t) (node - self->nodes);
}

//  Somebody's word may be enough now to drop what is stale: look at once, then
//  it is known when to look again.
static void
s_look_for_stale (trn_roster_t *self)
{
    self->drop_at_ms = self->view.stale ? self->now_ms : TRN_ROSTER_NEVER;
}

void
trn_dirnode_open (trn_roster_t *self, trn_dirnode_t *node)
{
    node->state = TRN_ROSTER_OPEN;
    node->connect = true;
    node->disconnect = false;
    node->opened_at_ms = self->now_ms;
    node->heard_at_ms = -1;
    node->garbage = 0;
    node->register_at_ms = self->now_ms;
    node->watch_at_ms = self->now_ms;
    node->ping_at_ms
        = self->now_ms + trn_roster_about (self, self->config.ping_ms);
    node->refresh_at_ms = TRN_ROSTER_NEVER;
    node->hole_number = 0;
    trn_dirnode_bind_open (self, node);
    self->stats.connects++;
}

static void
s_plan_retry (trn_roster_t *self, trn_dirnode_t *node)
{
    node->retry_at_ms
        = self->now_ms + trn_backoff_next (&node->backoff, &self->rng);
}

//  The connection is over, whoever says so.
void
trn_dirnode_lose (trn_roster_t *self, trn_dirnode_t *node, const char *why)
{
    //  Two who start at once may miss each other once: that is no news.
    node->failures++;
    if (!node->known_lost && (node->registered || node->failures > 2)) {
        trn_roster_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-LOST",
                           "endpoint=%.160s why=%s peers=%" PRIu32,
                           node->endpoint, why, self->view.shown_count);
        node->known_lost = true;
    }
    node->state = TRN_ROSTER_IDLE;
    node->connect = false;
    node->disconnect = true;
    node->registered = false;
    node->synced = false;
    node->refreshing = false;
    node->snapshot_epoch = 0;
    node->refused_ms = 0;
    trn_view_make_stale (&self->view, trn_dirnode_number (self, node),
                         self->now_ms);
    s_look_for_stale (self);
    s_plan_retry (self, node);
    //  Whoever takes over a local directory does it now; its lock lets only
    //  one.
    if (self->config.local && node->heard_at_ms >= 0) {
        node->retry_at_ms = self->now_ms;
    }
}

static void
s_retry (trn_roster_t *self, trn_dirnode_t *node)
{
    if (self->config.local) {
        node->state = TRN_ROSTER_HOSTING;
        node->host = true;
    } else {
        trn_dirnode_open (self, node);
    }
}

//  When silence of an open node becomes its death.
static int64_t
s_silence_ends_ms (const trn_roster_t *self, const trn_dirnode_t *node)
{
    if (node->heard_at_ms >= 0) {
        return node->heard_at_ms + self->config.silence_ms;
    }
    return node->opened_at_ms
           + trn_least (self->config.silence_ms, self->config.local
                                                     ? FIRST_ANSWER_LOCAL_MS
                                                     : FIRST_ANSWER_MS);
}

//  What a node tells ------------------------------------------------------

void
trn_dirnode_plan_register (trn_roster_t *self, trn_dirnode_t *node)
{
    node->registered = false;
    node->refreshing = false;
    node->refresh_at_ms = TRN_ROSTER_NEVER;
    node->register_at_ms
        = trn_most (self->now_ms, node->said_register_ms + REGISTER_GAP_MS);
}

//  Something was missed: ask again, but not faster than answers can come.
static void
s_plan_watch (trn_roster_t *self, trn_dirnode_t *node)
{
    node->snapshot_epoch = 0;
    node->hole_number = 0;
    node->watch_at_ms = trn_least (node->watch_at_ms,
                                   self->now_ms + TRN_ROSTER_ANSWER_MS / 5);
}

static void
s_on_registered (trn_roster_t *self, trn_dirnode_t *node,
                 const trn_dirframe_t *frame)
{
    if (frame->registered.version != self->version) {
        return;  //  of a version before; ours is under way
    }
    node->refused_ms = 0;
    node->refused_why = 0;
    node->lease_ms = (uint32_t) frame->registered.lease_ms;
    node->register_at_ms = TRN_ROSTER_NEVER;
    node->refresh_at_ms = trn_least (
        node->refresh_at_ms,
        self->now_ms + trn_roster_about (self, node->lease_ms / 3));
    if (!node->registered) {
        const bool first = trn_roster_registered (self) == 0;
        node->registered = true;
        self->stats.registrations++;
        if (self->row_count) {
            node->refresh_at_ms = self->now_ms;
        }
        if (node->known_lost || first) {
            trn_roster_report (self, TERN_LOG_INFO, "TERN-DIRECTORY-FOUND",
                               "endpoint=%.160s lease_ms=%" PRIu32,
                               node->endpoint, node->lease_ms);
        }
        node->known_lost = false;
    }
}

static void
s_report_refusal (trn_roster_t *self, const trn_dirnode_t *node,
                  const trn_dirframe_t *frame)
{
    static const char *const ids[] = {
        [TRN_DIR_NAME] = "TERN-NAME-TAKEN",
        [TRN_DIR_FENCED] = "TERN-FENCED",
        [TRN_DIR_FULL] = "TERN-DIRECTORY-FULL",
        [TRN_DIR_RIGHTS] = "TERN-DIRECTORY-RIGHTS",
        [TRN_DIR_VERSION] = "TERN-DIRECTORY-VERSION",
    };
    const size_t reason = frame->refused.reason;
    const char *id = reason < sizeof ids / sizeof ids[0] ? ids[reason] : NULL;
    char text[TRN_ESCAPED_MAX];
    trn_escape (text, frame->refused.text.at,
                (size_t) trn_least (64, (int64_t) frame->refused.text.size));
    trn_roster_report (self, TERN_LOG_ERROR, id ? id : "TERN-DIRECTORY-REFUSED",
                       "endpoint=%.120s why=\"%.100s\"", node->endpoint, text);
}

static void
s_on_refused (trn_roster_t *self, trn_dirnode_t *node,
              const trn_dirframe_t *frame)
{
    self->stats.refusals++;
    trn_dirnode_plan_register (self, node);
    if (frame->refused.reason == TRN_DIR_UNKNOWN) {
        return;  //  it forgot us, or never knew: say it all again
    }
    if (node->refused_why != frame->refused.reason) {
        s_report_refusal (self, node, frame);
        node->refused_why = frame->refused.reason;
    }
    node->refused_ms
        = node->refused_ms
              ? (uint32_t) trn_least (2 * node->refused_ms, REFUSED_MAX_MS)
              : REFUSED_MIN_MS;
    node->register_at_ms
        = self->now_ms + trn_roster_about (self, node->refused_ms);
}

static void
s_note_synced (trn_roster_t *self, trn_dirnode_t *node, uint64_t epoch,
               uint64_t number)
{
    node->epoch = epoch;
    node->number = number;
    node->synced = true;
    node->synced_at_ms = self->now_ms;
    node->snapshot_epoch = 0;
    node->hole_number = 0;
    node->watch_at_ms = TRN_ROSTER_NEVER;
    self->complete = true;
    s_look_for_stale (self);
}

static void
s_on_snapshot (trn_roster_t *self, trn_dirnode_t *node, trn_dirframe_t *frame)
{
    const uint32_t source = trn_dirnode_number (self, node);
    const uint64_t page = frame->snapshot.page;
    if (page == 0) {
        trn_view_begin_snapshot (&self->view, source);
        node->snapshot_epoch = frame->snapshot.epoch;
        node->snapshot_number = frame->snapshot.number;
        node->snapshot_page = 0;
    } else if (page != node->snapshot_page
               || frame->snapshot.epoch != node->snapshot_epoch
               || frame->snapshot.number != node->snapshot_number) {
        self->stats.holes++;
        s_plan_watch (self, node);
        return;
    }
    node->snapshot_page++;
    node->watch_at_ms = self->now_ms + 2 * TRN_ROSTER_ANSWER_MS;
    trn_entry_t entry;
    while (trn_entries_next (&frame->snapshot.entries, &entry)) {
        if (!trn_text_is (entry.name, self->name)) {
            trn_view_claim (&self->view, source, &entry, -1);
        }
    }
    if (!frame->snapshot.last) {
        return;
    }
    //  In the life that we knew, what is missing has gone.  A node that was
    //  born again may only not have heard of it yet.
    const bool same_life = frame->snapshot.epoch == node->epoch;
    trn_view_end_snapshot (&self->view, source, same_life, self->now_ms);
    self->stats.snapshots++;
    s_note_synced (self, node, frame->snapshot.epoch, frame->snapshot.number);
}

static void
s_on_delta (trn_roster_t *self, trn_dirnode_t *node,
            const trn_dirframe_t *frame)
{
    if (!node->synced || frame->delta.epoch != node->epoch
        || frame->delta.number <= node->number) {
        return;
    }
    if (frame->delta.number != node->number + 1) {
        self->stats.holes++;
        s_plan_watch (self, node);
        return;
    }
    node->number++;
    node->hole_number = 0;
    self->stats.deltas++;
    const trn_entry_t *entry = &frame->delta.entry;
    const uint32_t source = trn_dirnode_number (self, node);
    if (trn_text_is (entry->name, self->name)) {
        return;
    }
    if (frame->delta.removed) {
        trn_view_unclaim (&self->view, source, entry->name);
    } else {
        trn_view_claim (&self->view, source, entry, -1);
    }
}

static void
s_on_pong (trn_roster_t *self, trn_dirnode_t *node, const trn_dirframe_t *frame)
{
    trn_dirnode_hear_digest (self, node, frame->pong.digest);
    const bool same_life = node->epoch && frame->pong.epoch == node->epoch;
    if (!node->synced) {
        //  The answer to a WATCH that named what we know: it goes on from
        //  there, so what it told us before the connection broke still holds.
        if (frame->pong.nonce == 0 && same_life && !node->snapshot_epoch) {
            trn_view_make_fresh (&self->view, trn_dirnode_number (self, node));
            s_note_synced (self, node, node->epoch, node->number);
        }
        return;
    }
    if (!same_life) {
        trn_dirnode_plan_register (self, node);
        s_plan_watch (self, node);
        return;
    }
    if (frame->pong.number <= node->number) {
        node->hole_number = 0;
        return;
    }
    //  It is ahead of us.  If nothing has come since it said so last time,
    //  nothing will.
    if (node->hole_number == node->number + 1) {
        self->stats.holes++;
        s_plan_watch (self, node);
    } else {
        node->hole_number = node->number + 1;
    }
}

static void
s_on_decoded (trn_roster_t *self, trn_dirnode_t *node, trn_dirframe_t *frame)
{
    switch (frame->type) {
    case TRN_DIR_REGISTERED: s_on_registered (self, node, frame); break;
    case TRN_DIR_REFUSED: s_on_refused (self, node, frame); break;
    case TRN_DIR_SNAPSHOT: s_on_snapshot (self, node, frame); break;
    case TRN_DIR_DELTA: s_on_delta (self, node, frame); break;
    case TRN_DIR_PONG: s_on_pong (self, node, frame); break;
    case TRN_DIR_STATS: break;  //  we never ask here
    case TRN_DIR_BINDINGS: trn_dirnode_hear_bindings (self, node, frame); break;
    case TRN_DIR_DIGESTS: trn_dirnode_hear_digests (self, node, frame); break;
    case TRN_DIR_TAKEN: trn_dirnode_hear_taken (self, node, frame); break;
    case TRN_DIR_REGISTER:
    case TRN_DIR_REFRESH:
    case TRN_DIR_GOODBYE:
    case TRN_DIR_WATCH:
    case TRN_DIR_QUERY:
    case TRN_DIR_PING:
        self->stats.garbage++;
        node->garbage++;
        break;
    }
}

void
trn_dirnode_hear (trn_roster_t *self, trn_dirnode_t *node, const void *bytes,
                  size_t size)
{
    if (node->state != TRN_ROSTER_OPEN) {
        return;
    }
    trn_dirframe_t frame;
    const int rc = trn_dirframe_decode (&frame, bytes, size);
    if (rc && rc != TERN_EVERSION) {
        self->stats.garbage++;
        node->garbage++;
    } else {
        node->heard_at_ms = self->now_ms;
        node->failures = 0;
    }
    if (!rc) {
        s_on_decoded (self, node, &frame);
    }
    if (node->garbage >= GARBAGE_MAX) {
        trn_dirnode_lose (self, node, "nonsense");
        //  Not even a local one deserves an answer at once.
        s_plan_retry (self, node);
    }
}

//  Time ------------------------------------------------------------------

void
trn_dirnode_tick (trn_roster_t *self, trn_dirnode_t *node)
{
    if (node->state == TRN_ROSTER_IDLE && self->now_ms >= node->retry_at_ms) {
        s_retry (self, node);
    } else if (node->state == TRN_ROSTER_OPEN) {
        if (self->now_ms >= s_silence_ends_ms (self, node)) {
            trn_dirnode_lose (self, node, "silent");
        } else if (node->heard_at_ms >= 0
                   && self->now_ms - node->opened_at_ms >= HEALTHY_MS) {
            node->backoff.attempts = 0;
        }
    }
}

int64_t
trn_dirnode_deadline (const trn_roster_t *self, const trn_dirnode_t *node)
{
    if (node->state == TRN_ROSTER_IDLE) {
        return node->retry_at_ms;
    }
    if (node->state == TRN_ROSTER_HOSTING) {
        return TRN_ROSTER_NEVER;  //  the shell answers
    }
    int64_t deadline = s_silence_ends_ms (self, node);
    deadline = trn_least (deadline, node->watch_at_ms);
    deadline = trn_least (deadline, node->ping_at_ms);
    deadline = trn_least (deadline, node->refresh_at_ms);
    deadline = trn_least (deadline, trn_dirnode_bind_deadline (node));
    //  Without an endpoint there is nothing to register.
    return self->endpoint_count ? trn_least (deadline, node->register_at_ms)
                                : deadline;
}
