//  test_io_poller - an edge-triggered ZMQ_FD becomes a level
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/context.h"
#include "io/poller.h"
#include "io/socket.h"

#include <tern/error.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS 10000

typedef struct {
    void *context, *router, *dealer;
    trn_poller_t *poller;
    trn_poll_item_t router_item;
    char endpoint[256];
} setup_t;

static int
s_setup (void **state)
{
    static setup_t setup;
    setup = (setup_t) {0};
    setup.context = trn_context_acquire ();
    setup.router = trn_socket_router (setup.context, 1 << 20);
    assert_non_null (setup.router);
    assert_int_equal (trn_socket_bind (setup.router, "tcp://127.0.0.1:*",
                                       setup.endpoint, sizeof setup.endpoint),
                      0);
    setup.dealer
        = trn_socket_dealer (setup.context, setup.endpoint, 1 << 20, false);
    assert_non_null (setup.dealer);
    setup.poller = trn_poller_new ();
    setup.router_item.socket = setup.router;
    assert_int_equal (trn_poller_add (setup.poller, &setup.router_item), 0);
    *state = &setup;
    return 0;
}

static int
s_teardown (void **state)
{
    setup_t *setup = *state;
    trn_poller_destroy (&setup->poller);
    trn_socket_close (&setup->dealer);
    trn_socket_close (&setup->router);
    trn_context_release ();
    return 0;
}

//  Wait until the router's item is reported, or fail.
static void
s_wait_router (setup_t *setup)
{
    for (int round = 0; round < 100; round++) {
        trn_poller_wait (setup->poller, WAIT_MS);
        if (trn_poller_next (setup->poller) == &setup->router_item) {
            assert_true (setup->router_item.ready_in);
            return;
        }
    }
    fail_msg ("the socket was never reported readable");
}

static size_t
s_take (setup_t *setup, int max)
{
    size_t taken = 0;
    zmq_msg_t parts[8];
    for (int index = 0; index < max; index++) {
        const int count = trn_socket_recv (setup->router, parts, 8);
        if (count <= 0) {
            break;
        }
        for (int part = 0; part < count; part++) {
            zmq_msg_close (&parts[part]);
        }
        taken++;
    }
    trn_poller_touch (setup->poller, &setup->router_item);
    return taken;
}

//  The trap: ZMQ_FD signals once for many messages.
static void
test_messages_left_behind_are_reported_again (void **state)
{
    setup_t *setup = *state;
    for (int index = 0; index < 50; index++) {
        assert_int_equal (trn_socket_send (setup->dealer, "x", 1, false), 0);
    }
    size_t total = 0;
    while (total < 50) {
        s_wait_router (setup);
        total += s_take (setup, 1);
    }
    assert_int_equal (total, 50);
}

static void
test_idle_item_is_not_reported (void **state)
{
    setup_t *setup = *state;
    //  The first look is due to adding it; then it must be silent.
    for (int round = 0; round < 10; round++) {
        trn_poller_wait (setup->poller, 1);
        while (trn_poller_next (setup->poller)) {
        }
    }
    trn_poller_wait (setup->poller, 0);
    assert_null (trn_poller_next (setup->poller));
}

static void
test_removed_item_is_not_reported (void **state)
{
    setup_t *setup = *state;
    trn_poll_item_t plain = {0};
    plain.fd = eventfd (1, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal (trn_poller_add (setup->poller, &plain), 0);
    trn_poller_wait (setup->poller, 0);
    trn_poller_remove (setup->poller, &plain);
    trn_poll_item_t *item;
    while ((item = trn_poller_next (setup->poller)) != NULL) {
        assert_ptr_not_equal (item, &plain);
    }
    close (plain.fd);
}

//  So that another thread may watch its descriptor meanwhile.
static void
test_muted_item_is_heard_again_when_unmuted (void **state)
{
    setup_t *setup = *state;
    //  The first look is due to adding it.
    trn_poller_wait (setup->poller, 0);
    while (trn_poller_next (setup->poller)) {
    }
    trn_poller_mute (setup->poller, &setup->router_item);
    assert_int_equal (trn_socket_send (setup->dealer, "x", 1, false), 0);
    struct pollfd other = {.fd = setup->router_item.fd, .events = POLLIN};
    assert_int_equal (poll (&other, 1, WAIT_MS), 1);
    trn_poller_wait (setup->poller, 0);
    assert_null (trn_poller_next (setup->poller));

    trn_poller_unmute (setup->poller, &setup->router_item);
    s_wait_router (setup);
    assert_int_equal (s_take (setup, 1), 1);
}

static void
test_too_many_parts_are_dropped_whole (void **state)
{
    setup_t *setup = *state;
    for (int part = 0; part < 20; part++) {
        assert_int_equal (trn_socket_send (setup->dealer, "x", 1, part < 19),
                          0);
    }
    assert_int_equal (trn_socket_send (setup->dealer, "after", 5, false), 0);
    s_wait_router (setup);
    zmq_msg_t parts[8];
    assert_int_equal (trn_socket_recv (setup->router, parts, 8), -1);
    int count = 0;
    while (count == 0) {
        trn_poller_touch (setup->poller, &setup->router_item);
        s_wait_router (setup);
        count = trn_socket_recv (setup->router, parts, 8);
    }
    assert_int_equal (count, 2);
    assert_memory_equal (zmq_msg_data (&parts[1]), "after", 5);
    zmq_msg_close (&parts[0]);
    zmq_msg_close (&parts[1]);
}

static void
test_nobody_there_takes_nothing (void **state)
{
    setup_t *setup = *state;
    //  Immediate: without a connection there is no queue to vanish in.
    void *alone
        = trn_socket_dealer (setup->context, "tcp://127.0.0.1:1", 1000, true);
    assert_non_null (alone);
    assert_int_equal (trn_socket_send (alone, "x", 1, false), TERN_EAGAIN);
    trn_socket_close (&alone);
    //  Mandatory: an unknown route is an error, not a silence.
    assert_int_equal (trn_socket_send (setup->router, "\0nope", 5, true),
                      TERN_ENET);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (
            test_messages_left_behind_are_reported_again, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_idle_item_is_not_reported,
                                         s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_removed_item_is_not_reported,
                                         s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (
            test_muted_item_is_heard_again_when_unmuted, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_too_many_parts_are_dropped_whole,
                                         s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_nobody_there_takes_nothing,
                                         s_setup, s_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
