//  tern/consumer.h - consuming a queue
//
//  Messages of all publishers of the queue come in; each must be settled:
//
//      accept      done: it leaves the publisher's outbox
//      requeue     not done: it comes again, here or elsewhere, after a pause
//      reject      nobody can do it: the publisher sets it aside
//
//  What is not settled when a consumer closes, or its process dies, goes to
//  another consumer at once, flagged redelivered.  Delivery is at least once:
//  a message that was settled here does not come here again while this peer
//  lives, but a crash between the work and its settlement repeats the work.
//
//  An inbox is a copy on this peer's own disk.  What comes is written to a log in
//  its store, synced in groups, and its publisher is told that it is STORED.  The
//  application gets it from there, also in a later life of this peer, also if the
//  publisher is gone for good; what it may have seen before is flagged.  While
//  both logs live each message comes once.  Settled as above, with the publisher
//  keeping its copy until the message is accepted; or early: accepted towards the
//  publisher when it is synced.  Then PROCESSED means there that this peer has
//  taken the message over.  Requeue, count, and dead letters are this store's, by
//  the policy that its configuration has for the queue, and an ordering key
//  orders only what this peer has taken.  A full inbox (limit_messages,
//  limit_bytes, the disk) takes no more: messages stay with their publishers.
//
//  Threads: recv and the settling of what it lent belong to one thread at a
//  time.  Messages kept by tern_msg_dup () may be settled by any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_CONSUMER_H
#define TERN_CONSUMER_H

#include <tern/message.h>
#include <tern/peer.h>

TERN_BEGIN_DECLS

typedef struct tern_consumer tern_consumer_t;

typedef struct {
    uint32_t prefetch;        //  messages held unsettled; 0: 16384; 1 and more
    uint32_t prefetch_bytes;  //  and their bytes, about; 0: 8 MiB
    bool inbox;         //  keep what comes in this peer's store, see above
    bool settle_early;  //  with inbox: accept it as soon as it is synced there
} tern_consumer_options_t;

//  Consume a queue.  options may be NULL.
//  Returns 0 and sets *self_p: the caller owns it.  On failure *self_p is NULL:
//      TERN_ENAME      not a queue name; an inbox for a private queue
//      TERN_EINVAL     settle_early without inbox, or unlike another consumer of
//                      the queue in this peer
//      TERN_ETOOBIG    this peer consumes 256 queues already
//      TERN_ECORRUPT, TERN_EVERSION, TERN_EIO, TERN_EFULL
//                      the inbox, as tern_peer_open ()
TERN_EXPORT TERN_MUST_CHECK int
tern_consumer_open (tern_consumer_t **self_p, tern_peer_t *peer,
                    const char *queue, const tern_consumer_options_t *options);

//  Gives back what is not settled (an inbox keeps its copy); returns when
//  settlements made before are on their way.  Kept messages must be destroyed
//  before.  Sets *self_p to NULL; NULL is allowed.
TERN_EXPORT void
tern_consumer_close (tern_consumer_t **self_p);

//  Next message, or NULL after timeout_ms (0: poll, -1: wait).  Borrowed until
//  the next call of this function: settle it, or keep it with tern_msg_dup ().
TERN_EXPORT tern_msg_t *
tern_consumer_recv (tern_consumer_t *self, int timeout_ms);

//  Settle one message, lent or kept.  Returns 0, or
//      TERN_ENOENT     it is settled already, or was given back meanwhile
TERN_EXPORT int
tern_consumer_accept (tern_consumer_t *self, const tern_msg_t *msg);

TERN_EXPORT int
tern_consumer_requeue (tern_consumer_t *self, const tern_msg_t *msg);

TERN_EXPORT int
tern_consumer_reject (tern_consumer_t *self, const tern_msg_t *msg);

//  Wait until the publishers that are connected have been sent every
//  settlement made so far.  0 or TERN_ETIMEOUT.
TERN_EXPORT TERN_MUST_CHECK int
tern_consumer_flush (tern_consumer_t *self, int timeout_ms);

//  Take no more messages for a while: publishers give them to others.  What was
//  received and not handed out goes back at once, or, of the run that recv is
//  at, with the next call of it; it does not count as a delivery.  What the
//  application holds stays with it.  While paused, recv finds nothing.
TERN_EXPORT void
tern_consumer_pause (tern_consumer_t *self);

TERN_EXPORT void
tern_consumer_resume (tern_consumer_t *self);

//  Readable, level-triggered, while a message waits.  Do not read or close it.
TERN_EXPORT int
tern_consumer_fd (const tern_consumer_t *self);

TERN_END_DECLS

#endif
