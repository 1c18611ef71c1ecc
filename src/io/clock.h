//  io/clock.h - the two clocks
//
//  Decisions use the monotonic one only; the wall clock is for people and for
//  delays measured by one machine's own clock (L31).  Any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CLOCK_H
#define TRN_CLOCK_H

#include <stdint.h>
#include <time.h>

//  Monotonic milliseconds.
int64_t
trn_clock_ms (void);

//  Microseconds since 1970.
uint64_t
trn_clock_wall_us (void);

//  A point on the monotonic clock for pthread_cond_timedwait () on a condition
//  made by trn_clock_condition ().
struct timespec
trn_clock_after (int timeout_ms);

//  64 bits from the system's generator.
uint64_t
trn_clock_random (void);

#endif
