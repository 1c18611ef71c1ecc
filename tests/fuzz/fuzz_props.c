//  tests/fuzz/fuzz_props.c - any bytes as the properties of a message
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "wire/props.h"

#include <tern/error.h>

static int
s_set (trn_propset_t *set, const trn_prop_t *prop)
{
    switch (prop->kind) {
    case TRN_PROP_TEXT: return trn_propset_text (set, prop->key, prop->text);
    case TRN_PROP_NUMBER:
        return trn_propset_number (set, prop->key, prop->number);
    case TRN_PROP_FLAG: return trn_propset_flag (set, prop->key, prop->flag);
    case TRN_PROP_BYTES:
        return trn_propset_bytes (set, prop->key, prop->bytes,
                                  prop->bytes_size);
    }
    return TERN_EPROTO;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    trn_props_t props;
    const int rc = trn_props_open (&props, data, size);
    assert (rc == 0 || rc == TERN_EPROTO || rc == TERN_ETOOBIG);
    const uint32_t left = props.left;
    assert (rc == 0 || left == 0);

    //  All of them can be read, found, and built into the same map.  A map of
    //  the longest size in its shortest form may miss by the head's two bytes.
    trn_propset_t set = {0};
    trn_props_t at = props;
    trn_prop_t prop, found;
    uint32_t count = 0;
    while (trn_props_next (&at, &prop)) {
        assert (trn_props_find (&props, prop.key, &found));
        assert (found.kind == prop.kind && found.key.at == prop.key.at);
        assert (s_set (&set, &prop) == 0 || size > TRN_PROPS_MAX - 3);
        count++;
    }
    assert (count == left);
    size_t map_size = 0;
    const uint8_t *map = trn_propset_map (&set, &map_size);
    assert (map_size <= size || !left);
    assert (trn_props_open (&at, map, map_size) == 0);
    assert (at.left == set.count);
    trn_propset_clear (&set);
    return 0;
}
