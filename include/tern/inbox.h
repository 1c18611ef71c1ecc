//  tern/inbox.h - exactly-once effect in the application's own database
//
//  Delivery is at least once.  An inbox makes the effect once: it marks the
//  message in the same database transaction in which the application does its
//  work, so both are there or neither is.
//
//      msg = tern_consumer_recv (consumer, -1);
//      BEGIN
//      switch (tern_inbox_take (inbox, msg, why, sizeof why)) {
//      case TERN_INBOX_NEW:  do the work in this transaction; COMMIT
//      case TERN_INBOX_SEEN: COMMIT; the work was done before
//      default:              ROLLBACK; tern_consumer_requeue (consumer, msg);
//                            continue
//      }
//      tern_consumer_accept (consumer, msg)
//
//  Accept only after COMMIT has returned.  If COMMIT fails, requeue: whether
//  it took place is found out when the message comes again.  All consumers of
//  a queue must use one database, and no effect may be outside of it: a mail
//  that was sent is not taken back by ROLLBACK.
//
//  A message is known by its publisher's store, outbox and seq.  What comes
//  from a salvaged store has another identity and is new.  A store put back
//  from a backup may give old numbers to new messages: do not go on with one.
//
//  Marks go when the publisher has promised never to send the message again
//  (tern_msg_floor ()), never by age: the table stays as small as what is
//  unsettled.  Two things stay for ever, a row each: every pair of publisher's
//  store and outbox, and every replayed dead letter.  Rows of a publisher that
//  is gone for good may be deleted by hand, by its store; no others.
//
//  A dead letter that was rejected and is replayed is new, once.  One that died
//  of too many deliveries or of its time may have been done by a consumer that
//  ended between COMMIT and accept; its mark may be gone when it is replayed,
//  and then it is new again.  Look at the effect before replaying such.
//
//  The functions are in libraries of their own, one for each database:
//  pkg-config tern-sqlite (SQLite 3.37) and tern-pq (PostgreSQL 12).
//
//  Threads: an inbox belongs to its connection, one at a time.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_INBOX_H
#define TERN_INBOX_H

#include <tern/error.h>
#include <tern/export.h>
#include <tern/message.h>

#include <stddef.h>

TERN_BEGIN_DECLS

typedef struct tern_inbox tern_inbox_t;

struct sqlite3;
struct pg_conn;

//  The inbox of a database, on a connection that the application owns and keeps
//  open longer than the inbox.  Its tables tern_inbox and tern_inbox_stream are
//  created if they are not there; any number of processes may do so at once.
//
//  Returns 0 and sets *self_p: the caller owns it.  On failure *self_p is NULL
//  and why (may be NULL) holds one line:
//      TERN_EINVAL     a transaction is open on the connection
//      TERN_EVERSION   the tables are those of a newer Tern
//      TERN_EAGAIN     the database is locked by another; try again
//      TERN_EACCESS    read-only, or no right to create tables
//      TERN_ENET       the connection to the server is lost
//      TERN_EFULL, TERN_EIO, TERN_ECORRUPT
//                      what the database says of its disk
TERN_EXPORT TERN_MUST_CHECK int
tern_inbox_open_sqlite (tern_inbox_t **self_p, struct sqlite3 *db, char *why,
                        size_t why_size);

TERN_EXPORT TERN_MUST_CHECK int
tern_inbox_open_pq (tern_inbox_t **self_p, struct pg_conn *connection,
                    char *why, size_t why_size);

//  The connection stays open.  Sets *self_p to NULL; NULL is allowed.
TERN_EXPORT void
tern_inbox_close (tern_inbox_t **self_p);

enum {
    TERN_INBOX_NEW = 1,  //  do it, in this transaction
    TERN_INBOX_SEEN = 2  //  it was done; commit, then accept
};

//  Mark a received message inside the transaction that is open on the
//  connection.  Where another transaction has marked the same message and is
//  not over, this waits for it as the database does, and as long.
//
//  Returns TERN_INBOX_NEW, TERN_INBOX_SEEN, or, and then roll back:
//      TERN_EINVAL     no transaction is open, or it has failed before
//      TERN_EAGAIN     locked, deadlocked or not serializable: requeue, or try
//                      again in a new transaction
//      TERN_ENOENT     the tables are gone
//      TERN_EACCESS, TERN_ENET, TERN_EFULL, TERN_EIO, TERN_ECORRUPT
//                      as above
TERN_EXPORT TERN_MUST_CHECK int
tern_inbox_take (tern_inbox_t *self, tern_msg_t *msg, char *why,
                 size_t why_size);

TERN_END_DECLS

#endif
