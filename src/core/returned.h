//  core/returned.h - messages that came back and wait to be delivered again
//
//  Two parts: those that are due, in the order of their seqs, and those that
//  wait, by the time when they become due.  What came back is kept as ranges
//  that share their number of deliveries, so a thousand messages of a consumer
//  that died are a few entries.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_RETURNED_H
#define TRN_RETURNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t from, to;
    int64_t due_ms;       //  0: was due from the start
    uint32_t deliveries;  //  so far
    bool redelivered;     //  the next delivery says so
} trn_return_t;

//  A zeroed trn_returned_t is empty.
typedef struct {
    trn_return_t *due;  //  sorted by from, disjoint; live from head on
    size_t due_head, due_count, due_capacity;
    trn_return_t *later;  //  a heap, the earliest due first
    size_t later_count, later_capacity;
    uint64_t messages;  //  in both
    uint64_t due_messages;
    bool sorted;  //  false: due was added to in bulk
} trn_returned_t;

void
trn_returned_clear (trn_returned_t *self);

//  Take in from..to.  It is in neither part yet.  due_ms 0: due now.
void
trn_returned_add (trn_returned_t *self, const trn_return_t *entry);

//  Move what has become due.  Returns true if there is something to deliver.
bool
trn_returned_ripen (trn_returned_t *self, int64_t now_ms);

//  The first entry that is due, or NULL.  Borrowed until the next change.
const trn_return_t *
trn_returned_first (trn_returned_t *self);

//  The first count messages of the first entry are delivered now.
void
trn_returned_shift (trn_returned_t *self, uint64_t count);

//  Take one piece of from..to out, wherever it is: false if there is none.
//  Call again until it says so.
bool
trn_returned_take (trn_returned_t *self, uint64_t from, uint64_t to,
                   trn_return_t *taken);

//  When the next one becomes due, INT64_MAX if none waits.
int64_t
trn_returned_deadline (const trn_returned_t *self);

//  Entries held, for bounding.
size_t
trn_returned_entries (const trn_returned_t *self);

#endif
