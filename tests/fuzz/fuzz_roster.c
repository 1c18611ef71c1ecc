//  tests/fuzz/fuzz_roster.c - a hostile directory, any bytes as a saved view
//
//  The input begins with a length and a saved view of that length; then come
//  events of two nodes that say what the input says.  Held at every step: what
//  the roster says is a legal frame, and what it shows are valid names.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"
#include "fuzz_bindings.h"

#include "base/name.h"
#include "core/roster.h"
#include "wire/dirframe.h"

#include <tern/error.h>

#define NODES 2
#define STEPS_MAX 300

typedef struct {
    trn_roster_t *roster;
    fuzz_input_t input;
    int64_t now_ms;
} session_t;

static void
s_check_peer (const trn_roster_peer_t *peer)
{
    assert (trn_name_valid (peer->name, strlen (peer->name)));
    assert (strcmp (peer->name, "me") != 0);
    assert (peer->endpoint_count <= TRN_ENDPOINTS_MAX);
    for (size_t index = 0; index < peer->endpoint_count; index++) {
        assert (trn_endpoint_valid (peer->endpoints[index],
                                    strlen (peer->endpoints[index])));
    }
    assert (peer->queue_count <= TRN_QUEUES_MAX);
    for (size_t index = 0; index < peer->queue_count; index++) {
        assert (trn_queue_valid (peer->queues[index],
                                 strlen (peer->queues[index])));
    }
}

static void
s_drain (session_t *self)
{
    static trn_dirframe_t frame;
    const trn_roster_action_t *action;
    for (int count = 0; (action = trn_roster_action (self->roster)); count++) {
        assert (count < 10000);
        if (action->type == TRN_ROSTER_SEND) {
            assert (action->size <= TRN_DIRECTORY_FRAME_MAX);
            assert (trn_dirframe_decode (&frame, action->bytes, action->size)
                    == 0);
        } else if (action->type == TRN_ROSTER_PEER) {
            assert (action->peer.endpoint_count >= 1);
            s_check_peer (&action->peer);
        } else if (action->type == TRN_ROSTER_PEER_GONE) {
            s_check_peer (&action->peer);
        } else if (action->type == TRN_ROSTER_BINDING
                   || action->type == TRN_ROSTER_BOUND) {
            assert (trn_binding_check (&action->binding) == 0);
        }
    }
}

static void
s_entry (session_t *self, trn_entry_t *entry)
{
    static const char *const names[] = {"a", "b", "c", "me"};
    fuzz_input_t *in = &self->input;
    memset (entry, 0, sizeof *entry);
    entry->name = trn_text (names[fuzz_byte (in) % 4]);
    memset (entry->store_uuid, fuzz_byte (in) % 3, 16);
    entry->incarnation = fuzz_byte (in) % 4;
    entry->random = fuzz_byte (in) % 2;
    entry->version = fuzz_byte (in) % 4;
    entry->heard_ms = fuzz_byte (in);
    entry->endpoint_count = fuzz_byte (in) % 3;
    for (uint32_t index = 0; index < entry->endpoint_count; index++) {
        entry->endpoints[index] = trn_text ("ipc:///run/x");
    }
    entry->queue_count = fuzz_byte (in) % 2;
    entry->queues[0] = trn_text ("jobs");
}

//  A frame that a directory may say; returns its bytes.
static size_t
s_make_frame (session_t *self, uint8_t *to, size_t capacity)
{
    static trn_dirframe_t frame;
    static trn_entry_t entry;
    fuzz_input_t *in = &self->input;
    const uint64_t epoch = 1 + fuzz_byte (in) % 2;
    const uint64_t number = 1 + fuzz_byte (in) % 16;
    switch (fuzz_byte (in) % 9) {
    case 0:
        frame.type = TRN_DIR_REGISTERED;
        frame.registered.epoch = epoch;
        frame.registered.number = number;
        frame.registered.version = fuzz_byte (in) % 3;
        frame.registered.lease_ms = TRN_LEASE_MIN_MS + fuzz_byte (in) * 1000u;
        frame.registered.features = 0;
        break;
    case 1:
        frame.type = TRN_DIR_REFUSED;
        frame.refused.reason = (trn_dir_refusal_t) (1 + fuzz_byte (in) % 8);
        frame.refused.text = trn_text ("no\x1b");
        break;
    case 2: {
        frame.type = TRN_DIR_SNAPSHOT;
        frame.snapshot.epoch = epoch;
        frame.snapshot.number = number;
        frame.snapshot.page = fuzz_byte (in) % 3;
        trn_dirpage_t page;
        trn_dirpage_begin (&page, &frame, to, capacity);
        for (uint8_t count = fuzz_byte (in) % 5; count; count--) {
            s_entry (self, &entry);
            (void) trn_dirpage_add_entry (&page, &entry);
        }
        return trn_dirpage_end (&page, fuzz_byte (in) % 2);
    }
    case 3:
        frame.type = TRN_DIR_DELTA;
        frame.delta.epoch = epoch;
        frame.delta.number = number;
        frame.delta.removed = fuzz_byte (in) % 2;
        s_entry (self, &frame.delta.entry);
        break;
    case 4:
        frame.type = TRN_DIR_PONG;
        frame.pong.nonce = fuzz_byte (in);
        frame.pong.epoch = epoch;
        frame.pong.number = number;
        break;
    case 5:
        frame.type = TRN_DIR_PING;
        frame.ping.nonce = 1;
        break;
    case 6: return fuzz_make_bindings (in, fuzz_byte (in) % 8, to, capacity);
    case 7: return fuzz_make_digests (in, fuzz_byte (in) % 8, to, capacity);
    case 8:
        frame.type = TRN_DIR_TAKEN;
        frame.taken.nonce = fuzz_byte (in) % 8;
        frame.taken.count = fuzz_byte (in) % 4;
        memset (frame.taken.verdicts, fuzz_byte (in) % 6,
                sizeof frame.taken.verdicts);
        break;
    }
    return trn_dirframe_encode (&frame, to, capacity);
}

static void
s_hear (session_t *self, bool raw)
{
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    const uint32_t node = fuzz_byte (&self->input) % NODES;
    size_t size = 0;
    if (raw) {
        const uint8_t wanted = fuzz_byte (&self->input);
        for (; size < wanted; size++) {
            bytes[size] = fuzz_byte (&self->input);
        }
    } else {
        size = s_make_frame (self, bytes, sizeof bytes);
    }
    trn_roster_on_frame (self->roster, node, bytes, size, self->now_ms);
}

static void
s_bind (session_t *self, uint8_t form)
{
    const trn_binding_t binding = {
        .exchange = trn_text (form & 8 ? "x" : "y"),
        .type = form & 16 ? TRN_EXCHANGE_TOPIC : TRN_EXCHANGE_FANOUT,
        .queue = trn_text ("q"),
        .stamp_us = fuzz_byte (&self->input),
        .removed = form & 32,
    };
    const int rc = trn_roster_bind (self->roster, &binding, self->now_ms);
    assert (rc == 0 || rc == TERN_ETYPE || rc == TERN_EFULL || rc == TERN_EAGAIN
            || rc == TERN_EINVAL);
}

static void
s_step (session_t *self)
{
    static const char *const queues[] = {"jobs", "other"};
    static const char *const endpoints[] = {"tcp://h:1"};
    const uint8_t form = fuzz_byte (&self->input);
    switch (form % 8) {
    case 0:
    case 1:
    case 2:
    case 3: s_hear (self, false); break;
    case 4: s_hear (self, true); break;
    case 5:
        self->now_ms += fuzz_byte (&self->input) * (form & 128 ? 50 : 1);
        trn_roster_on_tick (self->roster, self->now_ms);
        break;
    case 6:
        if (form & 128) {
            s_bind (self, form);
            break;
        }
        trn_roster_on_queues (self->roster, queues, form / 8 % 3, self->now_ms);
        trn_roster_on_endpoints (self->roster, endpoints, form / 64 % 2,
                                 self->now_ms);
        break;
    case 7:
        trn_roster_on_trouble (self->roster, form / 8 % NODES, self->now_ms);
        break;
    }
    s_drain (self);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    session_t session = {.input = {data, size}, .now_ms = 1000};
    static const char *const nodes[] = {"tcp://d:1", "tcp://e:1"};
    const trn_roster_config_t config = {.name = "me",
                                        .incarnation = 1,
                                        .random = 1,
                                        .seed = 5,
                                        .nodes = nodes,
                                        .node_count = NODES};
    session.roster = trn_roster_new (&config);
    size_t view_size = fuzz_number (&session.input, 1);
    view_size = view_size < session.input.left ? view_size : session.input.left;
    const int rc
        = trn_roster_restore (session.roster, session.input.at, view_size);
    assert (rc == 0 || rc == TERN_ECORRUPT || rc == TERN_EVERSION);
    session.input.at += view_size;
    session.input.left -= view_size;
    for (int step = 0; step < STEPS_MAX && session.input.left; step++) {
        s_step (&session);
    }
    //  What it saves it can start from.
    static uint8_t view[512 * 1024];
    const size_t saved = trn_roster_view (session.roster, view, sizeof view);
    trn_roster_t *next = trn_roster_new (&config);
    assert (trn_roster_restore (next, view, saved) == 0);
    trn_roster_destroy (&next);
    trn_roster_destroy (&session.roster);
    return 0;
}
