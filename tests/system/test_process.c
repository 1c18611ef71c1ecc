//  test_process - peers in processes that are killed, stopped and watched
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUE "hello"

static void
s_print_body (const tern_msg_t *msg)
{
    printf ("%.*s%s\n", (int) tern_msg_size (msg),
            (const char *) tern_msg_body (msg),
            tern_msg_redelivered (msg) ? " again" : "");
}


//  Roles ---------------------------------------------------------------------

//  hold NAME COUNT: take COUNT messages, say them, settle none, stay.
static int
s_hold (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 2);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    const unsigned count = (unsigned) strtoul (argv[1], NULL, 10);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, count);
    for (unsigned taken = 0; taken < count; taken++) {
        s_print_body (tern_msg_dup (scene_receive (consumer)));
    }
    scene_stay ();
}

//  take NAME: accept everything that comes, and say it.
static int
s_take (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    tern_peer_t *peer = scene_peer (scene, argv[0], "suspect_ms", "1000", NULL);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 10);
    printf ("ready\n");
    for (;;) {
        tern_msg_t *msg = tern_consumer_recv (consumer, -1);
        s_print_body (msg);
        tern_consumer_accept (consumer, msg);
    }
    return 0;
}

//  publish NAME COUNT: send, wait until all is written, say so, stay.
static int
s_publish (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 2);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    scene_send_numbers (producer, "job",
                        (unsigned) strtoul (argv[1], NULL, 10));
    scene_stay_written (producer);
}

//  open NAME: say what opening returns.
static int
s_open (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    tern_config_t *config = scene_config (scene, argv[0], NULL);
    tern_peer_t *peer = NULL;
    char why[256] = "";
    printf ("%d\n", tern_peer_open (&peer, config, why, sizeof why));
    tern_config_destroy (&config);
    tern_peer_close (&peer, 0);
    return 0;
}

static void
s_ignore (int signal)
{
    (void) signal;
}

//  Does this task block what an application might handle?
static bool
s_task_blocks (const char *task, int signal)
{
    char path[300];
    char line[256];
    unsigned long long blocked = 0;
    snprintf (path, sizeof path, "/proc/self/task/%s/status", task);
    FILE *file = fopen (path, "r");
    while (file && fgets (line, sizeof line, file)) {
        sscanf (line, "SigBlk: %llx", &blocked);
    }
    if (file) {
        fclose (file);
    }
    return (blocked >> (signal - 1) & 1) != 0;
}

//  signals NAME: handlers before and after, masks of all our threads.
static int
s_signals (const scene_t *scene, int argc, char **argv)
{
    static const int signals[]
        = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE, SIGALRM};
    const size_t count = sizeof signals / sizeof *signals;
    assert_int_equal (argc, 1);
    struct sigaction action = {.sa_handler = s_ignore};
    struct sigaction before[sizeof signals / sizeof *signals];
    sigaction (SIGTERM, &action, NULL);
    for (size_t index = 0; index < count; index++) {
        sigaction (signals[index], NULL, &before[index]);
    }
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 0);
    scene_send (producer, "x");
    tern_consumer_accept (consumer, scene_receive (consumer));
    for (size_t index = 0; index < count; index++) {
        struct sigaction after;
        sigaction (signals[index], NULL, &after);
        if (after.sa_handler != before[index].sa_handler) {
            printf ("handler of %s is another\n", strsignal (signals[index]));
        }
    }
    DIR *tasks = opendir ("/proc/self/task");
    struct dirent *entry;
    while (tasks && (entry = readdir (tasks)) != NULL) {
        const long id = strtol (entry->d_name, NULL, 10);
        for (size_t index = 0;
             id != 0 && id != (long) getpid () && index < count; index++) {
            if (!s_task_blocks (entry->d_name, signals[index])) {
                printf ("a thread takes %s\n", strsignal (signals[index]));
            }
        }
    }
    if (tasks) {
        closedir (tasks);
    }
    sigset_t mask;
    pthread_sigmask (SIG_SETMASK, NULL, &mask);
    printf ("own mask %s\n",
            sigismember (&mask, SIGTERM) ? "changed" : "unchanged");
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
    printf ("done\n");
    return 0;
}

//  How many descriptors would a program that we start inherit?
static unsigned
s_count_inherited (bool say)
{
    unsigned count = 0;
    DIR *folder = opendir ("/proc/self/fd");
    struct dirent *entry;
    while (folder && (entry = readdir (folder)) != NULL) {
        const int fd = (int) strtol (entry->d_name, NULL, 10);
        if (fd > STDERR_FILENO && fd != dirfd (folder)
            && !(fcntl (fd, F_GETFD) & FD_CLOEXEC)) {
            char path[64];
            char target[256] = "";
            snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
            const ssize_t used = readlink (path, target, sizeof target - 1);
            (void) used;
            if (say) {
                printf ("%d %s\n", fd, target);
            }
            count++;
        }
    }
    if (folder) {
        closedir (folder);
    }
    return count;
}

//  descriptors NAME: what is open without FD_CLOEXEC while a peer works.
static int
s_descriptors (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    const unsigned before = s_count_inherited (false);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 0);
    tern_consumer_fd (consumer);
    tern_peer_fd (peer);
    const uint64_t seq = scene_send (producer, "x");
    tern_consumer_accept (consumer, scene_receive (consumer));
    scene_settled (producer, seq);
    const unsigned ours = s_count_inherited (false) - before;
    if (ours > 0) {
        s_count_inherited (true);
    }
    printf ("%u\n", ours);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
    return 0;
}

//  quiet NAME: a life with troubles, standard output and error into a file.
static int
s_quiet (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    char path[128];
    snprintf (path, sizeof path, "%s/said", scene->folder);
    const int said = open (path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int out = dup (STDOUT_FILENO);
    const int err = dup (STDERR_FILENO);
    assert_true (said >= 0 && out >= 0 && err >= 0);
    dup2 (said, STDOUT_FILENO);
    dup2 (said, STDERR_FILENO);

    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 0);
    scene_send_numbers (producer, "x", 100);
    tern_consumer_accept (consumer, scene_receive (consumer));
    //  A second opening, a directory that is not there, an endpoint in use.
    tern_peer_t *other = NULL;
    char why[256];
    tern_config_t *config = scene_config (scene, argv[0], NULL);
    int rc = tern_peer_open (&other, config, why, sizeof why);
    tern_config_destroy (&config);
    assert_int_equal (rc, TERN_EINUSE);
    config = scene_config (scene, "other", "bind", tern_peer_endpoint (peer),
                           NULL);
    rc = tern_peer_open (&other, config, why, sizeof why);
    tern_config_destroy (&config);
    assert_int_equal (rc, TERN_ENET);
    config
        = scene_config (scene, "alone", "directory", "tcp://127.0.0.1:9", NULL);
    rc = tern_peer_open (&other, config, why, sizeof why);
    tern_config_destroy (&config);
    assert_int_equal (rc, TERN_OK);
    tern_event_t event;
    tern_peer_event (other, &event, 3000);  //  it is told, not printed
    tern_peer_close (&other, 0);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);

    fflush (NULL);
    dup2 (out, STDOUT_FILENO);
    dup2 (err, STDERR_FILENO);
    struct stat info;
    fstat (said, &info);
    printf ("said %lld\n", (long long) info.st_size);
    return 0;
}

//  Kills -----------------------------------------------------------------------

static void
test_what_a_killed_consumer_held_goes_to_another (void **state)
{
    const scene_t *scene = *state;
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_child_t holder;
    scene_start (scene, &holder, "hold", "holder-1", "5", NULL);
    scene_consumers (orders, QUEUE, 1);
    const uint64_t last = scene_send_numbers (producer, "job", 8);
    for (unsigned number = 1; number <= 5; number++) {
        char text[32];
        snprintf (text, sizeof text, "job %u", number);
        scene_says (&holder, text);
    }
    //  Another is there, idle but for what the first has no room for.
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    for (unsigned number = 6; number <= 8; number++) {
        char text[32];
        snprintf (text, sizeof text, "job %u", number);
        tern_msg_t *msg = scene_expect (consumer, text);
        assert_false (tern_msg_redelivered (msg));
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    const int64_t killed_at = scene_now_ms ();
    scene_kill (&holder);
    for (unsigned number = 1; number <= 5; number++) {
        char text[32];
        snprintf (text, sizeof text, "job %u", number);
        tern_msg_t *msg = scene_expect (consumer, text);
        assert_true (tern_msg_redelivered (msg));
        assert_int_equal (tern_msg_deliveries (msg), 2);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    printf ("# taken over within %lld ms\n",
            (long long) (scene_now_ms () - killed_at));
    scene_settled (producer, last);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_what_a_killed_publisher_had_written_is_delivered (void **state)
{
    const scene_t *scene = *state;
    scene_child_t publisher;
    scene_start (scene, &publisher, "publish", "orders-1", "5000", NULL);
    scene_says (&publisher, "written");
    scene_kill (&publisher);

    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    uint64_t last = 0;
    for (unsigned number = 1; number <= 5000; number++) {
        char text[32];
        snprintf (text, sizeof text, "job %u", number);
        tern_msg_t *msg = scene_expect (consumer, text);
        last = tern_msg_seq (msg);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_settled (producer, last);
    //  What is sent now has a number that was never used.
    const uint64_t next = scene_send (producer, "after");
    assert_true (next > last);
    tern_msg_t *msg = scene_expect (consumer, "after");
    assert_int_equal (tern_msg_seq (msg), next);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    scene_settled (producer, next);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_a_stopped_consumer_is_passed_over_and_comes_back (void **state)
{
    const scene_t *scene = *state;
    tern_peer_t *orders = scene_peer (scene, "orders-1", "ping_ms", "200",
                                      "suspect_ms", "1000", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_child_t taker;
    scene_start (scene, &taker, "take", "taker-1", NULL);
    scene_says (&taker, "ready");
    scene_consumers (orders, QUEUE, 1);
    scene_settled (producer, scene_send (producer, "first"));
    scene_says (&taker, "first");

    kill (taker.pid, SIGSTOP);
    const uint64_t stuck = scene_send (producer, "second");
    //  Its kernel still acknowledges; only silence tells.
    scene_consumers (orders, QUEUE, 0);
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    tern_msg_t *msg = scene_expect (consumer, "second");
    assert_int_equal (tern_msg_seq (msg), stuck);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    scene_settled (producer, stuck);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);

    //  Awake, it finds its place again; its late answers change nothing.
    kill (taker.pid, SIGCONT);
    const uint64_t last = scene_send (producer, "third");
    scene_settled (producer, last);
    const tern_stats_t row = scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER);
    assert_int_equal (row.consumed.total, 3);
    assert_int_equal (row.depth, 0);
    bool third = false;
    while (!third) {
        const char *said = scene_line (&taker);
        assert_non_null (said);
        third
            = strcmp (said, "third") == 0 || strcmp (said, "third again") == 0;
    }
    scene_kill (&taker);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_the_directory_may_be_away_while_messages_move (void **state)
{
    scene_t *scene = *state;
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    scene_consumers (orders, QUEUE, 1);
    tern_directory_close (&scene->directory);
    for (unsigned number = 1; number <= 100; number++) {
        scene_send (producer, "without");
        scene_accept (consumer, "without");
    }
    scene_settled (producer, tern_producer_last (producer));

    //  It comes back at its old place, empty: peers register by themselves and
    //  newcomers are found.
    const char *const binds[] = {scene->endpoint};
    const tern_directory_options_t options = {.binds = binds, .bind_count = 1};
    char why[256] = "";
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    while (tern_directory_open (&scene->directory, &options, why, sizeof why)
           == TERN_ENET) {
        assert_true (scene_now_ms () < until);
    }
    tern_peer_t *late = scene_peer (scene, "payment-2", NULL);
    tern_consumer_t *second = scene_consumer (late, QUEUE, 0);
    scene_consumers (orders, QUEUE, 2);
    tern_consumer_close (&second);
    tern_peer_close (&late, 0);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    tern_peer_close (&orders, 0);
}

//  Manners ---------------------------------------------------------------------

static void
test_a_store_that_another_process_has_is_in_use (void **state)
{
    const scene_t *scene = *state;
    tern_peer_t *peer = scene_peer (scene, "orders-1", NULL);
    scene_child_t child;
    char refused[16];
    snprintf (refused, sizeof refused, "%d", TERN_EINUSE);
    scene_start (scene, &child, "open", "orders-1", NULL);
    scene_says (&child, refused);
    assert_int_equal (scene_ended (&child), 0);
    tern_peer_close (&peer, 0);
    scene_start (scene, &child, "open", "orders-1", NULL);
    scene_says (&child, "0");
    assert_int_equal (scene_ended (&child), 0);
}

static void
test_signals_belong_to_the_application (void **state)
{
    scene_child_t child;
    scene_start (*state, &child, "signals", "orders-1", NULL);
    scene_says (&child, "own mask unchanged");
    scene_says (&child, "done");
    assert_int_equal (scene_ended (&child), 0);
}

static void
test_programs_we_start_inherit_no_descriptor (void **state)
{
    scene_child_t child;
    scene_start (*state, &child, "descriptors", "orders-1", NULL);
    scene_says (&child, "0");
    assert_int_equal (scene_ended (&child), 0);
}

static void
test_the_library_prints_nothing (void **state)
{
    scene_child_t child;
    scene_start (*state, &child, "quiet", "orders-1", NULL);
    scene_says (&child, "said 0");
    assert_int_equal (scene_ended (&child), 0);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[] = {
        {"hold", s_hold},       {"take", s_take},
        {"publish", s_publish}, {"open", s_open},
        {"signals", s_signals}, {"descriptors", s_descriptors},
        {"quiet", s_quiet},     {NULL, NULL},
    };
    const int played = scene_main (roles, argc, argv);
    if (played >= 0) {
        return played;
    }
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_what_a_killed_consumer_held_goes_to_another),
        CLAIM (test_what_a_killed_publisher_had_written_is_delivered),
        CLAIM (test_a_stopped_consumer_is_passed_over_and_comes_back),
        CLAIM (test_the_directory_may_be_away_while_messages_move),
        CLAIM (test_a_store_that_another_process_has_is_in_use),
        CLAIM (test_signals_belong_to_the_application),
        CLAIM (test_programs_we_start_inherit_no_descriptor),
        CLAIM (test_the_library_prints_nothing),
    };
    return cmocka_run_group_tests_name ("process", tests, NULL, NULL);
}
