//  order.c - take orders; each is sent on if and only if it was committed
//
//      order DATABASE COUNT    go on until COUNT orders are in the database
//      order DATABASE list     show them
//
//  Every fifth customer changes his mind when all is written but COMMIT.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>
#include <tern/relay.h>

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sqlite3 *s_db;

static void
s_fail (const char *what)
{
    fprintf (stderr, "order: %s\n", what);
    exit (1);
}

static void
s_do (const char *sql, int (*row) (void *, int, char **, char **), void *arg)
{
    if (sqlite3_exec (s_db, sql, row, arg, NULL)) {
        s_fail (sqlite3_errmsg (s_db));
    }
}

static int
s_keep_number (void *arg, int count, char **values, char **names)
{
    (void) count;
    (void) names;
    *(long *) arg = strtol (values[0], NULL, 10);
    return 0;
}

static int
s_print_row (void *arg, int count, char **values, char **names)
{
    (void) arg;
    (void) count;
    (void) names;
    puts (values[0]);
    return 0;
}

//  The order and its message are one transaction.  Returns whether it took
//  place.
static bool
s_take_order (long number, bool changes_mind)
{
    char text[64];
    char sql[200];
    char why[256] = "";
    const int size = snprintf (text, sizeof text, "order %ld", number);
    snprintf (sql, sizeof sql, "INSERT INTO orders (text) VALUES ('%s')", text);
    tern_msg_t *msg = tern_msg_new (text, (size_t) size);

    s_do ("BEGIN IMMEDIATE", NULL, NULL);
    s_do (sql, NULL, NULL);
    if (tern_relay_put_sqlite (s_db, "invoices", msg, why, sizeof why)) {
        s_fail (why);
    }
    tern_msg_destroy (&msg);
    s_do (changes_mind ? "ROLLBACK" : "COMMIT", NULL, NULL);
    return !changes_mind;
}

//  All that was committed is in the peer's outbox; wait until it is processed.
static int
s_finish (tern_peer_t *peer, tern_relay_t *relay)
{
    char why[256] = "";
    tern_producer_t *invoices = NULL;
    int rc = tern_relay_wait (relay, -1);
    if (!rc) {
        rc = tern_producer_open (&invoices, peer, "invoices", why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_wait (invoices, tern_producer_last (invoices),
                                 TERN_PROCESSED, -1);
    }
    tern_producer_close (&invoices);
    return rc;
}

int
main (int argc, char **argv)
{
    if (argc < 3) {
        fputs ("usage: order DATABASE COUNT|list\n", stderr);
        return 2;
    }
    setvbuf (stdout, NULL, _IOLBF, 0);
    if (sqlite3_open (argv[1], &s_db)) {
        s_fail (sqlite3_errmsg (s_db));
    }
    sqlite3_busy_timeout (s_db, 5000);
    s_do ("PRAGMA journal_mode = WAL;"
          "CREATE TABLE IF NOT EXISTS orders (text TEXT)",
          NULL, NULL);
    if (strcmp (argv[2], "list") == 0) {
        s_do ("SELECT text FROM orders ORDER BY rowid", s_print_row, NULL);
        sqlite3_close (s_db);
        return 0;
    }

    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_relay_t *relay = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        //  A thread with a connection of its own.  What an earlier life has
        //  committed and not sent is sent now.
        rc = tern_relay_open_sqlite (&relay, peer, argv[1], why, sizeof why);
    }
    tern_config_destroy (&config);
    if (rc) {
        s_fail (why[0] ? why : tern_strerror (rc));
    }

    const long wanted = strtol (argv[2], NULL, 10);
    long taken = 0;
    s_do ("SELECT count(*) FROM orders", s_keep_number, &taken);
    for (int tried = 0; taken < wanted; tried++) {
        taken += s_take_order (taken + 1, tried % 5 == 4);
        if (tried % 100 == 99) {
            printf ("%ld orders\n", taken);
        }
    }
    rc = s_finish (peer, relay);
    tern_relay_close (&relay);
    tern_peer_close (&peer, 0);
    sqlite3_close (s_db);
    return rc ? 1 : 0;
}
