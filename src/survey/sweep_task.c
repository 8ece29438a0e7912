/*
 * sweep_task.c - one region's work: its listings, its folds, and its end.
 */
#include "sweep_private.h"

static void advance(struct task *task);

/* Whether fold i takes part in a listing of this task. */
static bool takes_part(const struct task *task, size_t i,
                       enum fold_listing listing)
{
    if (!task->result.states[i])
        return false;
    if (listing == FOLD_FOLLOW_UP)
        return i == task->ending;
    return task->sweep->options.folds[i]->needs & FOLD_NEEDS(listing);
}

static void tell_folds(const struct stream *stream, enum fold_event event)
{
    const struct task *task = stream->task;
    const struct sweep_options *options = &task->sweep->options;

    for (size_t i = 0; i < options->nfolds; i++)
        if (takes_part(task, i, stream->listing))
            options->folds[i]->event(task->result.states[i], stream->listing,
                                     event);
}

/* The fold leaves the region. */
static void drop_fold(struct task *task, size_t i)
{
    task->sweep->options.folds[i]->region_free(task->result.states[i]);
    task->result.states[i] = NULL;
}

/* What becomes of a record that fold i could not take. */
static enum err_code refused_by(struct task *task, size_t i, enum err_code rc,
                                struct err *err)
{
    if (!task->sweep->options.ahead_max)
        return rc;
    *err = (struct err){0};
    drop_fold(task, i);
    return ERR_OK;
}

/* Gives each fold of the listing the record, which is one or the other. */
static enum err_code give(const struct stream *stream,
                          const struct ec2_instance *instance,
                          const struct ec2_group *group, struct err *err)
{
    struct task *task = stream->task;
    const struct sweep_options *options = &task->sweep->options;

    for (size_t i = 0; i < options->nfolds; i++) {
        const struct fold *fold = options->folds[i];
        void *state = task->result.states[i];
        enum err_code rc;

        if (!takes_part(task, i, stream->listing))
            continue;
        rc = instance ? fold->instance(state, instance, err)
                      : fold->group(state, group, err);
        if (rc)
            rc = refused_by(task, i, rc, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code on_instance(void *arg, const struct ec2_instance *instance,
                                 struct err *err)
{
    struct stream *stream = arg;

    stream->npending++;
    return give(stream, instance, NULL, err);
}

static enum err_code on_group(void *arg, const struct ec2_group *group,
                              struct err *err)
{
    return give(arg, NULL, group, err);
}

/* Each instance counts once: not again in a follow-up. */
static void count_instances(struct stream *stream, uint64_t n)
{
    stream->ncommitted += n;
    if (stream->listing == FOLD_INSTANCES)
        stream->task->sweep->ninstances += n;
}

/* Whether one fold wants the listing, or more of it. */
static bool is_wanted(const struct task *task, enum fold_listing listing)
{
    const struct sweep_options *options = &task->sweep->options;

    for (size_t i = 0; i < options->nfolds; i++) {
        const struct fold *fold = options->folds[i];

        if (takes_part(task, i, listing) &&
            (!fold->wants_more ||
             fold->wants_more(task->result.states[i], listing)))
            return true;
    }
    return false;
}

/* What is asked one after the other is waited for. */
static void be_impatient(const struct task *task)
{
    http_be_patient(aws_client_options(task->sweep->options.client)->http, 0);
}

static bool on_page_commit(void *arg, bool more)
{
    struct stream *stream = arg;

    if (more)
        be_impatient(stream->task);
    count_instances(stream, stream->npending);
    stream->npending = 0;
    stream->more = more;
    tell_folds(stream, FOLD_PAGE_COMMIT);
    return is_wanted(stream->task, stream->listing);
}

static void on_page_rollback(void *arg)
{
    struct stream *stream = arg;

    stream->npending = 0;
    be_impatient(stream->task);
    tell_folds(stream, FOLD_PAGE_ROLLBACK);
}

static void on_restart(void *arg)
{
    struct stream *stream = arg;

    stream->npending = 0;
    if (stream->listing == FOLD_INSTANCES)
        stream->task->sweep->ninstances -= stream->ncommitted;
    stream->ncommitted = 0;
    tell_folds(stream, FOLD_LISTING_RESTART);
}

static const struct ec2_sink SINK = {
    .records = {.instance = on_instance, .group = on_group},
    .page_commit = on_page_commit,
    .page_rollback = on_page_rollback,
    .restart_listing = on_restart,
};

void sweep_end_streams(struct task *task, void (*end)(struct spread *pages))
{
    for (size_t i = 0; i < FOLD_NLISTINGS; i++) {
        end(task->streams[i].pages);
        task->streams[i].pages = NULL;
    }
    task->nrunning = 0;
}

void sweep_end_task(struct task *task)
{
    struct sweep *sweep = task->sweep;

    task->result.ended = true;
    sweep->nended++;
    sweep->done = sweep->nended == sweep->n;
    if (sweep->done)
        be_impatient(task);
    if (sweep->options.on_progress)
        sweep->options.on_progress(sweep->options.arg, sweep->nended, sweep->n,
                                   &sweep->stats);
    sweep_tell_heir(task);
}

void sweep_fail_task(struct task *task, const struct failure *failure)
{
    if (task->result.ended)
        return;
    sweep_end_streams(task, spread_cancel);
    task->result.failure = *failure;
    sweep_end_task(task);
}

void sweep_fail_task_with(struct task *task, enum err_code rc,
                          const struct err *err)
{
    struct failure failure = {.kind = failure_of_error(rc)};

    failure_set_text(&failure, span_of(err_text(err)));
    sweep_fail_task(task, &failure);
}

/* What the next sweep may know of the region. */
static void note_size(const struct stream *stream)
{
    struct task *task = stream->task;

    if (stream->listing == FOLD_INSTANCES && !stream->more)
        task->region->ninstances = stream->ncommitted;
    if (stream->listing == FOLD_FOLLOW_UP)
        task->nfollowed += stream->ncommitted;
}

static void drop_folds_of(const struct stream *stream)
{
    for (size_t i = 0; i < stream->task->sweep->options.nfolds; i++)
        if (takes_part(stream->task, i, stream->listing))
            drop_fold(stream->task, i);
}

static void on_stream_done(void *arg, const struct failure *failure)
{
    struct stream *stream = arg;
    struct task *task = stream->task;

    stream->pages = NULL;
    task->nrunning--;
    if (failure && !task->sweep->options.ahead_max) {
        sweep_fail_task(task, failure);
        return;
    }
    if (failure)
        drop_folds_of(stream);
    else
        note_size(stream);
    tell_folds(stream, FOLD_LISTING_END);
    if (task->nrunning == 0)
        advance(task);
}

/* What was asked ahead ends by a timer, after what waited in the sockets has
 * been read: that may be long after, if the process was frozen. */
static int64_t deadline_of(const struct sweep *sweep)
{
    return sweep->options.ahead_max ? CLOCK_NEVER : sweep->options.deadline_ms;
}

static void start_stream(struct task *task, enum fold_listing listing,
                         const struct ec2_filter *filter)
{
    struct sweep *sweep = task->sweep;
    struct stream *stream = &task->streams[listing];
    struct ec2_request request = {
        .action = listing == FOLD_GROUPS ? EC2_DESCRIBE_SECURITY_GROUPS
                                         : EC2_DESCRIBE_INSTANCES,
        .region = task->region,
        .filter = filter,
        .include_managed = sweep->options.include_managed,
        .ahead_max = sweep->options.ahead_max,
        .sink = &SINK,
        .stats = &sweep->stats,
        .deadline_ms = deadline_of(sweep),
        .on_done = on_stream_done,
        .arg = stream,
    };
    struct err err = {0};
    enum err_code rc;

    *stream = (struct stream){.task = task, .listing = listing};
    tell_folds(stream, FOLD_LISTING_BEGIN);
    rc = spread_start(sweep->options.client, &request, &sweep->budget,
                      &stream->pages, &err);
    if (rc)
        sweep_fail_task_with(task, rc, &err);
    else
        task->nrunning++;
}

/* Starts the next call of the follow-up; false when all were made. */
static bool start_follow_up(struct task *task)
{
    const struct fold_follow_up *f = &task->follow_up;
    size_t left = f->filter ? f->nvalues - task->follow_up_pos : 0;

    if (left == 0)
        return false;
    task->filter = (struct ec2_filter){
        .name = f->filter,
        .values = f->values + task->follow_up_pos,
        .nvalues = left < EC2_FILTER_VALUES_MAX ? left : EC2_FILTER_VALUES_MAX,
    };
    task->follow_up_pos += task->filter.nvalues;
    task->has_followed = true;
    be_impatient(task);
    start_stream(task, FOLD_FOLLOW_UP, &task->filter);
    return true;
}

/* No listing is running: what comes next for the region? */
static void advance(struct task *task)
{
    const struct sweep_options *options = &task->sweep->options;
    struct err err = {0};

    while (task->ending < options->nfolds) {
        enum err_code rc;

        if (!task->result.states[task->ending]) {
            task->ending++;
            continue;
        }
        if (start_follow_up(task))
            return;
        task->follow_up = (struct fold_follow_up){0};
        task->follow_up_pos = 0;
        rc = options->folds[task->ending]->region_end(
            task->result.states[task->ending], &task->follow_up, &err);
        if (options->ahead_max && (rc || task->follow_up.filter)) {
            drop_fold(task, task->ending);
            task->follow_up = (struct fold_follow_up){0};
            continue;
        }
        if (rc) {
            sweep_fail_task_with(task, rc, &err);
            return;
        }
        if (task->follow_up.filter)
            continue;
        if (task->follow_up.nspared)
            task->region->nfollowed = task->follow_up.nspared;
        task->ending++;
    }
    if (task->has_followed)
        task->region->nfollowed = task->nfollowed;
    sweep_end_task(task);
}

void sweep_start_task(struct task *task)
{
    const struct sweep_options *options = &task->sweep->options;
    const struct fold_options fold_options = {
        .limits = options->limits,
        .criteria = options->criteria,
        .position = (size_t)(task - task->sweep->tasks),
        .ninstances = task->region->ninstances,
        .nfollowed = task->region->nfollowed,
    };
    struct err err = {0};

    task->started = true;
    for (size_t i = 0; i < options->nfolds; i++) {
        enum err_code rc = options->folds[i]->region_begin(
            &fold_options, &task->result.states[i], &err);

        if (rc) {
            sweep_fail_task_with(task, rc, &err);
            return;
        }
    }
    if (is_wanted(task, FOLD_INSTANCES))
        start_stream(task, FOLD_INSTANCES, NULL);
    if (is_wanted(task, FOLD_GROUPS) && !task->result.ended)
        start_stream(task, FOLD_GROUPS, NULL);
}
