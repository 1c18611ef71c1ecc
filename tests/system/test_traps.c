//  test_traps - the traps of libzmq and CZMQ, and that src/io shuts them
//
//  Each claim has two halves, each in a process of its own, because several of
//  these traps end the process: the trap on the bare library, and the same
//  situation through our wrapper.  A trap that the installed library no longer
//  has is reported as not shown here; only our half can fail.
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/context.h"
#include "io/poller.h"
#include "io/socket.h"

#include <tern.h>

#include <czmq.h>

#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

//  What a healthy step never takes, and what a hanging one is given.
#define DEADLINE_MS 20000
#define HANG_MS 1000

#define FRAME_MAX 65536

//  Results of a half.
#define HOLDS 0    //  it behaves as one would wish
#define BITES 1    //  the trap, or a broken promise of ours
#define UNCLEAR 2  //  the situation did not come about

typedef int
half_fn (void);

//  Processes -----------------------------------------------------------------

//  What became of a half.
typedef struct {
    int result;  //  HOLDS, BITES, UNCLEAR; a signal or hanging bites
    char how[64];
} outcome_t;

static outcome_t
s_play (half_fn *half, int patience_ms)
{
    int ends[2];
    assert_int_equal (pipe2 (ends, O_CLOEXEC), 0);
    fflush (stdout);
    const pid_t pid = fork ();
    if (pid == 0) {
        prctl (PR_SET_PDEATHSIG, SIGKILL);
        prctl (PR_SET_DUMPABLE, 0);  //  no core files for traps
        //  What the library says when it aborts is expected.
        if (half && freopen ("/dev/null", "w", stderr)) {
            _exit (half ());
        }
        _exit (UNCLEAR);
    }
    assert_true (pid > 0);
    close (ends[1]);
    struct pollfd item = {.fd = ends[0], .events = POLLIN};
    outcome_t outcome = {.result = BITES};
    if (poll (&item, 1, patience_ms) == 0) {
        snprintf (outcome.how, sizeof outcome.how, "it hangs");
        kill (pid, SIGKILL);
    }
    close (ends[0]);
    int status = 0;
    assert_int_equal (waitpid (pid, &status, 0), pid);
    if (WIFEXITED (status)) {
        outcome.result = WEXITSTATUS (status);
        snprintf (outcome.how, sizeof outcome.how, "result %d", outcome.result);
    } else if (!outcome.how[0]) {
        snprintf (outcome.how, sizeof outcome.how, "it dies of %s",
                  strsignal (WTERMSIG (status)));
    }
    return outcome;
}

static void
s_claim (half_fn *trap, int trap_ms, half_fn *ours)
{
    const outcome_t bare = s_play (trap, trap_ms);
    if (bare.result == BITES) {
        printf ("# the bare library has it: %s\n", bare.how);
    } else {
        printf ("# not shown here (libzmq %d.%d.%d): %s\n", ZMQ_VERSION_MAJOR,
                ZMQ_VERSION_MINOR, ZMQ_VERSION_PATCH, bare.how);
    }
    const outcome_t wrapped = s_play (ours, DEADLINE_MS);
    if (wrapped.result != HOLDS) {
        fail_msg ("ours: %s", wrapped.how);
    }
}

//  Small things --------------------------------------------------------------

static bool
s_ready (void *socket, short events, int timeout_ms)
{
    zmq_pollitem_t item = {socket, 0, events, 0};
    return zmq_poll (&item, 1, timeout_ms) == 1;
}

static void
s_bind (void *socket, char *endpoint, size_t size)
{
    if (zmq_bind (socket, "tcp://127.0.0.1:*") != 0
        || zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0) {
        _exit (UNCLEAR);
    }
}

//  A ROUTER of ours on an ephemeral port.
static void *
s_router (void *context, char *endpoint, size_t size)
{
    void *router = trn_socket_router (context, FRAME_MAX);
    if (!router
        || trn_socket_bind (router, "tcp://127.0.0.1:*", endpoint, size)) {
        _exit (UNCLEAR);
    }
    return router;
}

static void
s_set (void *socket, int option, int value)
{
    zmq_setsockopt (socket, option, &value, sizeof value);
}

//  Receive one message and throw it away; the size of its last part, or -1.
static int
s_take (void *socket)
{
    int size = -1;
    int more = 1;
    while (more) {
        zmq_msg_t part;
        zmq_msg_init (&part);
        if (zmq_msg_recv (&part, socket, ZMQ_DONTWAIT) < 0) {
            return -1;
        }
        more = zmq_msg_more (&part);
        size = (int) zmq_msg_size (&part);
        zmq_msg_close (&part);
    }
    return size;
}

//  Heartbeats ----------------------------------------------------------------

//  A full receive pipe stops the input, so heartbeats go unread and the library
//  reconnects; the first read afterwards meets an engine that was never
//  stopped, and asserts.
static int
s_flood_with_heartbeats (int heartbeat_ms, int reconnect_ms)
{
    void *context = zmq_ctx_new ();
    void *server = zmq_socket (context, ZMQ_DEALER);
    void *client = zmq_socket (context, ZMQ_DEALER);
    char endpoint[256];
    s_bind (server, endpoint, sizeof endpoint);
    s_set (client, ZMQ_RCVHWM, 1);
    s_set (client, ZMQ_HEARTBEAT_IVL, heartbeat_ms);
    s_set (client, ZMQ_RECONNECT_IVL, reconnect_ms);
    zmq_socket_monitor (client, "inproc://m", ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    void *monitor = zmq_socket (context, ZMQ_PAIR);
    zmq_connect (monitor, "inproc://m");
    zmq_connect (client, endpoint);
    if (!s_ready (monitor, ZMQ_POLLIN, DEADLINE_MS)) {
        return UNCLEAR;
    }
    s_take (monitor);
    for (int count = 0; count < 50; count++) {
        zmq_send (server, "flood", 5, ZMQ_DONTWAIT);
    }
    if (!s_ready (monitor, ZMQ_POLLIN, HANG_MS)) {
        return UNCLEAR;  //  it does not give the connection up
    }
    while (s_take (client) >= 0) {
    }
    s_ready (client, ZMQ_POLLIN, 50);
    return HOLDS;
}

static int
s_heartbeat_trap (void)
{
    return s_flood_with_heartbeats (20, 10);
}

//  Ours neither sends heartbeats nor reconnects: a reader that is late finds
//  everything that its window allowed, on the same connection.
static int
s_heartbeat_ours (void)
{
    void *context = trn_context_acquire ();
    void *server = zmq_socket (context, ZMQ_DEALER);
    char endpoint[256];
    s_bind (server, endpoint, sizeof endpoint);
    //  The far side may still try: its heartbeat asks us for a timer.
    s_set (server, ZMQ_HEARTBEAT_IVL, 20);
    s_set (server, ZMQ_HEARTBEAT_TTL, 100);
    s_set (server, ZMQ_HEARTBEAT_TIMEOUT, 10000);
    void *client = trn_socket_dealer (context, endpoint, FRAME_MAX, true);
    void *monitor = trn_socket_monitor (context, client);
    int interval = 0;
    size_t size = sizeof interval;
    zmq_getsockopt (client, ZMQ_HEARTBEAT_IVL, &interval, &size);
    if (interval != 0 || !s_ready (client, ZMQ_POLLOUT, DEADLINE_MS)) {
        return BITES;
    }
    for (int count = 0; count < 5000; count++) {
        zmq_send (server, "flood", 5, ZMQ_DONTWAIT);
    }
    //  Time for a timer to end the connection; an ended one is no failure.
    s_ready (monitor, ZMQ_POLLIN, 300);
    int got = 0;
    while (s_take (client) >= 0) {
        got++;
    }
    trn_socket_unmonitor (client, &monitor);
    trn_socket_close (&client);
    return got > 0 ? HOLDS : BITES;
}

static void
test_a_full_pipe_with_heartbeats_does_not_abort (void **state)
{
    (void) state;
    s_claim (s_heartbeat_trap, DEADLINE_MS, s_heartbeat_ours);
}

//  Monitors ------------------------------------------------------------------

//  Connect and close with a monitor, over and over; then see whether the I/O
//  thread still serves a new connection.
static int
s_churn_monitors (bool end_first)
{
    void *context = trn_context_acquire ();
    char endpoint[256];
    s_router (context, endpoint, sizeof endpoint);
    for (int count = 0; count < 2000; count++) {
        void *dealer = trn_socket_dealer (context, endpoint, FRAME_MAX, true);
        void *monitor = dealer ? trn_socket_monitor (context, dealer) : NULL;
        if (!monitor) {
            return UNCLEAR;
        }
        if (count % 2) {
            s_ready (dealer, ZMQ_POLLOUT, DEADLINE_MS);
        }
        if (end_first) {
            trn_socket_unmonitor (dealer, &monitor);
            trn_socket_close (&dealer);
        } else {
            zmq_close (dealer);
            zmq_close (monitor);
        }
        if (count % 100 == 99) {
            void *probe
                = trn_socket_dealer (context, endpoint, FRAME_MAX, true);
            if (!probe || !s_ready (probe, ZMQ_POLLOUT, HANG_MS * 3)) {
                return BITES;
            }
            trn_socket_close (&probe);
        }
    }
    return HOLDS;
}

static int
s_monitor_trap (void)
{
    return s_churn_monitors (false);
}

static int
s_monitor_ours (void)
{
    return s_churn_monitors (true);
}

static void
test_closing_a_monitor_does_not_stop_the_network (void **state)
{
    (void) state;
    s_claim (s_monitor_trap, 3 * HANG_MS, s_monitor_ours);
}

//  Routers -------------------------------------------------------------------

static int
s_unroutable_trap (void)
{
    void *router = zmq_socket (zmq_ctx_new (), ZMQ_ROUTER);
    char endpoint[256];
    s_bind (router, endpoint, sizeof endpoint);
    return zmq_send (router, "\0nobody", 7, ZMQ_SNDMORE) == 7
                   && zmq_send (router, "lost", 4, 0) == 4
               ? BITES
               : HOLDS;
}

static int
s_unroutable_ours (void)
{
    char endpoint[256];
    void *router = s_router (trn_context_acquire (), endpoint, sizeof endpoint);
    return trn_socket_send (router, "\0nobody", 7, true) == TERN_ENET ? HOLDS
                                                                      : BITES;
}

static void
test_a_frame_for_nobody_is_an_error (void **state)
{
    (void) state;
    s_claim (s_unroutable_trap, DEADLINE_MS, s_unroutable_ours);
}

//  A peer that connects, says its first word and never reads again; send to it
//  until something is refused.  BITES if all was taken.
static int
s_send_to_a_sleeper (void *context, void *router, const char *endpoint)
{
    void *sleeper = zmq_socket (context, ZMQ_DEALER);
    s_set (sleeper, ZMQ_RCVHWM, 1);
    s_set (sleeper, ZMQ_RCVBUF, 4096);
    zmq_connect (sleeper, endpoint);
    zmq_send (sleeper, "hello", 5, 0);
    uint8_t id[32];
    if (!s_ready (router, ZMQ_POLLIN, DEADLINE_MS)) {
        return UNCLEAR;
    }
    const int id_size = zmq_recv (router, id, sizeof id, 0);
    s_take (router);
    static char body[16384];
    for (int count = 0; count < 8000; count++) {
        if (zmq_send (router, id, (size_t) id_size, ZMQ_DONTWAIT | ZMQ_SNDMORE)
                != id_size
            || zmq_send (router, body, sizeof body, ZMQ_DONTWAIT) < 0) {
            return zmq_errno () == EAGAIN ? HOLDS : UNCLEAR;
        }
    }
    return BITES;
}

static int
s_overflow_trap (void)
{
    void *context = zmq_ctx_new ();
    void *router = zmq_socket (context, ZMQ_ROUTER);
    s_set (router, ZMQ_SNDHWM, 10);
    s_set (router, ZMQ_SNDBUF, 4096);
    char endpoint[256];
    s_bind (router, endpoint, sizeof endpoint);
    return s_send_to_a_sleeper (context, router, endpoint);
}

static int
s_overflow_ours (void)
{
    void *context = trn_context_acquire ();
    char endpoint[256];
    void *router = s_router (context, endpoint, sizeof endpoint);
    return s_send_to_a_sleeper (context, router, endpoint);
}

static void
test_a_peer_that_does_not_read_is_an_error (void **state)
{
    (void) state;
    s_claim (s_overflow_trap, DEADLINE_MS, s_overflow_ours);
}

//  Routing ids ---------------------------------------------------------------

//  The id that a bound ROUTER gave to a newcomer.
static uint32_t
s_given_id (void *router, void *dealer)
{
    uint8_t id[5];
    zmq_send (dealer, "x", 1, 0);
    if (!s_ready (router, ZMQ_POLLIN, DEADLINE_MS)
        || zmq_recv (router, id, sizeof id, 0) != 5 || id[0] != 0) {
        _exit (UNCLEAR);
    }
    s_take (router);
    return (uint32_t) id[1] << 24 | (uint32_t) id[2] << 16
           | (uint32_t) id[3] << 8 | id[4];
}

//  Who knows the number of the last id can take the next: the one after that
//  asserts.
static int
s_routing_id_trap (void)
{
    void *context = zmq_ctx_new ();
    void *router = zmq_socket (context, ZMQ_ROUTER);
    char endpoint[256];
    s_bind (router, endpoint, sizeof endpoint);
    void *first = zmq_socket (context, ZMQ_DEALER);
    zmq_connect (first, endpoint);
    const uint32_t next = s_given_id (router, first) + 1;
    const uint8_t id[5] = {0, (uint8_t) (next >> 24), (uint8_t) (next >> 16),
                           (uint8_t) (next >> 8), (uint8_t) next};
    void *thief = zmq_socket (context, ZMQ_DEALER);
    zmq_setsockopt (thief, ZMQ_ROUTING_ID, id, sizeof id);
    zmq_connect (thief, endpoint);
    zmq_send (thief, "x", 1, 0);
    if (!s_ready (router, ZMQ_POLLIN, DEADLINE_MS)) {
        return UNCLEAR;
    }
    s_take (router);
    void *third = zmq_socket (context, ZMQ_DEALER);
    zmq_connect (third, endpoint);
    s_given_id (router, third);
    return HOLDS;
}

//  Ours shows no id to anybody and sets none, so nothing tells the next; that
//  the count does not start at a fixed number is the library's part.
static int
s_routing_id_ours (void)
{
    void *context = trn_context_acquire ();
    char endpoint[256];
    void *router = s_router (context, endpoint, sizeof endpoint);
    void *dealer = trn_socket_dealer (context, endpoint, FRAME_MAX, false);
    uint8_t id[256];
    size_t size = sizeof id;
    zmq_getsockopt (dealer, ZMQ_ROUTING_ID, id, &size);
    if (size != 0) {
        return BITES;
    }
    const uint32_t given = s_given_id (router, dealer);
    //  A second ROUTER counts from elsewhere.
    char other_endpoint[256];
    void *other = s_router (context, other_endpoint, sizeof other_endpoint);
    void *second
        = trn_socket_dealer (context, other_endpoint, FRAME_MAX, false);
    const uint32_t distance = s_given_id (other, second) - given;
    return distance + 16 > 32 ? HOLDS : BITES;
}

static void
test_routing_ids_stay_our_own (void **state)
{
    (void) state;
    s_claim (s_routing_id_trap, DEADLINE_MS, s_routing_id_ours);
}

static int
s_connect_id_trap (void)
{
    void *context = zmq_ctx_new ();
    void *router = zmq_socket (context, ZMQ_ROUTER);
    void *far = zmq_socket (context, ZMQ_ROUTER);
    char endpoint[256];
    char far_endpoint[256];
    s_bind (router, endpoint, sizeof endpoint);
    s_bind (far, far_endpoint, sizeof far_endpoint);
    void *dealer = zmq_socket (context, ZMQ_DEALER);
    zmq_setsockopt (dealer, ZMQ_ROUTING_ID, "peer", 4);
    zmq_connect (dealer, endpoint);
    zmq_send (dealer, "x", 1, 0);
    if (!s_ready (router, ZMQ_POLLIN, DEADLINE_MS)) {
        return UNCLEAR;
    }
    s_take (router);
    zmq_setsockopt (router, ZMQ_CONNECT_ROUTING_ID, "peer", 4);
    zmq_connect (router, far_endpoint);
    return HOLDS;
}

//  Ours connects with DEALERs only: they have one peer and no table of ids.
static int
s_connect_id_ours (void)
{
    void *context = trn_context_acquire ();
    void *dealer
        = trn_socket_dealer (context, "tcp://127.0.0.1:9", FRAME_MAX, true);
    int type = 0;
    size_t size = sizeof type;
    zmq_getsockopt (dealer, ZMQ_TYPE, &type, &size);
    return type == ZMQ_DEALER ? HOLDS : BITES;
}

static void
test_a_connecting_socket_has_no_ids_to_collide (void **state)
{
    (void) state;
    s_claim (s_connect_id_trap, DEADLINE_MS, s_connect_id_ours);
}

//  Connections ---------------------------------------------------------------

//  An endpoint where nobody listens.
static void
s_dead_endpoint (void *context, char *endpoint, size_t size)
{
    void *gone = zmq_socket (context, ZMQ_DEALER);
    s_bind (gone, endpoint, size);
    zmq_unbind (gone, endpoint);
    zmq_close (gone);
}

static int
s_queueing_trap (void)
{
    void *context = zmq_ctx_new ();
    char endpoint[256];
    s_dead_endpoint (context, endpoint, sizeof endpoint);
    void *dealer = zmq_socket (context, ZMQ_DEALER);
    zmq_connect (dealer, endpoint);
    return zmq_send (dealer, "to nobody", 9, ZMQ_DONTWAIT) == 9 ? BITES : HOLDS;
}

static int
s_queueing_ours (void)
{
    void *context = trn_context_acquire ();
    char endpoint[256];
    s_dead_endpoint (context, endpoint, sizeof endpoint);
    void *dealer = trn_socket_dealer (context, endpoint, FRAME_MAX, true);
    return trn_socket_send (dealer, "to nobody", 9, false) == TERN_EAGAIN
               ? HOLDS
               : BITES;
}

static void
test_nothing_is_queued_for_a_peer_that_is_not_there (void **state)
{
    (void) state;
    s_claim (s_queueing_trap, DEADLINE_MS, s_queueing_ours);
}

//  The server goes and another comes to the same endpoint.  Does the client
//  talk to the new one as if nothing had been?
static int
s_meet_another_server (void *context, void *dealer, void *server,
                       const char *endpoint, int *sent_p)
{
    if (!s_ready (server, ZMQ_POLLIN, DEADLINE_MS)) {
        return UNCLEAR;
    }
    s_take (server);
    zmq_close (server);
    void *another = NULL;
    //  The old listener closes in the background.
    for (int tries = 0; tries < 1000 && !another; tries++) {
        another = zmq_socket (context, ZMQ_ROUTER);
        if (zmq_bind (another, endpoint) != 0) {
            zmq_close (another);
            another = NULL;
            poll (NULL, 0, 5);
        }
    }
    if (!another) {
        return UNCLEAR;
    }
    *sent_p = zmq_send (dealer, "second", 6, ZMQ_DONTWAIT);
    return s_ready (another, ZMQ_POLLIN, HANG_MS / 2) ? BITES : HOLDS;
}

static int
s_reconnect_trap (void)
{
    void *context = zmq_ctx_new ();
    void *server = zmq_socket (context, ZMQ_ROUTER);
    char endpoint[256];
    s_set (server, ZMQ_LINGER, 0);
    s_bind (server, endpoint, sizeof endpoint);
    void *dealer = zmq_socket (context, ZMQ_DEALER);
    s_set (dealer, ZMQ_RECONNECT_IVL, 10);
    zmq_connect (dealer, endpoint);
    zmq_send (dealer, "first", 5, 0);
    int sent = 0;
    return s_meet_another_server (context, dealer, server, endpoint, &sent);
}

static int
s_reconnect_ours (void)
{
    void *context = trn_context_acquire ();
    char endpoint[256];
    void *server = s_router (context, endpoint, sizeof endpoint);
    void *dealer = trn_socket_dealer (context, endpoint, FRAME_MAX, true);
    void *monitor = trn_socket_monitor (context, dealer);
    if (!s_ready (dealer, ZMQ_POLLOUT, DEADLINE_MS)) {
        return UNCLEAR;
    }
    if (trn_socket_monitor_ended (monitor)
        || trn_socket_send (dealer, "first", 5, false)) {
        return BITES;
    }
    int sent = 0;
    const int result
        = s_meet_another_server (context, dealer, server, endpoint, &sent);
    //  And it says so.
    return result == HOLDS
                   && (!s_ready (monitor, ZMQ_POLLIN, DEADLINE_MS)
                       || !trn_socket_monitor_ended (monitor))
               ? BITES
               : result;
}

static void
test_a_new_connection_is_never_the_old_one (void **state)
{
    (void) state;
    s_claim (s_reconnect_trap, DEADLINE_MS, s_reconnect_ours);
}

static int
s_size_trap (void)
{
    void *context = zmq_ctx_new ();
    void *router = zmq_socket (context, ZMQ_ROUTER);
    char endpoint[256];
    s_bind (router, endpoint, sizeof endpoint);
    void *dealer = zmq_socket (context, ZMQ_DEALER);
    zmq_connect (dealer, endpoint);
    static char body[FRAME_MAX * 4];
    zmq_send (dealer, body, sizeof body, 0);
    return s_ready (router, ZMQ_POLLIN, DEADLINE_MS) ? BITES : HOLDS;
}

static int
s_size_ours (void)
{
    void *context = trn_context_acquire ();
    char endpoint[256];
    void *router = s_router (context, endpoint, sizeof endpoint);
    void *dealer = zmq_socket (context, ZMQ_DEALER);
    s_set (dealer, ZMQ_RECONNECT_IVL, -1);
    zmq_connect (dealer, endpoint);
    static char body[FRAME_MAX * 4];
    void *monitor = trn_socket_monitor (context, dealer);
    zmq_send (dealer, body, FRAME_MAX, 0);
    if (!s_ready (router, ZMQ_POLLIN, DEADLINE_MS)
        || s_take (router) != FRAME_MAX) {
        return BITES;
    }
    zmq_send (dealer, body, sizeof body, 0);
    //  The connection ends, and nothing arrives.
    if (!s_ready (monitor, ZMQ_POLLIN, DEADLINE_MS)
        || !trn_socket_monitor_ended (monitor)) {
        return BITES;
    }
    return s_take (router) < 0 ? HOLDS : BITES;
}

static void
test_a_frame_beyond_the_limit_ends_its_connection (void **state)
{
    (void) state;
    s_claim (s_size_trap, DEADLINE_MS, s_size_ours);
}

//  Waiting -------------------------------------------------------------------

//  Two messages, one read: does the descriptor still say that one waits?
static void *
s_two_messages (void *context, void **sender_p)
{
    void *router = zmq_socket (context, ZMQ_ROUTER);
    char endpoint[256];
    s_bind (router, endpoint, sizeof endpoint);
    *sender_p = zmq_socket (context, ZMQ_DEALER);
    zmq_connect (*sender_p, endpoint);
    zmq_send (*sender_p, "one", 3, 0);
    zmq_send (*sender_p, "two", 3, 0);
    return router;
}

static int
s_edge_trap (void)
{
    void *sender;
    void *router = s_two_messages (zmq_ctx_new (), &sender);
    int fd;
    size_t size = sizeof fd;
    zmq_getsockopt (router, ZMQ_FD, &fd, &size);
    for (int got = 0; got < 1;) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        if (poll (&item, 1, DEADLINE_MS) != 1) {
            return UNCLEAR;
        }
        got += s_take (router) >= 0;
    }
    //  The second is there already, or will be: only looking tells.
    struct pollfd item = {.fd = fd, .events = POLLIN};
    const bool told = poll (&item, 1, 200) == 1;
    return s_take (router) < 0 ? UNCLEAR : told ? HOLDS : BITES;
}

static int
s_edge_ours (void)
{
    void *sender;
    void *router = s_two_messages (trn_context_acquire (), &sender);
    trn_poller_t *poller = trn_poller_new ();
    trn_poll_item_t router_item = {.socket = router};
    if (trn_poller_add (poller, &router_item)) {
        return UNCLEAR;
    }
    for (int got = 0; got < 2;) {
        trn_poller_wait (poller, DEADLINE_MS);
        trn_poll_item_t *item = trn_poller_next (poller);
        if (!item && !trn_poller_busy (poller)) {
            continue;  //  news that was none
        }
        if (item && item->ready_in) {
            got += s_take (router) >= 0;  //  one only
            trn_poller_touch (poller, item);
        }
    }
    return HOLDS;
}

static void
test_a_message_that_waits_is_not_forgotten (void **state)
{
    (void) state;
    s_claim (s_edge_trap, DEADLINE_MS, s_edge_ours);
}

static int
s_linger_trap (void)
{
    void *context = zmq_ctx_new ();
    char endpoint[256];
    s_dead_endpoint (context, endpoint, sizeof endpoint);
    void *dealer = zmq_socket (context, ZMQ_DEALER);
    zmq_connect (dealer, endpoint);
    zmq_send (dealer, "unsent", 6, 0);
    zmq_close (dealer);
    zmq_ctx_term (context);
    return HOLDS;
}

static int
s_linger_ours (void)
{
    void *context = trn_context_acquire ();
    char endpoint[256];
    s_dead_endpoint (context, endpoint, sizeof endpoint);
    void *dealer = trn_socket_dealer (context, endpoint, FRAME_MAX, false);
    if (trn_socket_send (dealer, "unsent", 6, false)) {
        return UNCLEAR;
    }
    trn_socket_close (&dealer);
    trn_context_release ();
    return HOLDS;
}

static void
test_closing_does_not_wait_for_what_is_unsent (void **state)
{
    (void) state;
    s_claim (s_linger_trap, HANG_MS, s_linger_ours);
}

//  Where a message came from is told by its payload; the id frame loses it
//  once the socket was polled.
static int
s_metadata (void *router, bool payload)
{
    //  Polled before anything is there, as a server always does.
    if (!s_ready (router, ZMQ_POLLIN, DEADLINE_MS)) {
        return UNCLEAR;
    }
    zmq_msg_t parts[2];
    if (trn_socket_recv (router, parts, 2) != 2) {
        return UNCLEAR;
    }
    return zmq_msg_gets (&parts[payload ? 1 : 0], "Peer-Address") ? HOLDS
                                                                  : BITES;
}

static int
s_metadata_trap (void)
{
    void *sender;
    return s_metadata (s_two_messages (zmq_ctx_new (), &sender), false);
}

static int
s_metadata_ours (void)
{
    void *sender;
    return s_metadata (s_two_messages (trn_context_acquire (), &sender), true);
}

static void
test_a_payload_frame_says_where_it_came_from (void **state)
{
    (void) state;
    s_claim (s_metadata_trap, DEADLINE_MS, s_metadata_ours);
}

//  The process ---------------------------------------------------------------

static bool
s_has_default_handlers (void)
{
    struct sigaction interrupt, terminate;
    sigaction (SIGINT, NULL, &interrupt);
    sigaction (SIGTERM, NULL, &terminate);
    return interrupt.sa_handler == SIG_DFL && terminate.sa_handler == SIG_DFL;
}

static int
s_signals_trap (void)
{
    zsys_init ();
    return s_has_default_handlers () ? HOLDS : BITES;
}

//  Ours uses CZMQ too, for configuration files.
static int
s_signals_ours (void)
{
    char path[] = "/tmp/tern-traps-XXXXXX";
    const int fd = mkstemp (path);
    FILE *file = fd >= 0 ? fdopen (fd, "w") : NULL;
    if (!file) {
        return UNCLEAR;
    }
    fputs ("tern\n    name = orders-1\n", file);
    fclose (file);
    tern_config_t *config = tern_config_new ();
    char why[256];
    const int rc = tern_config_load (config, path, why, sizeof why);
    unlink (path);
    if (rc || strcmp (tern_config_get (config, "name"), "orders-1") != 0) {
        return UNCLEAR;
    }
    trn_context_acquire ();
    return s_has_default_handlers () ? HOLDS : BITES;
}

static void
test_signal_handlers_are_the_applications (void **state)
{
    (void) state;
    s_claim (s_signals_trap, DEADLINE_MS, s_signals_ours);
}

//  Threads of this process, but the calling one, that take this signal.
static int
s_count_takers (int signal)
{
    DIR *tasks = opendir ("/proc/self/task");
    struct dirent *entry;
    int takers = 0;
    while (tasks && (entry = readdir (tasks)) != NULL) {
        const long id = strtol (entry->d_name, NULL, 10);
        if (id == 0 || id == (long) getpid ()) {
            continue;
        }
        char path[64];
        char line[256];
        unsigned long long blocked = 0;
        snprintf (path, sizeof path, "/proc/self/task/%ld/status", id);
        FILE *status = fopen (path, "r");
        while (status && fgets (line, sizeof line, status)) {
            if (sscanf (line, "SigBlk: %llx", &blocked) == 1) {
                takers += (blocked >> (signal - 1) & 1) == 0;
            }
        }
        if (status) {
            fclose (status);
        }
    }
    if (tasks) {
        closedir (tasks);
    }
    return takers;
}

//  A sanitizer may have a thread of its own: only new ones count.
static int
s_thread_signals (void *(*new_context) (void) )
{
    static const int signals[] = {SIGINT, SIGTERM, SIGUSR1, SIGCHLD};
    int before[4];
    for (size_t index = 0; index < 4; index++) {
        before[index] = s_count_takers (signals[index]);
    }
    zmq_socket (new_context (), ZMQ_DEALER);
    for (size_t index = 0; index < 4; index++) {
        if (s_count_takers (signals[index]) > before[index]) {
            return BITES;
        }
    }
    return HOLDS;
}

static int
s_thread_signals_trap (void)
{
    return s_thread_signals (zmq_ctx_new);
}

static int
s_thread_signals_ours (void)
{
    return s_thread_signals (trn_context_acquire);
}

static void
test_signals_do_not_go_to_network_threads (void **state)
{
    (void) state;
    s_claim (s_thread_signals_trap, DEADLINE_MS, s_thread_signals_ours);
}

static int
s_many_sockets (void *context)
{
    int most = zmq_ctx_get (context, ZMQ_MAX_SOCKETS);
    return most >= 4096 ? HOLDS : BITES;
}

static int
s_many_sockets_trap (void)
{
    return s_many_sockets (zmq_ctx_new ());
}

static int
s_many_sockets_ours (void)
{
    return s_many_sockets (trn_context_acquire ());
}

static void
test_a_thousand_links_are_not_too_many_sockets (void **state)
{
    (void) state;
    s_claim (s_many_sockets_trap, DEADLINE_MS, s_many_sockets_ours);
}

int
main (void)
{
    cmocka_set_message_output (CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_full_pipe_with_heartbeats_does_not_abort),
        cmocka_unit_test (test_closing_a_monitor_does_not_stop_the_network),
        cmocka_unit_test (test_a_frame_for_nobody_is_an_error),
        cmocka_unit_test (test_a_peer_that_does_not_read_is_an_error),
        cmocka_unit_test (test_routing_ids_stay_our_own),
        cmocka_unit_test (test_a_connecting_socket_has_no_ids_to_collide),
        cmocka_unit_test (test_nothing_is_queued_for_a_peer_that_is_not_there),
        cmocka_unit_test (test_a_new_connection_is_never_the_old_one),
        cmocka_unit_test (test_a_frame_beyond_the_limit_ends_its_connection),
        cmocka_unit_test (test_a_message_that_waits_is_not_forgotten),
        cmocka_unit_test (test_closing_does_not_wait_for_what_is_unsent),
        cmocka_unit_test (test_a_payload_frame_says_where_it_came_from),
        cmocka_unit_test (test_signal_handlers_are_the_applications),
        cmocka_unit_test (test_signals_do_not_go_to_network_threads),
        cmocka_unit_test (test_a_thousand_links_are_not_too_many_sockets),
    };
    return cmocka_run_group_tests_name ("traps", tests, NULL, NULL);
}
