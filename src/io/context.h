//  io/context.h - the one ZeroMQ context of this process
//
//  Shared by every peer and directory of the process and never lent to the
//  application: ZAP is per context, and a second context that ends can take
//  down what the first still uses.  Its I/O thread takes no signals.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CONTEXT_H
#define TRN_CONTEXT_H

//  Take a reference; the first makes the context.  NULL, and no reference, if
//  the process has too few descriptors left: libzmq would end it.  Any thread.
void *
trn_context_acquire (void);

//  The last reference ends the context, after its last socket was closed.
void
trn_context_release (void);

#endif
