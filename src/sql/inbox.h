//  sql/inbox.h - an inbox on any database
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SQL_INBOX_H
#define TRN_SQL_INBOX_H

#include "sql/db.h"

#include <tern/inbox.h>

//  Takes the connection, if that works or not.
int
trn_inbox_open (tern_inbox_t **self_p, trn_db_t *db, char *why,
                size_t why_size);

#endif
