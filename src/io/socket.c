//  io/socket.c - ZeroMQ sockets, set up so that the known traps are shut
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/socket.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define HANDSHAKE_MS 3000

//  When a connection ends, libzmq 4.3.4 throws away what it has received and we
//  have not read yet if ZMQ_IMMEDIATE is on (hiccup) or ZMQ_RECONNECT_IVL is -1
//  (it disconnects the endpoint itself): a consumer's last settlements would be
//  lost with its BYE.  So links use neither; libzmq may reconnect after an hour,
//  and we close the socket long before.
#define NEVER_MS (3600 * 1000)
#define LAST_WORD_MS 500
#define BACKLOG 256
#define RECEIVE_FRAMES 512
#define SEND_FRAMES 1024

static void
s_set (void *socket, int option, int value)
{
    const int rc = zmq_setsockopt (socket, option, &value, sizeof value);
    assert (rc == 0);  //  a constant option with a constant value
    (void) rc;
}

static void *
s_new (void *context, int type, int64_t frame_max)
{
    void *socket = zmq_socket (context, type);
    if (!socket) {
        return NULL;
    }
    s_set (socket, ZMQ_LINGER, 0);
    s_set (socket, ZMQ_RCVHWM, RECEIVE_FRAMES);
    s_set (socket, ZMQ_SNDHWM, SEND_FRAMES);
    s_set (socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    const int rc
        = zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max);
    assert (rc == 0);
    (void) rc;
    return socket;
}

void *
trn_socket_router (void *context, int64_t frame_max)
{
    void *socket = s_new (context, ZMQ_ROUTER, frame_max);
    if (socket) {
        s_set (socket, ZMQ_ROUTER_MANDATORY, 1);
        s_set (socket, ZMQ_BACKLOG, BACKLOG);
    }
    return socket;
}

int
trn_socket_bind (void *socket, const char *endpoint, char *bound,
                 size_t bound_size)
{
    assert (socket && endpoint && bound && bound_size >= 256);
    if (zmq_bind (socket, endpoint) != 0) {
        switch (zmq_errno ()) {
        case EACCES:
        case EPERM:
        case EROFS: return TERN_EACCESS;
        case EINVAL:
        case EPROTONOSUPPORT:
        case ENOCOMPATPROTO:
        case ENAMETOOLONG: return TERN_EINVAL;
        default: return TERN_ENET;
        }
    }
    if (zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, bound, &bound_size) != 0) {
        return TERN_ENET;
    }
    return TERN_OK;
}

void *
trn_socket_dealer (void *context, const char *endpoint, int64_t frame_max,
                   bool immediate)
{
    assert (context && endpoint);
    void *socket = s_new (context, ZMQ_DEALER, frame_max);
    if (!socket) {
        return NULL;
    }
    s_set (socket, ZMQ_RECONNECT_IVL, NEVER_MS);
    s_set (socket, ZMQ_IMMEDIATE, immediate);
    s_set (socket, ZMQ_CONNECT_TIMEOUT, HANDSHAKE_MS);
    if (zmq_connect (socket, endpoint) != 0) {
        trn_socket_close (&socket);
    }
    return socket;
}

void *
trn_socket_monitor (void *context, void *dealer)
{
    assert (context && dealer);
    static atomic_uint_fast64_t s_number;
    char endpoint[64];
    snprintf (endpoint, sizeof endpoint, "inproc://tern-monitor-%" PRIu64,
              (uint64_t) atomic_fetch_add (&s_number, 1));
    const int events = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED
                       | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
                       | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
                       | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    if (zmq_socket_monitor (dealer, endpoint, events) != 0) {
        return NULL;
    }
    void *monitor = zmq_socket (context, ZMQ_PAIR);
    if (monitor) {
        s_set (monitor, ZMQ_LINGER, 0);
        if (zmq_connect (monitor, endpoint) != 0) {
            trn_socket_close (&monitor);
        }
    }
    if (!monitor) {
        zmq_socket_monitor (dealer, NULL, 0);
    }
    return monitor;
}

void
trn_socket_unmonitor (void *dealer, void **monitor_p)
{
    assert (dealer && monitor_p);
    if (*monitor_p) {
        //  Waits for an event that is being sent, which has a reader still.
        zmq_socket_monitor (dealer, NULL, 0);
        trn_socket_close (monitor_p);
    }
}

bool
trn_socket_monitor_ended (void *monitor)
{
    assert (monitor);
    bool ended = false;
    zmq_msg_t parts[2];
    int count;
    while ((count = trn_socket_recv (monitor, parts, 2)) != 0) {
        for (int index = 0; index < count; index++) {
            zmq_msg_close (&parts[index]);
        }
        //  Every event we asked for means the same: this connection is over.
        ended = true;
    }
    return ended;
}

void
trn_socket_linger (void *socket)
{
    assert (socket);
    s_set (socket, ZMQ_LINGER, LAST_WORD_MS);
}

void
trn_socket_close (void **socket_p)
{
    if (socket_p && *socket_p) {
        zmq_close (*socket_p);
        *socket_p = NULL;
    }
}

static int
s_result (int rc)
{
    if (rc >= 0) {
        return TERN_OK;
    }
    return zmq_errno () == EAGAIN ? TERN_EAGAIN : TERN_ENET;
}

//  While it sends, libzmq looks only once in a millisecond whether the far side
//  has made room; asking for its events makes it look now.
static void
s_look_for_room (void *socket)
{
    int events;
    size_t size = sizeof events;
    zmq_getsockopt (socket, ZMQ_EVENTS, &events, &size);
}

int
trn_socket_send_msg (void *socket, zmq_msg_t *msg, bool more)
{
    const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    bool looked = false;
    for (;;) {
        const int rc = zmq_msg_send (msg, socket, flags);
        if (rc < 0 && zmq_errno () == EINTR) {
            continue;
        }
        if (rc < 0 && zmq_errno () == EAGAIN && !looked) {
            looked = true;
            s_look_for_room (socket);
            continue;
        }
        return s_result (rc);
    }
}

int
trn_socket_send (void *socket, const void *data, size_t size, bool more)
{
    zmq_msg_t msg;
    zmq_msg_init_size (&msg, size);
    if (size) {
        memcpy (zmq_msg_data (&msg), data, size);
    }
    const int rc = trn_socket_send_msg (socket, &msg, more);
    if (rc != TERN_OK) {
        zmq_msg_close (&msg);
    }
    return rc;
}

int
trn_socket_recv (void *socket, zmq_msg_t *parts, int max)
{
    assert (socket && parts && max > 0);
    int count = 0;
    bool more = true;
    while (more) {
        zmq_msg_t rest;
        zmq_msg_t *part = count < max ? &parts[count] : &rest;
        zmq_msg_init (part);
        int rc;
        do {
            rc = zmq_msg_recv (part, socket, ZMQ_DONTWAIT);
        } while (rc < 0 && zmq_errno () == EINTR);
        if (rc < 0) {
            //  Only the first frame can be missing: libzmq hands over whole
            //  messages.
            zmq_msg_close (part);
            break;
        }
        more = zmq_msg_more (part) != 0;
        if (part == &rest) {
            zmq_msg_close (part);
        }
        count++;
    }
    if (count <= max) {
        return count;
    }
    for (int index = 0; index < max; index++) {
        zmq_msg_close (&parts[index]);
    }
    return -1;
}
