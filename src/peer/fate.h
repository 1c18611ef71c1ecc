//  peer/fate.h - what the saved state of an outbox says of its messages
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_FATE_H
#define TRN_FATE_H

#include "core/publication.h"
#include "store/inspect.h"

//  The queues of an outbox and what is settled in each, to be destroyed with
//  trn_publication_destroy ().  0 and *publication_p, or what reading said.
int
trn_fate_open (tern_store_t *self, const char *outbox,
               trn_publication_t **publication_p);

//  Have all queues that it goes to settled this message?
bool
trn_fate_settled (const trn_publication_t *publication,
                  const tern_store_message_t *message);

#endif
