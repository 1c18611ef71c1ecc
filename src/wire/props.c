//  wire/props.c - the properties of a message: a small map of named values
//
//  Knows: which keys and values are legal, and the limits of a map.
//
//  A set under construction keeps its pairs packed, behind room for the longest
//  head a map of this size can have, so that the map is ready in one piece:
//
//      bytes ->  [ . . head ][ key value ][ key value ] ... used
//                 0    1..3   3
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/props.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "wire/packer.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  A map has a head of 1 byte up to 15 pairs, of 3 bytes above.
#define S_HEAD_MAX 3u

bool
trn_prop_reserved (trn_text_t key)
{
    return key.size >= 5 && memcmp (key.at, "tern.", 5) == 0;
}

static bool
s_same (trn_text_t one, trn_text_t other)
{
    return one.size == other.size && memcmp (one.at, other.at, one.size) == 0;
}

//  Reading -----------------------------------------------------------------

static void
s_unpack_prop (trn_unpack_t *in, trn_prop_t *prop)
{
    *prop = (trn_prop_t) {0};
    prop->key = trn_unpack_text (in, TRN_PROPS_KEY_MAX);
    if (!prop->key.size) {
        trn_unpack_fail (in, TERN_EPROTO);
    }
    switch (trn_unpack_peek (in)) {
    case TRN_PACK_TEXT:
        prop->kind = TRN_PROP_TEXT;
        prop->text = trn_unpack_text (in, TRN_PROPS_MAX);
        break;
    case TRN_PACK_UINT:
    case TRN_PACK_INT:
        prop->kind = TRN_PROP_NUMBER;
        prop->number = trn_unpack_int (in);
        break;
    case TRN_PACK_BOOL:
        prop->kind = TRN_PROP_FLAG;
        prop->flag = trn_unpack_bool (in);
        break;
    case TRN_PACK_BYTES:
        prop->kind = TRN_PROP_BYTES;
        prop->bytes = trn_unpack_bytes (in, &prop->bytes_size);
        break;
    case TRN_PACK_NOTHING:
    case TRN_PACK_NIL:
    case TRN_PACK_FLOAT:
    case TRN_PACK_ARRAY:
    case TRN_PACK_MAP: trn_unpack_fail (in, TERN_EPROTO); break;
    }
}

//  Every pair is legal and no key comes twice.
static int
s_check (const trn_props_t *self)
{
    trn_props_t at = *self;
    trn_text_t keys[TRN_PROPS_COUNT];
    for (uint32_t index = 0; index < self->left; index++) {
        trn_prop_t prop;
        s_unpack_prop (&at.in, &prop);
        if (at.in.error) {
            return at.in.error;
        }
        for (uint32_t earlier = 0; earlier < index; earlier++) {
            if (s_same (keys[earlier], prop.key)) {
                return TERN_EPROTO;
            }
        }
        keys[index] = prop.key;
    }
    return 0;
}

int
trn_props_open (trn_props_t *self, const uint8_t *bytes, size_t size)
{
    assert (self && (bytes || !size));
    trn_unpack_start (&self->in, NULL, 0);
    self->left = 0;
    if (!size) {
        return 0;
    }
    if (size > TRN_PROPS_MAX) {
        return TERN_ETOOBIG;
    }
    const int rc = trn_pack_scan (bytes, size, 1, 1 + TRN_PROPS_COUNT * 2);
    if (rc) {
        return rc;
    }
    trn_props_t opened;
    trn_unpack_start (&opened.in, bytes, size);
    opened.left = trn_unpack_map (&opened.in, TRN_PROPS_COUNT);
    if (opened.in.error) {
        return opened.in.error;
    }
    const int fault = s_check (&opened);
    if (!fault) {
        *self = opened;
    }
    return fault;
}

bool
trn_props_next (trn_props_t *self, trn_prop_t *prop)
{
    assert (self && prop);
    if (!self->left) {
        return false;
    }
    self->left--;
    s_unpack_prop (&self->in, prop);
    return !self->in.error;
}

bool
trn_props_find (const trn_props_t *self, trn_text_t key, trn_prop_t *prop)
{
    assert (self && prop);
    trn_props_t at = *self;
    while (trn_props_next (&at, prop)) {
        if (s_same (prop->key, key)) {
            return true;
        }
    }
    return false;
}

//  Building ----------------------------------------------------------------

static bool
s_text_legal (trn_text_t text)
{
    return text.size == 0
           || (trn_utf8_valid ((const uint8_t *) text.at, text.size)
               && !memchr (text.at, 0, text.size));
}

//  Where the pair of this key starts and how long it is; 0 if there is none.
static size_t
s_find_pair (const trn_propset_t *self, trn_text_t key, size_t *size_p)
{
    trn_props_t at = {.left = self->count};
    if (self->count) {
        trn_unpack_start (&at.in, self->bytes + S_HEAD_MAX,
                          self->used - S_HEAD_MAX);
    }
    trn_prop_t prop;
    const uint8_t *start = at.in.at;
    while (trn_props_next (&at, &prop)) {
        if (s_same (prop.key, key)) {
            *size_p = (size_t) (at.in.at - start);
            return (size_t) (start - self->bytes);
        }
        start = at.in.at;
    }
    return 0;
}

//  Start a pair at the end: checks the key, makes room, packs the key.
static int
s_start_pair (trn_propset_t *self, trn_text_t key, size_t value_size,
              trn_packer_t *out)
{
    assert (self && (key.at || !key.size));
    if (!key.size || !s_text_legal (key)) {
        return TERN_EINVAL;
    }
    if (key.size > TRN_PROPS_KEY_MAX || value_size > TRN_PROPS_MAX) {
        return TERN_ETOOBIG;
    }
    if (!self->used) {
        self->used = S_HEAD_MAX;
    }
    //  Heads of key and value take 14 bytes at most.
    const size_t wanted = self->used + key.size + value_size + 14;
    if (wanted > self->capacity) {
        self->capacity = wanted * 2;
        self->bytes = trn_realloc (self->bytes, self->capacity);
    }
    trn_packer_start (out, self->bytes + self->used,
                      self->capacity - self->used);
    trn_pack_text (out, key);
    return 0;
}

//  The new pair lies behind the others: let it take the place of an old one of
//  its key, unless that breaks a limit.
static int
s_finish_pair (trn_propset_t *self, trn_text_t key, const trn_packer_t *out)
{
    assert (!out->full);
    size_t old_size = 0;
    const size_t old = s_find_pair (self, key, &old_size);
    const uint32_t count = self->count + (old ? 0 : 1);
    const size_t pairs = self->used - S_HEAD_MAX + out->used - old_size;
    if (count > TRN_PROPS_COUNT || S_HEAD_MAX + pairs > TRN_PROPS_MAX) {
        return TERN_ETOOBIG;
    }
    self->used += out->used;
    self->count = count;
    if (old) {
        memmove (self->bytes + old, self->bytes + old + old_size,
                 self->used - old - old_size);
        self->used -= old_size;
    }
    return 0;
}

int
trn_propset_text (trn_propset_t *self, trn_text_t key, trn_text_t value)
{
    assert (value.at || !value.size);
    if (!s_text_legal (value)) {
        return TERN_EINVAL;
    }
    trn_packer_t out;
    const int rc = s_start_pair (self, key, value.size, &out);
    if (rc) {
        return rc;
    }
    trn_pack_text (&out, value);
    return s_finish_pair (self, key, &out);
}

int
trn_propset_number (trn_propset_t *self, trn_text_t key, int64_t value)
{
    trn_packer_t out;
    const int rc = s_start_pair (self, key, 0, &out);
    if (rc) {
        return rc;
    }
    trn_pack_int (&out, value);
    return s_finish_pair (self, key, &out);
}

int
trn_propset_flag (trn_propset_t *self, trn_text_t key, bool value)
{
    trn_packer_t out;
    const int rc = s_start_pair (self, key, 0, &out);
    if (rc) {
        return rc;
    }
    trn_pack_bool (&out, value);
    return s_finish_pair (self, key, &out);
}

int
trn_propset_bytes (trn_propset_t *self, trn_text_t key, const void *bytes,
                   size_t size)
{
    assert (bytes || !size);
    trn_packer_t out;
    const int rc = s_start_pair (self, key, size, &out);
    if (rc) {
        return rc;
    }
    trn_pack_bytes (&out, bytes, size);
    return s_finish_pair (self, key, &out);
}

int
trn_propset_add (trn_propset_t *self, const trn_prop_t *prop)
{
    assert (self && prop);
    switch (prop->kind) {
    case TRN_PROP_TEXT: return trn_propset_text (self, prop->key, prop->text);
    case TRN_PROP_NUMBER:
        return trn_propset_number (self, prop->key, prop->number);
    case TRN_PROP_FLAG: return trn_propset_flag (self, prop->key, prop->flag);
    case TRN_PROP_BYTES:
    default:
        return trn_propset_bytes (self, prop->key, prop->bytes,
                                  prop->bytes_size);
    }
}

bool
trn_propset_remove (trn_propset_t *self, trn_text_t key)
{
    assert (self);
    size_t size = 0;
    const size_t at = s_find_pair (self, key, &size);
    if (!at) {
        return false;
    }
    memmove (self->bytes + at, self->bytes + at + size, self->used - at - size);
    self->used -= size;
    self->count--;
    return true;
}

void
trn_propset_copy (trn_propset_t *self, const trn_propset_t *from)
{
    assert (self && from && self != from);
    if (from->used > self->capacity) {
        self->capacity = from->used;
        self->bytes = trn_realloc (self->bytes, self->capacity);
    }
    if (from->used) {
        memcpy (self->bytes, from->bytes, from->used);
    }
    self->used = from->used;
    self->count = from->count;
}

const uint8_t *
trn_propset_map (trn_propset_t *self, size_t *size_p)
{
    assert (self && size_p);
    *size_p = 0;
    if (!self->count) {
        return NULL;
    }
    uint8_t head[S_HEAD_MAX];
    trn_packer_t out;
    trn_packer_start (&out, head, sizeof head);
    trn_pack_map (&out, self->count);
    uint8_t *const map = self->bytes + S_HEAD_MAX - out.used;
    memcpy (map, head, out.used);
    *size_p = self->used - S_HEAD_MAX + out.used;
    return map;
}

void
trn_propset_clear (trn_propset_t *self)
{
    assert (self);
    free (self->bytes);
    *self = (trn_propset_t) {0};
}
