//  invoice.c - write an invoice for each order
//
//      invoice DATABASE         until it is killed
//      invoice DATABASE list    show them in the order in which they were written
//
//  It keeps an inbox, as patterns/idempotent-consumer explains, so that nothing
//  is twice on this side either.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>
#include <tern/inbox.h>

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int
s_print_row (void *arg, int count, char **values, char **names)
{
    (void) arg;
    (void) count;
    (void) names;
    puts (values[0]);
    return 0;
}

static bool
s_write (sqlite3 *db, const tern_msg_t *msg)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2 (db, "INSERT INTO invoice (text) VALUES (?1)", -1,
                        &statement, NULL);
    sqlite3_bind_text (statement, 1, tern_msg_body (msg),
                       (int) tern_msg_size (msg), SQLITE_STATIC);
    const bool written = sqlite3_step (statement) == SQLITE_DONE;
    sqlite3_finalize (statement);
    return written;
}

static bool
s_write_once (sqlite3 *db, tern_inbox_t *inbox, tern_msg_t *msg)
{
    bool done = false;
    sqlite3_exec (db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    switch (tern_inbox_take (inbox, msg, NULL, 0)) {
    case TERN_INBOX_NEW: done = s_write (db, msg); break;
    case TERN_INBOX_SEEN: done = true; break;
    }
    if (done && sqlite3_exec (db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) {
        return true;
    }
    sqlite3_exec (db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

int
main (int argc, char **argv)
{
    sqlite3 *db = NULL;
    char why[256] = "";
    if (argc < 2 || sqlite3_open (argv[1], &db)
        || sqlite3_exec (db,
                         "PRAGMA journal_mode = WAL;"
                         "CREATE TABLE IF NOT EXISTS invoice (text TEXT)",
                         NULL, NULL, NULL)) {
        fprintf (stderr, "invoice: %s\n", db ? sqlite3_errmsg (db) : "usage");
        return 1;
    }
    if (argc > 2) {
        sqlite3_exec (db, "SELECT text FROM invoice ORDER BY rowid",
                      s_print_row, NULL, NULL);
        sqlite3_close (db);
        return 0;
    }

    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *invoices = NULL;
    tern_inbox_t *inbox = NULL;
    int rc = tern_inbox_open_sqlite (&inbox, db, why, sizeof why);
    if (!rc) {
        rc = tern_config_environment (config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_consumer_open (&invoices, peer, "invoices", NULL);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "invoice: %s\n", why[0] ? why : tern_strerror (rc));
        return 1;
    }
    for (;;) {
        tern_msg_t *msg = tern_consumer_recv (invoices, -1);
        if (s_write_once (db, inbox, msg)) {
            tern_consumer_accept (invoices, msg);
        } else {
            tern_consumer_requeue (invoices, msg);
        }
    }
}
