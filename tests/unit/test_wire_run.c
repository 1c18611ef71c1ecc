//  test_wire_run - is what a DATA frame brings what the frame says?
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/record.h"
#include "wire/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t s_uuid[16] = "0123456789abcdef";

typedef struct {
    trn_frame_t frame;
    uint8_t bytes[1024];
    size_t size;
} sample_t;

//  Five messages of 0, 3, 6, 9 and 12 bytes, seqs 21 to 25.
static void
s_sample (sample_t *self)
{
    memset (self, 0, sizeof *self);
    self->frame.type = TRN_DATA;
    self->frame.data.segment = 2;
    self->frame.data.offset = 4096;
    self->frame.data.first_seq = 21;
    self->frame.data.count = 5;
    const uint64_t seed = trn_record_seed (s_uuid, "hello", 2);
    for (uint32_t index = 0; index < 5; index++) {
        const trn_record_t record = {.kind = TRN_RECORD_MESSAGE,
                                     .seq = 21 + index,
                                     .body = (const uint8_t *) "hello, world",
                                     .body_size = 3 * index};
        trn_record_write (self->bytes + self->size, &record, seed,
                          (int64_t) (4096 + self->size));
        self->size += trn_record_size (&record);
    }
}

//  Verify in memory of exactly the size.
static bool
s_verify (const sample_t *self)
{
    uint8_t *copy = malloc (self->size ? self->size : 1);
    assert_non_null (copy);
    memcpy (copy, self->bytes, self->size);
    const bool good
        = trn_run_verify (&self->frame, s_uuid, "hello", copy, self->size);
    free (copy);
    return good;
}

//  T-117
static void
a_run_as_it_was_written_is_good (void **state)
{
    (void) state;
    static sample_t sample;
    s_sample (&sample);
    assert_true (s_verify (&sample));
}

//  T-117
static void
another_place_number_or_count_is_not (void **state)
{
    (void) state;
    static sample_t sample;
    s_sample (&sample);
    sample.frame.data.segment++;
    assert_false (s_verify (&sample));
    s_sample (&sample);
    sample.frame.data.offset += 8;
    assert_false (s_verify (&sample));
    s_sample (&sample);
    sample.frame.data.first_seq++;
    assert_false (s_verify (&sample));
    s_sample (&sample);
    sample.frame.data.count--;
    assert_false (s_verify (&sample));
    s_sample (&sample);
    sample.frame.data.count++;
    assert_false (s_verify (&sample));
    s_sample (&sample);
    assert_false (trn_run_verify (&sample.frame, s_uuid, "other", sample.bytes,
                                  sample.size));
    assert_false (
        trn_run_verify (&sample.frame, s_uuid, "hello", sample.bytes, 0));
    assert_false (trn_run_verify (&sample.frame, s_uuid, "hello", NULL, 0));
}

static void
a_run_cut_short_or_with_a_rest_is_not (void **state)
{
    (void) state;
    static sample_t sample;
    s_sample (&sample);
    const size_t whole = sample.size;
    for (sample.size = 0; sample.size < whole; sample.size++) {
        assert_false (s_verify (&sample));
    }
    sample.size = whole + 8;
    assert_false (s_verify (&sample));
    sample.size = whole + 40;
    assert_false (s_verify (&sample));
}

static void
a_gap_record_is_never_sent (void **state)
{
    (void) state;
    static sample_t sample;
    s_sample (&sample);
    const uint64_t seed = trn_record_seed (s_uuid, "hello", 2);
    const trn_record_t gap = {.kind = TRN_RECORD_GAP,
                              .seq = 21,
                              .body = (const uint8_t *) "\x1e\0\0\0\0\0\0",
                              .body_size = 8};
    trn_record_write (sample.bytes, &gap, seed, 4096);
    sample.size = trn_record_size (&gap);
    sample.frame.data.count = 1;
    assert_false (s_verify (&sample));
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_run_as_it_was_written_is_good),
        cmocka_unit_test (another_place_number_or_count_is_not),
        cmocka_unit_test (a_run_cut_short_or_with_a_rest_is_not),
        cmocka_unit_test (a_gap_record_is_never_sent),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("wire/run", tests, NULL, NULL);
}
