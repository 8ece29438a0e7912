#include "cli.h"

#include <errno.h>
#include <string.h>

#include "base/span.h"

#define CHUNK ((size_t)16 * 1024)

/* Back to the first column, and clear to the end of the line (ECMA-48 EL). */
#define CLEAR_LINE "\r\033[K"

#define SEE_HELP " (see: bootstrap --help)"

static const char HELP[] =
    "ec2sweep: questions about EC2, answered from every region at once.\n"
    "\n"
    "usage: bootstrap --event FILE    answer one event, on standard output\n"
    "       bootstrap --event -       the same, read from standard input\n"
    "       bootstrap --help | --version\n"
    "       bootstrap                 run in AWS Lambda (provided.al2023)\n"
    "\n"
    "An event is what an Amazon Bedrock agent sends to its action group:\n"
    "\n"
    "  echo '{\"actionGroup\":\"ec2\",\"apiPath\":\"/count/{regions}\",\n"
    "         \"parameters\":[{\"name\":\"regions\",\"value\":\"all\"}]}' |\n"
    "    bootstrap --event -\n"
    "\n"
    "apiPath is the question; regions is a comma list, or \"all\":\n"
    "  /count/{regions}                  instances, in all and running\n"
    "  /check-without-owner/{regions}    instances without a tag Owner\n"
    "  /check-open-permission/{regions}  instances open to the whole internet\n"
    "\n"
    "variables:\n"
    "  AWS_REGION               where to ask for the list of regions (needed)\n"
    "  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN\n"
    "                           credentials; from a profile:\n"
    "                eval \"$(aws configure export-credentials --format "
    "env)\"\n"
    "  REGIONS                  a comma list: never ask other regions\n"
    "  REGION_TIMEOUT_MS        give a silent region up after this (8000)\n"
    "  AWS_ENDPOINT_URL_EC2     another endpoint; may hold {region}\n"
    "  AWS_CA_BUNDLE            PEM file of the roots to trust instead\n"
    "  AWS_LAMBDA_LOG_LEVEL     TRACE, DEBUG, INFO, WARN (default), ERROR\n"
    "All of them, and what they may be: docs/configuration.md\n";

const char *cli_help_text(void)
{
    return HELP;
}

/* The value of --event=VALUE or --event VALUE at argv[*i], or NULL. */
static const char *event_value(int argc, char *const argv[], int *i)
{
    static const char OPTION[] = "--event";
    const char *arg = argv[*i];

    if (arg[sizeof(OPTION) - 1] == '=')
        return arg + sizeof(OPTION);
    if (*i + 1 >= argc)
        return NULL;
    (*i)++;
    return argv[*i];
}

static enum err_code set_event(const char *file, struct cli *out,
                               struct err *err)
{
    if (!file || !*file)
        return err_set(
            err, ERR_ARG,
            "--event needs a file, or - for standard input" SEE_HELP);
    if (out->action == CLI_EVENT)
        return err_set(err, ERR_ARG, "--event is given twice" SEE_HELP);
    out->action = CLI_EVENT;
    out->event_file = file;
    return ERR_OK;
}

enum err_code cli_parse(int argc, char *const argv[], struct cli *out,
                        struct err *err)
{
    *out = (struct cli){0};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        enum err_code rc = ERR_OK;

        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            *out = (struct cli){.action = CLI_HELP};
            return ERR_OK;
        }
        if (strcmp(arg, "--version") == 0) {
            *out = (struct cli){.action = CLI_VERSION};
            return ERR_OK;
        }
        if (strcmp(arg, "--event") == 0 ||
            span_starts_with(span_of(arg), "--event="))
            rc = set_event(event_value(argc, argv, &i), out, err);
        else
            rc = err_set(
                err, ERR_ARG, "%s \"%.80s\"" SEE_HELP,
                arg[0] == '-' ? "unknown option" : "unexpected argument", arg);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

enum err_code cli_read_event(const char *file, struct buf *out, struct err *err)
{
    bool is_stdin = strcmp(file, "-") == 0;
    const char *name = is_stdin ? "standard input" : file;
    FILE *in = is_stdin ? stdin : fopen(file, "rbe");
    char chunk[CHUNK];
    size_t len;
    enum err_code rc = ERR_OK;

    if (!in)
        return err_set(err, ERR_IO, "cannot read %.160s: %s", name,
                       strerror(errno));
    do {
        errno = 0;
        len = fread(chunk, 1, sizeof(chunk), in);
        buf_add(out, chunk, len);
    } while (len == sizeof(chunk) && !out->failed);
    if (ferror(in))
        rc = err_set(err, ERR_IO, "cannot read %.160s: %s", name,
                     strerror(errno));
    if (!rc)
        rc = buf_check(out, name, err);
    if (!is_stdin)
        (void)fclose(in);
    return rc;
}

void cli_progress(FILE *terminal, size_t ended, size_t asked, uint64_t retries)
{
    (void)fprintf(terminal, CLEAR_LINE "%zu of %zu regions", ended, asked);
    if (retries)
        (void)fprintf(terminal, ", %llu %s", (unsigned long long)retries,
                      retries == 1 ? "retry" : "retries");
    (void)fflush(terminal);
}

void cli_progress_clear(FILE *terminal)
{
    (void)fputs(CLEAR_LINE, terminal);
    (void)fflush(terminal);
}
