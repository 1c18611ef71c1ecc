//  logs.h - lessons 3 to 5: which exchange
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef LOGS_H
#define LOGS_H

#include <tern.h>

#include <stdio.h>
#include <string.h>

//  "topic" is the exchange logs-topic of that type.  0, or -1 for another word.
static inline int
logs_exchange (const char *word, char exchange[64], tern_exchange_type_t *type)
{
    *type = strcmp (word, "fanout") == 0   ? TERN_FANOUT
            : strcmp (word, "direct") == 0 ? TERN_DIRECT
                                           : TERN_TOPIC;
    snprintf (exchange, 64, "logs-%.40s", word);
    return *type == TERN_TOPIC && strcmp (word, "topic") != 0 ? -1 : 0;
}

#endif
