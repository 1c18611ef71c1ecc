//  cli/letter.h - dead letters, as programs and people read them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_LETTER_H
#define CLI_LETTER_H

#include "cli/json.h"
#include "cli/table.h"

#include <tern.h>

//  A header as terminated text, cut if need be; "-" if there is none.  Returns
//  text.
const char *
cli_letter_header (const tern_msg_t *letter, const char *name, char *text,
                   size_t text_size);

//  One object on a line: why it died, and if whole the letter itself.
void
cli_letter_json (cli_output_t *output, tern_msg_t *letter, bool whole);

//  A table of letters, empty, and a row of it.
void
cli_letter_table (cli_table_t *table);

void
cli_letter_row (cli_table_t *table, const tern_msg_t *letter);

//  All there is to know of it, with its body.
void
cli_letter_show (cli_output_t *output, const tern_msg_t *letter);

#endif
