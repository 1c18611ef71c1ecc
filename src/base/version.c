//  base/version.c - the version of the library, as text
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern/version.h>

#define TEXT(number) #number
#define DOTTED(major, minor, patch)                                            \
    TEXT (major) "." TEXT (minor) "." TEXT (patch)

const char *
tern_version (void)
{
    return DOTTED (TERN_VERSION_MAJOR, TERN_VERSION_MINOR, TERN_VERSION_PATCH);
}
