//  ternd/main.c - ternd(8): a directory node as a process
//
//  Everything it does is behind tern/directory.h; here are its options, its
//  signals and its words.
//
//  SPDX-License-Identifier: MPL-2.0

#include "ternd/notify.h"
#include "ternd/settings.h"

#include <tern.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

//  Its lines are for people: stderr.
static void
s_log (void *arg, tern_log_level_t level, const char *id, const char *line)
{
    (void) arg;
    (void) level;
    fprintf (stderr, "ternd: %s %s\n", id, line);
}

static void
s_set_log (const ternd_settings_t *settings)
{
    if (!settings->quiet) {
        tern_log_set (s_log, NULL,
                      settings->verbose > 1    ? TERN_LOG_DEBUG
                      : settings->verbose == 1 ? TERN_LOG_INFO
                                               : TERN_LOG_WARNING);
    }
}

//  Each connection is a descriptor: take as many as we may.
static void
s_raise_limit (void)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) == 0
        && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit (RLIMIT_NOFILE, &limit) != 0) {
            fprintf (stderr, "ternd: open files stay limited: %s\n",
                     strerror (errno));
        }
    }
}

//  Make the folder if need be, and see that it is ours to write to.  -1: fine.
static int
s_check_state (const char *path)
{
    if (mkdir (path, 0700) != 0 && errno != EEXIST) {
        return ternd_fail (TERND_REFUSED, "--state %s: %s", path,
                           strerror (errno));
    }
    const int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat (fd, &info) != 0) {
        const int error = errno;
        if (fd >= 0) {
            close (fd);
        }
        return ternd_fail (TERND_REFUSED, "--state %s: %s", path,
                           strerror (error));
    }
    close (fd);
    if (info.st_uid != geteuid () || info.st_mode & (S_IWGRP | S_IWOTH)) {
        return ternd_fail (TERND_REFUSED,
                           "--state %s: others may write there: choose a "
                           "folder of your own, chmod 700",
                           path);
    }
    if (access (path, W_OK | X_OK) != 0) {
        return ternd_fail (TERND_REFUSED, "--state %s: %s", path,
                           strerror (errno));
    }
    return -1;
}

static int
s_exit_code (int error)
{
    return error == TERN_EINVAL    ? TERND_USAGE
           : error == TERN_EACCESS ? TERND_REFUSED
           : error == TERN_EINUSE  ? TERND_REFUSED
                                   : TERND_FAILED;
}

//  What we are bound to is our only result: scripts read it.
static int
s_print_endpoints (const tern_directory_t *directory)
{
    const char *endpoint;
    for (size_t index = 0;
         (endpoint = tern_directory_endpoint (directory, index)); index++) {
        puts (endpoint);
    }
    if (fflush (stdout) != 0 || ferror (stdout)) {
        return ternd_fail (TERND_FAILED, "standard output: %s",
                           strerror (errno));
    }
    return -1;
}

static int
s_serve (const ternd_settings_t *settings, const sigset_t *signals)
{
    const tern_directory_options_t options = {
        .binds = (const char *const *) settings->binds,
        .bind_count = settings->bind_count,
        .state = settings->state,
    };
    tern_directory_t *directory;
    char why[512];
    int rc = tern_directory_open (&directory, &options, why, sizeof why);
    if (rc) {
        return ternd_fail (s_exit_code (rc), "%s", why);
    }
    int code = s_print_endpoints (directory);
    if (code < 0) {
        ternd_notify ("READY=1\nSTATUS=serving");
        int number;
        while (sigwait (signals, &number) != 0) {
        }
        ternd_notify ("STOPPING=1");
        code = TERND_DONE;
    }
    tern_directory_close (&directory);
    return code;
}

int
main (int argc, char **argv)
{
    ternd_settings_t settings;
    int code = ternd_settings_read (&settings, argc, argv);
    if (code < 0) {
        //  Blocked before the first thread starts, so that only sigwait () in
        //  this one takes them.
        sigset_t signals;
        sigemptyset (&signals);
        sigaddset (&signals, SIGINT);
        sigaddset (&signals, SIGTERM);
        sigprocmask (SIG_BLOCK, &signals, NULL);
        signal (SIGPIPE, SIG_IGN);
        s_set_log (&settings);
        s_raise_limit ();
        code = settings.state ? s_check_state (settings.state) : -1;
        code = code < 0 ? s_serve (&settings, &signals) : code;
    }
    ternd_settings_clear (&settings);
    return code;
}
