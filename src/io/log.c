//  io/log.c - handing lines to the application's callback
//
//  SPDX-License-Identifier: MPL-2.0

#include "io/log.h"

#include <pthread.h>
#include <stddef.h>

//  The callback, its argument and level change together, and are read on any
//  thread: one lock, taken only when there is something to say.
static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;
static tern_log_fn *s_fn = NULL;
static void *s_arg = NULL;
static tern_log_level_t s_least = TERN_LOG_INFO;

void
tern_log_set (tern_log_fn *fn, void *arg, tern_log_level_t least)
{
    pthread_mutex_lock (&s_lock);
    s_fn = fn;
    s_arg = arg;
    s_least = least;
    pthread_mutex_unlock (&s_lock);
}

void
trn_log_line (tern_log_level_t level, const char *id, const char *text)
{
    pthread_mutex_lock (&s_lock);
    if (s_fn && level >= s_least) {
        s_fn (s_arg, level, id, text);
    }
    pthread_mutex_unlock (&s_lock);
}
