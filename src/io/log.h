//  io/log.h - handing lines to the application's callback
//
//  tern_log_set () installs it; see tern/log.h.  The caller bounds the rate and
//  has escaped what comes from outside.  Any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_IO_LOG_H
#define TRN_IO_LOG_H

#include <tern/log.h>

void
trn_log_line (tern_log_level_t level, const char *id, const char *text);

#endif
