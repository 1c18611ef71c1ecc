//  cli/route.c - publishing to an exchange
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/route.h"
#include "cli/binding.h"
#include "cli/say.h"
#include "cli/stop.h"

#include <stdlib.h>
#include <string.h>

//  So long the bindings may take to come.
#define LEARN_MS 2000

//  Queues of one message that are counted; nobody reads more names.
#define NUMBERS_MAX 1024

//  Opening -------------------------------------------------------------------

//  The type of the bindings that this peer knows.

static bool
s_find_type (const cli_route_t *self, tern_peer_t *peer,
             tern_exchange_type_t *type_p)
{
    tern_binding_t binding;
    for (size_t index = 0; tern_peer_binding_at (peer, index, &binding);
         index++) {
        if (strcmp (binding.exchange, self->exchange) == 0) {
            *type_p = binding.type;
            return true;
        }
    }
    return false;
}

static int
s_learn_type (const cli_route_t *self, tern_peer_t *peer, uint64_t timeout_ms,
              tern_exchange_type_t *type_p)
{
    //  What was bound a moment ago shall count.  Without a directory, what is
    //  known from earlier has to do.
    const int rc = cli_binding_learn (peer, timeout_ms < LEARN_MS ? timeout_ms
                                                                  : LEARN_MS);
    (void) rc;
    if (cli_stop_asked ()) {
        return CLI_FAILED;
    }
    if (self->type) {
        return cli_type_read (type_p, self->type);
    }
    return s_find_type (self, peer, type_p)
               ? CLI_DONE
               : cli_fail (CLI_FAILED,
                           "%s: no queue is bound to this exchange; nothing "
                           "was sent",
                           self->exchange);
}

int
cli_route_open (cli_route_t *self, tern_producer_t **producer_p,
                tern_peer_t *peer, uint64_t timeout_ms)
{
    tern_exchange_type_t type = TERN_DIRECT;
    const int code = s_learn_type (self, peer, timeout_ms, &type);
    if (code != CLI_DONE) {
        return code;
    }
    char why[256] = "";
    const int rc = tern_producer_open_exchange (
        producer_p, peer, self->exchange, type, NULL, why, sizeof why);
    self->producer = *producer_p;
    return rc ? cli_fail_tern (rc, self->exchange, why) : CLI_DONE;
}

void
cli_route_free (cli_route_t *self)
{
    free (self->copies);
    self->copies = NULL;
}

//  Sending -------------------------------------------------------------------

static void
s_count (cli_route_t *self, uint32_t number)
{
    if (number >= self->capacity) {
        const size_t capacity = (size_t) number * 2 + 16;
        self->copies = realloc (self->copies, capacity * sizeof *self->copies);
        if (!self->copies) {
            abort ();
        }
        memset (self->copies + self->capacity, 0,
                (capacity - self->capacity) * sizeof *self->copies);
        self->capacity = capacity;
    }
    self->queues += self->copies[number] == 0;
    self->copies[number]++;
}

int
cli_route_send (cli_route_t *self, const tern_msg_t *msg, int timeout_ms,
                uint64_t *seq_p)
{
    uint32_t numbers[NUMBERS_MAX];
    size_t count = 0;
    const int rc = tern_producer_send_routed (
        self->producer, msg, timeout_ms, seq_p, numbers, NUMBERS_MAX, &count);
    for (size_t index = 0;
         rc == TERN_OK && index < count && index < NUMBERS_MAX; index++) {
        s_count (self, numbers[index]);
    }
    return rc;
}

void
cli_route_json (const cli_route_t *self, cli_json_t *json)
{
    char name[65];
    cli_json_text (json, "exchange", self->exchange);
    cli_json_open (json, "queues", '[');
    for (size_t number = 0; number < self->capacity; number++) {
        if (self->copies[number] > 0
            && tern_producer_queue_name (self->producer, (uint32_t) number,
                                         name, sizeof name)) {
            cli_json_open (json, NULL, '{');
            cli_json_text (json, "queue", name);
            cli_json_count (json, "sent", self->copies[number]);
            cli_json_close (json);
        }
    }
    cli_json_close (json);
}
