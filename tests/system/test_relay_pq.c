//  test_relay_pq - messages sent by the transactions of a PostgreSQL database
//
//  SPDX-License-Identifier: MPL-2.0

#include "relay_story.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

typedef struct {
    bank_t *bank;
    const char *text;
} s_putting_t;

static void *
s_put_and_commit (void *arg)
{
    s_putting_t *putting = arg;
    bank_begin (putting->bank);
    relay_put (putting->bank, "orders", putting->text);
    bank_commit (putting->bank);
    return NULL;
}

//  The first to put is the first to commit, and so it is sent; whoever has not
//  committed holds nobody up who does not put.
static void
test_the_order_of_commits_is_kept (void **state)
{
    char *place = bank_place ("side-by-side");
    bank_t *one = bank_open (place);
    bank_t *two = bank_open (place);
    bank_make_outbox (one);
    tern_peer_t *peer = scene_peer (*state, "shop-side", NULL);
    tern_relay_t *relay = bank_relay (place, peer);
    tern_peer_t *bank = scene_peer (*state, "bank", NULL);
    tern_consumer_t *consumer = scene_consumer (bank, "orders", 10);
    for (int round = 0; round < 20; round++) {
        s_putting_t second = {two, "second"};
        pthread_t thread;
        bank_begin (one);
        relay_put (one, "orders", "first");
        pthread_create (&thread, NULL, s_put_and_commit, &second);
        bank_t *watcher = bank_open (place);
        while (bank_number (watcher, "SELECT count(*) FROM pg_locks"
                                     " WHERE locktype = 'advisory'"
                                     " AND NOT granted")
               == 0) {
        }
        bank_close (&watcher);
        bank_do (one, round % 2 ? "ROLLBACK" : "COMMIT");
        pthread_join (thread, NULL);
        if (round % 2 == 0) {
            tern_consumer_accept (consumer, scene_expect (consumer, "first"));
        }
        tern_consumer_accept (consumer, scene_expect (consumer, "second"));
    }
    tern_consumer_close (&consumer);
    tern_peer_close (&bank, 0);
    tern_relay_close (&relay);
    tern_peer_close (&peer, 0);
    bank_close (&two);
    bank_close (&one);
    free (place);
}

//  The server ends the relay's connection: it makes another.
static void
test_a_lost_connection_is_replaced (void **state)
{
    char *place = bank_place ("cut");
    bank_t *shop = bank_open (place);
    bank_make_outbox (shop);
    tern_peer_t *peer = scene_peer (*state, "shop-cut", NULL);
    tern_relay_t *relay = bank_relay (place, peer);
    for (int round = 0; round < 5; round++) {
        bank_begin (shop);
        relay_put (shop, "orders", "one");
        bank_do (shop, "SELECT pg_terminate_backend (pid)"
                       " FROM pg_stat_activity"
                       " WHERE datname = current_database ()"
                       " AND pid <> pg_backend_pid ()");
        bank_commit (shop);
        assert_int_equal (tern_relay_wait (relay, SCENE_DEADLINE_MS), TERN_OK);
        assert_int_equal (relay_rows (shop), 0);
    }
    tern_producer_t *producer = scene_producer (peer, "orders");
    assert_int_equal (tern_producer_last (producer), 5);
    tern_producer_close (&producer);
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
        cmocka_unit_test (test_the_order_of_commits_is_kept),
        cmocka_unit_test (test_a_lost_connection_is_replaced),
        cmocka_unit_test (test_the_database_may_fail_at_every_call),
        cmocka_unit_test (test_the_relay_may_be_killed_at_every_step),
        cmocka_unit_test (test_the_application_may_be_killed_at_every_step),
    };
    const char *missing = bank_begin_all (NULL);
    if (missing) {
        printf ("1..0 # SKIP %s\n", missing);
    }
    const int failed
        = missing ? 0
                  : cmocka_run_group_tests (tests, scene_setup, scene_teardown);
    bank_end_all ();
    return failed;
}
