//  test_core_storm - engines under random trouble keep their promises
//
//  Publishers and consumers of one queue; links break, processes die and come
//  back, consumers requeue, release, leave and return.  Checked all the time:
//
//      - a consumer gets nothing again that it accepted in this life
//      - first deliveries of one publisher come in order
//      - nobody holds more than its prefetch
//      - nobody breaks the protocol, nobody is said to have lost anything
//
//  And when the storm is over: every message was accepted by somebody, and the
//  publishers know.
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/core_world.h"

#include "base/ranges.h"
#include "core/counts.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PUBLISHERS 3u
#define CONSUMERS 3u
#define STEPS 400

typedef struct {
    trn_rng_t rng;
    uint64_t seed;
    world_t *world;
    peer_t *publishers[PUBLISHERS];
    peer_t *consumers[CONSUMERS];
    uint32_t prefetch[CONSUMERS];
    bool away[CONSUMERS];                      //  consumes nothing now
    trn_ranges_t accepted[PUBLISHERS];         //  by anybody, ever
    trn_ranges_t mine[CONSUMERS][PUBLISHERS];  //  by this life
    uint64_t highest[CONSUMERS][PUBLISHERS];   //  first delivery, this life
    bool released[PUBLISHERS];  //  what nobody saw comes again as a first one
    uint64_t deliveries, again;
} storm_t;

static uint64_t
s_below (storm_t *self, uint64_t bound)
{
    return trn_rng_below (&self->rng, bound);
}

#define EXPECT(storm, condition)                                               \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fail_msg ("seed %llu: %s", (unsigned long long) (storm)->seed,     \
                      #condition);                                             \
        }                                                                      \
    } while (0)

static unsigned
s_index (const storm_t *self, const peer_t *peer)
{
    return (unsigned) (peer - self->consumers[0]);
}

static void
s_on_hand (void *arg, peer_t *peer, const hand_t *hand)
{
    storm_t *self = arg;
    const unsigned index = s_index (self, peer);
    self->deliveries++;
    self->again += hand->redelivered;
    EXPECT (self,
            !trn_ranges_has (&self->mine[index][hand->publisher], hand->seq));
    EXPECT (self, peer->hand_count <= self->prefetch[index]);
    if (!hand->redelivered && hand->deliveries == 1
        && !self->released[hand->publisher]) {
        EXPECT (self, hand->seq > self->highest[index][hand->publisher]);
        self->highest[index][hand->publisher] = hand->seq;
    }
}

static void
s_consume (storm_t *self, unsigned index)
{
    peer_t *peer = self->consumers[index];
    peer->consumer_count = 0;
    peer_consume (peer, "jobs", self->prefetch[index]);
    self->away[index] = false;
}

static void
s_open (storm_t *self, uint64_t seed)
{
    *self = (storm_t) {.seed = seed, .rng = {seed}};
    static const char *const names[]
        = {"pub-a", "pub-b", "pub-c", "con-a", "con-b", "con-c"};
    self->world = world_new ();
    self->world->on_hand = s_on_hand;
    self->world->on_hand_arg = self;
    for (unsigned index = 0; index < PUBLISHERS; index++) {
        self->publishers[index] = world_peer (self->world, names[index]);
    }
    for (unsigned index = 0; index < CONSUMERS; index++) {
        self->consumers[index]
            = world_peer (self->world, names[PUBLISHERS + index]);
        self->prefetch[index] = 1 + (uint32_t) s_below (self, 12);
        s_consume (self, index);
    }
}

static void
s_close (storm_t *self)
{
    world_destroy (&self->world);
    for (unsigned index = 0; index < PUBLISHERS; index++) {
        trn_ranges_clear (&self->accepted[index]);
        for (unsigned at = 0; at < CONSUMERS; at++) {
            trn_ranges_clear (&self->mine[at][index]);
        }
    }
}

static void
s_settle_one (storm_t *self, unsigned index, bool kindly)
{
    peer_t *peer = self->consumers[index];
    if (!peer->hand_count) {
        return;
    }
    const size_t at = s_below (self, 4) ? 0 : s_below (self, peer->hand_count);
    const hand_t hand = peer->hands[at];
    trn_outcome_t outcome = TRN_ACCEPTED;
    if (!kindly && s_below (self, 6) == 0) {
        outcome = s_below (self, 2) ? TRN_REQUEUED : TRN_RELEASED;
    }
    if (outcome == TRN_ACCEPTED) {
        trn_ranges_add (&self->accepted[hand.publisher], hand.seq, hand.seq);
        trn_ranges_add (&self->mine[index][hand.publisher], hand.seq, hand.seq);
    } else {
        self->released[hand.publisher] |= outcome == TRN_RELEASED;
    }
    peer_settle_at (peer, at, outcome);
}

static void
s_forget_life (storm_t *self, unsigned index)
{
    for (unsigned at = 0; at < PUBLISHERS; at++) {
        trn_ranges_clear (&self->mine[index][at]);
        self->highest[index][at] = 0;
    }
}

static void
s_restart_consumer (storm_t *self, unsigned index)
{
    peer_kill (self->consumers[index]);
    s_forget_life (self, index);
    peer_start (self->consumers[index], true);
    s_consume (self, index);
    world_meet (self->world);
}

static void
s_leave_or_return (storm_t *self, unsigned index)
{
    peer_t *peer = self->consumers[index];
    if (self->away[index]) {
        s_consume (self, index);
    } else {
        trn_engine_remove_consumer (peer->engine, peer->consumers[0],
                                    self->world->now_ms);
        peer->hand_count = 0;
        peer->consumer_count = 0;
        self->away[index] = true;
    }
    world_meet (self->world);
}

static void
s_trouble (storm_t *self)
{
    peer_t *publisher = self->publishers[s_below (self, PUBLISHERS)];
    const unsigned index = (unsigned) s_below (self, CONSUMERS);
    switch (s_below (self, 12)) {
    case 0:
    case 1:
    case 2:
        world_cut (self->world, publisher, self->consumers[index],
                   s_below (self, 2));
        break;
    case 3:
        peer_kill (publisher);
        peer_start (publisher, false);
        publisher->save_held = s_below (self, 4) == 0;
        publisher->later = false;
        world_meet (self->world);
        break;
    case 4: s_restart_consumer (self, index); break;
    case 5:
    case 6: s_leave_or_return (self, index); break;
    case 7:
        self->world->partitioned = true;
        world_wait (self->world, (int64_t) s_below (self, 9000));
        self->world->partitioned = false;
        break;
    case 8: world_wait (self->world, (int64_t) s_below (self, 5000)); break;
    case 9: publisher->later = !publisher->later; break;
    default: world_meet (self->world); break;
    }
}

static void
s_records_come (storm_t *self)
{
    for (unsigned index = 0; index < PUBLISHERS; index++) {
        peer_t *peer = self->publishers[index];
        if (peer->asked && s_below (self, 2)) {
            const bool later = peer->later;
            peer->later = peer->asked = false;
            trn_engine_on_records (peer->engine, peer->outbox,
                                   self->world->now_ms);
            world_settle (self->world);
            peer->later = later;
        }
    }
}

//  Everything must be accepted in the end, so nothing may die of its deliveries.
static void
s_publish (storm_t *self)
{
    peer_t *peer = self->publishers[s_below (self, PUBLISHERS)];
    peer_publish (peer, "jobs", 1 + s_below (self, 20));
    trn_policy_t policy = *trn_engine_policy (peer->engine, peer->outbox, 0);
    policy.max_deliveries = TRN_COUNT_MAX;
    trn_engine_set_policy (peer->engine, peer->outbox, 0, &policy,
                           self->world->now_ms);
}

static void
s_step (storm_t *self)
{
    if (s_below (self, 3) == 0) {
        s_publish (self);
    }
    for (uint64_t count = s_below (self, 12); count; count--) {
        s_settle_one (self, (unsigned) s_below (self, CONSUMERS), false);
        if (s_below (self, 3) == 0) {
            world_settle (self->world);
        }
    }
    if (s_below (self, 8) == 0) {
        s_trouble (self);
    }
    s_records_come (self);
    world_wait (self->world, (int64_t) s_below (self, 30));
}

static bool
s_is_done (const storm_t *self)
{
    for (unsigned index = 0; index < PUBLISHERS; index++) {
        const peer_t *peer = self->publishers[index];
        if (peer->high && peer->processed < peer->high) {
            return false;
        }
    }
    return true;
}

static void
s_calm (storm_t *self)
{
    for (unsigned index = 0; index < PUBLISHERS; index++) {
        self->publishers[index]->later = false;
        self->publishers[index]->asked = false;
        if (self->publishers[index]->queue[0]) {
            trn_engine_on_records (self->publishers[index]->engine,
                                   self->publishers[index]->outbox,
                                   self->world->now_ms);
            self->publishers[index]->save_held = false;
            trn_engine_on_saved (self->publishers[index]->engine,
                                 self->publishers[index]->outbox,
                                 self->publishers[index]->stamp_held,
                                 self->world->now_ms);
        }
    }
    for (unsigned index = 0; index < CONSUMERS; index++) {
        if (self->away[index]) {
            s_consume (self, index);
        }
    }
    world_meet (self->world);
    for (unsigned round = 0; round < 20000 && !s_is_done (self); round++) {
        for (unsigned index = 0; index < CONSUMERS; index++) {
            s_settle_one (self, index, true);
        }
        world_wait (self->world, 10);
    }
}

static void
s_check_end (storm_t *self)
{
    static const char *const bad[] = {
        "TERN-PROTOCOL-ERROR",  "TERN-PUBLISHER-WENT-BACK", "TERN-PEER-FENCED",
        "TERN-PEER-LOST-STATE", "TERN-TABLE-FULL",          "TERN-GARBAGE"};
    EXPECT (self, s_is_done (self));
    for (unsigned index = 0; index < PUBLISHERS; index++) {
        const peer_t *peer = self->publishers[index];
        EXPECT (self, trn_ranges_total (&self->accepted[index]) == peer->high);
        for (size_t at = 0; at < sizeof bad / sizeof *bad; at++) {
            EXPECT (self, !peer_reported (peer, bad[at]));
        }
    }
    for (unsigned index = 0; index < CONSUMERS; index++) {
        for (size_t at = 0; at < sizeof bad / sizeof *bad; at++) {
            EXPECT (self, !peer_reported (self->consumers[index], bad[at]));
        }
    }
}

static void
test_nothing_is_lost_in_a_storm (void **state)
{
    (void) state;
    const char *given = getenv ("TERN_SEED");
    const uint64_t first = given ? strtoull (given, NULL, 10) : 1;
    const uint64_t count = given ? 1 : 60;
    for (uint64_t seed = first; seed < first + count; seed++) {
        storm_t storm;
        s_open (&storm, seed);
        world_meet (storm.world);
        for (unsigned step = 0; step < STEPS; step++) {
            s_step (&storm);
        }
        s_calm (&storm);
        s_check_end (&storm);
        s_close (&storm);
    }
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_nothing_is_lost_in_a_storm),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
