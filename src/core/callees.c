//  core/callees.c - whom a publisher may have to call, as the roster says
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/callees.h"

#include "base/memory.h"
#include "core/link_out.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static trn_link_t *
s_find (const trn_engine_t *engine, const char *name)
{
    for (size_t index = 0; index < engine->links.count; index++) {
        trn_link_t *link = engine->links.at[index];
        if (strcmp (link->name, name) == 0) {
            return link;
        }
    }
    return NULL;
}

static void
s_make_room (trn_engine_t *engine)
{
    for (size_t index = 0; index < engine->links.count; index++) {
        trn_link_t *link = engine->links.at[index];
        if (!link->listed && link->state == TRN_LINK_IDLE) {
            trn_list_remove (&engine->links, link);
            trn_table_remove (&engine->links_by_id, link->id);
            trn_link_out_destroy (engine, &link);
            return;
        }
    }
}

static trn_link_t *
s_add (trn_engine_t *engine, const char *name)
{
    if (engine->links.count >= TRN_LINKS_MAX) {
        s_make_room (engine);
    }
    if (engine->links.count >= TRN_LINKS_MAX) {
        trn_action_t *report = trn_engine_report (engine, TRN_TABLE_FULL);
        trn_report_text (report, "table", "links");
        trn_report_text (report, "peer", name);
        return NULL;
    }
    trn_link_t *link = trn_link_out_new (engine, name);
    trn_list_add (&engine->links, link);
    trn_table_put (&engine->links_by_id, link->id, link);
    return link;
}

static void
s_set_queues (trn_link_t *link, const char *const *queues, size_t count)
{
    count = count < TRN_QUEUES_MAX ? count : TRN_QUEUES_MAX;
    free (link->queues);
    link->queues = NULL;
    link->queue_count = 0;
    if (count) {
        link->queues = trn_alloc (count * sizeof *link->queues);
    }
    for (size_t index = 0; index < count; index++) {
        const size_t size = strlen (queues[index]);
        if (size < sizeof *link->queues) {
            memcpy (link->queues[link->queue_count++], queues[index], size + 1);
        }
    }
}

//  We may have met the new incarnation before the roster told us of it.
static bool
s_has_moved (const trn_link_t *link, uint64_t incarnation, const char *endpoint)
{
    const bool met
        = link->state == TRN_LINK_OPEN && link->incarnation == incarnation;
    return (incarnation != link->listed_incarnation && !met)
           || strcmp (endpoint, link->endpoint) != 0;
}

void
trn_callees_on_peer (trn_engine_t *engine, const char *name,
                     uint64_t incarnation, const char *endpoint,
                     const char *const *queues, size_t queue_count)
{
    assert (engine && name && endpoint && (queues || !queue_count));
    assert (strlen (endpoint) <= TRN_ENDPOINT_MAX);
    trn_link_t *link = s_find (engine, name);
    if (!link && queue_count) {
        link = s_add (engine, name);
    }
    if (!link) {
        return;
    }
    const bool moved = s_has_moved (link, incarnation, endpoint);
    link->listed = true;
    link->listed_incarnation = incarnation;
    memcpy (link->endpoint, endpoint, strlen (endpoint) + 1);
    s_set_queues (link, queues, queue_count);
    if (moved) {
        trn_link_out_move (engine, link);
    }
    trn_link_out_look (engine, link);
}

void
trn_callees_on_peer_gone (trn_engine_t *engine, const char *name)
{
    assert (engine && name);
    trn_link_t *link = s_find (engine, name);
    if (link) {
        link->listed = false;
        trn_link_out_look (engine, link);
    }
}

void
trn_callees_on_subscription (trn_engine_t *engine, trn_subscription_t *sub)
{
    assert (engine && sub);
    for (size_t index = 0; index < engine->links.count; index++) {
        trn_link_out_look_at (engine, engine->links.at[index], sub);
    }
}

void
trn_callees_on_need (trn_engine_t *engine)
{
    assert (engine);
    for (size_t index = 0; index < engine->links.count; index++) {
        trn_link_out_look (engine, engine->links.at[index]);
    }
}
