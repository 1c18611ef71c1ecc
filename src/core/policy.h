//  core/policy.h - what a publisher says about a queue
//
//  docs/QUEUES.md says what each setting does and in which order rules apply.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_POLICY_H
#define TRN_POLICY_H

#include "core/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_PAUSES_MAX 16

//  Everything a policy can name, in ms: 366 days.
#define TRN_RULE_MS_MAX UINT64_C (31622400000)

typedef enum {
    TRN_PAUSE_EXPONENTIAL = 0,  //  min, doubled each time, up to max
    TRN_PAUSE_FIXED = 1,        //  min each time
    TRN_PAUSE_LIST = 2          //  the list, then its last again and again
} trn_pause_kind_t;

typedef struct {
    uint32_t max_deliveries;  //  0: no limit
    trn_pause_kind_t pause;
    uint32_t pause_min_ms, pause_max_ms;
    uint32_t pauses[TRN_PAUSES_MAX];
    uint32_t pause_count;
    uint64_t ttl_ms;    //  0: none
    bool drop_expired;  //  else dead-lettered
    bool single;        //  one active consumer
    bool terminal;      //  a dead-letter queue: nothing dies here
} trn_policy_t;

//  16 deliveries, exponential from 100 ms to 30 s.
void
trn_policy_default (trn_policy_t *self);

//  How long to wait after so many deliveries: half fixed, half chance.
uint64_t
trn_policy_pause (const trn_policy_t *self, uint32_t deliveries,
                  trn_rng_t *rng);

//  As a part of the saved state; little-endian.  Encode returns the size, which
//  is at most TRN_POLICY_SIZE_MAX; decode what it read, or TERN_ECORRUPT.
#define TRN_POLICY_SIZE_MAX 128

size_t
trn_policy_encode (const trn_policy_t *self, uint8_t *to);

int
trn_policy_decode (trn_policy_t *self, const uint8_t *bytes, size_t size);

#endif
