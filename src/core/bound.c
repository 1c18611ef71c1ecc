//  core/bound.c - the registry's bindings, and who waits for them to be saved
//
//  Invariants: answers wait in the order of the saves they need; one save is
//  under way at most.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/bound.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

//  A save that failed is tried again after this.
#define RETRY_MS 1000

//  Between two saves, for every so many bytes of the table 1 ms: what a save
//  costs grows with the table, so its share of our time does not.
#define BYTES_PER_MS (100 * 1024)

void
trn_bound_init (trn_bound_t *self, size_t bindings_max, size_t bytes_max,
                bool durable)
{
    assert (self);
    *self = (trn_bound_t) {
        .table = trn_bindings_new (bindings_max, bytes_max),
        .durable = durable,
        .at = trn_alloc (TRN_BOUND_WAITING * sizeof *self->at),
    };
}

void
trn_bound_clear (trn_bound_t *self)
{
    assert (self);
    trn_bindings_destroy (&self->table);
    free (self->at);
    *self = (trn_bound_t) {0};
}

//  Refused: whoever made it takes it back with a stamp of one more.  If it has
//  the place of a live one, that is said again, later than both.
static void
s_refuse (trn_bound_t *self, const trn_binding_t *binding, bool *news_p)
{
    trn_binding_t known;
    if (!trn_bindings_find (self->table, binding, &known) || known.removed
        || known.stamp_us > binding->stamp_us + 1
        || binding->stamp_us > TRN_STAMP_MAX - 2) {
        return;
    }
    known.stamp_us = binding->stamp_us + 2;
    *news_p
        = trn_bindings_take (self->table, &known) == TRN_BINDING_NEW || *news_p;
}

//  A binding that is made must fit the others of its exchange.  One that is
//  only told was made where it did: it is kept, or two halves of a network
//  would never agree again.
static trn_dir_verdict_t
s_take_one (trn_bound_t *self, const trn_binding_t *binding, bool asked,
            bool *news_p)
{
    trn_binding_t known;
    const bool there = trn_bindings_find (self->table, binding, &known);
    const bool same = there && !known.removed && known.type == binding->type;
    if (asked && !binding->removed && !same
        && trn_bindings_conflict (self->table, binding)) {
        s_refuse (self, binding, news_p);
        return TRN_DIR_TOOK_TYPE;
    }
    if (there && asked && trn_binding_says (&known, binding)) {
        return TRN_DIR_TOOK;
    }
    if (there && !trn_binding_later (binding, &known)) {
        return asked ? TRN_DIR_TOOK_OLD : TRN_DIR_TOOK;
    }
    switch (trn_bindings_take (self->table, binding)) {
    case TRN_BINDING_OLD: break;
    case TRN_BINDING_NEW: *news_p = true; break;
    case TRN_BINDING_FULL: return TRN_DIR_TOOK_FULL;
    }
    return TRN_DIR_TOOK;
}

uint32_t
trn_bound_take (trn_bound_t *self, const trn_dirframe_t *frame,
                trn_bound_answer_t *answer, bool *news_p)
{
    assert (self && frame && frame->type == TRN_DIR_BINDINGS && news_p);
    const bool asked = frame->bindings.nonce != 0;
    assert (!asked || frame->bindings.items.left <= TRN_DIR_ASK_MAX);
    trn_items_t items = frame->bindings.items;
    trn_binding_t binding;
    uint32_t refused = 0;
    *news_p = false;
    answer->nonce = frame->bindings.nonce;
    answer->count = 0;
    while (trn_binds_next (&items, &binding)) {
        const trn_dir_verdict_t verdict
            = s_take_one (self, &binding, asked, news_p);
        refused += verdict != TRN_DIR_TOOK && verdict != TRN_DIR_TOOK_OLD;
        if (asked) {
            answer->verdicts[answer->count++] = (uint8_t) verdict;
        }
    }
    self->changed |= *news_p;
    return refused;
}

bool
trn_bound_wait (trn_bound_t *self, const trn_bound_answer_t *answer)
{
    assert (self && answer);
    if (!self->durable || (!self->changed && !self->saving)) {
        return false;
    }
    if (self->count == TRN_BOUND_WAITING) {
        self->first = (self->first + 1) % TRN_BOUND_WAITING;
        self->count--;
    }
    trn_bound_answer_t *own
        = &self->at[(self->first + self->count++) % TRN_BOUND_WAITING];
    *own = *answer;
    own->save = self->saves + (self->changed ? 1 : 0);
    return true;
}

bool
trn_bound_begin_save (trn_bound_t *self, int64_t now_ms)
{
    assert (self);
    if (now_ms < trn_bound_deadline (self)) {
        return false;
    }
    self->changed = false;
    self->saving = true;
    self->saves++;
    return true;
}

void
trn_bound_end_save (trn_bound_t *self, bool good, int64_t now_ms)
{
    assert (self && self->saving);
    self->saving = false;
    if (good) {
        self->next_save_ms
            = now_ms
              + (int64_t) (trn_bindings_bytes (self->table) / BYTES_PER_MS);
        return;
    }
    //  Those that wait for it wait for the next one.
    self->changed = true;
    self->next_save_ms = now_ms + RETRY_MS;
    for (size_t index = 0; index < self->count; index++) {
        trn_bound_answer_t *answer
            = &self->at[(self->first + index) % TRN_BOUND_WAITING];
        if (answer->save <= self->saves) {
            answer->save = self->saves + 1;
        }
    }
}

const trn_bound_answer_t *
trn_bound_next_answer (trn_bound_t *self)
{
    assert (self);
    const uint64_t done = self->saves - (self->saving ? 1 : 0);
    if (!self->count || self->at[self->first].save > done) {
        return NULL;
    }
    const trn_bound_answer_t *answer = &self->at[self->first];
    self->first = (self->first + 1) % TRN_BOUND_WAITING;
    self->count--;
    return answer;
}

int64_t
trn_bound_deadline (const trn_bound_t *self)
{
    assert (self);
    return self->durable && self->changed && !self->saving ? self->next_save_ms
                                                           : INT64_MAX;
}
