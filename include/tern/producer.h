//  tern/producer.h - publishing to a queue
//
//  A message accepted by tern_producer_send () has a seq and lies in this
//  peer's outbox.  How far it has come is a level; levels only rise:
//
//      written     in the file: survives kill -9
//      synced      on the disk: survives power loss
//      processed   accepted by a consumer (and everything before it settled)
//
//  Sending is pipelined: send many, then wait for the last seq once.
//
//  Threads: a producer may be used by any number of threads.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_PRODUCER_H
#define TERN_PRODUCER_H

#include <tern/message.h>
#include <tern/peer.h>

TERN_BEGIN_DECLS

typedef struct tern_producer tern_producer_t;

typedef enum {
    TERN_WRITTEN = 1,
    TERN_SYNCED = 2,
    TERN_STORED = 3,  //  on the consumer's disk too; not offered yet
    TERN_PROCESSED = 4
} tern_level_t;

//  Open this peer's outbox for a queue, creating it if need be.  Producers of
//  one queue in one peer share the outbox.
//  Returns 0 and sets *self_p: the caller owns it.  On failure *self_p is NULL
//  and why (may be NULL) holds one line:
//      TERN_ENAME      not a queue name
//      TERN_ECORRUPT, TERN_EVERSION, TERN_EIO, TERN_EFULL, TERN_EACCESS
//                      as tern_peer_open ()
//      TERN_ETOOBIG    the peer has 4,096 outboxes already
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_open (tern_producer_t **self_p, tern_peer_t *peer,
                    const char *queue, char *why, size_t why_size);

//  Nothing is waited for: what was sent goes on.  Sets *self_p to NULL.
TERN_EXPORT void
tern_producer_close (tern_producer_t **self_p);

//  Publish a body (copied).  Blocks while the outbox is at its limit or the
//  disk is behind, up to timeout_ms (0: not at all, -1: as long as it takes).
//  Returns 0 and *seq_p (may be NULL), or, having stored nothing:
//      TERN_ETOOBIG    size over TERN_BODY_MAX
//      TERN_ETIMEOUT   no room came in time (TERN_EAGAIN if timeout_ms is 0)
//      TERN_EFULL      the outbox limit with at_limit=refuse, or the disk
//      TERN_EIO        the log has failed; reopen the peer to recover
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_send (tern_producer_t *self, const void *body, size_t size,
                    int timeout_ms, uint64_t *seq_p);

//  The same with routing key and headers.  msg is borrowed.
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_send_msg (tern_producer_t *self, const tern_msg_t *msg,
                        int timeout_ms, uint64_t *seq_p);

//  Wait until the message and all before it have reached the level.
//  Returns 0, or
//      TERN_ETIMEOUT   not yet; it goes on, so wait again or leave it
//      TERN_EIO        the log failed: whether seq survives is unknown until
//                      the peer is opened again
//      TERN_EINVAL     seq was never given out here
//      TERN_ENOTSUP    TERN_STORED
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_wait (tern_producer_t *self, uint64_t seq, tern_level_t level,
                    int timeout_ms);

//  The last seq that has reached the level together with all before it.
//  Never blocks.
TERN_EXPORT uint64_t
tern_producer_reached (tern_producer_t *self, tern_level_t level);

//  The last seq given out, 0 if none ever.
TERN_EXPORT uint64_t
tern_producer_last (tern_producer_t *self);

TERN_END_DECLS

#endif
