//  tests/unit/test_log_crash.c - the power fails at any moment
//
//  Rules L2, L8, L13 to L16, L22, L24; invariants I1, I2 of docs/STORAGE.md.
//  Each run is a random script that ends at a random call of the disk, a crash
//  that keeps a random legal subset, and an opening that compares everything
//  with what had been promised; several lives in a row.
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/disk_log.h"
#include "support/effort.h"

#include <tern/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

//  TERN_SEED runs one seed alone; TERN_RUNS changes how many there are.
static uint64_t
s_environment (const char *name, uint64_t otherwise)
{
    const char *const text = getenv (name);
    return text ? strtoull (text, NULL, 10) : otherwise;
}

//  One life: until the disk dies at its n-th call, or the script ends.
static void
s_live (trn_disk_log_t *self)
{
    const trn_disk_fault_t plan = {.nth = 1 + trn_disk_log_random (self, 120),
                                   .forever = true,
                                   .error = EIO};
    const trn_disk_fault_t none = {.nth = 0};
    trn_disk_faulty_plan (self->disk, &none);
    TRN_REQUIRE (self, trn_disk_log_open (self) == 0);
    trn_disk_faulty_plan (self->disk, &plan);
    for (unsigned step = 0; step < 150; step++) {
        if (trn_disk_log_step (self) < 0 || !self->log) {
            break;
        }
    }
}

static void
s_run (uint64_t seed, bool power)
{
    trn_disk_log_t *self = trn_disk_log_new (seed);
    trn_disk_log_vary_retention (self);
    for (unsigned life = 0; life < 4; life++) {
        s_live (self);
        if (power) {
            trn_disk_log_crash (self, trn_disk_log_random (self, UINT64_MAX));
        } else {
            trn_disk_log_kill (self);
        }
    }
    const trn_disk_fault_t none = {.nth = 0};
    trn_disk_faulty_plan (self->disk, &none);
    TRN_REQUIRE (self, trn_disk_log_open (self) == 0);
    trn_disk_log_destroy (&self);
}

static void
s_sweep (bool power)
{
    const uint64_t one = s_environment ("TERN_SEED", 0);
    const uint64_t runs
        = one ? 1 : s_environment ("TERN_RUNS", test_effort (3000, 500));
    for (uint64_t i = 0; i < runs; i++) {
        s_run (one ? one : i + 1, power);
    }
}

static void
test_nothing_synced_is_lost_when_the_power_fails (void **state)
{
    (void) state;
    s_sweep (true);
}

static void
test_nothing_synced_is_lost_when_the_process_is_killed (void **state)
{
    (void) state;
    s_sweep (false);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_nothing_synced_is_lost_when_the_power_fails),
        cmocka_unit_test (
            test_nothing_synced_is_lost_when_the_process_is_killed),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
