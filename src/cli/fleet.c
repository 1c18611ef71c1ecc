//  cli/fleet.c - asking the directory, for the commands that look
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/fleet.h"
#include "cli/say.h"

#include <stdio.h>

int
cli_fleet_fetch (tern_fleet_t **fleet_p, const cli_common_t *common,
                 uint64_t timeout_ms)
{
    tern_config_t *config = NULL;
    const int code = cli_config (&config, common);
    if (code != CLI_DONE) {
        return code;
    }
    char why[256] = "";
    char thing[300];
    const char *directory = tern_config_get (config, "directory");
    snprintf (thing, sizeof thing, "directory %s",
              directory ? directory : "local");
    const int rc
        = tern_fleet_fetch (fleet_p, config, (int) timeout_ms, why, sizeof why);
    tern_config_destroy (&config);
    return rc ? cli_fail_tern (rc, thing, why) : CLI_DONE;
}
