//  test_store_bodies - large bodies, through crashes and bad disks
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/bodies.h"

#include "support/disk_faulty.h"
#include "support/disk_memory.h"
#include "support/effort.h"

#include <tern/error.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

//  What the script writes: three bodies of so many pieces.
#define BODIES 3u
#define PIECES 5u
#define PIECE 1000u

typedef struct {
    trn_disk_t *memory;
    trn_disk_t *disk;
    int root;
    uint64_t incarnation;
    trn_bodies_t *bodies;
} world_t;

static void
s_open (world_t *self)
{
    self->root = self->disk->open_root (self->disk, "data", 1);
    assert_true (self->root >= 0);
    assert_int_equal (trn_bodies_open (&self->bodies, self->disk, self->root,
                                       ++self->incarnation),
                      TERN_OK);
}

static void
s_new (world_t *self)
{
    *self = (world_t) {.memory = trn_disk_memory_new ()};
    self->disk = trn_disk_faulty_new (self->memory);
    s_open (self);
}

static void
s_destroy (world_t *self)
{
    trn_bodies_close (&self->bodies);
    trn_disk_faulty_destroy (&self->disk);
    trn_disk_memory_destroy (&self->memory);
}

static void
s_plan (world_t *self, uint64_t nth, int error)
{
    const trn_disk_fault_t fault
        = {.nth = nth, .forever = true, .error = error};
    trn_disk_faulty_plan (self->disk, &fault);
}

static void
s_piece (unsigned body, unsigned piece, uint8_t bytes[PIECE])
{
    for (unsigned at = 0; at < PIECE; at++) {
        bytes[at] = (uint8_t) (body * 31 + piece * 7 + at);
    }
}

//  One body, from its beginning to its end: 0 and its id, or what went wrong,
//  and then it was abandoned.
static int
s_write (world_t *self, unsigned number, uint64_t *id_p)
{
    trn_body_t *body = NULL;
    int rc = trn_body_begin (&body, self->bodies);
    for (unsigned piece = 0; piece < PIECES && rc == TERN_OK; piece++) {
        uint8_t bytes[PIECE];
        s_piece (number, piece, bytes);
        rc = trn_body_write (body, bytes, sizeof bytes);
    }
    if (rc == TERN_OK) {
        rc = trn_body_finish (&body, id_p);
    }
    trn_body_abandon (&body);
    assert_null (body);
    return rc;
}

static void
s_check (world_t *self, unsigned number, uint64_t id)
{
    for (unsigned piece = 0; piece < PIECES; piece++) {
        uint8_t bytes[PIECE], wanted[PIECE];
        s_piece (number, piece, wanted);
        assert_int_equal (trn_bodies_read (self->bodies, id,
                                           (uint64_t) piece * PIECE, bytes,
                                           sizeof bytes),
                          TERN_OK);
        assert_memory_equal (bytes, wanted, sizeof bytes);
    }
}

typedef struct {
    uint64_t ids[16];
    size_t count;
} s_found_t;

static void
s_note (void *arg, uint64_t id)
{
    s_found_t *found = arg;
    assert_true (found->count < 16);
    found->ids[found->count++] = id;
}

static s_found_t
s_list (world_t *self)
{
    s_found_t found = {.count = 0};
    assert_int_equal (trn_bodies_each (self->bodies, s_note, &found), TERN_OK);
    return found;
}

static bool
s_has (const s_found_t *found, uint64_t id)
{
    bool has = false;
    for (size_t index = 0; index < found->count; index++) {
        has = has || found->ids[index] == id;
    }
    return has;
}

//  Crashes -----------------------------------------------------------------

//  Until the nth call of the disk; then the power goes, or the process.  False
//  when the script came to its end.
static bool
s_life (uint64_t nth, uint64_t seed, bool power)
{
    world_t world;
    s_new (&world);
    s_plan (&world, nth, EIO);
    uint64_t ids[BODIES] = {0};
    bool ended = true;
    for (unsigned number = 0; number < BODIES && ended; number++) {
        ended = s_write (&world, number, &ids[number]) == TERN_OK;
    }
    if (power) {
        trn_disk_memory_crash (world.memory, seed);
    } else {
        trn_disk_memory_kill (world.memory);
    }
    s_plan (&world, 0, 0);
    trn_bodies_close (&world.bodies);
    s_open (&world);
    const s_found_t found = s_list (&world);
    for (unsigned number = 0; number < BODIES; number++) {
        if (ids[number]) {
            //  What was finished is there, name and bytes.
            assert_true (s_has (&found, ids[number]));
            s_check (&world, number, ids[number]);
        }
    }
    //  The rest can be removed, and no number is given out again.
    for (size_t index = 0; index < found.count; index++) {
        assert_int_equal (trn_bodies_remove (world.bodies, found.ids[index]),
                          TERN_OK);
    }
    assert_int_equal (s_list (&world).count, 0);
    uint64_t id = 0;
    assert_int_equal (s_write (&world, 9, &id), TERN_OK);
    assert_false (s_has (&found, id));
    s_check (&world, 9, id);
    s_destroy (&world);
    return !ended;
}

static void
s_sweep (bool power)
{
    const uint64_t seeds = power ? test_effort (200, 10) : 1;
    uint64_t nth = 1;
    bool more = true;
    for (; more; nth++) {
        more = false;
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            more |= s_life (nth, seed, power);
        }
    }
    //  Each body is several calls: the sweep has gone through all of them.
    assert_true (nth > BODIES * PIECES);
}

//  T-171
static void
test_a_finished_body_survives_the_power (void **state)
{
    (void) state;
    s_sweep (true);
}

static void
test_a_finished_body_survives_a_kill (void **state)
{
    (void) state;
    s_sweep (false);
}

//  The rest ----------------------------------------------------------------

static void
test_a_full_disk_leaves_nothing_of_a_body (void **state)
{
    (void) state;
    world_t world;
    s_new (&world);
    uint64_t first = 0;
    uint64_t second = 0;
    assert_int_equal (s_write (&world, 1, &first), TERN_OK);
    trn_disk_memory_limit (world.memory,
                           trn_disk_memory_used (world.memory) + 2 * PIECE);
    assert_int_equal (s_write (&world, 2, &second), TERN_EFULL);
    const s_found_t found = s_list (&world);
    assert_int_equal (found.count, 1);
    s_check (&world, 1, first);
    //  Removed, it makes room.
    assert_int_equal (trn_bodies_remove (world.bodies, first), TERN_OK);
    trn_disk_memory_limit (world.memory, PIECES * PIECE);
    assert_int_equal (s_write (&world, 2, &second), TERN_OK);
    s_check (&world, 2, second);
    s_destroy (&world);
}

static void
test_what_is_not_there_is_told_from_what_is_cut_off (void **state)
{
    (void) state;
    world_t world;
    s_new (&world);
    uint8_t bytes[PIECE];
    assert_int_equal (trn_bodies_read (world.bodies, 1, 0, bytes, 1),
                      TERN_ENOENT);
    assert_int_equal (trn_bodies_remove (world.bodies, 1), TERN_ENOENT);
    assert_int_equal (s_list (&world).count, 0);
    uint64_t id = 0;
    assert_int_equal (s_write (&world, 1, &id), TERN_OK);
    assert_int_equal (trn_bodies_read (world.bodies, id + 1, 0, bytes, 1),
                      TERN_ENOENT);
    assert_int_equal (trn_bodies_read (world.bodies, id,
                                       (uint64_t) PIECES * PIECE - 1, bytes, 2),
                      TERN_ECORRUPT);
    assert_int_equal (trn_bodies_read (world.bodies, id, 0, bytes, 0), TERN_OK);
    s_destroy (&world);
}

//  Foreign names in the folder are nobody's body.
static void
test_other_names_are_left_alone (void **state)
{
    (void) state;
    world_t world;
    s_new (&world);
    uint64_t id = 0;
    assert_int_equal (s_write (&world, 1, &id), TERN_OK);
    static const char *const names[] = {"notes", "0000000100000001.txt",
                                        "000000010000000", "00000001A0000001"};
    for (size_t index = 0; index < 4; index++) {
        const int dir
            = world.disk->open_dir (world.disk, world.root, TRN_BODIES_DIR, 0);
        const int file = world.disk->open (world.disk, dir, names[index],
                                           O_RDWR | O_CREAT);
        assert_true (dir >= 0 && file >= 0);
    }
    const s_found_t found = s_list (&world);
    assert_int_equal (found.count, 1);
    assert_int_equal (found.ids[0], id);
    s_destroy (&world);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_finished_body_survives_the_power),
        cmocka_unit_test (test_a_finished_body_survives_a_kill),
        cmocka_unit_test (test_a_full_disk_leaves_nothing_of_a_body),
        cmocka_unit_test (test_what_is_not_there_is_told_from_what_is_cut_off),
        cmocka_unit_test (test_other_names_are_left_alone),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("store/bodies", tests, NULL, NULL);
}
