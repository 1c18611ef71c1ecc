//  tests/unit/test_core_router.c - which queues get a message
//
//  Random patterns and keys are held against a second matcher that knows only
//  the rule: slow, recursive, one pattern at a time.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/router.h"

#include "core/rng.h"
#include "support/seed.h"
#include "wire/props.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TARGETS 512

static trn_binding_t
s_binding (trn_exchange_type_t type, const char *pattern)
{
    return (trn_binding_t) {
        .exchange = trn_text ("x"),
        .type = type,
        .queue = trn_text ("q"),
        .pattern = trn_text (pattern),
    };
}

static void
s_bind (trn_router_t *router, trn_exchange_type_t type, const char *pattern,
        uint32_t target)
{
    const trn_binding_t binding = s_binding (type, pattern);
    assert_int_equal (trn_router_bind (router, &binding, target), 0);
}

static bool
s_unbind (trn_router_t *router, trn_exchange_type_t type, const char *pattern,
          uint32_t target)
{
    const trn_binding_t binding = s_binding (type, pattern);
    return trn_router_unbind (router, &binding, target);
}

//  Targets of a key as text, "1 2 7".
static const char *
s_route (trn_router_t *router, const char *key)
{
    static char text[4096];
    uint32_t targets[TARGETS];
    const size_t count = trn_router_route (router, key, strlen (key), NULL, 0,
                                           targets, TARGETS);
    assert_true (count <= TARGETS);
    size_t used = 0;
    text[0] = 0;
    for (size_t index = 0; index < count; index++) {
        used += (size_t) snprintf (text + used, sizeof text - used, "%s%u",
                                   used ? " " : "", targets[index]);
    }
    return text;
}

//  The types -----------------------------------------------------------------

static void
a_direct_exchange_asks_for_the_very_key (void **state)
{
    (void) state;
    trn_router_t *router = trn_router_new (TRN_EXCHANGE_DIRECT);
    s_bind (router, TRN_EXCHANGE_DIRECT, "red", 3);
    s_bind (router, TRN_EXCHANGE_DIRECT, "red", 1);
    s_bind (router, TRN_EXCHANGE_DIRECT, "red", 1);
    s_bind (router, TRN_EXCHANGE_DIRECT, "blue.*", 2);
    s_bind (router, TRN_EXCHANGE_DIRECT, "", 4);
    assert_string_equal (s_route (router, "red"), "1 3");
    assert_string_equal (s_route (router, "re"), "");
    assert_string_equal (s_route (router, "blue.x"), "");
    assert_string_equal (s_route (router, "blue.*"), "2");
    assert_string_equal (s_route (router, ""), "4");
    assert_true (s_unbind (router, TRN_EXCHANGE_DIRECT, "red", 1));
    assert_false (s_unbind (router, TRN_EXCHANGE_DIRECT, "red", 1));
    assert_false (s_unbind (router, TRN_EXCHANGE_DIRECT, "green", 1));
    assert_string_equal (s_route (router, "red"), "3");
    trn_router_destroy (&router);
    assert_null (router);
    trn_router_destroy (&router);
}

static void
a_fanout_exchange_reaches_everybody_once (void **state)
{
    (void) state;
    trn_router_t *router = trn_router_new (TRN_EXCHANGE_FANOUT);
    assert_string_equal (s_route (router, "any"), "");
    s_bind (router, TRN_EXCHANGE_FANOUT, "", 9);
    s_bind (router, TRN_EXCHANGE_FANOUT, "", 2);
    s_bind (router, TRN_EXCHANGE_FANOUT, "", 9);
    assert_string_equal (s_route (router, "any"), "2 9");
    assert_true (s_unbind (router, TRN_EXCHANGE_FANOUT, "", 9));
    assert_string_equal (s_route (router, ""), "2");
    trn_router_destroy (&router);
}

//  As AMQP 0-9-1 has it, and as its best known server fills the gaps.
static void
a_topic_exchange_matches_words (void **state)
{
    (void) state;
    static const struct {
        const char *pattern;
        const char *key;
        bool match;
    } cases[] = {
        {"a.b.c", "a.b.c", true},
        {"a.b.c", "a.b", false},
        {"a.*.c", "a.b.c", true},
        {"a.*.c", "a.c", false},
        {"a.*.c", "a..c", true},
        {"a.*.c", "a.b.b.c", false},
        {"a.#.c", "a.c", true},
        {"a.#.c", "a.b.b.c", true},
        {"a.#.c", "a.b", false},
        {"#", "", true},
        {"#", "a", true},
        {"#", "a.b.c", true},
        {"*", "", false},
        {"*", "a", true},
        {"*", ".", false},
        {"*.*", ".", true},
        {"", "", true},
        {"", "a", false},
        {"#.a", "a", true},
        {"#.a", "b.a", true},
        {"#.a", "a.b", false},
        {"a.#", "a", true},
        {"#.#", "", true},
        {"#.*", "", false},
        {"#.*", "a", true},
        {"*.#.*", "a", false},
        {"*.#.*", "a.b", true},
        {"a*", "ab", false},
        {"a*", "a*", true},
        {"#a", "a", false},
        {"a.b", "a.b.", false},
        {"a.b.*", "a.b.", true},
        {"*.#", "a.b.c.d", true},
        {"#.b.#", "a.b.c", true},
        {"#.b.#.b.#", "b.x.b", true},
        {"#.b.#.b.#", "b", false},
    };
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        trn_router_t *router = trn_router_new (TRN_EXCHANGE_TOPIC);
        s_bind (router, TRN_EXCHANGE_TOPIC, cases[index].pattern, 5);
        const char *want = cases[index].match ? "5" : "";
        if (strcmp (s_route (router, cases[index].key), want)) {
            fail_msg ("pattern '%s' key '%s'", cases[index].pattern,
                      cases[index].key);
        }
        assert_true (
            s_unbind (router, TRN_EXCHANGE_TOPIC, cases[index].pattern, 5));
        assert_string_equal (s_route (router, cases[index].key), "");
        trn_router_destroy (&router);
    }
}

static void
a_router_takes_only_bindings_of_its_type (void **state)
{
    (void) state;
    trn_router_t *router = trn_router_new (TRN_EXCHANGE_TOPIC);
    trn_binding_t binding = s_binding (TRN_EXCHANGE_DIRECT, "a");
    assert_int_equal (trn_router_bind (router, &binding, 1), TERN_ETYPE);
    assert_false (trn_router_unbind (router, &binding, 1));
    binding = s_binding (TRN_EXCHANGE_TOPIC, "a");
    binding.any = true;
    assert_int_equal (trn_router_bind (router, &binding, 1), TERN_EINVAL);
    binding = s_binding (TRN_EXCHANGE_TOPIC, "a");
    binding.exchange = trn_text ("X");
    assert_int_equal (trn_router_bind (router, &binding, 1), TERN_ENAME);
    trn_router_destroy (&router);
}

static void
more_targets_than_room_are_counted (void **state)
{
    (void) state;
    trn_router_t *router = trn_router_new (TRN_EXCHANGE_FANOUT);
    for (uint32_t target = 0; target < 10; target++) {
        s_bind (router, TRN_EXCHANGE_FANOUT, "", target);
    }
    uint32_t targets[4] = {99, 99, 99, 99};
    assert_int_equal (trn_router_route (router, "", 0, NULL, 0, targets, 3),
                      10);
    assert_int_equal (targets[2], 2);
    assert_int_equal (targets[3], 99);
    assert_int_equal (trn_router_route (router, "", 0, NULL, 0, NULL, 0), 10);
    trn_router_destroy (&router);
}

//  Topics against the rule ---------------------------------------------------

//  Does this pattern match this key?  Both without a head word at a time.
static bool
s_rule (const char *pattern, const char *key)
{
    if (!pattern) {
        return !key;
    }
    const char *dot = strchr (pattern, '.');
    const size_t size = dot ? (size_t) (dot - pattern) : strlen (pattern);
    const char *rest = dot ? dot + 1 : NULL;
    const char *key_dot = key ? strchr (key, '.') : NULL;
    const char *key_rest = key_dot ? key_dot + 1 : NULL;
    if (size == 1 && *pattern == '#') {
        return s_rule (rest, key) || (key && s_rule (pattern, key_rest));
    }
    if (!key) {
        return false;
    }
    const size_t key_size = key_dot ? (size_t) (key_dot - key) : strlen (key);
    const bool same = (size == 1 && *pattern == '*')
                      || (size == key_size && !memcmp (pattern, key, size));
    return same && s_rule (rest, key_rest);
}

static bool
s_matches (const char *pattern, const char *key)
{
    return s_rule (*pattern ? pattern : NULL, *key ? key : NULL);
}

static void
s_random_words (trn_rng_t *rng, const char *const *words, size_t count,
                char text[64])
{
    text[0] = 0;
    const size_t length = trn_rng_below (rng, 6);
    for (size_t index = 0; index < length; index++) {
        strcat (text, index ? "." : "");
        strcat (text, words[trn_rng_below (rng, count)]);
    }
}

#define PATTERNS 60

static void
random_topics_are_matched_as_the_rule_says (void **state)
{
    (void) state;
    static const char *const in_pattern[] = {"a", "b", "*", "#", "#", ""};
    static const char *const in_key[] = {"a", "b", "c", ""};
    trn_rng_t rng = {test_random_start ().state};
    for (int round = 0; round < 60; round++) {
        trn_router_t *router = trn_router_new (TRN_EXCHANGE_TOPIC);
        char patterns[PATTERNS][64];
        bool bound[PATTERNS] = {false};
        for (int step = 0; step < 400; step++) {
            const size_t at = trn_rng_below (&rng, PATTERNS);
            if (bound[at]) {
                assert_true (s_unbind (router, TRN_EXCHANGE_TOPIC, patterns[at],
                                       (uint32_t) at));
            } else {
                s_random_words (&rng, in_pattern, 6, patterns[at]);
                s_bind (router, TRN_EXCHANGE_TOPIC, patterns[at],
                        (uint32_t) at);
            }
            bound[at] = !bound[at];
            char key[64];
            s_random_words (&rng, in_key, 4, key);
            uint32_t targets[PATTERNS];
            const size_t count = trn_router_route (router, key, strlen (key),
                                                   NULL, 0, targets, PATTERNS);
            size_t seen = 0;
            for (uint32_t index = 0; index < PATTERNS; index++) {
                if (bound[index] && s_matches (patterns[index], key)) {
                    if (seen == count || targets[seen] != index) {
                        fail_msg ("round %d step %d: '%s' '%s'", round, step,
                                  patterns[index], key);
                    }
                    seen++;
                }
            }
            assert_int_equal (seen, count);
        }
        trn_router_destroy (&router);
    }
}

//  Without the set, # after # would multiply the ways through a long key by its
//  length each time: this would not end.
static void
hostile_topics_do_not_explode (void **state)
{
    (void) state;
    trn_router_t *router = trn_router_new (TRN_EXCHANGE_TOPIC);
    char pattern[TRN_KEY_MAX + 1] = "#";
    for (int word = 1; word < TRN_BINDING_WORDS_MAX; word++) {
        strcat (pattern, word % 2 ? ".#" : ".a");
        s_bind (router, TRN_EXCHANGE_TOPIC, pattern, (uint32_t) word);
    }
    strcpy (pattern, "#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.b");
    s_bind (router, TRN_EXCHANGE_TOPIC, pattern, 100);
    char key[TRN_KEY_MAX + 1] = "a";
    for (int word = 1; word < 128; word++) {
        strcat (key, ".a");
    }
    uint32_t targets[TARGETS];
    for (int round = 0; round < 1000; round++) {
        assert_int_equal (trn_router_route (router, key, strlen (key), NULL, 0,
                                            targets, TARGETS),
                          TRN_BINDING_WORDS_MAX - 1);
    }
    trn_router_destroy (&router);
}

//  Headers -------------------------------------------------------------------

typedef struct {
    trn_propset_t set;
    const uint8_t *map;
    size_t size;
} headers_t;

//  "a=1 b=2", in the order given.
static headers_t
s_headers (const char *text)
{
    headers_t self = {0};
    char copy[256];
    assert_true (strlen (text) < sizeof copy);
    strcpy (copy, text);
    char *rest = copy;
    for (char *pair = strtok_r (rest, " ", &rest); pair;
         pair = strtok_r (rest, " ", &rest)) {
        char *value = strchr (pair, '=');
        assert_non_null (value);
        *value++ = 0;
        assert_int_equal (
            trn_propset_text (&self.set, trn_text (pair), trn_text (value)), 0);
    }
    self.map = trn_propset_map (&self.set, &self.size);
    return self;
}

static int
s_filter (trn_router_t *router, const char *text, bool any, uint32_t target,
          bool bind)
{
    headers_t headers = s_headers (text);
    trn_binding_t binding = s_binding (TRN_EXCHANGE_HEADERS, "");
    binding.headers = headers.map;
    binding.headers_size = headers.size;
    binding.any = any;
    const int rc = bind ? trn_router_bind (router, &binding, target)
                        : trn_router_unbind (router, &binding, target);
    trn_propset_clear (&headers.set);
    return rc;
}

static const char *
s_route_headers (trn_router_t *router, const char *text)
{
    static char found[1024];
    headers_t headers = s_headers (text);
    uint32_t targets[TARGETS];
    const size_t count = trn_router_route (router, "key", 3, headers.map,
                                           headers.size, targets, TARGETS);
    size_t used = 0;
    found[0] = 0;
    for (size_t index = 0; index < count; index++) {
        used += (size_t) snprintf (found + used, sizeof found - used, "%s%u",
                                   used ? " " : "", targets[index]);
    }
    trn_propset_clear (&headers.set);
    return found;
}

static void
a_headers_exchange_asks_for_all_or_any (void **state)
{
    (void) state;
    trn_router_t *router = trn_router_new (TRN_EXCHANGE_HEADERS);
    s_filter (router, "kind=pdf size=big", false, 1, true);
    s_filter (router, "kind=pdf size=big", true, 2, true);
    s_filter (router, "", false, 3, true);
    s_filter (router, "kind=pdf", false, 4, true);
    assert_string_equal (s_route_headers (router, ""), "3");
    assert_string_equal (s_route_headers (router, "kind=pdf"), "2 3 4");
    assert_string_equal (s_route_headers (router, "size=big"), "2 3");
    assert_string_equal (s_route_headers (router, "x=1 size=big kind=pdf"),
                         "1 2 3 4");
    assert_string_equal (s_route_headers (router, "kind=PDF"), "3");
    assert_string_equal (s_route_headers (router, "kin=dpdf"), "3");
    trn_router_destroy (&router);
}

//  One that is bound in another order of its headers is the same one.
static void
a_filter_is_found_again_whatever_the_order (void **state)
{
    (void) state;
    trn_router_t *router = trn_router_new (TRN_EXCHANGE_HEADERS);
    s_filter (router, "a=1 b=2", false, 7, true);
    s_filter (router, "b=2 a=1", false, 7, true);
    s_filter (router, "b=2 a=1", true, 7, true);
    assert_string_equal (s_route_headers (router, "b=2 a=1 c=3"), "7");
    assert_true (s_filter (router, "b=2 a=1", false, 7, false));
    assert_false (s_filter (router, "a=1 b=2", false, 7, false));
    assert_false (s_filter (router, "a=1 b=2", true, 8, false));
    assert_string_equal (s_route_headers (router, "a=1"), "7");
    assert_true (s_filter (router, "a=1 b=2", true, 7, false));
    assert_string_equal (s_route_headers (router, "a=1 b=2"), "");
    trn_router_destroy (&router);
}

//  A number is not the text of a number, and nonsense has no headers.
static void
only_text_is_a_header (void **state)
{
    (void) state;
    trn_router_t *router = trn_router_new (TRN_EXCHANGE_HEADERS);
    s_filter (router, "n=5", true, 1, true);
    trn_propset_t set = {0};
    trn_propset_number (&set, trn_text ("n"), 5);
    size_t size;
    const uint8_t *map = trn_propset_map (&set, &size);
    uint32_t target;
    assert_int_equal (trn_router_route (router, "", 0, map, size, &target, 1),
                      0);
    trn_propset_clear (&set);
    assert_int_equal (trn_router_route (router, "", 0, (const uint8_t *) "\x93",
                                        1, &target, 1),
                      0);
    trn_router_destroy (&router);
}

#define FILTERS 40

//  Values of three headers, 0: not there.
typedef struct {
    int values[3];
    bool any;
} wish_t;

static void
s_wish_text (const wish_t *wish, char text[64])
{
    size_t used = 0;
    text[0] = 0;
    for (int index = 0; index < 3; index++) {
        if (wish->values[index]) {
            used += (size_t) snprintf (text + used, 64 - used, "%sh%d=v%d",
                                       used ? " " : "", index,
                                       wish->values[index]);
        }
    }
}

static bool
s_wish_holds (const wish_t *wish, const wish_t *message)
{
    int same = 0;
    int wanted = 0;
    for (int index = 0; index < 3; index++) {
        wanted += wish->values[index] != 0;
        same += wish->values[index]
                && wish->values[index] == message->values[index];
    }
    return wish->any ? same > 0 : same == wanted;
}

static wish_t
s_random_wish (trn_rng_t *rng)
{
    wish_t wish = {.any = trn_rng_below (rng, 2)};
    for (int index = 0; index < 3; index++) {
        wish.values[index] = (int) trn_rng_below (rng, 3);
    }
    if (!wish.values[0] && !wish.values[1] && !wish.values[2]) {
        wish.any = false;
    }
    return wish;
}

static void
random_headers_are_matched_as_the_rule_says (void **state)
{
    (void) state;
    trn_rng_t rng = {test_random_start ().state};
    for (int round = 0; round < 20; round++) {
        trn_router_t *router = trn_router_new (TRN_EXCHANGE_HEADERS);
        wish_t wishes[FILTERS];
        bool bound[FILTERS] = {false};
        for (int step = 0; step < 300; step++) {
            const uint32_t at = (uint32_t) trn_rng_below (&rng, FILTERS);
            char text[64];
            if (!bound[at]) {
                wishes[at] = s_random_wish (&rng);
            }
            s_wish_text (&wishes[at], text);
            const int done
                = s_filter (router, text, wishes[at].any, at, !bound[at]);
            assert_int_equal (done, bound[at]);
            bound[at] = !bound[at];
            const wish_t message = s_random_wish (&rng);
            s_wish_text (&message, text);
            char want[1024] = "";
            for (int index = 0; index < FILTERS; index++) {
                if (bound[index] && s_wish_holds (&wishes[index], &message)) {
                    snprintf (want + strlen (want), sizeof want - strlen (want),
                              "%s%d", *want ? " " : "", index);
                }
            }
            assert_string_equal (s_route_headers (router, text), want);
        }
        trn_router_destroy (&router);
    }
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_direct_exchange_asks_for_the_very_key),
        cmocka_unit_test (a_fanout_exchange_reaches_everybody_once),
        cmocka_unit_test (a_topic_exchange_matches_words),
        cmocka_unit_test (a_router_takes_only_bindings_of_its_type),
        cmocka_unit_test (more_targets_than_room_are_counted),
        cmocka_unit_test (random_topics_are_matched_as_the_rule_says),
        cmocka_unit_test (hostile_topics_do_not_explode),
        cmocka_unit_test (a_headers_exchange_asks_for_all_or_any),
        cmocka_unit_test (a_filter_is_found_again_whatever_the_order),
        cmocka_unit_test (only_text_is_a_header),
        cmocka_unit_test (random_headers_are_matched_as_the_rule_says),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
