//  cli/options.h - the command line as a table
//
//  A command describes its options once; parsing, range checks and --help come
//  from that table, so they cannot disagree.  Options may stand anywhere before
//  "--"; a long one is "--name VALUE" or "--name=VALUE" and is never
//  abbreviated, so that a script written today keeps its meaning.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <tern.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Values of an option that may be given several times.
#define CLI_LIST_MAX 64

typedef struct {
    const char *items[CLI_LIST_MAX];
    size_t count;
} cli_list_t;

typedef enum {
    CLI_FLAG,    //  bool
    CLI_TEXT,    //  const char *
    CLI_NUMBER,  //  uint64_t, least..most
    CLI_MANY     //  cli_list_t
} cli_kind_t;

typedef struct {
    const char *name;  //  without the dashes
    char letter;       //  short form, or 0
    cli_kind_t kind;
    void *value;           //  where it goes; keeps its default if not given
    const char *metavar;   //  "MS"; NULL for flags
    const char *help;      //  a few words
    uint64_t least, most;  //  CLI_NUMBER
} cli_option_t;

//  What every command understands.
typedef struct {
    const char *name;
    const char *data;
    const char *directory;
    const char *config;
    bool json;
    bool quiet;
    bool verbose;
    unsigned verbosity;  //  how often -v was given
} cli_common_t;

typedef struct {
    const char *name;      //  "send"
    const char *synopsis;  //  "QUEUE [TEXT...]"
    const char *summary;   //  "publish messages to a queue"
    const char *text;      //  a paragraph for --help, or NULL
    const cli_option_t *options;
    size_t option_count;
    size_t operands_min, operands_max;
    const char *missing;  //  "name the queue", if below the minimum
} cli_usage_t;

//  Parse.  Returns CLI_PARSED and leaves the operands in argv[1..*operands_p],
//  or the exit code: help was printed, or one line was said.
#define CLI_PARSED (-1)

int
cli_parse (const cli_usage_t *usage, cli_common_t *common, int argc,
           char **argv, size_t *operands_p);

//  A decimal number within a range: false if it is anything else.
bool
cli_number (const char *text, uint64_t least, uint64_t most,
            uint64_t *number_p);

//  A new configuration from file, environment and command line, in rising
//  precedence.  CLI_DONE, or the exit code with one line said.  The caller owns
//  *config_p.
int
cli_config (tern_config_t **config_p, const cli_common_t *common);

#endif
