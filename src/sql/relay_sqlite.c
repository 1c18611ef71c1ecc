//  sql/relay_sqlite.c - a relay of an SQLite database
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/relay.h"
#include "sql/sqlite.h"

#include <assert.h>

int
tern_relay_create_sqlite (struct sqlite3 *db, char *why, size_t why_size)
{
    assert (db);
    return trn_relay_create (trn_sqlite_borrow (db), why, why_size);
}

int
tern_relay_put_sqlite (struct sqlite3 *db, const char *place,
                       const tern_msg_t *msg, char *why, size_t why_size)
{
    assert (db && place && msg);
    return trn_relay_put (trn_sqlite_borrow (db), place, msg, why, why_size);
}

int
tern_relay_open_sqlite (tern_relay_t **self_p, tern_peer_t *peer,
                        const char *path, char *why, size_t why_size)
{
    assert (self_p && peer && path);
    return trn_relay_open (self_p, peer, trn_sqlite_open, path, why, why_size);
}
