//  cli/purge.c - tern outbox purge: drop what waits in an outbox
//
//  Only the owner of a store may change it.  So it is opened as its owner would,
//  under its lock, and left alone while somebody else has it open.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/purge.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/seat.h"
#include "cli/stop.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

//  What a consumer has in hand is left to it; so long we wait for its word.
#define LINGER_MS 2000

//  Is there such an outbox?  What cannot be read is for whoever opens it.

static bool
s_has_outbox (const char *path, const char *queue)
{
    tern_store_t *store = NULL;
    if (tern_store_open (&store, path, NULL, 0)) {
        return true;
    }
    bool has = false;
    const char *name;
    for (size_t index = 0; (name = tern_store_outbox_at (store, index));
         index++) {
        has = has || strcmp (name, queue) == 0;
    }
    tern_store_close (&store);
    return has;
}

static void
s_report (const cli_common_t *common, const char *path, const char *queue,
          uint64_t dropped)
{
    cli_text_t text;
    if (!common->json) {
        printf ("%s: %s: %s dropped\n", path, queue,
                cli_format_count (&text, dropped));
        return;
    }
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '{');
    cli_json_text (&json, "store", path);
    cli_json_text (&json, "queue", queue);
    cli_json_count (&json, "dropped", dropped);
    cli_json_close (&json);
    cli_output_end (&output);
}

static int
s_purge_one (const cli_common_t *common, const char *path, const char *queue)
{
    tern_peer_t *peer = NULL;
    tern_producer_t *producer = NULL;
    uint64_t dropped = 0;
    char why[256] = "";
    int code = cli_seat_adopt (&peer, common, path);
    if (code == CLI_IN_USE) {
        return cli_fail (CLI_IN_USE,
                         "%s: in use; its owner alone can purge it, or stop "
                         "that process",
                         path);
    }
    if (code != CLI_DONE) {
        return code;
    }
    int rc = tern_producer_open (&producer, peer, queue, why, sizeof why);
    if (rc == TERN_OK) {
        rc = tern_producer_purge (producer, NULL, &dropped);
    }
    if (rc) {
        code = cli_fail_tern (rc, queue, why);
    } else {
        s_report (common, path, queue, dropped);
    }
    tern_producer_close (&producer);
    tern_peer_close (&peer, LINGER_MS);
    return code;
}

int
cli_purge (const cli_common_t *common, const cli_stores_t *stores,
           const char *queue)
{
    size_t found = 0;
    int worst = CLI_DONE;
    if (*queue == '#') {
        return cli_fail (CLI_USAGE,
                         "%s: the outbox of an exchange; unbind its queues",
                         queue);
    }
    for (size_t index = 0; index < stores->count && !cli_stop_asked ();
         index++) {
        if (s_has_outbox (stores->paths[index], queue)) {
            const int code = s_purge_one (common, stores->paths[index], queue);
            worst = code > worst ? code : worst;
            found++;
        }
    }
    return found > 0 ? worst
                     : cli_fail (CLI_FAILED, "%s: no such outbox", queue);
}
