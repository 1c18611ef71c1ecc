//  store/log_state.c - what an outbox's two cells say
//
//  META   0 store uuid, 16 reserved u64, 24 durable u64, 32 clean u8,
//         33 size of name u8, 34 name
//  STATE  0 low u64, 8 first segment u64, 16 first seq u64, 24 durable u64,
//         32 dropped u64, 40 the owner's blob
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/log_state.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "store/cell.h"
#include "store/log.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

enum {
    META_FIXED = 34,
    STATE_FIXED = 40
};

uint32_t
trn_log_meta_half (void)
{
    return trn_cell_half_size (META_FIXED + TRN_NAME_MAX + 1);
}

uint32_t
trn_log_state_half (void)
{
    return trn_cell_half_size (STATE_FIXED + TRN_LOG_STATE_MAX);
}

uint64_t
trn_log_meta_seed (void)
{
    static const uint8_t nobody[16];
    return trn_record_seed (nobody, "outbox", 0);
}

uint64_t
trn_log_state_seed (const uint8_t store_uuid[16], const char *name)
{
    return trn_record_seed (store_uuid, name, 0);
}

uint8_t *
trn_log_meta_encode (const trn_log_meta_t *meta, size_t *size_p)
{
    const size_t length = strlen (meta->name);
    assert (length <= TRN_NAME_MAX + 1);
    uint8_t *const bytes = trn_alloc (META_FIXED + length);
    memcpy (bytes, meta->store_uuid, 16);
    trn_put_u64 (bytes + 16, meta->reserved);
    trn_put_u64 (bytes + 24, meta->durable);
    bytes[32] = meta->clean;
    bytes[33] = (uint8_t) length;
    memcpy (bytes + META_FIXED, meta->name, length);
    *size_p = META_FIXED + length;
    return bytes;
}

//  Which names are allowed is decided above; here they are only printable.
static bool
s_name_fits (const uint8_t *name, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (name[i] <= ' ' || name[i] > '~') {
            return false;
        }
    }
    return size > 0 && size <= TRN_NAME_MAX + 1;
}

int
trn_log_meta_decode (const uint8_t *bytes, size_t size, trn_log_meta_t *meta)
{
    assert (bytes && meta);
    if (size < META_FIXED || bytes[32] > 1
        || size != META_FIXED + (size_t) bytes[33]
        || !s_name_fits (bytes + META_FIXED, bytes[33])) {
        return TERN_ECORRUPT;
    }
    *meta = (trn_log_meta_t) {.reserved = trn_get_u64 (bytes + 16),
                              .durable = trn_get_u64 (bytes + 24),
                              .clean = bytes[32] == 1};
    memcpy (meta->store_uuid, bytes, 16);
    memcpy (meta->name, bytes + META_FIXED, bytes[33]);
    //  Far from the end of the numbers, so that sums cannot wrap.
    return meta->durable <= meta->reserved && meta->reserved < UINT64_MAX / 2
               ? 0
               : TERN_ECORRUPT;
}

uint8_t *
trn_log_state_encode (const trn_log_state_t *state, size_t *size_p)
{
    assert (state->blob_size <= TRN_LOG_STATE_MAX);
    uint8_t *const bytes = trn_alloc (STATE_FIXED + state->blob_size);
    trn_put_u64 (bytes, state->low);
    trn_put_u64 (bytes + 8, state->first_segment);
    trn_put_u64 (bytes + 16, state->first_seq);
    trn_put_u64 (bytes + 24, state->durable);
    trn_put_u64 (bytes + 32, state->dropped);
    if (state->blob_size) {
        memcpy (bytes + STATE_FIXED, state->blob, state->blob_size);
    }
    *size_p = STATE_FIXED + state->blob_size;
    return bytes;
}

int
trn_log_state_decode (const uint8_t *bytes, size_t size, trn_log_state_t *state)
{
    assert (bytes && state);
    if (size < STATE_FIXED || size > STATE_FIXED + TRN_LOG_STATE_MAX) {
        return TERN_ECORRUPT;
    }
    *state = (trn_log_state_t) {.low = trn_get_u64 (bytes),
                                .first_segment = trn_get_u64 (bytes + 8),
                                .first_seq = trn_get_u64 (bytes + 16),
                                .durable = trn_get_u64 (bytes + 24),
                                .dropped = trn_get_u64 (bytes + 32),
                                .blob = bytes + STATE_FIXED,
                                .blob_size = size - STATE_FIXED};
    return state->first_segment < UINT64_MAX / 2 && state->first_seq > 0
                   && state->first_seq < UINT64_MAX / 2
               ? 0
               : TERN_ECORRUPT;
}
