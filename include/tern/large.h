//  tern/large.h - messages whose body is larger than 1 MiB, up to 1 GiB
//
//  A large message goes through its queue or exchange as any other: it waits,
//  expires, is delivered, requeued, dead-lettered and settled under the same
//  rules.  What travels so is small; the body stays on the publisher's disk
//  until the message is settled in every queue that it went to, and of a dead
//  letter until that is settled.  Whoever has the message fetches the body, in
//  pieces of any size and in any order, from the publisher's process, or from
//  the one that drains its store.
//
//      tern_large_send (...)         publish, from whatever can be read
//      tern_large_size (msg)         is it large?  then:
//      tern_large_fetch (...)        a piece of its body, or
//      tern_large_fetch_file (...)   all of it, into a file
//
//  Memory is a few parts (TERN_LARGE_PART) on both sides, whatever the size.
//  Every part is checked against the sum that the publisher made when it read
//  it.  Fetch before you accept: what is settled is gone.
//
//  Threads: any, except that a message belongs to one at a time.
//  Guide: docs/LARGE.md.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_LARGE_H
#define TERN_LARGE_H

#include <tern/message.h>
#include <tern/peer.h>
#include <tern/producer.h>

TERN_BEGIN_DECLS

//  The largest body, in bytes.
#define TERN_LARGE_MAX (1024 * 1024 * 1024)

//  What is fetched and checked at a time.  Pieces that begin and end at its
//  multiples cost nothing twice.
#define TERN_LARGE_PART (256 * 1024)

//  Put up to size bytes of the body into buffer.  Returns how many, at least
//  one; 0 at its end; or a negative TERN_E... to give up, which is what the
//  call that reads then returns.
typedef int64_t
tern_large_read_fn (void *arg, void *buffer, size_t size);

//  Publish a message with the body that read gives.  msg (may be NULL) has its
//  key, headers and how it shall be delivered, and no body of its own; it is
//  borrowed.  A body up to TERN_BODY_MAX goes as an ordinary message.  Returns
//  0 and *seq_p (may be NULL) when all of the body is on the disk; the message
//  itself is waited for as any other, tern_producer_wait ().  timeout_ms is for
//  room in the outbox, and not for reading.  Or, having stored nothing:
//      TERN_ETOOBIG    over TERN_LARGE_MAX, or as tern_producer_send_msg ()
//      TERN_EFULL      the disk, or bodies wait that take limit_bytes and
//                      at_limit is refuse
//      TERN_EINVAL     msg was received, or has a body
//  or what read said, or as tern_producer_send_msg ().  A process that ends in
//  the middle has sent nothing, and begins again with the first byte; what it
//  left on the disk goes when the peer is opened next.
//
//  limit_bytes also holds for the bodies of the outbox: beyond it no further
//  one is begun.  With at_limit=drop_oldest they do not count.
TERN_EXPORT TERN_MUST_CHECK int
tern_large_send (tern_producer_t *self, const tern_msg_t *msg,
                 tern_large_read_fn *read, void *arg, int timeout_ms,
                 uint64_t *seq_p);

//  The same from a descriptor, as far as it goes.  An error of it is TERN_EIO.
TERN_EXPORT TERN_MUST_CHECK int
tern_large_send_fd (tern_producer_t *self, const tern_msg_t *msg, int fd,
                    int timeout_ms, uint64_t *seq_p);

//  Size of the body of a received large message; 0 if it is not large.  To
//  tern_msg_body () a large message is one without a body.
TERN_EXPORT uint64_t
tern_large_size (const tern_msg_t *msg);

//  Up to size bytes of the body from offset on, fewer at its end: *got_p.  peer
//  is that of the consumer.  Waits up to timeout_ms (-1: no limit) for a
//  publisher that is away and may come back.  What the publisher does not give
//  is not there, and buffer holds nothing of use then.  Returns 0, or
//      TERN_ETIMEOUT   not all of it came in time
//      TERN_ENOROUTE   ... and in all that time its publisher was away
//      TERN_ENOENT     the publisher has it no more: the message was settled
//      TERN_ECORRUPT   a part is not what was sent: damaged on its disk
//      TERN_EIO        the publisher cannot read it
//      TERN_EINVAL     not large; offset is behind its end; timeout_ms 0
//      TERN_EAGAIN     too much is being fetched from this publisher
//      TERN_ETOOBIG    this peer fetches from 256 publishers already
TERN_EXPORT TERN_MUST_CHECK int
tern_large_fetch (tern_peer_t *peer, const tern_msg_t *msg, uint64_t offset,
                  void *buffer, size_t size, size_t *got_p, int timeout_ms);

//  All of it into a file that is open for reading and writing.  Parts that the
//  file holds already from its beginning on are read, checked and not fetched:
//  so whoever comes back after a crash, or after any failure here, with the same
//  message and file goes on where it was.  What is longer is cut.  Returns 0
//  when all of it is on the disk, or as tern_large_fetch (), or
//      TERN_EFULL      no space for it
//      TERN_EIO        the file failed
TERN_EXPORT TERN_MUST_CHECK int
tern_large_fetch_file (tern_peer_t *peer, const tern_msg_t *msg, int fd,
                       int timeout_ms);

TERN_END_DECLS

#endif
