//  tests/fuzz/fuzz_registry.c - a stream of frames into a directory node
//
//  Four connections say what the input says: well-formed frames of made-up
//  content, or raw bytes.  Held at every step: whatever the node answers is a
//  legal frame of at most TRN_DIRECTORY_FRAME_MAX bytes, and its tables keep
//  within the numbers it was given.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"
#include "fuzz_bindings.h"

#include "core/registry.h"
#include "wire/dirframe.h"

#include <tern/error.h>

#define ROUTES 4
#define PEERS_MAX 6
#define BINDINGS_MAX 20
#define STEPS_MAX 400
#define EPOCH 77

typedef struct {
    trn_registry_t *registry;
    fuzz_input_t input;
    int64_t now_ms;
    bool blocked;  //  the routes take nothing now
} session_t;

static void
s_check_said (const trn_registry_action_t *action)
{
    static trn_dirframe_t frame;
    assert (action->size <= TRN_DIRECTORY_FRAME_MAX);
    assert (trn_dirframe_decode (&frame, action->bytes, action->size) == 0);
}

//  What is saved can be read again; some disks say no.
static void
s_save (session_t *self)
{
    size_t size;
    uint8_t *state = trn_registry_state (self->registry, &size);
    trn_bindings_t *again = trn_bindings_new (BINDINGS_MAX, 65536);
    assert (trn_bindings_load (again, state, size) == 0);
    assert (trn_bindings_digest (again)
            == trn_bindings_digest (trn_registry_bindings (self->registry)));
    trn_bindings_destroy (&again);
    free (state);
    trn_registry_on_saved (self->registry, !self->blocked, self->now_ms);
}

static void
s_drain (session_t *self)
{
    const trn_registry_action_t *action;
    for (int count = 0; (action = trn_registry_action (self->registry));
         count++) {
        assert (count < 10000);
        if (action->type == TRN_REGISTRY_SAVE) {
            s_save (self);
            continue;
        }
        if (action->type != TRN_REGISTRY_SEND) {
            continue;
        }
        s_check_said (action);
        if (self->blocked) {
            trn_registry_on_blocked (self->registry, action->route,
                                     self->now_ms);
        }
    }
    tern_directory_stats_t stats;
    trn_registry_stats (self->registry, &stats);
    assert (stats.peers <= PEERS_MAX && stats.watchers <= ROUTES);
    assert (stats.bindings <= BINDINGS_MAX);
}

static void
s_entry (session_t *self, trn_entry_t *entry)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    static const char *const queues[] = {"jobs", "@a", "other", "more"};
    fuzz_input_t *in = &self->input;
    memset (entry, 0, sizeof *entry);
    entry->name = trn_text (names[fuzz_byte (in) % 8]);
    memset (entry->store_uuid, fuzz_byte (in) % 3, 16);
    entry->incarnation = fuzz_byte (in) % 4;
    entry->random = fuzz_byte (in) % 2;
    entry->version = fuzz_byte (in) % 4;
    entry->endpoint_count = fuzz_byte (in) % 3;
    for (uint32_t index = 0; index < entry->endpoint_count; index++) {
        entry->endpoints[index] = trn_text ("tcp://h:1");
    }
    entry->queue_count = fuzz_byte (in) % 4;
    for (uint32_t index = 0; index < entry->queue_count; index++) {
        entry->queues[index] = trn_text (queues[index]);
    }
}

//  A frame that a peer may say; returns its bytes.
static size_t
s_make_frame (session_t *self, uint8_t *to, size_t capacity)
{
    static trn_dirframe_t frame;
    static trn_entry_t entry;
    fuzz_input_t *in = &self->input;
    s_entry (self, &entry);
    switch (fuzz_byte (in) % 8) {
    case 0:
        frame.type = TRN_DIR_REGISTER;
        frame.enrol.version_min = 1;
        frame.enrol.version_max = 1;
        frame.enrol.lease_ms = 1 + fuzz_byte (in) * 50u;
        frame.enrol.entry = entry;
        break;
    case 1: {
        frame.type = TRN_DIR_REFRESH;
        frame.refresh.name = entry.name;
        memcpy (frame.refresh.store_uuid, entry.store_uuid, 16);
        frame.refresh.incarnation = entry.incarnation;
        frame.refresh.version = entry.version;
        frame.refresh.page = fuzz_byte (in) % 3;
        trn_dirpage_t page;
        trn_dirpage_begin (&page, &frame, to, capacity);
        const tern_stats_t row
            = {.peer = "z", .queue = "jobs", .role = TERN_ROLE_CONSUMER};
        for (uint8_t rows = fuzz_byte (in) % 64; rows; rows--) {
            (void) trn_dirpage_add_row (&page, &row);
        }
        return trn_dirpage_end (&page, fuzz_byte (in) % 2);
    }
    case 2:
        frame.type = TRN_DIR_GOODBYE;
        frame.goodbye.name = entry.name;
        memcpy (frame.goodbye.store_uuid, entry.store_uuid, 16);
        frame.goodbye.incarnation = entry.incarnation;
        break;
    case 3:
        frame.type = TRN_DIR_WATCH;
        frame.watch.version_min = 1;
        frame.watch.version_max = 1 + fuzz_byte (in) % 2;
        frame.watch.epoch = fuzz_byte (in) % 2 ? EPOCH : 0;
        frame.watch.number = fuzz_byte (in);
        frame.watch.flags = fuzz_byte (in) % 2;
        break;
    case 4:
        frame.type = TRN_DIR_QUERY;
        frame.query.nonce = fuzz_byte (in);
        frame.query.peer = fuzz_byte (in) % 2 ? entry.name : trn_text ("");
        frame.query.queue
            = fuzz_byte (in) % 2 ? trn_text ("jobs") : trn_text ("");
        break;
    case 5:
        frame.type = TRN_DIR_PING;
        frame.ping.nonce = fuzz_byte (in);
        break;
    case 6: return fuzz_make_bindings (in, fuzz_byte (in) % 2, to, capacity);
    case 7: return fuzz_make_digests (in, fuzz_byte (in), to, capacity);
    }
    return trn_dirframe_encode (&frame, to, capacity);
}

static void
s_hear (session_t *self, bool raw)
{
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    const uint64_t route = 1 + fuzz_byte (&self->input) % ROUTES;
    size_t size = 0;
    if (raw) {
        const uint8_t wanted = fuzz_byte (&self->input);
        for (; size < wanted; size++) {
            bytes[size] = fuzz_byte (&self->input);
        }
    } else {
        size = s_make_frame (self, bytes, sizeof bytes);
    }
    trn_registry_on_frame (self->registry, route, bytes, size, self->now_ms);
}

static void
s_step (session_t *self)
{
    const uint8_t form = fuzz_byte (&self->input);
    switch (form % 8) {
    case 0:
    case 1:
    case 2:
    case 3: s_hear (self, false); break;
    case 4: s_hear (self, true); break;
    case 5:
        self->now_ms += fuzz_byte (&self->input) * (form & 128 ? 100 : 1);
        trn_registry_on_tick (self->registry, self->now_ms);
        break;
    case 6: self->blocked = form & 64; break;
    case 7:
        if (form & 64) {
            trn_registry_on_garbage (self->registry, self->now_ms);
        } else {
            trn_registry_on_gone (self->registry, 1 + form / 8 % ROUTES,
                                  self->now_ms);
        }
        break;
    }
    s_drain (self);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    session_t session = {.input = {data, size}, .now_ms = 1000};
    const trn_registry_config_t config = {.epoch = EPOCH,
                                          .seed = 5,
                                          .lease_min_ms = TRN_LEASE_MIN_MS,
                                          .peers_max = PEERS_MAX,
                                          .routes_max = ROUTES,
                                          .memory_max = 64 * 1024,
                                          .bindings_max = BINDINGS_MAX,
                                          .durable = true};
    session.registry = trn_registry_new (&config);
    for (int step = 0; step < STEPS_MAX && session.input.left; step++) {
        s_step (&session);
        assert (trn_registry_memory (session.registry) <= 64 * 1024);
    }
    trn_registry_destroy (&session.registry);
    return 0;
}
