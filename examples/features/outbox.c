//  outbox.c - a change in a database and its message: both, or neither
//
//      outbox DATABASE
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

#include <tern/relay.h>

#include <sqlite3.h>

static void
s_do (sqlite3 *db, const char *sql)
{
    if (sqlite3_exec (db, sql, NULL, NULL, NULL)) {
        fprintf (stderr, "%s\n", sqlite3_errmsg (db));
        exit (1);
    }
}

//  The message is a row of the same transaction.
static void
s_order (sqlite3 *db, const char *words, const char *end)
{
    char why[256] = "";
    tern_msg_t *msg = text (words);
    s_do (db, "BEGIN IMMEDIATE");
    s_do (db, "INSERT INTO orders DEFAULT VALUES");
    must (tern_relay_put_sqlite (db, "invoices", msg, why, sizeof why), why);
    s_do (db, end);
    printf ("%s: %s\n", words, end);
    tern_msg_destroy (&msg);
}

int
main (int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "shop.db";
    sqlite3 *db = NULL;
    if (sqlite3_open (path, &db)) {
        fprintf (stderr, "%s\n", sqlite3_errmsg (db));
        return 1;
    }
    sqlite3_busy_timeout (db, 5000);
    //  With a write-ahead log the relay and we do not wait for each other.
    s_do (db, "PRAGMA journal_mode = WAL;"
              "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)");

    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-outbox");
    tern_relay_t *relay = NULL;
    tern_consumer_t *invoices = NULL;
    //  A thread with a connection of its own: it finds rows that were committed,
    //  publishes each once, whatever crashes, and takes it out of the table.
    must (tern_relay_open_sqlite (&relay, peer, path, why, sizeof why), why);
    must (tern_consumer_open (&invoices, peer, "invoices", NULL), "consume");

    s_order (db, "12 chairs", "ROLLBACK");
    s_order (db, "4 tables", "COMMIT");
    tern_relay_notify (relay);  //  saves it looking now and then

    const tern_msg_t *msg = tern_consumer_recv (invoices, -1);
    show ("invoice for", msg);
    tern_consumer_accept (invoices, msg);
    must (tern_relay_wait (relay, -1), "relay");
    printf ("the table is empty\n");

    tern_consumer_close (&invoices);
    tern_relay_close (&relay);
    tern_peer_close (&peer, -1);
    sqlite3_close (db);
    return 0;
}
