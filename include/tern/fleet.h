//  tern/fleet.h - looking at all peers through a directory
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_FLEET_H
#define TERN_FLEET_H

#include <tern/config.h>
#include <tern/stats.h>

#include <stdbool.h>

TERN_BEGIN_DECLS

typedef struct tern_fleet tern_fleet_t;

typedef struct {
    const char *name;
    const char *endpoint;
    const char *store;  //  uuid as text
    uint64_t incarnation;
    uint64_t heard_ms;  //  since the directory last heard of it
    size_t queue_count;
    const char *const *queues;  //  consumed
} tern_fleet_peer_t;

//  Ask the directory that config names (NULL: the local one) for everything it
//  knows.  Returns 0 and sets *self_p: a snapshot, the caller owns it.  On
//  failure *self_p is NULL and why (may be NULL) holds one line:
//      TERN_ENODIR     no directory answered within timeout_ms
//      TERN_EINVAL     endpoints that cannot be used
TERN_EXPORT TERN_MUST_CHECK int
tern_fleet_fetch (tern_fleet_t **self_p, const tern_config_t *config,
                  int timeout_ms, char *why, size_t why_size);

TERN_EXPORT void
tern_fleet_destroy (tern_fleet_t **self_p);

//  Peers by name, index from 0; false behind the last.  What it points to is
//  borrowed as long as the fleet.
TERN_EXPORT bool
tern_fleet_peer_at (const tern_fleet_t *self, size_t index,
                    tern_fleet_peer_t *peer);

//  Rows of numbers as the peers last told the directory, by peer and queue.
TERN_EXPORT bool
tern_fleet_stats_at (const tern_fleet_t *self, size_t index, tern_stats_t *row);

TERN_END_DECLS

#endif
