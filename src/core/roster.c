//  core/roster.c - who is there, as one peer learns it from the directories
//
//  Knows: our own entry, the view merged from all nodes (core/view.c), when
//  what is stale may be dropped, and in which order things are done.  What goes
//  on with one node is in roster_node.c and roster_say.c, bindings are in
//  roster_bind.c.
//
//  Saved, all is | view (core/view.c) | bindings (core/bindings_saved.c) | size
//  of the view u64 |.
//
//  Invariant: stale claims are dropped only when some node has been answering,
//  its snapshot complete, for all of the grace: never while none answers.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/roster_inside.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/name.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX (64u * 1024 * 1024)

//  A view that has changed is saved at most so often.
#define SAVE_MS 1000

#define TRAILER_SIZE 8u

//  Small things ------------------------------------------------------------

int64_t
trn_roster_about (trn_roster_t *self, uint32_t ms)
{
    return ms - ms / 5 + (int64_t) trn_rng_below (&self->rng, 2 * (ms / 5) + 1);
}

static uint32_t
s_or (uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

//  The oldest is dropped when the shell does not take them: reports tell of
//  turns, and there are few.
void
trn_roster_report (trn_roster_t *self, tern_log_level_t level, const char *id,
                   const char *format, ...)
{
    if (self->report_count == TRN_ROSTER_REPORTS_MAX) {
        self->report_first = (self->report_first + 1) % TRN_ROSTER_REPORTS_MAX;
        self->report_count--;
    }
    trn_roster_report_t *report
        = &self->reports[(self->report_first + self->report_count++)
                         % TRN_ROSTER_REPORTS_MAX];
    report->id = id;
    report->level = level;
    va_list args;
    va_start (args, format);
    vsnprintf (report->text, sizeof report->text, format, args);
    va_end (args);
}

trn_roster_t *
trn_roster_new (const trn_roster_config_t *config)
{
    assert (config && config->name && config->node_count
            && config->node_count <= TRN_NODES_MAX);
    assert (!config->local || config->node_count == 1);
    assert (trn_name_valid (config->name, strlen (config->name)));
    trn_roster_t *self = trn_alloc (sizeof *self);
    trn_roster_config_t *own = &self->config;
    const bool local = config->local;
    *own = *config;
    own->lease_ms = s_or (own->lease_ms, 5000);
    own->ping_ms = s_or (own->ping_ms, local ? 200 : 1000);
    own->silence_ms = s_or (own->silence_ms, local ? 600 : 3000);
    own->backoff_min_ms = s_or (own->backoff_min_ms, 50);
    own->backoff_max_ms = s_or (own->backoff_max_ms, local ? 250 : 5000);
    own->grace_ms
        = s_or (own->grace_ms,
                (uint32_t) trn_most (own->lease_ms, 2 * own->backoff_max_ms));
    own->load_ms = s_or (own->load_ms, 1000);
    self->name = trn_strdup (config->name);
    self->rng.state = own->seed;
    self->now_ms = -1;
    self->version = 1;
    self->drop_at_ms = TRN_ROSTER_NEVER;
    self->save_at_ms = TRN_ROSTER_NEVER;
    self->bytes = trn_alloc (TRN_DIRECTORY_FRAME_MAX);
    self->node_count = own->node_count;
    for (size_t index = 0; index < self->node_count; index++) {
        trn_dirnode_t *node = &self->nodes[index];
        assert (
            trn_endpoint_valid (own->nodes[index], strlen (own->nodes[index])));
        node->endpoint = trn_strdup (own->nodes[index]);
        node->heard_at_ms = -1;
        node->backoff = (trn_backoff_t) {.min_ms = own->backoff_min_ms,
                                         .max_ms = own->backoff_max_ms};
    }
    trn_view_init (&self->view, (uint32_t) self->node_count + 1,
                   TRN_ROSTER_PEERS_MAX, MEMORY_MAX, trn_rng_next (&self->rng));
    trn_roster_bind_init (self);
    return self;
}

static void
s_clear_list (char **list, size_t *count)
{
    for (size_t index = 0; index < *count; index++) {
        free (list[index]);
    }
    *count = 0;
}

void
trn_roster_destroy (trn_roster_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    trn_roster_t *self = *self_p;
    s_clear_list (self->endpoints, &self->endpoint_count);
    s_clear_list (self->queues, &self->queue_count);
    for (size_t index = 0; index < self->node_count; index++) {
        free (self->nodes[index].endpoint);
    }
    trn_view_clear (&self->view);
    trn_roster_bind_clear (self);
    free (self->rows);
    free (self->name);
    free (self->bytes);
    free (self);
    *self_p = NULL;
}

size_t
trn_roster_registered (const trn_roster_t *self)
{
    size_t count = 0;
    for (size_t index = 0; index < self->node_count; index++) {
        count += self->nodes[index].registered;
    }
    return count;
}

//  Events ----------------------------------------------------------------

//  Every event starts here.  Our time never goes back, and if we were stopped
//  ourselves, that is no node's silence: its frames may wait in the socket.
static void
s_enter (trn_roster_t *self, int64_t now_ms)
{
    now_ms = trn_most (now_ms, self->now_ms);
    const int64_t gap_ms = self->now_ms < 0 ? 0 : now_ms - self->now_ms;
    const int64_t late_ms = gap_ms - self->config.ping_ms;
    self->now_ms = now_ms;
    if (late_ms < (int64_t) self->config.silence_ms / 2) {
        return;
    }
    for (size_t index = 0; index < self->node_count; index++) {
        trn_dirnode_t *node = &self->nodes[index];
        node->opened_at_ms += late_ms;
        node->heard_at_ms += node->heard_at_ms >= 0 ? late_ms : 0;
    }
}

//  Drop what no node has confirmed for all of the grace.
static void
s_drop_stale (trn_roster_t *self)
{
    self->drop_at_ms = TRN_ROSTER_NEVER;
    int64_t synced_at_ms = TRN_ROSTER_NEVER;
    for (size_t index = 0; index < self->node_count; index++) {
        const trn_dirnode_t *node = &self->nodes[index];
        if (node->synced) {
            synced_at_ms = trn_least (synced_at_ms, node->synced_at_ms);
        }
    }
    if (synced_at_ms == TRN_ROSTER_NEVER) {
        return;  //  nobody knows better
    }
    const int64_t grace_ms = self->config.grace_ms;
    if (self->now_ms < synced_at_ms + grace_ms) {
        self->drop_at_ms = synced_at_ms + grace_ms;
        return;
    }
    const int64_t oldest_ms
        = trn_view_drop_stale (&self->view, self->now_ms - grace_ms);
    if (oldest_ms != INT64_MAX) {
        self->drop_at_ms = oldest_ms + grace_ms;
    }
}

void
trn_roster_on_tick (trn_roster_t *self, int64_t now_ms)
{
    assert (self);
    s_enter (self, now_ms);
    if (self->closing) {
        return;
    }
    for (size_t index = 0; index < self->node_count; index++) {
        trn_dirnode_tick (self, &self->nodes[index]);
    }
    if (self->now_ms >= self->drop_at_ms) {
        s_drop_stale (self);
    }
}

int64_t
trn_roster_deadline (const trn_roster_t *self)
{
    assert (self);
    if (self->closing) {
        return TRN_ROSTER_NEVER;
    }
    int64_t deadline = trn_least (self->drop_at_ms, self->save_at_ms);
    for (size_t index = 0; index < self->node_count; index++) {
        deadline = trn_least (deadline,
                              trn_dirnode_deadline (self, &self->nodes[index]));
    }
    return deadline;
}

//  Our own entry is another than it was.
static void
s_note_own_change (trn_roster_t *self)
{
    self->version++;
    for (size_t index = 0; index < self->node_count; index++) {
        trn_dirnode_t *node = &self->nodes[index];
        if (node->state == TRN_ROSTER_OPEN && !node->refused_ms) {
            const bool was = node->registered;
            trn_dirnode_plan_register (self, node);
            //  The lease of the version before still runs: we are online.
            node->registered = was;
        }
    }
}

//  Copy a list if it is another; was it?
static bool
s_take_list (char **own, size_t *own_count, const char *const *list,
             size_t count)
{
    bool same = *own_count == count;
    for (size_t index = 0; same && index < count; index++) {
        same = !strcmp (own[index], list[index]);
    }
    if (same) {
        return false;
    }
    s_clear_list (own, own_count);
    for (size_t index = 0; index < count; index++) {
        own[index] = trn_strdup (list[index]);
    }
    *own_count = count;
    return true;
}

void
trn_roster_on_endpoints (trn_roster_t *self, const char *const *endpoints,
                         size_t count, int64_t now_ms)
{
    assert (self && count <= TRN_ENDPOINTS_MAX);
    s_enter (self, now_ms);
    if (s_take_list (self->endpoints, &self->endpoint_count, endpoints,
                     count)) {
        s_note_own_change (self);
    }
}

void
trn_roster_on_queues (trn_roster_t *self, const char *const *queues,
                      size_t count, int64_t now_ms)
{
    assert (self && count <= TRN_QUEUES_MAX);
    s_enter (self, now_ms);
    if (s_take_list (self->queues, &self->queue_count, queues, count)) {
        s_note_own_change (self);
    }
}

void
trn_roster_on_load (trn_roster_t *self, const tern_stats_t *rows, size_t count,
                    int64_t now_ms)
{
    assert (self && (rows || !count));
    s_enter (self, now_ms);
    if (count > TRN_ROSTER_ROWS_MAX) {
        self->stats.over += count - TRN_ROSTER_ROWS_MAX;
        count = TRN_ROSTER_ROWS_MAX;
    }
    self->rows = trn_realloc (self->rows, count * sizeof *rows);
    if (count) {
        memcpy (self->rows, rows, count * sizeof *rows);
    }
    self->row_count = count;
    for (size_t index = 0; index < self->node_count; index++) {
        trn_dirnode_t *node = &self->nodes[index];
        node->refreshing = false;
        if (node->registered && node->refresh_at_ms != TRN_ROSTER_NEVER) {
            node->refresh_at_ms
                = trn_least (node->refresh_at_ms,
                             node->said_refresh_ms + self->config.load_ms);
        }
    }
}

int
trn_roster_bind (trn_roster_t *self, const trn_binding_t *binding,
                 int64_t now_ms)
{
    assert (self && binding);
    s_enter (self, now_ms);
    return trn_roster_bind_own (self, binding);
}

int
trn_roster_confirm (trn_roster_t *self, const trn_binding_t *identity,
                    int64_t now_ms)
{
    assert (self && identity);
    s_enter (self, now_ms);
    return trn_roster_confirm_own (self, identity);
}

void
trn_roster_forget (trn_roster_t *self, uint64_t below_us)
{
    assert (self);
    trn_bindings_forget (self->bindings, below_us);
    self->show_index = 0;  //  rows have moved
}

const trn_bindings_t *
trn_roster_bindings (const trn_roster_t *self)
{
    assert (self);
    return self->bindings;
}

bool
trn_roster_bindings_known (const trn_roster_t *self)
{
    assert (self);
    return self->bindings_known;
}

void
trn_roster_on_frame (trn_roster_t *self, uint32_t index, const void *bytes,
                     size_t size, int64_t now_ms)
{
    assert (self && index < self->node_count && (bytes || !size));
    s_enter (self, now_ms);
    if (!self->closing) {
        trn_dirnode_hear (self, &self->nodes[index], bytes, size);
    }
}

void
trn_roster_on_trouble (trn_roster_t *self, uint32_t index, int64_t now_ms)
{
    assert (self && index < self->node_count);
    s_enter (self, now_ms);
    trn_dirnode_t *node = &self->nodes[index];
    if (!self->closing && node->state == TRN_ROSTER_OPEN) {
        trn_dirnode_lose (self, node, "disconnected");
    }
}

void
trn_roster_on_hosted (trn_roster_t *self, int result, int64_t now_ms)
{
    assert (self && self->config.local);
    s_enter (self, now_ms);
    trn_dirnode_t *node = &self->nodes[0];
    if (self->closing || node->state != TRN_ROSTER_HOSTING) {
        return;
    }
    if (result && result != TERN_EINUSE && !node->known_lost) {
        trn_roster_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-LOST",
                           "endpoint=%.160s why=\"cannot be hosted: %s\"",
                           node->endpoint, tern_strerror (result));
        node->known_lost = true;
    }
    trn_dirnode_open (self, node);
}

void
trn_roster_on_close (trn_roster_t *self, int64_t now_ms)
{
    assert (self);
    s_enter (self, now_ms);
    self->closing = true;
    for (size_t index = 0; index < self->node_count; index++) {
        trn_dirnode_t *node = &self->nodes[index];
        node->goodbye = node->state == TRN_ROSTER_OPEN && self->endpoint_count;
    }
}

//  Actions ---------------------------------------------------------------

static void
s_show_peer (const trn_member_t *member, trn_roster_peer_t *peer)
{
    *peer = (trn_roster_peer_t) {
        .name = member->name,
        .incarnation = member->incarnation,
        .random = member->random,
        .endpoint_count = member->endpoint_count,
        .endpoints = member->endpoints,
        .queue_count = member->queue_count,
        .queues = member->queues,
    };
    memcpy (peer->store_uuid, member->store_uuid, sizeof peer->store_uuid);
}

void
trn_roster_plan_save (trn_roster_t *self)
{
    if (self->save_at_ms == TRN_ROSTER_NEVER) {
        self->save_at_ms = trn_most (self->now_ms, self->saved_at_ms + SAVE_MS);
    }
}

static const trn_roster_action_t *
s_view_action (trn_roster_t *self)
{
    bool gone;
    const trn_member_t *member = trn_view_next_change (&self->view, &gone);
    if (!member) {
        return NULL;
    }
    self->action.type = gone ? TRN_ROSTER_PEER_GONE : TRN_ROSTER_PEER;
    s_show_peer (member, &self->action.peer);
    if (gone) {
        self->action.peer.endpoint_count = 0;
        self->action.peer.queue_count = 0;
    }
    trn_roster_plan_save (self);
    return &self->action;
}

static const trn_roster_action_t *
s_report_action (trn_roster_t *self)
{
    const trn_roster_report_t *report = &self->reports[self->report_first];
    self->report_first = (self->report_first + 1) % TRN_ROSTER_REPORTS_MAX;
    self->report_count--;
    self->action.type = TRN_ROSTER_REPORT;
    self->action.report.id = report->id;
    self->action.report.level = report->level;
    memcpy (self->action.report.text, report->text, sizeof report->text);
    return &self->action;
}

const trn_roster_action_t *
trn_roster_action (trn_roster_t *self)
{
    assert (self);
    const trn_roster_action_t *action = NULL;
    if (!self->closing && self->report_count) {
        return s_report_action (self);
    }
    if (!self->closing && (action = s_view_action (self))) {
        return action;
    }
    if (!self->closing && (action = trn_roster_bind_action (self))) {
        return action;
    }
    while (self->node_turn < self->node_count) {
        action = trn_dirnode_action (self, &self->nodes[self->node_turn]);
        if (action) {
            return action;
        }
        self->node_turn++;
    }
    self->node_turn = 0;
    if (!self->closing && self->now_ms >= self->save_at_ms) {
        self->save_at_ms = TRN_ROSTER_NEVER;
        self->saved_at_ms = self->now_ms;
        self->action.type = TRN_ROSTER_SAVE;
        return &self->action;
    }
    return NULL;
}

//  The view --------------------------------------------------------------

bool
trn_roster_online (const trn_roster_t *self)
{
    assert (self);
    return trn_roster_registered (self) > 0;
}

bool
trn_roster_complete (const trn_roster_t *self)
{
    assert (self);
    return self->complete;
}

bool
trn_roster_peer_at (const trn_roster_t *self, size_t index,
                    trn_roster_peer_t *peer)
{
    assert (self && peer);
    const trn_member_t *member = trn_view_at (&self->view, index);
    if (!member) {
        return false;
    }
    s_show_peer (member, peer);
    return true;
}

size_t
trn_roster_view (trn_roster_t *self, uint8_t *buffer, size_t capacity)
{
    assert (self && buffer && capacity >= TRN_DIRECTORY_FRAME_MAX);
    capacity = (size_t) trn_least ((int64_t) capacity, TRN_ROSTER_VIEW_MAX);
    //  Bindings first: peers are told again by any node, and by themselves.
    size_t bindings_size;
    uint8_t *bindings
        = trn_bindings_save (self->bindings, capacity / 2, &bindings_size);
    const size_t view_size = trn_view_save (
        &self->view, buffer, capacity - bindings_size - TRAILER_SIZE);
    memcpy (buffer + view_size, bindings, bindings_size);
    free (bindings);
    trn_put_u64 (buffer + view_size + bindings_size, view_size);
    return view_size + bindings_size + TRAILER_SIZE;
}

//  What is packed is smaller than what it is in memory.  A page of the view
//  asks for a whole frame, and bindings for half of all.
size_t
trn_roster_view_room (const trn_roster_t *self)
{
    assert (self);
    const size_t room
        = 2 * (trn_bindings_bytes (self->bindings) + TRN_DIRECTORY_FRAME_MAX)
          + self->view.memory + 2 * TRN_DIRECTORY_FRAME_MAX;
    return room < TRN_ROSTER_VIEW_MAX ? room : TRN_ROSTER_VIEW_MAX;
}

int
trn_roster_restore (trn_roster_t *self, const uint8_t *saved, size_t size)
{
    assert (self && self->now_ms < 0);
    if (size > TRN_ROSTER_VIEW_MAX || size < TRAILER_SIZE) {
        return TERN_ECORRUPT;
    }
    size -= TRAILER_SIZE;
    const uint64_t view_size = trn_get_u64 (saved + size);
    if (view_size > size) {
        return TERN_ECORRUPT;
    }
    //  All of it, or nothing.
    trn_bindings_t *bindings
        = trn_bindings_new (TRN_BINDINGS_MAX, TRN_BINDINGS_BYTES);
    const uint32_t source = (uint32_t) self->node_count;
    int rc = trn_bindings_load (bindings, saved + view_size, size - view_size);
    rc = rc ? rc : trn_view_load (&self->view, source, saved, view_size);
    if (rc) {
        trn_bindings_destroy (&bindings);
        return rc;
    }
    trn_bindings_destroy (&self->bindings);
    self->bindings = bindings;
    //  A name that was another's is ours now.
    trn_view_unclaim (&self->view, source, trn_text (self->name));
    return TERN_OK;
}

void
trn_roster_stats (const trn_roster_t *self, trn_roster_stats_t *stats)
{
    assert (self && stats);
    *stats = self->stats;
    stats->peers = self->view.shown_count;
    stats->over += self->view.over;
    for (size_t index = 0; index < self->node_count; index++) {
        const trn_dirnode_t *node = &self->nodes[index];
        stats->nodes_online += node->registered;
    }
}
