//  core/binding.c - one binding: its one form, and which of two counts
//
//  Knows: the form of a binding that tables and routers compare.  Headers come
//  in any order and encoding; sorted by name and packed anew, two that say the
//  same are the same bytes.
//
//  The numbers that stand for a binding are compared between processes, so what
//  they are made from is written down here and in docs/spec/2-DIRECTORY.md.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/binding.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/packer.h"
#include "wire/props.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

//  The one form ------------------------------------------------------------

static int
s_order_text (trn_text_t one, trn_text_t other)
{
    const size_t size = one.size < other.size ? one.size : other.size;
    const int order = size ? memcmp (one.at, other.at, size) : 0;
    return order ? order : (one.size > other.size) - (one.size < other.size);
}

size_t
trn_binding_headers (const uint8_t *bytes, size_t size,
                     uint8_t to[TRN_BINDING_HEADERS_MAX])
{
    trn_prop_t sorted[TRN_PROPS_COUNT];
    size_t count = 0;
    trn_props_t props;
    const int rc = trn_props_open (&props, bytes, size);
    assert (!rc);
    (void) rc;
    trn_prop_t prop;
    while (trn_props_next (&props, &prop)) {
        size_t at = count++;
        while (at && s_order_text (sorted[at - 1].key, prop.key) > 0) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = prop;
    }
    if (!count) {
        return 0;
    }
    trn_packer_t out;
    trn_packer_start (&out, to, TRN_BINDING_HEADERS_MAX);
    trn_pack_map (&out, (uint32_t) count);
    for (size_t index = 0; index < count; index++) {
        trn_pack_text (&out, sorted[index].key);
        trn_pack_text (&out, sorted[index].text);
    }
    assert (!out.full);
    return out.used;
}

static trn_text_t
s_copy_text (char **to_p, trn_text_t text)
{
    const trn_text_t copy = {*to_p, text.size};
    if (text.size) {
        memcpy (*to_p, text.at, text.size);
    }
    *to_p += text.size;
    return copy;
}

trn_binding_t *
trn_binding_copy (const trn_binding_t *binding, size_t *bytes_p)
{
    assert (binding);
    uint8_t headers[TRN_BINDING_HEADERS_MAX];
    const size_t size = trn_binding_headers (binding->headers,
                                             binding->headers_size, headers);
    const size_t bytes = sizeof (trn_binding_t) + binding->exchange.size
                         + binding->queue.size + binding->pattern.size + size
                         + binding->alternate.size + binding->writer.size;
    trn_binding_t *self = trn_alloc (bytes);
    char *text = (char *) (self + 1);
    *self = *binding;
    self->exchange = s_copy_text (&text, binding->exchange);
    self->queue = s_copy_text (&text, binding->queue);
    self->pattern = s_copy_text (&text, binding->pattern);
    self->alternate = s_copy_text (&text, binding->alternate);
    self->writer = s_copy_text (&text, binding->writer);
    self->headers = size ? (const uint8_t *) text : NULL;
    self->headers_size = size;
    if (size) {
        memcpy (text, headers, size);
    }
    if (bytes_p) {
        *bytes_p = bytes;
    }
    return self;
}

//  Comparing ---------------------------------------------------------------

static trn_text_t
s_headers_text (const trn_binding_t *self)
{
    return (trn_text_t) {(const char *) self->headers, self->headers_size};
}

int
trn_binding_order (const trn_binding_t *one, const trn_binding_t *other)
{
    int order = s_order_text (one->exchange, other->exchange);
    order = order ? order : s_order_text (one->queue, other->queue);
    order = order ? order : s_order_text (one->pattern, other->pattern);
    if (!order) {
        order = s_order_text (s_headers_text (one), s_headers_text (other));
    }
    return order ? order : one->any - other->any;
}

static int
s_order_number (uint64_t one, uint64_t other)
{
    return (one > other) - (one < other);
}

bool
trn_binding_later (const trn_binding_t *one, const trn_binding_t *other)
{
    int order = s_order_number (one->stamp_us, other->stamp_us);
    order = order ? order : s_order_text (one->writer, other->writer);
    order = order ? order : one->removed - other->removed;
    order = order ? order : s_order_number (one->type, other->type);
    order = order ? order : s_order_number (one->from, other->from);
    order = order ? order : s_order_number (one->from_value, other->from_value);
    order = order ? order : s_order_text (one->alternate, other->alternate);
    return order > 0;
}

bool
trn_binding_says (const trn_binding_t *one, const trn_binding_t *other)
{
    assert (one && other);
    if (one->removed || other->removed) {
        return one->removed && other->removed;
    }
    return one->type == other->type && one->from == other->from
           && one->from_value == other->from_value
           && s_order_text (one->alternate, other->alternate) == 0;
}

//  Numbers that stand for it -------------------------------------------------

//  What is hashed, put together on the stack.
typedef struct {
    uint8_t bytes[6 * (TRN_NAME_MAX + 2) + TRN_KEY_MAX + TRN_BINDING_HEADERS_MAX
                  + 64];
    size_t used;
} s_mix_t;

static void
s_mix_number (s_mix_t *self, uint64_t number)
{
    assert (self->used + 8 <= sizeof self->bytes);
    trn_put_u64 (self->bytes + self->used, number);
    self->used += 8;
}

//  Texts have no NUL in them, so that behind each tells where it ends; headers,
//  which may hold any byte, come last.
static void
s_mix_text (s_mix_t *self, trn_text_t text)
{
    assert (self->used + text.size + 1 <= sizeof self->bytes);
    if (text.size) {
        memcpy (self->bytes + self->used, text.at, text.size);
    }
    self->bytes[self->used + text.size] = 0;
    self->used += text.size + 1;
}

uint64_t
trn_binding_identity (const trn_binding_t *self)
{
    s_mix_t mix;
    mix.used = 0;
    s_mix_text (&mix, self->exchange);
    s_mix_text (&mix, self->queue);
    s_mix_text (&mix, self->pattern);
    mix.bytes[mix.used++] = self->any;
    s_mix_text (&mix, s_headers_text (self));
    return XXH3_64bits (mix.bytes, mix.used);
}

uint64_t
trn_binding_content (const trn_binding_t *self)
{
    s_mix_t mix;
    mix.used = 0;
    s_mix_number (&mix, trn_binding_identity (self));
    s_mix_number (&mix, self->stamp_us);
    s_mix_number (&mix, (uint64_t) self->type << 16 | (uint64_t) self->from << 8
                            | self->removed);
    s_mix_number (&mix, self->from_value);
    s_mix_text (&mix, self->writer);
    s_mix_text (&mix, self->alternate);
    return XXH3_64bits (mix.bytes, mix.used);
}
