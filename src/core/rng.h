//  core/rng.h - the core's only source of chance, from a given seed
//
//  splitmix64: 64 bits of state, every output passes through a good mixer.  For
//  jitter and connection numbers; not for secrets.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_RNG_H
#define TRN_RNG_H

#include <stdint.h>

typedef struct {
    uint64_t state;
} trn_rng_t;

uint64_t
trn_rng_next (trn_rng_t *self);

//  A number from 0 to bound - 1; 0 if bound is 0.
uint64_t
trn_rng_below (trn_rng_t *self, uint64_t bound);

#endif
