//  cli/table.h - columns that line up, for people on a terminal
//
//  Cells are copied; widths are known only at the end, so nothing is printed
//  before cli_table_print ().  Separated by two blanks, no tabs.  Control
//  characters in a cell become '?': names may come from other hosts.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define CLI_TABLE_COLUMNS 12

typedef struct {
    const char *const *titles;  //  a leading '>' means: to the right
    size_t columns;
    char **cells;
    size_t count, capacity;
} cli_table_t;

//  titles are borrowed; at most CLI_TABLE_COLUMNS of them.
void
cli_table_init (cli_table_t *self, const char *const *titles, size_t columns);

void
cli_table_add (cli_table_t *self, const char *cell);

//  Print on stdout and be empty again.  Titles of a table without rows are not
//  printed.
void
cli_table_print (cli_table_t *self);

#endif
