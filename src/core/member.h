//  core/member.h - one peer's entry in a directory, owned
//
//  A decoded trn_entry_t points into a frame; a member is a copy of it in one
//  allocation, its texts with a NUL, its lists as arrays.  It never changes: a
//  changed entry is another member.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_MEMBER_H
#define TRN_MEMBER_H

#include "wire/dirframe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;
    uint64_t version;
    uint64_t features;
    size_t endpoint_count;
    const char *const *endpoints;
    size_t queue_count;
    const char *const *queues;
    size_t bytes;  //  of the whole allocation
} trn_member_t;

//  The caller owns it; free () ends it.
trn_member_t *
trn_member_new (const trn_entry_t *entry);

//  As an entry to encode; its texts are borrowed from the member.
void
trn_member_entry (const trn_member_t *self, uint64_t heard_ms,
                  trn_entry_t *entry);

//  Do both say the same, but for heard_ms?
bool
trn_member_same (const trn_member_t *self, const trn_entry_t *entry);

#endif
