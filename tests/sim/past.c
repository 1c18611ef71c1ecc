//  sim/past.c - queues of simulated peers that begin in the past of an exchange
//
//  Knows: what src/peer/past.c does, without threads: a queue is told what was
//  kept and matches; of a routed exchange the choice goes to the disk (the real
//  store/selection.c) some time later, and a life begins with reading what was
//  chosen before.  A choice on its way dies with its life.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/exchange.h"

#include "support/disk_faulty.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEED = 1,
    RULES_MAX = 4096,
    KEEP_US = 20000,
    STALL_US = 3000000,
    AGAIN_US = 200000
};

//  To the disk ---------------------------------------------------------------

static sim_past_t *
s_find (sim_outbox_t *outbox, uint32_t number)
{
    unsigned index = 0;
    while (index < outbox->past_count
           && outbox->pasts[index].selection.number != number) {
        index++;
    }
    return index < outbox->past_count ? &outbox->pasts[index] : NULL;
}

static void
s_on_keep (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *peer = event->peer;
    sim_outbox_t *outbox = event->object;
    sim_past_t *past = s_find (outbox, (uint32_t) event->number);
    if (!past || past->branch->number != past->selection.number) {
        return;  //  unbound meanwhile
    }
    trn_selection_t *selection = &past->selection;
    size_t size = 0;
    uint8_t *bytes = trn_selection_encode (selection, SEED, &size);
    const int rc = trn_selection_write (peer->disk, outbox->dir,
                                        selection->number, bytes, size);
    free (bytes);
    if (rc == TERN_EFULL) {
        sim_after (world, AGAIN_US, s_on_keep, peer, outbox, event->number);
    } else if (rc) {
        sim_trace (world, "%-5s cannot keep a past of %s", peer->name,
                   outbox->queue);
        sim_peer_end (peer, SIM_CRASH);
    } else {
        sim_trace (world, "%-5s keeps the past of %s in %s", peer->name,
                   past->branch->queue, outbox->queue);
        past->branch->withheld = false;
        trn_seqset_clear (&selection->seqs);
        trn_engine_on_past_kept (peer->engine, outbox->id, selection->number,
                                 sim_peer_now (peer));
        sim_peer_drain_soon (peer);
    }
}

static void
s_remove (sim_outbox_t *outbox, unsigned index)
{
    trn_seqset_clear (&outbox->pasts[index].selection.seqs);
    outbox->pasts[index] = outbox->pasts[--outbox->past_count];
}

void
sim_past_on_saved (sim_outbox_t *outbox)
{
    sim_peer_t *peer = outbox->peer;
    for (unsigned index = outbox->past_count; index; index--) {
        const trn_selection_t *past = &outbox->pasts[index - 1].selection;
        if (trn_engine_past_over (peer->engine, outbox->id, past->number,
                                  past->to)) {
            trn_selection_remove (peer->disk, outbox->dir, past->number);
            s_remove (outbox, index - 1);
        }
    }
}

void
sim_past_forget (sim_outbox_t *outbox)
{
    while (outbox->past_count) {
        s_remove (outbox, outbox->past_count - 1);
    }
}

//  Choosing ------------------------------------------------------------------

typedef struct {
    trn_seqset_t own;
    trn_rule_t rules[RULES_MAX];
    size_t count;
} s_choice_t;

static bool
s_is_plain (const trn_rule_t *rule)
{
    return !rule->priority && !rule->due_ms && !rule->expires_ms
           && !rule->order;
}

static void
s_choose (sim_outbox_t *outbox, const sim_branch_t *branch,
          const trn_record_t *record, uint64_t print, s_choice_t *choice)
{
    uint32_t targets[SIM_BRANCHES_MAX];
    trn_rule_t rule = {.seq = record->seq};
    sim_rule_get (record, &rule, targets);
    rule.targets = NULL;
    rule.target_count = 0;
    sim_ledger_join (outbox->peer->world->ledger, branch->stream, record->seq,
                     print, &rule);
    trn_seqset_add (&choice->own, record->seq, record->seq);
    if (!s_is_plain (&rule)) {
        assert (choice->count < RULES_MAX);
        choice->rules[choice->count++] = rule;
    }
}

static void
s_choose_all (sim_outbox_t *outbox, const sim_branch_t *branch,
              const trn_binding_t *binding, uint64_t from, s_choice_t *choice)
{
    trn_router_t *router = trn_router_new (binding->type);
    const int rc = trn_router_bind (router, binding, branch->number);
    assert (rc == 0);
    for (uint64_t seq = sim_outbox_next (outbox, from); seq <= outbox->appended;
         seq = sim_outbox_next (outbox, seq + 1)) {
        trn_record_t record;
        trn_chunk_t *chunk = NULL;
        uint32_t targets[SIM_BRANCHES_MAX];
        if (sim_outbox_read (outbox, seq, &record, &chunk) > 0) {
            const uint64_t print
                = sim_ledger_print (record.body, record.body_size);
            if (sim_exchange_match (router, print, targets)) {
                s_choose (outbox, branch, &record, print, choice);
            }
        }
        trn_chunk_release (&chunk);
    }
    trn_router_destroy (&router);
}

void
sim_past_tell (sim_outbox_t *outbox, sim_branch_t *branch,
               const trn_binding_t *binding, uint64_t from)
{
    sim_peer_t *peer = outbox->peer;
    static s_choice_t choice;
    choice = (s_choice_t) {.count = 0};
    s_choose_all (outbox, branch, binding, from, &choice);
    branch->withheld
        = sim_exchange_is_routed (outbox) && trn_seqset_total (&choice.own);
    const trn_engine_past_t past = {.number = branch->number,
                                    .to = outbox->appended,
                                    .own = &choice.own,
                                    .rules = choice.rules,
                                    .rule_count = choice.count,
                                    .withheld = branch->withheld};
    trn_engine_on_past (peer->engine, outbox->id, &past);
    sim_trace (peer->world, "%-5s tells %" PRIu64 " of the past of %s in %s%s",
               peer->name, trn_seqset_total (&choice.own), branch->queue,
               outbox->queue, branch->withheld ? ", withheld" : "");
    if (!branch->withheld) {
        trn_seqset_clear (&choice.own);
        return;
    }
    assert (outbox->past_count < SIM_PASTS_MAX);
    outbox->pasts[outbox->past_count++]
        = (sim_past_t) {{branch->number, past.to, choice.own}, branch};
    //  Long enough, now and then, for states to be saved meanwhile.
    const uint64_t most = sim_chance (peer->world, 300) ? STALL_US : KEEP_US;
    sim_after (peer->world, (int64_t) sim_random (peer->world, 0, most),
               s_on_keep, peer, outbox, branch->number);
}

//  Lives ---------------------------------------------------------------------

static void
s_take (void *arg, trn_selection_t *selection)
{
    sim_outbox_t *outbox = arg;
    if (trn_engine_past_over (outbox->peer->engine, outbox->id,
                              selection->number, selection->to)) {
        trn_selection_remove (outbox->peer->disk, outbox->dir,
                              selection->number);
        return;
    }
    assert (outbox->past_count < SIM_PASTS_MAX);
    outbox->pasts[outbox->past_count++] = (sim_past_t) {*selection, NULL};
    selection->seqs = (trn_seqset_t) {0};
}

bool
sim_past_load (sim_outbox_t *outbox)
{
    sim_peer_t *peer = outbox->peer;
    uint32_t number = 0;
    sim_past_forget (outbox);
    const int rc = trn_selection_each (peer->disk, outbox->dir, SEED, s_take,
                                       outbox, &number);
    if (rc && !trn_disk_faulty_hits (peer->disk)) {
        sim_fail (peer->world, "%s/%s: past %" PRIu32 " cannot be read: %s",
                  peer->name, outbox->queue, number, tern_strerror (rc));
    }
    return rc == TERN_OK;
}

void
sim_past_add_targets (const sim_outbox_t *outbox, trn_rule_t *rule,
                      uint32_t targets[SIM_TARGETS_MAX])
{
    for (unsigned index = 0; index < outbox->past_count; index++) {
        const trn_selection_t *past = &outbox->pasts[index].selection;
        if (!trn_seqset_has (&past->seqs, rule->seq)) {
            continue;
        }
        size_t place = rule->target_count;
        assert (place < SIM_TARGETS_MAX);
        while (place && targets[place - 1] > past->number) {
            targets[place] = targets[place - 1];
            place--;
        }
        targets[place] = past->number;
        rule->targets = targets;
        rule->target_count++;
    }
}
