//  peer/consumer.h - a consumer from the inside
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CONSUMER_H
#define TRN_CONSUMER_H

#include "peer/inbox.h"
#include "peer/message.h"
#include "peer/peer.h"

//  A settlement that is not "accepted, in order".
typedef struct {
    uint32_t flow;
    trn_outcome_t outcome;
    uint64_t from, to;
} trn_exception_t;

struct tern_consumer {
    tern_peer_t *peer;
    trn_consumer_id_t id;
    char queue[TRN_NAME_MAX + 2];  //  or of its inbox
    trn_inbox_t *inbox;            //  NULL: none
    trn_box_t *box;                //  ... that it is of
    trn_inbox_terms_t terms;

    //  Actor only.
    tern_consumer_t *next;  //  of the peer's
    uint64_t received;      //  messages delivered here
    uint64_t redelivered;   //  of these, flagged so
    uint64_t accepted, rejected;
    uint64_t settled;  //  whatever the outcome
    trn_meter_t received_rate, accepted_rate;
    trn_parcel_t *gathered_first, *gathered_last;  //  not in the queue yet
    uint32_t gathered_count;
    tern_consumer_t *gathering_next;  //  of the peer's that have such

    //  The consumer's thread.
    trn_parcel_t *current;  //  being walked; `lock` to replace it
    tern_msg_t lent;
    uint64_t direct;  //  frames that it took from the router itself

    //  Consumer and actor, see consumer.c.
    atomic_bool watched;
    tern_consumer_t *settled_next;  //  on the peer's settled list
    tern_consumer_t *watched_next;  //  on the actor's list
    atomic_uint ready;              //  parcels in the queue
    atomic_bool paused;             //  nothing is handed out
    atomic_bool ended;              //  and never will be: the peer is drained
    atomic_bool lone;  //  current is one message, and recv had to wait for it
    atomic_uint_fast64_t missed;  //  as told with what was settled

    pthread_mutex_t lock;  //  the rest
    pthread_cond_t arrived;
    trn_parcel_t *queue_first;  //  not yet walked
    trn_parcel_t **queue_last;
    trn_parcel_t *done;  //  walked, not yet collected
    trn_exception_t *exceptions;
    size_t exception_count, exception_capacity;
    uint32_t sleepers;
    int fd;        //  eventfd
    bool fd_used;  //  somebody asked for it
    bool polls;    //  recv waits for it
    bool fd_set;   //  it is readable
};

//  As tern_consumer_open (), for any place that a peer may take in.
int
trn_consumer_open (tern_consumer_t **self_p, tern_peer_t *peer,
                   const char *queue, const tern_consumer_options_t *options);

#endif
