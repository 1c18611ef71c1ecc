//  core/list.c - pointers in order
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/list.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
trn_list_clear (trn_list_t *self)
{
    assert (self);
    free (self->at);
    *self = (trn_list_t) {0};
}

void
trn_list_add (trn_list_t *self, void *item)
{
    assert (self && item);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 4;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    self->at[self->count++] = item;
}

bool
trn_list_remove (trn_list_t *self, const void *item)
{
    assert (self);
    for (size_t index = 0; index < self->count; index++) {
        if (self->at[index] == item) {
            self->count--;
            memmove (self->at + index, self->at + index + 1,
                     (self->count - index) * sizeof *self->at);
            return true;
        }
    }
    return false;
}
