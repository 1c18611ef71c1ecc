//  base/memory.h - allocation that does not return failure
//
//  Out of memory is answered by abort with one line on stderr, as CZMQ does
//  below us; in exchange every size from outside was bounded before it came
//  here.  Free with free ().  Any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_MEMORY_H
#define TRN_MEMORY_H

#include <stddef.h>

//  Zeroed memory.
void *
trn_alloc (size_t size);

void *
trn_realloc (void *old, size_t size);

//  Copy of a string, or of its first size bytes with a NUL added.
char *
trn_strdup (const char *string);

char *
trn_strndup (const char *string, size_t size);

#endif
