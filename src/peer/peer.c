//  peer/peer.c - opening and closing a peer
//
//  Knows: the order in which things come and go.  Store first (identity and
//  lock), then the endpoint, the outboxes that were left, the actor; closing is
//  the same backwards, and every state reaches the disk before the lock goes.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/actor.h"
#include "peer/large.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"
#include "io/context.h"
#include "io/socket.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

//  Default names try so many stores before giving up.
#define SLOTS_MAX 256

//  Opening the store -------------------------------------------------------

static void
s_on_disk_news (void *arg)
{
    tern_peer_t *self = arg;
    atomic_store (&self->disk_news, true);
    trn_wake_up (&self->wake);
}

static int
s_data_root (char *root, size_t size)
{
    const char *data = getenv ("XDG_DATA_HOME");
    const char *home = getenv ("HOME");
    int used = -1;
    if (data && data[0] == '/') {
        used = snprintf (root, size, "%s/tern", data);
    } else if (home && home[0] == '/') {
        used = snprintf (root, size, "%s/.local/share/tern", home);
    }
    return used > 0 && (size_t) used < size ? TERN_OK : TERN_EINVAL;
}

static int
s_open_store (tern_peer_t *self, const char *name, char *why, size_t why_size)
{
    const trn_store_config_t config = {
        .path = self->data,
        .name = name,
        .notify = s_on_disk_news,
        .notify_arg = self,
    };
    char warning[256] = "";
    char reason[256] = "";
    const int rc = trn_store_open (&self->store, &config, reason, warning,
                                   sizeof reason);
    if (rc != TERN_OK) {
        if (why && why_size) {
            snprintf (why, why_size, "%.200s: %s", self->data, reason);
        }
        return rc;
    }
    if (warning[0]) {
        trn_events_addf (&self->events, "TERN-STORE-FILESYSTEM",
                         TERN_LOG_WARNING, "%s", warning);
    }
    snprintf (self->name, sizeof self->name, "%s",
              trn_store_name (self->store));
    return TERN_OK;
}

//  The host's name as far as the grammar of names goes.
static void
s_host_name (char name[TRN_NAME_MAX + 1])
{
    char host[256] = "";
    gethostname (host, sizeof host - 1);
    size_t used = 0;
    for (const char *at = host; *at && *at != '.' && used < 40; at++) {
        const char c
            = *at >= 'A' && *at <= 'Z' ? (char) (*at - 'A' + 'a') : *at;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') {
            name[used++] = c;
        }
    }
    name[used] = 0;
    if (!trn_name_valid (name, used)) {
        snprintf (name, TRN_NAME_MAX + 1, "host");
    }
}

//  No name was given: the first of peer-<host>-<n> whose store is free.
static int
s_open_slot (tern_peer_t *self, const char *root, char *why, size_t why_size)
{
    char host[TRN_NAME_MAX + 1];
    s_host_name (host);
    int rc = TERN_EINUSE;
    for (int slot = 1; slot <= SLOTS_MAX && rc == TERN_EINUSE; slot++) {
        char name[TRN_NAME_MAX + 1];
        snprintf (name, sizeof name, "peer-%.40s-%d", host, slot);
        snprintf (self->data, sizeof self->data, "%.3900s/%s", root, name);
        rc = s_open_store (self, name, why, why_size);
    }
    return rc;
}

static int
s_open_configured (tern_peer_t *self, char *why, size_t why_size)
{
    const char *data = tern_config_get (self->config, "data");
    const char *name = tern_config_get (self->config, "name");
    if (data) {
        if (strlen (data) >= sizeof self->data) {
            return TERN_ETOOBIG;
        }
        snprintf (self->data, sizeof self->data, "%s", data);
        //  A store knows its name; a new one needs to be told.
        int rc = s_open_store (self, name, why, why_size);
        if (rc == TERN_ENOENT && !name && !self->draining) {
            char host[TRN_NAME_MAX + 1];
            s_host_name (host);
            rc = s_open_store (self, host, why, why_size);
        }
        return rc;
    }
    char root[4000];
    if (s_data_root (root, sizeof root) != TERN_OK) {
        if (why && why_size) {
            snprintf (why, why_size,
                      "no data directory: set \"data\", or XDG_DATA_HOME or "
                      "HOME in the environment");
        }
        return TERN_EINVAL;
    }
    if (!name) {
        return s_open_slot (self, root, why, why_size);
    }
    snprintf (self->data, sizeof self->data, "%.3900s/%s", root, name);
    return s_open_store (self, name, why, why_size);
}

//  Opening the rest --------------------------------------------------------

static void
s_make_engine (tern_peer_t *self)
{
    trn_engine_config_t config = {
        .name = self->name,
        .incarnation = trn_store_incarnation (self->store),
        .random = trn_store_random (self->store),
        .seed = trn_clock_random (),
        .ping_ms = (uint32_t) trn_config_number (self->config, "ping_ms"),
        .suspect_ms = (uint32_t) trn_config_number (self->config, "suspect_ms"),
    };
    memcpy (config.store_uuid, trn_store_uuid (self->store), 16);
    const trn_run_source_t source = {trn_box_run, trn_box_release_run, self};
    self->engine = trn_engine_new (&config, &source);
    trn_engine_on_delay (self->engine, trn_stats_delay, self);
    trn_engine_on_want (self->engine, trn_box_want, self);
    const int64_t now = trn_clock_ms ();
    trn_engine_on_tick (self->engine, now);
    trn_engine_on_clock (self->engine, trn_clock_wall_us () / 1000, now);
}

static int
s_make_roster (tern_peer_t *self, char *why, size_t why_size)
{
    const char *setting = tern_config_get (self->config, "directory");
    char nodes[TRN_NODES_MAX][TRN_ENDPOINT_MAX + 1];
    const char *list[TRN_NODES_MAX];
    size_t count = 0;
    const bool local = strcmp (setting, "local") == 0;
    if (local) {
        char folder[TRN_ENDPOINT_MAX + 1];
        const int rc = tern_directory_local (folder, sizeof folder, nodes[0],
                                             sizeof nodes[0], why, why_size);
        if (rc != TERN_OK) {
            return rc;
        }
        list[count++] = nodes[0];
    }
    while (!local && *setting && count < TRN_NODES_MAX) {
        const size_t size = strcspn (setting, ",");
        memcpy (nodes[count], setting, size);
        nodes[count][size] = 0;
        list[count] = nodes[count];
        count++;
        setting += size + (setting[size] == ',');
    }
    trn_roster_config_t config = {
        .name = self->name,
        .incarnation = trn_store_incarnation (self->store),
        .random = trn_store_random (self->store),
        .seed = trn_clock_random (),
        .nodes = list,
        .node_count = count,
        .local = local,
        .lease_ms = (uint32_t) trn_config_number (self->config, "lease_ms"),
    };
    memcpy (config.store_uuid, trn_store_uuid (self->store), 16);
    self->roster = trn_roster_new (&config);
    return TERN_OK;
}

typedef struct {
    tern_peer_t *peer;
    int result;
    char *why;
    size_t why_size;
} s_reopening_t;

static int
s_reopen_box (void *arg, const char *name)
{
    s_reopening_t *reopening = arg;
    trn_box_t *box = NULL;
    reopening->result = trn_box_open (reopening->peer, name, &box,
                                      reopening->why, reopening->why_size);
    if (reopening->result == TERN_OK) {
        box->producers = 0;
    }
    return reopening->result != TERN_OK;
}

static int
s_open_network (tern_peer_t *self, char *why, size_t why_size)
{
    self->context = trn_context_acquire ();
    self->poller = self->context ? trn_poller_new () : NULL;
    if (!self->poller) {
        snprintf (why, why_size, "too few descriptors left for this process");
        return TERN_ENET;
    }
    self->wake_item.fd = self->wake.fd;
    self->wake_item.kind = TRN_ITEM_WAKE;
    if (trn_poller_add (self->poller, &self->wake_item) != TERN_OK) {
        return TERN_ENET;
    }
    return trn_inbound_open (self, why, why_size);
}

//  Release everything; in the reverse order of opening, whatever is there.
static void
s_free (tern_peer_t *self)
{
    trn_nodes_close (self);
    trn_outlink_close_all (self);
    if (self->router) {
        trn_socket_linger (self->router);
        trn_poller_remove (self->poller, &self->router_item);
    }
    trn_socket_close (&self->router);
    trn_poller_destroy (&self->poller);
    tern_directory_close (&self->hosted);
    if (self->context) {
        trn_context_release ();
    }
    trn_burial_free (self);
    trn_engine_destroy (&self->engine);
    trn_roster_destroy (&self->roster);
    for (uint32_t index = 0; index < self->box_count; index++) {
        trn_box_destroy (&self->boxes[index]);
    }
    while (self->unnamed) {
        trn_box_t *box = self->unnamed;
        self->unnamed = box->unnamed_next;
        trn_box_destroy (&box);
    }
    trn_large_free (self);
    trn_fetchers_free (self);
    free (self->boxes);
    free (self->shown);
    trn_table_clear (&self->asks);
    trn_table_clear (&self->tasks);
    if (self->store) {
        const int rc = trn_store_close (&self->store);
        if (rc != TERN_OK) {
            trn_events_addf (&self->events, "TERN-STORE-CLOSE", TERN_LOG_ERROR,
                             "reason=\"%s\"", tern_strerror (rc));
        }
    }
    trn_wake_close (&self->wake);
    trn_events_close (&self->events);
    pthread_cond_destroy (&self->changed);
    pthread_mutex_destroy (&self->lock);
    pthread_mutex_destroy (&self->opening);
    pthread_mutex_destroy (&self->turn);
    tern_config_destroy (&self->config);
    free (self);
}

static tern_peer_t *
s_new (const tern_config_t *config)
{
    tern_peer_t *self = trn_alloc (sizeof *self);
    self->config = config ? tern_config_dup (config) : tern_config_new ();
    self->draining = trn_config_is (self->config, "drain", "yes");
    self->commands_tail = &self->commands;
    self->watch_at = INT64_MAX;
    self->wake.fd = -1;
    pthread_mutex_init (&self->turn, NULL);
    pthread_mutex_init (&self->opening, NULL);
    pthread_mutex_init (&self->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init (&attributes);
    pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
    pthread_cond_init (&self->changed, &attributes);
    pthread_condattr_destroy (&attributes);
    return self;
}

static int
s_open (tern_peer_t *self, char *why, size_t why_size)
{
    if (sodium_init () < 0 || trn_events_open (&self->events) != TERN_OK
        || trn_wake_open (&self->wake) != TERN_OK) {
        snprintf (why, why_size, "no descriptor left for this process");
        return TERN_ENET;
    }
    int rc = s_open_configured (self, why, why_size);
    if (rc == TERN_OK) {
        rc = s_make_roster (self, why, why_size);
    }
    if (rc == TERN_OK) {
        s_make_engine (self);
        rc = s_open_network (self, why, why_size);
    }
    if (rc == TERN_OK) {
        trn_fetchers_open (self);
        rc = trn_large_open (self);
    }
    if (rc == TERN_OK) {
        s_reopening_t reopening = {self, TERN_OK, why, why_size};
        rc = trn_store_each (self->store, s_reopen_box, &reopening);
        rc = reopening.result != TERN_OK ? reopening.result : rc;
    }
    if (rc == TERN_OK) {
        trn_graves_restore (self);
        trn_large_restore (self);
        const char *endpoint = self->endpoint;
        const int64_t now = trn_clock_ms ();
        trn_nodes_restore (self);
        trn_roster_on_endpoints (self->roster, &endpoint, 1, now);
        self->sample_at = now;
        self->opened_ms = now;
        rc = trn_actor_start (self);
    }
    if (rc == TERN_OK) {
        rc = trn_large_resume (self);
        if (rc != TERN_OK) {
            trn_large_stop (self);
            trn_actor_stop (self);
        }
    }
    return rc;
}

int
tern_peer_open (tern_peer_t **peer_p, const tern_config_t *config, char *why,
                size_t why_size)
{
    assert (peer_p);
    *peer_p = NULL;
    char line[512] = "";
    tern_peer_t *self = s_new (config);
    const int rc = s_open (self, line, sizeof line);
    if (rc != TERN_OK) {
        if (why && why_size) {
            snprintf (why, why_size, "%s", line[0] ? line : tern_strerror (rc));
        }
        s_free (self);
        return rc;
    }
    *peer_p = self;
    return TERN_OK;
}

//  Closing -----------------------------------------------------------------

//  Messages that nobody has settled, but for dead letters, which wait for people,
//  and for what lies in our inboxes, which waits for us.
//  Actor, or after its end.
static uint64_t
s_unsettled (tern_peer_t *self)
{
    uint64_t total = 0;
    for (uint32_t index = 0; index < self->box_count; index++) {
        const trn_box_t *box = self->boxes[index];
        if (!trn_dead_name (box->queue) && !box->inbox) {
            trn_engine_outbox_stats_t stats;
            trn_engine_outbox_stats (self->engine, box->id, &stats);
            total += stats.waiting + stats.in_flight + stats.parked;
            total
                += trn_log_appended (trn_outbox_log (box->outbox)) - box->seen;
        }
    }
    return total;
}

//  Wait until all is settled, but for linger_ms at most.
static void
s_linger (tern_peer_t *self, int linger_ms)
{
    const struct timespec until
        = trn_clock_after (linger_ms < 0 ? 0 : linger_ms);
    for (uint32_t index = 0; index < self->box_count; index++) {
        trn_box_t *box = self->boxes[index];
        const trn_log_t *log = trn_outbox_log (box->outbox);
        int rc = trn_dead_name (box->queue) || box->inbox;
        atomic_fetch_add (&box->waiters, 1);
        pthread_mutex_lock (&self->lock);
        while (atomic_load (&box->processed) < trn_log_appended (log)
               && rc == 0) {
            rc = linger_ms < 0 ? pthread_cond_wait (&self->changed, &self->lock)
                               : pthread_cond_timedwait (&self->changed,
                                                         &self->lock, &until);
        }
        pthread_mutex_unlock (&self->lock);
        atomic_fetch_sub (&box->waiters, 1);
    }
}

//  How often a drain looks for what is left.
#define DRAIN_LOOK_MS 20

static void
s_end_consumers (tern_peer_t *self, void *arg)
{
    (void) arg;
    for (tern_consumer_t *at = self->consumers; at;
         at = trn_consumer_next (at)) {
        //  What waits for its body could not be finished.
        if (!trn_large_is_ours (trn_consumer_queue (at))) {
            trn_consumer_end (at);
        }
    }
}

static void
s_look (tern_peer_t *self, void *arg)
{
    uint64_t *left = arg;
    *left = s_unsettled (self);
    trn_consumer_collect (self, trn_clock_ms (), true);
    for (const tern_consumer_t *at = self->consumers; at;
         at = trn_consumer_next (at)) {
        *left += trn_consumer_held (at);
    }
}

int
tern_peer_drain (tern_peer_t *self, int timeout_ms)
{
    assert (self);
    const int64_t until
        = timeout_ms < 0 ? INT64_MAX : trn_clock_ms () + timeout_ms;
    atomic_store (&self->drains, true);
    trn_actor_call (self, s_end_consumers, NULL);
    uint64_t left = 0;
    for (;;) {
        trn_actor_call (self, s_look, &left);
        if (left == 0 || trn_clock_ms () >= until) {
            return left ? TERN_ETIMEOUT : TERN_OK;
        }
        const struct timespec next = trn_clock_after (DRAIN_LOOK_MS);
        pthread_mutex_lock (&self->lock);
        pthread_cond_timedwait (&self->changed, &self->lock, &next);
        pthread_mutex_unlock (&self->lock);
    }
}

uint64_t
tern_peer_close (tern_peer_t **peer_p, int linger_ms)
{
    assert (peer_p);
    tern_peer_t *self = *peer_p;
    if (!self) {
        return 0;
    }
    if (linger_ms != 0) {
        s_linger (self, linger_ms);
    }
    trn_burial_stop (self);
    trn_fetchers_close (self);
    trn_large_stop (self);
    trn_actor_stop (self);
    trn_large_settle (self);
    const uint64_t left = s_unsettled (self);
    s_free (self);
    *peer_p = NULL;
    return left;
}

//  Asking ------------------------------------------------------------------

const char *
tern_peer_name (const tern_peer_t *self)
{
    assert (self);
    return self->name;
}

const char *
tern_peer_endpoint (const tern_peer_t *self)
{
    assert (self);
    return self->endpoint;
}

const char *
tern_peer_data (const tern_peer_t *self)
{
    assert (self);
    return self->data;
}

bool
tern_peer_event (tern_peer_t *self, tern_event_t *event, int timeout_ms)
{
    assert (self && event);
    return trn_events_take (&self->events, event, timeout_ms);
}

int
tern_peer_fd (const tern_peer_t *self)
{
    assert (self);
    return self->events.fd;
}

bool
tern_peer_registered (tern_peer_t *self)
{
    assert (self);
    return atomic_load (&self->registered);
}

typedef struct {
    tern_stats_t *rows;
    size_t max, count;
} s_stats_t;

static void
s_stats (tern_peer_t *self, void *arg)
{
    s_stats_t *stats = arg;
    stats->count = trn_stats_rows (self, stats->rows, stats->max);
}

size_t
tern_peer_stats (tern_peer_t *self, tern_stats_t *rows, size_t max)
{
    assert (self && (rows || max == 0));
    s_stats_t stats = {rows, max, 0};
    trn_actor_call (self, s_stats, &stats);
    return stats.count;
}

typedef struct {
    const char *queue;
    uint32_t count;
} s_consumers_t;

static void
s_consumers (tern_peer_t *self, void *arg)
{
    s_consumers_t *asked = arg;
    for (uint32_t index = 0; index < self->box_count; index++) {
        if (strcmp (self->boxes[index]->queue, asked->queue) == 0) {
            trn_engine_outbox_stats_t stats;
            trn_engine_outbox_stats (self->engine, self->boxes[index]->id,
                                     &stats);
            asked->count = stats.consumers;
        }
    }
}

uint32_t
tern_peer_consumers (tern_peer_t *self, const char *queue)
{
    assert (self && queue);
    s_consumers_t asked = {queue, 0};
    trn_actor_call (self, s_consumers, &asked);
    return asked.count;
}

bool
tern_peer_outbox_at (tern_peer_t *self, size_t index, char *name,
                     size_t name_size)
{
    assert (self && name && name_size);
    pthread_mutex_lock (&self->lock);
    const bool there = index < self->box_count;
    if (there) {
        snprintf (name, name_size, "%s", self->boxes[index]->queue);
    }
    pthread_mutex_unlock (&self->lock);
    return there;
}
