//  sql/pq.h - a connection to a PostgreSQL server
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SQL_PQ_H
#define TRN_SQL_PQ_H

#include "sql/db.h"

#include <libpq-fe.h>

//  On the application's connection, which stays open.
trn_db_t *
trn_pq_borrow (PGconn *connection);

//  On one of its own, which hears when rows are put into the outbox.  0 and
//  *self_p, or NULL and one line in why.
int
trn_pq_open (trn_db_t **self_p, const char *conninfo, char *why,
             size_t why_size);

#endif
