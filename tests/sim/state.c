//  sim/state.c - would the next life understand what this one saves?
//
//  Knows: a state that was just made, read at once by an engine of its own.  It
//  must take it, know the same messages for settled, and say the same again.  A
//  queue whose past is not kept yet is in no state, but what waits for it stays.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/peer.h"

#include "base/memory.h"
#include "support/no_runs.h"

#include <tern/error.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int
s_read (const sim_outbox_t *outbox, trn_engine_t *reader, trn_outbox_id_t *id_p)
{
    const bool routed = outbox->exchange != TRN_EXCHANGE_FANOUT;
    return outbox->exchange
               ? trn_engine_add_exchange (
                   reader, outbox->queue, routed, outbox->appended, NULL, true,
                   outbox->state, outbox->state_size, id_p)
               : trn_engine_add_outbox (
                   reader, outbox->queue, outbox->queue, outbox->appended, NULL,
                   true, outbox->state, outbox->state_size, id_p);
}

static bool
s_is_low (const sim_outbox_t *outbox, uint64_t low)
{
    bool withheld = false;
    for (unsigned index = 0; index < outbox->branch_count; index++) {
        withheld = withheld || outbox->branches[index].withheld;
    }
    return withheld ? low >= outbox->state_low : low == outbox->state_low;
}

static void
s_compare (const sim_outbox_t *outbox, trn_engine_t *reader, trn_outbox_id_t id)
{
    const sim_peer_t *peer = outbox->peer;
    uint8_t *again = trn_alloc (TRN_LOG_STATE_MAX);
    uint64_t low;
    uint64_t stamp;
    const size_t size = trn_engine_state (reader, id, true, again,
                                          TRN_LOG_STATE_MAX, &low, &stamp);
    if (size != outbox->state_size || memcmp (again, outbox->state, size)
        || !s_is_low (outbox, low)) {
        sim_fail (peer->world,
                  "L-state: %s/%s: what was saved is not what is read: %zu "
                  "bytes, then %zu, low %" PRIu64 ", then %" PRIu64,
                  peer->name, outbox->queue, outbox->state_size, size,
                  outbox->state_low, low);
    }
    free (again);
}

void
sim_outbox_check_state (const sim_outbox_t *outbox)
{
    trn_engine_t *reader
        = trn_engine_new (&outbox->peer->timing, &test_no_runs);
    trn_outbox_id_t id = 0;
    const int rc = s_read (outbox, reader, &id);
    if (rc) {
        sim_fail (outbox->peer->world,
                  "L-state: %s/%s: a state of %zu bytes cannot be read: %s",
                  outbox->peer->name, outbox->queue, outbox->state_size,
                  tern_strerror (rc));
    } else {
        s_compare (outbox, reader, id);
    }
    trn_engine_destroy (&reader);
}
