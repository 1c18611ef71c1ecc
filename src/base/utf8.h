//  base/utf8.h - is this UTF-8?
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_UTF8_H
#define TRN_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Bytes in the well-formed sequence (RFC 3629) that starts here, 0 if none.
size_t
trn_utf8_step (const uint8_t *text, size_t size);

//  All of it well-formed?
bool
trn_utf8_valid (const uint8_t *text, size_t size);

#endif
