//  tests/system/request_scene.h - who asks and who answers in a scene
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_REQUEST_SCENE_H
#define TEST_REQUEST_SCENE_H

#include "scene.h"

tern_requester_t *
scene_requester (tern_peer_t *peer, const char *service,
                 const tern_requester_options_t *options);

tern_service_t *
scene_service (tern_peer_t *peer, const char *service, uint32_t prefetch);

//  Begin a request of this text; returns its id.
uint64_t
scene_begin (tern_requester_t *requester, const char *text, int timeout_ms);

//  The body of a message is this text.
void
scene_is_text (const tern_msg_t *msg, const char *text);

//  Next request within the deadline, which must be this text.
tern_msg_t *
scene_request (tern_service_t *service, const char *text);

//  As tern_service_reply (), with a text.
int
scene_reply (tern_service_t *service, const tern_msg_t *request,
             const char *text, bool last);

//  Take the next request, which is this text, and reply to it once and for all.
void
scene_serve (tern_service_t *service, const char *text, const char *reply);

//  Next reply to a request within the deadline, which must be this text.
void
scene_replied (tern_requester_t *requester, uint64_t id, const char *text,
               bool last);

//  The request ends without a message; returns what is said with that.
tern_reply_t
scene_request_ends (tern_requester_t *requester, uint64_t id, int status);

#endif
