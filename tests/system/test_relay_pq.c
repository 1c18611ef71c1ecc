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
        bank_until (place, "SELECT count(*) FROM pg_locks"
                           " WHERE locktype = 'advisory' AND NOT granted");
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
        cmocka_unit_test (test_the_order_of_commits_is_kept),
        cmocka_unit_test (test_a_lost_connection_is_replaced),
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
