//  test_wire_props - the properties of a message
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/props.h"

#include "support/packed.h"
#include "support/seed.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static trn_text_t
t (const char *string)
{
    return trn_text (string);
}

//  Open in memory of exactly the size; the last one lives until the next.
static int
s_open (trn_props_t *props, const void *bytes, size_t size)
{
    static uint8_t *copy;
    free (copy);
    copy = malloc (size ? size : 1);
    assert_non_null (copy);
    memcpy (copy, bytes, size);
    return trn_props_open (props, copy, size);
}

//  T-115
static void
what_is_set_can_be_read (void **state)
{
    (void) state;
    trn_propset_t set = {0};
    assert_int_equal (trn_propset_text (&set, t ("type"), t ("order")), 0);
    assert_int_equal (trn_propset_number (&set, t ("retries"), -3), 0);
    assert_int_equal (trn_propset_number (&set, t ("most"), INT64_MAX), 0);
    assert_int_equal (trn_propset_number (&set, t ("least"), INT64_MIN), 0);
    assert_int_equal (trn_propset_flag (&set, t ("urgent"), true), 0);
    assert_int_equal (trn_propset_bytes (&set, t ("hash"), "\0\xff", 2), 0);
    assert_int_equal (trn_propset_text (&set, t ("empty"), t ("")), 0);
    assert_int_equal (trn_propset_bytes (&set, t ("none"), NULL, 0), 0);
    size_t size = 0;
    const uint8_t *map = trn_propset_map (&set, &size);

    trn_props_t props;
    assert_int_equal (s_open (&props, map, size), 0);
    assert_int_equal (props.left, 8);
    trn_prop_t prop;
    assert_true (trn_props_find (&props, t ("type"), &prop));
    assert_true (prop.kind == TRN_PROP_TEXT
                 && trn_text_is (prop.text, "order"));
    assert_true (trn_props_find (&props, t ("retries"), &prop));
    assert_true (prop.kind == TRN_PROP_NUMBER && prop.number == -3);
    assert_true (trn_props_find (&props, t ("most"), &prop));
    assert_true (prop.number == INT64_MAX);
    assert_true (trn_props_find (&props, t ("least"), &prop));
    assert_true (prop.number == INT64_MIN);
    assert_true (trn_props_find (&props, t ("urgent"), &prop));
    assert_true (prop.kind == TRN_PROP_FLAG && prop.flag);
    assert_true (trn_props_find (&props, t ("hash"), &prop));
    assert_true (prop.kind == TRN_PROP_BYTES && prop.bytes_size == 2);
    assert_memory_equal (prop.bytes, "\0\xff", 2);
    assert_true (trn_props_find (&props, t ("empty"), &prop));
    assert_int_equal (prop.text.size, 0);
    assert_false (trn_props_find (&props, t ("typ"), &prop));
    assert_false (trn_props_find (&props, t ("types"), &prop));

    //  Finding does not read on; reading gives all of them in order.
    static const char *const order[] = {"type",   "retries", "most",  "least",
                                        "urgent", "hash",    "empty", "none"};
    for (size_t index = 0; index < 8; index++) {
        assert_true (trn_props_next (&props, &prop));
        assert_true (trn_text_is (prop.key, order[index]));
    }
    assert_false (trn_props_next (&props, &prop));
    trn_propset_clear (&set);
}

static void
no_bytes_are_no_properties (void **state)
{
    (void) state;
    trn_props_t props;
    trn_prop_t prop;
    assert_int_equal (trn_props_open (&props, NULL, 0), 0);
    assert_false (trn_props_next (&props, &prop));
    assert_false (trn_props_find (&props, t ("a"), &prop));

    trn_propset_t set = {0};
    size_t size = 7;
    assert_null (trn_propset_map (&set, &size));
    assert_int_equal (size, 0);
    assert_false (trn_propset_remove (&set, t ("a")));
    assert_int_equal (trn_propset_flag (&set, t ("a"), false), 0);
    assert_true (trn_propset_remove (&set, t ("a")));
    assert_null (trn_propset_map (&set, &size));
    trn_propset_clear (&set);
    trn_propset_clear (&set);
}

static void
setting_again_replaces (void **state)
{
    (void) state;
    trn_propset_t set = {0};
    assert_int_equal (trn_propset_text (&set, t ("a"), t ("one")), 0);
    assert_int_equal (trn_propset_text (&set, t ("b"), t ("two")), 0);
    assert_int_equal (trn_propset_number (&set, t ("a"), 3), 0);
    assert_int_equal (set.count, 2);
    size_t size = 0;
    const uint8_t *map = trn_propset_map (&set, &size);
    assert_int_equal (size, 1 + 2 + 4 + 2 + 1);
    trn_props_t props;
    trn_prop_t prop;
    assert_int_equal (s_open (&props, map, size), 0);
    assert_true (trn_props_find (&props, t ("a"), &prop));
    assert_true (prop.kind == TRN_PROP_NUMBER && prop.number == 3);
    assert_true (trn_props_find (&props, t ("b"), &prop));
    assert_true (trn_text_is (prop.text, "two"));
    trn_propset_clear (&set);
}

static void
limits_hold_for_the_builder_and_change_nothing (void **state)
{
    (void) state;
    trn_propset_t set = {0};
    static char text[TRN_PROPS_MAX + 1];
    memset (text, 'k', sizeof text);
    const trn_text_t longest = {text, TRN_PROPS_KEY_MAX};
    const trn_text_t too_long = {text, TRN_PROPS_KEY_MAX + 1};
    assert_int_equal (trn_propset_flag (&set, longest, true), 0);
    assert_int_equal (trn_propset_flag (&set, too_long, true), TERN_ETOOBIG);
    assert_int_equal (trn_propset_flag (&set, t (""), true), TERN_EINVAL);
    assert_int_equal (trn_propset_flag (&set, t ("\xff"), true), TERN_EINVAL);
    assert_int_equal (trn_propset_flag (&set, (trn_text_t) {"a\0b", 3}, true),
                      TERN_EINVAL);
    assert_int_equal (trn_propset_text (&set, t ("a"), t ("\xff")),
                      TERN_EINVAL);
    assert_int_equal (
        trn_propset_text (&set, t ("a"), (trn_text_t) {"a\0b", 3}),
        TERN_EINVAL);
    assert_int_equal (
        trn_propset_text (&set, t ("a"), (trn_text_t) {text, sizeof text}),
        TERN_ETOOBIG);
    assert_int_equal (set.count, 1);
    trn_propset_clear (&set);

    for (int index = 0; index < TRN_PROPS_COUNT; index++) {
        char key[16];
        snprintf (key, sizeof key, "key-%d", index);
        assert_int_equal (trn_propset_number (&set, t (key), index), 0);
    }
    assert_int_equal (trn_propset_number (&set, t ("more"), 1), TERN_ETOOBIG);
    assert_int_equal (trn_propset_number (&set, t ("key-5"), 55), 0);
    size_t size = 0;
    const uint8_t *map = trn_propset_map (&set, &size);
    trn_props_t props;
    assert_int_equal (s_open (&props, map, size), 0);
    assert_int_equal (props.left, TRN_PROPS_COUNT);
    trn_prop_t prop;
    assert_true (trn_props_find (&props, t ("key-5"), &prop));
    assert_int_equal (prop.number, 55);
    assert_false (trn_props_find (&props, t ("more"), &prop));
    trn_propset_clear (&set);
}

static void
the_fullest_set_still_fits_a_record (void **state)
{
    (void) state;
    static char text[TRN_PROPS_MAX];
    memset (text, 'v', sizeof text);
    trn_propset_t set = {0};
    size_t size = 0;
    assert_int_equal (trn_propset_number (&set, t ("n"), 1), 0);
    uint32_t most = 0;
    for (uint32_t value = TRN_PROPS_MAX - 64; value < TRN_PROPS_MAX; value++) {
        const int rc
            = trn_propset_text (&set, t ("v"), (trn_text_t) {text, value});
        assert_true (rc == 0 || rc == TERN_ETOOBIG);
        most = rc ? most : value;
        const uint8_t *map = trn_propset_map (&set, &size);
        assert_true (size <= TRN_PROPS_MAX);
        trn_props_t props;
        trn_prop_t prop;
        assert_int_equal (s_open (&props, map, size), 0);
        assert_true (trn_props_find (&props, t ("v"), &prop));
        assert_int_equal (prop.text.size, most);
    }
    assert_true (most > TRN_PROPS_MAX - 32);
    trn_propset_clear (&set);
}

static int
s_refuses (const char *bytes, size_t size)
{
    trn_props_t props;
    trn_prop_t prop;
    const int rc = s_open (&props, bytes, size);
    if (rc) {
        assert_false (trn_props_next (&props, &prop));
    }
    return rc;
}

#define REFUSES(bytes) s_refuses (bytes, sizeof (bytes) - 1)

//  T-115
static void
what_is_not_such_a_map_is_refused (void **state)
{
    (void) state;
    assert_int_equal (REFUSES ("\x80"), 0);
    assert_int_equal (REFUSES ("\x81\xa1k\1"), 0);
    assert_int_equal (REFUSES ("\xde\0\1\xa1k\1"), 0);
    assert_int_equal (REFUSES ("\x90"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\1"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\xa1k"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x81\xa1k\1\1"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x81\1\1"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x81\xc4\1k\1"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x81\xa0\1"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x81\xa1k\xc0"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x81\xa1k\xca\0\0\0\0"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x81\xa1k\xcf\x80\0\0\0\0\0\0\0"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x82\xa1k\1\xa1k\2"), TERN_EPROTO);
    assert_int_equal (REFUSES ("\x81\xa1k\x90"), TERN_ETOOBIG);
    assert_int_equal (REFUSES ("\x81\xa1k\x80"), TERN_ETOOBIG);
}

static void
limits_hold_for_the_reader (void **state)
{
    (void) state;
    static uint8_t bytes[TRN_PROPS_MAX + 1];
    trn_packer_t out;
    for (uint32_t count = TRN_PROPS_COUNT; count <= TRN_PROPS_COUNT + 1;
         count++) {
        trn_packer_start (&out, bytes, sizeof bytes);
        trn_pack_map (&out, count);
        for (uint32_t index = 0; index < count; index++) {
            char key[16];
            snprintf (key, sizeof key, "%u", index);
            trn_pack_text (&out, t (key));
            trn_pack_uint (&out, index);
        }
        trn_props_t props;
        assert_int_equal (s_open (&props, bytes, out.used),
                          count > TRN_PROPS_COUNT ? TERN_ETOOBIG : 0);
    }
    for (size_t size = TRN_PROPS_KEY_MAX; size <= TRN_PROPS_KEY_MAX + 1;
         size++) {
        static char key[TRN_PROPS_KEY_MAX + 1];
        memset (key, 'k', sizeof key);
        trn_packer_start (&out, bytes, sizeof bytes);
        trn_pack_map (&out, 1);
        trn_pack_text (&out, (trn_text_t) {key, size});
        trn_pack_uint (&out, 1);
        trn_props_t props;
        assert_int_equal (s_open (&props, bytes, out.used),
                          size > TRN_PROPS_KEY_MAX ? TERN_ETOOBIG : 0);
    }
    trn_props_t props;
    assert_int_equal (trn_props_open (&props, bytes, TRN_PROPS_MAX + 1),
                      TERN_ETOOBIG);
}

//  T-116
static void
keys_that_begin_with_tern_dot_are_reserved (void **state)
{
    (void) state;
    assert_true (trn_prop_reserved (t ("tern.")));
    assert_true (trn_prop_reserved (t ("tern.reply-to")));
    assert_false (trn_prop_reserved (t ("tern")));
    assert_false (trn_prop_reserved (t ("ternary")));
    assert_false (trn_prop_reserved (t ("Tern.x")));
    assert_false (trn_prop_reserved (t ("")));
}

static void
random_changes_agree_with_a_plain_table (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    for (int round = 0; round < 50; round++) {
        trn_propset_t set = {0};
        int64_t table[80];
        bool has[80] = {false};
        uint32_t count = 0;
        for (int step = 0; step < 300; step++) {
            const size_t which = (size_t) test_random_below (&random, 80);
            char key[16];
            snprintf (key, sizeof key, "key-%zu", which);
            if (test_random_below (&random, 3)) {
                const int64_t value = (int64_t) test_random_wide (&random);
                const int rc = trn_propset_number (&set, t (key), value);
                const bool fits = has[which] || count < TRN_PROPS_COUNT;
                assert_int_equal (rc, fits ? 0 : TERN_ETOOBIG);
                if (fits) {
                    count += !has[which];
                    has[which] = true;
                    table[which] = value;
                }
            } else {
                assert_int_equal (trn_propset_remove (&set, t (key)),
                                  has[which]);
                count -= has[which];
                has[which] = false;
            }
        }
        size_t size = 0;
        const uint8_t *map = trn_propset_map (&set, &size);
        trn_props_t props;
        assert_int_equal (s_open (&props, map, size), 0);
        assert_int_equal (props.left, count);
        for (size_t which = 0; which < 80; which++) {
            char key[16];
            snprintf (key, sizeof key, "key-%zu", which);
            trn_prop_t prop;
            assert_int_equal (trn_props_find (&props, t (key), &prop),
                              has[which]);
            assert_true (!has[which] || prop.number == table[which]);
        }
        trn_propset_clear (&set);
    }
}

static void
damaged_maps_never_lead_the_reader_astray (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    trn_propset_t set = {0};
    assert_int_equal (trn_propset_text (&set, t ("type"), t ("order")), 0);
    assert_int_equal (trn_propset_bytes (&set, t ("b"), "12345678", 8), 0);
    assert_int_equal (trn_propset_number (&set, t ("n"), -70000), 0);
    assert_int_equal (trn_propset_flag (&set, t ("f"), true), 0);
    size_t size = 0;
    const uint8_t *map = trn_propset_map (&set, &size);
    for (int round = 0; round < 100000; round++) {
        uint8_t bytes[64];
        memcpy (bytes, map, size);
        bytes[test_random_below (&random, size)]
            = (uint8_t) test_random (&random);
        bytes[test_random_below (&random, size)]
            = (uint8_t) test_random (&random);
        trn_props_t props;
        const int rc = s_open (&props, bytes,
                               size - (size_t) test_random_below (&random, 3));
        assert_true (rc == 0 || rc == TERN_EPROTO || rc == TERN_ETOOBIG);
        const uint32_t left = props.left;
        uint32_t count = 0;
        trn_prop_t prop;
        while (trn_props_next (&props, &prop)) {
            count++;
        }
        assert_int_equal (count, left);
        assert_true (rc == 0 || count == 0);
    }
    trn_propset_clear (&set);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_is_set_can_be_read),
        cmocka_unit_test (no_bytes_are_no_properties),
        cmocka_unit_test (setting_again_replaces),
        cmocka_unit_test (limits_hold_for_the_builder_and_change_nothing),
        cmocka_unit_test (the_fullest_set_still_fits_a_record),
        cmocka_unit_test (what_is_not_such_a_map_is_refused),
        cmocka_unit_test (limits_hold_for_the_reader),
        cmocka_unit_test (keys_that_begin_with_tern_dot_are_reserved),
        cmocka_unit_test (random_changes_agree_with_a_plain_table),
        cmocka_unit_test (damaged_maps_never_lead_the_reader_astray),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("wire/props", tests, NULL, NULL);
}
