//  tests/support/disk_log.c - a log on a test disk, and what must be in it
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/disk_log.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <tern/error.h>

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    BODY_MAX = 40000,
    PATTERN = 64,
    GIVEN_UP = 1
};

void
trn_disk_log_fail (const trn_disk_log_t *self, const char *what, int line)
{
    fail_msg (
        "seed %" PRIu64 ", line %d: %s (appended %" PRIu64 ", synced %" PRIu64
        ", low %" PRIu64 ", first %" PRIu64 ", high %" PRIu64 ") %s",
        self->seed, line, what, self->appended, self->synced, self->saved_low,
        self->report.first_seq, self->report.high, self->why);
}

uint64_t
trn_disk_log_random (trn_disk_log_t *self, uint64_t below)
{
    uint64_t z = (self->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return below ? (z ^ (z >> 31)) % below : 0;
}

trn_disk_log_t *
trn_disk_log_new (uint64_t seed)
{
    trn_disk_log_t *const self = trn_alloc (sizeof *self);
    self->seed = seed;
    self->random = seed;
    self->memory = trn_disk_memory_new ();
    self->disk = trn_disk_faulty_new (self->memory);
    trn_disk_faulty_on_lost_sync (self->disk, trn_disk_memory_lose_unsynced);
    self->config = (trn_log_config_t) {.disk = self->disk,
                                       .store_uuid = {1, 2, 3},
                                       .name = "outbox",
                                       .segment_min = 4096,
                                       .segment_max = 16384,
                                       .reserve = 50,
                                       .unwritten_max = 16384,
                                       .kept_max = 32768};
    self->root = -1;
    self->low = self->saved_low = 1;
    return self;
}

void
trn_disk_log_vary_retention (trn_disk_log_t *self)
{
    const uint64_t kind = self->seed % 4;
    self->config.retain_ms = kind == 1 || self->seed % 8 == 2 ? 40 : 0;
    self->config.retain_bytes = kind == 2 ? 30000 : 0;
}

void
trn_disk_log_destroy (trn_disk_log_t **self_p)
{
    trn_disk_log_t *const self = *self_p;
    *self_p = NULL;
    if (self) {
        trn_log_abandon (&self->log);
        trn_disk_faulty_destroy (&self->disk);
        trn_disk_memory_destroy (&self->memory);
        free (self->tags);
        free (self->ruled);
        free (self);
    }
}

//  The body that a tag stands for; its size is a part of it.
static void
s_fill_body (uint8_t *body, uint32_t size, uint64_t tag)
{
    for (uint32_t i = 0; i < size; i++) {
        body[i] = (uint8_t) (tag >> (i % 8 * 8)) ^ (uint8_t) (i / PATTERN);
    }
}

//  Every fourth message is one with rules; its tag says so.
static uint8_t
s_flags_of (uint64_t tag)
{
    return (tag >> 21 & 3) == 0 ? TRN_RECORD_RULED : 0;
}

static void
s_on_ruled (void *arg, const trn_record_t *record)
{
    trn_disk_log_t *const self = arg;
    TRN_REQUIRE (self, record->flags == TRN_RECORD_RULED);
    self->ruled = trn_realloc (self->ruled,
                               (self->ruled_count + 1) * sizeof *self->ruled);
    self->ruled[self->ruled_count++] = record->seq;
}

static uint64_t
s_make_tag (trn_disk_log_t *self, uint32_t size)
{
    return (trn_disk_log_random (self, UINT64_MAX) | 1) << 20 | size;
}

static void
s_remember (trn_disk_log_t *self, uint64_t seq, uint64_t tag)
{
    if (seq >= self->tag_count) {
        const size_t count = (size_t) seq * 2 + 64;
        self->tags = trn_realloc (self->tags, count * sizeof *self->tags);
        memset (self->tags + self->tag_count, 0,
                (count - self->tag_count) * sizeof *self->tags);
        self->tag_count = count;
    }
    TRN_REQUIRE (self, self->tags[seq] == 0);
    self->tags[seq] = tag;
}

//  Is this what seq named when it was appended?
static void
s_check_record (trn_disk_log_t *self, const trn_record_t *record, uint64_t seq)
{
    static uint8_t expected[BODY_MAX];
    TRN_REQUIRE (self, record->seq == seq);
    TRN_REQUIRE (self, seq < self->tag_count && self->tags[seq] != 0);
    const uint64_t tag = self->tags[seq];
    const uint32_t size = (uint32_t) (tag & 0xfffff);
    TRN_REQUIRE (self, record->body_size == size);
    TRN_REQUIRE (self, record->flags == s_flags_of (tag));
    s_fill_body (expected, size, tag);
    TRN_REQUIRE (self, size == 0 || memcmp (record->body, expected, size) == 0);
}

static void
s_check_chunk (trn_disk_log_t *self, const trn_chunk_t *chunk)
{
    const uint32_t count = atomic_load (&chunk->count);
    for (uint32_t i = 0; i < count; i++) {
        trn_record_t record;
        const uint32_t at = chunk->index[i];
        const int size
            = trn_record_peek (chunk->data + at, chunk->filled - at, &record);
        TRN_REQUIRE (self, size > 0);
        s_check_record (self, &record, chunk->first_seq + i);
    }
}

//  Opening was told of this seq if it has rules and may still be delivered.
static void
s_check_ruled (trn_disk_log_t *self, uint64_t seq, size_t *next_p)
{
    if (seq >= self->saved_low && s_flags_of (self->tags[seq])) {
        TRN_REQUIRE (self, *next_p < self->ruled_count);
        TRN_REQUIRE (self, self->ruled[(*next_p)++] == seq);
    }
}

//  A gap names this seq: then it was never said to be synced, and nothing will
//  ever be called by it.
static void
s_give_up (trn_disk_log_t *self, uint64_t seq)
{
    if (seq < self->tag_count && self->tags[seq]) {
        TRN_REQUIRE (self, self->tags[seq] == GIVEN_UP || seq > self->synced);
        self->tags[seq] = GIVEN_UP;
    }
}

static void
s_on_picked (void *arg, uint64_t seq, int rc, trn_chunk_t *chunk)
{
    trn_disk_log_t *const self = arg;
    if (rc == TERN_ENOENT) {
        TRN_REQUIRE (self, seq >= self->tag_count || self->tags[seq] == 0
                               || self->tags[seq] == GIVEN_UP);
    } else if (rc == 0) {
        TRN_REQUIRE (self, chunk->first_seq == seq);
        s_check_chunk (self, chunk);
    } else {
        TRN_REQUIRE (self, trn_disk_faulty_hits (self->disk) > 0);
    }
    trn_chunk_release (&chunk);
}

//  Single records are found as well as all of them.
static void
s_check_picks (trn_disk_log_t *self)
{
    uint64_t seqs[64];
    size_t count = 0;
    const uint64_t step = 1 + trn_disk_log_random (self, 60);
    uint64_t seq = self->report.first_seq;
    while (count < 64 && seq <= self->report.high) {
        seqs[count++] = seq;
        seq += trn_disk_log_random (self, 3)
                   ? 1
                   : 1 + trn_disk_log_random (self, step);
    }
    if (count) {
        const size_t done = trn_log_pick (self->log, seqs, count, UINT64_MAX,
                                          s_on_picked, self);
        TRN_REQUIRE (self, done == count);
    }
}

//  Everything that was promised is there, and nothing that was never said.
static void
s_check_contents (trn_disk_log_t *self)
{
    const trn_ranges_t *const gaps = &self->report.gaps;
    for (size_t i = 0; i < gaps->count; i++) {
        for (uint64_t at = gaps->at[i].from; at <= gaps->at[i].to; at++) {
            s_give_up (self, at);
        }
    }
    uint64_t messages = 0;
    size_t ruled = 0;
    uint64_t seq = self->report.first_seq;
    for (uint64_t at = self->saved_low; at < seq && at < self->tag_count;
         at++) {
        TRN_REQUIRE (self, self->tags[at] == 0 || self->tags[at] == GIVEN_UP
                               || at > self->synced);
    }
    while (seq <= self->report.high) {
        trn_range_t gap;
        if (trn_ranges_first_in (&self->report.gaps, seq, seq, &gap)) {
            seq++;
            continue;
        }
        trn_chunk_t *chunk = NULL;
        const int rc = trn_log_read (self->log, seq, 0, &chunk);
        if (rc < 0 && trn_disk_faulty_hits (self->disk) > 0) {
            return;
        }
        TRN_REQUIRE (self, rc == 0);
        s_check_chunk (self, chunk);
        messages += atomic_load (&chunk->count);
        for (uint32_t i = 0; i < atomic_load (&chunk->count); i++) {
            s_check_ruled (self, seq++, &ruled);
        }
        trn_chunk_release (&chunk);
    }
    TRN_REQUIRE (self, messages == self->report.messages);
    TRN_REQUIRE (self, ruled == self->ruled_count);
}

static void
s_check_state (trn_disk_log_t *self, const uint8_t *state, size_t size)
{
    const uint64_t stamp = size >= 8 ? trn_get_u64 (state) : 0;
    TRN_REQUIRE (self, size == 0 || size == 16);
    //  Never older than what was said to be saved, never from nowhere.
    TRN_REQUIRE (self, stamp >= self->saved_stamp);
    TRN_REQUIRE (self, stamp <= self->tried_stamp);
    self->saved_stamp = stamp;
    self->saved_low = size ? trn_get_u64 (state + 8) : 1;
    self->low = self->saved_low;
}

int
trn_disk_log_open (trn_disk_log_t *self)
{
    trn_disk_t *const disk = self->disk;
    self->config.incarnation++;
    self->root = disk->open_root (disk, "data", 1);
    if (self->root < 0) {
        return TERN_EIO;
    }
    self->config.dir = self->root;
    self->config.on_ruled = s_on_ruled;
    self->config.on_ruled_arg = self;
    self->ruled_count = 0;
    self->least = 0;
    uint8_t *state = NULL;
    size_t size = 0;
    const int rc = trn_log_open (&self->log, &self->config, &state, &size,
                                 &self->report, self->why, sizeof self->why);
    if (rc == 0) {
        s_check_state (self, state, size);
        TRN_REQUIRE (self, self->report.high >= self->appended);
        TRN_REQUIRE (self, self->report.first_seq <= self->saved_low
                               || self->report.messages == 0);
        TRN_REQUIRE (self, self->report.high >= self->synced);
        self->appended = self->report.high;
        s_check_contents (self);
        s_check_picks (self);
        self->synced = trn_log_synced (self->log);
    }
    free (state);
    trn_ranges_clear (&self->report.gaps);
    return rc;
}

int
trn_disk_log_append (trn_disk_log_t *self, uint32_t body_size)
{
    static uint8_t body[BODY_MAX];
    assert_true (body_size <= BODY_MAX);
    const uint64_t tag = s_make_tag (self, body_size);
    s_fill_body (body, body_size, tag);
    trn_record_t record = {.flags = s_flags_of (tag),
                           .stamp_us = self->clock_us + 1000,
                           .body = body,
                           .body_size = body_size};
    uint64_t seq = 0;
    const int rc = trn_log_append (self->log, &record, &seq);
    if (rc == 0) {
        TRN_REQUIRE (self, seq > self->appended && seq >= self->least);
        s_remember (self, seq, tag);
        self->appended = seq;
        self->clock_us += 1000;
    }
    return rc;
}

//  As one of many, all at once if the disk can.
static int
s_sync_among_many (trn_disk_log_t *self)
{
    int files[TRN_LOG_SYNC_FILES];
    int errors[TRN_LOG_SYNC_FILES];
    const size_t count = trn_log_begin_sync (self->log, files);
    const bool done
        = count
          && self->disk->sync_files (self->disk, files, count, errors) == 0;
    return trn_log_end_sync (self->log, done ? errors : NULL, 0);
}

int
trn_disk_log_skip (trn_disk_log_t *self, uint64_t seq)
{
    const int rc = trn_log_skip (self->log, seq);
    if (rc == 0 && seq > self->least) {
        self->least = seq;
    }
    return rc;
}

int
trn_disk_log_sync (trn_disk_log_t *self)
{
    const int rc = ++self->syncs % 2 ? trn_log_sync (self->log)
                                     : s_sync_among_many (self);
    const uint64_t synced = trn_log_synced (self->log);
    TRN_REQUIRE (self, synced >= self->synced);
    self->synced = synced;
    return rc;
}

int
trn_disk_log_save (trn_disk_log_t *self, uint64_t low)
{
    uint8_t state[16];
    trn_put_u64 (state, ++self->tried_stamp);
    trn_put_u64 (state + 8, low);
    const int rc = trn_log_save_state (self->log, state, sizeof state, low);
    if (rc == 0) {
        self->saved_stamp = self->tried_stamp;
        self->saved_low = low;
    }
    return rc;
}

int
trn_disk_log_close (trn_disk_log_t *self)
{
    uint8_t state[16];
    trn_put_u64 (state, ++self->tried_stamp);
    trn_put_u64 (state + 8, self->saved_low);
    const int rc = trn_log_close (&self->log, state, sizeof state);
    if (rc == 0) {
        self->saved_stamp = self->tried_stamp;
        self->synced = self->appended;
    }
    (void) self->disk->close (self->disk, self->root);
    return rc;
}

void
trn_disk_log_kill (trn_disk_log_t *self)
{
    trn_log_abandon (&self->log);
    trn_disk_memory_kill (self->memory);
}

void
trn_disk_log_crash (trn_disk_log_t *self, uint64_t seed)
{
    trn_log_abandon (&self->log);
    trn_disk_memory_crash (self->memory, seed);
}

static bool
s_retains (const trn_disk_log_t *self)
{
    return self->config.retain_ms || self->config.retain_bytes;
}

//  The next message gets this seq at least.
static uint64_t
s_next (const trn_disk_log_t *self)
{
    return self->least > self->appended ? self->least : self->appended + 1;
}

//  Sizes are mostly small, sometimes several sectors, rarely a segment.
static uint32_t
s_random_size (trn_disk_log_t *self)
{
    switch (trn_disk_log_random (self, 16)) {
    case 0: return (uint32_t) trn_disk_log_random (self, 20000);
    case 1:
    case 2: return (uint32_t) trn_disk_log_random (self, 3000);
    case 3: return 0;
    default: return (uint32_t) trn_disk_log_random (self, 200);
    }
}

int
trn_disk_log_step (trn_disk_log_t *self)
{
    int rc = 0;
    switch (trn_disk_log_random (self, 20)) {
    case 0:
    case 1:
    case 2: return trn_log_push (self->log);
    case 3: return trn_log_prepare (self->log);
    case 4:
    case 5: return trn_log_write (self->log);
    case 6:
    case 7:
    case 8: return trn_disk_log_sync (self);
    case 9:
        if (s_retains (self) && trn_disk_log_random (self, 8) == 0) {
            self->low = trn_log_first_retained (self->log);
        }
        self->low += trn_disk_log_random (self, s_next (self) - self->low + 1);
        return trn_disk_log_save (self, self->low);
    case 10:
        trn_log_hint (self->log,
                      trn_disk_log_random (self, self->appended + 2));
        return 0;
    case 11:
        switch (trn_disk_log_random (self, 8)) {
        case 0:
            rc = trn_disk_log_close (self);
            return rc < 0 ? rc : trn_disk_log_open (self);
        case 1:
            //  Often beyond what is reserved.
            rc = trn_disk_log_skip (
                self, self->appended + trn_disk_log_random (self, 150));
            return rc == TERN_EFULL ? 0 : rc;
        default: return 0;
        }
    default:
        rc = trn_disk_log_append (self, s_random_size (self));
        return rc == TERN_EAGAIN || rc == TERN_EFULL ? 0 : rc;
    }
}
