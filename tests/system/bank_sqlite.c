//  tests/system/bank_sqlite.c - an application with an SQLite database
//
//  SPDX-License-Identifier: MPL-2.0

#include "bank.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bank {
    sqlite3 *db;
};

static const char *s_folder;

const char *
bank_begin_all (const char *folder)
{
    s_folder = folder;
    return NULL;
}

void
bank_end_all (void)
{
}

char *
bank_place (const char *name)
{
    const size_t size = strlen (s_folder) + strlen (name) + 5;
    char *place = malloc (size);
    assert_non_null (place);
    snprintf (place, size, "%s/%s.db", s_folder, name);
    return place;
}

bank_t *
bank_open (const char *place)
{
    bank_t *self = calloc (1, sizeof *self);
    assert_non_null (self);
    assert_int_equal (sqlite3_open (place, &self->db), SQLITE_OK);
    sqlite3_busy_timeout (self->db, 10000);
    bank_do (self, "PRAGMA journal_mode = WAL");
    bank_do (self, "PRAGMA synchronous = OFF");
    bank_do (self, "CREATE TABLE IF NOT EXISTS payment (what TEXT)");
    return self;
}

void
bank_close (bank_t **self_p)
{
    //  Not v2: whoever left a statement behind shall be found.
    assert_int_equal (sqlite3_close ((*self_p)->db), SQLITE_OK);
    free (*self_p);
    *self_p = NULL;
}

tern_inbox_t *
bank_inbox (bank_t *self)
{
    tern_inbox_t *inbox = NULL;
    char why[256] = "";
    if (tern_inbox_open_sqlite (&inbox, self->db, why, sizeof why)) {
        fail_msg ("inbox: %s", why);
    }
    return inbox;
}

int
bank_try_inbox (bank_t *self, char *why, size_t why_size)
{
    tern_inbox_t *inbox = NULL;
    const int rc = tern_inbox_open_sqlite (&inbox, self->db, why, why_size);
    assert_true (rc == TERN_OK || inbox == NULL);
    tern_inbox_close (&inbox);
    return rc;
}

void
bank_make_outbox (bank_t *self)
{
    char why[256] = "";
    if (tern_relay_create_sqlite (self->db, why, sizeof why)) {
        fail_msg ("outbox: %s", why);
    }
}

tern_relay_t *
bank_relay (const char *place, tern_peer_t *peer)
{
    tern_relay_t *relay = NULL;
    char why[256] = "";
    if (bank_try_relay (&relay, place, peer, why, sizeof why)) {
        fail_msg ("relay: %s", why);
    }
    return relay;
}

int
bank_try_relay (tern_relay_t **relay_p, const char *place, tern_peer_t *peer,
                char *why, size_t why_size)
{
    return tern_relay_open_sqlite (relay_p, peer, place, why, why_size);
}

int
bank_put (bank_t *self, const char *to, const tern_msg_t *msg)
{
    char why[256] = "";
    const int rc = tern_relay_put_sqlite (self->db, to, msg, why, sizeof why);
    assert_int_equal (rc != TERN_OK, why[0] != '\0');
    return rc;
}

void
bank_put_large (bank_t *self, const char *to, size_t size)
{
    char sql[200];
    snprintf (sql, sizeof sql,
              "INSERT INTO tern_outbox (place, body)"
              " VALUES ('%s', zeroblob (%zu))",
              to, size);
    bank_do (self, sql);
}

void
bank_do (bank_t *self, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec (self->db, sql, NULL, NULL, &error)) {
        fail_msg ("%s: %s", sql, error);
    }
}

bool
bank_try (bank_t *self, const char *sql)
{
    return sqlite3_exec (self->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

void
bank_begin (bank_t *self)
{
    bank_do (self, "BEGIN IMMEDIATE");
}

void
bank_commit (bank_t *self)
{
    bank_do (self, "COMMIT");
}

void
bank_rollback (bank_t *self)
{
    bank_do (self, "ROLLBACK");
}

void
bank_pay (bank_t *self, const char *text, size_t size)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal (sqlite3_prepare_v2 (self->db,
                                          "INSERT INTO payment VALUES (?1)", -1,
                                          &statement, NULL),
                      SQLITE_OK);
    sqlite3_bind_text (statement, 1, text, (int) size, SQLITE_STATIC);
    assert_int_equal (sqlite3_step (statement), SQLITE_DONE);
    sqlite3_finalize (statement);
}

int64_t
bank_number (bank_t *self, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal (sqlite3_prepare_v2 (self->db, sql, -1, &statement, NULL),
                      SQLITE_OK);
    assert_int_equal (sqlite3_step (statement), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64 (statement, 0);
    sqlite3_finalize (statement);
    return number;
}
