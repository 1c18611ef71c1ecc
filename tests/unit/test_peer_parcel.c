//  test_peer_parcel - a run is walked in parts and freed once
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/parcel.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
s_make_run (zmq_msg_t *frame, uint64_t first_seq, uint32_t count)
{
    uint8_t bytes[4096];
    size_t used = 0;
    for (uint32_t index = 0; index < count; index++) {
        char body[32];
        const int size = snprintf (body, sizeof body, "body %u", index);
        const trn_record_t record = {.kind = TRN_RECORD_MESSAGE,
                                     .seq = first_seq + index,
                                     .body = (const uint8_t *) body,
                                     .body_size = (uint32_t) size};
        trn_record_write (bytes + used, &record, 1, (int64_t) used);
        used += trn_record_size (&record);
    }
    zmq_msg_init_size (frame, used);
    memcpy (zmq_msg_data (frame), bytes, used);
}

static void
test_part_of_a_run_is_walked (void **state)
{
    (void) state;
    zmq_msg_t frame;
    s_make_run (&frame, 100, 10);
    trn_inrun_t *run = trn_inrun_new (&frame);
    assert_int_equal (zmq_msg_size (&frame), 0);
    trn_parcel_t *first = trn_parcel_new (run, 100, 100, 103);
    trn_parcel_t *second = trn_parcel_new (run, 100, 107, 109);
    trn_inrun_release (&run);
    assert_null (run);

    trn_record_t record;
    uint64_t expected = 100;
    while (trn_parcel_step (first, &record)) {
        assert_int_equal (record.seq, expected++);
    }
    assert_int_equal (expected, 104);
    expected = 107;
    while (trn_parcel_step (second, &record)) {
        assert_int_equal (record.seq, expected++);
    }
    assert_int_equal (expected, 110);
    assert_int_equal (atomic_load (&second->accepted), 106);
    trn_parcel_release (&first);
    //  The second still holds the run.
    assert_memory_equal (record.body, "body 9", 6);
    trn_parcel_release (&second);
    trn_parcel_release (&second);
    zmq_msg_close (&frame);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_part_of_a_run_is_walked),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
