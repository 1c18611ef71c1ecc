//  test_chaos - a network that cuts, delays, splits and goes silent
//
//  The consumer announces a proxy in front of itself.  Whatever that does to
//  connections, every message arrives, in order, and none that was settled
//  comes again.  The seed is printed; TERN_SEED=n has the proxy do it again.
//
//  SPDX-License-Identifier: MPL-2.0

#include "chaos_proxy.h"
#include "scene.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define QUEUE "hello"

//  Bodies of any size up to body_max, the first bytes say which it is.
static void
s_send_all (tern_producer_t *producer, unsigned count, size_t body_max,
            test_random_t *random)
{
    char *body = calloc (1, body_max + 16);
    for (unsigned number = 1; number <= count; number++) {
        const size_t size = 16 + test_random_below (random, body_max);
        snprintf (body, 16, "%u", number);
        assert_int_equal (
            tern_producer_send (producer, body, size, SCENE_DEADLINE_MS, NULL),
            TERN_OK);
    }
    free (body);
}

static unsigned
s_number (const tern_msg_t *msg)
{
    char text[17] = "";
    memcpy (text, tern_msg_body (msg), 16);
    return (unsigned) strtoul (text, NULL, 10);
}

//  Accept until every number has been settled.  A message in hand when its
//  connection ended may come again, flagged; a settled one may not.
static void
s_take_all (tern_consumer_t *consumer, unsigned count, test_random_t *random)
{
    bool *settled = calloc (count + 1, sizeof *settled);
    unsigned done = 0;
    unsigned last_first = 0;
    while (done < count) {
        tern_msg_t *msg = scene_receive (consumer);
        const unsigned number = s_number (msg);
        assert_true (number >= 1 && number <= count);
        assert_false (settled[number]);
        if (!tern_msg_redelivered (msg)) {
            assert_true (number > last_first);
            last_first = number;
        }
        //  Now and then one is kept and given back: it must return.
        if (test_random_below (random, 100) == 0) {
            assert_int_equal (tern_consumer_requeue (consumer, msg), TERN_OK);
            continue;
        }
        if (tern_consumer_accept (consumer, msg) == TERN_OK) {
            settled[number] = true;
            done++;
        }
    }
    free (settled);
}

static void
s_play (void **state, const chaos_plan_t *plan, unsigned count, size_t body_max)
{
    const scene_t *scene = *state;
    test_random_t random = test_random_start ();
    char path[100];
    char bind[110];
    snprintf (path, sizeof path, "%s/inner", scene->folder);
    snprintf (bind, sizeof bind, "ipc://%s", path);
    chaos_t *chaos = chaos_new (path, plan, test_random (&random));
    //  Silence is only looked for where there is some: a slow proxy, or a slow
    //  machine, takes long to pass one run on.
    const char *suspect_ms = plan->silences ? "600" : "20000";
    tern_peer_t *payment = scene_peer (
        scene, "payment-1", "bind", bind, "advertise", chaos_endpoint (chaos),
        "ping_ms", "100", "suspect_ms", suspect_ms, NULL);
    tern_peer_t *orders = scene_peer (scene, "orders-1", "ping_ms", "100",
                                      "suspect_ms", suspect_ms, NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 200);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_all (producer, count, body_max, &random);
    s_take_all (consumer, count, &random);
    scene_settled (producer, tern_producer_last (producer));
    assert_true (chaos_blows (chaos) > 0 || plan->cuts + plan->silences == 0);
    printf ("# %u blows\n", chaos_blows (chaos));
    scene_end (&orders, &producer, &consumer);
    tern_peer_close (&payment, 0);
    chaos_destroy (&chaos);
}

static void
test_bytes_may_come_one_by_one (void **state)
{
    s_play (state, &(chaos_plan_t) {.piece_max = 1}, 200, 200);
}

static void
test_pieces_may_come_late (void **state)
{
    s_play (state, &(chaos_plan_t) {.piece_max = 4000, .delay_max_ms = 4}, 1000,
            2000);
}

static void
test_connections_may_end_anywhere (void **state)
{
    s_play (state, &(chaos_plan_t) {.blow_bytes = 20000, .cuts = 5}, 2000, 500);
}

static void
test_connections_may_end_in_the_handshake (void **state)
{
    s_play (state, &(chaos_plan_t) {.blow_bytes = 300, .cuts = 4}, 100, 100);
}

static void
test_connections_may_fall_silent (void **state)
{
    s_play (state, &(chaos_plan_t) {.blow_bytes = 20000, .silences = 2}, 1000,
            500);
}

static void
test_everything_may_happen_at_once (void **state)
{
    s_play (state,
            &(chaos_plan_t) {.piece_max = 3000,
                             .delay_max_ms = 2,
                             .blow_bytes = 60000,
                             .cuts = 2,
                             .silences = 1},
            1000, 3000);
}

int
main (void)
{
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_bytes_may_come_one_by_one),
        CLAIM (test_pieces_may_come_late),
        CLAIM (test_connections_may_end_anywhere),
        CLAIM (test_connections_may_end_in_the_handshake),
        CLAIM (test_connections_may_fall_silent),
        CLAIM (test_everything_may_happen_at_once),
    };
    return cmocka_run_group_tests_name ("chaos", tests, NULL, NULL);
}
