//  peer/config.h - settings, as the peer reads them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CONFIG_H
#define TRN_CONFIG_H

#include "core/policy.h"

#include <tern/config.h>

#include <stdbool.h>
#include <stdint.h>

//  Value of a numeric key, which always has one.
uint64_t
trn_config_number (const tern_config_t *self, const char *key);

//  Is the key set (or by default) to this value?
bool
trn_config_is (const tern_config_t *self, const char *key, const char *value);

//  Value of a key that a queue can have of its own, else that of the peer.
const char *
trn_config_of_queue (const tern_config_t *self, const char *queue,
                     const char *key);

//  The policy that was set for a queue, over the defaults; false if none was.
bool
trn_config_policy (const tern_config_t *self, const char *queue,
                   trn_policy_t *policy);

//  The text of a file, as tern_config_load () reads it; path is for messages.
//  A NUL follows text[size - 1].
int
trn_config_parse (tern_config_t *self, const char *path, const char *text,
                  size_t size, char *why, size_t why_size);

#endif
