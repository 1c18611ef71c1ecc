//  test_base_meter - rates and quantiles
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
test_rate_of_nothing_is_zero (void **state)
{
    (void) state;
    trn_meter_t meter = {0};
    assert_true (trn_meter_rate (&meter, 1) == 0);
    trn_meter_sample (&meter, 1000);
    assert_true (trn_meter_rate (&meter, 60) == 0);
}

static void
test_rates_look_back_as_far_as_asked (void **state)
{
    (void) state;
    trn_meter_t meter = {0};
    //  100 a second for a minute and a half, then 700 in one second.
    for (uint64_t second = 0; second <= 90; second++) {
        trn_meter_sample (&meter, second * 100);
    }
    trn_meter_sample (&meter, 90 * 100 + 700);
    assert_true (trn_meter_rate (&meter, 1) == 700);
    assert_true (trn_meter_rate (&meter, 10) == 160);
    assert_true (trn_meter_rate (&meter, 60) == 110);
}

static void
test_young_meter_uses_what_it_has (void **state)
{
    (void) state;
    trn_meter_t meter = {0};
    trn_meter_sample (&meter, 0);
    trn_meter_sample (&meter, 50);
    trn_meter_sample (&meter, 150);
    assert_true (trn_meter_rate (&meter, 60) == 75);
}

static void
test_quantiles_are_within_an_eighth (void **state)
{
    (void) state;
    trn_histogram_t histogram = {0};
    for (uint64_t value = 1; value <= 100000; value++) {
        trn_histogram_add (&histogram, value, 1);
    }
    const double quantiles[] = {0.01, 0.5, 0.9, 0.99, 0.999};
    for (size_t index = 0; index < 5; index++) {
        const double exact = quantiles[index] * 100000;
        const double got
            = (double) trn_histogram_quantile (&histogram, quantiles[index]);
        assert_true (got >= exact && got <= exact * 1.125 + 1);
    }
    assert_int_equal (trn_histogram_quantile (&histogram, 1.0), 100000);
}

static void
test_extremes_have_a_bucket (void **state)
{
    (void) state;
    trn_histogram_t histogram = {0};
    trn_histogram_add (&histogram, 0, 1);
    assert_int_equal (trn_histogram_quantile (&histogram, 0.5), 0);
    trn_histogram_add (&histogram, UINT64_MAX, 3);
    assert_true (trn_histogram_quantile (&histogram, 0.9) == UINT64_MAX);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_rate_of_nothing_is_zero),
        cmocka_unit_test (test_rates_look_back_as_far_as_asked),
        cmocka_unit_test (test_young_meter_uses_what_it_has),
        cmocka_unit_test (test_quantiles_are_within_an_eighth),
        cmocka_unit_test (test_extremes_have_a_bucket),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
