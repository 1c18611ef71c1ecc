//  cli/drain.c - tern drain: deliver what processes that are gone left behind
//
//  A store whose owner is gone is opened under its own name and the same lock,
//  consumes nothing, and is closed as soon as nothing in it waits.  Up to
//  OPEN_MAX are open at a time; one that does not move gives its place to the
//  next in line, so that a queue nobody consumes does not hold up the others.
//
//      waiting ──▶ open ──▶ empty         (nothing left to deliver)
//         ▲          │
//         └──────────┘  stands still while others wait
//
//  With --watch a store that was left alone is looked at again when anything in
//  its folder has changed.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/say.h"
#include "cli/seat.h"
#include "cli/stop.h"
#include "cli/stores.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OPEN_MAX 16
#define TICK_MS 50
#define PATIENCE_MS 5000  //  of one that stands still while others wait
#define WATCH_MS 1000

typedef enum {
    STORE_WAITING,  //  to be opened
    STORE_OPEN,
    STORE_EMPTY,  //  nothing left to deliver
    STORE_IN_USE,
    STORE_FAILED  //  could not be opened, and that was said
} state_t;

typedef struct {
    char *path;
    state_t state;
    tern_peer_t *peer;
    uint64_t left;       //  still to deliver
    int64_t moved_ms;    //  when that changed last
    int64_t changed_ns;  //  newest file of the store when we closed it
    bool noted;          //  in use: said once
} store_t;

typedef struct {
    cli_common_t common;
    bool watch;
    uint64_t timeout_ms;
    store_t *stores;
    size_t count, capacity;
    size_t open;
    uint64_t delivered;
    int worst;  //  exit code of the worst store
} drain_t;

//  Finding stores ------------------------------------------------------------

static bool
s_knows (const drain_t *self, const char *path)
{
    for (size_t index = 0; index < self->count; index++) {
        if (strcmp (self->stores[index].path, path) == 0) {
            return true;
        }
    }
    return false;
}

static void
s_add (drain_t *self, const char *path)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->stores
            = realloc (self->stores, self->capacity * sizeof *self->stores);
    }
    char *copy = strdup (path);
    if (!self->stores || !copy) {
        fputs ("tern: no memory for a list of stores\n", stderr);
        abort ();
    }
    self->stores[self->count++] = (store_t) {.path = copy};
}

static int
s_add_folder (drain_t *self, const char *folder)
{
    cli_stores_t found = {0};
    const int code = cli_stores_find (&found, folder);
    for (size_t index = 0; index < found.count; index++) {
        if (!s_knows (self, found.paths[index])) {
            s_add (self, found.paths[index]);
        }
    }
    cli_stores_free (&found);
    return code;
}

//  One store -----------------------------------------------------------------

static int64_t s_newest_ns;

static int
s_see_file (const char *path, const struct stat *status, int type,
            struct FTW *where)
{
    (void) path;
    (void) type;
    (void) where;
    const int64_t changed_ns = (int64_t) status->st_mtim.tv_sec * 1000000000
                               + status->st_mtim.tv_nsec;
    s_newest_ns = changed_ns > s_newest_ns ? changed_ns : s_newest_ns;
    return 0;
}

static int64_t
s_changed_ns (const char *path)
{
    s_newest_ns = 0;
    nftw (path, s_see_file, 16, FTW_PHYS | FTW_MOUNT);
    return s_newest_ns;
}

static void
s_open (drain_t *self, store_t *store)
{
    const int code = cli_seat_adopt (&store->peer, &self->common, store->path);
    if (code == CLI_IN_USE) {
        store->state = STORE_IN_USE;
        if (!store->noted) {
            cli_note ("%s: in use, left alone", store->path);
            store->noted = true;
        }
        return;
    }
    if (code != CLI_DONE) {
        store->state = STORE_FAILED;
        self->worst = code > self->worst ? code : self->worst;
        return;
    }
    store->state = STORE_OPEN;
    store->noted = false;
    store->left = cli_seat_work (store->peer).left;
    store->moved_ms = cli_clock_ms ();
    self->open++;
    if (store->left > 0) {
        cli_text_t text;
        cli_hint ("%s: %s to deliver", store->path,
                  cli_format_count (&text, store->left));
    }
}

static void
s_print_json (const store_t *store, const char *peer, uint64_t delivered)
{
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '{');
    cli_json_text (&json, "store", store->path);
    cli_json_text (&json, "peer", peer);
    cli_json_count (&json, "delivered", delivered);
    cli_json_count (&json, "left", store->left);
    cli_json_close (&json);
    cli_output_end (&output);
}

static void
s_close (drain_t *self, store_t *store, state_t state)
{
    char peer[64];
    snprintf (peer, sizeof peer, "%s", tern_peer_name (store->peer));
    //  Counted by the peer: it delivers from the moment it is open, so what was
    //  left when we looked first may have been less than what it found.
    const cli_seat_work_t work = cli_seat_work (store->peer);
    const uint64_t delivered = work.delivered;
    store->left = work.left;
    tern_peer_close (&store->peer, 0);
    store->state = state;
    store->changed_ns = s_changed_ns (store->path);
    self->open--;
    self->delivered += delivered;
    if (self->common.json && (delivered > 0 || store->left > 0)) {
        s_print_json (store, peer, delivered);
    } else if (delivered > 0) {
        cli_text_t text;
        cli_note ("%s: %s delivered", store->path,
                  cli_format_count (&text, delivered));
    }
}

//  All of them ---------------------------------------------------------------

static size_t
s_count (const drain_t *self, state_t state)
{
    size_t count = 0;
    for (size_t index = 0; index < self->count; index++) {
        count += self->stores[index].state == state;
    }
    return count;
}

//  Open what waits, as far as there is room.

static void
s_fill (drain_t *self)
{
    for (size_t index = 0;
         index < self->count && self->open < OPEN_MAX && !cli_stop_asked ();
         index++) {
        if (self->stores[index].state == STORE_WAITING) {
            s_open (self, &self->stores[index]);
        }
    }
}

//  Look at each open store: is it empty, does it stand still?

static void
s_look (drain_t *self)
{
    const int64_t now_ms = cli_clock_ms ();
    const bool others_wait = s_count (self, STORE_WAITING) > 0;
    for (size_t index = 0; index < self->count; index++) {
        store_t *store = &self->stores[index];
        if (store->state != STORE_OPEN) {
            continue;
        }
        const uint64_t left = cli_seat_work (store->peer).left;
        if (left != store->left) {
            store->left = left;
            store->moved_ms = now_ms;
        }
        if (left == 0) {
            s_close (self, store, STORE_EMPTY);
        } else if (others_wait && now_ms - store->moved_ms > PATIENCE_MS) {
            s_close (self, store, STORE_WAITING);
            //  To the end of the line.
            const store_t last = *store;
            memmove (store, store + 1,
                     (self->count - index - 1) * sizeof *store);
            self->stores[self->count - 1] = last;
            index--;
        }
    }
}

//  --watch: new folders, owners that have left, stores that have changed.

static void
s_look_again (drain_t *self, char **folders, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        s_add_folder (self, folders[index]);
    }
    for (size_t index = 0; index < self->count; index++) {
        store_t *store = &self->stores[index];
        const bool closed
            = store->state != STORE_OPEN && store->state != STORE_WAITING;
        if (store->state == STORE_IN_USE
            || (closed && s_changed_ns (store->path) != store->changed_ns)) {
            store->changed_ns = s_changed_ns (store->path);
            store->state = STORE_WAITING;
        }
    }
}

static int
s_verdict (const drain_t *self)
{
    const size_t undone
        = s_count (self, STORE_WAITING) + s_count (self, STORE_OPEN);
    if (self->worst != CLI_DONE) {
        return self->worst;
    }
    if (undone > 0) {
        return cli_stop_asked () ? CLI_FAILED
                                 : cli_fail (CLI_TIMEOUT,
                                             "%zu not empty yet; what is left "
                                             "stays where it is",
                                             undone);
    }
    if (s_count (self, STORE_EMPTY) > 0) {
        return CLI_DONE;
    }
    if (s_count (self, STORE_IN_USE) > 0) {
        return cli_fail (CLI_IN_USE, "all stores are in use; their owners "
                                     "deliver them");
    }
    return cli_fail (CLI_FAILED, "no store there; a store is the data "
                                 "directory of a peer");
}

static int
s_run (drain_t *self, char **folders, size_t count)
{
    const int64_t began_ms = cli_clock_ms ();
    int64_t watched_ms = began_ms;
    while (!cli_stop_asked ()) {
        s_fill (self);
        s_look (self);
        const int64_t now_ms = cli_clock_ms ();
        if (self->watch && now_ms - watched_ms >= WATCH_MS) {
            s_look_again (self, folders, count);
            watched_ms = now_ms;
        }
        if ((!self->watch && self->open == 0
             && s_count (self, STORE_WAITING) == 0)
            || (uint64_t) (now_ms - began_ms) >= self->timeout_ms) {
            break;
        }
        cli_stop_wait (-1, TICK_MS);
    }
    const int verdict = self->watch ? self->worst : s_verdict (self);
    for (size_t index = 0; index < self->count; index++) {
        if (self->stores[index].state == STORE_OPEN) {
            s_close (self, &self->stores[index], STORE_WAITING);
        }
    }
    return verdict;
}

int
cli_drain (int argc, char **argv)
{
    drain_t self = {.timeout_ms = UINT64_MAX};
    const cli_option_t options[] = {
        {"watch", 0, CLI_FLAG, &self.watch, NULL, "go on until told to stop", 0,
         0},
        {"timeout", 't', CLI_NUMBER, &self.timeout_ms, "MS",
         "give up after so long", 0, INT32_MAX},
    };
    const cli_usage_t usage = {
        .name = "drain",
        .synopsis = "DIR...",
        .summary
        = "Deliver what the outboxes of processes that are gone still hold.",
        .text = "DIR is a store, or a folder of stores.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands_min = 1,
        .operands_max = SIZE_MAX,
        .missing = "name a store, or a folder of stores",
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    if (self.common.name || self.common.data) {
        return cli_fail (CLI_USAGE, "--%s: a drained store has its own",
                         self.common.name ? "name" : "data");
    }
    //  Settings that cannot work are said once, not for each store.
    tern_config_t *config = NULL;
    code = cli_config (&config, &self.common);
    tern_config_destroy (&config);
    for (size_t index = 1; index <= operands && code == CLI_DONE; index++) {
        code = s_add_folder (&self, argv[index]);
    }
    if (code == CLI_DONE) {
        code = s_run (&self, argv + 1, operands);
    }
    for (size_t index = 0; index < self.count; index++) {
        free (self.stores[index].path);
    }
    free (self.stores);
    return code;
}
