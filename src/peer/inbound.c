//  peer/inbound.c - the ROUTER on which publishers reach us
//
//  Knows: that anybody can send anything here.  A message is its routing id,
//  one control frame, and for DATA one run.  Every record of a run is checked
//  against the sum that its publisher's disk holds, before the engine hears of
//  it.  Names come from HELLO and never from a routing id, which is only our
//  handle for the way back.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/peer.h"

#include "base/bytes.h"
#include "base/name.h"
#include "io/clock.h"
#include "io/socket.h"
#include "peer/actor.h"
#include "peer/call.h"
#include "wire/run.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

//  A routing id as libzmq makes them: a zero byte and a counter.
#define ROUTE_SIZE 5

//  sizeof sun_path in <sys/un.h>, without the final NUL.
#define IPC_PATH_MAX 107

//  Where to bind ------------------------------------------------------------

//  In the folder of the local directory, named after the store, so that a
//  killed process leaves nothing that its successor does not take over.
static int
s_local_endpoint (tern_peer_t *self, char *endpoint, size_t size, char *why,
                  size_t why_size)
{
    char folder[TRN_ENDPOINT_MAX + 1];
    char directory[TRN_ENDPOINT_MAX + 1];
    const int rc = tern_directory_local (folder, sizeof folder, directory,
                                         sizeof directory, why, why_size);
    if (rc != TERN_OK) {
        return rc;
    }
    char text[17];
    sodium_bin2hex (text, sizeof text, trn_store_uuid (self->store), 8);
    const int used = snprintf (endpoint, size, "ipc://%.200s/%s", folder, text);
    if (used > (int) strlen ("ipc://") + IPC_PATH_MAX) {
        if (why && why_size) {
            snprintf (why, why_size,
                      "%.200s: too long a path for ipc sockets; set "
                      "XDG_RUNTIME_DIR to a shorter one",
                      folder);
        }
        return TERN_ENET;
    }
    return TERN_OK;
}

//  The address of ours that faces the first directory node: what the kernel
//  would send from.  Nothing is sent.
static int
s_facing_endpoint (const char *node, char *endpoint, size_t size)
{
    char host[TRN_ENDPOINT_MAX + 1];
    const char *colon = strrchr (node, ':');
    if (strncmp (node, "tcp://", 6) || !colon || colon < node + 6) {
        return TERN_EINVAL;
    }
    const char *from = node + 6;
    size_t length = (size_t) (colon - from);
    if (length > 1 && from[0] == '[' && from[length - 1] == ']') {
        from++;
        length -= 2;
    }
    memcpy (host, from, length);
    host[length] = 0;

    struct addrinfo wanted = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo (host, "9", &wanted, &found) != 0) {
        return TERN_ENET;
    }
    int rc = TERN_ENET;
    const int probe = socket (found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
    socklen_t own_size = sizeof own;
    if (probe >= 0 && connect (probe, found->ai_addr, found->ai_addrlen) == 0
        && getsockname (probe, (struct sockaddr *) &own, &own_size) == 0
        && getnameinfo ((struct sockaddr *) &own, own_size, host, sizeof host,
                        NULL, 0, NI_NUMERICHOST)
               == 0) {
        snprintf (endpoint, size,
                  own.ss_family == AF_INET6 ? "tcp://[%.200s]:*"
                                            : "tcp://%.200s:*",
                  host);
        rc = TERN_OK;
    }
    if (probe >= 0) {
        close (probe);
    }
    freeaddrinfo (found);
    return rc;
}

static int
s_choose (tern_peer_t *self, char *endpoint, size_t size, char *why,
          size_t why_size)
{
    const char *bind = tern_config_get (self->config, "bind");
    if (bind) {
        snprintf (endpoint, size, "%s", bind);
        return TERN_OK;
    }
    const char *directory = tern_config_get (self->config, "directory");
    if (strcmp (directory, "local") == 0
        || strncmp (directory, "ipc://", 6) == 0) {
        return s_local_endpoint (self, endpoint, size, why, why_size);
    }
    char node[TRN_ENDPOINT_MAX + 1];
    const size_t length = strcspn (directory, ",");
    memcpy (node, directory, length);
    node[length] = 0;
    const int rc = s_facing_endpoint (node, endpoint, size);
    if (rc != TERN_OK && why && why_size) {
        snprintf (why, why_size,
                  "directory %s: its host is not known here; set \"bind\" "
                  "or correct the endpoint",
                  node);
    }
    return rc;
}

int
trn_inbound_open (tern_peer_t *self, char *why, size_t why_size)
{
    char endpoint[TRN_ENDPOINT_MAX + 1];
    char bound[TRN_ENDPOINT_MAX + 1];
    int rc = s_choose (self, endpoint, sizeof endpoint, why, why_size);
    if (rc != TERN_OK) {
        return rc;
    }
    self->router = trn_socket_router (self->context, TRN_FRAME_MAX);
    rc = self->router
             ? trn_socket_bind (self->router, endpoint, bound, sizeof bound)
             : TERN_ENET;
    if (rc != TERN_OK) {
        if (why && why_size) {
            snprintf (why, why_size, "%s: cannot be bound: %s", endpoint,
                      rc == TERN_ENET ? "in use, or not an address of ours"
                                      : tern_strerror (rc));
        }
        return rc == TERN_EACCESS ? TERN_EACCESS : TERN_ENET;
    }
    const char *advertise = tern_config_get (self->config, "advertise");
    snprintf (self->endpoint, sizeof self->endpoint, "%s",
              advertise ? advertise : bound);
    self->router_item.socket = self->router;
    self->router_item.kind = TRN_ITEM_ROUTER;
    return trn_poller_add (self->poller, &self->router_item) == TERN_OK
               ? TERN_OK
               : TERN_ENET;
}

//  Receiving ---------------------------------------------------------------

static bool
s_route (zmq_msg_t *id, trn_route_t *route_p)
{
    const uint8_t *bytes = zmq_msg_data (id);
    if (zmq_msg_size (id) != ROUTE_SIZE || bytes[0] != 0) {
        return false;  //  chosen by the far side: not one of ours
    }
    *route_p = (trn_route_t) trn_get_u32 (bytes + 1) + 1;
    return true;
}

static void
s_note (char *to, size_t size, const char *name)
{
    const size_t length = strlen (name);
    assert (length < size);
    memcpy (to, name, length + 1);
}

void
trn_inbound_hold (tern_peer_t *self, zmq_msg_t *run, uint64_t first,
                  const uint8_t store_uuid[16], const char *outbox,
                  const char *peer)
{
    s_note (self->inrun_publisher, sizeof self->inrun_publisher, peer);
    s_note (self->inrun_outbox, sizeof self->inrun_outbox, outbox);
    memcpy (self->inrun_store, store_uuid, sizeof self->inrun_store);
    self->inrun = trn_inrun_new (run);
    self->inrun_first = first;
}

static void
s_on_data (tern_peer_t *self, trn_route_t route, const trn_frame_t *frame,
           zmq_msg_t *run, int64_t now_ms)
{
    const uint8_t *store_uuid = NULL;
    const char *outbox = NULL;
    const char *publisher = NULL;
    const size_t size = zmq_msg_size (run);
    if (!trn_engine_inbound_flow (self->engine, route, frame->connection,
                                  frame->data.flow, &store_uuid, &outbox,
                                  &publisher)) {
        //  An old connection's: the engine counts it.
        trn_engine_on_inbound (self->engine, route, frame, (uint32_t) size,
                               now_ms);
        return;
    }
    if (!trn_run_verify (frame, store_uuid, outbox, zmq_msg_data (run), size)) {
        trn_engine_on_garbage (self->engine, route, true, now_ms);
        return;
    }
    trn_inbound_hold (self, run, frame->data.first_seq, store_uuid, outbox,
                      publisher);
    self->inrun_floor = frame->data.low;
    trn_engine_on_inbound (self->engine, route, frame, (uint32_t) size, now_ms);
    trn_actor_drain (self);
    trn_inrun_release (&self->inrun);
}

static void
s_on_request (tern_peer_t *self, trn_route_t route, const trn_frame_t *frame,
              zmq_msg_t *record, int64_t now_ms)
{
    const uint8_t *store_uuid = NULL;
    const char *service = NULL;
    const char *requester = NULL;
    const size_t size = zmq_msg_size (record);
    if (trn_engine_calling (self->engine, route, frame->connection,
                            frame->call.seat, &store_uuid, &service,
                            &requester)) {
        if (!trn_call_verify (store_uuid, service, frame->call.call, record)) {
            trn_engine_on_garbage (self->engine, route, true, now_ms);
            trn_actor_drain (self);
            return;
        }
        trn_inbound_hold (self, record, frame->call.call, store_uuid, service,
                          requester);
    }
    trn_engine_on_inbound (self->engine, route, frame, (uint32_t) size, now_ms);
    trn_actor_drain (self);
    trn_inrun_release (&self->inrun);
}

static void
s_on_message (tern_peer_t *self, zmq_msg_t *parts, int count, int64_t now_ms)
{
    trn_route_t route;
    if (!s_route (&parts[0], &route)) {
        return;
    }
    trn_frame_t frame;
    int rc = TERN_EPROTO;
    if (count >= 2) {
        rc = trn_frame_decode (&frame, zmq_msg_data (&parts[1]),
                               zmq_msg_size (&parts[1]));
    }
    if (rc == TERN_EVERSION) {
        return;  //  a frame type of a later version
    }
    const bool two
        = rc == TERN_OK && (frame.type == TRN_DATA || frame.type == TRN_CALL);
    const int expected = two ? 3 : 2;
    if (rc != TERN_OK || count != expected) {
        trn_engine_on_garbage (self->engine, route, false, now_ms);
    } else if (frame.type == TRN_DATA) {
        s_on_data (self, route, &frame, &parts[2], now_ms);
    } else if (frame.type == TRN_CALL) {
        s_on_request (self, route, &frame, &parts[2], now_ms);
    } else {
        trn_engine_on_inbound (self->engine, route, &frame, 0, now_ms);
        //  The frame's texts end with the message: let the engine finish.
        trn_actor_drain (self);
    }
}

void
trn_inbound_ready (tern_peer_t *self, int burst)
{
    const int64_t now = trn_clock_ms ();
    for (int index = 0; index < burst; index++) {
        zmq_msg_t parts[TRN_PARTS_MAX];
        const int count = trn_socket_recv (self->router, parts, TRN_PARTS_MAX);
        if (count == 0) {
            break;
        }
        if (count > 0) {
            s_on_message (self, parts, count, now);
            for (int part = 0; part < count; part++) {
                zmq_msg_close (&parts[part]);
            }
        }
    }
    trn_consumer_hand_over (self);
    trn_poller_touch (self->poller, &self->router_item);
}

static void
s_reply (tern_peer_t *self, trn_route_t route, const trn_frame_t *frame,
         zmq_msg_t *record)
{
    uint8_t id[ROUTE_SIZE] = {0};
    trn_put_u32 (id + 1, (uint32_t) (route - 1));
    uint8_t bytes[TRN_CONTROL_MAX];
    const size_t size = trn_frame_encode (frame, bytes, sizeof bytes);
    int rc = trn_socket_send (self->router, id, sizeof id, true);
    if (rc == TERN_OK) {
        rc = trn_socket_send (self->router, bytes, size, record != NULL);
    }
    if (rc == TERN_OK && record) {
        //  A message whose first part was taken has room for the rest.
        zmq_msg_t shared;
        zmq_msg_init (&shared);
        zmq_msg_copy (&shared, record);
        rc = trn_socket_send_msg (self->router, &shared, false);
        if (rc != TERN_OK) {
            zmq_msg_close (&shared);
        }
    }
    trn_poller_touch (self->poller, &self->router_item);
    if (rc != TERN_OK) {
        //  Gone, or a publisher that does not read what it asked for: either
        //  way this conversation is over; it can begin a new one.
        trn_engine_on_route_lost (self->engine, route, trn_clock_ms ());
    }
}

void
trn_inbound_reply (tern_peer_t *self, trn_route_t route,
                   const trn_frame_t *frame)
{
    s_reply (self, route, frame, NULL);
}

void
trn_inbound_answer (tern_peer_t *self, trn_route_t route,
                    const trn_frame_t *frame, zmq_msg_t *record)
{
    s_reply (self, route, frame, record);
}
