//  io/poller.h - waiting for ZeroMQ sockets and descriptors at once
//
//  ZMQ_FD is edge-triggered: it tells that a socket's state may have changed,
//  and any send or receive on the socket may swallow that news.  The poller
//  hides it: an item that was touched is looked at again before sleeping, all
//  others cost nothing.  With a thousand idle sockets, waiting still costs what
//  the busy ones do.
//
//  Thread: one at a time, the one that has the sockets.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_POLLER_H
#define TRN_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct trn_poller trn_poller_t;
typedef struct trn_poll_item trn_poll_item_t;

//  Embedded in its owner, zeroed before the first add.
struct trn_poll_item {
    void *socket;  //  ZeroMQ socket, or NULL for a plain descriptor
    int fd;        //  the descriptor (filled in for a socket)
    int kind;      //  the owner's, to tell items apart
    void *owner;
    bool want_out;  //  report writability too
    //  The poller's own:
    bool touched;
    bool ready_in, ready_out;
    trn_poll_item_t *next;
};

//  NULL when descriptors are used up.
trn_poller_t *
trn_poller_new (void);

void
trn_poller_destroy (trn_poller_t **self_p);

//  Watch an item, which must stay where it is until removed.  0, TERN_ENOMEM.
int
trn_poller_add (trn_poller_t *self, trn_poll_item_t *item);

//  Also while walking trn_poller_next (): the item will not be reported.
void
trn_poller_remove (trn_poller_t *self, trn_poll_item_t *item);

//  Somebody else watches the item's descriptor for a while: do not wake for it.
//  Any thread; listening again reports what has come meanwhile.
void
trn_poller_mute (const trn_poller_t *self, trn_poll_item_t *item);

void
trn_poller_unmute (const trn_poller_t *self, trn_poll_item_t *item);

//  The owner sent or received on the item's socket, or set want_out.
void
trn_poller_touch (trn_poller_t *self, trn_poll_item_t *item);

//  Is there anything to look at without sleeping?
bool
trn_poller_busy (const trn_poller_t *self);

//  Sleep until anything may be ready, timeout_ms at most (-1: no limit).  Looks
//  at no item, so another thread may use the poller meanwhile.
void
trn_poller_sleep (const trn_poller_t *self, int timeout_ms);

//  Wait up to timeout_ms (-1: no limit), then walk what is ready by next ().
void
trn_poller_wait (trn_poller_t *self, int timeout_ms);

//  Is one of the touched sockets ready?  It stays touched; the others had their
//  look.
bool
trn_poller_pending (trn_poller_t *self);

//  Next item: a socket with ready_in or ready_out set, or a plain descriptor
//  that was readable.  NULL at the end.
trn_poll_item_t *
trn_poller_next (trn_poller_t *self);

#endif
