//  core/roster_say.c - what is said to one directory node, and when
//
//  Whatever is to be said has a time in the node's plan.  What is due is said,
//  one frame per call, and planned again for the case that no answer comes; an
//  answer, or the next event, moves it.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/roster_inside.h"

#include <string.h>

static const trn_roster_action_t *
s_send (trn_roster_t *self, trn_dirnode_t *node, const trn_dirframe_t *frame)
{
    trn_roster_action_t *action = &self->action;
    action->type = TRN_ROSTER_SEND;
    action->node = trn_dirnode_number (self, node);
    action->bytes = self->bytes;
    if (frame) {
        action->size
            = trn_dirframe_encode (frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
    }
    return action;
}

static const trn_roster_action_t *
s_send_register (trn_roster_t *self, trn_dirnode_t *node)
{
    trn_dirframe_t frame = {
        .type = TRN_DIR_REGISTER,
        .enrol = {.version_min = TRN_ROSTER_VERSION,
                  .version_max = TRN_ROSTER_VERSION,
                  .lease_ms = self->config.lease_ms},
    };
    trn_entry_t *entry = &frame.enrol.entry;
    entry->name = trn_text (self->name);
    memcpy (entry->store_uuid, self->config.store_uuid,
            sizeof entry->store_uuid);
    entry->incarnation = self->config.incarnation;
    entry->random = self->config.random;
    entry->version = self->version;
    entry->endpoint_count = (uint32_t) self->endpoint_count;
    for (size_t index = 0; index < self->endpoint_count; index++) {
        entry->endpoints[index] = trn_text (self->endpoints[index]);
    }
    entry->queue_count = (uint32_t) self->queue_count;
    for (size_t index = 0; index < self->queue_count; index++) {
        entry->queues[index] = trn_text (self->queues[index]);
    }
    node->said_register_ms = self->now_ms;
    node->register_at_ms = self->now_ms + TRN_ROSTER_ANSWER_MS;
    return s_send (self, node, &frame);
}

static const trn_roster_action_t *
s_send_watch (trn_roster_t *self, trn_dirnode_t *node)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_WATCH,
        .watch = {.version_min = TRN_ROSTER_VERSION,
                  .version_max = TRN_ROSTER_VERSION,
                  .epoch = node->epoch,
                  .number = node->number},
    };
    //  Until the answer is here, what it tells is not continuous.
    node->synced = false;
    node->watch_at_ms = self->now_ms + 2 * TRN_ROSTER_ANSWER_MS;
    return s_send (self, node, &frame);
}

static const trn_roster_action_t *
s_send_ping (trn_roster_t *self, trn_dirnode_t *node)
{
    //  Never 0: that is the directory's answer to a WATCH.
    const trn_dirframe_t frame = {
        .type = TRN_DIR_PING,
        .ping = {.nonce = ++node->nonce},
    };
    node->ping_at_ms
        = self->now_ms + trn_roster_about (self, self->config.ping_ms);
    return s_send (self, node, &frame);
}

//  One page of numbers; the next follows at once.
static const trn_roster_action_t *
s_send_refresh (trn_roster_t *self, trn_dirnode_t *node)
{
    if (!node->refreshing) {
        node->refreshing = true;
        node->refresh_row = 0;
        node->refresh_page = 0;
        self->stats.refreshes++;
    }
    trn_dirframe_t frame = {
        .type = TRN_DIR_REFRESH,
        .refresh = {.name = trn_text (self->name),
                    .incarnation = self->config.incarnation,
                    .version = self->version,
                    .page = node->refresh_page++},
    };
    memcpy (frame.refresh.store_uuid, self->config.store_uuid,
            sizeof frame.refresh.store_uuid);
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, self->bytes, TRN_DIRECTORY_FRAME_MAX);
    while (node->refresh_row < self->row_count
           && trn_dirpage_add_row (&page, &self->rows[node->refresh_row])) {
        node->refresh_row++;
    }
    const bool last = node->refresh_row == self->row_count;
    self->action.size = trn_dirpage_end (&page, last);
    if (last) {
        node->refreshing = false;
        node->said_refresh_ms = self->now_ms;
        node->refresh_at_ms
            = self->now_ms + trn_roster_about (self, node->lease_ms / 3);
    }
    return s_send (self, node, NULL);
}

static const trn_roster_action_t *
s_send_goodbye (trn_roster_t *self, trn_dirnode_t *node)
{
    trn_dirframe_t frame = {
        .type = TRN_DIR_GOODBYE,
        .goodbye = {.name = trn_text (self->name),
                    .incarnation = self->config.incarnation},
    };
    memcpy (frame.goodbye.store_uuid, self->config.store_uuid,
            sizeof frame.goodbye.store_uuid);
    node->goodbye = false;
    return s_send (self, node, &frame);
}

//  What is due to one node; NULL if nothing is.
const trn_roster_action_t *
trn_dirnode_action (trn_roster_t *self, trn_dirnode_t *node)
{
    trn_roster_action_t *action = &self->action;
    action->node = trn_dirnode_number (self, node);
    if (self->closing) {
        return node->goodbye ? s_send_goodbye (self, node) : NULL;
    }
    if (node->disconnect) {
        node->disconnect = false;
        action->type = TRN_ROSTER_DISCONNECT;
        return action;
    }
    if (node->host) {
        node->host = false;
        action->type = TRN_ROSTER_HOST;
        return action;
    }
    if (node->state != TRN_ROSTER_OPEN) {
        return NULL;
    }
    if (node->connect) {
        node->connect = false;
        action->type = TRN_ROSTER_CONNECT;
        action->endpoint = node->endpoint;
        return action;
    }
    if (self->endpoint_count && self->now_ms >= node->register_at_ms) {
        return s_send_register (self, node);
    }
    if (self->now_ms >= node->watch_at_ms) {
        return s_send_watch (self, node);
    }
    self->action.size = trn_dirnode_say_bindings (self, node);
    if (self->action.size) {
        return s_send (self, node, NULL);
    }
    if (self->now_ms >= node->refresh_at_ms) {
        return s_send_refresh (self, node);
    }
    if (self->now_ms >= node->ping_at_ms) {
        return s_send_ping (self, node);
    }
    return NULL;
}
