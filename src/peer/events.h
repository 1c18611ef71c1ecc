//  peer/events.h - what the application may want to know
//
//  A bounded ring with a level-triggered descriptor, and the log callback.
//  Any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_EVENTS_H
#define TRN_EVENTS_H

#include <tern/peer.h>

#include <pthread.h>

#define TRN_EVENTS_KEPT 1024

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fd;              //  eventfd, readable while one waits
    tern_event_t *ring;  //  TRN_EVENTS_KEPT of them
    uint32_t first, count;
    uint64_t lost;  //  dropped since the last one handed out
} trn_events_t;

int
trn_events_open (trn_events_t *self);

void
trn_events_close (trn_events_t *self);

//  Keep it for tern_peer_event () and tell the log.  id is static.
void
trn_events_add (trn_events_t *self, const char *id, tern_log_level_t level,
                const char *text);

#if defined(__GNUC__)
__attribute__ ((format (printf, 4, 5)))
#endif
void
trn_events_addf (trn_events_t *self, const char *id, tern_log_level_t level,
                 const char *format, ...);

bool
trn_events_take (trn_events_t *self, tern_event_t *event, int timeout_ms);

#endif
