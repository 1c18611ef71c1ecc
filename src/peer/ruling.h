//  peer/ruling.h - what a record's properties say about its delivery
//
//  The engine knows rules, the log knows records.  One function reads the rule
//  out of a record, when it is sent and when it is found again after a restart,
//  so that both times it is the same one.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_RULING_H
#define TRN_RULING_H

#include "core/engine.h"
#include "wire/props.h"
#include "wire/record.h"

typedef struct {
    trn_rule_t rule;
    uint32_t *targets;  //  owned; what rule.targets points to
    uint64_t number;    //  of idempotent publishing, 0 none
    uint64_t body;      //  the large body that it names, 0 none
    uint64_t body_size;
} trn_ruling_t;

//  What the properties do not say, or say wrongly, is the default.
void
trn_ruling_read (const trn_record_t *record, trn_ruling_t *ruling);

//  Does the engine have to know it?
bool
trn_ruling_is_rule (const trn_rule_t *rule);

//  One more, unless it is one.
void
trn_ruling_add_target (trn_ruling_t *self, uint32_t target);

//  Rulings in order of seqs.  Zeroed, it is empty.  Thread: one at a time.
typedef struct {
    trn_ruling_t *at;
    size_t count, capacity;
} trn_rulings_t;

//  Takes over what the ruling owns.
void
trn_rulings_add (trn_rulings_t *self, const trn_ruling_t *ruling);

void
trn_rulings_clear (trn_rulings_t *self);

//  Targets, ascending from 1 on, as bytes of a property: each is 7 bits at a
//  time, low ones first, of its distance to the one before.  Room for
//  TRN_TARGET_BYTES each; returns the bytes used.
#define TRN_TARGET_BYTES 5

size_t
trn_targets_encode (const uint32_t *targets, size_t count, uint8_t *to);

//  How many there are, and the first max of them; 0 if these are not targets.
size_t
trn_targets_decode (const uint8_t *bytes, size_t size, uint32_t *targets,
                    size_t max);

#endif
