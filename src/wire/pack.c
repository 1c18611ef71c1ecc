//  wire/pack.c - the bounding pre-scan, and a reader over scanned bytes
//
//  Knows: the first bytes of every msgpack value.  Hides: their forms; a number
//  is a number in whatever width it was sent.
//
//  Why not msgpack-c's unpacker: it builds a tree in a heap of its own, 24
//  bytes for each declared element, before anybody can say no.  A frame of the
//  link has a fixed schema, so pulling its fields in order needs neither tree
//  nor heap, and costs less than 100 ns.
//
//  Invariants: no read outside at..end; every loop passes at least one byte or
//  takes one from a count that the bytes left do bound.
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/pack.h"

#include "base/utf8.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

//  One value's first bytes, decoded.
typedef struct {
    trn_pack_kind_t kind;
    uint64_t number;  //  value (two's complement), length, items or pairs
    size_t size;      //  bytes of the head, a number's value included
} s_head_t;

//  0xc0 .. 0xdf: what it is, and how many bytes of number follow.
static const struct {
    uint8_t kind;
    uint8_t width;
} s_forms[32] = {
    {TRN_PACK_NIL, 0},     {TRN_PACK_NOTHING, 0},  //  c0 nil, c1 never used
    {TRN_PACK_BOOL, 0},    {TRN_PACK_BOOL, 0},     //  c2 false, c3 true
    {TRN_PACK_BYTES, 1},   {TRN_PACK_BYTES, 2},    //  c4, c5
    {TRN_PACK_BYTES, 4},   {TRN_PACK_NOTHING, 0},  //  c6, c7 ext
    {TRN_PACK_NOTHING, 0}, {TRN_PACK_NOTHING, 0},  //  c8, c9 ext
    {TRN_PACK_FLOAT, 4},   {TRN_PACK_FLOAT, 8},    //  ca, cb
    {TRN_PACK_UINT, 1},    {TRN_PACK_UINT, 2},     //  cc, cd
    {TRN_PACK_UINT, 4},    {TRN_PACK_UINT, 8},     //  ce, cf
    {TRN_PACK_INT, 1},     {TRN_PACK_INT, 2},      //  d0, d1
    {TRN_PACK_INT, 4},     {TRN_PACK_INT, 8},      //  d2, d3
    {TRN_PACK_NOTHING, 0}, {TRN_PACK_NOTHING, 0},  //  d4, d5 ext
    {TRN_PACK_NOTHING, 0}, {TRN_PACK_NOTHING, 0},  //  d6, d7 ext
    {TRN_PACK_NOTHING, 0}, {TRN_PACK_TEXT, 1},     //  d8 ext, d9
    {TRN_PACK_TEXT, 2},    {TRN_PACK_TEXT, 4},     //  da, db
    {TRN_PACK_ARRAY, 2},   {TRN_PACK_ARRAY, 4},    //  dc, dd
    {TRN_PACK_MAP, 2},     {TRN_PACK_MAP, 4},      //  de, df
};

static uint64_t
s_big_endian (const uint8_t *at, size_t width)
{
    uint64_t number = 0;
    for (size_t index = 0; index < width; index++) {
        number = number << 8 | at[index];
    }
    return number;
}

//  A signed form: spread its sign, and see whether it is negative at all.
static void
s_sign (s_head_t *head, size_t width)
{
    assert (width >= 1 && width <= 8);
    const unsigned unused = 64u - 8u * (unsigned) width;
    const uint64_t sign = UINT64_C (1) << (63u - unused);
    head->number = (head->number ^ sign) - sign;
    head->kind = (int64_t) head->number < 0 ? TRN_PACK_INT : TRN_PACK_UINT;
}

//  Decode the head that starts here; NOTHING if it is cut off, ext or invalid.
static s_head_t
s_head (const uint8_t *at, const uint8_t *end)
{
    s_head_t head = {TRN_PACK_NOTHING, 0, 1};
    if (at == end) {
        return head;
    }
    const uint8_t first = *at;
    if (first < 0x80) {
        head.kind = TRN_PACK_UINT;
        head.number = first;
    } else if (first < 0x90) {
        head.kind = TRN_PACK_MAP;
        head.number = first & 15;
    } else if (first < 0xa0) {
        head.kind = TRN_PACK_ARRAY;
        head.number = first & 15;
    } else if (first < 0xc0) {
        head.kind = TRN_PACK_TEXT;
        head.number = first & 31;
    } else if (first >= 0xe0) {
        head.kind = TRN_PACK_INT;
        head.number = UINT64_MAX - 255 + first;
    } else {
        const size_t width = s_forms[first - 0xc0].width;
        if ((size_t) (end - at) <= width) {
            return head;
        }
        head.kind = (trn_pack_kind_t) s_forms[first - 0xc0].kind;
        head.number = width ? s_big_endian (at + 1, width) : first & 1;
        head.size = 1 + width;
        if (head.kind == TRN_PACK_INT) {
            s_sign (&head, width);
        }
    }
    return head;
}

//  The text or binary of a head must be there; text must be decent.
static bool
s_content_valid (const s_head_t *head, const uint8_t *content,
                 const uint8_t *end)
{
    if (head->number > (size_t) (end - content)) {
        return false;
    }
    const size_t size = (size_t) head->number;
    return head->kind == TRN_PACK_BYTES
           || (trn_utf8_valid (content, size) && !memchr (content, 0, size));
}

int
trn_pack_scan (const uint8_t *bytes, size_t size, unsigned depth_max,
               size_t elements_max)
{
    assert (bytes || !size);
    assert (depth_max <= TRN_PACK_DEPTH_MAX);
    if (!size) {
        return TERN_EPROTO;
    }
    const uint8_t *at = bytes;
    const uint8_t *const end = bytes + size;
    uint64_t open[TRN_PACK_DEPTH_MAX + 1] = {1};  //  values left, per level
    unsigned depth = 0;
    size_t elements = 0;
    for (;;) {
        while (open[depth] == 0) {
            if (depth == 0) {
                return at == end ? 0 : TERN_EPROTO;
            }
            depth--;
        }
        open[depth]--;
        const s_head_t head = s_head (at, end);
        if (head.kind == TRN_PACK_NOTHING) {
            return TERN_EPROTO;
        }
        if (++elements > elements_max) {
            return TERN_ETOOBIG;
        }
        at += head.size;
        if (head.kind == TRN_PACK_TEXT || head.kind == TRN_PACK_BYTES) {
            if (!s_content_valid (&head, at, end)) {
                return TERN_EPROTO;
            }
            at += head.number;
        } else if (head.kind == TRN_PACK_ARRAY || head.kind == TRN_PACK_MAP) {
            //  Every value takes a byte, so a count beyond the rest is a lie.
            const uint64_t values
                = head.kind == TRN_PACK_MAP ? head.number * 2 : head.number;
            if (values > (size_t) (end - at)) {
                return TERN_EPROTO;
            }
            if (depth == depth_max) {
                return TERN_ETOOBIG;
            }
            open[++depth] = values;
        }
    }
}

void
trn_unpack_start (trn_unpack_t *self, const uint8_t *bytes, size_t size)
{
    assert (self && (bytes || !size));
    static const uint8_t nothing[1];
    self->at = size ? bytes : nothing;
    self->end = self->at + size;
    self->error = 0;
}

void
trn_unpack_fail (trn_unpack_t *self, int error)
{
    if (!self->error) {
        self->error = error;
    }
}

trn_pack_kind_t
trn_unpack_peek (const trn_unpack_t *self)
{
    assert (self);
    return self->error ? TRN_PACK_NOTHING : s_head (self->at, self->end).kind;
}

//  Take the head of a value of this kind; false after any failure.
static bool
s_take (trn_unpack_t *self, trn_pack_kind_t kind, s_head_t *head)
{
    assert (self);
    if (self->error) {
        return false;
    }
    *head = s_head (self->at, self->end);
    if (head->kind != kind) {
        self->error = TERN_EPROTO;
        return false;
    }
    self->at += head->size;
    return true;
}

static uint32_t
s_take_list (trn_unpack_t *self, trn_pack_kind_t kind, uint32_t max)
{
    s_head_t head;
    if (!s_take (self, kind, &head)) {
        return 0;
    }
    if (head.number > max) {
        self->error = TERN_ETOOBIG;
        return 0;
    }
    return (uint32_t) head.number;
}

uint32_t
trn_unpack_array (trn_unpack_t *self, uint32_t max)
{
    return s_take_list (self, TRN_PACK_ARRAY, max);
}

uint32_t
trn_unpack_map (trn_unpack_t *self, uint32_t max)
{
    return s_take_list (self, TRN_PACK_MAP, max);
}

uint32_t
trn_unpack_fields (trn_unpack_t *self, uint32_t min)
{
    const uint32_t count = s_take_list (self, TRN_PACK_ARRAY, UINT32_MAX);
    if (count < min) {
        trn_unpack_fail (self, TERN_EPROTO);
        return 0;
    }
    return count - min;
}

uint64_t
trn_unpack_uint (trn_unpack_t *self, uint64_t min, uint64_t max)
{
    s_head_t head;
    if (!s_take (self, TRN_PACK_UINT, &head)) {
        return 0;
    }
    if (head.number < min || head.number > max) {
        self->error = TERN_EPROTO;
        return 0;
    }
    return head.number;
}

int64_t
trn_unpack_int (trn_unpack_t *self)
{
    if (trn_unpack_peek (self) != TRN_PACK_INT) {
        return (int64_t) trn_unpack_uint (self, 0, INT64_MAX);
    }
    s_head_t head;
    return s_take (self, TRN_PACK_INT, &head) ? (int64_t) head.number : 0;
}

bool
trn_unpack_bool (trn_unpack_t *self)
{
    s_head_t head;
    return s_take (self, TRN_PACK_BOOL, &head) && head.number;
}

//  Take a text or binary with its content.
static const uint8_t *
s_take_content (trn_unpack_t *self, trn_pack_kind_t kind, size_t max,
                size_t *size_p)
{
    *size_p = 0;
    s_head_t head;
    if (!s_take (self, kind, &head)) {
        return NULL;
    }
    if (head.number > (size_t) (self->end - self->at)) {
        self->error = TERN_EPROTO;
        return NULL;
    }
    if (head.number > max) {
        self->error = TERN_ETOOBIG;
        return NULL;
    }
    const uint8_t *content = self->at;
    *size_p = (size_t) head.number;
    self->at += *size_p;
    return content;
}

trn_text_t
trn_unpack_text (trn_unpack_t *self, size_t max)
{
    trn_text_t text = {"", 0};
    size_t size;
    const uint8_t *content = s_take_content (self, TRN_PACK_TEXT, max, &size);
    if (content) {
        text = (trn_text_t) {(const char *) content, size};
    }
    return text;
}

const uint8_t *
trn_unpack_bytes (trn_unpack_t *self, size_t *size_p)
{
    assert (size_p);
    return s_take_content (self, TRN_PACK_BYTES, SIZE_MAX, size_p);
}

void
trn_unpack_fixed (trn_unpack_t *self, uint8_t *to, size_t size)
{
    assert (to);
    size_t found;
    const uint8_t *content = trn_unpack_bytes (self, &found);
    if (content && found == size) {
        memcpy (to, content, size);
    } else {
        trn_unpack_fail (self, TERN_EPROTO);
        memset (to, 0, size);
    }
}

void
trn_unpack_skip (trn_unpack_t *self, uint64_t count)
{
    assert (self);
    while (count && !self->error) {
        const s_head_t head = s_head (self->at, self->end);
        const uint64_t left = (uint64_t) (self->end - self->at);
        uint64_t content = 0;
        if (head.kind == TRN_PACK_TEXT || head.kind == TRN_PACK_BYTES) {
            content = head.number;
        } else if (head.kind == TRN_PACK_ARRAY) {
            count += head.number;
        } else if (head.kind == TRN_PACK_MAP) {
            count += head.number * 2;
        }
        //  Each value to come takes a byte at least: this bounds the loop.
        if (head.kind == TRN_PACK_NOTHING || content > left - head.size
            || count > left) {
            self->error = TERN_EPROTO;
            return;
        }
        self->at += head.size + content;
        count--;
    }
}
