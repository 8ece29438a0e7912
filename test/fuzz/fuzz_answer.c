/*
 * Whole invocations against regions that the input plays: handler, sweep,
 * folds, parts and report, by every question and envelope. Each answer is JSON
 * in its envelope and in time; its rows and sums tell what whole pages held,
 * and no more.
 *
 * Input: a byte for the limits, one for the list of regions and further
 * options, then for each of two events a byte for question, envelope and
 * parameters, one for the time allowed, one for the time since the event
 * before and for what is known of the regions, the list of regions up to a
 * line feed, and EC2's answers (script.h), which go to whoever asks next.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lambda/event.h"
#include "lambda/handler.h"
#include "reply.h"
#include "script.h"
#include "support/stage.h"
#include "survey/atlas.h"
#include "tally.h"

#define NEVENTS 2
#define MARGIN_MS 500
#define NENVELOPES 4
/* A region that is known to have so many instances may be listed in parts from
 * the start. */
#define LARGE 5000
/* Bytes that all rows of an event find room in. */
#define ROOMY ((size_t)1 << 20)
/* An answer of so many bytes has room for a row. */
#define ROW_BUDGET 2000

struct world {
    struct stage stage;
    struct script script;
    struct atlas *atlas;
    struct handler handler;
    struct tally tally;
    struct buf out;
    char next[REPLY_NEXT_SIZE]; /* of the answer before; "": none */
};

static const struct {
    const char *path;
    const char *name;
    const char *parameters; /* that it takes */
} QUESTIONS[TALLY_NQUESTIONS] = {
    [TALLY_COUNT] = {"/count/{regions}", "count_instances", "states"},
    [TALLY_TAG] = {"/check-without-owner/{regions}", "instances_without_tag",
                   "states tag after"},
    [TALLY_EXPOSURE] = {"/check-open-permission/{regions}", "exposed_instances",
                        "states port after"},
    [TALLY_SUMMARY] = {"/summary/{regions}", "summarize_instances", "states"},
    [TALLY_FIND] = {"/find/{regions}", "find_instances", "query after"},
};

/* A parameter beside the regions, and what it means. */
struct parameter {
    const char *name; /* NULL: none */
    const char *value;
    unsigned states; /* 0: all, as with nstates */
    size_t nstates;
    enum tally_query query;
    bool is_wrong; /* no value of the name's */
    bool is_next;  /* where the answer before ended */
};

#define NPARAMETERS 12
static const struct parameter PARAMETERS[NPARAMETERS] = {
    {.name = NULL},
    {"states", "running", 1U << SCRIPT_RUNNING, .nstates = 1},
    {"states", "Stopped, pending", 1U << SCRIPT_STOPPED, .nstates = 2},
    {"states", "all", .nstates = 0},
    {.name = "after", .is_next = true},
    {.name = "after", "eu-west-1/i-5"},
    {.name = "after", "nowhere", .is_wrong = true},
    {.name = "tag", "Name"},
    {.name = "tag", "owner=a*"},
    {.name = "port", "22"},
    {.name = "port", "65536", .is_wrong = true},
    {.name = "colour", "blue"},
};
/* What is looked for, instead. */
static const struct parameter QUERIES[NPARAMETERS] = {
    {"query", "*", .query = TALLY_ALL},
    {"query", "i-a*", .query = TALLY_BEGIN_A},
    {"query", "*7", .query = TALLY_END_7},
    {"query", "i-5", .query = TALLY_ID_5},
    {"query", "*\xc3\xa9", .query = TALLY_NAMED},
    {"query", "10.0.0.*", .query = TALLY_NOBODY},
    {"query", "", .is_wrong = true},
    {.name = NULL, .is_wrong = true},
    {"query", "*", .query = TALLY_ALL, .is_next = true},
    {"query", "i-a*", .query = TALLY_BEGIN_A, .is_next = true},
    {"query", "*7", .query = TALLY_END_7, .is_next = true},
    {"states", "running", .is_wrong = true},
};

/* What an event asks, and how. */
struct ask {
    enum tally_question question;
    enum envelope envelope;
    const struct parameter *parameter;
    struct span regions;
    const char *after; /* "": not given */
};

static bool answer(void *arg, const struct fake_request *request,
                   struct fake_answer *out)
{
    struct world *w = arg;

    script_answer(&w->script, request, out);
    tally_take(&w->tally, request, &w->script.page);
    return true;
}

static void add_argument(const struct ask *ask, json_t *arguments,
                         const char *name, struct span value)
{
    json_t *text = json_stringn(value.len ? value.p : "", value.len);

    FUZZ_CHECK(text);
    if (ask->envelope == ENVELOPE_GATEWAY || ask->envelope == ENVELOPE_PLAIN)
        FUZZ_CHECK(json_object_set_new(arguments, name, text) == 0);
    else
        FUZZ_CHECK(json_array_append_new(arguments,
                                         json_pack("{s:s, s:o}", "name", name,
                                                   "value", text)) == 0);
}

static json_t *make_event(const struct ask *ask, json_t *arguments)
{
    switch (ask->envelope) {
    case ENVELOPE_API_SCHEMA:
        return json_pack("{s:s, s:s, s:o}", "actionGroup", "g", "apiPath",
                         QUESTIONS[ask->question].path, "parameters",
                         arguments);
    case ENVELOPE_FUNCTION:
        return json_pack("{s:s, s:s, s:o}", "actionGroup", "g", "function",
                         QUESTIONS[ask->question].name, "parameters",
                         arguments);
    case ENVELOPE_GATEWAY:
        return arguments;
    case ENVELOPE_PLAIN:
        break;
    }
    return json_pack("{s:s, s:o}", "tool", QUESTIONS[ask->question].name,
                     "arguments", arguments);
}

static char *write_event(const struct ask *ask)
{
    bool is_object =
        ask->envelope == ENVELOPE_GATEWAY || ask->envelope == ENVELOPE_PLAIN;
    json_t *arguments = is_object ? json_object() : json_array();
    const struct parameter *p = ask->parameter;
    json_t *event;
    char *text;

    add_argument(ask, arguments, "regions", ask->regions);
    if (p->value)
        add_argument(ask, arguments, p->name, span_of(p->value));
    if (*ask->after && !(p->value && strcmp(p->name, "after") == 0))
        add_argument(ask, arguments, "after", span_of(ask->after));
    event = make_event(ask, arguments);
    text = json_dumps(event, JSON_COMPACT);
    FUZZ_CHECK(text);
    json_decref(event);
    return text;
}

/* The client context by which a gateway names its tool; empty: none. */
static char *write_context(const struct ask *ask)
{
    json_t *context;
    char *text;

    if (ask->envelope != ENVELOPE_GATEWAY)
        return fuzz_string(SPAN_LIT(""));
    context = json_pack("{s:{s:s++}}", "custom", "bedrockAgentCoreToolName",
                        "target", "___", QUESTIONS[ask->question].name);
    text = json_dumps(context, JSON_COMPACT);
    FUZZ_CHECK(text);
    json_decref(context);
    return text;
}

static struct ask read_ask(struct span *in, unsigned choice, const char *next)
{
    unsigned which = choice / (TALLY_NQUESTIONS * NENVELOPES) % NPARAMETERS;
    struct ask ask = {
        .question = (enum tally_question)(choice % TALLY_NQUESTIONS),
        .envelope = (enum envelope)(choice / TALLY_NQUESTIONS % NENVELOPES),
        .regions = fuzz_until(in, '\n'),
        .after = "",
    };

    if (!fuzz_is_utf8(ask.regions))
        ask.regions = SPAN_LIT("all");
    ask.parameter =
        ask.question == TALLY_FIND ? &QUERIES[which] : &PARAMETERS[which];
    if (ask.parameter->is_next)
        ask.after = next;
    else if (ask.parameter->value && strcmp(ask.parameter->name, "after") == 0)
        ask.after = ask.parameter->value;
    return ask;
}

static struct tally_wish wish_of(const struct world *w, const struct ask *ask)
{
    const struct parameter *p = ask->parameter;
    const char *value = p->value ? p->value : "";
    const struct handler *h = &w->handler;
    bool trims = ask->question == TALLY_SUMMARY || h->limits.rows_max < ROOMY;

    return (struct tally_wish){
        .question = ask->question,
        .states = p->states ? p->states : (1U << SCRIPT_NSTATES) - 1,
        .query = p->query,
        .by_name = strcmp(value, "Name") == 0,
        .by_ssh = strcmp(value, "22") == 0,
        .trims = trims,
        .has_parts = h->nparallel != 0,
        .by_group_min = h->limits.by_group_min,
    };
}

static bool takes(enum tally_question question, const char *name)
{
    return strstr(QUESTIONS[question].parameters, name) != NULL;
}

static struct reply_terms terms_of(const struct world *w, const struct ask *ask)
{
    const struct handler *h = &w->handler;
    const struct parameter *p = ask->parameter;
    bool is_given = p->value && *p->value;
    bool is_unknown = is_given && strcmp(p->name, "colour") == 0;
    size_t max =
        h->budget && h->budget < h->answer_max ? h->budget : h->answer_max;

    return (struct reply_terms){
        .envelope = ask->envelope,
        .always_object = h->always_object,
        .raw_body = h->raw_body,
        .has_account = h->debug,
        .max = max,
        .row_max = ROW_BUDGET,
        .must_refuse =
            p->is_wrong ||
            (is_unknown && ask->envelope != ENVELOPE_API_SCHEMA) ||
            (is_given && !is_unknown && !takes(ask->question, p->name)) ||
            (*ask->after && !takes(ask->question, "after")),
        .may_refuse = *ask->after || max < ROW_BUDGET,
        .nstates = p->nstates ? p->nstates : CRITERIA_NSTATES,
        .after = ask->after,
    };
}

/* Answers the event, and looks at all but what the answer says. */
static enum err_code run_event(struct world *w, const struct ask *ask,
                               int64_t allowed_ms)
{
    struct fake_clock *fake = &w->stage.fake;
    int64_t began = fake->mono_ms;
    char *event = write_event(ask);
    char *context = write_context(ask);
    struct err err = {0};
    const struct handler_event given = {
        .source = {span_of(event), span_of(context)},
        .function_arn =
            span_of(w->handler.debug ? "arn:aws:lambda:us-east-1:" REPLY_ACCOUNT
                                       ":function:f"
                                     : ""),
        .deadline_ms = began + allowed_ms,
    };
    enum err_code rc = handler_answer(&w->handler, &given, &w->out, &err);

    FUZZ_CHECK(rc == err.code);
    FUZZ_CHECK(fake_http_in_flight(w->stage.http) == 0);
    FUZZ_CHECK(fake->mono_ms <=
               began + (allowed_ms > MARGIN_MS ? allowed_ms - MARGIN_MS : 0));
    FUZZ_CHECK(rc || w->out.len <= w->handler.answer_max);
    free(context);
    free(event);
    return rc;
}

/* An earlier sweep saw these regions to be large, and that parts work. */
static void make_large(struct world *w)
{
    static const char *const NAMES[] = {"us-east-1", "eu-west-1"};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        struct aws_region *region;

        FUZZ_CHECK(aws_client_region(w->stage.client, span_of(NAMES[i]),
                                     &region, NULL) == ERR_OK);
        region->ninstances = LARGE;
        region->nfollowed = 0;
        region->parts_proven = true;
    }
}

static void play_event(struct world *w)
{
    static const int64_t ALLOWED_MS[] = {30000, 3000, 600, 400, 900000};
    static const int64_t PAUSES_MS[] = {0, 1000, 70000, 1000000};
    struct span *in = &w->script.rest;
    unsigned choice = fuzz_byte(in);
    int64_t allowed_ms = FUZZ_PICK(in, ALLOWED_MS);
    unsigned before = fuzz_byte(in);
    struct ask ask = read_ask(in, choice, w->next);
    struct tally_wish wish = wish_of(w, &ask);
    struct reply_terms terms = terms_of(w, &ask);
    enum err_code rc;

    fake_clock_advance(&w->stage.fake, PAUSES_MS[before % 4]);
    if (before & 4)
        make_large(w);
    tally_begin(&w->tally, &wish);
    rc = run_event(w, &ask, allowed_ms);
    if (rc)
        FUZZ_CHECK(rc == ERR_LIMIT && w->handler.answer_max < EVENT_SIZE_MAX);
    else
        reply_check(&terms, &w->tally, buf_span(&w->out), w->next);
}

/* how: the limits; more, without the list of regions: further options. */
static void make_handler(struct world *w, unsigned how, unsigned more)
{
    static const size_t PENDING_MAX[] = {ROOMY, 0, 300, ROOMY};
    static const size_t ROWS_MAX[] = {ROOMY, ROOMY, ROOMY, 500};
    static const size_t ANSWER_MAX[] = {EVENT_SIZE_MAX, EVENT_SIZE_MAX, 700,
                                        2000};
    static const uint64_t BY_GROUP_MIN[] = {0, 1, 3, LARGE};
    static const size_t NPARALLEL[] = {0, 4, 1};

    w->handler = (struct handler){
        .client = w->stage.client,
        .atlas = w->atlas,
        .answer_margin_ms = MARGIN_MS,
        .limits = {.pending_max = PENDING_MAX[how & 3],
                   .rows_max = ROWS_MAX[how >> 2 & 3],
                   .by_group_min = BY_GROUP_MIN[more & 3]},
        .nparallel = NPARALLEL[more / 4 % 3],
        .answer_max = ANSWER_MAX[how >> 4 & 3],
        .always_object = more / 12 % 2,
        .budget = more / 24 % 2 ? ROW_BUDGET : 0,
        .raw_body = how & 64,
        .debug = how & 128,
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const CONFIGURED[] = {"us-east-1,eu-west-1,ap-east-1",
                                             NULL, "eu-west-1"};
    struct span in = fuzz_input(data, len);
    struct world w = {.out = BUF_INIT(EVENT_SIZE_MAX)};
    unsigned how = fuzz_byte(&in);
    unsigned more = fuzz_byte(&in);
    struct atlas_options options = {
        .home_region = "us-east-1",
        .configured = CONFIGURED[more % 3],
    };

    stage_init(&w.stage);
    options.client = w.stage.client;
    FUZZ_CHECK(atlas_new(&options, &w.atlas, NULL) == ERR_OK);
    make_handler(&w, how, more / 3);
    w.tally.client = w.stage.client;
    w.tally.token = (struct buf)BUF_INIT(4096);
    script_init(&w.script, in, &w.stage.fake);
    fake_http_answer_with(w.stage.http, answer, &w);
    for (int i = 0; i < NEVENTS && (i == 0 || w.script.rest.len); i++)
        play_event(&w);
    fuzz_check_log(stage_log(&w.stage));
    atlas_free(w.atlas);
    stage_release(&w.stage);
    script_release(&w.script);
    buf_release(&w.tally.token);
    buf_release(&w.out);
    return 0;
}
