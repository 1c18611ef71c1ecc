//  cli/message.h - a received message as JSON
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

#include "cli/json.h"

#include <tern.h>

//  The members of an object that is open: all there is to know of it, its body
//  last.
void
cli_message_json (cli_json_t *json, tern_msg_t *msg);

#endif
