//  sim/chaos_inside.h - what the parts of a random run share
//
//      chaos.c         the run: chaos, healing, draining, and what is owed
//      chaos_draw.c    which fleet, which habits, which faults
//      chaos_fault.c   what hits them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SIM_CHAOS_INSIDE_H
#define SIM_CHAOS_INSIDE_H

#include "sim/chaos.h"
#include "sim/exchange.h"
#include "sim/ledger.h"
#include "sim/net.h"
#include "sim/peer.h"

typedef enum {
    CHAOS_CUT,        //  a connection breaks
    CHAOS_BLOCK,      //  one direction hangs
    CHAOS_PARTITION,  //  both directions hang
    CHAOS_STOP,       //  a clean restart
    CHAOS_KILL,
    CHAOS_AGAIN,  //  a peer dies again and again
    CHAOS_CRASH,
    CHAOS_PAUSE,      //  SIGSTOP
    CHAOS_LEAVE,      //  a consumer leaves and comes back
    CHAOS_BAD_CALL,   //  a disk call fails; the process with it
    CHAOS_FULL,       //  no space for a while
    CHAOS_RESTORE,    //  the disk is replaced by an old copy
    CHAOS_LOSE_DISK,  //  the disk is replaced by an empty one
    CHAOS_BIND,       //  somebody binds a queue, or takes that back
    CHAOS_KINDS
} chaos_kind_t;

//  A reader that must notice that a publisher's store was replaced.
typedef struct {
    sim_peer_t *publisher, *consumer;
    uint32_t life;   //  of the consumer
    const char *id;  //  what it must report, or the second
    const char *or_id;
    unsigned before;  //  reports then
    char queue[TRN_NAME_MAX + 2];
} chaos_debt_t;

typedef struct {
    sim_world_t world;
    bool enabled[CHAOS_KINDS];
    int64_t fault_every_us;
    int64_t chaos_us;
    uint64_t faults;
    bool calm;                     //  no new faults
    trn_exchange_type_t exchange;  //  0: there is none
    trn_disk_t *backup[SIM_PEERS_MAX];
    uint64_t backup_written[SIM_PEERS_MAX][SIM_OUTBOXES_MAX];
    bool restored[SIM_PEERS_MAX];
    chaos_debt_t *debts;
    unsigned debt_count;
} chaos_t;

#define CHAOS_EXCHANGE "news"
#define CHAOS_SERVICE "sums"

//  Queue of the exchange, by any number.
const char *
chaos_branch (uint64_t number);

//  One of the numbers named.
uint64_t
chaos_pick (sim_world_t *world, const uint64_t *from, size_t count);

#define CHAOS_PICK(world, ...)                                                 \
    chaos_pick (world, (const uint64_t[]) {__VA_ARGS__},                       \
                sizeof (uint64_t[]) {__VA_ARGS__} / sizeof (uint64_t))

//  Draw everything from the seed.
void
chaos_draw (chaos_t *self);

//  Starts a peer that is down; its object.  Tries again until the disk allows.
void
chaos_on_restart (sim_world_t *world, const sim_event_t *event);

//  Strikes with a random fault that this run knows, and comes again; its object
//  is the chaos_t.
void
chaos_on_fault (sim_world_t *world, const sim_event_t *event);

#endif
