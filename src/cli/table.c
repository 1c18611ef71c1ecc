//  cli/table.c - columns that line up, for people on a terminal
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
cli_table_init (cli_table_t *self, const char *const *titles, size_t columns)
{
    assert (columns > 0 && columns <= CLI_TABLE_COLUMNS);
    *self = (cli_table_t) {.titles = titles, .columns = columns};
}

void
cli_table_add (cli_table_t *self, const char *cell)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 64;
        self->cells
            = realloc (self->cells, self->capacity * sizeof *self->cells);
    }
    char *copy = strdup (cell);
    if (!self->cells || !copy) {
        fputs ("tern: no memory for a table\n", stderr);
        abort ();
    }
    for (char *at = copy; *at; at++) {
        if ((unsigned char) *at < ' ' || *at == 0x7f) {
            *at = '?';
        }
    }
    self->cells[self->count++] = copy;
}

//  Columns on the screen, not bytes: a continuation byte of UTF-8 takes none.

static size_t
s_width (const char *text)
{
    size_t width = 0;
    for (; *text; text++) {
        width += ((unsigned char) *text & 0xc0) != 0x80;
    }
    return width;
}

static void
s_print_cell (const char *text, size_t width, bool right, bool last)
{
    const size_t own = s_width (text);
    const int blanks = own < width ? (int) (width - own) : 0;
    if (right) {
        printf ("%*s%s", blanks, "", text);
    } else {
        printf ("%s%*s", text, last ? 0 : blanks, "");
    }
    fputs (last ? "\n" : "  ", stdout);
}

void
cli_table_print (cli_table_t *self)
{
    size_t widths[CLI_TABLE_COLUMNS] = {0};
    const size_t columns = self->columns;
    assert (columns > 0);
    for (size_t column = 0; column < columns; column++) {
        const char *title = self->titles[column];
        widths[column] = s_width (title + (*title == '>'));
        for (size_t at = column; at < self->count; at += columns) {
            const size_t width = s_width (self->cells[at]);
            if (width > widths[column]) {
                widths[column] = width;
            }
        }
    }
    for (size_t column = 0; self->count > 0 && column < columns; column++) {
        const char *title = self->titles[column];
        const bool right = *title == '>';
        s_print_cell (title + right, widths[column], right,
                      column + 1 == columns);
    }
    for (size_t at = 0; at < self->count; at++) {
        const size_t column = at % columns;
        s_print_cell (self->cells[at], widths[column],
                      *self->titles[column] == '>', column + 1 == columns);
        free (self->cells[at]);
    }
    free (self->cells);
    self->cells = NULL;
    self->count = self->capacity = 0;
}
