//  tests/fuzz/fuzz_config.c - any bytes as a configuration file
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "peer/config.h"

#include <tern/error.h>

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    char *text = malloc (size + 1);
    assert (text);
    memcpy (text, data, size);
    text[size] = 0;
    tern_config_t *config = tern_config_new ();
    char why[256];
    memset (why, 'x', sizeof why);
    const int rc
        = trn_config_parse (config, "tern.zpl", text, size, why, sizeof why);
    assert (rc == 0 || rc == TERN_EINVAL || rc == TERN_ENAME
            || rc == TERN_ETOOBIG);

    //  A refusal has one line of words, and they are fit for a terminal.
    if (rc) {
        assert (memchr (why, 0, sizeof why));
        assert (why[0] && !strchr (why, '\n') && !strchr (why, '\x1b'));
    }
    tern_config_destroy (&config);
    free (text);
    return 0;
}
