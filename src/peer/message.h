//  peer/message.h - what a message is inside
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_MESSAGE_H
#define TRN_MESSAGE_H

#include "wire/manifest.h"
#include "wire/props.h"
#include "wire/record.h"

#include <tern/message.h>

//  Tern's own properties, see docs/spec/3-RECORD.md; also TRN_OWN_LARGE.
#define TRN_OWN_PRIORITY "tern.pri"
#define TRN_OWN_EXPIRES "tern.exp"
#define TRN_OWN_DUE "tern.due"
#define TRN_OWN_ORDER "tern.ord"
#define TRN_OWN_REPLY "tern.rep"
#define TRN_OWN_CORRELATION "tern.cor"
#define TRN_OWN_TARGETS "tern.to"
#define TRN_OWN_NUMBER "tern.num"
#define TRN_OWN_ID "tern.id"
#define TRN_OWN_STORE "tern.store"
#define TRN_OWN_ORIGIN "tern.in"
#define TRN_OWN_DEAD "tern.dead."
#define TRN_OWN_DEAD_ID "tern.dead.id"
#define TRN_OWN_DEAD_QUEUE "tern.dead.queue"
#define TRN_OWN_DEAD_REASON "tern.dead.reason"
#define TRN_OWN_DEAD_COUNT "tern.dead.count"
#define TRN_OWN_DEAD_CONSUMER "tern.dead.consumer"
#define TRN_OWN_DEAD_TIME "tern.dead.time"
#define TRN_OWN_DEAD_OUTBOX "tern.dead.outbox"
#define TRN_OWN_DEAD_SEQ "tern.dead.seq"

typedef struct trn_parcel trn_parcel_t;

struct tern_msg {
    trn_record_t record;   //  what it says; points into the run or below
    trn_parcel_t *parcel;  //  received: what it came in, one reference
    bool lent;             //  belongs to the consumer, not to the application
    bool settled;
    bool large;      //  outgoing: a manifest
    char *own_body;  //  outgoing
    char *own_key;
    trn_propset_t props;    //  outgoing: headers, and Tern's own but for times
    uint32_t header_count;  //  outgoing: of these, the application's
    uint64_t ttl_ms;        //  outgoing: from acceptance, 0 none
    uint64_t delay_ms;
    char *id;      //  made when asked for
    char *outbox;  //  the same, of a replayed message
};

//  Release what it holds; the struct stays and is empty.
void
trn_msg_clear (tern_msg_t *self);

//  What is known of an outgoing message only when it is sent.
typedef struct {
    uint64_t wall_ms;  //  now
    uint64_t number;   //  of idempotent publishing, 0 none
    const uint32_t *targets;
    size_t target_count;  //  0: not routed
    uint64_t routes;      //  of the box, before it was routed
    bool stale;           //  a queue came since: it has to be routed again
} trn_seal_t;

//  The record as it is stored: its flags and properties, which are built in
//  scratch (the caller's to clear) if the message's own do not say all.  0, or
//  TERN_ETOOBIG if they do not fit.
int
trn_msg_seal (const tern_msg_t *self, const trn_seal_t *seal,
              trn_propset_t *scratch, trn_record_t *record);

#endif
