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

//  Texts may be BLOB too: that is what the affinity of TEXT allows, and numbers
//  become what they look like.
const char *const trn_sqlite_relay_schema[] = {
    "CREATE TABLE tern_outbox ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " place TEXT NOT NULL,"
    " body TEXT NOT NULL,"
    " key TEXT,"
    " headers TEXT,"
    " priority INTEGER NOT NULL DEFAULT 0,"
    " ttl_ms INTEGER NOT NULL DEFAULT 0,"
    " delay_ms INTEGER NOT NULL DEFAULT 0,"
    " order_key TEXT,"
    " reply_to TEXT,"
    " correlation TEXT,"
    " refused TEXT);"
    "CREATE INDEX tern_outbox_next ON tern_outbox (place, id)"
    " WHERE refused IS NULL;"
    "CREATE TABLE tern_outbox_place ("
    " place TEXT PRIMARY KEY,"
    " claimed INTEGER NOT NULL,"
    " shipped INTEGER NOT NULL);"
    "CREATE TABLE tern_outbox_owner ("
    " id TEXT PRIMARY KEY,"
    " store TEXT NOT NULL)",
    NULL,
};
