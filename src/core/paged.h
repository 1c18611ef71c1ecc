//  core/paged.h - a table that is kept as pages, each a frame of the directory
//
//      | magic | XXH3-64 of the rest | size u32, page | size u32, page ...
//
//  What reads the pages is what reads a directory's frames, with all its checks.
//  The last byte of the magic is the version of the format.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PAGED_H
#define TRN_PAGED_H

#include "wire/dirframe.h"

#define TRN_PAGED_MAGIC 8
#define TRN_PAGED_HEADER 16

//  The pages stand behind the header, size bytes in all: fill in the header.
void
trn_paged_seal (uint8_t *bytes, size_t size, const char *magic);

//  0 if these are whole pages of this type and nothing else; TERN_ECORRUPT,
//  TERN_EVERSION.
int
trn_paged_check (const uint8_t *bytes, size_t size, const char *magic,
                 trn_dirframe_type_t type);

//  Next page of what was checked; *at_p is TRN_PAGED_HEADER at first.  false
//  behind the last.  The frame borrows from bytes.
bool
trn_paged_next (const uint8_t *bytes, size_t size, size_t *at_p,
                trn_dirframe_t *frame);

#endif
