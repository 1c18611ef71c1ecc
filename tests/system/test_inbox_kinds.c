//  test_inbox_kinds - large messages and told losses go through an inbox as well
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <tern/large.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUE "hello"
#define SIZE (3u * 1024 * 1024 + 17)

//  Long enough for a level that must not be reached.
#define SILENCE_MS 300

static tern_consumer_t *
s_keep (tern_peer_t *peer, bool early)
{
    tern_consumer_t *consumer = NULL;
    const tern_consumer_options_t options
        = {.inbox = true, .settle_early = early};
    assert_int_equal (tern_consumer_open (&consumer, peer, QUEUE, &options),
                      TERN_OK);
    return consumer;
}

//  hold NAME early|late: take one into an inbox, hand it out, stay.
static int
s_hold (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 2);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_consumer_t *consumer = s_keep (peer, strcmp (argv[1], "early") == 0);
    const tern_msg_t *msg = scene_receive (consumer);
    printf ("large %llu missed %llu\n",
            (unsigned long long) tern_large_size (msg),
            (unsigned long long) tern_msg_missed (msg));
    fflush (stdout);
    scene_stay ();
}

//  Large -----------------------------------------------------------------------

static uint8_t
s_byte (size_t at)
{
    return (uint8_t) (at * 2654435761u >> 13);
}

static int
s_memory (void)
{
    const int fd = memfd_create ("body", MFD_CLOEXEC);
    assert_true (fd >= 0);
    return fd;
}

static uint64_t
s_send_large (tern_producer_t *producer)
{
    const int fd = s_memory ();
    uint8_t *bytes = malloc (SIZE);
    assert_non_null (bytes);
    for (size_t at = 0; at < SIZE; at++) {
        bytes[at] = s_byte (at);
    }
    assert_int_equal (write (fd, bytes, SIZE), SIZE);
    assert_int_equal (lseek (fd, 0, SEEK_SET), 0);
    free (bytes);
    uint64_t seq = 0;
    assert_int_equal (
        tern_large_send_fd (producer, NULL, fd, SCENE_DEADLINE_MS, &seq),
        TERN_OK);
    close (fd);
    return seq;
}

static void
s_fetch (tern_peer_t *peer, const tern_msg_t *msg)
{
    assert_int_equal (tern_large_size (msg), SIZE);
    const int fd = s_memory ();
    assert_int_equal (tern_large_fetch_file (peer, msg, fd, SCENE_DEADLINE_MS),
                      TERN_OK);
    const uint8_t *bytes = mmap (NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    assert_true (bytes != MAP_FAILED);
    for (size_t at = 0; at < SIZE; at++) {
        assert_int_equal (bytes[at], s_byte (at));
    }
    munmap ((void *) bytes, SIZE);
    close (fd);
}

//  The inbox has the message, its publisher the body: so the publisher is told of
//  nothing before the message is settled, and keeps both.
static void
s_hold_large (void **state, bool early)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const uint64_t seq = s_send_large (producer);
    scene_child_t child;
    char line[64];
    snprintf (line, sizeof line, "large %u missed 0", SIZE);
    scene_start (*state, &child, "hold", "payment-1", early ? "early" : "late",
                 NULL);
    scene_says (&child, line);
    assert_int_equal (
        tern_producer_wait (producer, seq, TERN_STORED, SILENCE_MS),
        TERN_ETIMEOUT);
    scene_kill (&child);

    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, early);
    tern_msg_t *msg = tern_msg_dup (scene_receive (consumer));
    assert_true (tern_msg_redelivered (msg));
    s_fetch (payment, msg);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    tern_msg_destroy (&msg);
    assert_int_equal (
        tern_producer_wait (producer, seq, TERN_PROCESSED, SCENE_DEADLINE_MS),
        TERN_OK);
    assert_null (tern_consumer_recv (consumer, SILENCE_MS));
    tern_consumer_close (&consumer);
    assert_int_equal (tern_peer_close (&payment, 0), 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_a_large_message_is_not_stored_before_it_is_settled (void **state)
{
    s_hold_large (state, false);
}

static void
test_a_large_message_is_not_taken_over_before_it_is_settled (void **state)
{
    s_hold_large (state, true);
}

//  Whoever settles, its letter is where its body is.
static void
s_reject_large (void **state, bool early)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_large (producer);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, early);
    assert_int_equal (tern_consumer_reject (consumer, scene_receive (consumer)),
                      TERN_OK);
    tern_consumer_t *letters = scene_consumer (payment, QUEUE ".dead", 0);
    tern_msg_t *letter = tern_msg_dup (scene_receive (letters));
    assert_string_equal (tern_msg_publisher (letter), "orders-1");
    s_fetch (payment, letter);
    assert_int_equal (tern_consumer_accept (letters, letter), TERN_OK);
    tern_msg_destroy (&letter);
    tern_consumer_close (&letters);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_a_rejected_large_message_is_buried_by_its_publisher (void **state)
{
    s_reject_large (state, false);
}

static void
test_one_rejected_early_is_buried_by_its_publisher (void **state)
{
    s_reject_large (state, true);
}

//  Missed ----------------------------------------------------------------------

//  Twenty of thirty are gone before anybody comes.  The number goes with the first
//  of the others, into the inbox and, after a crash, out of it again.
static void
s_miss (void **state, bool early)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", "limit_messages",
                                      "10", "at_limit", "drop_oldest", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_send_numbers (producer, "n", 30);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 10);
    orders = scene_peer (*state, "orders-1", NULL);
    producer = scene_producer (orders, QUEUE);
    scene_child_t child;
    scene_start (*state, &child, "hold", "payment-1", early ? "early" : "late",
                 NULL);
    scene_says (&child, "large 0 missed 20");
    assert_int_equal (tern_producer_wait (producer, 30,
                                          early ? TERN_PROCESSED : TERN_STORED,
                                          SCENE_DEADLINE_MS),
                      TERN_OK);
    scene_kill (&child);

    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = s_keep (payment, early);
    for (unsigned number = 21; number <= 30; number++) {
        char text[32];
        snprintf (text, sizeof text, "n %u", number);
        const tern_msg_t *msg = scene_expect (consumer, text);
        assert_int_equal (tern_msg_missed (msg), number == 21 ? 20 : 0);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    assert_int_equal (
        tern_producer_wait (producer, 30, TERN_PROCESSED, SCENE_DEADLINE_MS),
        TERN_OK);

    //  Told once: the next has nothing to tell.
    scene_send (producer, "more");
    const tern_msg_t *msg = scene_expect (consumer, "more");
    assert_int_equal (tern_msg_missed (msg), 0);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_what_was_missed_is_told_through_an_inbox (void **state)
{
    s_miss (state, false);
}

static void
test_what_was_missed_is_told_when_it_is_taken_over (void **state)
{
    s_miss (state, true);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[] = {{"hold", s_hold}, {NULL, NULL}};
    const int played = scene_main (roles, argc, argv);
    if (played >= 0) {
        return played;
    }
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(test)                                                            \
    cmocka_unit_test_setup_teardown (test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_a_large_message_is_not_stored_before_it_is_settled),
        CLAIM (test_a_large_message_is_not_taken_over_before_it_is_settled),
        CLAIM (test_a_rejected_large_message_is_buried_by_its_publisher),
        CLAIM (test_one_rejected_early_is_buried_by_its_publisher),
        CLAIM (test_what_was_missed_is_told_through_an_inbox),
        CLAIM (test_what_was_missed_is_told_when_it_is_taken_over),
    };
    return cmocka_run_group_tests_name ("inbox kinds", tests, NULL, NULL);
}
