//  tests/support/seed.h - random numbers whose seed reproduces a failure
//
//  Each run draws a fresh seed and prints it; TERN_SEED=n runs that one again.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TEST_SEED_H
#define TRN_TEST_SEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    uint64_t state;
} test_random_t;

//  The generator is splitmix64 (Steele, Lea, Flood 2014).
static inline uint64_t
test_random (test_random_t *self)
{
    uint64_t mixed = self->state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

//  A number below limit.
static inline uint64_t
test_random_below (test_random_t *self, uint64_t limit)
{
    return test_random (self) % limit;
}

//  Small numbers, numbers at powers of two, and any: what breaks bounds.
static inline uint64_t
test_random_wide (test_random_t *self)
{
    const uint64_t number = test_random (self);
    return number >> test_random_below (self, 64);
}

static inline test_random_t
test_random_start (void)
{
    const char *given = getenv ("TERN_SEED");
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    const uint64_t seed
        = given ? strtoull (given, NULL, 0)
                : (uint64_t) now.tv_sec * 1000003u + (uint64_t) now.tv_nsec;
    printf ("# TERN_SEED=%llu\n", (unsigned long long) seed);
    return (test_random_t) {seed};
}

#endif
