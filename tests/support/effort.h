//  support/effort.h - how much of a large space a test goes through
//
//  All of it, except under valgrind, which makes the processor thirty times
//  slower, and where lines are counted.  There a part shows the same errors of
//  memory and reaches the same lines: the verdicts on the rest are those of the
//  plain run.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_EFFORT_H
#define TEST_EFFORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline uint64_t
test_effort (uint64_t whole, uint64_t part)
{
    const char *instrument = getenv ("TERN_INSTRUMENT");
    const bool slow = instrument
                      && (strcmp (instrument, "valgrind") == 0
                          || strcmp (instrument, "coverage") == 0);
    return slow ? part : whole;
}

#endif
