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
        RELAY_CLAIMS,
        cmocka_unit_test (test_a_locked_database_is_waited_for),
    };
    return cmocka_run_group_tests (tests, s_setup, scene_teardown);
}
