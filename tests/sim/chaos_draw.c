//  sim/chaos_draw.c - a random run: which fleet, which habits, which faults
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/chaos_inside.h"

#include <stdio.h>

uint64_t
chaos_pick (sim_world_t *world, const uint64_t *from, size_t count)
{
    return from[sim_random (world, 0, count - 1)];
}

static void
s_draw_manner (sim_world_t *world, sim_consumer_t *consumer)
{
    consumer->manner.think_min_us = (int64_t) CHAOS_PICK (world, 0, 50, 500);
    consumer->manner.think_max_us
        = (int64_t) CHAOS_PICK (world, 500, 3000, 20000, 200000);
    consumer->manner.requeue_per_mille
        = (unsigned) CHAOS_PICK (world, 0, 0, 20, 200);
    consumer->manner.reject_per_mille
        = (unsigned) CHAOS_PICK (world, 0, 0, 0, 30);
    consumer->manner.disorder_per_mille
        = (unsigned) CHAOS_PICK (world, 0, 100, 500);
}

static void
s_draw_timing (sim_world_t *world, sim_peer_t *peer)
{
    peer->timing.hello_ms = (uint32_t) CHAOS_PICK (world, 200, 1000, 3000);
    peer->timing.ping_ms = (uint32_t) CHAOS_PICK (world, 100, 300, 1000);
    peer->timing.suspect_ms = peer->timing.ping_ms * 4;
    peer->timing.backoff_min_ms = (uint32_t) CHAOS_PICK (world, 10, 50);
    peer->timing.backoff_max_ms
        = (uint32_t) CHAOS_PICK (world, 100, 1000, 3000);
    peer->timing.save_ms = (uint32_t) CHAOS_PICK (world, 20, 100, 500);
    peer->timing.redeliver_min_ms = (uint32_t) CHAOS_PICK (world, 5, 50);
    peer->timing.redeliver_max_ms = (uint32_t) CHAOS_PICK (world, 100, 1000);
    peer->logging.segment_min = (uint32_t) CHAOS_PICK (world, 4096, 16384);
    peer->logging.segment_max = (uint32_t) CHAOS_PICK (world, 16384, 65536);
    peer->logging.reserve
        = (uint32_t) CHAOS_PICK (world, 8, 64, 1000, 1 << 22, 1 << 24);
    peer->logging.unwritten_max = (uint32_t) CHAOS_PICK (world, 4096, 65536);
    peer->logging.kept_max = (uint32_t) CHAOS_PICK (world, 1024, 16384, 262144);
    peer->disk_us = (int64_t) CHAOS_PICK (world, 50, 300, 3000);
}

static void
s_draw_policy (sim_world_t *world, trn_policy_t *policy)
{
    policy->max_deliveries
        = (uint32_t) CHAOS_PICK (world, 0, 1, 2, 3, 5, 16, 16);
    policy->pause = (trn_pause_kind_t) sim_random (world, 0, 2);
    policy->pause_min_ms = (uint32_t) CHAOS_PICK (world, 0, 5, 50);
    policy->pause_max_ms = (uint32_t) CHAOS_PICK (world, 100, 1000);
    policy->pause_count = 2;
    policy->pauses[0] = (uint32_t) CHAOS_PICK (world, 0, 10);
    policy->pauses[1] = (uint32_t) CHAOS_PICK (world, 0, 200);
    policy->ttl_ms = CHAOS_PICK (world, 0, 0, 0, 100, 2000);
    policy->drop_expired = sim_chance (world, 500);
    policy->single = sim_chance (world, 150);
}

//  Who takes the dead letters of a queue, and throws some of them away.
static void
s_draw_undertaker (sim_world_t *world, sim_peer_t *peer, const char *queue)
{
    char name[TRN_NAME_MAX + 1];
    snprintf (name, sizeof name, "%s.dead", queue);
    sim_consumer_t *consumer = sim_peer_add_consumer (
        peer, name, (uint32_t) CHAOS_PICK (world, 1, 5, 50), 1000000);
    s_draw_manner (world, consumer);
}

static void
s_draw_fleet (chaos_t *self)
{
    sim_world_t *world = &self->world;
    static const char *const names[] = {"anna", "bert", "cleo", "dora", "emil"};
    static const char *const queues[] = {"jobs", "mail", "post"};
    const unsigned peers = (unsigned) sim_random (world, 2, 5);
    const unsigned queue_count = (unsigned) sim_random (world, 1, 3);
    for (unsigned index = 0; index < peers; index++) {
        s_draw_timing (world, sim_peer_new (world, names[index]));
    }
    bool in_order = true;
    for (unsigned queue = 0; queue < queue_count; queue++) {
        const unsigned first = (unsigned) sim_random (world, 0, peers - 1);
        const unsigned last = (unsigned) sim_random (world, 0, peers - 1);
        const unsigned more = (unsigned) CHAOS_PICK (world, 0, 0, 300, 700);
        s_draw_undertaker (world,
                           world->peers[sim_random (world, 0, peers - 1)],
                           queues[queue]);
        for (unsigned index = 0; index < peers; index++) {
            sim_peer_t *peer = world->peers[index];
            if (index == first || sim_chance (world, 400)) {
                sim_outbox_t *outbox
                    = sim_peer_add_outbox (peer, queues[queue]);
                outbox->size_max = (uint32_t) CHAOS_PICK (world, 10, 100, 1500);
                s_draw_policy (world, &outbox->policy);
                outbox->ruled_per_mille
                    = (unsigned) CHAOS_PICK (world, 0, 0, 100, 500, 1000);
                if (sim_chance (world, 200)) {
                    outbox->limit_messages = CHAOS_PICK (world, 3, 20, 60);
                    outbox->at_limit
                        = (trn_at_limit_t) sim_random (world, 0, 2);
                }
                in_order = in_order && !outbox->ruled_per_mille
                           && !outbox->policy.ttl_ms && !outbox->limit_messages;
            }
            if (index == last || sim_chance (world, more)) {
                sim_consumer_t *consumer = sim_peer_add_consumer (
                    peer, queues[queue],
                    (uint32_t) CHAOS_PICK (world, 1, 2, 7, 50),
                    (uint32_t) CHAOS_PICK (world, 2000, 10000, 1000000));
                s_draw_manner (world, consumer);
                in_order = in_order && index == last
                           && consumer->manner.requeue_per_mille == 0
                           && consumer->manner.reject_per_mille == 0;
            }
        }
    }
    sim_ledger_expect_order (world->ledger,
                             in_order && !self->enabled[CHAOS_LEAVE]);
}

const char *
chaos_branch (uint64_t number)
{
    static const char *const queues[] = {"east", "west", "north"};
    return queues[number % 3];
}

//  An exchange of one or two publishers, and who consumes its queues.
static void
s_draw_exchange (chaos_t *self)
{
    sim_world_t *world = &self->world;
    if (!sim_chance (world, 400)) {
        return;
    }
    sim_ledger_expect_order (world->ledger, false);
    self->exchange = (trn_exchange_type_t) sim_random (world, 1, 4);
    self->enabled[CHAOS_BIND] = sim_chance (world, 600);
    const unsigned publishers = (unsigned) sim_random (world, 1, 2);
    for (unsigned index = 0; index < publishers; index++) {
        sim_outbox_t *outbox = sim_peer_add_exchange (
            world->peers[index], CHAOS_EXCHANGE, self->exchange);
        outbox->size_max = (uint32_t) CHAOS_PICK (world, 10, 100, 1500);
        outbox->retain_bytes = CHAOS_PICK (world, 0, 10000, 1000000);
        outbox->ruled_per_mille
            = (unsigned) CHAOS_PICK (world, 0, 0, 200, 1000);
        outbox->policy.max_deliveries = 0;
        outbox->policy.drop_expired = true;
    }
    for (unsigned number = 0; number < 3; number++) {
        sim_peer_t *peer
            = world->peers[sim_random (world, 0, world->peer_count - 1)];
        sim_consumer_t *consumer = sim_peer_add_consumer (
            peer, chaos_branch (number),
            (uint32_t) CHAOS_PICK (world, 1, 2, 7, 50),
            (uint32_t) CHAOS_PICK (world, 2000, 10000, 1000000));
        s_draw_manner (world, consumer);
        consumer->manner.reject_per_mille = 0;
        if (sim_chance (world, 700)) {
            sim_exchange_bind (world, CHAOS_EXCHANGE, self->exchange,
                               consumer->queue);
        }
    }
}

//  A service, who serves it, and who asks it durably.
static void
s_draw_service (chaos_t *self)
{
    sim_world_t *world = &self->world;
    if (!sim_chance (world, 400)) {
        return;
    }
    sim_ledger_expect_order (world->ledger, false);
    const unsigned peers = world->peer_count;
    const unsigned askers = (unsigned) sim_random (world, 1, 2);
    s_draw_undertaker (world, world->peers[sim_random (world, 0, peers - 1)],
                       CHAOS_SERVICE);
    for (unsigned index = 0; index < askers; index++) {
        sim_peer_t *peer = world->peers[index];
        sim_outbox_t *outbox = sim_peer_add_outbox (peer, CHAOS_SERVICE);
        outbox->asks = true;
        outbox->size_max = (uint32_t) CHAOS_PICK (world, 10, 100, 1500);
        s_draw_policy (world, &outbox->policy);
        char desk[TRN_NAME_MAX + 2];
        snprintf (desk, sizeof desk, "@%s", peer->name);
        sim_consumer_t *consumer = sim_peer_add_consumer (
            peer, desk, (uint32_t) CHAOS_PICK (world, 2, 50, 1000), 1000000);
        s_draw_manner (world, consumer);
        consumer->manner.reject_per_mille = 0;
    }
    const bool light = sim_chance (world, 700);
    for (unsigned index = 0; light && index < askers; index++) {
        world->peers[index]->service = CHAOS_SERVICE;
        world->peers[index]->calls_out = true;
    }
    const unsigned servers = (unsigned) sim_random (world, 1, 2);
    for (unsigned index = 0; index < servers; index++) {
        sim_peer_t *peer = world->peers[(askers + index) % peers];
        peer->replies_max = CHAOS_PICK (world, 0, 3, 20);
        sim_consumer_t *consumer = sim_peer_add_consumer (
            peer, CHAOS_SERVICE, (uint32_t) CHAOS_PICK (world, 1, 7, 16),
            1000000);
        s_draw_manner (world, consumer);
        consumer->serves = true;
        if (light) {
            peer->service = CHAOS_SERVICE;
            peer->tasks_max = (uint32_t) CHAOS_PICK (world, 1, 3, 16);
        }
    }
}

void
chaos_draw (chaos_t *self)
{
    sim_world_t *world = &self->world;
    const unsigned share = (unsigned) CHAOS_PICK (world, 0, 150, 300, 500);
    for (unsigned kind = 0; kind < CHAOS_KINDS; kind++) {
        self->enabled[kind] = sim_chance (
            world, kind == CHAOS_RESTORE || kind == CHAOS_LOSE_DISK ? share / 3
                                                                    : share);
    }
    self->fault_every_us = (int64_t) CHAOS_PICK (world, 30000, 200000, 1000000);
    self->chaos_us = (int64_t) CHAOS_PICK (world, 500000, 3000000, 10000000);
    const sim_net_config_t net = {
        .delay_min_us = (int64_t) CHAOS_PICK (world, 50, 500),
        .delay_max_us = (int64_t) CHAOS_PICK (world, 500, 5000, 50000),
        .spike_per_mille = (unsigned) CHAOS_PICK (world, 0, 5, 50),
        .spike_us = (int64_t) CHAOS_PICK (world, 20000, 500000),
        .replay_per_mille = (unsigned) CHAOS_PICK (world, 0, 0, 20, 200),
        .notice_per_mille = (unsigned) CHAOS_PICK (world, 0, 500, 1000),
    };
    sim_net_configure (world->net, &net);
    s_draw_fleet (self);
    self->enabled[CHAOS_BIND] = false;
    s_draw_exchange (self);
    s_draw_service (self);
}
