//  io/clock.c - the two clocks
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/clock.h"

#include <sodium.h>

int64_t
trn_clock_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t
trn_clock_wall_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    return (uint64_t) now.tv_sec * 1000000u + (uint64_t) now.tv_nsec / 1000u;
}

struct timespec
trn_clock_after (int timeout_ms)
{
    struct timespec then;
    clock_gettime (CLOCK_MONOTONIC, &then);
    then.tv_sec += timeout_ms / 1000;
    then.tv_nsec += (long) (timeout_ms % 1000) * 1000000;
    if (then.tv_nsec >= 1000000000) {
        then.tv_sec++;
        then.tv_nsec -= 1000000000;
    }
    return then;
}

uint64_t
trn_clock_random (void)
{
    uint64_t value;
    randombytes_buf (&value, sizeof value);
    return value;
}
