#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/spread.h"
#include "support/fail_alloc.h"
#include "support/stage.h"

#define ROUND_TRIP_MS 100
/* 64 instances, 2 a page: 32 plain pages, or 2 pages in each of 16 parts. */
#define NIDS 64
#define PAGE_LEN 2
#define NPAGES (NIDS / PAGE_LEN)
#define NPARTS 16
#define PAGES_OF_PART (NPAGES / NPARTS)
#define ANY_PAGE (-1)
/* Asked ahead: what can serve as the first page. */
#define AHEAD_LEN SPREAD_AHEAD_MIN
/* Pages of a fleet that are cut before they are filtered: of each a part has
 * more than a quarter of what was asked for ahead. */
#define CUT_LEN 208
#define CUT_NIDS 416

/* --- an EC2 that answers filters by id, and what it does wrong ------------ */

enum fault {
    NO_FAULT,
    IGNORES_FILTER, /* every instance, whatever the filter */
    FINDS_NOTHING,  /* takes the wildcard for a letter */
    CUTS_FIRST,     /* pages before it filters */
    REFUSES,        /* with status and code */
    BREAKS_OFF,     /* in the middle of a page */
    BREAKS_AT_ONCE, /* before anything of a page */
    IS_UNKNOWN,     /* its name has no address */
    IS_SILENT,      /* for ever */
    LOSES_TOKEN,    /* it has expired */
};

struct trouble {
    enum fault fault;
    const char *digit; /* the part; NULL: every one */
    int page;          /* from 0, or ANY_PAGE */
    unsigned times;
    long status;
    const char *code;
};

struct world {
    struct stage stage;
    struct ec2_request request;
    struct ec2_sink sink;
    struct ec2_stats stats;
    struct spread_budget budget;
    struct spread *spread;
    struct trouble trouble;
    unsigned nids;
    unsigned page_len; /* where EC2_MAX_RESULTS are asked for */
    unsigned nrefused; /* connections, once the parts are given up */
    size_t nregions;   /* the budget that is there in the end */
    char xml[32768];
    /* What the owner saw: how often each instance was given, and counts. */
    unsigned char committed[CUT_NIDS];
    unsigned char pending[CUT_NIDS];
    unsigned nrestarts;
    unsigned ncommits;
    unsigned nlast;     /* commits after which there is no more */
    unsigned enough_at; /* that many commits are enough; 0: never */
    enum err_code refuse;
    bool done;
    struct failure failure;
};

/* A part's digit, or 0 for a plain page. */
static char digit_of(const struct fake_request *request)
{
    const char *at = strstr(request->body, "&Filter.1.Name=instance-id&"
                                           "Filter.1.Value.1=i-%2A");

    if (!at) {
        assert_null(strstr(request->body, "Filter"));
        return '\0';
    }
    at = strchr(at, '%');
    assert_true(at[4] == '&' || at[4] == '\0');
    return at[3];
}

static unsigned offset_of(const struct fake_request *request)
{
    const char *at = strstr(request->body, "NextToken=t");

    return at ? (unsigned)strtoul(at + sizeof("NextToken=t") - 1, NULL, 10) : 0;
}

static unsigned length_of(const struct world *w,
                          const struct fake_request *request)
{
    const char *at = strstr(request->body, "MaxResults=");
    unsigned asked;

    assert_non_null(at);
    asked = (unsigned)strtoul(at + sizeof("MaxResults=") - 1, NULL, 10);
    return asked == EC2_MAX_RESULTS ? w->page_len : asked;
}

/* Writes the ids of a page and its token, which is where the next begins. */
static void write_page(struct world *w, char digit, unsigned offset,
                       unsigned len)
{
    bool cuts_first = w->trouble.fault == CUTS_FIRST;
    unsigned seen = 0;
    FILE *out = fmemopen(w->xml, sizeof(w->xml), "w");

    assert_non_null(out);
    if (w->trouble.fault == IGNORES_FILTER)
        digit = '\0';
    (void)fputs("<DescribeInstancesResponse><reservationSet><item>"
                "<instancesSet>",
                out);
    for (unsigned i = 0; i < w->nids; i++) {
        bool fits = !digit || "0123456789abcdef"[i % 16] == digit;

        if (digit && w->trouble.fault == FINDS_NOTHING)
            fits = false;
        if (!fits && !cuts_first)
            continue;
        if (fits && seen >= offset && seen < offset + len)
            (void)fprintf(out, "<item><instanceId>i-%017x</instanceId></item>",
                          i);
        seen++;
    }
    (void)fputs("</instancesSet></item></reservationSet>", out);
    if (seen > offset + len)
        (void)fprintf(out, "<nextToken>t%u</nextToken>", offset + len);
    (void)fputs("</DescribeInstancesResponse>", out);
    (void)fclose(out);
}

static bool is_struck(const struct trouble *t, char digit, unsigned offset)
{
    return digit && t->times > 0 && (!t->digit || *t->digit == digit) &&
           (t->page == ANY_PAGE || offset == (unsigned)t->page * PAGE_LEN);
}

static bool answer(void *arg, const struct fake_request *request,
                   struct fake_answer *out)
{
    struct world *w = arg;
    struct trouble *t = &w->trouble;
    char digit = digit_of(request);
    unsigned offset = offset_of(request);

    write_page(w, digit, offset, length_of(w, request));
    *out = (struct fake_answer){.after_ms = ROUND_TRIP_MS, .body = w->xml};
    if (!digit && w->nrestarts == 2 && w->nrefused > 0) {
        w->nrefused--;
        out->body = "";
        out->failure = HTTP_CONNECT;
    }
    if (!is_struck(t, digit, offset))
        return true;
    t->times--;
    if (t->fault == REFUSES || t->fault == LOSES_TOKEN) {
        (void)snprintf(w->xml, sizeof(w->xml), XML_ERROR("%s", "no"), t->code);
        out->status = t->status;
    } else if (t->fault == BREAKS_OFF) {
        /* Both instances have been read by then. */
        *strstr(w->xml, "</reservationSet>") = '\0';
        out->failure = HTTP_BROKEN;
    } else if (t->fault == BREAKS_AT_ONCE) {
        out->body = "";
        out->failure = HTTP_BROKEN;
    } else if (t->fault == IS_UNKNOWN) {
        out->body = "";
        out->failure = HTTP_RESOLVE;
    } else if (t->fault == IS_SILENT) {
        out->body = "";
        out->hangs = true;
    }
    return true;
}

/* --- the owner ------------------------------------------------------------ */

static enum err_code on_instance(void *arg, const struct ec2_instance *instance,
                                 struct err *err)
{
    struct world *w = arg;
    char digits[18] = "";

    assert_int_equal(instance->id.len, 19);
    memcpy(digits, instance->id.p + 2, 17);
    if (w->refuse)
        return err_set(err, w->refuse, "test: refused");
    w->pending[strtoul(digits, NULL, 16)]++;
    return ERR_OK;
}

static bool on_commit(void *arg, bool more)
{
    struct world *w = arg;

    for (size_t i = 0; i < w->nids; i++)
        w->committed[i] = (unsigned char)(w->committed[i] + w->pending[i]);
    memset(w->pending, 0, sizeof(w->pending));
    w->ncommits++;
    w->nlast += !more;
    return w->enough_at == 0 || w->ncommits < w->enough_at;
}

static void on_rollback(void *arg)
{
    struct world *w = arg;

    memset(w->pending, 0, sizeof(w->pending));
}

static void on_restart(void *arg)
{
    struct world *w = arg;

    memset(w->pending, 0, sizeof(w->pending));
    memset(w->committed, 0, sizeof(w->committed));
    w->nlast = 0;
    w->nrestarts++;
}

static void on_done(void *arg, const struct failure *failure)
{
    struct world *w = arg;

    assert_false(w->done);
    w->spread = NULL;
    w->done = true;
    if (failure)
        w->failure = *failure;
}

static void open_world(struct world *w)
{
    *w = (struct world){
        .sink = {.records = {.instance = on_instance},
                 .page_commit = on_commit,
                 .page_rollback = on_rollback,
                 .restart_listing = on_restart},
        .request = {.action = EC2_DESCRIBE_INSTANCES,
                    .sink = &w->sink,
                    .stats = &w->stats,
                    .deadline_ms = CLOCK_NEVER,
                    .on_done = on_done,
                    .arg = w},
        .budget = {1},
        .nids = NIDS,
        .page_len = PAGE_LEN,
        .nregions = 1,
    };
    stage_init(&w->stage);
    assert_int_equal(aws_client_region(w->stage.client, SPAN_LIT("us-east-1"),
                                       &w->request.region, NULL),
                     ERR_OK);
    fake_http_answer_with(w->stage.http, answer, w);
}

static void close_world(struct world *w)
{
    stage_release(&w->stage);
}

static int set_up(void **state)
{
    static struct world world;

    open_world(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    close_world(*state);
    return 0;
}

static enum err_code start(struct world *w)
{
    w->done = false;
    return spread_start(w->stage.client, &w->request, &w->budget, &w->spread,
                        NULL);
}

static void run(struct world *w)
{
    assert_int_equal(start(w), ERR_OK);
    assert_int_equal(http_run(w->stage.http, CLOCK_NEVER, &w->done, NULL),
                     ERR_OK);
    assert_true(w->done);
    assert_int_equal(fake_http_in_flight(w->stage.http), 0);
    assert_int_equal(w->budget.nregions, w->nregions);
}

/* Every instance once, and one commit said that it was the last. */
static void assert_complete(const struct world *w, const char *name)
{
    if (w->failure.kind != FAILURE_NONE)
        fail_msg("%s: %s", name, failure_kind_name(w->failure.kind));
    for (size_t i = 0; i < w->nids; i++)
        if (w->committed[i] != 1)
            fail_msg("%s: instance %zu came %d times", name, i,
                     w->committed[i]);
    if (w->nlast != 1)
        fail_msg("%s: %u last pages", name, w->nlast);
}

static size_t nrequests(const struct world *w)
{
    return fake_http_nrequests(w->stage.http);
}

static void forget(struct world *w)
{
    on_restart(w);
    w->nrestarts = 0;
    w->ncommits = 0;
}

/* --- tests ---------------------------------------------------------------- */

static void test_spread_start__lists_in_parts_after_the_first_page(void **state)
{
    struct world *w = *state;
    int64_t began = w->stage.fake.mono_ms;

    run(w);
    assert_complete(w, "parts");
    assert_int_equal(w->nrestarts, 1);
    assert_int_equal(nrequests(w), 1 + NPARTS * PAGES_OF_PART);
    assert_int_equal(w->stage.fake.mono_ms - began,
                     (1 + PAGES_OF_PART) * ROUND_TRIP_MS);
    assert_true(w->request.region->parts_proven);
    assert_string_equal(stage_log(&w->stage), "");
}

static void test_spread_start__lists_in_parts_at_once_when_proven(void **state)
{
    struct world *w = *state;
    int64_t began;

    run(w);
    forget(w);
    w->request.region->ninstances = SPREAD_INSTANCES_MIN;
    began = w->stage.fake.mono_ms;
    run(w);
    assert_complete(w, "proven");
    assert_int_equal(w->nrestarts, 0);
    assert_int_equal(w->stage.fake.mono_ms - began,
                     PAGES_OF_PART * ROUND_TRIP_MS);
}

static void set_budget(struct world *w, size_t nregions)
{
    w->nregions = nregions;
    w->budget.nregions = nregions;
}

/* One page of len instances is asked ahead; what was seen of it is forgotten.
 * Then there is room for one region of which no more than that was seen. */
static void ask_ahead(struct world *w, unsigned len)
{
    set_budget(w, 0);
    w->request.ahead_max = len;
    run(w);
    assert_int_equal(w->failure.kind,
                     len < w->nids ? FAILURE_LIMIT : FAILURE_NONE);
    forget(w);
    w->failure = (struct failure){0};
    w->request.ahead_max = 0;
    set_budget(w, SPREAD_LEFT_MIN + 1);
}

static void test_spread_start__lists_in_parts_at_once_after_ahead(void **state)
{
    struct world *w = *state;
    int64_t began;

    w->page_len = NIDS / NPARTS;
    ask_ahead(w, AHEAD_LEN);
    began = w->stage.fake.mono_ms;
    run(w);
    assert_complete(w, "ahead");
    assert_int_equal(w->nrestarts, 0);
    assert_int_equal(nrequests(w), 1 + NPARTS);
    assert_int_equal(w->stage.fake.mono_ms - began, ROUND_TRIP_MS);
    assert_true(w->request.region->parts_proven);
    assert_string_equal(stage_log(&w->stage), "");
}

/* A page that was asked ahead serves the next listing alone, and not even that
 * where it may have no parts. */
static void test_spread_start__takes_what_was_ahead_once(void **state)
{
    for (size_t budget = 0; budget <= SPREAD_LEFT_MIN + 1; budget++) {
        struct world *w = *state;
        size_t before;

        w->page_len = NIDS / NPARTS;
        ask_ahead(w, AHEAD_LEN);
        set_budget(w, budget);
        run(w);
        forget(w);
        set_budget(w, SPREAD_LEFT_MIN + 1);
        before = nrequests(w);
        run(w);
        assert_complete(w, "the second time");
        assert_int_equal(w->nrestarts, 1);
        assert_int_equal(nrequests(w) - before, 1 + NPARTS);
        forget(w);
    }
}

static void test_spread_start__asks_a_page_where_ahead_told_little(void **state)
{
    static const struct {
        const char *name;
        unsigned ahead; /* items asked for */
        size_t budget;
        uint64_t ninstances;
        size_t nrequests; /* after that */
    } rows[] = {
        {"few seen", AHEAD_LEN - 1, SPREAD_LEFT_MIN + 1, 0, 1 + NPARTS},
        {"all seen", NIDS, SPREAD_LEFT_MIN + 1, 0, 1 + NPARTS},
        {"left to others", AHEAD_LEN, SPREAD_LEFT_MIN, 0, 1 + NPARTS},
        {"no budget", AHEAD_LEN, 0, 0, NPARTS},
        {"small by now", AHEAD_LEN, SPREAD_LEFT_MIN + 1, NIDS, NPARTS},
        {"large by now", AHEAD_LEN, SPREAD_LEFT_MIN + 1, SPREAD_INSTANCES_MIN,
         1 + NPARTS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;
        size_t before;

        open_world(&w);
        w.page_len = NIDS / NPARTS;
        ask_ahead(&w, rows[i].ahead);
        before = nrequests(&w);
        w.request.region->ninstances = rows[i].ninstances;
        set_budget(&w, rows[i].budget);
        run(&w);
        assert_complete(&w, rows[i].name);
        if (nrequests(&w) - before != rows[i].nrequests)
            fail_msg("%s: %zu requests", rows[i].name, nrequests(&w) - before);
        close_world(&w);
    }
}

static void test_spread_start__holds_parts_against_what_was_ahead(void **state)
{
    static const struct {
        const char *why;
        enum fault fault;
        unsigned nids;
        unsigned page_len;
        bool never_again;
    } rows[] = {
        {"instances were missing", FINDS_NOTHING, NIDS, NIDS / NPARTS, false},
        {"sparse pages", CUTS_FIRST, CUT_NIDS, CUT_LEN, false},
        {"the filter was not kept to", IGNORES_FILTER, NIDS, NIDS / NPARTS,
         true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;

        open_world(&w);
        w.nids = rows[i].nids;
        w.page_len = rows[i].page_len;
        w.trouble.fault = rows[i].fault;
        ask_ahead(&w, AHEAD_LEN);
        run(&w);
        assert_complete(&w, rows[i].why);
        assert_non_null(strstr(stage_log(&w.stage), rows[i].why));
        assert_int_equal(w.nrestarts, 1);
        assert_false(w.request.region->parts_proven);
        assert_int_equal(w.request.region->no_parts_ms == INT64_MAX,
                         rows[i].never_again);
        close_world(&w);
    }
}

static void test_spread_start__lists_plainly_what_needs_no_parts(void **state)
{
    static const char *const values[] = {"i-*0"};
    static const struct ec2_filter filter = {"instance-id", values, 1};
    static const struct {
        const char *name;
        size_t budget;
        unsigned nids;
        uint64_t ninstances;
        int64_t no_parts_ms;
        const struct ec2_filter *filter;
        size_t nrequests;
    } rows[] = {
        {"no budget", 0, NIDS, 0, 0, NULL, NPAGES},
        {"one page", 1, PAGE_LEN, 0, 0, NULL, 1},
        {"small", 1, NIDS, SPREAD_INSTANCES_MIN - 1, 0, NULL, NPAGES},
        {"not now", 1, NIDS, 0, INT64_MAX, NULL, NPAGES},
        {"filtered", 1, NIDS, 0, 0, &filter, PAGES_OF_PART},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;

        open_world(&w);
        w.budget.nregions = rows[i].budget;
        w.nids = rows[i].nids;
        w.request.region->ninstances = rows[i].ninstances;
        w.request.region->no_parts_ms = rows[i].no_parts_ms;
        w.request.filter = rows[i].filter;
        assert_int_equal(start(&w), ERR_OK);
        assert_int_equal(http_run(w.stage.http, CLOCK_NEVER, &w.done, NULL),
                         ERR_OK);
        if (!rows[i].filter)
            assert_complete(&w, rows[i].name);
        if (nrequests(&w) != rows[i].nrequests)
            fail_msg("%s: %zu requests", rows[i].name, nrequests(&w));
        assert_int_equal(w.nrestarts, 0);
        close_world(&w);
    }
}

static void test_spread_start__keeps_to_the_budget(void **state)
{
    struct world *w = *state;
    struct spread_budget none = {0};
    struct spread *other = NULL;

    assert_int_equal(start(w), ERR_OK);
    assert_int_equal(http_run(w->stage.http,
                              w->stage.fake.mono_ms + ROUND_TRIP_MS + 1,
                              &w->done, NULL),
                     ERR_OK);
    assert_int_equal(fake_http_in_flight(w->stage.http), NPARTS);
    assert_int_equal(w->budget.nregions, 0);
    assert_int_equal(
        spread_start(w->stage.client, &w->request, &none, &other, NULL),
        ERR_OK);
    assert_int_equal(fake_http_in_flight(w->stage.http), NPARTS + 1);
    spread_cancel(other);
    spread_cancel(w->spread);
    assert_int_equal(w->budget.nregions, 1);
}

/* What goes wrong in the parts. */
static const struct mishap {
    const char *name;
    struct trouble trouble;
    const char *why; /* NULL: the parts are gone through with */
    bool never_again;
} MISHAPS[] = {
    {"filter ignored",
     {.fault = IGNORES_FILTER},
     "the filter was not kept to",
     true},
    {"nothing found", {.fault = FINDS_NOTHING}, "instances were missing", true},
    {"cuts first", {.fault = CUTS_FIRST}, "sparse pages", true},
    {"a few throttles",
     {REFUSES, NULL, ANY_PAGE, SPREAD_THROTTLES_MAX, 503,
      "RequestLimitExceeded"},
     NULL,
     false},
    {"one throttle more",
     {REFUSES, NULL, ANY_PAGE, SPREAD_THROTTLES_MAX + 1, 503,
      "RequestLimitExceeded"},
     "throttled",
     false},
    {"throttled late",
     {REFUSES, NULL, 1, SPREAD_THROTTLES_MAX + 1, 503, "RequestLimitExceeded"},
     "throttled",
     false},
    {"part refused",
     {REFUSES, "7", 0, 1, 400, "InvalidParameterValue"},
     "rejected",
     true},
    {"part always busy",
     {REFUSES, "f", 1, 99, 500, "InternalError"},
     "busy",
     false},
    {"part busy once", {REFUSES, "f", 1, 1, 500, "InternalError"}, NULL, false},
    {"token expired",
     {LOSES_TOKEN, "a", 1, 1, 400, "InvalidPaginationToken"},
     "a page token expired",
     false},
    /* It is short, so that nothing was taken from it yet. */
    {"first page breaks off", {BREAKS_OFF, "3", 0, 1, 0, NULL}, NULL, false},
    {"second page breaks off",
     {BREAKS_OFF, "3", 1, 1, 0, NULL},
     "a page broke off",
     false},
    {"breaks before its first byte",
     {BREAKS_AT_ONCE, "3", 1, 1, 0, NULL},
     NULL,
     false},
    {"unknown", {IS_UNKNOWN, "0", 0, 99, 0, NULL}, "resolve", false},
    {"silent", {IS_SILENT, "0", 1, 1, 0, NULL}, "silent", false},
};

/*
 * Whatever goes wrong in the parts: the instances are those of a plain
 * listing, and where the parts were given up the log says why.
 */
static void test_spread_start__gives_the_same_whatever_happens(void **state)
{

    (void)state;
    for (size_t i = 0; i < sizeof(MISHAPS) / sizeof(MISHAPS[0]); i++) {
        struct world w;
        char expected[128] = "";

        open_world(&w);
        w.trouble = MISHAPS[i].trouble;
        run(&w);
        assert_complete(&w, MISHAPS[i].name);
        if (MISHAPS[i].why)
            (void)snprintf(expected, sizeof(expected), "\"why\":\"%s\"",
                           MISHAPS[i].why);
        if (!strstr(stage_log(&w.stage), expected) ||
            !MISHAPS[i].why != !*stage_log(&w.stage))
            fail_msg("%s: %s", MISHAPS[i].name, stage_log(&w.stage));
        assert_int_equal(w.nrestarts, MISHAPS[i].why ? 2 : 1);
        assert_int_equal(w.request.region->parts_proven, !MISHAPS[i].why);
        assert_int_equal(w.request.region->no_parts_ms == INT64_MAX,
                         MISHAPS[i].never_again);
        close_world(&w);
    }
}

/* The parts of a region where they once worked are given up for good as well:
 * not tried once more behind the first plain page. */
static void test_spread_start__gives_up_proven_parts_once(void **state)
{
    struct world *w = *state;
    size_t before;

    run(w);
    forget(w);
    w->request.region->ninstances = SPREAD_INSTANCES_MIN;
    w->trouble = (struct trouble){REFUSES,  NULL,
                                  ANY_PAGE, SPREAD_THROTTLES_MAX + 1,
                                  503,      "RequestLimitExceeded"};
    before = nrequests(w);
    run(w);
    assert_complete(w, "proven, then throttled");
    assert_int_equal(w->nrestarts, 1);
    assert_int_equal(nrequests(w) - before, NPARTS + NPAGES);
}

static void test_spread_start__pages_plainly_a_minute_long(void **state)
{
    struct world *w = *state;
    size_t before;

    w->trouble = (struct trouble){REFUSES,  NULL,
                                  ANY_PAGE, SPREAD_THROTTLES_MAX + 1,
                                  503,      "RequestLimitExceeded"};
    run(w);
    forget(w);
    before = nrequests(w);
    run(w);
    assert_int_equal(nrequests(w) - before, NPAGES);
    fake_clock_advance(&w->stage.fake, SPREAD_THROTTLED_MS);
    forget(w);
    before = nrequests(w);
    run(w);
    assert_complete(w, "a minute later");
    assert_int_equal(nrequests(w) - before, 1 + NPAGES);
}

/* A region that answered is not taken for one that was not reached. */
static void test_spread_start__pages_plainly_with_all_attempts(void **state)
{
    struct world *w = *state;

    w->trouble = (struct trouble){IS_UNKNOWN, "0", 0, 99, 0, NULL};
    w->nrefused = 1;
    run(w);
    assert_complete(w, "one refusal");
    assert_int_equal(w->nrefused, 0);
    assert_int_equal(w->nrestarts, 2);
}

static void test_spread_start__ends_with_a_failure_of_the_region(void **state)
{
    static const struct {
        const char *code;
        enum failure_kind kind;
    } rows[] = {{"UnauthorizedOperation", FAILURE_DENIED},
                {"AuthFailure", FAILURE_AUTH}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;

        open_world(&w);
        w.trouble = (struct trouble){REFUSES, "5", 1, 1, 403, rows[i].code};
        run(&w);
        assert_int_equal(w.failure.kind, rows[i].kind);
        assert_int_equal(w.nrestarts, 1);
        assert_string_equal(stage_log(&w.stage), "");
        close_world(&w);
    }
}

static void test_spread_start__ends_with_what_a_record_is_answered(void **state)
{
    struct world *w = *state;

    run(w);
    forget(w);
    w->request.region->ninstances = SPREAD_INSTANCES_MIN;
    w->refuse = ERR_LIMIT;
    run(w);
    assert_int_equal(w->failure.kind, FAILURE_LIMIT);
    assert_string_equal(w->failure.text, "test: refused");
}

static void test_spread_start__ends_at_the_deadline(void **state)
{
    struct world *w = *state;

    w->request.deadline_ms =
        w->stage.fake.mono_ms + ROUND_TRIP_MS + ROUND_TRIP_MS / 2;
    run(w);
    assert_int_equal(w->failure.kind, FAILURE_DEADLINE);
}

/* Before the parts, at their first commit, and in the midst of them. */
static void test_spread_start__stops_when_no_more_is_wanted(void **state)
{
    static const struct {
        unsigned enough_at;
        size_t nrequests;
    } rows[] = {{1, 1}, {2, 1 + NPARTS}, {1 + NPARTS + 4, 1 + 2 * NPARTS}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;

        open_world(&w);
        w.enough_at = rows[i].enough_at;
        run(&w);
        assert_int_equal(w.failure.kind, FAILURE_NONE);
        assert_int_equal(w.ncommits, rows[i].enough_at);
        assert_int_equal(nrequests(&w), rows[i].nrequests);
        assert_false(w.request.region->parts_proven);
        assert_string_equal(stage_log(&w.stage), "");
        close_world(&w);
    }
}

static void test_spread_start__needs_no_callback_but_the_last(void **state)
{
    struct world *w = *state;

    w->sink = (struct ec2_sink){{NULL, NULL, NULL}, NULL, NULL, NULL};
    w->trouble = (struct trouble){BREAKS_OFF, "3", 0, 1, 0, NULL};
    w->request.arg = w;
    run(w);
    assert_int_equal(w->failure.kind, FAILURE_NONE);
    w->request.action = EC2_DESCRIBE_SECURITY_GROUPS;
    fake_http_answer_with(w->stage.http, NULL, NULL);
    stage_answer(&w->stage, "us-east-1",
                 (struct fake_answer){
                     .body = XML_GROUPS(XML_GROUP("sg-1", "0.0.0.0/0"))});
    run(w);
    assert_int_equal(w->failure.kind, FAILURE_NONE);
}

/* Ends the listing n ms after its start, in whatever state it is. */
static void test_spread_cancel__ends_a_listing_in_every_state(void **state)
{
    (void)state;
    for (int expire = 0; expire < 2; expire++) {
        for (int64_t ms = 0; ms < 1000; ms += ROUND_TRIP_MS / 4) {
            struct world w;

            open_world(&w);
            w.trouble =
                (struct trouble){REFUSES, NULL, 1, 40, 500, "InternalError"};
            assert_int_equal(start(&w), ERR_OK);
            assert_int_equal(http_run(w.stage.http, w.stage.fake.mono_ms + ms,
                                      &w.done, NULL),
                             ERR_OK);
            if (expire)
                spread_expire(w.spread);
            else
                spread_cancel(w.spread);
            assert_false(w.done);
            assert_int_equal(w.budget.nregions, 1);
            close_world(&w);
        }
    }
}

static void test_spread_cancel__accepts_null(void **state)
{
    (void)state;
    spread_cancel(NULL);
    spread_expire(NULL);
}

static void test_spread_last_failure__looks_at_all_parts(void **state)
{
    struct world *w = *state;

    w->trouble = (struct trouble){REFUSES, "9", 0, 99, 500, "InternalError"};
    assert_int_equal(start(w), ERR_OK);
    assert_int_equal(spread_last_failure(w->spread)->kind, FAILURE_NONE);
    assert_int_equal(http_run(w->stage.http,
                              w->stage.fake.mono_ms + ROUND_TRIP_MS + 1,
                              &w->done, NULL),
                     ERR_OK);
    assert_int_equal(spread_last_failure(w->spread)->kind, FAILURE_NONE);
    assert_int_equal(http_run(w->stage.http,
                              w->stage.fake.mono_ms + ROUND_TRIP_MS + 1,
                              &w->done, NULL),
                     ERR_OK);
    assert_int_equal(spread_last_failure(w->spread)->kind, FAILURE_BUSY);
    spread_cancel(w->spread);
}

/* Without memory for the parts the listing goes on plainly. */
static void survive_failed_allocations(bool ahead)
{
    bool failed = true;
    size_t n;

    for (n = 0; failed; n++) {
        struct world w;
        enum err_code rc;

        open_world(&w);
        if (ahead)
            ask_ahead(&w, AHEAD_LEN);
        fail_alloc_at(n);
        rc = start(&w);
        if (!rc)
            assert_int_equal(http_run(w.stage.http, CLOCK_NEVER, &w.done, NULL),
                             ERR_OK);
        failed = fail_alloc_stop();
        assert_true(rc == ERR_OK || (failed && rc == ERR_NOMEM));
        assert_int_equal(w.budget.nregions, w.nregions);
        assert_int_equal(w.done, !rc);
        if (!rc && w.failure.kind == FAILURE_NONE)
            assert_complete(&w, "with less memory");
        else if (!rc)
            assert_int_equal(w.failure.kind, FAILURE_NOMEM);
        close_world(&w);
    }
    assert_true(n > 80);
}

static void test_spread_start__survives_every_failed_allocation(void **state)
{
    (void)state;
    survive_failed_allocations(false);
    survive_failed_allocations(true);
}

/* What keeps parts from being started does not keep the listing from it. */
static void
test_spread_start__lists_plainly_without_memory_for_parts(void **state)
{
    struct world *w = *state;
    enum err_code rc = ERR_NOMEM;

    w->page_len = NIDS / NPARTS;
    ask_ahead(w, AHEAD_LEN);
    /* The listing, then the parts. */
    fail_alloc_at(1);
    rc = start(w);
    assert_true(fail_alloc_stop());
    assert_int_equal(rc, ERR_OK);
    assert_int_equal(http_run(w->stage.http, CLOCK_NEVER, &w->done, NULL),
                     ERR_OK);
    assert_complete(w, "plainly");
    assert_int_equal(nrequests(w), 1 + NPARTS);
    assert_int_equal(w->budget.nregions, w->nregions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_spread_start__lists_in_parts_after_the_first_page, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_spread_start__lists_in_parts_at_once_when_proven, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_spread_start__lists_in_parts_at_once_after_ahead, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_spread_start__takes_what_was_ahead_once, set_up, tear_down),
        cmocka_unit_test(
            test_spread_start__asks_a_page_where_ahead_told_little),
        cmocka_unit_test(test_spread_start__holds_parts_against_what_was_ahead),
        cmocka_unit_test(test_spread_start__lists_plainly_what_needs_no_parts),
        cmocka_unit_test_setup_teardown(test_spread_start__keeps_to_the_budget,
                                        set_up, tear_down),
        cmocka_unit_test(test_spread_start__gives_the_same_whatever_happens),
        cmocka_unit_test_setup_teardown(
            test_spread_start__gives_up_proven_parts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_spread_start__pages_plainly_a_minute_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_spread_start__pages_plainly_with_all_attempts, set_up,
            tear_down),
        cmocka_unit_test(test_spread_start__ends_with_a_failure_of_the_region),
        cmocka_unit_test_setup_teardown(
            test_spread_start__ends_with_what_a_record_is_answered, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(test_spread_start__ends_at_the_deadline,
                                        set_up, tear_down),
        cmocka_unit_test(test_spread_start__stops_when_no_more_is_wanted),
        cmocka_unit_test_setup_teardown(
            test_spread_start__needs_no_callback_but_the_last, set_up,
            tear_down),
        cmocka_unit_test(test_spread_cancel__ends_a_listing_in_every_state),
        cmocka_unit_test(test_spread_cancel__accepts_null),
        cmocka_unit_test_setup_teardown(
            test_spread_last_failure__looks_at_all_parts, set_up, tear_down),
        cmocka_unit_test(test_spread_start__survives_every_failed_allocation),
        cmocka_unit_test_setup_teardown(
            test_spread_start__lists_plainly_without_memory_for_parts, set_up,
            tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
