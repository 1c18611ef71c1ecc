//  cli/say.h - words for people, and the exit codes that scripts rely on
//
//  stdout belongs to results; everything here goes to stderr.  An error is one
//  line that names the thing, the reason and what to do about it.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_SAY_H
#define CLI_SAY_H

#include <stdbool.h>

enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_TIMEOUT = 3,
    CLI_REFUSED = 4,
    CLI_CORRUPT = 5,
    CLI_IN_USE = 6
};

//  Who speaks ("send"; "" for tern itself), and how much.  From verbose 1 on
//  the library's own events are shown, from 2 on its debug lines too.
void
cli_say_setup (const char *command, bool quiet, unsigned verbose);

//  One line "tern send: ..." even when quiet; returns exit_code.
int
cli_fail (int exit_code, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

//  The same for an error of the library: the thing, its own line of reason if
//  it gave one, what to do.  Returns the exit code that stands for it.
int
cli_fail_tern (int error, const char *thing, const char *why);

//  The exit code that stands for an error of the library.
int
cli_exit_code (int error);

//  A line unless quiet.
void
cli_note (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

//  A line on a terminal or with -v, unless quiet.
void
cli_hint (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

//  A line with -v.
void
cli_detail (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

//  A line that is drawn over and over while something lasts, a few times a
//  second at most, on a terminal only.  The next ordinary line replaces it.
void
cli_progress (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

//  Take it away again: before results are printed, and at the end.
void
cli_progress_end (void);

//  Would cli_progress () draw now?  Saves working out what to say.
bool
cli_progress_due (void);

#endif
