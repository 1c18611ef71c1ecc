//  core/roster_bind.c - the bindings that a peer knows, and their way to nodes
//
//  The peer has the whole table, as every node has, so that a publisher routes
//  when no node answers.  What makes tables the same:
//
//      at once    a node tells its watchers each change; a peer asks all nodes
//                 to take what it binds, until one has answered
//      by and by  PONG tells the digest of all.  If it stays another than ours,
//                 we send the digests of our buckets; the node answers with its
//                 own and with its bindings of those that differ; where we know
//                 more than it, we tell it.
//
//  What is told in one go is bounded, and starts at a random bucket: of many
//  peers that find an empty node, each fills another part of it.  Tables that
//  cannot become the same (one is full) are compared less and less often.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/roster_inside.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

//  A page of what is told ends when it has so many bytes; pages in one go, and
//  the pause before the next.
#define PAGE_BYTES 16384
#define PAGES 32
#define PAUSE_MS 200

//  Refusals that are remembered.
#define REFUSED_MAX 256

//  Between comparisons that change nothing.
#define IDLE_MIN_MS 1000
#define IDLE_MAX_MS 60000

//  Life ----------------------------------------------------------------------

void
trn_roster_bind_init (trn_roster_t *self)
{
    self->bindings = trn_bindings_new (TRN_BINDINGS_MAX, TRN_BINDINGS_BYTES);
}

static void
s_free_asked (trn_roster_asked_t *asked)
{
    if (asked) {
        free (asked->binding);
        free (asked);
    }
}

void
trn_roster_bind_clear (trn_roster_t *self)
{
    for (size_t index = 0; index < self->asked.count; index++) {
        s_free_asked (self->asked.at[index]);
    }
    for (size_t index = 0; index < self->answered.count; index++) {
        s_free_asked (self->answered.at[index]);
    }
    for (size_t index = 0; index < self->refused.count; index++) {
        s_free_asked (self->refused.at[index]);
    }
    s_free_asked (self->shown);
    trn_list_clear (&self->asked);
    trn_list_clear (&self->answered);
    trn_list_clear (&self->refused);
    trn_bindings_destroy (&self->bindings);
}

void
trn_dirnode_bind_open (trn_roster_t *self, trn_dirnode_t *node)
{
    trn_dirnode_bind_t *bind = &node->bind;
    bind->ask_at_ms = self->asked.count ? self->now_ms : TRN_ROSTER_NEVER;
    bind->ask_count = 0;
    bind->compare_at_ms = self->now_ms;
    bind->compare_nonce = 0;
    bind->odd = false;
    bind->telling = false;
}

//  What we bind ----------------------------------------------------------------

//  What waits for an answer, or was refused: one at most for each binding.
static trn_roster_asked_t *
s_find_asked (const trn_list_t *list, const trn_binding_t *binding)
{
    const uint64_t identity = list->count ? trn_binding_identity (binding) : 0;
    for (size_t index = 0; index < list->count; index++) {
        trn_roster_asked_t *asked = list->at[index];
        if (asked->identity == identity
            && trn_binding_order (asked->binding, binding) == 0) {
            return asked;
        }
    }
    return NULL;
}

static void
s_drop_asked (trn_list_t *list, trn_roster_asked_t *asked)
{
    if (asked) {
        trn_list_remove (list, asked);
        s_free_asked (asked);
    }
}

//  Every node is to be asked, until one answers.
static void
s_ask (trn_roster_t *self, const trn_binding_t *binding)
{
    trn_roster_asked_t *asked = trn_alloc (sizeof *asked);
    asked->binding = trn_binding_copy (binding, NULL);
    asked->identity = trn_binding_identity (asked->binding);
    asked->serial = ++self->asked_serial;
    //  What we said of it before needs no answer any more.
    s_drop_asked (&self->asked, s_find_asked (&self->asked, asked->binding));
    s_drop_asked (&self->refused,
                  s_find_asked (&self->refused, asked->binding));
    trn_list_add (&self->asked, asked);
    for (size_t index = 0; index < self->node_count; index++) {
        trn_dirnode_t *node = &self->nodes[index];
        if (node->state == TRN_ROSTER_OPEN && !node->bind.ask_count) {
            node->bind.ask_at_ms = self->now_ms;
        }
    }
}

int
trn_roster_bind_own (trn_roster_t *self, const trn_binding_t *binding)
{
    const int rc = trn_binding_check (binding);
    if (rc) {
        return rc;
    }
    if (self->asked.count >= TRN_ROSTER_ASKED_MAX) {
        return TERN_EAGAIN;
    }
    trn_binding_t own = *binding;
    own.writer = trn_text (self->name);
    own.stamp_us = own.stamp_us ? own.stamp_us : 1;
    trn_binding_t known;
    if (trn_bindings_find (self->bindings, binding, &known)) {
        if (own.stamp_us <= known.stamp_us) {
            own.stamp_us = known.stamp_us + 1;
        }
        if (own.stamp_us > TRN_STAMP_MAX) {
            return TERN_EINVAL;
        }
        if (trn_binding_says (&known, &own)) {
            //  As far as we know.  A node that knows otherwise has to hear that
            //  it was said now.
            s_ask (self, &own);
            return 0;
        }
    }
    //  Of another type by what is only remembered from an earlier life: a node
    //  is to judge, and it is in no table before.
    const bool odd
        = !own.removed && trn_bindings_conflict (self->bindings, &own);
    if (odd && self->bindings_known) {
        return TERN_ETYPE;
    }
    if (!odd && trn_bindings_take (self->bindings, &own) == TRN_BINDING_FULL) {
        return TERN_EFULL;
    }
    s_ask (self, &own);
    return 0;
}

int
trn_roster_confirm_own (trn_roster_t *self, const trn_binding_t *identity)
{
    if (s_find_asked (&self->asked, identity)) {
        return 0;
    }
    //  What it is now is not what was said.
    const trn_roster_asked_t *refused = s_find_asked (&self->refused, identity);
    if (refused) {
        return refused->result;
    }
    trn_binding_t known;
    if (!trn_bindings_find (self->bindings, identity, &known)) {
        return TERN_ENOENT;
    }
    if (self->asked.count >= TRN_ROSTER_ASKED_MAX) {
        return TERN_EAGAIN;
    }
    s_ask (self, &known);
    return 0;
}

//  A node will not have it.  It may have come to others already: take it back.
static void
s_withdraw (trn_roster_t *self, const trn_binding_t *binding)
{
    trn_binding_t known;
    if (!binding->removed && binding->stamp_us < TRN_STAMP_MAX
        && trn_bindings_find (self->bindings, binding, &known)
        && !trn_binding_later (&known, binding)) {
        trn_binding_t own = *binding;
        own.removed = true;
        own.stamp_us++;
        (void) trn_bindings_take (self->bindings, &own);
    }
}

static int
s_result (uint8_t verdict)
{
    switch ((trn_dir_verdict_t) verdict) {
    case TRN_DIR_TOOK: return 0;
    case TRN_DIR_TOOK_TYPE: return TERN_ETYPE;
    case TRN_DIR_TOOK_FULL: return TERN_EFULL;
    case TRN_DIR_TOOK_RIGHTS: return TERN_EACCESS;
    case TRN_DIR_TOOK_OLD: return TERN_EAGAIN;
    }
    return TERN_EACCESS;  //  a reason of a later version
}

//  Whoever asks for the answer may come after it.
static void
s_remember_refused (trn_roster_t *self, const trn_roster_asked_t *asked)
{
    if (self->refused.count == REFUSED_MAX) {
        s_drop_asked (&self->refused, self->refused.at[0]);
    }
    trn_roster_asked_t *refused = trn_alloc (sizeof *refused);
    *refused = *asked;
    refused->binding = trn_binding_copy (asked->binding, NULL);
    trn_list_add (&self->refused, refused);
}

//  One that was in no table before a node had judged it.
static void
s_take_judged (trn_roster_t *self, const trn_binding_t *binding)
{
    trn_binding_t known;
    if (!trn_bindings_find (self->bindings, binding, &known)) {
        (void) trn_bindings_take (self->bindings, binding);
    }
}

//  The first answer counts, whichever node gives it.
static void
s_answer (trn_roster_t *self, uint64_t serial, uint8_t verdict)
{
    for (size_t index = 0; index < self->asked.count; index++) {
        trn_roster_asked_t *asked = self->asked.at[index];
        if (asked->serial == serial) {
            asked->result = s_result (verdict);
            if (asked->result) {
                s_remember_refused (self, asked);
            } else {
                s_take_judged (self, asked->binding);
            }
            if (asked->result && verdict != TRN_DIR_TOOK_OLD) {
                s_withdraw (self, asked->binding);
            }
            trn_list_remove (&self->asked, asked);
            trn_list_add (&self->answered, asked);
            return;
        }
    }
}

void
trn_dirnode_hear_taken (trn_roster_t *self, trn_dirnode_t *node,
                        const trn_dirframe_t *frame)
{
    trn_dirnode_bind_t *bind = &node->bind;
    if (!bind->ask_count || frame->taken.nonce != bind->ask_nonce) {
        return;
    }
    for (uint32_t index = 0;
         index < bind->ask_count && index < frame->taken.count; index++) {
        const uint8_t verdict = frame->taken.verdicts[index];
        s_answer (self, bind->ask[index], verdict);
        if (verdict == TRN_DIR_TOOK_OLD && !bind->compare_nonce) {
            bind->compare_at_ms = self->now_ms;  //  what does it know?
        }
    }
    bind->ask_count = 0;
    bind->ask_at_ms = self->asked.count ? self->now_ms : TRN_ROSTER_NEVER;
}

static size_t
s_encode_ask (trn_roster_t *self, trn_dirnode_t *node)
{
    trn_dirnode_bind_t *bind = &node->bind;
    const trn_dirframe_t frame = {
        .type = TRN_DIR_BINDINGS,
        .bindings = {.nonce = ++node->nonce},
    };
    bind->ask_nonce = node->nonce;
    bind->ask_count = 0;
    bind->ask_at_ms = self->now_ms + TRN_ROSTER_ANSWER_MS;
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
    while (bind->ask_count < self->asked.count
           && bind->ask_count < TRN_DIR_ASK_MAX) {
        const trn_roster_asked_t *asked = self->asked.at[bind->ask_count];
        if (!trn_dirpage_add_binding (&page, asked->binding)) {
            break;
        }
        bind->ask[bind->ask_count++] = asked->serial;
    }
    return trn_dirpage_end (&page, true);
}

//  Comparing -------------------------------------------------------------------

static size_t
s_encode_digests (trn_roster_t *self, trn_dirnode_t *node)
{
    uint8_t buckets[TRN_BINDING_BUCKETS * 8];
    for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
        trn_put_u64 (buckets + (size_t) bucket * 8,
                     trn_bindings_bucket (self->bindings, bucket));
    }
    const trn_dirframe_t frame = {
        .type = TRN_DIR_DIGESTS,
        .digests = {.nonce = ++node->nonce, .buckets = buckets},
    };
    node->bind.compare_nonce = node->nonce;
    node->bind.compare_page = 0;
    node->bind.compare_heard = false;
    node->bind.compare_at_ms = self->now_ms + 2 * TRN_ROSTER_ANSWER_MS;
    self->stats.comparisons++;
    return trn_dirframe_encode (&frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
}

void
trn_dirnode_hear_digests (trn_roster_t *self, trn_dirnode_t *node,
                          const trn_dirframe_t *frame)
{
    trn_dirnode_bind_t *bind = &node->bind;
    if (!bind->compare_nonce || frame->digests.nonce != bind->compare_nonce) {
        return;
    }
    for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
        bind->digests[bucket] = trn_digest_at (frame->digests.buckets, bucket);
    }
    bind->compare_heard = true;
    bind->compare_at_ms = self->now_ms + 2 * TRN_ROSTER_ANSWER_MS;
}

//  All that the node knows better is here.  Where its buckets still differ, we
//  know better.
static void
s_end_comparison (trn_roster_t *self, trn_dirnode_t *node)
{
    trn_dirnode_bind_t *bind = &node->bind;
    bind->compare_nonce = 0;
    bind->compare_at_ms = TRN_ROSTER_NEVER;
    bind->odd = false;
    bind->telling = false;
    memset (bind->differ, 0, sizeof bind->differ);
    uint64_t theirs = 0;
    for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
        theirs += bind->digests[bucket];
        if (bind->digests[bucket]
            != trn_bindings_bucket (self->bindings, bucket)) {
            bind->differ[bucket / 8] |= (uint8_t) (1 << bucket % 8);
            bind->telling = true;
        }
    }
    bind->tell_first
        = (uint32_t) trn_rng_below (&self->rng, TRN_BINDING_BUCKETS);
    bind->tell_done = 0;
    bind->tell_index = 0;
    bind->tell_pages = 0;
    //  Both as they were the last time: it leads to nothing.
    const uint64_t ours = trn_bindings_digest (self->bindings);
    const bool idle
        = bind->telling && theirs == bind->theirs && ours == bind->ours;
    bind->idle_ms
        = idle ? (uint32_t) trn_least (
              trn_most (2 * (int64_t) bind->idle_ms, IDLE_MIN_MS), IDLE_MAX_MS)
               : 0;
    bind->theirs = theirs;
    bind->ours = ours;
    self->bindings_known = true;
}

void
trn_dirnode_hear_bindings (trn_roster_t *self, trn_dirnode_t *node,
                           const trn_dirframe_t *frame)
{
    trn_dirnode_bind_t *bind = &node->bind;
    trn_items_t items = frame->bindings.items;
    trn_binding_t binding;
    while (trn_binds_next (&items, &binding)) {
        if (trn_bindings_take (self->bindings, &binding) == TRN_BINDING_FULL) {
            self->stats.over++;
            if (!self->bindings_full) {
                trn_roster_report (self, TERN_LOG_WARNING, "TERN-BINDINGS-FULL",
                                   "bindings=%zu",
                                   trn_bindings_count (self->bindings));
            }
            self->bindings_full = true;
        }
    }
    if (!frame->bindings.nonce
        || frame->bindings.nonce != bind->compare_nonce) {
        return;
    }
    if (!bind->compare_heard || frame->bindings.page != bind->compare_page) {
        //  A part of the answer is missing: ask again.
        bind->compare_nonce = 0;
        bind->compare_at_ms = self->now_ms + PAUSE_MS;
        return;
    }
    bind->compare_page++;
    bind->compare_at_ms = self->now_ms + 2 * TRN_ROSTER_ANSWER_MS;
    if (frame->bindings.last) {
        s_end_comparison (self, node);
    }
}

//  PONG told the digest of all that the node knows.  Changes that are under way
//  make it another for a moment; if it is twice, something was missed.
void
trn_dirnode_hear_digest (trn_roster_t *self, trn_dirnode_t *node,
                         uint64_t digest)
{
    trn_dirnode_bind_t *bind = &node->bind;
    if (digest == trn_bindings_digest (self->bindings)) {
        bind->odd = false;
        bind->idle_ms = 0;
        if (!bind->compare_nonce) {
            bind->compare_at_ms = TRN_ROSTER_NEVER;
        }
    } else if (bind->compare_at_ms == TRN_ROSTER_NEVER && !bind->telling) {
        if (bind->odd) {
            bind->compare_at_ms = self->now_ms + bind->idle_ms;
        }
        bind->odd = true;
    }
}

//  A page of our bindings in buckets that differ.
static size_t
s_encode_telling (trn_roster_t *self, trn_dirnode_t *node)
{
    trn_dirnode_bind_t *bind = &node->bind;
    const trn_dirframe_t frame = {
        .type = TRN_DIR_BINDINGS,
        .bindings = {.page = bind->tell_pages++},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
    while (bind->tell_done < TRN_BINDING_BUCKETS
           && page.out.used < PAGE_BYTES) {
        const uint32_t bucket
            = (bind->tell_first + bind->tell_done) % TRN_BINDING_BUCKETS;
        trn_binding_t binding;
        if (!(bind->differ[bucket / 8] & 1 << bucket % 8)
            || !trn_bindings_in_bucket (self->bindings, bucket,
                                        bind->tell_index, &binding)) {
            bind->tell_done++;
            bind->tell_index = 0;
            continue;
        }
        //  What is only told is kept: what a node may refuse is asked first.
        const bool asked = s_find_asked (&self->asked, &binding) != NULL;
        if (!asked && !trn_dirpage_add_binding (&page, &binding)) {
            break;
        }
        bind->tell_index++;
        self->stats.told += !asked;
    }
    if (bind->tell_done == TRN_BINDING_BUCKETS) {
        bind->telling = false;
    } else if (bind->tell_pages == PAGES) {
        //  Look what it still lacks: others may have told it meanwhile.
        bind->telling = false;
        bind->compare_at_ms = self->now_ms + trn_roster_about (self, PAUSE_MS);
    }
    return trn_dirpage_end (&page, true);
}

//  Actions ---------------------------------------------------------------------

size_t
trn_dirnode_say_bindings (trn_roster_t *self, trn_dirnode_t *node)
{
    const trn_dirnode_bind_t *bind = &node->bind;
    if (self->now_ms >= bind->ask_at_ms) {
        if (self->asked.count) {
            return s_encode_ask (self, node);
        }
        //  Another node has answered.
        node->bind.ask_at_ms = TRN_ROSTER_NEVER;
        node->bind.ask_count = 0;
    }
    if (self->now_ms >= bind->compare_at_ms) {
        return s_encode_digests (self, node);
    }
    return bind->telling ? s_encode_telling (self, node) : 0;
}

int64_t
trn_dirnode_bind_deadline (const trn_dirnode_t *node)
{
    return trn_least (node->bind.ask_at_ms, node->bind.compare_at_ms);
}

//  The next binding that the shell has not seen as it is now.  After a restore
//  there may be more of them than the table remembers as news: then it is shown
//  all of them.
static bool
s_next_shown (trn_roster_t *self, trn_binding_t *binding)
{
    if (trn_bindings_missed (self->bindings, self->shown_number)) {
        self->shown_number = trn_bindings_number (self->bindings);
        self->show_all = true;
        self->show_index = 0;
    }
    if (self->show_all) {
        if (trn_bindings_at (self->bindings, self->show_index, binding)) {
            self->show_index++;
            return true;
        }
        self->show_all = false;
    }
    return trn_bindings_next_news (self->bindings, &self->shown_number,
                                   binding);
}

const trn_roster_action_t *
trn_roster_bind_action (trn_roster_t *self)
{
    trn_roster_action_t *action = &self->action;
    s_free_asked (self->shown);
    self->shown = NULL;
    if (s_next_shown (self, &action->binding)) {
        action->type = TRN_ROSTER_BINDING;
        trn_roster_plan_save (self);
        return action;
    }
    if (self->answered.count) {
        self->shown = self->answered.at[0];
        trn_list_remove (&self->answered, self->shown);
        action->type = TRN_ROSTER_BOUND;
        action->binding = *self->shown->binding;
        action->result = self->shown->result;
        return action;
    }
    return NULL;
}
