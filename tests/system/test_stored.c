//  test_stored - a consumer's inbox, and what its publishers hear of it
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUE "hello"
#define MANY 200u

//  Long enough for a message that must not come.
#define SILENCE_MS 500

//  A disk that lets this process down.
static atomic_bool s_disk_fails;

int
fdatasync (int fd)
{
    if (atomic_load (&s_disk_fails)) {
        errno = EIO;
        return -1;
    }
    return (int) syscall (SYS_fdatasync, fd);
}

//  Parts ---------------------------------------------------------------------

static tern_consumer_t *
s_keep (tern_peer_t *peer, bool early, uint32_t prefetch)
{
    tern_consumer_t *consumer = NULL;
    const tern_consumer_options_t options
        = {.prefetch = prefetch, .inbox = true, .settle_early = early};
    assert_int_equal (tern_consumer_open (&consumer, peer, QUEUE, &options),
                      TERN_OK);
    return consumer;
}

//  Wait until all up to seq have this level, in a child's publisher or ours.
static void
s_reach (tern_producer_t *producer, uint64_t seq, tern_level_t level)
{
    assert_int_equal (
        tern_producer_wait (producer, seq, level, SCENE_DEADLINE_MS), TERN_OK);
    assert_true (tern_producer_reached (producer, level) >= seq);
    assert_true (tern_producer_level (producer, seq) >= (int) level);
}

static void
s_nothing_comes (tern_consumer_t *consumer)
{
    assert_null (tern_consumer_recv (consumer, SILENCE_MS));
}

static int
s_remove (const char *path, const struct stat *status, int type,
          struct FTW *where)
{
    (void) status;
    (void) type;
    (void) where;
    return remove (path);
}

static void
s_lose_store (const scene_t *scene, const char *peer)
{
    char path[128];
    snprintf (path, sizeof path, "%s/%s", scene->folder, peer);
    assert_int_equal (nftw (path, s_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static uint64_t
s_dead (tern_peer_t *peer)
{
    const size_t count = tern_peer_stats (peer, NULL, 0);
    tern_stats_t *rows = calloc (count + 1, sizeof *rows);
    assert_non_null (rows);
    tern_peer_stats (peer, rows, count);
    uint64_t dead = 0;
    for (size_t index = 0; index < count; index++) {
        dead += rows[index].role == TERN_ROLE_PUBLISHER
                        && strcmp (rows[index].queue, QUEUE ".dead") == 0
                    ? rows[index].depth
                    : 0;
    }
    free (rows);
    return dead;
}

static bool
s_has_dead (void *arg)
{
    return s_dead (arg) == 1;
}

//  Roles ---------------------------------------------------------------------

//  hold NAME early|late COUNT: take COUNT messages into an inbox, hand them out,
//  settle none, stay.
static int
s_hold (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 3);
    tern_peer_t *peer
        = scene_peer (scene, argv[0], "queue/hello/max_deliveries", "3", NULL);
    const unsigned count = (unsigned) strtoul (argv[2], NULL, 10);
    tern_consumer_t *consumer
        = s_keep (peer, strcmp (argv[1], "early") == 0, 0);
    printf ("here\n");
    fflush (stdout);
    for (unsigned taken = 0; taken < count; taken++) {
        tern_msg_t *msg = tern_msg_dup (scene_receive (consumer));
        printf ("%.*s %u%s\n", (int) tern_msg_size (msg),
                (const char *) tern_msg_body (msg), tern_msg_deliveries (msg),
                tern_msg_redelivered (msg) ? " again" : "");
        fflush (stdout);
    }
    scene_stay ();
}

//  Levels --------------------------------------------------------------------

static void
test_stored_is_between_synced_and_processed (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = s_keep (payment, false, 0);
    const uint64_t last = scene_send_numbers (producer, "n", 3);
    s_reach (producer, last, TERN_STORED);
    assert_true (tern_producer_stores (producer));
    assert_int_equal (tern_producer_level (producer, 1), TERN_STORED);
    assert_int_equal (tern_producer_reached (producer, TERN_PROCESSED), 0);
    scene_accept_numbers (consumer, "n", 1, 3);
    s_reach (producer, last, TERN_PROCESSED);
    assert_int_equal (tern_producer_level (producer, 1), TERN_PROCESSED);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_without_an_inbox_only_processed_is_stored (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    const uint64_t last = scene_send (producer, "once");
    const tern_msg_t *msg = scene_expect (consumer, "once");
    assert_int_equal (
        tern_producer_wait (producer, last, TERN_STORED, SILENCE_MS),
        TERN_ETIMEOUT);
    assert_false (tern_producer_stores (producer));
    assert_int_equal (tern_producer_level (producer, last), TERN_SYNCED);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    s_reach (producer, last, TERN_STORED);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_early_it_is_processed_when_it_is_taken_over (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = s_keep (payment, true, 1);
    const uint64_t last = scene_send_numbers (producer, "n", MANY);
    s_reach (producer, last, TERN_PROCESSED);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
    scene_accept_numbers (consumer, "n", 1, MANY);
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
}

static void
test_a_message_from_an_inbox_is_that_of_its_publisher (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = s_keep (payment, true, 0);
    tern_msg_t *sent = tern_msg_new ("paid", 4);
    assert_int_equal (tern_msg_set_key (sent, "eu"), TERN_OK);
    assert_int_equal (tern_msg_set_header (sent, "colour", "red"), TERN_OK);
    assert_int_equal (tern_msg_set_priority (sent, 7), TERN_OK);
    assert_int_equal (tern_msg_set_order_key (sent, "customer"), TERN_OK);
    scene_send_msg (producer, sent);
    tern_msg_t *msg = scene_expect (consumer, "paid");
    size_t size = 0;
    assert_string_equal (tern_msg_id (msg), "orders-1/hello/1");
    assert_string_equal (tern_msg_publisher (msg), "orders-1");
    assert_string_equal (tern_msg_outbox (msg), QUEUE);
    assert_string_equal (tern_msg_queue (msg), QUEUE);
    assert_int_equal (tern_msg_seq (msg), 1);
    assert_memory_equal (tern_msg_key (msg, &size), "eu", 2);
    assert_memory_equal (tern_msg_header (msg, "colour", &size), "red", 3);
    assert_int_equal (tern_msg_priority (msg), 7);
    assert_memory_equal (tern_msg_order_key (msg, &size), "customer", 8);
    assert_int_equal (tern_msg_deliveries (msg), 1);
    assert_false (tern_msg_redelivered (msg));
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

//  Ends ----------------------------------------------------------------------

//  A consumer that is killed after it has stored: its next life has the messages,
//  once each, while the publisher lives, and they say that they come again.
static void
s_killed_after_stored (void **state, bool early)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const uint64_t last = scene_send_numbers (producer, "n", MANY);
    scene_child_t child;
    scene_start (*state, &child, "hold", "payment-1", early ? "early" : "late",
                 "1", NULL);
    scene_says (&child, "here");
    scene_says (&child, "n 1 1");
    s_reach (producer, last, early ? TERN_PROCESSED : TERN_STORED);
    scene_kill (&child);

    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, early, 0);
    for (unsigned number = 1; number <= MANY; number++) {
        char text[32];
        snprintf (text, sizeof text, "n %u", number);
        tern_msg_t *msg = scene_expect (consumer, text);
        assert_true (tern_msg_redelivered (msg));
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    s_reach (producer, last, TERN_PROCESSED);
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_what_a_killed_consumer_had_stored_comes_once (void **state)
{
    s_killed_after_stored (state, false);
}

static void
test_what_a_killed_consumer_had_taken_over_comes_once (void **state)
{
    s_killed_after_stored (state, true);
}

static void
s_publisher_lost (void **state, bool early)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const uint64_t last = scene_send_numbers (producer, "n", MANY);
    scene_child_t child;
    scene_start (*state, &child, "hold", "payment-1", early ? "early" : "late",
                 "0", NULL);
    scene_says (&child, "here");
    s_reach (producer, last, early ? TERN_PROCESSED : TERN_STORED);
    scene_kill (&child);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
    s_lose_store (*state, "orders-1");

    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, early, 0);
    tern_msg_t *first = scene_expect (consumer, "n 1");
    assert_string_equal (tern_msg_id (first), "orders-1/hello/1");
    assert_int_equal (tern_consumer_requeue (consumer, first), TERN_OK);
    unsigned count = 0;
    for (; count < MANY; count++) {
        const tern_msg_t *msg = scene_receive (consumer);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
}

static void
test_stored_survives_the_publishers_disk (void **state)
{
    s_publisher_lost (state, false);
}

static void
test_taken_over_survives_the_publishers_disk (void **state)
{
    s_publisher_lost (state, true);
}

static void
s_restarted (void **state, bool early)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const uint64_t last = scene_send_numbers (producer, "n", 4);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, early, 0);
    s_reach (producer, last, TERN_STORED);
    scene_accept_numbers (consumer, "n", 1, 2);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);

    payment = scene_peer (*state, "payment-1", NULL);
    consumer = s_keep (payment, early, 0);
    scene_accept_numbers (consumer, "n", 3, 4);
    s_reach (producer, last, TERN_PROCESSED);
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_a_restart_repeats_nothing_that_was_done (void **state)
{
    s_restarted (state, false);
}

static void
test_an_early_restart_repeats_nothing_that_was_done (void **state)
{
    s_restarted (state, true);
}

//  Room ----------------------------------------------------------------------

static void
test_a_full_inbox_leaves_messages_with_their_publisher (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_peer_t *payment
        = scene_peer (*state, "payment-1", "limit_messages", "10", NULL);
    tern_consumer_t *consumer = s_keep (payment, true, 1);
    const uint64_t last = scene_send_numbers (producer, "n", MANY);
    s_reach (producer, 5, TERN_PROCESSED);
    assert_int_equal (
        tern_producer_wait (producer, last, TERN_STORED, SILENCE_MS),
        TERN_ETIMEOUT);
    assert_true (tern_producer_reached (producer, TERN_PROCESSED) <= 10);
    scene_accept_numbers (consumer, "n", 1, MANY);
    s_reach (producer, last, TERN_PROCESSED);
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  publish NAME COUNT: say how many were sent, then the level that they reach.
static int
s_publish (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 2);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    const unsigned count = (unsigned) strtoul (argv[1], NULL, 10);
    const uint64_t last = scene_send_numbers (producer, "n", count);
    printf ("sent\n");
    fflush (stdout);
    const int rc
        = tern_producer_wait (producer, last, TERN_STORED, 4 * SILENCE_MS);
    printf ("%s\n", rc == TERN_OK ? "stored" : "not stored");
    fflush (stdout);
    s_reach (producer, last, TERN_PROCESSED);
    tern_producer_close (&producer);
    return tern_peer_close (&peer, 0) == 0 ? 0 : 1;
}

//  What could not be synced was never called stored, and comes in the next life.
static void
test_a_failed_sync_ends_the_inbox_and_loses_nothing (void **state)
{
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, true, 1);
    atomic_store (&s_disk_fails, true);
    scene_child_t child;
    scene_start (*state, &child, "publish", "orders-1", "20", NULL);
    scene_says (&child, "sent");
    scene_event (payment, "TERN-INBOX-FAILED");
    scene_says (&child, "not stored");
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    atomic_store (&s_disk_fails, false);

    payment = scene_peer (*state, "payment-1", NULL);
    consumer = s_keep (payment, true, 1);
    scene_accept_numbers (consumer, "n", 1, 20);
    assert_int_equal (scene_ended (&child), 0);
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
}

//  Not done ------------------------------------------------------------------

static void
test_requeued_and_rejected_go_to_the_publisher (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, false, 0);
    const uint64_t last = scene_send (producer, "hard");
    s_reach (producer, last, TERN_STORED);
    const tern_msg_t *msg = scene_expect (consumer, "hard");
    assert_int_equal (tern_consumer_requeue (consumer, msg), TERN_OK);
    msg = scene_expect (consumer, "hard");
    assert_int_equal (tern_msg_deliveries (msg), 2);
    assert_true (tern_msg_redelivered (msg));
    assert_int_equal (tern_consumer_reject (consumer, msg), TERN_OK);
    scene_until (orders, s_has_dead, orders, "a dead letter there");
    assert_int_equal (s_dead (payment), 0);
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_early_requeued_and_rejected_stay_here (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, true, 0);
    s_reach (producer, scene_send (producer, "hard"), TERN_PROCESSED);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
    const tern_msg_t *msg = scene_expect (consumer, "hard");
    assert_int_equal (tern_consumer_requeue (consumer, msg), TERN_OK);
    msg = scene_expect (consumer, "hard");
    assert_int_equal (tern_msg_deliveries (msg), 2);
    assert_int_equal (tern_consumer_reject (consumer, msg), TERN_OK);
    scene_until (payment, s_has_dead, payment, "a dead letter here");
    tern_consumer_t *letters = scene_consumer (payment, QUEUE ".dead", 0);
    const tern_msg_t *letter = scene_expect (letters, "hard");
    size_t size = 0;
    assert_memory_equal (tern_msg_header (letter, "tern.dead.id", &size),
                         "orders-1/hello/1", 16);
    assert_memory_equal (tern_msg_header (letter, "tern.dead.queue", &size),
                         QUEUE, strlen (QUEUE));
    tern_consumer_close (&letters);
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
}

//  The policy of the children allows three deliveries.  The first is over only
//  when the message is taken over: before that, its publisher would count it.
static void
test_deliveries_are_counted_across_crashes (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const uint64_t seq = scene_send (producer, "poison");
    static const char *const said[]
        = {"poison 1", "poison 2 again", "poison 3 again"};
    for (unsigned life = 0; life < 3; life++) {
        scene_child_t child;
        scene_start (*state, &child, "hold", "payment-1", "early", "1", NULL);
        scene_says (&child, "here");
        scene_says (&child, said[life]);
        s_reach (producer, seq, TERN_PROCESSED);
        scene_kill (&child);
    }
    tern_peer_t *payment = scene_peer (*state, "payment-1",
                                       "queue/hello/max_deliveries", "3", NULL);
    tern_consumer_t *consumer = s_keep (payment, true, 0);
    scene_until (payment, s_has_dead, payment, "a dead letter here");
    s_nothing_comes (consumer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  Options -------------------------------------------------------------------

static void
test_one_inbox_settles_one_way (void **state)
{
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, true, 0);
    tern_consumer_t *other = NULL;
    tern_consumer_options_t options = {.inbox = true};
    assert_int_equal (tern_consumer_open (&other, payment, QUEUE, &options),
                      TERN_EINVAL);
    options = (tern_consumer_options_t) {.settle_early = true};
    assert_int_equal (tern_consumer_open (&other, payment, QUEUE, &options),
                      TERN_EINVAL);
    options = (tern_consumer_options_t) {.inbox = true};
    assert_int_equal (
        tern_consumer_open (&other, payment, "@payment-1", &options),
        TERN_ENAME);
    assert_null (other);
    tern_consumer_close (&consumer);
    options = (tern_consumer_options_t) {.inbox = true};
    assert_int_equal (tern_consumer_open (&other, payment, QUEUE, &options),
                      TERN_OK);
    tern_consumer_close (&other);
    tern_peer_close (&payment, 0);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[]
        = {{"hold", s_hold}, {"publish", s_publish}, {NULL, NULL}};
    const int played = scene_main (roles, argc, argv);
    if (played >= 0) {
        return played;
    }
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(test)                                                            \
    cmocka_unit_test_setup_teardown (test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_stored_is_between_synced_and_processed),
        CLAIM (test_without_an_inbox_only_processed_is_stored),
        CLAIM (test_early_it_is_processed_when_it_is_taken_over),
        CLAIM (test_a_message_from_an_inbox_is_that_of_its_publisher),
        CLAIM (test_what_a_killed_consumer_had_stored_comes_once),
        CLAIM (test_what_a_killed_consumer_had_taken_over_comes_once),
        CLAIM (test_stored_survives_the_publishers_disk),
        CLAIM (test_taken_over_survives_the_publishers_disk),
        CLAIM (test_a_restart_repeats_nothing_that_was_done),
        CLAIM (test_an_early_restart_repeats_nothing_that_was_done),
        CLAIM (test_a_full_inbox_leaves_messages_with_their_publisher),
        CLAIM (test_a_failed_sync_ends_the_inbox_and_loses_nothing),
        CLAIM (test_requeued_and_rejected_go_to_the_publisher),
        CLAIM (test_early_requeued_and_rejected_stay_here),
        CLAIM (test_deliveries_are_counted_across_crashes),
        CLAIM (test_one_inbox_settles_one_way),
    };
    return cmocka_run_group_tests_name ("stored", tests, NULL, NULL);
}
