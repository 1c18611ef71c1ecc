//  tern/request.h - asking and answering
//
//  A requester asks a service by its name; one of the peers that serve it
//  answers, once or with a stream of replies.
//
//      tern_requester_request (...)     one request, its reply or why not
//      tern_requester_begin (...)       many at once: an id each, then
//      tern_requester_next (...)        the next reply of one or of all
//
//      tern_service_recv (...)          the next request
//      tern_service_reply (...)         one reply, the last or not
//      tern_service_fail (...)          no reply, but words
//
//  Two forms, chosen by the requester; a service answers both:
//
//      light      nothing is stored.  A request lives as long as somebody waits
//                 for it; if its server dies or leaves before it has replied,
//                 another one gets it, flagged redelivered.  Its reply is got
//                 or not: then the requester is told why.
//      durable    the request is a message to the queue of the service's name,
//                 the reply a message to the requester's private queue: both
//                 are kept on disk until they are settled, and survive the
//                 death of either end.
//
//  Names of services are names of queues: a service is seen by `tern queues`,
//  and what is sent to its queue in other ways comes to it as a request that
//  waits for no reply.  A consumer of that queue that is no tern_service_t gets
//  no light requests.
//
//  Guide: tern(7).  Programs: examples/request.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_REQUEST_H
#define TERN_REQUEST_H

#include <tern/message.h>
#include <tern/peer.h>

TERN_BEGIN_DECLS

//  Asking ------------------------------------------------------------------

//  Threads: any number may use one requester.
typedef struct tern_requester tern_requester_t;

typedef struct {
    bool durable;
    bool once;          //  light: at most one server may see a request; if it
                        //  dies the request is lost, not repeated
    uint32_t open_max;  //  requests open at once; 0: 1024
} tern_requester_options_t;

//  Ask a service, from now on.  options may be NULL.
//  Returns 0 and sets *self_p: the caller owns it.  On failure *self_p is NULL:
//      TERN_ENAME      not a name of a queue
//      TERN_ETOOBIG    this peer asks 256 services already
//  and for a durable one also what tern_producer_open () returns.  A peer keeps
//  one outbox for each service that it asks so.
TERN_EXPORT TERN_MUST_CHECK int
tern_requester_open (tern_requester_t **self_p, tern_peer_t *peer,
                     const char *service,
                     const tern_requester_options_t *options);

//  Cancels what is open.  No other thread may be using it.  Sets *self_p to
//  NULL; NULL is allowed.
TERN_EXPORT void
tern_requester_close (tern_requester_t **self_p);

//  One request and its reply, which the caller owns.  timeout_ms -1: no limit.
//  of several replies this is the first, and the others are not wanted.
//  Returns 0 and sets *reply_p; else *reply_p is NULL, why (may be NULL) holds
//  words if there are any, and:
//      TERN_ETIMEOUT   no reply in time; the request may have been done
//      TERN_ENOROUTE   in all that time nobody served it: nothing was done
//      TERN_EFAILED    the server said that it failed; why are its words
//      TERN_ELOST      the server is gone, and nobody else may do it: it may
//                      have been done
//      TERN_ETOOBIG    beyond the limits of a message
//      TERN_EAGAIN     open_max requests are open, or 64 MiB of them
//      TERN_EINVAL     timeout_ms is 0 or below -1
//  A durable request is on the disk when it has begun, and stays there when
//  nobody waits for it any more, unless it has a time to live: then a reply that
//  comes is dropped and counted.  It may also fail as tern_producer_send ().
TERN_EXPORT TERN_MUST_CHECK int
tern_requester_request (tern_requester_t *self, const tern_msg_t *request,
                        int timeout_ms, tern_msg_t **reply_p, char *why,
                        size_t why_size);

//  Begin a request: *id_p names it in this requester, from 1 on.  Returns 0 or
//  as above TERN_ETOOBIG, TERN_EAGAIN, TERN_EINVAL.
TERN_EXPORT TERN_MUST_CHECK int
tern_requester_begin (tern_requester_t *self, const tern_msg_t *request,
                      int timeout_ms, uint64_t *id_p);

//  Durable: what the reply will be known by, to be noted by an application that
//  wants it even if it dies meanwhile: the request's own correlation if it has
//  one (tern_msg_set_correlation ()), else one that Tern gave.  TERN_ENOENT as
//  below.
TERN_EXPORT TERN_MUST_CHECK int
tern_requester_correlation (tern_requester_t *self, uint64_t id,
                            char correlation[128]);

//  Durable: wait again for the reply to a request of an earlier life of this
//  peer, or of a requester that was closed.  Replies that come before anybody
//  asks are kept for a minute, and up to 512 of them; then they are dropped and
//  counted.  Returns 0 and *id_p, or TERN_EINVAL, TERN_EAGAIN as above,
//  TERN_ENOTSUP (not durable).
TERN_EXPORT TERN_MUST_CHECK int
tern_requester_resume (tern_requester_t *self, const char *correlation,
                       int timeout_ms, uint64_t *id_p);

typedef struct {
    uint64_t id;
    int status;       //  0: msg is a reply; else as tern_requester_request ()
    bool last;        //  nothing follows for this id
    tern_msg_t *msg;  //  the caller's to destroy; NULL: none
    char why[256];    //  words, or ""
} tern_reply_t;

//  The next reply of this id, or of any with 0, within timeout_ms (0: poll, -1:
//  wait).  Replies of one request come in order; every request ends with one
//  that is the last.  A server may end its replies without a message: status 0,
//  last, msg NULL.  Returns 0, or
//      TERN_ETIMEOUT   none came
//      TERN_ENOENT     no such id is open: over, cancelled, never begun
TERN_EXPORT TERN_MUST_CHECK int
tern_requester_next (tern_requester_t *self, uint64_t id, tern_reply_t *reply,
                     int timeout_ms);

//  Nobody waits for it any more; its server is told.  TERN_ENOENT as above.
TERN_EXPORT int
tern_requester_cancel (tern_requester_t *self, uint64_t id);

//  Readable, level-triggered, while tern_requester_next (self, 0, ...) has a
//  reply.  Do not read or close it.
TERN_EXPORT int
tern_requester_fd (tern_requester_t *self);

typedef struct {
    uint64_t sent;      //  requests begun
    uint64_t repeated;  //  light: times that one went to another server
    uint64_t replies;   //  taken in
    uint64_t dropped;   //  replies that nobody waited for any more, asked for
                        //  here or given here
    uint64_t busy;      //  served here: sent away, as there was no room
    uint64_t served;    //  served here: light requests taken in
} tern_request_stats_t;

//  Of all requesters and services of this peer.
TERN_EXPORT void
tern_peer_request_stats (tern_peer_t *peer, tern_request_stats_t *stats);

//  Answering ---------------------------------------------------------------

//  Threads: recv belongs to one thread at a time.  Requests kept by
//  tern_msg_dup () may be answered by any; each by one at a time.
typedef struct tern_service tern_service_t;

typedef struct {
    uint32_t prefetch;        //  requests in hand, of each form; 0: 16
    uint32_t prefetch_bytes;  //  and their bytes, about; 0: 8 MiB
} tern_service_options_t;

//  Serve.  options may be NULL.  Returns 0 and sets *self_p: the caller owns it.
//  On failure *self_p is NULL and the value as of tern_consumer_open ().
TERN_EXPORT TERN_MUST_CHECK int
tern_service_open (tern_service_t **self_p, tern_peer_t *peer,
                   const char *service, const tern_service_options_t *options);

//  What is not answered goes to other servers.  Kept requests must be destroyed
//  before.  Sets *self_p to NULL; NULL is allowed.
TERN_EXPORT void
tern_service_close (tern_service_t **self_p);

//  Next request, or NULL after timeout_ms (0: poll, -1: wait).  Borrowed until
//  the next call: reply, fail, or keep it with tern_msg_dup ().  A light request
//  that is given up without either fails at its requester.
//  tern_msg_redelivered () says that another server may have done it.
TERN_EXPORT tern_msg_t *
tern_service_recv (tern_service_t *self, int timeout_ms);

//  One reply; with last the request is done, and only then may reply be NULL.
//  Waits up to timeout_ms (-1: no limit) while the requester has no room for
//  more.  A durable one is on the disk here when this returns.  Returns 0, or
//      TERN_ENOENT     nobody waits for it any more, or it is done
//      TERN_ETIMEOUT   no room yet: nothing was sent
//      TERN_ETOOBIG    beyond the limits of a message
//  and for a durable one also what tern_producer_open () and tern_producer_send
//  () return: it is not done then, and can be replied to again.  A server keeps
//  one outbox for each peer that it has sent durable replies; with limit_outboxes
//  of them (tern/config.h) one more peer gets none: TERN_ETOOBIG.
TERN_EXPORT TERN_MUST_CHECK int
tern_service_reply (tern_service_t *self, const tern_msg_t *request,
                    const tern_msg_t *reply, bool last, int timeout_ms);

//  It cannot be done: words for the requester, of which 255 bytes are told.
//  Returns as above.
TERN_EXPORT int
tern_service_fail (tern_service_t *self, const tern_msg_t *request,
                   const char *why);

//  Does somebody still wait for the reply?  Always true of a durable request.
TERN_EXPORT bool
tern_service_wanted (const tern_service_t *self, const tern_msg_t *request);

//  Readable, level-triggered, while a request waits.  Do not read or close it.
TERN_EXPORT int
tern_service_fd (const tern_service_t *self);

TERN_END_DECLS

#endif
