//  peer/service.h - light requests from the inside
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SERVICE_H
#define TRN_SERVICE_H

//  A light request in hand; see service.c.
typedef struct trn_served trn_served_t;

//  The last reference to its message is gone: nobody can answer it any more.
//  Sets *served_p to NULL.  Any thread.
void
trn_served_release (trn_served_t **served_p);

#endif
