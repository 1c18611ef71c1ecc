//  tests/unit/test_log_sweep.c - damage at every byte, judged twice
//
//  Rules L1 to L4, L7, L9.  A segment of 64 KiB with about 200 records is cut,
//  zeroed, overwritten and flipped at every single byte; each time the verdict
//  of trn_segment_recover () must equal that of an oracle below, which knows
//  nothing of it: it was written from docs/STORAGE.md, tries every 8th byte,
//  and takes no short cut.  (Under instruments at every 61st byte, as
//  support/effort.h says.)
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/segment.h"

#include "support/effort.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

enum {
    SIZE = 64 * 1024,
    MARK = 120  //  META says: synced up to here
};

static const uint8_t s_uuid[16] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
static const char s_name[] = "sweep";

static uint64_t s_random_state;

static uint64_t
s_random (uint64_t below)
{
    uint64_t z = (s_random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

//  An image --------------------------------------------------------------

typedef struct {
    uint8_t bytes[SIZE];
    uint64_t records;
    uint64_t synced;  //  in truth
} s_image_t;

static uint32_t
s_body_size (void)
{
    switch (s_random (10)) {
    case 0: return 900 + (uint32_t) s_random (1500);
    case 1: return 0;
    default: return (uint32_t) s_random (400);
    }
}

//  Records as a log would write them, with a sync now and then.
static void
s_make_image (s_image_t *image, uint64_t segment)
{
    static uint8_t body[4096];
    memset (image, 0, sizeof *image);
    const trn_place_t place
        = {.store_uuid = s_uuid, .outbox = s_name, .segment = segment};
    trn_segment_encode (image->bytes, &place, SIZE, 1);
    const uint64_t seed = trn_record_seed (s_uuid, s_name, segment);
    int64_t at = TRN_SEGMENT_HEADER;
    for (uint64_t seq = 1;; seq++) {
        const uint32_t size = s_body_size ();
        for (uint32_t i = 0; i < size; i++) {
            body[i] = (uint8_t) s_random (256);
        }
        const trn_record_t record
            = {.kind = TRN_RECORD_MESSAGE,
               .seq = seq,
               .stamp_us = seq * 1000,
               .incarnation = 1,
               .unsynced = (uint32_t) (seq - image->synced),
               .body = body,
               .body_size = size};
        if (at + (int64_t) trn_record_size (&record) + 600 > SIZE) {
            break;
        }
        trn_record_write (image->bytes + at, &record, seed, at);
        at += trn_record_size (&record);
        image->records = seq;
        if (s_random (8) == 0) {
            image->synced = seq;
        }
    }
}

//  The oracle ------------------------------------------------------------

typedef enum {
    SAYS_CLEAN,
    SAYS_TORN,
    SAYS_CORRUPT,
    SAYS_BAD_HEADER
} s_verdict_t;

typedef struct {
    const uint8_t *bytes;
    size_t size;
    uint64_t seed;
} s_oracle_t;

static uint64_t
s_number (const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = size; i > 0; i--) {
        value = value << 8 | at[i - 1];
    }
    return value;
}

//  Bytes of the valid record at offset, 0 if there is none.
static size_t
s_valid (const s_oracle_t *self, size_t offset)
{
    if (self->size - offset < 40) {
        return 0;
    }
    const uint8_t *const at = self->bytes + offset;
    const uint64_t length = s_number (at + 8, 4);
    const uint64_t padded = (length + 7) / 8 * 8;
    const unsigned kind = at[12] & 15;
    if (length < 40 || padded > self->size - offset || (kind != 1 && kind != 2)
        || length < 40u + at[13] + s_number (at + 14, 2)) {
        return 0;
    }
    const uint64_t place = self->seed ^ (uint64_t) offset * 0x9e3779b97f4a7c15u;
    return s_number (at, 8) == XXH3_64bits_withSeed (at + 8, length - 8, place)
               ? (size_t) padded
               : 0;
}

static bool
s_zero (const s_oracle_t *self, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (self->bytes[i]) {
            return false;
        }
    }
    return true;
}

//  Is a whole sector's share of the record that should be at offset zero?
static bool
s_hole (const s_oracle_t *self, size_t offset)
{
    uint64_t length = self->size - offset >= 40
                          ? s_number (self->bytes + offset + 8, 4)
                          : 0;
    if (length < 40 || length > TRN_RECORD_MAX) {
        length = 40;
    }
    const size_t end = offset + (size_t) (length + 7) / 8 * 8;
    for (size_t sector = offset / 512 * 512;
         sector < end && sector < self->size; sector += 512) {
        const size_t from = sector > offset ? sector : offset;
        const size_t to = sector + 512 < self->size ? sector + 512 : self->size;
        if (s_zero (self, from, to)) {
            return true;
        }
    }
    return end > self->size && (offset <= 176 || self->size < SIZE);
}

static s_verdict_t
s_oracle (const uint8_t *bytes, size_t size, const uint8_t *good_header,
          uint64_t *next_p)
{
    if (size < 128 || memcmp (bytes, good_header, 128) != 0) {
        return SAYS_BAD_HEADER;
    }
    const s_oracle_t self = {.bytes = bytes,
                             .size = size,
                             .seed = trn_record_seed (s_uuid, s_name, 1)};
    uint64_t known = MARK;
    uint64_t next = 1;
    size_t end = 128;
    for (size_t step = s_valid (&self, end);
         step && s_number (bytes + end + 16, 8) == next;
         step = s_valid (&self, end)) {
        const uint64_t proved = next - s_number (bytes + end + 36, 4);
        known = proved > known ? proved : known;
        next++;
        end += step;
        if (end >= size) {
            break;
        }
    }
    *next_p = next;
    bool later = false;
    for (size_t at = end; at + 40 <= size; at += 8) {
        if (s_valid (&self, at) && s_number (bytes + at + 16, 8) >= next) {
            const uint64_t proved
                = s_number (bytes + at + 16, 8) - s_number (bytes + at + 36, 4);
            known = proved > known ? proved : known;
            later = true;
        }
    }
    if (next <= known) {
        return SAYS_CORRUPT;
    }
    if (later) {
        return s_hole (&self, end) ? SAYS_TORN : SAYS_CORRUPT;
    }
    return s_zero (&self, end, size) ? SAYS_CLEAN : SAYS_TORN;
}

//  The comparison --------------------------------------------------------

typedef struct {
    s_image_t image;
    s_image_t stale;
    uint8_t bytes[SIZE];
    size_t stride;  //  a prime: every alignment and every field meets damage
    uint64_t judged;
    uint64_t verdicts[4];
} s_sweep_t;

static void
s_compare (s_sweep_t *self, size_t size, const char *damage, size_t at)
{
    if (at % self->stride) {
        return;
    }
    trn_memory_source_t memory = {.bytes = self->bytes, .size = size};
    const trn_source_t source = trn_source_memory (&memory);
    const trn_place_t place
        = {.store_uuid = s_uuid, .outbox = s_name, .segment = 1};
    trn_walk_t walk = {.next_seq = 0};
    trn_tail_t tail = TRN_TAIL_CLEAN;
    const int rc = trn_segment_recover (&source, &place, 1, MARK, &walk, &tail);
    s_verdict_t mine = SAYS_BAD_HEADER;
    if (rc == 0) {
        mine = tail == TRN_TAIL_CLEAN  ? SAYS_CLEAN
               : tail == TRN_TAIL_TORN ? SAYS_TORN
                                       : SAYS_CORRUPT;
    }
    uint64_t next = 0;
    const s_verdict_t oracle
        = s_oracle (self->bytes, size, self->image.bytes, &next);
    if (mine != oracle || (rc == 0 && walk.next_seq != next)) {
        fail_msg ("%s at %zu: verdict %d, oracle %d; next %llu, oracle %llu",
                  damage, at, (int) mine, (int) oracle,
                  (unsigned long long) walk.next_seq,
                  (unsigned long long) next);
    }
    //  What was synced in truth is never cut, as far as anything tells of it.
    const uint64_t told = MARK;
    if (mine == SAYS_TORN || mine == SAYS_CLEAN) {
        assert_true (walk.next_seq > told);
    }
    self->judged++;
    self->verdicts[mine]++;
}

static s_sweep_t *
s_new (void)
{
    s_random_state = 20;
    s_sweep_t *const self = malloc (sizeof *self);
    assert_non_null (self);
    memset (self, 0, sizeof *self);
    self->stride = test_effort (1, 61);
    s_make_image (&self->image, 1);
    s_make_image (&self->stale, 2);
    assert_in_range (self->image.records, 150, 250);
    return self;
}

static void
s_reset (s_sweep_t *self)
{
    memcpy (self->bytes, self->image.bytes, SIZE);
}

static void
s_finish (s_sweep_t *self)
{
    print_message ("# %llu judged: %llu clean, %llu torn, %llu corrupt, "
                   "%llu bad header\n",
                   (unsigned long long) self->judged,
                   (unsigned long long) self->verdicts[SAYS_CLEAN],
                   (unsigned long long) self->verdicts[SAYS_TORN],
                   (unsigned long long) self->verdicts[SAYS_CORRUPT],
                   (unsigned long long) self->verdicts[SAYS_BAD_HEADER]);
    assert_int_equal (self->judged, (SIZE + self->stride - 1) / self->stride);
    free (self);
}

static void
test_cut_at_every_byte (void **state)
{
    (void) state;
    s_sweep_t *const self = s_new ();
    s_reset (self);
    for (size_t at = 0; at < SIZE; at++) {
        s_compare (self, at, "cut", at);
    }
    s_finish (self);
}

static void
test_zeros_from_every_byte (void **state)
{
    (void) state;
    s_sweep_t *const self = s_new ();
    s_reset (self);
    for (size_t at = SIZE; at > 0; at--) {
        self->bytes[at - 1] = 0;
        s_compare (self, SIZE, "zeros", at - 1);
    }
    s_finish (self);
}

static void
test_garbage_from_every_byte (void **state)
{
    (void) state;
    s_sweep_t *const self = s_new ();
    s_reset (self);
    for (size_t at = SIZE; at > 0; at--) {
        self->bytes[at - 1] = (uint8_t) s_random (256);
        s_compare (self, SIZE, "garbage", at - 1);
    }
    s_finish (self);
}

static void
test_stale_bytes_from_every_byte (void **state)
{
    (void) state;
    s_sweep_t *const self = s_new ();
    s_reset (self);
    for (size_t at = SIZE; at > 0; at--) {
        self->bytes[at - 1] = self->stale.bytes[at - 1];
        s_compare (self, SIZE, "stale", at - 1);
    }
    s_finish (self);
}

static void
test_one_flipped_bit_in_every_byte (void **state)
{
    (void) state;
    s_sweep_t *const self = s_new ();
    s_reset (self);
    for (size_t at = 0; at < SIZE; at++) {
        self->bytes[at] ^= (uint8_t) (1u << s_random (8));
        s_compare (self, SIZE, "flip", at);
        self->bytes[at] = self->image.bytes[at];
    }
    s_finish (self);
}

static void
test_a_sector_overwritten_at_every_byte (void **state)
{
    (void) state;
    s_sweep_t *const self = s_new ();
    uint8_t sector[512];
    for (size_t i = 0; i < sizeof sector; i++) {
        sector[i] = (uint8_t) s_random (256);
    }
    s_reset (self);
    for (size_t at = 0; at < SIZE; at++) {
        const size_t size = SIZE - at < 512 ? SIZE - at : 512;
        memcpy (self->bytes + at, sector, size);
        s_compare (self, SIZE, "sector", at);
        memcpy (self->bytes + at, self->image.bytes + at, size);
    }
    s_finish (self);
}

//  Forged lengths, kinds and seqs everywhere must not make the search slow or
//  let it look everywhere: it gives up, and then refuses.
static void
test_forged_records_do_not_make_the_search_endless (void **state)
{
    (void) state;
    const size_t size = 8 * 1024 * 1024;
    uint8_t *const bytes = malloc (size);
    assert_non_null (bytes);
    const trn_place_t place
        = {.store_uuid = s_uuid, .outbox = s_name, .segment = 1};
    //  Every eight bytes are a length of a megabyte, a kind and a seq at once.
    for (size_t i = 0; i < size; i += 8) {
        const uint8_t forged[8] = {0, 0, 15, 0, 1, 0, 0, 0};
        memcpy (bytes + i, forged, sizeof forged);
    }
    trn_segment_encode (bytes, &place, size, 1);
    trn_memory_source_t memory = {.bytes = bytes, .size = size};
    const trn_source_t source = trn_source_memory (&memory);
    trn_walk_t walk;
    trn_tail_t tail = TRN_TAIL_CLEAN;
    assert_int_equal (trn_segment_recover (&source, &place, 1, 0, &walk, &tail),
                      0);
    assert_int_equal (tail, TRN_TAIL_CORRUPT);
    free (bytes);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_cut_at_every_byte),
        cmocka_unit_test (test_zeros_from_every_byte),
        cmocka_unit_test (test_garbage_from_every_byte),
        cmocka_unit_test (test_stale_bytes_from_every_byte),
        cmocka_unit_test (test_one_flipped_bit_in_every_byte),
        cmocka_unit_test (test_a_sector_overwritten_at_every_byte),
        cmocka_unit_test (test_forged_records_do_not_make_the_search_endless),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
