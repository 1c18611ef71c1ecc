//  wire/field.c - fields that frames of the link and the directory share
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/field.h"

#include "base/limits.h"
#include "base/name.h"

#include <tern/error.h>

typedef bool
s_grammar_fn (const char *text, size_t size);

static trn_text_t
s_checked (trn_unpack_t *in, size_t max, s_grammar_fn *valid)
{
    const trn_text_t text = trn_unpack_text (in, max);
    if (!valid (text.at, text.size)) {
        trn_unpack_fail (in, TERN_EPROTO);
    }
    return text;
}

trn_text_t
trn_field_name (trn_unpack_t *in)
{
    return s_checked (in, TRN_NAME_MAX, trn_name_valid);
}

trn_text_t
trn_field_queue (trn_unpack_t *in)
{
    return s_checked (in, TRN_NAME_MAX + 1, trn_queue_valid);
}

trn_text_t
trn_field_place (trn_unpack_t *in)
{
    return s_checked (in, TRN_NAME_MAX + 1, trn_place_valid);
}

trn_text_t
trn_field_subscribed (trn_unpack_t *in)
{
    return s_checked (in, TRN_NAME_MAX + 1, trn_subscribed_valid);
}

trn_text_t
trn_field_outbox (trn_unpack_t *in)
{
    return s_checked (in, TRN_NAME_MAX + 1, trn_outbox_valid);
}

trn_text_t
trn_field_endpoint (trn_unpack_t *in)
{
    return s_checked (in, TRN_ENDPOINT_MAX, trn_endpoint_valid);
}

trn_text_t
trn_field_words (trn_unpack_t *in)
{
    return trn_unpack_text (in, TRN_TEXT_MAX);
}

void
trn_field_pack_words (trn_packer_t *out, trn_text_t words)
{
    if (words.size > TRN_TEXT_MAX) {
        words.size = TRN_TEXT_MAX;
        while (words.size && (words.at[words.size] & 0xc0) == 0x80) {
            words.size--;
        }
    }
    trn_pack_text (out, words);
}

uint32_t
trn_field_u32 (trn_unpack_t *in, uint32_t min, uint32_t max)
{
    return (uint32_t) trn_unpack_uint (in, min, max);
}

uint64_t
trn_field_seq (trn_unpack_t *in, uint64_t min)
{
    return trn_unpack_uint (in, min, TRN_SEQ_MAX);
}

uint64_t
trn_field_u64 (trn_unpack_t *in)
{
    return trn_unpack_uint (in, 0, UINT64_MAX);
}
