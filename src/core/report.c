//  core/report.c - what the application is told, under stable ids
//
//  The token bucket is kept as the time at which it will be full again: one
//  number, and no timer.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/report.h"

#include "base/name.h"

#include <assert.h>
#include <string.h>

#define REFILL_MS 1000

static const struct {
    const char *id;
    int level;
} s_kinds[TRN_REPORT_KINDS] = {
    [TRN_PEER_UP] = {"TERN-PEER-UP", 1},
    [TRN_PEER_GONE] = {"TERN-PEER-GONE", 1},
    [TRN_PEER_REFUSED] = {"TERN-PEER-REFUSED", 2},
    [TRN_PEER_FENCED] = {"TERN-PEER-FENCED", 3},
    [TRN_PEER_WRONG_NAME] = {"TERN-PEER-WRONG-NAME", 2},
    [TRN_PEER_LOST_STATE] = {"TERN-PEER-LOST-STATE", 2},
    [TRN_PUBLISHER_WENT_BACK] = {"TERN-PUBLISHER-WENT-BACK", 3},
    [TRN_PUBLISHER_FORGOTTEN] = {"TERN-PUBLISHER-FORGOTTEN", 2},
    [TRN_PROTOCOL_ERROR] = {"TERN-PROTOCOL-ERROR", 2},
    [TRN_GARBAGE] = {"TERN-GARBAGE", 2},
    [TRN_MESSAGE_REJECTED] = {"TERN-MESSAGE-REJECTED", 2},
    [TRN_MESSAGES_DROPPED] = {"TERN-MESSAGES-DROPPED", 2},
    [TRN_MESSAGES_MISSED] = {"TERN-MESSAGES-MISSED", 2},
    [TRN_MESSAGE_SPENT] = {"TERN-MESSAGE-SPENT", 2},
    [TRN_COUNTS_CUT] = {"TERN-COUNTS-CUT", 2},
    [TRN_TABLE_FULL] = {"TERN-TABLE-FULL", 2},
};

trn_action_t *
trn_report (trn_reports_t *self, trn_actions_t *actions, trn_report_kind_t kind,
            int64_t now_ms)
{
    assert (self && actions && kind < TRN_REPORT_KINDS);
    int64_t full_ms = self->kinds[kind].full_ms;
    full_ms = full_ms > now_ms ? full_ms : now_ms;
    if (full_ms - now_ms > (int64_t) (TRN_REPORT_BURST - 1) * REFILL_MS) {
        self->kinds[kind].suppressed++;
        return NULL;
    }
    self->kinds[kind].full_ms = full_ms + REFILL_MS;
    trn_action_t *report = trn_actions_add (actions, TRN_DO_REPORT);
    report->report.id = s_kinds[kind].id;
    report->report.level = s_kinds[kind].level;
    if (self->kinds[kind].suppressed) {
        trn_report_number (report, "suppressed", self->kinds[kind].suppressed);
        self->kinds[kind].suppressed = 0;
    }
    return report;
}

//  All of key=value or nothing: a cut value would say something else.
static void
s_append (trn_action_t *report, const char *key, const char *value)
{
    char *text = report->report.text;
    const size_t used = strlen (text);
    const size_t key_size = strlen (key);
    const size_t value_size = strlen (value);
    if (used + 1 + key_size + 1 + value_size >= sizeof report->report.text) {
        return;
    }
    char *at = text + used;
    if (used) {
        *at++ = ' ';
    }
    memcpy (at, key, key_size);
    at[key_size] = '=';
    memcpy (at + key_size + 1, value, value_size + 1);
}

void
trn_report_bytes (trn_action_t *report, const char *key, const void *bytes,
                  size_t size)
{
    if (report) {
        char escaped[TRN_ESCAPED_MAX];
        s_append (report, key,
                  trn_escape (escaped, bytes, size < 40 ? size : 40));
    }
}

void
trn_report_text (trn_action_t *report, const char *key, const char *text)
{
    if (report) {
        s_append (report, key, text);
    }
}

void
trn_report_number (trn_action_t *report, const char *key, uint64_t number)
{
    if (!report) {
        return;
    }
    char digits[21];
    char *at = digits + sizeof digits - 1;
    *at = 0;
    do {
        *--at = (char) ('0' + number % 10);
        number /= 10;
    } while (number);
    s_append (report, key, at);
}
