//  sql/db.c - what is common to all databases
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/db.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *
trn_sql_alloc (size_t size)
{
    void *memory = calloc (1, size);
    if (!memory) {
        fputs ("tern: no memory\n", stderr);
        abort ();
    }
    return memory;
}

trn_sql_value_t
trn_sql_number (int64_t number)
{
    return (trn_sql_value_t) {.kind = TRN_SQL_NUMBER, .number = number};
}

trn_sql_value_t
trn_sql_text (const char *text)
{
    return (trn_sql_value_t) {
        .kind = TRN_SQL_TEXT, .at = text, .size = strlen (text)};
}

trn_sql_value_t
trn_sql_bytes (const void *bytes, size_t size)
{
    return (trn_sql_value_t) {.kind = bytes ? TRN_SQL_BYTES : TRN_SQL_NULL,
                              .at = bytes,
                              .size = size};
}

int
trn_db_fail (trn_db_t *self, int rc, const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (self->why, sizeof self->why, format, arguments);
    va_end (arguments);
    //  What a server says may have several lines.
    const size_t line = strcspn (self->why, "\r\n");
    self->why[line] = '\0';
    return rc;
}

int
trn_db_tell (const trn_db_t *self, int rc, char *why, size_t why_size)
{
    if (why && why_size) {
        snprintf (why, why_size, "%s", rc < 0 ? self->why : "");
    }
    return rc;
}

int
trn_db_do (trn_db_t *self, const char *sql, const trn_sql_value_t *values,
           size_t count)
{
    const trn_sql_t statement = {.sql = sql, .values = values, .count = count};
    return self->kind->run (self, &statement);
}

static bool
s_keep_number (void *arg, const trn_sql_value_t *columns)
{
    int64_t *number = arg;
    *number = columns[0].number;
    return false;
}

int
trn_db_number (trn_db_t *self, const char *sql, const trn_sql_value_t *values,
               size_t count, int64_t fallback, int64_t *number_p)
{
    *number_p = fallback;
    const trn_sql_t statement = {.sql = sql,
                                 .values = values,
                                 .count = count,
                                 .row = s_keep_number,
                                 .arg = number_p};
    return self->kind->run (self, &statement);
}

int
trn_db_end (trn_db_t *self, int rc)
{
    if (rc == TERN_OK) {
        rc = trn_db_do (self, "COMMIT", NULL, 0);
    }
    if (rc != TERN_OK && self->kind->in_transaction (self)) {
        //  The first failure is the one to tell.
        char why[TRN_WHY_SIZE];
        memcpy (why, self->why, sizeof why);
        const int undone = self->kind->script (self, "ROLLBACK");
        (void) undone;  //  without a connection it is undone as well
        memcpy (self->why, why, sizeof why);
    }
    return rc;
}

//  Tables ------------------------------------------------------------------

static int
s_version (trn_db_t *self, const char *part, int64_t *version_p)
{
    const trn_sql_value_t values[1] = {trn_sql_text (part)};
    return trn_db_number (self,
                          "SELECT version FROM tern_schema WHERE part = $1",
                          values, 1, 0, version_p);
}

static int
s_upgrade (trn_db_t *self, const char *part, const char *const *scripts,
           int64_t latest)
{
    int64_t version = 0;
    int rc = self->kind->script (
        self, "CREATE TABLE IF NOT EXISTS tern_schema ("
              " part TEXT PRIMARY KEY, version BIGINT NOT NULL)");
    if (rc == TERN_OK) {
        rc = s_version (self, part, &version);
    }
    for (; rc == TERN_OK && version < latest; version++) {
        rc = self->kind->script (self, scripts[version]);
    }
    if (rc == TERN_OK) {
        const trn_sql_value_t values[2]
            = {trn_sql_text (part), trn_sql_number (version)};
        rc = trn_db_do (self,
                        "INSERT INTO tern_schema (part, version)"
                        " VALUES ($1, $2) ON CONFLICT (part)"
                        " DO UPDATE SET version = $2",
                        values, 2);
    }
    return rc;
}

int
trn_db_schema (trn_db_t *self, const char *part, const char *const *scripts)
{
    assert (self && part && scripts);
    if (self->kind->in_transaction (self)) {
        return trn_db_fail (self, TERN_EINVAL, "a transaction is open");
    }
    int64_t latest = 0;
    while (scripts[latest]) {
        latest++;
    }
    //  In most lives all is there: then nothing is written, and no right to
    //  create tables is needed.
    int64_t version = 0;
    int rc = s_version (self, part, &version);
    if (rc != TERN_OK && rc != TERN_ENOENT) {
        return rc;
    }
    if (version > latest) {
        return trn_db_fail (self, TERN_EVERSION,
                            "tables of version %d, this Tern knows %d",
                            (int) version, (int) latest);
    }
    if (rc == TERN_OK && version == latest) {
        return TERN_OK;
    }
    rc = self->kind->script (self, self->kind->begin_schema);
    if (rc == TERN_OK) {
        rc = s_upgrade (self, part, scripts, latest);
    }
    return trn_db_end (self, rc);
}
