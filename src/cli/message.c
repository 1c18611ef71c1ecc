//  cli/message.c - a received message as JSON
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/message.h"

#include <string.h>

//  Text that may be absent.

static void
s_optional (cli_json_t *json, const char *key, const char *text, size_t size)
{
    if (text) {
        cli_json_string (json, key, text, size);
    } else {
        cli_json_null (json, key);
    }
}

static void
s_headers (cli_json_t *json, const tern_msg_t *msg)
{
    cli_json_open (json, "headers", '{');
    const char *name, *value;
    size_t name_size, size;
    for (size_t index = 0;
         tern_msg_header_at (msg, index, &name, &name_size, &value, &size);
         index++) {
        cli_json_member (json, name, name_size, value, size);
    }
    cli_json_close (json);
}

void
cli_message_json (cli_json_t *json, tern_msg_t *msg)
{
    size_t size = 0;
    cli_json_text (json, "id", tern_msg_id (msg));
    cli_json_text (json, "queue", tern_msg_queue (msg));
    const char *text = tern_msg_exchange (msg);
    s_optional (json, "exchange", text, text ? strlen (text) : 0);
    text = tern_msg_key (msg, &size);
    cli_json_bytes (json, "key", text, size);
    s_headers (json, msg);
    cli_json_count (json, "priority", (uint64_t) tern_msg_priority (msg));
    text = tern_msg_order_key (msg, &size);
    s_optional (json, "order_key", text, size);
    text = tern_msg_reply_to (msg, &size);
    s_optional (json, "reply_to", text, size);
    text = tern_msg_correlation (msg, &size);
    s_optional (json, "correlation", text, size);
    cli_json_count (json, "deliveries", tern_msg_deliveries (msg));
    cli_json_bool (json, "redelivered", tern_msg_redelivered (msg));
    cli_json_count (json, "missed", tern_msg_missed (msg));
    cli_json_count (json, "time_us", tern_msg_time_us (msg));
    const uint64_t large = tern_large_size (msg);
    if (large) {
        cli_json_null (json, "body");
        cli_json_count (json, "large", large);
    } else {
        cli_json_bytes (json, "body", tern_msg_body (msg), tern_msg_size (msg));
    }
}
