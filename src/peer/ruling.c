//  peer/ruling.c - what a record's properties say about its delivery
//
//  Knows: the properties come from our own log, but whoever can write there,
//  or a version to come, may have written anything.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/ruling.h"

#include "base/memory.h"
#include "peer/message.h"
#include "wire/manifest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PRIORITY_MAX 9

//  Targets -----------------------------------------------------------------

size_t
trn_targets_encode (const uint32_t *targets, size_t count, uint8_t *to)
{
    assert (targets && to);
    uint8_t *at = to;
    uint32_t before = 0;
    for (size_t index = 0; index < count; index++) {
        assert (targets[index] > before);
        uint32_t step = targets[index] - before;
        before = targets[index];
        while (step >= 0x80) {
            *at++ = (uint8_t) (step | 0x80);
            step >>= 7;
        }
        *at++ = (uint8_t) step;
    }
    return (size_t) (at - to);
}

size_t
trn_targets_decode (const uint8_t *bytes, size_t size, uint32_t *targets,
                    size_t max)
{
    assert ((bytes || !size) && (targets || !max));
    size_t count = 0;
    uint64_t target = 0;
    uint64_t step = 0;
    unsigned shift = 0;
    for (size_t index = 0; index < size; index++) {
        if (shift > 28) {
            return 0;
        }
        step |= (uint64_t) (bytes[index] & 0x7f) << shift;
        shift += 7;
        if (bytes[index] & 0x80) {
            continue;
        }
        target += step;
        if (step == 0 || target > UINT32_MAX) {
            return 0;
        }
        if (count < max) {
            targets[count] = (uint32_t) target;
        }
        count++;
        step = 0;
        shift = 0;
    }
    return shift ? 0 : count;
}

static void
s_read_targets (const trn_prop_t *prop, trn_ruling_t *ruling)
{
    free (ruling->targets);
    //  Each takes a byte at least.
    ruling->targets = trn_alloc ((prop->bytes_size + 1) * sizeof (uint32_t));
    ruling->rule.targets = ruling->targets;
    ruling->rule.target_count = trn_targets_decode (
        prop->bytes, prop->bytes_size, ruling->targets, prop->bytes_size);
}

//  Reading -----------------------------------------------------------------

//  Two keys with one hash only wait for each other.
static uint64_t
s_order (trn_text_t key)
{
    const uint64_t hash = XXH3_64bits (key.at, key.size);
    return hash ? hash : 1;
}

static void
s_read_number (const trn_prop_t *prop, trn_ruling_t *ruling)
{
    if (prop->number < 0) {
        return;
    }
    const uint64_t number = (uint64_t) prop->number;
    if (trn_text_is (prop->key, TRN_OWN_PRIORITY)) {
        ruling->rule.priority
            = number > PRIORITY_MAX ? PRIORITY_MAX : (uint8_t) number;
    } else if (trn_text_is (prop->key, TRN_OWN_EXPIRES)) {
        ruling->rule.expires_ms = number;
    } else if (trn_text_is (prop->key, TRN_OWN_DUE)) {
        ruling->rule.due_ms = number;
    } else if (trn_text_is (prop->key, TRN_OWN_NUMBER)) {
        ruling->number = number;
    }
}

void
trn_ruling_read (const trn_record_t *record, trn_ruling_t *ruling)
{
    assert (record && ruling);
    *ruling = (trn_ruling_t) {.rule = {.seq = record->seq}};
    trn_manifest_t manifest;
    if (trn_manifest_read (record, &manifest)) {
        ruling->body = manifest.id;
        ruling->body_size = manifest.size;
    }
    trn_props_t props;
    trn_prop_t prop;
    if (trn_props_open (&props, record->props, record->props_size) != 0) {
        return;
    }
    while (trn_props_next (&props, &prop)) {
        if (!trn_prop_reserved (prop.key)) {
            continue;
        }
        if (prop.kind == TRN_PROP_NUMBER) {
            s_read_number (&prop, ruling);
        } else if (prop.kind == TRN_PROP_TEXT && prop.text.size
                   && trn_text_is (prop.key, TRN_OWN_ORDER)) {
            ruling->rule.order = s_order (prop.text);
        } else if (prop.kind == TRN_PROP_BYTES
                   && trn_text_is (prop.key, TRN_OWN_TARGETS)) {
            s_read_targets (&prop, ruling);
        }
    }
}

bool
trn_ruling_is_rule (const trn_rule_t *rule)
{
    assert (rule);
    return rule->due_ms || rule->expires_ms || rule->order || rule->priority
           || rule->targets;
}

void
trn_ruling_add_target (trn_ruling_t *self, uint32_t target)
{
    assert (self && target);
    size_t place = 0;
    const size_t count = self->rule.target_count;
    while (place < count && self->targets[place] < target) {
        place++;
    }
    if (place < count && self->targets[place] == target) {
        return;
    }
    self->targets
        = trn_realloc (self->targets, (count + 1) * sizeof *self->targets);
    memmove (self->targets + place + 1, self->targets + place,
             (count - place) * sizeof *self->targets);
    self->targets[place] = target;
    self->rule.targets = self->targets;
    self->rule.target_count = count + 1;
}

//  In order ----------------------------------------------------------------

void
trn_rulings_add (trn_rulings_t *self, const trn_ruling_t *ruling)
{
    assert (self && ruling);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 64;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    self->at[self->count++] = *ruling;
}

void
trn_rulings_clear (trn_rulings_t *self)
{
    assert (self);
    for (size_t index = 0; index < self->count; index++) {
        free (self->at[index].targets);
    }
    free (self->at);
    *self = (trn_rulings_t) {0};
}
