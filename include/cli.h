/*
 * cli.h - the program as a command: its arguments, its event file, its
 * progress line. Prints nothing by itself but the progress line, and decides
 * nothing: what an action does is bootstrap.c's.
 */
#ifndef CLI_H
#define CLI_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

enum cli_action {
    CLI_NONE, /* no arguments: as a Lambda runtime, if there is one */
    CLI_EVENT,
    CLI_HELP,
    CLI_VERSION,
};

struct cli {
    enum cli_action action;
    const char *event_file; /* for CLI_EVENT; "-": standard input */
};

/* Reads the arguments; *out borrows from argv. ERR_ARG names the argument and
 * says where help is. The first of --help and --version wins over the rest. */
NODISCARD enum err_code cli_parse(int argc, char *const argv[], struct cli *out,
                                  struct err *err);

/* What --help prints. */
const char *cli_help_text(void);

/* Appends the whole file, "-" for standard input, to *out. ERR_IO with the
 * system's reason; ERR_LIMIT past out->max; ERR_NOMEM. */
NODISCARD enum err_code cli_read_event(const char *file, struct buf *out,
                                       struct err *err);

/* Writes or overwrites the progress line, for a terminal; takes it away. */
void cli_progress(FILE *terminal, size_t ended, size_t asked, uint64_t retries);
void cli_progress_clear(FILE *terminal);

#endif
