//  sim/request.c - durable requests of simulated peers, and their replies
//
//  Knows: what src/peer's requester, desk and service do with queues.  A request
//  is a message that says who asks; its server puts the reply into its own
//  outbox of the asker's private queue, "@name", and accepts the request when
//  the reply is synced.  If it dies between, both come again.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/peer.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ASKER_AT = 8,    //  in a request: behind what makes it unlike all others
    REPLY_SIZE = 16  //  something else, then the request's print
};

void
sim_request_mark (const sim_outbox_t *outbox, uint8_t *body, uint32_t size)
{
    assert (outbox->asks && size > ASKER_AT);
    body[ASKER_AT] = (uint8_t) outbox->peer->index;
}

const sim_peer_t *
sim_request_asker (const sim_world_t *world, const uint8_t *body, uint32_t size)
{
    assert (size > ASKER_AT && body[ASKER_AT] < world->peer_count);
    return world->peers[body[ASKER_AT]];
}

//  This server's outbox of replies to that peer; NULL: the disk would not let it.
static sim_outbox_t *
s_outlet (sim_peer_t *server, const sim_peer_t *asker)
{
    char queue[TRN_NAME_MAX + 2];
    snprintf (queue, sizeof queue, "@%.60s", asker->name);
    for (unsigned index = 0; index < server->outbox_count; index++) {
        sim_outbox_t *outbox = &server->outboxes[index];
        if (strcmp (outbox->queue, queue) == 0) {
            return sim_outbox_ready (outbox) ? outbox : NULL;
        }
    }
    assert (server->outbox_count < SIM_OUTBOXES_MAX);
    sim_outbox_t *outbox = &server->outboxes[server->outbox_count++];
    *outbox = (sim_outbox_t) {
        .peer = server,
        .replies = true,
        .limit_messages = server->replies_max,
        .at_limit = TRN_AT_LIMIT_BLOCK,
    };
    memcpy (outbox->queue, queue, sizeof queue);
    trn_policy_default (&outbox->policy);
    outbox->policy.terminal = true;
    return sim_outbox_ready (outbox) ? outbox : NULL;
}

void
sim_request_answer (sim_consumer_t *consumer, size_t index)
{
    sim_peer_t *server = consumer->peer;
    sim_hand_t *hand = &consumer->hands[index];
    sim_outbox_t *outlet = s_outlet (server, hand->asker);
    uint8_t body[REPLY_SIZE];
    trn_put_u64 (body, sim_random (server->world, 0, UINT64_MAX));
    trn_put_u64 (body + 8, hand->print);
    if (outlet && sim_app_publish (outlet, body, sizeof body, NULL)) {
        sim_ledger_answers (server->world->ledger, outlet->stream, hand->print);
        //  Publishing may have done many things, but gave no hand away.
        hand = &consumer->hands[index];
        hand->outlet = outlet;
        hand->reply_seq = outlet->appended;
    }
#ifdef TERN_BUG_28
    else {
        sim_app_settle (consumer, index, 1, TRN_ACCEPTED);
    }
#endif
}

static bool
s_accept_one (sim_consumer_t *consumer, const sim_outbox_t *outlet,
              uint64_t synced)
{
    for (size_t index = 0; index < consumer->hand_count; index++) {
        const sim_hand_t *hand = &consumer->hands[index];
        if (hand->outlet == outlet && hand->reply_seq <= synced) {
            sim_app_settle (consumer, index, 1, TRN_ACCEPTED);
            return true;
        }
    }
    return false;
}

void
sim_request_on_synced (sim_outbox_t *outlet)
{
    const sim_peer_t *server = outlet->peer;
    const uint64_t synced = trn_log_synced (outlet->log);
    for (unsigned at = 0; at < server->consumer_count; at++) {
        sim_consumer_t *consumer = &outlet->peer->consumers[at];
        while (consumer->serves && s_accept_one (consumer, outlet, synced)) {
        }
    }
}
