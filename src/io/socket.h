//  io/socket.h - ZeroMQ sockets, set up so that the known traps are shut
//
//  Measured on libzmq 4.3.4, each held by tests/system/test_traps.c:
//
//      ZMQ_RECONNECT_IVL -1   a new connection is a new socket and a new HELLO;
//                             automatic reconnection goes on mid-stream, and
//                             with heartbeats aborts the process
//      no ZMQ_HEARTBEAT_*     links ping themselves
//      ZMQ_IMMEDIATE 1        nothing is queued for a peer that is not there
//      ZMQ_ROUTER_MANDATORY 1 with DONTWAIT: else frames vanish in silence
//      no routing ids set     a chosen id can abort the far process
//      ZMQ_LINGER 0           durability is the log's business
//      monitors end first     an event that nobody reads stops the I/O thread
//      ZMQ_MAXMSGSIZE, ZMQ_HANDSHAKE_IVL, ZMQ_BACKLOG: bounds for strangers
//
//  Thread: one at a time; a socket that passes to another thread passes under a
//  lock.  Every call here is non-blocking.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SOCKET_H
#define TRN_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

//  A ROUTER that receives from anybody.  frame_max bounds one ZeroMQ frame.
//  NULL when sockets or descriptors are used up.
void *
trn_socket_router (void *context, int64_t frame_max);

//  Bind; a wildcard is resolved into bound (its size >= 256).  0, TERN_EINVAL
//  (endpoint), TERN_ENET (in use, no such address), TERN_EACCESS.
int
trn_socket_bind (void *socket, const char *endpoint, char *bound,
                 size_t bound_size);

//  A DEALER that connects once.  NULL when sockets are used up or the endpoint
//  is unusable; whether the far side answers is seen by its first frame.  With
//  immediate, nothing can be sent before the connection is there, and what was
//  received and not read is lost when it ends; without, what is sent waits for
//  the connection, and what was received can still be read after its end.
void *
trn_socket_dealer (void *context, const char *endpoint, int64_t frame_max,
                   bool immediate);

//  The monitor of a DEALER: tells when the connection ended.  NULL when
//  sockets are used up.
void *
trn_socket_monitor (void *context, void *dealer);

//  End the monitoring, before the DEALER is closed: libzmq tells even of a
//  closing socket, and its I/O thread, all of this process's network, waits for
//  ever when nobody reads that.  Sets *monitor_p to NULL; NULL is allowed.
void
trn_socket_unmonitor (void *dealer, void **monitor_p);

//  Did the monitored connection end?  Reads everything the monitor has.
bool
trn_socket_monitor_ended (void *monitor);

//  A last word is queued: let the close that follows wait for it, half a second
//  at most, in the background.
void
trn_socket_linger (void *socket);

//  Sets *socket_p to NULL; NULL is allowed.  Queued frames are dropped.
void
trn_socket_close (void **socket_p);

//  Send one frame by copy.  0, TERN_EAGAIN (full, or not connected yet),
//  TERN_ENET (the far side is gone).
int
trn_socket_send (void *socket, const void *data, size_t size, bool more);

//  Send a prepared message, which the socket takes on success.  As above.
int
trn_socket_send_msg (void *socket, zmq_msg_t *msg, bool more);

//  Receive one message of several frames: fills parts[0..n-1], returns n > 0;
//  0 when none waits.  Parts beyond max are read and dropped, and -1 says so
//  (nothing is filled).  The caller closes the parts.
int
trn_socket_recv (void *socket, zmq_msg_t *parts, int max);

#endif
