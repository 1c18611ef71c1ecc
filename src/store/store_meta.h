//  store/store_meta.h - what identifies a store, and where its outboxes are
//
//  Pure but for trn_store_outbox_name ().  Any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_STORE_META_H
#define TRN_STORE_META_H

#include "base/limits.h"
#include "store/disk.h"

typedef struct {
    uint8_t uuid[16];
    char name[TRN_NAME_MAX + 1];  //  the peer's
    uint64_t incarnation;         //  of the last opening
    uint64_t random;              //  drawn at that opening
} trn_store_meta_t;

uint32_t
trn_store_meta_half (void);

uint64_t
trn_store_meta_seed (void);

//  The caller frees the bytes.
uint8_t *
trn_store_meta_encode (const trn_store_meta_t *meta, size_t *size_p);

//  0 or TERN_ECORRUPT.
int
trn_store_meta_decode (const uint8_t *bytes, size_t size,
                       trn_store_meta_t *meta);

//  The directory entry of an outbox: hex BLAKE2b-128 of its name.
#define TRN_STORE_ENTRY 33

void
trn_store_entry (char entry[TRN_STORE_ENTRY], const char *name);

//  The name that the META below an entry gives, if it belongs to that entry.
//  0, TERN_ENOENT, TERN_ECORRUPT, TERN_EVERSION, TERN_EIO.
int
trn_store_outbox_name (trn_disk_t *disk, int outbox_dir, const char *entry,
                       char name[TRN_NAME_MAX + 2]);

#endif
