//  sql/relay_pq.c - a relay of a PostgreSQL database
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/relay.h"
#include "sql/pq.h"

#include <assert.h>

int
tern_relay_create_pq (struct pg_conn *connection, char *why, size_t why_size)
{
    assert (connection);
    return trn_relay_create (trn_pq_borrow (connection), why, why_size);
}

int
tern_relay_put_pq (struct pg_conn *connection, const char *place,
                   const tern_msg_t *msg, char *why, size_t why_size)
{
    assert (connection && place && msg);
    return trn_relay_put (trn_pq_borrow (connection), place, msg, why,
                          why_size);
}

int
tern_relay_open_pq (tern_relay_t **self_p, tern_peer_t *peer,
                    const char *conninfo, char *why, size_t why_size)
{
    assert (self_p && peer && conninfo);
    return trn_relay_open (self_p, peer, trn_pq_open, conninfo, why, why_size);
}
