/*
 * bootstrap.c - the program: builds its parts, then answers events, one after
 * another as a Lambda runtime, or a single one as a command.
 */
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "answer.h"
#include "aws/client.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli.h"
#include "config.h"
#include "lambda/counters.h"
#include "lambda/event.h"
#include "lambda/handler.h"
#include "lambda/runtime.h"
#include "net/http.h"
#include "survey/ahead.h"
#include "survey/atlas.h"

#ifndef EC2SWEEP_VERSION
#define EC2SWEEP_VERSION "0.0.0"
#endif
#define USER_AGENT "ec2sweep/" EC2SWEEP_VERSION
#define VERSION_LINE "ec2sweep " EC2SWEEP_VERSION

/* Exit codes of the command, as usual: failure, and wrong usage. */
#define EXIT_USAGE 2

/* Connections kept: four to each region, of which there are about 35, and room
 * for lanes that have more hosts than others (net/http.h). */
#define MAX_CONNECTIONS 256
/* A command has no caller with a clock; this is its deadline. */
#define COMMAND_TIMEOUT_MS 120000
/* Nobody pays for its waiting, and the account's own list is worth it. */
#define COMMAND_LIST_WAIT_MS 20000
/* Its answer is not bound by Lambda's limit, only by reason. */
#define COMMAND_ANSWER_MAX ((size_t)512 * 1024 * 1024)
/* Bytes of findings kept in one region: more hardly fits an answer. */
#define ROWS_MAX ((size_t)64 * 1024 * 1024)
/* A function keeps what fills its answer more than once, since "after" gets to
 * the rest: what is kept of a row is hardly longer than its text there. */
#define ROWS_PER_BUDGET 4
/* Bytes of free memory kept at the end of the heap, and of the least block that
 * does not come from there: setting one of them stops both from adapting. */
#define FREE_MEMORY_MAX (1024 * 1024)

/* What lives as long as the process. */
struct parts {
    struct config config;
    struct http *http;
    struct aws_client *client;
    struct atlas *atlas;
    struct ahead *ahead;
    struct handler handler;
};

static void parts_free(struct parts *parts)
{
    ahead_free(parts->ahead);
    atlas_free(parts->atlas);
    aws_client_free(parts->client);
    http_free(parts->http);
}

static enum err_code make_http(struct parts *parts, struct err *err)
{
    const struct http_options options = {
        .clock = &CLOCK_SYSTEM,
        .ca_bundle = parts->config.ca_bundle,
        .proxy = parts->config.proxy,
        .no_proxy = parts->config.no_proxy,
        .user_agent = USER_AGENT,
        .max_connections = MAX_CONNECTIONS,
    };

    return http_new(&options, &parts->http, err);
}

static enum err_code make_client(struct parts *parts, struct err *err)
{
    const struct aws_client_options options = {
        .http = parts->http,
        .clock = &CLOCK_SYSTEM,
        .lookup = config_lookup,
        .endpoint = parts->config.endpoint,
        .max_attempts = parts->config.max_attempts,
        .no_progress_ms = parts->config.region_timeout_ms,
    };
    struct aws_region *home;
    enum err_code rc = aws_client_new(&options, &parts->client, err);

    /* Asking for the home region shows now whether the endpoint is usable. */
    if (!rc)
        rc = aws_client_region(parts->client,
                               span_of(parts->config.home_region), &home, err);
    return rc;
}

static enum err_code make_atlas(struct parts *parts, struct err *err)
{
    const struct atlas_options options = {
        .client = parts->client,
        .home_region = parts->config.home_region,
        .configured = parts->config.regions,
        .allowed = parts->config.regions_allowed,
    };

    return atlas_new(&options, &parts->atlas, err);
}

/* What an answer of a function may take. */
static size_t function_budget(const struct config *config)
{
    return config->response_budget ? config->response_budget
                                   : CONFIG_RESPONSE_BUDGET;
}

static size_t function_rows_max(const struct config *config)
{
    size_t max = ROWS_PER_BUDGET * function_budget(config);

    return max < ROWS_MAX ? max : ROWS_MAX;
}

static enum err_code make_ahead(struct parts *parts, struct err *err)
{
    const struct ahead_options options = {
        .client = parts->client,
        .atlas = parts->atlas,
        .limits = {.pending_max = parts->config.exposure_pending_max,
                   .rows_max = function_rows_max(&parts->config)},
        .criteria = parts->config.criteria,
        .include_managed = parts->config.include_managed,
        .max_age_ms = parts->config.speculation_max_age_ms,
    };

    return ahead_new(&options, &parts->ahead, err);
}

static void set_up_log(const struct config *config)
{
    const struct log_options options = {
        .out = stderr,
        .clock = &CLOCK_SYSTEM,
        .min = config->log_level,
        .json = config->log_json,
    };

    log_setup(&options);
}

/* Everything but network: settings and parts. */
static enum err_code parts_make(struct parts *parts, struct err *err)
{
    enum err_code rc = config_load(&parts->config, err);

    if (!rc)
        set_up_log(&parts->config);
    if (!rc)
        rc = make_http(parts, err);
    if (!rc)
        rc = make_client(parts, err);
    if (!rc)
        rc = make_atlas(parts, err);
    if (!rc)
        rc = make_ahead(parts, err);
    if (rc)
        return rc;
    parts->handler = (struct handler){
        .client = parts->client,
        .atlas = parts->atlas,
        .ahead = parts->ahead,
        .answer_margin_ms = parts->config.answer_margin_ms,
        .limits = {.pending_max = parts->config.exposure_pending_max,
                   .rows_max = ROWS_MAX,
                   .by_group_min = parts->config.exposure_by_group_min},
        .criteria = parts->config.criteria,
        .include_managed = parts->config.include_managed,
        .nparallel = parts->config.pages_parallel ? SWEEP_PARALLEL : 0,
        .answer_max = EVENT_SIZE_MAX,
        .budget = parts->config.response_budget,
        .always_object = parts->config.always_object,
        .function_name = parts->config.function_name,
        .raw_body = parts->config.raw_body,
        .debug = parts->config.debug,
    };
    return ERR_OK;
}

/* Learns the account's regions. */
static enum err_code look_around(struct parts *parts, int64_t until,
                                 struct err *err)
{
    struct ec2_stats stats = {0};
    enum err_code rc;

    atlas_refresh(parts->atlas, &stats, until);
    rc = http_run(parts->http, until, atlas_is_settled(parts->atlas), err);
    if (!*atlas_is_settled(parts->atlas))
        log_write(LOG_WARN,
                  "DescribeRegions took longer than half of INIT_BUDGET_MS, "
                  "using the built-in region list for now",
                  NULL);
    /* Which of the two noticed that the time was over is chance. */
    if (clock_mono_ms(&CLOCK_SYSTEM) >= until)
        atlas_ask_again(parts->atlas);
    atlas_cancel_refresh(parts->atlas);
    return rc;
}

/*
 * All that an event will need, while INIT has a whole CPU: credentials, the
 * list of regions, connections, and what was asked ahead. A home region that
 * is slow leaves half of the time to the others.
 */
static enum err_code initialise(struct parts *parts, struct err *err)
{
    int64_t budget_ms = parts->config.init_budget_ms;
    int64_t began_ms = clock_mono_ms(&CLOCK_SYSTEM);
    enum err_code rc;

    if (budget_ms == 0)
        return ERR_OK;
    rc = aws_client_load_credentials(parts->client, began_ms + budget_ms, err);
    if (!rc)
        rc = look_around(parts, began_ms + budget_ms / 2, err);
    if (!rc)
        rc = ahead_run(parts->ahead, began_ms + budget_ms, err);
    return rc;
}

static void show_progress(void *arg, size_t ended, size_t asked,
                          const struct ec2_stats *stats)
{
    FILE *terminal = arg;

    if (ended < asked)
        cli_progress(terminal, ended, asked, stats->retries);
    else
        cli_progress_clear(terminal);
}

static int complain(const struct err *err)
{
    (void)fprintf(stderr, "bootstrap: %s\n", err_text(err));
    return EXIT_FAILURE;
}

/* The event that a command answers: a file's, or one made of its options. */
static enum err_code make_event(const struct cli *cli, struct buf *event,
                                struct err *err)
{
    if (cli->action == CLI_EVENT)
        return cli_read_event(cli->event_file, event, err);
    return event_write(span_of(cli->question), &cli->parameters, event, err);
}

/* Colours are for a terminal, and not for everyone (no-color.org). */
static bool wants_colours(void)
{
    return isatty(STDOUT_FILENO) && !config_lookup("NO_COLOR") &&
           !span_eq_str(span_of(config_lookup("TERM")), "dumb");
}

static enum err_code print_answer(const struct answer *answer,
                                  const struct cli *cli, struct span json,
                                  struct err *err)
{
    struct buf table = BUF_INIT(COMMAND_ANSWER_MAX);
    enum err_code rc;

    if (cli->format == CLI_JSON)
        return cli_print(stdout, json, err);
    /* For the width of characters. */
    (void)setlocale(LC_CTYPE, "");
    rc = answer_write_table(answer, wants_colours(), &table, err);
    if (!rc)
        rc = cli_print(stdout, buf_span(&table), err);
    buf_release(&table);
    return rc;
}

/* Why an answer is none for a command, on standard error; true when it is. */
static bool complain_of(const struct answer *answer)
{
    struct span error;
    struct span hint;

    if (answer_is_refusal(answer, &error, &hint))
        (void)fprintf(stderr, "bootstrap: %.*s; %.*s\n", SPAN_ARG(error),
                      SPAN_ARG(hint));
    else if (!answer_has_regions(answer))
        (void)fputs("bootstrap: no region has answered\n", stderr);
    else
        return false;
    return true;
}

/* Shows the answer to a question: a refusal is an error of the command. */
static int show_answer(const struct cli *cli, struct span json)
{
    struct answer answer = {0};
    struct span error;
    struct span hint;
    struct err err = {0};
    int status = EXIT_SUCCESS;
    enum err_code rc = answer_read(json, &answer, &err);

    if (!rc && !answer_is_refusal(&answer, &error, &hint))
        rc = print_answer(&answer, cli, json, &err);
    if (rc)
        status = complain(&err);
    else if (complain_of(&answer))
        status = EXIT_FAILURE;
    answer_release(&answer);
    return status;
}

/* Answers one event, or one question, on standard output. */
static int run_command(struct parts *parts, const struct cli *cli)
{
    struct buf event = BUF_INIT(EVENT_SIZE_MAX);
    struct buf answer = BUF_INIT(COMMAND_ANSWER_MAX);
    struct err err = {0};
    int status = EXIT_SUCCESS;
    int64_t deadline_ms;
    enum err_code rc = make_event(cli, &event, &err);

    deadline_ms = clock_mono_ms(&CLOCK_SYSTEM) + COMMAND_TIMEOUT_MS;
    parts->handler.list_wait_ms = COMMAND_LIST_WAIT_MS;
    parts->handler.answer_max = COMMAND_ANSWER_MAX;
    if (isatty(STDERR_FILENO)) {
        parts->handler.on_progress = show_progress;
        parts->handler.arg = stderr;
    }
    /* For a person that is the end; in an envelope it is an answer. */
    if (!rc)
        rc = aws_client_load_credentials(parts->client, deadline_ms, &err);
    if (!rc)
        rc = handler_answer(&parts->handler,
                            &(struct handler_event){
                                .source.json = buf_span(&event),
                                .deadline_ms = deadline_ms,
                            },
                            &answer, &err);
    if (!rc && cli->action == CLI_QUESTION)
        status = show_answer(cli, buf_span(&answer));
    else if (!rc)
        rc = cli_print(stdout, buf_span(&answer), &err);
    if (rc)
        status = complain(&err);
    buf_release(&answer);
    buf_release(&event);
    return status;
}

static const char *error_type(enum err_code rc)
{
    switch ((int)rc) {
    case ERR_PARSE:
    case ERR_LIMIT:
        return "Function.InvalidEvent";
    case ERR_NOMEM:
        return "Function.OutOfMemory";
    case ERR_CONFIG:
        return "Function.InvalidConfiguration";
    default:
        return "Function.NoAnswer";
    }
}

/* One turn of the loop; an error means that the loop must end. */
static enum err_code serve_one(struct parts *parts, struct runtime *rt,
                               struct invocation *inv, struct buf *answer,
                               struct err *err)
{
    struct err cause = {0};
    enum err_code rc = runtime_next(rt, inv, err);

    /* One event that is too much is not the end of the others. */
    if (inv->request_id.len && (rc == ERR_LIMIT || rc == ERR_NOMEM)) {
        cause = *err;
        *err = (struct err){0};
        return runtime_fail(rt, inv, error_type(rc), err_text(&cause), err);
    }
    if (rc)
        return rc;
    log_set_ids(inv->request_id.data, inv->trace_id.data);
    rc = handler_answer(
        &parts->handler,
        &(struct handler_event){
            .source = {buf_span(&inv->event), buf_span(&inv->client_context)},
            .request_id = buf_span(&inv->request_id),
            .function_arn = buf_span(&inv->function_arn),
            .deadline_ms = inv->deadline_ms,
        },
        answer, &cause);
    if (!rc) {
        rc = runtime_respond(rt, inv, buf_span(answer), err);
        if (rc != ERR_NOMEM)
            return rc;
        /* Too large to be sent: with its memory given back, an error is not. */
        buf_release(answer);
        cause = *err;
        *err = (struct err){0};
    }
    log_write(LOG_ERROR, "no answer",
              LOG_FIELDS(LOG_STR("error", err_text(&cause))));
    return runtime_fail(rt, inv, error_type(rc), err_text(&cause), err);
}

static int run_loop(struct parts *parts, struct runtime *rt)
{
    struct buf answer = BUF_INIT(EVENT_SIZE_MAX);
    struct invocation inv;
    struct err err = {0};
    enum err_code rc = ERR_OK;

    /* A model reads what a function answers, and its log becomes metrics. */
    parts->handler.budget = function_budget(&parts->config);
    parts->handler.limits.rows_max = function_rows_max(&parts->config);
    parts->handler.has_metrics = !parts->config.no_metrics;
    invocation_init(&inv);
    while (!rc) {
        err = (struct err){0};
        rc = serve_one(parts, rt, &inv, &answer, &err);
        log_set_ids(NULL, NULL);
    }
    log_write(LOG_FATAL, "leaving the loop",
              LOG_FIELDS(LOG_STR("error", err_text(&err))));
    invocation_release(&inv);
    buf_release(&answer);
    return EXIT_FAILURE;
}

/* Tells Lambda why there will be no function; the parts may be half made. */
static int report_broken(const char *api, enum err_code rc,
                         const struct err *cause)
{
    struct parts bare = {0};
    struct runtime *rt = NULL;
    struct err err = {0};

    (void)complain(cause);
    if (!make_http(&bare, &err) &&
        !runtime_new(bare.http, &CLOCK_SYSTEM, api, &rt, &err))
        (void)!runtime_init_fail(rt, error_type(rc), err_text(cause), &err);
    if (err.code)
        (void)complain(&err);
    runtime_free(rt);
    parts_free(&bare);
    return EXIT_FAILURE;
}

static int run_runtime(const char *api)
{
    struct parts parts = {0};
    struct runtime *rt = NULL;
    struct err err = {0};
    struct err init_err = {0};
    enum err_code rc = parts_make(&parts, &err);
    int status;

    if (!rc)
        rc = runtime_new(parts.http, &CLOCK_SYSTEM, api, &rt, &err);
    if (!rc && initialise(&parts, &init_err))
        log_write(LOG_WARN, "initialisation is incomplete",
                  LOG_FIELDS(LOG_STR("error", err_text(&init_err))));
    if (!rc && parts.config.debug)
        counters_log("initialised", parts.client, &(struct counters){0});
    status = rc ? report_broken(api, rc, &err) : run_loop(&parts, rt);
    runtime_free(rt);
    parts_free(&parts);
    return status;
}

static int run_once(const struct cli *cli)
{
    struct parts parts = {0};
    struct err err = {0};
    int status;

    if (parts_make(&parts, &err)) {
        status = complain(&err);
    } else {
        /* A person wants the answer, not each event's summary, and the answer
         * to a question tells of failed regions by itself. */
        if (!config_lookup("AWS_LAMBDA_LOG_LEVEL") && !parts.config.debug)
            parts.config.log_level =
                cli->action == CLI_QUESTION ? LOG_ERROR : LOG_WARN;
        set_up_log(&parts.config);
        status = run_command(&parts, cli);
    }
    parts_free(&parts);
    return status;
}

/* Without arguments: as a runtime where there is one. */
static int run_default(void)
{
    const char *api = config_lookup("AWS_LAMBDA_RUNTIME_API");

    if (api)
        return run_runtime(api);
    (void)fputs("bootstrap: AWS_LAMBDA_RUNTIME_API is not set, so this is not "
                "Lambda; try: bootstrap --question NAME, or bootstrap --help\n",
                stderr);
    return EXIT_USAGE;
}

static int print_text(const char *text)
{
    struct err err = {0};

    return cli_print(stdout, span_of(text), &err) ? complain(&err)
                                                  : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct cli cli;
    struct err err = {0};

    /* A peer that closes early is an error code of write, not the end. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* One write for each log line, so that lines stay whole. */
    (void)setvbuf(stderr, NULL, _IOFBF, BUFSIZ);
    /* What one answer gave back the next one takes, without the kernel. */
    (void)mallopt(M_TRIM_THRESHOLD, FREE_MEMORY_MAX);
    (void)mallopt(M_MMAP_THRESHOLD, FREE_MEMORY_MAX);
    if (cli_parse(argc, argv, &cli, &err)) {
        (void)complain(&err);
        return EXIT_USAGE;
    }
    switch (cli.action) {
    case CLI_NONE:
        return run_default();
    case CLI_EVENT:
    case CLI_QUESTION:
        return run_once(&cli);
    case CLI_HELP:
        return print_text(cli_help_text());
    case CLI_VERSION:
        return print_text(VERSION_LINE);
    }
    return EXIT_FAILURE;
}
