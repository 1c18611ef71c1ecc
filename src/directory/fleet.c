//  directory/fleet.c - looking at all peers through a directory
//
//  Knows: how to ask a directory for everything once.  All nodes are asked at
//  once, each over a DEALER of its own, and the first that has told everything
//  counts: they know the same.
//
//      WATCH (once) -> SNAPSHOT pages, QUERY -> STATS pages
//
//  A node that does not answer is connected to again while there is time, since
//  a directory that moves to another process is back within a second.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern/fleet.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/name.h"
#include "directory/local.h"
#include "io/clock.h"
#include "io/context.h"
#include "io/socket.h"
#include "wire/dirframe.h"

#include <tern/directory.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define NODES_MAX 8

//  What one directory can make us hold: its own limits, not its word.
#define PEERS_MAX 4096
#define ROWS_MAX (256 * 1024)

//  Without a sign of life, a node is connected to anew, each time later.
#define PATIENCE_MS 250
#define PATIENCE_MAX_MS 5000

//  A peer, its texts behind it in one allocation.
typedef struct {
    tern_fleet_peer_t shown;
    char store[37];
    const char *queues[];
} fleet_peer_t;

struct tern_fleet {
    fleet_peer_t **peers;  //  by name
    size_t peer_count, peer_capacity;
    tern_stats_t *rows;  //  by peer, queue and role
    size_t row_count, row_capacity;
};

typedef struct {
    char endpoint[TRN_ENDPOINT_MAX + 1];
    void *dealer;
    int64_t again_at_ms;  //  connect anew, if it is silent
    int64_t patience_ms;
    uint64_t nonce;
    uint64_t peer_page, row_page;  //  next
    bool peers_told, rows_told;
    tern_fleet_t *fleet;  //  what it has told so far
} asked_t;

static int
s_fail (int error, char *why, size_t why_size, const char *reason)
{
    if (why && why_size) {
        snprintf (why, why_size, "%s", reason);
    }
    return error;
}

//  The fleet -------------------------------------------------------------

static void
s_clear (tern_fleet_t *self)
{
    for (size_t index = 0; index < self->peer_count; index++) {
        free (self->peers[index]);
    }
    self->peer_count = 0;
    self->row_count = 0;
}

void
tern_fleet_destroy (tern_fleet_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    tern_fleet_t *self = *self_p;
    s_clear (self);
    free (self->peers);
    free (self->rows);
    free (self);
    *self_p = NULL;
}

static void
s_print_uuid (char text[37], const uint8_t uuid[16])
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t index = 0; index < 16; index++) {
        if (index == 4 || index == 6 || index == 8 || index == 10) {
            text[at++] = '-';
        }
        text[at++] = hex[uuid[index] >> 4];
        text[at++] = hex[uuid[index] & 15];
    }
    text[at] = 0;
}

static const char *
s_copy_text (char **to_p, trn_text_t text)
{
    char *copy = *to_p;
    if (text.size) {
        memcpy (copy, text.at, text.size);
    }
    copy[text.size] = 0;
    *to_p += text.size + 1;
    return copy;
}

static void
s_add_peer (tern_fleet_t *self, const trn_entry_t *entry)
{
    if (self->peer_count == PEERS_MAX) {
        return;
    }
    const trn_text_t endpoint
        = entry->endpoint_count ? entry->endpoints[0] : trn_text ("");
    const size_t fixed
        = sizeof (fleet_peer_t) + entry->queue_count * sizeof (char *);
    size_t size = fixed + entry->name.size + 1 + endpoint.size + 1;
    for (uint32_t index = 0; index < entry->queue_count; index++) {
        size += entry->queues[index].size + 1;
    }
    fleet_peer_t *peer = trn_alloc (size);
    char *text = (char *) peer + fixed;
    peer->shown.name = s_copy_text (&text, entry->name);
    peer->shown.endpoint = s_copy_text (&text, endpoint);
    s_print_uuid (peer->store, entry->store_uuid);
    peer->shown.store = peer->store;
    peer->shown.incarnation = entry->incarnation;
    peer->shown.heard_ms = entry->heard_ms;
    for (uint32_t index = 0; index < entry->queue_count; index++) {
        //  Where a peer gives large bodies is no queue.
        if (entry->queues[index].at[0] != '%') {
            peer->queues[peer->shown.queue_count++]
                = s_copy_text (&text, entry->queues[index]);
        }
    }
    peer->shown.queues = peer->queues;
    if (self->peer_count == self->peer_capacity) {
        self->peer_capacity = self->peer_capacity * 2 + 16;
        self->peers = trn_realloc (self->peers,
                                   self->peer_capacity * sizeof *self->peers);
    }
    self->peers[self->peer_count++] = peer;
}

static void
s_add_row (tern_fleet_t *self, const tern_stats_t *row)
{
    if (self->row_count == ROWS_MAX) {
        return;
    }
    if (self->row_count == self->row_capacity) {
        self->row_capacity = self->row_capacity * 2 + 16;
        self->rows
            = trn_realloc (self->rows, self->row_capacity * sizeof *self->rows);
    }
    self->rows[self->row_count++] = *row;
}

static int
s_compare_peers (const void *a, const void *b)
{
    const fleet_peer_t *const *one = a;
    const fleet_peer_t *const *other = b;
    return strcmp ((*one)->shown.name, (*other)->shown.name);
}

static int
s_compare_rows (const void *a, const void *b)
{
    const tern_stats_t *one = a;
    const tern_stats_t *other = b;
    int order = strcmp (one->peer, other->peer);
    order = order ? order : strcmp (one->queue, other->queue);
    return order ? order : (int) one->role - (int) other->role;
}

static void
s_sort (tern_fleet_t *self)
{
    if (self->peer_count) {
        qsort (self->peers, self->peer_count, sizeof *self->peers,
               s_compare_peers);
    }
    if (self->row_count) {
        qsort (self->rows, self->row_count, sizeof *self->rows, s_compare_rows);
    }
}

//  Asking ----------------------------------------------------------------

static void
s_ask (asked_t *asked, void *context, int64_t now_ms)
{
    trn_socket_close (&asked->dealer);
    s_clear (asked->fleet);
    asked->peers_told = false;
    asked->rows_told = false;
    asked->peer_page = 0;
    asked->row_page = 0;
    asked->nonce = trn_clock_random ();
    asked->patience_ms
        = asked->patience_ms ? 2 * asked->patience_ms : PATIENCE_MS;
    if (asked->patience_ms > PATIENCE_MAX_MS) {
        asked->patience_ms = PATIENCE_MAX_MS;
    }
    asked->again_at_ms = now_ms + asked->patience_ms;
    asked->dealer = trn_socket_dealer (context, asked->endpoint,
                                       TRN_DIRECTORY_FRAME_MAX, false);
    if (!asked->dealer) {
        return;  //  again, when it is its turn
    }
    uint8_t bytes[256];
    const trn_dirframe_t watch = {
        .type = TRN_DIR_WATCH,
        .watch = {.version_min = VERSION,
                  .version_max = VERSION,
                  .flags = TRN_WATCH_ONCE},
    };
    const trn_dirframe_t query = {
        .type = TRN_DIR_QUERY,
        .query = {.nonce = asked->nonce},
    };
    //  What cannot be sent is not answered, and asked for again.
    size_t size = trn_dirframe_encode (&watch, bytes, sizeof bytes);
    int rc = trn_socket_send (asked->dealer, bytes, size, false);
    size = trn_dirframe_encode (&query, bytes, sizeof bytes);
    rc = rc ? rc : trn_socket_send (asked->dealer, bytes, size, false);
    (void) rc;
}

//  Pages come in order, or this answer is worth nothing.
static void
s_on_frame (asked_t *asked, const void *bytes, size_t size)
{
    trn_dirframe_t frame;
    if (trn_dirframe_decode (&frame, bytes, size) != TERN_OK) {
        return;
    }
    if (frame.type == TRN_DIR_SNAPSHOT && !asked->peers_told
        && frame.snapshot.page == asked->peer_page) {
        trn_entry_t entry;
        while (trn_entries_next (&frame.snapshot.entries, &entry)) {
            s_add_peer (asked->fleet, &entry);
        }
        asked->peer_page++;
        asked->peers_told = frame.snapshot.last;
    } else if (frame.type == TRN_DIR_STATS && !asked->rows_told
               && frame.stats.nonce == asked->nonce
               && frame.stats.page == asked->row_page) {
        tern_stats_t row;
        while (trn_rows_next (&frame.stats.rows, &row)) {
            s_add_row (asked->fleet, &row);
        }
        asked->row_page++;
        asked->rows_told = frame.stats.last;
    }
}

static void
s_listen (asked_t *asked, int64_t now_ms)
{
    zmq_msg_t part;
    int count;
    while (asked->dealer
           && (count = trn_socket_recv (asked->dealer, &part, 1)) != 0) {
        if (count == 1) {
            s_on_frame (asked, zmq_msg_data (&part), zmq_msg_size (&part));
            zmq_msg_close (&part);
            asked->again_at_ms = now_ms + PATIENCE_MAX_MS;
        }
        if (asked->peers_told && asked->rows_told) {
            return;
        }
    }
}

//  Wait until one has told everything; returns which, -1 if time is up.
static int
s_wait (asked_t *asked, size_t count, void *context, int64_t until_ms)
{
    for (;;) {
        const int64_t now_ms = trn_clock_ms ();
        zmq_pollitem_t items[NODES_MAX] = {0};
        int polled = 0;
        int64_t wake_ms = until_ms;
        for (size_t index = 0; index < count; index++) {
            s_listen (&asked[index], now_ms);
            if (asked[index].peers_told && asked[index].rows_told) {
                return (int) index;
            }
            if (now_ms >= asked[index].again_at_ms) {
                s_ask (&asked[index], context, now_ms);
            }
            if (asked[index].again_at_ms < wake_ms) {
                wake_ms = asked[index].again_at_ms;
            }
            if (asked[index].dealer) {
                items[polled++] = (zmq_pollitem_t) {
                    .socket = asked[index].dealer, .events = ZMQ_POLLIN};
            }
        }
        if (now_ms >= until_ms) {
            return -1;
        }
        zmq_poll (items, polled, wake_ms > now_ms ? wake_ms - now_ms : 0);
    }
}

//  Endpoints of the setting "directory" -----------------------------------

static int
s_parse_list (const char *list, asked_t *asked, size_t *count_p, char *why,
              size_t why_size)
{
    *count_p = 0;
    while (*list) {
        const size_t size = strcspn (list, ",");
        if (*count_p == NODES_MAX || !trn_endpoint_valid (list, size)) {
            return s_fail (TERN_EINVAL, why, why_size,
                           "directory: not a list of at most 8 endpoints");
        }
        memcpy (asked[*count_p].endpoint, list, size);
        asked[*count_p].endpoint[size] = 0;
        (*count_p)++;
        list += size + (list[size] == ',');
    }
    return *count_p
               ? TERN_OK
               : s_fail (TERN_EINVAL, why, why_size, "directory: no endpoint");
}

static int
s_find_local (asked_t *asked, char *why, size_t why_size)
{
    char folder[TRN_LOCAL_PATH];
    const int rc = tern_directory_local (folder, sizeof folder, asked->endpoint,
                                         sizeof asked->endpoint, why, why_size);
    return rc ? TERN_ENODIR : TERN_OK;
}

int
tern_fleet_fetch (tern_fleet_t **self_p, const tern_config_t *config,
                  int timeout_ms, char *why, size_t why_size)
{
    assert (self_p);
    *self_p = NULL;
    const char *list = config ? tern_config_get (config, "directory") : "local";
    asked_t asked[NODES_MAX] = {0};
    size_t count = 1;
    const bool local = !list || !strcmp (list, "local");
    int rc = local ? s_find_local (&asked[0], why, why_size)
                   : s_parse_list (list, asked, &count, why, why_size);
    if (rc) {
        return rc;
    }
    void *context = trn_context_acquire ();
    if (!context) {
        return s_fail (TERN_ENODIR, why, why_size,
                       "too few descriptors left for this process");
    }
    const int64_t now_ms = trn_clock_ms ();
    for (size_t index = 0; index < count; index++) {
        asked[index].fleet = trn_alloc (sizeof (tern_fleet_t));
        s_ask (&asked[index], context, now_ms);
    }
    const int winner
        = s_wait (asked, count, context,
                  timeout_ms < 0 ? INT64_MAX : now_ms + timeout_ms);
    if (winner >= 0) {
        *self_p = asked[winner].fleet;
        asked[winner].fleet = NULL;
        s_sort (*self_p);
    }
    for (size_t index = 0; index < count; index++) {
        trn_socket_close (&asked[index].dealer);
        tern_fleet_destroy (&asked[index].fleet);
    }
    trn_context_release ();
    if (winner >= 0) {
        return TERN_OK;
    }
    if (why && why_size) {
        snprintf (why, why_size, "no directory answers at %s",
                  local ? asked[0].endpoint : list);
    }
    return TERN_ENODIR;
}

//  Reading ---------------------------------------------------------------

bool
tern_fleet_peer_at (const tern_fleet_t *self, size_t index,
                    tern_fleet_peer_t *peer)
{
    assert (self && peer);
    if (index >= self->peer_count) {
        return false;
    }
    *peer = self->peers[index]->shown;
    return true;
}

bool
tern_fleet_stats_at (const tern_fleet_t *self, size_t index, tern_stats_t *row)
{
    assert (self && row);
    if (index >= self->row_count) {
        return false;
    }
    *row = self->rows[index];
    return true;
}
