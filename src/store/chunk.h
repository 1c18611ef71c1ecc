//  store/chunk.h - a piece of the log in memory, shared by reference
//
//  The appender fills it, the writer writes it, the actor sends slices of it
//  without copying (libzmq holds a reference until it has sent).  Records lie
//  in it exactly as in the file.  A chunk read back from the file looks the
//  same.  Bytes below `filled` never change.
//
//  Threads: one appender under the log's lock; readers see what was published
//  through `count`.  References: any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CHUNK_H
#define TRN_CHUNK_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct trn_chunk trn_chunk_t;

struct trn_chunk {
    atomic_uint references;
    trn_chunk_t *next;      //  the log's list; not for others
    uint64_t first_seq;     //  seq of record 0
    uint64_t segment;
    int64_t offset;         //  of data[0] in the segment file
    uint32_t capacity;      //  bytes allocated in data
    uint32_t index_size;    //  entries allocated in index
    uint32_t filled;        //  bytes used; the log's lock, or count's acquire
    atomic_uint count;      //  records published (release)
    uint32_t *index;        //  index[i]: where record i starts in data
    uint8_t *data;
    atomic_size_t *budget;  //  memory account of the owner, may be NULL
};

//  One reference for the caller.
trn_chunk_t *
trn_chunk_new (uint32_t capacity, uint32_t index_size, atomic_size_t *budget);

trn_chunk_t *
trn_chunk_retain (trn_chunk_t *self);

//  The last one frees.  Accepts NULL.
void
trn_chunk_release (trn_chunk_t **self_p);

//  A slice of one chunk: consecutive seqs, consecutive bytes, one segment, no
//  gap record among them.  Holds a reference.
typedef struct {
    trn_chunk_t *chunk;
    const uint8_t *data;
    uint32_t size;        //  bytes
    uint32_t count;       //  records
    uint64_t first_seq;
    uint64_t segment;
    int64_t offset;       //  of data in the segment file
    uint64_t stamp_us;    //  wall clock of the first record
} trn_run_t;

#endif
