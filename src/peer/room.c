//  peer/room.c - a descriptor that tells whether there is room to send
//
//  Knows: that asking costs nothing while there is room.  The descriptor is
//  readable until a send finds no room; from then on the disk threads and the
//  actor look whether there is some for what was refused.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/peer.h"

#include <assert.h>
#include <sys/eventfd.h>
#include <unistd.h>

//  Lock held.
static void
s_set (trn_box_t *box)
{
    const uint64_t one = 1;
    const ssize_t put = write (box->room_fd, &one, sizeof one);
    (void) put;
    atomic_store (&box->room_wanted, false);
}

int
trn_room_fd (trn_box_t *box)
{
    assert (box);
    pthread_mutex_lock (&box->ruling);
    if (box->room_fd < 0) {
        box->room_fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (box->room_fd >= 0) {
            s_set (box);
        }
    }
    const int fd = box->room_fd;
    pthread_mutex_unlock (&box->ruling);
    return fd;
}

void
trn_room_look (trn_box_t *box)
{
    assert (box);
    if (!atomic_load (&box->room_wanted)) {
        return;
    }
    pthread_mutex_lock (&box->ruling);
    if (atomic_load (&box->room_wanted)) {
        //  Asked for before looking: what comes between is told.
        trn_outbox_want_room (box->outbox);
        if (trn_log_room (trn_outbox_log (box->outbox), box->room_size)
            && trn_crowd_has_room (box, box->room_ruled)) {
            s_set (box);
        }
    }
    pthread_mutex_unlock (&box->ruling);
}

void
trn_room_refused (trn_box_t *box, uint32_t size, uint32_t ruled)
{
    assert (box);
    pthread_mutex_lock (&box->ruling);
    const bool used = box->room_fd >= 0;
    const bool wanted = used && atomic_load (&box->room_wanted);
    if (used) {
        uint64_t count;
        const ssize_t got = read (box->room_fd, &count, sizeof count);
        (void) got;
        //  Of several the one that wants least: it could be sent.
        box->room_size
            = wanted && box->room_size < size ? box->room_size : size;
        box->room_ruled
            = wanted && box->room_ruled < ruled ? box->room_ruled : ruled;
        atomic_store (&box->room_wanted, true);
    }
    pthread_mutex_unlock (&box->ruling);
    if (used) {
        trn_room_look (box);
    }
}
