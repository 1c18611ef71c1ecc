//  peer/stats.c - numbers of this peer, per queue
//
//  Knows: where each number comes from.  Totals are counted by the log and the
//  engine anyway; here they are sampled once a second, on the actor's thread.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/consumer.h"
#include "peer/large.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_MS 1000

static tern_rate_t
s_rate (const trn_meter_t *meter, uint64_t total)
{
    return (tern_rate_t) {
        .total = total,
        .per_s = {trn_meter_rate (meter, 1), trn_meter_rate (meter, 10),
                  trn_meter_rate (meter, 60)},
    };
}

static uint64_t
s_accepted (const trn_box_t *box)
{
    return trn_log_appended (trn_outbox_log (box->outbox)) - box->opened_at;
}

void
trn_stats_delay (void *arg, trn_outbox_id_t outbox, uint64_t stamp_us,
                 uint64_t count)
{
    tern_peer_t *self = arg;
    const uint64_t now = trn_clock_wall_us ();
    //  A clock that was set back must not make the delay of a century.
    trn_histogram_add (&self->boxes[outbox - 1]->delay,
                       now > stamp_us ? now - stamp_us : 0, count);
}

//  The stamp of the oldest unsettled message, if it is at hand.
static void
s_find_oldest (trn_box_t *box, uint64_t low, uint64_t appended)
{
    if (low > appended) {
        box->oldest_us = 0;
        return;
    }
    if (box->oldest_seq == low && box->oldest_us) {
        return;
    }
    trn_engine_run_t run;
    if (trn_box_run (box->peer, box->id, low, 1, 1, &run) == TRN_RUN_READY) {
        box->oldest_seq = low;
        box->oldest_us = run.stamp_us;
        trn_box_release_run (box->peer, run.handle);
    }
}

static void
s_box_row (trn_box_t *box, tern_stats_t *row)
{
    tern_peer_t *self = box->peer;
    trn_engine_outbox_stats_t engine;
    trn_log_stats_t log;
    trn_engine_outbox_stats (self->engine, box->id, &engine);
    trn_log_stats (trn_outbox_log (box->outbox), &log);
    const uint64_t refused = atomic_load (&box->refused);
    const uint64_t accepted = s_accepted (box);
    const uint64_t now_us = trn_clock_wall_us ();

    *row = (tern_stats_t) {.role = TERN_ROLE_PUBLISHER};
    snprintf (row->peer, sizeof row->peer, "%s", self->name);
    snprintf (row->queue, sizeof row->queue, "%s", box->queue);
    row->produced = s_rate (&box->produced, accepted + refused);
    row->accepted = s_rate (&box->accepted, accepted);
    row->transmitted = s_rate (&box->transmitted, engine.transmitted);
    row->consumed = s_rate (&box->consumed, engine.consumed);
    row->redelivered = engine.redelivered;
    row->refused = refused;
    row->rejected = engine.rejected;
    row->dropped = engine.dropped;
    row->depth = engine.waiting + engine.in_flight + engine.parked;
    row->in_flight = engine.in_flight;
    row->parked = engine.parked;
    row->delayed = engine.delayed;
    row->expired = engine.expired;
    row->dead = engine.dead;
    row->oldest_ms = box->oldest_us && now_us > box->oldest_us
                         ? (now_us - box->oldest_us) / 1000
                         : 0;
    row->disk_bytes = log.disk_bytes;
    row->sync_us_last = log.sync_us_last;
    row->sync_us_max = log.sync_us_max;
    if (box->delay.total) {
        row->delay_p50_us = trn_histogram_quantile (&box->delay, 0.5);
        row->delay_p99_us = trn_histogram_quantile (&box->delay, 0.99);
        row->delay_max_us = box->delay.max;
    }
    row->consumers = engine.consumers;
}

static void
s_consumer_row (const tern_consumer_t *consumer, tern_stats_t *row)
{
    *row = (tern_stats_t) {.role = TERN_ROLE_CONSUMER};
    snprintf (row->peer, sizeof row->peer, "%s", consumer->peer->name);
    snprintf (row->queue, sizeof row->queue, "%s",
              trn_inbox_of (consumer->queue));
    row->transmitted = s_rate (&consumer->received_rate, consumer->received);
    row->consumed = s_rate (&consumer->accepted_rate, consumer->accepted);
    row->rejected = consumer->rejected;
    row->redelivered = consumer->redelivered;
    row->in_flight = consumer->received - consumer->settled;
    row->depth = row->in_flight;
    row->missed = atomic_load (&consumer->missed);
}

size_t
trn_stats_rows (tern_peer_t *self, tern_stats_t *rows, size_t max)
{
    size_t count = 0;
    for (uint32_t index = 0; index < self->box_count; index++, count++) {
        if (count < max) {
            s_box_row (self->boxes[index], &rows[count]);
        }
    }
    for (const tern_consumer_t *at = self->consumers; at; at = at->next) {
        if (trn_large_is_ours (at->queue)) {
            continue;
        }
        if (count < max) {
            s_consumer_row (at, &rows[count]);
        }
        count++;
    }
    return count;
}

void
trn_stats_sample (tern_peer_t *self, int64_t now_ms)
{
    self->sample_at = now_ms + SAMPLE_MS;
    for (uint32_t index = 0; index < self->box_count; index++) {
        trn_box_t *box = self->boxes[index];
        trn_engine_outbox_stats_t engine;
        trn_engine_outbox_stats (self->engine, box->id, &engine);
        const uint64_t accepted = s_accepted (box);
        trn_meter_sample (&box->produced,
                          accepted + atomic_load (&box->refused));
        trn_meter_sample (&box->accepted, accepted);
        trn_meter_sample (&box->transmitted, engine.transmitted);
        trn_meter_sample (&box->consumed, engine.consumed);
        s_find_oldest (box, engine.low, box->seen);
    }
    for (tern_consumer_t *at = self->consumers; at; at = at->next) {
        trn_meter_sample (&at->received_rate, at->received);
        trn_meter_sample (&at->accepted_rate, at->accepted);
    }
    size_t count = trn_stats_rows (self, NULL, 0);
    if (count > TRN_ROSTER_ROWS_MAX) {
        count = TRN_ROSTER_ROWS_MAX;
    }
    tern_stats_t *rows = trn_alloc ((count + 1) * sizeof *rows);
    trn_stats_rows (self, rows, count);
    trn_roster_on_load (self->roster, rows, count, now_ms);
    free (rows);
}
