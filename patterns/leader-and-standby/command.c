//  command.c - commands 1 to N for whoever leads
//
//      command FROM TO
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <stdlib.h>

int
main (int argc, char **argv)
{
    const long from = argc > 2 ? strtol (argv[1], NULL, 10) : 1;
    const long to = argc > 2 ? strtol (argv[2], NULL, 10) : 10;
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_producer_t *commands = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open (&commands, peer, "commands", why, sizeof why);
    }
    tern_config_destroy (&config);
    if (!rc) {
        //  Whoever consumes, one gets them: the first by name.
        tern_policy_t policy;
        tern_policy_default (&policy);
        policy.single = true;
        rc = tern_producer_set_policy (commands, &policy);
    }
    uint64_t last = 0;
    for (long number = from; number <= to && !rc; number++) {
        char body[32];
        const int size = snprintf (body, sizeof body, "%ld", number);
        rc = tern_producer_send (commands, body, (size_t) size, -1, &last);
    }
    if (!rc) {
        rc = tern_producer_wait (commands, last, TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "command: %s\n", why[0] ? why : tern_strerror (rc));
    }
    tern_producer_close (&commands);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
