//  core/call_out.c - calls that this peer makes
//
//  Invariants: an open call is in the table and in one list, its need's or its
//  seat's; a seat belongs to an open link and has no more calls out than it has
//  room for; a call that was answered never goes to another server.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/call_out.h"

#include "base/memory.h"
#include "core/callees.h"
#include "core/link_out.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Somebody who had no room is asked again after this, if not told before.
#define BUSY_MS 100

//  Lists -------------------------------------------------------------------

static void
s_unlink (trn_call_list_t *list, trn_call_t *call)
{
    *(call->before ? &call->before->after : &list->first) = call->after;
    *(call->after ? &call->after->before : &list->last) = call->before;
    call->before = call->after = NULL;
}

static void
s_link_last (trn_call_list_t *list, trn_call_t *call)
{
    call->before = list->last;
    call->after = NULL;
    *(list->last ? &list->last->after : &list->first) = call;
    list->last = call;
}

static void
s_link_first (trn_call_list_t *list, trn_call_t *call)
{
    call->before = NULL;
    call->after = list->first;
    *(list->first ? &list->first->before : &list->last) = call;
    list->first = call;
}

//  Needs and seats ---------------------------------------------------------

static trn_need_t *
s_find_need (const trn_engine_t *engine, const char *service)
{
    const trn_list_t *needs = &engine->calls_out.needs;
    for (size_t index = 0; index < needs->count; index++) {
        trn_need_t *need = needs->at[index];
        if (strcmp (need->service, service) == 0) {
            return need;
        }
    }
    return NULL;
}

static trn_seat_t *
s_find_seat (const trn_link_t *link, uint32_t number)
{
    for (size_t index = 0; index < link->seats.count; index++) {
        trn_seat_t *seat = link->seats.at[index];
        if (seat->number == number) {
            return seat;
        }
    }
    return NULL;
}

static trn_seat_t *
s_find_seat_of (const trn_link_t *link, const char *service)
{
    for (size_t index = 0; index < link->seats.count; index++) {
        trn_seat_t *seat = link->seats.at[index];
        if (strcmp (seat->service, service) == 0) {
            return seat;
        }
    }
    return NULL;
}

//  Look at it when the engine concludes.
static void
s_touch (trn_need_t *need)
{
    need->touched = true;
}

static bool
s_is_served (const trn_need_t *need)
{
    for (size_t index = 0; index < need->seats.count; index++) {
        const trn_seat_t *seat = need->seats.at[index];
        if (seat->room) {
            return true;
        }
    }
    return false;
}

int
trn_call_out_add_need (trn_engine_t *engine, const char *service)
{
    assert (engine && service && strlen (service) <= TRN_NAME_MAX + 1);
    trn_need_t *need = s_find_need (engine, service);
    if (need) {
        need->users++;
        return TERN_OK;
    }
    if (engine->calls_out.needs.count >= TRN_NEEDS_MAX) {
        return TERN_ETOOBIG;
    }
    need = trn_alloc (sizeof *need);
    memcpy (need->service, service, strlen (service) + 1);
    need->users = 1;
    need->served_ms = -1;
    trn_list_add (&engine->calls_out.needs, need);
    trn_callees_on_need (engine);
    return TERN_OK;
}

//  A seat without its need stays until the connection ends, and is used again
//  if the service is.
void
trn_call_out_remove_need (trn_engine_t *engine, const char *service)
{
    assert (engine && service);
    trn_need_t *need = s_find_need (engine, service);
    if (!need || --need->users) {
        return;
    }
    assert (!need->waiting.first);
    for (size_t index = 0; index < need->seats.count; index++) {
        trn_seat_t *seat = need->seats.at[index];
        assert (!seat->calls.first);
        seat->need = NULL;
    }
    trn_list_clear (&need->seats);
    trn_list_remove (&engine->calls_out.needs, need);
    free (need);
}

static bool
s_consumes (const trn_link_t *link, const char *service)
{
    for (size_t index = 0; index < link->queue_count; index++) {
        if (strcmp (link->queues[index], service) == 0) {
            return true;
        }
    }
    return false;
}

bool
trn_call_out_wants (const trn_engine_t *engine, const trn_link_t *link)
{
    assert (engine && link);
    const trn_list_t *needs = &engine->calls_out.needs;
    for (size_t index = 0; index < needs->count; index++) {
        const trn_need_t *need = needs->at[index];
        if (s_consumes (link, need->service)) {
            return true;
        }
    }
    return false;
}

static trn_seat_t *
s_add_seat (trn_engine_t *engine, trn_link_t *link, const char *service)
{
    if (link->seats.count >= TRN_SEATS_MAX) {
        trn_action_t *report = trn_engine_report (engine, TRN_TABLE_FULL);
        trn_report_text (report, "table", "seats");
        trn_report_text (report, "peer", link->name);
        return NULL;
    }
    trn_seat_t *seat = trn_alloc (sizeof *seat);
    seat->number = (uint32_t) link->seats.count + 1;
    seat->link = link;
    memcpy (seat->service, service, strlen (service) + 1);
    trn_list_add (&link->seats, seat);
    trn_frame_t *frame = trn_link_out_send (engine, link, TRN_SEEK);
    frame->seek.seat = seat->number;
    frame->seek.service = trn_text (seat->service);
    return seat;
}

void
trn_call_out_seek (trn_engine_t *engine, trn_link_t *link)
{
    assert (engine && link);
    const trn_list_t *needs = &engine->calls_out.needs;
    for (size_t index = 0; index < needs->count; index++) {
        trn_need_t *need = needs->at[index];
        if (!s_consumes (link, need->service)) {
            continue;
        }
        trn_seat_t *seat = s_find_seat_of (link, need->service);
        seat = seat ? seat : s_add_seat (engine, link, need->service);
        if (seat && !seat->need) {
            seat->need = need;
            trn_list_add (&need->seats, seat);
            s_touch (need);
        }
    }
}

//  Calls -------------------------------------------------------------------

static trn_call_t *
s_find_call (const trn_engine_t *engine, uint64_t number)
{
    return trn_table_get (&engine->calls_out.by_number, number);
}

const trn_call_t *
trn_call_out_find (const trn_engine_t *engine, const trn_link_t *link,
                   uint64_t number)
{
    assert (engine && link);
    const trn_call_t *call = s_find_call (engine, number);
    return call && call->seat && call->seat->link == link ? call : NULL;
}

//  Out of whatever list it is in; its place at the seat is free.
static void
s_detach (trn_call_t *call)
{
    if (call->seat) {
        s_unlink (&call->seat->calls, call);
        call->seat->open--;
        call->seat = NULL;
        s_touch (call->need);
    } else {
        s_unlink (&call->need->waiting, call);
    }
}

static void
s_remove (trn_engine_t *engine, trn_call_t *call)
{
    s_detach (call);
    trn_table_remove (&engine->calls_out.by_number, call->terms.number);
    engine->stats.calls_open--;
    free (call);
}

static void
s_end (trn_engine_t *engine, trn_call_t *call, trn_call_end_t end,
       trn_text_t words)
{
    trn_action_t *action = trn_actions_add (&engine->actions, TRN_DO_CALL_OVER);
    action->call.number = call->terms.number;
    action->call.end = end;
    action->call.words = words.at;
    action->call.words_size = words.size;
    s_remove (engine, call);
}

//  It was with somebody who will not answer it.  seen: its application may have
//  had it.
static void
s_take_back (trn_engine_t *engine, trn_call_t *call, bool seen)
{
    if (call->answers || (seen && call->terms.once)) {
        s_end (engine, call, TRN_CALL_LOST, trn_text (call->seat->link->name));
        return;
    }
#ifndef TERN_BUG_29
    call->repeated |= seen;
#endif
    s_detach (call);
    s_link_first (&call->need->waiting, call);
}

static void
s_look_at (trn_engine_t *engine, int64_t due_ms)
{
    if (due_ms < engine->calls_out.due_ms) {
        engine->calls_out.due_ms = due_ms;
    }
}

void
trn_call_out_begin (trn_engine_t *engine, const char *service,
                    const trn_call_terms_t *terms)
{
    assert (engine && service && terms && terms->number);
    trn_need_t *need = s_find_need (engine, service);
    assert (need && !s_find_call (engine, terms->number));
    trn_call_t *call = trn_alloc (sizeof *call);
    call->terms = *terms;
    call->need = need;
    call->since_ms = engine->now_ms;
    trn_table_put (&engine->calls_out.by_number, terms->number, call);
    if (terms->number > engine->calls_out.number) {
        engine->calls_out.number = terms->number;
    }
    engine->stats.calls_open++;
    s_link_last (&need->waiting, call);
    s_look_at (engine, terms->due_ms);
    s_touch (need);
}

void
trn_call_out_take (trn_engine_t *engine, uint64_t number, uint64_t answers,
                   uint64_t bytes)
{
    assert (engine);
    trn_call_t *call = s_find_call (engine, number);
    if (!call) {
        return;
    }
    if (answers > call->terms.answers) {
        call->terms.answers = answers;
    }
    if (bytes > call->terms.bytes) {
        call->terms.bytes = bytes;
    }
    if (call->seat) {
        trn_frame_t *frame
            = trn_link_out_send (engine, call->seat->link, TRN_TAKE);
        frame->take.call = number;
        frame->take.answers = call->terms.answers;
        frame->take.bytes = call->terms.bytes;
    }
}

static void
s_tell_abandoned (trn_engine_t *engine, const trn_call_t *call)
{
    if (call->seat) {
        trn_link_out_send (engine, call->seat->link, TRN_ABANDON)->abandon.call
            = call->terms.number;
    }
}

void
trn_call_out_abandon (trn_engine_t *engine, uint64_t number)
{
    assert (engine);
    trn_call_t *call = s_find_call (engine, number);
    if (call) {
        s_tell_abandoned (engine, call);
        s_remove (engine, call);
    }
}

//  Sending -----------------------------------------------------------------

//  Of those with room the one with the least to do; in turn among equals.
static trn_seat_t *
s_choose (const trn_engine_t *engine, trn_need_t *need)
{
    trn_seat_t *best = NULL;
    size_t place = 0;
    const size_t count = need->seats.count;
    for (size_t step = 0; step < count; step++) {
        const size_t at = (need->turn + step) % count;
        trn_seat_t *seat = need->seats.at[at];
        if (seat->open < seat->room && seat->busy_ms <= engine->now_ms
            && (!best || seat->open < best->open)) {
            best = seat;
            place = at;
        }
    }
    if (best) {
        need->turn = place + 1;
    }
    return best;
}

//  What is left of its time, as it travels.
static uint32_t
s_left_ms (const trn_engine_t *engine, const trn_call_t *call)
{
    if (call->terms.due_ms == INT64_MAX) {
        return 0;
    }
    const int64_t left = call->terms.due_ms - engine->now_ms;
    if (left < 1) {
        return 1;
    }
    return left < UINT32_MAX ? (uint32_t) left : UINT32_MAX;
}

static void
s_send (trn_engine_t *engine, trn_call_t *call, trn_seat_t *seat)
{
    s_unlink (&call->need->waiting, call);
    s_link_last (&seat->calls, call);
    call->seat = seat;
    seat->open++;
    trn_action_t *action = trn_actions_add (&engine->actions, TRN_DO_CALL);
    action->link = seat->link->id;
    action->call.number = call->terms.number;
    trn_frame_t *frame = &action->frame;
    frame->type = TRN_CALL;
    frame->connection = seat->link->connection;
    frame->call.seat = seat->number;
    frame->call.call = call->terms.number;
    frame->call.left_ms = s_left_ms (engine, call);
    frame->call.answers = call->terms.answers;
    frame->call.bytes = call->terms.bytes;
    frame->call.flags = call->repeated ? TRN_CALL_REPEATED : 0;
    seat->link->sent_ms = engine->now_ms;
    engine->stats.calls++;
    engine->stats.calls_repeated += call->repeated;
}

void
trn_call_out_run (trn_engine_t *engine)
{
    assert (engine);
    const trn_list_t *needs = &engine->calls_out.needs;
    for (size_t index = 0; index < needs->count; index++) {
        trn_need_t *need = needs->at[index];
        if (!need->touched) {
            continue;
        }
        need->touched = false;
        trn_seat_t *seat;
        while (need->waiting.first && !engine->closed
               && (seat = s_choose (engine, need))) {
            s_send (engine, need->waiting.first, seat);
        }
    }
}

//  Frames ------------------------------------------------------------------

static bool
s_on_room (trn_engine_t *engine, const trn_link_t *link,
           const trn_frame_t *frame)
{
    trn_seat_t *seat = s_find_seat (link, frame->room.seat);
    if (!seat) {
        return false;
    }
    //  More at once than we ask for ourselves is not more.
    const bool served = seat->room || frame->room.calls;
    seat->room = frame->room.calls < TRN_SEAT_CALLS ? frame->room.calls
                                                    : TRN_SEAT_CALLS;
    seat->busy_ms = 0;
    if (seat->need && served) {
        seat->need->served_ms = engine->now_ms;
        s_touch (seat->need);
    }
    return true;
}

//  A call that is not with this link any more is one that nobody waits for; a
//  number that was never used is nonsense.
static bool
s_on_late (trn_engine_t *engine, uint64_t number)
{
    engine->stats.answers_late++;
    return number <= engine->calls_out.number;
}

static bool
s_on_answer (trn_engine_t *engine, const trn_link_t *link,
             const trn_frame_t *frame, uint32_t size)
{
    const uint64_t number = frame->answer.call;
    trn_call_t *call = s_find_call (engine, number);
    if (!call || !call->seat || call->seat->link != link) {
        return s_on_late (engine, number);
    }
    //  In order, and within the room that was told.
    if (frame->answer.number != call->answers + 1
        || call->answers >= call->terms.answers
        || call->bytes >= call->terms.bytes || !size) {
        return false;
    }
    call->answers++;
    call->bytes += size;
    engine->stats.answers++;
    trn_action_t *action = trn_actions_add (&engine->actions, TRN_DO_ANSWERED);
    action->call.number = number;
    action->call.last = (frame->answer.flags & TRN_ANSWER_LAST) != 0;
    if (action->call.last) {
        s_remove (engine, call);
    }
    return true;
}

static bool
s_on_fail (trn_engine_t *engine, const trn_link_t *link,
           const trn_frame_t *frame)
{
    const uint64_t number = frame->fail.call;
    trn_call_t *call = s_find_call (engine, number);
    if (!call || !call->seat || call->seat->link != link) {
        return s_on_late (engine, number);
    }
    switch (frame->fail.reason) {
    case TRN_FAIL_NOBODY:
        call->seat->room = 0;
        s_take_back (engine, call, false);
        break;
    case TRN_FAIL_BUSY:
        call->seat->busy_ms = engine->now_ms + BUSY_MS;
        s_look_at (engine, call->seat->busy_ms);
        s_take_back (engine, call, false);
        break;
    case TRN_FAIL_LEFT: s_take_back (engine, call, true); break;
    case TRN_FAIL_FAILED:
    default: s_end (engine, call, TRN_CALL_FAILED, frame->fail.text); break;
    }
    return true;
}

bool
trn_call_out_on_frame (trn_engine_t *engine, trn_link_t *link,
                       const trn_frame_t *frame, uint32_t answer_size)
{
    assert (engine && link && frame);
    if (frame->type == TRN_ROOM) {
        return s_on_room (engine, link, frame);
    }
    if (frame->type == TRN_ANSWER) {
        return s_on_answer (engine, link, frame, answer_size);
    }
    return s_on_fail (engine, link, frame);
}

//  The end of a connection, and of time ------------------------------------

void
trn_call_out_lose (trn_engine_t *engine, trn_link_t *link)
{
    assert (engine && link);
    while (link->seats.count) {
        trn_seat_t *seat = link->seats.at[--link->seats.count];
        //  Last first, so that the first is in front again.
        trn_call_t *call;
        while ((call = seat->calls.last)) {
            s_take_back (engine, call, true);
            assert (seat->calls.last != call);
        }
        if (seat->need) {
            if (seat->room) {
                seat->need->served_ms = engine->now_ms;
            }
            trn_list_remove (&seat->need->seats, seat);
            s_touch (seat->need);
        }
        //  A SEEK that is not drained yet borrows the service's name from it.
        trn_list_add (&engine->calls_out.lost, seat);
    }
}

static void
s_time_out (trn_engine_t *engine, trn_call_t *call)
{
    const bool nobody = !call->repeated && !call->seat
                        && !s_is_served (call->need)
                        && call->need->served_ms < call->since_ms;
    s_tell_abandoned (engine, call);
    s_end (engine, call, nobody ? TRN_CALL_NOBODY : TRN_CALL_TIME_OUT,
           trn_text (""));
}

static void
s_tick_list (trn_engine_t *engine, const trn_call_list_t *list)
{
    trn_call_t *after;
    for (trn_call_t *call = list->first; call; call = after) {
        after = call->after;
        if (call->terms.due_ms <= engine->now_ms) {
            s_time_out (engine, call);
        } else {
            s_look_at (engine, call->terms.due_ms);
        }
    }
}

void
trn_call_out_on_tick (trn_engine_t *engine)
{
    assert (engine);
    if (engine->now_ms < engine->calls_out.due_ms) {
        return;
    }
    engine->calls_out.due_ms = INT64_MAX;
    const trn_list_t *needs = &engine->calls_out.needs;
    for (size_t index = 0; index < needs->count; index++) {
        trn_need_t *need = needs->at[index];
        s_touch (need);
        s_tick_list (engine, &need->waiting);
        for (size_t at = 0; at < need->seats.count; at++) {
            const trn_seat_t *seat = need->seats.at[at];
            s_tick_list (engine, &seat->calls);
            if (seat->busy_ms > engine->now_ms) {
                s_look_at (engine, seat->busy_ms);
            }
        }
    }
}

void
trn_call_out_free_lost (trn_engine_t *engine)
{
    assert (engine);
    trn_list_t *lost = &engine->calls_out.lost;
    for (size_t index = 0; index < lost->count; index++) {
        free (lost->at[index]);
    }
    trn_list_clear (lost);
}

void
trn_call_out_clear (trn_engine_t *engine)
{
    assert (engine);
    trn_call_out_free_lost (engine);
    trn_list_t *needs = &engine->calls_out.needs;
    for (size_t index = 0; index < needs->count; index++) {
        trn_need_t *need = needs->at[index];
        //  The links are gone, so all calls wait.
        trn_call_t *call;
        while ((call = need->waiting.first)) {
            s_remove (engine, call);
            assert (need->waiting.first != call);
        }
        trn_list_clear (&need->seats);
        free (need);
    }
    trn_list_clear (needs);
    trn_table_clear (&engine->calls_out.by_number);
}
