//  sim/watch.c - what passes between peers, watched from outside
//
//  Knows: how a frame looks in a trace, and two promises that only those see who
//  see the frames:
//
//      L-credit    nothing is sent beyond what the publisher was granted
//      L-stale     a settlement under an old token settles nothing
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/exchange.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>

static sim_credit_t *
s_credit (sim_conn_t *conn, uint32_t flow)
{
    for (unsigned index = 0; index < conn->credit_count; index++) {
        if (conn->credits[index].flow == flow) {
            return &conn->credits[index];
        }
    }
    conn->credits = trn_realloc (conn->credits, (conn->credit_count + 1)
                                                    * sizeof *conn->credits);
    sim_credit_t *credit = &conn->credits[conn->credit_count++];
    *credit = (sim_credit_t) {.flow = flow};
    return credit;
}

void
sim_watch_credit (sim_conn_t *conn, const trn_frame_t *frame)
{
    if (frame->type == TRN_WELCOME) {
        conn->id = frame->connection;
    }
    if (frame->type == TRN_CREDIT && frame->connection == conn->id) {
        sim_credit_t *credit = s_credit (conn, frame->credit.flow);
        credit->messages = frame->credit.messages;
        credit->bytes = frame->credit.bytes;
    }
}

void
sim_watch_offer (sim_conn_t *conn, const trn_frame_t *frame)
{
    if (frame->type == TRN_OFFER) {
        sim_credit_t *credit = s_credit (conn, frame->offer.flow);
        snprintf (credit->queue, sizeof credit->queue, "%.*s",
                  (int) frame->offer.queue.size, frame->offer.queue.at);
    }
}

bool
sim_watch_stream (const sim_outbox_t *outbox, const sim_conn_t *conn,
                  uint32_t flow, unsigned *stream_p)
{
    *stream_p = outbox->stream;
    if (!outbox->exchange) {
        return true;
    }
    for (unsigned index = 0; conn && index < conn->credit_count; index++) {
        if (conn->credits[index].flow == flow) {
            const sim_branch_t *branch
                = sim_exchange_branch ((sim_outbox_t *) (uintptr_t) outbox,
                                       conn->credits[index].queue);
            *stream_p = branch ? branch->stream : 0;
            return branch != NULL;
        }
    }
    return false;
}

//  The byte limit may be passed by the last record of a run, never by a run
//  that starts beyond it: a record is not cut.
void
sim_watch_run (sim_outbox_t *outbox, sim_conn_t *conn, const trn_frame_t *frame,
               uint32_t size)
{
    sim_credit_t *credit = s_credit (conn, frame->data.flow);
    credit->outbox = outbox;
    const bool spent_before = credit->sent_bytes >= credit->bytes;
    credit->sent_messages += frame->data.count;
    credit->sent_bytes += size;
    const bool over_bytes
        = frame->data.count > 1 && credit->sent_bytes > credit->bytes;
    if (credit->sent_messages > credit->messages || spent_before
        || over_bytes) {
        sim_fail (outbox->peer->world,
                  "L-credit: %s sends %" PRIu64 " of %" PRIu64
                  " messages and %" PRIu64 " of %" PRIu64 " bytes",
                  outbox->peer->name, credit->sent_messages, credit->messages,
                  credit->sent_bytes, credit->bytes);
    }
}

static void
s_note_stale (const sim_outbox_t *outbox, unsigned stream,
              const trn_settle_t *entry, sim_stale_t *stale)
{
    const sim_peer_t *peer = outbox->peer;
    for (uint64_t seq = entry->from; seq <= entry->to; seq++) {
        const uint64_t token
            = sim_ledger_token (peer->world->ledger, stream, seq);
        if (token != entry->token && stale->count < 64
            && !trn_engine_settled (peer->engine, outbox->id, seq)) {
            stale->seqs[stale->count++] = seq;
        }
    }
}

bool
sim_watch_stale (const sim_conn_t *conn, const trn_frame_t *frame,
                 sim_stale_t *stale)
{
    *stale = (sim_stale_t) {0};
    if (frame->type != TRN_SETTLE || frame->connection != conn->id) {
        return false;
    }
    for (unsigned index = 0; index < conn->credit_count; index++) {
        if (conn->credits[index].flow == frame->settle.flow) {
            stale->outbox = conn->credits[index].outbox;
        }
    }
    unsigned stream;
    if (!stale->outbox
        || !sim_watch_stream (stale->outbox, conn, frame->settle.flow,
                              &stream)) {
        return false;
    }
    for (uint32_t at = 0; at < frame->settle.count; at++) {
        s_note_stale (stale->outbox, stream, &frame->settle.entries[at], stale);
    }
    return stale->count > 0;
}

void
sim_watch_stale_end (const sim_peer_t *self, const sim_stale_t *stale)
{
    for (unsigned index = 0; index < stale->count; index++) {
        if (trn_engine_settled (self->engine, stale->outbox->id,
                                stale->seqs[index])) {
            sim_fail (self->world,
                      "L-stale: %s/%s %" PRIu64 " was settled by an answer "
                      "to an earlier delivery",
                      self->name, stale->outbox->queue, stale->seqs[index]);
        }
    }
}

//  What matters of a frame, for a trace.
static const char *
s_show (const trn_frame_t *frame, char *text, size_t size)
{
    text[0] = '\0';
    if (frame->type == TRN_CREDIT) {
        snprintf (
            text, size, " flow %u: %" PRIu64 " messages %" PRIu64 " bytes",
            frame->credit.flow, frame->credit.messages, frame->credit.bytes);
    } else if (frame->type == TRN_OFFER) {
        snprintf (text, size, " flow %u: %.*s low %" PRIu64 " high %" PRIu64,
                  frame->offer.flow, (int) frame->offer.queue.size,
                  frame->offer.queue.at, frame->offer.low, frame->offer.high);
    } else if (frame->type == TRN_ACCEPT) {
        snprintf (text, size, " flow %u: seen %" PRIu64 ", %u ranges",
                  frame->accept.flow, frame->accept.seen,
                  frame->accept.range_count);
    } else if (frame->type == TRN_SETTLE) {
        const trn_settle_t *entry = &frame->settle.entries[0];
        snprintf (text, size,
                  " flow %u: %" PRIu64 "..%" PRIu64 " as %d under %" PRIx64
                  ", %u entries",
                  frame->settle.flow, entry->from, entry->to,
                  (int) entry->outcome, entry->token, frame->settle.count);
    } else if (frame->type == TRN_DATA) {
        snprintf (text, size,
                  " flow %u: %" PRIu64 "..%" PRIu64 " token %" PRIx64
                  " delivery %u",
                  frame->data.flow, frame->data.first_seq,
                  frame->data.first_seq + frame->data.count - 1,
                  frame->data.token, frame->data.deliveries);
    } else if (frame->type == TRN_CALL) {
        snprintf (text, size, " %" PRIu64 "%s", frame->call.call,
                  frame->call.flags & TRN_CALL_REPEATED ? " again" : "");
    } else if (frame->type == TRN_ANSWER) {
        snprintf (text, size, " %" PRIu64 " part %" PRIu64, frame->answer.call,
                  frame->answer.number);
    } else if (frame->type == TRN_FAIL) {
        snprintf (text, size, " %" PRIu64 " reason %d", frame->fail.call,
                  (int) frame->fail.reason);
    }
    return text;
}

void
sim_watch_frame (const sim_peer_t *self, const sim_conn_t *conn,
                 const trn_frame_t *frame)
{
    if (self->world->trace) {
        char text[160];
        sim_trace (self->world, "%-5s %s on conn %u%s%s", self->name,
                   trn_frame_name (frame->type), (unsigned) conn->number,
                   conn->cut ? ", lost" : "",
                   s_show (frame, text, sizeof text));
    }
}
