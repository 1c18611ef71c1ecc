//  sql/inbox_sqlite.c - an inbox in SQLite
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/inbox.h"
#include "sql/sqlite.h"

#include <assert.h>

int
tern_inbox_open_sqlite (tern_inbox_t **self_p, struct sqlite3 *db, char *why,
                        size_t why_size)
{
    assert (self_p && db);
    return trn_inbox_open (self_p, trn_sqlite_borrow (db), why, why_size);
}
