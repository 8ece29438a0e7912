#include "survey/atlas.h"

#include <stdlib.h>
#include <string.h>

#include "aws/region.h"
#include "base/log.h"

/* The names of one list, and the storage they point at. */
struct name_list {
    char (*text)[REGION_NAME_MAX + 1];
    const char **names; /* sorted */
    size_t n;
};

struct atlas {
    struct atlas_options options;
    enum atlas_source source;
    struct name_list list;
    int64_t answered_ms; /* mono, of the last good answer */
    int64_t asked_ms;    /* mono, of the last question; INT64_MIN: none */

    struct name_list incoming; /* of the refresh under way */
    struct ec2_listing *listing;
    bool settled;
};

static const struct clock *clock_of(const struct atlas *atlas)
{
    return aws_client_options(atlas->options.client)->clock;
}

static void list_release(struct name_list *list)
{
    free(list->names);
    free(list->text);
    *list = (struct name_list){0};
}

/* Adds a copy of a well-formed name; the names are pointed at in the end. */
static enum err_code list_add(struct name_list *list, struct span name,
                              struct err *err)
{
    void *text;

    if (list->n >= ATLAS_REGIONS_MAX)
        return err_set(err, ERR_LIMIT, "atlas: more than %d regions",
                       ATLAS_REGIONS_MAX);
    text = realloc(list->text, (list->n + 1) * sizeof(*list->text));
    if (!text)
        return err_nomem(err, "atlas");
    list->text = text;
    memcpy(list->text[list->n], name.p, name.len);
    list->text[list->n][name.len] = '\0';
    list->n++;
    return ERR_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Sorts the names and drops repetitions; the list is ready for use. */
static enum err_code list_finish(struct name_list *list, struct err *err)
{
    size_t n = 0;

    list->names = calloc(list->n ? list->n : 1, sizeof(*list->names));
    if (!list->names)
        return err_nomem(err, "atlas");
    if (list->n)
        qsort(list->text, list->n, sizeof(*list->text), compare_texts);
    for (size_t i = 0; i < list->n; i++)
        if (n == 0 || strcmp(list->names[n - 1], list->text[i]) != 0)
            list->names[n++] = list->text[i];
    list->n = n;
    return ERR_OK;
}

static enum err_code fill_configured(struct name_list *list, const char *text,
                                     struct err *err)
{
    struct span rest = span_of(text);
    struct span part;

    while (span_split(&rest, ',', &part)) {
        enum err_code rc;

        part = span_trim(part);
        if (part.len == 0)
            continue;
        if (!region_is_well_formed(part))
            return err_set(err, ERR_CONFIG,
                           "REGIONS: \"%.*s\" is not a region name",
                           (int)(part.len > 64 ? 64 : part.len), part.p);
        rc = list_add(list, part, err);
        if (rc)
            return rc;
    }
    if (list->n == 0)
        return err_set(err, ERR_CONFIG, "REGIONS: no region name in it");
    return ERR_OK;
}

/* A name, or what may stand for one with '*' in it. */
static bool is_pattern(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.p[i] >= 'a' && text.p[i] <= 'z') ||
              (text.p[i] >= '0' && text.p[i] <= '9') || text.p[i] == '-' ||
              text.p[i] == '*'))
            return false;
    return region_is_well_formed(text) ||
           (text.len && memchr(text.p, '*', text.len));
}

static enum err_code check_allowed(const char *text, struct err *err)
{
    struct span rest = span_of(text);
    struct span part;
    size_t n = 0;

    while (span_split(&rest, ',', &part)) {
        part = span_trim(part);
        if (part.len == 0)
            continue;
        if (!is_pattern(part))
            return err_set(err, ERR_CONFIG,
                           "REGIONS_ALLOWED: \"%.*s\" is neither a region name "
                           "nor a pattern such as eu-*",
                           (int)(part.len > 64 ? 64 : part.len), part.p);
        n++;
    }
    if (n == 0)
        return err_set(err, ERR_CONFIG, "REGIONS_ALLOWED: no region in it");
    return ERR_OK;
}

static enum err_code fill_built_in(struct name_list *list, const char *home,
                                   struct err *err)
{
    const struct partition *partition = region_partition(span_of(home));

    for (size_t i = 0; partition && i < partition->nregions; i++) {
        enum err_code rc = list_add(list, span_of(partition->regions[i]), err);

        if (rc)
            return rc;
    }
    return ERR_OK;
}

enum err_code atlas_new(const struct atlas_options *options, struct atlas **out,
                        struct err *err)
{
    struct atlas *atlas = calloc(1, sizeof(*atlas));
    enum err_code rc = ERR_OK;

    if (!atlas)
        return err_nomem(err, "atlas");
    atlas->options = *options;
    atlas->asked_ms = INT64_MIN;
    atlas->settled = true;
    atlas->source = options->configured ? ATLAS_CONFIGURED : ATLAS_BUILT_IN;
    if (options->allowed)
        rc = check_allowed(options->allowed, err);
    if (!rc && options->configured)
        rc = fill_configured(&atlas->list, options->configured, err);
    else if (!rc)
        rc = fill_built_in(&atlas->list, options->home_region, err);
    if (!rc)
        rc = list_finish(&atlas->list, err);
    if (rc) {
        atlas_free(atlas);
        return rc;
    }
    *out = atlas;
    return ERR_OK;
}

void atlas_free(struct atlas *atlas)
{
    if (!atlas)
        return;
    atlas_cancel_refresh(atlas);
    list_release(&atlas->list);
    free(atlas);
}

enum atlas_source atlas_get_source(const struct atlas *atlas)
{
    return atlas->source;
}

const char *const *atlas_regions(const struct atlas *atlas, size_t *n)
{
    *n = atlas->list.n;
    return atlas->list.names;
}

bool atlas_allows(const struct atlas *atlas, struct span name)
{
    struct span rest = span_of(atlas->options.allowed);
    struct span part;

    if (!rest.p)
        return true;
    while (span_split(&rest, ',', &part))
        if (span_fits(name, span_trim(part)))
            return true;
    return false;
}

bool atlas_knows(const struct atlas *atlas, struct span name)
{
    for (size_t i = 0; i < atlas->list.n; i++)
        if (span_eq_str(name, atlas->list.names[i]))
            return true;
    return false;
}

bool atlas_is_older_than(const struct atlas *atlas, int64_t max_age_ms)
{
    if (atlas->source == ATLAS_CONFIGURED)
        return false;
    return atlas->source == ATLAS_BUILT_IN ||
           clock_mono_ms(clock_of(atlas)) - atlas->answered_ms > max_age_ms;
}

int64_t atlas_asked_ms(const struct atlas *atlas)
{
    return atlas->asked_ms;
}

const bool *atlas_is_settled(const struct atlas *atlas)
{
    return &atlas->settled;
}

static enum err_code take_region(void *arg, const struct ec2_region *region,
                                 struct err *err)
{
    struct atlas *atlas = arg;

    if (span_eq_str(region->opt_in_status, "not-opted-in"))
        return ERR_OK;
    if (!region_is_well_formed(region->name)) {
        log_write(LOG_WARN, "DescribeRegions gave a name of no region's shape",
                  LOG_FIELDS(LOG_SPAN("region", region->name)));
        return ERR_OK;
    }
    return list_add(&atlas->incoming, region->name, err);
}

static void drop_incoming(void *arg)
{
    struct atlas *atlas = arg;

    list_release(&atlas->incoming);
}

static const struct ec2_sink SINK = {
    .records = {.region = take_region},
    .page_rollback = drop_incoming,
    .restart_listing = drop_incoming,
};

static void log_failure(const struct atlas *atlas, const char *sentence,
                        const struct failure *failure)
{
    log_write(LOG_WARN,
              atlas->source == ATLAS_ACCOUNT
                  ? "DescribeRegions failed, keeping the list at hand"
                  : "DescribeRegions failed, using the built-in region list",
              LOG_FIELDS(LOG_STR("region", atlas->options.home_region),
                         LOG_STR("error", sentence),
                         LOG_STR("ec2RequestId", failure->request_id),
                         LOG_STR("ec2Text", failure->text)));
}

/* Puts the incoming list in place of the one at hand. */
static void adopt_incoming(struct atlas *atlas)
{
    struct err err = {0};

    if (atlas->incoming.n == 0) {
        log_failure(atlas, "the answer names no region", &(struct failure){0});
        return;
    }
    if (list_finish(&atlas->incoming, &err)) {
        log_failure(atlas, err_text(&err), &(struct failure){0});
        return;
    }
    list_release(&atlas->list);
    atlas->list = atlas->incoming;
    atlas->incoming = (struct name_list){0};
    atlas->source = ATLAS_ACCOUNT;
    atlas->answered_ms = clock_mono_ms(clock_of(atlas));
}

static void on_refreshed(void *arg, const struct failure *failure)
{
    struct atlas *atlas = arg;
    char sentence[FAILURE_SENTENCE_MAX + 1];

    atlas->listing = NULL;
    atlas->settled = true;
    if (failure) {
        failure_sentence(failure, sentence);
        log_failure(atlas, sentence, failure);
    } else {
        adopt_incoming(atlas);
    }
    list_release(&atlas->incoming);
}

void atlas_refresh(struct atlas *atlas, struct ec2_stats *stats,
                   int64_t deadline_ms)
{
    struct ec2_request request = {
        .action = EC2_DESCRIBE_REGIONS,
        .sink = &SINK,
        .stats = stats,
        .deadline_ms = deadline_ms,
        .on_done = on_refreshed,
        .arg = atlas,
    };
    struct err err = {0};
    enum err_code rc;

    if (atlas->listing || atlas->source == ATLAS_CONFIGURED)
        return;
    atlas->asked_ms = clock_mono_ms(clock_of(atlas));
    rc = aws_client_region(atlas->options.client,
                           span_of(atlas->options.home_region), &request.region,
                           &err);
    if (!rc)
        rc = ec2_start(atlas->options.client, &request, &atlas->listing, &err);
    if (rc)
        log_failure(atlas, err_text(&err), &(struct failure){0});
    else
        atlas->settled = false;
}

void atlas_cancel_refresh(struct atlas *atlas)
{
    ec2_cancel(atlas->listing);
    atlas->listing = NULL;
    atlas->settled = true;
    list_release(&atlas->incoming);
}

void atlas_ask_again(struct atlas *atlas)
{
    atlas->asked_ms = INT64_MIN;
}
