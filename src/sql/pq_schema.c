//  sql/pq_schema.c - the tables in a PostgreSQL database
//
//  Names are compared as bytes (COLLATE "C"), as Tern does.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/pq_schema.h"

#include <stddef.h>

const char *const trn_pq_inbox_schema[] = {
    "CREATE TABLE tern_inbox_stream ("
    " id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " store BYTEA NOT NULL,"
    " outbox TEXT COLLATE \"C\" NOT NULL,"
    " queue TEXT COLLATE \"C\" NOT NULL,"
    " low BIGINT NOT NULL,"
    " UNIQUE (store, outbox, queue));"
    "CREATE TABLE tern_inbox ("
    " stream BIGINT NOT NULL,"
    " seq BIGINT NOT NULL,"
    " kept BIGINT NOT NULL,"
    " PRIMARY KEY (stream, seq))",
    NULL,
};

//  A sequence gives numbers in the order of asking, transactions are committed
//  in another.  The trigger makes both the same: whoever puts a row holds a
//  lock until his transaction is over, and only then the next number is given
//  out.  Since the lock is taken wherever a row is inserted, nobody can forget
//  it.  It is one for all places: with one each, two transactions could wait
//  for each other.
const char *const trn_pq_relay_schema[] = {
    "CREATE TABLE tern_outbox ("
    " id BIGINT PRIMARY KEY,"
    " place TEXT COLLATE \"C\" NOT NULL,"
    " body BYTEA NOT NULL,"
    " key BYTEA,"
    " headers BYTEA,"
    " priority BIGINT NOT NULL DEFAULT 0,"
    " ttl_ms BIGINT NOT NULL DEFAULT 0,"
    " delay_ms BIGINT NOT NULL DEFAULT 0,"
    " order_key BYTEA,"
    " reply_to BYTEA,"
    " correlation BYTEA,"
    " refused TEXT);"
    "CREATE INDEX tern_outbox_next ON tern_outbox (place, id)"
    " WHERE refused IS NULL;"
    "CREATE SEQUENCE tern_outbox_number OWNED BY tern_outbox.id;"
    "CREATE FUNCTION tern_outbox_number () RETURNS trigger AS $$ BEGIN"
    " PERFORM pg_advisory_xact_lock (1952805486, TG_RELID::int4);"
    " NEW.id := nextval ((quote_ident (TG_TABLE_SCHEMA)"
    " || '.tern_outbox_number')::regclass);"
    " PERFORM pg_notify ('tern_outbox', '');"
    " RETURN NEW;"
    " END $$ LANGUAGE plpgsql;"
    "CREATE TRIGGER tern_outbox_number BEFORE INSERT ON tern_outbox"
    " FOR EACH ROW EXECUTE FUNCTION tern_outbox_number ();"
    "CREATE TABLE tern_outbox_place ("
    " place TEXT COLLATE \"C\" PRIMARY KEY,"
    " claimed BIGINT NOT NULL,"
    " shipped BIGINT NOT NULL);"
    "CREATE TABLE tern_outbox_owner ("
    " id TEXT PRIMARY KEY,"
    " store TEXT NOT NULL)",
    NULL,
};
