//  wire/binding.c - a binding as it travels and is kept
//
//  Knows: what each type of exchange allows, the order of fields and their
//  ranges.
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/binding.h"

#include "base/name.h"
#include "base/utf8.h"
#include "wire/field.h"
#include "wire/props.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

//  Checking ----------------------------------------------------------------

static int
s_check_name (trn_text_t name, bool queue)
{
    if (!name.size
        || !(queue ? trn_queue_valid (name.at, name.size)
                   : trn_name_valid (name.at, name.size))) {
        return TERN_ENAME;
    }
    return 0;
}

//  Each word costs a publisher a node of its trie.
static bool
s_too_many_words (trn_text_t pattern)
{
    size_t words = 1;
    for (size_t index = 0; index < pattern.size; index++) {
        words += pattern.at[index] == '.';
    }
    return words > TRN_BINDING_WORDS_MAX;
}

static int
s_check_pattern (const trn_binding_t *self)
{
    const trn_text_t pattern = self->pattern;
    if (pattern.size > TRN_KEY_MAX
        || (self->type == TRN_EXCHANGE_TOPIC && s_too_many_words (pattern))) {
        return TERN_ETOOBIG;
    }
    if (!pattern.size) {
        return 0;
    }
    const bool has_keys
        = self->type == TRN_EXCHANGE_DIRECT || self->type == TRN_EXCHANGE_TOPIC;
    return has_keys
                   && trn_utf8_valid ((const uint8_t *) pattern.at,
                                      pattern.size)
                   && !memchr (pattern.at, 0, pattern.size)
               ? 0
               : TERN_EINVAL;
}

static int
s_check_headers (const trn_binding_t *self)
{
    if (self->headers_size > TRN_BINDING_HEADERS_MAX) {
        return TERN_ETOOBIG;
    }
    if (self->type != TRN_EXCHANGE_HEADERS) {
        return self->headers_size || self->any ? TERN_EINVAL : 0;
    }
    trn_props_t props;
    if (trn_props_open (&props, self->headers, self->headers_size)) {
        return TERN_EINVAL;
    }
    //  All of nothing is everything; any of nothing would be never.
    if (self->any && !props.left) {
        return TERN_EINVAL;
    }
    trn_prop_t prop;
    while (trn_props_next (&props, &prop)) {
        if (prop.kind != TRN_PROP_TEXT || trn_prop_reserved (prop.key)) {
            return TERN_EINVAL;
        }
    }
    return 0;
}

int
trn_binding_check (const trn_binding_t *self)
{
    assert (self && (self->headers || !self->headers_size));
    int rc = s_check_name (self->exchange, false);
    rc = rc ? rc : s_check_name (self->queue, true);
    if (!rc && self->alternate.size) {
        rc = s_check_name (self->alternate, false);
    }
    if (!rc && self->writer.size) {
        rc = s_check_name (self->writer, false);
    }
    if (rc) {
        return rc;
    }
    if (self->type < TRN_EXCHANGE_DIRECT || self->type > TRN_EXCHANGE_HEADERS
        || self->from > TRN_FROM_TIME || self->stamp_us > TRN_STAMP_MAX
        || self->from_value > TRN_SEQ_MAX) {
        return TERN_EINVAL;
    }
    if (self->from < TRN_FROM_SEQ && self->from_value) {
        return TERN_EINVAL;
    }
    rc = s_check_pattern (self);
    return rc ? rc : s_check_headers (self);
}

//  Packed --------------------------------------------------------------------

#define FIELDS 12

void
trn_binding_pack (trn_packer_t *out, const trn_binding_t *binding)
{
    assert (out && binding && binding->writer.size && binding->stamp_us);
    trn_pack_array (out, FIELDS);
    trn_pack_text (out, binding->exchange);
    trn_pack_uint (out, binding->type);
    trn_pack_text (out, binding->queue);
    trn_pack_text (out, binding->pattern);
    trn_pack_bytes (out, binding->headers, binding->headers_size);
    trn_pack_bool (out, binding->any);
    trn_pack_uint (out, binding->from);
    trn_pack_uint (out, binding->from_value);
    trn_pack_text (out, binding->alternate);
    trn_pack_uint (out, binding->stamp_us);
    trn_pack_text (out, binding->writer);
    trn_pack_bool (out, binding->removed);
}

void
trn_binding_unpack (trn_unpack_t *in, trn_binding_t *binding)
{
    const uint32_t more = trn_unpack_fields (in, FIELDS);
    binding->exchange = trn_field_name (in);
    binding->type = (trn_exchange_type_t) trn_field_u32 (
        in, TRN_EXCHANGE_DIRECT, TRN_EXCHANGE_HEADERS);
    binding->queue = trn_field_queue (in);
    binding->pattern = trn_unpack_text (in, TRN_KEY_MAX);
    binding->headers = trn_unpack_bytes (in, &binding->headers_size);
    binding->any = trn_unpack_bool (in);
    binding->from
        = (trn_from_t) trn_field_u32 (in, TRN_FROM_NEW, TRN_FROM_TIME);
    binding->from_value = trn_field_seq (in, 0);
    binding->alternate = trn_unpack_text (in, TRN_NAME_MAX);
    binding->stamp_us = trn_unpack_uint (in, 1, TRN_STAMP_MAX);
    binding->writer = trn_field_name (in);
    binding->removed = trn_unpack_bool (in);
    trn_unpack_skip (in, more);
    if (!in->error) {
        const int rc = trn_binding_check (binding);
        trn_unpack_fail (in, rc == TERN_ETOOBIG ? rc : rc ? TERN_EPROTO : 0);
    }
}
