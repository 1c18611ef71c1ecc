//  cli/form.h - what every message that a command sends has in common
//
//  Key, headers and rules come from the command line once; bodies come one
//  after the other.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_FORM_H
#define CLI_FORM_H

#include "cli/options.h"

#define CLI_NO_PRIORITY UINT64_MAX

//  366 days.
#define CLI_RULE_MS_MAX 31622400000

typedef struct {
    const char *key;        //  NULL: none
    const char *order_key;  //  NULL: none
    cli_list_t headers;     //  NAME=VALUE
    uint64_t ttl_ms;        //  0: none
    uint64_t delay_ms;      //  0: none
    uint64_t priority;      //  CLI_NO_PRIORITY: not said
} cli_form_t;

//  Is there anything but bodies?
bool
cli_form_used (const cli_form_t *self);

//  Can every message have it?  CLI_DONE, or the exit code with one line said.
int
cli_form_check (const cli_form_t *self);

//  A message with a copy of body, of a form that was checked.  TERN_OK and the
//  caller owns *msg_p, or TERN_ETOOBIG.
int
cli_form_make (const cli_form_t *self, const void *body, size_t size,
               tern_msg_t **msg_p);

#endif
