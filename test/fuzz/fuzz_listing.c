/*
 * One listing of one region against a server that the input plays: records
 * count only by commits of whole pages, every page is asked for with the token
 * of the one before it, the end comes once, and in time.
 *
 * Input: a byte for the action and the filter, one for the time allowed, one
 * for what the sink does, then the server's answers (script.h).
 */
#include "fuzz.h"

#include <string.h>

#include "aws/ec2.h"
#include "base/log.h"
#include "script.h"
#include "support/stage.h"

/* What the sink does with records and pages. */
enum mood {
    MOOD_TAKE,
    MOOD_REFUSE,  /* a record: ERR_LIMIT */
    MOOD_ENOUGH,  /* wants no more than the first page */
    MOOD_FORSAKE, /* the owner cancels after a while */
    NMOODS,
};

/* A listing, its server, and the model of what must have been counted. */
struct world {
    struct stage stage;
    struct script script;
    struct ec2_request request;
    struct ec2_listing *listing;
    struct ec2_stats stats;
    enum mood mood;
    unsigned patience; /* records taken before MOOD_REFUSE */
    size_t ncommitted;
    size_t npending;
    size_t ncommits;   /* of the answer given last */
    size_t nexpected;  /* records of the good pages since the start */
    bool is_uncertain; /* a page was tampered with and committed */
    long status;       /* of the answer given last */
    bool refused;
    bool done;
    struct failure failure;
    struct buf token; /* the next page must be asked with this */
    struct buf asked; /* with this the last one was */
};

static enum err_code take(struct world *w, struct err *err)
{
    FUZZ_CHECK(!w->done && w->ncommits == 0);
    w->npending++;
    if (w->mood == MOOD_REFUSE && w->patience-- == 0) {
        /* Of other answers the status tells, not what is in them. */
        w->refused = w->status == 200;
        return err_set(err, ERR_LIMIT, "fuzz: refused");
    }
    return ERR_OK;
}

static enum err_code on_instance(void *arg, const struct ec2_instance *instance,
                                 struct err *err)
{
    FUZZ_CHECK(fuzz_is_utf8(instance->id));
    return take(arg, err);
}

static enum err_code on_group(void *arg, const struct ec2_group *group,
                              struct err *err)
{
    FUZZ_CHECK(fuzz_is_utf8(group->id));
    return take(arg, err);
}

static enum err_code on_region(void *arg, const struct ec2_region *region,
                               struct err *err)
{
    FUZZ_CHECK(fuzz_is_utf8(region->name));
    return take(arg, err);
}

static bool on_commit(void *arg, bool more)
{
    struct world *w = arg;
    const struct script_page *page = &w->script.page;

    FUZZ_CHECK(!w->done && w->ncommits == 0);
    FUZZ_CHECK(page->verdict != SCRIPT_BAD);
    if (page->verdict == SCRIPT_GOOD) {
        FUZZ_CHECK(w->npending == page->nrecords);
        buf_reset(&w->token);
        /* The API's one listing without pages. */
        if (w->request.action != EC2_DESCRIBE_REGIONS)
            buf_add_span(&w->token, buf_span(&page->next_token));
        FUZZ_CHECK(more == (w->token.len > 0));
    } else {
        w->is_uncertain = true;
    }
    w->nexpected += w->npending;
    w->ncommits++;
    w->ncommitted += w->npending;
    w->npending = 0;
    return w->mood != MOOD_ENOUGH;
}

static void on_rollback(void *arg)
{
    struct world *w = arg;

    FUZZ_CHECK(!w->done && w->ncommits == 0);
    w->npending = 0;
}

static void on_restart(void *arg)
{
    struct world *w = arg;

    FUZZ_CHECK(!w->done && w->npending == 0);
    FUZZ_CHECK(w->script.page.verdict != SCRIPT_GOOD);
    w->ncommitted = 0;
    w->nexpected = 0;
    w->is_uncertain = false;
    buf_reset(&w->token);
}

static void on_done(void *arg, const struct failure *failure)
{
    struct world *w = arg;
    char sentence[FAILURE_SENTENCE_MAX + 1];

    FUZZ_CHECK(!w->done);
    FUZZ_CHECK(w->npending == 0);
    w->done = true;
    w->listing = NULL;
    if (!failure)
        return;
    FUZZ_CHECK(failure->kind != FAILURE_NONE);
    w->failure = *failure;
    failure_sentence(failure, sentence);
    FUZZ_CHECK(sentence[0] && !fuzz_has_control(span_of(sentence)));
    for (const char *p = sentence; *p; p++)
        FUZZ_CHECK((unsigned char)*p < 0x80);
}

static const struct ec2_sink SINK = {
    .records = {on_instance, on_group, on_region},
    .page_commit = on_commit,
    .page_rollback = on_rollback,
    .restart_listing = on_restart,
};

static bool answer(void *arg, const struct fake_request *request,
                   struct fake_answer *out)
{
    struct world *w = arg;

    FUZZ_CHECK(!w->done && w->npending == 0);
    FUZZ_CHECK(request->started_ms < w->request.deadline_ms);
    FUZZ_CHECK(strcmp(request->host, "ec2.eu-west-1.amazonaws.com") == 0);
    FUZZ_CHECK(fake_request_header(request, "Authorization"));
    FUZZ_CHECK(!strstr(request->body, "not-a-real-secret"));
    /* After the last page nothing is asked. */
    FUZZ_CHECK(w->ncommits == 0 || w->token.len > 0 || w->is_uncertain);
    script_token_of(request, &w->asked);
    FUZZ_CHECK(w->is_uncertain ||
               span_eq(buf_span(&w->asked), buf_span(&w->token)));
    w->ncommits = 0;
    script_answer(&w->script, request, out);
    w->status = out->status ? out->status : 200;
    return true;
}

/* A model can be held against what came out only when it is certain. */
static void check_end(struct world *w)
{
    FUZZ_CHECK(w->done);
    FUZZ_CHECK(fake_http_in_flight(w->stage.http) == 0);
    FUZZ_CHECK(w->stage.fake.mono_ms <=
               w->request.deadline_ms + STAGE_NO_PROGRESS_MS);
    FUZZ_CHECK(w->ncommitted == w->nexpected);
    FUZZ_CHECK(w->stats.requests == fake_http_nrequests(w->stage.http));
    if (w->failure.kind == FAILURE_NONE) {
        FUZZ_CHECK(w->ncommits == 1);
        FUZZ_CHECK(w->is_uncertain || w->mood == MOOD_ENOUGH ||
                   w->token.len == 0);
    }
    FUZZ_CHECK(!w->refused || w->failure.kind == FAILURE_LIMIT);
}

static void run(struct world *w)
{
    const bool never = false;
    struct http *http = w->stage.http;
    int64_t now = w->stage.fake.mono_ms;

    FUZZ_CHECK(ec2_start(w->stage.client, &w->request, &w->listing, NULL) ==
               ERR_OK);
    if (w->mood == MOOD_FORSAKE) {
        FUZZ_CHECK(http_run(http, now + 1000, &w->done, NULL) == ERR_OK);
        ec2_cancel(w->listing);
        w->done = true;
    } else {
        FUZZ_CHECK(http_run(http, w->request.deadline_ms + STAGE_NO_PROGRESS_MS,
                            &w->done, NULL) == ERR_OK);
        check_end(w);
    }
    /* Nothing may come after the end. */
    FUZZ_CHECK(http_run(http, w->stage.fake.mono_ms + 100000, &never, NULL) ==
               ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const int64_t ALLOWED_MS[] = {30000, 0, 1, 3000, 900000};
    static const char *const VALUES[] = {"sg-1", "sg &=\xc3\xa9"};
    static const struct ec2_filter FILTER = {"network-interface.group-id",
                                             VALUES, 2};
    struct span in = fuzz_input(data, len);
    unsigned how = fuzz_byte(&in);
    struct world w = {.token = BUF_INIT(4096), .asked = BUF_INIT(4096)};
    int64_t allowed_ms = FUZZ_PICK(&in, ALLOWED_MS);
    unsigned mood = fuzz_byte(&in);

    stage_init(&w.stage);
    log_setup(&(struct log_options){.out = w.stage.log,
                                    .clock = &w.stage.fake.clock,
                                    .min = LOG_DEBUG,
                                    .json = true});
    w.mood = (enum mood)(mood % NMOODS);
    w.patience = mood / NMOODS % 8;
    script_init(&w.script, in, &w.stage.fake);
    fake_http_answer_with(w.stage.http, answer, &w);
    w.request = (struct ec2_request){
        .action = (enum ec2_action)(how % EC2_NACTIONS),
        .filter = how & 64 ? &FILTER : NULL,
        .sink = &SINK,
        .stats = &w.stats,
        .deadline_ms = w.stage.fake.mono_ms + allowed_ms,
        .on_done = on_done,
        .arg = &w,
    };
    FUZZ_CHECK(aws_client_region(w.stage.client, SPAN_LIT("eu-west-1"),
                                 &w.request.region, NULL) == ERR_OK);
    run(&w);
    fuzz_check_log(stage_log(&w.stage));
    stage_release(&w.stage);
    script_release(&w.script);
    buf_release(&w.token);
    buf_release(&w.asked);
    return 0;
}
