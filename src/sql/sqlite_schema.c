//  sql/sqlite_schema.c - the tables in an SQLite database
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/sqlite_schema.h"

#include <stddef.h>

const char *const trn_sqlite_inbox_schema[] = {
    "CREATE TABLE tern_inbox_stream ("
    " id INTEGER PRIMARY KEY,"
    " store BLOB NOT NULL,"
    " outbox TEXT NOT NULL,"
    " queue TEXT NOT NULL,"
    " low INTEGER NOT NULL,"
    " UNIQUE (store, outbox, queue));"
    "CREATE TABLE tern_inbox ("
    " stream INTEGER NOT NULL,"
    " seq INTEGER NOT NULL,"
    " kept INTEGER NOT NULL,"
    " PRIMARY KEY (stream, seq)) WITHOUT ROWID",
    NULL,
};
