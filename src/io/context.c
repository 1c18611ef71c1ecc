//  io/context.c - the one ZeroMQ context of this process
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/context.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

//  Each link takes a DEALER and its monitor's pair; the default of 1,023 would
//  be the first limit that a large peer meets.
#define SOCKETS_MAX 8192

static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static void *s_context = NULL;
static unsigned s_references = 0;

void *
trn_context_acquire (void)
{
    pthread_mutex_lock (&s_lock);
    if (s_references++ == 0) {
        s_context = zmq_ctx_new ();
        if (!s_context) {
            fprintf (stderr, "tern: no memory for a ZeroMQ context\n");
            abort ();
        }
        zmq_ctx_set (s_context, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
    }
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
