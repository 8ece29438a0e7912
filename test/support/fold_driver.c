#include "support/fold_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "support/records.h"

const struct fold_row FIRST_ROW = {.region = "r", .list_max = SIZE_MAX};

void fold_driver_init(struct fold_driver *d, const struct fold *fold,
                      struct fold_limits limits)
{
    struct err err = {0};

    *d = (struct fold_driver){.fold = fold, .options = {.limits = limits}};
    d->options.criteria = &d->criteria;
    if (fold->region_begin(&d->options, &d->state, &err))
        fail_msg("region_begin: %s", err.msg);
}

void fold_driver_release(struct fold_driver *d)
{
    d->fold->region_free(d->state);
    d->state = NULL;
}

/* Not from malloc(): fail_alloc.h is to hit the fold, not its driver. */
static char *copy_of(const char *text)
{
    void *copy = NULL;
    size_t size = strlen(text) + 1;

    assert_int_equal(posix_memalign(&copy, sizeof(void *), size), 0);
    memcpy(copy, text, size);
    return copy;
}

enum err_code drive_instance(struct fold_driver *d, const char *text,
                             struct err *err)
{
    struct instance_record record;
    char *copy = copy_of(text);
    enum err_code rc;

    instance_record_init(&record, copy);
    rc = d->fold->instance(d->state, &record.instance, err);
    memset(copy, '#', strlen(text));
    free(copy);
    return rc;
}

enum err_code drive_group(struct fold_driver *d, const char *text,
                          struct err *err)
{
    struct group_record record;
    char *copy = copy_of(text);
    enum err_code rc;

    group_record_init(&record, copy);
    rc = d->fold->group(d->state, &record.group, err);
    memset(copy, '#', strlen(text));
    free(copy);
    return rc;
}

void drive_event(struct fold_driver *d, enum fold_listing listing,
                 enum fold_event event)
{
    d->fold->event(d->state, listing, event);
}

void drive_listing(struct fold_driver *d, enum fold_listing listing,
                   const char *const *texts)
{
    struct err err = {0};

    drive_event(d, listing, FOLD_LISTING_BEGIN);
    for (; *texts; texts++) {
        enum err_code rc = listing == FOLD_GROUPS
                               ? drive_group(d, *texts, &err)
                               : drive_instance(d, *texts, &err);

        if (rc)
            fail_msg("%s: %s", *texts, err.msg);
    }
    drive_event(d, listing, FOLD_PAGE_COMMIT);
    drive_event(d, listing, FOLD_LISTING_END);
}

struct fold_follow_up drive_end(struct fold_driver *d)
{
    struct fold_follow_up follow_up = {0};
    struct err err = {0};

    if (d->fold->region_end(d->state, &follow_up, &err))
        fail_msg("region_end: %s", err.msg);
    return follow_up;
}

json_t *fold_row_json(const struct fold *fold, const void *state,
                      const struct fold_row *which)
{
    struct buf text = BUF_INIT(1 << 20);
    struct span id = fold->row(state, which, &text);
    json_t *row = NULL;

    if (!text.failed) {
        const char *told;
        char *dumped;

        row = json_loadb(text.data, text.len, 0, NULL);
        assert_non_null(row);
        dumped = json_dumps(row, JSON_COMPACT);
        assert_string_equal(text.data, dumped);
        free(dumped);
        told = json_string_value(json_object_get(row, "instanceId"));
        assert_true(span_eq_str(id, told ? told : ""));
    }
    buf_release(&text);
    return row;
}

char *driver_rows(const struct fold_driver *d)
{
    json_t *rows = json_array();
    size_t n = d->fold->tally(d->state).nrows;
    char *text;

    for (size_t i = 0; i < n; i++) {
        struct fold_row which = FIRST_ROW;

        which.i = i;
        assert_int_equal(json_array_append_new(
                             rows, fold_row_json(d->fold, d->state, &which)),
                         0);
    }
    text = json_dumps(rows, JSON_COMPACT);
    assert_non_null(text);
    json_decref(rows);
    return text;
}

void assert_rows(const struct fold_driver *d, const char *expected)
{
    char *text = driver_rows(d);

    assert_string_equal(text, expected);
    free(text);
}
