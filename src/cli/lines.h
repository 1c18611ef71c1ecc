//  cli/lines.h - reading lines of any length, fast, from a file descriptor
//
//  Lines are lent without their newline; a last line without one counts.  A
//  line over the limit is skipped to its end and reported, and reading goes on
//  behind it.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int fd;
    size_t limit;       //  longest line, without its newline
    char *bytes;        //  limit + a read's worth
    size_t begin, end;  //  not yet lent
    bool ended;         //  read () said so
    bool skipping;      //  inside a line over the limit
    uint64_t skipped;   //  its bytes so far
    uint64_t number;    //  of the line lent last, from 1
} cli_lines_t;

typedef enum {
    CLI_LINE,           //  *line_p and *size_p are set, until the next call
    CLI_LINE_TOO_LONG,  //  number and *size_p say which and how long
    CLI_LINE_NONE,      //  nothing complete yet: call cli_lines_fill ()
    CLI_LINE_END
} cli_line_t;

//  fd is borrowed.
void
cli_lines_init (cli_lines_t *self, int fd, size_t limit);

void
cli_lines_free (cli_lines_t *self);

cli_line_t
cli_lines_next (cli_lines_t *self, const char **line_p, size_t *size_p);

//  Read once more; may block.  0, or errno.  EINTR is not an error.
int
cli_lines_fill (cli_lines_t *self);

#endif
