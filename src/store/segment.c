//  store/segment.c - the header of one file of the log, and its names
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/segment.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    AT_MAGIC = 0,
    AT_MAJOR = 8,
    AT_MINOR = 10,
    AT_LENGTH = 12,
    AT_INCOMPATIBLE = 16,
    AT_UUID = 24,
    AT_SEGMENT = 40,
    AT_SEED = 48,
    AT_SIZE = 56,
    AT_INCARNATION = 64,
    AT_CHECKSUM = 120,
    MAJOR = 1,
    MINOR = 0
};

static const uint8_t s_magic[] = {'T', 'E', 'R', 'N', 'L', 'O', 'G', '\n'};

void
trn_segment_name (char name[TRN_SEGMENT_NAME], uint64_t segment)
{
    snprintf (name, TRN_SEGMENT_NAME, "seg-%016" PRIx64, segment);
}

bool
trn_segment_parse_name (const char *name, uint64_t *segment_p)
{
    assert (name && segment_p);
    if (strncmp (name, "seg-", 4) != 0 || strlen (name) != 20) {
        return false;
    }
    uint64_t segment = 0;
    for (const char *at = name + 4; *at; at++) {
        const char *const digits = "0123456789abcdef";
        const char *const digit = strchr (digits, *at);
        if (!digit) {
            return false;
        }
        segment = segment << 4 | (uint64_t) (digit - digits);
    }
    *segment_p = segment;
    return true;
}

void
trn_segment_encode (uint8_t header[TRN_SEGMENT_HEADER],
                    const trn_place_t *place, uint64_t size,
                    uint64_t incarnation)
{
    memset (header, 0, TRN_SEGMENT_HEADER);
    memcpy (header + AT_MAGIC, s_magic, sizeof s_magic);
    trn_put_u16 (header + AT_MAJOR, MAJOR);
    trn_put_u16 (header + AT_MINOR, MINOR);
    trn_put_u32 (header + AT_LENGTH, TRN_SEGMENT_HEADER);
    memcpy (header + AT_UUID, place->store_uuid, 16);
    trn_put_u64 (header + AT_SEGMENT, place->segment);
    trn_put_u64 (
        header + AT_SEED,
        trn_record_seed (place->store_uuid, place->outbox, place->segment));
    trn_put_u64 (header + AT_SIZE, size);
    trn_put_u64 (header + AT_INCARNATION, incarnation);
    trn_put_u64 (header + AT_CHECKSUM, XXH3_64bits (header, AT_CHECKSUM));
}

int
trn_segment_decode (const uint8_t *header, size_t length,
                    const trn_place_t *place, uint64_t *size_p)
{
    assert (header && place && size_p);
    if (length < TRN_SEGMENT_HEADER
        || memcmp (header + AT_MAGIC, s_magic, sizeof s_magic) != 0
        || trn_get_u64 (header + AT_CHECKSUM)
               != XXH3_64bits (header, AT_CHECKSUM)) {
        return TERN_ECORRUPT;
    }
    if (trn_get_u16 (header + AT_MAJOR) != MAJOR
        || trn_get_u32 (header + AT_INCOMPATIBLE) != 0
        || trn_get_u32 (header + AT_LENGTH) != TRN_SEGMENT_HEADER) {
        return TERN_EVERSION;
    }
    if (memcmp (header + AT_UUID, place->store_uuid, 16) != 0
        || trn_get_u64 (header + AT_SEGMENT) != place->segment
        || trn_get_u64 (header + AT_SEED)
               != trn_record_seed (place->store_uuid, place->outbox,
                                   place->segment)) {
        return TERN_ENAME;
    }
    *size_p = (uint64_t) trn_segment_size (header);
    return *size_p <= INT64_MAX ? 0 : TERN_ECORRUPT;
}

int64_t
trn_segment_size (const uint8_t header[TRN_SEGMENT_HEADER])
{
    return (int64_t) trn_get_u64 (header + AT_SIZE);
}

static int64_t
s_read_memory (void *arg, void *to, size_t size, int64_t offset)
{
    const trn_memory_source_t *const memory = arg;
    if (offset < 0 || (uint64_t) offset >= memory->size) {
        return 0;
    }
    const size_t left = memory->size - (size_t) offset;
    const size_t take = size < left ? size : left;
    memcpy (to, memory->bytes + offset, take);
    return (int64_t) take;
}

trn_source_t
trn_source_memory (trn_memory_source_t *memory)
{
    return (trn_source_t) {
        .read = s_read_memory, .arg = memory, .size = (int64_t) memory->size};
}

int64_t
trn_source_last_byte (const trn_source_t *source, int64_t offset)
{
    enum {
        BLOCK = 256 * 1024
    };
    int64_t last = offset;
    uint8_t *const block = trn_alloc (BLOCK);
    for (int64_t at = offset;;) {
        const int64_t got = source->read (source->arg, block, BLOCK, at);
        if (got <= 0) {
            break;
        }
        for (int64_t i = got; i > 0; i--) {
            if (block[i - 1]) {
                last = at + i;
                break;
            }
        }
        at += got;
    }
    free (block);
    return last;
}

static int64_t
s_read_file (void *arg, void *to, size_t size, int64_t offset)
{
    const trn_file_source_t *const file = arg;
    return trn_io_read (file->disk, file->file, to, size, offset);
}

trn_source_t
trn_source_file (trn_file_source_t *file)
{
    return (trn_source_t) {.read = s_read_file,
                           .arg = file,
                           .size = file->disk->size (file->disk, file->file)};
}
