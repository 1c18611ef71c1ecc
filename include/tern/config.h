//  tern/config.h - settings of a peer
//
//  A setting is a key and a value, both text, so that the command line, the
//  environment and a ZPL file (CZMQ zconfig) all say the same thing.  Later
//  settings replace earlier ones: load the file first, then the environment,
//  then the command line.
//
//      name            the peer's name; default: one is made from the host
//      data            data directory; default $XDG_DATA_HOME/tern/<name>
//      directory       endpoints of directory nodes, by commas; default
//                      "local": this user's own, hosted by whoever comes first
//      bind            endpoint to receive on; default: an ipc socket with the
//                      local directory, tcp on the directory's side otherwise
//      advertise       endpoint that others are told; default: what was bound
//      lease_ms        how long the directory keeps us unheard; 1000..300000,
//                      default 5000
//      ping_ms         100..60000, default 1000
//      suspect_ms      400..300000, default 4000
//      limit_bytes     unsettled bytes per outbox, default 0: the disk's size
//      limit_messages  unsettled messages per outbox, default 0: no limit
//      limit_ruled     unsettled messages per outbox with a priority, time to
//                      live, delay or ordering key, each counted once for every
//                      queue that it waits for: they take memory, some 70 bytes;
//                      1..4194304, default 4194304
//      at_limit        block, refuse or drop_oldest; default block
//      limit_outboxes  queues and exchanges that this peer publishes to, dead
//                      letters and durable replies to each peer included;
//                      1..4096, default 4096.  Each takes 1.3 MB of disk
//      memory_bytes    message memory per outbox, 1 MiB..1 GiB, default 24 MiB
//      drain           yes: open only what the store holds, for tern drain
//
//  In a file these stand under the section "tern".
//
//  Settings of one queue that this peer publishes to, queue/NAME/KEY; in a file
//  a section NAME under the section "queue".  docs/QUEUES.md explains them.
//
//      max_deliveries  before a message is dead; 0 no limit; default 16
//      backoff         pause before a redelivery: exponential, fixed, or the
//                      pauses themselves, milliseconds by commas, at most 16;
//                      default exponential
//      backoff_min_ms  the first pause, or the fixed one; default 100
//      backoff_max_ms  the longest pause; default 30000
//      ttl_ms          how long a message is worth delivering; default 0: for
//                      ever
//      expired         dead or drop: what becomes of it then; default dead
//      single          yes: one active consumer; default no
//      limit_bytes, limit_messages, limit_ruled, at_limit
//                      as above, for this queue
//
//  They hold from when the peer is opened, over what a program has set with
//  tern_producer_set_policy () in an earlier life.
//
//  Thread: the caller's, one at a time.  Nothing here touches the network.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_CONFIG_H
#define TERN_CONFIG_H

#include <tern/export.h>
#include <tern/error.h>

#include <stddef.h>

TERN_BEGIN_DECLS

typedef struct tern_config tern_config_t;

//  Defaults only.  The caller owns it; tern_config_destroy () ends it.
TERN_EXPORT tern_config_t *
tern_config_new (void);

TERN_EXPORT tern_config_t *
tern_config_dup (const tern_config_t *self);

//  NULL is allowed; sets *self_p to NULL.
TERN_EXPORT void
tern_config_destroy (tern_config_t **self_p);

//  Set one key.  0, or with one line in why (may be NULL, size 0):
//      TERN_EINVAL     unknown key, or a value that it cannot have
//      TERN_ENAME      name or queue outside the grammar
//      TERN_ETOOBIG    longer than a named limit
TERN_EXPORT TERN_MUST_CHECK int
tern_config_set (tern_config_t *self, const char *key, const char *value,
                 char *why, size_t why_size);

//  Value of a key, NULL if unset and without default.  Borrowed until the
//  next tern_config_set () of that key.
TERN_EXPORT const char *
tern_config_get (const tern_config_t *self, const char *key);

//  Read a ZPL file.  0, or with "file:line: key: reason" in why:
//      TERN_ENOENT     no such file, or not readable
//      TERN_EINVAL     not ZPL, or a setting that tern_config_set () refuses
//      TERN_ETOOBIG    the file is over 1 MiB
TERN_EXPORT TERN_MUST_CHECK int
tern_config_load (tern_config_t *self, const char *path, char *why,
                  size_t why_size);

//  Take TERN_NAME, TERN_DATA and TERN_DIRECTORY where they are set; with
//  TERN_CONFIG, load that file first.  Fails as the two calls above.
TERN_EXPORT TERN_MUST_CHECK int
tern_config_environment (tern_config_t *self, char *why, size_t why_size);

TERN_END_DECLS

#endif
