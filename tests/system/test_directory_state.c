//  tests/system/test_directory_state.c - what ternd keeps, with a real disk
//
//  A raw DEALER asks ternd to take bindings; ternd is killed, its file damaged.
//
//  SPDX-License-Identifier: MPL-2.0

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "wire/dirframe.h"

#include <tern.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

//  What a healthy run comes nowhere near.
#define DEADLINE_MS 30000

static char s_folder[64];  //  this test program's
static char s_kept[96];    //  the state folder of a test
static void *s_context;

//  Peers -----------------------------------------------------------------------

static void *
s_dealer (const char *endpoint)
{
    void *dealer = zmq_socket (s_context, ZMQ_DEALER);
    assert_non_null (dealer);
    const int linger = 0;
    zmq_setsockopt (dealer, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal (zmq_connect (dealer, endpoint), 0);
    return dealer;
}

//  Next frame within the deadline; bytes stay until the next call.
static void
s_hear (void *dealer, trn_dirframe_t *frame)
{
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    zmq_pollitem_t item = {.socket = dealer, .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, DEADLINE_MS), 1);
    const int size = zmq_recv (dealer, bytes, sizeof bytes, 0);
    assert_in_range (size, 1, sizeof bytes);
    assert_int_equal (trn_dirframe_decode (frame, bytes, (size_t) size), 0);
}

//  Ask for this one to be taken, and wait until it was.
static void
s_bind (void *dealer, const char *queue)
{
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    const trn_binding_t binding = {
        .exchange = trn_text ("x"),
        .type = TRN_EXCHANGE_TOPIC,
        .queue = trn_text (queue),
        .pattern = trn_text ("a.#"),
        .stamp_us = 5,
        .writer = trn_text ("shop-1"),
    };
    trn_dirframe_t frame = {
        .type = TRN_DIR_BINDINGS,
        .bindings = {.nonce = 7},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, bytes, sizeof bytes);
    assert_true (trn_dirpage_add_binding (&page, &binding));
    const size_t size = trn_dirpage_end (&page, true);
    assert_int_equal (zmq_send (dealer, bytes, size, 0), (int) size);
    s_hear (dealer, &frame);
    assert_int_equal (frame.type, TRN_DIR_TAKEN);
    assert_int_equal (frame.taken.nonce, 7);
    assert_int_equal (frame.taken.count, 1);
    assert_int_equal (frame.taken.verdicts[0], TRN_DIR_TOOK);
}

//  How many bindings does it tell one who has none?
static size_t
s_count (void *dealer)
{
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    static const uint8_t empty[TRN_BINDING_BUCKETS * 8];
    trn_dirframe_t frame = {
        .type = TRN_DIR_DIGESTS,
        .digests = {.nonce = 9, .buckets = empty},
    };
    const size_t size = trn_dirframe_encode (&frame, bytes, sizeof bytes);
    assert_int_equal (zmq_send (dealer, bytes, size, 0), (int) size);
    s_hear (dealer, &frame);
    assert_int_equal (frame.type, TRN_DIR_DIGESTS);
    size_t count = 0;
    do {
        s_hear (dealer, &frame);
        assert_int_equal (frame.type, TRN_DIR_BINDINGS);
        assert_int_equal (frame.bindings.nonce, 9);
        count += frame.bindings.items.left;
    } while (!frame.bindings.last);
    return count;
}

//  ternd -----------------------------------------------------------------------

typedef struct {
    pid_t pid;
    FILE *out;
    char endpoint[256];
} child_t;

//  With its state in s_kept, its words in a file beside it.
static void
s_start (child_t *child)
{
    int out[2];
    assert_int_equal (pipe (out), 0);
    child->pid = fork ();
    assert_true (child->pid >= 0);
    if (child->pid == 0) {
        const char *build = getenv ("TERN_BUILDDIR");
        char program[512];
        char words[128];
        snprintf (program, sizeof program, "%s/ternd", build ? build : ".");
        snprintf (words, sizeof words, "%s.err", s_kept);
        dup2 (out[1], 1);
        close (out[0]);
        close (out[1]);
        if (!freopen (words, "w", stderr)) {
            _exit (126);
        }
        execl (program, program, "--bind", "tcp://127.0.0.1:*", "--state",
               s_kept, (char *) NULL);
        _exit (127);
    }
    close (out[1]);
    child->out = fdopen (out[0], "r");
    assert_non_null (child->out);
    child->endpoint[0] = 0;
    if (fgets (child->endpoint, sizeof child->endpoint, child->out)) {
        child->endpoint[strcspn (child->endpoint, "\n")] = 0;
    }
}

//  End it by a signal, or (0) wait for its end; returns what wait says.
static int
s_end (child_t *child, int number)
{
    int status = 0;
    if (number) {
        kill (child->pid, number);
    }
    assert_int_equal (waitpid (child->pid, &status, 0), child->pid);
    fclose (child->out);
    return status;
}

static bool
s_said (const char *text)
{
    char words[128];
    char line[1024];
    snprintf (words, sizeof words, "%s.err", s_kept);
    FILE *file = fopen (words, "r");
    assert_non_null (file);
    bool said = false;
    while (!said && fgets (line, sizeof line, file)) {
        said = strstr (line, text) != NULL;
    }
    fclose (file);
    return said;
}

//  Change one byte of what is kept.
static void
s_damage (long at, int byte)
{
    char path[128];
    snprintf (path, sizeof path, "%s/bindings", s_kept);
    FILE *file = fopen (path, "r+");
    assert_non_null (file);
    assert_int_equal (fseek (file, at, SEEK_SET), 0);
    assert_int_equal (fputc (byte, file), byte);
    assert_int_equal (fclose (file), 0);
}

static void
s_use (const char *name)
{
    snprintf (s_kept, sizeof s_kept, "%s/%s", s_folder, name);
}

//  Claims ----------------------------------------------------------------------

//  T-183
static void
what_it_took_survives_kill_9 (void **state)
{
    (void) state;
    s_use ("killed");
    child_t child;
    for (size_t round = 0; round < 5; round++) {
        s_start (&child);
        void *dealer = s_dealer (child.endpoint);
        assert_int_equal (s_count (dealer), round);
        char queue[16];
        snprintf (queue, sizeof queue, "q%zu", round);
        s_bind (dealer, queue);
        s_end (&child, SIGKILL);
        zmq_close (dealer);
    }
}

//  T-187
static void
a_damaged_file_is_set_aside_and_reported (void **state)
{
    (void) state;
    s_use ("damaged");
    child_t child;
    s_start (&child);
    void *dealer = s_dealer (child.endpoint);
    s_bind (dealer, "q");
    zmq_close (dealer);
    s_end (&child, SIGTERM);
    s_damage (40, 'Z');
    s_start (&child);
    dealer = s_dealer (child.endpoint);
    assert_int_equal (s_count (dealer), 0);
    assert_true (s_said ("TERN-DIRECTORY-STATE-DAMAGED"));
    char path[128];
    snprintf (path, sizeof path, "%s/bindings.damaged", s_kept);
    assert_int_equal (access (path, F_OK), 0);
    //  It learns them again from whoever knows them.
    s_bind (dealer, "q");
    zmq_close (dealer);
    s_end (&child, SIGKILL);
    s_start (&child);
    dealer = s_dealer (child.endpoint);
    assert_int_equal (s_count (dealer), 1);
    zmq_close (dealer);
    s_end (&child, SIGTERM);
}

//  T-187
static void
a_file_of_a_later_version_is_left_alone (void **state)
{
    (void) state;
    s_use ("later");
    child_t child;
    s_start (&child);
    void *dealer = s_dealer (child.endpoint);
    s_bind (dealer, "q");
    zmq_close (dealer);
    s_end (&child, SIGTERM);
    s_damage (7, '2');
    s_start (&child);
    const int status = s_end (&child, 0);
    assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 1);
    assert_true (s_said ("bindings of a later version"));
    s_damage (7, '1');
    s_start (&child);
    dealer = s_dealer (child.endpoint);
    assert_int_equal (s_count (dealer), 1);
    zmq_close (dealer);
    s_end (&child, SIGTERM);
}

static void
two_nodes_do_not_share_a_folder (void **state)
{
    (void) state;
    s_use ("shared");
    child_t first;
    s_start (&first);
    child_t second;
    s_start (&second);
    const int status = s_end (&second, 0);
    assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 4);
    assert_true (s_said ("another directory keeps its state here"));
    s_end (&first, SIGTERM);
}

static int
s_set_up (void **state)
{
    (void) state;
    snprintf (s_folder, sizeof s_folder, "/tmp/tern-test-XXXXXX");
    if (!mkdtemp (s_folder)) {
        return -1;
    }
    s_context = zmq_ctx_new ();
    return s_context ? 0 : -1;
}

static int
s_tear_down (void **state)
{
    (void) state;
    zmq_ctx_term (s_context);
    char command[128];
    snprintf (command, sizeof command, "rm -rf '%s'", s_folder);
    return system (command);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_it_took_survives_kill_9),
        cmocka_unit_test (a_damaged_file_is_set_aside_and_reported),
        cmocka_unit_test (a_file_of_a_later_version_is_left_alone),
        cmocka_unit_test (two_nodes_do_not_share_a_folder),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, s_set_up, s_tear_down);
}
