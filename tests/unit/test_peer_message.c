//  test_peer_message - messages to send
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/message.h"

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
s_assert_header (const tern_msg_t *msg, const char *name, const char *value)
{
    size_t size = 0;
    const char *got = tern_msg_header (msg, name, &size);
    assert_non_null (got);
    assert_int_equal (size, strlen (value));
    assert_memory_equal (got, value, size);
}

static void
test_body_is_copied_and_bounded (void **state)
{
    (void) state;
    char body[] = "hello";
    tern_msg_t *msg = tern_msg_new (body, 5);
    body[0] = 'J';
    assert_int_equal (tern_msg_size (msg), 5);
    assert_memory_equal (tern_msg_body (msg), "hello", 5);
    tern_msg_destroy (&msg);
    assert_null (msg);
    tern_msg_destroy (&msg);

    char *big = calloc (1, TERN_BODY_MAX + 1);
    assert_null (tern_msg_new (big, TERN_BODY_MAX + 1));
    msg = tern_msg_new (big, TERN_BODY_MAX);
    assert_non_null (msg);
    tern_msg_destroy (&msg);
    free (big);
    msg = tern_msg_new (NULL, 0);
    assert_int_equal (tern_msg_size (msg), 0);
    tern_msg_destroy (&msg);
}

static void
test_headers_are_kept_in_order_and_replaced (void **state)
{
    (void) state;
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_msg_set_key (msg, "a.b"), 0);
    assert_int_equal (tern_msg_set_header (msg, "colour", "red"), 0);
    assert_int_equal (tern_msg_set_header (msg, "size", "9"), 0);
    assert_int_equal (tern_msg_set_header (msg, "colour", "green"), 0);
    s_assert_header (msg, "colour", "green");
    s_assert_header (msg, "size", "9");
    size_t size = 1;
    assert_null (tern_msg_header (msg, "shape", &size));
    assert_int_equal (size, 0);

    tern_msg_t *copy = tern_msg_dup (msg);
    tern_msg_destroy (&msg);
    s_assert_header (copy, "colour", "green");
    const char *key = tern_msg_key (copy, &size);
    assert_int_equal (size, 3);
    assert_memory_equal (key, "a.b", 3);
    size_t count = 0;
    const char *name, *value;
    size_t name_size, value_size;
    while (tern_msg_header_at (copy, count, &name, &name_size, &value,
                               &value_size)) {
        count++;
    }
    assert_int_equal (count, 2);
    tern_msg_destroy (&copy);
}

static void
test_bad_headers_change_nothing (void **state)
{
    (void) state;
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_msg_set_header (msg, "good", "1"), 0);
    assert_int_equal (tern_msg_set_header (msg, "tern.id", "1"), TERN_EINVAL);
    assert_int_equal (tern_msg_set_header (msg, "", "1"), TERN_EINVAL);
    assert_int_equal (tern_msg_set_header (msg, "bad", "\xff"), TERN_EINVAL);
    char name[200];
    memset (name, 'n', sizeof name);
    name[128] = 0;
    assert_int_equal (tern_msg_set_header (msg, name, "1"), TERN_ETOOBIG);
    char *value = malloc (70000);
    memset (value, 'v', 70000);
    value[69999] = 0;
    assert_int_equal (tern_msg_set_header (msg, "big", value), TERN_ETOOBIG);
    free (value);
    char key[300];
    memset (key, 'k', sizeof key);
    key[256] = 0;
    assert_int_equal (tern_msg_set_key (msg, key), TERN_ETOOBIG);
    key[255] = 0;
    assert_int_equal (tern_msg_set_key (msg, key), 0);
    s_assert_header (msg, "good", "1");

    for (int index = 1; index < 64; index++) {
        snprintf (name, sizeof name, "h%d", index);
        assert_int_equal (tern_msg_set_header (msg, name, "v"), 0);
    }
    assert_int_equal (tern_msg_set_header (msg, "one-more", "v"), TERN_ETOOBIG);
    tern_msg_destroy (&msg);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_body_is_copied_and_bounded),
        cmocka_unit_test (test_headers_are_kept_in_order_and_replaced),
        cmocka_unit_test (test_bad_headers_change_nothing),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
