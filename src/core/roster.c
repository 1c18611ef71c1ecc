//  core/roster.c - who is there, as one peer learns it from the directories
//
//  Knows: when to connect, register, refresh, watch and ping each node, and when
//  to believe that a node or a peer is gone.  The merged view is core/view.c.
//
//      IDLE --retry--> [HOSTING] --> OPEN --silence, trouble--> IDLE
//                       local only
//
//  Whatever is to be said to a node has a time in its plan; action () says what
//  is due, one frame per call, and plans it again for the case that no answer
//  comes.  An answer, or the next event, moves it.
//
//  Invariants:
//    - a node that is not OPEN has told us nothing that is not stale;
//    - stale claims are dropped only when some node has been answering, its
//      snapshot complete, for all of the grace: never while none answers.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/roster.h"

#include "base/memory.h"
#include "base/name.h"
#include "core/backoff.h"
#include "core/view.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Of the protocol between peers and directories.
#define VERSION 1

#define NEVER INT64_MAX
#define MEMORY_MAX (64u * 1024 * 1024)

//  A question that has an answer is asked again after this.
#define ANSWER_MS 1000
//  The first sign of life after a connect; a local node answers at once.
#define FIRST_ANSWER_MS 1500
#define FIRST_ANSWER_LOCAL_MS 150
//  Changes of our own entry are told at most so often.
#define REGISTER_GAP_MS 50
//  After a refusal that only time can cure.
#define REFUSED_MIN_MS 500
#define REFUSED_MAX_MS 10000
//  So long a connection must hold before the backoff starts anew.
#define HEALTHY_MS 10000
//  A view that has changed is saved at most so often.
#define SAVE_MS 1000
//  Nonsense from one connection before it is given up.
#define GARBAGE_MAX 16
#define REPORTS_MAX 16

typedef enum { IDLE, HOSTING, OPEN } node_state_t;

typedef struct {
    char *endpoint;
    node_state_t state;
    int64_t retry_at_ms;       //  IDLE: connect then
    trn_backoff_t backoff;
    bool connect, disconnect, host;  //  to be done by the shell
    int64_t opened_at_ms;
    int64_t heard_at_ms;       //  -1: not on this connection
    uint32_t garbage;          //  on this connection
    //  The plan: when to say it next.
    int64_t register_at_ms;
    int64_t watch_at_ms;
    int64_t ping_at_ms;
    int64_t refresh_at_ms;
    bool goodbye;
    //  What it knows of us.
    bool registered;           //  under our present version
    int64_t said_register_ms;
    int64_t said_refresh_ms;
    uint32_t refused_ms;       //  last wait after a refusal
    uint32_t refused_why;      //  reported already; 0: none
    uint32_t lease_ms;         //  granted
    bool refreshing;           //  pages of a REFRESH are going out
    size_t refresh_row;
    uint64_t refresh_page;
    //  What we know from it.
    uint64_t epoch;            //  of what it told; 0: nothing yet
    uint64_t number;           //  last change known
    bool synced;               //  told all it knows, on this connection
    int64_t synced_at_ms;
    uint64_t snapshot_epoch;   //  of pages that come in; 0: none do
    uint64_t snapshot_number;
    uint64_t snapshot_page;    //  next
    uint64_t hole_number;      //  where we stood when it was ahead of us; 0 none
    uint64_t nonce;
    uint32_t failures;         //  connections lost since it last answered
    bool known_lost;           //  its silence was reported
} node_t;

typedef struct {
    const char *id;
    tern_log_level_t level;
    char text[256];
} report_t;

struct trn_roster {
    trn_roster_config_t config;
    trn_rng_t rng;
    int64_t now_ms;            //  of the last call, -1 before the first
    bool closing;
    char *name;
    uint64_t version;          //  of our entry
    size_t endpoint_count, queue_count;
    char *endpoints[TRN_ENDPOINTS_MAX];
    char *queues[TRN_QUEUES_MAX];
    tern_stats_t *rows;
    size_t row_count;
    size_t node_count;
    node_t nodes[TRN_NODES_MAX];
    size_t node_turn;          //  whose turn it is in action ()
    trn_view_t view;           //  sources: the nodes, then the saved view
    bool complete;
    int64_t drop_at_ms;        //  look for stale claims; NEVER if none matter
    int64_t save_at_ms;
    int64_t saved_at_ms;
    report_t reports[REPORTS_MAX];
    size_t report_first, report_count;
    trn_roster_stats_t stats;
    trn_roster_action_t action;
    uint8_t *bytes;            //  of the action's frame
};

//  Small things ------------------------------------------------------------

//  About so long: from 80 to 120 percent.
static int64_t
s_about (trn_roster_t *self, uint32_t ms)
{
    return ms - ms / 5
           + (int64_t) trn_rng_below (&self->rng, 2 * (ms / 5) + 1);
}

static int64_t
s_least (int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t
s_most (int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static uint32_t
s_or (uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

//  The oldest is dropped when the shell does not take them: reports tell of
//  turns, and there are few.
__attribute__ ((format (printf, 4, 5))) static void
s_report (trn_roster_t *self, tern_log_level_t level, const char *id,
          const char *format, ...)
{
    if (self->report_count == REPORTS_MAX) {
        self->report_first = (self->report_first + 1) % REPORTS_MAX;
        self->report_count--;
    }
    report_t *report = &self->reports[(self->report_first
                                       + self->report_count++)
                                      % REPORTS_MAX];
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
    own->grace_ms = s_or (own->grace_ms,
                          (uint32_t) s_most (own->lease_ms,
                                             2 * own->backoff_max_ms));
    own->load_ms = s_or (own->load_ms, 1000);
    self->name = trn_strdup (config->name);
    self->rng.state = own->seed;
    self->now_ms = -1;
    self->version = 1;
    self->drop_at_ms = NEVER;
    self->save_at_ms = NEVER;
    self->bytes = trn_alloc (TRN_DIRECTORY_FRAME_MAX);
    self->node_count = own->node_count;
    for (size_t index = 0; index < self->node_count; index++) {
        node_t *node = &self->nodes[index];
        assert (trn_endpoint_valid (own->nodes[index],
                                    strlen (own->nodes[index])));
        node->endpoint = trn_strdup (own->nodes[index]);
        node->heard_at_ms = -1;
        node->backoff = (trn_backoff_t) {.min_ms = own->backoff_min_ms,
                                         .max_ms = own->backoff_max_ms};
    }
    trn_view_init (&self->view, (uint32_t) self->node_count + 1,
                   TRN_ROSTER_PEERS_MAX, MEMORY_MAX,
                   trn_rng_next (&self->rng));
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
    free (self->rows);
    free (self->name);
    free (self->bytes);
    free (self);
    *self_p = NULL;
}

//  Connections -----------------------------------------------------------

static uint32_t
s_source (const trn_roster_t *self, const node_t *node)
{
    return (uint32_t) (node - self->nodes);
}

//  Somebody's word may be enough now to drop what is stale: look at once, then
//  it is known when to look again.
static void
s_look_for_stale (trn_roster_t *self)
{
    self->drop_at_ms = self->view.stale ? self->now_ms : NEVER;
}

static void
s_open (trn_roster_t *self, node_t *node)
{
    node->state = OPEN;
    node->connect = true;
    node->disconnect = false;
    node->opened_at_ms = self->now_ms;
    node->heard_at_ms = -1;
    node->garbage = 0;
    node->register_at_ms = self->now_ms;
    node->watch_at_ms = self->now_ms;
    node->ping_at_ms = self->now_ms + s_about (self, self->config.ping_ms);
    node->refresh_at_ms = NEVER;
    node->hole_number = 0;
    self->stats.connects++;
}

static void
s_plan_retry (trn_roster_t *self, node_t *node)
{
    node->retry_at_ms
        = self->now_ms + trn_backoff_next (&node->backoff, &self->rng);
}

static size_t
s_count_registered (const trn_roster_t *self)
{
    size_t count = 0;
    for (size_t index = 0; index < self->node_count; index++) {
        count += self->nodes[index].registered;
    }
    return count;
}

//  The connection is over, whoever says so.
static void
s_lose (trn_roster_t *self, node_t *node, const char *why)
{
    //  Two who start at once may miss each other once: that is no news.
    node->failures++;
    if (!node->known_lost && (node->registered || node->failures > 2)) {
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-LOST",
                  "endpoint=%.160s why=%s peers=%" PRIu32, node->endpoint,
                  why, self->view.shown_count);
        node->known_lost = true;
    }
    node->state = IDLE;
    node->connect = false;
    node->disconnect = true;
    node->registered = false;
    node->synced = false;
    node->refreshing = false;
    node->snapshot_epoch = 0;
    node->refused_ms = 0;
    trn_view_make_stale (&self->view, s_source (self, node), self->now_ms);
    s_look_for_stale (self);
    s_plan_retry (self, node);
    //  Whoever takes over a local directory does it now; its lock lets only
    //  one.
    if (self->config.local && node->heard_at_ms >= 0) {
        node->retry_at_ms = self->now_ms;
    }
}

static void
s_retry (trn_roster_t *self, node_t *node)
{
    if (self->config.local) {
        node->state = HOSTING;
        node->host = true;
    } else {
        s_open (self, node);
    }
}

//  When silence of an open node becomes its death.
static int64_t
s_silence_ends_ms (const trn_roster_t *self, const node_t *node)
{
    if (node->heard_at_ms >= 0) {
        return node->heard_at_ms + self->config.silence_ms;
    }
    return node->opened_at_ms
           + s_least (self->config.silence_ms,
                      self->config.local ? FIRST_ANSWER_LOCAL_MS
                                         : FIRST_ANSWER_MS);
}

//  What a node tells ------------------------------------------------------

static void
s_plan_register (trn_roster_t *self, node_t *node)
{
    node->registered = false;
    node->refreshing = false;
    node->refresh_at_ms = NEVER;
    node->register_at_ms = s_most (self->now_ms,
                                   node->said_register_ms + REGISTER_GAP_MS);
}

//  Something was missed: ask again, but not faster than answers can come.
static void
s_plan_watch (trn_roster_t *self, node_t *node)
{
    node->snapshot_epoch = 0;
    node->hole_number = 0;
    node->watch_at_ms = s_least (node->watch_at_ms,
                                 self->now_ms + ANSWER_MS / 5);
}

static void
s_on_registered (trn_roster_t *self, node_t *node,
                 const trn_dirframe_t *frame)
{
    if (frame->registered.version != self->version) {
        return;  //  of a version before; ours is under way
    }
    node->refused_ms = 0;
    node->refused_why = 0;
    node->lease_ms = (uint32_t) frame->registered.lease_ms;
    node->register_at_ms = NEVER;
    node->refresh_at_ms
        = s_least (node->refresh_at_ms,
                   self->now_ms + s_about (self, node->lease_ms / 3));
    if (!node->registered) {
        const bool first = s_count_registered (self) == 0;
        node->registered = true;
        self->stats.registrations++;
        if (self->row_count) {
            node->refresh_at_ms = self->now_ms;
        }
        if (node->known_lost || first) {
            s_report (self, TERN_LOG_INFO, "TERN-DIRECTORY-FOUND",
                      "endpoint=%.160s lease_ms=%" PRIu32, node->endpoint,
                      node->lease_ms);
        }
        node->known_lost = false;
    }
}

static void
s_report_refusal (trn_roster_t *self, const node_t *node,
                  const trn_dirframe_t *frame)
{
    static const char *const ids[] = {
        [TRN_DIR_NAME] = "TERN-NAME-TAKEN",
        [TRN_DIR_FENCED] = "TERN-FENCED",
        [TRN_DIR_FULL] = "TERN-DIRECTORY-FULL",
        [TRN_DIR_RIGHTS] = "TERN-DIRECTORY-RIGHTS",
        [TRN_DIR_VERSION] = "TERN-DIRECTORY-VERSION",
    };
    const size_t reason = frame->refused.reason;
    const char *id = reason < sizeof ids / sizeof ids[0] ? ids[reason] : NULL;
    char text[TRN_ESCAPED_MAX];
    trn_escape (text, frame->refused.text.at,
                (size_t) s_least (64, (int64_t) frame->refused.text.size));
    s_report (self, TERN_LOG_ERROR, id ? id : "TERN-DIRECTORY-REFUSED",
              "endpoint=%.120s why=\"%.100s\"", node->endpoint, text);
}

static void
s_on_refused (trn_roster_t *self, node_t *node, const trn_dirframe_t *frame)
{
    self->stats.refusals++;
    s_plan_register (self, node);
    if (frame->refused.reason == TRN_DIR_UNKNOWN) {
        return;  //  it forgot us, or never knew: say it all again
    }
    if (node->refused_why != frame->refused.reason) {
        s_report_refusal (self, node, frame);
        node->refused_why = frame->refused.reason;
    }
    node->refused_ms = node->refused_ms
                           ? (uint32_t) s_least (2 * node->refused_ms,
                                                 REFUSED_MAX_MS)
                           : REFUSED_MIN_MS;
    node->register_at_ms
        = self->now_ms + s_about (self, node->refused_ms);
}

static void
s_note_synced (trn_roster_t *self, node_t *node, uint64_t epoch,
               uint64_t number)
{
    node->epoch = epoch;
    node->number = number;
    node->synced = true;
    node->synced_at_ms = self->now_ms;
    node->snapshot_epoch = 0;
    node->hole_number = 0;
    node->watch_at_ms = NEVER;
    self->complete = true;
    s_look_for_stale (self);
}

static void
s_on_snapshot (trn_roster_t *self, node_t *node, trn_dirframe_t *frame)
{
    const uint32_t source = s_source (self, node);
    const uint64_t page = frame->snapshot.page;
    if (page == 0) {
        trn_view_begin_snapshot (&self->view, source);
        node->snapshot_epoch = frame->snapshot.epoch;
        node->snapshot_number = frame->snapshot.number;
        node->snapshot_page = 0;
    } else if (page != node->snapshot_page
               || frame->snapshot.epoch != node->snapshot_epoch
               || frame->snapshot.number != node->snapshot_number) {
        self->stats.holes++;
        s_plan_watch (self, node);
        return;
    }
    node->snapshot_page++;
    node->watch_at_ms = self->now_ms + 2 * ANSWER_MS;
    trn_entry_t entry;
    while (trn_entries_next (&frame->snapshot.entries, &entry)) {
        if (!trn_text_is (entry.name, self->name)) {
            trn_view_claim (&self->view, source, &entry, -1);
        }
    }
    if (!frame->snapshot.last) {
        return;
    }
    //  In the life that we knew, what is missing has gone.  A node that was
    //  born again may only not have heard of it yet.
    const bool same_life = frame->snapshot.epoch == node->epoch;
    trn_view_end_snapshot (&self->view, source, same_life, self->now_ms);
    self->stats.snapshots++;
    s_note_synced (self, node, frame->snapshot.epoch,
                   frame->snapshot.number);
}

static void
s_on_delta (trn_roster_t *self, node_t *node, const trn_dirframe_t *frame)
{
    if (!node->synced || frame->delta.epoch != node->epoch
        || frame->delta.number <= node->number) {
        return;
    }
    if (frame->delta.number != node->number + 1) {
        self->stats.holes++;
        s_plan_watch (self, node);
        return;
    }
    node->number++;
    node->hole_number = 0;
    self->stats.deltas++;
    const trn_entry_t *entry = &frame->delta.entry;
    const uint32_t source = s_source (self, node);
    if (trn_text_is (entry->name, self->name)) {
        return;
    }
    if (frame->delta.removed) {
        trn_view_unclaim (&self->view, source, entry->name);
    } else {
        trn_view_claim (&self->view, source, entry, -1);
    }
}

static void
s_on_pong (trn_roster_t *self, node_t *node, const trn_dirframe_t *frame)
{
    const bool same_life = node->epoch && frame->pong.epoch == node->epoch;
    if (!node->synced) {
        //  The answer to a WATCH that named what we know: it goes on from
        //  there, so what it told us before the connection broke still holds.
        if (frame->pong.nonce == 0 && same_life && !node->snapshot_epoch) {
            trn_view_make_fresh (&self->view, s_source (self, node));
            s_note_synced (self, node, node->epoch, node->number);
        }
        return;
    }
    if (!same_life) {
        s_plan_register (self, node);
        s_plan_watch (self, node);
        return;
    }
    if (frame->pong.number <= node->number) {
        node->hole_number = 0;
        return;
    }
    //  It is ahead of us.  If nothing has come since it said so last time,
    //  nothing will.
    if (node->hole_number == node->number + 1) {
        self->stats.holes++;
        s_plan_watch (self, node);
    } else {
        node->hole_number = node->number + 1;
    }
}

static void
s_on_decoded (trn_roster_t *self, node_t *node, trn_dirframe_t *frame)
{
    switch (frame->type) {
    case TRN_DIR_REGISTERED:
        s_on_registered (self, node, frame);
        break;
    case TRN_DIR_REFUSED:
        s_on_refused (self, node, frame);
        break;
    case TRN_DIR_SNAPSHOT:
        s_on_snapshot (self, node, frame);
        break;
    case TRN_DIR_DELTA:
        s_on_delta (self, node, frame);
        break;
    case TRN_DIR_PONG:
        s_on_pong (self, node, frame);
        break;
    case TRN_DIR_STATS:
        break;  //  we never ask here
    case TRN_DIR_REGISTER:
    case TRN_DIR_REFRESH:
    case TRN_DIR_GOODBYE:
    case TRN_DIR_WATCH:
    case TRN_DIR_QUERY:
    case TRN_DIR_PING:
        self->stats.garbage++;
        node->garbage++;
        break;
    }
}

//  Events ----------------------------------------------------------------

//  Every event starts here; our time never goes back.  If we were stopped ourselves, that time is no
//  node's silence: its frames may wait in the socket.
static void
s_enter (trn_roster_t *self, int64_t now_ms)
{
    now_ms = s_most (now_ms, self->now_ms);
    const int64_t gap_ms = self->now_ms < 0 ? 0 : now_ms - self->now_ms;
    const int64_t late_ms = gap_ms - self->config.ping_ms;
    self->now_ms = now_ms;
    if (late_ms < (int64_t) self->config.silence_ms / 2) {
        return;
    }
    for (size_t index = 0; index < self->node_count; index++) {
        node_t *node = &self->nodes[index];
        node->opened_at_ms += late_ms;
        node->heard_at_ms += node->heard_at_ms >= 0 ? late_ms : 0;
    }
}

//  Drop what no node has confirmed for all of the grace.
static void
s_drop_stale (trn_roster_t *self)
{
    self->drop_at_ms = NEVER;
    int64_t synced_at_ms = NEVER;
    for (size_t index = 0; index < self->node_count; index++) {
        const node_t *node = &self->nodes[index];
        if (node->synced) {
            synced_at_ms = s_least (synced_at_ms, node->synced_at_ms);
        }
    }
    if (synced_at_ms == NEVER) {
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

static void
s_tick_node (trn_roster_t *self, node_t *node)
{
    if (node->state == IDLE && self->now_ms >= node->retry_at_ms) {
        s_retry (self, node);
    } else if (node->state == OPEN) {
        if (self->now_ms >= s_silence_ends_ms (self, node)) {
            s_lose (self, node, "silent");
        } else if (node->heard_at_ms >= 0
                   && self->now_ms - node->opened_at_ms >= HEALTHY_MS) {
            node->backoff.attempts = 0;
        }
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
        s_tick_node (self, &self->nodes[index]);
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
        return NEVER;
    }
    int64_t deadline = s_least (self->drop_at_ms, self->save_at_ms);
    for (size_t index = 0; index < self->node_count; index++) {
        const node_t *node = &self->nodes[index];
        if (node->state == IDLE) {
            deadline = s_least (deadline, node->retry_at_ms);
        } else if (node->state == OPEN) {
            deadline = s_least (deadline, s_silence_ends_ms (self, node));
            deadline = s_least (deadline, node->watch_at_ms);
            deadline = s_least (deadline, node->ping_at_ms);
            deadline = s_least (deadline, node->refresh_at_ms);
            if (self->endpoint_count) {
                deadline = s_least (deadline, node->register_at_ms);
            }
        }
    }
    return deadline;
}

//  Our own entry is another than it was.
static void
s_note_own_change (trn_roster_t *self)
{
    self->version++;
    for (size_t index = 0; index < self->node_count; index++) {
        node_t *node = &self->nodes[index];
        if (node->state == OPEN && !node->refused_ms) {
            const bool was = node->registered;
            s_plan_register (self, node);
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
trn_roster_on_load (trn_roster_t *self, const tern_stats_t *rows,
                    size_t count, int64_t now_ms)
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
        node_t *node = &self->nodes[index];
        node->refreshing = false;
        if (node->registered && node->refresh_at_ms != NEVER) {
            node->refresh_at_ms
                = s_least (node->refresh_at_ms,
                           node->said_refresh_ms + self->config.load_ms);
        }
    }
}

void
trn_roster_on_frame (trn_roster_t *self, uint32_t index, const void *bytes,
                     size_t size, int64_t now_ms)
{
    assert (self && index < self->node_count && (bytes || !size));
    s_enter (self, now_ms);
    node_t *node = &self->nodes[index];
    if (self->closing || node->state != OPEN) {
        return;
    }
    trn_dirframe_t frame;
    const int rc = trn_dirframe_decode (&frame, bytes, size);
    if (rc && rc != TERN_EVERSION) {
        self->stats.garbage++;
        node->garbage++;
    } else {
        node->heard_at_ms = self->now_ms;
        node->failures = 0;
    }
    if (!rc) {
        s_on_decoded (self, node, &frame);
    }
    if (node->garbage >= GARBAGE_MAX) {
        s_lose (self, node, "nonsense");
        //  Not even a local one deserves an answer at once.
        s_plan_retry (self, node);
    }
}

void
trn_roster_on_trouble (trn_roster_t *self, uint32_t index, int64_t now_ms)
{
    assert (self && index < self->node_count);
    s_enter (self, now_ms);
    node_t *node = &self->nodes[index];
    if (!self->closing && node->state == OPEN) {
        s_lose (self, node, "disconnected");
    }
}

void
trn_roster_on_hosted (trn_roster_t *self, int result, int64_t now_ms)
{
    assert (self && self->config.local);
    s_enter (self, now_ms);
    node_t *node = &self->nodes[0];
    if (self->closing || node->state != HOSTING) {
        return;
    }
    if (result && result != TERN_EINUSE && !node->known_lost) {
        s_report (self, TERN_LOG_WARNING, "TERN-DIRECTORY-LOST",
                  "endpoint=%.160s why=\"cannot be hosted: %s\"",
                  node->endpoint, tern_strerror (result));
        node->known_lost = true;
    }
    s_open (self, node);
}

void
trn_roster_on_close (trn_roster_t *self, int64_t now_ms)
{
    assert (self);
    s_enter (self, now_ms);
    self->closing = true;
    for (size_t index = 0; index < self->node_count; index++) {
        node_t *node = &self->nodes[index];
        node->goodbye = node->state == OPEN && self->endpoint_count;
    }
}

//  Actions ---------------------------------------------------------------

static const trn_roster_action_t *
s_send (trn_roster_t *self, node_t *node, const trn_dirframe_t *frame)
{
    trn_roster_action_t *action = &self->action;
    action->type = TRN_ROSTER_SEND;
    action->node = s_source (self, node);
    action->bytes = self->bytes;
    if (frame) {
        action->size = trn_dirframe_encode (frame, self->bytes,
                                            TRN_DIRECTORY_FRAME_MAX);
    }
    return action;
}

static const trn_roster_action_t *
s_send_register (trn_roster_t *self, node_t *node)
{
    trn_dirframe_t frame = {
        .type = TRN_DIR_REGISTER,
        .enrol = {.version_min = VERSION,
                  .version_max = VERSION,
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
    node->register_at_ms = self->now_ms + ANSWER_MS;
    return s_send (self, node, &frame);
}

static const trn_roster_action_t *
s_send_watch (trn_roster_t *self, node_t *node)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_WATCH,
        .watch = {.version_min = VERSION,
                  .version_max = VERSION,
                  .epoch = node->epoch,
                  .number = node->number},
    };
    //  Until the answer is here, what it tells is not continuous.
    node->synced = false;
    node->watch_at_ms = self->now_ms + 2 * ANSWER_MS;
    return s_send (self, node, &frame);
}

static const trn_roster_action_t *
s_send_ping (trn_roster_t *self, node_t *node)
{
    //  Never 0: that is the directory's answer to a WATCH.
    const trn_dirframe_t frame = {
        .type = TRN_DIR_PING,
        .ping = {.nonce = ++node->nonce},
    };
    node->ping_at_ms = self->now_ms + s_about (self, self->config.ping_ms);
    return s_send (self, node, &frame);
}

//  One page of numbers; the next follows at once.
static const trn_roster_action_t *
s_send_refresh (trn_roster_t *self, node_t *node)
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
            = self->now_ms + s_about (self, node->lease_ms / 3);
    }
    return s_send (self, node, NULL);
}

static const trn_roster_action_t *
s_send_goodbye (trn_roster_t *self, node_t *node)
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
static const trn_roster_action_t *
s_node_action (trn_roster_t *self, node_t *node)
{
    trn_roster_action_t *action = &self->action;
    action->node = s_source (self, node);
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
    if (node->state != OPEN) {
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
    if (self->now_ms >= node->refresh_at_ms) {
        return s_send_refresh (self, node);
    }
    if (self->now_ms >= node->ping_at_ms) {
        return s_send_ping (self, node);
    }
    return NULL;
}

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
    if (self->save_at_ms == NEVER) {
        self->save_at_ms
            = s_most (self->now_ms, self->saved_at_ms + SAVE_MS);
    }
    return &self->action;
}

static const trn_roster_action_t *
s_report_action (trn_roster_t *self)
{
    const report_t *report = &self->reports[self->report_first];
    self->report_first = (self->report_first + 1) % REPORTS_MAX;
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
    while (self->node_turn < self->node_count) {
        action = s_node_action (self, &self->nodes[self->node_turn]);
        if (action) {
            return action;
        }
        self->node_turn++;
    }
    self->node_turn = 0;
    if (!self->closing && self->now_ms >= self->save_at_ms) {
        self->save_at_ms = NEVER;
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
    return s_count_registered (self) > 0;
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
    assert (self && buffer);
    return trn_view_save (&self->view, buffer,
                          (size_t) s_least ((int64_t) capacity,
                                            TRN_ROSTER_VIEW_MAX));
}

int
trn_roster_restore (trn_roster_t *self, const uint8_t *view, size_t size)
{
    assert (self && self->now_ms < 0);
    if (size > TRN_ROSTER_VIEW_MAX) {
        return TERN_ECORRUPT;
    }
    const uint32_t source = (uint32_t) self->node_count;
    const int rc = trn_view_load (&self->view, source, view, size);
    //  A name that was another's is ours now.
    trn_view_unclaim (&self->view, source, trn_text (self->name));
    return rc;
}

void
trn_roster_stats (const trn_roster_t *self, trn_roster_stats_t *stats)
{
    assert (self && stats);
    *stats = self->stats;
    stats->peers = self->view.shown_count;
    stats->over += self->view.over;
    for (size_t index = 0; index < self->node_count; index++) {
        const node_t *node = &self->nodes[index];
        stats->nodes_online += node->registered;
    }
}
