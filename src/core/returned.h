//  core/returned.h - messages that came back and wait for their time
//
//  Ranges, the earliest due first.  What is settled meanwhile stays in here
//  until it is due; the subscription knows better then.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_RETURNED_H
#define TRN_RETURNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t due_ms;
    uint64_t from, to;
} trn_return_t;

//  A zeroed trn_returned_t is empty.
typedef struct {
    trn_return_t *at;  //  a heap
    size_t count, capacity;
} trn_returned_t;

void
trn_returned_clear (trn_returned_t *self);

void
trn_returned_add (trn_returned_t *self, const trn_return_t *entry);

//  Take out the next one that is due by now: false if none is.
bool
trn_returned_take (trn_returned_t *self, int64_t now_ms, trn_return_t *taken);

//  When the next one becomes due, INT64_MAX if none waits.
int64_t
trn_returned_deadline (const trn_returned_t *self);

#endif
