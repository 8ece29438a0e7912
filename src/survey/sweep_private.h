/*
 * sweep_private.h - what the parts of a sweep share.
 */
#ifndef SURVEY_SWEEP_PRIVATE_H
#define SURVEY_SWEEP_PRIVATE_H

#include "aws/spread.h"
#include "net/http_timer.h"
#include "survey/sweep.h"

struct task;

/* One listing of a region; the argument of its callbacks. */
struct stream {
    struct task *task;
    enum fold_listing listing;
    struct spread *pages; /* NULL: not running */
    uint64_t npending;    /* instances since the last commit */
    uint64_t ncommitted;  /* instances before that */
    bool more;            /* EC2 had more when the listing ended */
};

/* One region's work. */
struct task {
    struct sweep *sweep;
    char name[REGION_NAME_MAX + 1];
    struct sweep_region result;
    struct stream streams[FOLD_NLISTINGS];
    size_t nrunning;
    struct aws_region *region;

    size_t ending; /* the fold whose region_end comes next */
    struct fold_follow_up follow_up;
    size_t follow_up_pos; /* values asked so far */
    uint64_t nfollowed;   /* instances of all follow-ups */
    bool has_followed;
    struct ec2_filter filter;

    bool started;
    struct task *awaited; /* of a sweep that asked ahead; NULL: none */
    struct task *heir;    /* whose awaited this is; NULL: none */
    bool gives;           /* the heir may take over what is found */
};

struct sweep {
    struct sweep_options options;
    struct task *tasks;
    struct task **order; /* farthest first */
    size_t n;
    size_t nended;
    bool done;
    int64_t started_ms;
    uint64_t ninstances;
    size_t nadopted;
    struct http_timer expiry; /* of what sweep_connect() left in flight */
    struct ec2_stats stats;
    struct spread_budget budget;
};

/* sweep_task.c: asks the region. */
void sweep_start_task(struct task *task);

/* The region's end; its states stay for the report. */
void sweep_end_task(struct task *task);

/* The same with a failure, its own or, with rc, one of our making before or
 * beside a request; nothing for a region that has ended. */
void sweep_fail_task(struct task *task, const struct failure *failure);
void sweep_fail_task_with(struct task *task, enum err_code rc,
                          const struct err *err);

/* Ends what is in flight, each by end. */
void sweep_end_streams(struct task *task, void (*end)(struct spread *pages));

/* sweep_adopt.c: task has ended, and its heir goes on. */
void sweep_tell_heir(struct task *task);

/* It neither waits for another task nor is waited for any more. */
void sweep_unlink_task(struct task *task);

#endif
