//  peer/message.h - what a message is inside
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_MESSAGE_H
#define TRN_MESSAGE_H

#include "wire/props.h"
#include "wire/record.h"

#include <tern/message.h>

typedef struct trn_parcel trn_parcel_t;

struct tern_msg {
    trn_record_t record;   //  what it says; points into the run or below
    trn_parcel_t *parcel;  //  received: what it came in, one reference
    bool lent;             //  belongs to the consumer, not to the application
    bool settled;
    char *own_body;  //  outgoing
    char *own_key;
    trn_propset_t headers;  //  outgoing
    char *id;               //  made when asked for
};

//  Release what it holds; the struct stays and is empty.
void
trn_msg_clear (tern_msg_t *self);

#endif
