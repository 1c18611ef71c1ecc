//  sql/relay.h - a relay on any database
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SQL_RELAY_H
#define TRN_SQL_RELAY_H

#include "sql/db.h"

#include <tern/relay.h>

#include <stdatomic.h>

//  Open a connection of the relay's own.
typedef int
trn_relay_connect_fn (trn_db_t **db_p, const char *where, char *why,
                      size_t why_size);

int
trn_relay_open (tern_relay_t **self_p, tern_peer_t *peer,
                trn_relay_connect_fn *connect, const char *where, char *why,
                size_t why_size);

//  These take the connection, if they work or not.
int
trn_relay_create (trn_db_t *db, char *why, size_t why_size);

int
trn_relay_put (trn_db_t *db, const char *place, const tern_msg_t *msg,
               char *why, size_t why_size);

//  One place ---------------------------------------------------------------

//  The rows of one place on their way to one outbox.
typedef struct trn_line trn_line_t;

struct trn_line {
    trn_line_t *next;
    char *place;
    tern_producer_t *producer;
    bool waiting;      //  has rows, as of the last look
    bool checked;      //  database and outbox fit together
    int64_t claimed;   //  no row above was ever sent; durable
    int64_t shipped;   //  all rows up to here were synced; durable
    int64_t retry_at;  //  not before; milliseconds, monotonic
    int pause_ms;      //  before the next retry
    int error;         //  why it does not go on, or 0
    char why[TRN_WHY_SIZE];
};

//  A place is a queue, or "TYPE#NAME", an exchange.
typedef struct {
    const char *name;
    size_t size;
    int type;  //  tern_exchange_type_t, or 0: a queue
} trn_place_t;

//  Take a place apart; false if it cannot be one.
bool
trn_place_read (trn_place_t *self, const char *place);

trn_line_t *
trn_line_new (const char *place, size_t size);

void
trn_line_destroy (trn_line_t **self_p);

typedef struct {
    uint64_t shipped, refused;
} trn_shipped_t;

//  Ship the next rows, at most a few hundred.  0 and what was done; or what
//  failed, with why set in db: the database (it is the caller's to see to), or
//  the line, whose error is set then.  Waits no longer when *stopped is true.
int
trn_line_ship (trn_line_t *self, trn_db_t *db, tern_peer_t *peer,
               atomic_bool *stopped, trn_shipped_t *done);

//  Rows as messages --------------------------------------------------------

#define TRN_ROW_COLUMNS                                                        \
    "id, key, headers, body, priority, ttl_ms, delay_ms, order_key, reply_to," \
    " correlation"

//  The message of a row of these columns; NULL and one line in reason if there
//  can be none.  The caller owns it.
tern_msg_t *
trn_row_message (const trn_sql_value_t *columns, char reason[TRN_WHY_SIZE]);

#endif
