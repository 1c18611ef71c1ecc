//  tern/producer.h - publishing to a queue, or to an exchange
//
//  A message accepted by tern_producer_send () has a seq and lies in this
//  peer's outbox.  How far it has come is a level; levels only rise:
//
//      written     in the file: survives kill -9
//      synced      on the disk: survives power loss
//      stored      on the disk of a consumer that keeps an inbox, too (and so
//                  is everything before it, or settled): survives the loss of
//                  this one.  A report: it does not release the message.  Of an
//                  exchange: a consumer of each queue that gets it
//      processed   accepted by a consumer (and everything before it settled)
//
//  Sending is pipelined: send many, then wait for the last seq once.
//
//  Threads: a producer may be used by any number of threads.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_PRODUCER_H
#define TERN_PRODUCER_H

#include <tern/exchange.h>
#include <tern/message.h>
#include <tern/peer.h>

TERN_BEGIN_DECLS

typedef struct tern_producer tern_producer_t;

typedef enum {
    TERN_WRITTEN = 1,
    TERN_SYNCED = 2,
    TERN_STORED = 3,
    TERN_PROCESSED = 4
} tern_level_t;

//  What the publisher says about a queue: its rules.  docs/QUEUES.md has their
//  order.
#define TERN_PAUSES_MAX 16

typedef enum {
    TERN_BACKOFF_EXPONENTIAL = 0,  //  the first pause, doubled up to the last
    TERN_BACKOFF_FIXED = 1,        //  the first one always
    TERN_BACKOFF_LIST = 2          //  one after the other, then the last again
} tern_backoff_t;

typedef struct {
    uint32_t max_deliveries;  //  before a message is dead; 0: no limit
    tern_backoff_t backoff;   //  between a requeue and the next delivery
    uint32_t backoff_min_ms;  //  the first pause, 1 and more
    uint32_t backoff_max_ms;  //  the last one, not less
    uint32_t pauses_ms[TERN_PAUSES_MAX];  //  TERN_BACKOFF_LIST, each 1 and more
    uint32_t pause_count;                 //  1..TERN_PAUSES_MAX
    uint64_t ttl_ms;  //  how long a message lives, up to 366 days; 0: for ever
    bool drop_expired;  //  what has expired is dropped, not dead
    bool single;        //  one active consumer at a time
} tern_policy_t;

//  16 deliveries, exponential from 100 ms to 30 s, no end, any consumer.
TERN_EXPORT void
tern_policy_default (tern_policy_t *self);

//  Open this peer's outbox for a queue, creating it if need be.  Producers of
//  one queue in one peer share the outbox.
//  Returns 0 and sets *self_p: the caller owns it.  On failure *self_p is NULL
//  and why (may be NULL) holds one line:
//      TERN_ENAME      not a queue name, or one that ends in ".dead"
//      TERN_ECORRUPT, TERN_EVERSION, TERN_EIO, TERN_EFULL, TERN_EACCESS
//                      as tern_peer_open ()
//      TERN_ETOOBIG    the peer has limit_outboxes already (tern/config.h)
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_open (tern_producer_t **self_p, tern_peer_t *peer,
                    const char *queue, char *why, size_t why_size);

//  Of an exchange.  Zeros are the defaults.
typedef struct {
    const char *alternate;  //  exchange whose bindings get what nobody else
                            //  would; NULL none; not for a fanout
    uint64_t retain_ms;     //  keep what is settled so long, for queues that
    uint64_t retain_bytes;  //  begin in the past, but no more than about so
                            //  much; 0 and 0: not.  See tern_from_t.  What was
                            //  processed before it was written or synced here
                            //  may be missing after a kill or a power cut
} tern_exchange_options_t;

//  Open this peer's outbox for an exchange, creating it if need be.  What is
//  published is stored once, and goes to the queues that are bound to it
//  (tern/exchange.h).  options may be NULL; they hold for all producers of the
//  exchange in this peer, from now on and in later lives.
//  As tern_producer_open (), or
//      TERN_ENAME      not a name of an exchange
//      TERN_EINVAL     no such type; an alternate exchange that cannot be one
//      TERN_ETYPE      the exchange is of another type, here or by its bindings
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_open_exchange (tern_producer_t **self_p, tern_peer_t *peer,
                             const char *exchange, tern_exchange_type_t type,
                             const tern_exchange_options_t *options, char *why,
                             size_t why_size);

//  Nothing is waited for: what was sent goes on.  Sets *self_p to NULL.
TERN_EXPORT void
tern_producer_close (tern_producer_t **self_p);

//  The rules of this queue from now on, here and in later lives of this store,
//  also for what waits already.  Where the configuration has a section for the
//  queue, that holds again when the peer is opened next.  0, or
//      TERN_EINVAL     a value out of its range; nothing has changed
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_set_policy (tern_producer_t *self, const tern_policy_t *policy);

//  Publish a body (copied).  Blocks while the outbox is at its limit or the
//  disk is behind, up to timeout_ms (0: not at all, -1: as long as it takes).
//  Returns 0 and *seq_p (may be NULL), or, having stored nothing:
//      TERN_ETOOBIG    size over TERN_BODY_MAX
//      TERN_ETIMEOUT   no room came in time (TERN_EAGAIN if timeout_ms is 0)
//      TERN_EFULL      the outbox limit with at_limit=refuse, or the disk
//      TERN_EIO        the log has failed; reopen the peer to recover
//      TERN_ECLOSED    the peer is drained, see tern_peer_drain ()
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_send (tern_producer_t *self, const void *body, size_t size,
                    int timeout_ms, uint64_t *seq_p);

//  The same with routing key, headers, and how it shall be delivered.  msg is
//  borrowed.  A received message may be sent on: it is a new one then, with key,
//  headers and body of the old.  To an exchange it goes by its key or headers; a
//  publisher that has heard of no bindings yet waits for them first.  Also
//      TERN_ETOOBIG    its headers and what Tern adds to them do not fit
//      TERN_ENOROUTE   no queue is bound that would get it
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_send_msg (tern_producer_t *self, const tern_msg_t *msg,
                        int timeout_ms, uint64_t *seq_p);

//  The same, and the numbers of the queues that get it, in ascending order: the
//  first max of them in numbers, how many there are in *count_p.  Of a queue's
//  producer there is one, 1.  numbers may be NULL if max is 0.
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_send_routed (tern_producer_t *self, const tern_msg_t *msg,
                           int timeout_ms, uint64_t *seq_p, uint32_t *numbers,
                           size_t max, size_t *count_p);

//  Name of a queue by its number; false if there is none.  name needs 65 bytes.
TERN_EXPORT bool
tern_producer_queue_name (tern_producer_t *self, uint32_t number, char *name,
                          size_t name_size);

//  Publish a message that the application has numbered, at most once: if number
//  is not higher than tern_producer_number (), nothing is stored, and this is
//  success with *seq_p 0.  So whoever reads work from a list of its own, a table
//  or a file, goes on after any crash where it was.  Numbers are 1 and more,
//  need not be dense, and belong to the outbox.  Else as
//  tern_producer_send_msg (), or
//      TERN_EINVAL     number is 0 or over INT64_MAX
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_send_once (tern_producer_t *self, const tern_msg_t *msg,
                         uint64_t number, int timeout_ms, uint64_t *seq_p);

//  The highest number ever stored in this outbox, 0 if none.  After a crash,
//  that of a message that survived: of those that were not yet synced, or only
//  written when the power failed, it may know less.
TERN_EXPORT uint64_t
tern_producer_number (tern_producer_t *self);

//  Wait until the message and all before it have reached the level.
//  Returns 0, or
//      TERN_ETIMEOUT   not yet; it goes on, so wait again or leave it
//      TERN_EIO        the log failed: whether seq survives is unknown until
//                      the peer is opened again
//      TERN_EINVAL     seq was never given out here, or no such level
//  TERN_STORED comes only from consumers that keep an inbox, see
//  tern_producer_stores (), or with TERN_PROCESSED.
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_wait (tern_producer_t *self, uint64_t seq, tern_level_t level,
                    int timeout_ms);

//  The last seq that has reached the level together with all before it.
//  Never blocks.
TERN_EXPORT uint64_t
tern_producer_reached (tern_producer_t *self, tern_level_t level);

//  The highest level that this one message has reached, whatever those before it
//  have; 0: none yet, or never given out here.  What is dead or was dropped is
//  processed.
TERN_EXPORT int
tern_producer_level (tern_producer_t *self, uint64_t seq);

//  Is there a consumer, connected now, that keeps an inbox and tells what it has
//  stored?
TERN_EXPORT bool
tern_producer_stores (tern_producer_t *self);

//  Readable, level-triggered, while there is room to send: a send that finds
//  none ends that, and it comes back with the room.  Do not read or close it.
//  -1: no descriptor is left.  Borrowed as long as the peer.
TERN_EXPORT int
tern_producer_fd (tern_producer_t *self);

//  Drop everything that waits: for this queue of the exchange, or if it is NULL
//  for all of them.  What is with consumers is left to them.  *count_p (may be
//  NULL) says how many that were.  0, or
//      TERN_ENOENT     no such queue
TERN_EXPORT TERN_MUST_CHECK int
tern_producer_purge (tern_producer_t *self, const char *queue,
                     uint64_t *count_p);

//  The last seq given out, 0 if none ever.
TERN_EXPORT uint64_t
tern_producer_last (tern_producer_t *self);

TERN_END_DECLS

#endif
