//  core/rng.c - the core's only source of chance, from a given seed
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/rng.h"

#include <assert.h>

uint64_t
trn_rng_next (trn_rng_t *self)
{
    assert (self);
    self->state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = self->state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

//  The bias of the remainder is below bound / 2^64: no jitter notices.
uint64_t
trn_rng_below (trn_rng_t *self, uint64_t bound)
{
    const uint64_t number = trn_rng_next (self);
    return bound ? number % bound : 0;
}
