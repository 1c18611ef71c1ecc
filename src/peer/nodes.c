//  peer/nodes.c - the sockets to directory nodes, and hosting the local one
//
//  Knows: how the roster's actions meet ZeroMQ, and that what the roster learns
//  is the engine's news.  The peer's own queues are told to the engine here,
//  since the roster never shows us to ourselves.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/actor.h"
#include "peer/exchange.h"
#include "peer/inbox.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"
#include "io/socket.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  The view is noted at most so often.
#define VIEW_MS 2000

static void
s_disconnect (tern_peer_t *self, trn_node_t *node)
{
    if (node->monitor) {
        trn_poller_remove (self->poller, &node->monitor_item);
        trn_socket_unmonitor (node->dealer, &node->monitor);
    }
    if (node->dealer) {
        trn_poller_remove (self->poller, &node->item);
        if (self->stopping) {
            trn_socket_linger (node->dealer);
        }
        trn_socket_close (&node->dealer);
    }
}

static void
s_connect (tern_peer_t *self, trn_node_t *node, const char *endpoint,
           int64_t now_ms)
{
    s_disconnect (self, node);
    //  Not immediate: a registration waits for the connection it belongs to.
    node->dealer = trn_socket_dealer (self->context, endpoint,
                                      TRN_DIRECTORY_FRAME_MAX, false);
    if (node->dealer) {
        node->item = (trn_poll_item_t) {
            .socket = node->dealer, .kind = TRN_ITEM_NODE, .owner = node};
        if (trn_poller_add (self->poller, &node->item) != TERN_OK) {
            trn_socket_close (&node->dealer);
        }
    }
    if (node->dealer) {
        node->monitor = trn_socket_monitor (self->context, node->dealer);
    }
    if (node->monitor) {
        node->monitor_item = (trn_poll_item_t) {.socket = node->monitor,
                                                .kind = TRN_ITEM_NODE_MONITOR,
                                                .owner = node};
        if (trn_poller_add (self->poller, &node->monitor_item) != TERN_OK) {
            trn_socket_unmonitor (node->dealer, &node->monitor);
        }
    }
    if (!node->dealer) {
        trn_roster_on_trouble (self->roster, node->number, now_ms);
    }
}

void
trn_node_ready (tern_peer_t *self, trn_node_t *node)
{
    const int64_t now = trn_clock_ms ();
    for (int index = 0; index < TRN_ITEM_BURST; index++) {
        zmq_msg_t parts[1];
        const int count = trn_socket_recv (node->dealer, parts, 1);
        if (count == 0) {
            break;
        }
        if (count > 0) {
            trn_roster_on_frame (self->roster, node->number,
                                 zmq_msg_data (&parts[0]),
                                 zmq_msg_size (&parts[0]), now);
            zmq_msg_close (&parts[0]);
        }
    }
    trn_poller_touch (self->poller, &node->item);
}

void
trn_node_monitored (tern_peer_t *self, trn_node_t *node)
{
    trn_poller_touch (self->poller, &node->monitor_item);
    if (trn_socket_monitor_ended (node->monitor)) {
        trn_roster_on_trouble (self->roster, node->number, trn_clock_ms ());
    }
}

static void
s_host (tern_peer_t *self, int64_t now_ms)
{
    int rc = TERN_OK;
    if (!self->hosted) {
        char why[256] = "";
        rc = tern_directory_open_local (&self->hosted, why, sizeof why);
        if (rc == TERN_OK) {
            trn_events_add (&self->events, "TERN-DIRECTORY-HOSTED",
                            TERN_LOG_INFO, "directory=local");
        } else if (rc != TERN_EINUSE) {
            trn_events_addf (&self->events, "TERN-DIRECTORY-HOST-FAILED",
                             TERN_LOG_WARNING, "reason=\"%s\"", why);
        }
    }
    trn_roster_on_hosted (self->roster, rc, now_ms);
}

static void
s_on_binding (tern_peer_t *self, const trn_binding_t *binding)
{
    for (uint32_t index = 0; index < self->box_count; index++) {
        if (self->boxes[index]->exchange) {
            trn_exchange_on_binding (self->boxes[index], binding);
        }
    }
}

//  Once: now it is certain what is not bound.
static void
s_look_whether_known (tern_peer_t *self)
{
    if (atomic_load (&self->bindings_known)
        || !trn_roster_bindings_known (self->roster)) {
        return;
    }
    for (uint32_t index = 0; index < self->box_count; index++) {
        if (self->boxes[index]->exchange) {
            trn_exchange_on_known (self->boxes[index]);
        }
    }
    pthread_mutex_lock (&self->lock);
    atomic_store (&self->bindings_known, true);
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

void
trn_nodes_drain (tern_peer_t *self, int64_t now_ms)
{
    const trn_roster_action_t *action;
    while ((action = trn_roster_action (self->roster)) != NULL) {
        trn_node_t *node
            = action->node < TRN_NODES_MAX ? &self->nodes[action->node] : NULL;
        switch (action->type) {
        case TRN_ROSTER_CONNECT:
            assert (node);
            node->number = action->node;
            s_connect (self, node, action->endpoint, now_ms);
            break;
        case TRN_ROSTER_DISCONNECT:
            assert (node);
            s_disconnect (self, node);
            break;
        case TRN_ROSTER_SEND:
            assert (node);
            if (node->dealer) {
                //  What does not go now is said again, or the silence noticed.
                const int rc = trn_socket_send (node->dealer, action->bytes,
                                                action->size, false);
                (void) rc;
                trn_poller_touch (self->poller, &node->item);
            }
            break;
        case TRN_ROSTER_HOST: s_host (self, now_ms); break;
        case TRN_ROSTER_PEER:
            trn_engine_on_peer (self->engine, action->peer.name,
                                action->peer.incarnation,
                                action->peer.endpoints[0], action->peer.queues,
                                action->peer.queue_count, now_ms);
            break;
        case TRN_ROSTER_PEER_GONE:
            trn_engine_on_peer_gone (self->engine, action->peer.name, now_ms);
            break;
        case TRN_ROSTER_BINDING: s_on_binding (self, &action->binding); break;
        case TRN_ROSTER_BOUND:
            trn_bound_tell (self, &action->binding, action->result);
            break;
        case TRN_ROSTER_SAVE: self->view_wanted = true; break;
        case TRN_ROSTER_REPORT:
            trn_events_add (&self->events, action->report.id,
                            action->report.level, action->report.text);
            break;
        default: assert (false);
        }
    }
    atomic_store (&self->registered, trn_roster_online (self->roster));
    s_look_whether_known (self);
    trn_actor_drain (self);
}

void
trn_nodes_close (tern_peer_t *self)
{
    for (size_t index = 0; index < TRN_NODES_MAX; index++) {
        s_disconnect (self, &self->nodes[index]);
    }
}

void
trn_nodes_restore (tern_peer_t *self)
{
    uint8_t *view = NULL;
    size_t size = 0;
    if (trn_store_read_note (self->store, &view, &size) == TERN_OK) {
        //  A damaged note is as good as none: a directory will tell.
        self->view_restored
            = trn_roster_restore (self->roster, view, size) == TERN_OK;
        free (view);
    }
}

void
trn_nodes_note (tern_peer_t *self, int64_t now_ms, bool closing)
{
    if (!self->view_wanted || (now_ms < self->view_at && !closing)) {
        return;
    }
    self->view_wanted = false;
    self->view_at = now_ms + VIEW_MS;
    trn_roster_forget (self->roster, trn_bindings_floor (trn_clock_wall_us ()));
    const size_t room = trn_roster_view_room (self->roster);
    uint8_t *view = trn_alloc (room);
    const size_t size = trn_roster_view (self->roster, view, room);
    trn_store_note (self->store, view, size);
    free (view);
}

static size_t
s_add_queue (const char **queues, size_t count, const char *queue)
{
    for (size_t index = 0; index < count; index++) {
        if (strcmp (queues[index], queue) == 0) {
            return count;
        }
    }
    queues[count] = queue;
    return count + 1;
}

//  Others hear of queues, we also of the inboxes that are in between.
void
trn_nodes_announce (tern_peer_t *self, int64_t now_ms)
{
    const char *queues[2 * TRN_QUEUES_MAX];
    size_t count = 0;
    for (const tern_consumer_t *at = self->consumers; at;
         at = trn_consumer_next (at)) {
        if (!trn_consumer_inbox (at)) {
            count = s_add_queue (queues, count, trn_consumer_queue (at));
        }
    }
    for (uint32_t index = 0; self->inboxes && index < self->box_count;
         index++) {
        const trn_box_t *box = self->boxes[index];
        if (box->inbox && trn_inbox_takes (box->inbox)) {
            count = s_add_queue (queues, count, trn_inbox_of (box->queue));
        }
    }
    const size_t known = count < TRN_QUEUES_MAX ? count : TRN_QUEUES_MAX;
    trn_roster_on_queues (self->roster, queues, known, now_ms);
    for (const tern_consumer_t *at = self->consumers; at;
         at = trn_consumer_next (at)) {
        if (trn_consumer_inbox (at)) {
            count = s_add_queue (queues, count, trn_consumer_queue (at));
        }
    }
    trn_engine_on_peer (self->engine, self->name,
                        trn_store_incarnation (self->store), self->endpoint,
                        queues, count, now_ms);
}
