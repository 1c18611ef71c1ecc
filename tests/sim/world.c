//  sim/world.c - simulated time: one queue of events, one seed, one verdict
//
//  Knows: the heap and the generator (splitmix64).  A paused peer's events are
//  asked for again at the end of its pause, in their old order: that is what a
//  stopped process sees when it goes on.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/world.h"

#include "sim/exchange.h"
#include "sim/ledger.h"
#include "sim/net.h"
#include "sim/peer.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
sim_world_open (sim_world_t *world, uint64_t seed, bool trace)
{
    *world = (sim_world_t) {.seed = seed, .random = seed, .trace = trace};
    world->net = sim_net_new (world);
    world->ledger = sim_ledger_new (world);
}

void
sim_world_close (sim_world_t *world)
{
    for (unsigned index = 0; index < world->peer_count; index++) {
        sim_peer_destroy (&world->peers[index]);
    }
    sim_exchange_forget (world);
    sim_net_destroy (&world->net);
    sim_ledger_destroy (&world->ledger);
    free (world->heap);
    world->heap = NULL;
}

static bool
s_before (const sim_event_t *left, const sim_event_t *right)
{
    if (left->at_us != right->at_us) {
        return left->at_us < right->at_us;
    }
    return left->order < right->order;
}

static void
s_push (sim_world_t *world, const sim_event_t *event)
{
    if (world->heap_count == world->heap_capacity) {
        world->heap_capacity
            = world->heap_capacity ? world->heap_capacity * 2 : 256;
        world->heap = trn_realloc (world->heap,
                                   world->heap_capacity * sizeof *world->heap);
    }
    size_t at = world->heap_count++;
    while (at && s_before (event, &world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = *event;
}

static sim_event_t
s_pop (sim_world_t *world)
{
    const sim_event_t first = world->heap[0];
    const sim_event_t last = world->heap[--world->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= world->heap_count) {
            break;
        }
        if (child + 1 < world->heap_count
            && s_before (&world->heap[child + 1], &world->heap[child])) {
            child++;
        }
        if (!s_before (&world->heap[child], &last)) {
            break;
        }
        world->heap[at] = world->heap[child];
        at = child;
    }
    world->heap[at] = last;
    return first;
}

void
sim_after (sim_world_t *world, int64_t delay_us, sim_event_fn *fn,
           sim_peer_t *peer, void *object, uint64_t number)
{
    const sim_event_t event = {
        .at_us = world->now_us + (delay_us > 0 ? delay_us : 0),
        .order = world->order++,
        .fn = fn,
        .peer = peer,
        .life = peer ? peer->life : 0,
        .object = object,
        .number = number,
    };
    s_push (world, &event);
}

bool
sim_run_until (sim_world_t *world, int64_t until_us)
{
    while (!world->failed && !world->stopped && world->heap_count) {
        if (world->heap[0].at_us > until_us) {
            world->now_us = until_us;
            return true;
        }
        sim_event_t event = s_pop (world);
        world->now_us = event.at_us;
        if (event.peer && event.peer->life != event.life) {
            continue;
        }
        if (event.peer && event.peer->paused_until_us > world->now_us) {
            event.at_us = event.peer->paused_until_us;
            event.order = world->order++;
            s_push (world, &event);
            continue;
        }
        world->events++;
        event.fn (world, &event);
    }
    return !world->failed && !world->stopped;
}

uint64_t
sim_random (sim_world_t *world, uint64_t from, uint64_t to)
{
    uint64_t mixed = world->random += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    mixed ^= mixed >> 31;
    const uint64_t span = to - from + 1;
    return span ? from + mixed % span : mixed;
}

bool
sim_chance (sim_world_t *world, unsigned per_mille)
{
    return sim_random (world, 0, 999) < per_mille;
}

void
sim_fail (sim_world_t *world, const char *format, ...)
{
    if (world->failed) {
        return;
    }
    world->failed = true;
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (world->failure, sizeof world->failure, format, arguments);
    va_end (arguments);
    sim_trace (world, "FAILED %s", world->failure);
}

void
sim_trace (sim_world_t *world, const char *format, ...)
{
    if (!world->trace) {
        return;
    }
    fprintf (stderr, "# %10.3f ms  ", (double) world->now_us / 1000.0);
    va_list arguments;
    va_start (arguments, format);
    vfprintf (stderr, format, arguments);
    va_end (arguments);
    fputc ('\n', stderr);
}
