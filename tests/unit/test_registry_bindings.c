//  tests/unit/test_registry_bindings.c - bindings at one directory node
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

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTE 7
#define WATCHER 8

static trn_registry_t *s_registry;
static int64_t s_now_ms;
static uint8_t s_bytes[TRN_DIRECTORY_FRAME_MAX];
static unsigned s_saves;  //  SAVE actions seen

static void
s_new (size_t bindings_max, bool durable)
{
    const trn_registry_config_t config = {
        .epoch = 42,
        .seed = 1,
        .bindings_max = bindings_max,
        .durable = durable,
    };
    trn_registry_destroy (&s_registry);
    s_registry = trn_registry_new (&config);
    s_now_ms = 1000;
    s_saves = 0;
}

static int
s_set_up (void **state)
{
    (void) state;
    s_new (0, false);
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
        s_saves += action->type == TRN_REGISTRY_SAVE;
        if (action->type == TRN_REGISTRY_SEND && action->route == route) {
            assert_int_equal (
                trn_dirframe_decode (frame, action->bytes, action->size), 0);
            return true;
        }
    }
    return false;
}

static void
s_watch (void)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_WATCH,
        .watch = {.version_min = 1, .version_max = 1},
    };
    trn_dirframe_t answer;
    s_say (WATCHER, &frame);
    while (s_hear (WATCHER, &answer)) {
    }
}

//  Count bindings of this queue, numbered, are said in one frame.
static void
s_bind (trn_exchange_type_t type, uint64_t nonce, unsigned first,
        unsigned count)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_BINDINGS,
        .bindings = {.nonce = nonce},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, s_bytes, sizeof s_bytes);
    for (unsigned index = first; index < first + count; index++) {
        char queue[16];
        snprintf (queue, sizeof queue, "q%u", index);
        const trn_binding_t binding = {
            .exchange = trn_text ("x"),
            .type = type,
            .queue = trn_text (queue),
            .stamp_us = 5,
            .writer = trn_text ("shop-1"),
        };
        assert_true (trn_dirpage_add_binding (&page, &binding));
    }
    const size_t size = trn_dirpage_end (&page, true);
    trn_registry_on_frame (s_registry, ROUTE, s_bytes, size, s_now_ms);
}

static size_t
s_count (void)
{
    return trn_bindings_count (trn_registry_bindings (s_registry));
}

static void
s_expect_verdicts (uint64_t nonce, uint32_t count, uint8_t verdict)
{
    trn_dirframe_t frame;
    assert_true (s_hear (ROUTE, &frame));
    assert_int_equal (frame.type, TRN_DIR_TAKEN);
    assert_int_equal (frame.taken.nonce, nonce);
    assert_int_equal (frame.taken.count, count);
    for (uint32_t index = 0; index < count; index++) {
        assert_int_equal (frame.taken.verdicts[index], verdict);
    }
}

//  T-184
static void
a_watcher_hears_of_a_binding_at_once (void **state)
{
    (void) state;
    s_watch ();
    s_bind (TRN_EXCHANGE_FANOUT, 0, 0, 3);
    trn_dirframe_t frame;
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_BINDINGS);
    assert_int_equal (frame.bindings.nonce, 0);
    assert_int_equal (frame.bindings.items.left, 3);
    assert_false (s_hear (WATCHER, &frame));
    //  Nothing new, nothing to hear.
    s_bind (TRN_EXCHANGE_FANOUT, 0, 0, 3);
    assert_false (s_hear (WATCHER, &frame));
}

//  T-184
static void
a_watcher_far_behind_finds_out_by_the_digest (void **state)
{
    (void) state;
    s_watch ();
    for (unsigned index = 0; index < 2 * TRN_BINDINGS_NEWS; index += 64) {
        s_bind (TRN_EXCHANGE_FANOUT, 0, index, 64);
        s_now_ms += 100;
    }
    trn_dirframe_t frame;
    size_t told = 0;
    while (s_hear (WATCHER, &frame)) {
        told += frame.bindings.items.left;
    }
    assert_true (told < 2 * TRN_BINDINGS_NEWS);
    const trn_dirframe_t ping = {.type = TRN_DIR_PING, .ping = {.nonce = 1}};
    s_say (WATCHER, &ping);
    assert_true (s_hear (WATCHER, &frame));
    assert_int_equal (frame.type, TRN_DIR_PONG);
    assert_true (frame.pong.digest
                 == trn_bindings_digest (trn_registry_bindings (s_registry)));
}

//  T-185
static void
only_buckets_that_differ_are_told (void **state)
{
    (void) state;
    for (unsigned index = 0; index < 1000; index += 50) {
        s_bind (TRN_EXCHANGE_FANOUT, 0, index, 50);
    }
    const trn_bindings_t *table = trn_registry_bindings (s_registry);
    uint8_t buckets[TRN_BINDING_BUCKETS * 8] = {0};
    for (unsigned bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
        uint64_t digest = trn_bindings_bucket (table, bucket);
        digest += bucket == 77;
        for (int byte = 0; byte < 8; byte++) {
            buckets[bucket * 8 + (unsigned) byte]
                = (uint8_t) (digest >> 8 * byte);
        }
    }
    const trn_dirframe_t digests = {
        .type = TRN_DIR_DIGESTS,
        .digests = {.nonce = 3, .buckets = buckets},
    };
    s_say (ROUTE, &digests);
    trn_dirframe_t frame;
    assert_true (s_hear (ROUTE, &frame));
    assert_int_equal (frame.type, TRN_DIR_DIGESTS);
    assert_true (s_hear (ROUTE, &frame));
    assert_int_equal (frame.type, TRN_DIR_BINDINGS);
    assert_true (frame.bindings.last && frame.bindings.nonce == 3);
    size_t in_bucket = 0;
    trn_binding_t binding;
    while (trn_bindings_in_bucket (table, 77, in_bucket, &binding)) {
        in_bucket++;
    }
    assert_int_equal (frame.bindings.items.left, in_bucket);
    assert_false (s_hear (ROUTE, &frame));
}

//  T-183
static void
an_answer_waits_for_the_disk (void **state)
{
    (void) state;
    s_new (0, true);
    s_bind (TRN_EXCHANGE_FANOUT, 1, 0, 2);
    trn_dirframe_t frame;
    assert_false (s_hear (ROUTE, &frame));
    assert_int_equal (s_saves, 1);
    //  What comes while it is saved waits for the next save.
    s_bind (TRN_EXCHANGE_FANOUT, 2, 10, 2);
    assert_false (s_hear (ROUTE, &frame));
    assert_int_equal (s_saves, 1);
    trn_registry_on_saved (s_registry, true, s_now_ms);
    s_expect_verdicts (1, 2, TRN_DIR_TOOK);
    assert_false (s_hear (ROUTE, &frame));
    assert_int_equal (s_saves, 2);
    //  A disk that says no is tried again after a while.
    trn_registry_on_saved (s_registry, false, s_now_ms);
    assert_false (s_hear (ROUTE, &frame));
    assert_int_equal (s_saves, 2);
    s_now_ms = trn_registry_deadline (s_registry);
    trn_registry_on_tick (s_registry, s_now_ms);
    assert_false (s_hear (ROUTE, &frame));
    assert_int_equal (s_saves, 3);
    trn_registry_on_saved (s_registry, true, s_now_ms);
    s_expect_verdicts (2, 2, TRN_DIR_TOOK);
    //  Nothing new: it is on the disk already.
    s_bind (TRN_EXCHANGE_FANOUT, 3, 0, 2);
    s_expect_verdicts (3, 2, TRN_DIR_TOOK);
    assert_int_equal (s_saves, 3);
}

//  T-186
static void
another_type_is_refused_when_asked_and_kept_when_told (void **state)
{
    (void) state;
    s_bind (TRN_EXCHANGE_FANOUT, 1, 0, 1);
    s_expect_verdicts (1, 1, TRN_DIR_TOOK);
    s_bind (TRN_EXCHANGE_TOPIC, 2, 5, 2);
    s_expect_verdicts (2, 2, TRN_DIR_TOOK_TYPE);
    assert_int_equal (s_count (), 1);
    s_bind (TRN_EXCHANGE_TOPIC, 0, 5, 2);
    assert_int_equal (s_count (), 3);
    //  It is there now: asked again, it is so.
    s_bind (TRN_EXCHANGE_TOPIC, 3, 5, 2);
    s_expect_verdicts (3, 2, TRN_DIR_TOOK);
}

//  T-145
static void
a_stranger_cannot_grow_it_beyond_its_bound (void **state)
{
    (void) state;
    s_new (100, false);
    s_bind (TRN_EXCHANGE_FANOUT, 1, 0, 64);
    s_expect_verdicts (1, 64, TRN_DIR_TOOK);
    for (unsigned index = 1; index < 50; index++) {
        s_bind (TRN_EXCHANGE_FANOUT, 0, 64 * index, 64);
    }
    assert_int_equal (s_count (), 100);
    s_bind (TRN_EXCHANGE_FANOUT, 9, 90000, 1);
    s_expect_verdicts (9, 1, TRN_DIR_TOOK_FULL);
    //  Too many in one question is nonsense.
    tern_directory_stats_t before;
    tern_directory_stats_t after;
    trn_registry_stats (s_registry, &before);
    s_bind (TRN_EXCHANGE_FANOUT, 10, 0, TRN_DIR_ASK_MAX + 1);
    trn_registry_stats (s_registry, &after);
    assert_int_equal (after.garbage, before.garbage + 1);
    assert_int_equal (after.bindings, 100);
    trn_dirframe_t frame;
    assert_false (s_hear (ROUTE, &frame));
}

static void
what_is_saved_is_what_it_starts_from (void **state)
{
    (void) state;
    s_bind (TRN_EXCHANGE_FANOUT, 0, 0, 64);
    const uint64_t digest
        = trn_bindings_digest (trn_registry_bindings (s_registry));
    size_t size;
    uint8_t *kept = trn_registry_state (s_registry, &size);
    s_new (0, true);
    assert_int_equal (trn_registry_restore (s_registry, kept, size), 0);
    free (kept);
    assert_true (trn_bindings_digest (trn_registry_bindings (s_registry))
                 == digest);
    //  It is on the disk: nothing to save.
    trn_dirframe_t frame;
    assert_false (s_hear (ROUTE, &frame));
    assert_int_equal (s_saves, 0);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (a_watcher_hears_of_a_binding_at_once,
                                         s_set_up, s_tear_down),
        cmocka_unit_test_setup_teardown (
            a_watcher_far_behind_finds_out_by_the_digest, s_set_up,
            s_tear_down),
        cmocka_unit_test_setup_teardown (only_buckets_that_differ_are_told,
                                         s_set_up, s_tear_down),
        cmocka_unit_test_setup_teardown (an_answer_waits_for_the_disk, s_set_up,
                                         s_tear_down),
        cmocka_unit_test_setup_teardown (
            another_type_is_refused_when_asked_and_kept_when_told, s_set_up,
            s_tear_down),
        cmocka_unit_test_setup_teardown (
            a_stranger_cannot_grow_it_beyond_its_bound, s_set_up, s_tear_down),
        cmocka_unit_test_setup_teardown (what_is_saved_is_what_it_starts_from,
                                         s_set_up, s_tear_down),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
