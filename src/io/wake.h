//  io/wake.h - waking one sleeping thread, at no cost while it is awake
//
//  The sleeper announces that it is about to sleep, looks once more for work,
//  and polls the descriptor.  Others make work visible first and then call
//  trn_wake_up (), which is one load while the sleeper is awake.
//
//      sleeper                          others
//      trn_wake_announce ()             publish work
//      if (work) trn_wake_cancel ()     trn_wake_up ()
//      else poll (fd)
//      trn_wake_clear ()
//
//  Both sides use sequentially consistent order, so either the sleeper sees the
//  work or the other sees the announcement.  Work must therefore be published by
//  a sequentially consistent store, or be looked for under a mutex that the
//  other holds while it calls.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_WAKE_H
#define TRN_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct {
    int fd;                //  eventfd, readable after a wake-up
    atomic_bool sleeping;  //  the sleeper is in poll, or about to be
} trn_wake_t;

//  0 or TERN_ENOMEM (no descriptor left).
int
trn_wake_open (trn_wake_t *self);

void
trn_wake_close (trn_wake_t *self);

void
trn_wake_announce (trn_wake_t *self);

void
trn_wake_cancel (trn_wake_t *self);

//  Take the wake-up back, so that the descriptor is not readable.
void
trn_wake_clear (trn_wake_t *self);

//  Any thread.
void
trn_wake_up (trn_wake_t *self);

#endif
