//  test_limits - outboxes at their limit, a disk that is full, a long backlog
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUE "hello"

//  At the limit ----------------------------------------------------------------

static void
test_a_full_outbox_blocks_until_something_is_settled (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "limit_messages", "100", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_send_numbers (producer, "job", 100);
    assert_int_equal (tern_producer_send (producer, "no", 2, 0, NULL),
                      TERN_EAGAIN);
    assert_int_equal (tern_producer_send (producer, "no", 2, 30, NULL),
                      TERN_ETIMEOUT);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    scene_accept_numbers (consumer, "job", 1, 100);
    //  Blocks no longer than room takes to come.
    const uint64_t seq = scene_send (producer, "job 101");
    scene_accept_numbers (consumer, "job", 101, 101);
    scene_settled (producer, seq);
    assert_int_equal (scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER).refused,
                      2);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  One that somebody holds, or that waits for its time, is one message, however
//  many were sent and settled since.
static void
s_settle_behind_one (const scene_t *scene, const char *at_limit)
{
    tern_peer_t *orders = scene_peer (scene, "orders-1", "limit_messages",
                                      "100", "at_limit", at_limit, NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 10);
    scene_send (producer, "held");
    tern_msg_t *held = tern_msg_dup (scene_expect (consumer, "held"));
    for (unsigned number = 1; number <= 250; number++) {
        char text[64];
        snprintf (text, sizeof text, "job %u", number);
        scene_send (producer, text);
        scene_accept (consumer, text);
    }
    assert_int_equal (tern_consumer_accept (consumer, held), TERN_OK);
    tern_msg_destroy (&held);
    scene_settled (producer, tern_producer_last (producer));
    const tern_stats_t stats = scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER);
    assert_int_equal (stats.refused, 0);
    assert_int_equal (stats.dropped, 0);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_what_is_settled_behind_one_that_is_not_makes_room (void **state)
{
    s_settle_behind_one (*state, "block");
}

static void
test_one_that_is_held_is_not_dropped_for_what_is_settled (void **state)
{
    s_settle_behind_one (*state, "drop_oldest");
}

static void
test_a_full_outbox_refuses_when_told_to (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", "limit_messages",
                                      "100", "at_limit", "refuse", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_send_numbers (producer, "job", 100);
    assert_int_equal (tern_producer_send (producer, "no", 2, -1, NULL),
                      TERN_EFULL);
    assert_int_equal (tern_producer_last (producer), 100);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 100);
}

static void
test_a_full_outbox_drops_the_oldest_when_told_to (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", "limit_messages",
                                      "100", "at_limit", "drop_oldest", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const uint64_t last = scene_send_numbers (producer, "job", 150);
    scene_event (orders, "TERN-MESSAGES-DROPPED");
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    scene_accept_numbers (consumer, "job", 51, 150);
    scene_settled (producer, last);
    assert_int_equal (scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER).dropped,
                      50);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  A full disk -----------------------------------------------------------------

static bool
s_write_file (const char *path, const char *text)
{
    const int fd = open (path, O_WRONLY | O_CLOEXEC);
    const bool done
        = fd >= 0 && write (fd, text, strlen (text)) == (ssize_t) strlen (text);
    if (fd >= 0) {
        close (fd);
    }
    return done;
}

//  A small disk that only this process sees; false where that is not allowed.
static bool
s_mount_small (const char *path)
{
    char map[64];
    const unsigned uid = getuid ();
    if (unshare (CLONE_NEWNS) != 0) {
        if (unshare (CLONE_NEWUSER | CLONE_NEWNS) != 0) {
            return false;
        }
        snprintf (map, sizeof map, "%u %u 1", uid, uid);
        if (!s_write_file ("/proc/self/uid_map", map)) {
            return false;
        }
    }
    return mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
           && mkdir (path, 0700) == 0
           && mount ("tmpfs", path, "tmpfs", 0, "size=12m,mode=0700") == 0;
}

//  full: fill the disk, drain it, and go on.  Says how many it held.
static int
s_fill_disk (const scene_t *scene, int argc, char **argv)
{
    (void) argc;
    (void) argv;
    char disk[100];
    char data[120];
    snprintf (disk, sizeof disk, "%s/small", scene->folder);
    snprintf (data, sizeof data, "%s/orders-1", disk);
    if (!s_mount_small (disk)) {
        printf ("skip\n");
        return 0;
    }
    tern_peer_t *peer = scene_peer (scene, "orders-1", "data", data, NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    static char body[4096];
    unsigned held = 0;
    int rc = TERN_OK;
    while (rc == TERN_OK && held < 10000) {
        snprintf (body, sizeof body, "%u", held + 1);
        rc = tern_producer_send (producer, body, sizeof body, SCENE_DEADLINE_MS,
                                 NULL);
        held += rc == TERN_OK;
    }
    if (rc != TERN_EFULL) {
        printf ("not full but %s after %u\n", tern_strerror (rc), held);
        return 1;
    }
    //  Draining needs no room, so it works now of all times.
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 0);
    for (unsigned number = 1; number <= held; number++) {
        tern_msg_t *msg = tern_consumer_recv (consumer, SCENE_DEADLINE_MS);
        if (!msg || strtoul (tern_msg_body (msg), NULL, 10) != number) {
            printf ("number %u is not there\n", number);
            return 1;
        }
        tern_consumer_accept (consumer, msg);
    }
    scene_settled (producer, tern_producer_last (producer));
    //  And sending works again by itself.
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    do {
        rc = tern_producer_send (producer, "after", 5, 100, NULL);
    } while (rc != TERN_OK && scene_now_ms () < until);
    tern_msg_t *msg = tern_consumer_recv (consumer, SCENE_DEADLINE_MS);
    if (rc != TERN_OK || !msg || tern_msg_size (msg) != 5) {
        printf ("does not go on: %s\n", tern_strerror (rc));
        return 1;
    }
    tern_consumer_accept (consumer, msg);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    const uint64_t left = tern_peer_close (&peer, SCENE_DEADLINE_MS);
    printf ("held %u left %llu\n", held, (unsigned long long) left);
    return 0;
}

static void
test_a_full_disk_loses_nothing_and_can_be_drained (void **state)
{
    scene_child_t child;
    scene_start (*state, &child, "full", NULL);
    const char *said = scene_line (&child);
    assert_non_null (said);
    printf ("# %s\n", said);
    unsigned held = 0;
    unsigned left = 0;
    if (strcmp (said, "skip") != 0) {
        if (sscanf (said, "held %u left %u", &held, &left) != 2) {
            fail_msg ("%s", said);
        }
        assert_true (held > 500);
        assert_int_equal (left, 0);
    }
    assert_int_equal (scene_ended (&child), 0);
}

//  A long backlog --------------------------------------------------------------

#define BACKLOG 1000000u
#define BACKLOG_MEMORY (100ull * 1024 * 1024)

static void
test_a_million_messages_wait_on_the_disk_not_in_memory (void **state)
{
    const unsigned count = scene_is_instrumented () ? BACKLOG / 50 : BACKLOG;
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    char body[64] = "";
    for (unsigned number = 1; number <= count; number++) {
        memcpy (body, &number, sizeof number);
        assert_int_equal (tern_producer_send (producer, body, sizeof body,
                                              SCENE_DEADLINE_MS, NULL),
                          TERN_OK);
    }
    assert_int_equal (tern_producer_wait (producer,
                                          tern_producer_last (producer),
                                          TERN_WRITTEN, SCENE_DEADLINE_MS),
                      TERN_OK);
    const unsigned long long waiting = scene_resident ();
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), count);

    //  A new life finds them all, in memory that does not grow with them.
    orders = scene_peer (*state, "orders-1", NULL);
    producer = scene_producer (orders, QUEUE);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    unsigned long long most = waiting;
    for (unsigned number = 1; number <= count; number++) {
        tern_msg_t *msg = scene_receive (consumer);
        unsigned found = 0;
        memcpy (&found, tern_msg_body (msg), sizeof found);
        assert_int_equal (found, number);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
        if (number % 10000 == 0) {
            const unsigned long long now = scene_resident ();
            most = now > most ? now : most;
        }
    }
    scene_settled (producer, tern_producer_last (producer));
    printf ("# resident: waiting %llu MiB, at most %llu MiB\n", waiting >> 20,
            most >> 20);
    if (!scene_is_instrumented ()) {
        //  Both peers are in this process.
        assert_true (waiting <= BACKLOG_MEMORY);
        assert_true (most <= 2 * BACKLOG_MEMORY);
    }
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[] = {{"full", s_fill_disk}, {NULL, NULL}};
    const int played = scene_main (roles, argc, argv);
    if (played >= 0) {
        return played;
    }
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_a_full_outbox_blocks_until_something_is_settled),
        CLAIM (test_what_is_settled_behind_one_that_is_not_makes_room),
        CLAIM (test_one_that_is_held_is_not_dropped_for_what_is_settled),
        CLAIM (test_a_full_outbox_refuses_when_told_to),
        CLAIM (test_a_full_outbox_drops_the_oldest_when_told_to),
        CLAIM (test_a_full_disk_loses_nothing_and_can_be_drained),
        CLAIM (test_a_million_messages_wait_on_the_disk_not_in_memory),
    };
    return cmocka_run_group_tests_name ("limits", tests, NULL, NULL);
}
