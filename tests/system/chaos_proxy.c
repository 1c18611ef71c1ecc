//  tests/system/chaos_proxy.c - a TCP proxy that treats connections badly
//
//  One thread, one poll ().  A connection is two sockets and a buffer for each
//  direction; what has not been passed on fills the buffer, then the kernel's,
//  so a slow proxy slows its sender and never grows.
//
//  SPDX-License-Identifier: MPL-2.0

#include "chaos_proxy.h"

#include "scene.h"
#include "support/seed.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 32
#define BUFFER_SIZE 16384

typedef struct {
    uint8_t bytes[BUFFER_SIZE];
    size_t used;
    int64_t due_ms;  //  when its next piece may go
    bool ended;      //  its source has closed
} stream_t;

typedef struct {
    int ends[2];          //  0: who connected, 1: the peer; -1: free
    stream_t streams[2];  //  from that end to the other
    uint64_t passed;
    uint64_t struck_at;  //  bytes; UINT64_MAX: never
    bool falls_silent;   //  when struck, instead of ending
    bool silent;
} connection_t;

struct chaos {
    chaos_plan_t plan;
    char path[100];
    char endpoint[64];
    int listener;
    int stop;  //  eventfd
    connection_t connections[CONNECTIONS_MAX];
    test_random_t random;
    pthread_t thread;
    atomic_uint blows;
};

static void
s_close (connection_t *self, bool reset)
{
    for (size_t end = 0; end < 2; end++) {
        if (self->ends[end] >= 0) {
            const struct linger now = {.l_onoff = reset};
            setsockopt (self->ends[end], SOL_SOCKET, SO_LINGER, &now,
                        sizeof now);
            close (self->ends[end]);
            self->ends[end] = -1;
        }
    }
}

//  Connections ---------------------------------------------------------------

static int
s_connect (const chaos_t *self)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf (address.sun_path, sizeof address.sun_path, "%s", self->path);
    const int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0
        && connect (fd, (struct sockaddr *) &address, sizeof address) != 0) {
        close (fd);
        return -1;
    }
    return fd;
}

//  Who is struck, when and how, is decided when it comes.
static void
s_plan_blow (chaos_t *self, connection_t *connection)
{
    connection->struck_at = UINT64_MAX;
    const uint32_t left = self->plan.cuts + self->plan.silences;
    if (left == 0) {
        return;
    }
    connection->struck_at
        = 1 + test_random_below (&self->random, self->plan.blow_bytes);
    connection->falls_silent
        = test_random_below (&self->random, left) < self->plan.silences;
    if (connection->falls_silent) {
        self->plan.silences--;
    } else {
        self->plan.cuts--;
    }
}

static void
s_accept (chaos_t *self)
{
    const int fd = accept4 (self->listener, NULL, NULL, SOCK_CLOEXEC);
    connection_t *free_one = NULL;
    for (size_t index = 0; index < CONNECTIONS_MAX && !free_one; index++) {
        if (self->connections[index].ends[0] < 0) {
            free_one = &self->connections[index];
        }
    }
    const int far = fd >= 0 && free_one ? s_connect (self) : -1;
    if (far < 0) {
        if (fd >= 0) {
            close (fd);
        }
        return;
    }
    const int on = 1;
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl (fd, F_SETFL, O_NONBLOCK);
    fcntl (far, F_SETFL, O_NONBLOCK);
    memset (free_one, 0, sizeof *free_one);
    free_one->ends[0] = fd;
    free_one->ends[1] = far;
    s_plan_blow (self, free_one);
}

//  Bytes ---------------------------------------------------------------------

static void
s_read (connection_t *connection, size_t end)
{
    stream_t *stream = &connection->streams[end];
    const ssize_t got
        = read (connection->ends[end], stream->bytes + stream->used,
                BUFFER_SIZE - stream->used);
    if (got > 0) {
        stream->used += (size_t) got;
    } else if (got == 0 || errno != EAGAIN) {
        stream->ended = true;
    }
}

static void
s_write (chaos_t *self, connection_t *connection, size_t end, int64_t now_ms)
{
    stream_t *stream = &connection->streams[end];
    size_t size = stream->used;
    if (self->plan.piece_max && size > self->plan.piece_max) {
        size = 1 + test_random_below (&self->random, self->plan.piece_max);
    }
    if (connection->passed + size > connection->struck_at) {
        size = connection->struck_at - connection->passed;
    }
    const ssize_t put = size == 0 ? 0
                                  : send (connection->ends[!end], stream->bytes,
                                          size, MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN) {
        stream->ended = true;
        stream->used = 0;
        return;
    }
    if (put > 0) {
        memmove (stream->bytes, stream->bytes + put,
                 stream->used - (size_t) put);
        stream->used -= (size_t) put;
        connection->passed += (uint64_t) put;
    }
    if (self->plan.delay_max_ms) {
        stream->due_ms = now_ms
                         + (int64_t) test_random_below (
                             &self->random, self->plan.delay_max_ms + 1);
    }
}

static void
s_strike (chaos_t *self, connection_t *connection)
{
    atomic_fetch_add (&self->blows, 1);
    connection->struck_at = UINT64_MAX;
    if (connection->falls_silent) {
        connection->silent = true;
    } else {
        s_close (connection, test_random_below (&self->random, 2));
    }
}

static bool
s_is_over (const connection_t *connection)
{
    const stream_t *streams = connection->streams;
    return (streams[0].ended && streams[0].used == 0)
           || (streams[1].ended && streams[1].used == 0);
}

//  The thread ----------------------------------------------------------------

//  What to wait for: room in our buffers, room behind those that hold a due
//  piece.  Returns when the next piece is due.
static int64_t
s_watch (const chaos_t *self, struct pollfd *items, int64_t now_ms)
{
    int64_t due_ms = now_ms + 1000;
    items[0] = (struct pollfd) {.fd = self->stop, .events = POLLIN};
    items[1] = (struct pollfd) {.fd = self->listener, .events = POLLIN};
    for (size_t index = 0; index < CONNECTIONS_MAX; index++) {
        const connection_t *at = &self->connections[index];
        for (size_t end = 0; end < 2; end++) {
            const stream_t *in = &at->streams[end];
            const stream_t *out = &at->streams[!end];
            struct pollfd *item = &items[2 + 2 * index + end];
            *item = (struct pollfd) {.fd = at->ends[end]};
            if (!in->ended && in->used < BUFFER_SIZE) {
                item->events |= POLLIN;
            }
            if (out->used > 0 && !at->silent && out->due_ms <= now_ms) {
                item->events |= POLLOUT;
            } else if (out->used > 0 && !at->silent && at->ends[0] >= 0
                       && out->due_ms < due_ms) {
                due_ms = out->due_ms;
            }
        }
    }
    return due_ms;
}

static void
s_serve (chaos_t *self, connection_t *connection, const struct pollfd *items,
         int64_t now_ms)
{
    for (size_t end = 0; end < 2; end++) {
        const short ready = items[end].revents;
        if (ready & (POLLIN | POLLHUP | POLLERR)
            && connection->streams[end].used < BUFFER_SIZE) {
            s_read (connection, end);
        }
        if (ready & POLLOUT) {
            s_write (self, connection, !end, now_ms);
        }
    }
    if (connection->passed >= connection->struck_at) {
        s_strike (self, connection);
    }
    //  Silent ones still end when an end does, or nobody could leave.
    const stream_t *streams = connection->streams;
    if (connection->ends[0] >= 0
        && (s_is_over (connection)
            || (connection->silent
                && (streams[0].ended || streams[1].ended)))) {
        s_close (connection, false);
    }
}

static void *
s_run (void *arg)
{
    chaos_t *self = arg;
    struct pollfd items[2 + 2 * CONNECTIONS_MAX];
    for (;;) {
        int64_t now = scene_now_ms ();
        const int64_t due = s_watch (self, items, now);
        poll (items, 2 + 2 * CONNECTIONS_MAX,
              due > now ? (int) (due - now) : 0);
        if (items[0].revents) {
            return NULL;
        }
        if (items[1].revents) {
            s_accept (self);
        }
        now = scene_now_ms ();
        for (size_t index = 0; index < CONNECTIONS_MAX; index++) {
            const struct pollfd *own = &items[2 + 2 * index];
            if (own->fd >= 0 && own->fd == self->connections[index].ends[0]) {
                s_serve (self, &self->connections[index], own, now);
            }
        }
    }
}

chaos_t *
chaos_new (const char *path, const chaos_plan_t *plan, uint64_t seed)
{
    chaos_t *self = calloc (1, sizeof *self);
    assert (self);
    self->plan = *plan;
    self->random.state = seed;
    snprintf (self->path, sizeof self->path, "%s", path);
    for (size_t index = 0; index < CONNECTIONS_MAX; index++) {
        self->connections[index].ends[0] = -1;
        self->connections[index].ends[1] = -1;
    }
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    self->stop = eventfd (0, EFD_CLOEXEC);
    self->listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind (self->listener, (struct sockaddr *) &address, size);
    rc |= listen (self->listener, 16);
    rc |= getsockname (self->listener, (struct sockaddr *) &address, &size);
    rc |= pthread_create (&self->thread, NULL, s_run, self);
    assert (rc == 0);
    (void) rc;
    snprintf (self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%u",
              ntohs (address.sin_port));
    return self;
}

void
chaos_destroy (chaos_t **self_p)
{
    chaos_t *self = *self_p;
    const uint64_t one = 1;
    const ssize_t put = write (self->stop, &one, sizeof one);
    (void) put;
    pthread_join (self->thread, NULL);
    for (size_t index = 0; index < CONNECTIONS_MAX; index++) {
        s_close (&self->connections[index], false);
    }
    close (self->listener);
    close (self->stop);
    free (self);
    *self_p = NULL;
}

const char *
chaos_endpoint (const chaos_t *self)
{
    return self->endpoint;
}

uint32_t
chaos_blows (const chaos_t *self)
{
    return atomic_load (&self->blows);
}
