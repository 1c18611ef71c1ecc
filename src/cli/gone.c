//  cli/gone.c - the stores of publishers that are gone, opened for a while
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/gone.h"
#include "cli/format.h"
#include "cli/say.h"
#include "cli/seat.h"
#include "cli/stop.h"
#include "cli/stores.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  So long settlements may be on their way.
#define SETTLE_MS 5000
#define TICK_MS 5

//  Does anything wait in this outbox of the store?  Damage is for who opens it.

static bool
s_has_waiting (const char *path, const char *outbox)
{
    tern_store_t *store = NULL;
    if (tern_store_open (&store, path, NULL, 0)) {
        return false;
    }
    tern_outbox_info_t info;
    const bool waiting
        = tern_store_verify (store, outbox, &info) == TERN_OK
          && (info.waiting > 0 || info.health == TERN_OUTBOX_CORRUPT);
    tern_store_close (&store);
    return waiting;
}

void
cli_gone_open (cli_gone_t *self, const cli_common_t *common, const char *outbox)
{
    *self = (cli_gone_t) {.outbox = outbox};
    char root[4096];
    cli_stores_t stores = {0};
    if (!cli_stores_root (root, sizeof root)
        || cli_stores_find (&stores, root) != CLI_DONE) {
        return;
    }
    for (size_t index = 0; index < stores.count && !cli_stop_asked ();
         index++) {
        if (!s_has_waiting (stores.paths[index], outbox)) {
            continue;
        }
        if (self->count == CLI_GONE_MAX) {
            cli_note ("%s and others were left alone; see tern drain",
                      stores.paths[index]);
            break;
        }
        if (cli_seat_adopt (&self->peers[self->count], common,
                            stores.paths[index])
            == CLI_DONE) {
            self->count++;
        }
    }
    cli_stores_free (&stores);
}

//  Messages of the outbox that some consumer holds.

static uint64_t
s_in_flight (const cli_gone_t *self, tern_peer_t *peer)
{
    uint64_t in_flight = 0;
    const size_t count = tern_peer_stats (peer, NULL, 0);
    tern_stats_t *rows = calloc (count + 1, sizeof *rows);
    if (!rows) {
        abort ();
    }
    tern_peer_stats (peer, rows, count);
    for (size_t index = 0; index < count; index++) {
        if (rows[index].role == TERN_ROLE_PUBLISHER
            && strcmp (rows[index].queue, self->outbox) == 0) {
            in_flight += rows[index].in_flight;
        }
    }
    free (rows);
    return in_flight;
}

void
cli_gone_close (cli_gone_t *self)
{
    const int64_t until_ms = cli_clock_ms () + SETTLE_MS;
    for (size_t index = 0; index < self->count; index++) {
        while (s_in_flight (self, self->peers[index]) > 0
               && cli_clock_ms () < until_ms) {
            cli_stop_wait (-1, TICK_MS);
        }
        tern_peer_close (&self->peers[index], 0);
    }
    self->count = 0;
}
