//  tests/system/request_scene.c - who asks and who answers in a scene
//
//  SPDX-License-Identifier: MPL-2.0

#include "request_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

tern_requester_t *
scene_requester (tern_peer_t *peer, const char *service,
                 const tern_requester_options_t *options)
{
    tern_requester_t *requester = NULL;
    assert_int_equal (tern_requester_open (&requester, peer, service, options),
                      TERN_OK);
    return requester;
}

tern_service_t *
scene_service (tern_peer_t *peer, const char *service, uint32_t prefetch)
{
    const tern_service_options_t options = {.prefetch = prefetch};
    tern_service_t *self = NULL;
    assert_int_equal (tern_service_open (&self, peer, service, &options),
                      TERN_OK);
    return self;
}

uint64_t
scene_begin (tern_requester_t *requester, const char *text, int timeout_ms)
{
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    uint64_t id = 0;
    assert_int_equal (tern_requester_begin (requester, msg, timeout_ms, &id),
                      TERN_OK);
    assert_true (id > 0);
    tern_msg_destroy (&msg);
    return id;
}

void
scene_is_text (const tern_msg_t *msg, const char *text)
{
    assert_non_null (msg);
    assert_int_equal (tern_msg_size (msg), strlen (text));
    assert_memory_equal (tern_msg_body (msg), text, strlen (text));
}

tern_msg_t *
scene_request (tern_service_t *service, const char *text)
{
    tern_msg_t *msg = tern_service_recv (service, SCENE_DEADLINE_MS);
    scene_is_text (msg, text);
    return msg;
}

int
scene_reply (tern_service_t *service, const tern_msg_t *request,
             const char *text, bool last)
{
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    const int rc
        = tern_service_reply (service, request, msg, last, SCENE_DEADLINE_MS);
    tern_msg_destroy (&msg);
    return rc;
}

void
scene_serve (tern_service_t *service, const char *text, const char *reply)
{
    const tern_msg_t *request = scene_request (service, text);
    assert_int_equal (scene_reply (service, request, reply, true), TERN_OK);
}

void
scene_replied (tern_requester_t *requester, uint64_t id, const char *text,
               bool last)
{
    tern_reply_t reply;
    assert_int_equal (
        tern_requester_next (requester, id, &reply, SCENE_DEADLINE_MS),
        TERN_OK);
    assert_int_equal (reply.status, TERN_OK);
    scene_is_text (reply.msg, text);
    assert_int_equal (reply.last, last);
    tern_msg_destroy (&reply.msg);
}

tern_reply_t
scene_request_ends (tern_requester_t *requester, uint64_t id, int status)
{
    tern_reply_t reply;
    assert_int_equal (
        tern_requester_next (requester, id, &reply, SCENE_DEADLINE_MS),
        TERN_OK);
    assert_int_equal (reply.status, status);
    assert_null (reply.msg);
    assert_true (reply.last);
    return reply;
}
