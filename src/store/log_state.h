//  store/log_state.h - what an outbox's two cells say
//
//  META: whose log this is, how far seqs are reserved, whether it was closed
//  properly.  STATE: from where on the log is needed, and the owner's blob.
//  They are two because the syncer extends the reservation while the writer
//  may be saving a large state.
//
//  Pure.  Any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LOG_STATE_H
#define TRN_LOG_STATE_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_LOG_META_FILE "META"
#define TRN_LOG_STATE_FILE "STATE"

typedef struct {
    uint8_t store_uuid[16];
    char name[TRN_NAME_MAX + 2];
    uint64_t reserved;  //  no seq above was ever used
    uint64_t durable;   //  every record up to it was synced
    bool clean;         //  closed properly; reserved is the last seq used
} trn_log_meta_t;

typedef struct {
    uint64_t low;            //  the owner needs nothing below
    uint64_t first_segment;  //  segments below may be gone
    uint64_t first_seq;      //  what its first record is, or will be
    uint64_t durable;        //  as in META, at the time of saving
    uint64_t dropped;        //  messages dropped at the limit, ever
    const uint8_t *blob;     //  the owner's; borrowed from what was decoded
    size_t blob_size;
} trn_log_state_t;

//  Bytes of one half of each cell.
uint32_t
trn_log_meta_half (void);

uint32_t
trn_log_state_half (void);

//  Seed of both cells' checksums.  META must be readable by a tool that does
//  not know the uuid yet, so only STATE is bound to it.
uint64_t
trn_log_meta_seed (void);

uint64_t
trn_log_state_seed (const uint8_t store_uuid[16], const char *name);

//  The caller frees the bytes.
uint8_t *
trn_log_meta_encode (const trn_log_meta_t *meta, size_t *size_p);

uint8_t *
trn_log_state_encode (const trn_log_state_t *state, size_t *size_p);

//  0 or TERN_ECORRUPT.
int
trn_log_meta_decode (const uint8_t *bytes, size_t size, trn_log_meta_t *meta);

int
trn_log_state_decode (const uint8_t *bytes, size_t size,
                      trn_log_state_t *state);

#endif
