//  tern/version.h - which Tern this is
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_VERSION_H
#define TERN_VERSION_H

#include <tern/export.h>

TERN_BEGIN_DECLS

//  Of these headers.
#define TERN_VERSION_MAJOR 0
#define TERN_VERSION_MINOR 2
#define TERN_VERSION_PATCH 0

//  Of the library that runs, "0.2.0".  Static; any thread.
TERN_EXPORT const char *
tern_version (void);

TERN_END_DECLS

#endif
