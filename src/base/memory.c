//  base/memory.c - allocation that does not return failure
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
s_or_abort (void *memory, size_t size)
{
    if (!memory && size) {
        fprintf (stderr, "tern: out of memory (%zu bytes)\n", size);
        abort ();
    }
    return memory;
}

void *
trn_alloc (size_t size)
{
    return s_or_abort (calloc (1, size), size);
}

void *
trn_realloc (void *old, size_t size)
{
    return s_or_abort (realloc (old, size), size);
}

char *
trn_strndup (const char *string, size_t size)
{
    char *copy = trn_alloc (size + 1);
    memcpy (copy, string, size);
    return copy;
}

char *
trn_strdup (const char *string)
{
    return trn_strndup (string, strlen (string));
}
