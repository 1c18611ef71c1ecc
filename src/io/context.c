//  io/context.c - the one ZeroMQ context of this process
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/context.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

//  Each link takes a DEALER and its monitor's pair; the default of 1,023 would
//  be the first limit that a large peer meets.
#define SOCKETS_MAX 8192

//  libzmq aborts the process when its threads, or a bind, find no descriptor.
//  Who opens something here needs fewer than these.
#define DESCRIPTORS_SPARE 16

static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static void *s_context = NULL;
static unsigned s_references = 0;

static bool
s_has_descriptors (void)
{
    int spare[DESCRIPTORS_SPARE];
    int count = 0;
    while (count < DESCRIPTORS_SPARE
           && (spare[count] = eventfd (0, EFD_CLOEXEC)) >= 0) {
        count++;
    }
    for (int index = 0; index < count; index++) {
        close (spare[index]);
    }
    return count == DESCRIPTORS_SPARE;
}

void *
trn_context_acquire (void)
{
    if (!s_has_descriptors ()) {
        return NULL;
    }
    pthread_mutex_lock (&s_lock);
    if (!s_context) {
        s_context = zmq_ctx_new ();
        if (s_context) {
            zmq_ctx_set (s_context, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
        }
    }
    s_references += s_context != NULL;
    void *context = s_context;
    pthread_mutex_unlock (&s_lock);
    return context;
}

void
trn_context_release (void)
{
    pthread_mutex_lock (&s_lock);
    assert (s_references > 0);
    if (--s_references == 0) {
        //  A signal may interrupt the wait for the I/O thread.
        while (zmq_ctx_term (s_context) != 0 && zmq_errno () == EINTR) {
        }
        s_context = NULL;
    }
    pthread_mutex_unlock (&s_lock);
}
