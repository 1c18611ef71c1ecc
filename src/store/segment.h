//  store/segment.h - one file of the log, and how it is judged
//
//  A segment is a header and records without a gap between them, then zeros.
//
//       0  magic "TERNLOG\n"    the \n catches text-mode mangling
//       8  major, minor         u16, u16
//      12  header length        u32   128
//      16  incompatible flags   u32   unknown bit: refuse (L1)
//      20  compatible flags     u32   unknown bit: ignore
//      24  store uuid           16 bytes
//      40  segment number       u64
//      48  seed                 u64   of its records: names the outbox too
//      56  size                 u64   bytes the file was given
//      64  incarnation          u64   that created it
//      72  zeros
//     120  checksum             u64   XXH3-64 of bytes 0..119
//
//  Nothing here opens a file: bytes come through trn_source_t, from a disk, a
//  test or a fuzzer.  Thread: one at a time.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SEGMENT_H
#define TRN_SEGMENT_H

#include "store/disk.h"
#include "wire/record.h"

#include <stdbool.h>

#define TRN_SEGMENT_HEADER 128
#define TRN_SEGMENT_NAME 32  //  buffer for "seg-%016x" and a suffix
#define TRN_SECTOR 512       //  what a disk writes as one piece

void
trn_segment_name (char name[TRN_SEGMENT_NAME], uint64_t segment);

//  Is this the name of a segment (no suffix)?
bool
trn_segment_parse_name (const char *name, uint64_t *segment_p);

//  Whose segment, and what may be in it.
typedef struct {
    const uint8_t *store_uuid;  //  16 bytes, borrowed
    const char *outbox;         //  borrowed
    uint64_t segment;
} trn_place_t;

void
trn_segment_encode (uint8_t header[TRN_SEGMENT_HEADER],
                    const trn_place_t *place, uint64_t size,
                    uint64_t incarnation);

//  0 and the size; TERN_ECORRUPT; TERN_EVERSION; TERN_ENAME: a good header of
//  another store, outbox or number (L25).
int
trn_segment_decode (const uint8_t *header, size_t length,
                    const trn_place_t *place, uint64_t *size_p);

//  The size that a good header declares.
int64_t
trn_segment_size (const uint8_t header[TRN_SEGMENT_HEADER]);

//  Up to size bytes from offset, fewer only at the end; or a TERN_E….
typedef int64_t
trn_source_fn (void *arg, void *to, size_t size, int64_t offset);

typedef struct {
    trn_source_fn *read;
    void *arg;
    int64_t size;
} trn_source_t;

//  Sees each valid record in order; pointers borrow until it returns.  Non-zero
//  stops the walk.
typedef int
trn_segment_record_fn (void *arg, const trn_record_t *record, int64_t offset,
                       uint32_t size);

//  What a walk found.
typedef struct {
    uint64_t first_seq;  //  of the first record; 0 if there is none
    uint64_t next_seq;   //  what the next record must be; as given if none
    uint64_t messages;
    uint64_t bytes;        //  of message records
    uint64_t proved;       //  highest seq that a record says was synced; 0 none
    uint32_t incarnation;  //  the highest in a record
    int64_t end;           //  the first byte that is no valid record
    bool broken;           //  something other than zeros is there
    bool misplaced;        //  a valid record with another seq is there
    uint64_t misplaced_seq;
    int stopped;  //  what the visitor said
} trn_walk_t;

//  Walk the valid records from offset, the first of which must be next_seq (0:
//  any).  fn may be NULL.  0, or what the source said.
int
trn_segment_walk (const trn_source_t *source, const trn_place_t *place,
                  int64_t offset, uint64_t next_seq, trn_segment_record_fn *fn,
                  void *arg, trn_walk_t *walk);

//  What lies beyond the place where a walk ended.
typedef struct {
    bool found;      //  a valid record of this place and a later seq
    int64_t offset;  //  of the first
    uint64_t seq;
    uint64_t proved;  //  highest seq that any of them says was synced
    uint64_t valid;   //  how many there are
    bool gave_up;     //  too much looked like records to check it all
} trn_beyond_t;

//  Search from offset at every 8th byte for records above next_seq, and count
//  them all.  Accumulates into *beyond.
int
trn_segment_search (const trn_source_t *source, const trn_place_t *place,
                    int64_t offset, uint64_t next_seq, trn_beyond_t *beyond);

//  Does the record that should start at offset miss a whole sector's share, as
//  when power failed while it was written?
int
trn_segment_unwritten (const trn_source_t *source, int64_t offset,
                       bool *unwritten_p);

//  The verdict about the place where the log stops being valid (L7).
typedef enum {
    TRN_TAIL_CLEAN,   //  zeros follow: the normal end
    TRN_TAIL_TORN,    //  never confirmed as synced: may be cut
    TRN_TAIL_CORRUPT  //  was durable once: may not
} trn_tail_t;

//  Pure.  next_seq is what should be there, proved the highest seq known from
//  anywhere to have been synced.
trn_tail_t
trn_segment_judge (uint64_t next_seq, bool broken, bool misplaced,
                   const trn_beyond_t *beyond, uint64_t proved, bool unwritten);

//  All of it for a log of one segment: bytes of the file to verdict.  For
//  tests and fuzzing; trn_log_open () does the same over many.
int
trn_segment_recover (const trn_source_t *source, const trn_place_t *place,
                     uint64_t next_seq, uint64_t proved, trn_walk_t *walk,
                     trn_tail_t *tail_p);

//  Behind the last byte from offset on that is not zero; offset if there is
//  none, or if the source fails.
int64_t
trn_source_last_byte (const trn_source_t *source, int64_t offset);

//  A source over memory.
typedef struct {
    const uint8_t *bytes;
    size_t size;
} trn_memory_source_t;

trn_source_t
trn_source_memory (trn_memory_source_t *memory);

//  A source over a file, as long as it is now; a negative errno in size.
typedef struct {
    trn_disk_t *disk;
    int file;
} trn_file_source_t;

trn_source_t
trn_source_file (trn_file_source_t *file);

#endif
