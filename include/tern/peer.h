//  tern/peer.h - one process's seat in the network
//
//  A peer has a name, a data directory and one endpoint.  What it publishes is
//  first in its own outbox on its own disk, then goes straight to the peers
//  that consume it, and leaves the outbox only when they have settled it.  A
//  directory tells peers where the others are; while it is down, everything
//  already known goes on working.
//
//  Threads: a peer runs threads of its own and is safe to use from any number
//  of yours.  They take no signals.  Fork before the first peer is opened, or
//  exec at once after.
//
//  Guide: tern(7).  Program: examples/hello/send.c.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_PEER_H
#define TERN_PEER_H

#include <tern/config.h>
#include <tern/log.h>
#include <tern/stats.h>

#include <stdbool.h>
#include <stdint.h>

TERN_BEGIN_DECLS

typedef struct tern_peer tern_peer_t;

//  Something the application may want to know.
typedef struct {
    const char *id;  //  "TERN-PEER-GONE", static
    tern_log_level_t level;
    char text[256];  //  key=value
    uint64_t lost;   //  older events dropped before this one
} tern_event_t;

//  Open the store, bind the endpoint, start the threads and register with the
//  directory.  A directory that does not answer is no failure: the peer goes on
//  with what it knew before and registers when one answers.
//
//  config may be NULL: all defaults.  It is copied.
//  Returns 0 and sets *peer_p: the caller owns it, tern_peer_close () ends it.
//  On failure *peer_p is NULL, why (may be NULL) holds one line, and:
//      TERN_EINVAL     settings that cannot work together
//      TERN_EINUSE     another process, or this one, has the store open
//      TERN_ENAME      the store belongs to a peer of another name
//      TERN_ECORRUPT   damaged: nothing was changed; see tern-outbox(1)
//      TERN_EVERSION   written by a newer Tern
//      TERN_EACCESS    not ours to use: owner, mode, parent folder
//      TERN_EFULL      no room even to open
//      TERN_EIO        the disk failed
//      TERN_ENET       the endpoint cannot be bound
TERN_EXPORT TERN_MUST_CHECK int
tern_peer_open (tern_peer_t **peer_p, const tern_config_t *config, char *why,
                size_t why_size);

//  Take no new work and finish what there is, before tern_peer_close ().  From
//  now on producers say TERN_ECLOSED, and consumers find nothing: what was not
//  handed out goes to others at once, and who waits in tern_consumer_recv ()
//  returns with NULL.  Then waits up to timeout_ms (-1: no limit) until the
//  application has settled what it holds and others have settled what was sent
//  to them.  Call it on a thread of its own if this one has messages to settle.
//  0, or TERN_ETIMEOUT: some are left; the peer takes no new work all the same.
TERN_EXPORT TERN_MUST_CHECK int
tern_peer_drain (tern_peer_t *self, int timeout_ms);

//  Leave.  Waits up to linger_ms (-1: no limit) for what was sent to be
//  settled, says goodbye, syncs and closes the store.  What is still unsettled
//  stays in the outbox for the next opening (or tern drain); returns how many
//  messages that is, without dead letters, which are not waited for.  Handles
//  of the peer become invalid: close them before.  Sets *peer_p to NULL; NULL
//  is allowed.
TERN_EXPORT uint64_t
tern_peer_close (tern_peer_t **peer_p, int linger_ms);

//  Borrowed as long as the peer lives.
TERN_EXPORT const char *
tern_peer_name (const tern_peer_t *self);

TERN_EXPORT const char *
tern_peer_endpoint (const tern_peer_t *self);

TERN_EXPORT const char *
tern_peer_data (const tern_peer_t *self);

//  Next event: true and *event filled, or false after timeout_ms (0: poll, -1:
//  wait).  The newest 1,024 are kept.
TERN_EXPORT bool
tern_peer_event (tern_peer_t *self, tern_event_t *event, int timeout_ms);

//  Readable, level-triggered, while an event waits.  Do not read or close it.
TERN_EXPORT int
tern_peer_fd (const tern_peer_t *self);

//  Do peers that consume this queue hold open links to us?  How many.
TERN_EXPORT uint32_t
tern_peer_consumers (tern_peer_t *self, const char *queue);

//  Does a directory answer at present?
TERN_EXPORT bool
tern_peer_registered (tern_peer_t *self);

//  Rows of this peer, one per queue published or consumed; returns how many
//  there are, of which the first max were filled.
TERN_EXPORT size_t
tern_peer_stats (tern_peer_t *self, tern_stats_t *rows, size_t max);

//  Names of the queues the store holds outboxes for, index from 0; false
//  behind the last.  name needs 65 bytes.
TERN_EXPORT bool
tern_peer_outbox_at (tern_peer_t *self, size_t index, char *name,
                     size_t name_size);

TERN_END_DECLS

#endif
