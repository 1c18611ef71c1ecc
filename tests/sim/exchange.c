//  sim/exchange.c - exchanges of simulated peers, and who binds queues to them
//
//  Knows: what src/peer/exchange.c does with bindings, without threads: every peer
//  has its own view of them, which grows in any order, since stamps decide; a
//  binding makes a queue of the exchange, the last one that goes takes it away.
//  Each queue of an exchange is a stream of its own in the ledger, and what is
//  confirmed is confirmed only as far as all queues are durable.
//
//  What a message is about, its routing key and headers, is drawn from its body,
//  so that nothing has to be remembered.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/exchange.h"

#include "base/memory.h"
#include "wire/props.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Subjects ------------------------------------------------------------------

static const char *const s_keys[] = {"a", "a.b", "a.b.c", "b", "b.c", "c.a"};
static const char *const s_patterns[]
    = {"a", "a.*", "a.#", "#", "*.b.#", "#.c", "b", "*.*"};
static const char *const s_values[] = {"red", "blue"};

#define COUNT(array) (sizeof (array) / sizeof *(array))

typedef struct {
    const char *key;
    trn_propset_t set;
    const uint8_t *props;
    size_t props_size;
} s_subject_t;

static s_subject_t
s_subject (uint64_t print)
{
    s_subject_t subject = {.key = s_keys[print % COUNT (s_keys)]};
    const trn_text_t colour = trn_text (s_values[print / 64 % 2]);
    const trn_text_t size = trn_text (s_values[print / 128 % 2]);
    int rc = trn_propset_text (&subject.set, trn_text ("colour"), colour);
    rc = rc ? rc : trn_propset_text (&subject.set, trn_text ("rim"), size);
    assert (rc == 0);
    subject.props = trn_propset_map (&subject.set, &subject.props_size);
    return subject;
}

size_t
sim_exchange_match (trn_router_t *router, uint64_t print,
                    uint32_t targets[SIM_BRANCHES_MAX])
{
    s_subject_t subject = s_subject (print);
    const size_t count = trn_router_route (
        router, subject.key, strlen (subject.key), subject.props,
        subject.props_size, targets, SIM_BRANCHES_MAX);
    trn_propset_clear (&subject.set);
    assert (count <= SIM_BRANCHES_MAX);
    return count;
}

//  Queues --------------------------------------------------------------------

bool
sim_exchange_is_routed (const sim_outbox_t *outbox)
{
    return outbox->exchange != TRN_EXCHANGE_FANOUT;
}

static sim_branch_t *
s_find (sim_outbox_t *outbox, trn_text_t queue)
{
    for (unsigned index = 0; index < outbox->branch_count; index++) {
        if (trn_text_is (queue, outbox->branches[index].queue)) {
            return &outbox->branches[index];
        }
    }
    return NULL;
}

//  A stream of this name; known from now on.
static sim_branch_t *
s_branch (sim_outbox_t *outbox, trn_text_t queue)
{
    sim_branch_t *branch = s_find (outbox, queue);
    if (!branch) {
        assert (outbox->branch_count < SIM_BRANCHES_MAX);
        branch = &outbox->branches[outbox->branch_count++];
        *branch = (sim_branch_t) {.number = 0};
        snprintf (branch->queue, sizeof branch->queue, "%.*s", (int) queue.size,
                  queue.at);
    }
    char name[TRN_NAME_MAX + 2];
    sim_exchange_stream_name (outbox->queue, branch->queue, name);
    branch->stream = sim_ledger_stream (outbox->peer->world->ledger,
                                        outbox->peer->store_uuid, name);
    sim_ledger_rule (outbox->peer->world->ledger, branch->stream,
                     &outbox->policy);
    return branch;
}

void
sim_exchange_stream_name (const char *exchange, const char *queue,
                          char name[TRN_NAME_MAX + 2])
{
    snprintf (name, TRN_NAME_MAX + 2, "%.30s>%.30s", exchange, queue);
}

sim_branch_t *
sim_exchange_branch (sim_outbox_t *outbox, const char *queue)
{
    return s_find (outbox, trn_text (queue));
}

//  Bindings ------------------------------------------------------------------

//  Where a new queue begins: one that was there before goes on.
static uint64_t
s_from (const sim_outbox_t *outbox, const sim_branch_t *branch,
        const trn_binding_t *binding)
{
    if (branch->was_durable) {
        return outbox->appended + 1;
    }
    const uint64_t first = trn_log_first_retained (outbox->log);
    const uint64_t next = outbox->appended + 1;
    uint64_t from = binding->from == TRN_FROM_NEW        ? next
                    : binding->from == TRN_FROM_EARLIEST ? first
                                                         : binding->from_value;
    from = from > first ? from : first;
    return from < next ? from : next;
}

static void
s_add_queue (sim_outbox_t *outbox, sim_branch_t *branch,
             const trn_binding_t *binding)
{
    sim_peer_t *peer = outbox->peer;
    const uint64_t from = s_from (outbox, branch, binding);
    const int rc
        = trn_engine_add_queue (peer->engine, outbox->id, branch->queue, from,
                                &branch->number, sim_peer_now (peer));
    assert (rc == 0);
    sim_trace (peer->world, "%-5s adds queue %s to %s from %" PRIu64,
               peer->name, branch->queue, outbox->queue, from);
    branch->durable = branch->saving = false;
    branch->gone_from = 0;
    if (from <= outbox->appended) {
        sim_past_tell (outbox, branch, binding, from);
    }
}

static void
s_remove_queue (sim_outbox_t *outbox, sim_branch_t *branch)
{
    sim_peer_t *peer = outbox->peer;
    sim_trace (peer->world, "%-5s removes queue %s of %s", peer->name,
               branch->queue, outbox->queue);
    trn_engine_remove_queue (peer->engine, outbox->id, branch->number,
                             sim_peer_now (peer));
    sim_ledger_unbind (peer->world->ledger, branch->stream);
    branch->number = 0;
    branch->gone_from = outbox->appended + 1;
}

static void
s_bind (sim_outbox_t *outbox, const trn_binding_t *binding)
{
    sim_branch_t *branch = s_branch (outbox, binding->queue);
    if (!branch->number) {
        s_add_queue (outbox, branch, binding);
    }
    const bool known
        = trn_router_unbind (outbox->router, binding, branch->number);
    const int rc = trn_router_bind (outbox->router, binding, branch->number);
    assert (rc == 0);
    branch->bindings += !known;
}

static void
s_unbind (sim_outbox_t *outbox, const trn_binding_t *binding)
{
    sim_branch_t *branch = s_find (outbox, binding->queue);
    if (!branch || !branch->number) {
        return;
    }
    const bool known
        = trn_router_unbind (outbox->router, binding, branch->number);
    branch->bindings -= known;
    if (known && !branch->bindings) {
        s_remove_queue (outbox, branch);
    }
}

static void
s_apply (sim_outbox_t *outbox, const trn_binding_t *binding)
{
    if (!outbox->exchange || !trn_text_is (binding->exchange, outbox->queue)) {
        return;
    }
    if (binding->removed) {
        s_unbind (outbox, binding);
    } else {
        s_bind (outbox, binding);
    }
}

//  Views ---------------------------------------------------------------------

static void
s_on_binding (sim_world_t *world, const sim_event_t *event)
{
    sim_peer_t *peer = event->peer;
    const trn_binding_t *binding = world->bindings[event->number];
    if (trn_bindings_take (peer->bindings, binding) == TRN_BINDING_NEW) {
        for (unsigned index = 0; index < peer->outbox_count; index++) {
            s_apply (&peer->outboxes[index], binding);
        }
        sim_peer_drain_soon (peer);
    }
}

//  Did somebody say that the queue is not bound any more?
static bool
s_is_taken_back (const sim_outbox_t *outbox, const char *queue)
{
    trn_binding_t binding;
    for (size_t index = 0;
         trn_bindings_at (outbox->peer->bindings, index, &binding); index++) {
        if (binding.removed && trn_text_is (binding.queue, queue)
            && trn_text_is (binding.exchange, outbox->queue)) {
            return true;
        }
    }
    return false;
}

//  All is told: queues that an earlier life had, and that nobody binds, go.
static void
s_on_known (sim_world_t *world, const sim_event_t *event)
{
    (void) world;
    sim_peer_t *peer = event->peer;
    peer->bindings_known = true;
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        sim_outbox_t *outbox = &peer->outboxes[index];
        for (unsigned at = 0; at < outbox->branch_count; at++) {
            sim_branch_t *branch = &outbox->branches[at];
            if (branch->number && !branch->bindings
                && s_is_taken_back (outbox, branch->queue)) {
                s_remove_queue (outbox, branch);
            }
        }
    }
    sim_peer_drain_soon (peer);
}

enum {
    TELL_US = 20000
};

static void
s_tell (sim_peer_t *peer, unsigned index)
{
    sim_after (peer->world, (int64_t) sim_random (peer->world, 200, TELL_US),
               s_on_binding, peer, NULL, index);
}

//  A directory tells how it is, not how it was.
static bool
s_is_newest (const sim_world_t *world, unsigned index)
{
    for (unsigned later = index + 1; later < world->binding_count; later++) {
        if (trn_binding_order (world->bindings[index], world->bindings[later])
            == 0) {
            return false;
        }
    }
    return true;
}

void
sim_exchange_start (sim_peer_t *peer)
{
    trn_bindings_destroy (&peer->bindings);
    peer->bindings = trn_bindings_new (1000, 1000000);
    peer->bindings_known = false;
    for (unsigned index = 0; index < peer->world->binding_count; index++) {
        if (s_is_newest (peer->world, index)) {
            s_tell (peer, index);
        }
    }
    sim_after (peer->world, TELL_US, s_on_known, peer, NULL, 0);
}

//  A newer version of a binding: everybody hears of it, each after a while.
static void
s_announce (sim_world_t *world, const trn_binding_t *binding)
{
    if (world->binding_count == SIM_BINDINGS_MAX) {
        return;
    }
    trn_binding_t stamped = *binding;
    stamped.stamp_us = world->binding_count + 1;
    stamped.writer = trn_text ("anna");
    world->bindings[world->binding_count] = trn_binding_copy (&stamped, NULL);
    sim_trace (world, "%s %.*s to %.*s, %.*s from %d",  //
               binding->removed ? "unbind" : "bind", (int) binding->queue.size,
               binding->queue.at, (int) binding->exchange.size,
               binding->exchange.at, (int) binding->pattern.size,
               binding->pattern.at, (int) binding->from);
    for (unsigned index = 0; index < world->peer_count; index++) {
        if (world->peers[index]->up) {
            s_tell (world->peers[index], world->binding_count);
        }
    }
    world->binding_count++;
}

void
sim_exchange_bind (sim_world_t *world, const char *exchange,
                   trn_exchange_type_t type, const char *queue)
{
    trn_propset_t headers = {0};
    trn_binding_t binding = {
        .exchange = trn_text (exchange),
        .type = type,
        .queue = trn_text (queue),
        .pattern = trn_text (""),
        .alternate = trn_text (""),
        .from = (trn_from_t) sim_random (world, 0, 2),
    };
    if (type == TRN_EXCHANGE_DIRECT) {
        binding.pattern = trn_text (s_keys[sim_random (world, 0, 3)]);
    } else if (type == TRN_EXCHANGE_TOPIC) {
        binding.pattern = trn_text (
            s_patterns[sim_random (world, 0, COUNT (s_patterns) - 1)]);
    } else if (type == TRN_EXCHANGE_HEADERS) {
        int rc
            = trn_propset_text (&headers, trn_text ("colour"),
                                trn_text (s_values[sim_random (world, 0, 1)]));
        rc = rc ? rc
                : trn_propset_text (
                    &headers, trn_text ("rim"),
                    trn_text (s_values[sim_random (world, 0, 1)]));
        assert (rc == 0);
        binding.headers = trn_propset_map (&headers, &binding.headers_size);
        binding.any = sim_chance (world, 500);
    }
    if (binding.from == TRN_FROM_SEQ) {
        binding.from_value = sim_random (world, 1, 100);
    }
    s_announce (world, &binding);
    trn_propset_clear (&headers);
}

void
sim_exchange_unbind (sim_world_t *world)
{
    if (world->binding_count) {
        trn_binding_t binding
            = *world->bindings[sim_random (world, 0, world->binding_count - 1)];
        binding.removed = true;
        s_announce (world, &binding);
    }
}

void
sim_exchange_forget (sim_world_t *world)
{
    for (unsigned index = 0; index < world->binding_count; index++) {
        free (world->bindings[index]);
    }
    world->binding_count = 0;
}

//  Lives ---------------------------------------------------------------------

//  It was removed, and no state that says so was saved: it is there again, and has
//  what was published since.
static void
s_revive (sim_outbox_t *outbox, sim_branch_t *branch)
{
    uint64_t seq = branch->gone_from;
    branch->gone_from = 0;
    if (!seq || sim_exchange_is_routed (outbox)) {
        return;
    }
    for (seq = sim_outbox_next (outbox, seq); seq <= outbox->appended;
         seq = sim_outbox_next (outbox, seq + 1)) {
        trn_record_t record;
        trn_chunk_t *chunk = NULL;
        uint32_t targets[SIM_TARGETS_MAX];
        trn_rule_t rule = {.seq = seq};
        if (sim_outbox_read (outbox, seq, &record, &chunk) > 0) {
            sim_rule_get (&record, &rule, targets);
            sim_ledger_join (outbox->peer->world->ledger, branch->stream, seq,
                             sim_ledger_print (record.body, record.body_size),
                             &rule);
        }
        trn_chunk_release (&chunk);
    }
}

void
sim_exchange_open (sim_outbox_t *outbox)
{
    sim_peer_t *peer = outbox->peer;
    outbox->router = trn_router_new (outbox->exchange);
    for (unsigned index = 0; index < outbox->branch_count; index++) {
        outbox->branches[index].number = 0;
        outbox->branches[index].bindings = 0;
        outbox->branches[index].durable = false;
        outbox->branches[index].saving = false;
    }
    const char *queue = NULL;
    uint32_t number = 0;
    for (size_t at = 0;
         trn_engine_queue_at (peer->engine, outbox->id, at, &queue, &number);
         at++) {
        sim_branch_t *branch = s_branch (outbox, trn_text (queue));
        branch->number = number;
        branch->durable = branch->was_durable = true;
        s_revive (outbox, branch);
    }
    trn_log_retain (outbox->log, 0, outbox->retain_bytes);
}

//  The queues that a state knew not are gone, and what was only in them: nothing
//  that was confirmed.  One whose past was not kept yet begins anew, however its
//  publisher ended.
void
sim_exchange_check_left (sim_outbox_t *outbox, sim_survival_t survival)
{
    for (unsigned index = 0; index < outbox->branch_count; index++) {
        sim_branch_t *branch = &outbox->branches[index];
        if (!branch->number) {
            sim_ledger_lose (outbox->peer->world->ledger, branch->stream,
                             branch->withheld ? SIM_SURVIVES_CRASH : survival);
        }
        branch->withheld = false;
    }
}

void
sim_exchange_close (sim_outbox_t *outbox)
{
    trn_router_destroy (&outbox->router);
}

//  Publishing ----------------------------------------------------------------

size_t
sim_exchange_route (sim_outbox_t *outbox, uint64_t print,
                    uint32_t targets[SIM_BRANCHES_MAX])
{
    return outbox->peer->bindings_known
               ? sim_exchange_match (outbox->router, print, targets)
               : 0;
}

void
sim_exchange_append (sim_outbox_t *outbox, uint64_t print,
                     const trn_rule_t *rule)
{
    sim_ledger_t *ledger = outbox->peer->world->ledger;
    for (unsigned index = 0; index < outbox->branch_count; index++) {
        const sim_branch_t *branch = &outbox->branches[index];
        bool is_target = !sim_exchange_is_routed (outbox) && branch->number;
        for (size_t at = 0; at < rule->target_count; at++) {
            is_target = is_target || rule->targets[at] == branch->number;
        }
        if (is_target && branch->number) {
            sim_ledger_join (ledger, branch->stream, rule->seq, print, rule);
        }
    }
}

//  Saving --------------------------------------------------------------------

void
sim_exchange_on_state (sim_outbox_t *outbox)
{
    for (unsigned index = 0; index < outbox->branch_count; index++) {
        sim_branch_t *branch = &outbox->branches[index];
        branch->saving = branch->number != 0 && !branch->withheld;
    }
}

void
sim_exchange_on_saved (sim_outbox_t *outbox)
{
    for (unsigned index = 0; index < outbox->branch_count; index++) {
        sim_branch_t *branch = &outbox->branches[index];
        branch->durable = branch->durable || branch->saving;
        branch->was_durable = branch->was_durable || branch->durable;
        if (branch->saving) {
            //  What was not kept until then is not there any more.
            sim_ledger_drop (outbox->peer->world->ledger, branch->stream,
                             trn_log_floor (outbox->log));
            branch->saving = false;
        }
    }
    sim_past_on_saved (outbox);
}
