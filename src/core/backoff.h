//  core/backoff.h - how long to wait before the next attempt
//
//  Full jitter: anything up to min * 2^attempts, capped.  A thousand peers that
//  lost the same directory do not come back in step.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_BACKOFF_H
#define TRN_BACKOFF_H

#include "core/rng.h"

#include <stdint.h>

typedef struct {
    uint32_t min_ms;
    uint32_t max_ms;
    uint32_t attempts;  //  failures in a row
} trn_backoff_t;

//  The largest wait after so many failures in a row.
uint32_t
trn_backoff_ceiling (uint32_t min_ms, uint32_t max_ms, uint32_t attempts);

//  Count one more failure and draw the wait that follows it, at least 1.
uint32_t
trn_backoff_next (trn_backoff_t *self, trn_rng_t *rng);

#endif
