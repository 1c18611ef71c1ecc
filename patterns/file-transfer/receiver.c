//  receiver.c - put files together, chunk by chunk
//
//      receiver FOLDER
//
//  A chunk is on our disk before it is accepted, and writing it twice is
//  harmless.  The file gets its name when it is whole.  Says each name then.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t s_stop;

static void
s_on_signal (int number)
{
    (void) number;
    s_stop = 1;
}

static void
s_header (const tern_msg_t *chunk, const char *name, char *text, size_t room)
{
    size_t size = 0;
    const char *value = tern_msg_header (chunk, name, &size);
    snprintf (text, room, "%.*s", (int) size, value ? value : "");
}

//  The chunk into its place, on the disk.  0; 1 if the file is whole now; -1
//  if the disk failed; -2 if the message is no chunk of ours.
static int
s_store (int folder, const tern_msg_t *chunk, char name[128])
{
    char number[32];
    s_header (chunk, "file", name, 128);
    if (!name[0] || name[0] == '.' || strchr (name, '/')) {
        return -2;  //  a name from outside never leaves the folder
    }
    s_header (chunk, "offset", number, sizeof number);
    const off_t offset = (off_t) strtoull (number, NULL, 10);
    s_header (chunk, "size", number, sizeof number);
    const off_t whole = (off_t) strtoull (number, NULL, 10);
    const size_t size = tern_msg_size (chunk);
    if (offset < 0 || whole < offset || (uint64_t) (whole - offset) < size) {
        return -2;
    }

    char part[140];
    snprintf (part, sizeof part, ".%s.part", name);
    struct stat status;
    if (offset && faccessat (folder, part, F_OK, 0)
        && fstatat (folder, name, &status, 0) == 0 && status.st_size == whole) {
        return 1;  //  whole already: its last chunk came again
    }
    const int file
        = openat (folder, part, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        return -1;
    }
    const bool stored
        = pwrite (file, tern_msg_body (chunk), size, offset) == (ssize_t) size
          && fdatasync (file) == 0;
    close (file);
    if (!stored) {
        return -1;
    }
    if (offset + (off_t) size < whole) {
        return 0;
    }
    //  Chunks come in order, so the last one makes it whole.
    return renameat (folder, part, folder, name) || fsync (folder) ? -1 : 1;
}

int
main (int argc, char **argv)
{
    const int folder = open (argc > 1 ? argv[1] : ".", O_RDONLY | O_DIRECTORY);
    if (folder < 0) {
        perror ("receiver");
        return 2;
    }
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGTERM, &action, NULL);
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *files = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_consumer_open (&files, peer, "files", NULL);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "receiver: %s\n", why[0] ? why : tern_strerror (rc));
    }
    while (!rc && !s_stop) {
        tern_msg_t *chunk = tern_consumer_recv (files, 200);
        char name[128];
        if (!chunk) {
            continue;
        }
        switch (s_store (folder, chunk, name)) {
        case 1:
            printf ("%s\n", name);
            fflush (stdout);
            tern_consumer_accept (files, chunk);
            break;
        case 0: tern_consumer_accept (files, chunk); break;
        case -1: tern_consumer_requeue (files, chunk); break;
        default: tern_consumer_reject (files, chunk);
        }
    }
    tern_consumer_close (&files);
    tern_peer_close (&peer, -1);
    close (folder);
    return rc ? 1 : 0;
}
