/*
 * sweep_adopt.c - what a sweep takes over from one that asked ahead.
 */
#include <string.h>

#include "sweep_private.h"

/* The task of ahead for the same region, if that ended well; else NULL. */
static struct task *find_task(struct sweep *ahead, const char *name)
{
    for (size_t i = 0; i < ahead->n; i++) {
        struct task *task = &ahead->tasks[i];

        if (strcmp(task->name, name) == 0)
            return task->result.ended &&
                           task->result.failure.kind == FAILURE_NONE
                       ? task
                       : NULL;
    }
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

    if (!from)
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
    sweep_end_task(task);
    return true;
}

size_t sweep_adopt(struct sweep *sweep, struct sweep *ahead)
{
    size_t n = 0;

    for (size_t i = 0; i < sweep->n; i++)
        n += adopt_task(&sweep->tasks[i],
                        find_task(ahead, sweep->tasks[i].name));
    return n;
}
