//  core/backoff.c - how long to wait before the next attempt
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/backoff.h"

#include <assert.h>

uint32_t
trn_backoff_ceiling (uint32_t min_ms, uint32_t max_ms, uint32_t attempts)
{
    //  Beyond 31 doublings any minimum has passed any maximum.
    const uint64_t grown = (uint64_t) min_ms << (attempts < 31 ? attempts : 31);
    return grown < max_ms ? (uint32_t) grown : max_ms;
}

uint32_t
trn_backoff_next (trn_backoff_t *self, trn_rng_t *rng)
{
    assert (self && rng);
    const uint32_t ceiling
        = trn_backoff_ceiling (self->min_ms, self->max_ms, self->attempts);
    if (self->attempts < 31) {
        self->attempts++;
    }
    return 1 + (uint32_t) trn_rng_below (rng, ceiling);
}
