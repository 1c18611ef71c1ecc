//  store/selection.c - what of its past a queue of an outbox was given
//
//  Knows: the file's format, and how a file comes to be there at once.  It is
//  written under a name of its own, synced, renamed, and the directory is synced.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/selection.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC "TERNPAST"
#define MAJOR 1
#define MINOR 0

#define PAGE TRN_SEQSET_PAGE
#define WORDS (PAGE / 64)
#define PART 16u

#define PREFIX "past-"
#define FRESH (TRN_SELECTION_NAME + 4)

_Static_assert(TRN_SELECTION_NAME == sizeof PREFIX + 8, "a name fits");

#define SIZE_MAX_BYTES                                                         \
    (TRN_SELECTION_HEADER                                                      \
     + (size_t) TRN_SELECTION_PARTS_MAX * TRN_SELECTION_PART_MAX)

//  Bytes --------------------------------------------------------------------

static uint8_t *
s_put_part (uint8_t *at, const trn_seqset_part_t *part)
{
    trn_put_u64 (at, part->page);
    trn_put_u64 (at + 8, part->in);
    at += PART;
    for (size_t word = 0; part->bits && word < WORDS; word++) {
        trn_put_u64 (at, part->bits[word]);
        at += 8;
    }
    return at;
}

uint8_t *
trn_selection_encode (const trn_selection_t *self, uint64_t seed,
                      size_t *size_p)
{
    assert (self && self->number && size_p);
    const trn_seqset_t *seqs = &self->seqs;
    assert (seqs->count <= TRN_SELECTION_PARTS_MAX);
    uint8_t *bytes = trn_alloc (TRN_SELECTION_HEADER
                                + seqs->count * TRN_SELECTION_PART_MAX);
    memcpy (bytes + 8, MAGIC, 8);
    trn_put_u16 (bytes + 16, MAJOR);
    trn_put_u16 (bytes + 18, MINOR);
    trn_put_u32 (bytes + 20, self->number);
    trn_put_u64 (bytes + 24, self->to);
    uint8_t *at = bytes + TRN_SELECTION_HEADER;
    for (size_t index = 0; index < seqs->count; index++) {
        at = s_put_part (at, &seqs->at[seqs->head + index]);
    }
    *size_p = (size_t) (at - bytes);
    trn_put_u64 (bytes, XXH3_64bits_withSeed (bytes + 8, *size_p - 8, seed));
    return bytes;
}

static void
s_take_page (trn_seqset_t *seqs, uint64_t page, const uint8_t *bits)
{
    for (unsigned word = 0; word < WORDS; word++) {
        uint64_t left = trn_get_u64 (bits + (size_t) word * 8);
        for (uint64_t seq = page * PAGE + word * 64u; left; left >>= 1, seq++) {
            if (left & 1) {
                trn_seqset_add (seqs, seq, seq);
            }
        }
    }
}

//  The part at `at`; returns its size, 0 if it is none.
static size_t
s_take_part (trn_selection_t *self, const uint8_t *at, size_t left)
{
    if (left < PART) {
        return 0;
    }
    const uint64_t page = trn_get_u64 (at);
    const uint64_t count = trn_get_u64 (at + 8);
    const uint64_t last = self->to / PAGE;
    const uint64_t pages = count < PAGE ? 1 : count / PAGE;
    if (!count || page > last || pages - 1 > last - page) {
        return 0;
    }
    if (count >= PAGE) {
        trn_seqset_add (&self->seqs, page * PAGE, (page + pages) * PAGE - 1);
        return PART;
    }
    if (left < TRN_SELECTION_PART_MAX) {
        return 0;
    }
    s_take_page (&self->seqs, page, at + PART);
    return TRN_SELECTION_PART_MAX;
}

int
trn_selection_decode (trn_selection_t *self, uint64_t seed,
                      const uint8_t *bytes, size_t size)
{
    assert (self && (bytes || !size));
    *self = (trn_selection_t) {0};
    if (size < TRN_SELECTION_HEADER || size > SIZE_MAX_BYTES
        || memcmp (bytes + 8, MAGIC, 8) != 0) {
        return TERN_ECORRUPT;
    }
    if (trn_get_u16 (bytes + 16) != MAJOR) {
        return TERN_EVERSION;
    }
    if (trn_get_u64 (bytes)
        != XXH3_64bits_withSeed (bytes + 8, size - 8, seed)) {
        return TERN_ECORRUPT;
    }
    self->number = trn_get_u32 (bytes + 20);
    self->to = trn_get_u64 (bytes + 24);
    size_t at = TRN_SELECTION_HEADER;
    size_t part = self->number && self->to <= TRN_SEQ_MAX;
    while (part && at < size) {
        part = s_take_part (self, bytes + at, size - at);
        at += part;
    }
    if (!part) {
        trn_seqset_clear (&self->seqs);
        return TERN_ECORRUPT;
    }
    return TERN_OK;
}

//  Files --------------------------------------------------------------------

void
trn_selection_name (char name[TRN_SELECTION_NAME], uint32_t number)
{
    snprintf (name, TRN_SELECTION_NAME, PREFIX "%08" PRIx32, number);
}

//  While it is being written.
static void
s_fresh (char entry[FRESH], uint32_t number)
{
    snprintf (entry, FRESH, PREFIX "%08" PRIx32 ".new", number);
}

typedef struct {
    uint32_t number;
    bool fresh;  //  not finished
} s_name_t;

//  False if it is not the name of one.
static bool
s_parse (const char *entry, s_name_t *name)
{
    if (strncmp (entry, PREFIX, strlen (PREFIX)) != 0) {
        return false;
    }
    char again[FRESH];
    name->number = (uint32_t) strtoul (entry + strlen (PREFIX), NULL, 16);
    s_fresh (again, name->number);
    name->fresh = strcmp (entry, again) == 0;
    trn_selection_name (again, name->number);
    return name->fresh || strcmp (entry, again) == 0;
}

static int
s_fill (trn_disk_t *disk, int file, const uint8_t *bytes, size_t size)
{
    int rc = trn_io_allocate (disk, file, (int64_t) size);
    rc = rc == TERN_ENOTSUP ? TERN_OK : rc;
    rc = rc ? rc : trn_io_write (disk, file, bytes, size, 0);
    return rc ? rc : trn_io_sync (disk, file);
}

int
trn_selection_write (trn_disk_t *disk, int dir, uint32_t number,
                     const uint8_t *bytes, size_t size)
{
    assert (disk && number && bytes);
    char entry[TRN_SELECTION_NAME];
    char fresh[FRESH];
    trn_selection_name (entry, number);
    s_fresh (fresh, number);
    (void) disk->unlink (disk, dir, fresh);
    const int file = disk->open (disk, dir, fresh, O_RDWR | O_CREAT | O_EXCL);
    if (file < 0) {
        return trn_io_error (file);
    }
    int rc = s_fill (disk, file, bytes, size);
    (void) disk->close (disk, file);
    if (rc == TERN_OK) {
        const int renamed = disk->rename (disk, dir, fresh, entry);
        rc = renamed < 0 ? trn_io_error (renamed) : trn_io_sync (disk, dir);
    }
    if (rc != TERN_OK) {
        (void) disk->unlink (disk, dir, fresh);
    }
    return rc;
}

void
trn_selection_remove (trn_disk_t *disk, int dir, uint32_t number)
{
    assert (disk && number);
    char entry[TRN_SELECTION_NAME];
    trn_selection_name (entry, number);
    (void) disk->unlink (disk, dir, entry);
}

int
trn_selection_read (trn_disk_t *disk, int dir, uint64_t seed, uint32_t number,
                    trn_selection_t *selection)
{
    assert (disk && selection);
    *selection = (trn_selection_t) {0};
    char entry[TRN_SELECTION_NAME];
    trn_selection_name (entry, number);
    const int file = disk->open (disk, dir, entry, O_RDONLY);
    if (file < 0) {
        return trn_io_error (file);
    }
    int rc = TERN_ECORRUPT;
    const int64_t size = disk->size (disk, file);
    if (size > 0 && (uint64_t) size <= SIZE_MAX_BYTES) {
        uint8_t *bytes = trn_alloc ((size_t) size);
        const int64_t got = trn_io_read (disk, file, bytes, (size_t) size, 0);
        rc = got < 0
                 ? (int) got
                 : trn_selection_decode (selection, seed, bytes, (size_t) got);
        free (bytes);
    }
    (void) disk->close (disk, file);
    if (rc == TERN_OK && selection->number != number) {
        trn_seqset_clear (&selection->seqs);
        rc = TERN_ECORRUPT;
    }
    return rc;
}

//  Numbers in dir, found before anything is changed there.
typedef struct {
    uint32_t *at;
    size_t count, capacity;
    bool fresh;  //  of the unfinished
} s_found_t;

static int
s_find (void *arg, const char *entry)
{
    s_found_t *found = arg;
    s_name_t name = {0};
    if (!s_parse (entry, &name) || name.fresh != found->fresh) {
        return 0;
    }
    if (found->count == found->capacity) {
        found->capacity = found->capacity ? found->capacity * 2 : 8;
        found->at
            = trn_realloc (found->at, found->capacity * sizeof *found->at);
    }
    found->at[found->count++] = name.number;
    return 0;
}

int
trn_selection_list (trn_disk_t *disk, int dir, uint32_t **numbers_p,
                    size_t *count_p)
{
    assert (disk && numbers_p && count_p);
    s_found_t found = {0};
    const int listed = disk->list (disk, dir, s_find, &found);
    *numbers_p = found.at;
    *count_p = found.count;
    return listed < 0 ? trn_io_error (listed) : TERN_OK;
}

static int
s_give (trn_disk_t *disk, int dir, uint64_t seed, uint32_t number,
        trn_selection_fn *fn, void *arg)
{
    trn_selection_t selection;
    const int rc = trn_selection_read (disk, dir, seed, number, &selection);
    if (rc == TERN_OK && fn) {
        fn (arg, &selection);
    }
    trn_seqset_clear (&selection.seqs);
    //  Its owner has removed it meanwhile.
    return rc == TERN_ENOENT ? TERN_OK : rc;
}

int
trn_selection_each (trn_disk_t *disk, int dir, uint64_t seed,
                    trn_selection_fn *fn, void *arg, uint32_t *number_p)
{
    assert (disk && number_p);
    uint32_t *numbers = NULL;
    size_t count = 0;
    int rc = trn_selection_list (disk, dir, &numbers, &count);
    *number_p = 0;
    for (size_t index = 0; rc == TERN_OK && index < count; index++) {
        *number_p = numbers[index];
        rc = s_give (disk, dir, seed, *number_p, fn, arg);
    }
    free (numbers);
    return rc;
}

void
trn_selection_tidy (trn_disk_t *disk, int dir)
{
    assert (disk);
    s_found_t found = {.fresh = true};
    (void) disk->list (disk, dir, s_find, &found);
    for (size_t index = 0; index < found.count; index++) {
        char entry[FRESH];
        s_fresh (entry, found.at[index]);
        (void) disk->unlink (disk, dir, entry);
    }
    free (found.at);
}
