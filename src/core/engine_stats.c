//  core/engine_stats.c - the engine's numbers, for people
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/inside.h"
#include "core/publication.h"

#include <assert.h>

static void
s_add_subscription (trn_engine_outbox_stats_t *stats,
                    const trn_subscription_t *sub, uint64_t high)
{
    stats->transmitted += sub->stats.transmitted;
    stats->consumed += sub->stats.consumed;
    stats->redelivered += sub->stats.redelivered;
    stats->requeued += sub->stats.requeued;
    stats->rejected += sub->stats.rejected;
    stats->released += sub->stats.released;
    stats->stale += sub->stats.stale;
    stats->dropped += sub->stats.dropped;
    stats->waiting += trn_subscription_waiting (sub, high);
    stats->in_flight += trn_seqset_total (&sub->leased);
    stats->parked += trn_seqset_total (&sub->parked);
    stats->expired += sub->stats.expired;
    stats->dead += sub->stats.dead;
    stats->delayed += sub->ruled.delayed;
    stats->ruled += sub->ruled.count;
    stats->consumers += (uint32_t) sub->flows.count;
}

void
trn_engine_outbox_stats (const trn_engine_t *self, trn_outbox_id_t outbox,
                         trn_engine_outbox_stats_t *stats)
{
    assert (self && stats);
    assert (outbox >= 1 && outbox <= self->publications.count);
    const trn_publication_t *publication = self->publications.at[outbox - 1];
    *stats = (trn_engine_outbox_stats_t) {0};
    for (size_t index = 0; index < publication->subs.count; index++) {
        s_add_subscription (stats, publication->subs.at[index],
                            publication->high);
    }
    stats->low = trn_publication_low (publication);
    stats->processed = stats->low - 1;
}

void
trn_engine_on_want (trn_engine_t *self, trn_engine_want_fn *fn, void *arg)
{
    assert (self);
    self->want = fn;
    self->want_arg = arg;
}

void
trn_engine_on_delay (trn_engine_t *self, trn_engine_delay_fn *fn, void *arg)
{
    assert (self);
    self->delay = fn;
    self->delay_arg = arg;
}

void
trn_engine_stats (const trn_engine_t *self, trn_engine_stats_t *stats)
{
    assert (self && stats);
    *stats = self->stats;
    stats->links = (uint32_t) self->links.count;
    stats->routes = (uint32_t) self->inbounds.count;
    stats->links_open = 0;
    for (size_t index = 0; index < self->links.count; index++) {
        const trn_link_t *link = self->links.at[index];
        stats->links_open += link->state == TRN_LINK_OPEN ? 1 : 0;
    }
}
