//  core/numbers.h - a list of numbers, ascending or not
//
//  Zeroed, it is empty.  Thread: the owner's.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_NUMBERS_H
#define TRN_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t *at;  //  owned: free () it
    size_t count, capacity;
} trn_numbers_t;

//  Room for so many more.
void
trn_numbers_reserve (trn_numbers_t *self, size_t more);

//  Here, because matching a topic does little else.
static inline void
trn_numbers_append (trn_numbers_t *self, uint32_t number)
{
    if (self->count == self->capacity) {
        trn_numbers_reserve (self, 1);
    }
    self->at[self->count++] = number;
}

void
trn_numbers_append_all (trn_numbers_t *self, const trn_numbers_t *other);

//  Make it ascend, each once.
void
trn_numbers_sort (trn_numbers_t *self);

//  Into an ascending list, once.
void
trn_numbers_add (trn_numbers_t *self, uint32_t number);

//  Out of an ascending list.  Was it there?
bool
trn_numbers_remove (trn_numbers_t *self, uint32_t number);

//  Out of a list that does not ascend.
void
trn_numbers_pick (trn_numbers_t *self, uint32_t number);

#endif
