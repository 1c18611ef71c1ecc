//  tern/log.h - what the library has to say
//
//  The library prints nothing.  It is silent until the application installs a
//  callback; then each line comes with a level and a stable, documented event
//  id such as TERN-PEER-GONE (tern-events(7)).  Lines are key=value text in
//  which bytes from outside are escaped; what a peer can cause is limited in
//  rate and says suppressed=N.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_LOG_H
#define TERN_LOG_H

#include <tern/export.h>

TERN_BEGIN_DECLS

typedef enum {
    TERN_LOG_DEBUG = 0,
    TERN_LOG_INFO = 1,
    TERN_LOG_WARNING = 2,
    TERN_LOG_ERROR = 3
} tern_log_level_t;

//  Called on any thread, also Tern's own; must return soon and must not call
//  Tern.  id and line are borrowed for the call.
typedef void
tern_log_fn (void *arg, tern_log_level_t level, const char *id,
             const char *line);

//  Install fn for lines of at least this level; NULL silences.  fn and arg are
//  kept until replaced.  Set it before the first peer opens; any thread.
TERN_EXPORT void
tern_log_set (tern_log_fn *fn, void *arg, tern_log_level_t least);

TERN_END_DECLS

#endif
