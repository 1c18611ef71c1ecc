//  core/actions.c - what the engine wants done, in order
//
//  The shell drains it again and again, so it is a list that starts over when
//  it is empty; its memory is that of the largest batch ever.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/actions.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

void
trn_actions_clear (trn_actions_t *self, const trn_run_source_t *source)
{
    assert (self && source);
    const trn_action_t *action;
    while ((action = trn_actions_next (self))) {
        if (action->type == TRN_DO_SEND_RUN) {
            source->release (source->arg, action->run.handle);
        }
    }
    free (self->at);
    *self = (trn_actions_t) {0};
}

trn_action_t *
trn_actions_add (trn_actions_t *self, trn_action_type_t type)
{
    assert (self);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 8;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    trn_action_t *action = &self->at[self->count++];
    *action = (trn_action_t) {.type = type};
    return action;
}

const trn_action_t *
trn_actions_next (trn_actions_t *self)
{
    assert (self);
    if (self->head == self->count) {
        self->head = self->count = 0;
        return NULL;
    }
    return &self->at[self->head++];
}
