//  sim/chaos.c - one random run: a fleet, its applications, and what hits them
//
//  Knows: what is drawn, in which order things happen, and which losses were
//  planned, so that it can ask whether each was reported (L-report).
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/chaos.h"

#include "sim/ledger.h"
#include "sim/net.h"
#include "sim/peer.h"

#include "base/memory.h"
#include "support/disk_faulty.h"
#include "support/disk_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    CUT,          //  a connection breaks
    BLOCK,        //  one direction hangs
    PARTITION,    //  both directions hang
    STOP,         //  a clean restart
    KILL,
    CRASH,
    PAUSE,        //  SIGSTOP
    LEAVE,        //  a consumer leaves and comes back
    BAD_CALL,     //  a disk call fails; the process with it
    FULL,         //  no space for a while
    RESTORE,      //  the disk is replaced by an old copy
    LOSE_DISK,    //  the disk is replaced by an empty one
    KINDS
} s_kind_t;

//  A reader that must notice that a publisher's store was replaced.
typedef struct {
    sim_peer_t *publisher, *consumer;
    uint32_t life;          //  of the consumer
    const char *id;         //  what it must report, or the second
    const char *or_id;
    unsigned before;        //  reports then
    char queue[TRN_NAME_MAX + 2];
} s_debt_t;

typedef struct {
    sim_world_t world;
    bool enabled[KINDS];
    int64_t fault_every_us;
    int64_t chaos_us;
    uint64_t faults;
    bool calm;              //  no new faults
    trn_disk_t *backup[SIM_PEERS_MAX];
    uint64_t backup_written[SIM_PEERS_MAX][SIM_OUTBOXES_MAX];
    bool restored[SIM_PEERS_MAX];
    s_debt_t *debts;
    unsigned debt_count;
} s_chaos_t;

static uint64_t
s_pick (sim_world_t *world, const uint64_t *from, size_t count)
{
    return from[sim_random (world, 0, count - 1)];
}

#define PICK(world, ...)                                                       \
    s_pick (world, (const uint64_t[]) {__VA_ARGS__},                           \
            sizeof (uint64_t[]) {__VA_ARGS__} / sizeof (uint64_t))

//  Drawing the fleet ------------------------------------------------------

static void
s_draw_manner (sim_world_t *world, sim_consumer_t *consumer)
{
    consumer->manner.think_min_us = (int64_t) PICK (world, 0, 50, 500);
    consumer->manner.think_max_us
        = (int64_t) PICK (world, 500, 3000, 20000, 200000);
    consumer->manner.requeue_per_mille
        = (unsigned) PICK (world, 0, 0, 20, 200);
    consumer->manner.reject_per_mille = (unsigned) PICK (world, 0, 0, 0, 30);
    consumer->manner.disorder_per_mille = (unsigned) PICK (world, 0, 100, 500);
}

static void
s_draw_timing (sim_world_t *world, sim_peer_t *peer)
{
    peer->timing.hello_ms = (uint32_t) PICK (world, 200, 1000, 3000);
    peer->timing.ping_ms = (uint32_t) PICK (world, 100, 300, 1000);
    peer->timing.suspect_ms = peer->timing.ping_ms * 4;
    peer->timing.backoff_min_ms = (uint32_t) PICK (world, 10, 50);
    peer->timing.backoff_max_ms = (uint32_t) PICK (world, 100, 1000, 3000);
    peer->timing.save_ms = (uint32_t) PICK (world, 20, 100, 500);
    peer->timing.redeliver_min_ms = (uint32_t) PICK (world, 5, 50);
    peer->timing.redeliver_max_ms = (uint32_t) PICK (world, 100, 1000);
    peer->logging.segment_min = (uint32_t) PICK (world, 4096, 16384);
    peer->logging.segment_max = (uint32_t) PICK (world, 16384, 65536);
    peer->logging.reserve = (uint32_t) PICK (world, 8, 64, 1000);
    peer->logging.unwritten_max = (uint32_t) PICK (world, 4096, 65536);
    peer->logging.kept_max = (uint32_t) PICK (world, 1024, 16384, 262144);
    peer->disk_us = (int64_t) PICK (world, 50, 300, 3000);
}

static void
s_draw_fleet (s_chaos_t *self)
{
    sim_world_t *world = &self->world;
    static const char *const names[] = {"anna", "bert", "cleo", "dora", "emil"};
    static const char *const queues[] = {"jobs", "mail"};
    const unsigned peers = (unsigned) sim_random (world, 2, 5);
    const unsigned queue_count = (unsigned) sim_random (world, 1, 2);
    for (unsigned index = 0; index < peers; index++) {
        s_draw_timing (world, sim_peer_new (world, names[index]));
    }
    bool in_order = true;
    for (unsigned queue = 0; queue < queue_count; queue++) {
        const unsigned first = (unsigned) sim_random (world, 0, peers - 1);
        const unsigned last = (unsigned) sim_random (world, 0, peers - 1);
        const unsigned more = (unsigned) PICK (world, 0, 0, 300, 700);
        for (unsigned index = 0; index < peers; index++) {
            sim_peer_t *peer = world->peers[index];
            if (index == first || sim_chance (world, 400)) {
                sim_outbox_t *outbox
                    = sim_peer_add_outbox (peer, queues[queue]);
                outbox->size_max = (uint32_t) PICK (world, 10, 100, 1500);
            }
            if (index == last || sim_chance (world, more)) {
                sim_consumer_t *consumer = sim_peer_add_consumer (
                    peer, queues[queue], (uint32_t) PICK (world, 1, 2, 7, 50),
                    (uint32_t) PICK (world, 2000, 10000, 1000000));
                s_draw_manner (world, consumer);
                in_order = in_order && index == last
                           && consumer->manner.requeue_per_mille == 0
                           && consumer->manner.reject_per_mille == 0;
            }
        }
    }
    sim_ledger_expect_order (world->ledger, in_order && !self->enabled[LEAVE]);
}

static void
s_draw (s_chaos_t *self)
{
    sim_world_t *world = &self->world;
    const unsigned share = (unsigned) PICK (world, 0, 150, 300, 500);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        self->enabled[kind] = sim_chance (
            world, kind == RESTORE || kind == LOSE_DISK ? share / 3 : share);
    }
    self->fault_every_us = (int64_t) PICK (world, 30000, 200000, 1000000);
    self->chaos_us = (int64_t) PICK (world, 500000, 3000000, 10000000);
    const sim_net_config_t net = {
        .delay_min_us = (int64_t) PICK (world, 50, 500),
        .delay_max_us = (int64_t) PICK (world, 500, 5000, 50000),
        .spike_per_mille = (unsigned) PICK (world, 0, 5, 50),
        .spike_us = (int64_t) PICK (world, 20000, 500000),
        .replay_per_mille = (unsigned) PICK (world, 0, 0, 20, 200),
        .notice_per_mille = (unsigned) PICK (world, 0, 500, 1000),
    };
    sim_net_configure (world->net, &net);
    s_draw_fleet (self);
}

//  Applications -----------------------------------------------------------

static void
s_on_burst (sim_world_t *world, const sim_event_t *event)
{
    const s_chaos_t *self = event->object;
    sim_peer_t *peer = world->peers[event->number];
    if (peer->outbox_count) {
        sim_outbox_t *outbox
            = &peer->outboxes[sim_random (world, 0, peer->outbox_count - 1)];
        if (outbox->backlog < 100) {
            sim_app_produce (outbox, PICK (world, 1, 3, 10, 30));
        }
    }
    if (!self->calm) {
        sim_after (world,
                   (int64_t) sim_random (world, 1000,
                                         (uint64_t) self->chaos_us / 10),
                   s_on_burst, NULL, event->object, event->number);
    }
}

//  Faults -----------------------------------------------------------------

static void
s_on_restart (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *peer = event->object;
    if (!peer->up && !sim_peer_start (peer)) {
        sim_after (world, 50000, s_on_restart, NULL, peer, 0);
    }
}

//  Whoever is down comes back after a while.
static void
s_restart_later (s_chaos_t *self, sim_peer_t *peer)
{
    sim_after (&self->world, (int64_t) PICK (&self->world, 1000, 100000, 2000000),
               s_on_restart, NULL, peer, 0);
}

static void
s_end (s_chaos_t *self, sim_peer_t *peer, sim_end_t end)
{
    if (peer->up) {
        sim_peer_end (peer, end);
    }
    s_restart_later (self, peer);
}

static void
s_on_unblock (sim_world_t *world, const sim_event_t *event)
{
    sim_net_block (world->net, world->peers[event->number / SIM_PEERS_MAX],
                   world->peers[event->number % SIM_PEERS_MAX], false);
}

static void
s_block (s_chaos_t *self, const sim_peer_t *from, const sim_peer_t *to)
{
    sim_world_t *world = &self->world;
    if (from == to) {
        return;
    }
    sim_trace (world, "fault %s to %s is blocked", from->name, to->name);
    sim_net_block (world->net, from, to, true);
    sim_after (world, (int64_t) PICK (world, 10000, 500000, 5000000),
               s_on_unblock, NULL, NULL,
               from->index * SIM_PEERS_MAX + to->index);
}

static void
s_on_space (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *peer = event->object;
    sim_trace (world, "fault %s has space again", peer->name);
    trn_disk_memory_limit (peer->memory, UINT64_MAX);
}

static void
s_on_join (sim_world_t *world, const sim_event_t *event)
{
    (void) world;
    sim_consumer_t *consumer = event->object;
    consumer->wanted = true;
    if (consumer->peer->up) {
        sim_app_join (consumer);
    }
}

static void
s_leave (s_chaos_t *self, sim_peer_t *peer)
{
    sim_world_t *world = &self->world;
    if (!peer->up || !peer->consumer_count) {
        return;
    }
    sim_consumer_t *consumer
        = &peer->consumers[sim_random (world, 0, peer->consumer_count - 1)];
    sim_trace (world, "fault %s leaves %s", peer->name, consumer->queue);
    sim_app_leave (consumer);
    sim_after (world, (int64_t) PICK (world, 0, 20000, 1000000), s_on_join,
               NULL, consumer, 0);
}

//  One call fails, once or from then on; the process does not survive it.
static void
s_bad_call (s_chaos_t *self, sim_peer_t *peer)
{
    sim_world_t *world = &self->world;
    const trn_disk_fault_t fault = {
        .call = (trn_disk_call_t) PICK (world, TRN_CALL_ANY, TRN_CALL_FDATASYNC,
                                        TRN_CALL_PWRITE, TRN_CALL_FSYNC),
        .nth = sim_random (world, 1, 20),
        .forever = sim_chance (world, 500),
        .error = EIO,
    };
    sim_trace (world, "fault %s: %s call %" PRIu64 " will fail%s", peer->name,
               trn_disk_call_name (fault.call), fault.nth,
               fault.forever ? " for ever" : "");
    trn_disk_faulty_plan (peer->disk, &fault);
    if (!peer->up) {
        s_restart_later (self, peer);
    }
}

//  Whoever has read from this store must say that it is another one now.
static void
s_owe (s_chaos_t *self, sim_peer_t *publisher, const sim_outbox_t *outbox,
       uint64_t above, const char *id, const char *or_id)
{
    sim_world_t *world = &self->world;
    for (unsigned index = 0; outbox->known && index < world->peer_count;
         index++) {
        sim_peer_t *peer = world->peers[index];
        if (!peer->up || peer == publisher
            || sim_ledger_seen (world->ledger, outbox->stream, peer->life)
                   <= above) {
            continue;
        }
        self->debts = trn_realloc (
            self->debts, (self->debt_count + 1) * sizeof *self->debts);
        s_debt_t *debt = &self->debts[self->debt_count++];
        *debt = (s_debt_t) {
            .publisher = publisher,
            .consumer = peer,
            .life = peer->life,
            .id = id,
            .or_id = or_id,
            .before = sim_peer_reported (peer, id)
                      + sim_peer_reported (peer, or_id),
        };
        memcpy (debt->queue, outbox->queue, sizeof debt->queue);
    }
}

//  What this publisher lost before does not matter any more.
static void
s_forgive (s_chaos_t *self, const sim_peer_t *publisher)
{
    unsigned kept = 0;
    for (unsigned index = 0; index < self->debt_count; index++) {
        if (self->debts[index].publisher != publisher) {
            self->debts[kept++] = self->debts[index];
        }
    }
    self->debt_count = kept;
}

static void
s_lose_disk (s_chaos_t *self, sim_peer_t *peer)
{
    s_forgive (self, peer);
    if (peer->up) {
        sim_peer_end (peer, SIM_CRASH);
    }
    sim_trace (&self->world, "fault %s loses its disk", peer->name);
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        s_owe (self, peer, &peer->outboxes[index], 0, "TERN-PEER-LOST-STATE",
               "TERN-PUBLISHER-FORGOTTEN");
    }
    sim_peer_lose_disk (peer);
    trn_disk_memory_destroy (&self->backup[peer->index]);
    self->restored[peer->index] = false;
    s_restart_later (self, peer);
}

static void
s_back_up (s_chaos_t *self, sim_peer_t *peer)
{
    trn_disk_memory_destroy (&self->backup[peer->index]);
    self->backup[peer->index] = trn_disk_memory_copy (peer->memory);
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        self->backup_written[peer->index][index]
            = trn_log_written (peer->outboxes[index].log);
        sim_trace (&self->world, "fault %s/%s is backed up to %" PRIu64,
                   peer->name, peer->outboxes[index].queue,
                   self->backup_written[peer->index][index]);
    }
}

static void
s_restore (s_chaos_t *self, sim_peer_t *peer)
{
    if (self->restored[peer->index]) {
        return;
    }
    if (!self->backup[peer->index]) {
        if (peer->up) {
            s_back_up (self, peer);
        }
        return;
    }
    if (peer->up) {
        sim_peer_end (peer, SIM_KILL);
    }
    sim_trace (&self->world, "fault %s is restored", peer->name);
    self->restored[peer->index] = true;
    sim_peer_set_disk (peer, self->backup[peer->index]);
    self->backup[peer->index] = NULL;
    peer->ended = SIM_KILL;
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        sim_outbox_t *outbox = &peer->outboxes[index];
        //  What the old store may have used above the copy's reservation.
        s_owe (self, peer, outbox,
               self->backup_written[peer->index][index]
                   + 2 * (uint64_t) peer->logging.reserve,
               "TERN-PUBLISHER-WENT-BACK", "TERN-PEER-FENCED");
        outbox->stream = sim_ledger_fork (
            self->world.ledger, outbox->stream,
            self->backup_written[peer->index][index]);
    }
    s_restart_later (self, peer);
}

static void
s_strike (s_chaos_t *self, s_kind_t kind)
{
    sim_world_t *world = &self->world;
    sim_peer_t *peer
        = world->peers[sim_random (world, 0, world->peer_count - 1)];
    sim_peer_t *other
        = world->peers[sim_random (world, 0, world->peer_count - 1)];
    //  A restored store is known by what its first life finds out; a second one
    //  before it met its readers would hide that (tests/README.md).
    if (self->restored[peer->index]
        && (kind == STOP || kind == KILL || kind == CRASH
            || kind == BAD_CALL)) {
        return;
    }
    switch (kind) {
    case CUT: sim_net_cut (world->net, peer, other); break;
    case BLOCK: s_block (self, peer, other); break;
    case PARTITION:
        s_block (self, peer, other);
        s_block (self, other, peer);
        break;
    case STOP: s_end (self, peer, SIM_STOP); break;
    case KILL: s_end (self, peer, SIM_KILL); break;
    case CRASH: s_end (self, peer, SIM_CRASH); break;
    case PAUSE:
        peer->paused_until_us
            = world->now_us + (int64_t) PICK (world, 50000, 1000000, 6000000);
        sim_trace (world, "fault %s is paused until %.3f ms", peer->name,
                   (double) peer->paused_until_us / 1000.0);
        break;
    case LEAVE: s_leave (self, peer); break;
    case BAD_CALL: s_bad_call (self, peer); break;
    case FULL:
        sim_trace (world, "fault %s has no space", peer->name);
        trn_disk_memory_limit (peer->memory, trn_disk_memory_used (peer->memory));
        sim_after (world, (int64_t) PICK (world, 50000, 1000000), s_on_space,
                   NULL, peer, 0);
        break;
    case RESTORE: s_restore (self, peer); break;
    case LOSE_DISK: s_lose_disk (self, peer); break;
    case KINDS: break;
    }
    self->faults++;
}

static void
s_on_fault (sim_world_t *world, const sim_event_t *event)
{
    s_chaos_t *self = event->object;
    if (self->calm) {
        return;
    }
    const unsigned kind = (unsigned) sim_random (world, 0, KINDS - 1);
    if (self->enabled[kind]) {
        s_strike (self, (s_kind_t) kind);
    }
    //  A process that died by a failing call is started again, too.
    for (unsigned index = 0; index < world->peer_count; index++) {
        if (!world->peers[index]->up && sim_chance (world, 300)) {
            s_restart_later (self, world->peers[index]);
        }
    }
    sim_after (world,
               (int64_t) sim_random (world, 0,
                                     (uint64_t) self->fault_every_us * 2),
               s_on_fault, NULL, self, 0);
}

//  Healing ----------------------------------------------------------------

enum {
    SETTLE_US = 12000000,    //  links are back, whatever the backoff was
    DRAIN_MAX_US = 240000000
};

static void
s_wake (s_chaos_t *self)
{
    sim_world_t *world = &self->world;
    sim_net_heal (world->net);
    for (unsigned index = 0; index < world->peer_count; index++) {
        sim_peer_t *peer = world->peers[index];
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
s_check_debts (s_chaos_t *self)
{
    for (unsigned index = 0; index < self->debt_count; index++) {
        const s_debt_t *debt = &self->debts[index];
        bool consumes = false;
        for (unsigned at = 0; at < debt->consumer->consumer_count; at++) {
            consumes = consumes
                       || strcmp (debt->consumer->consumers[at].queue,
                                  debt->queue)
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
s_wipe_restored (s_chaos_t *self)
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
s_drained (const s_chaos_t *self)
{
    const sim_world_t *world = &self->world;
    if (sim_ledger_open (world->ledger)) {
        return false;
    }
    for (unsigned index = 0; index < world->peer_count; index++) {
        const sim_peer_t *peer = world->peers[index];
        for (unsigned at = 0; at < peer->outbox_count; at++) {
            trn_engine_outbox_stats_t stats;
            trn_engine_outbox_stats (peer->engine, peer->outboxes[at].id,
                                     &stats);
            if (stats.waiting || stats.in_flight || peer->outboxes[at].backlog) {
                return false;
            }
        }
    }
    return true;
}

//  For a trace: where the rest is.
static void
s_show_rest (s_chaos_t *self)
{
    sim_world_t *world = &self->world;
    for (unsigned index = 0; index < world->peer_count; index++) {
        const sim_peer_t *peer = world->peers[index];
        for (unsigned at = 0; at < peer->outbox_count; at++) {
            trn_engine_outbox_stats_t stats;
            trn_engine_outbox_stats (peer->engine, peer->outboxes[at].id,
                                     &stats);
            sim_trace (world,
                       "%-5s %s: backlog %" PRIu64 " waiting %" PRIu64
                       " in flight %" PRIu64 " parked %" PRIu64
                       " low %" PRIu64 " of %" PRIu64 " consumers %u",
                       peer->name, peer->outboxes[at].queue,
                       peer->outboxes[at].backlog, stats.waiting,
                       stats.in_flight, stats.parked, stats.low,
                       peer->outboxes[at].appended, stats.consumers);
        }
    }
}

static void
s_drain (s_chaos_t *self)
{
    sim_world_t *world = &self->world;
    const int64_t until_us = world->now_us + DRAIN_MAX_US;
    while (!s_drained (self) && !world->failed) {
        if (world->now_us >= until_us) {
            s_show_rest (self);
            sim_fail (world,
                      "L-live: %" PRIu64 " messages are still open %d s after "
                      "everything healed",
                      sim_ledger_open (world->ledger), DRAIN_MAX_US / 1000000);
            return;
        }
        sim_run_until (world, world->now_us + 50000);
    }
}

static void
s_stop_all (s_chaos_t *self)
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
s_live (s_chaos_t *self)
{
    sim_world_t *world = &self->world;
    for (unsigned index = 0; index < world->peer_count; index++) {
        sim_after (world, (int64_t) sim_random (world, 0, 200000),
                   s_on_restart, NULL, world->peers[index], 0);
        sim_after (world, (int64_t) sim_random (world, 0, 100000), s_on_burst,
                   NULL, self, index);
    }
    sim_after (world, 100000, s_on_fault, NULL, self, 0);
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
    s_chaos_t *self = trn_alloc (sizeof *self);
    sim_world_open (&self->world, seed, trace);
    s_draw (self);
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
