//  tests/system/doom.h - a process that kills itself at a step of its choice
//
//  Every call of the functions that a test program wraps at link time (see
//  sql.am) counts twice: before it and after it.  So a test can kill a process
//  at each of its steps in turn, without a line of test code in the library.
//
//  Or a call of the database fails, in a thread that is not the test's own.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_DOOM_H
#define TEST_DOOM_H

#include <stdbool.h>

//  From now on, die by SIGKILL at this step; 0 never.
void
doom_at (unsigned long step);

//  One step.
void
doom (void);

//  From now on, let this call of the database, made by another thread than this
//  one, fail as if its disk were full, without having done anything; 0 none.
//  Returns how many such calls there were since the last time.
unsigned long
doom_fail_at (unsigned long call);

//  One call: is it the one?
bool
doom_fails (void);

#endif
