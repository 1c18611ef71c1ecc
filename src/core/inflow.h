//  core/inflow.h - one stream as it comes in over one connection
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_INFLOW_H
#define TRN_INFLOW_H

#include "core/inside.h"

//  What a frame of the publisher did to its link.
typedef enum {
    TRN_INFLOW_FINE,
    TRN_INFLOW_BROKEN,  //  it broke the protocol
    TRN_INFLOW_FORKED   //  its whole store is older than what we know of it
} trn_inflow_verdict_t;

trn_inflow_verdict_t
trn_inflow_on_offer (trn_engine_t *engine, trn_inbound_t *inbound,
                     const trn_frame_t *frame);

trn_inflow_verdict_t
trn_inflow_on_data (trn_engine_t *engine, trn_inbound_t *inbound,
                    const trn_frame_t *frame, uint32_t run_size);

trn_inflow_verdict_t
trn_inflow_on_floor (trn_engine_t *engine, trn_inbound_t *inbound,
                     const trn_frame_t *frame);

trn_inflow_verdict_t
trn_inflow_on_retire (trn_engine_t *engine, trn_inbound_t *inbound,
                      const trn_frame_t *frame);

trn_inflow_t *
trn_inflow_find (const trn_inbound_t *inbound, uint32_t number);

//  The flow is over; its connection forgets it first.  What is in hand stays
//  there, without a token.
void
trn_inflow_end (trn_engine_t *engine, trn_inflow_t **self_p);

//  The application settled from..to of a stream.
void
trn_inflow_settle (trn_engine_t *engine, trn_stream_t *stream,
                   trn_consumer_t *consumer, uint64_t from, uint64_t to,
                   trn_outcome_t outcome);

//  What this consumer holds of from..to is durable here.
void
trn_inflow_store (trn_engine_t *engine, trn_stream_t *stream,
                  trn_consumer_id_t consumer, uint64_t from, uint64_t to);

//  Everything this consumer holds of the stream goes back.
void
trn_inflow_give_back (trn_engine_t *engine, trn_stream_t *stream,
                      trn_consumer_t *consumer);

//  Send the settlements that wait.
void
trn_inflow_run (trn_engine_t *engine);

#endif
