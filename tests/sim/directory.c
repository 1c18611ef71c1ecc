//  sim/directory.c - what peers hear of each other, late
//
//  Knows: nothing but the truth at the time somebody changed; every peer hears
//  it after its own delay, in order, also of itself.  A peer that died without
//  a goodbye is reported gone only after its lease, unless it is back by then.
//  While the directory is down nobody hears anything; when it is back, everybody
//  hears everything.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/peer.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEASE_US = 2000000
};

void
sim_directory_forget_views (sim_peer_t *peer)
{
    while (peer->views_first) {
        sim_entry_t *entry = peer->views_first;
        peer->views_first = entry->next;
        free (entry);
    }
    peer->views_last = NULL;
    peer->views_arrive_us = 0;
}

static void
s_on_view (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *peer = event->peer;
    sim_entry_t *entry = peer->views_first;
    (void) world;
    if (!entry) {
        return;
    }
    peer->views_first = entry->next;
    if (!entry->next) {
        peer->views_last = NULL;
    }
    if (entry->gone) {
        trn_engine_on_peer_gone (peer->engine, entry->about->name,
                                 sim_peer_now (peer));
    } else {
        const char *queues[SIM_CONSUMERS_MAX];
        for (unsigned index = 0; index < entry->queue_count; index++) {
            queues[index] = entry->queues[index];
        }
        trn_engine_on_peer (peer->engine, entry->about->name,
                            entry->incarnation, entry->endpoint, queues,
                            entry->queue_count, sim_peer_now (peer));
    }
    free (entry);
    sim_peer_drain_soon (peer);
}

static void
s_tell (sim_peer_t *watcher, const sim_peer_t *about)
{
    sim_world_t *world = watcher->world;
    sim_entry_t *entry = trn_alloc (sizeof *entry);
    entry->about = about;
    entry->gone = !about->up;
    entry->incarnation = about->incarnation;
    memcpy (entry->endpoint, about->endpoint, sizeof entry->endpoint);
    for (unsigned index = 0; index < about->consumer_count; index++) {
        const sim_consumer_t *consumer = &about->consumers[index];
        if (consumer->id) {
            memcpy (entry->queues[entry->queue_count++], consumer->queue,
                    sizeof consumer->queue);
        }
    }
    if (watcher->views_last) {
        watcher->views_last->next = entry;
    } else {
        watcher->views_first = entry;
    }
    watcher->views_last = entry;
    int64_t at_us = world->now_us + (int64_t) sim_random (world, 500, 20000);
    if (at_us < watcher->views_arrive_us) {
        at_us = watcher->views_arrive_us;
    }
    watcher->views_arrive_us = at_us;
    sim_after (world, at_us - world->now_us, s_on_view, watcher, NULL, 0);
}

//  The lease of a life that ended without a goodbye is over.
static void
s_on_lease (sim_world_t *world, const sim_event_t *event)
{
    const sim_peer_t *about = event->object;
    if (about->up || about->life != event->number || world->directory_down) {
        return;
    }
    for (unsigned index = 0; index < world->peer_count; index++) {
        if (world->peers[index]->up) {
            s_tell (world->peers[index], about);
        }
    }
}

void
sim_directory_announce (sim_peer_t *peer)
{
    sim_world_t *world = peer->world;
    if (world->directory_down) {
        return;
    }
    if (!peer->up) {
        sim_after (world, peer->ended == SIM_STOP ? 0 : LEASE_US, s_on_lease,
                   NULL, peer, peer->life);
        return;
    }
    for (unsigned index = 0; index < world->peer_count; index++) {
        if (world->peers[index]->up) {
            s_tell (world->peers[index], peer);
        }
    }
}

void
sim_directory_inform (sim_peer_t *peer)
{
    if (peer->world->directory_down) {
        return;
    }
    for (unsigned index = 0; index < peer->world->peer_count; index++) {
        const sim_peer_t *about = peer->world->peers[index];
        if (about->up && about != peer) {
            s_tell (peer, about);
        }
    }
}

void
sim_directory_set_down (sim_world_t *world, bool down)
{
    world->directory_down = down;
    for (unsigned index = 0; index < world->peer_count && !down; index++) {
        if (world->peers[index]->up) {
            sim_directory_announce (world->peers[index]);
        }
    }
}
