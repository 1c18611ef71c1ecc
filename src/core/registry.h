//  core/registry.h - what one directory node decides, without doing any of it
//
//  The registry is a directory node as a pure machine.  It keeps who is there
//  under a lease, tells watchers, and answers.
//
//      shell: one ROUTER, a timer                  registry
//      ------------------------------------------  --------------------------
//      frame from route, route blocked or gone  ->  on_* ()   table of peers
//      tick                                     ->            table of routes
//      send to route, report                    <-  actions
//
//  Rules of the table (docs/spec/2-DIRECTORY):
//    - an entry lives for its lease after it was last heard of, by our clock;
//      if we were stopped ourselves, that time does not count;
//    - of one store, the higher incarnation replaces the lower and never the
//      other way round; an equal one with another random is a clone: refused;
//    - another store takes the name only when the entry is gone;
//    - every change has the next number of this epoch.
//
//  Bindings have no lease: they are facts of the network (core/binding.h), kept
//  by the shell, if it can, and told between all who differ.
//
//  Watchers are cursors: each is somewhere in a snapshot or in the history of
//  changes, and is sent the next frame when its route takes one.  So a watcher
//  that does not read costs one slot, however far behind it is, and one that
//  falls out of the history starts again with a snapshot.
//
//  Everything a stranger reaches is bounded by the numbers below.
//
//  Thread: one.  The shell is src/directory, or a test.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_REGISTRY_H
#define TRN_REGISTRY_H

#include "core/binding.h"

#include <tern/directory.h>
#include <tern/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_REGISTRY_PEERS_MAX 4096
#define TRN_REGISTRY_ROUTES_MAX 8192
#define TRN_REGISTRY_MEMORY_MAX (64u * 1024 * 1024)
#define TRN_REGISTRY_ROWS_MAX 1024    //  per peer
#define TRN_REGISTRY_HISTORY 2048     //  changes a watcher may be behind
#define TRN_REGISTRY_PAGE_BYTES 8192  //  a page ends when it has so many

typedef struct trn_registry trn_registry_t;

//  One connection as the shell's ROUTER sees it; chosen by the shell.
typedef uint64_t trn_directory_route_t;

typedef struct {
    uint64_t epoch;         //  random, not 0: names this life
    uint64_t seed;          //  secret, for hashing what strangers choose
    uint32_t lease_min_ms;  //  0: 1000
    uint32_t peers_max;     //  0: the numbers above
    uint32_t routes_max;
    size_t memory_max;          //  of entries and rows
    size_t bindings_max;        //  0: TRN_BINDINGS_MAX
    bool durable;               //  the shell answers SAVE
    uint32_t frames_per_s;      //  0: 200   per route, twice that at once
    uint32_t refusals_per_min;  //  0: 10   then 60 s of silence for the route
} trn_registry_config_t;

typedef enum {
    TRN_REGISTRY_SEND,    //  bytes to route
    TRN_REGISTRY_REPORT,  //  tell the operator
    TRN_REGISTRY_SAVE     //  trn_registry_state (), save, then on_saved ()
} trn_registry_action_type_t;

typedef struct {
    trn_registry_action_type_t type;
    trn_directory_route_t route;
    const uint8_t *bytes;
    size_t size;
    struct {
        const char *id;  //  "TERN-DIRECTORY-EXPIRED", static
        tern_log_level_t level;
        char text[256];  //  key=value, escaped
    } report;
} trn_registry_action_t;

trn_registry_t *
trn_registry_new (const trn_registry_config_t *config);

void
trn_registry_destroy (trn_registry_t **self_p);

//  Next action, or NULL.  It and its bytes are borrowed until the next call
//  that takes a trn_registry_t *.  The shell drains this after every event.
const trn_registry_action_t *
trn_registry_action (trn_registry_t *self);

//  When to call on_tick () at the latest, monotonic ms.
int64_t
trn_registry_deadline (const trn_registry_t *self);

void
trn_registry_on_tick (trn_registry_t *self, int64_t now_ms);

//  One frame came; size may be anything.
void
trn_registry_on_frame (trn_registry_t *self, trn_directory_route_t route,
                       const void *bytes, size_t size, int64_t now_ms);

//  A message that is not one frame, or from a route that cannot be named.
void
trn_registry_on_garbage (trn_registry_t *self, int64_t now_ms);

//  The action just returned could not be sent: the route is full (blocked), or
//  not there any more (gone).  To be called before the next action is taken.
void
trn_registry_on_blocked (trn_registry_t *self, trn_directory_route_t route,
                         int64_t now_ms);

void
trn_registry_on_gone (trn_registry_t *self, trn_directory_route_t route,
                      int64_t now_ms);

//  Bindings, encoded, to be kept; the caller frees them.
uint8_t *
trn_registry_state (const trn_registry_t *self, size_t *size_p);

//  What trn_registry_state () gave is on the disk for good, or not: then it is
//  asked again.  Only after SAVE.
void
trn_registry_on_saved (trn_registry_t *self, bool good, int64_t now_ms);

//  Start from bindings that were kept, before the first event.  0, or having
//  taken nothing TERN_ECORRUPT or TERN_EVERSION.
int
trn_registry_restore (trn_registry_t *self, const uint8_t *state, size_t size);

//  Forget removed bindings whose stamp is below.
void
trn_registry_forget (trn_registry_t *self, uint64_t below_us);

//  Borrowed until the next event.
const trn_bindings_t *
trn_registry_bindings (const trn_registry_t *self);

//  The number of the last change in this epoch.
uint64_t
trn_registry_number (const trn_registry_t *self);

void
trn_registry_stats (const trn_registry_t *self, tern_directory_stats_t *stats);

//  Bytes that count against memory_max, and routes in use, for tests.
size_t
trn_registry_memory (const trn_registry_t *self);

size_t
trn_registry_routes (const trn_registry_t *self);

#endif
