//  cli/stores.h - which stores lie in a folder
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_STORES_H
#define CLI_STORES_H

#include <stdbool.h>
#include <stddef.h>

//  Paths in no order that matters to anybody but people: sorted.
typedef struct {
    char **paths;
    size_t count, capacity;
} cli_stores_t;

//  Is there a store, whole or damaged?
bool
cli_stores_here (const char *path);

//  Add path if it is a store, else the stores that are right below it.
//  CLI_DONE, also when there is none; or the exit code with one line said.
int
cli_stores_find (cli_stores_t *self, const char *path);

//  The folder where commands keep their stores: $XDG_DATA_HOME/tern.  False if
//  the environment does not say, or it is too long.
bool
cli_stores_root (char *path, size_t size);

void
cli_stores_free (cli_stores_t *self);

#endif
