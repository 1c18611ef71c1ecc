//  account.c - the steps of many accounts, each account's in order
//
//      account ACCOUNTS STEPS
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <stdlib.h>

static int
s_send_step (tern_producer_t *steps, long account, long step, uint64_t *seq_p)
{
    char key[32];
    char body[64];
    snprintf (key, sizeof key, "account-%ld", account);
    const int size = snprintf (body, sizeof body, "%s %ld", key, step);
    tern_msg_t *msg = tern_msg_new (body, (size_t) size);
    int rc = tern_msg_set_order_key (msg, key);
    if (!rc) {
        rc = tern_producer_send_msg (steps, msg, -1, seq_p);
    }
    tern_msg_destroy (&msg);
    return rc;
}

int
main (int argc, char **argv)
{
    const long accounts = argc > 1 ? strtol (argv[1], NULL, 10) : 10;
    const long count = argc > 2 ? strtol (argv[2], NULL, 10) : 10;
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_producer_t *steps = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open (&steps, peer, "steps", why, sizeof why);
    }
    tern_config_destroy (&config);
    uint64_t last = 0;
    for (long step = 1; step <= count && !rc; step++) {
        for (long account = 1; account <= accounts && !rc; account++) {
            rc = s_send_step (steps, account, step, &last);
        }
    }
    if (!rc) {
        rc = tern_producer_wait (steps, last, TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "account: %s\n", why[0] ? why : tern_strerror (rc));
    }
    tern_producer_close (&steps);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
