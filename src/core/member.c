//  core/member.c - copying an entry into one piece of memory
//
//      | trn_member_t | endpoints[] queues[] | texts, each with its NUL |
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/member.h"

#include "base/memory.h"

#include <assert.h>
#include <string.h>

static char *
s_copy_text (char **to_p, trn_text_t text)
{
    char *copy = *to_p;
    if (text.size) {
        memcpy (copy, text.at, text.size);
    }
    copy[text.size] = 0;
    *to_p += text.size + 1;
    return copy;
}

trn_member_t *
trn_member_new (const trn_entry_t *entry)
{
    assert (entry && entry->endpoint_count <= TRN_ENDPOINTS_MAX
            && entry->queue_count <= TRN_QUEUES_MAX);
    const size_t lists = entry->endpoint_count + entry->queue_count;
    size_t bytes = sizeof (trn_member_t) + lists * sizeof (char *)
                   + entry->name.size + 1;
    for (size_t index = 0; index < entry->endpoint_count; index++) {
        bytes += entry->endpoints[index].size + 1;
    }
    for (size_t index = 0; index < entry->queue_count; index++) {
        bytes += entry->queues[index].size + 1;
    }
    trn_member_t *self = trn_alloc (bytes);
    const char **list = (const char **) (self + 1);
    char *text = (char *) (list + lists);
    self->bytes = bytes;
    self->name = s_copy_text (&text, entry->name);
    memcpy (self->store_uuid, entry->store_uuid, sizeof self->store_uuid);
    self->incarnation = entry->incarnation;
    self->random = entry->random;
    self->version = entry->version;
    self->features = entry->features;
    self->endpoint_count = entry->endpoint_count;
    self->endpoints = list;
    for (size_t index = 0; index < entry->endpoint_count; index++) {
        *list++ = s_copy_text (&text, entry->endpoints[index]);
    }
    self->queue_count = entry->queue_count;
    self->queues = list;
    for (size_t index = 0; index < entry->queue_count; index++) {
        *list++ = s_copy_text (&text, entry->queues[index]);
    }
    return self;
}

void
trn_member_entry (const trn_member_t *self, uint64_t heard_ms,
                  trn_entry_t *entry)
{
    assert (self && entry);
    entry->name = trn_text (self->name);
    memcpy (entry->store_uuid, self->store_uuid, sizeof entry->store_uuid);
    entry->incarnation = self->incarnation;
    entry->random = self->random;
    entry->version = self->version;
    entry->features = self->features;
    entry->heard_ms = heard_ms;
    entry->endpoint_count = (uint32_t) self->endpoint_count;
    for (size_t index = 0; index < self->endpoint_count; index++) {
        entry->endpoints[index] = trn_text (self->endpoints[index]);
    }
    entry->queue_count = (uint32_t) self->queue_count;
    for (size_t index = 0; index < self->queue_count; index++) {
        entry->queues[index] = trn_text (self->queues[index]);
    }
}

bool
trn_member_same (const trn_member_t *self, const trn_entry_t *entry)
{
    assert (self && entry);
    if (!trn_text_is (entry->name, self->name)
        || memcmp (entry->store_uuid, self->store_uuid, sizeof self->store_uuid)
        || entry->incarnation != self->incarnation
        || entry->random != self->random || entry->version != self->version
        || entry->features != self->features
        || entry->endpoint_count != self->endpoint_count
        || entry->queue_count != self->queue_count) {
        return false;
    }
    for (size_t index = 0; index < self->endpoint_count; index++) {
        if (!trn_text_is (entry->endpoints[index], self->endpoints[index])) {
            return false;
        }
    }
    for (size_t index = 0; index < self->queue_count; index++) {
        if (!trn_text_is (entry->queues[index], self->queues[index])) {
            return false;
        }
    }
    return true;
}
