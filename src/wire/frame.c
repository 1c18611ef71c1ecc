//  wire/frame.c - the frames of the link
//
//  Knows: the order of fields in every frame and the range of every field.
//  Hides: msgpack.  docs/spec/1-LINK.md has one table per frame; each pair of
//  functions below is one table.
//
//  Decoding reads fields straight down; the reader keeps the first failure, so
//  a frame is good if nothing failed by its last known field.  What follows
//  that field comes from a later version and has been scanned, so it is left
//  alone (T-102).
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/frame.h"

#include "wire/field.h"

#include <tern/error.h>

#include <assert.h>

//  Without type and connection, and without what may be absent.
#define OFFER_FIELDS 5u
#define ACCEPT_FIELDS 3u
#define DATA_FIELDS 9u

//  Pieces that several frames share ----------------------------------------

static void
s_pack_identity (trn_packer_t *out, const trn_identity_t *who)
{
    trn_pack_array (out, 6);
    trn_pack_text (out, who->name);
    trn_pack_bytes (out, who->store_uuid, sizeof who->store_uuid);
    trn_pack_uint (out, who->incarnation);
    trn_pack_uint (out, who->random);
    trn_pack_uint (out, who->features);
    trn_pack_uint (out, who->frame_max);
}

static void
s_unpack_identity (trn_unpack_t *in, trn_identity_t *who)
{
    const uint32_t more = trn_unpack_fields (in, 6);
    who->name = trn_field_name (in);
    trn_unpack_fixed (in, who->store_uuid, sizeof who->store_uuid);
    who->incarnation = trn_field_u64 (in);
    who->random = trn_field_u64 (in);
    who->features = trn_field_u64 (in);
    who->frame_max = trn_unpack_uint (in, TRN_CONTROL_MAX, UINT64_MAX);
    trn_unpack_skip (in, more);
}

//  Ranges are one flat list: from, to, from, to.
static void
s_pack_ranges (trn_packer_t *out, const trn_range_t *ranges, uint32_t count)
{
    assert (count <= TRN_RANGES_MAX);
    trn_pack_array (out, count * 2);
    for (uint32_t index = 0; index < count; index++) {
        trn_pack_uint (out, ranges[index].from);
        trn_pack_uint (out, ranges[index].to);
    }
}

//  Ascending and disjoint, none below low.
static uint32_t
s_unpack_ranges (trn_unpack_t *in, uint64_t low, trn_range_t *ranges)
{
    const uint32_t numbers = trn_unpack_array (in, TRN_RANGES_MAX * 2);
    if (numbers % 2) {
        trn_unpack_fail (in, TERN_EPROTO);
    }
    for (uint32_t index = 0; index < numbers / 2; index++) {
        ranges[index].from = trn_unpack_uint (in, low, TRN_SEQ_MAX);
        ranges[index].to
            = trn_unpack_uint (in, ranges[index].from, TRN_SEQ_MAX);
        low = ranges[index].to + 1;
    }
    return numbers / 2;
}

//  Opening a link ----------------------------------------------------------

static void
s_unpack_hello (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->hello.version_min = trn_unpack_uint (in, 1, UINT32_MAX);
    frame->hello.version_max
        = trn_unpack_uint (in, frame->hello.version_min, UINT32_MAX);
    s_unpack_identity (in, &frame->hello.who);
}

static void
s_unpack_welcome (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->welcome.version = trn_unpack_uint (in, 1, UINT32_MAX);
    s_unpack_identity (in, &frame->welcome.who);
}

//  A reason that this version does not know is still a refusal.
static void
s_unpack_refuse (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->refuse.reason = (trn_refusal_t) trn_field_u32 (in, 1, UINT8_MAX);
    frame->refuse.text = trn_field_words (in);
}

//  Flows -------------------------------------------------------------------

static void
s_pack_offer (trn_packer_t *out, const trn_frame_t *frame)
{
    trn_pack_uint (out, frame->offer.flow);
    trn_pack_text (out, frame->offer.queue);
    trn_pack_text (out, frame->offer.outbox);
    trn_pack_uint (out, frame->offer.low);
    trn_pack_uint (out, frame->offer.high);
    if (frame->offer.number) {
        trn_pack_uint (out, frame->offer.number);
    }
}

//  low = high + 1 says that nothing is left to send.  fields: how many follow, of
//  which the last may be absent.
static void
s_unpack_offer (trn_unpack_t *in, uint32_t fields, trn_frame_t *frame)
{
    frame->offer.flow = trn_field_u32 (in, 0, UINT32_MAX);
    frame->offer.queue = trn_field_subscribed (in);
    frame->offer.outbox = trn_field_outbox (in);
    frame->offer.low = trn_field_seq (in, 1);
    frame->offer.high = trn_field_seq (in, 0);
    frame->offer.number
        = fields > OFFER_FIELDS ? trn_field_u32 (in, 1, UINT32_MAX) : 0;
}

static void
s_pack_accept (trn_packer_t *out, const trn_frame_t *frame)
{
    trn_pack_uint (out, frame->accept.flow);
    trn_pack_uint (out, frame->accept.seen);
    s_pack_ranges (out, frame->accept.ranges, frame->accept.range_count);
    if (frame->accept.told || frame->accept.flags) {
        trn_pack_uint (out, frame->accept.told);
    }
    if (frame->accept.flags) {
        trn_pack_uint (out, frame->accept.flags);
    }
}

//  fields: how many follow, of which the last two may be absent.
static void
s_unpack_accept (trn_unpack_t *in, uint32_t fields, trn_frame_t *frame)
{
    frame->accept.flow = trn_field_u32 (in, 0, UINT32_MAX);
    frame->accept.seen = trn_field_seq (in, 0);
    frame->accept.range_count = s_unpack_ranges (in, 1, frame->accept.ranges);
    frame->accept.told = fields > ACCEPT_FIELDS ? trn_field_seq (in, 0) : 0;
    frame->accept.flags
        = fields > ACCEPT_FIELDS + 1 ? trn_field_u32 (in, 0, UINT32_MAX) : 0;
}

static void
s_pack_credit (trn_packer_t *out, const trn_frame_t *frame)
{
    trn_pack_uint (out, frame->credit.flow);
    trn_pack_uint (out, frame->credit.messages);
    trn_pack_uint (out, frame->credit.bytes);
}

static void
s_unpack_credit (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->credit.flow = trn_field_u32 (in, 0, UINT32_MAX);
    frame->credit.messages = trn_field_seq (in, 0);
    frame->credit.bytes = trn_field_seq (in, 0);
}

static void
s_pack_data (trn_packer_t *out, const trn_frame_t *frame)
{
    trn_pack_uint (out, frame->data.flow);
    trn_pack_uint (out, frame->data.token);
    trn_pack_uint (out, frame->data.low);
    trn_pack_uint (out, frame->data.segment);
    trn_pack_uint (out, frame->data.offset);
    trn_pack_uint (out, frame->data.first_seq);
    trn_pack_uint (out, frame->data.count);
    trn_pack_uint (out, frame->data.deliveries);
    trn_pack_uint (out, frame->data.flags);
    if (frame->data.missed) {
        trn_pack_uint (out, frame->data.missed);
        trn_pack_uint (out, frame->data.told);
    }
}

//  fields: how many follow, of which the last two may be absent.
static void
s_unpack_data (trn_unpack_t *in, uint32_t fields, trn_frame_t *frame)
{
    frame->data.flow = trn_field_u32 (in, 0, UINT32_MAX);
    frame->data.token = trn_field_u64 (in);
    frame->data.low = trn_field_seq (in, 1);
    frame->data.segment = trn_field_u64 (in);
    frame->data.offset = trn_unpack_uint (in, 0, TRN_OFFSET_MAX);
    frame->data.first_seq = trn_field_seq (in, 1);
    frame->data.count = trn_field_u32 (in, 1, UINT32_MAX);
    frame->data.deliveries = trn_field_u32 (in, 1, UINT32_MAX);
    frame->data.flags = trn_field_u32 (in, 0, UINT32_MAX);
    frame->data.missed = frame->data.told = 0;
    if (fields >= DATA_FIELDS + 2) {
        frame->data.missed = trn_field_seq (in, 1);
        frame->data.told = trn_unpack_uint (in, 0, frame->data.missed);
    }
    if (frame->data.count > TRN_RUN_COUNT) {
        trn_unpack_fail (in, TERN_ETOOBIG);
    }
    if (frame->data.offset % 8
        || frame->data.count > TRN_SEQ_MAX - frame->data.first_seq) {
        trn_unpack_fail (in, TERN_EPROTO);
    }
}

static void
s_pack_settle (trn_packer_t *out, const trn_frame_t *frame)
{
    assert (frame->settle.count <= TRN_SETTLES_MAX);
    trn_pack_uint (out, frame->settle.flow);
    trn_pack_array (out, frame->settle.count);
    for (uint32_t index = 0; index < frame->settle.count; index++) {
        const trn_settle_t *entry = &frame->settle.entries[index];
        trn_pack_array (out, 4);
        trn_pack_uint (out, entry->token);
        trn_pack_uint (out, entry->outcome);
        trn_pack_uint (out, entry->from);
        trn_pack_uint (out, entry->to);
    }
}

static void
s_unpack_settle (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->settle.flow = trn_field_u32 (in, 0, UINT32_MAX);
    frame->settle.count = trn_unpack_array (in, TRN_SETTLES_MAX);
    for (uint32_t index = 0; index < frame->settle.count; index++) {
        trn_settle_t *entry = &frame->settle.entries[index];
        const uint32_t more = trn_unpack_fields (in, 4);
        entry->token = trn_field_u64 (in);
        entry->outcome
            = (trn_outcome_t) trn_unpack_uint (in, TRN_ACCEPTED, TRN_STORED);
        entry->from = trn_field_seq (in, 1);
        entry->to = trn_field_seq (in, entry->from);
        trn_unpack_skip (in, more);
    }
}

static void
s_pack_floor (trn_packer_t *out, const trn_frame_t *frame)
{
    trn_pack_uint (out, frame->floor.flow);
    trn_pack_uint (out, frame->floor.low);
    s_pack_ranges (out, frame->floor.ranges, frame->floor.range_count);
}

static void
s_unpack_floor (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->floor.flow = trn_field_u32 (in, 0, UINT32_MAX);
    frame->floor.low = trn_field_seq (in, 1);
    frame->floor.range_count
        = s_unpack_ranges (in, frame->floor.low, frame->floor.ranges);
}

//  Calls -------------------------------------------------------------------

static void
s_pack_call (trn_packer_t *out, const trn_frame_t *frame)
{
    trn_pack_uint (out, frame->call.seat);
    trn_pack_uint (out, frame->call.call);
    trn_pack_uint (out, frame->call.left_ms);
    trn_pack_uint (out, frame->call.answers);
    trn_pack_uint (out, frame->call.bytes);
    trn_pack_uint (out, frame->call.flags);
}

static void
s_unpack_call (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->call.seat = trn_field_u32 (in, 0, UINT32_MAX);
    frame->call.call = trn_field_seq (in, 1);
    frame->call.left_ms = trn_field_u32 (in, 0, UINT32_MAX);
    frame->call.answers = trn_field_seq (in, 1);
    frame->call.bytes = trn_field_seq (in, 1);
    frame->call.flags = trn_field_u32 (in, 0, UINT32_MAX);
}

static void
s_unpack_answer (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->answer.call = trn_field_seq (in, 1);
    frame->answer.number = trn_field_seq (in, 1);
    frame->answer.flags = trn_field_u32 (in, 0, UINT32_MAX);
}

//  A reason that this version does not know is still a failure.
static void
s_unpack_fail (trn_unpack_t *in, trn_frame_t *frame)
{
    frame->fail.call = trn_field_seq (in, 1);
    frame->fail.reason = (trn_failure_t) trn_field_u32 (in, 1, UINT8_MAX);
    frame->fail.text = trn_field_words (in);
}

static void
s_pack_call_frame (trn_packer_t *out, const trn_frame_t *frame)
{
    if (frame->type == TRN_SEEK) {
        trn_pack_uint (out, frame->seek.seat);
        trn_pack_text (out, frame->seek.service);
    } else if (frame->type == TRN_ROOM) {
        trn_pack_uint (out, frame->room.seat);
        trn_pack_uint (out, frame->room.calls);
    } else if (frame->type == TRN_CALL) {
        s_pack_call (out, frame);
    } else if (frame->type == TRN_ANSWER) {
        trn_pack_uint (out, frame->answer.call);
        trn_pack_uint (out, frame->answer.number);
        trn_pack_uint (out, frame->answer.flags);
    } else if (frame->type == TRN_FAIL) {
        trn_pack_uint (out, frame->fail.call);
        trn_pack_uint (out, frame->fail.reason);
        trn_field_pack_words (out, frame->fail.text);
    } else if (frame->type == TRN_TAKE) {
        trn_pack_uint (out, frame->take.call);
        trn_pack_uint (out, frame->take.answers);
        trn_pack_uint (out, frame->take.bytes);
    } else {
        trn_pack_uint (out, frame->abandon.call);
    }
}

static void
s_unpack_call_frame (trn_unpack_t *in, trn_frame_t *frame)
{
    if (frame->type == TRN_SEEK) {
        frame->seek.seat = trn_field_u32 (in, 0, UINT32_MAX);
        frame->seek.service = trn_field_place (in);
    } else if (frame->type == TRN_ROOM) {
        frame->room.seat = trn_field_u32 (in, 0, UINT32_MAX);
        frame->room.calls = trn_field_u32 (in, 0, UINT32_MAX);
    } else if (frame->type == TRN_CALL) {
        s_unpack_call (in, frame);
    } else if (frame->type == TRN_ANSWER) {
        s_unpack_answer (in, frame);
    } else if (frame->type == TRN_FAIL) {
        s_unpack_fail (in, frame);
    } else if (frame->type == TRN_TAKE) {
        frame->take.call = trn_field_seq (in, 1);
        frame->take.answers = trn_field_seq (in, 1);
        frame->take.bytes = trn_field_seq (in, 1);
    } else {
        frame->abandon.call = trn_field_seq (in, 1);
    }
}

//  Any frame ---------------------------------------------------------------

static const char *const s_names[] = {
    "?",      "HELLO", "WELCOME", "REFUSE",  "OFFER",  "ACCEPT",
    "CREDIT", "DATA",  "SETTLE",  "FLOOR",   "CANCEL", "RETIRE",
    "PING",   "PONG",  "BYE",     "SEEK",    "ROOM",   "CALL",
    "ANSWER", "FAIL",  "TAKE",    "ABANDON",
};

const char *
trn_frame_name (trn_frame_type_t type)
{
    const size_t index = (size_t) type;
    return s_names[index <= TRN_FRAME_LAST ? index : 0];
}

static void
s_pack_fields (trn_packer_t *out, const trn_frame_t *frame)
{
    switch (frame->type) {
    case TRN_HELLO:
        trn_pack_uint (out, frame->hello.version_min);
        trn_pack_uint (out, frame->hello.version_max);
        s_pack_identity (out, &frame->hello.who);
        break;
    case TRN_WELCOME:
        trn_pack_uint (out, frame->welcome.version);
        s_pack_identity (out, &frame->welcome.who);
        break;
    case TRN_REFUSE:
        trn_pack_uint (out, frame->refuse.reason);
        trn_field_pack_words (out, frame->refuse.text);
        break;
    case TRN_OFFER: s_pack_offer (out, frame); break;
    case TRN_ACCEPT: s_pack_accept (out, frame); break;
    case TRN_CREDIT: s_pack_credit (out, frame); break;
    case TRN_DATA: s_pack_data (out, frame); break;
    case TRN_SETTLE: s_pack_settle (out, frame); break;
    case TRN_FLOOR: s_pack_floor (out, frame); break;
    case TRN_CANCEL: trn_pack_uint (out, frame->cancel.flow); break;
    case TRN_RETIRE: trn_pack_uint (out, frame->retire.flow); break;
    case TRN_PING: trn_pack_uint (out, frame->ping.nonce); break;
    case TRN_PONG: trn_pack_uint (out, frame->pong.nonce); break;
    case TRN_BYE: trn_field_pack_words (out, frame->bye.reason); break;
    case TRN_SEEK:
    case TRN_ROOM:
    case TRN_CALL:
    case TRN_ANSWER:
    case TRN_FAIL:
    case TRN_TAKE:
    case TRN_ABANDON: s_pack_call_frame (out, frame); break;
    }
}

//  How many elements the outer array of each type has, type and connection
//  included.
static const uint8_t s_counts[]
    = {0, 5, 4, 4, 7, 5, 5, 11, 4, 5, 3, 3, 3, 3, 3, 4, 4, 8, 5, 5, 5, 3};

//  What is optional stands last, and is there if something needs it.
static uint32_t
s_count (const trn_frame_t *frame)
{
    uint32_t more = 0;
    if (frame->type == TRN_DATA) {
        more = frame->data.missed ? 2 : 0;
    } else if (frame->type == TRN_OFFER) {
        more = frame->offer.number ? 1 : 0;
    } else if (frame->type == TRN_ACCEPT) {
        more = frame->accept.flags ? 2 : frame->accept.told ? 1 : 0;
    }
    return s_counts[frame->type] + more;
}

size_t
trn_frame_encode (const trn_frame_t *frame, uint8_t *to, size_t capacity)
{
    assert (frame && to);
    assert (frame->type >= TRN_HELLO && frame->type <= TRN_FRAME_LAST);
    trn_packer_t out;
    trn_packer_start (&out, to, capacity);
    trn_pack_array (&out, s_count (frame));
    trn_pack_uint (&out, frame->type);
    trn_pack_uint (&out, frame->connection);
    s_pack_fields (&out, frame);
    assert (!out.full);
    return out.used;
}

static void
s_unpack_frame (trn_unpack_t *in, uint32_t fields, trn_frame_t *frame)
{
    switch (frame->type) {
    case TRN_HELLO: s_unpack_hello (in, frame); break;
    case TRN_WELCOME: s_unpack_welcome (in, frame); break;
    case TRN_REFUSE: s_unpack_refuse (in, frame); break;
    case TRN_OFFER: s_unpack_offer (in, fields, frame); break;
    case TRN_ACCEPT: s_unpack_accept (in, fields, frame); break;
    case TRN_CREDIT: s_unpack_credit (in, frame); break;
    case TRN_DATA: s_unpack_data (in, fields, frame); break;
    case TRN_SETTLE: s_unpack_settle (in, frame); break;
    case TRN_FLOOR: s_unpack_floor (in, frame); break;
    case TRN_CANCEL:
        frame->cancel.flow = trn_field_u32 (in, 0, UINT32_MAX);
        break;
    case TRN_RETIRE:
        frame->retire.flow = trn_field_u32 (in, 0, UINT32_MAX);
        break;
    case TRN_PING: frame->ping.nonce = trn_field_u64 (in); break;
    case TRN_PONG: frame->pong.nonce = trn_field_u64 (in); break;
    case TRN_BYE: frame->bye.reason = trn_field_words (in); break;
    case TRN_SEEK:
    case TRN_ROOM:
    case TRN_CALL:
    case TRN_ANSWER:
    case TRN_FAIL:
    case TRN_TAKE:
    case TRN_ABANDON: s_unpack_call_frame (in, frame); break;
    }
}

int
trn_frame_decode (trn_frame_t *frame, const uint8_t *bytes, size_t size)
{
    assert (frame && (bytes || !size));
    if (size > TRN_CONTROL_MAX) {
        return TERN_ETOOBIG;
    }
    const int rc
        = trn_pack_scan (bytes, size, TRN_PACK_DEPTH, TRN_PACK_ELEMENTS);
    if (rc) {
        return rc;
    }
    trn_unpack_t in;
    trn_unpack_start (&in, bytes, size);
    const uint32_t fields = trn_unpack_fields (&in, 2);
    const uint64_t type = trn_unpack_uint (&in, 1, UINT32_MAX);
    frame->connection = trn_field_u64 (&in);
    if (in.error) {
        return in.error;
    }
    if (type > TRN_FRAME_LAST) {
        return TERN_EVERSION;
    }
    frame->type = (trn_frame_type_t) type;

    //  Before a link has a number, and only then, its frames carry none.
    const bool outside = type == TRN_HELLO || type == TRN_REFUSE;
    if (outside != (frame->connection == 0)) {
        return TERN_EPROTO;
    }
    s_unpack_frame (&in, fields, frame);
    return in.error;
}
