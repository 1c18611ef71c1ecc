//  io/poller.c - waiting for ZeroMQ sockets and descriptors at once
//
//  Knows: epoll, and that ZMQ_FD is edge-triggered.  Invariant: an item whose
//  socket may have something for its owner, while its ZMQ_FD is silent, is on
//  the touched list.
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/poller.h"

#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <zmq.h>

#define EVENTS_MAX 64

struct trn_poller {
    int fd;
    trn_poll_item_t *touched;  //  to be looked at before the next sleep
    trn_poll_item_t *walk;     //  being handed out by next ()
};

trn_poller_t *
trn_poller_new (void)
{
    const int fd = epoll_create1 (EPOLL_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    trn_poller_t *self = trn_alloc (sizeof *self);
    self->fd = fd;
    return self;
}

void
trn_poller_destroy (trn_poller_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        close ((*self_p)->fd);
        free (*self_p);
        *self_p = NULL;
    }
}

int
trn_poller_add (trn_poller_t *self, trn_poll_item_t *item)
{
    assert (self && item);
    if (item->socket) {
        size_t size = sizeof item->fd;
        if (zmq_getsockopt (item->socket, ZMQ_FD, &item->fd, &size) != 0) {
            return TERN_ENOMEM;
        }
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = item};
    if (epoll_ctl (self->fd, EPOLL_CTL_ADD, item->fd, &event) != 0) {
        return TERN_ENOMEM;
    }
    item->touched = false;
    trn_poller_touch (self, item);
    return TERN_OK;
}

static void
s_unlink (trn_poll_item_t **list, const trn_poll_item_t *item)
{
    while (*list && *list != item) {
        list = &(*list)->next;
    }
    if (*list) {
        *list = item->next;
    }
}

void
trn_poller_remove (trn_poller_t *self, trn_poll_item_t *item)
{
    assert (self && item);
    epoll_ctl (self->fd, EPOLL_CTL_DEL, item->fd, NULL);
    s_unlink (&self->touched, item);
    s_unlink (&self->walk, item);
    item->touched = false;
}

static void
s_listen (const trn_poller_t *self, trn_poll_item_t *item, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = item};
    const int rc = epoll_ctl (self->fd, EPOLL_CTL_MOD, item->fd, &event);
    assert (rc == 0);  //  it was added
    (void) rc;
}

void
trn_poller_mute (const trn_poller_t *self, trn_poll_item_t *item)
{
    assert (self && item);
    s_listen (self, item, 0);
}

void
trn_poller_unmute (const trn_poller_t *self, trn_poll_item_t *item)
{
    assert (self && item);
    s_listen (self, item, EPOLLIN);
}

void
trn_poller_touch (trn_poller_t *self, trn_poll_item_t *item)
{
    assert (self && item);
    if (!item->touched) {
        item->touched = true;
        item->next = self->touched;
        self->touched = item;
    }
}

bool
trn_poller_busy (const trn_poller_t *self)
{
    return self->touched != NULL;
}

void
trn_poller_sleep (const trn_poller_t *self, int timeout_ms)
{
    assert (self);
    //  Level-triggered: what is seen here is seen again by wait ().
    struct epoll_event event;
    const int count = epoll_wait (self->fd, &event, 1, timeout_ms);
    (void) count;
}

void
trn_poller_wait (trn_poller_t *self, int timeout_ms)
{
    assert (self);
    //  What a walk that ended early left behind is still to be looked at.
    while (self->walk) {
        trn_poll_item_t *item = self->walk;
        self->walk = item->next;
        item->next = self->touched;
        self->touched = item;
    }
    struct epoll_event events[EVENTS_MAX];
    const int count = epoll_wait (self->fd, events, EVENTS_MAX,
                                  self->touched ? 0 : timeout_ms);
    for (int index = 0; index < count; index++) {
        trn_poll_item_t *item = events[index].data.ptr;
        trn_poller_touch (self, item);
        if (!item->socket) {
            item->ready_in = true;
        }
    }
    self->walk = self->touched;
    self->touched = NULL;
}

//  Ask the socket itself what it is ready for.
static void
s_look (trn_poller_t *self, trn_poll_item_t *item)
{
    int events = 0;
    size_t size = sizeof events;
    if (zmq_getsockopt (item->socket, ZMQ_EVENTS, &events, &size) != 0) {
        events = 0;
        if (zmq_errno () == EINTR) {
            trn_poller_touch (self, item);
        }
    }
    item->ready_in = (events & ZMQ_POLLIN) != 0;
    item->ready_out = item->want_out && (events & ZMQ_POLLOUT) != 0;
}

bool
trn_poller_pending (trn_poller_t *self)
{
    assert (self);
    trn_poll_item_t *item = self->touched;
    self->touched = NULL;
    bool pending = false;
    while (item) {
        trn_poll_item_t *next = item->next;
        item->touched = false;
        if (item->socket) {
            s_look (self, item);
        }
        if (!item->socket || item->ready_in || item->ready_out) {
            trn_poller_touch (self, item);
            pending = true;
        }
        item = next;
    }
    return pending;
}

trn_poll_item_t *
trn_poller_next (trn_poller_t *self)
{
    assert (self);
    while (self->walk) {
        trn_poll_item_t *item = self->walk;
        self->walk = item->next;
        item->touched = false;
        if (!item->socket) {
            //  Set by wait (); taken back for the next round by the owner's
            //  reading it, since epoll is level-triggered here.
            if (item->ready_in) {
                item->ready_in = false;
                return item;
            }
            continue;
        }
        s_look (self, item);
        if (item->ready_in || item->ready_out) {
            return item;
        }
    }
    return NULL;
}
