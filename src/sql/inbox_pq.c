//  sql/inbox_pq.c - an inbox in PostgreSQL
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/inbox.h"
#include "sql/pq.h"

#include <assert.h>

int
tern_inbox_open_pq (tern_inbox_t **self_p, struct pg_conn *connection,
                    char *why, size_t why_size)
{
    assert (self_p && connection);
    return trn_inbox_open (self_p, trn_pq_borrow (connection), why, why_size);
}
