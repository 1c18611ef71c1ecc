//  tests/support/disk_image.c - a store as text, to be kept and opened for ever
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/disk_image.h"

#include "base/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE = 32  //  bytes
};

//  Saving ---------------------------------------------------------------------

typedef struct {
    trn_disk_t *disk;
    int dir;
    FILE *out;
    char below[64];  //  the path of dir, with a slash, or ""
    int failed;
} saving_t;

static bool
s_only_zeros (const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i]) {
            return false;
        }
    }
    return true;
}

static void
s_save_bytes (FILE *out, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += LINE) {
        const size_t part = size - at < LINE ? size - at : LINE;
        if (s_only_zeros (bytes + at, part)) {
            continue;
        }
        fprintf (out, "%zu ", at);
        for (size_t i = 0; i < part; i++) {
            fprintf (out, "%02x", bytes[at + i]);
        }
        fputc ('\n', out);
    }
}

static int
s_save_file (void *arg, const char *name)
{
    saving_t *const self = arg;
    trn_disk_t *const disk = self->disk;
    if (strcmp (name, "LOCK") == 0 || strcmp (name, "outbox") == 0) {
        return 0;
    }
    const int file = disk->open (disk, self->dir, name, O_RDONLY);
    const int64_t size = file < 0 ? -1 : disk->size (disk, file);
    self->failed |= size < 0;
    if (size >= 0) {
        uint8_t *const bytes = trn_alloc ((size_t) size + 1);
        self->failed
            |= disk->pread (disk, file, bytes, (size_t) size, 0) != size;
        fprintf (self->out, "file %s%s %" PRId64 "\n", self->below, name, size);
        s_save_bytes (self->out, bytes, (size_t) size);
        free (bytes);
        (void) disk->close (disk, file);
    }
    return 0;
}

static int
s_save_outbox (void *arg, const char *name)
{
    const saving_t *const above = arg;
    saving_t self = *above;
    snprintf (self.below, sizeof self.below, "outbox/%.48s/", name);
    self.dir = self.disk->open_dir (self.disk, above->dir, name, 0);
    ((saving_t *) arg)->failed
        |= self.dir < 0
           || self.disk->list (self.disk, self.dir, s_save_file, &self) < 0
           || self.failed;
    (void) self.disk->close (self.disk, self.dir);
    return 0;
}

int
test_image_save (trn_disk_t *disk, const char *store, const char *path,
                 const char *title)
{
    saving_t self = {.disk = disk, .out = fopen (path, "w")};
    if (!self.out) {
        return -1;
    }
    fprintf (self.out, "#  %s\n", title);
    const int root = disk->open_root (disk, store, 0);
    self.dir = root;
    self.failed = root < 0 || disk->list (disk, root, s_save_file, &self) < 0;
    self.dir = disk->open_dir (disk, root, "outbox", 0);
    self.failed |= self.dir < 0
                   || disk->list (disk, self.dir, s_save_outbox, &self) < 0;
    (void) disk->close (disk, self.dir);
    (void) disk->close (disk, root);
    return fclose (self.out) != 0 || self.failed ? -1 : 0;
}

//  Loading --------------------------------------------------------------------

//  Create the file at a path of up to three parts.
static int
s_create (trn_disk_t *disk, int root, char *path, int64_t size)
{
    int dir = root;
    char *slash = NULL;
    while ((slash = strchr (path, '/')) != NULL) {
        *slash = 0;
        const int below = disk->open_dir (disk, dir, path, 1);
        if (dir != root) {
            (void) disk->close (disk, dir);
        }
        dir = below;
        path = slash + 1;
    }
    const int file = disk->open (disk, dir, path, O_RDWR | O_CREAT);
    if (dir != root) {
        (void) disk->close (disk, dir);
    }
    return file < 0 || disk->ftruncate (disk, file, size) < 0 ? -1 : file;
}

static bool
s_load_bytes (trn_disk_t *disk, int file, const char *line)
{
    int64_t offset = 0;
    char hex[2 * LINE + 1];
    if (sscanf (line, "%" SCNd64 " %64[0-9a-f]", &offset, hex) != 2) {
        return false;
    }
    uint8_t bytes[LINE];
    const size_t size = strlen (hex) / 2;
    for (size_t i = 0; i < size; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t) strtoul (pair, NULL, 16);
    }
    return disk->pwrite (disk, file, bytes, size, offset) == (int64_t) size;
}

int
test_image_load (trn_disk_t *disk, const char *store, const char *path)
{
    FILE *const in = fopen (path, "r");
    const int root = disk->open_root (disk, store, 1);
    bool good = in && root >= 0;
    int file = -1;
    char line[256];
    while (good && fgets (line, sizeof line, in)) {
        char name[100];
        int64_t size = 0;
        if (line[0] == '#') {
            continue;
        }
        if (sscanf (line, "file %99s %" SCNd64, name, &size) == 2) {
            (void) (file >= 0 && disk->close (disk, file));
            file = s_create (disk, root, name, size);
            good = file >= 0;
        } else {
            good = file >= 0 && s_load_bytes (disk, file, line);
        }
    }
    (void) (file >= 0 && disk->close (disk, file));
    (void) disk->close (disk, root);
    if (in) {
        (void) fclose (in);
    }
    return good ? 0 : -1;
}
