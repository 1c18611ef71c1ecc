//  tests/unit/test_registry.c - a directory node's decisions
//
//  SPDX-License-Identifier: MPL-2.0

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "core/registry.h"
#include "wire/dirframe.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ROUTE 7
#define WATCHER 8

static trn_registry_t *s_registry;
static int64_t s_now_ms;
static uint8_t s_bytes[TRN_DIRECTORY_FRAME_MAX];

static int
s_set_up (void **state)
{
    (void) state;
    const trn_registry_config_t config = {.epoch = 42, .seed = 1};
    s_registry = trn_registry_new (&config);
    s_now_ms = 1000;
    return 0;
}

static int
s_tear_down (void **state)
{
    (void) state;
    trn_registry_destroy (&s_registry);
    return 0;
}

static void
s_say (trn_directory_route_t route, const trn_dirframe_t *frame)
{
    const size_t size = trn_dirframe_encode (frame, s_bytes, sizeof s_bytes);
    trn_registry_on_frame (s_registry, route, s_bytes, size, s_now_ms);
}

//  Next frame for route; others are passed over.  False if there is none.
static bool
s_hear (trn_directory_route_t route, trn_dirframe_t *frame)
{
    const trn_registry_action_t *action;
    while ((action = trn_registry_action (s_registry))) {
        if (action->type == TRN_REGISTRY_SEND && action->route == route) {
            assert_int_equal (
                trn_dirframe_decode (frame, action->bytes, action->size), 0);
            return true;
        }
    }
    return false;
}

static bool
s_reported (const char *id)
{
    bool found = false;
    const trn_registry_action_t *action;
    while ((action = trn_registry_action (s_registry))) {
        found |= action->type == TRN_REGISTRY_REPORT
                 && !strcmp (action->report.id, id);
    }
    return found;
}

static void
s_drain (void)
{
    while (trn_registry_action (s_registry)) {
    }
}

static trn_dirframe_t
s_registration (const char *name, uint64_t incarnation, uint64_t version)
{
    trn_dirframe_t frame = {
        .type = TRN_DIR_REGISTER,
        .enrol = {.version_min = 1, .version_max = 1, .lease_ms = 5000},
    };
    trn_entry_t *entry = &frame.enrol.entry;
    entry->name = trn_text (name);
    memcpy (entry->store_uuid, name, strlen (name) > 16 ? 16 : strlen (name));
    entry->incarnation = incarnation;
    entry->random = 1;
    entry->version = version;
    entry->endpoint_count = 1;
    entry->endpoints[0] = trn_text ("tcp://127.0.0.1:1");
    return frame;
}

static void
s_register (const char *name, uint64_t incarnation, uint64_t version)
{
    const trn_dirframe_t frame = s_registration (name, incarnation, version);
    s_say (ROUTE, &frame);
}

static void
s_watch (trn_directory_route_t route, uint64_t epoch, uint64_t number,
         uint64_t flags)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_WATCH,
        .watch = {1, 1, epoch, number, flags},
    };
    s_say (route, &frame);
}

//  Time passes as it does with a shell: never past a deadline.
static void
s_pass (int64_t ms)
{
    const int64_t until_ms = s_now_ms + ms;
    while (s_now_ms < until_ms) {
        const int64_t deadline = trn_registry_deadline (s_registry);
        s_now_ms = deadline < until_ms ? deadline : until_ms;
        trn_registry_on_tick (s_registry, s_now_ms);
    }
}

static uint64_t
s_peers (void)
{
    tern_directory_stats_t stats;
    trn_registry_stats (s_registry, &stats);
    return stats.peers;
}

static void
s_expect_refused (trn_dir_refusal_t reason)
{
    trn_dirframe_t frame;
    assert_true (s_hear (ROUTE, &frame));
    assert_int_equal (frame.type, TRN_DIR_REFUSED);
    assert_int_equal (frame.refused.reason, reason);
}

static void
s_expect_registered (uint64_t version)
{
    trn_dirframe_t frame;
    assert_true (s_hear (ROUTE, &frame));
    assert_int_equal (frame.type, TRN_DIR_REGISTERED);
    assert_int_equal (frame.registered.epoch, 42);
    assert_int_equal (frame.registered.version, version);
}

//  Leases ----------------------------------------------------------------

//  T-130
static void
registering_is_answered_with_the_lease (void **state)
{
    (void) state;
    s_register ("a", 1, 1);
    trn_dirframe_t frame;
    assert_true (s_hear (ROUTE, &frame));
    assert_int_equal (frame.type, TRN_DIR_REGISTERED);
    assert_int_equal (frame.registered.number, 1);
    assert_int_equal (frame.registered.lease_ms, 5000);
    assert_int_equal (s_peers (), 1);
}

//  T-131
static void
an_entry_lives_for_its_lease_after_it_was_heard (void **state)
{
    (void) state;
    s_register ("a", 1, 1);
    s_pass (4999);
    assert_int_equal (s_peers (), 1);
    s_register ("a", 1, 1);
    s_pass (4999);
    assert_int_equal (s_peers (), 1);
    s_pass (1);
    assert_int_equal (s_peers (), 0);
    assert_true (s_reported ("TERN-DIRECTORY-EXPIRED"));
}

//  T-144
static void
a_refresh_keeps_the_entry_and_its_rows (void **state)
{
    (void) state;
    s_register ("a", 1, 3);
    s_drain ();
    s_pass (4000);
    const trn_dirframe_t refresh = {
        .type = TRN_DIR_REFRESH,
        .refresh = {.name = trn_text ("a"),
                    .store_uuid = {'a'},
                    .incarnation = 1,
                    .version = 3},
    };
    const tern_stats_t row = {
        .peer = "liar", .queue = "q", .role = TERN_ROLE_PUBLISHER, .depth = 9};
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &refresh, s_bytes, sizeof s_bytes);
    assert_true (trn_dirpage_add_row (&page, &row));
    const size_t size = trn_dirpage_end (&page, true);
    trn_registry_on_frame (s_registry, ROUTE, s_bytes, size, s_now_ms);
    s_expect_registered (3);
    s_pass (4000);
    assert_int_equal (s_peers (), 1);

    //  Its rows are told under its own name, whatever it says.
    const trn_dirframe_t query = {.type = TRN_DIR_QUERY, .query.nonce = 5};
    s_say (ROUTE, &query);
    trn_dirframe_t frame;
    assert_true (s_hear (ROUTE, &frame));
    assert_int_equal (frame.type, TRN_DIR_STATS);
    assert_int_equal (frame.stats.nonce, 5);
    assert_true (frame.stats.last);
    tern_stats_t told;
    assert_true (trn_rows_next (&frame.stats.rows, &told));
    assert_string_equal (told.peer, "a");
    assert_int_equal (told.depth, 9);
    assert_false (trn_rows_next (&frame.stats.rows, &told));
}

//  T-132
static void
a_refresh_of_an_unknown_entry_asks_for_registration (void **state)
{
    (void) state;
    const trn_dirframe_t refresh = {
        .type = TRN_DIR_REFRESH,
        .refresh = {.name = trn_text ("a"),
                    .store_uuid = {'a'},
                    .incarnation = 1,
                    .version = 1},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &refresh, s_bytes, sizeof s_bytes);
    const size_t size = trn_dirpage_end (&page, true);
    trn_registry_on_frame (s_registry, ROUTE, s_bytes, size, s_now_ms);
    s_expect_refused (TRN_DIR_UNKNOWN);
    //  Another version of it is as good as unknown.
    s_register ("a", 1, 2);
    s_drain ();
    trn_registry_on_frame (s_registry, ROUTE, s_bytes, size, s_now_ms);
    assert_int_equal (s_peers (), 1);
}

//  T-137
static void
time_in_which_the_node_was_stopped_ends_no_lease (void **state)
{
    (void) state;
    s_register ("a", 1, 1);
    s_pass (3000);
    s_now_ms += 60000;  //  SIGSTOP, SIGCONT
    trn_registry_on_tick (s_registry, s_now_ms);
    assert_int_equal (s_peers (), 1);
    assert_true (s_reported ("TERN-DIRECTORY-PAUSED"));
    s_pass (1999);
    assert_int_equal (s_peers (), 1);
    s_pass (1);
    assert_int_equal (s_peers (), 0);
}

//  T-130
static void
a_lease_is_granted_within_bounds (void **state)
{
    (void) state;
    trn_dirframe_t frame = s_registration ("a", 1, 1);
    frame.enrol.lease_ms = 1;
    s_say (ROUTE, &frame);
    assert_true (s_hear (ROUTE, &frame));
    assert_int_equal (frame.registered.lease_ms, 1000);
}

//  Who holds a name --------------------------------------------------------

//  T-133
static void
an_older_incarnation_never_replaces_a_newer (void **state)
{
    (void) state;
    s_register ("a", 5, 1);
    s_drain ();
    s_register ("a", 4, 99);
    s_expect_refused (TRN_DIR_FENCED);
    s_register ("a", 6, 1);
    s_expect_registered (1);
    //  Of one life, a late frame of an older version changes nothing.
    s_register ("a", 6, 7);
    s_expect_registered (7);
    s_register ("a", 6, 2);
    s_expect_registered (7);
}

//  T-134
static void
a_clone_is_refused_and_reported (void **state)
{
    (void) state;
    s_register ("a", 5, 1);
    s_drain ();
    trn_dirframe_t frame = s_registration ("a", 5, 2);
    frame.enrol.entry.random = 2;
    s_say (ROUTE, &frame);
    assert_true (s_reported ("TERN-DIRECTORY-CLONE"));
    s_say (ROUTE, &frame);
    s_expect_refused (TRN_DIR_FENCED);
    //  With a higher incarnation it is simply the next life.
    frame.enrol.entry.incarnation = 6;
    s_say (ROUTE, &frame);
    s_expect_registered (2);
}

//  T-135
static void
another_store_takes_a_name_only_when_it_is_free (void **state)
{
    (void) state;
    s_register ("a", 5, 1);
    s_drain ();
    trn_dirframe_t frame = s_registration ("a", 1, 1);
    frame.enrol.entry.store_uuid[0] = 'z';
    s_say (ROUTE, &frame);
    s_expect_refused (TRN_DIR_NAME);
    s_pass (5000);
    s_say (ROUTE, &frame);
    s_expect_registered (1);
}

//  T-136
static void
goodbye_ends_only_the_life_it_names (void **state)
{
    (void) state;
    s_register ("a", 5, 1);
    trn_dirframe_t goodbye = {
        .type = TRN_DIR_GOODBYE,
        .goodbye
        = {.name = trn_text ("a"), .store_uuid = {'a'}, .incarnation = 4},
    };
    s_say (ROUTE, &goodbye);
    assert_int_equal (s_peers (), 1);
    goodbye.goodbye.incarnation = 5;
    goodbye.goodbye.store_uuid[1] = 1;
    s_say (ROUTE, &goodbye);
    assert_int_equal (s_peers (), 1);
    goodbye.goodbye.store_uuid[1] = 0;
    s_say (ROUTE, &goodbye);
    assert_int_equal (s_peers (), 0);
}

//  T-138
static void
a_future_version_is_refused_with_words (void **state)
{
    (void) state;
    trn_dirframe_t frame = s_registration ("a", 1, 1);
    frame.enrol.version_min = 2;
    frame.enrol.version_max = 9;
    s_say (ROUTE, &frame);
    s_expect_refused (TRN_DIR_VERSION);
}

//  Watchers --------------------------------------------------------------

//  T-139
static void
a_watcher_gets_a_snapshot_then_every_change (void **state)
{
    (void) state;
    s_register ("a", 1, 1);
    s_register ("b", 1, 1);
    s_watch (WATCHER, 0, 0, 0);
    trn_dirframe_t frame;
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_SNAPSHOT);
    assert_int_equal (frame.snapshot.number, 2);
    assert_int_equal (frame.snapshot.entries.left, 2);
    assert_true (frame.snapshot.last);
    s_register ("c", 1, 1);
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_DELTA);
    assert_int_equal (frame.delta.number, 3);
    assert_false (frame.delta.removed);
    assert_true (trn_text_is (frame.delta.entry.name, "c"));
    //  Saying the same again is no change.
    s_register ("c", 1, 1);
    assert_false (s_hear (WATCHER, &frame));
    s_pass (5000);
    for (uint64_t number = 4; number < 7; number++) {
        assert_true (s_hear (WATCHER, &frame));
        assert_int_equal (frame.delta.number, number);
        assert_true (frame.delta.removed);
    }
    assert_false (s_hear (WATCHER, &frame));
}

//  T-140
static void
a_watcher_that_missed_little_is_told_the_changes (void **state)
{
    (void) state;
    s_register ("a", 1, 1);
    s_register ("b", 1, 1);
    s_drain ();
    s_watch (WATCHER, 42, 1, 0);
    trn_dirframe_t frame;
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_PONG);
    assert_int_equal (frame.pong.nonce, 0);
    assert_int_equal (frame.pong.number, 2);
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_DELTA);
    assert_int_equal (frame.delta.number, 2);
    assert_false (s_hear (WATCHER, &frame));
    //  Of another life, or from the future: all over again.
    s_watch (WATCHER, 41, 1, 0);
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_SNAPSHOT);
    s_watch (WATCHER, 42, 3, 0);
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_SNAPSHOT);
}

//  T-141
static void
a_watcher_that_fell_out_of_the_history_gets_a_snapshot (void **state)
{
    (void) state;
    s_watch (WATCHER, 0, 0, 0);
    s_drain ();
    //  It does not read while more happens than is remembered.
    s_register ("a", 1, 1);
    const trn_registry_action_t *action;
    while ((action = trn_registry_action (s_registry))) {
        if (action->type == TRN_REGISTRY_SEND && action->route == WATCHER) {
            trn_registry_on_blocked (s_registry, WATCHER, s_now_ms);
        }
    }
    for (uint64_t version = 2; version < TRN_REGISTRY_HISTORY + 10; version++) {
        s_now_ms += 4;
        const trn_dirframe_t frame = s_registration ("a", 1, version);
        s_say (ROUTE + 100 + version % 2, &frame);
        while ((action = trn_registry_action (s_registry))) {
            assert_true (action->type != TRN_REGISTRY_SEND
                         || action->route != WATCHER);
        }
    }
    trn_registry_on_tick (s_registry, s_now_ms);
    trn_dirframe_t frame;
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_SNAPSHOT);
    assert_int_equal (frame.snapshot.number, trn_registry_number (s_registry));
}

//  T-141
static void
what_a_full_route_does_not_take_is_told_later (void **state)
{
    (void) state;
    s_register ("a", 1, 1);
    s_drain ();
    s_watch (WATCHER, 0, 0, 0);
    const trn_registry_action_t *action = trn_registry_action (s_registry);
    assert_non_null (action);
    assert_int_equal (action->route, WATCHER);
    trn_registry_on_blocked (s_registry, WATCHER, s_now_ms);
    assert_null (trn_registry_action (s_registry));
    assert_true (trn_registry_deadline (s_registry) <= s_now_ms + 10);
    s_pass (10);
    trn_dirframe_t frame;
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_SNAPSHOT);
    assert_int_equal (frame.snapshot.page, 0);
    assert_int_equal (frame.snapshot.entries.left, 1);
}

static void
a_gone_route_is_forgotten (void **state)
{
    (void) state;
    s_watch (WATCHER, 0, 0, 0);
    s_drain ();
    assert_int_equal (trn_registry_routes (s_registry), 1);
    trn_registry_on_gone (s_registry, WATCHER, s_now_ms);
    assert_int_equal (trn_registry_routes (s_registry), 0);
    s_register ("a", 1, 1);
    trn_dirframe_t frame;
    assert_false (s_hear (WATCHER, &frame));
}

//  T-143
static void
one_snapshot_can_be_had_without_watching (void **state)
{
    (void) state;
    s_watch (WATCHER, 0, 0, TRN_WATCH_ONCE);
    trn_dirframe_t frame;
    assert_true (s_hear (WATCHER, &frame));
    assert_true (frame.snapshot.last);
    s_register ("a", 1, 1);
    assert_false (s_hear (WATCHER, &frame));
}

//  T-142
static void
a_large_table_comes_in_pages (void **state)
{
    (void) state;
    for (unsigned index = 0; index < 1000; index++) {
        char name[16];
        snprintf (name, sizeof name, "peer-%u", index);
        trn_dirframe_t frame = s_registration (name, 1, 1);
        frame.enrol.lease_ms = TRN_LEASE_MAX_MS;
        s_say (1000 + index, &frame);
        s_drain ();
    }
    s_watch (WATCHER, 0, 0, 0);
    uint64_t pages = 0;
    uint64_t entries = 0;
    bool last = false;
    trn_dirframe_t frame;
    while (s_hear (WATCHER, &frame)) {
        assert_false (last);
        assert_int_equal (frame.snapshot.page, pages);
        pages++;
        entries += frame.snapshot.entries.left;
        last = frame.snapshot.last;
    }
    assert_true (last);
    assert_int_equal (entries, 1000);
    assert_true (pages > 5);
}

//  Strangers -------------------------------------------------------------

static void
nonsense_is_counted_and_then_ignored (void **state)
{
    (void) state;
    for (unsigned index = 0; index < 300; index++) {
        trn_registry_on_frame (s_registry, ROUTE, "\xc1garbage", 8, s_now_ms);
        s_now_ms += 10;
    }
    s_drain ();
    tern_directory_stats_t stats;
    trn_registry_stats (s_registry, &stats);
    assert_int_equal (stats.frames, 300);
    assert_int_equal (stats.garbage, 300);
    //  That route is not listened to for a minute; others are.
    s_register ("a", 1, 1);
    assert_int_equal (s_peers (), 0);
    const trn_dirframe_t frame = s_registration ("a", 1, 1);
    s_say (ROUTE + 1, &frame);
    assert_int_equal (s_peers (), 1);
    s_pass (60000);
    s_register ("b", 1, 1);
    assert_int_equal (s_peers (), 1);
}

//  T-145
static void
a_flood_from_one_route_is_cut_to_its_rate (void **state)
{
    (void) state;
    const trn_dirframe_t ping = {.type = TRN_DIR_PING, .ping.nonce = 1};
    unsigned answers = 0;
    for (unsigned index = 0; index < 5000; index++) {
        s_say (ROUTE, &ping);
        trn_dirframe_t frame;
        answers += s_hear (ROUTE, &frame);
    }
    assert_int_equal (answers, 400);  //  two seconds' worth at once
    s_now_ms += 1000;
    for (unsigned index = 0; index < 5000; index++) {
        s_say (ROUTE, &ping);
        trn_dirframe_t frame;
        answers += s_hear (ROUTE, &frame);
    }
    assert_int_equal (answers, 600);
}

//  T-145
static void
tables_are_bounded_whatever_comes (void **state)
{
    (void) state;
    for (unsigned index = 0; index < 10000; index++) {
        char name[16];
        snprintf (name, sizeof name, "peer-%u", index);
        trn_dirframe_t frame = s_registration (name, 1, 1);
        s_say (1000 + index, &frame);
        s_drain ();
    }
    assert_int_equal (s_peers (), TRN_REGISTRY_PEERS_MAX);
    assert_int_equal (trn_registry_routes (s_registry),
                      TRN_REGISTRY_ROUTES_MAX);
    assert_true (trn_registry_memory (s_registry) < 2 * 1024 * 1024);
}

//  T-145
static void
memory_is_bounded_by_its_limit (void **state)
{
    (void) state;
    trn_registry_destroy (&s_registry);
    const trn_registry_config_t config
        = {.epoch = 42, .seed = 1, .memory_max = 64 * 1024};
    s_registry = trn_registry_new (&config);
    bool full = false;
    for (unsigned index = 0; index < 1000; index++) {
        char name[16];
        snprintf (name, sizeof name, "peer-%u", index);
        trn_dirframe_t frame = s_registration (name, 1, 1);
        s_say (1000 + index, &frame);
        full |= s_hear (1000 + index, &frame) && frame.type == TRN_DIR_REFUSED
                && frame.refused.reason == TRN_DIR_FULL;
        assert_true (trn_registry_memory (s_registry) <= 64 * 1024);
    }
    assert_true (full);
}

int
main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)
    const struct CMUnitTest tests[] = {
        TEST (registering_is_answered_with_the_lease),
        TEST (an_entry_lives_for_its_lease_after_it_was_heard),
        TEST (a_refresh_keeps_the_entry_and_its_rows),
        TEST (a_refresh_of_an_unknown_entry_asks_for_registration),
        TEST (time_in_which_the_node_was_stopped_ends_no_lease),
        TEST (a_lease_is_granted_within_bounds),
        TEST (an_older_incarnation_never_replaces_a_newer),
        TEST (a_clone_is_refused_and_reported),
        TEST (another_store_takes_a_name_only_when_it_is_free),
        TEST (goodbye_ends_only_the_life_it_names),
        TEST (a_future_version_is_refused_with_words),
        TEST (a_watcher_gets_a_snapshot_then_every_change),
        TEST (a_watcher_that_missed_little_is_told_the_changes),
        TEST (a_watcher_that_fell_out_of_the_history_gets_a_snapshot),
        TEST (what_a_full_route_does_not_take_is_told_later),
        TEST (a_gone_route_is_forgotten),
        TEST (one_snapshot_can_be_had_without_watching),
        TEST (a_large_table_comes_in_pages),
        TEST (nonsense_is_counted_and_then_ignored),
        TEST (a_flood_from_one_route_is_cut_to_its_rate),
        TEST (tables_are_bounded_whatever_comes),
        TEST (memory_is_bounded_by_its_limit),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
