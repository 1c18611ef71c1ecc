//  sql/sqlite.h - a connection to an SQLite database
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SQL_SQLITE_H
#define TRN_SQL_SQLITE_H

#include "sql/db.h"

#include <sqlite3.h>

//  On the application's connection, which stays open.
trn_db_t *
trn_sqlite_borrow (sqlite3 *db);

//  On one of its own.  0 and *self_p, or NULL and one line in why.
int
trn_sqlite_open (trn_db_t **self_p, const char *path, char *why,
                 size_t why_size);

#endif
