//  base/meter.c - rates of a counter, and a histogram of delays
//
//  The histogram is that of HdrHistogram (G. Tene) in its simplest form: eight
//  linear buckets in each power of two.
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/meter.h"

#include <assert.h>

void
trn_meter_sample (trn_meter_t *self, uint64_t total)
{
    assert (self);
    self->newest = (self->newest + 1) % TRN_METER_SECONDS;
    self->samples[self->newest] = total;
    if (self->count < TRN_METER_SECONDS) {
        self->count++;
    }
}

double
trn_meter_rate (const trn_meter_t *self, uint32_t seconds)
{
    assert (self && seconds > 0 && seconds < TRN_METER_SECONDS);
    if (self->count < 2) {
        return 0;
    }
    const uint32_t span = seconds < self->count - 1 ? seconds : self->count - 1;
    const uint32_t oldest
        = (self->newest + TRN_METER_SECONDS - span) % TRN_METER_SECONDS;
    return (double) (self->samples[self->newest] - self->samples[oldest])
           / span;
}

//  0..7 have a bucket each; above, the top four bits choose it.
static uint32_t
s_bucket (uint64_t value)
{
    uint32_t shift = 0;
    while (value >> shift >= 16) {
        shift++;
    }
    return shift * 8 + (uint32_t) (value >> shift);
}

static uint64_t
s_upper (uint32_t bucket)
{
    if (bucket < 16) {
        return bucket;
    }
    const uint32_t shift = (bucket - 8) / 8;
    const uint64_t top = bucket - shift * 8;
    return ((top + 1) << shift) - 1;
}

void
trn_histogram_add (trn_histogram_t *self, uint64_t value, uint64_t count)
{
    assert (self);
    self->counts[s_bucket (value)] += count;
    self->total += count;
    self->max = value > self->max ? value : self->max;
}

uint64_t
trn_histogram_quantile (const trn_histogram_t *self, double quantile)
{
    assert (self && quantile > 0 && quantile <= 1);
    const double wanted = (double) self->total * quantile;
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < TRN_HISTOGRAM_BUCKETS; bucket++) {
        seen += self->counts[bucket];
        if (seen > 0 && (double) seen >= wanted) {
            const uint64_t upper = s_upper (bucket);
            return upper < self->max ? upper : self->max;
        }
    }
    return self->max;
}
