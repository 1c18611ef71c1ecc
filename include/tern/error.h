//  tern/error.h - the values a call can return
//
//  Zero is success.  Every failure is one of these negative values; the header
//  of the call lists which of them it returns and what to do about each.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_ERROR_H
#define TERN_ERROR_H

#include <tern/export.h>

TERN_BEGIN_DECLS

enum {
    TERN_OK = 0,
    TERN_EINVAL = -1,     //  An argument or a setting cannot work as given
    TERN_ENOMEM = -2,     //  A size from outside does not fit in memory
    TERN_EAGAIN = -3,     //  Not now: a window is full; try again later
    TERN_ETIMEOUT = -4,   //  The time given ran out; what was asked goes on
    TERN_EINUSE = -5,     //  Another process holds this store or endpoint
    TERN_ECORRUPT = -6,   //  Stored bytes are damaged; nothing was changed
    TERN_EVERSION = -7,   //  Stored or sent in a format this build cannot read
    TERN_EIO = -8,        //  The disk failed; the log is stopped for good
    TERN_EFULL = -9,      //  The disk or the outbox limit is reached
    TERN_EACCESS = -10,   //  The system or the rights table says no
    TERN_ENOENT = -11,    //  No such thing: store, outbox, peer, message
    TERN_ETOOBIG = -12,   //  Beyond a named limit (message, name, header)
    TERN_ENAME = -13,     //  Outside the grammar of names
    TERN_ECLOSED = -14,   //  The handle is being closed
    TERN_EPROTO = -15,    //  The far side broke the protocol
    TERN_EFENCED = -16,   //  A newer incarnation of this store is alive
    TERN_ENODIR = -17,    //  No directory answered
    TERN_ENET = -18,      //  An endpoint cannot be bound or reached
    TERN_EBUSY = -19,     //  In use in this process; close the other first
    TERN_ENOTSUP = -20,   //  This build or peer does not offer it
    TERN_ENOROUTE = -21,  //  No queue is bound that would get the message
    TERN_ETYPE = -22,     //  The exchange is of another type
    TERN_EFAILED = -23,   //  A server says that it failed; it says why
    TERN_ELOST = -24      //  A server is gone; it may have done it or not
};

//  One short English phrase for a value, never NULL, for people to read.  The
//  text is static and may change between releases; scripts use the numbers.
//  Any thread.
TERN_EXPORT const char *
tern_strerror (int error);

TERN_END_DECLS

#endif
