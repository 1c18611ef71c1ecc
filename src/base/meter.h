//  base/meter.h - rates of a counter, and a histogram of delays
//
//  Thread: the owner's.  Time comes as an argument.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_METER_H
#define TRN_METER_H

#include <stdint.h>

#define TRN_METER_SECONDS 61

//  A total, sampled once a second.
typedef struct {
    uint64_t samples[TRN_METER_SECONDS];  //  ring of totals
    uint32_t newest;                      //  index of the last sample
    uint32_t count;                       //  samples taken, at most all
} trn_meter_t;

//  Once a second, with the total so far.
void
trn_meter_sample (trn_meter_t *self, uint64_t total);

//  Events per second over the last so many seconds (1..60), or over what has
//  been sampled if that is less.
double
trn_meter_rate (const trn_meter_t *self, uint32_t seconds);

//  Delays in microseconds, in buckets of at most 1/8 relative width: enough for
//  a p99, and 4 KiB.
#define TRN_HISTOGRAM_BUCKETS 496

typedef struct {
    uint64_t counts[TRN_HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max;
} trn_histogram_t;

void
trn_histogram_add (trn_histogram_t *self, uint64_t value, uint64_t count);

//  Upper bound of the bucket that holds the quantile (0 < quantile <= 1), but
//  never above the largest value seen; 0 when empty.
uint64_t
trn_histogram_quantile (const trn_histogram_t *self, double quantile);

#endif
