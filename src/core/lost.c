//  core/lost.c - how many messages of a queue its consumers have missed
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/lost.h"

#include "base/limits.h"

#include <assert.h>

bool
trn_lost_restore (trn_lost_t *self, uint64_t total, uint64_t told)
{
    assert (self);
    if (total > TRN_SEQ_MAX || told > total) {
        return false;
    }
    *self = (trn_lost_t) {
        .total = total, .durable = total, .saving = total, .told = told};
    return true;
}

void
trn_lost_add (trn_lost_t *self, uint64_t count)
{
    assert (self);
    self->total += count < TRN_SEQ_MAX - self->total
                       ? count
                       : TRN_SEQ_MAX - self->total;
}

bool
trn_lost_tell (trn_lost_t *self, uint64_t seq)
{
    assert (self && seq);
    if (!self->seq && self->durable > self->told) {
        self->seq = seq;
        self->telling = self->durable;
    }
    return self->seq == seq;
}

uint64_t
trn_lost_end (const trn_lost_t *self, uint64_t from, uint64_t to)
{
    assert (self && from <= to);
    return from < self->seq && self->seq <= to ? self->seq - 1 : to;
}

void
trn_lost_settle (trn_lost_t *self, uint64_t from, uint64_t to, bool heard)
{
    assert (self && from <= to);
    if (self->seq && from <= self->seq && self->seq <= to) {
        self->told = heard ? self->telling : self->told;
        self->seq = 0;
    }
}

void
trn_lost_heard (trn_lost_t *self, uint64_t told)
{
    assert (self);
    told = told < self->durable ? told : self->durable;
    self->told = told > self->told ? told : self->told;
    //  A store that was put back tells again what it had told before.
    if (self->told >= self->telling) {
        self->seq = 0;
    }
}

void
trn_lost_saving (trn_lost_t *self)
{
    assert (self);
    self->saving = self->total;
}

void
trn_lost_saved (trn_lost_t *self)
{
    assert (self);
    self->durable = self->saving;
}
