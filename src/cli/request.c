//  cli/request.c - tern request: ask a service and print what it replies
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/say.h"
#include "cli/seat.h"
#include "cli/stop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 5000

typedef struct {
    cli_common_t common;
    const char *service;
    uint64_t timeout_ms;
    bool durable;
    bool once;

    tern_peer_t *peer;
    tern_requester_t *requester;
    cli_output_t output;
} request_t;

//  The request ---------------------------------------------------------------

//  The operands by spaces.
static tern_msg_t *
s_from_words (char **words, size_t count)
{
    char *body = malloc (TERN_BODY_MAX + 1);
    size_t size = 0;
    for (size_t index = 0; body && index < count; index++) {
        const size_t more = strlen (words[index]) + (index > 0);
        if (more > TERN_BODY_MAX - size) {
            size = TERN_BODY_MAX + 1;
            break;
        }
        body[size] = ' ';
        memcpy (body + size + (index > 0), words[index], strlen (words[index]));
        size += more;
    }
    tern_msg_t *msg = body ? tern_msg_new (body, size) : NULL;
    free (body);
    return msg;
}

//  All of standard input.
static tern_msg_t *
s_from_input (void)
{
    char *body = malloc (TERN_BODY_MAX + 1);
    size_t size = 0;
    ssize_t got = 1;
    while (body && got > 0 && size <= TERN_BODY_MAX) {
        got = read (STDIN_FILENO, body + size, TERN_BODY_MAX + 1 - size);
        if (got < 0 && errno == EINTR && !cli_stop_asked ()) {
            got = 1;
        } else if (got > 0) {
            size += (size_t) got;
        }
    }
    tern_msg_t *msg = body ? tern_msg_new (body, size) : NULL;
    free (body);
    return msg;
}

//  Replies -------------------------------------------------------------------

static void
s_print_json (request_t *self, tern_msg_t *msg, bool last)
{
    cli_json_t json;
    cli_json_init (&json, &self->output);
    cli_json_open (&json, NULL, '{');
    cli_json_text (&json, "service", self->service);
    cli_json_text (&json, "server", tern_msg_publisher (msg));
    cli_json_bool (&json, "last", last);
    cli_json_open (&json, "headers", '{');
    const char *name, *value;
    size_t name_size, size;
    for (size_t index = 0;
         tern_msg_header_at (msg, index, &name, &name_size, &value, &size);
         index++) {
        cli_json_member (&json, name, name_size, value, size);
    }
    cli_json_close (&json);
    cli_json_bytes (&json, "body", tern_msg_body (msg), tern_msg_size (msg));
    cli_json_close (&json);
}

//  A line each, at once: whoever reads may act on it.
static int
s_print (request_t *self, tern_msg_t *msg, bool last)
{
    if (self->common.json) {
        s_print_json (self, msg, last);
    } else {
        const char *body = tern_msg_body (msg);
        const size_t size = tern_msg_size (msg);
        cli_output_add (&self->output, body, size);
        if (size == 0 || body[size - 1] != '\n') {
            cli_output_text (&self->output, "\n");
        }
    }
    const int error = cli_output_flush (&self->output);
    return error
               ? cli_fail (CLI_FAILED, "standard output: %s", strerror (error))
               : CLI_DONE;
}

static int
s_fail (const request_t *self, const tern_reply_t *reply)
{
    switch (reply->status) {
    case TERN_ETIMEOUT:
        return cli_fail (CLI_TIMEOUT,
                         "%s: no reply within %" PRIu64
                         " ms; what was asked may have been done",
                         self->service, self->timeout_ms);
    case TERN_ENOROUTE:
        return cli_fail (CLI_TIMEOUT,
                         "%s: nobody serves it; nothing was done within "
                         "%" PRIu64 " ms",
                         self->service, self->timeout_ms);
    case TERN_EFAILED:
        return cli_fail (CLI_FAILED, "%s: %s", self->service,
                         reply->why[0] ? reply->why : "failed");
    case TERN_ELOST:
        return cli_fail (CLI_FAILED,
                         "%s: its server %s is gone; what was asked may have "
                         "been done",
                         self->service, reply->why);
    default: return cli_fail_tern (reply->status, self->service, NULL);
    }
}

//  Wait for replies until the last, or a signal.
static int
s_take (request_t *self)
{
    for (;;) {
        tern_reply_t reply;
        if (tern_requester_next (self->requester, 0, &reply, 0) != TERN_OK) {
            if (!cli_stop_wait (tern_requester_fd (self->requester), -1)) {
                return cli_fail (CLI_FAILED, "%s: interrupted", self->service);
            }
            continue;
        }
        int code = CLI_DONE;
        if (reply.status != TERN_OK) {
            code = s_fail (self, &reply);
        } else if (reply.msg) {
            code = s_print (self, reply.msg, reply.last);
        }
        tern_msg_destroy (&reply.msg);
        if (reply.last || code != CLI_DONE) {
            return code;
        }
    }
}

static int
s_ask (request_t *self, const tern_msg_t *msg)
{
    const tern_requester_options_t options
        = {.durable = self->durable, .once = self->once};
    int rc = tern_requester_open (&self->requester, self->peer, self->service,
                                  &options);
    if (rc == TERN_OK) {
        uint64_t id = 0;
        rc = tern_requester_begin (self->requester, msg, (int) self->timeout_ms,
                                   &id);
    }
    const int code = rc == TERN_OK ? s_take (self)
                                   : cli_fail_tern (rc, self->service, NULL);
    tern_requester_close (&self->requester);
    return code;
}

int
cli_request (int argc, char **argv)
{
    request_t self = {.timeout_ms = TIMEOUT_MS};
    const cli_option_t options[] = {
        {"timeout", 't', CLI_NUMBER, &self.timeout_ms, "MS",
         "give up after so long (5000)", 1, INT32_MAX},
        {"durable", 0, CLI_FLAG, &self.durable, NULL,
         "store the request, and the reply", 0, 0},
        {"once", 0, CLI_FLAG, &self.once, NULL,
         "never repeat it with another server", 0, 0},
    };
    const cli_usage_t usage = {
        .name = "request",
        .synopsis = "SERVICE [TEXT...]",
        .summary = "Ask a service and print its reply, or a line for each.",
        .text = "Without TEXT, all of standard input is the request.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands_min = 1,
        .operands_max = SIZE_MAX,
        .missing = "name the service",
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    if (self.durable && self.once) {
        return cli_fail (CLI_USAGE, "--durable and --once: choose one of them");
    }
    self.service = argv[1];
    tern_msg_t *msg = operands > 1 ? s_from_words (argv + 2, operands - 1)
                                   : s_from_input ();
    if (!msg) {
        return cli_fail (CLI_FAILED, "%s: a request has up to %d bytes",
                         self.service, TERN_BODY_MAX);
    }
    cli_output_init (&self.output);
    code = cli_seat_open (&self.peer, &self.common, "request");
    if (code == CLI_DONE) {
        code = s_ask (&self, msg);
        cli_seat_close (&self.peer);
    }
    cli_output_free (&self.output);
    tern_msg_destroy (&msg);
    return code;
}
