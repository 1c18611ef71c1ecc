//  store/store.c - identity, lock, opening and closing of a data directory
//
//  Invariants: nothing is read or written before the lock is held; nothing
//  leaves before the new incarnation is durable (L22); no name becomes a path.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/store_private.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/name.h"
#include "store/io.h"
#include "store/store_meta.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int
s_say (char *why, size_t size, int rc, const char *text)
{
    if (why && size && why[0] == 0) {
        snprintf (why, size, "%s: %s", text, tern_strerror (rc));
    }
    return rc;
}

uint64_t
trn_store_clock_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static uint64_t
s_wall_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static uint64_t
s_random (void)
{
    uint8_t bytes[8];
    randombytes_buf (bytes, sizeof bytes);
    return trn_get_u64 (bytes);
}

//  Opening ---------------------------------------------------------------

static int
s_open_root (trn_store_t *self, const char *path, char *why, char *warning,
             size_t size)
{
    trn_disk_t *const disk = self->disk;
    self->root = disk->open_root (disk, path, 1);
    if (self->root < 0) {
        return s_say (why, size, trn_io_error (self->root), path);
    }
    const int rc = disk->check (disk, self->root, why, warning, size);
    return rc < 0 ? s_say (why, size, trn_io_error (rc), path) : 0;
}

static int
s_lock (trn_store_t *self, char *why, size_t size)
{
    trn_disk_t *const disk = self->disk;
    self->lock_file
        = disk->open (disk, self->root, TRN_STORE_LOCK_FILE, O_RDWR | O_CREAT);
    if (self->lock_file < 0) {
        return s_say (why, size, trn_io_error (self->lock_file), "LOCK");
    }
    const int rc = disk->lock (disk, self->lock_file);
    if (rc == -EWOULDBLOCK) {
        return s_say (why, size, TERN_EINUSE, "LOCK");
    }
    return rc < 0 ? s_say (why, size, trn_io_error (rc), "LOCK") : 0;
}

static void
s_fill_meta (const trn_store_t *self, trn_store_meta_t *meta)
{
    *meta = (trn_store_meta_t) {.incarnation = self->incarnation,
                                .random = self->random};
    memcpy (meta->uuid, self->uuid, sizeof meta->uuid);
    memcpy (meta->name, self->name, sizeof meta->name);
}

static int
s_create_meta (trn_store_t *self, const char *name, char *why, size_t size)
{
    if (!name) {
        return s_say (why, size, TERN_ENOENT, "no store here");
    }
    //  An outbox without META above it has lost it: a new uuid would make
    //  every record in it foreign.
    const int outboxes = self->disk->open_dir (self->disk, self->root,
                                               TRN_STORE_OUTBOX_DIR, 0);
    if (outboxes >= 0) {
        (void) self->disk->close (self->disk, outboxes);
        return s_say (why, size, TERN_ECORRUPT,
                      "META is missing but there are outboxes");
    }
    randombytes_buf (self->uuid, sizeof self->uuid);
    self->incarnation = 1;
    self->random = s_random ();
    snprintf (self->name, sizeof self->name, "%s", name);
    trn_store_meta_t meta;
    s_fill_meta (self, &meta);
    size_t length = 0;
    uint8_t *const bytes = trn_store_meta_encode (&meta, &length);
    const int rc = trn_cell_create (&self->meta, self->disk, self->root,
                                    TRN_STORE_META_FILE, trn_store_meta_seed (),
                                    trn_store_meta_half (), bytes, length);
    free (bytes);
    return rc < 0 ? s_say (why, size, rc, "creating META") : 0;
}

static int
s_renew_meta (trn_store_t *self, const trn_store_meta_t *found,
              const char *name, char *why, size_t size)
{
    if (name && strcmp (name, found->name) != 0) {
        if (why && size) {
            snprintf (why, size, "the store belongs to %s, not to %s",
                      found->name, name);
        }
        return TERN_ENAME;
    }
    memcpy (self->uuid, found->uuid, sizeof self->uuid);
    memcpy (self->name, found->name, sizeof self->name);
    self->incarnation = found->incarnation + 1;
    self->random = s_random ();
    trn_store_meta_t meta;
    s_fill_meta (self, &meta);
    size_t length = 0;
    uint8_t *const bytes = trn_store_meta_encode (&meta, &length);
    const int rc = trn_cell_replace (&self->meta, bytes, length);
    free (bytes);
    return rc < 0 ? s_say (why, size, rc, "META") : 0;
}

static int
s_open_meta (trn_store_t *self, const char *name, char *why, size_t size)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    int rc = trn_cell_open (&self->meta, self->disk, self->root,
                            TRN_STORE_META_FILE, trn_store_meta_seed (),
                            trn_store_meta_half (), &bytes, &length);
    if (rc == TERN_ENOENT) {
        return s_create_meta (self, name, why, size);
    }
    trn_store_meta_t found;
    if (rc == 0) {
        rc = trn_store_meta_decode (bytes, length, &found);
    }
    free (bytes);
    return rc ? s_say (why, size, rc, "META")
              : s_renew_meta (self, &found, name, why, size);
}

static int
s_open_outboxes (trn_store_t *self, char *why, size_t size)
{
    trn_disk_t *const disk = self->disk;
    self->outbox_dir
        = disk->open_dir (disk, self->root, TRN_STORE_OUTBOX_DIR, 1);
    if (self->outbox_dir < 0) {
        return s_say (why, size, trn_io_error (self->outbox_dir),
                      TRN_STORE_OUTBOX_DIR);
    }
    const int rc = trn_io_sync (disk, self->root);
    return rc < 0 ? s_say (why, size, rc, "the data directory") : 0;
}

static void
s_free (trn_store_t **self_p)
{
    trn_store_t *const self = *self_p;
    *self_p = NULL;
    trn_disk_t *const disk = self->disk;
    while (self->outboxes) {
        trn_outbox_t *outbox = self->outboxes;
        self->outboxes = outbox->next;
        const int dir = outbox->dir;
        trn_outbox_destroy (&outbox);
        (void) disk->close (disk, dir);
    }
    while (self->ruined) {
        trn_outbox_t *outbox = self->ruined;
        self->ruined = outbox->next;
        trn_outbox_destroy (&outbox);
    }
    trn_cell_close (&self->meta);
    //  The lock goes last.
    const int handles[] = {self->outbox_dir, self->lock_file, self->root};
    for (unsigned i = 0; i < sizeof handles / sizeof *handles; i++) {
        if (handles[i] >= 0) {
            (void) disk->close (disk, handles[i]);
        }
    }
    for (unsigned i = 0; i < TRN_THREADS; i++) {
        pthread_cond_destroy (&self->workers[i].wake);
    }
    pthread_mutex_destroy (&self->lock);
    free (self->note);
    free (self);
}

int
trn_store_open (trn_store_t **self_p, const trn_store_config_t *config,
                char *why, char *warning, size_t size)
{
    assert (self_p && config && config->path);
    *self_p = NULL;
    if (why && size) {
        why[0] = 0;
    }
    if (warning && size) {
        warning[0] = 0;
    }
    if (config->name && !trn_name_valid (config->name, strlen (config->name))) {
        return s_say (why, size, TERN_ENAME, "the peer's name");
    }
    if (sodium_init () < 0) {
        return s_say (why, size, TERN_ENOTSUP, "no source of random numbers");
    }
    trn_store_t *self = trn_alloc (sizeof *self);
    self->disk = config->disk ? config->disk : trn_disk_real ();
    self->root = self->lock_file = self->outbox_dir = -1;
    self->meta.file = -1;
    self->notify = config->notify;
    self->notify_arg = config->notify_arg;
    pthread_mutex_init (&self->lock, NULL);
    for (unsigned i = 0; i < TRN_THREADS; i++) {
        trn_condition_init (&self->workers[i].wake);
    }
    int rc = s_open_root (self, config->path, why, warning, size);
    if (rc == 0) {
        rc = s_lock (self, why, size);
    }
    if (rc == 0) {
        rc = s_open_meta (self, config->name, why, size);
    }
    if (rc == 0) {
        rc = s_open_outboxes (self, why, size);
    }
    if (rc == 0) {
        rc = trn_threads_start (self);
        if (rc < 0) {
            trn_threads_stop (self);
            s_say (why, size, rc, "starting the disk threads");
        }
    }
    if (rc < 0) {
        s_free (&self);
        return rc;
    }
    *self_p = self;
    return 0;
}

//  Everything durable, and the word that nothing is in doubt if the owner has
//  said what was sent: in this life, or in the one before that ended properly.
static int
s_close_log (trn_outbox_t *self)
{
    if (self->save.waits) {
        //  The newest one, that a full disk kept out.
        free (self->last_state);
        self->last_state = self->save.bytes;
        self->last_state_size = self->save.size;
        self->stated = true;
        self->save = (trn_save_request_t) {.waits = false};
    }
    if (self->stated) {
        return trn_log_close (&self->log, self->last_state,
                              self->last_state_size);
    }
    int rc = trn_log_push (self->log);
    rc = rc < 0 ? rc : trn_log_sync (self->log);
    trn_log_abandon (&self->log);
    return rc < 0 ? rc : 0;
}

int
trn_store_close (trn_store_t **self_p)
{
    assert (self_p && *self_p);
    trn_store_t *const self = *self_p;
    trn_threads_stop (self);
    int rc = 0;
    for (trn_outbox_t *outbox = self->outboxes; outbox; outbox = outbox->next) {
        const int closed = s_close_log (outbox);
        rc = rc == 0 ? closed : rc;
    }
    s_free (self_p);
    return rc;
}

void
trn_store_abandon (trn_store_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        trn_threads_stop (*self_p);
        s_free (self_p);
    }
}

//  Identity --------------------------------------------------------------

const uint8_t *
trn_store_uuid (const trn_store_t *self)
{
    return self->uuid;
}

uint64_t
trn_store_incarnation (const trn_store_t *self)
{
    return self->incarnation;
}

uint64_t
trn_store_random (const trn_store_t *self)
{
    return self->random;
}

const char *
trn_store_name (const trn_store_t *self)
{
    return self->name;
}

int
trn_store_bodies (trn_store_t *self, trn_bodies_t **bodies_p)
{
    assert (self && bodies_p);
    return trn_bodies_open (bodies_p, self->disk, self->root,
                            self->incarnation);
}

//  Outboxes --------------------------------------------------------------

typedef struct {
    trn_store_t *store;
    int (*fn) (void *arg, const char *name);
    void *arg;
    int bad;  //  what the last unreadable one said
} trn_each_t;

static int
s_each (void *arg, const char *entry)
{
    trn_each_t *const each = arg;
    char name[TRN_NAME_MAX + 2];
    const int rc = trn_store_outbox_name (each->store->disk,
                                          each->store->outbox_dir, entry, name);
    //  Without META it was never born: no message is in it.
    if (rc < 0 && rc != TERN_ENOENT) {
        each->bad = rc;
    }
    return rc == 0 ? each->fn (each->arg, name) : 0;
}

int
trn_store_each (trn_store_t *self, int (*fn) (void *arg, const char *name),
                void *arg)
{
    assert (self && fn);
    trn_each_t each = {.store = self, .fn = fn, .arg = arg};
    const int rc
        = self->disk->list (self->disk, self->outbox_dir, s_each, &each);
    if (rc < 0) {
        return trn_io_error (rc);
    }
    return rc == 0 ? each.bad : rc;
}

static int
s_open_log (trn_outbox_t *outbox, const trn_log_config_t *config,
            uint8_t **state_p, size_t *state_size_p, trn_log_report_t *report,
            char *why, size_t why_size)
{
    trn_store_t *const store = outbox->store;
    trn_log_config_t own = *config;
    own.disk = store->disk;
    own.dir = outbox->dir;
    own.incarnation = store->incarnation;
    own.name = outbox->name;
    if (store->disk == trn_disk_real ()) {
        own.clock_us = own.clock_us ? own.clock_us : trn_store_clock_us;
        own.wall_us = own.wall_us ? own.wall_us : s_wall_us;
    }
    memcpy (own.store_uuid, store->uuid, sizeof own.store_uuid);
    return trn_log_open (&outbox->log, &own, state_p, state_size_p, report, why,
                         why_size);
}

static bool
s_has (const trn_outbox_t *list, const char *name)
{
    while (list && strcmp (list->name, name) != 0) {
        list = list->next;
    }
    return list != NULL;
}

int
trn_store_outbox (trn_store_t *self, const char *name,
                  const trn_log_config_t *config, trn_outbox_t **outbox_p,
                  uint8_t **state_p, size_t *state_size_p,
                  trn_log_report_t *report, char *why, size_t why_size)
{
    assert (self && name && config && outbox_p && state_p && state_size_p);
    assert (strlen (name) > 0 && strlen (name) <= TRN_NAME_MAX + 1);
    *outbox_p = NULL;
    trn_log_report_t own = {0};
    trn_log_report_t *const found = report ? report : &own;
    *found = (trn_log_report_t) {.first_seq = 0};
    if (s_has (self->outboxes, name)) {
        return s_say (why, why_size, TERN_EBUSY, name);
    }
    //  What a failed sync has lost, a second one would call durable (L16).
    if (s_has (self->ruined, name)) {
        return s_say (why, why_size, TERN_EIO, name);
    }
    trn_disk_t *const disk = self->disk;
    char entry[TRN_STORE_ENTRY];
    trn_store_entry (entry, name);
    const int dir = disk->open_dir (disk, self->outbox_dir, entry, 1);
    if (dir < 0) {
        return s_say (why, why_size, trn_io_error (dir), name);
    }
    int rc = trn_io_sync (disk, self->outbox_dir);
    trn_outbox_t *outbox = trn_outbox_new (self, name);
    outbox->dir = dir;
    if (rc == 0) {
        rc = s_open_log (outbox, config, state_p, state_size_p, found, why,
                         why_size);
        outbox->stated = found->clean;
    }
    if (!report) {
        trn_ranges_clear (&own.gaps);
    }
    if (rc < 0) {
        (void) disk->close (disk, dir);
        if (rc == TERN_EIO) {
            outbox->next = self->ruined;
            self->ruined = outbox;
        } else {
            trn_outbox_destroy (&outbox);
        }
        return s_say (why, why_size, rc, name);
    }
    //  Closing must be able to say the state again before a new one came.
    outbox->last_state = trn_alloc (*state_size_p + 1);
    memcpy (outbox->last_state, *state_p, *state_size_p);
    outbox->last_state_size = *state_size_p;
    pthread_mutex_lock (&self->lock);
    outbox->next = self->outboxes;
    self->outboxes = outbox;
    pthread_mutex_unlock (&self->lock);
    *outbox_p = outbox;
    //  The segment that grows may be nearly full: ready the next one now.
    if (trn_log_wants_segment (outbox->log)) {
        trn_outbox_mark (outbox, TRN_FOR_WRITER);
    }
    return 0;
}
