//  test_relay_sqlite - messages sent by the transactions of an SQLite database
//
//  SPDX-License-Identifier: MPL-2.0

#include "relay_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int
s_setup (void **state)
{
    scene_setup (state);
    return bank_begin_all (((scene_t *) *state)->folder) ? -1 : 0;
}

static void
test_what_was_committed_is_sent_in_order (void **state)
{
    relay_sends_what_was_committed_in_order (state);
}

static void
test_all_of_a_message_is_sent (void **state)
{
    relay_sends_all_of_a_message (state);
}

static void
test_a_row_that_cannot_be_sent_stops_nobody (void **state)
{
    relay_row_that_cannot_be_sent_stops_nobody (state);
}

static void
test_a_place_that_is_full_stops_no_other (void **state)
{
    relay_place_that_is_full_stops_no_other (state);
}

static void
test_exchanges_get_what_is_put_for_them (void **state)
{
    relay_sends_to_exchanges (state);
}

static void
test_a_database_belongs_to_one_store (void **state)
{
    relay_database_belongs_to_one_store (state);
}

static void
test_a_database_that_went_back_is_refused (void **state)
{
    relay_database_that_went_back_is_refused (state);
}

static void
test_an_outbox_that_went_back_is_refused (void **state)
{
    relay_outbox_that_went_back_is_refused (state);
}

//  An application that holds its transaction for long.
static void
test_a_locked_database_is_waited_for (void **state)
{
    char *place = bank_place ("locked");
    bank_t *shop = bank_open (place);
    bank_make_outbox (shop);
    tern_peer_t *peer = scene_peer (*state, "shop-locked", NULL);
    tern_relay_t *relay = bank_relay (place, peer);
    relay_put (shop, "orders", "one");
    bank_begin (shop);
    relay_expect_error (relay, TERN_EAGAIN);
    assert_int_equal (relay_rows (shop), 1);
    bank_commit (shop);
    assert_int_equal (tern_relay_wait (relay, SCENE_DEADLINE_MS), TERN_OK);
    relay_expect_error (relay, TERN_OK);
    assert_int_equal (relay_rows (shop), 0);
    tern_relay_close (&relay);
    tern_peer_close (&peer, 0);
    bank_close (&shop);
    free (place);
}

static void
test_the_database_may_fail_at_every_call (void **state)
{
    relay_database_may_fail_at_every_call (state);
}

static void
test_the_relay_may_be_killed_at_every_step (void **state)
{
    relay_may_be_killed_at_every_step (state);
}

static void
test_the_application_may_be_killed_at_every_step (void **state)
{
    relay_application_may_be_killed_at_every_step (state);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[]
        = {{"run", relay_run}, {"apply", relay_apply}, {NULL, NULL}};
    const int role = scene_main (roles, argc, argv);
    if (role >= 0) {
        return role;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_what_was_committed_is_sent_in_order),
        cmocka_unit_test (test_all_of_a_message_is_sent),
        cmocka_unit_test (test_a_row_that_cannot_be_sent_stops_nobody),
        cmocka_unit_test (test_a_place_that_is_full_stops_no_other),
        cmocka_unit_test (test_exchanges_get_what_is_put_for_them),
        cmocka_unit_test (test_a_database_belongs_to_one_store),
        cmocka_unit_test (test_a_database_that_went_back_is_refused),
        cmocka_unit_test (test_an_outbox_that_went_back_is_refused),
        cmocka_unit_test (test_a_locked_database_is_waited_for),
        cmocka_unit_test (test_the_database_may_fail_at_every_call),
        cmocka_unit_test (test_the_relay_may_be_killed_at_every_step),
        cmocka_unit_test (test_the_application_may_be_killed_at_every_step),
    };
    return cmocka_run_group_tests (tests, s_setup, scene_teardown);
}
