//  cli/purge.h - tern outbox purge: drop what waits in an outbox
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_PURGE_H
#define CLI_PURGE_H

#include "cli/options.h"
#include "cli/stores.h"

//  Drop what waits for queue in these stores, whose owners are gone.  Returns
//  the exit code.
int
cli_purge (const cli_common_t *common, const cli_stores_t *stores,
           const char *queue);

#endif
