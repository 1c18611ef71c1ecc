//  test_wire_frame - the frames of the link
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/frame.h"

#include "support/packed.h"
#include "support/seed.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

//  One good frame of a type; its numbers are inside their ranges with room on
//  both sides.
static void
s_sample (trn_frame_t *frame, trn_frame_type_t type)
{
    memset (frame, 0, sizeof *frame);
    frame->type = type;
    frame->connection = type == TRN_HELLO || type == TRN_REFUSE ? 0 : 99;
    trn_identity_t who = {.name = trn_text ("orders-1"),
                          .incarnation = 7,
                          .random = 0x1122334455667788u,
                          .features = 5,
                          .frame_max = TRN_FRAME_MAX};
    memcpy (who.store_uuid, "0123456789abcdef", 16);
    switch (type) {
    case TRN_HELLO:
        frame->hello.version_min = 2;
        frame->hello.version_max = 5;
        frame->hello.who = who;
        break;
    case TRN_WELCOME:
        frame->welcome.version = 1;
        frame->welcome.who = who;
        break;
    case TRN_REFUSE:
        frame->refuse.reason = TRN_REFUSE_FENCED;
        frame->refuse.text = trn_text ("a newer incarnation is alive");
        break;
    case TRN_OFFER:
        frame->offer.flow = 3;
        frame->offer.queue = trn_text ("@orders-1");
        frame->offer.outbox = trn_text ("hello");
        frame->offer.low = 10;
        frame->offer.high = 1000;
        frame->offer.number = 3;
        break;
    case TRN_ACCEPT:
        frame->accept.flow = 3;
        frame->accept.seen = 500;
        frame->accept.range_count = 2;
        frame->accept.ranges[0] = (trn_range_t) {10, 20};
        frame->accept.ranges[1] = (trn_range_t) {22, 22};
        frame->accept.told = 5;
        frame->accept.flags = TRN_ACCEPT_STORES;
        break;
    case TRN_CREDIT:
        frame->credit.flow = 3;
        frame->credit.messages = 1000;
        frame->credit.bytes = 1 << 20;
        break;
    case TRN_DATA:
        frame->data.flow = 3;
        frame->data.token = UINT64_C (7) << 40 | 12;
        frame->data.low = 10;
        frame->data.segment = 2;
        frame->data.offset = 4096;
        frame->data.first_seq = 21;
        frame->data.count = 100;
        frame->data.deliveries = 2;
        frame->data.flags = TRN_DATA_REDELIVERED;
        frame->data.missed = 9;
        frame->data.told = 4;
        break;
    case TRN_SETTLE:
        frame->settle.flow = 3;
        frame->settle.count = 2;
        frame->settle.entries[0]
            = (trn_settle_t) {UINT64_C (7) << 40 | 12, TRN_ACCEPTED, 21, 60};
        frame->settle.entries[1] = (trn_settle_t) {13, TRN_REJECTED, 61, 61};
        break;
    case TRN_FLOOR:
        frame->floor.flow = 3;
        frame->floor.low = 61;
        frame->floor.range_count = 1;
        frame->floor.ranges[0] = (trn_range_t) {70, 80};
        break;
    case TRN_CANCEL: frame->cancel.flow = 3; break;
    case TRN_RETIRE: frame->retire.flow = 3; break;
    case TRN_PING: frame->ping.nonce = 1; break;
    case TRN_PONG: frame->pong.nonce = 1; break;
    case TRN_BYE: frame->bye.reason = trn_text ("closing"); break;
    case TRN_SEEK:
        frame->seek.seat = 2;
        frame->seek.service = trn_text ("prices");
        break;
    case TRN_ROOM:
        frame->room.seat = 2;
        frame->room.calls = 64;
        break;
    case TRN_CALL:
        frame->call.seat = 2;
        frame->call.call = 77;
        frame->call.left_ms = 5000;
        frame->call.answers = 8;
        frame->call.bytes = 1 << 20;
        frame->call.flags = TRN_CALL_REPEATED;
        break;
    case TRN_ANSWER:
        frame->answer.call = 77;
        frame->answer.number = 3;
        frame->answer.flags = TRN_ANSWER_LAST;
        break;
    case TRN_FAIL:
        frame->fail.call = 77;
        frame->fail.reason = TRN_FAIL_FAILED;
        frame->fail.text = trn_text ("no such price");
        break;
    case TRN_TAKE:
        frame->take.call = 77;
        frame->take.answers = 16;
        frame->take.bytes = 2 << 20;
        break;
    case TRN_ABANDON: frame->abandon.call = 77; break;
    }
}

static void
s_pack (test_packed_t *packed, const trn_frame_t *frame)
{
    packed->size
        = trn_frame_encode (frame, packed->bytes, sizeof packed->bytes);
}

//  Decode from memory of exactly the size, so that one byte too far is caught.
static int
s_decode (trn_frame_t *frame, const test_packed_t *packed)
{
    static uint8_t *copy;
    free (copy);
    copy = malloc (packed->size ? packed->size : 1);
    assert_non_null (copy);
    memcpy (copy, packed->bytes, packed->size);
    return trn_frame_decode (frame, copy, packed->size);
}

//  What decoding then encoding gives: the same bytes, or the error.
static int
s_again (const test_packed_t *packed)
{
    static trn_frame_t frame;
    static test_packed_t again;
    const int rc = s_decode (&frame, packed);
    if (rc == 0) {
        s_pack (&again, &frame);
        assert_int_equal (again.size, packed->size);
        assert_memory_equal (again.bytes, packed->bytes, packed->size);
    }
    return rc;
}

static void
every_frame_comes_back (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t packed;
    for (trn_frame_type_t type = TRN_HELLO; type <= TRN_FRAME_LAST; type++) {
        s_sample (&frame, type);
        s_pack (&packed, &frame);
        assert_true (packed.size <= TRN_CONTROL_MAX);
        assert_int_equal (s_again (&packed), 0);
    }
}

static void
every_field_comes_back_in_its_place (void **state)
{
    (void) state;
    static trn_frame_t sent, got;
    static test_packed_t packed;
    s_sample (&sent, TRN_HELLO);
    s_pack (&packed, &sent);
    assert_int_equal (s_decode (&got, &packed), 0);
    assert_int_equal (got.type, TRN_HELLO);
    assert_true (got.connection == 0 && got.hello.version_min == 2
                 && got.hello.version_max == 5);
    assert_true (trn_text_is (got.hello.who.name, "orders-1"));
    assert_memory_equal (got.hello.who.store_uuid, "0123456789abcdef", 16);
    assert_true (got.hello.who.incarnation == 7 && got.hello.who.features == 5
                 && got.hello.who.random == sent.hello.who.random
                 && got.hello.who.frame_max == TRN_FRAME_MAX);

    s_sample (&sent, TRN_DATA);
    s_pack (&packed, &sent);
    assert_int_equal (s_decode (&got, &packed), 0);
    assert_int_equal (got.type, TRN_DATA);
    assert_true (got.connection == 99 && got.data.flow == 3
                 && got.data.token == sent.data.token && got.data.low == 10
                 && got.data.segment == 2 && got.data.offset == 4096
                 && got.data.first_seq == 21 && got.data.count == 100
                 && got.data.deliveries == 2 && got.data.flags == 1);

    s_sample (&sent, TRN_SETTLE);
    s_pack (&packed, &sent);
    assert_int_equal (s_decode (&got, &packed), 0);
    assert_true (got.settle.flow == 3 && got.settle.count == 2
                 && got.settle.entries[0].token == sent.settle.entries[0].token
                 && got.settle.entries[1].outcome == TRN_REJECTED
                 && got.settle.entries[1].from == 61
                 && got.settle.entries[0].to == 60);

    s_sample (&sent, TRN_OFFER);
    s_pack (&packed, &sent);
    assert_int_equal (s_decode (&got, &packed), 0);
    assert_true (trn_text_is (got.offer.queue, "@orders-1")
                 && trn_text_is (got.offer.outbox, "hello")
                 && got.offer.low == 10 && got.offer.high == 1000
                 && got.offer.number == 3);
}

//  T-104
static void
a_frame_cut_short_is_refused_wherever_it_is_cut (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t packed;
    for (trn_frame_type_t type = TRN_HELLO; type <= TRN_FRAME_LAST; type++) {
        s_sample (&frame, type);
        s_pack (&packed, &frame);
        for (const size_t whole = packed.size; packed.size > 0;) {
            packed.size--;
            assert_true (packed.size < whole);
            assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
        }
    }
}

//  T-104
static void
a_missing_field_is_refused (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t whole, packed;
    for (trn_frame_type_t type = TRN_HELLO; type <= TRN_FRAME_LAST; type++) {
        s_sample (&frame, type);
        if (type == TRN_ACCEPT) {
            frame.accept.flags = 0;  //  may be missing: told comes before
        }
        s_pack (&whole, &frame);
        for (uint32_t keep = 0; keep < test_packed_count (&whole); keep++) {
            packed = whole;
            test_packed_resize (&packed, 0, keep, NULL, 0, 0);
            //  They say what was missed only if something was.
            const bool fine = (type == TRN_DATA && keep >= 11)
                              || (type == TRN_ACCEPT && keep == 5)
                              || (type == TRN_OFFER && keep == 7);
            assert_int_equal (s_decode (&frame, &packed),
                              fine ? 0 : TERN_EPROTO);
            assert_true (!fine || type != TRN_DATA || !frame.data.missed);
            assert_true (!fine || type != TRN_ACCEPT || !frame.accept.told);
            assert_true (!fine || type != TRN_OFFER || !frame.offer.number);
        }
    }
}

//  T-102
static void
fields_of_a_later_version_are_ignored (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t whole, packed;
    static const char later[] = "\x82\xa1k\x92\1\xc0\xa1l\xc4\1\xff\x2a";
    for (trn_frame_type_t type = TRN_HELLO; type <= TRN_FRAME_LAST; type++) {
        s_sample (&frame, type);
        s_pack (&whole, &frame);
        packed = whole;
        test_packed_resize (&packed, 0, test_packed_count (&whole), later,
                            sizeof later - 1, 2);
        assert_int_equal (s_decode (&frame, &packed), 0);
        s_pack (&packed, &frame);
        assert_int_equal (packed.size, whole.size);
        assert_memory_equal (packed.bytes, whole.bytes, whole.size);
    }

    //  The same inside an identity and a settlement, in front of other fields.
    s_sample (&frame, TRN_HELLO);
    s_pack (&packed, &frame);
    test_packed_resize (&packed, test_packed_at (&packed, 0, 4), 6, later,
                        sizeof later - 1, 2);
    assert_int_equal (s_decode (&frame, &packed), 0);
    s_sample (&frame, TRN_SETTLE);
    s_pack (&packed, &frame);
    const size_t entries = test_packed_at (&packed, 0, 3);
    test_packed_resize (&packed, test_packed_at (&packed, entries, 0), 4, later,
                        sizeof later - 1, 2);
    assert_int_equal (s_decode (&frame, &packed), 0);
    assert_true (frame.settle.entries[1].from == 61);
}

#define ANY UINT64_MAX
#define U32 UINT32_MAX
#define SEQ TRN_SEQ_MAX

//  Every number of every frame, with the range that the tables of the
//  specification give it (for the other fields as they are in the sample).
static const struct {
    trn_frame_type_t type;
    test_path_t path;
    uint64_t min, max;
    int beyond;  //  the error above max; below min it is always TERN_EPROTO
} s_numbers[] = {
    {TRN_HELLO, {{2, -1}}, 1, 5, TERN_EPROTO},
    {TRN_HELLO, {{3, -1}}, 2, U32, TERN_EPROTO},
    {TRN_HELLO, {{4, 2, -1}}, 0, ANY, 0},
    {TRN_HELLO, {{4, 3, -1}}, 0, ANY, 0},
    {TRN_HELLO, {{4, 4, -1}}, 0, ANY, 0},
    {TRN_HELLO, {{4, 5, -1}}, TRN_CONTROL_MAX, ANY, 0},
    {TRN_WELCOME, {{2, -1}}, 1, U32, TERN_EPROTO},
    {TRN_WELCOME, {{3, 2, -1}}, 0, ANY, 0},
    {TRN_WELCOME, {{3, 5, -1}}, TRN_CONTROL_MAX, ANY, 0},
    {TRN_REFUSE, {{2, -1}}, 1, 255, TERN_EPROTO},
    {TRN_OFFER, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_OFFER, {{5, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_OFFER, {{6, -1}}, 0, SEQ, TERN_EPROTO},
    {TRN_OFFER, {{7, -1}}, 1, U32, TERN_EPROTO},
    {TRN_ACCEPT, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_ACCEPT, {{3, -1}}, 0, SEQ, TERN_EPROTO},
    {TRN_ACCEPT, {{4, 0, -1}}, 1, 20, TERN_EPROTO},
    {TRN_ACCEPT, {{4, 1, -1}}, 10, 21, TERN_EPROTO},
    {TRN_ACCEPT, {{4, 2, -1}}, 21, 22, TERN_EPROTO},
    {TRN_ACCEPT, {{4, 3, -1}}, 22, SEQ, TERN_EPROTO},
    {TRN_ACCEPT, {{5, -1}}, 0, SEQ, TERN_EPROTO},
    {TRN_CREDIT, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_CREDIT, {{3, -1}}, 0, SEQ, TERN_EPROTO},
    {TRN_CREDIT, {{4, -1}}, 0, SEQ, TERN_EPROTO},
    {TRN_DATA, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_DATA, {{3, -1}}, 0, ANY, 0},
    {TRN_DATA, {{4, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_DATA, {{5, -1}}, 0, ANY, 0},
    {TRN_DATA, {{6, -1}}, 0, TRN_OFFSET_MAX - 7, TERN_EPROTO},
    {TRN_DATA, {{7, -1}}, 1, SEQ - 100, TERN_EPROTO},
    {TRN_DATA, {{8, -1}}, 1, TRN_RUN_COUNT, TERN_ETOOBIG},
    {TRN_DATA, {{9, -1}}, 1, U32, TERN_EPROTO},
    {TRN_DATA, {{10, -1}}, 0, U32, TERN_EPROTO},
    {TRN_DATA, {{11, -1}}, 4, SEQ, TERN_EPROTO},
    {TRN_DATA, {{12, -1}}, 0, 9, TERN_EPROTO},
    {TRN_SETTLE, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_SETTLE, {{3, 0, 0}}, 0, ANY, 0},
    {TRN_SETTLE, {{3, 0, 1}}, TRN_ACCEPTED, TRN_STORED, TERN_EPROTO},
    {TRN_SETTLE, {{3, 0, 2}}, 1, 60, TERN_EPROTO},
    {TRN_SETTLE, {{3, 0, 3}}, 21, SEQ, TERN_EPROTO},
    {TRN_FLOOR, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_FLOOR, {{3, -1}}, 1, 70, TERN_EPROTO},
    {TRN_FLOOR, {{4, 0, -1}}, 61, 80, TERN_EPROTO},
    {TRN_FLOOR, {{4, 1, -1}}, 70, SEQ, TERN_EPROTO},
    {TRN_CANCEL, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_RETIRE, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_PING, {{2, -1}}, 0, ANY, 0},
    {TRN_PONG, {{2, -1}}, 0, ANY, 0},
    {TRN_SEEK, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_ROOM, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_ROOM, {{3, -1}}, 0, U32, TERN_EPROTO},
    {TRN_CALL, {{2, -1}}, 0, U32, TERN_EPROTO},
    {TRN_CALL, {{3, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_CALL, {{4, -1}}, 0, U32, TERN_EPROTO},
    {TRN_CALL, {{5, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_CALL, {{6, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_CALL, {{7, -1}}, 0, U32, TERN_EPROTO},
    {TRN_ANSWER, {{2, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_ANSWER, {{3, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_ANSWER, {{4, -1}}, 0, U32, TERN_EPROTO},
    {TRN_FAIL, {{2, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_FAIL, {{3, -1}}, 1, 255, TERN_EPROTO},
    {TRN_TAKE, {{2, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_TAKE, {{3, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_TAKE, {{4, -1}}, 1, SEQ, TERN_EPROTO},
    {TRN_ABANDON, {{2, -1}}, 1, SEQ, TERN_EPROTO},
};

//  T-101
static void
every_number_is_accepted_at_its_limits_and_refused_beyond (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t whole, packed;
    for (size_t row = 0; row < sizeof s_numbers / sizeof *s_numbers; row++) {
        const test_path_t path = s_numbers[row].path;
        s_sample (&frame, s_numbers[row].type);
        s_pack (&whole, &frame);
        packed = whole;
        test_packed_number (&packed, path, s_numbers[row].min);
        assert_int_equal (s_again (&packed), 0);
        packed = whole;
        test_packed_number (&packed, path, s_numbers[row].max);
        assert_int_equal (s_again (&packed), 0);
        if (s_numbers[row].min > 0) {
            packed = whole;
            test_packed_number (&packed, path, s_numbers[row].min - 1);
            assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
        }
        if (s_numbers[row].max < ANY) {
            packed = whole;
            test_packed_number (&packed, path, s_numbers[row].max + 1);
            assert_int_equal (s_decode (&frame, &packed),
                              s_numbers[row].beyond);
        }
        static const char *const others[]
            = {"\xff", "\xa1x", "\xc3", "\xc0", "\x90", "\x80", "\xc4"};
        for (size_t other = 0; other < 7; other++) {
            packed = whole;
            test_packed_replace (&packed, path, others[other],
                                 other == 6 ? 2 : strlen (others[other]));
            assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
        }
    }
}

static void
an_offset_off_by_less_than_eight_is_refused (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t packed;
    for (uint64_t offset = 0; offset < 32; offset++) {
        s_sample (&frame, TRN_DATA);
        frame.data.offset = offset;
        s_pack (&packed, &frame);
        assert_int_equal (s_decode (&frame, &packed),
                          offset % 8 ? TERN_EPROTO : 0);
    }
}

//  T-105
static void
only_hello_and_refuse_come_without_a_connection (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t packed;
    for (trn_frame_type_t type = TRN_HELLO; type <= TRN_FRAME_LAST; type++) {
        const bool outside = type == TRN_HELLO || type == TRN_REFUSE;
        s_sample (&frame, type);
        frame.connection = 0;
        s_pack (&packed, &frame);
        assert_int_equal (s_again (&packed), outside ? 0 : TERN_EPROTO);
        s_sample (&frame, type);
        frame.connection = UINT64_MAX;
        s_pack (&packed, &frame);
        assert_int_equal (s_again (&packed), outside ? TERN_EPROTO : 0);
    }
}

//  T-103
static void
an_unknown_type_is_told_from_nonsense (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t packed;
    const uint64_t types[] = {TRN_FRAME_LAST + 1, 32, 33, 127, 128, U32};
    for (size_t index = 0; index < 6; index++) {
        s_sample (&frame, TRN_PING);
        s_pack (&packed, &frame);
        test_packed_number (&packed, (test_path_t) {{0, -1}}, types[index]);
        assert_int_equal (s_decode (&frame, &packed), TERN_EVERSION);
    }
    s_sample (&frame, TRN_PING);
    s_pack (&packed, &frame);
    test_packed_number (&packed, (test_path_t) {{0, -1}}, 0);
    assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
    test_packed_number (&packed, (test_path_t) {{0, -1}}, UINT64_C (1) << 32);
    assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
    assert_int_equal (trn_frame_decode (&frame, (const uint8_t *) "\x01", 1),
                      TERN_EPROTO);
    assert_int_equal (trn_frame_decode (&frame, NULL, 0), TERN_EPROTO);
}

static int
s_with_text (trn_frame_type_t type, test_path_t path, const char *text,
             size_t size)
{
    static trn_frame_t frame;
    static test_packed_t packed;
    static uint8_t bytes[4096];
    s_sample (&frame, type);
    s_pack (&packed, &frame);
    trn_packer_t out;
    trn_packer_start (&out, bytes, sizeof bytes);
    trn_pack_text (&out, (trn_text_t) {text, size});
    test_packed_replace (&packed, path, bytes, out.used);
    return s_again (&packed);
}

//  T-1, T-2
static void
names_are_checked_in_every_frame_that_has_one (void **state)
{
    (void) state;
    char text[TRN_TEXT_MAX + 1];
    memset (text, 'a', sizeof text);
    const test_path_t hello = {{4, 0, -1}}, welcome = {{3, 0, -1}},
                      queue = {{3, -1}}, outbox = {{4, -1}};
    const struct {
        trn_frame_type_t type;
        test_path_t path;
        size_t max;
        bool private_too;
        bool exchange_too;
    } fields[] = {{TRN_HELLO, hello, TRN_NAME_MAX, false, false},
                  {TRN_WELCOME, welcome, TRN_NAME_MAX, false, false},
                  {TRN_OFFER, queue, TRN_NAME_MAX + 1, true, false},
                  {TRN_OFFER, outbox, TRN_NAME_MAX + 1, true, true}};
    for (size_t at = 0; at < 4; at++) {
        const trn_frame_type_t type = fields[at].type;
        const test_path_t path = fields[at].path;
        assert_int_equal (s_with_text (type, path, text, TRN_NAME_MAX), 0);
        assert_int_equal (s_with_text (type, path, text, fields[at].max + 1),
                          TERN_ETOOBIG);
        assert_int_equal (s_with_text (type, path, "", 0), TERN_EPROTO);
        assert_int_equal (s_with_text (type, path, "A", 1), TERN_EPROTO);
        assert_int_equal (s_with_text (type, path, "../x", 4), TERN_EPROTO);
        assert_int_equal (s_with_text (type, path, "a\0b", 3), TERN_EPROTO);
        assert_int_equal (s_with_text (type, path, "@a", 2),
                          fields[at].private_too ? 0 : TERN_EPROTO);
        assert_int_equal (s_with_text (type, path, "#a", 2),
                          fields[at].exchange_too ? 0 : TERN_EPROTO);
    }
}

//  T-106
static void
words_are_cut_going_out_and_refused_coming_in (void **state)
{
    (void) state;
    char text[TRN_TEXT_MAX + 10];
    memset (text, 'a', sizeof text);
    const test_path_t second = {{3, -1}}, first = {{2, -1}};
    assert_int_equal (s_with_text (TRN_REFUSE, second, text, TRN_TEXT_MAX), 0);
    assert_int_equal (s_with_text (TRN_REFUSE, second, text, TRN_TEXT_MAX + 1),
                      TERN_ETOOBIG);
    assert_int_equal (s_with_text (TRN_BYE, first, text, TRN_TEXT_MAX + 1),
                      TERN_ETOOBIG);
    assert_int_equal (s_with_text (TRN_BYE, first, "", 0), 0);

    //  Not through the middle of a character.
    static trn_frame_t frame;
    static test_packed_t packed;
    memcpy (text + TRN_TEXT_MAX - 2, "\xf0\x9f\x90\xa6", 4);
    frame.type = TRN_BYE;
    frame.connection = 1;
    frame.bye.reason = (trn_text_t) {text, TRN_TEXT_MAX + 2};
    s_pack (&packed, &frame);
    assert_int_equal (s_decode (&frame, &packed), 0);
    assert_int_equal (frame.bye.reason.size, TRN_TEXT_MAX - 2);
}

static void
a_uuid_has_sixteen_bytes (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t packed;
    static const uint8_t bytes[40] = {0xc4};
    for (uint8_t size = 0; size < 33; size++) {
        uint8_t value[40];
        memcpy (value, bytes, sizeof value);
        value[1] = size;
        s_sample (&frame, TRN_HELLO);
        s_pack (&packed, &frame);
        test_packed_replace (&packed, (test_path_t) {{4, 1, -1}}, value,
                             2u + size);
        assert_int_equal (s_decode (&frame, &packed),
                          size == 16 ? 0 : TERN_EPROTO);
    }
}

//  T-101
static void
lists_are_full_at_their_limit_and_refused_beyond (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t packed;
    for (uint32_t count = 0; count <= TRN_RANGES_MAX; count++) {
        s_sample (&frame, TRN_ACCEPT);
        frame.accept.range_count = count;
        for (uint32_t index = 0; index < count; index++) {
            frame.accept.ranges[index] = (trn_range_t) {
                TRN_SEQ_MAX - 1000 + 3 * index, TRN_SEQ_MAX - 999 + 3 * index};
        }
        s_pack (&packed, &frame);
        assert_true (packed.size <= TRN_CONTROL_MAX);
        assert_int_equal (s_again (&packed), 0);
    }
    const size_t ranges = test_packed_at (&packed, 0, 4);
    test_packed_resize (&packed, ranges, 2 * TRN_RANGES_MAX, "\1", 1, 1);
    assert_int_equal (s_decode (&frame, &packed), TERN_ETOOBIG);

    s_sample (&frame, TRN_SETTLE);
    frame.settle.count = TRN_SETTLES_MAX;
    for (uint32_t index = 0; index < TRN_SETTLES_MAX; index++) {
        frame.settle.entries[index] = (trn_settle_t) {UINT64_MAX, TRN_REQUEUED,
                                                      TRN_SEQ_MAX, TRN_SEQ_MAX};
    }
    s_pack (&packed, &frame);
    assert_true (packed.size <= TRN_CONTROL_MAX);
    assert_int_equal (s_again (&packed), 0);
    const size_t entries = test_packed_at (&packed, 0, 3);
    test_packed_resize (&packed, entries, TRN_SETTLES_MAX, "\x94\1\1\1\1", 5,
                        1);
    assert_int_equal (s_decode (&frame, &packed), TERN_ETOOBIG);
}

static void
half_a_range_is_refused (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static test_packed_t packed;
    s_sample (&frame, TRN_FLOOR);
    s_pack (&packed, &frame);
    test_packed_resize (&packed, test_packed_at (&packed, 0, 4), 1, NULL, 0, 0);
    assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
}

//  T-101
static void
a_frame_over_the_size_limit_is_not_looked_at (void **state)
{
    (void) state;
    static trn_frame_t frame;
    static uint8_t bytes[TRN_CONTROL_MAX + 1];
    assert_int_equal (trn_frame_decode (&frame, bytes, sizeof bytes),
                      TERN_ETOOBIG);
    assert_int_equal (trn_frame_decode (&frame, bytes, sizeof bytes - 1),
                      TERN_EPROTO);
}

static void
damaged_frames_give_a_listed_answer_and_survive_the_round_trip (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    static trn_frame_t frame;
    static test_packed_t packed, again;
    for (int round = 0; round < 100000; round++) {
        s_sample (&frame,
                  (trn_frame_type_t) (1 + test_random_below (&random, 14)));
        s_pack (&packed, &frame);
        for (uint64_t hits = 1 + test_random_below (&random, 3); hits; hits--) {
            packed.bytes[test_random_below (&random, packed.size)]
                = (uint8_t) test_random (&random);
        }
        const int rc = s_decode (&frame, &packed);
        assert_true (rc == 0 || rc == TERN_EPROTO || rc == TERN_ETOOBIG
                     || rc == TERN_EVERSION);
        if (rc == 0) {
            //  Perhaps in fewer bytes, but the same frame from then on.
            s_pack (&again, &frame);
            assert_true (again.size <= packed.size);
            assert_int_equal (s_again (&again), 0);
        }
    }
}

static void
every_type_has_a_name_and_no_other_number_has (void **state)
{
    (void) state;
    assert_string_equal (trn_frame_name (TRN_HELLO), "HELLO");
    assert_string_equal (trn_frame_name (TRN_DATA), "DATA");
    assert_string_equal (trn_frame_name (TRN_BYE), "BYE");
    assert_string_equal (trn_frame_name ((trn_frame_type_t) 0), "?");
    assert_string_equal (trn_frame_name (TRN_FRAME_LAST), "ABANDON");
    assert_string_equal (
        trn_frame_name ((trn_frame_type_t) (TRN_FRAME_LAST + 1)), "?");
    assert_string_equal (trn_frame_name ((trn_frame_type_t) -1), "?");
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (every_frame_comes_back),
        cmocka_unit_test (every_field_comes_back_in_its_place),
        cmocka_unit_test (a_frame_cut_short_is_refused_wherever_it_is_cut),
        cmocka_unit_test (a_missing_field_is_refused),
        cmocka_unit_test (fields_of_a_later_version_are_ignored),
        cmocka_unit_test (
            every_number_is_accepted_at_its_limits_and_refused_beyond),
        cmocka_unit_test (an_offset_off_by_less_than_eight_is_refused),
        cmocka_unit_test (only_hello_and_refuse_come_without_a_connection),
        cmocka_unit_test (an_unknown_type_is_told_from_nonsense),
        cmocka_unit_test (names_are_checked_in_every_frame_that_has_one),
        cmocka_unit_test (words_are_cut_going_out_and_refused_coming_in),
        cmocka_unit_test (a_uuid_has_sixteen_bytes),
        cmocka_unit_test (lists_are_full_at_their_limit_and_refused_beyond),
        cmocka_unit_test (half_a_range_is_refused),
        cmocka_unit_test (a_frame_over_the_size_limit_is_not_looked_at),
        cmocka_unit_test (
            damaged_frames_give_a_listed_answer_and_survive_the_round_trip),
        cmocka_unit_test (every_type_has_a_name_and_no_other_number_has),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("wire/frame", tests, NULL, NULL);
}
