//  cli/stores.c - which stores lie in a folder
//
//  A store is known by its META (docs/STORAGE.md).  Nothing is opened here:
//  looking for stores must not leave a trace in folders that are none.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/stores.h"
#include "cli/say.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 4096

static bool
s_is_store (const char *path)
{
    char meta[PATH_SIZE];
    struct stat status;
    const int size = snprintf (meta, sizeof meta, "%s/META", path);
    return (size_t) size < sizeof meta && stat (meta, &status) == 0
           && S_ISREG (status.st_mode);
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
    if (s_is_store (path)) {
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
            && s_is_store (below)) {
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
    if (used < 0 || (size_t) used >= size) {
        cli_fail (CLI_FAILED, "no folder of stores: name one, or set "
                              "XDG_DATA_HOME or HOME");
        return false;
    }
    return true;
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
