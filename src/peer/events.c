//  peer/events.c - what the application may want to know
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/events.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int
trn_events_open (trn_events_t *self)
{
    assert (self);
    self->fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->fd < 0) {
        return TERN_ENET;
    }
    pthread_mutex_init (&self->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init (&attributes);
    pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
    pthread_cond_init (&self->changed, &attributes);
    pthread_condattr_destroy (&attributes);
    self->ring = trn_alloc (TRN_EVENTS_KEPT * sizeof *self->ring);
    return TERN_OK;
}

void
trn_events_close (trn_events_t *self)
{
    assert (self);
    if (self->ring) {
        close (self->fd);
        free (self->ring);
        pthread_cond_destroy (&self->changed);
        pthread_mutex_destroy (&self->lock);
        self->ring = NULL;
    }
}

void
trn_events_add (trn_events_t *self, const char *id, tern_log_level_t level,
                const char *text)
{
    assert (self && id && text);
    trn_log_line (level, id, text);
    pthread_mutex_lock (&self->lock);
    if (self->count == TRN_EVENTS_KEPT) {
        self->first = (self->first + 1) % TRN_EVENTS_KEPT;
        self->count--;
        self->lost++;
    }
    tern_event_t *event
        = &self->ring[(self->first + self->count++) % TRN_EVENTS_KEPT];
    event->id = id;
    event->level = level;
    snprintf (event->text, sizeof event->text, "%s", text);
    if (self->count == 1) {
        const uint64_t one = 1;
        const ssize_t put = write (self->fd, &one, sizeof one);
        (void) put;
    }
    pthread_cond_signal (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

void
trn_events_addf (trn_events_t *self, const char *id, tern_log_level_t level,
                 const char *format, ...)
{
    char text[256];
    va_list args;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    trn_events_add (self, id, level, text);
}

bool
trn_events_take (trn_events_t *self, tern_event_t *event, int timeout_ms)
{
    assert (self && event);
    const struct timespec until
        = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
    pthread_mutex_lock (&self->lock);
    int rc = timeout_ms == 0;
    while (self->count == 0 && rc == 0) {
        rc = timeout_ms < 0
                 ? pthread_cond_wait (&self->changed, &self->lock)
                 : pthread_cond_timedwait (&self->changed, &self->lock, &until);
    }
    const bool found = self->count > 0;
    if (found) {
        *event = self->ring[self->first];
        event->lost = self->lost;
        self->lost = 0;
        self->first = (self->first + 1) % TRN_EVENTS_KEPT;
        if (--self->count == 0) {
            uint64_t count;
            const ssize_t got = read (self->fd, &count, sizeof count);
            (void) got;
        }
    }
    pthread_mutex_unlock (&self->lock);
    return found;
}
