//  tests/system/doom_sqlite.c - the steps of SQLite that can be the last
//
//  SPDX-License-Identifier: MPL-2.0

#include "doom.h"

#include <sqlite3.h>

int
__real_sqlite3_step (sqlite3_stmt *statement);

int
__wrap_sqlite3_step (sqlite3_stmt *statement);

int
__real_sqlite3_exec (sqlite3 *db, const char *sql,
                     int (*row) (void *, int, char **, char **), void *arg,
                     char **error);

int
__wrap_sqlite3_exec (sqlite3 *db, const char *sql,
                     int (*row) (void *, int, char **, char **), void *arg,
                     char **error);

int
__wrap_sqlite3_step (sqlite3_stmt *statement)
{
    doom ();
    if (doom_fails ()) {
        return SQLITE_FULL;
    }
    const int rc = __real_sqlite3_step (statement);
    doom ();
    return rc;
}

int
__wrap_sqlite3_exec (sqlite3 *db, const char *sql,
                     int (*row) (void *, int, char **, char **), void *arg,
                     char **error)
{
    doom ();
    if (doom_fails ()) {
        return SQLITE_FULL;
    }
    const int rc = __real_sqlite3_exec (db, sql, row, arg, error);
    doom ();
    return rc;
}
