//  peer/bury.c - from an outbox into its dead letters
//
//  Knows: a message that is dead must be on the disk among the dead letters
//  before it leaves its outbox, and the actor does not wait for the disk.  So
//  the record is found on the actor's side, copied by a thread of its own, which
//  the first death starts, and reported when it is synced:
//
//      actor    DO_BURY ─▶ sought ─▶ found ─┐        ┌─▶ on_buried, appended
//      burier                               └▶ append · sync
//
//  Nobody else appends to dead letters, and the engine does not hear of one
//  before it was reported: so it is never consumed before its message has gone.
//  After a crash between sync and report, opening finds the letter and reports
//  it then.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/large.h"
#include "peer/peer.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"
#include "wire/manifest.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SUFFIX ".dead"

//  What the burier has in hand at most: letters, and bytes beyond one letter.
#define HELD_MAX 1024
#define HELD_BYTES (8 * 1024 * 1024)

//  Between two looks whether the peer closes.
#define SYNC_MS 200

//  One death.
typedef struct s_death {
    struct s_death *next;
    trn_box_t *box;  //  where it died
    uint32_t number;
    uint64_t seq;
    char queue[TRN_NAME_MAX + 2];
    char consumer[TRN_NAME_MAX + 1];
    const char *reason;
    uint32_t deliveries;
    uint8_t *bytes;  //  the record, once found
    uint32_t size;
    trn_box_t *letters;  //  where it is put
    uint64_t letter;     //  its seq there
    int result;
    trn_manifest_t manifest;  //  of a large one; else its id is 0
} s_death_t;

typedef struct {
    s_death_t *first;
    s_death_t **last;
} s_deaths_t;

struct trn_burial {
    s_deaths_t sought;  //  actor: their records are not at hand

    pthread_t thread;
    bool running;
    pthread_mutex_t lock;  //  the rest
    pthread_cond_t wake;
    s_deaths_t found;
    size_t held_count, held_bytes;  //  found and not reported
    bool stopping;
};

//  Names -------------------------------------------------------------------

bool
trn_dead_name (const char *queue)
{
    const size_t size = strlen (queue);
    return size > strlen (SUFFIX)
           && strcmp (queue + size - strlen (SUFFIX), SUFFIX) == 0;
}

void
trn_dead_queue (const char *queue, char name[TRN_NAME_MAX + 2])
{
    queue = trn_inbox_of (queue);
    const size_t room = TRN_NAME_MAX - strlen (SUFFIX);
    const size_t size = strlen (queue);
    if (size <= room) {
        snprintf (name, TRN_NAME_MAX + 2, "%.58s" SUFFIX, queue);
    } else {
        const uint32_t hash = (uint32_t) XXH3_64bits (queue, size);
        snprintf (name, TRN_NAME_MAX + 2, "%.49s-%08" PRIx32 SUFFIX, queue,
                  hash);
    }
}

//  Lists, first come first served --------------------------------------------

static void
s_push (s_deaths_t *list, s_death_t *death)
{
    death->next = NULL;
    *list->last = death;
    list->last = &death->next;
}

static s_death_t *
s_take_all (s_deaths_t *list)
{
    s_death_t *first = list->first;
    *list = (s_deaths_t) {.last = &list->first};
    return first;
}

static void
s_free (s_death_t *death)
{
    while (death) {
        s_death_t *next = death->next;
        free (death->bytes);
        free (death);
        death = next;
    }
}

//  The letter --------------------------------------------------------------

//  What of the first message's properties the letter keeps.
static bool
s_keeps (const trn_prop_t *prop)
{
    static const char *const own[]
        = {TRN_OWN_PRIORITY, TRN_OWN_ORDER, TRN_OWN_REPLY, TRN_OWN_CORRELATION,
           TRN_OWN_ID,       TRN_OWN_STORE, TRN_OWN_LARGE};
    if (!trn_prop_reserved (prop->key)) {
        return true;
    }
    for (size_t index = 0; index < sizeof own / sizeof *own; index++) {
        if (trn_text_is (prop->key, own[index])) {
            return true;
        }
    }
    return false;
}

static void
s_say (trn_propset_t *to, const char *key, const char *value)
{
    //  These come first and are short: there is room.
    const int rc = trn_propset_text (to, trn_text (key), trn_text (value));
    assert (rc == TERN_OK);
    (void) rc;
}

static void
s_say_number (trn_propset_t *to, const char *key, uint64_t value)
{
    char text[24];
    snprintf (text, sizeof text, "%" PRIu64, value);
    s_say (to, key, text);
}

//  The properties of the letter.  A record of an earlier version may have more
//  headers than there is room for now: the last of them are left out.
static void
s_inscribe (const s_death_t *death, const trn_record_t *record,
            trn_propset_t *to)
{
    const char *outbox = trn_outbox_name (death->box->outbox);
    trn_props_t props;
    trn_prop_t prop;
    const bool has_props
        = trn_props_open (&props, record->props, record->props_size) == 0;
    char id[2 * TRN_NAME_MAX + 32];
    snprintf (id, sizeof id, "%s/%s/%" PRIu64, death->box->peer->name, outbox,
              death->seq);
    if (has_props && trn_props_find (&props, trn_text (TRN_OWN_ID), &prop)
        && prop.kind == TRN_PROP_TEXT && prop.text.size < sizeof id) {
        snprintf (id, sizeof id, "%.*s", (int) prop.text.size, prop.text.at);
    }
    s_say (to, TRN_OWN_DEAD_ID, id);
    s_say (to, TRN_OWN_DEAD_QUEUE, trn_inbox_of (death->queue));
    s_say (to, TRN_OWN_DEAD_REASON, death->reason);
    s_say_number (to, TRN_OWN_DEAD_COUNT, death->deliveries);
    s_say (to, TRN_OWN_DEAD_CONSUMER, death->consumer);
    s_say_number (to, TRN_OWN_DEAD_TIME, record->stamp_us);
    s_say (to, TRN_OWN_DEAD_OUTBOX, outbox);
    s_say_number (to, TRN_OWN_DEAD_SEQ, death->seq);
    while (has_props && trn_props_next (&props, &prop)) {
        if (s_keeps (&prop)) {
            const int rc = trn_propset_add (to, &prop);
            (void) rc;
        }
    }
}

static int
s_append (s_death_t *death)
{
    trn_record_t record;
    if (trn_record_peek (death->bytes, death->size, &record) <= 0) {
        return TERN_ECORRUPT;
    }
    if (!trn_manifest_read (&record, &death->manifest)) {
        death->manifest.id = 0;
    }
    trn_propset_t props = {0};
    s_inscribe (death, &record, &props);
    size_t size = 0;
    record.props = trn_propset_map (&props, &size);
    record.props_size = (uint16_t) size;
    record.flags
        = (uint8_t) (TRN_RECORD_RULED | (record.flags & TRN_RECORD_LARGE));
    record.stamp_us = trn_clock_wall_us ();
    const int rc = trn_outbox_append (death->letters->outbox, &record, 0,
                                      &death->letter);
    trn_propset_clear (&props);
    return rc;
}

//  The burier --------------------------------------------------------------

static int
s_write (tern_peer_t *peer, s_death_t *death)
{
    char name[TRN_NAME_MAX + 2];
    char why[256] = "";
    trn_dead_queue (death->queue, name);
    int rc = trn_box_open (peer, name, &death->letters, why, sizeof why);
    if (rc == TERN_OK) {
        trn_box_leave (death->letters);
        rc = s_append (death);
    }
    if (rc == TERN_OK) {
        trn_outbox_store (death->letters->outbox);
    }
    return rc;
}

//  Actor: all of these are on the disk, or could not be put there.
static void
s_report (tern_peer_t *peer, void *arg)
{
    s_death_t *deaths = arg;
    const int64_t now = trn_clock_ms ();
    for (const s_death_t *at = deaths; at; at = at->next) {
        trn_engine_t *engine = peer->engine;
        if (at->result == TERN_OK) {
            if (at->manifest.id) {
                //  Before the message lets go of it.
                atomic_fetch_add (&at->letters->large_bytes, at->manifest.size);
                trn_large_refer (at->letters, at->letter, at->manifest.id,
                                 at->manifest.size);
            }
            trn_engine_on_buried (engine, at->box->id, at->number, at->seq,
                                  at->letters->id, at->letter, now);
            trn_box_appended (at->letters, at->letter, now);
        } else {
            trn_engine_on_bury_failed (engine, at->box->id, at->number, at->seq,
                                       now);
            trn_events_addf (&peer->events, "TERN-DEAD-LETTER-FAILED",
                             TERN_LOG_WARNING,
                             "queue=%s seq=%" PRIu64 " reason=\"%s\"",
                             at->queue, at->seq, tern_strerror (at->result));
        }
    }
    trn_burial_seek (peer);
}

static bool
s_stopping (struct trn_burial *self)
{
    pthread_mutex_lock (&self->lock);
    const bool stopping = self->stopping;
    pthread_mutex_unlock (&self->lock);
    return stopping;
}

//  False if the peer closes while the disk is full: whether the letter is there
//  is seen when it is opened again.
static bool
s_wait_synced (struct trn_burial *self, s_death_t *death)
{
    do {
        death->result = trn_outbox_wait (death->letters->outbox, death->letter,
                                         true, SYNC_MS);
    } while (death->result == TERN_ETIMEOUT && !s_stopping (self));
    return death->result != TERN_ETIMEOUT;
}

static void
s_bury (tern_peer_t *peer, s_death_t *deaths)
{
    struct trn_burial *self = peer->burial;
    size_t count = 0;
    size_t bytes = 0;
    for (s_death_t *at = deaths; at; at = at->next) {
        at->result = s_write (peer, at);
        count++;
        bytes += at->size;
    }
    bool known = true;
    for (s_death_t *at = deaths; at && known; at = at->next) {
        known = at->result != TERN_OK || s_wait_synced (self, at);
    }
    pthread_mutex_lock (&self->lock);
    self->held_count -= count;
    self->held_bytes -= bytes;
    pthread_mutex_unlock (&self->lock);
    if (known) {
        trn_actor_call (peer, s_report, deaths);
    }
}

static void *
s_run (void *arg)
{
    tern_peer_t *peer = arg;
    struct trn_burial *self = peer->burial;
    pthread_mutex_lock (&self->lock);
    while (!self->stopping) {
        if (!self->found.first) {
            pthread_cond_wait (&self->wake, &self->lock);
            continue;
        }
        s_death_t *deaths = s_take_all (&self->found);
        pthread_mutex_unlock (&self->lock);
        s_bury (peer, deaths);
        s_free (deaths);
        pthread_mutex_lock (&self->lock);
    }
    pthread_mutex_unlock (&self->lock);
    return NULL;
}

static bool
s_start (tern_peer_t *peer)
{
    struct trn_burial *self = peer->burial;
    if (!self->running) {
        sigset_t all;
        sigset_t old;
        sigfillset (&all);
        pthread_sigmask (SIG_SETMASK, &all, &old);
        self->running = pthread_create (&self->thread, NULL, s_run, peer) == 0;
        pthread_sigmask (SIG_SETMASK, &old, NULL);
    }
    return self->running;
}

//  The actor ---------------------------------------------------------------

//  Copy the record of a death if it is at hand: TRN_RUN_LATER if it is not.
static trn_run_answer_t
s_find (s_death_t *death)
{
    trn_engine_run_t run = {0};
    const trn_run_answer_t answer = trn_box_run (
        death->box->peer, death->box->id, death->seq, 1, 1, &run);
    if (answer == TRN_RUN_READY) {
        const trn_chunk_t *chunk = run.handle;
        death->size = run.size;
        death->bytes = trn_alloc (run.size);
        memcpy (death->bytes,
                chunk->data + ((int64_t) run.offset - chunk->offset), run.size);
        trn_box_release_run (death->box->peer, run.handle);
    }
    return answer;
}

//  Give it to the burier; false if that has enough in hand.
static bool
s_hand_over (struct trn_burial *self, s_death_t *death)
{
    pthread_mutex_lock (&self->lock);
    const bool room = self->held_count < HELD_MAX
                      && (self->held_count == 0
                          || self->held_bytes + death->size <= HELD_BYTES);
    if (room) {
        self->held_count++;
        self->held_bytes += death->size;
        //  It leaves the sought, whose next one our caller has noted.
        s_push (&self->found, death);
        pthread_cond_signal (&self->wake);
    }
    pthread_mutex_unlock (&self->lock);
    return room;
}

//  The body is with its publisher, who has not let go of the message.
static bool
s_is_elsewhere (const s_death_t *death)
{
    trn_record_t record;
    return death->bytes && death->box->inbox
           && trn_record_peek (death->bytes, death->size, &record) > 0
           && (record.flags & TRN_RECORD_LARGE);
}

//  True if it goes on with this one; else it stays sought.
static bool
s_seek (tern_peer_t *peer, s_death_t *death)
{
    const trn_run_answer_t answer
        = death->bytes ? TRN_RUN_READY : s_find (death);
    if (answer == TRN_RUN_GONE || s_is_elsewhere (death)) {
        trn_engine_on_buried (peer->engine, death->box->id, death->number,
                              death->seq, 0, 0, trn_clock_ms ());
        s_free (death);
        return true;
    }
    return answer == TRN_RUN_READY && s_hand_over (peer->burial, death);
}

void
trn_burial_seek (tern_peer_t *peer)
{
    struct trn_burial *self = peer->burial;
    while (self && self->sought.first) {
        s_death_t *death = self->sought.first;
        s_death_t *next = death->next;
        if (!s_seek (peer, death)) {
            return;
        }
        self->sought.first = next;
        if (!next) {
            self->sought.last = &self->sought.first;
        }
    }
}

void
trn_box_bury (tern_peer_t *peer, const trn_action_t *action)
{
    if (!peer->burial && !peer->buries_no_more) {
        struct trn_burial *made = trn_alloc (sizeof *made);
        made->sought.last = &made->sought.first;
        made->found.last = &made->found.first;
        pthread_mutex_init (&made->lock, NULL);
        pthread_cond_init (&made->wake, NULL);
        peer->burial = made;
    }
    if (peer->buries_no_more || !s_start (peer)) {
        //  What is not buried now dies again in the next life.
        trn_engine_on_bury_failed (peer->engine, action->outbox,
                                   action->bury.number, action->bury.seq,
                                   trn_clock_ms ());
        return;
    }
    s_death_t *death = trn_alloc (sizeof *death);
    death->box = peer->boxes[action->outbox - 1];
    death->number = action->bury.number;
    death->seq = action->bury.seq;
    death->reason = action->bury.reason;
    death->deliveries = action->bury.deliveries;
    snprintf (death->queue, sizeof death->queue, "%s", action->bury.queue);
    snprintf (death->consumer, sizeof death->consumer, "%s",
              action->bury.consumer);
    s_push (&peer->burial->sought, death);
    trn_burial_seek (peer);
}

//  Actor.
static void
s_end (tern_peer_t *peer, void *arg)
{
    (void) arg;
    peer->buries_no_more = true;
}

void
trn_burial_stop (tern_peer_t *peer)
{
    //  From here on the actor starts no burier: ours to look at.
    trn_actor_call (peer, s_end, NULL);
    struct trn_burial *self = peer->burial;
    if (self && self->running) {
        pthread_mutex_lock (&self->lock);
        self->stopping = true;
        pthread_cond_signal (&self->wake);
        pthread_mutex_unlock (&self->lock);
        pthread_join (self->thread, NULL);
    }
}

void
trn_burial_free (tern_peer_t *peer)
{
    struct trn_burial *self = peer->burial;
    peer->burial = NULL;
    if (self) {
        s_free (s_take_all (&self->sought));
        s_free (s_take_all (&self->found));
        pthread_cond_destroy (&self->wake);
        pthread_mutex_destroy (&self->lock);
        free (self);
    }
}

//  Letters of earlier lives ------------------------------------------------

//  A letter as opening finds it.
struct trn_letter {
    uint64_t letter;
    uint64_t seq;  //  of the first
    char outbox[TRN_NAME_MAX + 2];
    char queue[TRN_NAME_MAX + 2];
};

static bool
s_read_text (const trn_props_t *props, const char *key, char *to, size_t size)
{
    trn_prop_t prop;
    const bool fits = trn_props_find (props, trn_text (key), &prop)
                      && prop.kind == TRN_PROP_TEXT && prop.text.size < size;
    if (fits) {
        snprintf (to, size, "%.*s", (int) prop.text.size, prop.text.at);
    }
    return fits;
}

void
trn_grave_found (void *arg, const trn_record_t *record)
{
    trn_box_t *box = arg;
    trn_props_t props;
    trn_manifest_t manifest;
    if (trn_manifest_read (record, &manifest)) {
        trn_large_refer (box, record->seq, manifest.id, manifest.size);
    }
    trn_letter_t grave = {.letter = record->seq};
    char seq[24] = "";
    if (trn_props_open (&props, record->props, record->props_size) != 0
        || !s_read_text (&props, TRN_OWN_DEAD_OUTBOX, grave.outbox,
                         sizeof grave.outbox)
        || !s_read_text (&props, TRN_OWN_DEAD_QUEUE, grave.queue,
                         sizeof grave.queue)
        || !s_read_text (&props, TRN_OWN_DEAD_SEQ, seq, sizeof seq)) {
        return;
    }
    grave.seq = strtoull (seq, NULL, 10);
    box->graves = trn_realloc (box->graves,
                               (box->grave_count + 1) * sizeof *box->graves);
    box->graves[box->grave_count++] = grave;
}

static void
s_restore (tern_peer_t *peer, const trn_box_t *letters,
           const trn_letter_t *grave)
{
    trn_box_t *box = NULL;
    for (uint32_t index = 0; index < peer->box_count && !box; index++) {
        const char *name = trn_outbox_name (peer->boxes[index]->outbox);
        box = strcmp (name, grave->outbox) == 0 ? peer->boxes[index] : NULL;
    }
    const char *queue = NULL;
    uint32_t number = 0;
    for (size_t index = 0;
         box
         && trn_engine_queue_at (peer->engine, box->id, index, &queue, &number);
         index++) {
        if (strcmp (trn_inbox_of (queue), grave->queue) == 0) {
            trn_engine_on_buried (peer->engine, box->id, number, grave->seq,
                                  letters->id, grave->letter, trn_clock_ms ());
        }
    }
}

void
trn_graves_restore (tern_peer_t *peer)
{
    for (uint32_t index = 0; index < peer->box_count; index++) {
        trn_box_t *letters = peer->boxes[index];
        for (size_t grave = 0; grave < letters->grave_count; grave++) {
            s_restore (peer, letters, &letters->graves[grave]);
        }
        free (letters->graves);
        letters->graves = NULL;
        letters->grave_count = 0;
    }
}
