//  wire/record.h - one message as it lies in the log and travels on the wire
//
//  The disk format is the wire format: a run of records goes from the log's
//  memory to the consumer untouched, and the consumer checks the very sum that
//  the disk holds.  All numbers are little-endian; a record starts on a
//  multiple of 8 in its file.
//
//       0  checksum      u64   XXH3-64 of bytes 8..length-1, under the seed
//       8  length        u32   header + key + props + body, without padding
//      12  kind, flags   u8    low nibble TRN_RECORD_*, high nibble flags
//      13  key_size      u8
//      14  props_size    u16
//      16  seq           u64
//      24  stamp_us      u64   publisher's wall clock; for people and T_delay
//      32  incarnation   u32   low bits of the writer's incarnation
//      36  unsynced      u32   seq - highest seq known synced; 0: not said
//      40  routing key, properties (msgpack map), body, zeros up to 8
//
//  The seed covers what the bytes do not say: store uuid, outbox, segment and
//  offset in the file.  A stale, moved or foreign record fails its sum (L3).
//  The sum detects damage; it does not authenticate (L6).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_RECORD_H
#define TRN_RECORD_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRN_RECORD_MESSAGE = 1,  //  an application's message
    TRN_RECORD_GAP = 2       //  body: u64 last; seqs seq..last name nothing
};

//  Flags.  A reader ignores those it does not know.  RULED: its properties
//  concern its delivery, so opening the log looks at it (docs/QUEUES.md).
//  LARGE: a manifest, whose body lists the sums of the parts of another body.
#define TRN_RECORD_RULED 1u
#define TRN_RECORD_LARGE 2u

typedef struct {
    uint8_t kind;
    uint8_t flags;
    uint64_t seq;
    uint64_t stamp_us;  //  wall clock, microseconds since 1970
    uint32_t incarnation;
    uint32_t unsynced;     //  0 = said nothing (gaps, too far)
    const uint8_t *key;    //  key_size bytes
    const uint8_t *props;  //  props_size bytes, a msgpack map, or none
    const uint8_t *body;   //  body_size bytes
    uint8_t key_size;
    uint16_t props_size;
    uint32_t body_size;
} trn_record_t;

//  The part of the seed that is the same for a whole segment.
uint64_t
trn_record_seed (const uint8_t store_uuid[16], const char *outbox,
                 uint64_t segment);

//  Bytes a record takes in the log, padding included.
static inline uint32_t
trn_record_padded (uint32_t length)
{
    return (length + 7u) & ~7u;
}

static inline uint32_t
trn_record_size (const trn_record_t *record)
{
    return trn_record_padded (TRN_RECORD_HEADER + record->key_size
                              + (uint32_t) record->props_size
                              + record->body_size);
}

//  Write record at its place; there is room for trn_record_size () bytes.
//  Sizes are within limits.h; offset is the position in the segment file.
void
trn_record_write (uint8_t *at, const trn_record_t *record, uint64_t seed,
                  int64_t offset);

//  Read the record that starts here, checking every field against size (bytes
//  that are left) and then the checksum.  Pointers borrow from bytes.
//  Returns the padded size; 0 for the end of the log (a zero length and a zero
//  checksum); TERN_ECORRUPT for anything else.
int
trn_record_read (const uint8_t *bytes, size_t size, uint64_t seed,
                 int64_t offset, trn_record_t *record);

//  The same without the checksum, for bytes that were checked before.
int
trn_record_peek (const uint8_t *bytes, size_t size, trn_record_t *record);

#endif
