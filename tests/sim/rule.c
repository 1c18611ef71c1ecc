//  sim/rule.c - messages of a simulated peer that are not plain
//
//  Knows: where a record of the simulation keeps its rule, in its routing key,
//  and that a life begins with telling the engine of all that are there.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/peer.h"

#include "base/bytes.h"

#include <tern/error.h>

#include <string.h>

void
sim_rule_put (const trn_rule_t *rule, uint8_t key[SIM_RULE_SIZE])
{
    key[0] = rule->priority;
    trn_put_u64 (key + 1, rule->due_ms);
    trn_put_u64 (key + 9, rule->expires_ms);
    trn_put_u64 (key + 17, rule->order);
}

static bool
s_get (const trn_record_t *record, trn_rule_t *rule)
{
    if (!(record->flags & TRN_RECORD_RULED)
        || record->key_size != SIM_RULE_SIZE) {
        return false;
    }
    *rule = (trn_rule_t) {
        .seq = record->seq,
        .priority = record->key[0],
        .due_ms = trn_get_u64 (record->key + 1),
        .expires_ms = trn_get_u64 (record->key + 9),
        .order = trn_get_u64 (record->key + 17),
    };
    return true;
}

//  The rules in one chunk, from seq on.  Returns the next seq.
static uint64_t
s_tell_chunk (const sim_outbox_t *outbox, const trn_chunk_t *chunk,
              uint64_t seq)
{
    trn_run_t run;
    while (trn_chunk_run ((trn_chunk_t *) chunk, seq, 1, TRN_RUN_BYTES, &run)
           == 1) {
        trn_record_t record;
        trn_rule_t rule;
        if (trn_record_peek (run.data, run.size, &record) > 0
            && s_get (&record, &rule)
            && !trn_engine_settled (outbox->peer->engine, outbox->id, seq)) {
            trn_engine_on_message (outbox->peer->engine, outbox->id, &rule);
        }
        trn_chunk_release (&run.chunk);
        seq++;
    }
    return seq;
}

bool
sim_rule_recall (sim_outbox_t *outbox)
{
    for (uint64_t seq = outbox->first_seq; seq && seq <= outbox->appended;) {
        trn_chunk_t *chunk = NULL;
        const int rc = trn_log_read (outbox->log, seq, 65536, &chunk);
        if (rc == TERN_EIO) {
            return false;
        }
        const uint64_t next = rc ? seq + 1 : s_tell_chunk (outbox, chunk, seq);
        seq = next > seq ? next : seq + 1;
        trn_chunk_release (&chunk);
    }
    return true;
}
