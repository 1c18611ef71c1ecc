//  wire/record.c - one message as it lies in the log and travels on the wire
//
//  Knows: the record layout and what its checksum covers.  Hides: XXH3.
//  Checksum: XXH3 64 bit, Y. Collet, xxHash (BSD-2), seeded per place.
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/record.h"

#include "base/bytes.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>
#include <xxhash.h>

enum {
    AT_CHECKSUM = 0,
    AT_LENGTH = 8,
    AT_KIND = 12,
    AT_KEY_SIZE = 13,
    AT_PROPS_SIZE = 14,
    AT_SEQ = 16,
    AT_STAMP = 24,
    AT_INCARNATION = 32,
    AT_UNSYNCED = 36
};

uint64_t
trn_record_seed (const uint8_t store_uuid[16], const char *outbox,
                 uint64_t segment)
{
    assert (store_uuid && outbox);
    uint8_t place[16 + 8 + TRN_NAME_MAX + 2];
    const size_t length = strlen (outbox);
    assert (length <= TRN_NAME_MAX + 1);
    memcpy (place, store_uuid, 16);
    trn_put_u64 (place + 16, segment);
    memcpy (place + 24, outbox, length);
    return XXH3_64bits (place, 24 + length);
}

//  Offsets of neighbours differ in few bits; an odd factor spreads them.
static uint64_t
s_checksum (const uint8_t *record, uint32_t length, uint64_t seed,
            int64_t offset)
{
#ifdef TERN_BUG_7
    offset = 0;
#endif
    const uint64_t place = seed ^ (uint64_t) offset * 0x9e3779b97f4a7c15u;
    return XXH3_64bits_withSeed (record + AT_LENGTH, length - AT_LENGTH, place);
}

void
trn_record_write (uint8_t *at, const trn_record_t *record, uint64_t seed,
                  int64_t offset)
{
    assert (at && record && offset % 8 == 0);
    assert (record->body_size <= TRN_BODY_MAX);
    const uint32_t length = TRN_RECORD_HEADER + record->key_size
                            + (uint32_t) record->props_size + record->body_size;
    trn_put_u32 (at + AT_LENGTH, length);
    at[AT_KIND] = (uint8_t) (record->kind | record->flags << 4);
    at[AT_KEY_SIZE] = record->key_size;
    trn_put_u16 (at + AT_PROPS_SIZE, record->props_size);
    trn_put_u64 (at + AT_SEQ, record->seq);
    trn_put_u64 (at + AT_STAMP, record->stamp_us);
    trn_put_u32 (at + AT_INCARNATION, record->incarnation);
    trn_put_u32 (at + AT_UNSYNCED, record->unsynced);

    uint8_t *to = at + TRN_RECORD_HEADER;
    if (record->key_size) {
        memcpy (to, record->key, record->key_size);
        to += record->key_size;
    }
    if (record->props_size) {
        memcpy (to, record->props, record->props_size);
        to += record->props_size;
    }
    if (record->body_size) {
        memcpy (to, record->body, record->body_size);
        to += record->body_size;
    }
    memset (to, 0, trn_record_padded (length) - length);
    trn_put_u64 (at + AT_CHECKSUM, s_checksum (at, length, seed, offset));
}

int
trn_record_peek (const uint8_t *bytes, size_t size, trn_record_t *record)
{
    assert (bytes && record);
    if (size < TRN_RECORD_HEADER) {
        return TERN_ECORRUPT;
    }
    const uint32_t length = trn_get_u32 (bytes + AT_LENGTH);
    if (length == 0 && trn_get_u64 (bytes + AT_CHECKSUM) == 0) {
        return 0;
    }
    if (length < TRN_RECORD_HEADER || length > TRN_RECORD_MAX
        || trn_record_padded (length) > size) {
        return TERN_ECORRUPT;
    }
    record->kind = bytes[AT_KIND] & 15;
    record->flags = bytes[AT_KIND] >> 4;
    record->key_size = bytes[AT_KEY_SIZE];
    record->props_size = trn_get_u16 (bytes + AT_PROPS_SIZE);
    const uint32_t before_body
        = TRN_RECORD_HEADER + record->key_size + record->props_size;
    if (length < before_body || length - before_body > TRN_BODY_MAX) {
        return TERN_ECORRUPT;
    }
    record->seq = trn_get_u64 (bytes + AT_SEQ);
    record->stamp_us = trn_get_u64 (bytes + AT_STAMP);
    record->incarnation = trn_get_u32 (bytes + AT_INCARNATION);
    record->unsynced = trn_get_u32 (bytes + AT_UNSYNCED);
    record->key = bytes + TRN_RECORD_HEADER;
    record->props = record->key + record->key_size;
    record->body = record->props + record->props_size;
    record->body_size = length - before_body;
    return (int) trn_record_padded (length);
}

int
trn_record_read (const uint8_t *bytes, size_t size, uint64_t seed,
                 int64_t offset, trn_record_t *record)
{
    const int step = trn_record_peek (bytes, size, record);
    if (step <= 0) {
        return step;
    }
    const uint32_t length = trn_get_u32 (bytes + AT_LENGTH);
    if (record->kind != TRN_RECORD_MESSAGE && record->kind != TRN_RECORD_GAP) {
        return TERN_ECORRUPT;
    }
    if (trn_get_u64 (bytes + AT_CHECKSUM)
        != s_checksum (bytes, length, seed, offset)) {
        return TERN_ECORRUPT;
    }
    return step;
}
