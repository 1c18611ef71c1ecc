//  sim/chaos_fault.c - a random run: what hits its peers
//
//  Knows: each kind of fault, and what a planned loss of state obliges others to
//  report (L-report).
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/chaos_inside.h"

#include "base/memory.h"
#include "support/disk_faulty.h"
#include "support/disk_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void
chaos_on_restart (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *peer = event->object;
    if (!peer->up && !sim_peer_start (peer)) {
        sim_after (world, 50000, chaos_on_restart, NULL, peer, 0);
    }
}

//  Whoever is down comes back after a while.
static void
s_restart_later (chaos_t *self, sim_peer_t *peer)
{
    sim_after (&self->world,
               (int64_t) CHAOS_PICK (&self->world, 1000, 100000, 2000000),
               chaos_on_restart, NULL, peer, 0);
}

static void
s_end (chaos_t *self, sim_peer_t *peer, sim_end_t end)
{
    if (peer->up) {
        sim_peer_end (peer, end);
    }
    s_restart_later (self, peer);
}

//  It dies, comes back, and after a moment that may let it do something it dies
//  again, so many times.
static void
s_on_again (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *peer = event->object;
    const bool calm = peer->drain_mode;
    if (peer->up && !calm) {
        sim_peer_end (peer, sim_chance (world, 700) ? SIM_KILL : SIM_CRASH);
    }
    if (!peer->up) {
        sim_peer_start (peer);
    }
    if (event->number && !calm) {
        sim_after (world, (int64_t) CHAOS_PICK (world, 500, 5000, 40000),
                   s_on_again, NULL, peer, event->number - 1);
    } else if (!peer->up) {
        chaos_on_restart (world, event);
    }
}

static void
s_die_again (chaos_t *self, sim_peer_t *peer, uint64_t times)
{
    sim_trace (&self->world, "fault %s dies again and again", peer->name);
    sim_after (&self->world, 0, s_on_again, NULL, peer, times);
}

static void
s_on_unblock (sim_world_t *world, const sim_event_t *event)
{
    sim_net_block (world->net, world->peers[event->number / SIM_PEERS_MAX],
                   world->peers[event->number % SIM_PEERS_MAX], false);
}

static void
s_block (chaos_t *self, const sim_peer_t *from, const sim_peer_t *to)
{
    sim_world_t *world = &self->world;
    if (from == to) {
        return;
    }
    sim_trace (world, "fault %s to %s is blocked", from->name, to->name);
    sim_net_block (world->net, from, to, true);
    sim_after (world, (int64_t) CHAOS_PICK (world, 10000, 500000, 5000000),
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
s_leave (chaos_t *self, sim_peer_t *peer)
{
    sim_world_t *world = &self->world;
    if (!peer->up || !peer->consumer_count) {
        return;
    }
    sim_consumer_t *consumer
        = &peer->consumers[sim_random (world, 0, peer->consumer_count - 1)];
    sim_trace (world, "fault %s leaves %s", peer->name, consumer->queue);
    sim_app_leave (consumer);
    sim_after (world, (int64_t) CHAOS_PICK (world, 0, 20000, 1000000),
               s_on_join, NULL, consumer, 0);
}

//  One call fails, once or from then on; the process does not survive it.
static void
s_bad_call (chaos_t *self, sim_peer_t *peer)
{
    sim_world_t *world = &self->world;
    const trn_disk_fault_t fault = {
        .call
        = (trn_disk_call_t) CHAOS_PICK (world, TRN_CALL_ANY, TRN_CALL_FDATASYNC,
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
s_owe (chaos_t *self, sim_peer_t *publisher, const sim_outbox_t *outbox,
       uint64_t above, const char *id, const char *or_id)
{
    sim_world_t *world = &self->world;
    if (outbox->exchange) {
        return;  //  it may have no queue any more when it comes back
    }
    for (unsigned index = 0; outbox->known && index < world->peer_count;
         index++) {
        sim_peer_t *peer = world->peers[index];
        if (!peer->up || peer == publisher
            || sim_ledger_seen (world->ledger, outbox->stream, peer->life)
                   <= above) {
            continue;
        }
        self->debts = trn_realloc (self->debts, (self->debt_count + 1)
                                                    * sizeof *self->debts);
        chaos_debt_t *debt = &self->debts[self->debt_count++];
        *debt = (chaos_debt_t) {
            .publisher = publisher,
            .consumer = peer,
            .life = peer->life,
            .id = id,
            .or_id = or_id,
            .before
            = sim_peer_reported (peer, id) + sim_peer_reported (peer, or_id),
        };
        memcpy (debt->queue, outbox->queue, sizeof debt->queue);
    }
}

//  What this publisher lost before does not matter any more.
static void
s_forgive (chaos_t *self, const sim_peer_t *publisher)
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
s_lose_disk (chaos_t *self, sim_peer_t *peer)
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
s_back_up (chaos_t *self, sim_peer_t *peer)
{
    trn_disk_memory_destroy (&self->backup[peer->index]);
    self->backup[peer->index] = trn_disk_memory_copy (peer->memory);
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        self->backup_written[peer->index][index]
            = peer->outboxes[index].log
                  ? trn_log_written (peer->outboxes[index].log)
                  : peer->outboxes[index].appended;
        sim_trace (&self->world, "fault %s/%s is backed up to %" PRIu64,
                   peer->name, peer->outboxes[index].queue,
                   self->backup_written[peer->index][index]);
    }
}

static bool
s_has_exchange (const sim_peer_t *peer)
{
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        if (peer->outboxes[index].exchange) {
            return true;
        }
    }
    return false;
}

static void
s_restore (chaos_t *self, sim_peer_t *peer)
{
    if (self->restored[peer->index] || s_has_exchange (peer)) {
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
    self->world.put_back = true;
    self->backup[peer->index] = NULL;
    peer->ended = SIM_KILL;
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        sim_outbox_t *outbox = &peer->outboxes[index];
        //  What the old store may have used above the copy's reservation.
        s_owe (self, peer, outbox,
               self->backup_written[peer->index][index]
                   + 2 * (uint64_t) peer->logging.reserve,
               "TERN-PUBLISHER-WENT-BACK", "TERN-PEER-FENCED");
        outbox->stream
            = sim_ledger_fork (self->world.ledger, outbox->stream,
                               self->backup_written[peer->index][index]);
    }
    s_restart_later (self, peer);
}

static void
s_rebind (chaos_t *self)
{
    sim_world_t *world = &self->world;
    if (sim_chance (world, 500)) {
        sim_exchange_bind (world, CHAOS_EXCHANGE, self->exchange,
                           chaos_branch (sim_random (world, 0, 2)));
    } else {
        sim_exchange_unbind (world);
    }
}

static void
s_strike (chaos_t *self, chaos_kind_t kind)
{
    sim_world_t *world = &self->world;
    sim_peer_t *peer
        = world->peers[sim_random (world, 0, world->peer_count - 1)];
    sim_peer_t *other
        = world->peers[sim_random (world, 0, world->peer_count - 1)];
    switch (kind) {
    case CHAOS_CUT: sim_net_cut (world->net, peer, other); break;
    case CHAOS_BLOCK: s_block (self, peer, other); break;
    case CHAOS_PARTITION:
        s_block (self, peer, other);
        s_block (self, other, peer);
        break;
    case CHAOS_STOP: s_end (self, peer, SIM_STOP); break;
    case CHAOS_KILL: s_end (self, peer, SIM_KILL); break;
    case CHAOS_AGAIN:
        s_die_again (self, peer, CHAOS_PICK (world, 3, 10, 40));
        break;
    case CHAOS_CRASH: s_end (self, peer, SIM_CRASH); break;
    case CHAOS_PAUSE:
        peer->paused_until_us
            = world->now_us
              + (int64_t) CHAOS_PICK (world, 50000, 1000000, 6000000);
        sim_trace (world, "fault %s is paused until %.3f ms", peer->name,
                   (double) peer->paused_until_us / 1000.0);
        break;
    case CHAOS_LEAVE: s_leave (self, peer); break;
    case CHAOS_BAD_CALL: s_bad_call (self, peer); break;
    case CHAOS_FULL:
        sim_trace (world, "fault %s has no space", peer->name);
        trn_disk_memory_limit (peer->memory,
                               trn_disk_memory_used (peer->memory));
        sim_after (world, (int64_t) CHAOS_PICK (world, 50000, 1000000),
                   s_on_space, NULL, peer, 0);
        break;
    case CHAOS_RESTORE: s_restore (self, peer); break;
    case CHAOS_LOSE_DISK: s_lose_disk (self, peer); break;
    case CHAOS_BIND: s_rebind (self); break;
    case CHAOS_KINDS: break;
    }
    self->faults++;
}

void
chaos_on_fault (sim_world_t *world, const sim_event_t *event)
{
    chaos_t *self = event->object;
    if (self->calm) {
        return;
    }
    const unsigned kind = (unsigned) sim_random (world, 0, CHAOS_KINDS - 1);
    if (self->enabled[kind]) {
        s_strike (self, (chaos_kind_t) kind);
    }
    //  A process that died by a failing call is started again, too.
    for (unsigned index = 0; index < world->peer_count; index++) {
        if (!world->peers[index]->up && sim_chance (world, 300)) {
            s_restart_later (self, world->peers[index]);
        }
    }
    sim_after (
        world,
        (int64_t) sim_random (world, 0, (uint64_t) self->fault_every_us * 2),
        chaos_on_fault, NULL, self, 0);
}
