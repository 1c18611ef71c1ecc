//  test_base_memory - allocation that does not return failure
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
fresh_memory_is_zeroed (void **state)
{
    (void) state;
    for (size_t size = 1; size < 5000; size += 499) {
        uint8_t *memory = trn_alloc (size);
        for (size_t at = 0; at < size; at++) {
            assert_int_equal (memory[at], 0);
        }
        free (memory);
    }
}

static void
grown_memory_keeps_what_was_there (void **state)
{
    (void) state;
    char *memory = trn_realloc (NULL, 6);
    memcpy (memory, "hello", 6);
    memory = trn_realloc (memory, 100000);
    assert_string_equal (memory, "hello");
    free (memory);
}

static void
copies_of_strings_are_terminated (void **state)
{
    (void) state;
    char *copy = trn_strdup ("hello");
    assert_string_equal (copy, "hello");
    free (copy);
    copy = trn_strdup ("");
    assert_string_equal (copy, "");
    free (copy);
    copy = trn_strndup ("hello, world", 5);
    assert_string_equal (copy, "hello");
    free (copy);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (fresh_memory_is_zeroed),
        cmocka_unit_test (grown_memory_keeps_what_was_there),
        cmocka_unit_test (copies_of_strings_are_terminated),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("base/memory", tests, NULL, NULL);
}
