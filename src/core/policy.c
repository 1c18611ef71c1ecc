//  core/policy.c - what a publisher says about a queue
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/policy.h"

#include "base/bytes.h"
#include "core/backoff.h"

#include <tern/error.h>

#include <assert.h>

//  A policy as bytes:
//
//       0  max_deliveries u32
//       4  pause kind u8, flags u8, pauses u8, 0
//       8  pause_min u32, pause_max u32
//      16  ttl u64
//      24  the pauses, u32 each
//
#define FIXED 24u

enum {
    DROP_EXPIRED = 1,
    SINGLE = 2,
    TERMINAL = 4
};

void
trn_policy_default (trn_policy_t *self)
{
    assert (self);
    *self = (trn_policy_t) {
        .max_deliveries = 16,
        .pause = TRN_PAUSE_EXPONENTIAL,
        .pause_min_ms = 100,
        .pause_max_ms = 30000,
    };
}

static uint32_t
s_ceiling (const trn_policy_t *self, uint32_t deliveries)
{
    const uint32_t again = deliveries ? deliveries - 1 : 0;
    switch (self->pause) {
    case TRN_PAUSE_EXPONENTIAL:
        return trn_backoff_ceiling (self->pause_min_ms, self->pause_max_ms,
                                    again);
    case TRN_PAUSE_FIXED: return self->pause_min_ms;
    case TRN_PAUSE_LIST: break;
    }
    if (!self->pause_count) {
        return 0;
    }
    return self
        ->pauses[again < self->pause_count ? again : self->pause_count - 1];
}

uint64_t
trn_policy_pause (const trn_policy_t *self, uint32_t deliveries, trn_rng_t *rng)
{
    assert (self && rng);
    const uint64_t ceiling = s_ceiling (self, deliveries);
    return ceiling / 2 + trn_rng_below (rng, ceiling - ceiling / 2 + 1);
}

size_t
trn_policy_encode (const trn_policy_t *self, uint8_t *to)
{
    assert (self && to && self->pause_count <= TRN_PAUSES_MAX);
    trn_put_u32 (to, self->max_deliveries);
    to[4] = (uint8_t) self->pause;
    to[5] = (uint8_t) ((self->drop_expired ? DROP_EXPIRED : 0)
                       | (self->single ? SINGLE : 0)
                       | (self->terminal ? TERMINAL : 0));
    to[6] = (uint8_t) self->pause_count;
    to[7] = 0;
    trn_put_u32 (to + 8, self->pause_min_ms);
    trn_put_u32 (to + 12, self->pause_max_ms);
    trn_put_u64 (to + 16, self->ttl_ms);
    for (uint32_t index = 0; index < self->pause_count; index++) {
        trn_put_u32 (to + FIXED + index * 4, self->pauses[index]);
    }
    return FIXED + self->pause_count * 4;
}

int
trn_policy_decode (trn_policy_t *self, const uint8_t *bytes, size_t size)
{
    assert (self && (bytes || !size));
    if (size < FIXED || bytes[4] > TRN_PAUSE_LIST || bytes[6] > TRN_PAUSES_MAX
        || size < FIXED + bytes[6] * 4u) {
        return TERN_ECORRUPT;
    }
    *self = (trn_policy_t) {
        .max_deliveries = trn_get_u32 (bytes),
        .pause = (trn_pause_kind_t) bytes[4],
        .drop_expired = bytes[5] & DROP_EXPIRED,
        .single = bytes[5] & SINGLE,
        .terminal = bytes[5] & TERMINAL,
        .pause_count = bytes[6],
        .pause_min_ms = trn_get_u32 (bytes + 8),
        .pause_max_ms = trn_get_u32 (bytes + 12),
        .ttl_ms = trn_get_u64 (bytes + 16),
    };
    if (self->ttl_ms > TRN_RULE_MS_MAX) {
        return TERN_ECORRUPT;
    }
    for (uint32_t index = 0; index < self->pause_count; index++) {
        self->pauses[index] = trn_get_u32 (bytes + FIXED + index * 4);
    }
    return (int) (FIXED + self->pause_count * 4);
}
