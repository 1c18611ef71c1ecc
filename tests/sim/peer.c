//  sim/peer.c - one peer of a simulation: its lives
//
//  Knows: what a start reads and an end leaves.  The identity of the store
//  lies in a small file beside the outboxes; it is raised durably before
//  anything else happens, as src/store does it.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/exchange.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "support/disk_faulty.h"
#include "support/disk_memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/error.h>

sim_peer_t *
sim_peer_new (sim_world_t *world, const char *name)
{
    assert (world->peer_count < SIM_PEERS_MAX);
    sim_peer_t *self = trn_alloc (sizeof *self);
    self->world = world;
    self->index = world->peer_count;
    world->peers[world->peer_count++] = self;
    snprintf (self->name, sizeof self->name, "%s", name);
    snprintf (self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%u",
              4000 + self->index);
    self->life = (uint32_t) sim_random (world, 1, 1 << 20) << 4 | self->index;
    self->disk_us = 300;
    self->ended = SIM_STOP;
    self->timing.redeliver_min_ms = 20;
    self->timing.redeliver_max_ms = 500;
    sim_peer_set_disk (self, trn_disk_memory_new ());
    return self;
}

static void
s_free_disk (sim_peer_t *self)
{
    trn_disk_faulty_destroy (&self->disk);
    trn_disk_memory_destroy (&self->memory);
}

void
sim_peer_set_disk (sim_peer_t *self, trn_disk_t *memory)
{
    assert (!self->up);
    s_free_disk (self);
    self->memory = memory;
    self->disk = trn_disk_faulty_new (memory);
    trn_disk_faulty_on_lost_sync (self->disk, trn_disk_memory_lose_unsynced);
}

void
sim_peer_lose_disk (sim_peer_t *self)
{
    for (unsigned index = 0; index < self->outbox_count; index++) {
        sim_outbox_t *outbox = &self->outboxes[index];
        unsigned stream;
        for (unsigned at = 0; sim_outbox_stream (outbox, at, &stream); at++) {
            sim_ledger_forget (self->world->ledger, stream);
        }
        outbox->branch_count = 0;
    }
    sim_peer_set_disk (self, trn_disk_memory_new ());
}

sim_outbox_t *
sim_peer_add_outbox (sim_peer_t *self, const char *queue)
{
    assert (self->outbox_count < SIM_OUTBOXES_MAX && !self->up);
    sim_outbox_t *outbox = &self->outboxes[self->outbox_count++];
    *outbox = (sim_outbox_t) {.peer = self, .size_max = 100};
    trn_policy_default (&outbox->policy);
    outbox->policy.pause_min_ms = 20;
    outbox->policy.pause_max_ms = 500;
    snprintf (outbox->queue, sizeof outbox->queue, "%s", queue);
    return outbox;
}

sim_outbox_t *
sim_peer_add_exchange (sim_peer_t *self, const char *name,
                       trn_exchange_type_t type)
{
    sim_outbox_t *outbox = sim_peer_add_outbox (self, name);
    outbox->exchange = type;
    return outbox;
}

bool
sim_outbox_stream (const sim_outbox_t *self, unsigned index, unsigned *stream_p)
{
    if (self->exchange) {
        const bool found = index < self->branch_count;
        *stream_p = found ? self->branches[index].stream : 0;
        return found;
    }
    *stream_p = self->stream;
    return self->known && index == 0;
}

uint64_t
sim_outbox_next (const sim_outbox_t *self, uint64_t seq)
{
    trn_range_t part;
    return seq <= self->appended
                   && trn_ranges_first_out (&self->gaps, seq, self->appended,
                                            &part)
               ? part.from
               : self->appended + 1;
}

sim_consumer_t *
sim_peer_add_consumer (sim_peer_t *self, const char *queue, uint32_t prefetch,
                       uint32_t bytes)
{
    assert (self->consumer_count < SIM_CONSUMERS_MAX);
    sim_consumer_t *consumer = &self->consumers[self->consumer_count++];
    *consumer = (sim_consumer_t) {
        .peer = self,
        .prefetch = prefetch,
        .bytes = bytes,
        .wanted = true,
        .manner = {true, 100, 2000, 0, 0, 0},
    };
    snprintf (consumer->queue, sizeof consumer->queue, "%s", queue);
    if (self->up) {
        sim_app_join (consumer);
    }
    return consumer;
}

int64_t
sim_peer_now (const sim_peer_t *self)
{
    return self->world->now_us / 1000 + self->clock_ms;
}

uint64_t
sim_peer_wall_ms (const sim_peer_t *self)
{
    return SIM_WALL_MS + (uint64_t) self->world->now_us / 1000;
}

//  Identity ---------------------------------------------------------------

enum {
    IDENTITY_SIZE = 32
};

static int
s_read_identity (sim_peer_t *self, int root)
{
    uint8_t bytes[IDENTITY_SIZE];
    const int file = self->disk->open (self->disk, root, "IDENTITY", O_RDONLY);
    if (file < 0) {
        return file;
    }
    const int64_t got
        = self->disk->pread (self->disk, file, bytes, sizeof bytes, 0);
    self->disk->close (self->disk, file);
    if (got != IDENTITY_SIZE) {
        return got < 0 ? (int) got : -EIO;
    }
    memcpy (self->store_uuid, bytes, 16);
    self->incarnation = trn_get_u64 (bytes + 16);
    return 0;
}

static int
s_write_identity (sim_peer_t *self, int root)
{
    trn_disk_t *disk = self->disk;
    uint8_t bytes[IDENTITY_SIZE];
    memcpy (bytes, self->store_uuid, 16);
    trn_put_u64 (bytes + 16, self->incarnation);
    trn_put_u64 (bytes + 24, self->random);
    const int file = disk->open (disk, root, "IDENTITY.new", O_RDWR | O_CREAT);
    if (file < 0) {
        return file;
    }
    const int64_t put = disk->pwrite (disk, file, bytes, sizeof bytes, 0);
    int rc = put < 0 ? (int) put : put == IDENTITY_SIZE ? 0 : -EIO;
    rc = rc ? rc : disk->fsync (disk, file);
    disk->close (disk, file);
    rc = rc ? rc : disk->rename (disk, root, "IDENTITY.new", "IDENTITY");
    return rc ? rc : disk->fsync (disk, root);
}

//  Raise the incarnation of the store, or give a new one its name.
static int
s_take_identity (sim_peer_t *self, int root)
{
    const int found = s_read_identity (self, root);
    if (found == -ENOENT) {
        trn_put_u64 (self->store_uuid, sim_random (self->world, 0, UINT64_MAX));
        trn_put_u64 (self->store_uuid + 8,
                     sim_random (self->world, 0, UINT64_MAX));
        self->incarnation = 0;
    } else if (found < 0) {
        return found;
    }
    self->incarnation++;
    self->random = sim_random (self->world, 1, UINT64_MAX);
    return s_write_identity (self, root);
}

//  Start ------------------------------------------------------------------

static sim_survival_t
s_survival (const sim_peer_t *self)
{
    return self->ended == SIM_STOP   ? SIM_SURVIVES_ALL
           : self->ended == SIM_KILL ? SIM_SURVIVES_KILL
                                     : SIM_SURVIVES_CRASH;
}

static bool
s_check_recovery (sim_peer_t *self, sim_outbox_t *outbox, int rc,
                  const trn_log_report_t *report, const char *why)
{
    if (rc == 0) {
        unsigned stream;
        for (unsigned at = 0; sim_outbox_stream (outbox, at, &stream); at++) {
            sim_ledger_reopen (self->world->ledger, stream, s_survival (self),
                               report->high, &report->gaps);
        }
        return true;
    }
    //  A planned fault of the disk may stop an opening; nothing else may.
    if (!trn_disk_faulty_hits (self->disk) && rc != TERN_EFULL) {
        sim_fail (self->world, "%s/%s does not open: %s (%s)", self->name,
                  outbox->queue, tern_strerror (rc), why);
    }
    return false;
}

bool
sim_peer_open_outbox (sim_peer_t *self, sim_outbox_t *outbox)
{
    const int root = self->disk->open_root (self->disk, "store", 1);
    char dir_name[TRN_NAME_MAX + 16];
    snprintf (dir_name, sizeof dir_name, "outbox-%s", outbox->queue);
    const int dir = root < 0
                        ? root
                        : self->disk->open_dir (self->disk, root, dir_name, 1);
    if (root < 0 || dir < 0) {
        return false;
    }
    //  The new directory's own name must survive, too.
    if (self->disk->fsync (self->disk, root) < 0) {
        return false;
    }
    trn_log_config_t config = self->logging;
    config.disk = self->disk;
    config.dir = outbox->dir = dir;
    memcpy (config.store_uuid, self->store_uuid, 16);
    config.incarnation = self->incarnation;
    config.name = outbox->queue;

    config.limit_messages = outbox->limit_messages;
    config.at_limit = outbox->at_limit;
    config.retain_bytes = outbox->retain_bytes;
    if (!outbox->twin && !outbox->exchange) {
        outbox->stream = sim_ledger_stream (self->world->ledger,
                                            self->store_uuid, outbox->queue);
    }
    outbox->known = true;
    trn_log_report_t report = {0};
    uint8_t *state = NULL;
    size_t state_size = 0;
    char why[256] = "";
    int rc = trn_log_open (&outbox->log, &config, &state, &state_size, &report,
                           why, sizeof why);
    if (s_check_recovery (self, outbox, rc, &report, why)) {
        sim_trace (self->world,
                   "%-5s opens %s: first %" PRIu64 " high %" PRIu64
                   " torn %" PRIu64 "%s",
                   self->name, outbox->queue, report.first_seq, report.high,
                   report.torn_bytes, report.clean ? " clean" : "");
        outbox->appended = report.high;
        outbox->first_seq = report.first_seq;
        trn_ranges_clear (&outbox->gaps);
        outbox->gaps = report.gaps;
        report.gaps = (trn_ranges_t) {0};
        outbox->floor = 0;
        rc = outbox->exchange ? trn_engine_add_exchange (
                 self->engine, outbox->queue,
                 outbox->exchange != TRN_EXCHANGE_FANOUT, report.high,
                 &outbox->gaps, report.clean, state, state_size, &outbox->id)
                              : trn_engine_add_outbox (
                                  self->engine, outbox->queue, outbox->queue,
                                  report.high, &outbox->gaps, report.clean,
                                  state, state_size, &outbox->id);
        if (rc) {
            sim_fail (self->world, "%s/%s: the engine refuses its state: %s",
                      self->name, outbox->queue, tern_strerror (rc));
        } else if (!sim_past_load (outbox) || !sim_rule_recall (outbox)) {
            rc = TERN_EIO;
        } else {
            trn_engine_set_policy (self->engine, outbox->id, 0, &outbox->policy,
                                   sim_peer_now (self));
            if (outbox->exchange) {
                sim_exchange_open (outbox);
                sim_exchange_check_left (outbox, s_survival (self));
            } else {
                sim_ledger_rule (self->world->ledger, outbox->stream,
                                 &outbox->policy);
            }
        }
    }
    trn_ranges_clear (&report.gaps);
    free (state);
    return outbox->log && rc == 0;
}

static void
s_on_ruin (sim_world_t *world, const sim_event_t *event)
{
    (void) world;
    sim_peer_end (event->peer, SIM_CRASH);
}

bool
sim_outbox_ready (sim_outbox_t *outbox)
{
    sim_peer_t *peer = outbox->peer;
    if (outbox->log
        || (!outbox->ruined && sim_peer_open_outbox (peer, outbox))) {
        return true;
    }
    //  What a failed call has left on the disk nobody knows: as when a log
    //  fails, the process ends, and does not try again before.
    if (trn_disk_faulty_hits (peer->disk) && !outbox->ruined) {
        outbox->ruined = true;
        sim_after (peer->world, 0, s_on_ruin, peer, NULL, 0);
    }
    return false;
}

//  A life that did not come about: as if the process had been killed.
static bool
s_give_up (sim_peer_t *self)
{
    sim_trace (self->world, "%-5s cannot start", self->name);
    for (unsigned index = 0; index < self->outbox_count; index++) {
        trn_log_abandon (&self->outboxes[index].log);
        sim_exchange_close (&self->outboxes[index]);
        sim_past_forget (&self->outboxes[index]);
        self->outboxes[index].id = 0;
    }
    trn_engine_destroy (&self->engine);
    if (trn_disk_faulty_hits (self->disk)) {
        self->ended = SIM_CRASH;
        trn_disk_memory_crash (self->memory,
                               sim_random (self->world, 0, UINT64_MAX));
        trn_disk_faulty_plan (self->disk, &(trn_disk_fault_t) {0});
    } else {
        trn_disk_memory_kill (self->memory);
    }
    return false;
}

bool
sim_peer_start (sim_peer_t *self)
{
    assert (!self->up);
    sim_world_t *world = self->world;
    const int root = self->disk->open_root (self->disk, "store", 1);
    if (root < 0 || s_take_identity (self, root)) {
        return s_give_up (self);
    }
    self->clock_ms = (int64_t) sim_random (world, 0, 1000000000);
    self->timing.name = self->name;
    memcpy (self->timing.store_uuid, self->store_uuid, 16);
    self->timing.incarnation = self->incarnation;
    self->timing.random = self->random;
    self->timing.seed = sim_random (world, 0, UINT64_MAX);
    const trn_run_source_t source = sim_peer_source (self);
    self->engine = trn_engine_new (&self->timing, &source);
    trn_engine_on_clock (self->engine, sim_peer_wall_ms (self),
                         sim_peer_now (self));
    for (unsigned index = 0; index < self->outbox_count; index++) {
        if (!sim_peer_open_outbox (self, &self->outboxes[index])) {
            return s_give_up (self);
        }
    }
    for (unsigned index = 0; index < self->outbox_count; index++) {
        if (self->outboxes[index].source
            && !sim_grave_recall (&self->outboxes[index])) {
            return s_give_up (self);
        }
    }
    self->life += 16;
    self->up = true;
    self->tick_at_us = INT64_MAX;
    sim_trace (world, "%-5s starts life %u, incarnation %" PRIu64, self->name,
               self->life, self->incarnation);
    for (unsigned index = 0; index < self->outbox_count; index++) {
        sim_app_produce (&self->outboxes[index], 0);
        sim_outbox_kick (&self->outboxes[index]);
    }
    sim_exchange_start (self);
    sim_call_start (self);
    sim_directory_announce (self);
    sim_directory_inform (self);
    for (unsigned index = 0; index < self->consumer_count; index++) {
        if (self->consumers[index].wanted) {
            sim_app_join (&self->consumers[index]);
        }
    }
    sim_peer_drain_soon (self);
    return true;
}

//  End --------------------------------------------------------------------

static void
s_close_outbox (sim_peer_t *self, sim_outbox_t *outbox)
{
    sim_outbox_take_state (outbox, true);
    const int rc
        = trn_log_close (&outbox->log, outbox->state, outbox->state_size);
    if (rc && !trn_disk_faulty_hits (self->disk) && rc != TERN_EFULL) {
        sim_fail (self->world, "%s/%s does not close: %s", self->name,
                  outbox->queue, tern_strerror (rc));
    }
    if (rc) {
        self->ended = SIM_KILL;
    } else {
        unsigned stream;
        for (unsigned at = 0; sim_outbox_stream (outbox, at, &stream); at++) {
            if (!outbox->exchange || !outbox->branches[at].withheld) {
                sim_ledger_confirm (self->world->ledger, stream, UINT64_MAX,
                                    UINT64_MAX);
            }
        }
    }
}

static void
s_forget_outbox (sim_outbox_t *outbox)
{
    trn_log_abandon (&outbox->log);
    sim_exchange_close (outbox);
    sim_past_forget (outbox);
    for (unsigned index = 0; index < SIM_CHUNKS; index++) {
        trn_chunk_release (&outbox->chunks[index]);
    }
    free (outbox->state);
    free (outbox->burials);
    trn_ranges_clear (&outbox->gaps);
    outbox->state = NULL;
    outbox->burials = NULL;
    outbox->burial_count = 0;
    outbox->id = 0;
    outbox->disk_busy = outbox->read_busy = outbox->save_busy = false;
    outbox->save_again = outbox->producing = outbox->ruined = false;
}

void
sim_peer_end (sim_peer_t *self, sim_end_t end)
{
    assert (self->up);
    sim_world_t *world = self->world;
    sim_trace (world, "%-5s %s", self->name,
               end == SIM_STOP   ? "stops"
               : end == SIM_KILL ? "is killed"
                                 : "loses power");
    self->ended = end;
    if (end == SIM_STOP) {
        trn_engine_on_close (self->engine, sim_peer_now (self));
        sim_peer_drain (self);
        for (unsigned index = 0; index < self->outbox_count; index++) {
            if (self->outboxes[index].log) {
                s_close_outbox (self, &self->outboxes[index]);
            }
        }
    }
    for (unsigned index = 0; index < self->outbox_count; index++) {
        s_forget_outbox (&self->outboxes[index]);
    }
    for (unsigned index = 0; index < self->consumer_count; index++) {
        sim_app_drop (&self->consumers[index]);
    }
    sim_call_drop (self);
    trn_engine_destroy (&self->engine);
    sim_net_peer_down (world->net, self);
    sim_directory_forget_views (self);
    if (end == SIM_CRASH) {
        trn_disk_memory_crash (self->memory, sim_random (world, 0, UINT64_MAX));
    } else {
        trn_disk_memory_kill (self->memory);
    }
    trn_disk_faulty_plan (self->disk, &(trn_disk_fault_t) {0});
    self->up = false;
    self->life += 16;
    self->paused_until_us = 0;
    self->drain_asked = false;
    sim_directory_announce (self);
}

void
sim_peer_destroy (sim_peer_t **self_p)
{
    assert (self_p);
    if (!*self_p) {
        return;
    }
    sim_peer_t *self = *self_p;
    for (unsigned index = 0; index < self->outbox_count; index++) {
        s_forget_outbox (&self->outboxes[index]);
    }
    for (unsigned index = 0; index < self->consumer_count; index++) {
        sim_app_drop (&self->consumers[index]);
        free (self->consumers[index].hands);
    }
    sim_call_drop (self);
    trn_engine_destroy (&self->engine);
    sim_directory_forget_views (self);
    trn_bindings_destroy (&self->bindings);
    for (size_t index = 0; index < self->received_count; index++) {
        free (self->received[index]);
    }
    free (self->received);
    s_free_disk (self);
    free (self);
    *self_p = NULL;
}
