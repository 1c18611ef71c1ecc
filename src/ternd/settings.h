//  ternd/settings.h - command line, environment and file of ternd(8)
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERND_SETTINGS_H
#define TERND_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

//  Exit codes, as every command of Tern has them.
enum {
    TERND_DONE = 0,
    TERND_FAILED = 1,
    TERND_USAGE = 2,
    TERND_REFUSED = 4
};

#define TERND_BINDS_MAX 4

typedef struct {
    char *binds[TERND_BINDS_MAX];  //  owned
    size_t bind_count;             //  1 and more once parsed
    char *state;                   //  folder, owned; NULL: none
    bool quiet;
    unsigned verbose;  //  how often -v was given
} ternd_settings_t;

//  Fill settings; the command line beats the file.  -1: go on; else the code to
//  exit with: help was printed, or one line was said.
int
ternd_settings_read (ternd_settings_t *self, int argc, char **argv);

void
ternd_settings_clear (ternd_settings_t *self);

//  One line on stderr, "ternd: ..."; returns exit_code.
int
ternd_fail (int exit_code, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

#endif
