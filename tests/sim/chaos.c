//  sim/chaos.c - one random run: a fleet, its applications, and what hits them
//
//  Knows: in which order things happen, when the rest has drained, and which
//  planned losses of state somebody must have reported.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/chaos_inside.h"

#include "base/memory.h"
#include "support/disk_faulty.h"
#include "support/disk_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Applications -----------------------------------------------------------

static void
s_on_burst (sim_world_t *world, const sim_event_t *event)
{
    const chaos_t *self = event->object;
    sim_peer_t *peer = world->peers[event->number];
    if (peer->outbox_count) {
        sim_outbox_t *outbox
            = &peer->outboxes[sim_random (world, 0, peer->outbox_count - 1)];
        if (outbox->backlog < 100 && !outbox->source && !outbox->replies) {
            sim_app_produce (outbox, CHAOS_PICK (world, 1, 3, 10, 30));
        }
    }
    if (!self->calm) {
        sim_after (
            world,
            (int64_t) sim_random (world, 1000, (uint64_t) self->chaos_us / 10),
            s_on_burst, NULL, event->object, event->number);
    }
}

//  Healing ----------------------------------------------------------------

enum {
    SETTLE_US = 12000000,  //  links are back, whatever the backoff was
    DRAIN_MAX_US = 240000000
};

static void
s_wake (chaos_t *self)
{
    sim_world_t *world = &self->world;
    sim_net_heal (world->net);
    for (unsigned index = 0; index < world->peer_count; index++) {
        sim_peer_t *peer = world->peers[index];
        //  One that was paused has not noticed yet what its disk did.
        if (peer->up && trn_disk_faulty_hits (peer->disk)) {
            sim_peer_end (peer, SIM_CRASH);
        }
        trn_disk_memory_limit (peer->memory, UINT64_MAX);
        trn_disk_faulty_plan (peer->disk, &(trn_disk_fault_t) {0});
        if (peer->paused_until_us > world->now_us) {
            peer->paused_until_us = world->now_us;
        }
        peer->drain_mode = true;
        for (unsigned at = 0; at < peer->consumer_count; at++) {
            peer->consumers[at].wanted = true;
        }
        if (!peer->up && !sim_peer_start (peer)) {
            sim_fail (world, "%s does not start on a good disk", peer->name);
            return;
        }
        for (unsigned at = 0; at < peer->consumer_count; at++) {
            sim_app_join (&peer->consumers[at]);
        }
    }
}

//  Every planned loss of state was reported by those who could tell.
static void
s_check_debts (chaos_t *self)
{
    for (unsigned index = 0; index < self->debt_count; index++) {
        const chaos_debt_t *debt = &self->debts[index];
        bool consumes = false;
        for (unsigned at = 0; at < debt->consumer->consumer_count; at++) {
            consumes
                = consumes
                  || strcmp (debt->consumer->consumers[at].queue, debt->queue)
                         == 0;
        }
        if (debt->consumer->life != debt->life || !consumes) {
            continue;
        }
        const unsigned now = sim_peer_reported (debt->consumer, debt->id)
                             + sim_peer_reported (debt->consumer, debt->or_id);
        if (now <= debt->before) {
            sim_fail (&self->world, "L-report: %s does not report %s about %s",
                      debt->consumer->name, debt->id, debt->publisher->name);
            return;
        }
    }
}

//  A restored store is reported and stands still; its operator wipes it.
static void
s_wipe_restored (chaos_t *self)
{
    sim_world_t *world = &self->world;
    for (unsigned index = 0; index < world->peer_count; index++) {
        sim_peer_t *peer = world->peers[index];
        if (self->restored[index] && peer->up) {
            sim_peer_end (peer, SIM_STOP);
            sim_peer_lose_disk (peer);
            if (!sim_peer_start (peer)) {
                sim_fail (world, "%s does not start on a new disk", peer->name);
            }
        }
    }
}

static bool
s_drained (const chaos_t *self)
{
    const sim_world_t *world = &self->world;
    if (sim_ledger_open (world->ledger)) {
        return false;
    }
    for (unsigned index = 0; index < world->peer_count; index++) {
        const sim_peer_t *peer = world->peers[index];
        if (sim_call_open (peer)) {
            return false;
        }
        for (unsigned at = 0; at < peer->outbox_count; at++) {
            trn_engine_outbox_stats_t stats;
            if (!peer->outboxes[at].log) {
                continue;
            }
            trn_engine_outbox_stats (peer->engine, peer->outboxes[at].id,
                                     &stats);
            if (stats.waiting || stats.in_flight || stats.parked
                || peer->outboxes[at].backlog) {
                return false;
            }
        }
    }
    return true;
}

//  For a trace: where the rest is.
static void
s_show_rest (chaos_t *self)
{
    sim_world_t *world = &self->world;
    sim_ledger_show_open (world->ledger);
    for (unsigned index = 0; index < world->peer_count; index++) {
        const sim_peer_t *peer = world->peers[index];
        sim_trace (world, "%-5s %" PRIu64 " calls open", peer->name,
                   sim_call_open (peer));
        for (unsigned at = 0; at < peer->outbox_count; at++) {
            trn_engine_outbox_stats_t stats;
            if (!peer->outboxes[at].log) {
                continue;
            }
            trn_engine_outbox_stats (peer->engine, peer->outboxes[at].id,
                                     &stats);
            sim_trace (world,
                       "%-5s %s: backlog %" PRIu64 " waiting %" PRIu64
                       " in flight %" PRIu64 " parked %" PRIu64 " low %" PRIu64
                       " of %" PRIu64 " consumers %u",
                       peer->name, peer->outboxes[at].queue,
                       peer->outboxes[at].backlog, stats.waiting,
                       stats.in_flight, stats.parked, stats.low,
                       peer->outboxes[at].appended, stats.consumers);
        }
    }
}

static void
s_drain (chaos_t *self)
{
    sim_world_t *world = &self->world;
    const int64_t until_us = world->now_us + DRAIN_MAX_US;
    while (!s_drained (self) && !world->failed) {
        if (world->now_us >= until_us) {
            s_show_rest (self);
            sim_fail (world,
                      "L-live: %" PRIu64 " messages, or calls, are still open "
                      "%d s after everything healed",
                      sim_ledger_open (world->ledger), DRAIN_MAX_US / 1000000);
            return;
        }
        sim_run_until (world, world->now_us + 50000);
    }
}

static void
s_stop_all (chaos_t *self)
{
    sim_world_t *world = &self->world;
    for (unsigned index = 0; index < world->peer_count && !world->failed;
         index++) {
        if (world->peers[index]->up) {
            sim_peer_end (world->peers[index], SIM_STOP);
        }
    }
    //  What a clean stop leaves opens cleanly.
    for (unsigned index = 0; index < world->peer_count && !world->failed;
         index++) {
        sim_peer_start (world->peers[index]);
    }
}

static void
s_live (chaos_t *self)
{
    sim_world_t *world = &self->world;
    for (unsigned index = 0; index < world->peer_count; index++) {
        sim_after (world, (int64_t) sim_random (world, 0, 200000),
                   chaos_on_restart, NULL, world->peers[index], 0);
        sim_after (world, (int64_t) sim_random (world, 0, 100000), s_on_burst,
                   NULL, self, index);
    }
    sim_after (world, 100000, chaos_on_fault, NULL, self, 0);
    sim_run_until (world, self->chaos_us);
    self->calm = true;
    if (!world->failed) {
        sim_trace (world, "everything heals");
        s_wake (self);
    }
    if (self->debt_count) {
        sim_run_until (world, world->now_us + SETTLE_US);
        if (!world->failed) {
            s_check_debts (self);
        }
    }
    if (!world->failed) {
        s_wipe_restored (self);
        s_drain (self);
    }
    if (!world->failed) {
        sim_ledger_finish (world->ledger);
        s_stop_all (self);
    }
}

bool
sim_chaos_run (uint64_t seed, bool trace, sim_totals_t *totals, char *why,
               size_t why_size)
{
    chaos_t *self = trn_alloc (sizeof *self);
    sim_world_open (&self->world, seed, trace);
    chaos_draw (self);
    s_live (self);

    const sim_ledger_totals_t counted = sim_ledger_totals (self->world.ledger);
    totals->runs++;
    totals->events += self->world.events;
    totals->simulated_us += (uint64_t) self->world.now_us;
    totals->published += counted.published;
    totals->accepted += counted.accepted;
    totals->delivered += counted.delivered;
    totals->redelivered += counted.redelivered;
    totals->lost_unconfirmed += counted.lost_unconfirmed;
    totals->faults += self->faults;
    const bool good = !self->world.failed;
    if (!good) {
        snprintf (why, why_size, "%s", self->world.failure);
    }
    sim_world_close (&self->world);
    for (unsigned index = 0; index < SIM_PEERS_MAX; index++) {
        trn_disk_memory_destroy (&self->backup[index]);
    }
    free (self->debts);
    free (self);
    return good;
}
