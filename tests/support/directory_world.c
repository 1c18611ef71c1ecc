//  tests/support/directory_world.c - rosters and registries in one process
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/directory_world.h"

#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  A connection whose far end is gone: it takes frames, and loses them.
#define DEAD ((uint64_t) 1 << 63)

//  A frame on its way.
typedef struct world_frame {
    int64_t at_ms;
    uint64_t route;
    size_t peer, node;
    bool to_node;
    uint8_t *bytes;
    size_t size;
} world_frame_t;

uint64_t
world_random (world_t *self, uint64_t bound)
{
    uint64_t z = self->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % bound;
}

void
world_init (world_t *self, uint64_t seed, size_t nodes)
{
    memset (self, 0, sizeof *self);
    self->seed = seed;
    self->random = seed;
    self->now_ms = 1000;
    self->node_count = nodes;
    self->host = -1;
    self->delay_ms = 5;
}

void
world_clear (world_t *self)
{
    for (size_t node = 0; node < WORLD_NODES; node++) {
        trn_registry_destroy (&self->nodes[node]);
    }
    for (size_t peer = 0; peer < WORLD_PEERS; peer++) {
        trn_roster_destroy (&self->peers[peer].roster);
    }
    for (size_t index = 0; index < self->frame_count; index++) {
        free (self->frames[index].bytes);
    }
    free (self->frames);
    for (size_t node = 0; node < WORLD_NODES; node++) {
        free (self->states[node]);
    }
    for (size_t peer = 0; peer < WORLD_PEERS; peer++) {
        trn_bindings_destroy (&self->peers[peer].shown);
        free (self->peers[peer].saved);
    }
    memset (self, 0, sizeof *self);
}

static void
s_post (world_t *self, size_t peer, size_t node, bool to_node, uint64_t route,
        const uint8_t *bytes, size_t size)
{
    if (route & DEAD) {
        return;
    }
    if (self->frame_count == self->frame_capacity) {
        self->frame_capacity = self->frame_capacity * 2 + 64;
        self->frames = trn_realloc (self->frames, self->frame_capacity
                                                      * sizeof *self->frames);
    }
    int64_t at_ms
        = self->now_ms + (int64_t) world_random (self, self->delay_ms + 1);
    //  One connection keeps its order.
    for (size_t index = 0; index < self->frame_count; index++) {
        const world_frame_t *before = &self->frames[index];
        if (before->route == route && before->to_node == to_node
            && before->at_ms > at_ms) {
            at_ms = before->at_ms;
        }
    }
    world_frame_t *frame = &self->frames[self->frame_count++];
    *frame = (world_frame_t) {
        at_ms, route, peer, node, to_node, trn_alloc (size + 1), size};
    memcpy (frame->bytes, bytes, size);
}

static size_t
s_peer_of_route (const world_t *self, size_t node, uint64_t route)
{
    for (size_t peer = 0; peer < WORLD_PEERS; peer++) {
        if (self->peers[peer].route[node] == route) {
            return peer;
        }
    }
    return WORLD_PEERS;
}

static void
s_drain_node (world_t *self, size_t node)
{
    trn_registry_t *registry = self->nodes[node];
    const trn_registry_action_t *action;
    while (registry && (action = trn_registry_action (registry))) {
        if (action->type == TRN_REGISTRY_SAVE) {
            free (self->states[node]);
            self->states[node]
                = trn_registry_state (registry, &self->state_sizes[node]);
            trn_registry_on_saved (registry, true, self->now_ms);
            continue;
        }
        if (action->type != TRN_REGISTRY_SEND || self->deaf[node]) {
            continue;
        }
        const size_t peer = s_peer_of_route (self, node, action->route);
        if (peer == WORLD_PEERS) {
            trn_registry_on_gone (registry, action->route, self->now_ms);
        } else if (!self->flowing && world_random (self, 16) == 0) {
            trn_registry_on_blocked (registry, action->route, self->now_ms);
        } else {
            s_post (self, peer, node, false, action->route, action->bytes,
                    action->size);
        }
    }
}

static void
s_see (world_peer_t *peer, const trn_roster_peer_t *other)
{
    size_t index = 0;
    while (index < peer->seen_count
           && strcmp (peer->seen[index].name, other->name)) {
        index++;
    }
    assert (index < WORLD_SEEN);
    if (index == peer->seen_count) {
        peer->seen_count++;
    }
    world_seen_t *seen = &peer->seen[index];
    snprintf (seen->name, sizeof seen->name, "%s", other->name);
    snprintf (seen->endpoint, sizeof seen->endpoint, "%s", other->endpoints[0]);
    seen->incarnation = other->incarnation;
    seen->queue_count = other->queue_count;
}

static void
s_unsee (world_peer_t *peer, const char *name)
{
    peer->gone++;
    size_t index = 0;
    while (index < peer->seen_count && strcmp (peer->seen[index].name, name)) {
        index++;
    }
    assert (index < peer->seen_count);  //  it was there before it was gone
    peer->seen[index] = peer->seen[--peer->seen_count];
}

static void
s_host (world_t *self, size_t number)
{
    int result = TERN_EINUSE;
    if (self->host < 0 && !self->nodes[0]) {
        self->host = (int) number;
        world_node_up (self, 0);
    }
    if (self->host == (int) number) {
        result = TERN_OK;
    }
    trn_roster_on_hosted (self->peers[number].roster, result, self->now_ms);
}

static void
s_save (world_peer_t *peer)
{
    const size_t room = trn_roster_view_room (peer->roster);
    free (peer->saved);
    peer->saved = trn_alloc (room);
    peer->saved_size = trn_roster_view (peer->roster, peer->saved, room);
}

static void
s_drain_peer (world_t *self, size_t number)
{
    world_peer_t *peer = &self->peers[number];
    const trn_roster_action_t *action;
    while (peer->roster && (action = trn_roster_action (peer->roster))) {
        switch (action->type) {
        case TRN_ROSTER_CONNECT:
            peer->connects++;
            peer->route[action->node]
                = ++self->next_route | (self->nodes[action->node] ? 0 : DEAD);
            break;
        case TRN_ROSTER_DISCONNECT: peer->route[action->node] = 0; break;
        case TRN_ROSTER_SEND:
            peer->sends++;
            assert (peer->route[action->node]);
            s_post (self, number, action->node, true, peer->route[action->node],
                    action->bytes, action->size);
            break;
        case TRN_ROSTER_HOST: s_host (self, number); break;
        case TRN_ROSTER_PEER: s_see (peer, &action->peer); break;
        case TRN_ROSTER_PEER_GONE: s_unsee (peer, action->peer.name); break;
        case TRN_ROSTER_REPORT:
            peer->reports++;
            snprintf (peer->last_report, sizeof peer->last_report, "%s",
                      action->report.id);
            break;
        case TRN_ROSTER_SAVE: s_save (peer); break;
        case TRN_ROSTER_BINDING:
            trn_bindings_take (peer->shown, &action->binding);
            break;
        case TRN_ROSTER_BOUND:
            peer->bound++;
            peer->last_result = action->result;
            break;
        }
    }
}

void
world_node_up (world_t *self, size_t node)
{
    assert (!self->nodes[node]);
    const trn_registry_config_t config = {
        .epoch = world_random (self, INT64_MAX) + 1,
        .seed = world_random (self, INT64_MAX),
        .durable = self->durable,
    };
    self->nodes[node] = trn_registry_new (&config);
    if (self->states[node]) {
        const int rc = trn_registry_restore (
            self->nodes[node], self->states[node], self->state_sizes[node]);
        assert (!rc);
        (void) rc;
    }
}

void
world_node_down (world_t *self, size_t node)
{
    trn_registry_destroy (&self->nodes[node]);
    for (size_t peer = 0; peer < WORLD_PEERS; peer++) {
        //  The far end is gone; nobody tells.  Frames under way are lost.
        self->peers[peer].route[node]
            |= self->peers[peer].route[node] ? DEAD : 0;
    }
}

void
world_peer_up (world_t *self, size_t number, size_t queues)
{
    world_peer_t *peer = &self->peers[number];
    assert (!peer->roster);
    const uint64_t incarnation = peer->incarnation + 1;
    trn_bindings_destroy (&peer->shown);
    uint8_t *const saved = peer->saved;
    const size_t saved_size = peer->saved_size;
    memset (peer, 0, sizeof *peer);
    peer->saved = saved;
    peer->saved_size = saved_size;
    peer->shown = trn_bindings_new (TRN_BINDINGS_MAX, TRN_BINDINGS_BYTES);
    peer->incarnation = incarnation;
    snprintf (peer->name, sizeof peer->name, "p%zu", number);
    const char *const nodes[]
        = {"tcp://node:1", "tcp://node:2", "tcp://node:3"};
    trn_roster_config_t config = {
        .name = peer->name,
        .store_uuid = {(uint8_t) number, 1},
        .incarnation = incarnation,
        .random = world_random (self, INT64_MAX),
        .seed = world_random (self, INT64_MAX),
        .nodes = nodes,
        .node_count = self->node_count,
        .local = self->local,
    };
    peer->roster = trn_roster_new (&config);
    if (self->restoring && saved) {
        const int rc = trn_roster_restore (peer->roster, saved, saved_size);
        assert (!rc);
        (void) rc;
    }
    char endpoint[96];
    snprintf (endpoint, sizeof endpoint, "tcp://%s:%" PRIu64, peer->name,
              incarnation);
    const char *const endpoints[] = {endpoint};
    trn_roster_on_endpoints (peer->roster, endpoints, 1, self->now_ms);
    world_peer_queues (self, number, queues);
}

static void
s_disconnect (world_t *self, size_t number)
{
    for (size_t node = 0; node < WORLD_NODES; node++) {
        self->peers[number].route[node] = 0;
    }
    if (self->host == (int) number) {
        self->host = -1;
        world_node_down (self, 0);
    }
}

void
world_peer_killed (world_t *self, size_t number)
{
    trn_roster_destroy (&self->peers[number].roster);
    s_disconnect (self, number);
}

void
world_peer_leaves (world_t *self, size_t number)
{
    world_peer_t *peer = &self->peers[number];
    trn_roster_on_close (peer->roster, self->now_ms);
    s_drain_peer (self, number);
    trn_roster_destroy (&peer->roster);
    s_disconnect (self, number);
}

void
world_peer_queues (world_t *self, size_t number, size_t queues)
{
    static const char *const names[] = {"q0", "q1", "q2", "q3", "q4"};
    assert (queues <= 5);
    trn_roster_on_queues (self->peers[number].roster, names, queues,
                          self->now_ms);
    s_drain_peer (self, number);
}

void
world_break (world_t *self, size_t number, size_t node, bool told)
{
    world_peer_t *peer = &self->peers[number];
    if (peer->roster && peer->route[node]) {
        peer->route[node] |= DEAD;
        if (told) {
            trn_roster_on_trouble (peer->roster, (uint32_t) node, self->now_ms);
            s_drain_peer (self, number);
        }
    }
}

//  Hand over what has arrived: in order of posting, so that one connection's
//  frames keep theirs.
static void
s_deliver (world_t *self)
{
    for (size_t index = 0; index < self->frame_count;) {
        world_frame_t frame = self->frames[index];
        if (frame.at_ms > self->now_ms) {
            index++;
            continue;
        }
        memmove (&self->frames[index], &self->frames[index + 1],
                 (--self->frame_count - index) * sizeof *self->frames);
        world_peer_t *peer = &self->peers[frame.peer];
        if (frame.to_node && self->nodes[frame.node]) {
            //  What a peer said before it died still arrives.
            trn_registry_on_frame (self->nodes[frame.node], frame.route,
                                   frame.bytes, frame.size, self->now_ms);
            s_drain_node (self, frame.node);
        } else if (!frame.to_node && peer->roster
                   && peer->route[frame.node] == frame.route) {
            trn_roster_on_frame (peer->roster, (uint32_t) frame.node,
                                 frame.bytes, frame.size, self->now_ms);
            s_drain_peer (self, frame.peer);
        }
        free (frame.bytes);
        index = 0;
    }
}

static void
s_earlier (int64_t *next_ms, int64_t at_ms)
{
    if (at_ms < *next_ms) {
        *next_ms = at_ms;
    }
}

void
world_run (world_t *self, int64_t ms)
{
    const int64_t until_ms = self->now_ms + ms;
    for (;;) {
        s_deliver (self);
        int64_t next_ms = until_ms;
        for (size_t node = 0; node < WORLD_NODES; node++) {
            trn_registry_t *registry = self->nodes[node];
            if (registry && trn_registry_deadline (registry) <= self->now_ms) {
                trn_registry_on_tick (registry, self->now_ms);
                s_drain_node (self, node);
            }
            if (registry) {
                s_earlier (&next_ms, trn_registry_deadline (registry));
            }
        }
        for (size_t number = 0; number < WORLD_PEERS; number++) {
            trn_roster_t *roster = self->peers[number].roster;
            if (roster && trn_roster_deadline (roster) <= self->now_ms) {
                trn_roster_on_tick (roster, self->now_ms);
                s_drain_peer (self, number);
            }
            if (roster) {
                s_earlier (&next_ms, trn_roster_deadline (roster));
            }
        }
        for (size_t index = 0; index < self->frame_count; index++) {
            s_earlier (&next_ms, self->frames[index].at_ms);
        }
        if (self->now_ms >= until_ms) {
            return;
        }
        self->now_ms = next_ms > self->now_ms ? next_ms : self->now_ms + 1;
    }
}

const world_seen_t *
world_seen (const world_t *self, size_t number, size_t other)
{
    const world_peer_t *peer = &self->peers[number];
    for (size_t index = 0; index < peer->seen_count; index++) {
        if (!strcmp (peer->seen[index].name, self->peers[other].name)) {
            return &peer->seen[index];
        }
    }
    return NULL;
}

bool
world_agrees (const world_t *self)
{
    size_t running = 0;
    for (size_t peer = 0; peer < WORLD_PEERS; peer++) {
        running += self->peers[peer].roster != NULL;
    }
    bool agrees = true;
    for (size_t number = 0; number < WORLD_PEERS; number++) {
        const world_peer_t *peer = &self->peers[number];
        if (!peer->roster) {
            continue;
        }
        if (peer->seen_count != running - 1) {
            fprintf (stderr, "seed %" PRIu64 ": %s sees %zu of %zu\n",
                     self->seed, peer->name, peer->seen_count, running - 1);
            agrees = false;
        }
        for (size_t other = 0; other < WORLD_PEERS; other++) {
            if (other == number || !self->peers[other].roster) {
                continue;
            }
            const world_seen_t *seen = world_seen (self, number, other);
            if (!seen || seen->incarnation != self->peers[other].incarnation) {
                fprintf (stderr, "seed %" PRIu64 ": %s sees not %s\n",
                         self->seed, peer->name, self->peers[other].name);
                agrees = false;
            }
        }
    }
    return agrees;
}

int
world_bind (world_t *self, size_t number, const char *queue,
            const char *pattern, bool removed)
{
    const trn_binding_t binding = {
        .exchange = trn_text ("x"),
        .type = TRN_EXCHANGE_TOPIC,
        .queue = trn_text (queue),
        .pattern = trn_text (pattern),
        .stamp_us = 1000 * (uint64_t) self->now_ms,
        .removed = removed,
    };
    const int rc
        = trn_roster_bind (self->peers[number].roster, &binding, self->now_ms);
    s_drain_peer (self, number);
    return rc;
}

static bool
s_same (const world_t *self, const char *who, size_t number,
        const trn_bindings_t *table, uint64_t digest)
{
    if (trn_bindings_digest (table) == digest) {
        return true;
    }
    fprintf (stderr, "seed %" PRIu64 ": %s %zu has other bindings (%zu)\n",
             self->seed, who, number, trn_bindings_count (table));
    return false;
}

bool
world_bound (const world_t *self)
{
    bool same = true;
    uint64_t digest = 0;
    for (size_t number = 0; number < WORLD_PEERS; number++) {
        const world_peer_t *peer = &self->peers[number];
        if (peer->roster) {
            digest = trn_bindings_digest (trn_roster_bindings (peer->roster));
        }
    }
    for (size_t number = 0; number < WORLD_PEERS; number++) {
        const world_peer_t *peer = &self->peers[number];
        if (peer->roster) {
            same &= s_same (self, "peer", number,
                            trn_roster_bindings (peer->roster), digest);
            same &= s_same (self, "shown to", number, peer->shown, digest);
        }
    }
    for (size_t node = 0; node < WORLD_NODES; node++) {
        if (self->nodes[node]) {
            same &= s_same (self, "node", node,
                            trn_registry_bindings (self->nodes[node]), digest);
        }
    }
    return same;
}
