//  inbox.c - an effect in a database that happens once, though a message may
//  come twice
//
//      inbox DATABASE
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

#include <tern/inbox.h>

#include <sqlite3.h>

static void
s_do (sqlite3 *db, const char *sql)
{
    if (sqlite3_exec (db, sql, NULL, NULL, NULL)) {
        fprintf (stderr, "%s\n", sqlite3_errmsg (db));
        exit (1);
    }
}

//  The mark and the work are one transaction.
static void
s_pay_once (sqlite3 *db, tern_inbox_t *inbox, tern_msg_t *payment)
{
    char why[256] = "";
    s_do (db, "BEGIN IMMEDIATE");
    const int taken = tern_inbox_take (inbox, payment, why, sizeof why);
    if (taken == TERN_INBOX_NEW) {
        s_do (db, "UPDATE account SET cents = cents + 100");
        printf ("new: paid\n");
    } else if (taken == TERN_INBOX_SEEN) {
        printf ("seen: nothing to do\n");
    } else {
        must (taken, why);  //  a service: ROLLBACK and requeue
    }
    s_do (db, "COMMIT");
}

int
main (int argc, char **argv)
{
    sqlite3 *db = NULL;
    if (sqlite3_open (argc > 1 ? argv[1] : "bank.db", &db)) {
        fprintf (stderr, "%s\n", sqlite3_errmsg (db));
        return 1;
    }
    s_do (db, "CREATE TABLE IF NOT EXISTS account (cents INTEGER);"
              "DELETE FROM account; INSERT INTO account VALUES (0)");

    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-inbox");
    tern_producer_t *producer = NULL;
    tern_consumer_t *payments = NULL;
    tern_inbox_t *inbox = NULL;
    must (tern_inbox_open_sqlite (&inbox, db, why, sizeof why), why);
    must (tern_producer_open (&producer, peer, "payments", why, sizeof why),
          why);
    must (tern_consumer_open (&payments, peer, "payments", NULL), "consume");
    send_off (producer, text ("100 cents"));

    //  Committed, but what was to be said of it never reached the publisher: as
    //  if the process had died between COMMIT and accept.
    tern_msg_t *payment = tern_consumer_recv (payments, -1);
    s_pay_once (db, inbox, payment);
    tern_consumer_requeue (payments, payment);

    //  So it comes again.  Accept only after COMMIT.
    payment = tern_consumer_recv (payments, -1);
    s_pay_once (db, inbox, payment);
    tern_consumer_accept (payments, payment);

    sqlite3_stmt *sum = NULL;
    if (sqlite3_prepare_v2 (db, "SELECT cents FROM account", -1, &sum, NULL)
            == SQLITE_OK
        && sqlite3_step (sum) == SQLITE_ROW) {
        printf ("the account has %d cents\n", sqlite3_column_int (sum, 0));
    }
    sqlite3_finalize (sum);
    tern_inbox_close (&inbox);
    tern_consumer_close (&payments);
    tern_producer_close (&producer);
    tern_peer_close (&peer, -1);
    sqlite3_close (db);
    return 0;
}
