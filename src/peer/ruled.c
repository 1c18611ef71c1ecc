//  peer/ruled.c - sending what is not plain
//
//  Knows: the engine must hear a message's rule before the message.  A plain
//  message is appended without a lock, a ruled one under a lock together with
//  its rule, and the actor takes rules and the log's end under the same lock:
//
//      publisher   lock · append · add rule · unlock
//      actor       end · has there been a rule? · lock · rules, end · unlock
//
//  `ruled` is set before the first such append, so an actor that saw it false
//  saw an end without ruled messages before.
//
//  Numbers of idempotent publishing: the log's records have them; the engine's
//  state, of those records that it lets go.  A number is told to the engine when
//  its message is synced or settled, since a state must not claim a message that
//  a crash may still take.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/large.h"
#include "peer/message.h"
#include "peer/peer.h"

#include "base/memory.h"
#include "io/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Opening -----------------------------------------------------------------

void
trn_ruled_found (void *arg, const trn_record_t *record)
{
    trn_box_t *box = arg;
    trn_ruling_t ruling;
    trn_ruling_read (record, &ruling);
    trn_rulings_add (&box->rulings, &ruling);
}

//  Actor: to be told to the engine when it is durable.
static void
s_note_number (trn_box_t *box, uint64_t seq, uint64_t number)
{
    trn_numbers_t *numbers = &box->numbers;
    if (numbers->first == numbers->count) {
        numbers->first = numbers->count = 0;
    }
    if (numbers->count == numbers->capacity) {
        if (numbers->first > numbers->capacity / 2) {
            numbers->count -= numbers->first;
            memmove (numbers->at, numbers->at + numbers->first,
                     numbers->count * sizeof *numbers->at);
            numbers->first = 0;
        } else {
            numbers->capacity = numbers->capacity ? numbers->capacity * 2 : 64;
            numbers->at = trn_realloc (numbers->at,
                                       numbers->capacity * sizeof *numbers->at);
        }
    }
    numbers->at[numbers->count++] = (trn_number_t) {seq, number};
}

//  Actor.
static void
s_tell (trn_box_t *box, const trn_rulings_t *rulings)
{
    for (size_t index = 0; index < rulings->count; index++) {
        const trn_ruling_t *ruling = &rulings->at[index];
        if (trn_ruling_is_rule (&ruling->rule)) {
            trn_engine_on_message (box->peer->engine, box->id, &ruling->rule);
        }
        if (ruling->body) {
            trn_large_refer (box, ruling->rule.seq, ruling->body,
                             ruling->body_size);
        }
        if (ruling->number) {
            s_note_number (box, ruling->rule.seq, ruling->number);
        }
    }
}

void
trn_ruled_restore (trn_box_t *box)
{
    assert (box);
    uint64_t number = trn_engine_number (box->peer->engine, box->id);
    for (size_t index = 0; index < box->rulings.count; index++) {
        const trn_ruling_t *ruling = &box->rulings.at[index];
        number = ruling->number > number ? ruling->number : number;
    }
    s_tell (box, &box->rulings);
    trn_rulings_clear (&box->rulings);
    trn_crowd_recount (box, 0);
    box->number = number;
}

//  Sending -----------------------------------------------------------------

//  Lock held.
static int
s_append_alone (trn_box_t *box, trn_record_t *record, trn_seal_t *seal,
                trn_ruling_t *ruling, trn_sent_t *sent)
{
    const uint64_t number = seal->number;
    seal->stale
        = seal->target_count && seal->routes != atomic_load (&box->routes);
    if (seal->stale) {
        return TERN_EAGAIN;
    }
    if (number && number <= box->number) {
        return TERN_OK;
    }
    sent->crowded = !trn_crowd_has_room (box, sent->ruled);
    if (sent->crowded) {
        return TERN_EAGAIN;
    }
    atomic_store (&box->ruled, true);
    const int rc = trn_outbox_append (box->outbox, record, 0, &sent->seq);
    if (rc == TERN_OK) {
        ruling->rule.seq = sent->seq;
        trn_rulings_add (&box->rulings, ruling);
        ruling->targets = NULL;
        box->ruled_untold += sent->ruled;
        atomic_fetch_add (&box->ruled_count, sent->ruled);
        box->number = number ? number : box->number;
    }
    return rc;
}

//  One attempt: TERN_EAGAIN if there is no room now, or if it is stale.
static int
s_append (trn_box_t *box, trn_record_t *record, trn_seal_t *seal,
          trn_sent_t *sent)
{
    trn_ruling_t ruling;
    trn_ruling_read (record, &ruling);
    sent->seq = 0;
    sent->ruled = trn_crowd_weight (box, &ruling.rule);
    pthread_mutex_lock (&box->ruling);
    const int rc = s_append_alone (box, record, seal, &ruling, sent);
    pthread_mutex_unlock (&box->ruling);
    free (ruling.targets);
    return rc;
}

//  Time passes from acceptance, so each attempt has its own.
static int
s_try (trn_box_t *box, const tern_msg_t *msg, trn_seal_t *seal,
       trn_propset_t *scratch, trn_sent_t *sent)
{
    trn_record_t record;
    sent->stamp_us = trn_clock_wall_us ();
    seal->wall_ms = sent->stamp_us / 1000;
    int rc = trn_msg_seal (msg, seal, scratch, &record);
    if (rc == TERN_OK) {
        record.stamp_us = sent->stamp_us;
        sent->size = trn_record_size (&record);
        rc = s_append (box, &record, seal, sent);
    }
    return rc;
}

//  For what was refused: of the log, or among the messages with rules.
static int
s_wait_room (trn_box_t *box, const trn_sent_t *sent, int timeout_ms)
{
    return sent->crowded
               ? trn_crowd_wait (box, sent->ruled, timeout_ms)
               : trn_outbox_wait_room (box->outbox, sent->size, timeout_ms);
}

int
trn_ruled_send (trn_box_t *box, const tern_msg_t *msg, trn_seal_t *seal,
                int timeout_ms, trn_sent_t *sent)
{
    assert (box && msg && seal && sent);
    const int64_t until
        = timeout_ms < 0 ? INT64_MAX : trn_clock_ms () + timeout_ms;
    trn_propset_t scratch = {0};
    int rc = s_try (box, msg, seal, &scratch, sent);
    bool again = rc == TERN_EAGAIN && !seal->stale;
    while (again) {
        const int64_t left = until - trn_clock_ms ();
        rc = s_wait_room (box, sent,
                          timeout_ms < 0 ? -1
                          : left > 0     ? (int) left
                                         : 0);
        if (rc == TERN_OK) {
            rc = s_try (box, msg, seal, &scratch, sent);
        }
        again = rc == TERN_EAGAIN && !seal->stale && timeout_ms != 0;
    }
    trn_propset_clear (&scratch);
    return rc == TERN_ETIMEOUT && timeout_ms == 0 ? TERN_EAGAIN : rc;
}

int
trn_ruled_copy (trn_box_t *box, trn_record_t *record, uint64_t *seq_p)
{
    assert (box && record && seq_p);
    trn_ruling_t ruling;
    trn_ruling_read (record, &ruling);
    const bool rule = trn_ruling_is_rule (&ruling.rule);
    free (ruling.targets);
    if (!rule) {
        return trn_outbox_append (box->outbox, record, 0, seq_p);
    }
    trn_seal_t seal = {0};
    trn_sent_t sent = {0};
    int rc = s_append (box, record, &seal, &sent);
    if (sent.crowded && trn_crowd_recount (box, sent.ruled)) {
        rc = s_append (box, record, &seal, &sent);
    }
    *seq_p = sent.seq;
    return rc;
}

uint64_t
trn_ruled_number (trn_box_t *box)
{
    assert (box);
    pthread_mutex_lock (&box->ruling);
    const uint64_t number = box->number;
    pthread_mutex_unlock (&box->ruling);
    return number;
}

//  Actor -------------------------------------------------------------------

//  What has a number may be sent only when it is synced: whoever gave it would
//  give it again after a crash, and a consumer that had seen the first would
//  take the second, under another seq, for a new message.
static uint64_t
s_held_back (trn_box_t *box, uint64_t appended)
{
    const trn_log_t *log = trn_outbox_log (box->outbox);
    if (trn_log_synced (log) < appended) {
        //  Asked for before looking again: what comes between is told.
        trn_outbox_want_room (box->outbox);
    }
    const uint64_t synced = trn_log_synced (log);
    return synced < appended ? synced : appended;
}

uint64_t
trn_ruled_collect (trn_box_t *box)
{
    assert (box);
    const trn_log_t *log = trn_outbox_log (box->outbox);
    uint64_t appended = trn_log_appended (log);
    if (!atomic_load (&box->ruled)) {
        return appended;
    }
    pthread_mutex_lock (&box->ruling);
    trn_rulings_t rulings = box->rulings;
    box->rulings = (trn_rulings_t) {0};
    box->ruled_untold = 0;
    appended = trn_log_appended (log);
    const bool numbered = box->number != 0;
    pthread_mutex_unlock (&box->ruling);
    s_tell (box, &rulings);
    trn_rulings_clear (&rulings);
    return numbered ? s_held_back (box, appended) : appended;
}

void
trn_ruled_save (trn_box_t *box)
{
    assert (box);
    trn_numbers_t *numbers = &box->numbers;
    if (numbers->first == numbers->count) {
        return;
    }
    const uint64_t synced = trn_log_synced (trn_outbox_log (box->outbox));
    const uint64_t settled = atomic_load (&box->processed);
    const uint64_t safe = synced > settled ? synced : settled;
    uint64_t number = 0;
    while (numbers->first < numbers->count
           && numbers->at[numbers->first].seq <= safe) {
        number = numbers->at[numbers->first++].number;
    }
    if (number) {
        trn_engine_on_number (box->peer->engine, box->id, number);
    }
}
