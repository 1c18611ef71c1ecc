//  tests/unit/test_roster.c - a peer as the client of directories
//
//  Stories run on directory_world.h: real rosters and real registries, a fake
//  clock and network.  TERN_SEED=n replays one random run; TERN_SEEDS=n
//  makes twice as many.
//
//  SPDX-License-Identifier: MPL-2.0

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/directory_world.h"
#include "support/seed.h"

#include <tern/error.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static world_t s_world;

static void
s_start (size_t nodes, size_t peers)
{
    world_init (&s_world, 1, nodes);
    for (size_t node = 0; node < nodes; node++) {
        world_node_up (&s_world, node);
    }
    for (size_t peer = 0; peer < peers; peer++) {
        world_peer_up (&s_world, peer, 1 + peer % 4);
    }
    world_run (&s_world, 500);
}

static int
s_tear_down (void **state)
{
    (void) state;
    world_clear (&s_world);
    return 0;
}

static void
peers_find_each_other_at_once (void **state)
{
    (void) state;
    s_start (1, 5);
    assert_true (world_agrees (&s_world));
    for (size_t peer = 0; peer < 5; peer++) {
        const trn_roster_t *roster = s_world.peers[peer].roster;
        assert_true (trn_roster_online (roster));
        assert_true (trn_roster_complete (roster));
    }
    assert_int_equal (world_seen (&s_world, 0, 3)->queue_count, 4);
}

static void
a_changed_entry_is_told_to_all (void **state)
{
    (void) state;
    s_start (1, 3);
    world_peer_queues (&s_world, 1, 5);
    world_run (&s_world, 200);
    assert_int_equal (world_seen (&s_world, 0, 1)->queue_count, 5);
    world_peer_queues (&s_world, 1, 0);
    world_run (&s_world, 200);
    assert_int_equal (world_seen (&s_world, 2, 1)->queue_count, 0);
}

static void
a_goodbye_is_told_at_once_and_a_death_after_the_lease (void **state)
{
    (void) state;
    s_start (1, 3);
    world_peer_leaves (&s_world, 1);
    world_run (&s_world, 100);
    assert_null (world_seen (&s_world, 0, 1));
    world_peer_killed (&s_world, 2);
    world_run (&s_world, 2000);
    assert_non_null (world_seen (&s_world, 0, 2));
    world_run (&s_world, 4000);
    assert_null (world_seen (&s_world, 0, 2));
}

static void
leases_are_kept_for_as_long_as_the_peer_lives (void **state)
{
    (void) state;
    s_start (1, 4);
    world_run (&s_world, 120 * 1000);
    assert_true (world_agrees (&s_world));
    for (size_t peer = 0; peer < 4; peer++) {
        assert_int_equal (s_world.peers[peer].gone, 0);
        assert_int_equal (s_world.peers[peer].connects, 1);
        //  A ping a second, a refresh each third of a lease, little else.
        assert_in_range (s_world.peers[peer].sends, 150, 250);
    }
}

//  T-147
static void
an_outage_drops_nobody (void **state)
{
    (void) state;
    s_start (1, 4);
    world_node_down (&s_world, 0);
    world_run (&s_world, 10 * 60 * 1000);
    assert_true (world_agrees (&s_world));
    for (size_t peer = 0; peer < 4; peer++) {
        assert_int_equal (s_world.peers[peer].gone, 0);
        assert_false (trn_roster_online (s_world.peers[peer].roster));
        assert_string_equal (s_world.peers[peer].last_report,
                             "TERN-DIRECTORY-LOST");
    }
}

//  T-149
static void
a_node_that_returns_empty_drops_nobody_who_lives (void **state)
{
    (void) state;
    s_start (1, 8);
    world_node_down (&s_world, 0);
    world_run (&s_world, 60 * 1000);
    //  One dies meanwhile; the others must learn that in the end.
    world_peer_killed (&s_world, 7);
    world_node_up (&s_world, 0);
    world_run (&s_world, 9000);
    for (size_t peer = 0; peer < 7; peer++) {
        assert_true (trn_roster_online (s_world.peers[peer].roster));
        assert_int_equal (s_world.peers[peer].gone, 0);
    }
    world_run (&s_world, 20 * 1000);
    assert_true (world_agrees (&s_world));
    for (size_t peer = 0; peer < 7; peer++) {
        assert_int_equal (s_world.peers[peer].gone, 1);
    }
}

//  T-146
static void
a_long_outage_makes_no_storm (void **state)
{
    (void) state;
    s_start (1, 1);
    const uint64_t before = s_world.peers[0].connects;
    world_node_down (&s_world, 0);
    world_run (&s_world, 600 * 1000);
    //  1.5 s for an answer and 2.5 s of waiting on average, once backed off.
    const uint64_t connects = s_world.peers[0].connects - before;
    assert_in_range (connects, 100, 240);
}

static void
a_deaf_node_is_noticed_and_left (void **state)
{
    (void) state;
    s_start (1, 2);
    s_world.deaf[0] = true;
    world_run (&s_world, 5000);
    assert_false (trn_roster_online (s_world.peers[0].roster));
    s_world.deaf[0] = false;
    world_run (&s_world, 20000);
    assert_true (trn_roster_online (s_world.peers[0].roster));
    assert_true (world_agrees (&s_world));
}

//  T-148
static void
a_broken_connection_goes_on_from_the_number_known (void **state)
{
    (void) state;
    s_start (1, 3);
    trn_roster_stats_t before, after;
    trn_roster_stats (s_world.peers[0].roster, &before);
    world_break (&s_world, 0, 0, true);
    world_peer_queues (&s_world, 2, 5);
    world_run (&s_world, 2000);
    trn_roster_stats (s_world.peers[0].roster, &after);
    assert_int_equal (after.connects, before.connects + 1);
    assert_int_equal (after.snapshots, before.snapshots);
    assert_int_equal (world_seen (&s_world, 0, 2)->queue_count, 5);
    world_run (&s_world, 60 * 1000);
    assert_int_equal (s_world.peers[0].gone, 0);
    assert_true (world_agrees (&s_world));
}

static void
being_stopped_oneself_is_nobodys_silence (void **state)
{
    (void) state;
    s_start (1, 2);
    world_run (&s_world, 2000);
    trn_roster_t *roster = s_world.peers[0].roster;
    assert_true (trn_roster_online (roster));
    s_world.now_ms += 60 * 1000;
    trn_roster_on_tick (roster, s_world.now_ms);
    trn_roster_stats_t stats;
    trn_roster_stats (roster, &stats);
    assert_int_equal (stats.connects, 1);
    assert_true (trn_roster_online (roster));
}

static void
numbers_reach_the_directory_page_by_page (void **state)
{
    (void) state;
    s_start (1, 1);
    const size_t count = TRN_ROSTER_ROWS_MAX;
    tern_stats_t *rows = trn_alloc (count * sizeof *rows);
    for (size_t index = 0; index < count; index++) {
        snprintf (rows[index].peer, sizeof rows[index].peer, "p0");
        snprintf (rows[index].queue, sizeof rows[index].queue, "q%zu", index);
        rows[index].role = TERN_ROLE_CONSUMER;
        rows[index].depth = UINT64_MAX;
        rows[index].produced.total = UINT64_MAX;
    }
    trn_roster_on_load (s_world.peers[0].roster, rows, count, s_world.now_ms);
    world_run (&s_world, 2000);
    free (rows);

    //  Somebody asks the node for them.
    uint8_t bytes[64];
    const trn_dirframe_t query = {.type = TRN_DIR_QUERY, .query.nonce = 3};
    const size_t size = trn_dirframe_encode (&query, bytes, sizeof bytes);
    trn_registry_on_frame (s_world.nodes[0], 999999, bytes, size,
                           s_world.now_ms);
    const trn_registry_action_t *action;
    uint64_t found = 0;
    bool last = false;
    while ((action = trn_registry_action (s_world.nodes[0]))) {
        trn_dirframe_t frame;
        if (action->type == TRN_REGISTRY_SEND
            && !trn_dirframe_decode (&frame, action->bytes, action->size)
            && frame.type == TRN_DIR_STATS) {
            found += frame.stats.rows.left;
            last = frame.stats.last;
        }
    }
    assert_true (last);
    assert_int_equal (found, count);
}

static void
another_store_under_ones_name_is_reported_and_waited_for (void **state)
{
    (void) state;
    s_start (1, 2);
    //  The peer starts again with another store: its old entry must expire.
    world_peer_killed (&s_world, 1);
    const char *const nodes[] = {"tcp://node:1"};
    const trn_roster_config_t config = {
        .name = "p1",
        .store_uuid = {9, 9},
        .incarnation = 1,
        .random = 1,
        .seed = 5,
        .nodes = nodes,
        .node_count = 1,
    };
    world_peer_t *peer = &s_world.peers[1];
    peer->roster = trn_roster_new (&config);
    peer->incarnation = 1;
    const char *const endpoints[] = {"tcp://p1:99"};
    trn_roster_on_endpoints (peer->roster, endpoints, 1, s_world.now_ms);
    world_run (&s_world, 1000);
    assert_string_equal (peer->last_report, "TERN-NAME-TAKEN");
    assert_false (trn_roster_online (peer->roster));
    world_run (&s_world, 15 * 1000);
    assert_true (trn_roster_online (peer->roster));
    assert_string_equal (world_seen (&s_world, 0, 1)->endpoint, "tcp://p1:99");
}

//  T-151
static void
a_saved_view_is_there_before_any_directory_answers (void **state)
{
    (void) state;
    s_start (1, 6);
    uint8_t *saved = trn_alloc (TRN_ROSTER_VIEW_MAX);
    const size_t size
        = trn_roster_view (s_world.peers[0].roster, saved, TRN_ROSTER_VIEW_MAX);
    const char *const nodes[] = {"tcp://node:1"};
    const trn_roster_config_t config = {
        .name = "p9",
        .incarnation = 1,
        .seed = 5,
        .nodes = nodes,
        .node_count = 1,
    };
    trn_roster_t *roster = trn_roster_new (&config);
    assert_int_equal (trn_roster_restore (roster, saved, size), TERN_OK);
    int64_t now_ms = 5;
    unsigned told = 0;
    for (unsigned step = 0; step < 1000; step++) {
        trn_roster_on_tick (roster, now_ms);
        const trn_roster_action_t *action;
        while ((action = trn_roster_action (roster))) {
            told += action->type == TRN_ROSTER_PEER;
            assert_true (action->type != TRN_ROSTER_PEER_GONE);
        }
        now_ms = trn_roster_deadline (roster);
    }
    //  Nobody ever answered, and all five are still there.
    assert_true (now_ms > 600 * 1000);
    assert_int_equal (told, 5);
    trn_roster_destroy (&roster);

    //  Every byte counts: what is damaged is not taken, in whole or in part.
    for (size_t at = 0; at < size; at++) {
        saved[at] ^= 0x20;
        roster = trn_roster_new (&config);
        assert_true (trn_roster_restore (roster, saved, size) < 0);
        trn_roster_peer_t peer;
        assert_null (trn_roster_action (roster));
        assert_false (trn_roster_peer_at (roster, 0, &peer));
        trn_roster_destroy (&roster);
        saved[at] ^= 0x20;
    }
    for (size_t cut = 0; cut < size; cut++) {
        roster = trn_roster_new (&config);
        assert_true (trn_roster_restore (roster, saved, cut) < 0);
        trn_roster_destroy (&roster);
    }
    free (saved);
}

static void
restored_peers_go_when_the_directory_does_not_know_them (void **state)
{
    (void) state;
    s_start (1, 3);
    uint8_t *saved = trn_alloc (TRN_ROSTER_VIEW_MAX);
    const size_t size
        = trn_roster_view (s_world.peers[0].roster, saved, TRN_ROSTER_VIEW_MAX);
    world_peer_leaves (&s_world, 1);
    world_run (&s_world, 100);
    world_peer_up (&s_world, 9, 0);
    world_peer_killed (&s_world, 9);
    const char *const nodes[] = {"tcp://node:1"};
    const trn_roster_config_t config = {
        .name = "p9",
        .incarnation = 9,
        .seed = 5,
        .nodes = nodes,
        .node_count = 1,
    };
    world_peer_t *peer = &s_world.peers[9];
    peer->roster = trn_roster_new (&config);
    assert_int_equal (trn_roster_restore (peer->roster, saved, size), 0);
    free (saved);
    world_run (&s_world, 1000);
    assert_non_null (world_seen (&s_world, 9, 1));
    world_run (&s_world, 15 * 1000);
    assert_null (world_seen (&s_world, 9, 1));
    assert_non_null (world_seen (&s_world, 9, 2));
}

//  T-150
static void
with_two_nodes_one_may_die (void **state)
{
    (void) state;
    s_start (2, 5);
    assert_true (world_agrees (&s_world));
    world_node_down (&s_world, 0);
    world_peer_up (&s_world, 6, 2);
    world_run (&s_world, 1000);
    world_peer_leaves (&s_world, 1);
    world_run (&s_world, 30 * 1000);
    assert_true (world_agrees (&s_world));
    assert_null (world_seen (&s_world, 0, 1));
    for (size_t peer = 2; peer < 5; peer++) {
        assert_int_equal (s_world.peers[peer].gone, 1);
    }
}

//  The local directory -----------------------------------------------------

static void
s_start_local (size_t peers)
{
    world_init (&s_world, 1, 1);
    s_world.local = true;
    s_world.delay_ms = 1;
    s_world.flowing = true;
    for (size_t peer = 0; peer < peers; peer++) {
        world_peer_up (&s_world, peer, 1);
    }
    world_run (&s_world, 300);
}

static void
the_first_peer_hosts_the_local_directory (void **state)
{
    (void) state;
    s_start_local (4);
    assert_int_equal (s_world.host, 0);
    assert_true (world_agrees (&s_world));
}

//  T-153
static void
another_takes_over_within_a_second (void **state)
{
    (void) state;
    s_start_local (6);
    for (size_t victim = 0; victim < 5; victim++) {
        assert_int_equal (s_world.host >= 0, 1);
        world_peer_killed (&s_world, (size_t) s_world.host);
        world_run (&s_world, 1000);
        assert_true (s_world.host >= 0);
        for (size_t peer = 0; peer < 6; peer++) {
            const trn_roster_t *roster = s_world.peers[peer].roster;
            assert_true (!roster || trn_roster_online (roster));
        }
    }
}

static void
a_take_over_drops_nobody_who_lives (void **state)
{
    (void) state;
    s_start_local (6);
    world_peer_killed (&s_world, 0);
    world_run (&s_world, 30 * 1000);
    assert_true (world_agrees (&s_world));
    for (size_t peer = 1; peer < 6; peer++) {
        assert_int_equal (s_world.peers[peer].gone, 1);
    }
}

//  Hostile nodes ---------------------------------------------------------

static trn_roster_t *
s_lone_roster (int64_t *now_ms)
{
    const char *const nodes[] = {"tcp://evil:1"};
    const trn_roster_config_t config = {
        .name = "p",
        .incarnation = 1,
        .seed = 5,
        .nodes = nodes,
        .node_count = 1,
    };
    trn_roster_t *roster = trn_roster_new (&config);
    *now_ms = 1000;
    trn_roster_on_tick (roster, *now_ms);
    while (trn_roster_action (roster)) {
    }
    return roster;
}

static void
a_node_that_talks_nonsense_is_left (void **state)
{
    (void) state;
    int64_t now_ms;
    trn_roster_t *roster = s_lone_roster (&now_ms);
    bool left = false;
    for (unsigned index = 0; index < 16; index++) {
        trn_roster_on_frame (roster, 0, "\xc1", 1, now_ms);
        const trn_roster_action_t *action;
        while ((action = trn_roster_action (roster))) {
            left |= action->type == TRN_ROSTER_DISCONNECT;
        }
    }
    assert_true (left);
    trn_roster_stats_t stats;
    trn_roster_stats (roster, &stats);
    assert_int_equal (stats.garbage, 16);
    trn_roster_destroy (&roster);
}

//  T-152
static void
a_hostile_node_cannot_grow_the_view (void **state)
{
    (void) state;
    int64_t now_ms;
    trn_roster_t *roster = s_lone_roster (&now_ms);
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    for (unsigned round = 0; round < 3 * TRN_ROSTER_PEERS_MAX; round++) {
        char name[16];
        snprintf (name, sizeof name, "n%u", round);
        trn_dirframe_t frame = {
            .type = TRN_DIR_SNAPSHOT,
            .snapshot = {.epoch = 1 + round % 2, .number = round, .page = 0},
        };
        trn_entry_t entry = {
            .name = trn_text (name),
            .incarnation = 1,
            .endpoint_count = 1,
            .endpoints = {trn_text ("tcp://x:1")},
        };
        trn_dirpage_t page;
        trn_dirpage_begin (&page, &frame, bytes, sizeof bytes);
        assert_true (trn_dirpage_add_entry (&page, &entry));
        const size_t size = trn_dirpage_end (&page, false);
        trn_roster_on_frame (roster, 0, bytes, size, now_ms);
        while (trn_roster_action (roster)) {
        }
    }
    trn_roster_stats_t stats;
    trn_roster_stats (roster, &stats);
    assert_int_equal (stats.peers, TRN_ROSTER_PEERS_MAX);
    assert_true (stats.over > 0);
    trn_roster_destroy (&roster);
}

static void
random_bytes_do_no_harm (void **state)
{
    (void) state;
    world_init (&s_world, 77, 1);
    int64_t now_ms;
    trn_roster_t *roster = s_lone_roster (&now_ms);
    const trn_registry_config_t config = {.epoch = 1, .seed = 1};
    trn_registry_t *registry = trn_registry_new (&config);
    for (unsigned index = 0; index < 20000; index++) {
        uint8_t bytes[64];
        const size_t size = world_random (&s_world, sizeof bytes);
        for (size_t at = 0; at < size; at++) {
            bytes[at] = (uint8_t) world_random (&s_world, 256);
        }
        if (size > 2) {
            bytes[0] = (uint8_t) (0x90 + world_random (&s_world, 10));
            bytes[1] = (uint8_t) (32 + world_random (&s_world, 14));
        }
        now_ms += (int64_t) world_random (&s_world, 30);
        trn_registry_on_frame (registry, world_random (&s_world, 50), bytes,
                               size, now_ms);
        trn_roster_on_frame (roster, 0, bytes, size, now_ms);
        trn_roster_on_tick (roster, now_ms);
        trn_registry_on_tick (registry, now_ms);
        while (trn_registry_action (registry)) {
        }
        while (trn_roster_action (roster)) {
        }
    }
    trn_registry_destroy (&registry);
    trn_roster_destroy (&roster);
}

//  What a node may say --------------------------------------------------------

//  Node says that peer "a" is there, in this version with so many queues.
static void
s_say_peer (trn_roster_t *roster, uint32_t node, uint64_t number,
            uint64_t version, uint32_t queues, bool snapshot, int64_t now_ms)
{
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    trn_entry_t entry = {
        .name = trn_text ("a"),
        .incarnation = 1,
        .version = version,
        .endpoint_count = 1,
        .endpoints = {trn_text ("tcp://x:1")},
        .queue_count = queues,
        .queues = {trn_text ("q0"), trn_text ("q1"), trn_text ("q2")},
    };
    size_t size;
    if (snapshot) {
        const trn_dirframe_t frame = {
            .type = TRN_DIR_SNAPSHOT,
            .snapshot = {.epoch = 1, .number = number},
        };
        trn_dirpage_t page;
        trn_dirpage_begin (&page, &frame, bytes, sizeof bytes);
        assert_true (trn_dirpage_add_entry (&page, &entry));
        size = trn_dirpage_end (&page, true);
    } else {
        const trn_dirframe_t frame = {
            .type = TRN_DIR_DELTA,
            .delta = {.epoch = 1, .number = number, .entry = entry},
        };
        size = trn_dirframe_encode (&frame, bytes, sizeof bytes);
    }
    trn_roster_on_frame (roster, node, bytes, size, now_ms);
}

//  Drain; did it ask to watch from this number on?
static bool
s_watches_from (trn_roster_t *roster, uint64_t number)
{
    bool found = false;
    const trn_roster_action_t *action;
    while ((action = trn_roster_action (roster))) {
        trn_dirframe_t frame;
        if (action->type == TRN_ROSTER_SEND
            && !trn_dirframe_decode (&frame, action->bytes, action->size)
            && frame.type == TRN_DIR_WATCH) {
            assert_int_equal (frame.watch.epoch, 1);
            assert_int_equal (frame.watch.number, number);
            found = true;
        }
    }
    return found;
}

static size_t
s_queues_of_first (const trn_roster_t *roster)
{
    trn_roster_peer_t peer;
    assert_true (trn_roster_peer_at (roster, 0, &peer));
    return peer.queue_count;
}

static void
a_hole_in_the_changes_is_asked_for_again (void **state)
{
    (void) state;
    int64_t now_ms;
    trn_roster_t *roster = s_lone_roster (&now_ms);
    s_say_peer (roster, 0, 5, 1, 1, true, now_ms);
    s_say_peer (roster, 0, 6, 2, 2, false, now_ms);
    assert_false (s_watches_from (roster, 0));
    assert_int_equal (s_queues_of_first (roster), 2);
    //  Number 7 is missing: nothing after it is believed.
    s_say_peer (roster, 0, 8, 4, 3, false, now_ms);
    trn_roster_on_tick (roster, now_ms + 200);
    assert_true (s_watches_from (roster, 6));
    assert_int_equal (s_queues_of_first (roster), 2);
    trn_roster_destroy (&roster);
}

static void
a_hole_at_the_end_is_noticed_by_pings (void **state)
{
    (void) state;
    int64_t now_ms;
    trn_roster_t *roster = s_lone_roster (&now_ms);
    s_say_peer (roster, 0, 5, 1, 1, true, now_ms);
    assert_false (s_watches_from (roster, 0));
    uint8_t bytes[64];
    const trn_dirframe_t pong = {
        .type = TRN_DIR_PONG,
        .pong = {.nonce = 1, .epoch = 1, .number = 6},
    };
    const size_t size = trn_dirframe_encode (&pong, bytes, sizeof bytes);
    trn_roster_on_frame (roster, 0, bytes, size, now_ms);
    trn_roster_on_tick (roster, now_ms + 500);
    assert_false (s_watches_from (roster, 0));
    trn_roster_on_frame (roster, 0, bytes, size, now_ms + 500);
    trn_roster_on_tick (roster, now_ms + 700);
    assert_true (s_watches_from (roster, 5));
    trn_roster_destroy (&roster);
}

static void
of_two_nodes_the_newer_word_counts (void **state)
{
    (void) state;
    const char *const nodes[] = {"tcp://one:1", "tcp://two:1"};
    const trn_roster_config_t config = {
        .name = "p",
        .incarnation = 1,
        .seed = 5,
        .nodes = nodes,
        .node_count = 2,
    };
    trn_roster_t *roster = trn_roster_new (&config);
    trn_roster_on_tick (roster, 1000);
    while (trn_roster_action (roster)) {
    }
    s_say_peer (roster, 0, 5, 7, 3, true, 1000);
    s_say_peer (roster, 1, 5, 6, 1, true, 1000);
    while (trn_roster_action (roster)) {
    }
    assert_int_equal (s_queues_of_first (roster), 3);
    s_say_peer (roster, 1, 6, 8, 2, false, 1000);
    while (trn_roster_action (roster)) {
    }
    assert_int_equal (s_queues_of_first (roster), 2);
    trn_roster_destroy (&roster);
}

//  Random runs -----------------------------------------------------------

static void
s_random_step (world_t *world)
{
    const size_t peer = world_random (world, 10);
    const size_t node = world_random (world, world->node_count);
    const bool running = world->peers[peer].roster != NULL;
    switch (world_random (world, 10)) {
    case 0:
    case 1:
    case 2:
        if (!running) {
            world_peer_up (world, peer, world_random (world, 5));
        }
        break;
    case 3:
        if (running) {
            world_peer_killed (world, peer);
        }
        break;
    case 4:
        if (running) {
            world_peer_leaves (world, peer);
        }
        break;
    case 5:
        if (running) {
            world_peer_queues (world, peer, world_random (world, 6));
        }
        break;
    case 6:
        if (!world->local && world->nodes[node]) {
            world_node_down (world, node);
        }
        break;
    case 7:
        if (!world->local && !world->nodes[node]) {
            world_node_up (world, node);
        }
        break;
    default: world_break (world, peer, node, world_random (world, 2)); break;
    }
    world_run (world, (int64_t) world_random (world, 3000));
}

//  Whatever happens, once it is over everybody sees exactly those who live.
static void
s_run_random (uint64_t seed)
{
    world_t *world = &s_world;
    world_init (world, seed, 1 + seed % WORLD_NODES);
    world->local = world->node_count == 1 && seed % 2;
    world->delay_ms = (uint32_t) (1 + seed % 40);
    for (unsigned step = 0; step < 60; step++) {
        s_random_step (world);
    }
    for (size_t node = 0; !world->local && node < world->node_count; node++) {
        if (!world->nodes[node]) {
            world_node_up (world, node);
        }
    }
    world_run (world, 60 * 1000);
    assert_true (world_agrees (world));
    world_clear (world);
}

static void
after_any_story_all_agree_on_who_lives (void **state)
{
    (void) state;
    const test_random_t start = test_random_start ();
    if (getenv ("TERN_SEED")) {
        s_run_random (start.state);
        return;
    }
    //  The same ones always, and as many that nobody has seen; a failure says
    //  which.
    const char *given = getenv ("TERN_SEEDS");
    const char *slow = getenv ("TERN_INSTRUMENT");
    const uint64_t count = given           ? strtoull (given, NULL, 10)
                           : slow && *slow ? 20
                                           : 150;
    for (uint64_t index = 1; index <= count; index++) {
        s_run_random (index);
        s_run_random (start.state + index);
    }
}

int
main (void)
{
#define TEST(name) cmocka_unit_test_teardown (name, s_tear_down)
    const struct CMUnitTest tests[] = {
        TEST (peers_find_each_other_at_once),
        TEST (a_changed_entry_is_told_to_all),
        TEST (a_goodbye_is_told_at_once_and_a_death_after_the_lease),
        TEST (leases_are_kept_for_as_long_as_the_peer_lives),
        TEST (an_outage_drops_nobody),
        TEST (a_node_that_returns_empty_drops_nobody_who_lives),
        TEST (a_long_outage_makes_no_storm),
        TEST (a_deaf_node_is_noticed_and_left),
        TEST (a_broken_connection_goes_on_from_the_number_known),
        TEST (being_stopped_oneself_is_nobodys_silence),
        TEST (numbers_reach_the_directory_page_by_page),
        TEST (another_store_under_ones_name_is_reported_and_waited_for),
        TEST (a_saved_view_is_there_before_any_directory_answers),
        TEST (restored_peers_go_when_the_directory_does_not_know_them),
        TEST (with_two_nodes_one_may_die),
        TEST (the_first_peer_hosts_the_local_directory),
        TEST (another_takes_over_within_a_second),
        TEST (a_take_over_drops_nobody_who_lives),
        TEST (a_node_that_talks_nonsense_is_left),
        TEST (a_hostile_node_cannot_grow_the_view),
        TEST (random_bytes_do_no_harm),
        TEST (a_hole_in_the_changes_is_asked_for_again),
        TEST (a_hole_at_the_end_is_noticed_by_pings),
        TEST (of_two_nodes_the_newer_word_counts),
        TEST (after_any_story_all_agree_on_who_lives),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
