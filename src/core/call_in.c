//  core/call_in.c - calls that this peer serves
//
//  Invariants: a task with a guest is in the list of that guest's connection,
//  one without is gone; a task that is in hand has a place in its service.  A
//  requester that was sent away is told when there is room, in the order of
//  coming; whoever comes meanwhile may be faster, so the other asks again.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/call_in.h"

#include "base/memory.h"
#include "core/link_in.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Services ----------------------------------------------------------------

//  Calls that this name takes from one requester at once.
static uint32_t
s_room (const trn_engine_t *engine, const char *name)
{
    uint64_t calls = 0;
    for (size_t index = 0; index < engine->calls_in.services.count; index++) {
        const trn_service_t *service = engine->calls_in.services.at[index];
        if (strcmp (service->name, name) == 0) {
            calls += service->calls;
        }
    }
    return calls < TRN_SEAT_CALLS ? (uint32_t) calls : TRN_SEAT_CALLS;
}

static void
s_tell_room (trn_engine_t *engine, trn_guest_t *guest)
{
    trn_frame_t *frame = trn_link_in_send (engine, guest->inbound, TRN_ROOM);
    frame->room.seat = guest->number;
    frame->room.calls = guest->room;
}

//  What this name takes has changed.
static void
s_tell_all (trn_engine_t *engine, const char *name)
{
    const uint32_t room = s_room (engine, name);
    for (size_t index = 0; index < engine->inbounds.count; index++) {
        const trn_inbound_t *inbound = engine->inbounds.at[index];
        for (size_t at = 0; at < inbound->guests.count; at++) {
            trn_guest_t *guest = inbound->guests.at[at];
            if (guest->room != room && strcmp (guest->service, name) == 0) {
                guest->room = room;
                s_tell_room (engine, guest);
            }
        }
    }
}

uint32_t
trn_call_in_add_service (trn_engine_t *engine, const char *name, uint32_t calls,
                         uint64_t bytes)
{
    assert (engine && name && strlen (name) <= TRN_NAME_MAX + 1);
    assert (calls && bytes);
    trn_service_t *service = trn_alloc (sizeof *service);
    service->id = (uint32_t) ++engine->calls_in.id;
    memcpy (service->name, name, strlen (name) + 1);
    service->calls = calls;
    service->bytes = bytes;
    trn_list_add (&engine->calls_in.services, service);
    s_tell_all (engine, name);
    return service->id;
}

static bool
s_has_room (const trn_service_t *service)
{
    return service->held < service->calls
           && service->held_bytes < service->bytes;
}

//  Of those with room the one with the least in hand; NULL and whether anybody
//  serves that name at all.
static trn_service_t *
s_choose (const trn_engine_t *engine, const char *name, bool *served_p)
{
    trn_service_t *best = NULL;
    *served_p = false;
    for (size_t index = 0; index < engine->calls_in.services.count; index++) {
        trn_service_t *service = engine->calls_in.services.at[index];
        if (strcmp (service->name, name) != 0) {
            continue;
        }
        *served_p = true;
        if (s_has_room (service) && (!best || service->held < best->held)) {
            best = service;
        }
    }
    return best;
}

//  Guests ------------------------------------------------------------------

static trn_guest_t *
s_find_guest (const trn_inbound_t *inbound, uint32_t seat)
{
    for (size_t index = 0; index < inbound->guests.count; index++) {
        trn_guest_t *guest = inbound->guests.at[index];
        if (guest->number == seat) {
            return guest;
        }
    }
    return NULL;
}

const trn_guest_t *
trn_call_in_find_guest (const trn_inbound_t *inbound, uint32_t seat)
{
    assert (inbound);
    return s_find_guest (inbound, seat);
}

//  Numbers rise, so none is given twice.
static bool
s_on_seek (trn_engine_t *engine, trn_inbound_t *inbound,
           const trn_frame_t *frame)
{
    const size_t count = inbound->guests.count;
    const trn_guest_t *last = count ? inbound->guests.at[count - 1] : NULL;
    if (count >= TRN_SEATS_MAX
        || frame->seek.seat <= (last ? last->number : 0)) {
        return false;
    }
    trn_guest_t *guest = trn_alloc (sizeof *guest);
    guest->number = frame->seek.seat;
    guest->inbound = inbound;
    memcpy (guest->service, frame->seek.service.at, frame->seek.service.size);
    guest->room = s_room (engine, guest->service);
    trn_list_add (&inbound->guests, guest);
    s_tell_room (engine, guest);
    return true;
}

static void
s_make_hungry (trn_engine_t *engine, trn_guest_t *guest)
{
    if (!guest->hungry) {
        guest->hungry = true;
        trn_list_add (&engine->calls_in.hungry, guest);
    }
}

//  One place is free: the first who waits for it is told.
static void
s_feed (trn_engine_t *engine, const trn_service_t *service)
{
    for (size_t index = 0; index < engine->calls_in.hungry.count; index++) {
        trn_guest_t *guest = engine->calls_in.hungry.at[index];
        if (strcmp (guest->service, service->name) == 0) {
            guest->hungry = false;
            trn_list_remove (&engine->calls_in.hungry, guest);
            s_tell_room (engine, guest);
            return;
        }
    }
}

//  Tasks -------------------------------------------------------------------

static trn_task_t *
s_find_task (const trn_inbound_t *inbound, uint64_t number)
{
    for (size_t index = 0; index < inbound->tasks.count; index++) {
        trn_task_t *task = inbound->tasks.at[index];
        if (task->number == number) {
            return task;
        }
    }
    return NULL;
}

//  Nobody waits for it; its place is still taken.
static void
s_leave (trn_task_t *task)
{
    task->guest->open--;
    trn_list_remove (&task->guest->inbound->tasks, task);
    task->guest = NULL;
}

static void
s_say_gone (trn_engine_t *engine, trn_task_t *task)
{
    s_leave (task);
    trn_actions_add (&engine->actions, TRN_DO_TASK_GONE)->call.number
        = task->id;
}

//  The application has done with it.
static void
s_remove (trn_engine_t *engine, trn_task_t *task)
{
    if (task->guest) {
        s_leave (task);
    }
    trn_list_remove (&engine->calls_in.tasks, task);
    trn_table_remove (&engine->calls_in.by_id, task->id);
    engine->stats.tasks_open--;
    task->service->held--;
    task->service->held_bytes -= task->size;
    s_feed (engine, task->service);
    free (task);
}

static void
s_say_failed (trn_engine_t *engine, trn_inbound_t *inbound, uint64_t number,
              trn_failure_t reason, const char *words)
{
    trn_frame_t *frame = trn_link_in_send (engine, inbound, TRN_FAIL);
    frame->fail.call = number;
    frame->fail.reason = reason;
    frame->fail.text = trn_text (words);
}

static void
s_take_in (trn_engine_t *engine, trn_guest_t *guest, trn_service_t *service,
           const trn_frame_t *frame, uint32_t size)
{
    trn_task_t *task = trn_alloc (sizeof *task);
    task->id = ++engine->calls_in.id;
    task->number = frame->call.call;
    task->service = service;
    task->guest = guest;
    task->size = size;
    task->due_ms = frame->call.left_ms
                       ? engine->now_ms + (int64_t) frame->call.left_ms
                       : INT64_MAX;
    task->answers_max = frame->call.answers;
    task->bytes_max = frame->call.bytes;
    if (task->due_ms < engine->calls_in.due_ms) {
        engine->calls_in.due_ms = task->due_ms;
    }
    guest->open++;
    service->held++;
    service->held_bytes += size;
    trn_list_add (&guest->inbound->tasks, task);
    trn_list_add (&engine->calls_in.tasks, task);
    trn_table_put (&engine->calls_in.by_id, task->id, task);
    engine->stats.served++;
    engine->stats.tasks_open++;
    trn_action_t *action = trn_actions_add (&engine->actions, TRN_DO_SERVE);
    action->call.number = task->id;
    action->call.service = service->id;
    action->call.due_ms = task->due_ms;
    action->call.repeated = (frame->call.flags & TRN_CALL_REPEATED) != 0;
    action->call.answers = task->answers_max;
    action->call.bytes = task->bytes_max;
}

static bool
s_on_call (trn_engine_t *engine, trn_inbound_t *inbound,
           const trn_frame_t *frame, uint32_t size)
{
    trn_guest_t *guest = s_find_guest (inbound, frame->call.seat);
    if (!guest || !size || s_find_task (inbound, frame->call.call)) {
        return false;
    }
    bool served = false;
    trn_service_t *service = s_choose (engine, guest->service, &served);
    if (service && guest->open < TRN_SEAT_CALLS) {
        s_take_in (engine, guest, service, frame, size);
        return true;
    }
    engine->stats.served_busy++;
    if (served) {
        s_make_hungry (engine, guest);
    }
    s_say_failed (engine, inbound, frame->call.call,
                  served ? TRN_FAIL_BUSY : TRN_FAIL_NOBODY, "");
    return true;
}

//  Limits only grow: what was told may have been used.
static bool
s_on_take (trn_engine_t *engine, trn_inbound_t *inbound,
           const trn_frame_t *frame)
{
    trn_task_t *task = s_find_task (inbound, frame->take.call);
    if (!task) {
        engine->stats.late++;
        return true;
    }
    if (frame->take.answers > task->answers_max) {
        task->answers_max = frame->take.answers;
    }
    if (frame->take.bytes > task->bytes_max) {
        task->bytes_max = frame->take.bytes;
    }
    trn_action_t *action = trn_actions_add (&engine->actions, TRN_DO_TASK_ROOM);
    action->call.number = task->id;
    action->call.answers = task->answers_max;
    action->call.bytes = task->bytes_max;
    return true;
}

bool
trn_call_in_on_frame (trn_engine_t *engine, trn_inbound_t *inbound,
                      const trn_frame_t *frame, uint32_t size)
{
    assert (engine && inbound && frame);
    if (frame->type == TRN_SEEK) {
        return s_on_seek (engine, inbound, frame);
    }
    if (frame->type == TRN_CALL) {
        return s_on_call (engine, inbound, frame, size);
    }
    if (frame->type == TRN_TAKE) {
        return s_on_take (engine, inbound, frame);
    }
    trn_task_t *task = s_find_task (inbound, frame->abandon.call);
    if (task) {
        s_say_gone (engine, task);
    } else {
        engine->stats.late++;  //  it has crossed our last answer
    }
    return true;
}

//  Answers -----------------------------------------------------------------

void
trn_call_in_answer (trn_engine_t *engine, uint64_t id, uint32_t size, bool last)
{
    assert (engine && size);
    trn_task_t *task = trn_table_get (&engine->calls_in.by_id, id);
    if (!task || !task->guest) {
        //  It was on its way here when the call ended.
        engine->stats.answers_late++;
    }
    if (!task) {
        return;
    }
    if (task->guest) {
        assert (task->answers < task->answers_max
                && task->bytes < task->bytes_max);
        trn_inbound_t *inbound = task->guest->inbound;
        task->answers++;
        task->bytes += size;
        trn_action_t *action
            = trn_actions_add (&engine->actions, TRN_DO_ANSWER);
        action->route = inbound->route;
        trn_frame_t *frame = &action->frame;
        frame->type = TRN_ANSWER;
        frame->connection = inbound->connection;
        frame->answer.call = task->number;
        frame->answer.number = task->answers;
        frame->answer.flags = last ? TRN_ANSWER_LAST : 0;
        inbound->sent_ms = engine->now_ms;
    }
    if (last) {
        s_remove (engine, task);
    }
}

void
trn_call_in_over (trn_engine_t *engine, uint64_t id, trn_failure_t reason,
                  const char *words)
{
    assert (engine && words);
    trn_task_t *task = trn_table_get (&engine->calls_in.by_id, id);
    if (!task) {
        return;
    }
    if (task->guest) {
        s_say_failed (engine, task->guest->inbound, task->number, reason,
                      words);
    }
    s_remove (engine, task);
}

//  The end -----------------------------------------------------------------

void
trn_call_in_remove_service (trn_engine_t *engine, uint32_t id)
{
    assert (engine);
    trn_service_t *service = NULL;
    for (size_t index = 0; index < engine->calls_in.services.count; index++) {
        trn_service_t *at = engine->calls_in.services.at[index];
        service = at->id == id ? at : service;
    }
    if (!service) {
        return;
    }
    trn_list_remove (&engine->calls_in.services, service);
    //  First that nobody is served here, then what is given back.
    s_tell_all (engine, service->name);
    for (size_t index = engine->calls_in.tasks.count; index; index--) {
        const trn_task_t *task = engine->calls_in.tasks.at[index - 1];
        if (task->service == service) {
            trn_call_in_over (engine, task->id, TRN_FAIL_LEFT, "closing");
        }
    }
    free (service);
}

void
trn_call_in_end (trn_engine_t *engine, trn_inbound_t *inbound)
{
    assert (engine && inbound);
    while (inbound->tasks.count) {
        s_say_gone (engine, inbound->tasks.at[inbound->tasks.count - 1]);
    }
    while (inbound->guests.count) {
        trn_guest_t *guest = inbound->guests.at[--inbound->guests.count];
        if (guest->hungry) {
            trn_list_remove (&engine->calls_in.hungry, guest);
        }
        free (guest);
    }
    trn_list_clear (&inbound->guests);
    trn_list_clear (&inbound->tasks);
}

//  What is late for the requester need not be done.
void
trn_call_in_on_tick (trn_engine_t *engine)
{
    assert (engine);
    if (engine->now_ms < engine->calls_in.due_ms) {
        return;
    }
    engine->calls_in.due_ms = INT64_MAX;
    for (size_t index = 0; index < engine->calls_in.tasks.count; index++) {
        trn_task_t *task = engine->calls_in.tasks.at[index];
        if (!task->guest) {
            continue;
        }
        if (task->due_ms <= engine->now_ms) {
            s_say_gone (engine, task);
        } else if (task->due_ms < engine->calls_in.due_ms) {
            engine->calls_in.due_ms = task->due_ms;
        }
    }
}

void
trn_call_in_clear (trn_engine_t *engine)
{
    assert (engine);
    trn_calls_in_t *calls = &engine->calls_in;
    for (size_t index = 0; index < calls->tasks.count; index++) {
        free (calls->tasks.at[index]);
    }
    for (size_t index = 0; index < calls->services.count; index++) {
        free (calls->services.at[index]);
    }
    trn_list_clear (&calls->tasks);
    trn_list_clear (&calls->services);
    trn_list_clear (&calls->hungry);
    trn_table_clear (&calls->by_id);
}
