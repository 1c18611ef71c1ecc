//  sim/app.c - the applications of a simulated peer
//
//  Knows: what an application does with a queue at both ends, and tells the
//  ledger before it tells the engine.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/exchange.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Publishing -------------------------------------------------------------

//  The oldest went, to make room.
static void
s_take_floor (sim_outbox_t *outbox)
{
    sim_peer_t *peer = outbox->peer;
    const uint64_t floor = trn_log_floor (outbox->log);
    if (outbox->limit_messages && floor > outbox->floor) {
        sim_trace (peer->world, "%-5s drops %s below %" PRIu64, peer->name,
                   outbox->queue, floor);
        outbox->floor = floor;
        sim_ledger_drop (peer->world->ledger, outbox->stream, floor);
        trn_engine_on_dropped (peer->engine, outbox->id, floor,
                               sim_peer_now (peer));
    }
}

bool
sim_app_publish (sim_outbox_t *outbox, const void *body, uint32_t size,
                 const trn_rule_t *rule)
{
    sim_peer_t *peer = outbox->peer;
    trn_record_t record = {
        .kind = TRN_RECORD_MESSAGE,
        .stamp_us = sim_peer_wall_ms (peer) * 1000,
        .body = body,
        .body_size = size,
    };
    uint8_t key[SIM_RULE_SIZE];
    if (rule) {
        record.flags = TRN_RECORD_RULED;
        record.key = key;
        record.key_size = sim_rule_put (rule, key);
    }
    uint64_t seq = 0;
    const int rc = trn_log_append (outbox->log, &record, &seq);
    if (rc) {
        if (rc != TERN_EAGAIN && rc != TERN_EFULL && rc != TERN_EIO) {
            sim_fail (peer->world, "%s/%s does not append: %s", peer->name,
                      outbox->queue, tern_strerror (rc));
        }
        sim_outbox_kick (outbox);
        return false;
    }
    trn_rule_t ruled = rule ? *rule : (trn_rule_t) {0};
    ruled.seq = seq;
    const uint64_t print = sim_ledger_print (body, size);
    if (outbox->exchange) {
        sim_exchange_append (outbox, print, &ruled);
    } else {
        sim_ledger_append (peer->world->ledger, outbox->stream, seq, print);
        sim_ledger_ruled (peer->world->ledger, outbox->stream, &ruled);
        if (outbox->asks) {
            sim_ledger_asks (peer->world->ledger, outbox->stream);
        }
    }
    sim_trace (peer->world,
               "%-5s publishes %s %" PRIu64 " priority %u due %" PRIu64
               " expires %" PRIu64 " key %" PRIu64,
               peer->name, outbox->queue, seq, (unsigned) ruled.priority,
               ruled.due_ms, ruled.expires_ms, ruled.order);
    outbox->appended = seq;
    if (rule) {
        trn_engine_on_message (peer->engine, outbox->id, &ruled);
    }
    trn_engine_on_appended (peer->engine, outbox->id, seq, sim_peer_now (peer));
    s_take_floor (outbox);
    sim_peer_drain_soon (peer);
    sim_outbox_kick (outbox);
    return true;
}

//  Something that is not plain about a message.
static trn_rule_t
s_draw_rule (const sim_outbox_t *outbox)
{
    sim_world_t *world = outbox->peer->world;
    const uint64_t wall_ms = sim_peer_wall_ms (outbox->peer);
    trn_rule_t rule = {0};
    if (sim_chance (world, 400)) {
        rule.priority = (uint8_t) (sim_random (world, 0, 3) * 3);
    }
    if (sim_chance (world, 300)) {
        rule.due_ms = wall_ms + sim_random (world, 1, 2000);
    }
    if (sim_chance (world, 300)) {
        rule.expires_ms = wall_ms + sim_random (world, 1, 4000);
    }
    if (sim_chance (world, 500)) {
        rule.order = 1000 + sim_random (world, 1, 4);
    }
    return rule;
}

//  A body that no other message has.
static bool
s_publish_any (sim_outbox_t *outbox)
{
    sim_world_t *world = outbox->peer->world;
    const uint32_t size
        = (uint32_t) sim_random (world, 9, 9 + outbox->size_max);
    uint8_t *body = trn_alloc (size);
    trn_put_u64 (body, sim_random (world, 0, UINT64_MAX));
    if (outbox->asks) {
        sim_request_mark (outbox, body, size);
    }
    bool is_ruled = sim_chance (world, outbox->ruled_per_mille);
    trn_rule_t rule = is_ruled ? s_draw_rule (outbox) : (trn_rule_t) {0};
    uint32_t targets[SIM_BRANCHES_MAX];
    if (outbox->exchange) {
        rule.target_count = sim_exchange_route (
            outbox, sim_ledger_print (body, size), targets);
        if (!rule.target_count) {
            free (body);
            return outbox->peer->bindings_known;  //  nobody gets it
        }
        if (outbox->exchange == TRN_EXCHANGE_FANOUT) {
            rule.target_count = 0;
        } else {
            rule.targets = targets;
            is_ruled = true;
        }
    }
    const bool done
        = sim_app_publish (outbox, body, size, is_ruled ? &rule : NULL);
    free (body);
    return done;
}

static void
s_on_produce (sim_world_t *world, const sim_event_t *event)
{
    (void) world;
    sim_outbox_t *outbox = event->object;
    outbox->producing = false;
    sim_app_produce (outbox, 0);
}

void
sim_app_produce (sim_outbox_t *outbox, uint64_t messages)
{
    outbox->backlog += messages;
    sim_peer_t *peer = outbox->peer;
    if (!peer->up || outbox->producing) {
        return;
    }
    while (outbox->backlog && s_publish_any (outbox)) {
        outbox->backlog--;
    }
    if (outbox->backlog) {
        outbox->producing = true;
        sim_after (peer->world, (int64_t) sim_random (peer->world, 500, 5000),
                   s_on_produce, peer, outbox, 0);
    }
}

//  Consuming --------------------------------------------------------------

static void
s_on_think (sim_world_t *world, const sim_event_t *event);

static void
s_think (sim_consumer_t *consumer)
{
    if (!consumer->busy && consumer->hand_count && consumer->manner.automatic) {
        sim_peer_t *peer = consumer->peer;
        int64_t think_us = (int64_t) sim_random (
            peer->world, (uint64_t) consumer->manner.think_min_us,
            (uint64_t) consumer->manner.think_max_us);
        if (peer->drain_mode && think_us > 1000) {
            think_us = 1000;
        }
        consumer->busy = true;
        sim_after (peer->world, think_us, s_on_think, peer, consumer, 0);
    }
}

//  Prefetch bounds what is in hand: messages exactly, bytes about, because of a
//  run only the size of all is known, and by one record of each publisher more,
//  because a record is not cut.
static void
s_check_prefetch (const sim_consumer_t *consumer)
{
    sim_world_t *world = consumer->peer->world;
    uint64_t bytes = 0;
    uint32_t largest = 0;
    for (size_t index = 0; index < consumer->hand_count; index++) {
        const uint32_t size = consumer->hands[index].size;
        bytes += size;
        largest = size > largest ? size : largest;
    }
    if (consumer->hand_count > consumer->prefetch
        || bytes > 2 * (uint64_t) consumer->bytes
                       + (uint64_t) world->peer_count * largest) {
        sim_fail (world,
                  "L-credit: %s holds %zu of %u messages, %" PRIu64
                  " of %u bytes",
                  consumer->peer->name, consumer->hand_count,
                  consumer->prefetch, bytes, consumer->bytes);
    }
}

void
sim_app_on_delivery (sim_consumer_t *consumer, const sim_hand_t *hand)
{
    sim_peer_t *peer = consumer->peer;
    sim_trace (peer->world, "%-5s receives %s %" PRIu64 "%s %s", peer->name,
               hand->outbox, hand->seq, hand->redelivered ? " again" : "",
               hand->text ? hand->text : "");
    if (consumer->hand_count == consumer->hand_capacity) {
        consumer->hand_capacity
            = consumer->hand_capacity ? consumer->hand_capacity * 2 : 16;
        consumer->hands = trn_realloc (
            consumer->hands, consumer->hand_capacity * sizeof *consumer->hands);
    }
    consumer->hands[consumer->hand_count++] = *hand;
    if (consumer->hand_count > consumer->hand_peak) {
        consumer->hand_peak = consumer->hand_count;
    }
    if (peer->keep_texts) {
        peer->received
            = trn_realloc (peer->received,
                           (peer->received_count + 1) * sizeof *peer->received);
        const size_t size = strlen (hand->text) + 2;
        char *line = trn_alloc (size);
        snprintf (line, size, "%s%s", hand->redelivered ? "*" : "", hand->text);
        peer->received[peer->received_count++] = line;
    }
    sim_ledger_deliver (peer->world->ledger, hand->store_uuid, hand->outbox,
                        hand->seq, hand->print, peer->life, hand->redelivered);
    if (hand->redelivered && hand->deliveries < 1) {
        sim_fail (peer->world, "%s: %s %" PRIu64 " counts no delivery",
                  peer->name, hand->outbox, hand->seq);
    }
    s_check_prefetch (consumer);
    s_think (consumer);
}

void
sim_app_settle (sim_consumer_t *consumer, size_t index, size_t count,
                trn_outcome_t outcome)
{
    static const char *const words[]
        = {"", "accepts", "requeues", "rejects", "releases"};
    sim_peer_t *peer = consumer->peer;
    assert (count && index + count <= consumer->hand_count);
    const sim_hand_t first = consumer->hands[index];
    const uint64_t last = consumer->hands[index + count - 1].seq;
    sim_trace (peer->world, "%-5s %s %s %" PRIu64 "..%" PRIu64, peer->name,
               words[outcome], first.outbox, first.seq, last);
    for (size_t at = index; at < index + count; at++) {
        sim_hand_t *hand = &consumer->hands[at];
        sim_ledger_settle (peer->world->ledger, hand->store_uuid, hand->outbox,
                           hand->seq, hand->print, peer->life, outcome);
        free (hand->text);
    }
    memmove (consumer->hands + index, consumer->hands + index + count,
             (consumer->hand_count - index - count) * sizeof *consumer->hands);
    consumer->hand_count -= count;
    trn_engine_on_settle (peer->engine, consumer->id, first.flow, first.seq,
                          last, outcome, sim_peer_now (peer));
    sim_peer_drain_soon (peer);
}

//  How many hands from index on are one range of one flow.
static size_t
s_stretch (const sim_consumer_t *consumer, size_t index)
{
    size_t count = 1;
    const sim_hand_t *first = &consumer->hands[index];
    while (index + count < consumer->hand_count) {
        const sim_hand_t *hand = &consumer->hands[index + count];
        if (hand->flow != first->flow || hand->seq != first->seq + count
            || hand->outlet) {
            break;
        }
        count++;
    }
    return count;
}

//  The application has done something with some of its messages.
static void
s_on_think (sim_world_t *world, const sim_event_t *event)
{
    sim_consumer_t *consumer = event->object;
    const sim_manner_t *manner = &consumer->manner;
    consumer->busy = false;
    if (!consumer->hand_count) {
        return;
    }
    size_t index = 0;
    if (sim_chance (world, manner->disorder_per_mille)) {
        index = sim_random (world, 0, consumer->hand_count - 1);
    }
    //  It has looked at what it settles and at some of what follows.
    const size_t looked = sim_random (world, index, consumer->hand_count - 1);
    for (size_t at = 0; at <= looked; at++) {
        consumer->hands[at].taken = true;
    }
    if (consumer->hands[index].outlet) {
        s_think (consumer);
        return;  //  done when the reply is synced
    }
    trn_outcome_t outcome = TRN_ACCEPTED;
    if (!consumer->peer->drain_mode) {
        if (sim_chance (world, manner->requeue_per_mille)) {
            outcome = TRN_REQUEUED;
        } else if (sim_chance (world, manner->reject_per_mille)) {
            outcome = TRN_REJECTED;
        }
    }
    if (consumer->serves && outcome == TRN_ACCEPTED) {
        sim_request_answer (consumer, index);
        s_think (consumer);
        return;
    }
    const size_t stretch = s_stretch (consumer, index);
    const size_t count
        = sim_chance (world, 400) ? sim_random (world, 1, stretch) : 1;
    sim_app_settle (consumer, index, count, outcome);
    s_think (consumer);
}

void
sim_app_join (sim_consumer_t *consumer)
{
    sim_peer_t *peer = consumer->peer;
    consumer->wanted = true;
    if (consumer->id) {
        return;
    }
    consumer->id = trn_engine_add_consumer (peer->engine, consumer->queue,
                                            consumer->prefetch, consumer->bytes,
                                            sim_peer_now (peer));
    if (consumer->serves && peer->tasks_max) {
        sim_call_join (peer);
    }
    sim_directory_announce (peer);
    sim_peer_drain_soon (peer);
}

//  What was not looked at is released, the rest goes back as a delivery.
void
sim_app_leave (sim_consumer_t *consumer)
{
    sim_peer_t *peer = consumer->peer;
    consumer->wanted = false;
    if (!consumer->id) {
        return;
    }
    for (size_t index = consumer->hand_count; index-- > 0;) {
        if (!consumer->hands[index].taken) {
            sim_app_settle (consumer, index, 1, TRN_RELEASED);
        }
    }
    for (size_t index = 0; index < consumer->hand_count; index++) {
        const sim_hand_t *hand = &consumer->hands[index];
        sim_ledger_settle (peer->world->ledger, hand->store_uuid, hand->outbox,
                           hand->seq, hand->print, peer->life, TRN_REQUEUED);
    }
    if (consumer->serves && peer->tasks_max) {
        sim_call_leave (peer);
    }
    trn_engine_remove_consumer (peer->engine, consumer->id,
                                sim_peer_now (peer));
    sim_app_drop (consumer);
    sim_directory_announce (peer);
    sim_peer_drain_soon (peer);
}

void
sim_app_drop (sim_consumer_t *consumer)
{
    for (size_t index = 0; index < consumer->hand_count; index++) {
        free (consumer->hands[index].text);
    }
    consumer->hand_count = 0;
    consumer->id = 0;
    consumer->busy = false;
}
