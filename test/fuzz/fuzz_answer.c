/*
 * Whole invocations against regions that the input plays: handler, sweep,
 * folds and report. Each answer is JSON in its envelope and in time; its
 * rows tell what whole pages held, and no more.
 *
 * Input: a byte for the limits and one for the list of regions, then for each
 * of two events a byte for the question, one for the time allowed and one for
 * the time since the event before, the list of regions up to a line feed, and
 * EC2's answers (script.h), which go to whoever asks next.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lambda/event.h"
#include "lambda/handler.h"
#include "script.h"
#include "support/stage.h"
#include "survey/atlas.h"

#define NEVENTS 2
/* More than a partition has. */
#define REGIONS_MAX 64
#define MARGIN_MS 500

enum asked {
    COUNT,
    OWNER,
    EXPOSURE,
};

/* Who is asked for: all groups, all instances, or those of a follow-up. */
enum listing {
    GROUPS,
    INSTANCES,
    BY_INTERFACE,
    BY_INSTANCE,
    NLISTINGS,
    NONE,
};

/* What the good pages of one listing hold. */
struct listing_tally {
    bool was_asked;
    bool is_uncertain;
    size_t total;
    size_t running;
    unsigned open_groups; /* 1 << group */
    unsigned groups_of[SCRIPT_NINSTANCES];
    bool lacks_owner[SCRIPT_NINSTANCES];
};

/* A region: what it was given, and what the answer tells of it. */
struct tally {
    char host[128];
    struct listing_tally listings[NLISTINGS];
    size_t nrows;
    bool failed;
};

struct world {
    struct stage stage;
    struct script script;
    struct atlas *atlas;
    struct handler handler;
    struct tally tallies[REGIONS_MAX];
    size_t ntallies;
    enum asked question;
    bool omitted; /* not all rows are in the answer */
    struct buf token;
    struct buf out;
};

/* NULL when nothing was asked of host. */
static struct tally *find_tally(struct world *w, const char *host)
{
    for (size_t i = 0; i < w->ntallies; i++)
        if (strcmp(w->tallies[i].host, host) == 0)
            return &w->tallies[i];
    return NULL;
}

static struct tally *tally_of(struct world *w, const char *host)
{
    struct tally *tally = find_tally(w, host);

    if (tally)
        return tally;
    FUZZ_CHECK(w->ntallies < REGIONS_MAX);
    tally = &w->tallies[w->ntallies++];
    FUZZ_CHECK(strlen(host) < sizeof(tally->host));
    *tally = (struct tally){.host = ""};
    memcpy(tally->host, host, strlen(host));
    return tally;
}

static enum listing listing_of(const struct fake_request *request)
{
    static const char *const PARTS[NLISTINGS] = {
        [GROUPS] = "Action=DescribeSecurityGroups&",
        [BY_INTERFACE] = "Filter.1.Name=network-interface.group-id&",
        [BY_INSTANCE] = "Filter.1.Name=instance.group-id&",
    };

    for (size_t i = 0; i < NLISTINGS; i++)
        if (PARTS[i] && strstr(request->body, PARTS[i]))
            return (enum listing)i;
    FUZZ_CHECK(!strstr(request->body, "Filter."));
    return strstr(request->body, "Action=DescribeInstances&") ? INSTANCES
                                                              : NONE;
}

static void add(struct listing_tally *tally, const struct script_record *r)
{
    tally->total++;
    tally->running += r->is_running;
    tally->open_groups |= r->is_open ? 1U << r->group : 0;
    tally->groups_of[r->id] |= 1U << r->group;
    tally->lacks_owner[r->id] |= !r->has_owner;
}

static bool answer(void *arg, const struct fake_request *request,
                   struct fake_answer *out)
{
    struct world *w = arg;
    const struct script_page *page = &w->script.page;
    struct tally *region = tally_of(w, request->host);
    enum listing listing = listing_of(request);
    struct listing_tally *tally;

    script_answer(&w->script, request, out);
    if (listing == NONE)
        return true;
    tally = &region->listings[listing];
    script_token_of(request, &w->token);
    /* It begins, for the first time or anew: nothing of it counts. */
    if (w->token.len == 0)
        *tally = (struct listing_tally){.was_asked = true};
    if (page->verdict == SCRIPT_UNKNOWN)
        tally->is_uncertain = true;
    if (page->verdict == SCRIPT_GOOD)
        for (size_t i = 0; i < page->nrecords; i++)
            add(tally, &page->records[i]);
    return true;
}

static void check_count(const struct listing_tally *tally, const json_t *row)
{
    json_int_t total =
        json_integer_value(json_object_get(row, "totalInstances"));
    json_int_t running =
        json_integer_value(json_object_get(row, "runningInstances"));

    FUZZ_CHECK(json_object_get(row, "totalInstances"));
    if (tally->is_uncertain)
        return;
    FUZZ_CHECK((size_t)total == tally->total);
    FUZZ_CHECK((size_t)running == tally->running);
}

/* Takes note of an element: a region's row, or its error. */
static void read_row(struct world *w, const json_t *row)
{
    const char *region = json_string_value(json_object_get(row, "region"));
    const char *error = json_string_value(json_object_get(row, "error"));
    struct buf host = BUF_INIT(128);
    struct tally *tally;

    if (!region) {
        FUZZ_CHECK(error && *error);
        return;
    }
    buf_addf(&host, "ec2.%s.amazonaws.com", region);
    tally = find_tally(w, host.data);
    buf_release(&host);
    /* Names that are no region's have an error and are not asked. */
    FUZZ_CHECK(tally || (error && *error));
    if (!tally)
        return;
    FUZZ_CHECK(!tally->failed && (!error || (*error && tally->nrows == 0)));
    tally->failed = error;
    tally->nrows += !error;
    if (!error && w->question == COUNT)
        check_count(&tally->listings[INSTANCES], row);
}

/* Whether instance i is in an open group, by the listings that count: all
 * instances, or, when these found no room, those of the follow-ups. */
static bool is_exposed(const struct tally *tally, size_t i)
{
    const struct listing_tally *l = tally->listings;
    unsigned groups = l[INSTANCES].groups_of[i];

    if (l[BY_INTERFACE].was_asked || l[BY_INSTANCE].was_asked)
        groups = l[BY_INTERFACE].groups_of[i] | l[BY_INSTANCE].groups_of[i];
    return (groups & l[GROUPS].open_groups) != 0;
}

static void check_number_of_rows(const struct tally *tally, enum asked question)
{
    size_t expected = question == COUNT ? 1 : 0;

    if (tally->failed || !tally->listings[INSTANCES].was_asked)
        return;
    for (size_t i = 0; i < NLISTINGS; i++)
        if (tally->listings[i].is_uncertain)
            return;
    for (size_t i = 0; i < SCRIPT_NINSTANCES; i++) {
        if (question == OWNER)
            expected += tally->listings[INSTANCES].lacks_owner[i];
        if (question == EXPOSURE)
            expected += is_exposed(tally, i);
    }
    FUZZ_CHECK(tally->nrows == expected);
}

static void check_rows(struct world *w, const json_t *rows)
{
    size_t i;
    const json_t *row;

    FUZZ_CHECK(json_is_array(rows));
    w->omitted = false;
    json_array_foreach(rows, i, row)
    {
        if (json_object_get(row, "omitted")) {
            FUZZ_CHECK(i + 1 == json_array_size(rows));
            w->omitted = true;
            continue;
        }
        read_row(w, row);
    }
    for (i = 0; i < w->ntallies && !w->omitted; i++)
        check_number_of_rows(&w->tallies[i], w->question);
}

static void check_answer(struct world *w)
{
    json_t *answer = json_loadb(w->out.data, w->out.len, 0, NULL);
    const json_t *response = json_object_get(answer, "response");
    const json_t *media = json_object_get(
        json_object_get(response, "responseBody"), "application/json");
    const json_t *body = json_object_get(media, "body");
    json_t *rows = NULL;

    FUZZ_CHECK(response && body && w->out.len <= w->handler.answer_max);
    FUZZ_CHECK(fuzz_is_utf8(buf_span(&w->out)));
    if (!w->handler.raw_body) {
        FUZZ_CHECK(json_is_string(body));
        rows = json_loadb(json_string_value(body), json_string_length(body), 0,
                          NULL);
        body = rows;
    }
    check_rows(w, body);
    json_decref(rows);
    json_decref(answer);
}

static char *write_event(const char *path, struct span regions)
{
    json_t *event;
    char *text;

    if (!fuzz_is_utf8(regions))
        regions = SPAN_LIT("all");
    event = json_pack("{s:s, s:s, s:[{s:s, s:s%}]}", "actionGroup", "g",
                      "apiPath", path, "parameters", "name", "regions", "value",
                      regions.len ? regions.p : "", regions.len);
    text = json_dumps(event, JSON_COMPACT);
    FUZZ_CHECK(text);
    json_decref(event);
    return text;
}

static void play_event(struct world *w)
{
    static const char *const PATHS[] = {"/count/{regions}",
                                        "/check-without-owner/{regions}",
                                        "/check-open-permission/{regions}"};
    static const int64_t ALLOWED_MS[] = {30000, 3000, 600, 400, 900000};
    static const int64_t PAUSES_MS[] = {0, 1000, 70000, 1000000};
    struct span *in = &w->script.rest;
    unsigned which = fuzz_byte(in) % 3;
    int64_t allowed_ms = FUZZ_PICK(in, ALLOWED_MS);
    struct fake_clock *fake = &w->stage.fake;
    struct err err = {0};
    int64_t began;
    char *event;
    enum err_code rc;

    fake_clock_advance(fake, FUZZ_PICK(in, PAUSES_MS));
    w->question = (enum asked)which;
    event = write_event(PATHS[which], fuzz_until(in, '\n'));
    began = fake->mono_ms;
    w->ntallies = 0;
    rc = handler_answer(&w->handler,
                        &(struct handler_event){
                            .source.json = span_of(event),
                            .deadline_ms = began + allowed_ms,
                        },
                        &w->out, &err);
    FUZZ_CHECK(rc == err.code);
    FUZZ_CHECK(fake_http_in_flight(w->stage.http) == 0);
    FUZZ_CHECK(fake->mono_ms <=
               began + (allowed_ms > MARGIN_MS ? allowed_ms - MARGIN_MS : 0));
    if (rc)
        FUZZ_CHECK(rc == ERR_LIMIT && w->handler.answer_max < EVENT_SIZE_MAX);
    else
        check_answer(w);
    free(event);
}

static void make_handler(struct world *w, unsigned how)
{
    static const size_t PENDING_MAX[] = {1 << 20, 0, 300, 1 << 20};
    static const size_t ROWS_MAX[] = {1 << 20, 1 << 20, 1 << 20, 500};
    static const size_t ANSWER_MAX[] = {EVENT_SIZE_MAX, EVENT_SIZE_MAX, 700,
                                        2000};

    w->handler = (struct handler){
        .client = w->stage.client,
        .atlas = w->atlas,
        .answer_margin_ms = MARGIN_MS,
        .limits = {.pending_max = PENDING_MAX[how & 3],
                   .rows_max = ROWS_MAX[how >> 2 & 3]},
        .answer_max = ANSWER_MAX[how >> 4 & 3],
        .raw_body = how & 64,
        .debug = how & 128,
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const CONFIGURED[] = {"us-east-1,eu-west-1,ap-east-1",
                                             NULL, "eu-west-1"};
    struct span in = fuzz_input(data, len);
    struct world w = {.token = BUF_INIT(4096), .out = BUF_INIT(EVENT_SIZE_MAX)};
    unsigned how = fuzz_byte(&in);
    struct atlas_options options = {
        .home_region = "us-east-1",
        .configured = FUZZ_PICK(&in, CONFIGURED),
    };

    stage_init(&w.stage);
    options.client = w.stage.client;
    FUZZ_CHECK(atlas_new(&options, &w.atlas, NULL) == ERR_OK);
    make_handler(&w, how);
    script_init(&w.script, in, &w.stage.fake);
    fake_http_answer_with(w.stage.http, answer, &w);
    for (int i = 0; i < NEVENTS && (i == 0 || w.script.rest.len); i++)
        play_event(&w);
    fuzz_check_log(stage_log(&w.stage));
    atlas_free(w.atlas);
    stage_release(&w.stage);
    script_release(&w.script);
    buf_release(&w.token);
    buf_release(&w.out);
    return 0;
}
