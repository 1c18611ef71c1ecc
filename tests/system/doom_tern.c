//  tests/system/doom_tern.c - the steps of Tern that can be the last
//
//  SPDX-License-Identifier: MPL-2.0

#include "doom.h"

#include <tern.h>

int
__real_tern_consumer_accept (tern_consumer_t *self, const tern_msg_t *msg);

int
__wrap_tern_consumer_accept (tern_consumer_t *self, const tern_msg_t *msg);

int
__wrap_tern_consumer_accept (tern_consumer_t *self, const tern_msg_t *msg)
{
    doom ();
    const int rc = __real_tern_consumer_accept (self, msg);
    doom ();
    return rc;
}
