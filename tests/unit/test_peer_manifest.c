//  test_peer_manifest - the small message that stands for a large one
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/large.h"

#include "peer/ruling.h"
#include "wire/props.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

//  A manifest of a body of size bytes, as it would be stored.  The caller
//  destroys *msg_p and clears scratch after the record was used.
static void
s_make (uint64_t size, trn_propset_t *scratch, tern_msg_t **msg_p,
        trn_record_t *record)
{
    uint8_t sums[5 * TRN_SUM_SIZE] = {1, 2, 3};
    assert_true (trn_manifest_parts (size) <= 5);
    *msg_p = tern_msg_new (NULL, 0);
    assert_int_equal (trn_manifest_make (*msg_p, size, 77, sums), TERN_OK);
    const trn_seal_t seal = {.wall_ms = 1};
    assert_int_equal (trn_msg_seal (*msg_p, &seal, scratch, record), TERN_OK);
}

//  T-170
static void
test_a_manifest_is_read_as_it_was_made (void **state)
{
    (void) state;
    static const uint64_t sizes[] = {1, TRN_LARGE_PART - 1, TRN_LARGE_PART,
                                     TRN_LARGE_PART + 1, 5 * TRN_LARGE_PART};
    for (size_t index = 0; index < 5; index++) {
        trn_propset_t scratch = {0};
        tern_msg_t *msg = NULL;
        trn_record_t record;
        s_make (sizes[index], &scratch, &msg, &record);
        trn_manifest_t manifest;
        assert_true (trn_manifest_read (&record, &manifest));
        assert_int_equal (manifest.size, sizes[index]);
        assert_int_equal (manifest.id, 77);
        assert_int_equal (record.flags, TRN_RECORD_RULED | TRN_RECORD_LARGE);
        trn_ruling_t ruling;
        trn_ruling_read (&record, &ruling);
        assert_int_equal (ruling.body, 77);
        assert_int_equal (ruling.body_size, sizes[index]);
        tern_msg_destroy (&msg);
        trn_propset_clear (&scratch);
    }
}

//  T-170
static void
test_one_that_contradicts_itself_is_none (void **state)
{
    (void) state;
    trn_propset_t scratch = {0};
    tern_msg_t *msg = NULL;
    trn_record_t record;
    trn_manifest_t manifest;
    s_make (3 * TRN_LARGE_PART, &scratch, &msg, &record);
    trn_record_t wrong = record;
    wrong.flags = TRN_RECORD_RULED;
    assert_false (trn_manifest_read (&wrong, &manifest));
    wrong = record;
    wrong.body_size += TRN_SUM_SIZE;
    assert_false (trn_manifest_read (&wrong, &manifest));
    wrong.body_size = 0;
    assert_false (trn_manifest_read (&wrong, &manifest));
    wrong = record;
    wrong.props_size = 0;
    assert_false (trn_manifest_read (&wrong, &manifest));
    tern_msg_destroy (&msg);
    trn_propset_clear (&scratch);

    //  Sizes and numbers out of range, and another kind of property.
    static const uint64_t numbers[][2] = {
        {0, 77}, {1, 0}, {(uint64_t) TRN_LARGE_MAX + 1, 77}, {UINT64_MAX, 77}};
    for (size_t index = 0; index < 5; index++) {
        trn_propset_t props = {0};
        uint8_t named[16] = {0};
        const trn_text_t key = trn_text (TRN_OWN_LARGE);
        int rc = TERN_OK;
        if (index < 4) {
            for (unsigned at = 0; at < 8; at++) {
                named[at] = (uint8_t) (numbers[index][0] >> (8 * at));
                named[8 + at] = (uint8_t) (numbers[index][1] >> (8 * at));
            }
            rc = trn_propset_bytes (&props, key, named, sizeof named);
        } else {
            rc = trn_propset_number (&props, key, 1);
        }
        assert_int_equal (rc, TERN_OK);
        size_t size = 0;
        wrong = (trn_record_t) {.flags = TRN_RECORD_LARGE, .body_size = 8};
        wrong.body = named;
        wrong.props = trn_propset_map (&props, &size);
        wrong.props_size = (uint16_t) size;
        assert_false (trn_manifest_read (&wrong, &manifest));
        trn_propset_clear (&props);
    }
}

//  T-172
static void
test_a_part_fits_in_its_own_place_only (void **state)
{
    (void) state;
    const size_t size = TRN_LARGE_PART + 10;
    uint8_t *body = malloc (size);
    assert_non_null (body);
    for (size_t at = 0; at < size; at++) {
        body[at] = (uint8_t) (at * 7 >> 3 ^ at >> 16);
    }
    uint8_t sums[2 * TRN_SUM_SIZE];
    for (unsigned part = 0; part < 2; part++) {
        const uint64_t sum = trn_part_sum (body + part * TRN_LARGE_PART,
                                           part ? 10 : TRN_LARGE_PART);
        for (unsigned at = 0; at < 8; at++) {
            sums[part * 8 + at] = (uint8_t) (sum >> (8 * at));
        }
    }
    const trn_manifest_t manifest = {.size = size, .id = 1, .sums = sums};
    assert_true (trn_manifest_fits (&manifest, 0, body, TRN_LARGE_PART));
    assert_true (trn_manifest_fits (&manifest, 1, body + TRN_LARGE_PART, 10));
    assert_false (trn_manifest_fits (&manifest, 0, body, TRN_LARGE_PART - 1));
    assert_false (trn_manifest_fits (&manifest, 1, body, 10));
    assert_false (trn_manifest_fits (&manifest, 1, body + TRN_LARGE_PART, 9));
    body[100] ^= 4;
    assert_false (trn_manifest_fits (&manifest, 0, body, TRN_LARGE_PART));
    free (body);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_manifest_is_read_as_it_was_made),
        cmocka_unit_test (test_one_that_contradicts_itself_is_none),
        cmocka_unit_test (test_a_part_fits_in_its_own_place_only),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("peer/manifest", tests, NULL, NULL);
}
