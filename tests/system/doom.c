//  tests/system/doom.c - a process that kills itself at a step of its choice
//
//  SPDX-License-Identifier: MPL-2.0

#include "doom.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_ulong s_steps;
static atomic_ulong s_last;
static atomic_ulong s_calls;
static atomic_ulong s_failing;
static _Thread_local bool s_spared;

void
doom_at (unsigned long step)
{
    atomic_store (&s_steps, 0);
    atomic_store (&s_last, step);
}

void
doom (void)
{
    const unsigned long last = atomic_load (&s_last);
    if (last && atomic_fetch_add (&s_steps, 1) + 1 == last) {
        kill (getpid (), SIGKILL);
    }
}

unsigned long
doom_fail_at (unsigned long call)
{
    s_spared = true;
    atomic_store (&s_failing, call);
    return atomic_exchange (&s_calls, 0);
}

bool
doom_fails (void)
{
    return !s_spared
           && atomic_fetch_add (&s_calls, 1) + 1 == atomic_load (&s_failing);
}
