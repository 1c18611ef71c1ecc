//  test_core_call - calls: who gets them, who answers, and what goes wrong
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/core_world.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SERVICE "prices"

typedef struct {
    world_t *world;
    peer_t *asker, *one, *other;
    uint64_t number;
} cast_t;

static int
s_set_up (void **state)
{
    static cast_t cast;
    cast = (cast_t) {.world = world_new ()};
    cast.asker = world_peer (cast.world, "asker");
    cast.one = world_peer (cast.world, "one");
    cast.other = world_peer (cast.world, "other");
    *state = &cast;
    return 0;
}

static int
s_tear_down (void **state)
{
    cast_t *cast = *state;
    world_destroy (&cast->world);
    return 0;
}

static uint32_t
s_serve (peer_t *peer, uint32_t calls)
{
    peer->consumes[0] = SERVICE;
    peer->consumer_count = 1;
    return trn_engine_add_service (peer->engine, SERVICE, calls, 1 << 20,
                                   peer->world->now_ms);
}

static void
s_need (cast_t *cast)
{
    assert_int_equal (
        trn_engine_add_need (cast->asker->engine, SERVICE, cast->world->now_ms),
        TERN_OK);
    world_meet (cast->world);
    world_settle (cast->world);
}

//  A call of so much patience; what became of it.
static const world_call_t *
s_call_on (cast_t *cast, int64_t timeout_ms, uint64_t answers, bool once)
{
    const trn_call_terms_t terms
        = {.number = ++cast->number,
           .answers = answers,
           .bytes = 1 << 20,
           .due_ms = timeout_ms ? cast->world->now_ms + timeout_ms : INT64_MAX,
           .once = once};
    trn_engine_on_call (cast->asker->engine, SERVICE, &terms,
                        cast->world->now_ms);
    world_settle (cast->world);
    return &cast->asker->calls[terms.number];
}

static const world_call_t *
s_call (cast_t *cast, int64_t timeout_ms)
{
    return s_call_on (cast, timeout_ms, 1, false);
}

static void
s_answer (peer_t *peer, unsigned task, bool last)
{
    trn_engine_on_answer (peer->engine, peer->tasks[task].id, WORLD_RECORD,
                          last, peer->world->now_ms);
    world_settle (peer->world);
}

static void
s_fail (peer_t *peer, unsigned task, const char *words)
{
    trn_engine_on_task_over (peer->engine, peer->tasks[task].id,
                             TRN_FAIL_FAILED, words, peer->world->now_ms);
    world_settle (peer->world);
}

static trn_engine_stats_t
s_stats (const peer_t *peer)
{
    trn_engine_stats_t stats;
    trn_engine_stats (peer->engine, &stats);
    return stats;
}

//  T-160
static void
test_a_request_gets_its_reply (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 4);
    s_need (cast);
    const world_call_t *call = s_call (cast, 5000);
    assert_int_equal (cast->one->task_count, 1);
    assert_false (cast->one->tasks[0].repeated);
    assert_int_equal (cast->one->tasks[0].due_ms, cast->world->now_ms + 5000);
    assert_false (call->over);
    s_answer (cast->one, 0, true);
    assert_true (call->answered);
    assert_int_equal (call->answers, 1);
    assert_int_equal (s_stats (cast->one).tasks_open, 0);
    assert_int_equal (s_stats (cast->asker).calls_open, 0);
}

static void
test_a_peer_may_serve_itself (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->asker, 1);
    s_need (cast);
    const world_call_t *call = s_call (cast, 5000);
    s_answer (cast->asker, 0, true);
    assert_true (call->answered);
}

static void
test_words_of_a_failure_reach_the_requester (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 4);
    s_need (cast);
    const world_call_t *call = s_call (cast, 5000);
    s_fail (cast->one, 0, "no such price");
    assert_true (call->over && !call->answered);
    assert_int_equal (call->end, TRN_CALL_FAILED);
    assert_string_equal (call->words, "no such price");
}

static void
test_the_least_busy_is_asked_and_equals_in_turn (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 64);
    s_serve (cast->other, 64);
    s_need (cast);
    for (unsigned index = 0; index < 10; index++) {
        s_call (cast, 0);
    }
    assert_int_equal (cast->one->task_count, 5);
    assert_int_equal (cast->other->task_count, 5);
    for (unsigned task = 0; task < 5; task++) {
        s_answer (cast->one, task, true);
    }
    for (unsigned index = 0; index < 5; index++) {
        s_call (cast, 0);
    }
    assert_int_equal (cast->one->task_count, 10);
    assert_int_equal (cast->other->task_count, 5);
}

//  T-161
static void
test_a_server_without_room_says_so_and_another_is_asked (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 1);
    s_serve (cast->other, 1);
    s_need (cast);
    const world_call_t *first = s_call (cast, 60000);
    s_call (cast, 60000);
    const world_call_t *third = s_call (cast, 60000);
    assert_int_equal (cast->one->task_count, 1);
    assert_int_equal (cast->other->task_count, 1);
    s_answer (cast->one, 0, true);
    assert_true (first->answered);
    //  The place is free, and the third has waited for it.
    assert_int_equal (cast->one->task_count, 2);
    s_answer (cast->one, 1, true);
    assert_true (third->answered);
}

//  T-161
static void
test_one_requester_fills_a_server_and_another_waits_its_turn (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 2);
    s_need (cast);
    assert_int_equal (
        trn_engine_add_need (cast->other->engine, SERVICE, cast->world->now_ms),
        TERN_OK);
    world_meet (cast->world);
    world_settle (cast->world);
    for (unsigned index = 0; index < 6; index++) {
        s_call (cast, 60000);
    }
    assert_int_equal (cast->one->task_count, 2);
    const trn_call_terms_t terms
        = {.number = 1, .answers = 1, .bytes = 1, .due_ms = INT64_MAX};
    trn_engine_on_call (cast->other->engine, SERVICE, &terms,
                        cast->world->now_ms);
    world_settle (cast->world);
    assert_int_equal (s_stats (cast->one).served_busy, 1);
    unsigned done = 0;
    while (!cast->other->calls[1].over) {
        s_answer (cast->one, done++, true);
        world_wait (cast->world, 50);
        assert_true (done <= 7);
    }
    assert_true (cast->other->calls[1].answered);
}

//  T-162
static void
test_a_server_that_dies_is_replaced_and_the_request_flagged (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 4);
    s_need (cast);
    const world_call_t *call = s_call (cast, 60000);
    s_serve (cast->other, 4);
    world_meet (cast->world);
    world_settle (cast->world);
    assert_int_equal (cast->other->task_count, 0);
    peer_kill (cast->one);
    world_wait (cast->world, 6000);
    assert_int_equal (cast->other->task_count, 1);
    assert_true (cast->other->tasks[0].repeated);
    s_answer (cast->other, 0, true);
    assert_true (call->answered);
    assert_int_equal (s_stats (cast->asker).calls_repeated, 1);
}

//  T-162
static void
test_a_service_that_closes_hands_its_requests_to_another (void **state)
{
    cast_t *cast = *state;
    const uint32_t service = s_serve (cast->one, 4);
    s_need (cast);
    const world_call_t *call = s_call (cast, 60000);
    s_serve (cast->other, 4);
    world_meet (cast->world);
    world_settle (cast->world);
    trn_engine_remove_service (cast->one->engine, service, cast->world->now_ms);
    world_settle (cast->world);
    assert_int_equal (cast->other->task_count, 1);
    assert_true (cast->other->tasks[0].repeated);
    s_answer (cast->other, 0, true);
    assert_true (call->answered);
}

//  T-162
static void
test_a_call_that_was_answered_in_part_is_not_repeated (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 4);
    s_need (cast);
    const world_call_t *call = s_call_on (cast, 60000, 8, false);
    s_answer (cast->one, 0, false);
    s_serve (cast->other, 4);
    world_meet (cast->world);
    peer_kill (cast->one);
    world_wait (cast->world, 6000);
    assert_true (call->over && call->end == TRN_CALL_LOST);
    assert_int_equal (call->answers, 1);
    assert_int_equal (cast->other->task_count, 0);
}

//  T-162
static void
test_a_call_for_one_server_only_is_not_repeated (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 4);
    s_need (cast);
    const world_call_t *call = s_call_on (cast, 60000, 1, true);
    s_serve (cast->other, 4);
    world_meet (cast->world);
    peer_kill (cast->one);
    world_wait (cast->world, 6000);
    assert_true (call->over && call->end == TRN_CALL_LOST);
    assert_int_equal (cast->other->task_count, 0);
}

static void
test_nobody_serves_until_the_time_is_over (void **state)
{
    cast_t *cast = *state;
    s_need (cast);
    const world_call_t *call = s_call (cast, 3000);
    world_wait (cast->world, 2999);
    assert_false (call->over);
    world_wait (cast->world, 2);
    assert_true (call->over && call->end == TRN_CALL_NOBODY);
}

static void
test_a_queue_that_is_only_consumed_is_not_served (void **state)
{
    cast_t *cast = *state;
    peer_consume (cast->one, SERVICE, 10);
    s_need (cast);
    const world_call_t *call = s_call (cast, 3000);
    world_wait (cast->world, 3001);
    assert_true (call->over && call->end == TRN_CALL_NOBODY);
}

static void
test_a_server_that_comes_later_gets_what_waits (void **state)
{
    cast_t *cast = *state;
    peer_consume (cast->one, SERVICE, 10);
    s_need (cast);
    const world_call_t *call = s_call (cast, 60000);
    world_wait (cast->world, 1000);
    trn_engine_add_service (cast->one->engine, SERVICE, 1, 1000,
                            cast->world->now_ms);
    world_settle (cast->world);
    assert_int_equal (cast->one->task_count, 1);
    //  As little time as is left travels with it.
    assert_int_equal (cast->one->tasks[0].due_ms, cast->world->now_ms + 59000);
    s_answer (cast->one, 0, true);
    assert_true (call->answered);
}

//  T-163
static void
test_a_late_answer_is_dropped_and_counted (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 4);
    s_need (cast);
    const world_call_t *call = s_call (cast, 3000);
    cast->world->partitioned = true;
    world_wait (cast->world, 3001);
    assert_true (call->over && call->end == TRN_CALL_TIME_OUT);
    s_answer (cast->one, 0, true);
    cast->world->partitioned = false;
    world_settle (cast->world);
    assert_int_equal (call->answers, 0);
    assert_int_equal (s_stats (cast->asker).answers_late
                          + s_stats (cast->one).answers_late,
                      1);
    //  The link is as good as before.
    const world_call_t *next = s_call (cast, 3000);
    s_answer (cast->one, 1, true);
    assert_true (next->answered);
}

static void
test_a_cancelled_call_is_gone_at_the_server_and_keeps_its_place (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 1);
    s_need (cast);
    s_call (cast, 0);
    trn_engine_on_abandon (cast->asker->engine, 1, cast->world->now_ms);
    world_settle (cast->world);
    assert_true (cast->one->tasks[0].gone);
    const world_call_t *next = s_call (cast, 0);
    assert_int_equal (cast->one->task_count, 1);
    //  The application could not know yet.
    s_answer (cast->one, 0, false);
    assert_int_equal (s_stats (cast->one).answers_late, 1);
    s_fail (cast->one, 0, "no more");
    assert_int_equal (cast->one->task_count, 2);
    s_answer (cast->one, 1, true);
    assert_true (next->answered);
    assert_false (cast->asker->calls[1].over);
}

//  T-164
static void
test_streamed_answers_keep_to_the_room_that_was_told (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 1);
    s_need (cast);
    const world_call_t *call = s_call_on (cast, 0, 2, false);
    s_answer (cast->one, 0, false);
    s_answer (cast->one, 0, false);
    assert_int_equal (cast->one->tasks[0].room, 2);
    assert_int_equal (call->answers, 2);
    trn_engine_on_take (cast->asker->engine, 1, 4, 1 << 20,
                        cast->world->now_ms);
    world_settle (cast->world);
    assert_int_equal (cast->one->tasks[0].room, 4);
    s_answer (cast->one, 0, false);
    s_answer (cast->one, 0, true);
    assert_true (call->answered);
    assert_int_equal (call->answers, 4);
}

static void
test_requests_out_are_bounded_and_the_rest_waits (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 1000);
    s_need (cast);
    for (unsigned index = 0; index < 200; index++) {
        s_call (cast, 0);
    }
    assert_int_equal (cast->one->task_count, TRN_SEAT_CALLS);
    for (unsigned task = 0; task < 200; task++) {
        assert_true (cast->one->task_count
                     <= (size_t) TRN_SEAT_CALLS + task + 1);
        s_answer (cast->one, task, true);
    }
    assert_int_equal (s_stats (cast->asker).calls_open, 0);
}

static void
test_a_server_that_restarts_gets_the_call_again (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 4);
    s_need (cast);
    const world_call_t *call = s_call (cast, 60000);
    peer_kill (cast->one);
    peer_start (cast->one, true);
    s_serve (cast->one, 4);
    world_meet (cast->world);
    world_wait (cast->world, 1000);
    assert_int_equal (cast->one->task_count, 2);
    assert_true (cast->one->tasks[1].repeated);
    s_answer (cast->one, 1, true);
    assert_true (call->answered);
}

static void
test_a_service_needed_no_more_lets_its_link_go (void **state)
{
    cast_t *cast = *state;
    s_serve (cast->one, 4);
    s_need (cast);
    s_call (cast, 0);
    s_answer (cast->one, 0, true);
    assert_int_equal (s_stats (cast->asker).links_open, 1);
    trn_engine_remove_need (cast->asker->engine, SERVICE, cast->world->now_ms);
    world_wait (cast->world, 5000);
    assert_int_equal (s_stats (cast->asker).links_open, 0);
    s_need (cast);
    const world_call_t *again = s_call (cast, 0);
    s_answer (cast->one, 1, true);
    assert_true (again->answered);
}

#define WITH_CAST(test)                                                        \
    cmocka_unit_test_setup_teardown (test, s_set_up, s_tear_down)

int
main (void)
{
    const struct CMUnitTest tests[] = {
        WITH_CAST (test_a_request_gets_its_reply),
        WITH_CAST (test_a_peer_may_serve_itself),
        WITH_CAST (test_words_of_a_failure_reach_the_requester),
        WITH_CAST (test_the_least_busy_is_asked_and_equals_in_turn),
        WITH_CAST (test_a_server_without_room_says_so_and_another_is_asked),
        WITH_CAST (
            test_one_requester_fills_a_server_and_another_waits_its_turn),
        WITH_CAST (test_a_server_that_dies_is_replaced_and_the_request_flagged),
        WITH_CAST (test_a_service_that_closes_hands_its_requests_to_another),
        WITH_CAST (test_a_call_that_was_answered_in_part_is_not_repeated),
        WITH_CAST (test_a_call_for_one_server_only_is_not_repeated),
        WITH_CAST (test_nobody_serves_until_the_time_is_over),
        WITH_CAST (test_a_queue_that_is_only_consumed_is_not_served),
        WITH_CAST (test_a_server_that_comes_later_gets_what_waits),
        WITH_CAST (test_a_late_answer_is_dropped_and_counted),
        WITH_CAST (
            test_a_cancelled_call_is_gone_at_the_server_and_keeps_its_place),
        WITH_CAST (test_streamed_answers_keep_to_the_room_that_was_told),
        WITH_CAST (test_requests_out_are_bounded_and_the_rest_waits),
        WITH_CAST (test_a_server_that_restarts_gets_the_call_again),
        WITH_CAST (test_a_service_needed_no_more_lets_its_link_go),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
