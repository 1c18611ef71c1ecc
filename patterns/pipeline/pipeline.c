//  pipeline.c - opening what each of the three programs needs
//
//  SPDX-License-Identifier: MPL-2.0

#include "pipeline.h"

#include <stdio.h>

tern_peer_t *
pipeline_peer (const char *program)
{
    char why[256] = "";
    tern_peer_t *peer = NULL;
    tern_config_t *config = tern_config_new ();
    if (tern_config_environment (config, why, sizeof why)
        || tern_peer_open (&peer, config, why, sizeof why)) {
        fprintf (stderr, "%s: %s\n", program, why);
    }
    tern_config_destroy (&config);
    return peer;
}

int
pipeline_fail (const char *program, const char *what, int error)
{
    fprintf (stderr, "%s: %s: %s\n", program, what, tern_strerror (error));
    return 1;
}
