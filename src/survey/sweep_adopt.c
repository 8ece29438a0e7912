/*
 * sweep_adopt.c - what a sweep takes over from one that asked ahead.
 */
#include <string.h>

#include "sweep_private.h"

/* The task of ahead for the same region, NULL: there is none. */
static struct task *find_task(struct sweep *ahead, const char *name)
{
    for (size_t i = 0; i < ahead->n; i++)
        if (strcmp(ahead->tasks[i].name, name) == 0)
            return &ahead->tasks[i];
    return NULL;
}

/* Where task has the state of that fold, NULL: it has not. */
static void **find_state(struct task *task, const struct fold *fold)
{
    const struct sweep_options *options = &task->sweep->options;

    for (size_t i = 0; i < options->nfolds; i++)
        if (options->folds[i] == fold && task->result.states[i])
            return &task->result.states[i];
    return NULL;
}

static bool adopt_task(struct task *task, struct task *from)
{
    const struct sweep_options *options = &task->sweep->options;
    void **states[SWEEP_FOLDS_MAX];

    if (from->result.failure.kind != FAILURE_NONE)
        return false;
    for (size_t i = 0; i < options->nfolds; i++) {
        states[i] = find_state(from, options->folds[i]);
        if (!states[i])
            return false;
    }
    for (size_t i = 0; i < options->nfolds; i++) {
        task->result.states[i] = *states[i];
        *states[i] = NULL;
    }
    task->sweep->ninstances += from->streams[FOLD_INSTANCES].ncommitted;
    task->sweep->nadopted++;
    sweep_end_task(task);
    return true;
}

static void await(struct task *task, struct task *from, bool gives)
{
    task->awaited = from;
    from->heir = task;
    from->gives = gives;
}

void sweep_unlink_task(struct task *task)
{
    if (task->awaited)
        task->awaited->heir = NULL;
    if (task->heir)
        task->heir->awaited = NULL;
    task->awaited = NULL;
    task->heir = NULL;
}

void sweep_tell_heir(struct task *task)
{
    struct task *heir = task->heir;

    sweep_unlink_task(task);
    if (!heir || (task->gives && adopt_task(heir, task)))
        return;
    /* Else sweep_run() has not begun, and starts it. */
    if (heir->region)
        sweep_start_task(heir);
}

/* Who waits in vain is to have time to ask. */
static void limit_wait(const struct sweep *sweep, struct sweep *ahead)
{
    const struct aws_client_options *options =
        aws_client_options(sweep->options.client);
    int64_t now = clock_mono_ms(options->clock);
    int64_t half = now + (sweep->options.deadline_ms - now) / 2;

    if (ahead->expiry.due_ms != CLOCK_NEVER && half < ahead->expiry.due_ms)
        http_timer_set(options->http, &ahead->expiry, half);
}

void sweep_adopt(struct sweep *sweep, struct sweep *ahead, bool gives)
{
    limit_wait(sweep, ahead);
    for (size_t i = 0; i < sweep->n; i++) {
        struct task *task = &sweep->tasks[i];
        struct task *from = find_task(ahead, task->name);

        if (from && !from->result.ended)
            await(task, from, gives);
        else if (from && gives)
            (void)adopt_task(task, from);
    }
}
