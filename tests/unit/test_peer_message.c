//  test_peer_message - messages to send
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/memory.h"
#include "peer/message.h"
#include "peer/parcel.h"
#include "peer/ruling.h"

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
s_assert_header (const tern_msg_t *msg, const char *name, const char *value)
{
    size_t size = 0;
    const char *got = tern_msg_header (msg, name, &size);
    assert_non_null (got);
    assert_int_equal (size, strlen (value));
    assert_memory_equal (got, value, size);
}

static void
test_body_is_copied_and_bounded (void **state)
{
    (void) state;
    char body[] = "hello";
    tern_msg_t *msg = tern_msg_new (body, 5);
    body[0] = 'J';
    assert_int_equal (tern_msg_size (msg), 5);
    assert_memory_equal (tern_msg_body (msg), "hello", 5);
    tern_msg_destroy (&msg);
    assert_null (msg);
    tern_msg_destroy (&msg);

    char *big = calloc (1, TERN_BODY_MAX + 1);
    assert_null (tern_msg_new (big, TERN_BODY_MAX + 1));
    msg = tern_msg_new (big, TERN_BODY_MAX);
    assert_non_null (msg);
    tern_msg_destroy (&msg);
    free (big);
    msg = tern_msg_new (NULL, 0);
    assert_int_equal (tern_msg_size (msg), 0);
    tern_msg_destroy (&msg);
}

static void
test_headers_are_kept_in_order_and_replaced (void **state)
{
    (void) state;
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_msg_set_key (msg, "a.b"), 0);
    assert_int_equal (tern_msg_set_header (msg, "colour", "red"), 0);
    assert_int_equal (tern_msg_set_header (msg, "size", "9"), 0);
    assert_int_equal (tern_msg_set_header (msg, "colour", "green"), 0);
    s_assert_header (msg, "colour", "green");
    s_assert_header (msg, "size", "9");
    size_t size = 1;
    assert_null (tern_msg_header (msg, "shape", &size));
    assert_int_equal (size, 0);

    tern_msg_t *copy = tern_msg_dup (msg);
    tern_msg_destroy (&msg);
    s_assert_header (copy, "colour", "green");
    const char *key = tern_msg_key (copy, &size);
    assert_int_equal (size, 3);
    assert_memory_equal (key, "a.b", 3);
    size_t count = 0;
    const char *name, *value;
    size_t name_size, value_size;
    while (tern_msg_header_at (copy, count, &name, &name_size, &value,
                               &value_size)) {
        count++;
    }
    assert_int_equal (count, 2);
    tern_msg_destroy (&copy);
}

static void
test_bad_headers_change_nothing (void **state)
{
    (void) state;
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_msg_set_header (msg, "good", "1"), 0);
    assert_int_equal (tern_msg_set_header (msg, "tern.id", "1"), TERN_EINVAL);
    assert_int_equal (tern_msg_set_header (msg, "", "1"), TERN_EINVAL);
    assert_int_equal (tern_msg_set_header (msg, "bad", "\xff"), TERN_EINVAL);
    char name[200];
    memset (name, 'n', sizeof name);
    name[128] = 0;
    assert_int_equal (tern_msg_set_header (msg, name, "1"), TERN_ETOOBIG);
    char *value = malloc (70000);
    memset (value, 'v', 70000);
    value[69999] = 0;
    assert_int_equal (tern_msg_set_header (msg, "big", value), TERN_ETOOBIG);
    free (value);
    char key[300];
    memset (key, 'k', sizeof key);
    key[256] = 0;
    assert_int_equal (tern_msg_set_key (msg, key), TERN_ETOOBIG);
    key[255] = 0;
    assert_int_equal (tern_msg_set_key (msg, key), 0);
    s_assert_header (msg, "good", "1");

    for (int index = 1; index < 64; index++) {
        snprintf (name, sizeof name, "h%d", index);
        assert_int_equal (tern_msg_set_header (msg, name, "v"), 0);
    }
    assert_int_equal (tern_msg_set_header (msg, "one-more", "v"), TERN_ETOOBIG);
    tern_msg_destroy (&msg);
}

//  What concerns delivery ---------------------------------------------------

static void
test_delivery_is_set_within_its_ranges (void **state)
{
    (void) state;
    tern_msg_t *msg = tern_msg_new ("x", 1);
    const uint64_t most = UINT64_C (366) * 24 * 3600 * 1000;
    assert_int_equal (tern_msg_set_ttl (msg, 0), TERN_EINVAL);
    assert_int_equal (tern_msg_set_ttl (msg, most), TERN_OK);
    assert_int_equal (tern_msg_set_ttl (msg, most + 1), TERN_EINVAL);
    assert_int_equal (tern_msg_set_delay (msg, 0), TERN_EINVAL);
    assert_int_equal (tern_msg_set_delay (msg, most), TERN_OK);
    assert_int_equal (tern_msg_set_delay (msg, most + 1), TERN_EINVAL);
    assert_int_equal (tern_msg_ttl (msg), most);
    assert_int_equal (tern_msg_delay (msg), most);
    assert_int_equal (tern_msg_set_priority (msg, -1), TERN_EINVAL);
    assert_int_equal (tern_msg_set_priority (msg, 10), TERN_EINVAL);
    assert_int_equal (tern_msg_priority (msg), 0);
    assert_int_equal (tern_msg_set_priority (msg, 9), TERN_OK);
    assert_int_equal (tern_msg_priority (msg), 9);
    assert_int_equal (tern_msg_set_priority (msg, 0), TERN_OK);
    assert_int_equal (tern_msg_priority (msg), 0);

    char word[TRN_WORD_MAX + 2];
    memset (word, 'w', sizeof word);
    word[TRN_WORD_MAX + 1] = 0;
    size_t size = 1;
    assert_null (tern_msg_order_key (msg, &size));
    assert_int_equal (size, 0);
    assert_int_equal (tern_msg_set_order_key (msg, ""), TERN_EINVAL);
    assert_int_equal (tern_msg_set_order_key (msg, "\xff"), TERN_EINVAL);
    assert_int_equal (tern_msg_set_order_key (msg, word), TERN_EINVAL);
    assert_int_equal (tern_msg_set_order_key (msg, word + 1), TERN_OK);
    assert_memory_equal (tern_msg_order_key (msg, &size), word, TRN_WORD_MAX);
    assert_int_equal (size, TRN_WORD_MAX);
    assert_int_equal (tern_msg_set_correlation (msg, word), TERN_EINVAL);
    assert_int_equal (tern_msg_set_correlation (msg, "c-1"), TERN_OK);
    assert_memory_equal (tern_msg_correlation (msg, &size), "c-1", 3);
    assert_int_equal (tern_msg_set_reply_to (msg, "No Queue"), TERN_ENAME);
    assert_int_equal (tern_msg_set_reply_to (msg, "@orders-1"), TERN_OK);
    assert_memory_equal (tern_msg_reply_to (msg, &size), "@orders-1", 9);

    //  None of it counts as a header.
    const char *name, *value;
    size_t name_size, value_size;
    assert_false (
        tern_msg_header_at (msg, 0, &name, &name_size, &value, &value_size));
    assert_null (tern_msg_header (msg, TRN_OWN_ORDER, &size));
    tern_msg_destroy (&msg);
}

static void
test_a_sealed_message_says_its_rule (void **state)
{
    (void) state;
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_msg_set_header (msg, "kind", "first"), TERN_OK);
    assert_int_equal (tern_msg_set_ttl (msg, 500), TERN_OK);
    assert_int_equal (tern_msg_set_delay (msg, 70), TERN_OK);
    assert_int_equal (tern_msg_set_priority (msg, 3), TERN_OK);
    assert_int_equal (tern_msg_set_order_key (msg, "customer"), TERN_OK);
    const uint32_t targets[] = {1, 2, 130, 70000, UINT32_MAX};
    const trn_seal_t seal = {.wall_ms = 1700000000000,
                             .number = 17,
                             .targets = targets,
                             .target_count = 5};
    trn_propset_t scratch = {0};
    trn_record_t record;
    assert_int_equal (trn_msg_seal (msg, &seal, &scratch, &record), TERN_OK);
    assert_int_equal (record.flags, TRN_RECORD_RULED);
    record.seq = 42;
    trn_ruling_t ruling;
    trn_ruling_read (&record, &ruling);
    assert_int_equal (ruling.rule.seq, 42);
    assert_int_equal (ruling.rule.expires_ms, 1700000000500);
    assert_int_equal (ruling.rule.due_ms, 1700000000070);
    assert_int_equal (ruling.rule.priority, 3);
    assert_int_not_equal (ruling.rule.order, 0);
    assert_int_equal (ruling.number, 17);
    assert_int_equal (ruling.rule.target_count, 5);
    assert_memory_equal (ruling.rule.targets, targets, sizeof targets);
    free (ruling.targets);

    //  A copy says the same.
    tern_msg_t *copy = tern_msg_dup (msg);
    trn_propset_t again = {0};
    trn_record_t second;
    assert_int_equal (trn_msg_seal (copy, &seal, &again, &second), TERN_OK);
    assert_int_equal (second.props_size, record.props_size);
    assert_memory_equal (second.props, record.props, record.props_size);
    trn_propset_clear (&again);
    trn_propset_clear (&scratch);
    tern_msg_destroy (&copy);
    tern_msg_destroy (&msg);
}

static void
test_a_plain_message_is_sealed_as_it_is (void **state)
{
    (void) state;
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_msg_set_header (msg, "kind", "first"), TERN_OK);
    assert_int_equal (tern_msg_set_correlation (msg, "c-1"), TERN_OK);
    assert_int_equal (tern_msg_set_priority (msg, 5), TERN_OK);
    assert_int_equal (tern_msg_set_priority (msg, 0), TERN_OK);
    const trn_seal_t seal = {.wall_ms = 1700000000000};
    trn_propset_t scratch = {0};
    trn_record_t record;
    assert_int_equal (trn_msg_seal (msg, &seal, &scratch, &record), TERN_OK);
    assert_int_equal (record.flags, 0);
    assert_null (scratch.bytes);
    tern_msg_destroy (&msg);
}

static void
test_all_headers_leave_room_for_what_tern_says (void **state)
{
    (void) state;
    tern_msg_t *msg = tern_msg_new ("x", 1);
    char name[16];
    for (int index = 0; index < TRN_HEADERS_COUNT; index++) {
        snprintf (name, sizeof name, "h%d", index);
        assert_int_equal (tern_msg_set_header (msg, name, "v"), TERN_OK);
    }
    assert_int_equal (tern_msg_set_ttl (msg, 1), TERN_OK);
    assert_int_equal (tern_msg_set_delay (msg, 1), TERN_OK);
    assert_int_equal (tern_msg_set_priority (msg, 1), TERN_OK);
    assert_int_equal (tern_msg_set_order_key (msg, "k"), TERN_OK);
    assert_int_equal (tern_msg_set_correlation (msg, "k"), TERN_OK);
    assert_int_equal (tern_msg_set_reply_to (msg, "k"), TERN_OK);
    const uint32_t target = 1;
    const trn_seal_t seal
        = {.number = 1, .targets = &target, .target_count = 1};
    trn_propset_t scratch = {0};
    trn_record_t record;
    assert_int_equal (trn_msg_seal (msg, &seal, &scratch, &record), TERN_OK);
    trn_propset_clear (&scratch);
    tern_msg_destroy (&msg);
}

static void
test_wrong_targets_are_none (void **state)
{
    (void) state;
    uint32_t targets[4];
    assert_int_equal (trn_targets_decode (NULL, 0, targets, 4), 0);
    const uint8_t zero[] = {1, 0};
    assert_int_equal (trn_targets_decode (zero, 2, targets, 4), 0);
    const uint8_t cut[] = {1, 0x80};
    assert_int_equal (trn_targets_decode (cut, 2, targets, 4), 0);
    const uint8_t wide[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    assert_int_equal (trn_targets_decode (wide, 6, targets, 4), 0);
    const uint8_t over[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0x01};
    assert_int_equal (trn_targets_decode (over, 6, targets, 4), 0);
    assert_int_equal (trn_targets_decode (over, 5, targets, 4), 1);
    assert_int_equal (targets[0], UINT32_MAX);
}

static void
test_wrong_properties_are_the_default (void **state)
{
    (void) state;
    trn_propset_t set = {0};
    trn_propset_text (&set, trn_text (TRN_OWN_PRIORITY), trn_text ("9"));
    trn_propset_number (&set, trn_text (TRN_OWN_ORDER), 1);
    trn_propset_number (&set, trn_text (TRN_OWN_EXPIRES), -1);
    trn_propset_text (&set, trn_text (TRN_OWN_TARGETS), trn_text ("a"));
    trn_record_t record = {.seq = 1};
    size_t size = 0;
    record.props = trn_propset_map (&set, &size);
    record.props_size = (uint16_t) size;
    trn_ruling_t ruling;
    trn_ruling_read (&record, &ruling);
    const trn_ruling_t plain = {.rule = {.seq = 1}};
    assert_memory_equal (&ruling, &plain, sizeof plain);
    record.props_size--;
    trn_ruling_read (&record, &ruling);
    assert_memory_equal (&ruling, &plain, sizeof plain);
    trn_propset_number (&set, trn_text (TRN_OWN_PRIORITY), 4711);
    record.props = trn_propset_map (&set, &size);
    record.props_size = (uint16_t) size;
    trn_ruling_read (&record, &ruling);
    assert_int_equal (ruling.rule.priority, 9);
    trn_propset_clear (&set);
}

//  As it would come in: a record with these properties.
static tern_msg_t *
s_received (trn_propset_t *props)
{
    size_t size = 0;
    const uint8_t *map = trn_propset_map (props, &size);
    trn_record_t record = {.kind = TRN_RECORD_MESSAGE,
                           .flags = TRN_RECORD_RULED,
                           .seq = 7,
                           .key = (const uint8_t *) "k",
                           .key_size = 1,
                           .props = map,
                           .props_size = (uint16_t) size,
                           .body = (const uint8_t *) "body",
                           .body_size = 4};
    zmq_msg_t frame;
    zmq_msg_init_size (&frame, trn_record_size (&record));
    trn_record_write (zmq_msg_data (&frame), &record, 1, 0);
    trn_inrun_t *run = trn_inrun_new (&frame);
    tern_msg_t *msg = trn_alloc (sizeof *msg);
    msg->parcel = trn_parcel_new (run, 7, 7, 7);
    trn_inrun_release (&run);
    snprintf (msg->parcel->publisher, sizeof msg->parcel->publisher, "p-1");
    snprintf (msg->parcel->outbox, sizeof msg->parcel->outbox, "q.dead");
    memset (msg->parcel->store_uuid, 0xaa, 16);
    msg->parcel->floor = 3;
    assert_true (trn_parcel_step (msg->parcel, &msg->record));
    return msg;
}

static void
test_a_replay_has_the_first_id_and_its_headers (void **state)
{
    (void) state;
    trn_propset_t props = {0};
    trn_propset_text (&props, trn_text ("kind"), trn_text ("order"));
    trn_propset_number (&props, trn_text (TRN_OWN_PRIORITY), 2);
    trn_propset_text (&props, trn_text (TRN_OWN_ORDER), trn_text ("c"));
    trn_propset_number (&props, trn_text (TRN_OWN_EXPIRES), 5);
    trn_propset_text (&props, trn_text (TRN_OWN_DEAD_ID),
                      trn_text ("p-1/#x/5"));
    trn_propset_text (&props, trn_text (TRN_OWN_DEAD_REASON),
                      trn_text ("spent"));
    tern_msg_t *dead = s_received (&props);
    assert_string_equal (tern_msg_id (dead), "p-1/q.dead/7");
    s_assert_header (dead, TRN_OWN_DEAD_REASON, "spent");
    assert_int_equal (tern_msg_floor (dead), 3);
    tern_msg_t *out = tern_msg_replay (dead);
    assert_non_null (out);
    s_assert_header (out, "kind", "order");
    size_t size = 0;
    assert_null (tern_msg_header (out, TRN_OWN_DEAD_REASON, &size));
    assert_int_equal (tern_msg_priority (out), 2);
    assert_memory_equal (tern_msg_order_key (out, &size), "c", 1);
    assert_memory_equal (tern_msg_key (out, &size), "k", 1);
    assert_memory_equal (tern_msg_body (out), "body", 4);

    //  And so it comes in again, and dies again.
    trn_propset_text (&out->props, trn_text (TRN_OWN_DEAD_ID),
                      trn_text ("p-1/#x/5"));
    tern_msg_t *again = s_received (&out->props);
    assert_string_equal (tern_msg_id (again), "p-1/#x/5");
    assert_string_equal (tern_msg_outbox (again), "#x");
    assert_int_equal (tern_msg_seq (again), 5);
    assert_int_equal (tern_msg_floor (again), 0);
    assert_int_equal (tern_msg_store_uuid (again)[0], 0xaa);
    tern_msg_t *third = tern_msg_replay (again);
    assert_non_null (third);
    tern_msg_destroy (&third);
    tern_msg_destroy (&again);
    tern_msg_destroy (&out);

    //  What is sent on, and not replayed, is a new message with its headers.
    trn_propset_t scratch = {0};
    trn_record_t record;
    const trn_seal_t seal = {0};
    assert_int_equal (trn_msg_seal (dead, &seal, &scratch, &record), TERN_OK);
    assert_int_equal (record.flags, 0);
    trn_ruling_t ruling;
    trn_ruling_read (&record, &ruling);
    assert_int_equal (ruling.rule.priority, 0);
    assert_int_equal (ruling.rule.expires_ms, 0);
    assert_int_equal (scratch.count, 1);
    trn_propset_clear (&scratch);
    tern_msg_destroy (&dead);

    trn_propset_remove (&props, trn_text (TRN_OWN_DEAD_ID));
    tern_msg_t *alive = s_received (&props);
    assert_null (tern_msg_replay (alive));
    tern_msg_destroy (&alive);
    trn_propset_text (&props, trn_text (TRN_OWN_DEAD_ID), trn_text ("p-1/x"));
    tern_msg_t *wrong = s_received (&props);
    assert_null (tern_msg_replay (wrong));
    tern_msg_destroy (&wrong);
    trn_propset_clear (&props);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_body_is_copied_and_bounded),
        cmocka_unit_test (test_headers_are_kept_in_order_and_replaced),
        cmocka_unit_test (test_bad_headers_change_nothing),
        cmocka_unit_test (test_delivery_is_set_within_its_ranges),
        cmocka_unit_test (test_a_sealed_message_says_its_rule),
        cmocka_unit_test (test_a_plain_message_is_sealed_as_it_is),
        cmocka_unit_test (test_all_headers_leave_room_for_what_tern_says),
        cmocka_unit_test (test_wrong_targets_are_none),
        cmocka_unit_test (test_wrong_properties_are_the_default),
        cmocka_unit_test (test_a_replay_has_the_first_id_and_its_headers),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
