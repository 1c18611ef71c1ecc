//  sim/world.h - simulated time: one queue of events, one seed, one verdict
//
//  Everything that happens in a simulation is an event at a time in
//  microseconds.  Events at the same time happen in the order they were asked
//  for.  All chance comes from the seed, so the seed alone is the whole story:
//  the same seed gives the same run, event by event.
//
//  The first broken promise ends the run: sim_fail () keeps one line, the loop
//  stops, and the caller prints it with the seed.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "wire/binding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sim_world sim_world_t;
typedef struct sim_peer sim_peer_t;
typedef struct sim_net sim_net_t;
typedef struct sim_ledger sim_ledger_t;

typedef struct sim_event sim_event_t;
typedef void
sim_event_fn (sim_world_t *world, const sim_event_t *event);

struct sim_event {
    int64_t at_us;
    uint64_t order;  //  among events of the same time
    sim_event_fn *fn;
    sim_peer_t *peer;  //  whose event, or NULL
    uint32_t life;     //  dropped if that peer is in another life by then
    void *object;      //  what it is about; fn knows
    uint64_t number;
};

#define SIM_PEERS_MAX 8
#define SIM_BINDINGS_MAX 100

struct sim_world {
    uint64_t seed;
    uint64_t random;  //  state of the generator
    int64_t now_us;
    bool trace;  //  print what happens
    bool failed;
    bool stopped;  //  leave the loop after this event
    char failure[512];
    uint64_t events;  //  how many happened

    sim_event_t *heap;  //  binary heap by (at_us, order)
    size_t heap_count;
    size_t heap_capacity;
    uint64_t order;

    sim_peer_t *peers[SIM_PEERS_MAX];
    unsigned peer_count;
    bool put_back;        //  a disk was put back in time, or copied
    bool directory_down;  //  nobody hears anything new of the others
    trn_binding_t *bindings[SIM_BINDINGS_MAX];  //  all versions; owned
    unsigned binding_count;
    sim_net_t *net;
    sim_ledger_t *ledger;
};

void
sim_world_open (sim_world_t *world, uint64_t seed, bool trace);

void
sim_world_close (sim_world_t *world);

//  Ask for an event after a delay.  peer may be NULL.
void
sim_after (sim_world_t *world, int64_t delay_us, sim_event_fn *fn,
           sim_peer_t *peer, void *object, uint64_t number);

//  Let events happen until the time, a failure, or stopped.  Returns false
//  when the run is over: it failed or no event is left.
bool
sim_run_until (sim_world_t *world, int64_t until_us);

//  A number from..to, both possible.
uint64_t
sim_random (sim_world_t *world, uint64_t from, uint64_t to);

//  True in so many of a thousand cases.
bool
sim_chance (sim_world_t *world, unsigned per_mille);

void
sim_fail (sim_world_t *world, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

void
sim_trace (sim_world_t *world, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

#endif
