//  tests/system/stranger.h - somebody who speaks to a peer on bare ZeroMQ
//
//  Has a context, sockets and options of its own, none of our limits, and says
//  whatever a test wants: nonsense, or the protocol's own frames at the wrong
//  time.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_STRANGER_H
#define TEST_STRANGER_H

#include "support/seed.h"
#include "wire/frame.h"
#include "wire/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    void *context;
    void *socket;
    uint64_t connection;  //  as WELCOME gave it
    uint8_t store_uuid[16];
    const char *name;
    const char *queue;
} stranger_t;

//  A DEALER connected to endpoint; id chosen if id_size > 0.
void
stranger_open (stranger_t *self, const char *endpoint, const void *id,
               size_t id_size);

void
stranger_close (stranger_t *self);

//  One message of one or two parts.
void
stranger_say (stranger_t *self, const void *part, size_t size,
              const void *second, size_t second_size);

//  A frame as the protocol has it, with a run or NULL.
void
stranger_frame (stranger_t *self, const trn_frame_t *frame, const void *run,
                size_t run_size);

//  Next frame of this type within the deadline; others are skipped.  false at
//  the deadline.  Texts in frame are gone.
bool
stranger_hears (stranger_t *self, trn_frame_type_t type, trn_frame_t *frame);

//  HELLO and OFFER as publisher `name` of an outbox for `queue`, up to the
//  first CREDIT, which it returns.
trn_frame_t
stranger_begins (stranger_t *self, const char *name, const char *queue);

//  One record with this seq and text as it would lie at offset of segment 1;
//  returns its size.
size_t
stranger_record (const stranger_t *self, uint8_t *at, uint64_t seq,
                 int64_t offset, const char *text);

//  The DATA frame for records from..to at offset, under token.
trn_frame_t
stranger_data (const stranger_t *self, uint64_t token, uint64_t from,
               uint32_t count, int64_t offset);

//  Random messages of 1 to 12 parts: bytes, empty ones, and frames of the
//  protocol with some bytes changed.
void
stranger_babbles (stranger_t *self, test_random_t *random, unsigned messages);

#endif
