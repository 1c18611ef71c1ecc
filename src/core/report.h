//  core/report.h - what the application is told, under stable ids
//
//  TERN-PEER-UP            a link is open; role says what the far side is in it
//  TERN-PEER-GONE          that link is over; reason says why
//  TERN-PEER-REFUSED       the far side refused us; reason, text
//  TERN-PEER-FENCED        an older incarnation or a clone was turned away: one
//                          of two processes with the same store must go
//  TERN-PEER-WRONG-NAME    another peer answers at this endpoint
//  TERN-PEER-LOST-STATE    a known name came with a new store: what the old one
//                          held unsettled is not here any more
//  TERN-PUBLISHER-WENT-BACK  an outbox is older than what was received from it:
//                          restored or forked; nothing of it is delivered
//  TERN-PUBLISHER-FORGOTTEN  too many publishing stores: the one that was silent
//                          longest is forgotten, with what was settled of it
//  TERN-PROTOCOL-ERROR     a peer broke the protocol; its link was ended
//  TERN-GARBAGE            bytes that are no frame, or a damaged run
//  TERN-MESSAGE-REJECTED   a consumer rejected messages: they are set aside
//  TERN-MESSAGES-DROPPED   messages left the outbox unsettled: its limit, or
//                          records that are missing
//  TERN-MESSAGES-MISSED    a consumer was told of messages that an outbox lost
//  TERN-MESSAGE-SPENT      messages were delivered as often as their queue allows:
//                          they are set aside
//  TERN-COUNTS-CUT         too many different counts of deliveries for the saved
//                          state: from seq on, they start again after a crash
//  TERN-TABLE-FULL         a limit of this peer was reached; table says which
//
//  The text is key=value, foreign bytes escaped.  Each id is told at most
//  TRN_REPORT_BURST times at once and then once a second; suppressed=N says how
//  many were not told in between.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_REPORT_H
#define TRN_REPORT_H

#include "core/actions.h"

#include <stddef.h>
#include <stdint.h>

#define TRN_REPORT_BURST 20u

typedef enum {
    TRN_PEER_UP,
    TRN_PEER_GONE,
    TRN_PEER_REFUSED,
    TRN_PEER_FENCED,
    TRN_PEER_WRONG_NAME,
    TRN_PEER_LOST_STATE,
    TRN_PUBLISHER_WENT_BACK,
    TRN_PUBLISHER_FORGOTTEN,
    TRN_PROTOCOL_ERROR,
    TRN_GARBAGE,
    TRN_MESSAGE_REJECTED,
    TRN_MESSAGES_DROPPED,
    TRN_MESSAGES_MISSED,
    TRN_MESSAGE_SPENT,
    TRN_COUNTS_CUT,
    TRN_TABLE_FULL,
    TRN_REPORT_KINDS
} trn_report_kind_t;

//  A zeroed trn_reports_t has told nothing yet.
typedef struct {
    struct {
        int64_t full_ms;  //  when the bucket is full again
        uint64_t suppressed;
    } kinds[TRN_REPORT_KINDS];
} trn_reports_t;

//  Begin a report as an action; NULL if this one is suppressed, which the
//  functions below accept.  Add its fields before the next action.
trn_action_t *
trn_report (trn_reports_t *self, trn_actions_t *actions, trn_report_kind_t kind,
            int64_t now_ms);

void
trn_report_text (trn_action_t *report, const char *key, const char *text);

void
trn_report_bytes (trn_action_t *report, const char *key, const void *bytes,
                  size_t size);

void
trn_report_number (trn_action_t *report, const char *key, uint64_t number);

#endif
