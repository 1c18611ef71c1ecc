//  core/known.c - the publishing stores that a consumer remembers
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/known.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

trn_known_t *
trn_known_find (trn_engine_t *engine, const uint8_t store_uuid[16])
{
    assert (engine && store_uuid);
    for (size_t index = 0; index < engine->stores.count; index++) {
        trn_known_t *known = engine->stores.at[index];
        if (memcmp (known->store_uuid, store_uuid, 16) == 0) {
            return known;
        }
    }
    return NULL;
}

trn_known_t *
trn_known_find_name (trn_engine_t *engine, trn_text_t name)
{
    assert (engine);
    trn_known_t *latest = NULL;
    for (size_t index = 0; index < engine->stores.count; index++) {
        trn_known_t *known = engine->stores.at[index];
        if (trn_text_is (name, known->name)
            && (!latest || known->heard_ms >= latest->heard_ms)) {
            latest = known;
        }
    }
    return latest;
}

void
trn_known_count (trn_engine_t *engine, trn_stream_t *stream)
{
    assert (engine && stream);
    const size_t now = trn_dedup_pages (&stream->dedup);
    engine->remembered = engine->remembered - stream->remembered + now;
    stream->remembered = now;
}

static void
s_destroy_stream (trn_engine_t *engine, trn_stream_t *stream)
{
    assert (!stream->flow);
    trn_table_remove (&engine->streams_by_handle, stream->handle);
    trn_dedup_clear (&stream->dedup);
    trn_known_count (engine, stream);
    free (stream);
}

void
trn_known_begin_life (trn_known_t *self)
{
    assert (self);
    for (size_t index = 0; index < self->streams.count; index++) {
        trn_stream_t *stream = self->streams.at[index];
        stream->seen_before = stream->dedup.seen;
    }
}

void
trn_known_remove (trn_engine_t *engine, trn_known_t *self)
{
    assert (engine && self && !self->inbound);
    trn_list_remove (&engine->stores, self);
    for (size_t index = 0; index < self->streams.count; index++) {
        s_destroy_stream (engine, self->streams.at[index]);
    }
    trn_list_clear (&self->streams);
    free (self);
}

//  What would be lost with it: 0 nothing, 1 what was settled, 2 messages in
//  hand, so it has to stay.
static int
s_weight (const trn_known_t *known)
{
    int weight = 0;
    for (size_t index = 0; index < known->streams.count; index++) {
        const trn_stream_t *stream = known->streams.at[index];
        if (stream->held) {
            return 2;
        }
        if (trn_seqset_total (&stream->dedup.settled)) {
            weight = 1;
        }
    }
    return weight;
}

static void
s_forget_one (trn_engine_t *engine)
{
    trn_known_t *victim = NULL;
    int victim_weight = 2;
    for (size_t index = 0; index < engine->stores.count; index++) {
        trn_known_t *known = engine->stores.at[index];
        const int weight = known->inbound ? 2 : s_weight (known);
        if (weight < victim_weight
            || (victim && weight == victim_weight
                && known->heard_ms < victim->heard_ms)) {
            victim = known;
            victim_weight = weight;
        }
    }
    if (!victim) {
        return;
    }
    if (victim_weight) {
        trn_action_t *report
            = trn_engine_report (engine, TRN_PUBLISHER_FORGOTTEN);
        trn_report_text (report, "peer", victim->name);
    }
    trn_known_remove (engine, victim);
}

trn_known_t *
trn_known_add (trn_engine_t *engine, const trn_identity_t *who)
{
    assert (engine && who && who->name.size <= TRN_NAME_MAX);
    if (engine->stores.count >= TRN_STORES_MAX) {
        s_forget_one (engine);
    }
    if (engine->stores.count >= TRN_STORES_MAX) {
        return NULL;
    }
    trn_known_t *self = trn_alloc (sizeof *self);
    memcpy (self->store_uuid, who->store_uuid, sizeof self->store_uuid);
    memcpy (self->name, who->name.at, who->name.size);
    self->incarnation = who->incarnation;
    self->random = who->random;
    trn_list_add (&engine->stores, self);
    return self;
}

trn_stream_t *
trn_known_stream (trn_engine_t *engine, trn_known_t *self, trn_text_t outbox,
                  trn_text_t queue)
{
    assert (engine && self);
    for (size_t index = 0; index < self->streams.count; index++) {
        trn_stream_t *stream = self->streams.at[index];
        if (trn_text_is (outbox, stream->outbox)
            && trn_text_is (queue, stream->queue)) {
            return stream;
        }
    }
    if (self->streams.count >= TRN_STREAMS_MAX) {
        return NULL;
    }
    trn_stream_t *stream = trn_alloc (sizeof *stream);
    assert (outbox.size < sizeof stream->outbox);
    assert (queue.size < sizeof stream->queue);
    memcpy (stream->outbox, outbox.at, outbox.size);
    memcpy (stream->queue, queue.at, queue.size);
    stream->handle = ++engine->stream_handle;
    stream->store = self;
    trn_list_add (&self->streams, stream);
    trn_table_put (&engine->streams_by_handle, stream->handle, stream);
    return stream;
}
