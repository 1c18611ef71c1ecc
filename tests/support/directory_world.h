//  tests/support/directory_world.h - rosters and registries in one process
//
//  A fake clock and a fake network: frames take a random delay, connections
//  break, nodes die and come back empty.  Frames of one connection keep their
//  order.  The seed alone reproduces everything.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef DIRECTORY_WORLD_H
#define DIRECTORY_WORLD_H

#include "core/registry.h"
#include "core/roster.h"
#include "wire/dirframe.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_PEERS 24
#define WORLD_NODES 3
#define WORLD_SEEN 64

//  What a peer was told of another.
typedef struct {
    char name[64];
    uint64_t incarnation;
    char endpoint[64];
    size_t queue_count;
} world_seen_t;

typedef struct {
    trn_roster_t *roster;  //  NULL: this peer is not running
    char name[64];
    uint64_t incarnation;
    uint64_t route[WORLD_NODES];  //  of its connection; 0: none
    world_seen_t seen[WORLD_SEEN];
    size_t seen_count;
    uint64_t gone;  //  PEER_GONE actions
    uint64_t connects, sends;
    uint64_t reports;
    char last_report[64];   //  its id
    uint64_t bound;         //  BOUND actions
    int last_result;        //  of them
    trn_bindings_t *shown;  //  what BINDING actions told
    uint8_t *saved;         //  at the last SAVE; kept over its lives
    size_t saved_size;
} world_peer_t;

typedef struct {
    uint64_t seed;
    uint64_t random;
    int64_t now_ms;
    size_t node_count;
    bool local;                          //  node 0 is hosted by who asks first
    int host;                            //  peer that hosts it, -1 nobody
    uint32_t delay_ms;                   //  frames take up to so long
    bool flowing;                        //  pipes are never full
    bool restoring;                      //  peers start from what they saved
    trn_registry_t *nodes[WORLD_NODES];  //  NULL: dead
    bool deaf[WORLD_NODES];              //  it takes frames and answers nothing
    bool durable;                        //  nodes keep their bindings
    uint8_t *states[WORLD_NODES];        //  what they kept
    size_t state_sizes[WORLD_NODES];
    world_peer_t peers[WORLD_PEERS];
    uint64_t next_route;
    struct world_frame *frames;
    size_t frame_count, frame_capacity;
} world_t;

void
world_init (world_t *self, uint64_t seed, size_t nodes);

void
world_clear (world_t *self);

uint64_t
world_random (world_t *self, uint64_t bound);

//  A node is born, empty but for bindings that it kept; or dies with all it
//  knew.
void
world_node_up (world_t *self, size_t node);

void
world_node_down (world_t *self, size_t node);

//  A peer starts, with the queues q0..q<count - 1>; dies (kill -9); leaves.
void
world_peer_up (world_t *self, size_t peer, size_t queues);

void
world_peer_killed (world_t *self, size_t peer);

void
world_peer_leaves (world_t *self, size_t peer);

void
world_peer_queues (world_t *self, size_t peer, size_t queues);

//  The connection between them breaks; told says that the peer notices.
void
world_break (world_t *self, size_t peer, size_t node, bool told);

//  Let time pass.
void
world_run (world_t *self, int64_t ms);

//  What peer knows of other, or NULL.
const world_seen_t *
world_seen (const world_t *self, size_t peer, size_t other);

//  Does every running peer see exactly the other running ones, as they are?
//  If not, says on stderr who does not see whom.
bool
world_agrees (const world_t *self);

//  A peer binds the queue to exchange x (topic) by this pattern, or unbinds it;
//  returns what the roster did.
int
world_bind (world_t *self, size_t peer, const char *queue, const char *pattern,
            bool removed);

//  Do all running peers and nodes have the same bindings, and was each peer
//  shown what it has?  If not, says who has not on stderr.
bool
world_bound (const world_t *self);

#endif
