//  wire/binding.h - a binding as it travels and is kept
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_WIRE_BINDING_H
#define TRN_WIRE_BINDING_H

#include "base/limits.h"
#include "wire/pack.h"
#include "wire/packer.h"
#include "wire/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    TRN_EXCHANGE_DIRECT = 1,
    TRN_EXCHANGE_FANOUT = 2,
    TRN_EXCHANGE_TOPIC = 3,
    TRN_EXCHANGE_HEADERS = 4
} trn_exchange_type_t;

//  Where a queue that is new to a publisher starts in what the publisher kept.
typedef enum {
    TRN_FROM_NEW = 0,
    TRN_FROM_EARLIEST = 1,
    TRN_FROM_SEQ = 2,
    TRN_FROM_TIME = 3  //  wall clock of the publisher, ms since 1970
} trn_from_t;

//  Identity: exchange, queue, pattern, headers, any.  The rest is its content.
//  Texts are borrowed, or owned by the table that gave it.
typedef struct {
    trn_text_t exchange;
    trn_exchange_type_t type;
    trn_text_t queue;
    trn_text_t pattern;      //  direct, topic; up to TRN_KEY_MAX
    const uint8_t *headers;  //  headers: a props map of text values
    size_t headers_size;
    bool any;  //  one of the headers is enough
    trn_from_t from;
    uint64_t from_value;
    trn_text_t alternate;  //  exchange for what nobody gets; "" none
    uint64_t stamp_us;  //  wall clock of the writer, raised above what it knew
    trn_text_t writer;  //  peer's name
    bool removed;
} trn_binding_t;

//  Bindings are in one of so many buckets by their identity.  Two parties
//  compare the digests of all buckets, and tell each other those that differ.
#define TRN_BINDING_BUCKETS 256

//  0, or TERN_ENAME (a name), TERN_EINVAL (a pattern or headers that this type
//  of exchange cannot have, an unknown type or start, any with no header, a
//  stamp beyond TRN_STAMP_MAX), TERN_ETOOBIG (pattern, headers).  The stamp may
//  be 0 and the writer empty: not written yet.
int
trn_binding_check (const trn_binding_t *binding);

//  One that was written, as an array of twelve fields.
void
trn_binding_pack (trn_packer_t *out, const trn_binding_t *binding);

//  Read and checked; what the check refuses is TERN_EPROTO, or TERN_ETOOBIG.
//  Borrowed from the bytes.
void
trn_binding_unpack (trn_unpack_t *in, trn_binding_t *binding);

#endif
