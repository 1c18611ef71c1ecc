//  sim/disk.c - the disk threads' part of a simulated peer
//
//  Knows: the order write, sync, confirm, and that a state counts as saved only
//  after it is.  Each step is an event after some time, so a life can end
//  between any two of them.  A log that failed ends its process.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/exchange.h"

#include "base/memory.h"

#include <tern/error.h>

#include <inttypes.h>
#include <stdlib.h>

static int64_t
s_disk_time (const sim_outbox_t *outbox)
{
    sim_world_t *world = outbox->peer->world;
    const uint64_t usual = (uint64_t) outbox->peer->disk_us;
    //  Now and then a disk stalls.
    if (sim_chance (world, 5)) {
        return (int64_t) sim_random (world, usual, usual * 200);
    }
    return (int64_t) sim_random (world, usual / 4, usual * 2);
}

//  The log has failed: a real peer reports it and its process is restarted.
//  Returns true if that is what happened.
static bool
s_failed (sim_outbox_t *outbox, int rc)
{
    if (rc != TERN_EIO) {
        return false;
    }
    sim_trace (outbox->peer->world, "%-5s the log of %s failed",
               outbox->peer->name, outbox->queue);
    sim_peer_end (outbox->peer, SIM_CRASH);
    return true;
}

static void
s_confirm (sim_outbox_t *outbox)
{
    const uint64_t written = trn_log_written (outbox->log);
#ifdef TERN_BUG_2
    const uint64_t synced = written;
#else
    const uint64_t synced = trn_log_synced (outbox->log);
#endif
    unsigned stream;
    for (unsigned at = 0; sim_outbox_stream (outbox, at, &stream); at++) {
        //  Nothing is promised to queues that a crash may take.
        if (!outbox->exchange || outbox->branches[at].durable) {
            sim_ledger_confirm (outbox->peer->world->ledger, stream, written,
                                synced);
        }
    }
}

static void
s_on_sync (sim_world_t *world, const sim_event_t *event);

static void
s_on_write (sim_world_t *world, const sim_event_t *event)
{
    sim_outbox_t *outbox = event->object;
    const int rc = trn_log_write (outbox->log);
    if (s_failed (outbox, rc)) {
        return;
    }
    s_confirm (outbox);
    if (rc == TERN_EFULL) {
        sim_after (world, 20000, s_on_write, outbox->peer, outbox, 0);
        return;
    }
    sim_after (world, s_disk_time (outbox), s_on_sync, outbox->peer, outbox, 0);
}

static void
s_on_sync (sim_world_t *world, const sim_event_t *event)
{
    sim_outbox_t *outbox = event->object;
    const int rc = trn_log_sync (outbox->log);
    if (s_failed (outbox, rc)) {
        return;
    }
    s_confirm (outbox);
    if (outbox->source) {
        sim_grave_on_synced (outbox);
    }
    if (outbox->replies) {
        sim_request_on_synced (outbox);
    }
    if (rc == 1
        || trn_log_synced (outbox->log) < trn_log_appended (outbox->log)) {
        sim_after (world, rc < 0 ? 20000 : s_disk_time (outbox), s_on_write,
                   outbox->peer, outbox, 0);
    } else {
        outbox->disk_busy = false;
    }
}

void
sim_outbox_kick (sim_outbox_t *outbox)
{
    if (!outbox->disk_busy) {
        outbox->disk_busy = true;
        sim_after (outbox->peer->world, s_disk_time (outbox), s_on_write,
                   outbox->peer, outbox, 0);
    }
}

//  Reading back -----------------------------------------------------------

static void
s_on_read (sim_world_t *world, const sim_event_t *event)
{
    sim_outbox_t *outbox = event->object;
    sim_peer_t *peer = outbox->peer;
    trn_chunk_t *chunk = NULL;
    const int rc = trn_log_read (outbox->log, outbox->read_seq, 4096, &chunk);
    outbox->read_busy = false;
    if (s_failed (outbox, rc)) {
        return;
    }
    //  What was settled or dropped since it was asked for may be gone.
    const bool settled
        = trn_engine_settled (peer->engine, outbox->id, outbox->read_seq)
          || outbox->read_seq < trn_log_floor (outbox->log);
    if (rc == 0 || settled) {
        trn_chunk_t **slot = &outbox->chunks[outbox->chunk_next++ % SIM_CHUNKS];
        trn_chunk_release (slot);
        *slot = chunk;
        trn_engine_on_records (peer->engine, outbox->id, sim_peer_now (peer));
        sim_peer_drain_soon (peer);
        return;
    }
    if (outbox->read_seq > trn_log_written (outbox->log)) {
        sim_outbox_kick (outbox);
        sim_outbox_want (outbox, outbox->read_seq);
        return;
    }
    sim_fail (world, "L-lost: %s/%s %" PRIu64 " cannot be read back: %s",
              peer->name, outbox->queue, outbox->read_seq, tern_strerror (rc));
}

void
sim_outbox_want (sim_outbox_t *outbox, uint64_t seq)
{
    if (!outbox->read_busy) {
        outbox->read_busy = true;
        outbox->read_seq = seq;
        sim_after (outbox->peer->world, s_disk_time (outbox), s_on_read,
                   outbox->peer, outbox, 0);
    }
}

//  Saving -----------------------------------------------------------------

static bool
s_is_settled (void *arg, uint64_t seq)
{
    const sim_outbox_t *outbox = arg;
    return trn_engine_settled (outbox->peer->engine, outbox->id, seq);
}

void
sim_outbox_take_state (sim_outbox_t *outbox, bool closing)
{
    free (outbox->state);
    outbox->state = trn_alloc (TRN_LOG_STATE_MAX);
    outbox->state_size = trn_engine_state (
        outbox->peer->engine, outbox->id, closing, outbox->state,
        TRN_LOG_STATE_MAX, &outbox->state_low, &outbox->state_stamp);
    sim_outbox_check_state (outbox);
    unsigned stream;
    for (unsigned at = 0; sim_outbox_stream (outbox, at, &stream); at++) {
        sim_ledger_saving (outbox->peer->world->ledger, stream, s_is_settled,
                           outbox);
    }
    sim_exchange_on_state (outbox);
}

static void
s_tell_saved (sim_outbox_t *outbox)
{
    sim_peer_t *peer = outbox->peer;
    unsigned stream;
    for (unsigned at = 0; sim_outbox_stream (outbox, at, &stream); at++) {
        sim_ledger_saved (peer->world->ledger, stream);
    }
    sim_exchange_on_saved (outbox);
    s_confirm (outbox);
    trn_engine_on_saved (peer->engine, outbox->id, outbox->state_stamp,
                         sim_peer_now (peer));
    sim_peer_drain_soon (peer);
}

static void
s_on_save (sim_world_t *world, const sim_event_t *event)
{
    sim_outbox_t *outbox = event->object;
    const int rc = trn_log_save_state (outbox->log, outbox->state,
                                       outbox->state_size, outbox->state_low);
    outbox->save_busy = false;
    if (s_failed (outbox, rc)) {
        return;
    }
    if (rc) {
        sim_fail (world, "%s/%s: the state cannot be saved: %s",
                  outbox->peer->name, outbox->queue, tern_strerror (rc));
        return;
    }
#ifndef TERN_BUG_1
    s_tell_saved (outbox);
#endif
    if (outbox->save_again && outbox->log) {
        outbox->save_again = false;
        sim_outbox_save (outbox);
    }
}

void
sim_outbox_save (sim_outbox_t *outbox)
{
    if (outbox->save_busy) {
        outbox->save_again = true;
        return;
    }
    outbox->save_busy = true;
    sim_outbox_take_state (outbox, false);
    sim_after (outbox->peer->world, s_disk_time (outbox), s_on_save,
               outbox->peer, outbox, 0);
#ifdef TERN_BUG_1
    s_tell_saved (outbox);
#endif
}
