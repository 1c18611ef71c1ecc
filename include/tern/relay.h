//  tern/relay.h - messages sent by the transaction that caused them
//
//  A program that changes its database and sends a message can crash between
//  the two.  With a relay it does neither half: it puts the message into a
//  table of the same database, in the same transaction; the relay, a thread
//  beside the peer with a connection of its own, moves what was committed to
//  the peer's outbox and deletes it from the table.
//
//      BEGIN
//      ... UPDATE stock ...
//      tern_relay_put_sqlite (db, "orders", msg, why, sizeof why)
//      COMMIT
//      tern_relay_notify (relay)       optional: saves some milliseconds
//
//  Whatever crashes, and when: a message is sent if its transaction was
//  committed, once, and the messages to one place are sent in the order in
//  which their transactions were committed.  Each row has a number, under which
//  the peer stores it at most once (tern_producer_send_once ()), and a row is
//  deleted only when the message is synced in the peer's outbox.
//
//  The table tern_outbox is open to every program and language:
//
//      INSERT INTO tern_outbox (place, body) VALUES ('orders', 'hello')
//
//      id          given by the database: leave it out
//      place       the queue, or the type and name of an exchange:
//                  'topic#events' (direct#, fanout#, topic#, headers#)
//      body        up to 1 MiB
//      key         routing key
//      headers     name, zero byte, value, zero byte, ...
//      priority, ttl_ms, delay_ms, order_key, reply_to, correlation
//                  as tern_msg_set_... (); times count from when it is sent
//      refused     leave it out; why a row can never be sent: it is left
//                  for people to look at.  To try again, insert it anew.
//
//  What goes to an exchange waits, and what is behind it for that exchange,
//  while no queue is bound that would get it; tern_relay_status () says
//  TERN_ENOROUTE.  The relay opens an exchange without options: no alternate,
//  nothing retained.  As with any opening, that holds for this peer from then
//  on.
//
//  SQLite gives numbers in the order of commit by itself: it has one writer at
//  a time.  Use its write-ahead log, or readers and writers wait for each
//  other.  PostgreSQL does not, so a trigger takes a lock that is held until
//  the transaction ends: transactions that put messages commit one after the
//  other.  Put late in the transaction.
//
//  One database is relayed by one peer.  What has begun to be relayed is bound
//  to the peer's store; another store is refused, since it cannot know what was
//  sent.  A database that was put back from a backup, or has lost commits that
//  the relay has seen, is found out by its numbers and refused: TERN_EFENCED.
//  To go on with it, or with another store, empty the tables tern_outbox_place
//  and tern_outbox_owner by hand, give the peer a new data directory, and look
//  which messages of tern_outbox had been sent before.
//
//  The functions are in libraries of their own, one for each database:
//  pkg-config tern-sqlite and tern-pq.
//
//  Threads: a relay may be used by any number of threads.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_RELAY_H
#define TERN_RELAY_H

#include <tern/error.h>
#include <tern/export.h>
#include <tern/message.h>
#include <tern/peer.h>

#include <stddef.h>
#include <stdint.h>

TERN_BEGIN_DECLS

struct sqlite3;
struct pg_conn;

//  In the application's transaction ----------------------------------------

//  Create the tables, if they are not there, on a connection without an open
//  transaction.  Opening a relay does the same.  Returns and why as
//  tern_inbox_open_sqlite ().
TERN_EXPORT TERN_MUST_CHECK int
tern_relay_create_sqlite (struct sqlite3 *db, char *why, size_t why_size);

TERN_EXPORT TERN_MUST_CHECK int
tern_relay_create_pq (struct pg_conn *connection, char *why, size_t why_size);

//  Put a message to a place into the table, in the transaction that is open on
//  the connection, or in one of its own.  msg is borrowed.  0, or with one line
//  in why (may be NULL), and then roll back:
//      TERN_ENAME      neither a queue nor TYPE#EXCHANGE
//      TERN_EINVAL     a header of a received message that holds a zero byte;
//                      the transaction has failed before
//      TERN_EAGAIN     locked, deadlocked or not serializable: try again
//      TERN_ENOENT     there are no tables, see tern_relay_create_sqlite ()
//      TERN_EACCESS, TERN_ENET, TERN_EFULL, TERN_EIO, TERN_ECORRUPT
//                      what the database says
TERN_EXPORT TERN_MUST_CHECK int
tern_relay_put_sqlite (struct sqlite3 *db, const char *place,
                       const tern_msg_t *msg, char *why, size_t why_size);

TERN_EXPORT TERN_MUST_CHECK int
tern_relay_put_pq (struct pg_conn *connection, const char *place,
                   const tern_msg_t *msg, char *why, size_t why_size);

//  Beside the peer ---------------------------------------------------------

typedef struct tern_relay tern_relay_t;

//  Relay the database, a file or what libpq connects to, through this peer,
//  which must live longer.  Starts a thread.
//  Returns 0 and sets *self_p: the caller owns it.  On failure *self_p is NULL,
//  why (may be NULL) holds one line, and:
//      TERN_EFENCED    the database is bound to another store
//      TERN_EBUSY      this process relays it already
//      others          as tern_inbox_open_sqlite ()
//  A database that fails later, or is away, is tried again, at most every 5 s.
TERN_EXPORT TERN_MUST_CHECK int
tern_relay_open_sqlite (tern_relay_t **self_p, tern_peer_t *peer,
                        const char *path, char *why, size_t why_size);

TERN_EXPORT TERN_MUST_CHECK int
tern_relay_open_pq (tern_relay_t **self_p, tern_peer_t *peer,
                    const char *conninfo, char *why, size_t why_size);

//  What was not relayed yet stays in the table for the next one.  Sets *self_p
//  to NULL; NULL is allowed.
TERN_EXPORT void
tern_relay_close (tern_relay_t **self_p);

//  Something was committed: look now.
TERN_EXPORT void
tern_relay_notify (tern_relay_t *self);

//  Wait until the relay has found no more rows to send, after this call: what
//  was committed before it is synced in the peer's outbox and gone from the
//  table, or refused.  0 or TERN_ETIMEOUT.
TERN_EXPORT TERN_MUST_CHECK int
tern_relay_wait (tern_relay_t *self, int timeout_ms);

typedef struct {
    uint64_t shipped;  //  rows moved, since opened
    uint64_t refused;  //  rows set aside, since opened
    int error;         //  why it is not going on now, 0 if it is
    char why[256];     //  and in words
} tern_relay_status_t;

TERN_EXPORT void
tern_relay_status (tern_relay_t *self, tern_relay_status_t *status);

TERN_END_DECLS

#endif
