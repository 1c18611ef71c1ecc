//  peer/config.c - settings of a peer, as text with a check per key
//
//  Knows: which keys exist, what each may hold, and where they come from.  The
//  table is the one place to add a setting; tern/config.h says it to people.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/config.h"

#include "base/limits.h"
#include "base/memory.h"
#include "base/name.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (1024 * 1024)
#define VALUE_MAX 4095

typedef enum {
    KIND_NAME,
    KIND_PATH,
    KIND_ENDPOINT,
    KIND_DIRECTORY,
    KIND_NUMBER,
    KIND_AT_LIMIT,
    KIND_BACKOFF,
    KIND_EXPIRED,
    KIND_YES_NO
} s_kind_t;

typedef struct {
    const char *key;
    s_kind_t kind;
    uint64_t least, most;  //  KIND_NUMBER
    const char *initial;   //  NULL: unset
} s_setting_t;

static const s_setting_t s_settings[] = {
    {"name", KIND_NAME, 0, 0, NULL},
    {"data", KIND_PATH, 0, 0, NULL},
    {"directory", KIND_DIRECTORY, 0, 0, "local"},
    {"bind", KIND_ENDPOINT, 0, 0, NULL},
    {"advertise", KIND_ENDPOINT, 0, 0, NULL},
    {"lease_ms", KIND_NUMBER, 1000, 300000, "5000"},
    {"ping_ms", KIND_NUMBER, 100, 60000, "1000"},
    {"suspect_ms", KIND_NUMBER, 400, 300000, "4000"},
    {"limit_bytes", KIND_NUMBER, 0, UINT64_MAX / 2, "0"},
    {"limit_messages", KIND_NUMBER, 0, UINT64_MAX / 2, "0"},
    {"limit_ruled", KIND_NUMBER, 1, TRN_RULED_MAX, "4194304"},
    {"limit_outboxes", KIND_NUMBER, 1, TRN_OUTBOXES_MAX, "4096"},
    {"at_limit", KIND_AT_LIMIT, 0, 0, "block"},
    {"memory_bytes", KIND_NUMBER, 1 << 20, 1 << 30, "25165824"},
    {"drain", KIND_YES_NO, 0, 0, "no"},
};

#define SETTINGS (sizeof s_settings / sizeof *s_settings)

//  Of one queue, as queue/NAME/KEY.
static const s_setting_t s_queue_settings[] = {
    {"max_deliveries", KIND_NUMBER, 0, 1000000, NULL},
    {"backoff", KIND_BACKOFF, 0, 0, NULL},
    {"backoff_min_ms", KIND_NUMBER, 1, UINT32_MAX, NULL},
    {"backoff_max_ms", KIND_NUMBER, 1, UINT32_MAX, NULL},
    {"ttl_ms", KIND_NUMBER, 0, TRN_RULE_MS_MAX, NULL},
    {"expired", KIND_EXPIRED, 0, 0, NULL},
    {"single", KIND_YES_NO, 0, 0, NULL},
    {"limit_bytes", KIND_NUMBER, 0, UINT64_MAX / 2, NULL},
    {"limit_messages", KIND_NUMBER, 0, UINT64_MAX / 2, NULL},
    {"limit_ruled", KIND_NUMBER, 1, TRN_RULED_MAX, NULL},
    {"at_limit", KIND_AT_LIMIT, 0, 0, NULL},
};

#define QUEUE_SETTINGS (sizeof s_queue_settings / sizeof *s_queue_settings)
#define QUEUE_PREFIX "queue/"

//  What was set for one queue.
typedef struct s_queue {
    struct s_queue *next;
    char name[TRN_NAME_MAX + 2];
    char *values[QUEUE_SETTINGS];  //  NULL: unset
} s_queue_t;

struct tern_config {
    char *values[SETTINGS];  //  NULL: the initial one holds
    s_queue_t *queues;
};

tern_config_t *
tern_config_new (void)
{
    return trn_alloc (sizeof (tern_config_t));
}

static s_queue_t *
s_find_queue (const tern_config_t *self, const char *name)
{
    s_queue_t *queue = self->queues;
    while (queue && strcmp (queue->name, name) != 0) {
        queue = queue->next;
    }
    return queue;
}

static s_queue_t *
s_add_queue (tern_config_t *self, const char *name)
{
    s_queue_t *queue = trn_alloc (sizeof *queue);
    snprintf (queue->name, sizeof queue->name, "%s", name);
    queue->next = self->queues;
    self->queues = queue;
    return queue;
}

tern_config_t *
tern_config_dup (const tern_config_t *self)
{
    assert (self);
    tern_config_t *copy = tern_config_new ();
    for (size_t index = 0; index < SETTINGS; index++) {
        if (self->values[index]) {
            copy->values[index] = trn_strdup (self->values[index]);
        }
    }
    for (const s_queue_t *from = self->queues; from; from = from->next) {
        s_queue_t *queue = s_add_queue (copy, from->name);
        for (size_t index = 0; index < QUEUE_SETTINGS; index++) {
            queue->values[index]
                = from->values[index] ? trn_strdup (from->values[index]) : NULL;
        }
    }
    return copy;
}

void
tern_config_destroy (tern_config_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        for (size_t index = 0; index < SETTINGS; index++) {
            free ((*self_p)->values[index]);
        }
        while ((*self_p)->queues) {
            s_queue_t *queue = (*self_p)->queues;
            (*self_p)->queues = queue->next;
            for (size_t index = 0; index < QUEUE_SETTINGS; index++) {
                free (queue->values[index]);
            }
            free (queue);
        }
        free (*self_p);
        *self_p = NULL;
    }
}

static const s_setting_t *
s_find_setting (const s_setting_t *settings, size_t count, const char *key)
{
    for (size_t index = 0; index < count; index++) {
        if (strcmp (settings[index].key, key) == 0) {
            return &settings[index];
        }
    }
    return NULL;
}

//  "queue/NAME/KEY": its setting, and the name; NULL if it is no such key.
static const s_setting_t *
s_queue_setting (const char *key, char name[TRN_NAME_MAX + 2])
{
    const char *start = key + strlen (QUEUE_PREFIX);
    const char *end = NULL;
    if (strncmp (key, QUEUE_PREFIX, strlen (QUEUE_PREFIX)) == 0) {
        end = strchr (start, '/');
    }
    if (!end || !trn_queue_valid (start, (size_t) (end - start))) {
        return NULL;
    }
    memcpy (name, start, (size_t) (end - start));
    name[end - start] = 0;
    return s_find_setting (s_queue_settings, QUEUE_SETTINGS, end + 1);
}

//  Where the value of a key is kept; NULL if there is no such key, or, unless it
//  is to be made, nothing was set for its queue.
static char **
s_slot (tern_config_t *self, const char *key, bool make,
        const s_setting_t **setting_p)
{
    *setting_p = s_find_setting (s_settings, SETTINGS, key);
    if (*setting_p) {
        return &self->values[*setting_p - s_settings];
    }
    char name[TRN_NAME_MAX + 2];
    *setting_p = s_queue_setting (key, name);
    if (!*setting_p) {
        return NULL;
    }
    s_queue_t *queue = s_find_queue (self, name);
    if (!queue && make) {
        queue = s_add_queue (self, name);
    }
    return queue ? &queue->values[*setting_p - s_queue_settings] : NULL;
}

static bool
s_parse_number (const char *value, uint64_t *number_p)
{
    if (!*value || strspn (value, "0123456789") != strlen (value)) {
        return false;
    }
    errno = 0;
    *number_p = strtoull (value, NULL, 10);
    return errno == 0;
}

//  Endpoints by commas, at most so many as a roster takes.
static bool
s_directory_valid (const char *value)
{
    if (strcmp (value, "local") == 0) {
        return true;
    }
    size_t count = 0;
    while (*value) {
        const size_t size = strcspn (value, ",");
        if (!trn_endpoint_valid (value, size) || ++count > TRN_ENDPOINTS_MAX) {
            return false;
        }
        value += size;
        if (*value == ',' && !*++value) {
            return false;
        }
    }
    return count > 0;
}

//  Milliseconds by commas, each 1 and more, at most TRN_PAUSES_MAX.
static bool
s_parse_pauses (const char *value, trn_policy_t *policy)
{
    policy->pause = TRN_PAUSE_LIST;
    policy->pause_count = 0;
    for (;;) {
        char text[16];
        const size_t size = strcspn (value, ",");
        uint64_t number;
        if (size >= sizeof text || policy->pause_count == TRN_PAUSES_MAX) {
            return false;
        }
        memcpy (text, value, size);
        text[size] = 0;
        if (!s_parse_number (text, &number) || number < 1
            || number > UINT32_MAX) {
            return false;
        }
        policy->pauses[policy->pause_count++] = (uint32_t) number;
        if (!value[size]) {
            return true;
        }
        value += size + 1;
    }
}

static bool
s_parse_backoff (const char *value, trn_policy_t *policy)
{
    if (strcmp (value, "fixed") == 0) {
        policy->pause = TRN_PAUSE_FIXED;
        return true;
    }
    if (strcmp (value, "exponential") == 0) {
        policy->pause = TRN_PAUSE_EXPONENTIAL;
        return true;
    }
    return s_parse_pauses (value, policy);
}

static int
s_check (const s_setting_t *setting, const char *value, char *reason,
         size_t reason_size)
{
    uint64_t number;
    char shown[TRN_ESCAPED_MAX];
    trn_escape (shown, value, strlen (value));
    trn_policy_t policy;
    switch (setting->kind) {
    case KIND_NAME:
        if (!trn_name_valid (value, strlen (value))) {
            snprintf (reason, reason_size,
                      "\"%s\" is not a name (1 to 63 of a-z 0-9 . _ -, "
                      "starting and ending with a letter or digit)",
                      shown);
            return TERN_ENAME;
        }
        return TERN_OK;
    case KIND_PATH:
        if (!*value) {
            snprintf (reason, reason_size, "a path cannot be empty");
            return TERN_EINVAL;
        }
        return TERN_OK;
    case KIND_ENDPOINT:
        if (!trn_endpoint_valid (value, strlen (value))) {
            snprintf (reason, reason_size,
                      "\"%s\" is not an endpoint (tcp://HOST:PORT or "
                      "ipc://PATH)",
                      shown);
            return TERN_EINVAL;
        }
        return TERN_OK;
    case KIND_DIRECTORY:
        if (!s_directory_valid (value)) {
            snprintf (reason, reason_size,
                      "\"%s\" is not \"local\" or up to %d endpoints by "
                      "commas (tcp://HOST:PORT)",
                      shown, TRN_ENDPOINTS_MAX);
            return TERN_EINVAL;
        }
        return TERN_OK;
    case KIND_NUMBER:
        if (!s_parse_number (value, &number) || number < setting->least
            || number > setting->most) {
            snprintf (reason, reason_size,
                      "\"%s\" is not a number from %llu to %llu", shown,
                      (unsigned long long) setting->least,
                      (unsigned long long) setting->most);
            return TERN_EINVAL;
        }
        return TERN_OK;
    case KIND_AT_LIMIT:
        if (strcmp (value, "block") && strcmp (value, "refuse")
            && strcmp (value, "drop_oldest")) {
            snprintf (reason, reason_size,
                      "\"%s\" is not block, refuse or drop_oldest", shown);
            return TERN_EINVAL;
        }
        return TERN_OK;
    case KIND_BACKOFF:
        if (!s_parse_backoff (value, &policy)) {
            snprintf (reason, reason_size,
                      "\"%s\" is not fixed, exponential, or up to %d numbers "
                      "of milliseconds by commas",
                      shown, TRN_PAUSES_MAX);
            return TERN_EINVAL;
        }
        return TERN_OK;
    case KIND_EXPIRED:
        if (strcmp (value, "dead") && strcmp (value, "drop")) {
            snprintf (reason, reason_size, "\"%s\" is not dead or drop", shown);
            return TERN_EINVAL;
        }
        return TERN_OK;
    case KIND_YES_NO:
        if (strcmp (value, "yes") && strcmp (value, "no")) {
            snprintf (reason, reason_size, "\"%s\" is not yes or no", shown);
            return TERN_EINVAL;
        }
        return TERN_OK;
    default: assert (false); return TERN_EINVAL;
    }
}

int
tern_config_set (tern_config_t *self, const char *key, const char *value,
                 char *why, size_t why_size)
{
    assert (self && key && value);
    char reason[TRN_ESCAPED_MAX + 128] = "";
    int rc = TERN_OK;
    const s_setting_t *setting = NULL;
    char **slot = s_slot (self, key, true, &setting);
    if (!slot) {
        snprintf (reason, sizeof reason, "there is no such setting");
        rc = TERN_EINVAL;
    } else if (strlen (value) > VALUE_MAX) {
        snprintf (reason, sizeof reason, "longer than %d bytes", VALUE_MAX);
        rc = TERN_ETOOBIG;
    } else {
        rc = s_check (setting, value, reason, sizeof reason);
    }
    if (rc != TERN_OK) {
        if (why && why_size) {
            char shown[TRN_ESCAPED_MAX];
            snprintf (why, why_size, "%s: %s",
                      trn_escape (shown, key, strlen (key)), reason);
        }
        return rc;
    }
    free (*slot);
    *slot = trn_strdup (value);
    return TERN_OK;
}

const char *
tern_config_get (const tern_config_t *self, const char *key)
{
    assert (self && key);
    const s_setting_t *setting = NULL;
    //  Without making anything, this changes nothing.
    char *const *slot
        = s_slot ((tern_config_t *) (uintptr_t) self, key, false, &setting);
    const char *value = slot ? *slot : NULL;
    return value || !setting ? value : setting->initial;
}

uint64_t
trn_config_number (const tern_config_t *self, const char *key)
{
    uint64_t number = 0;
    const char *value = tern_config_get (self, key);
    const bool parsed = value && s_parse_number (value, &number);
    assert (parsed);  //  checked when it was set
    (void) parsed;
    return number;
}

bool
trn_config_is (const tern_config_t *self, const char *key, const char *value)
{
    const char *set = tern_config_get (self, key);
    return set && strcmp (set, value) == 0;
}

//  Of one queue ------------------------------------------------------------

const char *
trn_config_of_queue (const tern_config_t *self, const char *queue,
                     const char *key)
{
    assert (self && queue && key);
    char path[sizeof QUEUE_PREFIX + TRN_NAME_MAX + 32];
    snprintf (path, sizeof path, "%s%s/%s", QUEUE_PREFIX, queue, key);
    const char *value = tern_config_get (self, path);
    return value ? value : tern_config_get (self, key);
}

//  The value of a number that was set, else what it is already.
static uint64_t
s_number_or (const s_queue_t *queue, const char *key, uint64_t other)
{
    const s_setting_t *setting
        = s_find_setting (s_queue_settings, QUEUE_SETTINGS, key);
    const char *value = queue->values[setting - s_queue_settings];
    uint64_t number = other;
    return value && s_parse_number (value, &number) ? number : other;
}

static const char *
s_value (const s_queue_t *queue, const char *key)
{
    const s_setting_t *setting
        = s_find_setting (s_queue_settings, QUEUE_SETTINGS, key);
    return queue->values[setting - s_queue_settings];
}

bool
trn_config_policy (const tern_config_t *self, const char *name,
                   trn_policy_t *policy)
{
    assert (self && name && policy);
    trn_policy_default (policy);
    const s_queue_t *queue = s_find_queue (self, name);
    bool any = false;
    for (size_t index = 0; queue && index < QUEUE_SETTINGS; index++) {
        const char *key = s_queue_settings[index].key;
        any = any || (queue->values[index] && !strstr (key, "limit"));
    }
    if (!any) {
        return false;
    }
    policy->max_deliveries = (uint32_t) s_number_or (queue, "max_deliveries",
                                                     policy->max_deliveries);
    policy->pause_min_ms = (uint32_t) s_number_or (queue, "backoff_min_ms",
                                                   policy->pause_min_ms);
    policy->pause_max_ms = (uint32_t) s_number_or (queue, "backoff_max_ms",
                                                   policy->pause_max_ms);
    policy->ttl_ms = s_number_or (queue, "ttl_ms", policy->ttl_ms);
    const char *backoff = s_value (queue, "backoff");
    if (backoff) {
        const bool parsed = s_parse_backoff (backoff, policy);
        assert (parsed);  //  checked when it was set
        (void) parsed;
    }
    const char *expired = s_value (queue, "expired");
    policy->drop_expired = expired && strcmp (expired, "drop") == 0;
    const char *single = s_value (queue, "single");
    policy->single = single && strcmp (single, "yes") == 0;
    if (policy->pause_max_ms < policy->pause_min_ms) {
        policy->pause_max_ms = policy->pause_min_ms;
    }
    return true;
}

//  Read a whole small file.  The caller frees *text_p.
static int
s_read_file (const char *path, char **text_p, size_t *size_p)
{
    FILE *file = fopen (path, "re");
    if (!file) {
        return TERN_ENOENT;
    }
    struct stat status;
    if (fstat (fileno (file), &status) != 0 || !S_ISREG (status.st_mode)) {
        fclose (file);
        return TERN_ENOENT;
    }
    if (status.st_size > FILE_MAX) {
        fclose (file);
        return TERN_ETOOBIG;
    }
    char *text = trn_alloc (FILE_MAX + 1);
    const size_t size = fread (text, 1, FILE_MAX, file);
    const bool failed = ferror (file) != 0;
    fclose (file);
    if (failed) {
        free (text);
        return TERN_ENOENT;
    }
    *text_p = text;
    *size_p = size;
    return TERN_OK;
}

int
tern_config_load (tern_config_t *self, const char *path, char *why,
                  size_t why_size)
{
    assert (self && path);
    char *text = NULL;
    size_t size = 0;
    int rc = s_read_file (path, &text, &size);
    if (rc != TERN_OK) {
        if (why && why_size) {
            snprintf (why, why_size, "%s: %s", path,
                      rc == TERN_ETOOBIG ? "over 1 MiB, not a configuration"
                                         : "cannot be read");
        }
        return rc;
    }
    rc = trn_config_parse (self, path, text, size, why, why_size);
    free (text);
    return rc;
}

//  Set what a section (or NULL) holds; prefix makes its names keys.
static int
s_load_section (tern_config_t *self, const char *path, zconfig_t *section,
                const char *prefix, char *why, size_t why_size)
{
    int rc = TERN_OK;
    zconfig_t *item = section ? zconfig_child (section) : NULL;
    while (item && rc == TERN_OK) {
        char reason[TRN_ESCAPED_MAX + 256];
        char key[sizeof QUEUE_PREFIX + 256 + 256];
        const char *name = zconfig_name (item);
        const char *value = zconfig_value (item);
        snprintf (key, sizeof key, "%s%.255s", prefix, name ? name : "");
        rc = tern_config_set (self, key, value ? value : "", reason,
                              sizeof reason);
        if (rc != TERN_OK && why && why_size) {
            snprintf (why, why_size, "%s: %s", path, reason);
        }
        item = zconfig_next (item);
    }
    return rc;
}

int
trn_config_parse (tern_config_t *self, const char *path, const char *text,
                  size_t size, char *why, size_t why_size)
{
    assert (self && path && text);
    if (memchr (text, 0, size)) {
        if (why && why_size) {
            snprintf (why, why_size, "%s: not a text file", path);
        }
        return TERN_EINVAL;
    }
    zconfig_t *root = zconfig_str_load (text);
    if (!root) {
        if (why && why_size) {
            snprintf (why, why_size, "%s: not a ZPL file", path);
        }
        return TERN_EINVAL;
    }
    int rc = s_load_section (self, path, zconfig_locate (root, "tern"), "", why,
                             why_size);
    zconfig_t *queues = zconfig_locate (root, "queue");
    zconfig_t *queue = queues ? zconfig_child (queues) : NULL;
    while (queue && rc == TERN_OK) {
        char prefix[sizeof QUEUE_PREFIX + 256];
        snprintf (prefix, sizeof prefix, "%s%.255s/", QUEUE_PREFIX,
                  zconfig_name (queue));
        rc = s_load_section (self, path, queue, prefix, why, why_size);
        queue = zconfig_next (queue);
    }
    zconfig_destroy (&root);
    return rc;
}

int
tern_config_environment (tern_config_t *self, char *why, size_t why_size)
{
    assert (self);
    const char *path = getenv ("TERN_CONFIG");
    if (path && *path) {
        const int rc = tern_config_load (self, path, why, why_size);
        if (rc != TERN_OK) {
            return rc;
        }
    }
    static const char *const names[][2] = {
        {"TERN_NAME", "name"},
        {"TERN_DATA", "data"},
        {"TERN_DIRECTORY", "directory"},
    };
    for (size_t index = 0; index < 3; index++) {
        const char *value = getenv (names[index][0]);
        if (value && *value) {
            const int rc
                = tern_config_set (self, names[index][1], value, why, why_size);
            if (rc != TERN_OK) {
                return rc;
            }
        }
    }
    return TERN_OK;
}
