//  tests/support/disk_faulty.h - a disk whose n-th call fails
//
//  Wraps another disk and passes every call on, until the planned one.  The
//  planned call does not reach the disk below; it returns the planned error,
//  or, for a short read or write, reaches it with fewer bytes.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TEST_DISK_FAULTY_H
#define TRN_TEST_DISK_FAULTY_H

#include "store/disk.h"

#include <stdbool.h>

typedef enum {
    TRN_CALL_ANY,
    TRN_CALL_OPEN_ROOT,
    TRN_CALL_OPEN_DIR,
    TRN_CALL_OPEN,
    TRN_CALL_CLOSE,  //  the handle is closed all the same, as Linux does
    TRN_CALL_PREAD,
    TRN_CALL_PWRITE,
    TRN_CALL_FDATASYNC,
    TRN_CALL_START_SYNC,
    TRN_CALL_SYNC_FILES,    //  one of them lost something, and says so later
    TRN_CALL_SYNC_OF_MANY,  //  one of the files of that call
    TRN_CALL_FSYNC,
    TRN_CALL_FALLOCATE,
    TRN_CALL_FTRUNCATE,
    TRN_CALL_SIZE,
    TRN_CALL_RENAME,
    TRN_CALL_UNLINK,
    TRN_CALL_LOCK,
    TRN_CALL_LIST,
    TRN_CALL_CHECK,
    TRN_CALLS
} trn_disk_call_t;

typedef struct {
    trn_disk_call_t call;  //  which kind counts
    uint64_t nth;          //  1: the next one of that kind; 0: none
    bool forever;          //  that one and every later one of that kind
    int error;             //  EIO, ENOSPC, EINTR ...; 0: half the bytes go
} trn_disk_fault_t;

//  below is borrowed and must outlive this.  The caller owns the result.
trn_disk_t *
trn_disk_faulty_new (trn_disk_t *below);

void
trn_disk_faulty_destroy (trn_disk_t **self_p);

//  Replace the plan; counting starts at zero again.
void
trn_disk_faulty_plan (trn_disk_t *self, const trn_disk_fault_t *fault);

//  Calls of a kind since the last plan, and how many of them were made to fail.
uint64_t
trn_disk_faulty_calls (trn_disk_t *self, trn_disk_call_t call);

uint64_t
trn_disk_faulty_hits (trn_disk_t *self);

//  Called with the handle (of the disk below) when a planned fault stands for a
//  failed fsync or fdatasync; trn_disk_memory_lose_unsynced () fits.
void
trn_disk_faulty_on_lost_sync (trn_disk_t *self,
                              void (*lost) (trn_disk_t *below, int handle));

const char *
trn_disk_call_name (trn_disk_call_t call);

#endif
