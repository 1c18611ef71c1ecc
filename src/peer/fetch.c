//  peer/fetch.c - fetching the body of a large message
//
//  Knows: a part is one light request to its publisher, '%' name, which goes on
//  asking by itself while the publisher is away or comes back as another
//  process.  A few are on their way at a time, and are taken in order:
//
//      first .. taken ........ asked .. last
//              |   WINDOW at most  |
//
//  A requester per publisher is kept for the next piece; the one that was not
//  used for longest makes room for another.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/large.h"
#include "peer/origin.h"
#include "peer/parcel.h"
#include "peer/service.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "io/clock.h"
#include "wire/manifest.h"

#include <tern/large.h>
#include <tern/request.h>

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

//  Parts on their way for one piece, and the pieces of a file.
#define WINDOW 8u
#define PIECE_SIZE (WINDOW * TRN_LARGE_PART)

//  Requesters kept that nobody uses.
#define IDLE_MAX 16

//  Requesters ----------------------------------------------------------------

typedef struct s_fetcher {
    struct s_fetcher *next;  //  last used first
    char publisher[TRN_NAME_MAX + 1];
    tern_requester_t *requester;
    uint32_t users;
} s_fetcher_t;

struct trn_fetchers {
    pthread_mutex_t lock;
    s_fetcher_t *first;
};

static void
s_destroy (s_fetcher_t *fetcher)
{
    tern_requester_close (&fetcher->requester);
    free (fetcher);
}

//  Under lock: take the last one that nobody uses off the list, if there are
//  more than enough of them.
static s_fetcher_t *
s_take_idle (struct trn_fetchers *self)
{
    s_fetcher_t **last = NULL;
    uint32_t idle = 0;
    for (s_fetcher_t **link = &self->first; *link; link = &(*link)->next) {
        if (!(*link)->users) {
            last = link;
            idle++;
        }
    }
    s_fetcher_t *taken = idle > IDLE_MAX ? *last : NULL;
    if (taken) {
        *last = taken->next;
    }
    return taken;
}

//  Under lock: that of this publisher, first of the list now; NULL if none.
static s_fetcher_t *
s_find (struct trn_fetchers *self, const char *publisher)
{
    s_fetcher_t **link = &self->first;
    while (*link && strcmp ((*link)->publisher, publisher) != 0) {
        link = &(*link)->next;
    }
    s_fetcher_t *found = *link;
    if (found) {
        *link = found->next;
        found->next = self->first;
        self->first = found;
    }
    return found;
}

static int
s_acquire (tern_peer_t *peer, const char *publisher, s_fetcher_t **fetcher_p)
{
    struct trn_fetchers *self = peer->fetchers;
    char place[TRN_NAME_MAX + 2];
    snprintf (place, sizeof place, "%%%.63s", publisher);
    int rc = TERN_OK;
    pthread_mutex_lock (&self->lock);
    s_fetcher_t *fetcher = s_find (self, publisher);
    if (!fetcher) {
        fetcher = trn_alloc (sizeof *fetcher);
        snprintf (fetcher->publisher, sizeof fetcher->publisher, "%s",
                  publisher);
        rc = trn_requester_open (&fetcher->requester, peer, place, NULL);
        if (rc == TERN_OK) {
            fetcher->next = self->first;
            self->first = fetcher;
        } else {
            free (fetcher);
            fetcher = NULL;
        }
    }
    if (fetcher) {
        fetcher->users++;
    }
    pthread_mutex_unlock (&self->lock);
    *fetcher_p = fetcher;
    return rc;
}

static void
s_leave (tern_peer_t *peer, s_fetcher_t *fetcher)
{
    struct trn_fetchers *self = peer->fetchers;
    pthread_mutex_lock (&self->lock);
    fetcher->users--;
    s_fetcher_t *idle = s_take_idle (self);
    pthread_mutex_unlock (&self->lock);
    if (idle) {
        s_destroy (idle);
    }
}

void
trn_fetchers_open (tern_peer_t *peer)
{
    peer->fetchers = trn_alloc (sizeof *peer->fetchers);
    pthread_mutex_init (&peer->fetchers->lock, NULL);
}

void
trn_fetchers_close (tern_peer_t *peer)
{
    struct trn_fetchers *self = peer->fetchers;
    while (self && self->first) {
        s_fetcher_t *fetcher = self->first;
        self->first = fetcher->next;
        s_destroy (fetcher);
    }
}

void
trn_fetchers_free (tern_peer_t *peer)
{
    if (peer->fetchers) {
        pthread_mutex_destroy (&peer->fetchers->lock);
        free (peer->fetchers);
        peer->fetchers = NULL;
    }
}

//  A piece -------------------------------------------------------------------

typedef struct {
    tern_requester_t *requester;
    uint8_t store_uuid[16];
    trn_manifest_t manifest;
    uint64_t offset;  //  what is wanted
    size_t size;
    uint8_t *buffer;
    int64_t until_ms;
    uint64_t ids[WINDOW];   //  of the parts on their way, by part
    uint32_t taken, asked;  //  parts: taken here, and begun, below these
} s_piece_t;

//  How long is left for a request; at least a moment, since it must have one.
static int
s_left (const s_piece_t *self)
{
    if (self->until_ms == INT64_MAX) {
        return -1;
    }
    const int64_t left = self->until_ms - trn_clock_ms ();
    return left < 1 ? 1 : left < INT_MAX ? (int) left : INT_MAX;
}

static int
s_ask (s_piece_t *self)
{
    const uint32_t part = self->asked;
    uint8_t ask[TRN_LARGE_ASK_SIZE];
    memcpy (ask, self->store_uuid, 16);
    trn_put_u64 (ask + 16, self->manifest.id);
    trn_put_u32 (ask + 24, part);
    trn_put_u32 (ask + 28, trn_manifest_part_size (&self->manifest, part));
    tern_msg_t *msg = tern_msg_new (ask, sizeof ask);
    assert (msg);
    const int rc = tern_requester_begin (self->requester, msg, s_left (self),
                                         &self->ids[part % WINDOW]);
    tern_msg_destroy (&msg);
    self->asked += rc == TERN_OK;
    return rc;
}

//  What of a part is wanted goes where it belongs.
static int
s_use (s_piece_t *self, uint32_t part, const tern_msg_t *msg)
{
    const uint8_t *bytes = tern_msg_body (msg);
    const size_t size = tern_msg_size (msg);
    size_t key_size = 0;
    const char *key = tern_msg_key (msg, &key_size);
    const trn_text_t word = {key, key_size};
    if (trn_text_is (word, TRN_LARGE_GONE)) {
        return TERN_ENOENT;
    }
    if (trn_text_is (word, TRN_LARGE_UNREADABLE)) {
        return TERN_EIO;
    }
    if (!trn_manifest_fits (&self->manifest, part, bytes, size)) {
        return TERN_ECORRUPT;
    }
    const uint64_t begins = (uint64_t) part * TRN_LARGE_PART;
    const uint64_t from = begins > self->offset ? begins : self->offset;
    const uint64_t end = self->offset + self->size;
    const uint64_t to = begins + size < end ? begins + size : end;
    memcpy (self->buffer + (from - self->offset), bytes + (from - begins),
            (size_t) (to - from));
    return TERN_OK;
}

//  Wait for the next part in order.
static int
s_take (s_piece_t *self)
{
    const uint32_t part = self->taken++;
    tern_reply_t reply;
    //  The request keeps the time: something is heard when it is over.
    int rc = tern_requester_next (self->requester, self->ids[part % WINDOW],
                                  &reply, -1);
    if (rc != TERN_OK) {
        return TERN_ETIMEOUT;
    }
    rc = reply.status == TERN_OK && !reply.msg ? TERN_EPROTO : reply.status;
    if (rc == TERN_OK) {
        rc = s_use (self, part, reply.msg);
    }
    tern_msg_destroy (&reply.msg);
    //  A server that fails or says nothing is not the one that sent.
    return rc == TERN_EFAILED || rc == TERN_EPROTO ? TERN_ECORRUPT : rc;
}

static int
s_fetch (s_piece_t *self)
{
    const uint32_t parts = trn_manifest_parts (self->offset + self->size);
    self->taken = self->asked = (uint32_t) (self->offset / TRN_LARGE_PART);
    int rc = TERN_OK;
    while (rc == TERN_OK && self->taken < parts) {
        if (self->asked < parts && self->asked - self->taken < WINDOW) {
            rc = s_ask (self);
            //  Others fetch too: what is on its way makes room.
            if (rc != TERN_EAGAIN || self->asked == self->taken) {
                continue;
            }
        }
        rc = s_take (self);
    }
    while (self->taken < self->asked) {
        tern_requester_cancel (self->requester,
                               self->ids[self->taken++ % WINDOW]);
    }
    return rc;
}

//  Begin one: what the message says of itself, and the way to its publisher.
static int
s_begin (s_piece_t *self, tern_peer_t *peer, const tern_msg_t *msg,
         int timeout_ms, s_fetcher_t **fetcher_p)
{
    *self = (s_piece_t) {.until_ms = INT64_MAX};
    *fetcher_p = NULL;
    if (!msg->parcel || !trn_manifest_read (&msg->record, &self->manifest)
        || timeout_ms == 0 || timeout_ms < -1) {
        return TERN_EINVAL;
    }
    if (timeout_ms > 0) {
        self->until_ms = trn_clock_ms () + timeout_ms;
    }
    trn_origin_t origin;
    const bool copied
        = msg->parcel->copied && trn_origin_read (&msg->record, &origin);
    memcpy (self->store_uuid,
            copied ? origin.store_uuid : msg->parcel->store_uuid, 16);
    const int rc = s_acquire (
        peer, copied ? origin.publisher : msg->parcel->publisher, fetcher_p);
    if (rc == TERN_OK) {
        self->requester = (*fetcher_p)->requester;
    }
    return rc;
}

uint64_t
tern_large_size (const tern_msg_t *msg)
{
    assert (msg);
    trn_manifest_t manifest;
    return trn_manifest_read (&msg->record, &manifest) ? manifest.size : 0;
}

int
tern_large_fetch (tern_peer_t *peer, const tern_msg_t *msg, uint64_t offset,
                  void *buffer, size_t size, size_t *got_p, int timeout_ms)
{
    assert (peer && msg && (buffer || !size) && got_p);
    *got_p = 0;
    s_piece_t piece;
    s_fetcher_t *fetcher = NULL;
    int rc = s_begin (&piece, peer, msg, timeout_ms, &fetcher);
    if (rc == TERN_OK && offset > piece.manifest.size) {
        rc = TERN_EINVAL;
    }
    if (rc == TERN_OK) {
        const uint64_t left = piece.manifest.size - offset;
        piece.offset = offset;
        piece.size = left < size ? (size_t) left : size;
        piece.buffer = buffer;
        rc = piece.size ? s_fetch (&piece) : TERN_OK;
    }
    if (fetcher) {
        s_leave (peer, fetcher);
    }
    *got_p = rc == TERN_OK ? piece.size : 0;
    return rc;
}

//  A file --------------------------------------------------------------------

static int
s_file_error (int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG   ? TERN_EFULL
           : error == EBADF || error == EINVAL || error == ESPIPE ? TERN_EINVAL
                                                                  : TERN_EIO;
}

//  Read as much as there is: bytes, or a negative error.
static int64_t
s_read_file (int fd, uint8_t *to, size_t size, uint64_t offset)
{
    size_t used = 0;
    while (used < size) {
        const ssize_t got
            = pread (fd, to + used, size - used, (off_t) (offset + used));
        if (got < 0 && errno != EINTR) {
            return s_file_error (errno);
        }
        if (got == 0) {
            break;
        }
        used += got > 0 ? (size_t) got : 0;
    }
    return (int64_t) used;
}

static int
s_write_file (int fd, const uint8_t *from, size_t size, uint64_t offset)
{
    while (size) {
        const ssize_t put = pwrite (fd, from, size, (off_t) offset);
        if (put < 0 && errno != EINTR) {
            return s_file_error (errno);
        }
        if (put > 0) {
            from += put;
            offset += (uint64_t) put;
            size -= (size_t) put;
        }
    }
    return TERN_OK;
}

//  How much of the body the file holds already, in whole parts.
static int
s_held (const s_piece_t *self, int fd, uint64_t *held_p)
{
    *held_p = 0;
    const uint32_t parts = trn_manifest_parts (self->manifest.size);
    for (uint32_t part = 0; part < parts; part++) {
        const size_t size = trn_manifest_part_size (&self->manifest, part);
        const int64_t got = s_read_file (fd, self->buffer, size, *held_p);
        if (got < 0) {
            return (int) got;
        }
        if (!trn_manifest_fits (&self->manifest, part, self->buffer,
                                (size_t) got)) {
            break;
        }
        *held_p += size;
    }
    return TERN_OK;
}

//  From what is held on to the end.
static int
s_fill_file (s_piece_t *self, int fd)
{
    int rc = s_held (self, fd, &self->offset);
    while (rc == TERN_OK && self->offset < self->manifest.size) {
        const uint64_t left = self->manifest.size - self->offset;
        self->size = left < PIECE_SIZE ? (size_t) left : PIECE_SIZE;
        rc = s_fetch (self);
        if (rc == TERN_OK) {
            rc = s_write_file (fd, self->buffer, self->size, self->offset);
        }
        self->offset += self->size;
    }
    if (rc == TERN_OK
        && (ftruncate (fd, (off_t) self->manifest.size) != 0
            || fdatasync (fd) != 0)) {
        rc = s_file_error (errno);
    }
    return rc;
}

int
tern_large_fetch_file (tern_peer_t *peer, const tern_msg_t *msg, int fd,
                       int timeout_ms)
{
    assert (peer && msg && fd >= 0);
    s_piece_t piece;
    s_fetcher_t *fetcher = NULL;
    int rc = s_begin (&piece, peer, msg, timeout_ms, &fetcher);
    if (rc == TERN_OK) {
        piece.buffer = trn_alloc (PIECE_SIZE);
        rc = s_fill_file (&piece, fd);
        free (piece.buffer);
    }
    if (fetcher) {
        s_leave (peer, fetcher);
    }
    return rc;
}
