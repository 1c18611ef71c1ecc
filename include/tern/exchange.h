//  tern/exchange.h - which queue gets what from which exchange
//
//  An exchange is a name under which peers publish (tern_producer_open_exchange
//  ()) and to which queues are bound.  A binding says what its queue gets:
//
//      direct      what has this routing key
//      fanout      everything
//      topic       what has a key that matches: words with dots between them,
//                  * is one word, # any number of them, none too
//      headers     what has all (or any) of these headers
//
//  Bindings are facts of the whole network: any peer may make or remove them,
//  directories keep them, publishers hold a copy and route by it themselves.  A
//  binding reaches publishers when a directory knows it; wait for that with
//  tern_peer_bound ().  All bindings of an exchange are of one type.
//
//  A queue is consumed as any other: by competing consumers, each message once.
//  For each subscriber to get every message, each has a queue of its own.
//
//  Threads: any, but tern_peer_binding_at ().
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_EXCHANGE_H
#define TERN_EXCHANGE_H

#include <tern/peer.h>

TERN_BEGIN_DECLS

typedef enum {
    TERN_DIRECT = 1,
    TERN_FANOUT = 2,
    TERN_TOPIC = 3,
    TERN_HEADERS = 4
} tern_exchange_type_t;

//  Where a queue starts in what a publisher has kept (tern_exchange_options_t),
//  when the publisher hears of its first binding.
typedef enum {
    TERN_FROM_NEW = 0,       //  with what is published from then on
    TERN_FROM_EARLIEST = 1,  //  with the oldest that is kept
    TERN_FROM_SEQ = 2,       //  with this seq, or the oldest kept after it
    TERN_FROM_TIME = 3       //  with what was published at this time or after
} tern_from_t;

typedef struct {
    const char *name;
    const char *value;
} tern_header_t;

//  Headers of one binding.
#define TERN_BINDING_HEADERS_MAX 32

typedef struct {
    const char *exchange;  //  a name, as of a peer
    tern_exchange_type_t type;
    const char *queue;
    const char *pattern;           //  direct, topic: up to 255 bytes; else NULL
    const tern_header_t *headers;  //  headers: 1..TERN_BINDING_HEADERS_MAX
    size_t header_count;
    bool any;  //  headers: one of them is enough
    tern_from_t from;
    uint64_t from_seq;  //  TERN_FROM_SEQ
    uint64_t from_ms;   //  TERN_FROM_TIME: publisher's clock, since 1970
} tern_binding_t;

//  Bind a queue.  What is bound already stays as it is.  The peer knows it at
//  once, the network as soon as a directory answers, and nobody forgets it: not
//  with this peer, not with its queue's last consumer, not with a directory that
//  loses its memory while others remember.
//  binding is borrowed.  0, or with one line in why (may be NULL):
//      TERN_ENAME      not a name of an exchange or a queue
//      TERN_EINVAL     a pattern or headers that this type cannot have
//      TERN_ETOOBIG    pattern or headers over their limit
//      TERN_ETYPE      the exchange has bindings of another type
//      TERN_EFULL      100,000 bindings, or as many as 32 MiB hold
//      TERN_EAGAIN     4,096 of ours wait for a directory to answer
TERN_EXPORT TERN_MUST_CHECK int
tern_peer_bind (tern_peer_t *self, const tern_binding_t *binding, char *why,
                size_t why_size);

//  Remove one binding: exchange, type, queue, pattern, headers and any say
//  which.  With a queue's last one, what still waits for it with publishers is
//  dropped, and counted.  What is not bound is no failure.  As above.
TERN_EXPORT TERN_MUST_CHECK int
tern_peer_unbind (tern_peer_t *self, const tern_binding_t *binding, char *why,
                  size_t why_size);

//  Wait until a directory has taken what we said last of this binding, bound or
//  removed.  0, or
//      TERN_ETIMEOUT   none has answered in timeout_ms (-1: no limit); it goes
//                      on being said
//      TERN_ENOENT     nothing was ever said of it
//      TERN_EAGAIN     somebody has said otherwise, and later than we did by
//                      both clocks: that holds.  Say it again if it should not;
//                      or 4,096 of ours wait for an answer
//      TERN_ETYPE, TERN_EFULL, TERN_EACCESS
//                      refused, and taken back: it is not bound
TERN_EXPORT TERN_MUST_CHECK int
tern_peer_bound (tern_peer_t *self, const tern_binding_t *binding,
                 int timeout_ms);

//  Wait until a directory has told this peer all bindings that it knows.  Before
//  that, a peer knows those of its earlier lives, if any.  0, or
//      TERN_ETIMEOUT   none did so in timeout_ms (-1: no limit)
TERN_EXPORT TERN_MUST_CHECK int
tern_peer_bindings_known (tern_peer_t *self, int timeout_ms);

//  All bindings that this peer knows, in the order of exchange, queue and
//  pattern, index from 0; false behind the last.  What it points to is borrowed
//  until the next call of this function, for which there is one thread at a time.
TERN_EXPORT bool
tern_peer_binding_at (tern_peer_t *self, size_t index, tern_binding_t *binding);

TERN_END_DECLS

#endif
