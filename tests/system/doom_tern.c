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

int
__real_tern_producer_send_once (tern_producer_t *self, const tern_msg_t *msg,
                                uint64_t number, int timeout_ms,
                                uint64_t *seq_p);

int
__wrap_tern_producer_send_once (tern_producer_t *self, const tern_msg_t *msg,
                                uint64_t number, int timeout_ms,
                                uint64_t *seq_p);

int
__real_tern_producer_wait (tern_producer_t *self, uint64_t seq,
                           tern_level_t level, int timeout_ms);

int
__wrap_tern_producer_wait (tern_producer_t *self, uint64_t seq,
                           tern_level_t level, int timeout_ms);

int
__wrap_tern_producer_send_once (tern_producer_t *self, const tern_msg_t *msg,
                                uint64_t number, int timeout_ms,
                                uint64_t *seq_p)
{
    doom ();
    const int rc
        = __real_tern_producer_send_once (self, msg, number, timeout_ms, seq_p);
    doom ();
    return rc;
}

int
__wrap_tern_producer_wait (tern_producer_t *self, uint64_t seq,
                           tern_level_t level, int timeout_ms)
{
    doom ();
    const int rc = __real_tern_producer_wait (self, seq, level, timeout_ms);
    doom ();
    return rc;
}
