//  tests/system/stranger.c - somebody who speaks to a peer on bare ZeroMQ
//
//  SPDX-License-Identifier: MPL-2.0

#include "stranger.h"

#include "scene.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define PART_MAX 4096

void
stranger_open (stranger_t *self, const char *endpoint, const void *id,
               size_t id_size)
{
    *self = (stranger_t) {.context = zmq_ctx_new ()};
    self->socket = zmq_socket (self->context, ZMQ_DEALER);
    const int none = 0;
    const int many = 100000;
    zmq_setsockopt (self->socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt (self->socket, ZMQ_SNDHWM, &many, sizeof many);
    if (id_size > 0) {
        zmq_setsockopt (self->socket, ZMQ_ROUTING_ID, id, id_size);
    }
    const int rc = zmq_connect (self->socket, endpoint);
    assert (rc == 0);
    (void) rc;
}

void
stranger_close (stranger_t *self)
{
    zmq_close (self->socket);
    zmq_ctx_term (self->context);
}

void
stranger_say (stranger_t *self, const void *part, size_t size,
              const void *second, size_t second_size)
{
    zmq_send (self->socket, part, size, second ? ZMQ_SNDMORE : 0);
    if (second) {
        zmq_send (self->socket, second, second_size, 0);
    }
}

void
stranger_frame (stranger_t *self, const trn_frame_t *frame, const void *run,
                size_t run_size)
{
    uint8_t bytes[TRN_CONTROL_MAX];
    const size_t size = trn_frame_encode (frame, bytes, sizeof bytes);
    stranger_say (self, bytes, size, run, run_size);
}

bool
stranger_hears (stranger_t *self, trn_frame_type_t type, trn_frame_t *frame)
{
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    for (;;) {
        zmq_pollitem_t item = {self->socket, 0, ZMQ_POLLIN, 0};
        const int64_t left = until - scene_now_ms ();
        if (left <= 0 || zmq_poll (&item, 1, left) != 1) {
            return false;
        }
        uint8_t bytes[TRN_CONTROL_MAX];
        const int size
            = zmq_recv (self->socket, bytes, sizeof bytes, ZMQ_DONTWAIT);
        if (size <= 0 || (size_t) size > sizeof bytes
            || trn_frame_decode (frame, bytes, (size_t) size) != 0) {
            continue;
        }
        if (frame->type == type) {
            return true;
        }
        if (frame->type == TRN_PING) {
            trn_frame_t pong
                = {.type = TRN_PONG, .connection = frame->connection};
            pong.pong.nonce = frame->ping.nonce;
            stranger_frame (self, &pong, NULL, 0);
        }
    }
}

trn_frame_t
stranger_begins (stranger_t *self, const char *name, const char *queue)
{
    self->name = name;
    self->queue = queue;
    memset (self->store_uuid, 0, sizeof self->store_uuid);
    memcpy (self->store_uuid, name, strlen (name) < 16 ? strlen (name) : 16);
    trn_frame_t frame = {.type = TRN_HELLO};
    frame.hello.version_min = TRN_PROTOCOL_MIN;
    frame.hello.version_max = TRN_PROTOCOL_MAX;
    frame.hello.who = (trn_identity_t) {.name = trn_text (name),
                                        .incarnation = 1,
                                        .random = 7,
                                        .frame_max = TRN_FRAME_MAX};
    memcpy (frame.hello.who.store_uuid, self->store_uuid, 16);
    stranger_frame (self, &frame, NULL, 0);

    trn_frame_t answer = {.type = TRN_BYE};
    if (!stranger_hears (self, TRN_WELCOME, &answer)) {
        return (trn_frame_t) {.type = TRN_BYE};
    }
    self->connection = answer.connection;
    frame = (trn_frame_t) {.type = TRN_OFFER, .connection = self->connection};
    frame.offer.flow = 1;
    frame.offer.queue = trn_text (queue);
    frame.offer.outbox = trn_text (queue);
    frame.offer.low = 1;
    frame.offer.high = 1000000;
    stranger_frame (self, &frame, NULL, 0);
    //  Said again, it asks for credit that others hold.
    stranger_frame (self, &frame, NULL, 0);
    do {
        if (!stranger_hears (self, TRN_CREDIT, &answer)) {
            return (trn_frame_t) {.type = TRN_BYE};
        }
    } while (answer.credit.messages == 0);
    return answer;
}

size_t
stranger_record (const stranger_t *self, uint8_t *at, uint64_t seq,
                 int64_t offset, const char *text)
{
    const trn_record_t record = {
        .kind = TRN_RECORD_MESSAGE,
        .seq = seq,
        .stamp_us = 1,
        .incarnation = 1,
        .body = (const uint8_t *) text,
        .body_size = (uint32_t) strlen (text),
    };
    trn_record_write (at, &record,
                      trn_record_seed (self->store_uuid, self->queue, 1),
                      offset);
    return trn_record_size (&record);
}

trn_frame_t
stranger_data (const stranger_t *self, uint64_t token, uint64_t from,
               uint32_t count, int64_t offset)
{
    trn_frame_t frame = {.type = TRN_DATA, .connection = self->connection};
    frame.data.flow = 1;
    frame.data.token = token;
    frame.data.low = 1;
    frame.data.segment = 1;
    frame.data.offset = (uint64_t) offset;
    frame.data.first_seq = from;
    frame.data.count = count;
    frame.data.deliveries = 1;
    return frame;
}

//  A frame that is right, or nearly.
static size_t
s_nearly (const stranger_t *self, test_random_t *random, uint8_t *bytes)
{
    trn_frame_t frame = {
        .type
        = (trn_frame_type_t) (1 + test_random_below (random, TRN_FRAME_LAST))};
    frame.connection = frame.type == TRN_HELLO || frame.type == TRN_REFUSE ? 0
                       : test_random_below (random, 2) && self->connection
                           ? self->connection
                           : 1 + test_random_wide (random) / 2;
    switch (frame.type) {
    case TRN_HELLO:
    case TRN_WELCOME:
        frame.hello.version_min = 1;
        frame.hello.version_max = 1;
        frame.hello.who.name = trn_text ("stranger-1");
        frame.hello.who.incarnation = 1 + test_random_below (random, 3);
        frame.hello.who.frame_max = TRN_FRAME_MAX;
        frame.hello.who.store_uuid[0] = (uint8_t) test_random (random);
        if (frame.type == TRN_WELCOME) {
            const trn_identity_t who = frame.hello.who;
            frame.welcome.version = 1;
            frame.welcome.who = who;
        }
        break;
    case TRN_REFUSE:
        frame.refuse.reason = TRN_REFUSE_FULL;
        frame.refuse.text = trn_text ("no");
        break;
    case TRN_OFFER:
        frame.offer.flow = (uint32_t) test_random_below (random, 5);
        frame.offer.queue = trn_text ("hello");
        frame.offer.outbox = trn_text ("hello");
        frame.offer.low = 1 + test_random_below (random, 100);
        frame.offer.high = frame.offer.low + test_random_below (random, 1000);
        break;
    case TRN_DATA:
        frame = stranger_data (self, test_random (random),
                               1 + test_random_wide (random) / 2, 1, 128);
        frame.connection = self->connection ? self->connection : 1;
        break;
    case TRN_FLOOR:
        frame.floor.flow = (uint32_t) test_random_below (random, 5);
        frame.floor.low = 1 + test_random_wide (random) / 2;
        break;
    case TRN_SETTLE:
        frame.settle.count = 1;
        frame.settle.entries[0] = (trn_settle_t) {1, TRN_ACCEPTED, 1, 5};
        break;
    case TRN_BYE: frame.bye.reason = trn_text ("\x1b[31m%s%n"); break;
    case TRN_ACCEPT:
    case TRN_CREDIT:
    case TRN_CANCEL:
    case TRN_RETIRE:
    case TRN_PING:
    case TRN_PONG: break;
    case TRN_SEEK:
        frame.seek.seat = (uint32_t) test_random_below (random, 3);
        frame.seek.service = trn_text ("hello");
        break;
    case TRN_ROOM: frame.room.seat = 1; break;
    case TRN_CALL:
        frame.call.seat = (uint32_t) test_random_below (random, 3);
        frame.call.call = 1 + test_random_below (random, 100);
        frame.call.answers = 1;
        frame.call.bytes = 1;
        break;
    case TRN_ANSWER:
        frame.answer.call = 1 + test_random_below (random, 100);
        frame.answer.number = 1;
        break;
    case TRN_FAIL:
        frame.fail.call = 1 + test_random_below (random, 100);
        frame.fail.reason = TRN_FAIL_FAILED;
        frame.fail.text = trn_text ("no");
        break;
    case TRN_TAKE:
        frame.take.call = 1 + test_random_below (random, 100);
        frame.take.answers = test_random_wide (random) / 2 + 1;
        frame.take.bytes = 1;
        break;
    case TRN_ABANDON:
        frame.abandon.call = 1 + test_random_below (random, 100);
        break;
    }
    size_t size = trn_frame_encode (&frame, bytes, TRN_CONTROL_MAX);
    for (uint64_t changes = test_random_below (random, 3); changes; changes--) {
        bytes[test_random_below (random, size)]
            ^= (uint8_t) test_random (random);
    }
    if (test_random_below (random, 8) == 0) {
        size = test_random_below (random, size + 1);
    }
    return size;
}

void
stranger_babbles (stranger_t *self, test_random_t *random, unsigned messages)
{
    static uint8_t bytes[TRN_CONTROL_MAX];
    for (unsigned message = 0; message < messages; message++) {
        uint64_t parts = test_random_below (random, 4)
                             ? 1
                             : 1 + test_random_below (random, 12);
        for (; parts; parts--) {
            size_t size;
            if (test_random_below (random, 2)) {
                size = s_nearly (self, random, bytes);
            } else {
                size = test_random_below (random, PART_MAX)
                       >> test_random_below (random, 12);
                for (size_t index = 0; index < size; index++) {
                    bytes[index] = (uint8_t) test_random (random);
                }
            }
            zmq_send (self->socket, bytes, size, parts > 1 ? ZMQ_SNDMORE : 0);
        }
    }
}
