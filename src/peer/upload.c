//  peer/upload.c - publishing a large message
//
//  Knows: the body is on the disk before its manifest is appended, and goes
//  again if that fails.  What is read first decides whether it is large at all.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/large.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "io/clock.h"
#include "wire/manifest.h"

#include <tern/large.h>

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(TERN_LARGE_MAX == TRN_LARGE_MAX, "one limit, two names");
_Static_assert(TERN_LARGE_PART == TRN_LARGE_PART, "one part, two names");

//  Read at a time: whole parts, and more than a message can be.
#define BUFFER_SIZE (TRN_BODY_MAX + TRN_LARGE_PART)
_Static_assert(BUFFER_SIZE % TRN_LARGE_PART == 0, "whole parts");

//  What is sent.
typedef struct {
    tern_large_read_fn *read;
    void *arg;
    uint8_t *buffer;  //  of BUFFER_SIZE
    bool ended;       //  the reader has no more
    uint64_t size;    //  of the body so far
    uint8_t *sums;    //  of its parts
    trn_body_t *body;
} s_upload_t;

//  Fill the buffer as far as the reader goes.  Bytes, or a negative error.
static int64_t
s_fill (s_upload_t *self)
{
    size_t used = 0;
    while (used < BUFFER_SIZE && !self->ended) {
        const size_t room = BUFFER_SIZE - used;
        const int64_t got = self->read (self->arg, self->buffer + used, room);
        if (got < 0) {
            return got;
        }
        assert ((size_t) got <= room);
        self->ended = got == 0;
        used += (size_t) got;
    }
    return (int64_t) used;
}

//  Put what is in the buffer behind the body: whole parts, but for the last.
static int
s_put (s_upload_t *self, size_t size)
{
    if (size > TRN_LARGE_MAX - self->size) {
        return TERN_ETOOBIG;
    }
    for (size_t at = 0; at < size; at += TRN_LARGE_PART) {
        const size_t left = size - at;
        const uint64_t part = (self->size + at) / TRN_LARGE_PART;
        trn_put_u64 (self->sums + part * TRN_SUM_SIZE,
                     trn_part_sum (self->buffer + at, left < TRN_LARGE_PART
                                                          ? left
                                                          : TRN_LARGE_PART));
    }
    self->size += size;
    return trn_body_write (self->body, self->buffer, size);
}

//  All of the body, whose first size bytes are in the buffer.
static int
s_store (s_upload_t *self, trn_bodies_t *bodies, size_t size, uint64_t *id_p)
{
    self->sums = trn_alloc (TRN_PARTS_OF_LARGE * TRN_SUM_SIZE);
    int rc = trn_body_begin (&self->body, bodies);
    int64_t got = (int64_t) size;
    while (rc == TERN_OK && got > 0) {
        rc = s_put (self, (size_t) got);
        got = rc == TERN_OK ? s_fill (self) : 0;
    }
    rc = rc == TERN_OK && got < 0 ? (int) got : rc;
    if (rc == TERN_OK) {
        rc = trn_body_finish (&self->body, id_p);
    }
    trn_body_abandon (&self->body);
    return rc;
}

int
trn_manifest_make (tern_msg_t *msg, uint64_t size, uint64_t id,
                   const uint8_t *sums)
{
    assert (msg && !msg->parcel && !msg->record.body_size);
    assert (size >= 1 && size <= TRN_LARGE_MAX && id && sums);
    const uint32_t sums_size = trn_manifest_parts (size) * TRN_SUM_SIZE;
    const int rc = trn_manifest_name (&msg->props, size, id);
    size_t props_size = 0;
    msg->record.props = trn_propset_map (&msg->props, &props_size);
    msg->record.props_size = (uint16_t) props_size;
    free (msg->own_body);
    msg->own_body = trn_alloc (sums_size);
    memcpy (msg->own_body, sums, sums_size);
    msg->record.body = (const uint8_t *) msg->own_body;
    msg->record.body_size = sums_size;
    msg->large = true;
    return rc;
}

static int
s_left (int64_t until_ms, int timeout_ms)
{
    const int64_t left = until_ms - trn_clock_ms ();
    return timeout_ms <= 0 ? timeout_ms : left > 0 ? (int) left : 0;
}

static int
s_send_large (tern_producer_t *self, s_upload_t *upload, tern_msg_t *msg,
              size_t size, int timeout_ms, uint64_t *seq_p)
{
    trn_box_t *box = trn_producer_box (self);
    const int64_t until_ms
        = timeout_ms < 0 ? INT64_MAX : trn_clock_ms () + timeout_ms;
    uint64_t id = 0;
    int rc = trn_large_serve (box->peer);
    if (rc == TERN_OK) {
        rc = trn_large_wait_room (box, timeout_ms);
    }
    const int left = s_left (until_ms, timeout_ms);
    if (rc == TERN_OK) {
        rc = s_store (upload, trn_large_bodies (box->peer), size, &id);
    }
    if (rc == TERN_OK) {
        //  Counted before anybody can settle it.
        atomic_fetch_add (&box->large_bytes, upload->size);
        rc = trn_manifest_make (msg, upload->size, id, upload->sums);
        if (rc == TERN_OK) {
            rc = tern_producer_send_msg (self, msg, left, seq_p);
        }
        if (rc != TERN_OK) {
            atomic_fetch_sub (&box->large_bytes, upload->size);
            trn_large_drop (box->peer, id);
        }
    }
    return rc;
}

//  It fits into a message.
static int
s_send_small (tern_producer_t *self, const s_upload_t *upload, tern_msg_t *msg,
              size_t size, int timeout_ms, uint64_t *seq_p)
{
    free (msg->own_body);
    msg->own_body = trn_alloc (size + 1);
    memcpy (msg->own_body, upload->buffer, size);
    msg->record.body = (const uint8_t *) msg->own_body;
    msg->record.body_size = (uint32_t) size;
    return tern_producer_send_msg (self, msg, timeout_ms, seq_p);
}

int
tern_large_send (tern_producer_t *self, const tern_msg_t *msg,
                 tern_large_read_fn *read, void *arg, int timeout_ms,
                 uint64_t *seq_p)
{
    assert (self && read);
    if (msg && (msg->parcel || msg->record.body_size)) {
        return TERN_EINVAL;
    }
    if (atomic_load (&trn_producer_box (self)->peer->drains)) {
        return TERN_ECLOSED;
    }
    tern_msg_t *own = msg ? tern_msg_dup (msg) : tern_msg_new (NULL, 0);
    s_upload_t upload = {.read = read, .arg = arg};
    upload.buffer = trn_alloc (BUFFER_SIZE);
    const int64_t got = s_fill (&upload);
    const size_t size = got > 0 ? (size_t) got : 0;
    const int rc
        = got < 0 ? (int) got
          : size <= TRN_BODY_MAX
              ? s_send_small (self, &upload, own, size, timeout_ms, seq_p)
              : s_send_large (self, &upload, own, size, timeout_ms, seq_p);
    tern_msg_destroy (&own);
    free (upload.buffer);
    free (upload.sums);
    return rc;
}

//  From a descriptor -------------------------------------------------------

static int64_t
s_read_fd (void *arg, void *buffer, size_t size)
{
    const int *fd = arg;
    ssize_t got;
    do {
        got = read (*fd, buffer, size);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? TERN_EIO : got;
}

//  Is more to come than may be sent?  Only a file can tell before it is read.
static bool
s_is_too_big (int fd)
{
    struct stat info;
    const off_t at = lseek (fd, 0, SEEK_CUR);
    return at >= 0 && fstat (fd, &info) == 0 && S_ISREG (info.st_mode)
           && info.st_size - at > TRN_LARGE_MAX;
}

int
tern_large_send_fd (tern_producer_t *self, const tern_msg_t *msg, int fd,
                    int timeout_ms, uint64_t *seq_p)
{
    assert (fd >= 0);
    if (s_is_too_big (fd)) {
        return TERN_ETOOBIG;
    }
    return tern_large_send (self, msg, s_read_fd, &fd, timeout_ms, seq_p);
}
