#include "reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fuzz.h"

/* An answer being read. */
struct reply {
    const struct reply_terms *terms;
    struct tally *tally;
    int http_status; /* 0: the envelope tells none */
    bool is_array;
    const json_t *summary;       /* the row over all regions; NULL: none yet */
    struct tally_region *region; /* of the row read last */
    char last_id[REPLY_NEXT_SIZE];
    char last[REPLY_NEXT_SIZE]; /* its "region/id" */
    size_t nshown;
    size_t nfailed;    /* regions whose failure is told */
    size_t nuntold;    /* failures that found no room */
    bool has_total;    /* it says how many rows there are */
    size_t total;      /* if so */
    const char *next;  /* NULL: none */
    size_t ninstances; /* sums of the rows of a count */
    size_t nrunning;
};

static size_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    FUZZ_CHECK(json_is_integer(value) && json_integer_value(value) >= 0);
    return (size_t)json_integer_value(value);
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* --- envelopes ----------------------------------------------------------- */

static json_t *load(const json_t *body)
{
    FUZZ_CHECK(json_is_string(body));
    return json_loadb(json_string_value(body), json_string_length(body), 0,
                      NULL);
}

static json_t *open_api(struct reply *r, const json_t *response)
{
    json_t *body = json_object_get(
        json_object_get(json_object_get(response, "responseBody"),
                        "application/json"),
        "body");

    FUZZ_CHECK(*text(response, "apiPath") == '/');
    r->http_status = (int)number(response, "httpStatusCode");
    return r->terms->raw_body ? json_incref(body) : load(body);
}

static json_t *open_function(struct reply *r, const json_t *response)
{
    const json_t *answer = json_object_get(response, "functionResponse");
    const json_t *state = json_object_get(answer, "responseState");
    const json_t *media =
        json_object_get(json_object_get(answer, "responseBody"), "TEXT");

    FUZZ_CHECK(*text(response, "function"));
    FUZZ_CHECK(!state ||
               strcmp(text(answer, "responseState"), "REPROMPT") == 0);
    r->http_status = state ? 400 : 200;
    return load(json_object_get(media, "body"));
}

/* The body, as a new reference. */
static json_t *open_envelope(struct reply *r, json_t *whole)
{
    const json_t *response = json_object_get(whole, "response");

    FUZZ_CHECK(json_is_object(whole));
    if (r->terms->envelope == ENVELOPE_GATEWAY ||
        r->terms->envelope == ENVELOPE_PLAIN)
        return json_incref(whole);
    FUZZ_CHECK(strcmp(text(whole, "messageVersion"), "1.0") == 0);
    FUZZ_CHECK(strcmp(text(response, "actionGroup"), "g") == 0);
    return r->terms->envelope == ENVELOPE_FUNCTION ? open_function(r, response)
                                                   : open_api(r, response);
}

/* --- refusals ------------------------------------------------------------ */

static bool is_refusal(const json_t *body)
{
    const json_t *element = json_array_get(body, 0);

    if (json_object_get(body, "error"))
        return true;
    return json_array_size(body) == 1 && json_object_get(element, "error") &&
           !json_object_get(element, "region");
}

static void check_refusal(const struct reply *r, const json_t *body)
{
    FUZZ_CHECK(r->terms->must_refuse || r->terms->may_refuse);
    FUZZ_CHECK(r->http_status == 0 || r->http_status == 400);
    if (r->is_array) {
        FUZZ_CHECK(*text(json_array_get(body, 0), "error"));
        return;
    }
    FUZZ_CHECK(json_object_size(body) == 3);
    FUZZ_CHECK(*text(body, "error") && *text(body, "hint"));
    FUZZ_CHECK(json_is_false(json_object_get(body, "retryable")));
}

/* --- rows and failures --------------------------------------------------- */

/* Names that are no region's have an error and are not asked. */
static void take_failure(struct reply *r, const char *name, const char *error)
{
    struct tally_region *region = tally_find(r->tally, name);

    FUZZ_CHECK(*error);
    r->nfailed++;
    if (!region)
        return;
    FUZZ_CHECK(!region->failed && region->nrows == 0);
    region->failed = true;
}

static void take_failures(struct reply *r, const json_t *failed)
{
    size_t i;
    const json_t *group;

    FUZZ_CHECK(json_is_array(failed));
    json_array_foreach(failed, i, group)
    {
        const json_t *regions = json_object_get(group, "regions");

        FUZZ_CHECK(json_array_size(regions) > 0);
        for (size_t k = 0; k < json_array_size(regions); k++)
            take_failure(r, json_string_value(json_array_get(regions, k)),
                         text(group, "error"));
    }
}

static void check_count(struct reply *r, const json_t *row)
{
    size_t total = number(row, "totalInstances");
    size_t running = number(row, "runningInstances");
    const struct tally_pages *all = &r->region->pages[TALLY_INSTANCES];

    r->ninstances += total;
    r->nrunning += running;
    FUZZ_CHECK(running <= total && r->region->nrows == 0);
    if (!tally_is_certain(r->tally, r->region))
        return;
    FUZZ_CHECK(total == tally_total(r->region));
    FUZZ_CHECK(running == all->by_state[SCRIPT_RUNNING]);
}

/* An instance of ours, behind the one before and behind "after". */
static void check_instance(struct reply *r, const json_t *row, const char *name)
{
    const char *id = text(row, "instanceId");
    const char *after = r->terms->after;
    size_t len = strlen(name);
    unsigned long n;
    char ours[16];

    FUZZ_CHECK(json_object_get(row, "instanceId"));
    FUZZ_CHECK(r->region->nrows == 0 || strcmp(r->last_id, id) < 0);
    if (strncmp(after, name, len) == 0 && after[len] == '/')
        FUZZ_CHECK(strcmp(after + len + 1, id) < 0);
    (void)snprintf(r->last_id, sizeof(r->last_id), "%s", id);
    (void)snprintf(r->last, sizeof(r->last), "%s/%s", name, id);
    if (!tally_is_certain(r->tally, r->region))
        return;
    n = strncmp(id, "i-", 2) == 0 ? strtoul(id + 2, NULL, 16) : 0;
    (void)snprintf(ours, sizeof(ours), "i-%lx", n);
    FUZZ_CHECK(strcmp(id, ours) == 0 && n < SCRIPT_NINSTANCES);
    FUZZ_CHECK(tally_has(r->tally, r->region, n));
}

static void take_row(struct reply *r, const json_t *row)
{
    const char *name = text(row, "region");
    struct tally_region *region;

    r->nshown++;
    if (r->tally->wish.question == TALLY_SUMMARY) {
        FUZZ_CHECK(!r->summary);
        r->summary = row;
        return;
    }
    region = tally_find(r->tally, name);
    FUZZ_CHECK(region && !region->failed);
    /* The rows of a region stand together. */
    FUZZ_CHECK(region == r->region || region->nrows == 0);
    r->region = region;
    if (r->tally->wish.question == TALLY_COUNT)
        check_count(r, row);
    else
        check_instance(r, row, name);
    region->nrows++;
}

static void take_omitted(struct reply *r, const json_t *omitted)
{
    r->has_total = true;
    r->total = number(omitted, "total");
    r->next = json_string_value(json_object_get(omitted, "next"));
    if (json_object_get(omitted, "failures"))
        r->nuntold = number(omitted, "failures");
    FUZZ_CHECK(number(omitted, "shown") == r->nshown);
    FUZZ_CHECK(r->nuntold > 0 || r->total > r->nshown);
}

static void read_array(struct reply *r, const json_t *body)
{
    size_t i;
    const json_t *element;

    FUZZ_CHECK(json_is_array(body));
    json_array_foreach(body, i, element)
    {
        const json_t *omitted = json_object_get(element, "omitted");

        FUZZ_CHECK(!omitted || i + 1 == json_array_size(body));
        if (omitted)
            take_omitted(r, omitted);
        else if (json_object_get(element, "error"))
            take_failure(r, text(element, "region"), text(element, "error"));
        else
            take_row(r, element);
    }
}

static void read_object(struct reply *r, const json_t *body)
{
    size_t i;
    const json_t *row;
    size_t nasked = number(body, "regionsAsked");

    FUZZ_CHECK(json_is_array(json_object_get(body, "items")));
    take_failures(r, json_object_get(body, "failed"));
    json_array_foreach(json_object_get(body, "items"), i, row)
    {
        take_row(r, row);
    }
    r->has_total = true;
    r->total = number(body, "total");
    r->next = json_string_value(json_object_get(body, "next"));
    if (json_object_get(body, "failuresOmitted")) {
        r->nuntold = number(body, "failuresOmitted");
        FUZZ_CHECK(r->nuntold > 0);
    }
    FUZZ_CHECK(number(body, "shown") == r->nshown && r->nshown <= r->total);
    FUZZ_CHECK(number(body, "regionsAnswered") + r->nfailed + r->nuntold ==
               nasked);
    FUZZ_CHECK(json_array_size(json_object_get(body, "states")) ==
               r->terms->nstates);
    FUZZ_CHECK(strlen(text(body, "asOf")) == strlen("2026-08-30T12:34:56Z"));
    FUZZ_CHECK(strcmp(text(body, "account"),
                      r->terms->has_account ? REPLY_ACCOUNT : "") == 0);
}

/* --- what the tally knows ------------------------------------------------ */

/* Sums over the regions that have answered. */
struct sums {
    size_t nanswered;
    bool is_certain;
    struct tally_bounds rows;
    struct tally_bounds lacking;
    struct tally_bounds exposed;
    size_t by_state[SCRIPT_NSTATES];
    size_t by_type[SCRIPT_NTYPES];
    size_t ninstances;
};

static void add_bounds(struct tally_bounds *to, struct tally_bounds more)
{
    to->min += more.min;
    to->max += more.max;
}

static void add_region(struct sums *sums, const struct tally *tally,
                       const struct tally_region *region)
{
    const struct tally_pages *all = &region->pages[TALLY_INSTANCES];

    tally_check_end(tally, region);
    sums->nanswered++;
    sums->is_certain = sums->is_certain && tally_is_certain(tally, region);
    sums->ninstances += tally_total(region);
    for (size_t i = 0; i < SCRIPT_NSTATES; i++)
        sums->by_state[i] += all->by_state[i];
    for (size_t i = 0; i < SCRIPT_NTYPES; i++)
        sums->by_type[i] += all->by_type[i];
    if (tally->wish.question != TALLY_SUMMARY) {
        add_bounds(&sums->rows,
                   tally_number(tally, region, tally->wish.question));
        return;
    }
    add_bounds(&sums->lacking, tally_number(tally, region, TALLY_TAG));
    add_bounds(&sums->exposed, tally_number(tally, region, TALLY_EXPOSURE));
}

static bool is_within(size_t n, struct tally_bounds bounds)
{
    return bounds.min <= n && n <= bounds.max;
}

static bool has_after(const struct reply *r)
{
    return r->terms->after[0] != '\0';
}

/* Nothing was left out of the answer, and nothing was told before. */
static bool is_whole(const struct reply *r)
{
    return !has_after(r) && (!r->has_total || r->total == r->nshown);
}

static void check_rows(const struct reply *r, const struct sums *sums)
{
    for (size_t i = 0; i < r->tally->nregions; i++) {
        const struct tally_region *region = &r->tally->regions[i];
        struct tally_bounds bounds;

        if (region->failed || !tally_was_asked(region) ||
            !tally_is_certain(r->tally, region))
            continue;
        bounds = tally_number(r->tally, region, r->tally->wish.question);
        FUZZ_CHECK(region->nrows <= bounds.max);
        if (is_whole(r))
            FUZZ_CHECK(region->nrows >= bounds.min);
    }
    if (sums->is_certain && (r->has_total || !has_after(r)))
        FUZZ_CHECK(is_within(r->has_total ? r->total : r->nshown, sums->rows));
}

/* The sum of all entries; none is empty. */
static size_t sum_of(json_t *object)
{
    size_t sum = 0;
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        FUZZ_CHECK(json_integer_value(value) > 0);
        sum += (size_t)json_integer_value(value);
    }
    return sum;
}

static size_t entry(const json_t *object, const char *key)
{
    return (size_t)json_integer_value(json_object_get(object, key));
}

static void check_types(const json_t *row, const struct sums *sums)
{
    const json_t *types = json_object_get(row, "byType");

    FUZZ_CHECK(json_object_size(types) == 10 || number(row, "otherTypes") == 0);
    for (size_t i = 0; i < SCRIPT_NTYPES; i++) {
        char name[16] = "other";
        size_t n;

        if (i + 1 < SCRIPT_NTYPES)
            (void)snprintf(name, sizeof(name), "m%zx.large", i);
        n = entry(types, name);
        FUZZ_CHECK(n == sums->by_type[i] ||
                   (n == 0 && json_object_size(types) == 10));
    }
}

static void check_summary(const struct reply *r, const struct sums *sums)
{
    const json_t *row = r->summary;
    json_t *states = json_object_get(row, "byState");
    size_t total;

    FUZZ_CHECK(r->total <= 1 && r->nshown <= 1);
    if (!row)
        return;
    total = number(row, "totalInstances");
    FUZZ_CHECK(sum_of(states) == total);
    FUZZ_CHECK(sum_of(json_object_get(row, "byType")) +
                   number(row, "otherTypes") ==
               total);
    FUZZ_CHECK(entry(states, "running") == number(row, "runningInstances"));
    FUZZ_CHECK(number(row, "regionsFailed") == r->nfailed + r->nuntold);
    if (r->nuntold)
        return;
    FUZZ_CHECK(number(row, "regionsAsked") == r->nfailed + sums->nanswered);
    if (!sums->is_certain)
        return;
    FUZZ_CHECK(total == sums->ninstances);
    FUZZ_CHECK(entry(states, "running") == sums->by_state[SCRIPT_RUNNING]);
    FUZZ_CHECK(entry(states, "stopped") == sums->by_state[SCRIPT_STOPPED]);
    FUZZ_CHECK(entry(states, "other") == sums->by_state[SCRIPT_UNHEARD_OF]);
    check_types(row, sums);
    FUZZ_CHECK(is_within(number(row, "withoutOwner"), sums->lacking));
    FUZZ_CHECK(is_within(number(row, "exposed"), sums->exposed));
}

/* "next" is where the rows end, if any are left. */
static void check_next(const struct reply *r, const struct sums *sums)
{
    bool is_list = r->tally->wish.question != TALLY_COUNT &&
                   r->tally->wish.question != TALLY_SUMMARY;

    /* Else a walk would never end. A count has none, and its failures stand
     * where its rows do. */
    if (is_list && r->terms->max >= r->terms->row_max && !has_after(r))
        FUZZ_CHECK(r->nshown > 0 || r->total == 0);
    if (r->next) {
        FUZZ_CHECK(is_list && r->nshown > 0 && r->total > r->nshown);
        FUZZ_CHECK(strcmp(r->next, r->last) == 0);
    } else if (is_list && r->nshown > 0 && !has_after(r) && sums->is_certain) {
        FUZZ_CHECK(!r->has_total || r->total == r->nshown);
    }
}

static void check_status(const struct reply *r, const struct sums *sums)
{
    bool was_asked = false;

    for (size_t i = 0; i < r->tally->nregions; i++)
        was_asked = was_asked || tally_was_asked(&r->tally->regions[i]);
    if (r->http_status == 400)
        FUZZ_CHECK(!was_asked && r->nshown == 0);
    else if (r->http_status == 502)
        FUZZ_CHECK(r->nshown == 0 && r->nfailed + r->nuntold > 0);
    else
        FUZZ_CHECK(r->http_status == 0 || r->http_status == 200);
    if (r->terms->envelope == ENVELOPE_API_SCHEMA && r->nuntold == 0)
        FUZZ_CHECK((r->http_status == 200) == (sums->nanswered > 0));
}

static void check_numbers(const struct reply *r, const json_t *body)
{
    struct sums sums = {.is_certain = r->nuntold == 0};

    for (size_t i = 0; i < r->tally->nregions && r->nuntold == 0; i++) {
        const struct tally_region *region = &r->tally->regions[i];

        if (!region->failed && tally_was_asked(region))
            add_region(&sums, r->tally, region);
    }
    check_status(r, &sums);
    check_next(r, &sums);
    if (r->tally->wish.question == TALLY_SUMMARY) {
        FUZZ_CHECK(r->nuntold || r->total > r->nshown ||
                   (r->nshown == 1) == (sums.nanswered > 0));
        check_summary(r, &sums);
        return;
    }
    if (r->nuntold == 0)
        check_rows(r, &sums);
    if (!r->is_array && r->tally->wish.question == TALLY_COUNT && is_whole(r) &&
        r->nshown > 0) {
        FUZZ_CHECK(number(body, "totalInstances") == r->ninstances);
        FUZZ_CHECK(number(body, "runningInstances") == r->nrunning);
    }
}

void reply_check(const struct reply_terms *terms, struct tally *tally,
                 struct span text, char next[REPLY_NEXT_SIZE])
{
    struct reply r = {
        .terms = terms,
        .tally = tally,
        .is_array =
            terms->envelope == ENVELOPE_API_SCHEMA && !terms->always_object,
    };
    json_t *whole = json_loadb(text.p, text.len, 0, NULL);
    json_t *body = open_envelope(&r, whole);

    FUZZ_CHECK(body && fuzz_is_utf8(text));
    if (is_refusal(body)) {
        check_refusal(&r, body);
    } else {
        FUZZ_CHECK(!terms->must_refuse && text.len <= terms->max);
        if (r.is_array)
            read_array(&r, body);
        else
            read_object(&r, body);
        check_numbers(&r, body);
    }
    /* Not before: "after" may be the same text. */
    (void)snprintf(next, REPLY_NEXT_SIZE, "%s", r.next ? r.next : "");
    json_decref(body);
    json_decref(whole);
}
