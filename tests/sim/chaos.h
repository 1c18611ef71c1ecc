//  sim/chaos.h - one random run: a fleet, its applications, and what hits them
//
//  The seed draws a fleet of 2 to 5 peers, queues, applications with habits,
//  timings, and which kinds of fault this run knows (not all at once: a run
//  with few kinds gets deeper into each).  First comes chaos; then everything
//  heals, applications accept what they get, and the run must drain within a
//  bounded simulated time.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SIM_CHAOS_H
#define SIM_CHAOS_H

#include "sim/world.h"

typedef struct {
    uint64_t runs, events;
    uint64_t simulated_us;
    uint64_t published, accepted, delivered, redelivered, lost_unconfirmed;
    uint64_t faults;
    uint64_t reports;
} sim_totals_t;

//  Run one seed; adds to totals.  True if every promise was kept; else one line
//  in why.
bool
sim_chaos_run (uint64_t seed, bool trace, sim_totals_t *totals, char *why,
               size_t why_size);

#endif
