//  tests/unit/test_directory_bindings.c - bindings between peers and directories
//
//  Stories run on directory_world.h: real rosters and real registries, a fake
//  clock and network.  TERN_SEED=n replays one random run.
//
//  SPDX-License-Identifier: MPL-2.0

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/directory_world.h"
#include "support/seed.h"

#include <tern/error.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static world_t s_world;

static void
s_start (uint64_t seed, size_t nodes, size_t peers)
{
    world_init (&s_world, seed, nodes);
    for (size_t node = 0; node < nodes; node++) {
        world_node_up (&s_world, node);
    }
    for (size_t peer = 0; peer < peers; peer++) {
        world_peer_up (&s_world, peer, 1);
    }
    world_run (&s_world, 3000);
}

static int
s_tear_down (void **state)
{
    (void) state;
    world_clear (&s_world);
    return 0;
}

//  Is this one there, and live, for a peer?
static bool
s_has (size_t peer, const char *queue, const char *pattern)
{
    const trn_binding_t wanted = {
        .exchange = trn_text ("x"),
        .type = TRN_EXCHANGE_TOPIC,
        .queue = trn_text (queue),
        .pattern = trn_text (pattern),
    };
    trn_binding_t found;
    return trn_bindings_find (trn_roster_bindings (s_world.peers[peer].roster),
                              &wanted, &found)
           && !found.removed;
}

//  A peer starts with what it saved in its life before.
static void
s_restart (size_t peer)
{
    assert_non_null (s_world.peers[peer].saved);
    s_world.restoring = true;
    world_peer_up (&s_world, peer, 1);
}

//  T-184
static void
a_binding_is_known_to_all_at_once (void **state)
{
    (void) state;
    s_start (1, 1, 4);
    s_world.flowing = true;
    assert_int_equal (world_bind (&s_world, 1, "q", "a.#", false), 0);
    world_run (&s_world, 100);
    assert_true (world_bound (&s_world));
    assert_true (s_has (3, "q", "a.#"));
    assert_int_equal (s_world.peers[1].bound, 1);
    assert_int_equal (s_world.peers[1].last_result, 0);
    assert_int_equal (world_bind (&s_world, 2, "q", "a.#", true), 0);
    world_run (&s_world, 100);
    assert_true (world_bound (&s_world));
    assert_false (s_has (3, "q", "a.#"));
}

//  T-181
static void
saying_it_again_changes_nothing_but_is_confirmed (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 3000);
    const uint64_t digest
        = trn_bindings_digest (trn_registry_bindings (s_world.nodes[0]));
    world_bind (&s_world, 1, "q", "a", false);
    world_run (&s_world, 3000);
    assert_int_equal (s_world.peers[1].bound, 1);
    assert_true (trn_bindings_digest (trn_registry_bindings (s_world.nodes[0]))
                 == digest);
}

//  T-181
static void
who_missed_a_removal_binds_again (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 3000);
    world_peer_killed (&s_world, 0);
    world_bind (&s_world, 1, "q", "a", true);
    world_run (&s_world, 3000);
    assert_false (s_has (1, "q", "a"));
    //  What it saved says that it is bound.
    s_restart (0);
    s_world.peers[0].bound = 0;
    assert_true (s_has (0, "q", "a"));
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 3000);
    assert_int_equal (s_world.peers[0].bound, 1);
    assert_int_equal (s_world.peers[0].last_result, 0);
    assert_true (s_has (1, "q", "a"));
    assert_true (world_bound (&s_world));
}

//  T-181
static void
who_missed_a_binding_removes_it_again (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    world_bind (&s_world, 0, "q", "a", true);
    world_run (&s_world, 3000);
    world_peer_killed (&s_world, 0);
    world_bind (&s_world, 1, "q", "a", false);
    world_run (&s_world, 3000);
    s_restart (0);
    s_world.peers[0].bound = 0;
    world_bind (&s_world, 0, "q", "a", true);
    world_run (&s_world, 3000);
    assert_int_equal (s_world.peers[0].bound, 1);
    assert_int_equal (s_world.peers[0].last_result, 0);
    assert_false (s_has (1, "q", "a"));
    assert_true (world_bound (&s_world));
}

//  T-192
static void
who_is_too_early_is_told_and_may_say_it_again (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    //  A clock an hour ahead.
    trn_binding_t removal = {
        .exchange = trn_text ("x"),
        .type = TRN_EXCHANGE_TOPIC,
        .queue = trn_text ("q"),
        .pattern = trn_text ("a"),
        .stamp_us = 1000 * (uint64_t) (s_world.now_ms + 3600 * 1000),
        .removed = true,
    };
    assert_int_equal (
        trn_roster_bind (s_world.peers[1].roster, &removal, s_world.now_ms), 0);
    world_run (&s_world, 3000);
    world_peer_up (&s_world, 5, 1);
    world_bind (&s_world, 5, "q", "a", false);
    world_run (&s_world, 3000);
    assert_int_equal (s_world.peers[5].bound, 1);
    assert_int_equal (s_world.peers[5].last_result, TERN_EAGAIN);
    assert_false (s_has (5, "q", "a"));
    assert_true (world_bound (&s_world));
    world_bind (&s_world, 5, "q", "a", false);
    world_run (&s_world, 3000);
    assert_int_equal (s_world.peers[5].bound, 2);
    assert_int_equal (s_world.peers[5].last_result, 0);
    assert_true (s_has (1, "q", "a"));
    assert_true (world_bound (&s_world));
}

//  T-182
static void
what_was_bound_while_no_node_answers_is_told_later (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    world_node_down (&s_world, 0);
    world_run (&s_world, 1000);
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 20000);
    assert_true (s_has (0, "q", "a"));
    assert_int_equal (s_world.peers[0].bound, 0);
    world_node_up (&s_world, 0);
    world_run (&s_world, 10000);
    assert_int_equal (s_world.peers[0].bound, 1);
    assert_true (world_bound (&s_world));
    assert_true (s_has (1, "q", "a"));
}

//  T-185
static void
a_wiped_node_learns_from_the_peers (void **state)
{
    (void) state;
    s_start (1, 1, 3);
    char queue[16];
    for (int index = 0; index < 200; index++) {
        snprintf (queue, sizeof queue, "q%d", index);
        world_bind (&s_world, (size_t) index % 3, queue, "a", index % 5 == 4);
    }
    world_run (&s_world, 5000);
    assert_true (world_bound (&s_world));
    //  Who bound them is not there any more.
    world_peer_killed (&s_world, 0);
    world_peer_killed (&s_world, 1);
    world_node_down (&s_world, 0);
    world_run (&s_world, 500);
    world_node_up (&s_world, 0);
    world_run (&s_world, 15000);
    assert_int_equal (
        trn_bindings_count (trn_registry_bindings (s_world.nodes[0])), 200);
    assert_true (world_bound (&s_world));
}

//  T-185
static void
two_nodes_agree_through_a_peer (void **state)
{
    (void) state;
    s_start (1, 2, 3);
    //  Peer 1 reaches only node 0, peer 2 only node 1.
    for (int step = 0; step < 40; step++) {
        world_break (&s_world, 1, 1, true);
        world_break (&s_world, 2, 0, true);
        if (step == 10) {
            world_bind (&s_world, 1, "q1", "a", false);
            world_bind (&s_world, 2, "q2", "a", false);
        }
        world_run (&s_world, 200);
    }
    world_run (&s_world, 10000);
    assert_true (world_bound (&s_world));
    assert_true (s_has (1, "q2", "a") && s_has (2, "q1", "a"));
}

//  T-183
static void
a_node_that_keeps_them_has_them_before_any_peer (void **state)
{
    (void) state;
    world_init (&s_world, 1, 1);
    s_world.durable = true;
    world_node_up (&s_world, 0);
    world_peer_up (&s_world, 0, 1);
    world_run (&s_world, 3000);
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 3000);
    assert_int_equal (s_world.peers[0].bound, 1);
    world_peer_killed (&s_world, 0);
    world_node_down (&s_world, 0);
    world_node_up (&s_world, 0);
    world_peer_up (&s_world, 7, 1);
    world_run (&s_world, 3000);
    assert_true (s_has (7, "q", "a"));
    assert_true (trn_roster_bindings_known (s_world.peers[7].roster));
}

//  T-151
static void
a_peer_has_them_before_any_node_answers (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    char queue[16];
    const int count = 3 * TRN_BINDINGS_NEWS;
    for (int index = 0; index < count; index++) {
        snprintf (queue, sizeof queue, "q%d", index);
        world_bind (&s_world, 0, queue, "a", false);
        world_run (&s_world, index % 50 ? 0 : 1000);
    }
    world_run (&s_world, 10000);
    assert_true (world_bound (&s_world));
    world_node_down (&s_world, 0);
    world_peer_killed (&s_world, 1);
    s_restart (1);
    world_run (&s_world, 1000);
    assert_true (s_has (1, "q77", "a"));
    assert_int_equal (trn_bindings_count (s_world.peers[1].shown), count);
    assert_false (trn_roster_bindings_known (s_world.peers[1].roster));
}

//  T-186
static void
another_type_is_refused_to_who_makes_it (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 3000);
    trn_binding_t binding = {
        .exchange = trn_text ("x"),
        .type = TRN_EXCHANGE_FANOUT,
        .queue = trn_text ("other"),
        .stamp_us = 99,
    };
    assert_int_equal (
        trn_roster_bind (s_world.peers[1].roster, &binding, s_world.now_ms),
        TERN_ETYPE);
    //  Nor does it replace the binding, the only one, of queue and pattern.
    trn_binding_t same = binding;
    same.type = TRN_EXCHANGE_DIRECT;
    same.queue = trn_text ("q");
    same.pattern = trn_text ("a");
    same.stamp_us = 1000 * (uint64_t) s_world.now_ms;
    assert_int_equal (
        trn_roster_bind (s_world.peers[0].roster, &same, s_world.now_ms),
        TERN_ETYPE);
    //  One that did not know better is told by the node, and takes it back.
    world_peer_up (&s_world, 5, 1);
    assert_int_equal (
        trn_roster_bind (s_world.peers[5].roster, &binding, s_world.now_ms), 0);
    world_run (&s_world, 5000);
    assert_int_equal (s_world.peers[5].bound, 1);
    assert_int_equal (s_world.peers[5].last_result, TERN_ETYPE);
    assert_true (world_bound (&s_world));
    assert_int_equal (
        trn_bindings_type (trn_registry_bindings (s_world.nodes[0]),
                           trn_text ("x")),
        TRN_EXCHANGE_TOPIC);
    //  What it took back was not the binding of the one who was there before.
    world_peer_up (&s_world, 6, 1);
    assert_int_equal (
        trn_roster_bind (s_world.peers[6].roster, &same, s_world.now_ms), 0);
    world_run (&s_world, 5000);
    assert_int_equal (s_world.peers[6].last_result, TERN_ETYPE);
    assert_true (s_has (0, "q", "a"));
    assert_true (s_has (6, "q", "a"));
    assert_true (world_bound (&s_world));
    assert_int_equal (
        trn_bindings_type (trn_registry_bindings (s_world.nodes[0]),
                           trn_text ("x")),
        TRN_EXCHANGE_TOPIC);
}

//  T-185: what is told is kept, so what may be refused is not told.
static void
what_is_refused_is_at_no_moment_bound (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 3000);
    world_peer_up (&s_world, 5, 1);
    const trn_binding_t binding = {
        .exchange = trn_text ("x"),
        .type = TRN_EXCHANGE_FANOUT,
        .queue = trn_text ("other"),
        .stamp_us = 1000 * (uint64_t) s_world.now_ms,
    };
    assert_int_equal (
        trn_roster_bind (s_world.peers[5].roster, &binding, s_world.now_ms), 0);
    for (int step = 0; step < 5000; step++) {
        world_run (&s_world, 1);
        trn_binding_t found;
        assert_true (
            !trn_bindings_find (trn_registry_bindings (s_world.nodes[0]),
                                &binding, &found)
            || found.removed);
    }
    assert_int_equal (s_world.peers[5].last_result, TERN_ETYPE);
    //  Nor is what was taken back confirmed in its place.
    assert_int_equal (
        trn_roster_confirm (s_world.peers[5].roster, &binding, s_world.now_ms),
        TERN_ETYPE);
}

//  T-186: what it saved of an exchange may not be so any more.
static void
a_type_that_is_only_remembered_refuses_nothing (void **state)
{
    (void) state;
    s_start (1, 1, 2);
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 3000);
    world_peer_killed (&s_world, 0);
    world_bind (&s_world, 1, "q", "a", true);
    world_run (&s_world, 3000);
    s_restart (0);
    const trn_binding_t binding = {
        .exchange = trn_text ("x"),
        .type = TRN_EXCHANGE_FANOUT,
        .queue = trn_text ("q"),
        .stamp_us = 1000 * (uint64_t) s_world.now_ms,
    };
    s_world.peers[0].bound = 0;
    assert_int_equal (
        trn_roster_bind (s_world.peers[0].roster, &binding, s_world.now_ms), 0);
    world_run (&s_world, 3000);
    assert_int_equal (s_world.peers[0].bound, 1);
    assert_int_equal (s_world.peers[0].last_result, 0);
    assert_true (world_bound (&s_world));
    assert_int_equal (
        trn_bindings_type (trn_registry_bindings (s_world.nodes[0]),
                           trn_text ("x")),
        TRN_EXCHANGE_FANOUT);
}

//  A restarted node that was wiped must not bring back what was removed, as long
//  as one peer remembers.
static void
what_was_unbound_stays_so (void **state)
{
    (void) state;
    s_start (1, 1, 3);
    world_bind (&s_world, 0, "q", "a", false);
    world_run (&s_world, 3000);
    world_peer_killed (&s_world, 2);
    world_bind (&s_world, 1, "q", "a", true);
    world_run (&s_world, 3000);
    world_node_down (&s_world, 0);
    world_node_up (&s_world, 0);
    //  It still believes the binding is there.
    s_restart (2);
    assert_true (s_has (2, "q", "a"));
    world_run (&s_world, 15000);
    assert_true (world_bound (&s_world));
    assert_false (s_has (2, "q", "a"));
}

static void
s_random_step (test_random_t *random, bool up[8])
{
    char queue[16];
    const size_t peer = (size_t) test_random_below (random, 8);
    const size_t node = (size_t) test_random_below (random, 2);
    switch (test_random_below (random, 12)) {
    case 0:
        if (s_world.nodes[node]) {
            world_node_down (&s_world, node);
        } else {
            world_node_up (&s_world, node);
        }
        break;
    case 1:
        if (up[peer]) {
            world_peer_killed (&s_world, peer);
        } else {
            world_peer_up (&s_world, peer, 1);
        }
        up[peer] = !up[peer];
        break;
    case 2:
    case 3:
        world_break (&s_world, peer, node, test_random_below (random, 2));
        break;
    default:
        if (up[peer]) {
            snprintf (queue, sizeof queue, "q%u",
                      (unsigned) test_random_below (random, 12));
            world_bind (&s_world, peer, queue,
                        test_random_below (random, 2) ? "a" : "b.*",
                        test_random_below (random, 3) == 0);
        }
        break;
    }
    world_run (&s_world, (int64_t) test_random_below (random, 800));
}

//  Nodes die empty, peers die, connections break, and all the time some bind and
//  some unbind.  When it is over all have the same.
static void
whatever_happens_all_agree_in_the_end (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    for (int round = 0; round < 12; round++) {
        const uint64_t seed = test_random (&random);
        world_init (&s_world, seed, 2);
        s_world.durable = seed & 1;
        s_world.restoring = seed & 2;
        world_node_up (&s_world, 0);
        world_node_up (&s_world, 1);
        bool up[8] = {false};
        for (int step = 0; step < 80; step++) {
            s_random_step (&random, up);
        }
        for (size_t node = 0; node < 2; node++) {
            if (!s_world.nodes[node]) {
                world_node_up (&s_world, node);
            }
        }
        if (!up[0]) {
            world_peer_up (&s_world, 0, 1);
        }
        world_run (&s_world, 40000);
        assert_true (world_bound (&s_world));
        world_clear (&s_world);
    }
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown (a_binding_is_known_to_all_at_once,
                                   s_tear_down),
        cmocka_unit_test_teardown (
            saying_it_again_changes_nothing_but_is_confirmed, s_tear_down),
        cmocka_unit_test_teardown (who_missed_a_removal_binds_again,
                                   s_tear_down),
        cmocka_unit_test_teardown (who_missed_a_binding_removes_it_again,
                                   s_tear_down),
        cmocka_unit_test_teardown (
            who_is_too_early_is_told_and_may_say_it_again, s_tear_down),
        cmocka_unit_test_teardown (
            what_was_bound_while_no_node_answers_is_told_later, s_tear_down),
        cmocka_unit_test_teardown (a_wiped_node_learns_from_the_peers,
                                   s_tear_down),
        cmocka_unit_test_teardown (two_nodes_agree_through_a_peer, s_tear_down),
        cmocka_unit_test_teardown (
            a_node_that_keeps_them_has_them_before_any_peer, s_tear_down),
        cmocka_unit_test_teardown (a_peer_has_them_before_any_node_answers,
                                   s_tear_down),
        cmocka_unit_test_teardown (another_type_is_refused_to_who_makes_it,
                                   s_tear_down),
        cmocka_unit_test_teardown (what_is_refused_is_at_no_moment_bound,
                                   s_tear_down),
        cmocka_unit_test_teardown (
            a_type_that_is_only_remembered_refuses_nothing, s_tear_down),
        cmocka_unit_test_teardown (what_was_unbound_stays_so, s_tear_down),
        cmocka_unit_test_teardown (whatever_happens_all_agree_in_the_end,
                                   s_tear_down),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
