//  tests/system/test_directory.c - directory nodes with real sockets
//
//  Raw DEALERs say what peers say.  ternd runs as a process of its own and is
//  killed; children of this program host and lose the local directory.
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

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

//  What a healthy run comes nowhere near.
#define DEADLINE_MS 30000

#define HOST_WORD "--host-local"
#define PEER_WORD "--local-peer"

static char s_folder[64];
static void *s_context;

static int64_t
s_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

//  Raw peers ---------------------------------------------------------------

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

static void
s_say (void *dealer, const trn_dirframe_t *frame)
{
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    const size_t size = trn_dirframe_encode (frame, bytes, sizeof bytes);
    assert_int_equal (zmq_send (dealer, bytes, size, 0), (int) size);
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

static trn_dirframe_t
s_registration (const char *name, uint64_t lease_ms)
{
    trn_dirframe_t frame = {
        .type = TRN_DIR_REGISTER,
        .enrol = {.version_min = 1, .version_max = 1, .lease_ms = lease_ms},
    };
    trn_entry_t *entry = &frame.enrol.entry;
    entry->name = trn_text (name);
    entry->incarnation = 1;
    entry->random = 1;
    entry->version = 1;
    entry->endpoint_count = 1;
    entry->endpoints[0] = trn_text ("tcp://127.0.0.1:1");
    entry->queue_count = 1;
    entry->queues[0] = trn_text ("jobs");
    return frame;
}

//  Register and take the answer; returns the directory's epoch.
static uint64_t
s_register (void *dealer, const char *name, uint64_t lease_ms)
{
    trn_dirframe_t frame = s_registration (name, lease_ms);
    s_say (dealer, &frame);
    s_hear (dealer, &frame);
    assert_int_equal (frame.type, TRN_DIR_REGISTERED);
    return frame.registered.epoch;
}

static void
s_watch (void *dealer)
{
    const trn_dirframe_t watch = {
        .type = TRN_DIR_WATCH,
        .watch = {.version_min = 1, .version_max = 1},
    };
    s_say (dealer, &watch);
}

static void
s_expect_change (void *dealer, const char *name, bool removed)
{
    trn_dirframe_t frame;
    s_hear (dealer, &frame);
    assert_int_equal (frame.type, TRN_DIR_DELTA);
    assert_true (trn_text_is (frame.delta.entry.name, name));
    assert_int_equal (frame.delta.removed, removed);
}

//  Directories -------------------------------------------------------------

static tern_directory_t *
s_open (void)
{
    const char *const binds[] = {"tcp://127.0.0.1:*"};
    const tern_directory_options_t options = {.binds = binds, .bind_count = 1};
    tern_directory_t *directory;
    char why[256] = "";
    assert_int_equal (
        tern_directory_open (&directory, &options, why, sizeof why), 0);
    return directory;
}

typedef struct {
    pid_t pid;
    int out;
    char endpoint[256];
} child_t;

//  Run a program; its first line is read into endpoint.
static void
s_start (child_t *child, char *const argv[])
{
    int pipe_fds[2];
    assert_int_equal (pipe (pipe_fds), 0);
    child->pid = fork ();
    assert_true (child->pid >= 0);
    if (child->pid == 0) {
        dup2 (pipe_fds[1], 1);
        close (pipe_fds[0]);
        close (pipe_fds[1]);
        execv (argv[0], argv);
        _exit (127);
    }
    close (pipe_fds[1]);
    child->out = pipe_fds[0];
    size_t used = 0;
    while (used + 1 < sizeof child->endpoint
           && read (child->out, &child->endpoint[used], 1) == 1
           && child->endpoint[used] != '\n') {
        used++;
    }
    child->endpoint[used] = 0;
    assert_true (used > 0);
}

//  End it by a signal; returns what wait says.
static int
s_end (child_t *child, int number)
{
    int status = 0;
    kill (child->pid, number);
    assert_int_equal (waitpid (child->pid, &status, 0), child->pid);
    close (child->out);
    return status;
}

static void
s_start_ternd (child_t *child, const char *bind)
{
    char program[512];
    char option[] = "--bind";
    char quiet[] = "--quiet";
    char endpoint[256];
    const char *build = getenv ("TERN_BUILDDIR");
    snprintf (program, sizeof program, "%s/ternd", build ? build : ".");
    snprintf (endpoint, sizeof endpoint, "%s", bind);
    char *const argv[] = {program, option, endpoint, quiet, NULL};
    s_start (child, argv);
}

//  Leases, over the wire -----------------------------------------------------

static void
peers_register_say_goodbye_and_expire (void **state)
{
    (void) state;
    tern_directory_t *directory = s_open ();
    const char *endpoint = tern_directory_endpoint (directory, 0);
    assert_null (tern_directory_endpoint (directory, 1));
    void *a = s_dealer (endpoint);
    void *b = s_dealer (endpoint);
    void *watcher = s_dealer (endpoint);
    s_watch (watcher);
    trn_dirframe_t frame;
    s_hear (watcher, &frame);
    assert_int_equal (frame.type, TRN_DIR_SNAPSHOT);
    s_register (a, "a", 5000);
    s_expect_change (watcher, "a", false);
    s_register (b, "b", 1000);
    s_expect_change (watcher, "b", false);
    const trn_dirframe_t goodbye = {
        .type = TRN_DIR_GOODBYE,
        .goodbye = {.name = trn_text ("a"), .incarnation = 1},
    };
    s_say (a, &goodbye);
    s_expect_change (watcher, "a", true);
    s_expect_change (watcher, "b", true);  //  its lease is over
    tern_directory_stats_t stats;
    tern_directory_stats (directory, &stats);
    assert_int_equal (stats.peers, 0);
    assert_int_equal (stats.watchers, 1);
    assert_int_equal (stats.expired, 1);
    assert_int_equal (stats.goodbyes, 1);
    zmq_close (a);
    zmq_close (b);
    zmq_close (watcher);
    tern_directory_close (&directory);
    assert_null (directory);
}

static void
a_thousand_peers_register_and_all_are_told (void **state)
{
    (void) state;
    enum {
        PEERS = 1000,
        ROUTES = 50
    };
    tern_directory_t *directory = s_open ();
    const char *endpoint = tern_directory_endpoint (directory, 0);
    void *dealers[ROUTES];
    for (unsigned index = 0; index < ROUTES; index++) {
        dealers[index] = s_dealer (endpoint);
    }
    void *watcher = s_dealer (endpoint);
    s_watch (watcher);
    trn_dirframe_t frame;
    s_hear (watcher, &frame);
    for (unsigned index = 0; index < PEERS; index++) {
        char name[32];
        snprintf (name, sizeof name, "peer-%u", index);
        s_register (dealers[index % ROUTES], name, TRN_LEASE_MAX_MS);
    }
    for (unsigned index = 0; index < PEERS; index++) {
        char name[32];
        snprintf (name, sizeof name, "peer-%u", index);
        s_expect_change (watcher, name, false);
    }
    tern_config_t *config = tern_config_new ();
    assert_int_equal (tern_config_set (config, "directory", endpoint, NULL, 0),
                      0);
    tern_fleet_t *fleet;
    char why[256] = "";
    assert_int_equal (
        tern_fleet_fetch (&fleet, config, DEADLINE_MS, why, sizeof why), 0);
    tern_fleet_peer_t peer;
    assert_true (tern_fleet_peer_at (fleet, 0, &peer));
    assert_string_equal (peer.name, "peer-0");
    assert_string_equal (peer.endpoint, "tcp://127.0.0.1:1");
    assert_int_equal (peer.queue_count, 1);
    assert_string_equal (peer.queues[0], "jobs");
    assert_true (tern_fleet_peer_at (fleet, PEERS - 1, &peer));
    assert_string_equal (peer.name, "peer-999");
    assert_false (tern_fleet_peer_at (fleet, PEERS, &peer));
    tern_fleet_destroy (&fleet);
    tern_config_destroy (&config);
    for (unsigned index = 0; index < ROUTES; index++) {
        zmq_close (dealers[index]);
    }
    zmq_close (watcher);
    tern_directory_close (&directory);
}

//  ternd, killed -----------------------------------------------------------

static void
a_killed_ternd_comes_back_on_its_port (void **state)
{
    (void) state;
    child_t child;
    s_start_ternd (&child, "tcp://127.0.0.1:*");
    void *dealer = s_dealer (child.endpoint);
    const uint64_t epoch = s_register (dealer, "a", 5000);
    zmq_close (dealer);
    for (unsigned round = 0; round < 3; round++) {
        s_end (&child, SIGKILL);
        char endpoint[256];
        snprintf (endpoint, sizeof endpoint, "%s", child.endpoint);
        s_start_ternd (&child, endpoint);
        assert_string_equal (child.endpoint, endpoint);
        dealer = s_dealer (endpoint);
        assert_true (s_register (dealer, "a", 5000) != epoch);
        zmq_close (dealer);
    }
    const int status = s_end (&child, SIGTERM);
    assert_true (WIFEXITED (status));
    assert_int_equal (WEXITSTATUS (status), 0);
}

static void
ternd_tells_systemd_when_it_is_ready (void **state)
{
    (void) state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf (address.sun_path, sizeof address.sun_path, "%s/notify", s_folder);
    const int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = DEADLINE_MS / 1000};
    setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal (
        bind (fd, (const struct sockaddr *) &address, sizeof address), 0);
    setenv ("NOTIFY_SOCKET", address.sun_path, 1);
    child_t child;
    s_start_ternd (&child, "tcp://127.0.0.1:*");
    unsetenv ("NOTIFY_SOCKET");
    char text[256] = "";
    assert_true (recv (fd, text, sizeof text - 1, 0) > 0);
    assert_int_equal (strncmp (text, "READY=1\n", 8), 0);
    kill (child.pid, SIGTERM);
    memset (text, 0, sizeof text);
    assert_true (recv (fd, text, sizeof text - 1, 0) > 0);
    assert_string_equal (text, "STOPPING=1");
    s_end (&child, SIGTERM);
    close (fd);
}

static uint64_t
s_resident_kib (pid_t pid)
{
    char path[64];
    snprintf (path, sizeof path, "/proc/%d/statm", (int) pid);
    FILE *file = fopen (path, "re");
    assert_non_null (file);
    uint64_t size, resident;
    assert_int_equal (fscanf (file, "%" SCNu64 " %" SCNu64, &size, &resident),
                      2);
    fclose (file);
    return resident * (uint64_t) sysconf (_SC_PAGESIZE) / 1024;
}

//  Bytes that are not even ZeroMQ.
static void
s_shout (const char *endpoint, uint64_t *random)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    address.sin_port
        = htons ((uint16_t) strtoul (strrchr (endpoint, ':') + 1, NULL, 10));
    const int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal (
        connect (fd, (const struct sockaddr *) &address, sizeof address), 0);
    uint8_t bytes[512];
    for (size_t at = 0; at < sizeof bytes; at++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        bytes[at] = (uint8_t) (*random >> 56);
    }
    const ssize_t sent = send (fd, bytes, sizeof bytes, MSG_NOSIGNAL);
    (void) sent;
    close (fd);
}

static void
nonsense_neither_ends_nor_grows_a_directory (void **state)
{
    (void) state;
    child_t child;
    s_start_ternd (&child, "tcp://127.0.0.1:*");
    uint64_t random = 1;
    uint64_t before = 0;
    static uint8_t bytes[2 * TRN_DIRECTORY_FRAME_MAX];
    for (unsigned round = 0; round < 40; round++) {
        void *dealer = s_dealer (child.endpoint);
        for (unsigned index = 0; index < 500; index++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            const size_t size = (size_t) (random >> 54);
            bytes[0] = (uint8_t) (0x90 + (random >> 40) % 10);
            bytes[1] = (uint8_t) (32 + (random >> 30) % 14);
            for (size_t at = 2; at < size; at++) {
                bytes[at] = (uint8_t) (random >> at % 56);
            }
            //  One frame, or several; empty ones too.
            zmq_send (dealer, bytes, size, index % 3 ? 0 : ZMQ_SNDMORE);
        }
        zmq_send (dealer, bytes, 0, 0);
        //  Over the limit of a frame: that connection ends.
        zmq_send (dealer, bytes, sizeof bytes, 0);
        zmq_close (dealer);
        s_shout (child.endpoint, &random);
        //  It still answers, and has therefore read what came before.
        dealer = s_dealer (child.endpoint);
        char name[32];
        snprintf (name, sizeof name, "honest-%u", round);
        s_register (dealer, name, 1000);
        zmq_close (dealer);
        if (round == 9) {
            before = s_resident_kib (child.pid);
        }
    }
    const uint64_t after = s_resident_kib (child.pid);
    print_message ("# resident: %" PRIu64 " KiB, then %" PRIu64 " KiB\n",
                   before, after);
    //  Sanitizers keep freed memory and say so themselves when some is lost.
    const char *instrument = getenv ("TERN_INSTRUMENT");
    assert_true ((instrument && *instrument) || after < before + 8 * 1024);
    s_end (&child, SIGKILL);
}

static void
a_watcher_that_does_not_read_costs_little (void **state)
{
    (void) state;
    tern_directory_t *directory = s_open ();
    const char *endpoint = tern_directory_endpoint (directory, 0);
    void *sleeper = zmq_socket (s_context, ZMQ_DEALER);
    const int one = 1;
    const int zero = 0;
    const int buffer = 4096;
    zmq_setsockopt (sleeper, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt (sleeper, ZMQ_RCVHWM, &one, sizeof one);
    zmq_setsockopt (sleeper, ZMQ_RCVBUF, &buffer, sizeof buffer);
    assert_int_equal (zmq_connect (sleeper, endpoint), 0);
    s_watch (sleeper);
    //  Far more changes than its pipes, buffers and the history hold.
    static char names[100][TRN_NAME_MAX + 1];
    for (unsigned index = 0; index < 100; index++) {
        snprintf (names[index], sizeof names[index], "%063u", index);
    }
    void *dealer = NULL;
    uint64_t version = 0;
    for (unsigned route = 0; route < 16; route++) {
        dealer = s_dealer (endpoint);
        for (unsigned index = 0; index < 300; index++) {
            trn_dirframe_t frame = s_registration ("a", TRN_LEASE_MAX_MS);
            frame.enrol.entry.version = ++version;
            frame.enrol.entry.queue_count = 100;
            for (unsigned queue = 0; queue < 100; queue++) {
                frame.enrol.entry.queues[queue] = trn_text (names[queue]);
            }
            s_say (dealer, &frame);
            s_hear (dealer, &frame);
            assert_int_equal (frame.type, TRN_DIR_REGISTERED);
        }
        zmq_close (dealer);
    }
    //  When it reads at last, it ends where everybody is.
    trn_dirframe_t frame;
    uint64_t told = 0;
    unsigned frames = 0;
    while (told != version) {
        s_hear (sleeper, &frame);
        frames++;
        if (frame.type == TRN_DIR_DELTA) {
            told = frame.delta.entry.version;
        } else if (frame.type == TRN_DIR_SNAPSHOT) {
            trn_entry_t entry;
            while (trn_entries_next (&frame.snapshot.entries, &entry)) {
                told = entry.version;
            }
        }
    }
    print_message ("# %u frames for %" PRIu64 " changes\n", frames, version);
    assert_true (frames < version);
    zmq_close (sleeper);
    tern_directory_close (&directory);
}

//  Endpoints ---------------------------------------------------------------

static void
what_cannot_be_bound_is_said_in_one_line (void **state)
{
    (void) state;
    tern_directory_t *first = s_open ();
    const char *const cases[] = {
        "nonsense",
        "udp://127.0.0.1:1",
        "tcp://127.0.0.1",
        "tcp://192.0.2.1:1",
        "ipc:///nowhere/at/all",
        tern_directory_endpoint (first, 0),
    };
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        const tern_directory_options_t options
            = {.binds = &cases[index], .bind_count = 1};
        tern_directory_t *directory;
        char why[256] = "";
        const int rc
            = tern_directory_open (&directory, &options, why, sizeof why);
        assert_int_equal (rc, index < 3 ? TERN_EINVAL : TERN_ENET);
        assert_null (directory);
        assert_non_null (strstr (why, cases[index]));
        assert_null (strchr (why, '\n'));
    }
    tern_directory_close (&first);
}

static void
a_living_ipc_socket_is_not_taken_away (void **state)
{
    (void) state;
    char endpoint[128];
    snprintf (endpoint, sizeof endpoint, "ipc://%s/one", s_folder);
    const char *const binds[] = {endpoint};
    const tern_directory_options_t options = {.binds = binds, .bind_count = 1};
    tern_directory_t *first;
    tern_directory_t *second;
    char why[256] = "";
    assert_int_equal (tern_directory_open (&first, &options, why, sizeof why),
                      0);
    assert_int_equal (tern_directory_open (&second, &options, why, sizeof why),
                      TERN_ENET);
    void *dealer = s_dealer (endpoint);
    s_register (dealer, "a", 1000);
    zmq_close (dealer);
    tern_directory_close (&first);
    assert_int_equal (access (endpoint + strlen ("ipc://"), F_OK), -1);
    //  A dead one's file is in nobody's way.
    child_t child;
    s_start_ternd (&child, endpoint);
    s_end (&child, SIGKILL);
    assert_int_equal (access (endpoint + strlen ("ipc://"), F_OK), 0);
    assert_int_equal (tern_directory_open (&second, &options, why, sizeof why),
                      0);
    tern_directory_close (&second);
}

//  The local directory -----------------------------------------------------

//  In a child: host the local directory until killed.
static void
s_host_local (void)
{
    tern_directory_t *directory;
    char why[256];
    const int rc = tern_directory_open_local (&directory, why, sizeof why);
    puts (rc ? why : tern_directory_endpoint (directory, 0));
    fflush (stdout);
    for (;;) {
        pause ();
    }
}

//  In a child: be a peer that consumes a queue, until killed.
static void
s_be_local_peer (const char *name)
{
    tern_config_t *config = tern_config_new ();
    char data[128];
    snprintf (data, sizeof data, "%s/%s", getenv ("XDG_RUNTIME_DIR"), name);
    char why[256] = "";
    int rc = tern_config_set (config, "name", name, why, sizeof why);
    rc = rc ? rc : tern_config_set (config, "data", data, why, sizeof why);
    tern_peer_t *peer;
    tern_consumer_t *consumer;
    rc = rc ? rc : tern_peer_open (&peer, config, why, sizeof why);
    rc = rc ? rc : tern_consumer_open (&consumer, peer, "jobs", NULL);
    puts (rc ? why : name);
    fflush (stdout);
    for (;;) {
        pause ();
    }
}

static void
s_start_self (child_t *child, const char *word, const char *name)
{
    char program[512];
    char first[32];
    char second[32];
    snprintf (program, sizeof program, "/proc/self/exe");
    snprintf (first, sizeof first, "%s", word);
    snprintf (second, sizeof second, "%s", name);
    char *const argv[] = {program, first, second, NULL};
    s_start (child, argv);
}

static void
the_local_directory_has_one_host_at_a_time (void **state)
{
    (void) state;
    char folder[128];
    char endpoint[128];
    char why[256] = "";
    assert_int_equal (tern_directory_local (folder, sizeof folder, endpoint,
                                            sizeof endpoint, why, sizeof why),
                      0);
    for (unsigned round = 0; round < 5; round++) {
        child_t child;
        s_start_self (&child, HOST_WORD, "");
        assert_string_equal (child.endpoint, endpoint);
        tern_directory_t *directory;
        assert_int_equal (
            tern_directory_open_local (&directory, why, sizeof why),
            TERN_EINUSE);
        void *dealer = s_dealer (endpoint);
        s_register (dealer, "a", 1000);
        zmq_close (dealer);
        s_end (&child, SIGKILL);

        //  Its lock ended with it; its socket file is replaced.
        assert_int_equal (
            tern_directory_open_local (&directory, why, sizeof why), 0);
        assert_string_equal (tern_directory_endpoint (directory, 0), endpoint);
        dealer = s_dealer (endpoint);
        s_register (dealer, "a", 1000);
        zmq_close (dealer);
        tern_directory_close (&directory);
        assert_int_equal (access (endpoint + strlen ("ipc://"), F_OK), -1);
    }
}

static bool
s_fleet_has (const tern_fleet_t *fleet, const char *name)
{
    tern_fleet_peer_t peer;
    for (size_t index = 0; tern_fleet_peer_at (fleet, index, &peer); index++) {
        if (!strcmp (peer.name, name)) {
            return true;
        }
    }
    return false;
}

//  Wait until a local directory answers and knows local-<first> .. local-3;
//  returns how long that took.
static int64_t
s_wait_for_peers (unsigned first)
{
    const int64_t from_ms = s_now_ms ();
    for (;;) {
        tern_fleet_t *fleet;
        bool found = tern_fleet_fetch (&fleet, NULL, 1000, NULL, 0) == 0;
        for (unsigned index = first; found && index < 4; index++) {
            char name[16];
            snprintf (name, sizeof name, "local-%u", index);
            found = s_fleet_has (fleet, name);
        }
        tern_fleet_destroy (&fleet);
        const int64_t took_ms = s_now_ms () - from_ms;
        if (found) {
            return took_ms;
        }
        assert_true (took_ms < DEADLINE_MS);
    }
}

static void
peers_take_over_from_a_killed_host (void **state)
{
    (void) state;
    child_t children[4];
    for (unsigned index = 0; index < 4; index++) {
        char name[16];
        snprintf (name, sizeof name, "local-%u", index);
        s_start_self (&children[index], PEER_WORD, name);
        assert_string_equal (children[index].endpoint, name);
    }
    s_wait_for_peers (0);
    //  The first hosts.  When a host dies, the others move together.
    for (unsigned victim = 0; victim < 3; victim++) {
        s_end (&children[victim], SIGKILL);
        const int64_t took_ms = s_wait_for_peers (victim + 1);
        print_message ("# all there again after %" PRId64 " ms\n", took_ms);
    }
    s_end (&children[3], SIGKILL);
}

static void
a_folder_that_others_could_reach_is_refused (void **state)
{
    (void) state;
    char why[256] = "";
    char folder[128];
    char endpoint[128];
    char path[128];
    tern_directory_t *directory;
    snprintf (path, sizeof path, "%s/tern", s_folder);

    //  Mode.
    assert_int_equal (chmod (path, 0755), 0);
    assert_int_equal (tern_directory_local (folder, sizeof folder, endpoint,
                                            sizeof endpoint, why, sizeof why),
                      TERN_EACCESS);
    assert_non_null (strstr (why, "chmod 700"));
    assert_int_equal (tern_directory_open_local (&directory, why, sizeof why),
                      TERN_EACCESS);
    assert_int_equal (chmod (path, 0700), 0);

    //  A link in its place.
    char other[128];
    snprintf (other, sizeof other, "%s/other", s_folder);
    assert_int_equal (rename (path, other), 0);
    assert_int_equal (symlink (other, path), 0);
    assert_int_equal (tern_directory_local (folder, sizeof folder, endpoint,
                                            sizeof endpoint, why, sizeof why),
                      TERN_EACCESS);
    assert_int_equal (unlink (path), 0);
    assert_int_equal (rename (other, path), 0);

    //  A path that no socket address holds.
    char deep[128];
    snprintf (deep, sizeof deep, "%s/%060d", s_folder, 7);
    assert_int_equal (mkdir (deep, 0700), 0);
    assert_int_equal (setenv ("XDG_RUNTIME_DIR", deep, 1), 0);
    assert_int_equal (tern_directory_local (folder, sizeof folder, endpoint,
                                            sizeof endpoint, why, sizeof why),
                      TERN_ETOOBIG);
    assert_int_equal (setenv ("XDG_RUNTIME_DIR", s_folder, 1), 0);
    assert_int_equal (rmdir (deep), 0);
}

static void
looking_where_nobody_answers_ends_in_time (void **state)
{
    (void) state;
    tern_fleet_t *fleet;
    char why[256] = "";
    assert_int_equal (tern_fleet_fetch (&fleet, NULL, 300, why, sizeof why),
                      TERN_ENODIR);
    assert_null (fleet);
    assert_non_null (strstr (why, "no directory answers"));
}

//  Every process of the test has a folder of its own.

static int
s_set_up (void **state)
{
    (void) state;
    snprintf (s_folder, sizeof s_folder, "/tmp/tern-test-XXXXXX");
    if (!mkdtemp (s_folder) || setenv ("XDG_RUNTIME_DIR", s_folder, 1)) {
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
main (int argc, char **argv)
{
    if (argc > 1 && !strcmp (argv[1], HOST_WORD)) {
        s_host_local ();
    }
    if (argc > 2 && !strcmp (argv[1], PEER_WORD)) {
        s_be_local_peer (argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (peers_register_say_goodbye_and_expire),
        cmocka_unit_test (a_thousand_peers_register_and_all_are_told),
        cmocka_unit_test (a_killed_ternd_comes_back_on_its_port),
        cmocka_unit_test (ternd_tells_systemd_when_it_is_ready),
        cmocka_unit_test (nonsense_neither_ends_nor_grows_a_directory),
        cmocka_unit_test (a_watcher_that_does_not_read_costs_little),
        cmocka_unit_test (what_cannot_be_bound_is_said_in_one_line),
        cmocka_unit_test (a_living_ipc_socket_is_not_taken_away),
        cmocka_unit_test (the_local_directory_has_one_host_at_a_time),
        cmocka_unit_test (peers_take_over_from_a_killed_host),
        cmocka_unit_test (a_folder_that_others_could_reach_is_refused),
        cmocka_unit_test (looking_where_nobody_answers_ends_in_time),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, s_set_up, s_tear_down);
}
