//  sim/rule.c - messages of a simulated peer that are not plain
//
//  Knows: where a record of the simulation keeps its rule, in its routing key,
//  and that a life begins with telling the engine of all that are there.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/exchange.h"

#include "base/bytes.h"

#include <tern/error.h>

#include <assert.h>

enum {
    FIXED = 25
};

uint8_t
sim_rule_put (const trn_rule_t *rule, uint8_t key[SIM_RULE_SIZE])
{
    assert (rule->target_count <= SIM_BRANCHES_MAX);
    key[0] = rule->priority;
    trn_put_u64 (key + 1, rule->due_ms);
    trn_put_u64 (key + 9, rule->expires_ms);
    trn_put_u64 (key + 17, rule->order);
    for (size_t index = 0; index < rule->target_count; index++) {
        trn_put_u32 (key + FIXED + 4 * index, rule->targets[index]);
    }
    return (uint8_t) (FIXED + 4 * rule->target_count);
}

bool
sim_rule_get (const trn_record_t *record, trn_rule_t *rule,
              uint32_t targets[SIM_BRANCHES_MAX])
{
    if (!(record->flags & TRN_RECORD_RULED) || record->key_size < FIXED
        || record->key_size > SIM_RULE_SIZE) {
        return false;
    }
    const size_t count = (record->key_size - FIXED) / 4u;
    for (size_t index = 0; index < count; index++) {
        targets[index] = trn_get_u32 (record->key + FIXED + 4 * index);
    }
    *rule = (trn_rule_t) {
        .seq = record->seq,
        .priority = record->key[0],
        .due_ms = trn_get_u64 (record->key + 1),
        .expires_ms = trn_get_u64 (record->key + 9),
        .order = trn_get_u64 (record->key + 17),
        .targets = count ? targets : NULL,
        .target_count = count,
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
        uint32_t targets[SIM_TARGETS_MAX];
        if (trn_record_peek (run.data, run.size, &record) > 0
            && sim_rule_get (&record, &rule, targets)
            && !trn_engine_settled (outbox->peer->engine, outbox->id, seq)) {
            sim_past_add_targets (outbox, &rule, targets);
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
    uint64_t seq = sim_outbox_next (outbox, outbox->first_seq);
    while (seq <= outbox->appended) {
        trn_chunk_t *chunk = NULL;
        const int rc = trn_log_read (outbox->log, seq, 65536, &chunk);
        if (rc == TERN_EIO) {
            return false;
        }
        const uint64_t next = rc ? seq + 1 : s_tell_chunk (outbox, chunk, seq);
        seq = sim_outbox_next (outbox, next > seq ? next : seq + 1);
        trn_chunk_release (&chunk);
    }
    return true;
}
