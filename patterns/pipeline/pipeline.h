//  pipeline.h - opening what each of the three programs needs
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef PIPELINE_H
#define PIPELINE_H

#include <tern.h>

//  A peer as the environment says (TERN_NAME, ...), or NULL with a message.
tern_peer_t *
pipeline_peer (const char *program);

//  Report a failed call and return 1, the exit status.
int
pipeline_fail (const char *program, const char *what, int error);

#endif
