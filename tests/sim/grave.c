//  sim/grave.c - the dead letters of a simulated peer
//
//  Knows: that a copy is told to the engine when it is synced, before it may be
//  delivered; and that after a restart every copy that is there is told again.
//  A copy's key says where it comes from.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/peer.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_SIZE = 13  //  outbox u8, number u32, seq u64
};

//  Its dead letters, open; NULL if the disk would not let them.
static sim_outbox_t *
s_grave (sim_outbox_t *source)
{
    sim_peer_t *peer = source->peer;
    if (!source->grave) {
        assert (peer->outbox_count < SIM_OUTBOXES_MAX);
        sim_outbox_t *grave = &peer->outboxes[peer->outbox_count++];
        *grave = (sim_outbox_t) {.peer = peer, .source = source};
        snprintf (grave->queue, sizeof grave->queue, "%.50s.dead",
                  source->queue);
        trn_policy_default (&grave->policy);
        grave->policy.terminal = true;
        source->grave = grave;
    }
    return sim_outbox_ready (source->grave) ? source->grave : NULL;
}

int
sim_outbox_read (const sim_outbox_t *outbox, uint64_t seq, trn_record_t *record,
                 trn_chunk_t **chunk_p)
{
    trn_run_t run;
    int rc = trn_log_run (outbox->log, seq, 1, TRN_RUN_BYTES, &run);
    if (rc == 0) {
        trn_chunk_t *chunk = NULL;
        rc = trn_log_read (outbox->log, seq, 4096, &chunk);
        rc = rc ? rc : trn_chunk_run (chunk, seq, 1, TRN_RUN_BYTES, &run);
        trn_chunk_release (&chunk);
        rc = rc == 0 ? TERN_ENOENT : rc;
    }
    if (rc != 1) {
        return rc;
    }
    *chunk_p = run.chunk;
    return trn_record_peek (run.data, run.size, record);
}

static bool
s_bury (sim_outbox_t *source, uint32_t number, uint64_t seq)
{
    sim_outbox_t *grave = s_grave (source);
    trn_record_t record;
    trn_chunk_t *chunk = NULL;
    if (!grave || sim_outbox_read (source, seq, &record, &chunk) < 0) {
        return false;
    }
    uint8_t key[KEY_SIZE];
    key[0] = (uint8_t) (source - source->peer->outboxes);
    trn_put_u32 (key + 1, number);
    trn_put_u64 (key + 5, seq);
    trn_record_t copy = {
        .kind = TRN_RECORD_MESSAGE,
        .stamp_us = record.stamp_us,
        .key = key,
        .key_size = KEY_SIZE,
        .body = record.body,
        .body_size = record.body_size,
    };
    uint64_t dead_seq = 0;
    const int rc = trn_log_append (grave->log, &copy, &dead_seq);
    if (rc == 0) {
        sim_ledger_append (source->peer->world->ledger, grave->stream, dead_seq,
                           sim_ledger_print (record.body, record.body_size));
        grave->burials = trn_realloc (
            grave->burials, (grave->burial_count + 1) * sizeof *grave->burials);
        grave->burials[grave->burial_count++]
            = (sim_burial_t) {number, seq, dead_seq};
    }
    trn_chunk_release (&chunk);
    sim_outbox_kick (grave);
    return rc == 0;
}

void
sim_grave_bury (sim_outbox_t *source, const trn_action_t *action)
{
    const uint32_t number = action->bury.number;
    const uint64_t seq = action->bury.seq;
    sim_peer_t *peer = source->peer;
    sim_trace (peer->world, "%-5s buries %s %" PRIu64 ", %s", peer->name,
               source->queue, seq, action->bury.reason);
    if (!s_bury (source, number, seq)) {
        sim_trace (peer->world, "%-5s cannot bury it now", peer->name);
        trn_engine_on_bury_failed (peer->engine, source->id, number, seq,
                                   sim_peer_now (peer));
    }
}

static void
s_tell (const sim_outbox_t *grave, const sim_burial_t *burial)
{
    const sim_outbox_t *source = grave->source;
    sim_peer_t *peer = grave->peer;
    sim_ledger_bury (peer->world->ledger, source->stream, burial->seq,
                     grave->stream, burial->dead_seq);
    trn_engine_on_buried (peer->engine, source->id, burial->number, burial->seq,
                          grave->id, burial->dead_seq, sim_peer_now (peer));
}

void
sim_grave_on_synced (sim_outbox_t *grave)
{
    sim_peer_t *peer = grave->peer;
    const uint64_t synced = trn_log_synced (grave->log);
    unsigned done = 0;
    while (done < grave->burial_count
           && grave->burials[done].dead_seq <= synced) {
        const sim_burial_t *burial = &grave->burials[done++];
        s_tell (grave, burial);
        grave->appended = burial->dead_seq;
        trn_engine_on_appended (peer->engine, grave->id, burial->dead_seq,
                                sim_peer_now (peer));
    }
    if (done) {
        grave->burial_count -= done;
        memmove (grave->burials, grave->burials + done,
                 grave->burial_count * sizeof *grave->burials);
        sim_peer_drain_soon (peer);
    }
}

//  What was settled here when the life began is durably so.
static bool
s_is_settled (void *arg, uint64_t seq)
{
    const sim_outbox_t *source = arg;
    return trn_engine_settled (source->peer->engine, source->id, seq);
}

bool
sim_grave_recall (sim_outbox_t *grave)
{
    sim_outbox_t *source = grave->source;
    sim_ledger_t *ledger = grave->peer->world->ledger;
    sim_ledger_left (ledger, source->stream, s_is_settled, source);
    for (uint64_t seq = sim_outbox_next (grave, grave->first_seq);
         seq <= grave->appended; seq = sim_outbox_next (grave, seq + 1)) {
        trn_record_t record;
        trn_chunk_t *chunk = NULL;
        const int rc = sim_outbox_read (grave, seq, &record, &chunk);
        if (rc == TERN_EIO) {
            return false;
        }
        if (rc > 0 && record.key_size == KEY_SIZE) {
            const sim_burial_t burial = {trn_get_u32 (record.key + 1),
                                         trn_get_u64 (record.key + 5), seq};
            s_tell (grave, &burial);
        }
        trn_chunk_release (&chunk);
    }
    return true;
}
