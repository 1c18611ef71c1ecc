//  test_io_wake - no wake-up is lost, and none is paid for while awake
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/wake.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static bool
s_readable (const trn_wake_t *wake)
{
    struct pollfd item = {.fd = wake->fd, .events = POLLIN};
    return poll (&item, 1, 0) == 1;
}

static void
test_waking_the_awake_writes_nothing (void **state)
{
    (void) state;
    trn_wake_t wake;
    assert_int_equal (trn_wake_open (&wake), 0);
    trn_wake_up (&wake);
    assert_false (s_readable (&wake));
    trn_wake_announce (&wake);
    trn_wake_up (&wake);
    assert_true (s_readable (&wake));
    trn_wake_clear (&wake);
    assert_false (s_readable (&wake));
    trn_wake_close (&wake);
}

//  Hand numbers over one by one; every hand-over needs a wake-up that arrives.
#define ROUNDS 5000

typedef struct {
    trn_wake_t wake;
    atomic_uint work;
} pair_t;

static void *
s_producer (void *arg)
{
    pair_t *pair = arg;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        atomic_store (&pair->work, round);
        trn_wake_up (&pair->wake);
        while (atomic_load (&pair->work) == round) {
            sched_yield ();
        }
    }
    return NULL;
}

static void
test_no_wake_up_is_lost (void **state)
{
    (void) state;
    pair_t pair = {0};
    assert_int_equal (trn_wake_open (&pair.wake), 0);
    pthread_t thread;
    assert_int_equal (pthread_create (&thread, NULL, s_producer, &pair), 0);
    unsigned done = 0;
    while (done < ROUNDS) {
        trn_wake_announce (&pair.wake);
        if (atomic_load (&pair.work) != done + 1) {
            struct pollfd item = {.fd = pair.wake.fd, .events = POLLIN};
            assert_int_equal (poll (&item, 1, 10000), 1);
        }
        trn_wake_clear (&pair.wake);
        if (atomic_load (&pair.work) == done + 1) {
            done++;
            atomic_store (&pair.work, 0);
        }
    }
    pthread_join (thread, NULL);
    trn_wake_close (&pair.wake);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_waking_the_awake_writes_nothing),
        cmocka_unit_test (test_no_wake_up_is_lost),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
