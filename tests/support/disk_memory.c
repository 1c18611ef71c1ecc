//  tests/support/disk_memory.c - a disk in memory that can lose power
//
//  A node is a file or a directory.  It has what is there now, what is durable,
//  and the list of changes in between.  A change to a file carries whole
//  sectors as they were after the write, so that any version of a sector is
//  one that the medium could hold.  Memory is only used for bytes that were
//  written; the rest of a file's size reads as zeros.
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/disk_memory.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECTOR = 512,
    NAME = 64
};

typedef struct s_node s_node_t;

//  Bytes of a file: `extent` of them are stored, size may be larger.
typedef struct {
    uint8_t *bytes;
    int64_t extent;
    int64_t capacity;
    int64_t size;
} s_content_t;

typedef struct {
    char name[NAME];
    s_node_t *node;
} s_entry_t;

typedef struct {
    s_entry_t *at;
    size_t count;
} s_names_t;

typedef enum {
    CHANGE_WRITE,   //  sectors from offset
    CHANGE_SIZE,    //  smaller sizes also zero what is cut
    CHANGE_LINK,    //  name now leads to node
    CHANGE_RENAME,  //  and name2 no longer does
    CHANGE_UNLINK
} s_change_type_t;

typedef struct {
    s_change_type_t type;
    int64_t offset;
    int64_t size;
    uint8_t *bytes;
    char name[NAME];
    char name2[NAME];
    s_node_t *node;
} s_change_t;

struct s_node {
    s_node_t *all;  //  every node of the disk
    bool directory;
    bool locked;
    s_content_t now;
    s_content_t durable;
    s_names_t names_now;
    s_names_t names_durable;
    s_change_t *changes;
    size_t change_count;
    size_t change_capacity;
    s_node_t *copy;  //  while the disk is copied
};

typedef struct {
    s_node_t *node;  //  NULL: free
    bool holds_lock;
} s_handle_t;

typedef struct {
    trn_disk_t disk;  //  first: handed out
    pthread_mutex_t lock;
    s_node_t *nodes;
    s_node_t *root;
    s_handle_t *handles;
    size_t handle_count;
    uint64_t limit;
} s_memory_t;

static s_memory_t *
s_self (trn_disk_t *disk)
{
    return (s_memory_t *) disk;
}

//  Contents --------------------------------------------------------------

static void
s_content_reserve (s_content_t *self, int64_t extent)
{
    if (extent <= self->extent) {
        return;
    }
    if (extent > self->capacity) {
        self->capacity = extent * 2;
        self->bytes = trn_realloc (self->bytes, (size_t) self->capacity);
    }
    memset (self->bytes + self->extent, 0, (size_t) (extent - self->extent));
    self->extent = extent;
}

static void
s_content_put (s_content_t *self, const void *from, int64_t size,
               int64_t offset)
{
    s_content_reserve (self, offset + size);
    memcpy (self->bytes + offset, from, (size_t) size);
}

static void
s_content_get (const s_content_t *self, void *to, int64_t size, int64_t offset)
{
    memset (to, 0, (size_t) size);
    if (offset < self->extent) {
        const int64_t there = self->extent - offset;
        memcpy (to, self->bytes + offset,
                (size_t) (size < there ? size : there));
    }
}

static void
s_content_resize (s_content_t *self, int64_t size)
{
    if (size < self->extent) {
        self->extent = size;
    }
    self->size = size;
}

static void
s_content_copy (s_content_t *to, const s_content_t *from)
{
    free (to->bytes);
    *to = *from;
    to->capacity = from->extent;
    to->bytes = trn_realloc (NULL, (size_t) from->extent + 1);
    if (from->extent) {
        memcpy (to->bytes, from->bytes, (size_t) from->extent);
    }
}

//  Names -----------------------------------------------------------------

static s_node_t **
s_names_find (s_names_t *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp (self->at[i].name, name) == 0) {
            return &self->at[i].node;
        }
    }
    return NULL;
}

static void
s_names_put (s_names_t *self, const char *name, s_node_t *node)
{
    s_node_t **const found = s_names_find (self, name);
    if (found) {
        *found = node;
        return;
    }
    self->at = trn_realloc (self->at, (self->count + 1) * sizeof *self->at);
    snprintf (self->at[self->count].name, NAME, "%s", name);
    self->at[self->count++].node = node;
}

static void
s_names_remove (s_names_t *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp (self->at[i].name, name) == 0) {
            memmove (&self->at[i], &self->at[i + 1],
                     (self->count - i - 1) * sizeof *self->at);
            self->count--;
            return;
        }
    }
}

static void
s_names_copy (s_names_t *to, const s_names_t *from)
{
    free (to->at);
    to->count = from->count;
    to->at = trn_realloc (NULL, from->count * sizeof *to->at + 1);
    if (from->count) {
        memcpy (to->at, from->at, from->count * sizeof *to->at);
    }
}

//  Nodes and their history -----------------------------------------------

static s_node_t *
s_node_new (s_memory_t *self, bool directory)
{
    s_node_t *const node = trn_alloc (sizeof *node);
    node->directory = directory;
    node->all = self->nodes;
    self->nodes = node;
    return node;
}

static s_change_t *
s_change (s_node_t *node, s_change_type_t type)
{
    if (node->change_count == node->change_capacity) {
        node->change_capacity = node->change_capacity * 2 + 8;
        node->changes = trn_realloc (
            node->changes, node->change_capacity * sizeof *node->changes);
    }
    s_change_t *const change = &node->changes[node->change_count++];
    *change = (s_change_t) {.type = type};
    return change;
}

static void
s_forget_changes (s_node_t *node)
{
    for (size_t i = 0; i < node->change_count; i++) {
        free (node->changes[i].bytes);
    }
    node->change_count = 0;
}

static void
s_apply_name (s_names_t *names, const s_change_t *change)
{
    if (change->type == CHANGE_RENAME) {
        s_names_remove (names, change->name2);
    }
    if (change->type == CHANGE_UNLINK) {
        s_names_remove (names, change->name);
    } else {
        s_names_put (names, change->name, change->node);
    }
}

//  A sync: everything since the last one is durable.
static void
s_sync (s_node_t *node)
{
    for (size_t i = 0; i < node->change_count; i++) {
        const s_change_t *const change = &node->changes[i];
        if (node->directory) {
            s_apply_name (&node->names_durable, change);
        } else if (change->type == CHANGE_WRITE) {
            s_content_put (&node->durable, change->bytes, change->size,
                           change->offset);
        } else {
            s_content_resize (&node->durable, change->size);
        }
    }
    s_forget_changes (node);
    node->durable.size = node->now.size;
}

//  The crash -------------------------------------------------------------

//  splitmix64: the seed alone decides.
static uint64_t
s_random (uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

//  What fraction of this node's changes survives: none, all, or by the coin.
typedef enum {
    KEEP_NONE,
    KEEP_ALL,
    KEEP_SOME,
    KEEP_MANY
} s_mood_t;

static bool
s_keeps (s_mood_t mood, uint64_t *seed)
{
    switch (mood) {
    case KEEP_NONE: return false;
    case KEEP_ALL: return true;
    case KEEP_MANY: return s_random (seed) % 8 != 0;
    case KEEP_SOME: break;
    }
    return s_random (seed) % 2 != 0;
}

//  Each sector is brought to one of its versions, its changes in order.  A
//  version is skipped by skipping all later ones too.
static void
s_crash_sectors (s_node_t *node, s_mood_t mood, uint64_t *seed)
{
    int64_t end = 0;
    for (size_t i = 0; i < node->change_count; i++) {
        const s_change_t *const change = &node->changes[i];
        const int64_t to = change->type == CHANGE_WRITE
                               ? change->offset + change->size
                               : node->durable.extent;
        end = to > end ? to : end;
    }
    const size_t sectors = (size_t) ((end + SECTOR - 1) / SECTOR);
    bool *const stopped = trn_alloc (sectors + 1);
    for (size_t i = 0; i < node->change_count; i++) {
        const s_change_t *const change = &node->changes[i];
        int64_t from = change->offset;
        int64_t to = change->offset + change->size;
        if (change->type == CHANGE_SIZE) {
            //  Cutting makes sectors zero; growing touches none.
            from = change->size;
            to = node->durable.extent;
        }
        for (int64_t at = from; at < to;) {
            const size_t sector = (size_t) (at / SECTOR);
            int64_t next = (int64_t) (sector + 1) * SECTOR;
            next = next < to ? next : to;
            if (!stopped[sector] && !s_keeps (mood, seed)) {
                stopped[sector] = true;
            }
            if (!stopped[sector]) {
                if (change->type == CHANGE_WRITE) {
                    s_content_put (&node->durable,
                                   change->bytes + (at - change->offset),
                                   next - at, at);
                } else {
                    memset (node->durable.bytes + at, 0, (size_t) (next - at));
                }
            }
            at = next;
        }
    }
    free (stopped);
}

static void
s_crash_file (s_node_t *node, s_mood_t mood, uint64_t *seed)
{
    s_crash_sectors (node, mood, seed);
    //  The size is one of those it had; every growing write made one.
    int64_t size = node->durable.size;
    bool stopped = false;
    for (size_t i = 0; i < node->change_count && !stopped; i++) {
        const s_change_t *const change = &node->changes[i];
        stopped = !s_keeps (mood, seed);
        if (stopped) {
            break;
        }
        if (change->type == CHANGE_SIZE) {
            size = change->size;
        } else if (change->offset + change->size > size) {
            size = change->offset + change->size;
        }
    }
    s_content_resize (&node->durable, size);
}

static void
s_crash_names (s_node_t *node, s_mood_t mood, uint64_t *seed)
{
    for (size_t i = 0; i < node->change_count; i++) {
        if (s_keeps (mood, seed)) {
            s_apply_name (&node->names_durable, &node->changes[i]);
        }
    }
}

static void
s_drop_handles (s_memory_t *self)
{
    for (size_t i = 0; i < self->handle_count; i++) {
        self->handles[i] = (s_handle_t) {.node = NULL};
    }
    for (s_node_t *node = self->nodes; node; node = node->all) {
        node->locked = false;
    }
}

void
trn_disk_memory_crash (trn_disk_t *disk, uint64_t seed)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    for (s_node_t *node = self->nodes; node; node = node->all) {
        const s_mood_t mood = (s_mood_t) (s_random (&seed) % 4);
        if (node->directory) {
            s_crash_names (node, mood, &seed);
            s_names_copy (&node->names_now, &node->names_durable);
        } else {
            s_crash_file (node, mood, &seed);
            s_content_copy (&node->now, &node->durable);
        }
        s_forget_changes (node);
    }
    s_drop_handles (self);
    pthread_mutex_unlock (&self->lock);
}

void
trn_disk_memory_kill (trn_disk_t *disk)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_drop_handles (self);
    pthread_mutex_unlock (&self->lock);
}

//  The calls -------------------------------------------------------------

static int
s_new_handle (s_memory_t *self, s_node_t *node)
{
    size_t i = 0;
    while (i < self->handle_count && self->handles[i].node) {
        i++;
    }
    if (i == self->handle_count) {
        self->handles = trn_realloc (
            self->handles, (self->handle_count + 1) * sizeof *self->handles);
        self->handle_count++;
    }
    self->handles[i] = (s_handle_t) {.node = node};
    return (int) i;
}

static s_node_t *
s_node (s_memory_t *self, int handle)
{
    return handle >= 0 && (size_t) handle < self->handle_count
               ? self->handles[handle].node
               : NULL;
}

static int
s_enter (s_memory_t *self, s_node_t *dir, const char *name, int create,
         bool durable)
{
    s_node_t **const found = s_names_find (&dir->names_now, name);
    if (found) {
        return (*found)->directory ? s_new_handle (self, *found) : -ENOTDIR;
    }
    if (!create) {
        return -ENOENT;
    }
    s_node_t *const node = s_node_new (self, true);
    s_names_put (&dir->names_now, name, node);
    if (durable) {
        s_names_put (&dir->names_durable, name, node);
    } else {
        s_change_t *const change = s_change (dir, CHANGE_LINK);
        snprintf (change->name, NAME, "%s", name);
        change->node = node;
    }
    return s_new_handle (self, node);
}

static int
s_open_root (trn_disk_t *disk, const char *path, int create)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const int rc = s_enter (self, self->root, path, create, true);
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_open_dir (trn_disk_t *disk, int handle, const char *name, int create)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const dir = s_node (self, handle);
    const int rc = dir ? s_enter (self, dir, name, create, false) : -EBADF;
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_open_file (s_memory_t *self, s_node_t *dir, const char *name, int flags)
{
    if (!dir || !dir->directory) {
        return -EBADF;
    }
    s_node_t **const found = s_names_find (&dir->names_now, name);
    if (found) {
        if ((flags & O_CREAT) && (flags & O_EXCL)) {
            return -EEXIST;
        }
        return (*found)->directory ? -EISDIR : s_new_handle (self, *found);
    }
    if (!(flags & O_CREAT)) {
        return -ENOENT;
    }
    s_node_t *const node = s_node_new (self, false);
    s_names_put (&dir->names_now, name, node);
    s_change_t *const change = s_change (dir, CHANGE_LINK);
    snprintf (change->name, NAME, "%s", name);
    change->node = node;
    return s_new_handle (self, node);
}

static int
s_open (trn_disk_t *disk, int handle, const char *name, int flags)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const int rc = s_open_file (self, s_node (self, handle), name, flags);
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_close (trn_disk_t *disk, int handle)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const node = s_node (self, handle);
    if (node) {
        if (self->handles[handle].holds_lock) {
            node->locked = false;
        }
        self->handles[handle] = (s_handle_t) {.node = NULL};
    }
    pthread_mutex_unlock (&self->lock);
    return node ? 0 : -EBADF;
}

static int64_t
s_pread (trn_disk_t *disk, int handle, void *to, size_t size, int64_t offset)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const s_node_t *const node = s_node (self, handle);
    int64_t got = -EBADF;
    if (node && !node->directory) {
        const int64_t left = node->now.size - offset;
        got = left <= 0 ? 0 : ((int64_t) size < left ? (int64_t) size : left);
        s_content_get (&node->now, to, got, offset);
    }
    pthread_mutex_unlock (&self->lock);
    return got;
}

//  What can be reached by a name takes space.
static uint64_t
s_used_below (const s_node_t *dir)
{
    uint64_t used = 0;
    for (size_t i = 0; i < dir->names_now.count; i++) {
        const s_node_t *const node = dir->names_now.at[i].node;
        used += node->directory ? s_used_below (node)
                                : (uint64_t) node->now.size;
    }
    return used;
}

static uint64_t
s_used (const s_memory_t *self)
{
    return s_used_below (self->root);
}

//  May the file grow to size?
static bool
s_fits (s_memory_t *self, const s_node_t *node, int64_t size)
{
    return size <= node->now.size || self->limit == UINT64_MAX
           || s_used (self) + (uint64_t) (size - node->now.size) <= self->limit;
}

static int64_t
s_write (s_memory_t *self, s_node_t *node, const void *from, size_t size,
         int64_t offset)
{
    const int64_t end = offset + (int64_t) size;
    if (!s_fits (self, node, end)) {
        return -ENOSPC;
    }
    s_content_put (&node->now, from, (int64_t) size, offset);
    if (end > node->now.size) {
        node->now.size = end;
    }
    //  Remember whole sectors, cut at the end of the file.
    const int64_t first = offset / SECTOR * SECTOR;
    int64_t last = (end + SECTOR - 1) / SECTOR * SECTOR;
    last = last < node->now.size ? last : node->now.size;
    s_change_t *const change = s_change (node, CHANGE_WRITE);
    change->offset = first;
    change->size = last - first;
    change->bytes = trn_realloc (NULL, (size_t) change->size + 1);
    s_content_get (&node->now, change->bytes, change->size, first);
    return (int64_t) size;
}

static int64_t
s_pwrite (trn_disk_t *disk, int handle, const void *from, size_t size,
          int64_t offset)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const node = s_node (self, handle);
    const int64_t rc = node && !node->directory
                           ? s_write (self, node, from, size, offset)
                           : -EBADF;
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_sync_handle (trn_disk_t *disk, int handle)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const node = s_node (self, handle);
    if (node) {
        s_sync (node);
    }
    pthread_mutex_unlock (&self->lock);
    return node ? 0 : -EBADF;
}

static int
s_set_size (s_memory_t *self, s_node_t *node, int64_t size)
{
    if (!node || node->directory) {
        return -EBADF;
    }
    if (!s_fits (self, node, size)) {
        return -ENOSPC;
    }
    if (size != node->now.size) {
        s_content_resize (&node->now, size);
        s_change (node, CHANGE_SIZE)->size = size;
    }
    return 0;
}

static int
s_fallocate (trn_disk_t *disk, int handle, int64_t size)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const node = s_node (self, handle);
    const int rc
        = node && size <= node->now.size ? 0 : s_set_size (self, node, size);
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_ftruncate (trn_disk_t *disk, int handle, int64_t size)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const int rc = s_set_size (self, s_node (self, handle), size);
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int64_t
s_size (trn_disk_t *disk, int handle)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const s_node_t *const node = s_node (self, handle);
    const int64_t rc = node ? node->now.size : -EBADF;
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_rename (trn_disk_t *disk, int handle, const char *from, const char *to)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const dir = s_node (self, handle);
    s_node_t **const found = dir ? s_names_find (&dir->names_now, from) : NULL;
    if (found) {
        s_change_t *const change = s_change (dir, CHANGE_RENAME);
        snprintf (change->name, NAME, "%s", to);
        snprintf (change->name2, NAME, "%s", from);
        change->node = *found;
        s_apply_name (&dir->names_now, change);
    }
    pthread_mutex_unlock (&self->lock);
    return found ? 0 : -ENOENT;
}

static int
s_unlink (trn_disk_t *disk, int handle, const char *name)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const dir = s_node (self, handle);
    s_node_t **const found = dir ? s_names_find (&dir->names_now, name) : NULL;
    if (found) {
        s_change_t *const change = s_change (dir, CHANGE_UNLINK);
        snprintf (change->name, NAME, "%s", name);
        //  The node stays for open handles and for a crash that brings the
        //  name back.
        s_apply_name (&dir->names_now, change);
    }
    pthread_mutex_unlock (&self->lock);
    return found ? 0 : -ENOENT;
}

static int
s_lock_file (trn_disk_t *disk, int handle)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const node = s_node (self, handle);
    int rc = -EBADF;
    if (node) {
        rc = node->locked ? -EWOULDBLOCK : 0;
        if (rc == 0) {
            node->locked = true;
            self->handles[handle].holds_lock = true;
        }
    }
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_list (trn_disk_t *disk, int handle, trn_disk_entry_fn *fn, void *arg)
{
    s_memory_t *const self = s_self (disk);
    s_names_t names = {.at = NULL};
    pthread_mutex_lock (&self->lock);
    const s_node_t *const dir = s_node (self, handle);
    if (dir) {
        s_names_copy (&names, &dir->names_now);
    }
    pthread_mutex_unlock (&self->lock);
    int rc = dir ? 0 : -EBADF;
    for (size_t i = 0; i < names.count && rc == 0; i++) {
        rc = fn (arg, names.at[i].name);
    }
    free (names.at);
    return rc;
}

static int
s_check (trn_disk_t *disk, int handle, char *why, char *warning, size_t size)
{
    (void) disk;
    (void) handle;
    if (why && size) {
        why[0] = 0;
    }
    if (warning && size) {
        warning[0] = 0;
    }
    return 0;
}

//  What is not synced may be on the medium or not: a crash draws that in any case.
static int
s_start_sync (trn_disk_t *disk, int handle)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const int rc = s_node (self, handle) ? 0 : -EBADF;
    pthread_mutex_unlock (&self->lock);
    return rc;
}

static int
s_sync_files (trn_disk_t *disk, const int *files, size_t count, int *errors)
{
    for (size_t index = 0; index < count; index++) {
        errors[index] = s_sync_handle (disk, files[index]);
    }
    return 0;
}

//  Life ------------------------------------------------------------------

trn_disk_t *
trn_disk_memory_new (void)
{
    s_memory_t *const self = trn_alloc (sizeof *self);
    self->disk = (trn_disk_t) {.open_root = s_open_root,
                               .open_dir = s_open_dir,
                               .open = s_open,
                               .close = s_close,
                               .pread = s_pread,
                               .pwrite = s_pwrite,
                               .fdatasync = s_sync_handle,
                               .start_sync = s_start_sync,
                               .sync_files = s_sync_files,
                               .fsync = s_sync_handle,
                               .fallocate = s_fallocate,
                               .ftruncate = s_ftruncate,
                               .size = s_size,
                               .rename = s_rename,
                               .unlink = s_unlink,
                               .lock = s_lock_file,
                               .list = s_list,
                               .check = s_check};
    pthread_mutex_init (&self->lock, NULL);
    self->limit = UINT64_MAX;
    self->root = s_node_new (self, true);
    return &self->disk;
}

void
trn_disk_memory_destroy (trn_disk_t **self_p)
{
    assert (self_p);
    if (!*self_p) {
        return;
    }
    s_memory_t *const self = s_self (*self_p);
    while (self->nodes) {
        s_node_t *const node = self->nodes;
        self->nodes = node->all;
        s_forget_changes (node);
        free (node->changes);
        free (node->now.bytes);
        free (node->durable.bytes);
        free (node->names_now.at);
        free (node->names_durable.at);
        free (node);
    }
    free (self->handles);
    pthread_mutex_destroy (&self->lock);
    free (self);
    *self_p = NULL;
}

static void
s_copy_names (s_names_t *to, const s_names_t *from)
{
    s_names_copy (to, from);
    for (size_t i = 0; i < to->count; i++) {
        to->at[i].node = to->at[i].node->copy;
    }
}

trn_disk_t *
trn_disk_memory_copy (trn_disk_t *disk)
{
    s_memory_t *const self = s_self (disk);
    trn_disk_t *const twin_disk = trn_disk_memory_new ();
    s_memory_t *const twin = s_self (twin_disk);
    pthread_mutex_lock (&self->lock);
    twin->limit = self->limit;
    //  In the same order, so that a crash with one seed is the same in both.
    s_node_t **end = &twin->nodes;
    free (twin->root);
    twin->nodes = NULL;
    for (s_node_t *node = self->nodes; node; node = node->all) {
        node->copy = trn_alloc (sizeof *node->copy);
        node->copy->directory = node->directory;
        *end = node->copy;
        end = &node->copy->all;
    }
    twin->root = self->root->copy;
    for (s_node_t *node = self->nodes; node; node = node->all) {
        s_node_t *const copy = node->copy;
        s_content_copy (&copy->now, &node->now);
        s_content_copy (&copy->durable, &node->durable);
        s_copy_names (&copy->names_now, &node->names_now);
        s_copy_names (&copy->names_durable, &node->names_durable);
        for (size_t i = 0; i < node->change_count; i++) {
            const s_change_t *const from = &node->changes[i];
            s_change_t *const to = s_change (copy, from->type);
            *to = *from;
            to->node = from->node ? from->node->copy : NULL;
            if (from->bytes) {
                to->bytes = trn_realloc (NULL, (size_t) from->size + 1);
                memcpy (to->bytes, from->bytes, (size_t) from->size);
            }
        }
    }
    pthread_mutex_unlock (&self->lock);
    return twin_disk;
}

void
trn_disk_memory_limit (trn_disk_t *disk, uint64_t bytes)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    self->limit = bytes;
    pthread_mutex_unlock (&self->lock);
}

uint64_t
trn_disk_memory_used (trn_disk_t *disk)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const uint64_t used = s_used (self);
    pthread_mutex_unlock (&self->lock);
    return used;
}

void
trn_disk_memory_lose_unsynced (trn_disk_t *disk, int handle)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const node = s_node (self, handle);
    if (node) {
        s_forget_changes (node);
    }
    pthread_mutex_unlock (&self->lock);
}

//  Behind everybody's back -----------------------------------------------

//  Roots are named by a whole path, so the last names are split off it.
static s_node_t *
s_walk (s_memory_t *self, s_node_t *dir, const char *path)
{
    s_node_t **const whole = s_names_find (&dir->names_now, path);
    if (whole) {
        return *whole;
    }
    for (const char *slash = strchr (path, '/'); slash;
         slash = strchr (slash + 1, '/')) {
        char name[NAME];
        const size_t length = (size_t) (slash - path);
        if (length == 0 || length >= sizeof name) {
            continue;
        }
        memcpy (name, path, length);
        name[length] = 0;
        s_node_t **const found = s_names_find (&dir->names_now, name);
        if (found && (*found)->directory) {
            s_node_t *const deeper = s_walk (self, *found, slash + 1);
            if (deeper) {
                return deeper;
            }
        }
    }
    return NULL;
}

int64_t
trn_disk_memory_peek (trn_disk_t *disk, const char *path, void *to, size_t size,
                      int64_t offset)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const s_node_t *const node = s_walk (self, self->root, path);
    int64_t got = -ENOENT;
    if (node && !node->directory) {
        const int64_t left = node->now.size - offset;
        got = left <= 0 ? 0 : ((int64_t) size < left ? (int64_t) size : left);
        s_content_get (&node->now, to, got, offset);
    }
    pthread_mutex_unlock (&self->lock);
    return got;
}

int
trn_disk_memory_poke (trn_disk_t *disk, const char *path, const void *from,
                      size_t size, int64_t offset)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const node = s_walk (self, self->root, path);
    if (node) {
        s_sync (node);
        s_content_put (&node->now, from, (int64_t) size, offset);
        const int64_t end = offset + (int64_t) size;
        node->now.size = end > node->now.size ? end : node->now.size;
        s_content_copy (&node->durable, &node->now);
    }
    pthread_mutex_unlock (&self->lock);
    return node ? 0 : -ENOENT;
}

int
trn_disk_memory_resize (trn_disk_t *disk, const char *path, int64_t size)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    s_node_t *const node = s_walk (self, self->root, path);
    if (node) {
        s_sync (node);
        s_content_resize (&node->now, size);
        s_content_copy (&node->durable, &node->now);
    }
    pthread_mutex_unlock (&self->lock);
    return node ? 0 : -ENOENT;
}

int64_t
trn_disk_memory_size (trn_disk_t *disk, const char *path)
{
    s_memory_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const s_node_t *const node = s_walk (self, self->root, path);
    const int64_t size = node ? node->now.size : -ENOENT;
    pthread_mutex_unlock (&self->lock);
    return size;
}
