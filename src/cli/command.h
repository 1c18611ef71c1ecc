//  cli/command.h - the commands of tern(1), and what each is called with
//
//  A command gets its own arguments (argv[0] is its name) and returns the exit
//  code of the process.  It prints results on stdout and everything else
//  through cli/say.h.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

typedef int
cli_command_fn (int argc, char **argv);

cli_command_fn cli_send;
cli_command_fn cli_recv;
cli_command_fn cli_request;
cli_command_fn cli_serve;
cli_command_fn cli_drain;
cli_command_fn cli_peers;
cli_command_fn cli_queues;
cli_command_fn cli_stats;
cli_command_fn cli_outbox;
cli_command_fn cli_dead;
cli_command_fn cli_bind;
cli_command_fn cli_unbind;
cli_command_fn cli_exchanges;
cli_command_fn cli_trace;
cli_command_fn cli_bench;

//  A process that cli_bench () starts from its own program file.
cli_command_fn cli_bench_worker;

//  How cli_bench () asks for it: not a name a user can have meant.
#define CLI_BENCH_WORKER ".bench-worker"

#endif
