//  core/idlist.h - a list of numbers, ascending or not
//
//  Zeroed, it is empty.  Thread: the owner's.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_IDLIST_H
#define TRN_IDLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t *at;  //  owned: free () it
    size_t count, capacity;
} trn_idlist_t;

//  Room for so many more.
void
trn_idlist_reserve (trn_idlist_t *self, size_t more);

//  Here, because matching a topic does little else.
static inline void
trn_idlist_append (trn_idlist_t *self, uint32_t number)
{
    if (self->count == self->capacity) {
        trn_idlist_reserve (self, 1);
    }
    self->at[self->count++] = number;
}

void
trn_idlist_append_all (trn_idlist_t *self, const trn_idlist_t *other);

//  Make it ascend, each once.
void
trn_idlist_sort (trn_idlist_t *self);

//  Into an ascending list, once.
void
trn_idlist_add (trn_idlist_t *self, uint32_t number);

//  Out of an ascending list.  Was it there?
bool
trn_idlist_remove (trn_idlist_t *self, uint32_t number);

//  Out of a list that does not ascend.
void
trn_idlist_pick (trn_idlist_t *self, uint32_t number);

#endif
