//  sql/sqlite.c - a connection to an SQLite database
//
//  Statements are prepared once and kept, by the address of their text.  They
//  are reset at once after use: one that is not holds a lock.
//
//  A connection of its own shares the file with the application's.  It waits a
//  quarter of a second for a lock, then says TERN_EAGAIN and its user backs
//  off.  It syncs each commit, and with it the commits before it: with a
//  write-ahead log that is what makes those of an application durable that
//  does not sync its own.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/sqlite.h"
#include "sql/sqlite_schema.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENTS_MAX 24
#define LOCK_WAIT_MS 250

typedef struct {
    trn_db_t base;
    sqlite3 *db;
    bool owned;
    const char *texts[STATEMENTS_MAX];
    sqlite3_stmt *statements[STATEMENTS_MAX];
    size_t count;
    int64_t data_version;  //  that wait () saw last
    int pause_ms;          //  between two looks, now
} s_sqlite_t;

//  Errors ------------------------------------------------------------------

static int
s_error (int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT: return TERN_EAGAIN;
    case SQLITE_FULL: return TERN_EFULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return TERN_ECORRUPT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN: return TERN_EACCESS;
    case SQLITE_NOMEM: return TERN_ENOMEM;
    case SQLITE_TOOBIG: return TERN_ETOOBIG;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_MISUSE:
    case SQLITE_RANGE: return TERN_EINVAL;
    default: return TERN_EIO;
    }
}

static int
s_fail (s_sqlite_t *self, int code)
{
    const char *text = sqlite3_errmsg (self->db);
    //  SQLite has no code of its own for a table that is not there.
    const int rc = code == SQLITE_ERROR && strstr (text, "no such table")
                       ? TERN_ENOENT
                       : s_error (code);
    return trn_db_fail (&self->base, rc, "sqlite: %s", text);
}

//  Statements --------------------------------------------------------------

static int
s_prepare (s_sqlite_t *self, const char *sql, sqlite3_stmt **statement_p)
{
    for (size_t index = 0; index < self->count; index++) {
        if (self->texts[index] == sql) {
            *statement_p = self->statements[index];
            return TERN_OK;
        }
    }
    assert (self->count < STATEMENTS_MAX);
    const int code = sqlite3_prepare_v3 (
        self->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement_p, NULL);
    if (code != SQLITE_OK) {
        return s_fail (self, code);
    }
    self->texts[self->count] = sql;
    self->statements[self->count++] = *statement_p;
    return TERN_OK;
}

static void
s_forget_statements (s_sqlite_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        sqlite3_finalize (self->statements[index]);
    }
    self->count = 0;
}

//  Values are borrowed until the statement is reset.
static int
s_bind (sqlite3_stmt *statement, size_t number, const trn_sql_value_t *value)
{
    char name[24];
    snprintf (name, sizeof name, "$%zu", number);
    const int index = sqlite3_bind_parameter_index (statement, name);
    if (index == 0) {
        return SQLITE_OK;  //  this statement does not ask for it
    }
    const void *at = value->at ? value->at : "";
    switch (value->kind) {
    case TRN_SQL_NUMBER:
        return sqlite3_bind_int64 (statement, index, value->number);
    case TRN_SQL_TEXT:
        return sqlite3_bind_text64 (statement, index, at, value->size,
                                    SQLITE_STATIC, SQLITE_UTF8);
    case TRN_SQL_BYTES:
        return sqlite3_bind_blob64 (statement, index, at, value->size,
                                    SQLITE_STATIC);
    case TRN_SQL_NULL: return sqlite3_bind_null (statement, index);
    }
    return SQLITE_MISUSE;
}

static trn_sql_value_t
s_column (sqlite3_stmt *statement, int index)
{
    trn_sql_value_t value = {.kind = TRN_SQL_NULL};
    switch (sqlite3_column_type (statement, index)) {
    case SQLITE_INTEGER:
    case SQLITE_FLOAT:
        value.kind = TRN_SQL_NUMBER;
        value.number = sqlite3_column_int64 (statement, index);
        break;
    case SQLITE_NULL: break;
    default:
        value.kind = TRN_SQL_BYTES;
        value.at = sqlite3_column_blob (statement, index);
        value.size = (size_t) sqlite3_column_bytes (statement, index);
        break;
    }
    return value;
}

//  Hand over rows until there is none, or none is wanted.
static int
s_step (const trn_sql_t *statement, sqlite3_stmt *prepared)
{
    for (;;) {
        const int code = sqlite3_step (prepared);
        if (code != SQLITE_ROW) {
            return code;
        }
        trn_sql_value_t columns[TRN_SQL_COLUMNS_MAX] = {{0}};
        const int count = sqlite3_column_count (prepared);
        assert (count <= TRN_SQL_COLUMNS_MAX);
        for (int index = 0; index < count; index++) {
            columns[index] = s_column (prepared, index);
        }
        if (statement->row && !statement->row (statement->arg, columns)) {
            return SQLITE_DONE;
        }
    }
}

static int
s_run (trn_db_t *base, const trn_sql_t *statement)
{
    s_sqlite_t *self = (s_sqlite_t *) base;
    sqlite3_stmt *prepared = NULL;
    const int rc = s_prepare (self, statement->sql, &prepared);
    if (rc != TERN_OK) {
        return rc;
    }
    int code = SQLITE_OK;
    for (size_t index = 0; index < statement->count && code == SQLITE_OK;
         index++) {
        code = s_bind (prepared, index + 1, &statement->values[index]);
    }
    if (code == SQLITE_OK) {
        code = s_step (statement, prepared);
    }
    int result = TERN_OK;
    if (code != SQLITE_DONE) {
        result = s_fail (self, code);
    } else if (statement->changed_p) {
        *statement->changed_p = sqlite3_changes64 (self->db);
    }
    sqlite3_reset (prepared);
    sqlite3_clear_bindings (prepared);
    return result;
}

static int
s_script (trn_db_t *base, const char *script)
{
    s_sqlite_t *self = (s_sqlite_t *) base;
    const int code = sqlite3_exec (self->db, script, NULL, NULL, NULL);
    return code == SQLITE_OK ? TERN_OK : s_fail (self, code);
}

static bool
s_in_transaction (trn_db_t *base)
{
    return sqlite3_get_autocommit (((s_sqlite_t *) base)->db) == 0;
}

//  Waiting -----------------------------------------------------------------

//  SQLite calls nobody.  Whether another connection has committed is a number
//  that costs a few microseconds to read: look often after something has
//  happened, and seldom when nothing has for a while.
#define PAUSE_MIN_MS 2
#define PAUSE_MAX_MS 200

static bool
s_has_changed (s_sqlite_t *self)
{
    int64_t version = 0;
    if (trn_db_number (&self->base, "PRAGMA data_version", NULL, 0, 0, &version)
            == TERN_OK
        && version == self->data_version) {
        return false;
    }
    self->data_version = version;
    return true;
}

static void
s_wait (trn_db_t *base, int wake_fd, int timeout_ms)
{
    s_sqlite_t *self = (s_sqlite_t *) base;
    struct pollfd item = {.fd = wake_fd, .events = POLLIN};
    if (s_has_changed (self)) {
        self->pause_ms = PAUSE_MIN_MS;
        return;  //  since the last wait: its user may not have seen it
    }
    for (int slept_ms = 0; slept_ms < timeout_ms;) {
        const int left_ms = timeout_ms - slept_ms;
        const int pause_ms
            = self->pause_ms < left_ms ? self->pause_ms : left_ms;
        if (poll (&item, 1, pause_ms) != 0 || s_has_changed (self)) {
            self->pause_ms = PAUSE_MIN_MS;
            return;
        }
        slept_ms += pause_ms;
        self->pause_ms = self->pause_ms * 3 / 2;
        if (self->pause_ms > PAUSE_MAX_MS) {
            self->pause_ms = PAUSE_MAX_MS;
        }
    }
}

//  Opening -----------------------------------------------------------------

static void
s_close (trn_db_t **self_p)
{
    s_sqlite_t *self = (s_sqlite_t *) *self_p;
    s_forget_statements (self);
    if (self->owned) {
        sqlite3_close_v2 (self->db);
    }
    free (self);
    *self_p = NULL;
}

static const trn_db_kind_t s_kind = {
    .run = s_run,
    .script = s_script,
    .in_transaction = s_in_transaction,
    .wait = s_wait,
    .close = s_close,
    .begin_write = "BEGIN IMMEDIATE",
    .begin_schema = "BEGIN IMMEDIATE",
    .wait_ms = 60000,
    .inbox_schema = trn_sqlite_inbox_schema,
    .relay_schema = trn_sqlite_relay_schema,
    .relay_bind = "INSERT INTO tern_outbox_owner (id, store)"
                  " SELECT HEX (RANDOMBLOB (16)), $1"
                  " WHERE NOT EXISTS (SELECT 1 FROM tern_outbox_owner)",
    .inbox_look = "SELECT id, low, 0 FROM tern_inbox_stream"
                  " WHERE store = $1 AND outbox = $2 AND queue = $3",
    .inbox_raise = "UPDATE tern_inbox_stream SET low = $2"
                   " WHERE id = $1 AND low < $2",
};

static s_sqlite_t *
s_new (sqlite3 *db, bool owned)
{
    s_sqlite_t *self = trn_sql_alloc (sizeof *self);
    self->base.kind = &s_kind;
    self->db = db;
    self->owned = owned;
    self->pause_ms = PAUSE_MIN_MS;
    return self;
}

trn_db_t *
trn_sqlite_borrow (sqlite3 *db)
{
    assert (db);
    return &s_new (db, false)->base;
}

int
trn_sqlite_open (trn_db_t **self_p, const char *path, char *why,
                 size_t why_size)
{
    *self_p = NULL;
    sqlite3 *db = NULL;
    const int code = sqlite3_open_v2 (
        path, &db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    s_sqlite_t *self = s_new (db, true);
    int rc = code == SQLITE_OK ? TERN_OK : s_fail (self, code);
    if (rc == TERN_OK) {
        sqlite3_busy_timeout (db, LOCK_WAIT_MS);
        rc = s_script (&self->base, "PRAGMA synchronous = FULL");
    }
    trn_db_t *base = &self->base;
    trn_db_tell (base, rc, why, why_size);
    if (rc != TERN_OK) {
        s_close (&base);
        return rc;
    }
    *self_p = base;
    return TERN_OK;
}
