//  tests/fuzz/fuzz_bindings.c - any bytes as the file that a directory keeps
//
//  The input is what follows the sum, which is put in front of it: a fuzzer
//  does not guess it.  Held: what is taken is legal and routes, all of it or
//  nothing; saved again it comes back the same.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "base/bytes.h"
#include "core/binding.h"
#include "core/router.h"

#include <tern/error.h>

#include <xxhash.h>

#define BINDINGS_MAX 64
#define BYTES_MAX 65536

static void
s_check_all (const trn_bindings_t *table)
{
    trn_binding_t binding;
    assert (trn_bindings_count (table) <= BINDINGS_MAX);
    assert (trn_bindings_bytes (table) <= BYTES_MAX);
    for (size_t index = 0; trn_bindings_at (table, index, &binding); index++) {
        assert (trn_binding_check (&binding) == 0);
        assert (binding.stamp_us && binding.writer.size);
        trn_router_t *router = trn_router_new (binding.type);
        assert (trn_router_bind (router, &binding, 7) == 0);
        uint32_t target;
        (void) trn_router_route (router, binding.pattern.at,
                                 binding.pattern.size, binding.headers,
                                 binding.headers_size, &target, 1);
        assert (trn_router_unbind (router, &binding, 7));
        trn_router_destroy (&router);
    }
}

//  A table with room for all has the same after being saved and loaded.
static void
s_check_again (const trn_bindings_t *table)
{
    size_t size;
    uint8_t *saved = trn_bindings_save (table, SIZE_MAX, &size);
    trn_bindings_t *again = trn_bindings_new (BINDINGS_MAX, BYTES_MAX);
    assert (trn_bindings_load (again, saved, size) == 0);
    assert (trn_bindings_digest (again) == trn_bindings_digest (table));
    trn_bindings_destroy (&again);
    free (saved);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    uint8_t *file = malloc (16 + size);
    memcpy (file, "TRNBIND1", 8);
    trn_put_u64 (file + 8, XXH3_64bits (data, size));
    if (size) {
        memcpy (file + 16, data, size);
    }
    trn_bindings_t *table = trn_bindings_new (BINDINGS_MAX, BYTES_MAX);
    const int rc = trn_bindings_load (table, file, 16 + size);
    assert (rc == 0 || rc == TERN_ECORRUPT);
    if (rc) {
        assert (trn_bindings_count (table) == 0);
    } else {
        s_check_all (table);
        s_check_again (table);
    }
    trn_bindings_destroy (&table);
    free (file);
    return 0;
}
