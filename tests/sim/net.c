//  sim/net.c - connections that delay, break, hang, and speak up late
//
//  Knows: which frames are on the way, and for how long.  Hides: the events.
//  Each frame on the way has one event; when it comes, the frame at the head
//  of that direction arrives (order within a direction is the list's order).
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/net.h"

#include "sim/peer.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    TYPES = TRN_FRAME_LAST + 1,
    STASH = 16  //  old frames kept for replay
};

typedef struct {
    sim_packet_t *packet;
    const sim_peer_t *publisher, *consumer;
    uint64_t conn;
    sim_direction_t way;
} s_stashed_t;

struct sim_net {
    sim_world_t *world;
    sim_net_config_t config;
    sim_conn_t *conns;
    uint64_t numbers;
    bool blocked[SIM_PEERS_MAX][SIM_PEERS_MAX];
    uint64_t sent[SIM_PEERS_MAX][SIM_PEERS_MAX][TYPES];
    s_stashed_t stash[STASH];
    unsigned stash_next;
    sim_net_watch_fn *watch;
    void *watch_arg;
};

sim_net_t *
sim_net_new (sim_world_t *world)
{
    sim_net_t *self = trn_alloc (sizeof *self);
    self->world = world;
    self->config.delay_min_us = 100;
    self->config.delay_max_us = 1000;
    self->config.notice_per_mille = 1000;
    return self;
}

static void
s_free_way (sim_conn_t *conn, sim_direction_t way)
{
    while (conn->way[way].first) {
        sim_packet_t *packet = conn->way[way].first;
        conn->way[way].first = packet->next;
        free (packet);
    }
    conn->way[way].last = NULL;
}

void
sim_net_destroy (sim_net_t **self_p)
{
    assert (self_p);
    if (!*self_p) {
        return;
    }
    sim_net_t *self = *self_p;
    while (self->conns) {
        sim_conn_t *conn = self->conns;
        self->conns = conn->next;
        s_free_way (conn, SIM_TO_CONSUMER);
        s_free_way (conn, SIM_TO_PUBLISHER);
        free (conn->credits);
        free (conn);
    }
    for (unsigned index = 0; index < STASH; index++) {
        free (self->stash[index].packet);
    }
    free (self);
    *self_p = NULL;
}

void
sim_net_configure (sim_net_t *self, const sim_net_config_t *config)
{
    self->config = *config;
}

void
sim_net_watch (sim_net_t *self, sim_net_watch_fn *fn, void *arg)
{
    self->watch = fn;
    self->watch_arg = arg;
}

//  Who listens there when it is up.
static sim_peer_t *
s_owner (const sim_net_t *self, const char *endpoint)
{
    for (unsigned index = 0; index < self->world->peer_count; index++) {
        sim_peer_t *peer = self->world->peers[index];
        if (strcmp (peer->endpoint, endpoint) == 0) {
            return peer;
        }
    }
    return NULL;
}

//  Which peer a direction leads from and to, as far as that is known.
static const sim_peer_t *
s_from (const sim_conn_t *conn, sim_direction_t way)
{
    return way == SIM_TO_CONSUMER ? conn->publisher : conn->consumer;
}

static const sim_peer_t *
s_to (const sim_conn_t *conn, sim_direction_t way)
{
    return way == SIM_TO_CONSUMER ? conn->consumer : conn->publisher;
}

bool
sim_net_blocked (const sim_net_t *self, const sim_peer_t *from,
                 const sim_peer_t *to)
{
    return from && to && from != to && self->blocked[from->index][to->index];
}

static void
s_on_arrival (sim_world_t *world, const sim_event_t *event);

static void
s_expect (sim_net_t *self, sim_conn_t *conn, sim_direction_t way,
          int64_t delay_us)
{
    sim_after (self->world, delay_us, s_on_arrival, NULL, conn, (uint64_t) way);
}

//  The connecting side learns that its connection is gone, if it does.
static void
s_on_notice (sim_world_t *world, const sim_event_t *event)
{
    const sim_conn_t *conn = event->object;
    (void) world;
    if (!conn->closed && conn->publisher->life == conn->publisher_life) {
        sim_peer_on_disconnected (conn->publisher, conn->link);
    }
}

static void
s_notice (sim_net_t *self, sim_conn_t *conn)
{
    if (sim_chance (self->world, self->config.notice_per_mille) && !conn->closed
        && conn->publisher->life == conn->publisher_life) {
        sim_after (self->world, (int64_t) sim_random (self->world, 0, 20000),
                   s_on_notice, conn->publisher, conn, 0);
    }
}

void
sim_net_cut_conn (sim_net_t *self, sim_conn_t *conn)
{
    if (conn->cut) {
        return;
    }
    sim_trace (self->world, "net   %s-%s conn %u is cut", conn->publisher->name,
               conn->consumer ? conn->consumer->name : "?",
               (unsigned) conn->number);
    conn->cut = true;
    s_free_way (conn, SIM_TO_CONSUMER);
    s_free_way (conn, SIM_TO_PUBLISHER);
    s_notice (self, conn);
}

//  The first frame to arrive finds out who listens at the endpoint.
static bool
s_bind (sim_net_t *self, sim_conn_t *conn)
{
    if (!conn->consumer) {
        conn->consumer = s_owner (self, conn->endpoint);
        if (!conn->consumer || !conn->consumer->up) {
            conn->consumer = NULL;
            sim_net_cut_conn (self, conn);
            return false;
        }
        conn->consumer_life = conn->consumer->life;
    }
    return true;
}

static void
s_on_arrival (sim_world_t *world, const sim_event_t *event)
{
    sim_net_t *self = world->net;
    sim_conn_t *conn = event->object;
    const sim_direction_t way = (sim_direction_t) event->number;
    sim_packet_t *packet = conn->way[way].first;
    if (conn->cut || !packet || !s_bind (self, conn)) {
        return;
    }
    if (sim_net_blocked (self, s_from (conn, way), s_to (conn, way))) {
        conn->way[way].held = true;
        return;
    }
    sim_peer_t *to = way == SIM_TO_CONSUMER ? conn->consumer : conn->publisher;
    const uint32_t life
        = way == SIM_TO_CONSUMER ? conn->consumer_life : conn->publisher_life;
    if (to->life == life && to->paused_until_us > world->now_us) {
        s_expect (self, conn, way, to->paused_until_us - world->now_us);
        return;
    }
    conn->way[way].first = packet->next;
    if (!packet->next) {
        conn->way[way].last = NULL;
    }
    const bool deaf = way == SIM_TO_CONSUMER ? conn->dropped : conn->closed;
    if (to->life == life && !deaf) {
        sim_peer_on_packet (to, conn, way, packet);
    }
    free (packet);
}

static sim_packet_t *
s_copy (const sim_packet_t *packet)
{
    const size_t size = sizeof *packet + packet->frame_size + packet->run_size;
    sim_packet_t *copy = trn_alloc (size);
    memcpy (copy, packet, size);
    copy->next = NULL;
    copy->run = packet->run ? copy->bytes + copy->frame_size : NULL;
    return copy;
}

static void
s_enqueue (sim_net_t *self, sim_conn_t *conn, sim_direction_t way,
           sim_packet_t *packet)
{
    sim_world_t *world = self->world;
    int64_t delay_us
        = conn->delay_us
          + (int64_t) sim_random (world, 0, (uint64_t) conn->delay_us / 2);
    if (self->config.spike_us
        && sim_chance (world, self->config.spike_per_mille)) {
        delay_us += (int64_t) sim_random (world, 0,
                                          (uint64_t) self->config.spike_us);
    }
    int64_t at_us = world->now_us + delay_us;
    if (at_us < conn->way[way].arrives_us) {
        at_us = conn->way[way].arrives_us;
    }
    conn->way[way].arrives_us = at_us;
    if (conn->way[way].last) {
        conn->way[way].last->next = packet;
    } else {
        conn->way[way].first = packet;
    }
    conn->way[way].last = packet;
    s_expect (self, conn, way, at_us - world->now_us);
}

//  Such a frame may come again on its own connection at any later time.
static bool
s_repeatable (trn_frame_type_t type)
{
    return type == TRN_SETTLE || type == TRN_FLOOR || type == TRN_PONG;
}

//  Such a frame may come twice in a row: what it says is absolute.
static bool
s_absolute (trn_frame_type_t type)
{
    return type == TRN_CREDIT || s_repeatable (type);
}

//  Keep some frames, and let one of them come again now and then.
static void
s_replay (sim_net_t *self, sim_conn_t *conn, sim_direction_t way,
          const sim_packet_t *packet)
{
    sim_world_t *world = self->world;
    if (!self->config.replay_per_mille || !conn->consumer) {
        return;
    }
    if (s_absolute (packet->type)
        && sim_chance (world, self->config.replay_per_mille)) {
        sim_trace (world, "net   %s comes twice on conn %u",
                   trn_frame_name (packet->type), (unsigned) conn->number);
        s_enqueue (self, conn, way, s_copy (packet));
    }
    const bool worth = s_absolute (packet->type) || packet->type == TRN_DATA
                       || packet->type == TRN_ACCEPT;
    if (worth && sim_chance (world, 500)) {
        s_stashed_t *slot = &self->stash[self->stash_next++ % STASH];
        free (slot->packet);
        *slot = (s_stashed_t) {s_copy (packet), conn->publisher, conn->consumer,
                               conn->number, way};
    }
    if (!sim_chance (world, self->config.replay_per_mille)) {
        return;
    }
    const s_stashed_t *old = &self->stash[sim_random (world, 0, STASH - 1)];
    if (!old->packet || old->publisher != conn->publisher
        || old->consumer != conn->consumer || old->way != way) {
        return;
    }
    if (old->conn != conn->number || s_repeatable (old->packet->type)) {
        sim_trace (world, "net   %s of conn %u comes again on conn %u",
                   trn_frame_name (old->packet->type), (unsigned) old->conn,
                   (unsigned) conn->number);
        s_enqueue (self, conn, way, s_copy (old->packet));
    }
}

void
sim_net_send (sim_net_t *self, sim_conn_t *conn, sim_direction_t way,
              const trn_frame_t *frame, const uint8_t *run, uint32_t run_size)
{
    const sim_peer_t *from = s_from (conn, way);
    const sim_peer_t *to = s_to (conn, way);
    if (way == SIM_TO_CONSUMER && !to) {
        to = s_owner (self, conn->endpoint);
    }
    if (from && to) {
        self->sent[from->index][to->index][frame->type]++;
    }
    if (conn->cut) {
        return;
    }
    uint8_t bytes[TRN_CONTROL_MAX];
    const size_t size = trn_frame_encode (frame, bytes, sizeof bytes);
    sim_packet_t *packet = trn_alloc (sizeof *packet + size + run_size);
    packet->type = frame->type;
    packet->frame_size = (uint32_t) size;
    packet->run_size = run_size;
    memcpy (packet->bytes, bytes, size);
    if (run_size) {
        packet->run = packet->bytes + size;
        memcpy (packet->run, run, run_size);
    }
    s_replay (self, conn, way, packet);
    s_enqueue (self, conn, way, packet);
    if (self->watch) {
        self->watch (self->watch_arg, conn, way, frame->type);
    }
}

void
sim_net_connect (sim_net_t *self, sim_peer_t *publisher, trn_link_id_t link,
                 const char *endpoint)
{
    sim_world_t *world = self->world;
    sim_conn_t *conn = trn_alloc (sizeof *conn);
    conn->number = ++self->numbers;
    conn->publisher = publisher;
    conn->publisher_life = publisher->life;
    conn->link = link;
    memcpy (conn->endpoint, endpoint, strlen (endpoint) + 1);
    conn->delay_us
        = (int64_t) sim_random (world, (uint64_t) self->config.delay_min_us,
                                (uint64_t) self->config.delay_max_us);
    conn->next = self->conns;
    self->conns = conn;
}

sim_conn_t *
sim_net_link (const sim_net_t *self, const sim_peer_t *publisher,
              trn_link_id_t link)
{
    for (sim_conn_t *conn = self->conns; conn; conn = conn->next) {
        if (conn->publisher == publisher && conn->link == link && !conn->closed
            && conn->publisher_life == publisher->life) {
            return conn;
        }
    }
    return NULL;
}

sim_conn_t *
sim_net_route (const sim_net_t *self, const sim_peer_t *consumer,
               uint64_t route)
{
    for (sim_conn_t *conn = self->conns; conn; conn = conn->next) {
        if (conn->number == route && conn->consumer == consumer
            && conn->consumer_life == consumer->life) {
            return conn;
        }
    }
    return NULL;
}

//  Closed without linger: what was on the way arrives in one half of the
//  cases, as if it had left the machine already.
static void
s_close (sim_net_t *self, sim_conn_t *conn)
{
    conn->closed = true;
    s_free_way (conn, SIM_TO_PUBLISHER);
    if (sim_chance (self->world, 500)) {
        s_free_way (conn, SIM_TO_CONSUMER);
    }
}

void
sim_net_disconnect (sim_net_t *self, sim_peer_t *publisher, trn_link_id_t link)
{
    sim_conn_t *conn = sim_net_link (self, publisher, link);
    if (conn) {
        s_close (self, conn);
    }
}

void
sim_net_peer_down (sim_net_t *self, sim_peer_t *peer)
{
    for (sim_conn_t *conn = self->conns; conn; conn = conn->next) {
        if (conn->publisher == peer && !conn->closed
            && conn->publisher_life == peer->life) {
            s_close (self, conn);
        }
        if (conn->consumer == peer && conn->consumer_life == peer->life) {
            sim_net_cut_conn (self, conn);
        }
    }
}

void
sim_net_cut (sim_net_t *self, sim_peer_t *left, sim_peer_t *right)
{
    for (sim_conn_t *conn = self->conns; conn; conn = conn->next) {
        if ((conn->publisher == left && conn->consumer == right)
            || (conn->publisher == right && conn->consumer == left)) {
            sim_net_cut_conn (self, conn);
        }
    }
}

//  Frames that waited for the block to end go on now.
static void
s_release (sim_net_t *self, sim_conn_t *conn, sim_direction_t way)
{
    if (!conn->way[way].held
        || sim_net_blocked (self, s_from (conn, way), s_to (conn, way))) {
        return;
    }
    conn->way[way].held = false;
    for (const sim_packet_t *packet = conn->way[way].first; packet;
         packet = packet->next) {
        s_expect (self, conn, way, conn->delay_us);
    }
}

void
sim_net_block (sim_net_t *self, const sim_peer_t *from, const sim_peer_t *to,
               bool blocked)
{
    self->blocked[from->index][to->index] = blocked;
    if (blocked) {
        return;
    }
    for (sim_conn_t *conn = self->conns; conn; conn = conn->next) {
        s_release (self, conn, SIM_TO_CONSUMER);
        s_release (self, conn, SIM_TO_PUBLISHER);
    }
}

void
sim_net_heal (sim_net_t *self)
{
    for (unsigned from = 0; from < self->world->peer_count; from++) {
        for (unsigned to = 0; to < self->world->peer_count; to++) {
            sim_net_block (self, self->world->peers[from],
                           self->world->peers[to], false);
        }
    }
}

uint64_t
sim_net_sent (const sim_net_t *self, const sim_peer_t *from,
              const sim_peer_t *to, trn_frame_type_t type)
{
    return self->sent[from->index][to->index][type];
}
