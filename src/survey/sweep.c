#include "survey/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sweep_private.h"

/* Regions started before the first requests are sent; then it doubles. */
#define FIRST_BATCH 2
/* No region is farther: a longer round trip was that of a process that was
 * frozen. */
#define FARTHEST_MS 500

static void on_expiry(void *arg);

static int64_t mono_ms(const struct sweep *sweep)
{
    return clock_mono_ms(aws_client_options(sweep->options.client)->clock);
}

static struct http *http_of(const struct sweep *sweep)
{
    return aws_client_options(sweep->options.client)->http;
}

enum err_code sweep_new(const struct sweep_options *options,
                        const char *const *names, size_t n, struct sweep **out,
                        struct err *err)
{
    struct sweep *sweep = calloc(1, sizeof(*sweep));

    if (!sweep)
        return err_nomem(err, "sweep");
    sweep->options = *options;
    sweep->budget.nregions = options->nparallel;
    sweep->n = n;
    sweep->done = n == 0;
    http_timer_init(&sweep->expiry, on_expiry, sweep);
    sweep->tasks = calloc(n ? n : 1, sizeof(*sweep->tasks));
    sweep->order = calloc(n ? n : 1, sizeof(struct task *));
    if (!sweep->tasks || !sweep->order) {
        free(sweep->order);
        free(sweep->tasks);
        free(sweep);
        return err_nomem(err, "sweep");
    }
    for (size_t i = 0; i < n; i++) {
        struct task *task = &sweep->tasks[i];
        size_t len = strnlen(names[i], REGION_NAME_MAX);

        sweep->order[i] = task;
        task->sweep = sweep;
        memcpy(task->name, names[i], len);
        task->result.name = task->name;
    }
    *out = sweep;
    return ERR_OK;
}

void sweep_free(struct sweep *sweep)
{
    if (!sweep)
        return;
    http_timer_cancel(http_of(sweep), &sweep->expiry);
    for (size_t i = 0; i < sweep->n; i++) {
        sweep_unlink_task(&sweep->tasks[i]);
        sweep_end_streams(&sweep->tasks[i], spread_cancel);
        for (size_t k = 0; k < sweep->options.nfolds; k++)
            sweep->options.folds[k]->region_free(
                sweep->tasks[i].result.states[k]);
    }
    free(sweep->order);
    free(sweep->tasks);
    free(sweep);
}

/* What a region was waiting for when the time was over, for the log. */
static void note_last_failure(const struct task *task, struct failure *out)
{
    for (size_t i = 0; i < FOLD_NLISTINGS; i++) {
        const struct spread *pages = task->streams[i].pages;
        char sentence[FAILURE_SENTENCE_MAX + 1];

        if (!pages || spread_last_failure(pages)->kind == FAILURE_NONE)
            continue;
        failure_sentence(spread_last_failure(pages), sentence);
        failure_set_text(out, span_of(sentence));
        return;
    }
}

/* Ends what has not ended: at the deadline, or because the poll failed. */
static void end_late_tasks(struct sweep *sweep, enum failure_kind why)
{
    for (size_t i = 0; i < sweep->n; i++) {
        struct failure failure = {
            .kind = why,
            .waited_ms = (long)(mono_ms(sweep) - sweep->started_ms),
        };

        if (sweep->tasks[i].result.ended)
            continue;
        if (why == FAILURE_DEADLINE)
            note_last_failure(&sweep->tasks[i], &failure);
        sweep_end_streams(&sweep->tasks[i], why == FAILURE_DEADLINE
                                                ? spread_expire
                                                : spread_cancel);
        sweep_fail_task(&sweep->tasks[i], &failure);
    }
}

/* Whether EC2 accepted the credentials, in this sweep or last of all. */
static bool are_credentials_good(const struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->n; i++) {
        const struct failure *failure = &sweep->tasks[i].result.failure;

        /* A proxy denies too, but has no code of EC2's. */
        if (failure->kind == FAILURE_NONE ||
            (failure->kind == FAILURE_DENIED && failure->code[0]))
            return true;
    }
    return aws_client_is_proven(sweep->options.client);
}

/*
 * A region that is not enabled answers as if the credentials were wrong. When
 * EC2 accepted them anywhere in the account, the region is the reason.
 */
static void tell_not_enabled(struct sweep *sweep)
{
    if (!are_credentials_good(sweep))
        return;
    for (size_t i = 0; i < sweep->n; i++)
        if (sweep->tasks[i].result.failure.kind == FAILURE_AUTH)
            sweep->tasks[i].result.failure.kind = FAILURE_NOT_ENABLED;
}

static void log_failures(const struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->n; i++) {
        const struct sweep_region *r = &sweep->tasks[i].result;
        char sentence[FAILURE_SENTENCE_MAX + 1];

        if (r->failure.kind == FAILURE_NONE)
            continue;
        failure_sentence(&r->failure, sentence);
        log_write(
            sweep->options.ahead_max ? LOG_DEBUG : LOG_WARN, "region failed",
            LOG_FIELDS(LOG_STR("region", r->name), LOG_STR("error", sentence),
                       LOG_STR("kind", failure_kind_name(r->failure.kind)),
                       LOG_INT("status", r->failure.status),
                       LOG_INT("attempts", r->failure.attempts),
                       LOG_STR("ec2RequestId", r->failure.request_id),
                       LOG_STR("ec2Text", r->failure.text)));
    }
}

/* How long the region's answer will take, 0: not known. */
static int64_t distance(const struct task *task)
{
    return task->region ? task->region->rtt_us : 0;
}

static int by_distance(const void *a, const void *b)
{
    const struct task *s = *(const struct task *const *)a;
    const struct task *t = *(const struct task *const *)b;

    if (distance(s) != distance(t))
        return distance(s) > distance(t) ? -1 : 1;
    return strcmp(s->name, t->name);
}

/* Finds the regions, failing those that have no endpoint, and sorts them. */
static void put_in_order(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->n; i++) {
        struct task *task = &sweep->tasks[i];
        struct err err = {0};
        enum err_code rc = aws_client_region(
            sweep->options.client, span_of(task->name), &task->region, &err);

        if (rc)
            sweep_fail_task_with(task, rc, &err);
    }
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): they are pointers */
    qsort(sweep->order, sweep->n, sizeof(*sweep->order), by_distance);
}

/* Not what has been taken over, or may be yet. */
static bool is_to_start(const struct task *task)
{
    return !task->result.ended && !task->awaited && !task->started;
}

/*
 * There is no answer before the farthest region's, so that until then others
 * may wait to be read together; but not if what is awaited was asked before.
 */
static void be_patient(const struct sweep *sweep)
{
    int64_t farthest_ms = 0;

    for (size_t i = 0; i < sweep->n; i++) {
        const struct task *task = &sweep->tasks[i];

        if (task->awaited)
            return;
        if (is_to_start(task) && distance(task) / 1000 > farthest_ms)
            farthest_ms = distance(task) / 1000;
    }
    if (farthest_ms > FARTHEST_MS)
        farthest_ms = FARTHEST_MS;
    if (farthest_ms)
        http_be_patient(http_of(sweep), sweep->started_ms + farthest_ms);
}

/*
 * The answer comes when the farthest region's has come, so that is asked
 * first, and its request is on its way while those for the nearer ones are
 * signed: on a throttled CPU all of them take longer than a round trip.
 */
static enum err_code start_all(struct sweep *sweep, struct err *err)
{
    size_t batch = FIRST_BATCH;
    enum err_code rc = ERR_OK;

    sweep->started_ms = mono_ms(sweep);
    put_in_order(sweep);
    be_patient(sweep);
    for (size_t i = 0; !rc && i < sweep->n; batch *= 2) {
        for (size_t k = 0; k < batch && i < sweep->n; k++, i++)
            if (is_to_start(sweep->order[i]))
                sweep_start_task(sweep->order[i]);
        rc = http_run(http_of(sweep), 0, &sweep->done, err);
    }
    return rc;
}

/* Why regions have not ended when the poll has. */
static enum failure_kind kind_of_end(enum err_code rc)
{
    if (rc == ERR_OK)
        return FAILURE_DEADLINE;
    return rc == ERR_NOMEM ? FAILURE_NOMEM : FAILURE_INTERNAL;
}

/* Nothing of this sweep is in flight any more. */
static void finish(struct sweep *sweep, enum err_code rc)
{
    end_late_tasks(sweep, kind_of_end(rc));
    tell_not_enabled(sweep);
    log_failures(sweep);
}

static void on_expiry(void *arg)
{
    finish(arg, ERR_OK);
}

/* Runs the poll until the end, unless it has failed already. */
static enum err_code finish_after(struct sweep *sweep, enum err_code rc,
                                  struct err *err)
{
    if (!rc)
        rc = http_run(http_of(sweep), sweep->options.deadline_ms, &sweep->done,
                      err);
    finish(sweep, rc);
    return rc;
}

enum err_code sweep_run(struct sweep *sweep, struct err *err)
{
    enum err_code rc = start_all(sweep, err);

    return finish_after(sweep, rc, err);
}

enum err_code sweep_connect(struct sweep *sweep, struct err *err)
{
    struct http *http = http_of(sweep);
    int64_t deadline_ms = sweep->options.deadline_ms;
    enum err_code rc = start_all(sweep, err);

    if (!rc)
        rc = http_run(http, deadline_ms, http_all_connected(http), err);
    /* Who is late is told by a timer, which waits for what has come. */
    if (rc || sweep->done || !*http_all_connected(http))
        finish(sweep, rc);
    else
        http_timer_set(http, &sweep->expiry, deadline_ms);
    return rc;
}

enum err_code sweep_await(struct sweep *sweep, struct err *err)
{
    if (sweep->done)
        return ERR_OK;
    http_timer_cancel(http_of(sweep), &sweep->expiry);
    return finish_after(sweep, ERR_OK, err);
}

void sweep_expire(struct sweep *sweep)
{
    if (!sweep->done)
        http_timer_set(http_of(sweep), &sweep->expiry, mono_ms(sweep));
}

bool sweep_is_done(const struct sweep *sweep)
{
    return sweep->done;
}

size_t sweep_nanswered(const struct sweep *sweep, uint64_t *ninstances)
{
    size_t n = 0;

    *ninstances = 0;
    for (size_t i = 0; i < sweep->n; i++) {
        const struct task *task = &sweep->tasks[i];

        if (!task->result.ended || task->result.failure.kind != FAILURE_NONE)
            continue;
        *ninstances += task->streams[FOLD_INSTANCES].ncommitted;
        n++;
    }
    return n;
}

size_t sweep_nadopted(const struct sweep *sweep)
{
    return sweep->nadopted;
}

size_t sweep_nregions(const struct sweep *sweep)
{
    return sweep->n;
}

const struct sweep_region *sweep_get_region(const struct sweep *sweep, size_t i)
{
    return &sweep->tasks[i].result;
}

size_t sweep_nfailed(const struct sweep *sweep)
{
    size_t n = 0;

    for (size_t i = 0; i < sweep->n; i++)
        n += sweep->tasks[i].result.failure.kind != FAILURE_NONE;
    return n;
}

uint64_t sweep_ninstances(const struct sweep *sweep)
{
    return sweep->ninstances;
}

struct ec2_stats *sweep_stats(struct sweep *sweep)
{
    return &sweep->stats;
}
