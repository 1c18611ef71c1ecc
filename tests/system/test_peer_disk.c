//  test_peer_disk - peers whose disk lets them down
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUE "hello"

//  The least that is allowed, and more messages than fit in it: they fill the
//  first segment and part of the second.
#define LITTLE_MEMORY "1048576"
#define LARGE 100000
#define MANY 40u

//  Files ---------------------------------------------------------------------

typedef void
visit_fn (const char *path, void *arg);

//  Every file of this store whose name begins like this.
static void
s_each_file (const scene_t *scene, const char *peer, const char *begin,
             visit_fn *visit, void *arg)
{
    char outboxes[128];
    snprintf (outboxes, sizeof outboxes, "%s/%s/outbox", scene->folder, peer);
    DIR *all = opendir (outboxes);
    assert_non_null (all);
    const struct dirent *entry;
    while ((entry = readdir (all))) {
        char folder[400];
        snprintf (folder, sizeof folder, "%s/%s", outboxes, entry->d_name);
        DIR *one = entry->d_name[0] == '.' ? NULL : opendir (folder);
        const struct dirent *file;
        while (one && (file = readdir (one))) {
            if (strncmp (file->d_name, begin, strlen (begin)) == 0) {
                char path[700];
                snprintf (path, sizeof path, "%s/%s", folder, file->d_name);
                visit (path, arg);
            }
        }
        if (one) {
            closedir (one);
        }
    }
    closedir (all);
}

static void
s_unlink (const char *path, void *arg)
{
    (void) arg;
    assert_int_equal (unlink (path), 0);
}

//  Damage a META that holds this name, and the same again undoes it.
static void
s_flip (const char *path, void *arg)
{
    const char *name = arg;
    unsigned char bytes[65536];
    FILE *file = fopen (path, "r+");
    assert_non_null (file);
    const size_t size = fread (bytes, 1, sizeof bytes, file);
    bool found = false;
    for (size_t at = 0; at + strlen (name) <= size && !found; at++) {
        bool plain = true;
        bool flipped = true;
        for (size_t index = 0; index < strlen (name); index++) {
            plain = plain && bytes[at + index] == (unsigned char) name[index];
            flipped
                = flipped
                  && (bytes[at + index] ^ 0xff) == (unsigned char) name[index];
        }
        found = plain || flipped;
    }
    if (found) {
        for (size_t at = 0; at < size; at++) {
            bytes[at] ^= 0xff;
        }
        rewind (file);
        assert_int_equal (fwrite (bytes, 1, size, file), size);
    }
    fclose (file);
}

//  Messages ------------------------------------------------------------------

static uint64_t
s_send_large (tern_producer_t *producer, unsigned count)
{
    char *body = calloc (1, LARGE);
    assert_non_null (body);
    uint64_t seq = 0;
    for (unsigned number = 0; number < count; number++) {
        assert_int_equal (
            tern_producer_send (producer, body, LARGE, SCENE_DEADLINE_MS, &seq),
            TERN_OK);
    }
    free (body);
    assert_int_equal (
        tern_producer_wait (producer, seq, TERN_SYNCED, SCENE_DEADLINE_MS),
        TERN_OK);
    return seq;
}

//  Accept what comes, until nothing has come for so long or it is enough.
static unsigned
s_accept (tern_consumer_t *consumer, unsigned enough, int patience_ms)
{
    unsigned count = 0;
    tern_msg_t *msg;
    while (count < enough
           && (msg = tern_consumer_recv (consumer, patience_ms)) != NULL) {
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
        count++;
    }
    return count;
}

//  Claims --------------------------------------------------------------------

static void
test_a_segment_that_was_taken_away_is_reported (void **state)
{
    scene_t *scene = *state;
    tern_peer_t *orders
        = scene_peer (scene, "orders-1", "memory_bytes", LITTLE_MEMORY, NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_large (producer, MANY);
    s_each_file (scene, "orders-1", "seg-", s_unlink, NULL);
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    scene_event (orders, "TERN-OUTBOX-UNREADABLE");
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_true (tern_peer_close (&orders, 0) > 0);
}

//  Limits of this process; both return what held before.
static rlim_t
s_limit_descriptors (rlim_t most)
{
    struct rlimit limits;
    assert_int_equal (getrlimit (RLIMIT_NOFILE, &limits), 0);
    const rlim_t before = limits.rlim_cur;
    limits.rlim_cur = most;
    assert_int_equal (setrlimit (RLIMIT_NOFILE, &limits), 0);
    return before;
}

static rlim_t
s_limit_file_size (rlim_t most)
{
    struct rlimit limits;
    assert_int_equal (getrlimit (RLIMIT_FSIZE, &limits), 0);
    const rlim_t before = limits.rlim_cur;
    limits.rlim_cur = most;
    assert_int_equal (setrlimit (RLIMIT_FSIZE, &limits), 0);
    return before;
}

static void
test_delivery_goes_on_when_there_are_descriptors_again (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "memory_bytes", LITTLE_MEMORY, NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 1);
    scene_consumers (orders, QUEUE, 1);
    const uint64_t last = s_send_large (producer, MANY);

    const rlim_t before = s_limit_descriptors (3);
    unsigned count = s_accept (consumer, MANY, 1500);
    s_limit_descriptors (before);
    assert_true (count < MANY);  //  else this has shown nothing
    count += s_accept (consumer, MANY - count, SCENE_DEADLINE_MS);
    assert_int_equal (count, MANY);
    scene_settled (producer, last);

    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  The next segment cannot be made: for this process, files may not grow.
static void
test_a_failed_disk_ends_every_wait_and_is_reported (void **state)
{
    signal (SIGXFSZ, SIG_IGN);
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_send (producer, "first");
    const rlim_t before = s_limit_file_size (4096);
    char *body = calloc (1, LARGE);
    uint64_t seq = 0;
    int rc = TERN_OK;
    uint64_t appended = 0;
    while (rc == TERN_OK) {
        rc = tern_producer_send (producer, body, LARGE, SCENE_DEADLINE_MS,
                                 &seq);
        appended += rc == TERN_OK;
    }
    free (body);
    assert_int_equal (rc, TERN_EIO);
    assert_true (appended > 0);
    assert_int_equal (tern_producer_wait (producer, seq, TERN_WRITTEN, -1),
                      TERN_EIO);
    assert_int_equal (tern_producer_wait (producer, seq, TERN_SYNCED, -1),
                      TERN_EIO);
    scene_event (orders, "TERN-OUTBOX-FAILED");
    tern_producer_close (&producer);
    assert_true (tern_peer_close (&orders, 0) > 0);
    s_limit_file_size (before);

    //  What had been written before is there.
    orders = scene_peer (*state, "orders-1", NULL);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    assert_non_null (scene_expect (consumer, "first"));
    tern_consumer_close (&consumer);
    tern_peer_close (&orders, 0);
}

//  squeeze NAME DESCRIPTORS: open a peer with so many left, say what came of it.
static int
s_squeeze (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 2);
    tern_config_t *config = scene_config (scene, argv[0], NULL);
    const int lowest = dup (STDOUT_FILENO);
    close (lowest);
    const rlim_t before = s_limit_descriptors (
        (rlim_t) lowest + (rlim_t) strtoul (argv[1], NULL, 10));
    tern_peer_t *peer = NULL;
    char why[256] = "";
    const int rc = tern_peer_open (&peer, config, why, sizeof why);
    s_limit_descriptors (before);
    assert_true ((rc == TERN_OK) == (peer != NULL));
    tern_peer_close (&peer, 0);
    tern_config_destroy (&config);
    printf ("%s\n", rc == TERN_OK                         ? "opened"
                    : rc == TERN_EFULL || rc == TERN_ENET ? "refused"
                                                          : why);
    return 0;
}

//  libzmq ends a process that has no descriptor for it; nobody else may.
static void
test_an_opening_without_descriptors_fails_and_harms_nobody (void **state)
{
    const scene_t *scene = *state;
    bool opened = false;
    for (unsigned spare = 0; !opened; spare++) {
        assert_true (spare < 64);
        char number[16];
        snprintf (number, sizeof number, "%u", spare);
        scene_child_t child;
        scene_start (scene, &child, "squeeze", "orders-1", number, NULL);
        const char *line = scene_line (&child);
        opened = line && strcmp (line, "opened") == 0;
        if (!opened) {
            assert_non_null (line);
            assert_string_equal (line, "refused");
        }
        assert_int_equal (scene_ended (&child), 0);
    }
}

//  publish NAME: send one message, and open another outbox.
static int
s_publish (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    scene_producer (peer, "otherwise");
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    const uint64_t seq = scene_send (producer, "job");
    const int rc
        = tern_producer_wait (producer, seq, TERN_SYNCED, SCENE_DEADLINE_MS);
    printf ("%s\n", rc == TERN_OK ? "synced" : tern_strerror (rc));
    scene_stay ();
}

//  What was delivered before a kill comes flagged, whatever opening failed in
//  between.
static void
test_an_opening_that_fails_leaves_in_doubt_what_was (void **state)
{
    scene_t *scene = *state;
    scene_child_t child;
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    scene_start (scene, &child, "publish", "orders-1", NULL);
    assert_false (tern_msg_redelivered (scene_expect (consumer, "job")));
    scene_says (&child, "synced");
    scene_kill (&child);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);

    char other[] = "otherwise";
    s_each_file (scene, "orders-1", "META", s_flip, other);
    tern_config_t *config = scene_config (scene, "orders-1", NULL);
    tern_peer_t *orders = NULL;
    char why[256];
    assert_int_equal (tern_peer_open (&orders, config, why, sizeof why),
                      TERN_ECORRUPT);
    assert_null (orders);
    tern_config_destroy (&config);
    s_each_file (scene, "orders-1", "META", s_flip, other);

    orders = scene_peer (scene, "orders-1", NULL);
    payment = scene_peer (scene, "payment-2", NULL);
    consumer = scene_consumer (payment, QUEUE, 0);
    tern_msg_t *msg = scene_expect (consumer, "job");
    assert_true (tern_msg_redelivered (msg));
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_peer_close (&orders, SCENE_DEADLINE_MS);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[]
        = {{"publish", s_publish}, {"squeeze", s_squeeze}, {NULL, NULL}};
    const int ended = scene_main (roles, argc, argv);
    if (ended >= 0) {
        return ended;
    }
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_a_segment_that_was_taken_away_is_reported),
        CLAIM (test_delivery_goes_on_when_there_are_descriptors_again),
        CLAIM (test_a_failed_disk_ends_every_wait_and_is_reported),
        CLAIM (test_an_opening_without_descriptors_fails_and_harms_nobody),
        CLAIM (test_an_opening_that_fails_leaves_in_doubt_what_was),
    };
    return cmocka_run_group_tests_name ("peer disk", tests, NULL, NULL);
}
