#include "cli.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/span.h"

#define CHUNK ((size_t)16 * 1024)

/* Back to the first column, and clear to the end of the line (ECMA-48 EL). */
#define CLEAR_LINE "\r\033[K"

#define SEE_HELP " (see: bootstrap --help)"

static const char HELP[] =
    "ec2sweep: questions about EC2, answered from every region at once.\n"
    "\n"
    "usage: bootstrap --question NAME [option]...\n"
    "                                 ask, and print the answer\n"
    "       bootstrap --event FILE    answer one event, on standard output\n"
    "       bootstrap --event -       the same, read from standard input\n"
    "       bootstrap --help | --version\n"
    "       bootstrap                 run in AWS Lambda (provided.al2023)\n"
    "\n"
    "questions, and what they take:\n"
    "  count_instances           regions, states\n"
    "  instances_without_tag     regions, states, tag, after\n"
    "  exposed_instances         regions, states, port, after: open to the "
    "whole\n"
    "                            internet\n"
    "  summarize_instances       regions, states: totals over all regions\n"
    "  find_instances            query, regions, after\n"
    "\n"
    "options of --question:\n"
    "  --regions LIST            a comma list of regions or patterns (us-*), "
    "with\n"
    "                            ! before those to leave out; all: every one "
    "(the\n"
    "                            default)\n"
    "  --states LIST             running,stopped and so on\n"
    "  --tag KEY[=PATTERN]       the tag that is missing (Owner); with a "
    "pattern:\n"
    "                            or has another value, as Owner=*@example.com\n"
    "  --port PORT               only what is open there: 22, 443/tcp, "
    "8000-8080,\n"
    "                            icmp\n"
    "  --query TEXT              an instance's id, name (with *) or IP "
    "address\n"
    "  --after PLACE             go on behind the last row of an answer that "
    "was cut\n"
    "  --format json|table       for programs (the default), or for people\n"
    "\n"
    "  bootstrap --question count_instances --regions 'us-*' --format table\n"
    "\n"
    "An event is what a Bedrock agent or an AgentCore Gateway sends, or "
    "plainly:\n"
    "\n"
    "  echo "
    "'{\"tool\":\"count_instances\",\"arguments\":{\"regions\":\"all\"}}' |\n"
    "    bootstrap --event -\n"
    "\n"
    "It ends with 0 when a region has answered (with --event: when there is "
    "an\n"
    "answer, a refusal too), with 1 when not, and with 2 for an option that "
    "it\n"
    "does not have.\n"
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
    "  AWS_LAMBDA_LOG_LEVEL     TRACE, DEBUG, INFO, WARN (as with --event), "
    "ERROR\n"
    "  NO_COLOR                 set to anything: a table without colours\n"
    "All of them, and what they may be: docs/configuration.md\n";

const char *cli_help_text(void)
{
    return HELP;
}

/* The options that take a value; offset is that of a text in struct values. */
struct values {
    const char *event;
    const char *question;
    const char *regions;
    const char *states;
    const char *tag;
    const char *port;
    const char *query;
    const char *after;
    const char *format;
};

static const struct option {
    const char *name;
    const char *value; /* what is expected */
    size_t offset;
} OPTIONS[] = {
    {"--event", "a file, or - for standard input",
     offsetof(struct values, event)},
    {"--question", "a name, such as count_instances",
     offsetof(struct values, question)},
    {"--regions", "a comma list, or all", offsetof(struct values, regions)},
    {"--states", "a comma list, such as running,stopped",
     offsetof(struct values, states)},
    {"--tag", "a key, such as Owner", offsetof(struct values, tag)},
    {"--port", "a port, such as 22", offsetof(struct values, port)},
    {"--query", "an id, a name or an address", offsetof(struct values, query)},
    {"--after", "the place that an answer gave",
     offsetof(struct values, after)},
    {"--format", "json or table", offsetof(struct values, format)},
};
#define NOPTIONS (sizeof(OPTIONS) / sizeof(OPTIONS[0]))

/* The option that arg is, alone or with "=value". */
static const struct option *find_option(const char *arg)
{
    for (size_t i = 0; i < NOPTIONS; i++) {
        size_t len = strlen(OPTIONS[i].name);

        if (strncmp(arg, OPTIONS[i].name, len) == 0 &&
            (arg[len] == '=' || !arg[len]))
            return &OPTIONS[i];
    }
    return NULL;
}

static const char **value_at(struct values *values, const struct option *option)
{
    return (const char **)(void *)((char *)values + option->offset);
}

/* Takes the option at argv[*i], and its value. */
static enum err_code take_option(int argc, char *const argv[], int *i,
                                 struct values *values, struct err *err)
{
    const char *arg = argv[*i];
    const struct option *option = find_option(arg);
    const char *value = NULL;
    size_t len;

    if (!option)
        return err_set(err, ERR_ARG, "%s \"%.80s\"" SEE_HELP,
                       arg[0] == '-' ? "unknown option" : "unexpected argument",
                       arg);
    len = strlen(option->name);
    if (arg[len])
        value = arg + len + 1;
    else if (*i + 1 < argc)
        value = argv[++*i];
    if (!value || !*value)
        return err_set(err, ERR_ARG, "%s needs %s" SEE_HELP, option->name,
                       option->value);
    if (*value_at(values, option))
        return err_set(err, ERR_ARG, "%s is given twice" SEE_HELP,
                       option->name);
    *value_at(values, option) = value;
    return ERR_OK;
}

/* What only a question takes must not stand without one. */
static enum err_code check_alone(struct values *values, struct err *err)
{
    for (size_t i = 0; i < NOPTIONS; i++)
        if (OPTIONS[i].offset > offsetof(struct values, question) &&
            *value_at(values, &OPTIONS[i]))
            return err_set(err, ERR_ARG, "%s goes with --question" SEE_HELP,
                           OPTIONS[i].name);
    return ERR_OK;
}

static enum err_code make_cli(struct values *values, struct cli *out,
                              struct err *err)
{
    struct cli cli = {
        .event_file = values->event,
        .question = values->question,
        .parameters = {span_of(values->regions), span_of(values->states),
                       span_of(values->tag), span_of(values->port),
                       span_of(values->query), span_of(values->after)},
    };
    struct span format = span_of(values->format);

    if (values->event && values->question)
        return err_set(err, ERR_ARG,
                       "--event and --question exclude each other" SEE_HELP);
    if (!values->question && check_alone(values, err))
        return ERR_ARG;
    if (format.len && !span_eq_str(format, "json") &&
        !span_eq_str(format, "table"))
        return err_set(err, ERR_ARG,
                       "--format=\"%.80s\": expected json or table" SEE_HELP,
                       values->format);
    if (span_eq_str(format, "table"))
        cli.format = CLI_TABLE;
    if (values->event)
        cli.action = CLI_EVENT;
    if (values->question)
        cli.action = CLI_QUESTION;
    *out = cli;
    return ERR_OK;
}

enum err_code cli_parse(int argc, char *const argv[], struct cli *out,
                        struct err *err)
{
    struct values values = {0};

    for (int i = 1; i < argc; i++) {
        enum err_code rc;

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *out = (struct cli){.action = CLI_HELP};
            return ERR_OK;
        }
        if (strcmp(argv[i], "--version") == 0) {
            *out = (struct cli){.action = CLI_VERSION};
            return ERR_OK;
        }
        rc = take_option(argc, argv, &i, &values, err);
        if (rc)
            return rc;
    }
    return make_cli(&values, out, err);
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

enum err_code cli_print(FILE *out, struct span text, struct err *err)
{
    bool is_written;

    errno = 0;
    is_written = !text.len || fwrite(text.p, 1, text.len, out) == text.len;
    if (is_written && (!text.len || text.p[text.len - 1] != '\n'))
        is_written = fputc('\n', out) != EOF;
    if (fflush(out) == 0 && is_written)
        return ERR_OK;
    return err_set(err, ERR_IO, "cannot write standard output: %s",
                   strerror(errno));
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
