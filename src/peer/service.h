//  peer/service.h - requests from the inside
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SERVICE_H
#define TRN_SERVICE_H

#include <tern/request.h>

//  As tern_service_open (), for any place that a peer may take in.
int
trn_service_open (tern_service_t **self_p, tern_peer_t *peer,
                  const char *service, const tern_service_options_t *options);

//  As tern_requester_open (), the same.
int
trn_requester_open (tern_requester_t **self_p, tern_peer_t *peer,
                    const char *service,
                    const tern_requester_options_t *options);

//  A light request in hand; see service.c.
typedef struct trn_served trn_served_t;

//  The last reference to its message is gone: nobody can answer it any more.
//  Sets *served_p to NULL.  Any thread.
void
trn_served_release (trn_served_t **served_p);

#endif
