//  base/name.c - the grammar of names, and how foreign text is shown
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/name.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static bool
s_is_edge (char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
trn_name_valid (const char *name, size_t size)
{
    if (!name || size < 1 || size > TRN_NAME_MAX) {
        return false;
    }
    if (!s_is_edge (name[0]) || !s_is_edge (name[size - 1])) {
        return false;
    }
    for (size_t index = 0; index < size; index++) {
        const char c = name[index];
        if (!s_is_edge (c) && c != '.' && c != '_' && c != '-') {
            return false;
        }
        if (c == '.' && name[index - 1] == '.') {
            return false;
        }
    }
    return true;
}

bool
trn_queue_valid (const char *name, size_t size)
{
    if (name && size > 1 && name[0] == '@') {
        return trn_name_valid (name + 1, size - 1);
    }
    return trn_name_valid (name, size);
}

bool
trn_place_valid (const char *name, size_t size)
{
    if (name && size > 1 && name[0] == '%') {
        return trn_name_valid (name + 1, size - 1);
    }
    return trn_queue_valid (name, size);
}

bool
trn_subscribed_valid (const char *name, size_t size)
{
    if (name && size > 1 && name[0] == TRN_INBOX_MARK) {
        return trn_name_valid (name + 1, size - 1);
    }
    return trn_queue_valid (name, size);
}

bool
trn_outbox_valid (const char *name, size_t size)
{
    if (name && size > 1 && name[0] == '#') {
        return trn_name_valid (name + 1, size - 1);
    }
    return trn_subscribed_valid (name, size);
}

bool
trn_endpoint_valid (const char *endpoint, size_t size)
{
    if (!endpoint || size > TRN_ENDPOINT_MAX) {
        return false;
    }
    static const char *const schemes[] = {"tcp://", "ipc://", "inproc://"};
    bool known = false;
    for (size_t index = 0; index < 3; index++) {
        const size_t length = strlen (schemes[index]);
        if (size > length && memcmp (endpoint, schemes[index], length) == 0) {
            known = true;
        }
    }
    for (size_t index = 0; known && index < size; index++) {
        known = endpoint[index] > 0x20 && endpoint[index] < 0x7f;
    }
    return known;
}

const char *
trn_escape (char buffer[TRN_ESCAPED_MAX], const void *text, size_t size)
{
    assert (buffer && (text || !size));
    static const char hex[] = "0123456789abcdef";
    const uint8_t *bytes = text;
    const size_t shown = size < 128 ? size : 128;
    size_t used = 0;
    size_t index = 0;
    while (index < shown) {
        const size_t step = trn_utf8_step (bytes + index, size - index);
        const uint8_t c = bytes[index];
        if (step && c >= 0x20 && c != 0x7f && c != '"' && c != '\''
            && c != '\\') {
            memcpy (buffer + used, bytes + index, step);
            used += step;
            index += step;
        } else {
            buffer[used++] = '\\';
            buffer[used++] = 'x';
            buffer[used++] = hex[c >> 4];
            buffer[used++] = hex[c & 15];
            index++;
        }
    }
    buffer[used] = 0;
    return buffer;
}
