//  tests/unit/test_core_bindings.c - the table of bindings
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/binding.h"

#include "core/rng.h"
#include "support/seed.h"
#include "wire/props.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static trn_binding_t
s_binding (const char *exchange, const char *queue, const char *pattern,
           uint64_t stamp_us)
{
    return (trn_binding_t) {
        .exchange = trn_text (exchange),
        .type = TRN_EXCHANGE_TOPIC,
        .queue = trn_text (queue),
        .pattern = trn_text (pattern),
        .stamp_us = stamp_us,
        .writer = trn_text ("shop-1"),
    };
}

static trn_binding_verdict_t
s_take (trn_bindings_t *table, const char *exchange, const char *queue,
        const char *pattern, uint64_t stamp_us)
{
    const trn_binding_t binding
        = s_binding (exchange, queue, pattern, stamp_us);
    return trn_bindings_take (table, &binding);
}

static trn_binding_verdict_t
s_remove (trn_bindings_t *table, const char *exchange, const char *queue,
          const char *pattern, uint64_t stamp_us)
{
    trn_binding_t binding = s_binding (exchange, queue, pattern, stamp_us);
    binding.removed = true;
    return trn_bindings_take (table, &binding);
}

//  One binding ---------------------------------------------------------------

static void
what_no_exchange_can_have_is_refused (void **state)
{
    (void) state;
    trn_binding_t binding = s_binding ("x", "q", "a.#", 1);
    assert_int_equal (trn_binding_check (&binding), 0);
    binding.exchange = trn_text ("@x");
    assert_int_equal (trn_binding_check (&binding), TERN_ENAME);
    binding = s_binding ("x", "", "a.#", 1);
    assert_int_equal (trn_binding_check (&binding), TERN_ENAME);
    binding = s_binding ("x", "@shop-1", "a.#", 1);
    assert_int_equal (trn_binding_check (&binding), 0);
    binding.alternate = trn_text ("no such name");
    assert_int_equal (trn_binding_check (&binding), TERN_ENAME);
    binding = s_binding ("x", "q", "a\377", 1);
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    binding = s_binding ("x", "q", "a", 1);
    binding.type = TRN_EXCHANGE_FANOUT;
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    binding.type = (trn_exchange_type_t) 5;
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    binding = s_binding ("x", "q", "a", TRN_STAMP_MAX + 1);
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    binding = s_binding ("x", "q", "a", 1);
    binding.from_value = 3;
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    binding.from = TRN_FROM_SEQ;
    assert_int_equal (trn_binding_check (&binding), 0);
    char pattern[TRN_KEY_MAX + 2];
    memset (pattern, 'a', sizeof pattern - 1);
    pattern[sizeof pattern - 1] = 0;
    binding = s_binding ("x", "q", pattern, 1);
    assert_int_equal (trn_binding_check (&binding), TERN_ETOOBIG);
    memset (pattern, '.', TRN_BINDING_WORDS_MAX);
    pattern[TRN_BINDING_WORDS_MAX] = 0;
    binding = s_binding ("x", "q", pattern, 1);
    assert_int_equal (trn_binding_check (&binding), TERN_ETOOBIG);
    binding.type = TRN_EXCHANGE_DIRECT;
    assert_int_equal (trn_binding_check (&binding), 0);
}

static void
headers_that_cannot_match_are_refused (void **state)
{
    (void) state;
    trn_binding_t binding = s_binding ("x", "q", "", 1);
    binding.any = true;
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    binding.type = TRN_EXCHANGE_HEADERS;
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    binding.any = false;
    assert_int_equal (trn_binding_check (&binding), 0);
    trn_propset_t set = {0};
    trn_propset_number (&set, trn_text ("n"), 1);
    binding.headers = trn_propset_map (&set, &binding.headers_size);
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    trn_propset_clear (&set);
    trn_propset_text (&set, trn_text ("tern.rep"), trn_text ("q"));
    binding.headers = trn_propset_map (&set, &binding.headers_size);
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
    trn_propset_clear (&set);
    char *large = calloc (1, TRN_BINDING_HEADERS_MAX + 1);
    memset (large, 'v', TRN_BINDING_HEADERS_MAX);
    trn_propset_text (&set, trn_text ("n"), trn_text (large));
    binding.headers = trn_propset_map (&set, &binding.headers_size);
    assert_int_equal (trn_binding_check (&binding), TERN_ETOOBIG);
    trn_propset_clear (&set);
    free (large);
    binding.headers = (const uint8_t *) "\x91\x01";
    binding.headers_size = 2;
    assert_int_equal (trn_binding_check (&binding), TERN_EINVAL);
}

static void
headers_in_another_order_are_the_same_binding (void **state)
{
    (void) state;
    trn_propset_t one = {0};
    trn_propset_t other = {0};
    trn_propset_text (&one, trn_text ("a"), trn_text ("1"));
    trn_propset_text (&one, trn_text ("b"), trn_text ("2"));
    trn_propset_text (&other, trn_text ("b"), trn_text ("2"));
    trn_propset_text (&other, trn_text ("a"), trn_text ("1"));
    trn_binding_t binding = s_binding ("x", "q", "", 1);
    binding.type = TRN_EXCHANGE_HEADERS;
    binding.headers = trn_propset_map (&one, &binding.headers_size);
    trn_bindings_t *table = trn_bindings_new (10, 10000);
    assert_int_equal (trn_bindings_take (table, &binding), TRN_BINDING_NEW);
    binding.headers = trn_propset_map (&other, &binding.headers_size);
    trn_binding_t found;
    assert_true (trn_bindings_find (table, &binding, &found));
    assert_int_equal (trn_bindings_take (table, &binding), TRN_BINDING_OLD);
    binding.any = true;
    assert_false (trn_bindings_find (table, &binding, &found));
    assert_int_equal (trn_bindings_take (table, &binding), TRN_BINDING_NEW);
    assert_int_equal (trn_bindings_count (table), 2);
    trn_bindings_destroy (&table);
    trn_propset_clear (&one);
    trn_propset_clear (&other);
}

//  Which version counts --------------------------------------------------------

//  T-180
static void
the_later_stamp_wins_then_the_greater_writer (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (10, 10000);
    assert_int_equal (s_take (table, "x", "q", "a", 5), TRN_BINDING_NEW);
    assert_int_equal (s_take (table, "x", "q", "a", 5), TRN_BINDING_OLD);
    assert_int_equal (s_remove (table, "x", "q", "a", 4), TRN_BINDING_OLD);
    assert_int_equal (trn_bindings_type (table, trn_text ("x")),
                      TRN_EXCHANGE_TOPIC);
    assert_int_equal (s_remove (table, "x", "q", "a", 6), TRN_BINDING_NEW);
    assert_int_equal (trn_bindings_type (table, trn_text ("x")), 0);
    trn_binding_t binding = s_binding ("x", "q", "a", 6);
    binding.writer = trn_text ("shop-0");
    assert_int_equal (trn_bindings_take (table, &binding), TRN_BINDING_OLD);
    binding.writer = trn_text ("shop-2");
    assert_int_equal (trn_bindings_take (table, &binding), TRN_BINDING_NEW);
    trn_binding_t found;
    assert_true (trn_bindings_find (table, &binding, &found));
    assert_true (trn_text_is (found.writer, "shop-2"));
    assert_false (found.removed);
    trn_bindings_destroy (&table);
}

//  Same stamp, same writer, another content: a copied store, or a liar.  All
//  parties choose the same, whatever came first.
static void
even_a_liar_leaves_all_with_the_same (void **state)
{
    (void) state;
    trn_binding_t one = s_binding ("x", "q", "a", 5);
    trn_binding_t other = one;
    other.from = TRN_FROM_EARLIEST;
    trn_bindings_t *a = trn_bindings_new (10, 10000);
    trn_bindings_t *b = trn_bindings_new (10, 10000);
    trn_bindings_take (a, &one);
    trn_bindings_take (a, &other);
    trn_bindings_take (b, &other);
    trn_bindings_take (b, &one);
    assert_true (trn_bindings_digest (a) == trn_bindings_digest (b));
    trn_bindings_destroy (&a);
    trn_bindings_destroy (&b);
}

//  Any order, any repetition: two tables that heard the same are the same.
static void
tables_that_heard_the_same_agree (void **state)
{
    (void) state;
    trn_rng_t rng = {test_random_start ().state};
    for (int round = 0; round < 50; round++) {
        trn_bindings_t *tables[2] = {trn_bindings_new (1000, 1000000),
                                     trn_bindings_new (1000, 1000000)};
        assert_true (trn_bindings_digest (tables[0]) == 0);
        uint64_t facts[60];
        for (int index = 0; index < 60; index++) {
            facts[index] = trn_rng_next (&rng);
        }
        for (int table = 0; table < 2; table++) {
            for (int step = 0; step < 400; step++) {
                const uint64_t fact
                    = facts[step < 60 ? (table ? 59 - step : step)
                                      : (int) trn_rng_below (&rng, 60)];
                char queue[16];
                snprintf (queue, sizeof queue, "q%u", (unsigned) (fact % 7));
                trn_binding_t binding
                    = s_binding ("x", queue, "a", 1 + fact / 7 % 9);
                binding.removed = fact / 63 % 2;
                binding.writer = trn_text (fact / 126 % 2 ? "v" : "w");
                binding.type
                    = fact / 252 % 2 ? TRN_EXCHANGE_TOPIC : TRN_EXCHANGE_DIRECT;
                trn_bindings_take (tables[table], &binding);
            }
        }
        assert_true (trn_bindings_digest (tables[0])
                     == trn_bindings_digest (tables[1]));
        for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
            assert_true (trn_bindings_bucket (tables[0], bucket)
                         == trn_bindings_bucket (tables[1], bucket));
        }
        assert_int_equal (trn_bindings_type (tables[0], trn_text ("x")),
                          trn_bindings_type (tables[1], trn_text ("x")));
        trn_bindings_destroy (&tables[0]);
        trn_bindings_destroy (&tables[1]);
    }
}

//  The digest is compared between processes of different builds.
static void
the_digest_never_changes_between_builds (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (10, 10000);
    s_take (table, "orders", "billing", "order.*", 1700000000000000);
    assert_true (trn_bindings_digest (table) == UINT64_C (0xe852882d0f964e3d));
    trn_bindings_destroy (&table);
}

//  Types -----------------------------------------------------------------------

static void
an_exchange_has_the_type_that_was_first (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (10, 10000);
    s_take (table, "x", "q1", "a", 5);
    trn_binding_t binding = s_binding ("x", "q2", "a", 3);
    assert_false (trn_bindings_conflict (table, &binding));
    binding.type = TRN_EXCHANGE_DIRECT;
    assert_true (trn_bindings_conflict (table, &binding));
    binding.exchange = trn_text ("xx");
    assert_false (trn_bindings_conflict (table, &binding));
    binding.exchange = trn_text ("x");
    trn_bindings_take (table, &binding);
    assert_int_equal (trn_bindings_type (table, trn_text ("x")),
                      TRN_EXCHANGE_DIRECT);
    s_remove (table, "x", "q1", "a", 9);
    assert_false (trn_bindings_conflict (table, &binding));
    trn_bindings_destroy (&table);
}

//  Not even the only binding of an exchange is made anew with another type.
static void
a_binding_of_another_type_conflicts_with_itself (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (10, 10000);
    s_take (table, "x", "q1", "a", 5);
    trn_binding_t binding = s_binding ("x", "q1", "a", 6);
    binding.type = TRN_EXCHANGE_DIRECT;
    assert_true (trn_bindings_conflict (table, &binding));
    s_remove (table, "x", "q1", "a", 9);
    assert_false (trn_bindings_conflict (table, &binding));
    trn_bindings_destroy (&table);
}

//  Bounds ----------------------------------------------------------------------

//  T-188
static void
a_full_table_takes_no_more (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (4, 100000);
    char queue[16];
    for (int index = 0; index < 4; index++) {
        snprintf (queue, sizeof queue, "q%d", index);
        assert_int_equal (s_take (table, "x", queue, "a", 1), TRN_BINDING_NEW);
    }
    assert_int_equal (s_take (table, "x", "q9", "a", 1), TRN_BINDING_FULL);
    assert_int_equal (s_take (table, "x", "q0", "a", 2), TRN_BINDING_NEW);
    assert_int_equal (s_remove (table, "x", "q1", "a", 2), TRN_BINDING_NEW);
    assert_int_equal (s_take (table, "x", "q9", "a", 1), TRN_BINDING_NEW);
    assert_int_equal (trn_bindings_count (table), 4);
    //  The removal that gave way is not learnt again from others.
    assert_int_equal (s_remove (table, "x", "q1", "a", 2), TRN_BINDING_OLD);
    trn_bindings_destroy (&table);
    table = trn_bindings_new (1000, 2000);
    int taken = 0;
    for (int index = 0; index < 100; index++) {
        snprintf (queue, sizeof queue, "q%d", index);
        taken += s_take (table, "x", queue, "a", 1) == TRN_BINDING_NEW;
    }
    assert_in_range (taken, 2, 50);
    assert_true (trn_bindings_bytes (table) <= 2000);
    trn_bindings_destroy (&table);
}

static void
one_exchange_cannot_have_all_the_room (void **state)
{
    (void) state;
    trn_bindings_t *table
        = trn_bindings_new (TRN_BINDINGS_MAX, TRN_BINDINGS_BYTES);
    char queue[16];
    for (int index = 0; index < TRN_BINDINGS_OF_ONE; index++) {
        snprintf (queue, sizeof queue, "q%06d", index);
        assert_int_equal (s_take (table, "x", queue, "a", 1), TRN_BINDING_NEW);
    }
    assert_int_equal (s_take (table, "x", "other", "a", 1), TRN_BINDING_FULL);
    assert_int_equal (s_take (table, "y", "other", "a", 1), TRN_BINDING_NEW);
    assert_int_equal (s_remove (table, "x", "q000000", "a", 2),
                      TRN_BINDING_NEW);
    assert_int_equal (s_take (table, "x", "other", "a", 1), TRN_BINDING_NEW);
    trn_bindings_destroy (&table);
}

//  T-188
static void
removed_ones_are_forgotten_in_time (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (100, 100000);
    s_remove (table, "x", "q1", "a", 10);
    s_remove (table, "x", "q2", "a", 20);
    s_take (table, "x", "q3", "a", 5);
    trn_bindings_forget (table, 20);
    assert_int_equal (trn_bindings_count (table), 2);
    assert_int_equal (s_remove (table, "x", "q1", "a", 10), TRN_BINDING_OLD);
    assert_int_equal (s_remove (table, "x", "q1", "a", 20), TRN_BINDING_NEW);
    trn_bindings_t *fresh = trn_bindings_new (100, 100000);
    s_remove (fresh, "x", "q1", "a", 20);
    s_remove (fresh, "x", "q2", "a", 20);
    s_take (fresh, "x", "q3", "a", 5);
    assert_true (trn_bindings_digest (fresh) == trn_bindings_digest (table));
    trn_bindings_destroy (&fresh);
    trn_bindings_destroy (&table);
}

//  Listing and news ------------------------------------------------------------

static void
bindings_are_listed_in_order (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (100, 100000);
    s_take (table, "y", "q", "a", 1);
    s_take (table, "x", "r", "a", 1);
    s_take (table, "x", "q", "b", 1);
    s_take (table, "x", "q", "a", 1);
    s_take (table, "x-a", "q", "a", 1);
    static const char *const want[]
        = {"x q a", "x q b", "x r a", "x-a q a", "y q a"};
    trn_binding_t binding;
    for (size_t index = 0; index < 5; index++) {
        assert_true (trn_bindings_at (table, index, &binding));
        char text[32];
        snprintf (text, sizeof text, "%.*s %.*s %.*s",
                  (int) binding.exchange.size, binding.exchange.at,
                  (int) binding.queue.size, binding.queue.at,
                  (int) binding.pattern.size, binding.pattern.at);
        assert_string_equal (text, want[index]);
    }
    assert_false (trn_bindings_at (table, 5, &binding));
    size_t listed = 0;
    for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
        size_t index = 0;
        while (trn_bindings_in_bucket (table, bucket, index, &binding)) {
            index++;
        }
        listed += index;
    }
    assert_int_equal (listed, 5);
    trn_bindings_destroy (&table);
}

static void
news_tell_each_change_once_as_it_is_now (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (10000, 10000000);
    uint64_t number = 0;
    trn_binding_t binding;
    assert_false (trn_bindings_next_news (table, &number, &binding));
    s_take (table, "x", "q1", "a", 1);
    s_take (table, "x", "q2", "a", 1);
    s_remove (table, "x", "q1", "a", 2);
    assert_true (trn_bindings_next_news (table, &number, &binding));
    assert_true (trn_text_is (binding.queue, "q2"));
    assert_true (trn_bindings_next_news (table, &number, &binding));
    assert_true (trn_text_is (binding.queue, "q1") && binding.removed);
    assert_false (trn_bindings_next_news (table, &number, &binding));
    assert_true (number == trn_bindings_number (table));
    s_remove (table, "x", "q3", "a", 1);
    trn_bindings_forget (table, 3);
    assert_false (trn_bindings_next_news (table, &number, &binding));
    for (int index = 0; index < 2 * TRN_BINDINGS_NEWS; index++) {
        char queue[16];
        snprintf (queue, sizeof queue, "n%d", index);
        s_take (table, "y", queue, "a", 5);
    }
    assert_true (trn_bindings_missed (table, number));
    size_t told = 0;
    while (trn_bindings_next_news (table, &number, &binding)) {
        told++;
    }
    assert_int_equal (told, TRN_BINDINGS_NEWS);
    assert_false (trn_bindings_missed (table, number));
    trn_bindings_destroy (&table);
}

//  Saved -----------------------------------------------------------------------

static void
what_is_saved_comes_back (void **state)
{
    (void) state;
    trn_bindings_t *table
        = trn_bindings_new (TRN_BINDINGS_MAX, TRN_BINDINGS_BYTES);
    size_t size;
    uint8_t *saved = trn_bindings_save (table, SIZE_MAX, &size);
    assert_int_equal (trn_bindings_load (table, saved, size), 0);
    assert_int_equal (trn_bindings_count (table), 0);
    free (saved);
    char queue[16];
    for (int index = 0; index < 3000; index++) {
        snprintf (queue, sizeof queue, "q%d", index);
        (index % 3 ? s_take : s_remove) (table, "x", queue, "a.#", 7);
    }
    saved = trn_bindings_save (table, SIZE_MAX, &size);
    trn_bindings_t *again
        = trn_bindings_new (TRN_BINDINGS_MAX, TRN_BINDINGS_BYTES);
    assert_int_equal (trn_bindings_load (again, saved, size), 0);
    assert_int_equal (trn_bindings_count (again), 3000);
    assert_true (trn_bindings_digest (again) == trn_bindings_digest (table));
    trn_bindings_destroy (&again);
    free (saved);
    //  With less room, the first of them.
    saved = trn_bindings_save (table, 70000, &size);
    assert_true (size <= 70000);
    again = trn_bindings_new (TRN_BINDINGS_MAX, TRN_BINDINGS_BYTES);
    assert_int_equal (trn_bindings_load (again, saved, size), 0);
    assert_in_range (trn_bindings_count (again), 500, 2900);
    trn_bindings_destroy (&again);
    free (saved);
    trn_bindings_destroy (&table);
}

static void
damage_anywhere_is_noticed_and_nothing_taken (void **state)
{
    (void) state;
    trn_bindings_t *table = trn_bindings_new (100, 100000);
    s_take (table, "x", "q1", "a", 1);
    s_take (table, "y", "q2", "b", 1);
    size_t size;
    uint8_t *saved = trn_bindings_save (table, SIZE_MAX, &size);
    trn_bindings_t *again = trn_bindings_new (100, 100000);
    for (size_t at = 0; at < size; at++) {
        saved[at] ^= 0x20;
        assert_int_equal (trn_bindings_load (again, saved, size),
                          at == 7 ? TERN_EVERSION : TERN_ECORRUPT);
        saved[at] ^= 0x20;
        assert_int_equal (trn_bindings_load (again, saved, at), TERN_ECORRUPT);
    }
    assert_int_equal (trn_bindings_count (again), 0);
    assert_int_equal (trn_bindings_load (again, saved, size), 0);
    assert_int_equal (trn_bindings_count (again), 2);
    free (saved);
    trn_bindings_destroy (&again);
    trn_bindings_destroy (&table);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_no_exchange_can_have_is_refused),
        cmocka_unit_test (headers_that_cannot_match_are_refused),
        cmocka_unit_test (headers_in_another_order_are_the_same_binding),
        cmocka_unit_test (the_later_stamp_wins_then_the_greater_writer),
        cmocka_unit_test (even_a_liar_leaves_all_with_the_same),
        cmocka_unit_test (tables_that_heard_the_same_agree),
        cmocka_unit_test (the_digest_never_changes_between_builds),
        cmocka_unit_test (an_exchange_has_the_type_that_was_first),
        cmocka_unit_test (a_binding_of_another_type_conflicts_with_itself),
        cmocka_unit_test (a_full_table_takes_no_more),
        cmocka_unit_test (one_exchange_cannot_have_all_the_room),
        cmocka_unit_test (removed_ones_are_forgotten_in_time),
        cmocka_unit_test (bindings_are_listed_in_order),
        cmocka_unit_test (news_tell_each_change_once_as_it_is_now),
        cmocka_unit_test (what_is_saved_comes_back),
        cmocka_unit_test (damage_anywhere_is_noticed_and_nothing_taken),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
