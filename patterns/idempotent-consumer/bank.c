//  bank.c - make each payment exactly once, whatever happens
//
//      bank DATABASE          serve payments; a line for every 200
//      bank DATABASE total    say how many payments there were, and their sum
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>
#include <tern/inbox.h>

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES                                                                 \
    "PRAGMA journal_mode = WAL;"                                               \
    "CREATE TABLE IF NOT EXISTS account (number INTEGER PRIMARY KEY,"          \
    " payments INTEGER NOT NULL, cents INTEGER NOT NULL)"

static sqlite3 *
s_open_database (const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open (path, &db)) {
        fprintf (stderr, "bank: %s: %s\n", path, sqlite3_errmsg (db));
        exit (1);
    }
    sqlite3_busy_timeout (db, 5000);
    if (sqlite3_exec (db, TABLES, NULL, NULL, NULL)) {
        fprintf (stderr, "bank: %s: %s\n", path, sqlite3_errmsg (db));
        exit (1);
    }
    return db;
}

//  The work.  It knows nothing of messages and of what may have been before.
static bool
s_pay (sqlite3 *db, int account, int cents)
{
    char sql[200];
    snprintf (sql, sizeof sql,
              "INSERT INTO account VALUES (%d, 1, %d) ON CONFLICT DO UPDATE"
              " SET payments = payments + 1, cents = cents + %d",
              account, cents, cents);
    return sqlite3_exec (db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

//  "ACCOUNT CENTS".
static bool
s_read (const tern_msg_t *msg, int *account, int *cents)
{
    char text[64];
    const size_t size = tern_msg_size (msg);
    if (size >= sizeof text) {
        return false;
    }
    memcpy (text, tern_msg_body (msg), size);
    text[size] = '\0';
    char *rest = NULL;
    *account = (int) strtol (text, &rest, 10);
    *cents = (int) strtol (rest, NULL, 10);
    return *rest == ' ';
}

//  The mark of the message and the work are one transaction: both happen, or
//  neither does.  True when it is committed.
static bool
s_do_once (sqlite3 *db, tern_inbox_t *inbox, tern_msg_t *msg, int account,
           int cents)
{
    char why[256] = "";
    bool done = false;
    if (sqlite3_exec (db, "BEGIN IMMEDIATE", NULL, NULL, NULL)) {
        return false;
    }
    switch (tern_inbox_take (inbox, msg, why, sizeof why)) {
    case TERN_INBOX_NEW: done = s_pay (db, account, cents); break;
    case TERN_INBOX_SEEN:
        printf ("%s came again: seen\n", tern_msg_id (msg));
        done = true;
        break;
    default: fprintf (stderr, "bank: %s\n", why);
    }
    if (done && sqlite3_exec (db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) {
        return true;
    }
    sqlite3_exec (db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static void
s_serve (sqlite3 *db, tern_inbox_t *inbox, tern_consumer_t *payments)
{
    for (int served = 1;; served++) {
        int account = 0;
        int cents = 0;
        tern_msg_t *msg = tern_consumer_recv (payments, -1);
        if (!s_read (msg, &account, &cents)) {
            tern_consumer_reject (payments, msg);
        } else if (s_do_once (db, inbox, msg, account, cents)) {
            //  Only now.  Who dies before this line gets the message again.
            tern_consumer_accept (payments, msg);
        } else {
            tern_consumer_requeue (payments, msg);
        }
        if (served % 200 == 0) {
            printf ("%d served\n", served);
        }
    }
}

static int
s_print_row (void *arg, int count, char **values, char **names)
{
    (void) arg;
    (void) count;
    (void) names;
    printf ("%s payments, %s cents\n", values[0], values[1]);
    return 0;
}

int
main (int argc, char **argv)
{
    if (argc < 2) {
        fputs ("usage: bank DATABASE [total]\n", stderr);
        return 2;
    }
    setvbuf (stdout, NULL, _IOLBF, 0);
    sqlite3 *db = s_open_database (argv[1]);
    if (argc > 2) {
        sqlite3_exec (db, "SELECT sum (payments), sum (cents) FROM account",
                      s_print_row, NULL, NULL);
        sqlite3_close (db);
        return 0;
    }

    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *payments = NULL;
    tern_inbox_t *inbox = NULL;
    int rc = tern_inbox_open_sqlite (&inbox, db, why, sizeof why);
    if (!rc) {
        rc = tern_config_environment (config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_consumer_open (&payments, peer, "payments", NULL);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "bank: %s\n", why[0] ? why : tern_strerror (rc));
        return 1;
    }
    s_serve (db, inbox, payments);  //  until it is killed, at any moment
    return 0;
}
