//  cli/stores.c - which stores lie in a folder
//
//  Looking for stores leaves no trace in folders that are none.  A damaged one
//  is a store all the same: whoever wants it shall hear what is wrong with it.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/stores.h"
#include "cli/say.h"

#include <tern.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 4096

bool
cli_stores_here (const char *path)
{
    tern_store_t *store = NULL;
    const int rc = tern_store_open (&store, path, NULL, 0);
    tern_store_close (&store);
    return rc == TERN_OK || rc == TERN_ECORRUPT || rc == TERN_EVERSION;
}

static void
s_add (cli_stores_t *self, const char *path)
{
    for (size_t index = 0; index < self->count; index++) {
        if (strcmp (self->paths[index], path) == 0) {
            return;
        }
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->paths
            = realloc (self->paths, self->capacity * sizeof *self->paths);
    }
    char *copy = strdup (path);
    if (!self->paths || !copy) {
        fputs ("tern: no memory for a list of stores\n", stderr);
        abort ();
    }
    self->paths[self->count++] = copy;
}

static int
s_compare (const void *a, const void *b)
{
    return strcmp (*(char *const *) a, *(char *const *) b);
}

int
cli_stores_find (cli_stores_t *self, const char *path)
{
    if (cli_stores_here (path)) {
        s_add (self, path);
        return CLI_DONE;
    }
    DIR *folder = opendir (path);
    if (!folder) {
        return cli_fail (errno == EACCES ? CLI_REFUSED : CLI_FAILED, "%s: %s",
                         path, strerror (errno));
    }
    const struct dirent *entry;
    while ((entry = readdir (folder))) {
        char below[PATH_SIZE];
        const int size
            = snprintf (below, sizeof below, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && (size_t) size < sizeof below
            && cli_stores_here (below)) {
            s_add (self, below);
        }
    }
    closedir (folder);
    if (self->count > 0) {
        qsort (self->paths, self->count, sizeof *self->paths, s_compare);
    }
    return CLI_DONE;
}

bool
cli_stores_root (char *path, size_t size)
{
    const char *data = getenv ("XDG_DATA_HOME");
    const char *home = getenv ("HOME");
    int used = -1;
    if (data && data[0] == '/') {
        used = snprintf (path, size, "%s/tern", data);
    } else if (home && home[0] == '/') {
        used = snprintf (path, size, "%s/.local/share/tern", home);
    }
    return used > 0 && (size_t) used < size;
}

void
cli_stores_free (cli_stores_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        free (self->paths[index]);
    }
    free (self->paths);
    *self = (cli_stores_t) {0};
}
