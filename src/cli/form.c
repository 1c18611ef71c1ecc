//  cli/form.c - what every message that a command sends has in common
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/form.h"
#include "cli/say.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool
cli_form_used (const cli_form_t *self)
{
    return self->key || self->order_key || self->headers.count > 0
           || self->ttl_ms > 0 || self->delay_ms > 0
           || self->priority != CLI_NO_PRIORITY;
}

//  A header as it stands on the command line.

static int
s_set_header (tern_msg_t *msg, const char *item)
{
    char *name = strdup (item);
    if (!name) {
        abort ();
    }
    char *value = strchr (name, '=');
    int rc = TERN_EINVAL;
    if (value) {
        *value++ = '\0';
        rc = tern_msg_set_header (msg, name, value);
    }
    free (name);
    return rc;
}

static int
s_check_headers (const cli_form_t *self, tern_msg_t *msg)
{
    for (size_t index = 0; index < self->headers.count; index++) {
        const int rc = s_set_header (msg, self->headers.items[index]);
        if (rc) {
            return cli_fail (rc == TERN_ETOOBIG ? CLI_REFUSED : CLI_USAGE,
                             "--header %s: %s", self->headers.items[index],
                             rc == TERN_ETOOBIG
                                 ? "over the limit of headers"
                                 : "not NAME=VALUE in UTF-8 (and not tern.*)");
        }
    }
    return CLI_DONE;
}

//  Ranges of numbers are checked where options are parsed.

static int
s_set_rules (const cli_form_t *self, tern_msg_t *msg)
{
    int rc = TERN_OK;
    if (self->ttl_ms > 0) {
        rc = tern_msg_set_ttl (msg, self->ttl_ms);
    }
    if (rc == TERN_OK && self->delay_ms > 0) {
        rc = tern_msg_set_delay (msg, self->delay_ms);
    }
    if (rc == TERN_OK && self->priority != CLI_NO_PRIORITY) {
        rc = tern_msg_set_priority (msg, (int) self->priority);
    }
    return rc;
}

int
cli_form_check (const cli_form_t *self)
{
    tern_msg_t *msg = tern_msg_new (NULL, 0);
    int code = CLI_DONE;
    if (self->key && tern_msg_set_key (msg, self->key)) {
        code = cli_fail (CLI_REFUSED, "--key: longer than 255 bytes");
    } else if (self->order_key
               && tern_msg_set_order_key (msg, self->order_key)) {
        code = cli_fail (CLI_USAGE, "--order-key: not 1 to 127 bytes of UTF-8");
    } else if (s_set_rules (self, msg)) {
        code = cli_fail (CLI_USAGE, "--ttl, --delay or --priority: out of "
                                    "range");
    } else {
        code = s_check_headers (self, msg);
    }
    tern_msg_destroy (&msg);
    return code;
}

int
cli_form_make (const cli_form_t *self, const void *body, size_t size,
               tern_msg_t **msg_p)
{
    tern_msg_t *msg = tern_msg_new (body, size);
    if (!msg) {
        return TERN_ETOOBIG;
    }
    int rc = self->key ? tern_msg_set_key (msg, self->key) : TERN_OK;
    assert (rc == TERN_OK);
    if (self->order_key) {
        rc = tern_msg_set_order_key (msg, self->order_key);
        assert (rc == TERN_OK);
    }
    rc = s_set_rules (self, msg);
    assert (rc == TERN_OK);
    for (size_t index = 0; index < self->headers.count; index++) {
        rc = s_set_header (msg, self->headers.items[index]);
        assert (rc == TERN_OK);
    }
    *msg_p = msg;
    return TERN_OK;
}
