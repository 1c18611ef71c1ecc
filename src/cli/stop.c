//  cli/stop.c - SIGINT and SIGTERM as something to wait for
//
//  The handler sets a flag and adds to an eventfd that nobody reads, so a
//  signal that comes between looking and waiting still ends the wait.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static volatile sig_atomic_t s_asked;
static int s_fd = -1;

static void
s_on_signal (int number)
{
    (void) number;
    const int saved = errno;
    const uint64_t one = 1;
    s_asked = 1;
    const ssize_t put = write (s_fd, &one, sizeof one);
    (void) put;
    errno = saved;
}

void
cli_stop_setup (void)
{
    s_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s_fd < 0) {
        abort ();
    }
    struct sigaction action = {.sa_handler = s_on_signal};
    //  Each signal is caught once: the second one is the system's.
    action.sa_flags = (int) SA_RESETHAND;
    sigemptyset (&action.sa_mask);
    sigaction (SIGINT, &action, NULL);
    sigaction (SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction (SIGPIPE, &action, NULL);
}

bool
cli_stop_asked (void)
{
    return s_asked != 0;
}

int
cli_stop_fd (void)
{
    return s_fd;
}

bool
cli_stop_wait (int fd, int timeout_ms)
{
    struct pollfd items[]
        = {{.fd = s_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    const int ready = poll (items, 2, timeout_ms);
    return ready > 0 && !items[0].revents && items[1].revents;
}
