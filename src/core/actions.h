//  core/actions.h - what the engine wants done, in order
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ACTIONS_H
#define TRN_ACTIONS_H

#include "core/engine.h"

#include <stddef.h>

//  A zeroed trn_actions_t is empty.
typedef struct {
    trn_action_t *at;  //  waiting from head on
    size_t head, count, capacity;
} trn_actions_t;

//  Gives back the runs that were never fetched, and the memory.
void
trn_actions_clear (trn_actions_t *self, const trn_run_source_t *source);

//  A new action at the end, all else zero; valid until the next add.
trn_action_t *
trn_actions_add (trn_actions_t *self, trn_action_type_t type);

//  The next one, or NULL; valid until the next add.
const trn_action_t *
trn_actions_next (trn_actions_t *self);

#endif
