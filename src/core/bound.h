//  core/bound.h - the registry's bindings, and who waits for them to be saved
//
//  The table itself is core/bindings.c.  Here is what a node adds to it: a
//  verdict for who asks it to take one, and the promise that the answer leaves
//  only when the binding is as durable as this node keeps anything.
//
//      asked -> table changed -> SAVE -> saved -> TAKEN
//
//  Thread: the registry's.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_BOUND_H
#define TRN_BOUND_H

#include "core/binding.h"
#include "wire/dirframe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Answers that wait for the disk.  Beyond that the oldest is left out; whoever
//  misses it asks again.
#define TRN_BOUND_WAITING 256

typedef struct {
    uint64_t route;
    uint64_t nonce;
    uint64_t save;  //  leaves when this save is done
    uint32_t count;
    uint8_t verdicts[TRN_DIR_ASK_MAX];
} trn_bound_answer_t;

typedef struct {
    trn_bindings_t *table;
    bool durable;  //  the shell saves
    bool changed;  //  since the last save began
    bool saving;
    uint64_t saves;          //  begun
    int64_t next_save_ms;    //  not before
    trn_bound_answer_t *at;  //  a ring, in the order of saves
    size_t first, count;
} trn_bound_t;

void
trn_bound_init (trn_bound_t *self, size_t bindings_max, size_t bytes_max,
                bool durable);

void
trn_bound_clear (trn_bound_t *self);

//  Take what a BINDINGS frame says.  If it asks (nonce), answer is filled with
//  a verdict for each.  Returns how many were refused; *news_p: has the table
//  changed?
uint32_t
trn_bound_take (trn_bound_t *self, const trn_dirframe_t *frame,
                trn_bound_answer_t *answer, bool *news_p);

//  The answer waits for what was taken until now to be saved.  False: nothing
//  is to be waited for.
bool
trn_bound_wait (trn_bound_t *self, const trn_bound_answer_t *answer);

//  Is a save due?  Then it begins now.
bool
trn_bound_begin_save (trn_bound_t *self, int64_t now_ms);

//  It is done.  Not good: it is tried again after a while.
void
trn_bound_end_save (trn_bound_t *self, bool good, int64_t now_ms);

//  Next answer that may leave, or NULL.  Borrowed until the next call.
const trn_bound_answer_t *
trn_bound_next_answer (trn_bound_t *self);

//  When a save is due; INT64_MAX if none.
int64_t
trn_bound_deadline (const trn_bound_t *self);

#endif
