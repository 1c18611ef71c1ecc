//  test_base_error - every value a call can return has words
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
every_error_has_a_phrase_of_its_own (void **state)
{
    (void) state;
    for (int one = TERN_ETYPE; one <= TERN_OK; one++) {
        assert_non_null (tern_strerror (one));
        assert_true (*tern_strerror (one) != 0);
        for (int other = one + 1; other <= TERN_OK; other++) {
            assert_string_not_equal (tern_strerror (one),
                                     tern_strerror (other));
        }
    }
}

static void
a_number_that_is_no_error_has_a_phrase_too (void **state)
{
    (void) state;
    const int strange[] = {1, 7, -1000, INT32_MAX, INT32_MIN};
    for (size_t index = 0; index < 5; index++) {
        assert_non_null (tern_strerror (strange[index]));
    }
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (every_error_has_a_phrase_of_its_own),
        cmocka_unit_test (a_number_that_is_no_error_has_a_phrase_too),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("base/error", tests, NULL, NULL);
}
