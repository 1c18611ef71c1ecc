//  directory/directory.c - a directory node on a thread of its own
//
//  Knows: how the registry's actions meet one ROUTER.  All decisions are in
//  core/registry.c.
//
//      caller's thread            directory's thread
//      open: bind, start     ->   frames in, due ticks in, actions out, sleep
//      stats: under the lock <->  holds the lock while it works, not asleep
//      close: stop, join     ->   close the ROUTER
//
//  Bindings are kept in a folder, if there is one, by a thread of their own
//  (directory/state.c).
//
//  A route is the routing id that the ROUTER gave a connection: five bytes, the
//  first 0.  Ids that a stranger chose are never taken for one.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern/directory.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/name.h"
#include "core/registry.h"
#include "directory/local.h"
#include "directory/state.h"
#include "io/clock.h"
#include "io/context.h"
#include "io/log.h"
#include "io/socket.h"
#include "io/wake.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BINDS_MAX 4
#define IPC "ipc://"

//  What may wait in the pipes of one connection.  Small: a watcher that does
//  not read is told later from the registry's history.
#define SEND_FRAMES 16
#define RECEIVE_FRAMES 64

//  Frames taken in before leases and senders get their turn.
#define BURST 256

//  How often it is looked whether removed bindings may be forgotten.
#define FORGET_MS 60000

#define ROUTE_SIZE 5

struct tern_directory {
    void *context;
    void *router;  //  the thread's, once it runs
    char endpoints[BINDS_MAX][TRN_ENDPOINT_MAX + 1];
    ino_t sockets[BINDS_MAX];  //  files of ipc endpoints, else 0
    size_t endpoint_count;
    trn_local_t local;  //  lock_fd >= 0: this is the local directory
    pthread_t thread;
    trn_wake_t wake;
    atomic_bool stopping;
    pthread_mutex_t lock;  //  of the registry
    trn_registry_t *registry;
    trn_directory_state_t *state;  //  NULL: nothing is kept
    int64_t forget_at_ms;
};

//  Routes ----------------------------------------------------------------

static bool
s_route_of_id (const zmq_msg_t *id, trn_directory_route_t *route_p)
{
    const uint8_t *bytes = zmq_msg_data ((zmq_msg_t *) (uintptr_t) id);
    if (zmq_msg_size (id) != ROUTE_SIZE || bytes[0] != 0) {
        return false;
    }
    trn_directory_route_t route = 0;
    for (size_t index = 1; index < ROUTE_SIZE; index++) {
        route = route << 8 | bytes[index];
    }
    *route_p = route;
    return true;
}

static void
s_id_of_route (trn_directory_route_t route, uint8_t id[ROUTE_SIZE])
{
    id[0] = 0;
    for (size_t index = ROUTE_SIZE - 1; index > 0; index--) {
        id[index] = (uint8_t) route;
        route >>= 8;
    }
}

//  The thread ------------------------------------------------------------

static void
s_send (tern_directory_t *self, const trn_registry_action_t *action,
        int64_t now_ms)
{
    const trn_directory_route_t route = action->route;
    uint8_t id[ROUTE_SIZE];
    s_id_of_route (route, id);
    int rc = trn_socket_send (self->router, id, sizeof id, true);
    if (rc == TERN_OK) {
        rc = trn_socket_send (self->router, action->bytes, action->size, false);
    }
    if (rc == TERN_EAGAIN) {
        trn_registry_on_blocked (self->registry, route, now_ms);
    } else if (rc != TERN_OK) {
        trn_registry_on_gone (self->registry, route, now_ms);
    }
}

static void
s_save (tern_directory_t *self)
{
    assert (self->state);
    size_t size;
    uint8_t *bytes = trn_registry_state (self->registry, &size);
    trn_directory_state_save (self->state, bytes, size);
}

static void
s_drain (tern_directory_t *self, int64_t now_ms)
{
    const trn_registry_action_t *action;
    while ((action = trn_registry_action (self->registry))) {
        switch (action->type) {
        case TRN_REGISTRY_SEND: s_send (self, action, now_ms); break;
        case TRN_REGISTRY_SAVE: s_save (self); break;
        case TRN_REGISTRY_REPORT:
            trn_log_line (action->report.level, action->report.id,
                          action->report.text);
            break;
        }
    }
}

//  One message: the route, and one frame.  False when none waits.
static bool
s_take_message (tern_directory_t *self, int64_t now_ms)
{
    zmq_msg_t parts[2];
    const int count = trn_socket_recv (self->router, parts, 2);
    if (count == 0) {
        return false;
    }
    trn_directory_route_t route;
    if (count == 2 && s_route_of_id (&parts[0], &route)) {
        trn_registry_on_frame (self->registry, route, zmq_msg_data (&parts[1]),
                               zmq_msg_size (&parts[1]), now_ms);
    } else {
        trn_registry_on_garbage (self->registry, now_ms);
    }
    for (int index = 0; index < count; index++) {
        zmq_msg_close (&parts[index]);
    }
    return true;
}

//  A save is done, or the disk said no.
static void
s_end_save (tern_directory_t *self, int64_t now_ms)
{
    const int error = trn_directory_state_result (self->state);
    if (error) {
        char text[128];
        snprintf (text, sizeof text, "reason=\"%.100s\"", strerror (error));
        trn_log_line (TERN_LOG_ERROR, "TERN-DIRECTORY-STATE-FAILED", text);
    }
    trn_registry_on_saved (self->registry, error == 0, now_ms);
    s_drain (self, now_ms);
}

//  Do all that can be done now; returns how long to sleep, -1 for ever.
static int
s_work (tern_directory_t *self)
{
    const int64_t now_ms = trn_clock_ms ();
    bool more = true;
    for (int count = 0; more && count < BURST; count++) {
        more = s_take_message (self, now_ms);
        s_drain (self, now_ms);
    }
    if (self->state && trn_directory_state_done (self->state)) {
        s_end_save (self, now_ms);
    }
    if (now_ms >= self->forget_at_ms) {
        self->forget_at_ms = now_ms + FORGET_MS;
        trn_registry_forget (self->registry,
                             trn_bindings_floor (trn_clock_wall_us ()));
    }
    if (trn_registry_deadline (self->registry) <= now_ms) {
        trn_registry_on_tick (self->registry, now_ms);
        s_drain (self, now_ms);
    }
    if (more) {
        return 0;
    }
    const int64_t deadline_ms = trn_registry_deadline (self->registry);
    if (deadline_ms == INT64_MAX) {
        return -1;
    }
    const int64_t left_ms = deadline_ms - now_ms;
    return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int) left_ms;
}

static void *
s_run (void *arg)
{
    tern_directory_t *self = arg;
    while (!atomic_load (&self->stopping)) {
        pthread_mutex_lock (&self->lock);
        const int timeout_ms = s_work (self);
        pthread_mutex_unlock (&self->lock);
        trn_wake_announce (&self->wake);
        if (atomic_load (&self->stopping)) {
            break;
        }
        if (self->state && trn_directory_state_done (self->state)) {
            trn_wake_cancel (&self->wake);
            continue;
        }
        zmq_pollitem_t items[] = {
            {.socket = self->router, .events = ZMQ_POLLIN},
            {.fd = self->wake.fd, .events = ZMQ_POLLIN},
        };
        //  Interrupted or not, what is there is found by working.
        zmq_poll (items, 2, timeout_ms);
        trn_wake_cancel (&self->wake);
    }
    trn_socket_close (&self->router);
    return NULL;
}

//  Opening and closing ---------------------------------------------------

static int
s_fail (int error, char *why, size_t why_size, const char *what,
        const char *reason)
{
    if (why && why_size) {
        char text[TRN_ESCAPED_MAX];
        snprintf (why, why_size, "%s: %s",
                  trn_escape (text, what, strlen (what)), reason);
    }
    return error;
}

//  The socket file of an ipc endpoint; 0 for any other.
static ino_t
s_socket_file (const char *endpoint)
{
    struct stat info;
    return !strncmp (endpoint, IPC, strlen (IPC))
                   && lstat (endpoint + strlen (IPC), &info) == 0
                   && S_ISSOCK (info.st_mode)
               ? info.st_ino
               : 0;
}

static int
s_bind (tern_directory_t *self, const char *endpoint, char *why,
        size_t why_size)
{
    if (!trn_endpoint_valid (endpoint, strlen (endpoint))) {
        return s_fail (TERN_EINVAL, why, why_size, endpoint,
                       "not an endpoint such as tcp://127.0.0.1:5670");
    }
    //  libzmq would take the path away from whoever listens there.
    if (!strncmp (endpoint, IPC, strlen (IPC))
        && trn_local_answers (endpoint + strlen (IPC))) {
        return s_fail (TERN_ENET, why, why_size, endpoint,
                       "another process listens there");
    }
    assert (self->endpoint_count < BINDS_MAX);
    char *bound = self->endpoints[self->endpoint_count];
    const int rc = trn_socket_bind (self->router, endpoint, bound,
                                    sizeof self->endpoints[0]);
    if (rc == TERN_EINVAL) {
        return s_fail (rc, why, why_size, endpoint, "cannot be bound to");
    }
    if (rc) {
        return s_fail (TERN_ENET, why, why_size, endpoint,
                       zmq_strerror (zmq_errno ()));
    }
    self->sockets[self->endpoint_count++] = s_socket_file (bound);
    return TERN_OK;
}

//  libzmq leaves the files of its ipc sockets behind.  Remove ours, if they are
//  still ours: another may have bound there since.
static void
s_remove_socket_files (tern_directory_t *self)
{
    for (size_t index = 0; index < self->endpoint_count; index++) {
        if (self->sockets[index]
            && self->sockets[index] == s_socket_file (self->endpoints[index])) {
            unlink (self->endpoints[index] + strlen (IPC));
        }
    }
}

//  A file that is damaged is set aside: the peers know the bindings, too.  One
//  of a later version is left to it.
static int
s_restore (tern_directory_t *self, const char *folder, char *why,
           size_t why_size)
{
    uint8_t *bytes;
    size_t size;
    int rc
        = trn_directory_state_read (self->state, &bytes, &size, why, why_size);
    if (rc || !bytes) {
        return rc;
    }
    rc = trn_registry_restore (self->registry, bytes, size);
    free (bytes);
    if (rc == TERN_EVERSION) {
        return s_fail (rc, why, why_size, folder,
                       "bindings of a later version");
    }
    if (rc) {
        char text[TRN_ESCAPED_MAX + 64];
        char escaped[TRN_ESCAPED_MAX];
        snprintf (text, sizeof text, "folder=%s kept_as=bindings.damaged",
                  trn_escape (escaped, folder, strlen (folder)));
        trn_log_line (TERN_LOG_ERROR, "TERN-DIRECTORY-STATE-DAMAGED", text);
        if (trn_directory_state_set_aside (self->state)) {
            return s_fail (TERN_EIO, why, why_size, folder,
                           "damaged bindings cannot be set aside");
        }
    }
    return TERN_OK;
}

//  Keep bindings in this folder.
static int
s_open_state (tern_directory_t *self, const char *folder, char *why,
              size_t why_size)
{
    int rc = trn_directory_state_open (&self->state, folder, &self->wake, why,
                                       why_size);
    rc = rc ? rc : s_restore (self, folder, why, why_size);
    if (rc) {
        trn_directory_state_close (&self->state);
    }
    return rc;
}

static trn_registry_t *
s_new_registry (bool durable)
{
    const trn_registry_config_t config = {
        .epoch = trn_clock_random () | 1,
        .seed = trn_clock_random (),
        .durable = durable,
    };
    return trn_registry_new (&config);
}

//  Memory and a ROUTER; the thread does not run yet.
static int
s_prepare (tern_directory_t **self_p, bool durable, char *why, size_t why_size)
{
    tern_directory_t *self = trn_alloc (sizeof *self);
    self->local.lock_fd = -1;
    self->context = trn_context_acquire ();
    if (self->context) {
        self->router
            = trn_socket_router (self->context, TRN_DIRECTORY_FRAME_MAX);
    }
    if (!self->router || trn_wake_open (&self->wake) != TERN_OK) {
        trn_socket_close (&self->router);
        if (self->context) {
            trn_context_release ();
        }
        free (self);
        return s_fail (TERN_ENET, why, why_size, "directory",
                       "out of sockets or descriptors");
    }
    const int send_frames = SEND_FRAMES;
    const int receive_frames = RECEIVE_FRAMES;
    zmq_setsockopt (self->router, ZMQ_SNDHWM, &send_frames, sizeof send_frames);
    zmq_setsockopt (self->router, ZMQ_RCVHWM, &receive_frames,
                    sizeof receive_frames);
    self->registry = s_new_registry (durable);
    pthread_mutex_init (&self->lock, NULL);
    *self_p = self;
    return TERN_OK;
}

//  The thread takes no signals: they are the application's.
static int
s_start (tern_directory_t *self, char *why, size_t why_size)
{
    sigset_t all;
    sigset_t before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    const int rc = pthread_create (&self->thread, NULL, s_run, self);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        return s_fail (TERN_ENET, why, why_size, "directory", strerror (rc));
    }
    pthread_setname_np (self->thread, "tern-directory");
    return TERN_OK;
}

//  What s_prepare () made, the ROUTER if it is still there.
static void
s_discard (tern_directory_t **self_p)
{
    tern_directory_t *self = *self_p;
    trn_socket_close (&self->router);
    trn_directory_state_close (&self->state);
    s_remove_socket_files (self);
    trn_local_leave (&self->local);
    trn_context_release ();
    trn_wake_close (&self->wake);
    trn_registry_destroy (&self->registry);
    pthread_mutex_destroy (&self->lock);
    free (self);
    *self_p = NULL;
}

int
tern_directory_open (tern_directory_t **self_p,
                     const tern_directory_options_t *options, char *why,
                     size_t why_size)
{
    assert (self_p && options);
    *self_p = NULL;
    if (options->bind_count < 1 || options->bind_count > BINDS_MAX) {
        return s_fail (TERN_EINVAL, why, why_size, "directory",
                       "binds to 1 to 4 endpoints");
    }
    tern_directory_t *self;
    int rc = s_prepare (&self, options->state != NULL, why, why_size);
    if (rc) {
        return rc;
    }
    if (options->state) {
        rc = s_open_state (self, options->state, why, why_size);
    }
    for (size_t index = 0; !rc && index < options->bind_count; index++) {
        rc = s_bind (self, options->binds[index], why, why_size);
    }
    rc = rc ? rc : s_start (self, why, why_size);
    if (rc) {
        s_discard (&self);
        return rc;
    }
    *self_p = self;
    return TERN_OK;
}

//  Beside the socket.  Without it the peers keep the bindings, each in its store.
static void
s_open_local_state (tern_directory_t *self)
{
    char why[256];
    if (s_open_state (self, self->local.folder, why, sizeof why)) {
        char text[TRN_ESCAPED_MAX + 16];
        char escaped[TRN_ESCAPED_MAX];
        snprintf (text, sizeof text, "reason=\"%s\"",
                  trn_escape (escaped, why, strlen (why)));
        trn_log_line (TERN_LOG_WARNING, "TERN-DIRECTORY-STATE-NONE", text);
        trn_registry_destroy (&self->registry);
        self->registry = s_new_registry (false);
    }
}

int
tern_directory_open_local (tern_directory_t **self_p, char *why,
                           size_t why_size)
{
    assert (self_p);
    *self_p = NULL;
    trn_local_t local;
    int rc = trn_local_find (&local, why, why_size);
    if (rc == TERN_ETOOBIG) {
        rc = TERN_EACCESS;  //  there is no such folder for us
    }
    rc = rc ? rc : trn_local_lock (&local, why, why_size);
    if (rc) {
        return rc;
    }
    tern_directory_t *self;
    rc = s_prepare (&self, true, why, why_size);
    if (rc) {
        trn_local_leave (&local);
        return rc;
    }
    self->local = local;
    s_open_local_state (self);
    char endpoint[TRN_LOCAL_PATH + 8];
    snprintf (endpoint, sizeof endpoint, IPC "%s", local.binding);
    rc = s_bind (self, endpoint, why, why_size);
    rc = rc ? rc : trn_local_publish (&self->local, why, why_size);
    rc = rc ? rc : s_start (self, why, why_size);
    if (rc) {
        s_discard (&self);
        return rc == TERN_EINVAL ? TERN_ENET : rc;
    }
    snprintf (self->endpoints[0], sizeof self->endpoints[0], IPC "%s",
              local.socket);
    *self_p = self;
    return TERN_OK;
}

void
tern_directory_close (tern_directory_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    tern_directory_t *self = *self_p;
    atomic_store (&self->stopping, true);
    trn_wake_up (&self->wake);
    pthread_join (self->thread, NULL);
    s_discard (self_p);
}

const char *
tern_directory_endpoint (const tern_directory_t *self, size_t index)
{
    assert (self);
    return index < self->endpoint_count ? self->endpoints[index] : NULL;
}

void
tern_directory_stats (tern_directory_t *self, tern_directory_stats_t *stats)
{
    assert (self && stats);
    pthread_mutex_lock (&self->lock);
    trn_registry_stats (self->registry, stats);
    pthread_mutex_unlock (&self->lock);
}
