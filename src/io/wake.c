//  io/wake.c - waking one sleeping thread, at no cost while it is awake
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/wake.h"

#include <tern/error.h>

#include <assert.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int
trn_wake_open (trn_wake_t *self)
{
    assert (self);
    atomic_init (&self->sleeping, false);
    self->fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    return self->fd < 0 ? TERN_ENOMEM : TERN_OK;
}

void
trn_wake_close (trn_wake_t *self)
{
    assert (self);
    if (self->fd >= 0) {
        close (self->fd);
        self->fd = -1;
    }
}

void
trn_wake_announce (trn_wake_t *self)
{
    atomic_store (&self->sleeping, true);
}

void
trn_wake_cancel (trn_wake_t *self)
{
    atomic_store (&self->sleeping, false);
}

void
trn_wake_clear (trn_wake_t *self)
{
    uint64_t count;
    atomic_store (&self->sleeping, false);
    const ssize_t got = read (self->fd, &count, sizeof count);
    (void) got;  //  EAGAIN: nobody had woken us
}

void
trn_wake_up (trn_wake_t *self)
{
    //  The caller's work was published before this load, so a sleeper that
    //  announces itself after it will find the work.
    if (atomic_load (&self->sleeping)
        && atomic_exchange (&self->sleeping, false)) {
        const uint64_t one = 1;
        const ssize_t put = write (self->fd, &one, sizeof one);
        (void) put;  //  EAGAIN: readable already
    }
}
