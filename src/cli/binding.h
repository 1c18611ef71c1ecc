//  cli/binding.h - bindings as the command line says them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_BINDING_H
#define CLI_BINDING_H

#include "cli/options.h"

//  What the options of a command say; all of it may be missing.
typedef struct {
    const char *type;     //  --type
    const char *pattern;  //  --pattern
    cli_list_t headers;   //  --header, NAME=VALUE
    bool any;             //  --any
    const char *from;     //  --from
} cli_binding_words_t;

//  A binding with the memory that it points to.
typedef struct {
    tern_binding_t binding;
    tern_header_t headers[TERN_BINDING_HEADERS_MAX];
    char *texts[TERN_BINDING_HEADERS_MAX];
} cli_binding_t;

//  "direct", "fanout", "topic" or "headers".
const char *
cli_type_name (tern_exchange_type_t type);

//  CLI_DONE, or CLI_USAGE with one line said.
int
cli_type_read (tern_exchange_type_t *type_p, const char *name);

//  Without --type it is what its words are for: headers, a pattern (topic), or
//  none (fanout).  CLI_DONE, or CLI_USAGE with one line said; to be freed in any
//  case.  exchange, queue and words are borrowed.
int
cli_binding_read (cli_binding_t *self, const char *exchange, const char *queue,
                  const cli_binding_words_t *words);

void
cli_binding_free (cli_binding_t *self);

//  Wait until this peer knows what a directory knows.  TERN_OK, or
//  TERN_ETIMEOUT, also at a signal.
int
cli_binding_learn (tern_peer_t *peer, uint64_t timeout_ms);

//  Bind, or unbind, and wait until a directory has taken it: CLI_DONE, or the
//  exit code with one line said.  What is removed and was not there is noted.
int
cli_binding_say (tern_peer_t *peer, const cli_binding_t *self, bool removed,
                 uint64_t timeout_ms);

#endif
