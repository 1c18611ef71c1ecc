//  sender.c - send one file, chunk by chunk, from where it got to
//
//      sender FILE
//
//  A chunk's number makes it idempotent: what an earlier life of this sender
//  has stored is not stored again.  So killed at any point and started again
//  under its name, it goes on with the chunk that is missing.  One name sends
//  one file.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (256 * 1024)

typedef struct {
    int fd;
    const char *name;  //  without folders
    uint64_t size;
} s_file_t;

static int
s_open (s_file_t *file, const char *path)
{
    struct stat status;
    file->fd = open (path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat (file->fd, &status)) {
        perror (path);
        return 1;
    }
    const char *slash = strrchr (path, '/');
    file->name = slash ? slash + 1 : path;
    file->size = (uint64_t) status.st_size;
    return 0;
}

static int
s_header (tern_msg_t *msg, const char *name, uint64_t value)
{
    char text[32];
    snprintf (text, sizeof text, "%" PRIu64, value);
    return tern_msg_set_header (msg, name, text);
}

//  Chunk number (from 1) into the outbox; blocks while that is full.
static int
s_send_chunk (tern_producer_t *files, const s_file_t *file, uint64_t number,
              uint64_t *seq_p)
{
    static char buffer[CHUNK];
    const uint64_t offset = (number - 1) * CHUNK;
    const ssize_t got = pread (file->fd, buffer, CHUNK, (off_t) offset);
    if (got < 0) {
        return TERN_EIO;
    }
    tern_msg_t *chunk = tern_msg_new (buffer, (size_t) got);
    //  The ordering key keeps the chunks of a file in order, one at a time,
    //  however many receivers there are.
    int rc = tern_msg_set_order_key (chunk, file->name);
    rc = rc ? rc : tern_msg_set_header (chunk, "file", file->name);
    rc = rc ? rc : s_header (chunk, "offset", offset);
    rc = rc ? rc : s_header (chunk, "size", file->size);
    rc = rc ? rc : tern_producer_send_once (files, chunk, number, -1, seq_p);
    tern_msg_destroy (&chunk);
    return rc;
}

int
main (int argc, char **argv)
{
    s_file_t file = {.fd = -1};
    if (argc < 2 || s_open (&file, argv[1])) {
        return 2;
    }
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_producer_t *files = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open (&files, peer, "files", why, sizeof why);
    }
    tern_config_destroy (&config);

    const uint64_t chunks = file.size ? (file.size - 1) / CHUNK + 1 : 1;
    const uint64_t before = rc ? 0 : tern_producer_number (files);
    if (before) {
        printf ("going on after chunk %" PRIu64 " of %" PRIu64 "\n", before,
                chunks);
        fflush (stdout);
    }
    for (uint64_t number = before + 1; number <= chunks && !rc; number++) {
        uint64_t seq;
        rc = s_send_chunk (files, &file, number, &seq);
        if (!rc && number % 8 == 0) {
            printf ("%" PRIu64 " of %" PRIu64 " chunks stored\n", number,
                    chunks);
            fflush (stdout);
        }
    }
    if (!rc) {
        rc = tern_producer_wait (files, tern_producer_last (files),
                                 TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "sender: %s\n", why[0] ? why : tern_strerror (rc));
    }
    tern_producer_close (&files);
    tern_peer_close (&peer, 0);
    close (file.fd);
    return rc ? 1 : 0;
}
