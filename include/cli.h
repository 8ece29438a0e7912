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
#include "survey/criteria.h"

enum cli_action {
    CLI_NONE, /* no arguments: as a Lambda runtime, if there is one */
    CLI_EVENT,
    CLI_QUESTION,
    CLI_HELP,
    CLI_VERSION,
};

enum cli_format {
    CLI_JSON,
    CLI_TABLE,
};

/* Texts are borrowed from argv. */
struct cli {
    enum cli_action action;
    const char *event_file; /* for CLI_EVENT; "-": standard input */
    /* for CLI_QUESTION */
    const char *question;
    struct criteria_text parameters; /* as given; empty: not */
    enum cli_format format;
};

/*
 * Reads the arguments; *out is written on success only. ERR_ARG names the
 * argument and says where help is. The first of --help and --version wins over
 * the rest. Whether there is such a question is not looked at.
 */
NODISCARD enum err_code cli_parse(int argc, char *const argv[], struct cli *out,
                                  struct err *err);

/* What --help prints. */
const char *cli_help_text(void);

/* Appends the whole file, "-" for standard input, to *out. ERR_IO with the
 * system's reason; ERR_LIMIT past out->max; ERR_NOMEM. */
NODISCARD enum err_code cli_read_event(const char *file, struct buf *out,
                                       struct err *err);

/* Writes text, and a line feed if it does not end in one, and flushes. ERR_IO
 * with the system's reason: not all of it could be written. */
NODISCARD enum err_code cli_print(FILE *out, struct span text, struct err *err);

/* Writes or overwrites the progress line, for a terminal; takes it away. */
void cli_progress(FILE *terminal, size_t ended, size_t asked, uint64_t retries);
void cli_progress_clear(FILE *terminal);

#endif
