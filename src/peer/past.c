//  peer/past.c - queues that begin in the past of an exchange
//
//  Knows: what a new queue gets of what its publisher has kept.  A routed message
//  names its targets, and a new queue is not among those of the past; nor has the
//  engine kept the rules of messages that all others have settled.  So the kept
//  records are gone through once, what matches is chosen, and when the end is
//  reached the queue is made and told of it, all in one turn.  Meanwhile others
//  are served as ever.
//
//      time asked ──▶ reading ──▶ at the end: queue added, told, routed to
//                                   └▶ choice on the disk ──▶ queue served
//
//  No message may come between the end of the past and the first that is routed
//  to the queue: nothing with targets is appended while that step is taken
//  (box->ruling), and what was routed before it and comes after is routed again
//  (box->routes).
//
//  The choice of a routed exchange is durable (store/selection.h) before the
//  queue is in any state, so before anything of it is given out.  From then on it
//  belongs to the queue, whatever becomes of its bindings: later lives add the
//  queue to the targets of what was chosen.  After a crash before that the binding
//  is still there, and it begins again.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/exchange.h"

#include "base/memory.h"
#include "io/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RUN_COUNT 1024
#define RUN_BYTES (256 * 1024)

//  So many runs in one turn; then the others have theirs.
#define RUNS_MAX 8

struct trn_past {
    trn_past_t *next;  //  of the box
    char queue[TRN_NAME_MAX + 2];
    uint64_t time_us;      //  whose seq is wanted; 0: it is known
    bool asked;            //  for that; of an outbox one at a time
    uint64_t first;        //  where it begins
    uint64_t seq;          //  to be looked at next
    trn_router_t *router;  //  its bindings; each leads to 1
    uint32_t bindings;
    trn_seqset_t own;   //  what matches
    trn_rule_t *rules;  //  of these, in order
    size_t rule_count, rule_capacity;
};

//  What a queue of a routed exchange was given of the past, as long as a later
//  life must know.
struct trn_choice {
    trn_choice_t *next;         //  of the box
    trn_selection_t selection;  //  without seqs once the engine knows
};

//  From where on -------------------------------------------------------------

static void
s_begin_at (trn_box_t *box, trn_past_t *self, uint64_t seq)
{
    const uint64_t first
        = trn_log_first_retained (trn_outbox_log (box->outbox));
    self->time_us = 0;
    self->asked = false;
    self->first = seq > first ? seq : first;
    self->seq = self->first;
}

static trn_past_t *
s_new (trn_box_t *box, const trn_binding_t *binding)
{
    trn_past_t *self = trn_alloc (sizeof *self);
    memcpy (self->queue, binding->queue.at, binding->queue.size);
    self->router = trn_router_new (binding->type);
    self->next = box->pasts;
    box->pasts = self;
    box->peer->past_count++;
    switch (binding->from) {
    case TRN_FROM_TIME: self->time_us = binding->from_value * 1000; break;
    case TRN_FROM_SEQ: s_begin_at (box, self, binding->from_value); break;
    case TRN_FROM_EARLIEST:
    case TRN_FROM_NEW:
    default: s_begin_at (box, self, 1);
    }
    return self;
}

static void
s_free (trn_box_t *box, trn_past_t **link)
{
    trn_past_t *self = *link;
    box->peer->past_count--;
    *link = self->next;
    trn_router_destroy (&self->router);
    trn_seqset_clear (&self->own);
    free (self->rules);
    free (self);
}

static trn_past_t **
s_find (trn_box_t *box, trn_text_t queue)
{
    trn_past_t **link = &box->pasts;
    while (*link && !trn_text_is (queue, (*link)->queue)) {
        link = &(*link)->next;
    }
    return link;
}

static trn_past_t *
s_find_asked (trn_box_t *box)
{
    trn_past_t *self = box->pasts;
    while (self && !self->asked) {
        self = self->next;
    }
    return self;
}

//  An answer to one that is gone is nobody's.
static void
s_ask_time (trn_box_t *box)
{
    trn_past_t *asked = s_find_asked (box);
    uint64_t seq = 0;
    const int rc = trn_outbox_time (box->outbox, &seq);
    if (asked && rc != 0) {
        //  Unreadable: with all that there is.
        s_begin_at (box, asked, rc > 0 ? seq : 1);
    } else if (asked) {
        return;
    }
    for (trn_past_t *at = box->pasts; at; at = at->next) {
        if (at->time_us) {
            at->asked = true;
            trn_outbox_want_time (box->outbox, at->time_us);
            return;
        }
    }
}

//  Reading -------------------------------------------------------------------

//  Too many for memory, or for a file: it begins later.
static void
s_cut (trn_box_t *box, trn_past_t *self)
{
    const uint64_t first = self->first + (self->seq - self->first) / 2 + 1;
    size_t gone = 0;
    while (gone < self->rule_count && self->rules[gone].seq < first) {
        gone++;
    }
    self->rule_count -= gone;
    memmove (self->rules, self->rules + gone,
             self->rule_count * sizeof *self->rules);
    trn_seqset_remove (&self->own, 0, first - 1);
    self->first = first;
    trn_events_addf (&box->peer->events, "TERN-PAST-CUT", TERN_LOG_WARNING,
                     "outbox=%s queue=%s from=%" PRIu64, box->queue,
                     self->queue, first);
}

static void
s_add_rule (trn_past_t *self, const trn_rule_t *rule)
{
    if (self->rule_count == self->rule_capacity) {
        self->rule_capacity
            = self->rule_capacity ? self->rule_capacity * 2 : 64;
        self->rules = trn_realloc (self->rules,
                                   self->rule_capacity * sizeof *self->rules);
    }
    self->rules[self->rule_count++] = *rule;
}

//  What was to be delivered by some time, and was not, is nobody's any more.
static void
s_remember (trn_past_t *self, const trn_record_t *record)
{
    uint32_t target = 0;
    if (!trn_router_route (self->router, record->key, record->key_size,
                           record->props, record->props_size, &target, 1)) {
        return;
    }
    trn_ruling_t ruling = {.rule = {.seq = record->seq}};
    if (record->flags & TRN_RECORD_RULED) {
        trn_ruling_read (record, &ruling);
        free (ruling.targets);
        ruling.rule.targets = NULL;
        ruling.rule.target_count = 0;
    }
    if (ruling.rule.expires_ms
        && ruling.rule.expires_ms <= trn_clock_wall_us () / 1000) {
        return;
    }
    trn_seqset_add (&self->own, record->seq, record->seq);
    if (trn_ruling_is_rule (&ruling.rule)) {
        s_add_rule (self, &ruling.rule);
    }
}

static void
s_read_run (trn_box_t *box, trn_past_t *self, const trn_engine_run_t *run)
{
    const trn_chunk_t *chunk = run->handle;
    const uint8_t *at = chunk->data + ((int64_t) run->offset - chunk->offset);
    const uint8_t *end = at + run->size;
    for (uint32_t count = 0; count < run->count; count++) {
        trn_record_t record;
        const int size = trn_record_peek (at, (size_t) (end - at), &record);
        if (size <= 0) {
            break;  //  cannot be: it was checked when it was read
        }
        s_remember (self, &record);
        at += size;
    }
    self->seq = run->first_seq + run->count;
    while (trn_seqset_pages (&self->own) > TRN_SELECTION_PARTS_MAX
           || self->rule_count > TRN_RULED_MAX) {
        s_cut (box, self);
    }
}

//  Seqs that name no message are passed over: what is not there cannot be read.
static void
s_go_on (const trn_box_t *box, trn_past_t *self, uint64_t seq)
{
    self->seq = trn_engine_after_gap (box->peer->engine, box->id, seq);
}

//  True when all up to `to` has been read.
static bool
s_read (trn_box_t *box, trn_past_t *self, uint64_t to)
{
    s_go_on (box, self, self->seq);
    for (int runs = 0; runs < RUNS_MAX && self->seq <= to; runs++) {
        trn_engine_run_t run = {0};
        const trn_run_answer_t answer = trn_box_run (
            box->peer, box->id, self->seq, RUN_COUNT, RUN_BYTES, &run);
        if (answer == TRN_RUN_LATER) {
            return false;
        }
        if (answer == TRN_RUN_GONE) {
            s_go_on (box, self,
                     run.skip_to > self->seq ? run.skip_to : self->seq + 1);
        } else {
            s_read_run (box, self, &run);
            trn_box_release_run (box->peer, run.handle);
            s_go_on (box, self, self->seq);
        }
    }
    if (self->seq <= to) {
        trn_wake_up (&box->peer->wake);
        return false;
    }
    return true;
}

//  Choices -------------------------------------------------------------------

static trn_choice_t *
s_choose (trn_box_t *box, const trn_selection_t *selection)
{
    trn_choice_t *self = trn_alloc (sizeof *self);
    self->selection = *selection;
    self->next = box->choices;
    box->choices = self;
    return self;
}

static void
s_forget (trn_choice_t **link)
{
    trn_choice_t *self = *link;
    *link = self->next;
    trn_seqset_clear (&self->selection.seqs);
    free (self);
}

//  Those that no later life needs.
static void
s_forget_over (trn_box_t *box)
{
    trn_choice_t **link = &box->choices;
    while (*link) {
        const trn_selection_t *selection = &(*link)->selection;
        if (trn_engine_past_over (box->peer->engine, box->id, selection->number,
                                  selection->to)) {
            trn_outbox_unselect (box->outbox, selection->number);
            s_forget (link);
        } else {
            link = &(*link)->next;
        }
    }
}

static void
s_take_choice (void *arg, trn_selection_t *selection)
{
    s_choose (arg, selection);
    selection->seqs = (trn_seqset_t) {0};
}

int
trn_past_load (trn_box_t *box, char *why, size_t why_size)
{
    assert (box && !box->choices);
    return trn_outbox_selections (box->outbox, s_take_choice, box, why,
                                  why_size);
}

void
trn_past_restore (trn_box_t *box)
{
    assert (box);
    s_forget_over (box);
    for (trn_choice_t *at = box->choices; at; at = at->next) {
        const trn_selection_t *selection = &at->selection;
        for (size_t index = 0; index < box->rulings.count; index++) {
            trn_ruling_t *ruling = &box->rulings.at[index];
            if (ruling->rule.seq <= selection->to
                && trn_seqset_has (&selection->seqs, ruling->rule.seq)) {
                trn_ruling_add_target (ruling, selection->number);
            }
        }
        trn_seqset_clear (&at->selection.seqs);
    }
}

void
trn_past_on_disk (trn_box_t *box)
{
    assert (box);
    uint32_t number = 0;
    int rc = 0;
    while ((rc = trn_outbox_selected (box->outbox, &number)) != 0) {
        if (rc > 0) {
            trn_engine_on_past_kept (box->peer->engine, box->id, number,
                                     trn_clock_ms ());
            continue;
        }
        trn_events_addf (&box->peer->events, "TERN-PAST-FAILED", TERN_LOG_ERROR,
                         "outbox=%s queue=%" PRIu32 " reason=\"%s\"",
                         box->queue, number, tern_strerror (rc));
    }
    s_forget_over (box);
}

//  Beginning -----------------------------------------------------------------

//  A fanout's queue gets what was published since in any case, and no life needs
//  to be told which of the past: all that is not settled.  False if the exchange
//  takes no more queues.
static bool
s_begin (trn_box_t *box, const trn_past_t *self, uint64_t to)
{
    const bool chosen = trn_exchange_routed (trn_exchange_spec (box->exchange))
                        && trn_seqset_total (&self->own);
    const trn_engine_past_t past = {
        .number
        = trn_exchange_add_queue (box, trn_text (self->queue), self->first),
        .to = to,
        .own = &self->own,
        .rules = self->rules,
        .rule_count = self->rule_count,
        .withheld = chosen,
    };
    if (!past.number) {
        return false;
    }
    trn_engine_on_past (box->peer->engine, box->id, &past);
    if (chosen) {
        trn_selection_t selection
            = {.number = past.number, .to = to, .seqs = self->own};
        trn_outbox_select (box->outbox, &selection);
        selection.seqs = (trn_seqset_t) {0};
        s_choose (box, &selection);
    }
    return true;
}

//  True if it has begun, or can not.
static bool
s_finish (trn_box_t *box, trn_past_t *self)
{
    pthread_mutex_lock (&box->ruling);
    const uint64_t to = trn_log_appended (trn_outbox_log (box->outbox));
    const bool read = s_read (box, self, to);
    if (read && s_begin (box, self, to)) {
        trn_exchange_take_queue (box, trn_text (self->queue));
        atomic_fetch_add (&box->routes, 1);
    }
    pthread_mutex_unlock (&box->ruling);
    if (read) {
        trn_crowd_recount (box, 0);
    }
    return read;
}

//  Outside -------------------------------------------------------------------

void
trn_past_bind (trn_box_t *box, const trn_binding_t *binding)
{
    assert (box && binding);
    trn_past_t *self = *s_find (box, binding->queue);
    self = self ? self : s_new (box, binding);
    const bool known = trn_router_unbind (self->router, binding, 1);
    const int rc = trn_router_bind (self->router, binding, 1);
    self->bindings += rc == TERN_OK && !known;
    trn_wake_up (&box->peer->wake);
}

bool
trn_past_unbind (trn_box_t *box, const trn_binding_t *binding)
{
    assert (box && binding);
    trn_past_t **link = s_find (box, binding->queue);
    if (!*link) {
        return false;
    }
    (*link)->bindings -= trn_router_unbind ((*link)->router, binding, 1);
    if (!(*link)->bindings) {
        s_free (box, link);
    }
    return true;
}

bool
trn_past_has (trn_box_t *box, trn_text_t queue)
{
    return *s_find (box, queue) != NULL;
}

void
trn_past_run (trn_box_t *box)
{
    assert (box);
    s_ask_time (box);
    trn_past_t **link = &box->pasts;
    while (*link) {
        trn_past_t *self = *link;
        if (!self->time_us && s_read (box, self, box->seen)
            && s_finish (box, self)) {
            s_free (box, link);
        } else {
            link = &self->next;
        }
    }
}

void
trn_past_clear (trn_box_t *box)
{
    assert (box);
    while (box->pasts) {
        s_free (box, &box->pasts);
    }
    while (box->choices) {
        s_forget (&box->choices);
    }
}
