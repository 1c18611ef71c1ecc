//  core/list.h - pointers in order
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LIST_H
#define TRN_LIST_H

#include <stdbool.h>
#include <stddef.h>

//  A zeroed trn_list_t is empty.
typedef struct {
    void **at;
    size_t count, capacity;
} trn_list_t;

//  Releases the list's own memory, not what it points to.
void
trn_list_clear (trn_list_t *self);

void
trn_list_add (trn_list_t *self, void *item);

//  Keeps the order of the others.  Returns false if it was not there.
bool
trn_list_remove (trn_list_t *self, const void *item);

#endif
