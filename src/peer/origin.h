//  peer/origin.h - where a message in an inbox came from
//
//  The inbox of a queue (peer/inbox.h) holds copies of messages that lie, or lay,
//  in the outboxes of others.  One property of the copy says which message it is
//  of, so that a later life knows it again when its publisher sends it again.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ORIGIN_H
#define TRN_ORIGIN_H

#include "wire/props.h"
#include "wire/record.h"

#include <stdbool.h>

typedef struct {
    uint8_t store_uuid[16];
    uint64_t seq;
    uint64_t stamp_us;    //  accepted by its publisher
    uint64_t missed;      //  lost before it, and told with it
    uint64_t floor;       //  its publisher sends nothing below again
    uint32_t deliveries;  //  how often its publisher had given it to somebody
    bool redelivered;
    const char *publisher;  //  borrowed: as long as the record, or its giver's
    const char *outbox;
} trn_origin_t;

//  The properties of the copy: its origin, and what of the message's own holds
//  for whoever gets it here.  What does not fit is left out from the end, which
//  a message of this version never needs.  expires: its time goes on here.
void
trn_origin_seal (const trn_origin_t *origin, const trn_record_t *record,
                 bool expires, trn_propset_t *to);

//  False if the record is not such a copy.
bool
trn_origin_read (const trn_record_t *record, trn_origin_t *origin);

#endif
