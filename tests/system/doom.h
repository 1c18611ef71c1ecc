//  tests/system/doom.h - a process that kills itself at a step of its choice
//
//  Every call of the functions that a test program wraps at link time (see
//  sql.am) counts twice: before it and after it.  So a test can kill a process
//  at each of its steps in turn, without a line of test code in the library.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_DOOM_H
#define TEST_DOOM_H

//  From now on, die by SIGKILL at this step; 0 never.
void
doom_at (unsigned long step);

//  One step.
void
doom (void);

#endif
