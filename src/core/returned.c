//  core/returned.c - messages that came back and wait for their time
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/returned.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

void
trn_returned_clear (trn_returned_t *self)
{
    assert (self);
    free (self->at);
    *self = (trn_returned_t) {0};
}

int64_t
trn_returned_deadline (const trn_returned_t *self)
{
    return self->count ? self->at[0].due_ms : INT64_MAX;
}

static bool
s_before (const trn_return_t *one, const trn_return_t *other)
{
    return one->due_ms < other->due_ms
           || (one->due_ms == other->due_ms && one->from < other->from);
}

void
trn_returned_add (trn_returned_t *self, const trn_return_t *entry)
{
    assert (self && entry && entry->from <= entry->to);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    size_t index = self->count++;
    while (index && s_before (entry, &self->at[(index - 1) / 2])) {
        self->at[index] = self->at[(index - 1) / 2];
        index = (index - 1) / 2;
    }
    self->at[index] = *entry;
}

//  Put entry where the first one was.
static void
s_sift_down (trn_returned_t *self, const trn_return_t *entry)
{
    size_t index = 0;
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= self->count) {
            break;
        }
        if (child + 1 < self->count
            && s_before (&self->at[child + 1], &self->at[child])) {
            child++;
        }
        if (!s_before (&self->at[child], entry)) {
            break;
        }
        self->at[index] = self->at[child];
        index = child;
    }
    self->at[index] = *entry;
}

bool
trn_returned_take (trn_returned_t *self, int64_t now_ms, trn_return_t *taken)
{
    assert (self && taken);
    if (trn_returned_deadline (self) > now_ms || !self->count) {
        return false;
    }
    *taken = self->at[0];
    const trn_return_t last = self->at[--self->count];
    if (self->count) {
        s_sift_down (self, &last);
    }
    return true;
}
