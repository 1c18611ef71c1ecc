//  cli/say.c - words for people, and the exit codes that scripts rely on
//
//  Knows whether stderr is a terminal and whether a progress line stands on
//  it.  Every line leaves in one write, because the library's events come from
//  its own threads.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/say.h"
#include "cli/format.h"

#include <tern.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_MS 200

static struct {
    pthread_mutex_t lock;
    char who[32];  //  "tern send: "
    bool quiet;
    unsigned verbose;
    bool terminal;  //  stderr is one
    bool drawn;     //  a progress line stands there
    int64_t next_draw_ms;
} s_say = {.lock = PTHREAD_MUTEX_INITIALIZER, .who = "tern: "};

//  who, words, newline in one write; a line too long is cut.

static void
s_line (const char *who, const char *format, va_list args)
    __attribute__ ((format (printf, 2, 0)));

static void
s_line (const char *who, const char *format, va_list args)
{
    char line[2048];
    pthread_mutex_lock (&s_say.lock);
    int used = snprintf (line, sizeof line, "%s%s",
                         s_say.drawn ? "\r\033[K" : "", who);
    const size_t room = sizeof line - (size_t) used - 1;
    const int words = vsnprintf (line + used, room, format, args);
    if (words > 0) {
        used += (size_t) words < room ? words : (int) room - 1;
    }
    line[used++] = '\n';
    s_say.drawn = false;
    //  There is nobody to tell when stderr is gone.
    const ssize_t put = write (STDERR_FILENO, line, (size_t) used);
    (void) put;
    pthread_mutex_unlock (&s_say.lock);
}

static void
s_on_event (void *arg, tern_log_level_t level, const char *id, const char *line)
{
    (void) arg;
    (void) level;
    char text[1024];
    snprintf (text, sizeof text, "%s %s", id, line);
    cli_note ("%s", text);
}

void
cli_say_setup (const char *command, bool quiet, unsigned verbose)
{
    s_say.quiet = quiet;
    s_say.verbose = verbose;
    s_say.terminal = isatty (STDERR_FILENO) == 1;
    snprintf (s_say.who, sizeof s_say.who, "tern%s%s: ", *command ? " " : "",
              command);
    tern_log_set (quiet ? NULL : s_on_event, NULL,
                  verbose > 1    ? TERN_LOG_DEBUG
                  : verbose == 1 ? TERN_LOG_INFO
                                 : TERN_LOG_WARNING);
}

int
cli_fail (int exit_code, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    s_line (s_say.who, format, args);
    va_end (args);
    return exit_code;
}

int
cli_exit_code (int error)
{
    switch (error) {
    case TERN_OK: return CLI_DONE;
    case TERN_EINVAL:
    case TERN_ENAME:
    case TERN_ETYPE:
    case TERN_ENOTSUP: return CLI_USAGE;
    case TERN_ETIMEOUT:
    case TERN_EAGAIN:
    case TERN_ENODIR: return CLI_TIMEOUT;
    case TERN_EFULL:
    case TERN_EACCESS:
    case TERN_ETOOBIG: return CLI_REFUSED;
    case TERN_ECORRUPT: return CLI_CORRUPT;
    case TERN_EINUSE:
    case TERN_EBUSY: return CLI_IN_USE;
    default: return CLI_FAILED;
    }
}

//  What somebody at a terminal can do about it, or NULL.

static const char *
s_advice (int error)
{
    switch (error) {
    case TERN_EINUSE:
        return "stop that process, or choose another --name or --data";
    case TERN_ECORRUPT:
        return "see tern outbox verify, then tern outbox salvage";
    case TERN_EVERSION: return "use the Tern that wrote it";
    case TERN_EIO: return "check the disk and the system's log";
    case TERN_EFULL: return "make room, or raise the limit";
    case TERN_EACCESS: return "check owner and mode, or choose another --data";
    case TERN_ENODIR: return "start ternd or a peer, or check --directory";
    case TERN_ENET: return "choose another endpoint";
    case TERN_ENOROUTE: return "see tern exchanges";
    case TERN_ETYPE: return "see tern exchanges, or choose another --type";
    case TERN_ENAME:
        return "names are a-z 0-9 . _ - and start and end with a letter or "
               "digit";
    default: return NULL;
    }
}

int
cli_fail_tern (int error, const char *thing, const char *why)
{
    const char *reason = why && *why ? why : tern_strerror (error);
    const char *advice = s_advice (error);

    //  The library's line often begins with the thing already.
    const bool named = strstr (reason, thing) != NULL;
    return cli_fail (cli_exit_code (error), "%s%s%s%s%s", named ? "" : thing,
                     named ? "" : ": ", reason, advice ? "; " : "",
                     advice ? advice : "");
}

void
cli_note (const char *format, ...)
{
    if (s_say.quiet) {
        return;
    }
    va_list args;
    va_start (args, format);
    s_line (s_say.who, format, args);
    va_end (args);
}

void
cli_hint (const char *format, ...)
{
    if (s_say.quiet || (!s_say.terminal && s_say.verbose == 0)) {
        return;
    }
    va_list args;
    va_start (args, format);
    s_line (s_say.who, format, args);
    va_end (args);
}

void
cli_detail (const char *format, ...)
{
    if (s_say.quiet || s_say.verbose == 0) {
        return;
    }
    va_list args;
    va_start (args, format);
    s_line (s_say.who, format, args);
    va_end (args);
}

bool
cli_progress_due (void)
{
    return s_say.terminal && !s_say.quiet
           && cli_clock_ms () >= s_say.next_draw_ms;
}

void
cli_progress (const char *format, ...)
{
    if (!cli_progress_due ()) {
        return;
    }
    char line[256] = "\r\033[K";
    va_list args;
    va_start (args, format);
    vsnprintf (line + strlen (line), sizeof line - strlen (line), format, args);
    va_end (args);

    pthread_mutex_lock (&s_say.lock);
    const ssize_t put = write (STDERR_FILENO, line, strlen (line));
    (void) put;
    s_say.drawn = true;
    s_say.next_draw_ms = cli_clock_ms () + PROGRESS_MS;
    pthread_mutex_unlock (&s_say.lock);
}

void
cli_progress_end (void)
{
    static const char clear[] = "\r\033[K";
    pthread_mutex_lock (&s_say.lock);
    if (s_say.drawn) {
        const ssize_t put = write (STDERR_FILENO, clear, sizeof clear - 1);
        (void) put;
        s_say.drawn = false;
    }
    pthread_mutex_unlock (&s_say.lock);
}
