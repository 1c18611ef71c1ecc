//  peer/box.c - one outbox between application, disk and engine
//
//  Knows: where the engine's runs come from.  The newest records are in the
//  log's memory; what has left it is read back by the disk threads, ahead of
//  need while the engine reads in order, and kept in a few chunks.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/exchange.h"
#include "peer/large.h"
#include "peer/inbox.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES (1024 * 1024)

//  Runs of so few messages are read alone once there were messages with rules.
#define FEW 64
#define FEW_BYTES (16 * 1024)

//  Opening -----------------------------------------------------------------
//
//  The state of an exchange's outbox begins with what it is (exchange.h).  One
//  that a crash left without any state is not known to be of a type: it has no
//  message, and waits among the unnamed until a publisher says what it is.

typedef struct {
    trn_box_t *box;
    const trn_log_report_t *report;
    const uint8_t *state;
    size_t state_size;
    int result;
    char why[200];  //  which past cannot be read, or ""
} s_adding_t;

static int
s_add_to_engine (const s_adding_t *adding)
{
    trn_box_t *box = adding->box;
    const trn_log_report_t *report = adding->report;
    const char *name = trn_outbox_name (box->outbox);
    trn_engine_t *engine = box->peer->engine;
    if (!box->exchange) {
        return trn_engine_add_outbox (
            engine, name, box->queue, report->high, &report->gaps,
            report->clean, adding->state, adding->state_size, &box->id);
    }
    return trn_engine_add_exchange (
        engine, name, trn_exchange_routed (trn_exchange_spec (box->exchange)),
        report->high, &report->gaps, report->clean, adding->state,
        adding->state_size, &box->id);
}

static void
s_add (tern_peer_t *peer, void *arg)
{
    s_adding_t *adding = arg;
    trn_box_t *box = adding->box;
    adding->result = s_add_to_engine (adding);
    if (adding->result != TERN_OK) {
        return;
    }
    if (box->exchange) {
        trn_exchange_start (box);
    } else {
        trn_box_set_policy (box, 0, trn_inbox_of (box->queue));
    }
    if (box->inbox) {
        trn_inbox_start (box);
    }
    trn_past_restore (box);
    trn_ruled_restore (box);
    box->seen = adding->report->high;
    box->opened_at = adding->report->high;
    trn_engine_outbox_stats_t stats;
    trn_engine_outbox_stats (peer->engine, box->id, &stats);
    atomic_store (&box->processed, stats.processed);
    atomic_store (&box->stored, stats.processed);

    pthread_mutex_lock (&peer->lock);
    assert (box->id == peer->box_count + 1);
    peer->boxes = trn_realloc (peer->boxes,
                               (peer->box_count + 1) * sizeof *peer->boxes);
    peer->boxes[peer->box_count++] = box;
    pthread_mutex_unlock (&peer->lock);
}

//  What kind of box it is, and the engine's part of its state.
static int
s_identify (trn_box_t *box, s_adding_t *adding,
            const trn_exchange_spec_t *wanted)
{
    if (box->inbox && adding->state_size) {
        const size_t size
            = trn_inbox_unpack (box->inbox, adding->state, adding->state_size);
        adding->state += size;
        adding->state_size -= size;
        return size ? TERN_OK : TERN_ECORRUPT;
    }
    if (box->queue[0] != '#') {
        return TERN_OK;
    }
    trn_exchange_spec_t spec;
    if (adding->state_size) {
        const size_t size
            = trn_exchange_unpack (&spec, adding->state, adding->state_size);
        if (!size) {
            return TERN_ECORRUPT;
        }
        adding->state += size;
        adding->state_size -= size;
    } else if (wanted) {
        spec = *wanted;
    } else {
        return TERN_OK;
    }
    box->exchange = trn_exchange_new (&spec, box->queue + 1);
    return TERN_OK;
}

static trn_at_limit_t
s_at_limit (const tern_config_t *config, const char *queue)
{
    if (queue[0] == TRN_INBOX_MARK) {
        return TRN_AT_LIMIT_BLOCK;  //  others decide what becomes of it
    }
    const char *set = trn_config_of_queue (config, queue, "at_limit");
    return strcmp (set, "refuse") == 0        ? TRN_AT_LIMIT_REFUSE
           : strcmp (set, "drop_oldest") == 0 ? TRN_AT_LIMIT_DROP_OLDEST
                                              : TRN_AT_LIMIT_BLOCK;
}

static uint64_t
s_limit (const tern_config_t *config, const char *queue, const char *key)
{
    return strtoull (trn_config_of_queue (config, trn_inbox_of (queue), key),
                     NULL, 10);
}

static trn_box_t *
s_find (tern_peer_t *self, const char *queue)
{
    trn_box_t *found = NULL;
    pthread_mutex_lock (&self->lock);
    for (uint32_t index = 0; index < self->box_count && !found; index++) {
        if (strcmp (self->boxes[index]->queue, queue) == 0) {
            found = self->boxes[index];
            found->producers++;
        }
    }
    pthread_mutex_unlock (&self->lock);
    return found;
}

static trn_box_t *
s_new (tern_peer_t *self, const char *queue)
{
    trn_box_t *box = trn_alloc (sizeof *box);
    box->peer = self;
    memcpy (box->queue, queue, strlen (queue));
    box->producers = 1;
    box->room_fd = -1;
    pthread_mutex_init (&box->ruling, NULL);
    box->limit_bytes = s_limit (self->config, queue, "limit_bytes");
    box->limit_messages = s_limit (self->config, queue, "limit_messages");
    box->limit_ruled = s_limit (self->config, queue, "limit_ruled");
    box->at_limit = s_at_limit (self->config, queue);
    if (queue[0] == TRN_INBOX_MARK) {
        box->inbox = trn_inbox_new (box);
    }
    return box;
}

//  Make the box known to the engine, or leave it among the unnamed.
static int
s_register (trn_box_t *box, s_adding_t *adding,
            const trn_exchange_spec_t *wanted)
{
    int rc = s_identify (box, adding, wanted);
    if (rc != TERN_OK) {
        return rc;
    }
    if (box->queue[0] == '#' && !box->exchange) {
        box->unnamed_next = box->peer->unnamed;
        box->peer->unnamed = box;
        return TERN_OK;
    }
    rc = box->exchange ? trn_past_load (box, adding->why, sizeof adding->why)
                       : TERN_OK;
    if (rc != TERN_OK) {
        return rc;
    }
    trn_actor_call (box->peer, s_add, adding);
    return adding->result;
}

static void
s_explain (const s_adding_t *adding, int rc, char *why, size_t why_size)
{
    if (adding->why[0]) {
        snprintf (why, why_size, "%s", adding->why);
    } else {
        snprintf (why, why_size, "%s: settled positions cannot be read: %s",
                  adding->box->queue, tern_strerror (rc));
    }
}

static int
s_create (tern_peer_t *self, const char *queue,
          const trn_exchange_spec_t *wanted, trn_box_t **box_p, char *why,
          size_t why_size)
{
    const uint64_t limit = trn_config_number (self->config, "limit_outboxes");
    if (self->box_count >= limit) {
        if (why && why_size) {
            snprintf (why, why_size,
                      "%s: this peer has %" PRIu32 " outboxes already", queue,
                      self->box_count);
        }
        return TERN_ETOOBIG;
    }
    const uint32_t memory
        = (uint32_t) trn_config_number (self->config, "memory_bytes");
    trn_box_t *box = s_new (self, queue);
    const trn_log_config_t config = {
        .unwritten_max = memory / 3,
        .kept_max = memory - memory / 3,
        .limit_bytes = box->limit_bytes,
        .limit_messages = box->limit_messages,
        .at_limit = box->at_limit,
        .on_ruled = box->inbox              ? trn_inbox_found
                    : trn_dead_name (queue) ? trn_grave_found
                                            : trn_ruled_found,
        .on_ruled_arg = box,
        .wall_us = trn_clock_wall_us,
    };
    if (config.at_limit != TRN_AT_LIMIT_DROP_OLDEST) {
        box->large_limit = config.limit_bytes;
    }
    uint8_t *state = NULL;
    size_t state_size = 0;
    trn_log_report_t report = {0};
    int rc = trn_store_outbox (self->store, queue, &config, &box->outbox,
                               &state, &state_size, &report, why, why_size);
    if (rc == TERN_OK) {
        s_adding_t adding = {.box = box,
                             .report = &report,
                             .state = state,
                             .state_size = state_size};
        rc = s_register (box, &adding, wanted);
        if (rc != TERN_OK && why && why_size) {
            s_explain (&adding, rc, why, why_size);
        }
        if (report.torn_bytes) {
            trn_events_addf (&self->events, "TERN-OUTBOX-TORN",
                             TERN_LOG_WARNING,
                             "outbox=%s bytes=%llu kept=aside", queue,
                             (unsigned long long) report.torn_bytes);
        }
    }
    free (state);
    trn_ranges_clear (&report.gaps);
    if (rc != TERN_OK) {
        trn_box_destroy (&box);
        return rc;
    }
    *box_p = box;
    return TERN_OK;
}

int
trn_box_open (tern_peer_t *self, const char *queue, trn_box_t **box_p,
              char *why, size_t why_size)
{
    assert (self && queue && box_p);
    int rc = TERN_OK;
    pthread_mutex_lock (&self->opening);
    *box_p = s_find (self, queue);
    if (!*box_p) {
        rc = s_create (self, queue, NULL, box_p, why, why_size);
    }
    pthread_mutex_unlock (&self->opening);
    return rc;
}

//  Exchanges ----------------------------------------------------------------

typedef struct {
    trn_box_t *box;
    const trn_exchange_spec_t *spec;
    uint64_t stamp;  //  of the state that says so
} s_specifying_t;

static void
s_specify (tern_peer_t *peer, void *arg)
{
    s_specifying_t *specifying = arg;
    (void) peer;
    trn_exchange_respecify (specifying->box, specifying->spec);
    specifying->stamp = trn_box_save (specifying->box, false);
}

//  One that is there has no state, and no message: it becomes what is wanted.
static trn_box_t *
s_name (tern_peer_t *self, const char *queue, const trn_exchange_spec_t *spec)
{
    trn_box_t **link = &self->unnamed;
    while (*link && strcmp ((*link)->queue, queue) != 0) {
        link = &(*link)->unnamed_next;
    }
    trn_box_t *box = *link;
    if (box) {
        const trn_log_report_t report
            = {.high = trn_log_appended (trn_outbox_log (box->outbox))};
        s_adding_t adding = {.box = box, .report = &report};
        *link = box->unnamed_next;
        box->producers = 1;
        if (s_register (box, &adding, spec) != TERN_OK) {
            trn_box_destroy (&box);
        }
    }
    return box;
}

int
trn_box_open_exchange (tern_peer_t *self, const char *name,
                       const trn_exchange_spec_t *spec, trn_box_t **box_p,
                       char *why, size_t why_size)
{
    assert (self && name && spec && box_p);
    char queue[TRN_NAME_MAX + 2];
    snprintf (queue, sizeof queue, "#%.63s", name);
    int rc = TERN_OK;
    pthread_mutex_lock (&self->opening);
    trn_box_t *box = s_find (self, queue);
    box = box ? box : s_name (self, queue, spec);
    if (!box) {
        rc = s_create (self, queue, spec, &box, why, why_size);
    }
    if (rc == TERN_OK
        && trn_exchange_spec (box->exchange)->type != spec->type) {
        trn_box_leave (box);
        rc = TERN_ETYPE;
    }
    if (rc == TERN_OK) {
        s_specifying_t specifying = {box, spec, 0};
        trn_actor_call (self, s_specify, &specifying);
        //  Which type it is must be durable before the first message is.
        rc = trn_outbox_wait_saved (box->outbox, specifying.stamp, -1);
    }
    pthread_mutex_unlock (&self->opening);
    *box_p = rc == TERN_OK ? box : NULL;
    return rc;
}

void
trn_box_destroy (trn_box_t **box_p)
{
    assert (box_p);
    if (*box_p) {
        for (size_t index = 0; index < TRN_BOX_CHUNKS; index++) {
            trn_chunk_release (&(*box_p)->chunks[index]);
        }
        trn_shelf_destroy (&(*box_p)->shelf);
        trn_rulings_clear (&(*box_p)->rulings);
        free ((*box_p)->larges);
        free ((*box_p)->numbers.at);
        free ((*box_p)->graves);
        if ((*box_p)->room_fd >= 0) {
            close ((*box_p)->room_fd);
        }
        trn_past_clear (*box_p);
        trn_exchange_destroy (&(*box_p)->exchange);
        trn_inbox_destroy (&(*box_p)->inbox);
        pthread_mutex_destroy (&(*box_p)->ruling);
        free (*box_p);
        *box_p = NULL;
    }
}

void
trn_box_leave (trn_box_t *box)
{
    assert (box);
    pthread_mutex_lock (&box->peer->lock);
    box->producers--;
    pthread_mutex_unlock (&box->peer->lock);
}

//  What grew ---------------------------------------------------------------

void
trn_box_appended (trn_box_t *box, uint64_t seq, int64_t now_ms)
{
    assert (box);
    if (seq > box->seen) {
        box->seen = seq;
        trn_engine_on_appended (box->peer->engine, box->id, seq, now_ms);
    }
}

void
trn_box_collect (tern_peer_t *self)
{
    trn_box_t *dirty = atomic_exchange (&self->dirty, NULL);
    if (!dirty) {
        return;
    }
    const int64_t now = trn_clock_ms ();
    while (dirty) {
        trn_box_t *box = dirty;
        dirty = box->dirty_next;
        //  Cleared before looking: whoever appends after our look marks again.
        //  The exchange is the other half of s_mark_dirty ()'s.
        (void) atomic_exchange (&box->queued, false);
        trn_log_t *log = trn_outbox_log (box->outbox);
        trn_box_appended (box, trn_ruled_collect (box), now);
        const uint64_t floor = trn_log_floor (log);
        if (floor > box->floor) {
            box->floor = floor;
            trn_engine_on_dropped (self->engine, box->id, floor, now);
        }
    }
}

//  Runs --------------------------------------------------------------------

//  What a batch of single records brought lies on the shelf until it is sent.
static void
s_shelve (trn_box_t *box, trn_chunk_t *chunk)
{
    if (!box->shelf) {
        box->shelf = trn_shelf_new ();
    }
    trn_shelf_put (box->shelf, &chunk);
}

static void
s_keep (trn_box_t *box, trn_chunk_t *chunk)
{
    trn_chunk_release (&box->chunks[TRN_BOX_CHUNKS - 1]);
    memmove (box->chunks + 1, box->chunks,
             (TRN_BOX_CHUNKS - 1) * sizeof *box->chunks);
    box->chunks[0] = chunk;
}

static uint64_t
s_chunk_end (const trn_chunk_t *chunk)
{
    return chunk->first_seq
           + atomic_load_explicit (&chunk->count, memory_order_acquire);
}

static bool
s_kept (const trn_box_t *box, uint64_t seq, trn_chunk_t **chunk_p)
{
    for (size_t index = 0; index < TRN_BOX_CHUNKS; index++) {
        trn_chunk_t *chunk = box->chunks[index];
        if (chunk && seq >= chunk->first_seq && seq < s_chunk_end (chunk)) {
            *chunk_p = chunk;
            return true;
        }
    }
    return false;
}

static bool
s_run_shelved (trn_box_t *box, uint64_t seq, uint32_t count_max,
               uint32_t bytes_max, trn_run_t *run)
{
    trn_chunk_t *chunk = box->shelf ? trn_shelf_find (box->shelf, seq) : NULL;
    if (!chunk || trn_chunk_run (chunk, seq, count_max, bytes_max, run) != 1) {
        return false;
    }
    trn_shelf_remove (box->shelf, seq, run->count);
    return true;
}

//  From what was read back.  A large chunk in order means that the next one
//  will be wanted soon: ask for it now.
static bool
s_run_kept (trn_box_t *box, uint64_t seq, uint32_t count_max,
            uint32_t bytes_max, trn_run_t *run)
{
    trn_chunk_t *chunk = NULL;
    if (!s_kept (box, seq, &chunk)
        || trn_chunk_run (chunk, seq, count_max, bytes_max, run) != 1) {
        return false;
    }
    if (atomic_load (&box->ruled) && chunk->filled < READ_BYTES / 4) {
        return true;
    }
    const uint64_t next = s_chunk_end (chunk);
    trn_chunk_t *following = NULL;
    trn_run_t in_memory;
    if (next <= box->seen && !s_kept (box, next, &following)) {
        if (trn_log_run (trn_outbox_log (box->outbox), next, 1, 1, &in_memory)
            == 1) {
            trn_chunk_release (&in_memory.chunk);
        } else {
            trn_outbox_want (box->outbox, next, READ_BYTES);
        }
    }
    return true;
}

trn_run_answer_t
trn_box_run (void *arg, trn_outbox_id_t outbox, uint64_t seq,
             uint32_t count_max, uint32_t bytes_max, trn_engine_run_t *run)
{
    tern_peer_t *self = arg;
    assert (outbox > 0 && outbox <= self->box_count);
    trn_box_t *box = self->boxes[outbox - 1];
    trn_log_t *log = trn_outbox_log (box->outbox);
    if (box->broken) {
        return TRN_RUN_LATER;
    }
    trn_run_t found;
    if (trn_log_run (log, seq, count_max, bytes_max, &found) != 1
        && !s_run_shelved (box, seq, count_max, bytes_max, &found)
        && !s_run_kept (box, seq, count_max, bytes_max, &found)) {
        const uint64_t floor = trn_log_floor (log);
        if (seq < floor) {
            run->skip_to = floor;
            return TRN_RUN_GONE;
        }
        //  Out of order, the others are wanted by trn_box_want ().
        trn_outbox_want (box->outbox, seq,
                         atomic_load (&box->ruled) && count_max < FEW
                             ? FEW_BYTES
                             : READ_BYTES);
        return TRN_RUN_LATER;
    }
    *run = (trn_engine_run_t) {
        .handle = found.chunk,
        .first_seq = found.first_seq,
        .count = found.count,
        .size = found.size,
        .segment = found.segment,
        .offset = (uint64_t) found.offset,
        .stamp_us = found.stamp_us,
    };
    //  Out of order there is no next: the newest stay in memory.
    if (!atomic_load (&box->ruled)) {
        trn_log_hint (log, found.first_seq + found.count);
    }
    return TRN_RUN_READY;
}

void
trn_box_want (void *arg, trn_outbox_id_t outbox, const uint64_t *seqs,
              size_t count)
{
    tern_peer_t *self = arg;
    assert (outbox > 0 && outbox <= self->box_count);
    trn_outbox_want_many (self->boxes[outbox - 1]->outbox, seqs, count);
}

void
trn_box_release_run (void *arg, void *handle)
{
    (void) arg;
    trn_chunk_t *chunk = handle;
    trn_chunk_release (&chunk);
}

//  News from the disk ------------------------------------------------------

//  True if the engine shall ask again at once.
static bool
s_on_read_error (trn_box_t *box, uint64_t seq, int error)
{
    if (error == TERN_ENOENT || error == TERN_EAGAIN) {
        return true;  //  trimmed or not written yet
    }
    //  No descriptor or memory just now: that passes.
    const bool passes = error == TERN_EFULL;
    if (!box->broken && !box->read_later) {
        trn_events_addf (&box->peer->events, "TERN-OUTBOX-UNREADABLE",
                         passes ? TERN_LOG_WARNING : TERN_LOG_ERROR,
                         "outbox=%s seq=%llu reason=\"%s\"", box->queue,
                         (unsigned long long) seq, tern_strerror (error));
    }
    box->broken = box->broken || !passes;
    box->read_later = passes;
    return false;
}

void
trn_box_read_again (tern_peer_t *self, int64_t now_ms)
{
    for (uint32_t index = 0; index < self->box_count; index++) {
        trn_box_t *box = self->boxes[index];
        if (box->read_later) {
            trn_engine_on_records (self->engine, box->id, now_ms);
        }
    }
    trn_burial_seek (self);
}

//  A log that failed, filled up or recovered is the application's news.
static void
s_tell_status (trn_box_t *box)
{
    trn_log_t *log = trn_outbox_log (box->outbox);
    const int status = trn_log_status (log);
    if (status == box->status) {
        return;
    }
    box->status = status;
    trn_events_t *events = &box->peer->events;
    char why[200] = "";
    switch (status) {
    case TERN_OK:
        trn_events_addf (events, "TERN-OUTBOX-ROOM", TERN_LOG_INFO, "outbox=%s",
                         box->queue);
        break;
    case TERN_EFULL:
        trn_events_addf (events, "TERN-OUTBOX-FULL", TERN_LOG_WARNING,
                         "outbox=%s reason=\"no space on the disk\"",
                         box->queue);
        break;
    default:
        trn_log_failure (log, why, sizeof why);
        trn_events_addf (events, "TERN-OUTBOX-FAILED", TERN_LOG_ERROR,
                         "outbox=%s reason=\"%s\"", box->queue, why);
    }
}

void
trn_box_disk_news (tern_peer_t *self)
{
    if (!atomic_exchange (&self->disk_news, false)) {
        return;
    }
    const int64_t now = trn_clock_ms ();
    for (uint32_t index = 0; index < self->box_count; index++) {
        trn_box_t *box = self->boxes[index];
        if (!trn_outbox_news (box->outbox)) {
            continue;
        }
        bool got = false;
        uint64_t seq = 0;
        trn_chunk_t *chunk = NULL;
        int rc;
        while ((rc = trn_outbox_fetch (box->outbox, &seq, &chunk)) != 0) {
            if (rc > 0) {
                (rc == 2 ? s_shelve : s_keep) (box, chunk);
                chunk = NULL;
                box->read_later = false;
                got = true;
            } else if (s_on_read_error (box, seq, rc)) {
                got = true;
            }
        }
        if (got) {
            trn_engine_on_records (self->engine, box->id, now);
        }
        s_tell_status (box);
        trn_room_look (box);
        if (box->inbox) {
            trn_inbox_look (box->inbox);
        }
        if (atomic_load (&box->ruled)) {
            //  What has a number may be synced now.
            trn_box_appended (box, trn_ruled_collect (box), now);
        }
        trn_engine_on_saved (self->engine, box->id,
                             trn_outbox_saved (box->outbox), now);
        if (box->large_count) {
            trn_large_saved (box);
        }
        if (box->choices) {
            trn_past_on_disk (box);
        }
    }
    trn_burial_seek (self);
}

void
trn_box_look_back (tern_peer_t *self)
{
    for (uint32_t index = 0; self->past_count && index < self->box_count;
         index++) {
        if (self->boxes[index]->pasts) {
            trn_past_run (self->boxes[index]);
        }
    }
}

uint64_t
trn_box_save (trn_box_t *box, bool closing)
{
    uint8_t state[TRN_LOG_STATE_MAX];
    uint64_t low = 0;
    uint64_t stamp = 0;
    const size_t head
        = box->exchange
              ? trn_exchange_pack (trn_exchange_spec (box->exchange), state)
          : box->inbox ? trn_inbox_pack (box->inbox, state)
                       : 0;
    trn_ruled_save (box);
    const size_t size
        = trn_engine_state (box->peer->engine, box->id, closing, state + head,
                            sizeof state - head, &low, &stamp);
    trn_large_saving (box, stamp);
    trn_outbox_save (box->outbox, state, head + size, low, stamp);
    return stamp;
}
