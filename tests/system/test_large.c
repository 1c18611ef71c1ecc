//  test_large - bodies beyond a megabyte, and whoever dies on the way
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include "base/bytes.h"
#include "peer/large.h"
#include "peer/service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUE "movies"
#define MIB (1024u * 1024u)
#define PART ((uint64_t) TERN_LARGE_PART)

//  Bodies --------------------------------------------------------------------

//  Each byte follows from its place and the body's number.
static uint8_t
s_byte (unsigned number, uint64_t offset)
{
    const uint64_t word
        = ((offset >> 3) + number * 0x10001u + 1) * 0x9e3779b97f4a7c15u;
    return (uint8_t) (word >> (8 * (offset & 7)));
}

static void
s_fill (unsigned number, uint64_t offset, uint8_t *to, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        to[at] = s_byte (number, offset + at);
    }
}

typedef struct {
    unsigned number;
    uint64_t size, at;
    uint64_t stop_at;  //  say so and stand still there; 0: not
    int error_at_end;
} source_t;

static int64_t
s_read (void *arg, void *buffer, size_t size)
{
    source_t *source = arg;
    const uint64_t left = source->size - source->at;
    const size_t some = left < size ? (size_t) left : size;
    if (source->stop_at && source->at >= source->stop_at) {
        printf ("half\n");
        fflush (stdout);
        scene_stay ();
    }
    if (some == 0 && source->error_at_end) {
        return source->error_at_end;
    }
    s_fill (source->number, source->at, buffer, some);
    source->at += some;
    return (int64_t) some;
}

//  Send a body with all that the form says, and destroy the form.
static uint64_t
s_send_form (tern_producer_t *producer, tern_msg_t *form, unsigned number,
             uint64_t size)
{
    source_t source = {.number = number, .size = size};
    uint64_t seq = 0;
    assert_int_equal (
        tern_large_send (producer, form, s_read, &source, -1, &seq), TERN_OK);
    tern_msg_destroy (&form);
    return seq;
}

static uint64_t
s_send (tern_producer_t *producer, unsigned number, uint64_t size)
{
    return s_send_form (producer, NULL, number, size);
}

//  These bytes are those of that body.
static void
s_check (unsigned number, uint64_t offset, const uint8_t *bytes, size_t size)
{
    uint8_t *wanted = malloc (size + 1);
    assert_non_null (wanted);
    s_fill (number, offset, wanted, size);
    assert_memory_equal (bytes, wanted, size);
    free (wanted);
}

static void
s_check_file (unsigned number, const char *path, uint64_t size)
{
    static uint8_t buffer[MIB];
    const int fd = open (path, O_RDONLY | O_CLOEXEC);
    assert_true (fd >= 0);
    uint64_t offset = 0;
    ssize_t got;
    while ((got = read (fd, buffer, sizeof buffer)) > 0) {
        s_check (number, offset, buffer, (size_t) got);
        offset += (uint64_t) got;
    }
    close (fd);
    assert_int_equal (offset, size);
}

static int
s_open_file (const scene_t *scene, const char *name, char path[128])
{
    snprintf (path, 128, "%s/%s", scene->folder, name);
    const int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true (fd >= 0);
    return fd;
}

//  All of a message's body, into a file and back.
static void
s_fetch_all (const scene_t *scene, tern_peer_t *peer, const tern_msg_t *msg,
             unsigned number, uint64_t size)
{
    char path[128];
    const int fd = s_open_file (scene, "fetched", path);
    assert_int_equal (tern_large_size (msg), size);
    assert_int_equal (tern_large_fetch_file (peer, msg, fd, SCENE_DEADLINE_MS),
                      TERN_OK);
    close (fd);
    s_check_file (number, path, size);
    unlink (path);
}

//  The next message has this body; it is accepted.
static void
s_take (const scene_t *scene, tern_peer_t *peer, tern_consumer_t *consumer,
        unsigned number, uint64_t size)
{
    const tern_msg_t *msg = scene_receive (consumer);
    s_fetch_all (scene, peer, msg, number, size);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
}

//  Files of bodies in a peer's store; the path of the last one.
static unsigned
s_bodies (const scene_t *scene, const char *name, char path[256])
{
    char folder[128];
    unsigned count = 0;
    snprintf (folder, sizeof folder, "%s/%s/large", scene->folder, name);
    DIR *dir = opendir (folder);
    const struct dirent *entry;
    while (dir && (entry = readdir (dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            snprintf (path, 256, "%s/%.32s", folder, entry->d_name);
            count++;
        }
    }
    if (dir) {
        closedir (dir);
    }
    return count;
}

typedef struct {
    const scene_t *scene;
    const char *name;
    unsigned count;
} s_left_t;

static bool
s_has (void *arg)
{
    const s_left_t *left = arg;
    char path[256];
    return s_bodies (left->scene, left->name, path) == left->count;
}

static void
s_until_bodies (const scene_t *scene, tern_peer_t *peer, unsigned count)
{
    s_left_t left = {scene, tern_peer_name (peer), count};
    scene_until (peer, s_has, &left, "bodies of settled messages go");
}

static long
s_peak_kb (void)
{
    char line[256];
    long peak = 0;
    FILE *file = fopen ("/proc/self/status", "r");
    while (file && fgets (line, sizeof line, file)) {
        if (strncmp (line, "VmHWM:", 6) == 0) {
            peak = strtol (line + 6, NULL, 10);
            break;
        }
    }
    if (file) {
        fclose (file);
    }
    return peak;
}

static void
s_say (const char *text)
{
    printf ("%s\n", text);
    fflush (stdout);
}

//  Roles ---------------------------------------------------------------------

//  publish NAME SIZE STOP: send a body, or with STOP stand still in the middle;
//  SIZE 0: only be there.  At the end of stdin nothing ends it but a signal.
static int
s_publish (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 3);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    source_t source = {.number = 1,
                       .size = strtoull (argv[1], NULL, 10),
                       .stop_at = strtoull (argv[2], NULL, 10)};
    if (source.size) {
        uint64_t seq = 0;
        assert_int_equal (
            tern_large_send (producer, NULL, s_read, &source, -1, &seq),
            TERN_OK);
        assert_int_equal (tern_producer_wait (producer, seq, TERN_SYNCED, -1),
                          TERN_OK);
    }
    s_say ("there");
    char text[32];
    if (source.size) {
        assert_int_equal (tern_producer_wait (producer,
                                              tern_producer_last (producer),
                                              TERN_PROCESSED, -1),
                          TERN_OK);
        snprintf (text, sizeof text, "%ld", s_peak_kb ());
        s_say (text);
    }
    scene_stay ();
}

//  consume NAME FILE MOST: take one, fetch it into the file, but no more than
//  MOST bytes of it (0: all, then accept).
static int
s_consume (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 3);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 1);
    const uint64_t most = strtoull (argv[2], NULL, 10);
    char path[128];
    const int fd = s_open_file (scene, argv[1], path);
    const tern_msg_t *msg = scene_receive (consumer);
    if (most == 0) {
        assert_int_equal (tern_large_fetch_file (peer, msg, fd, -1), TERN_OK);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    uint8_t *piece = malloc (MIB);
    assert_non_null (piece);
    for (uint64_t at = 0; at < most; at += MIB) {
        size_t got = 0;
        assert_int_equal (
            tern_large_fetch (peer, msg, at, piece, MIB, &got, -1), TERN_OK);
        assert_int_equal (pwrite (fd, piece, got, (off_t) at), got);
    }
    char text[32];
    snprintf (text, sizeof text, "%ld", s_peak_kb ());
    s_say (text);
    scene_stay ();
}

//  There and back --------------------------------------------------------------

static void
s_over_and_bounded (scene_t *scene, uint64_t size)
{
    scene_child_t publisher, consumer;
    char size_text[32], path[128];
    snprintf (size_text, sizeof size_text, "%llu", (unsigned long long) size);
    const int64_t began = scene_now_ms ();
    scene_start (scene, &publisher, "publish", "cinema", size_text, "0", NULL);
    scene_start (scene, &consumer, "consume", "screen", "film", "0", NULL);
    scene_says (&publisher, "there");
    const long theirs = strtol (scene_line (&consumer), NULL, 10);
    const long ours = strtol (scene_line (&publisher), NULL, 10);
    print_message ("# %llu MiB in %lld ms; peak of publisher %ld KiB, of "
                   "consumer %ld KiB\n",
                   (unsigned long long) (size / MIB),
                   (long long) (scene_now_ms () - began), ours, theirs);
    snprintf (path, sizeof path, "%s/film", scene->folder);
    s_check_file (1, path, size);
    if (!scene_is_instrumented ()) {
        assert_in_range (ours, 1, 100 * 1024);
        assert_in_range (theirs, 1, 100 * 1024);
    }
    scene_kill (&publisher);
    scene_kill (&consumer);
}

//  Memory is that of a few parts, on both sides.  With TERN_GIGABYTE set it is
//  all that is allowed, which takes time and disk.
static void
test_a_large_body_arrives_whole_in_bounded_memory (void **state)
{
    s_over_and_bounded (*state, getenv ("TERN_GIGABYTE") ? TERN_LARGE_MAX
                                                         : 64 * MIB + 12345);
}

static void
test_pieces_may_begin_and_end_anywhere (void **state)
{
    scene_pair_t pair = scene_pair (*state, QUEUE, 0);
    const uint64_t size = 5 * PART + 77;
    s_send (pair.producer, 7, size);
    const tern_msg_t *msg = scene_receive (pair.consumer);
    assert_int_equal (tern_large_size (msg), size);
    assert_int_equal (tern_msg_size (msg), 0);
    const struct {
        uint64_t offset;
        size_t wanted, got;
    } pieces[] = {
        {0, 1, 1},           {PART - 1, 2, 2},
        {PART, PART, PART},  {1, 3 * PART, 3 * PART},
        {size - 5, 100, 5},  {size, 10, 0},
        {5 * PART, MIB, 77}, {0, 2 * MIB, size},
    };
    uint8_t *buffer = malloc (2 * MIB);
    assert_non_null (buffer);
    for (size_t index = 0; index < sizeof pieces / sizeof *pieces; index++) {
        size_t got = 99;
        assert_int_equal (
            tern_large_fetch (pair.payment, msg, pieces[index].offset, buffer,
                              pieces[index].wanted, &got, SCENE_DEADLINE_MS),
            TERN_OK);
        assert_int_equal (got, pieces[index].got);
        s_check (7, pieces[index].offset, buffer, got);
    }
    size_t got = 99;
    assert_int_equal (tern_large_fetch (pair.payment, msg, size + 1, buffer, 1,
                                        &got, SCENE_DEADLINE_MS),
                      TERN_EINVAL);
    assert_int_equal (got, 0);
    assert_int_equal (
        tern_large_fetch (pair.payment, msg, 0, buffer, 1, &got, 0),
        TERN_EINVAL);
    free (buffer);
    assert_int_equal (tern_consumer_accept (pair.consumer, msg), TERN_OK);
    scene_part (&pair);
}

//  One peer may be both ends.
static void
test_a_body_that_fits_goes_as_a_message (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    const size_t sizes[] = {0, 1, MIB - 1, MIB};
    char path[256];
    for (unsigned index = 0; index < 4; index++) {
        s_send (producer, index, sizes[index]);
        const tern_msg_t *msg = scene_receive (consumer);
        assert_int_equal (tern_large_size (msg), 0);
        assert_int_equal (tern_msg_size (msg), sizes[index]);
        s_check (index, 0, tern_msg_body (msg), sizes[index]);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    assert_int_equal (s_bodies (*state, "orders-1", path), 0);
    const uint64_t seq = s_send (producer, 9, MIB + 1);
    s_take (*state, orders, consumer, 9, MIB + 1);
    scene_settled (producer, seq);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    //  Closing saves what was settled last.
    tern_peer_close (&orders, 0);
    assert_int_equal (s_bodies (*state, "orders-1", path), 0);
}

static void
test_a_large_message_has_key_headers_and_rules (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_msg_t *form = tern_msg_new (NULL, 0);
    assert_int_equal (tern_msg_set_key (form, "a.b"), TERN_OK);
    assert_int_equal (tern_msg_set_header (form, "title", "Jaws"), TERN_OK);
    assert_int_equal (tern_msg_set_priority (form, 7), TERN_OK);
    assert_int_equal (tern_msg_set_order_key (form, "series"), TERN_OK);
    scene_send (producer, "plain");
    s_send_form (producer, form, 3, 2 * MIB);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 1);
    size_t size = 0;
    //  The higher priority is first.
    const tern_msg_t *msg = scene_receive (consumer);
    assert_int_equal (tern_large_size (msg), 2 * MIB);
    assert_memory_equal (tern_msg_key (msg, &size), "a.b", 3);
    assert_memory_equal (tern_msg_header (msg, "title", &size), "Jaws", 4);
    assert_int_equal (tern_msg_priority (msg), 7);
    assert_memory_equal (tern_msg_order_key (msg, &size), "series", 6);
    //  It cannot be sent on without its body.
    assert_int_equal (tern_producer_send_msg (producer, msg, -1, NULL),
                      TERN_ETOOBIG);
    source_t source = {.number = 3, .size = 2 * MIB};
    assert_int_equal (
        tern_large_send (producer, msg, s_read, &source, -1, NULL),
        TERN_EINVAL);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    scene_accept (consumer, "plain");
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

//  Whoever dies ----------------------------------------------------------------

static void
test_a_consumer_killed_in_the_middle_goes_on_where_it_was (void **state)
{
    scene_t *scene = *state;
    scene_child_t child;
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const uint64_t size = 8 * MIB + 1;
    const uint64_t seq = s_send (producer, 1, size);
    scene_start (scene, &child, "consume", "payment-1", "film", "5242880",
                 NULL);
    assert_non_null (scene_line (&child));
    scene_kill (&child);

    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    const tern_msg_t *msg = scene_receive (consumer);
    assert_true (tern_msg_redelivered (msg));
    char path[128];
    const int fd = s_open_file (scene, "film", path);
    assert_int_equal (
        tern_large_fetch_file (payment, msg, fd, SCENE_DEADLINE_MS), TERN_OK);
    close (fd);
    s_check_file (1, path, size);
    //  What the file held was not asked for again.
    tern_request_stats_t stats;
    tern_peer_request_stats (payment, &stats);
    assert_int_equal (stats.sent, (size - 5 * MIB + PART - 1) / PART);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    scene_settled (producer, seq);
    s_until_bodies (scene, orders, 0);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_a_file_with_wrong_bytes_is_put_right (void **state)
{
    scene_t *scene = *state;
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    s_send (producer, 1, 4 * PART + 9);
    s_send (producer, 2, 8 * PART);
    const tern_msg_t *msg = scene_receive (consumer);
    char path[128];
    const int fd = s_open_file (scene, "film", path);
    assert_int_equal (
        tern_large_fetch_file (orders, msg, fd, SCENE_DEADLINE_MS), TERN_OK);
    assert_int_equal (pwrite (fd, "?", 1, (off_t) (2 * PART + 5)), 1);
    assert_int_equal (pwrite (fd, "longer", 6, (off_t) (4 * PART + 9)), 6);
    assert_int_equal (
        tern_large_fetch_file (orders, msg, fd, SCENE_DEADLINE_MS), TERN_OK);
    s_check_file (1, path, 4 * PART + 9);
    //  Another body over it.
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    msg = scene_receive (consumer);
    assert_int_equal (
        tern_large_fetch_file (orders, msg, fd, SCENE_DEADLINE_MS), TERN_OK);
    s_check_file (2, path, 8 * PART);
    close (fd);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_a_publisher_killed_while_it_reads_has_sent_nothing (void **state)
{
    scene_t *scene = *state;
    scene_child_t child;
    char path[256];
    scene_start (scene, &child, "publish", "orders-1", "33554432", "16777216",
                 NULL);
    scene_says (&child, "half");
    scene_kill (&child);
    assert_int_equal (s_bodies (scene, "orders-1", path), 1);
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    assert_int_equal (s_bodies (scene, "orders-1", path), 0);
    const tern_stats_t row = scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER);
    assert_int_equal (row.depth, 0);
    tern_peer_close (&orders, 0);
}

//  A body goes only when its message can never come again.
static void
test_no_message_is_without_its_body_whoever_is_killed (void **state)
{
    scene_t *scene = *state;
    char path[256];
    for (unsigned round = 0; round < 12; round++) {
        scene_child_t child;
        scene_start (scene, &child, "publish", "orders-1", "1500000", "0",
                     NULL);
        scene_says (&child, "there");
        tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
        tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
        //  Those of rounds before may come again.
        tern_msg_t *msg = scene_receive (consumer);
        for (; msg; msg = tern_consumer_recv (consumer, 20)) {
            s_fetch_all (scene, payment, msg, 1, 1500000);
            assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
        }
        assert_int_equal (tern_consumer_flush (consumer, SCENE_DEADLINE_MS),
                          TERN_OK);
        if (round % 3) {
            assert_non_null (scene_line (&child));  //  it has heard of it
        }
        const struct timespec pause = {.tv_nsec = round * 60000000L};
        nanosleep (&pause, NULL);  //  the state is saved in about half a second
        scene_kill (&child);
        tern_consumer_close (&consumer);
        tern_peer_close (&payment, 0);
    }
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    const tern_stats_t row = scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER);
    assert_int_equal (s_bodies (scene, "orders-1", path), row.depth);
    tern_peer_close (&orders, 0);
}

static void
test_a_fetch_waits_for_a_publisher_that_was_killed (void **state)
{
    scene_t *scene = *state;
    scene_child_t child;
    scene_start (scene, &child, "publish", "orders-1", "8388608", "0", NULL);
    scene_says (&child, "there");
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    tern_msg_t *msg = tern_msg_dup (scene_receive (consumer));
    uint8_t *piece = malloc (4 * MIB);
    assert_non_null (piece);
    size_t got = 0;
    assert_int_equal (tern_large_fetch (payment, msg, 0, piece, 4 * MIB, &got,
                                        SCENE_DEADLINE_MS),
                      TERN_OK);
    s_check (1, 0, piece, got);
    scene_kill (&child);
    const int rc
        = tern_large_fetch (payment, msg, 4 * MIB, piece, 4 * MIB, &got, 300);
    assert_true (rc == TERN_ETIMEOUT || rc == TERN_ENOROUTE);
    assert_int_equal (got, 0);
    scene_start (scene, &child, "publish", "orders-1", "0", "0", NULL);
    assert_int_equal (tern_large_fetch (payment, msg, 4 * MIB, piece, 4 * MIB,
                                        &got, SCENE_DEADLINE_MS),
                      TERN_OK);
    assert_int_equal (got, 4 * MIB);
    s_check (1, 4 * MIB, piece, got);
    free (piece);
    scene_kill (&child);
    tern_msg_destroy (&msg);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
}

static void
test_competing_consumers_each_fetch_their_own (void **state)
{
    scene_t *scene = *state;
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_peer_t *peers[2] = {scene_peer (scene, "payment-1", NULL),
                             scene_peer (scene, "payment-2", NULL)};
    tern_consumer_t *consumers[2] = {scene_consumer (peers[0], QUEUE, 1),
                                     scene_consumer (peers[1], QUEUE, 1)};
    scene_consumers (orders, QUEUE, 2);
    uint64_t last = 0;
    for (unsigned number = 0; number < 6; number++) {
        last = s_send (producer, number, MIB + 100 + number);
    }
    for (unsigned turn = 0; turn < 6; turn++) {
        const tern_msg_t *msg = scene_receive (consumers[turn % 2]);
        const unsigned number = (unsigned) (tern_large_size (msg) - MIB - 100);
        s_fetch_all (scene, peers[turn % 2], msg, number, MIB + 100 + number);
        assert_int_equal (tern_consumer_accept (consumers[turn % 2], msg),
                          TERN_OK);
    }
    scene_settled (producer, last);
    s_until_bodies (scene, orders, 0);
    for (unsigned index = 0; index < 2; index++) {
        tern_consumer_close (&consumers[index]);
        tern_peer_close (&peers[index], 0);
    }
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

//  How it ends -----------------------------------------------------------------

static void
test_a_dead_letter_keeps_its_body_until_it_is_dropped (void **state)
{
    scene_t *scene = *state;
    char path[256];
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    const uint64_t seq = s_send (producer, 5, 3 * MIB);
    assert_int_equal (tern_consumer_reject (consumer, scene_receive (consumer)),
                      TERN_OK);
    scene_settled (producer, seq);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);

    //  Another life of the publisher, and of the letter's message a replay.
    orders = scene_peer (scene, "orders-1", NULL);
    assert_int_equal (s_bodies (scene, "orders-1", path), 1);
    consumer = scene_consumer (orders, QUEUE ".dead", 0);
    const tern_msg_t *letter = scene_receive (consumer);
    s_fetch_all (scene, orders, letter, 5, 3 * MIB);
    tern_msg_t *again = tern_msg_replay (letter);
    assert_non_null (again);
    assert_int_equal (tern_msg_size (again), 0);
    tern_msg_destroy (&again);
    assert_int_equal (s_bodies (scene, "orders-1", path), 1);
    assert_int_equal (tern_consumer_accept (consumer, letter), TERN_OK);
    s_until_bodies (scene, orders, 0);
    size_t got = 0;
    uint8_t byte;
    assert_int_equal (
        tern_large_fetch (orders, letter, 0, &byte, 1, &got, SCENE_DEADLINE_MS),
        TERN_ENOENT);
    tern_consumer_close (&consumer);
    tern_peer_close (&orders, 0);
}

static void
test_what_expires_lets_its_body_go (void **state)
{
    scene_t *scene = *state;
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_policy_t policy;
    tern_policy_default (&policy);
    policy.drop_expired = true;
    assert_int_equal (tern_producer_set_policy (producer, &policy), TERN_OK);
    tern_msg_t *form = tern_msg_new (NULL, 0);
    assert_int_equal (tern_msg_set_ttl (form, 50), TERN_OK);
    s_send_form (producer, form, 3, 2 * MIB);
    s_until_bodies (scene, orders, 0);
    //  A purge does so too.
    s_send (producer, 1, 2 * MIB);
    uint64_t count = 0;
    assert_int_equal (tern_producer_purge (producer, NULL, &count), TERN_OK);
    assert_int_equal (count, 1);
    s_until_bodies (scene, orders, 0);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_a_body_waits_for_all_queues_of_an_exchange (void **state)
{
    scene_t *scene = *state;
    char path[256];
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    const char *const queues[2] = {"north", "south"};
    for (unsigned index = 0; index < 2; index++) {
        const tern_binding_t binding = {.exchange = "films",
                                        .queue = queues[index],
                                        .type = TERN_TOPIC,
                                        .pattern = "#"};
        scene_bind (orders, &binding);
    }
    tern_producer_t *producer
        = scene_exchange (orders, "films", TERN_TOPIC, NULL);
    tern_msg_t *form = tern_msg_new (NULL, 0);
    assert_int_equal (tern_msg_set_key (form, "horror"), TERN_OK);
    const uint64_t seq = s_send_form (producer, form, 3, 2 * MIB);
    assert_int_equal (s_bodies (scene, "orders-1", path), 1);
    for (unsigned index = 0; index < 2; index++) {
        tern_consumer_t *consumer = scene_consumer (orders, queues[index], 0);
        s_take (scene, orders, consumer, 3, 2 * MIB);
        tern_consumer_close (&consumer);
    }
    scene_settled (producer, seq);
    s_until_bodies (scene, orders, 0);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

//  A message that waits behind an unsettled one is settled durably all the same.
static void
test_bodies_go_in_any_order_and_what_nobody_names_goes_at_once (void **state)
{
    scene_t *scene = *state;
    char path[256];
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    s_send (producer, 1, 2 * MIB);
    s_send (producer, 2, 2 * MIB);
    tern_msg_t *first = tern_msg_dup (scene_receive (consumer));
    assert_int_equal (tern_consumer_accept (consumer, scene_receive (consumer)),
                      TERN_OK);
    s_until_bodies (scene, orders, 1);
    s_fetch_all (scene, orders, first, 1, 2 * MIB);
    tern_msg_destroy (&first);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);

    snprintf (path, sizeof path, "%s/orders-1/large/00000001000000ff",
              scene->folder);
    const int fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true (fd >= 0);
    close (fd);
    assert_int_equal (s_bodies (scene, "orders-1", path), 2);
    orders = scene_peer (scene, "orders-1", NULL);
    assert_int_equal (s_bodies (scene, "orders-1", path), 1);
    consumer = scene_consumer (orders, QUEUE, 0);
    s_take (scene, orders, consumer, 1, 2 * MIB);
    tern_consumer_close (&consumer);
    tern_peer_close (&orders, 0);
}

static void
test_a_drained_peer_still_gives_bodies (void **state)
{
    scene_t *scene = *state;
    char path[256];
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send (producer, 1, 16 * MIB);
    scene_child_t child;
    scene_start (scene, &child, "consume", "payment-1", "film", "0", NULL);
    assert_int_equal (tern_peer_drain (orders, SCENE_DEADLINE_MS), TERN_OK);
    assert_non_null (scene_line (&child));
    snprintf (path, sizeof path, "%s/film", scene->folder);
    s_check_file (1, path, 16 * MIB);
    scene_kill (&child);
    source_t source = {.number = 3, .size = 2 * MIB};
    assert_int_equal (
        tern_large_send (producer, NULL, s_read, &source, -1, NULL),
        TERN_ECLOSED);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

//  What is refused -------------------------------------------------------------

static void
test_what_is_too_big_or_breaks_off_leaves_nothing (void **state)
{
    scene_t *scene = *state;
    char path[256];
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    //  A file of a gigabyte and a byte, all of it a hole.
    char name[128];
    const int fd = s_open_file (scene, "huge", name);
    assert_int_equal (ftruncate (fd, (off_t) TERN_LARGE_MAX + 1), 0);
    assert_int_equal (tern_large_send_fd (producer, NULL, fd, -1, NULL),
                      TERN_ETOOBIG);
    close (fd);
    source_t source = {.number = 3, .size = 3 * MIB, .error_at_end = TERN_EIO};
    assert_int_equal (
        tern_large_send (producer, NULL, s_read, &source, -1, NULL), TERN_EIO);
    tern_msg_t *form = tern_msg_new ("body", 4);
    assert_int_equal (
        tern_large_send (producer, form, s_read, &source, -1, NULL),
        TERN_EINVAL);
    tern_msg_destroy (&form);
    assert_int_equal (s_bodies (scene, "orders-1", path), 0);
    assert_int_equal (tern_producer_last (producer), 0);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_damage_is_told_and_harms_no_other (void **state)
{
    scene_t *scene = *state;
    char path[256];
    scene_pair_t pair = scene_pair (scene, QUEUE, 0);
    s_send (pair.producer, 1, 4 * PART + 200000);
    assert_int_equal (s_bodies (scene, "orders-1", path), 1);
    const int fd = open (path, O_RDWR | O_CLOEXEC);
    assert_true (fd >= 0);
    uint8_t byte = 0;
    assert_int_equal (pread (fd, &byte, 1, (off_t) (PART + 17)), 1);
    byte ^= 1;
    assert_int_equal (pwrite (fd, &byte, 1, (off_t) (PART + 17)), 1);
    s_send (pair.producer, 2, 3 * MIB);

    const tern_msg_t *msg = scene_receive (pair.consumer);
    uint8_t *piece = malloc (2 * MIB);
    assert_non_null (piece);
    size_t got = 0;
    assert_int_equal (tern_large_fetch (pair.payment, msg, 0, piece, PART, &got,
                                        SCENE_DEADLINE_MS),
                      TERN_OK);
    assert_int_equal (tern_large_fetch (pair.payment, msg, 0, piece, 2 * MIB,
                                        &got, SCENE_DEADLINE_MS),
                      TERN_ECORRUPT);
    assert_int_equal (got, 0);
    assert_int_equal (tern_large_fetch (pair.payment, msg, 2 * PART, piece,
                                        PART, &got, SCENE_DEADLINE_MS),
                      TERN_OK);
    s_check (1, 2 * PART, piece, got);
    //  Shorter than it was, and gone.
    assert_int_equal (ftruncate (fd, (off_t) (3 * PART)), 0);
    assert_int_equal (tern_large_fetch (pair.payment, msg, 3 * PART, piece,
                                        PART, &got, SCENE_DEADLINE_MS),
                      TERN_ECORRUPT);
    scene_event (pair.orders, "TERN-LARGE-DAMAGED");
    close (fd);
    assert_int_equal (unlink (path), 0);
    assert_int_equal (tern_large_fetch (pair.payment, msg, 0, piece, PART, &got,
                                        SCENE_DEADLINE_MS),
                      TERN_ENOENT);
    free (piece);
    assert_int_equal (tern_consumer_reject (pair.consumer, msg), TERN_OK);
    s_take (scene, pair.payment, pair.consumer, 2, 3 * MIB);
    scene_part (&pair);
}

//  Ask for a part in these words: 0 and its size, or what became of it.
static int
s_ask (tern_requester_t *requester, const uint8_t *ask, size_t size,
       char key[16], size_t *got_p)
{
    tern_msg_t *request = tern_msg_new (ask, size);
    tern_msg_t *reply = NULL;
    char why[256] = "";
    const int rc = tern_requester_request (
        requester, request, SCENE_DEADLINE_MS, &reply, why, sizeof why);
    if (rc == TERN_OK) {
        size_t key_size = 0;
        const char *found = tern_msg_key (reply, &key_size);
        assert_true (key_size < 16);
        memcpy (key, found, key_size);
        key[key_size] = 0;
        *got_p = tern_msg_size (reply);
    }
    tern_msg_destroy (&request);
    tern_msg_destroy (&reply);
    return rc;
}

//  The uuid of a peer's store, and the number of its only body.
static void
s_place (const scene_t *scene, const char *name, uint8_t ask[32])
{
    char path[256];
    char why[256];
    tern_store_t *store = NULL;
    snprintf (path, sizeof path, "%s/%s", scene->folder, name);
    assert_int_equal (tern_store_open (&store, path, why, sizeof why), TERN_OK);
    unsigned count = 0;
    for (const char *at = tern_store_uuid (store); *at && count < 16;) {
        unsigned byte = 0;
        at += *at == '-';
        assert_int_equal (sscanf (at, "%2x", &byte), 1);
        ask[count++] = (uint8_t) byte;
        at += 2;
    }
    assert_int_equal (count, 16);
    tern_store_close (&store);
    assert_int_equal (s_bodies (scene, name, path), 1);
    trn_put_u64 (ask + 16, strtoull (strrchr (path, '/') + 1, NULL, 16));
}

//  T-172
static void
test_who_asks_for_what_is_no_part_gets_none (void **state)
{
    scene_pair_t pair = scene_pair (*state, QUEUE, 0);
    s_send (pair.producer, 1, 5 * PART + 10);
    const tern_msg_t *msg = scene_receive (pair.consumer);
    tern_requester_t *requester = NULL;
    assert_int_equal (
        trn_requester_open (&requester, pair.payment, "%orders-1", NULL),
        TERN_OK);
    uint8_t good[TRN_LARGE_ASK_SIZE];
    char key[16];
    size_t got = 0;
    s_place (*state, "orders-1", good);
    trn_put_u32 (good + 24, 5);
    trn_put_u32 (good + 28, 10);
    assert_int_equal (s_ask (requester, good, sizeof good, key, &got), TERN_OK);
    assert_int_equal (got, 10);
    assert_string_equal (key, "");

    //  Not as long as a request is.
    static const size_t sizes[] = {0, 1, TRN_LARGE_ASK_SIZE - 1};
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal (s_ask (requester, good, sizes[index], key, &got),
                          TERN_EFAILED);
    }
    //  No such store, body or part, and a part too large.
    static const struct {
        size_t at;
        uint8_t byte;
    } wrong[] = {{0, 0xff},  {15, 0xff}, {16, 0xff}, {23, 0xff},
                 {26, 0xff}, {27, 0xff}, {30, 0x04}, {31, 0xff}};
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
        uint8_t ask[TRN_LARGE_ASK_SIZE];
        memcpy (ask, good, sizeof ask);
        ask[wrong[index].at] ^= wrong[index].byte;
        if (wrong[index].at == 30) {
            ask[28] = 1;  //  one byte more than a part
        }
        assert_int_equal (s_ask (requester, ask, sizeof ask, key, &got),
                          TERN_OK);
        assert_string_equal (key, TRN_LARGE_GONE);
        assert_int_equal (got, 0);
    }
    //  Behind the end of the body.
    uint8_t behind[TRN_LARGE_ASK_SIZE];
    memcpy (behind, good, sizeof behind);
    trn_put_u32 (behind + 24, 6);
    assert_int_equal (s_ask (requester, behind, sizeof behind, key, &got),
                      TERN_OK);
    assert_int_equal (got, 0);
    tern_requester_close (&requester);

    s_fetch_all (*state, pair.payment, msg, 1, 5 * PART + 10);
    assert_int_equal (tern_consumer_accept (pair.consumer, msg), TERN_OK);
    scene_settled (pair.producer, 1);
    scene_part (&pair);
}

//  In the publisher's name: parts that are too long, too short, and others.
static void *
s_lie (void *arg)
{
    static uint8_t bytes[PART + 1];
    static const size_t sizes[] = {PART + 1, PART - 1, 0, PART};
    tern_service_t *service = arg;
    for (size_t index = 0; index < 4; index++) {
        const tern_msg_t *request
            = tern_service_recv (service, SCENE_DEADLINE_MS);
        if (!request) {
            break;
        }
        tern_msg_t *part = tern_msg_new (bytes, sizes[index]);
        const int rc = tern_service_reply (service, request, part, true, 0);
        (void) rc;  //  what is fetched says it
        tern_msg_destroy (&part);
    }
    return NULL;
}

//  T-172
static void
test_a_part_that_does_not_fit_is_not_taken_and_loses_nothing (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    s_send (producer, 1, 5 * PART);
    tern_msg_t *msg = tern_msg_dup (scene_receive (consumer));
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);

    tern_peer_t *mallory = scene_peer (*state, "mallory-1", NULL);
    tern_service_t *service = NULL;
    assert_int_equal (trn_service_open (&service, mallory, "%orders-1", NULL),
                      TERN_OK);
    pthread_t liar;
    assert_int_equal (pthread_create (&liar, NULL, s_lie, service), 0);
    uint8_t *piece = malloc (PART);
    assert_non_null (piece);
    for (int lie = 0; lie < 4; lie++) {
        size_t got = 0;
        assert_int_equal (tern_large_fetch (payment, msg, 0, piece, PART, &got,
                                            SCENE_DEADLINE_MS),
                          TERN_ECORRUPT);
        assert_int_equal (got, 0);
    }
    free (piece);
    pthread_join (liar, NULL);
    tern_service_close (&service);
    tern_peer_close (&mallory, 0);
    tern_msg_destroy (&msg);
    tern_consumer_close (&consumer);

    orders = scene_peer (*state, "orders-1", NULL);
    producer = scene_producer (orders, QUEUE);
    consumer = scene_consumer (payment, QUEUE, 0);
    s_take (*state, payment, consumer, 1, 5 * PART);
    scene_settled (producer, 1);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  Where bodies are given is no place for applications.
static void
test_names_of_places_are_refused (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = NULL;
    tern_consumer_t *consumer = NULL;
    tern_requester_t *requester = NULL;
    tern_service_t *service = NULL;
    char why[256] = "";
    assert_int_equal (
        tern_producer_open (&producer, orders, "%orders-1", why, sizeof why),
        TERN_ENAME);
    assert_int_equal (tern_consumer_open (&consumer, orders, "%orders-1", NULL),
                      TERN_ENAME);
    assert_int_equal (
        tern_requester_open (&requester, orders, "%orders-1", NULL),
        TERN_ENAME);
    assert_int_equal (tern_service_open (&service, orders, "%orders-1", NULL),
                      TERN_ENAME);
    tern_peer_close (&orders, 0);
}

static void
test_bodies_count_towards_the_limit_of_their_outbox (void **state)
{
    scene_t *scene = *state;
    tern_peer_t *orders = scene_peer (scene, "orders-1", "limit_bytes",
                                      "3000000", "at_limit", "refuse", NULL);
    tern_peer_t *shop
        = scene_peer (scene, "shop-1", "limit_bytes", "3000000", NULL);
    tern_peer_t *const peers[2] = {orders, shop};
    for (unsigned index = 0; index < 2; index++) {
        tern_producer_t *producer = scene_producer (peers[index], QUEUE);
        s_send (producer, 1, 2 * MIB);
        s_send (producer, 2, 2 * MIB);
        source_t source = {.number = 3, .size = 2 * MIB};
        assert_int_equal (
            tern_large_send (producer, NULL, s_read, &source, 30, NULL),
            index == 0 ? TERN_EFULL : TERN_ETIMEOUT);
        char path[256];
        assert_int_equal (s_bodies (scene, tern_peer_name (peers[index]), path),
                          2);
        tern_consumer_t *consumer = scene_consumer (peers[index], QUEUE, 0);
        for (unsigned taken = 0; taken < 2; taken++) {
            assert_int_equal (
                tern_consumer_accept (consumer, scene_receive (consumer)),
                TERN_OK);
        }
        //  Blocking, it waits for what is about to go.
        if (index == 0) {
            s_until_bodies (scene, orders, 0);
        }
        s_send (producer, 4, 2 * MIB);
        tern_consumer_close (&consumer);
        tern_producer_close (&producer);
    }
    tern_peer_close (&shop, 0);
    tern_peer_close (&orders, 0);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[]
        = {{"publish", s_publish}, {"consume", s_consume}, {NULL, NULL}};
    const int played = scene_main (roles, argc, argv);
    if (played >= 0) {
        return played;
    }
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_a_large_body_arrives_whole_in_bounded_memory),
        CLAIM (test_pieces_may_begin_and_end_anywhere),
        CLAIM (test_a_body_that_fits_goes_as_a_message),
        CLAIM (test_a_large_message_has_key_headers_and_rules),
        CLAIM (test_a_consumer_killed_in_the_middle_goes_on_where_it_was),
        CLAIM (test_a_file_with_wrong_bytes_is_put_right),
        CLAIM (test_a_publisher_killed_while_it_reads_has_sent_nothing),
        CLAIM (test_no_message_is_without_its_body_whoever_is_killed),
        CLAIM (test_a_fetch_waits_for_a_publisher_that_was_killed),
        CLAIM (test_competing_consumers_each_fetch_their_own),
        CLAIM (test_a_dead_letter_keeps_its_body_until_it_is_dropped),
        CLAIM (test_what_expires_lets_its_body_go),
        CLAIM (test_a_body_waits_for_all_queues_of_an_exchange),
        CLAIM (test_bodies_go_in_any_order_and_what_nobody_names_goes_at_once),
        CLAIM (test_a_drained_peer_still_gives_bodies),
        CLAIM (test_what_is_too_big_or_breaks_off_leaves_nothing),
        CLAIM (test_damage_is_told_and_harms_no_other),
        CLAIM (test_who_asks_for_what_is_no_part_gets_none),
        CLAIM (test_a_part_that_does_not_fit_is_not_taken_and_loses_nothing),
        CLAIM (test_names_of_places_are_refused),
        CLAIM (test_bodies_count_towards_the_limit_of_their_outbox),
    };
    return cmocka_run_group_tests_name ("large", tests, NULL, NULL);
}
