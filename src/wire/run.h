//  wire/run.h - is what a DATA frame brings what the frame says?
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_WIRE_RUN_H
#define TRN_WIRE_RUN_H

#include "wire/frame.h"

#include <stdbool.h>

//  Every record of the run lies whole at its place in that store's outbox, is a
//  message, and has the next seq; the run has as many as the frame says and no
//  byte more.  frame is a decoded DATA; bytes are borrowed.
bool
trn_run_verify (const trn_frame_t *frame, const uint8_t store_uuid[16],
                const char *outbox, const uint8_t *bytes, size_t size);

#endif
