//  ternd/notify.c - telling systemd, if it is asked to
//
//  The protocol is one datagram to a unix socket, so no library is needed.
//
//  SPDX-License-Identifier: MPL-2.0

#include "ternd/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void
ternd_notify (const char *state)
{
    const char *path = getenv ("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@')
        || strlen (path) >= sizeof address.sun_path) {
        return;
    }
    const size_t size = strlen (path);
    memcpy (address.sun_path, path, size);
    if (path[0] == '@') {
        address.sun_path[0] = 0;  //  the abstract namespace
    }
    const int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    const ssize_t sent
        = sendto (fd, state, strlen (state), MSG_NOSIGNAL,
                  (const struct sockaddr *) &address,
                  (socklen_t) (offsetof (struct sockaddr_un, sun_path) + size));
    (void) sent;
    close (fd);
}
