//  cli/fleet.h - asking the directory, for the commands that look
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_FLEET_H
#define CLI_FLEET_H

#include "cli/options.h"

//  How long the directory may take to answer, unless --timeout says.
#define CLI_FLEET_TIMEOUT_MS 2000

//  Fetch what the directory knows.  CLI_DONE, or the exit code with one line
//  said.  The caller owns *fleet_p.
int
cli_fleet_fetch (tern_fleet_t **fleet_p, const cli_common_t *common,
                 uint64_t timeout_ms);

#endif
