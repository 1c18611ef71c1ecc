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
#include <stddef.h>
#include <stdint.h>

typedef struct trn_chunk trn_chunk_t;

//  Bytes in the chunks of one owner.  Chunks may outlive the owner (libzmq
//  still sends them), so the account goes with the last of them all.
typedef struct {
    atomic_size_t bytes;  //  one more while the owner lives
} trn_chunk_account_t;

trn_chunk_account_t *
trn_chunk_account_new (void);

//  The owner leaves.  Accepts NULL, leaves NULL.
void
trn_chunk_account_leave (trn_chunk_account_t **self_p);

size_t
trn_chunk_account_bytes (const trn_chunk_account_t *self);

struct trn_chunk {
    atomic_uint references;
    uint64_t first_seq;  //  seq of record 0 of the index
    uint64_t segment;
    int64_t offset;       //  of data[0] in the segment file
    uint32_t capacity;    //  bytes allocated in data
    uint32_t index_size;  //  entries allocated in index
    uint32_t filled;      //  bytes used; under the log's lock
    uint32_t written;     //  bytes in the file; under the log's lock
    atomic_uint count;    //  records published (release)
    uint32_t *index;      //  index[i]: where record i starts in data
    uint8_t *data;
    trn_chunk_account_t *account;  //  may be NULL
};

//  One reference for the caller.  account may be NULL.
trn_chunk_t *
trn_chunk_new (uint32_t capacity, uint32_t index_size,
               trn_chunk_account_t *account);

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
    uint32_t size;   //  bytes
    uint32_t count;  //  records
    uint64_t first_seq;
    uint64_t segment;
    int64_t offset;     //  of data in the segment file
    uint64_t stamp_us;  //  wall clock of the first record
} trn_run_t;

#endif
