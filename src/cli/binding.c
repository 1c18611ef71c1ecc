//  cli/binding.c - bindings as the command line says them
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/binding.h"
#include "cli/format.h"
#include "cli/say.h"
#include "cli/stop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

//  How long a signal may go unnoticed while something is waited for.
#define SLICE_MS 100

static const char *const s_types[]
    = {"", "direct", "fanout", "topic", "headers"};

const char *
cli_type_name (tern_exchange_type_t type)
{
    return type >= TERN_DIRECT && type <= TERN_HEADERS ? s_types[type]
                                                       : "unknown";
}

int
cli_type_read (tern_exchange_type_t *type_p, const char *name)
{
    for (int type = TERN_DIRECT; type <= TERN_HEADERS; type++) {
        if (strcmp (name, s_types[type]) == 0) {
            *type_p = (tern_exchange_type_t) type;
            return CLI_DONE;
        }
    }
    return cli_fail (CLI_USAGE,
                     "--type: \"%s\" is not direct, fanout, topic or headers",
                     name);
}

//  Reading -------------------------------------------------------------------

static int
s_read_header (cli_binding_t *self, const char *item)
{
    if (self->binding.header_count == TERN_BINDING_HEADERS_MAX) {
        return cli_fail (CLI_USAGE, "--header: more than %d in one binding",
                         TERN_BINDING_HEADERS_MAX);
    }
    const size_t at = self->binding.header_count;
    char *name = strdup (item);
    if (!name) {
        abort ();
    }
    self->texts[at] = name;
    self->binding.header_count++;
    char *value = strchr (name, '=');
    if (!value || value == name) {
        return cli_fail (CLI_USAGE, "--header %s: not NAME=VALUE", item);
    }
    *value++ = '\0';
    self->headers[at] = (tern_header_t) {.name = name, .value = value};
    return CLI_DONE;
}

//  "2026-02-28T09:30:00Z", or a part of it from the left; UTC.

static bool
s_read_time (const char *text, uint64_t *ms_p)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ",
                                        "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    for (size_t index = 0; index < sizeof forms / sizeof *forms; index++) {
        struct tm when = {.tm_isdst = 0};
        const char *end = strptime (text, forms[index], &when);
        const time_t seconds = end && !*end ? timegm (&when) : -1;
        if (seconds >= 0) {
            *ms_p = (uint64_t) seconds * 1000;
            return true;
        }
    }
    return false;
}

static int
s_read_from (tern_binding_t *binding, const char *from)
{
    if (strcmp (from, "new") == 0) {
        binding->from = TERN_FROM_NEW;
    } else if (strcmp (from, "earliest") == 0) {
        binding->from = TERN_FROM_EARLIEST;
    } else if (cli_number (from, 1, INT64_MAX, &binding->from_seq)) {
        binding->from = TERN_FROM_SEQ;
    } else if (s_read_time (from, &binding->from_ms)) {
        binding->from = TERN_FROM_TIME;
    } else {
        return cli_fail (CLI_USAGE,
                         "--from: \"%s\" is not new, earliest, a number from 1 "
                         "on or a time such as 2026-02-28T09:30:00Z",
                         from);
    }
    return CLI_DONE;
}

int
cli_binding_read (cli_binding_t *self, const char *exchange, const char *queue,
                  const cli_binding_words_t *words)
{
    *self = (cli_binding_t) {
        .binding = {.exchange = exchange,
                    .queue = queue,
                    .pattern = words->pattern,
                    .any = words->any,
                    .type = words->headers.count > 0 ? TERN_HEADERS
                            : words->pattern         ? TERN_TOPIC
                                                     : TERN_FANOUT},
    };
    self->binding.headers = self->headers;
    int code = words->type ? cli_type_read (&self->binding.type, words->type)
                           : CLI_DONE;
    for (size_t index = 0; index < words->headers.count && code == CLI_DONE;
         index++) {
        code = s_read_header (self, words->headers.items[index]);
    }
    if (code == CLI_DONE && words->from) {
        code = s_read_from (&self->binding, words->from);
    }
    return code;
}

void
cli_binding_free (cli_binding_t *self)
{
    for (size_t index = 0; index < self->binding.header_count; index++) {
        free (self->texts[index]);
    }
    *self = (cli_binding_t) {0};
}

//  Saying --------------------------------------------------------------------

int
cli_binding_learn (tern_peer_t *peer, uint64_t timeout_ms)
{
    const int64_t began_ms = cli_clock_ms ();
    int rc;
    do {
        rc = tern_peer_bindings_known (peer, SLICE_MS);
    } while (rc == TERN_ETIMEOUT && !cli_stop_asked ()
             && (uint64_t) (cli_clock_ms () - began_ms) < timeout_ms);
    return rc;
}

static bool
s_same (const char *one, const char *other)
{
    return strcmp (one ? one : "", other ? other : "") == 0;
}

static bool
s_has_header (const tern_binding_t *binding, const tern_header_t *header)
{
    bool has = false;
    for (size_t index = 0; index < binding->header_count && !has; index++) {
        has = s_same (binding->headers[index].name, header->name)
              && s_same (binding->headers[index].value, header->value);
    }
    return has;
}

//  Their headers may be in another order.
static bool
s_is (const tern_binding_t *one, const tern_binding_t *other)
{
    bool same = s_same (one->exchange, other->exchange)
                && one->type == other->type && s_same (one->queue, other->queue)
                && s_same (one->pattern, other->pattern)
                && one->any == other->any
                && one->header_count == other->header_count;
    for (size_t index = 0; index < other->header_count && same; index++) {
        same = s_has_header (one, &other->headers[index]);
    }
    return same;
}

static bool
s_is_there (tern_peer_t *peer, const cli_binding_t *self)
{
    tern_binding_t binding;
    for (size_t index = 0; tern_peer_binding_at (peer, index, &binding);
         index++) {
        if (s_is (&binding, &self->binding)) {
            return true;
        }
    }
    return false;
}

int
cli_binding_say (tern_peer_t *peer, const cli_binding_t *self, bool removed,
                 uint64_t timeout_ms)
{
    char why[256] = "";
    const tern_binding_t *binding = &self->binding;
    const int64_t began_ms = cli_clock_ms ();
    //  Removing what is not there changes nothing and is no failure, but whoever
    //  forgot a --pattern wants to hear of it.
    if (removed && cli_binding_learn (peer, timeout_ms) == TERN_OK
        && !s_is_there (peer, self)) {
        cli_note ("%s: %s is not bound to it in this way; see tern exchanges",
                  binding->exchange, binding->queue);
    }
    int rc = TERN_EAGAIN;
    do {
        //  Said again to who knows something of a clock ahead of ours.
        if (rc == TERN_EAGAIN) {
            rc = removed ? tern_peer_unbind (peer, binding, why, sizeof why)
                         : tern_peer_bind (peer, binding, why, sizeof why);
        }
        if (rc && rc != TERN_ETIMEOUT) {
            return cli_fail_tern (rc, binding->exchange, why);
        }
        rc = tern_peer_bound (peer, binding, SLICE_MS);
        if (cli_stop_asked ()) {
            return CLI_FAILED;
        }
    } while ((rc == TERN_ETIMEOUT || rc == TERN_EAGAIN)
             && (uint64_t) (cli_clock_ms () - began_ms) < timeout_ms);
    if (rc == TERN_ETIMEOUT) {
        return cli_fail (CLI_TIMEOUT,
                         "%s: no directory has taken it in %" PRIu64
                         " ms; start ternd or a peer, or check --directory",
                         binding->exchange, timeout_ms);
    }
    //  As the peer says it when it knows by itself.
    if (rc == TERN_ETYPE) {
        snprintf (why, sizeof why,
                  "%s to %s: the exchange has bindings of another type",
                  binding->queue, binding->exchange);
    }
    return rc ? cli_fail_tern (rc, binding->exchange, why) : CLI_DONE;
}
