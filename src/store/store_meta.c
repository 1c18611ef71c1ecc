//  store/store_meta.c - what identifies a store, and where its outboxes are
//
//  META   0 uuid, 16 incarnation u64, 24 random u64, 32 size of name u8,
//         33 name
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/store_meta.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/name.h"
#include "store/cell.h"
#include "store/io.h"
#include "store/log_state.h"
#include "wire/record.h"

#include <tern/error.h>

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    META_FIXED = 33
};

uint32_t
trn_store_meta_half (void)
{
    return trn_cell_half_size (META_FIXED + TRN_NAME_MAX);
}

uint64_t
trn_store_meta_seed (void)
{
    static const uint8_t nobody[16];
    return trn_record_seed (nobody, "store", 0);
}

uint8_t *
trn_store_meta_encode (const trn_store_meta_t *meta, size_t *size_p)
{
    const size_t length = strlen (meta->name);
    assert (length <= TRN_NAME_MAX);
    uint8_t *const bytes = trn_alloc (META_FIXED + length);
    memcpy (bytes, meta->uuid, sizeof meta->uuid);
    trn_put_u64 (bytes + 16, meta->incarnation);
    trn_put_u64 (bytes + 24, meta->random);
    bytes[32] = (uint8_t) length;
    memcpy (bytes + META_FIXED, meta->name, length);
    *size_p = META_FIXED + length;
    return bytes;
}

int
trn_store_meta_decode (const uint8_t *bytes, size_t size,
                       trn_store_meta_t *meta)
{
    assert (bytes && meta);
    if (size < META_FIXED || size != META_FIXED + (size_t) bytes[32]
        || !trn_name_valid ((const char *) bytes + META_FIXED, bytes[32])) {
        return TERN_ECORRUPT;
    }
    *meta = (trn_store_meta_t) {.incarnation = trn_get_u64 (bytes + 16),
                                .random = trn_get_u64 (bytes + 24)};
    memcpy (meta->uuid, bytes, sizeof meta->uuid);
    memcpy (meta->name, bytes + META_FIXED, bytes[32]);
    return meta->incarnation < UINT64_MAX / 2 ? 0 : TERN_ECORRUPT;
}

void
trn_store_entry (char entry[TRN_STORE_ENTRY], const char *name)
{
    uint8_t hash[16];
    crypto_generichash (hash, sizeof hash, (const unsigned char *) name,
                        strlen (name), NULL, 0);
    sodium_bin2hex (entry, TRN_STORE_ENTRY, hash, sizeof hash);
}

int
trn_store_outbox_name (trn_disk_t *disk, int outbox_dir, const char *entry,
                       char name[TRN_NAME_MAX + 2])
{
    const int dir = disk->open_dir (disk, outbox_dir, entry, 0);
    if (dir < 0) {
        return trn_io_error (dir);
    }
    uint8_t *bytes = NULL;
    size_t size = 0;
    trn_log_meta_t meta;
    int rc = trn_cell_read (disk, dir, TRN_LOG_META_FILE, trn_log_meta_seed (),
                            trn_log_meta_half (), &bytes, &size);
    if (rc == 0) {
        rc = trn_log_meta_decode (bytes, size, &meta);
    }
    free (bytes);
    (void) disk->close (disk, dir);
    if (rc == 0) {
        char expected[TRN_STORE_ENTRY];
        trn_store_entry (expected, meta.name);
        if (strcmp (expected, entry) != 0) {
            return TERN_ECORRUPT;
        }
        memcpy (name, meta.name, sizeof meta.name);
    }
    return rc;
}
