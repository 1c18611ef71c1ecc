//  base/utf8.c - is this UTF-8?
//
//  The table of well-formed sequences is that of RFC 3629, section 4: no
//  overlong form, no surrogate, nothing above U+10FFFF.
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/utf8.h"

size_t
trn_utf8_step (const uint8_t *text, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const uint8_t lead = text[0];
    if (lead < 0x80) {
        return 1;
    }
    const size_t step = lead >= 0xc2 && lead <= 0xdf   ? 2
                        : lead >= 0xe0 && lead <= 0xef ? 3
                        : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                       : 0;
    if (step == 0 || size < step) {
        return 0;
    }
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high) {
        return 0;
    }
    for (size_t index = 2; index < step; index++) {
        if ((text[index] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return step;
}

bool
trn_utf8_valid (const uint8_t *text, size_t size)
{
    while (size) {
        const size_t step = trn_utf8_step (text, size);
        if (step == 0) {
            return false;
        }
        text += step;
        size -= step;
    }
    return true;
}
