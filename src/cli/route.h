//  cli/route.h - publishing to an exchange
//
//  Opens its producer, of the type that its bindings have unless one is given,
//  and counts which queues got how much.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_ROUTE_H
#define CLI_ROUTE_H

#include "cli/json.h"
#include "cli/options.h"

typedef struct {
    const char *exchange;  //  NULL: a queue is published to
    const char *type;      //  --type, or NULL

    tern_producer_t *producer;  //  borrowed
    uint64_t *copies;           //  by number of the queue
    size_t capacity;
    size_t queues;  //  that got any
} cli_route_t;

//  CLI_DONE, or the exit code with one line said.  Waits for the bindings up to
//  timeout_ms.  The caller owns *producer_p.
int
cli_route_open (cli_route_t *self, tern_producer_t **producer_p,
                tern_peer_t *peer, uint64_t timeout_ms);

void
cli_route_free (cli_route_t *self);

//  Send once; as tern_producer_send_msg ().
int
cli_route_send (cli_route_t *self, const tern_msg_t *msg, int timeout_ms,
                uint64_t *seq_p);

//  The members "exchange" and "queues" of an object that is open.
void
cli_route_json (const cli_route_t *self, cli_json_t *json);

#endif
