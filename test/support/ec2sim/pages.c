/*
 * pages.c - the pages of EC2's listings, made when asked for and then kept.
 */
#include "pages.h"

#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "stamp.h"
#include "token.h"

#define XMLNS "http://ec2.amazonaws.com/doc/2016-11-15/"

struct pages {
    const struct world *world;
    struct cache *cache;
    atomic_uint nanswers;
};

/* The items that a request selects, in order. */
struct listing {
    struct blob *indices; /* NULL: all of them */
    size_t n;
};

/* What render functions need besides the writer. */
struct window {
    const struct page_request *pr;
    const struct listing *listing;
    size_t first;
    size_t end;
};

const struct region *world_region(const struct world *world, const char *name,
                                  size_t len)
{
    for (size_t i = 0; i < world->nregions; i++) {
        const struct region *region = &world->regions[i];

        if (strncmp(region->name, name, len) == 0 && !region->name[len])
            return region;
    }
    return NULL;
}

struct pages *pages_new(const struct world *world, size_t cache_bytes)
{
    struct pages *pages = must_calloc(1, sizeof(*pages));

    pages->world = world;
    pages->cache = cache_new(cache_bytes);
    return pages;
}

void pages_free(struct pages *pages)
{
    if (!pages)
        return;
    cache_free(pages->cache);
    free(pages);
}

static void add_filter(struct text *key, const struct filter *f)
{
    text_addf(key, "%zu %s", f->nvalues, f->name ? f->name : "");
    for (size_t i = 0; i < f->nvalues; i++) {
        text_add(key, "\0", 1);
        text_str(key, f->values[i]);
    }
    text_add(key, "\0", 1);
}

/* A hash of everything that decides which items a listing has. */
static void bind_listing(struct pages *pages, const struct region *region,
                         const struct ask *ask, unsigned char out[BINDING_LEN])
{
    struct text key = {0};

    text_addf(&key, "%llu %s %d %d %d ",
              (unsigned long long)pages->world->fleet.seed, region->name,
              (int)ask->action, ask->all_regions, ask->managed);
    for (size_t i = 0; i < ask->nfilters; i++)
        add_filter(&key, &ask->filters[i]);
    add_filter(&key, &ask->ids);
    add_filter(&key, &ask->names);
    SHA256((const unsigned char *)key.p, key.len, out);
    text_release(&key);
}

static void key_of(const unsigned char binding[BINDING_LEN], const char *what,
                   const struct page_request *pr, long size,
                   unsigned char out[CACHE_KEY_LEN])
{
    struct text key = {0};

    text_add(&key, binding, BINDING_LEN);
    text_addf(&key, "%s %ld %ld %d %d", what, size, pr->position.offset,
              pr->position.filled, pr->repeat_token);
    SHA256((const unsigned char *)key.p, key.len, out);
    text_release(&key);
}

static long page_size(struct pages *pages, const struct ask *ask)
{
    long asked = ask->max_results ? ask->max_results : ASK_MAX_RESULTS;

    return asked < pages->world->page ? asked : pages->world->page;
}

bool pages_locate(struct pages *pages, const struct region *region,
                  const struct ask *ask, struct position *out,
                  struct problem *problem)
{
    unsigned char binding[BINDING_LEN];

    *out = (struct position){0};
    if (!ask->token)
        return true;
    bind_listing(pages, region, ask, binding);
    if (!token_read(binding, ask->token, out))
        return problem_set(problem, 400, "InvalidPaginationToken",
                           "The specified pagination token is not valid.");
    return true;
}

long pages_number(struct pages *pages, const struct page_request *pr)
{
    long number = pr->position.offset / page_size(pages, pr->ask);

    if (pages->world->empty_pages)
        return 2 * number + (pr->position.filled ? 2 : 1);
    return number + 1;
}

static bool selects_instance(struct pages *pages, const struct region *region,
                             const struct ask *ask, uint32_t i)
{
    const struct fleet *fleet = &pages->world->fleet;
    struct fleet_instance in;

    fleet_instance(fleet, region->name, i, &in);
    if (in.managed && pages->world->hide_managed && !ask->managed)
        return false;
    if (ask->ids.nvalues > 0 && !filter_text(&ask->ids, in.id))
        return false;
    for (size_t k = 0; k < ask->nfilters; k++) {
        if (!filter_instance(&ask->filters[k], fleet, region->name, &in))
            return false;
    }
    return true;
}

static bool selects_group(struct pages *pages, const struct region *region,
                          const struct ask *ask, uint32_t g)
{
    struct fleet_group group;

    fleet_group(&pages->world->fleet, region->name, g, &group);
    if (ask->ids.nvalues > 0 && !filter_text(&ask->ids, group.id))
        return false;
    if (ask->names.nvalues > 0 && !filter_text(&ask->names, group.name))
        return false;
    for (size_t k = 0; k < ask->nfilters; k++) {
        if (!filter_group(&ask->filters[k], &group))
            return false;
    }
    return true;
}

static struct blob *select_items(struct pages *pages,
                                 const struct page_request *pr, size_t have)
{
    bool instances = pr->ask->action == ACTION_INSTANCES;
    struct text found = {0};
    struct blob *blob;
    size_t n = 0;

    for (uint32_t i = 0; i < have; i++) {
        if (instances ? selects_instance(pages, pr->region, pr->ask, i)
                      : selects_group(pages, pr->region, pr->ask, i)) {
            text_add(&found, &i, sizeof(i));
            n++;
        }
    }
    blob = blob_take(found);
    blob->nitems = n;
    return blob;
}

static bool filters_late(const struct pages *pages, const struct ask *ask)
{
    return pages->world->late_filter && ask->action == ACTION_INSTANCES &&
           ask->ids.nvalues == 0;
}

static void make_listing(struct pages *pages, const struct page_request *pr,
                         const unsigned char binding[BINDING_LEN],
                         struct listing *out)
{
    const struct ask *ask = pr->ask;
    unsigned char key[CACHE_KEY_LEN];
    struct page_request whole = {.region = pr->region, .ask = ask};

    *out = (struct listing){0};
    out->n = ask->action == ACTION_INSTANCES ? pr->region->instances
                                             : pages->world->fleet.ngroups;
    if (filters_late(pages, ask) ||
        (ask->nfilters + ask->ids.nvalues + ask->names.nvalues == 0 &&
         !(pages->world->hide_managed && ask->action == ACTION_INSTANCES)))
        return;
    key_of(binding, "listing", &whole, 0, key);
    out->indices = cache_get(pages->cache, key);
    if (!out->indices) {
        out->indices = select_items(pages, pr, out->n);
        cache_put(pages->cache, key, out->indices);
    }
    out->n = out->indices->nitems;
}

static uint32_t item_at(const struct listing *listing, size_t i)
{
    uint32_t index = (uint32_t)i;

    if (listing->indices)
        memcpy(&index, listing->indices->p + i * sizeof(index), sizeof(index));
    return index;
}

/* Neighbours of one reservation share its item. */
static void render_instances(struct pages *pages, const struct window *w,
                             struct xml *x)
{
    const struct fleet *fleet = &pages->world->fleet;
    const char *region = w->pr->region->name;
    char reservation[FLEET_ID_MAX] = "";
    struct fleet_instance in;

    xml_list(x, "reservationSet");
    for (size_t i = w->first; i < w->end; i++) {
        if (filters_late(pages, w->pr->ask) &&
            !selects_instance(pages, w->pr->region, w->pr->ask, (uint32_t)i))
            continue;
        fleet_instance(fleet, region, item_at(w->listing, i), &in);
        if (strcmp(reservation, in.reservation) != 0) {
            if (*reservation) {
                xml_close(x);
                xml_close(x);
            }
            memcpy(reservation, in.reservation, sizeof(reservation));
            xml_open(x, "item");
            xml_leaf(x, "reservationId", reservation);
            xml_leaf(x, "ownerId", FLEET_ACCOUNT);
            xml_list(x, "groupSet");
            xml_close(x);
            xml_list(x, "instancesSet");
        }
        describe_instance(x, fleet, region, &in);
    }
    if (*reservation) {
        xml_close(x);
        xml_close(x);
    }
    xml_close(x);
}

static void render_groups(struct pages *pages, const struct window *w,
                          struct xml *x)
{
    xml_list(x, "securityGroupInfo");
    for (size_t i = w->first; i < w->end; i++)
        describe_group(x, &pages->world->fleet, w->pr->region->name,
                       item_at(w->listing, i));
    xml_close(x);
}

static bool selects_region(const struct ask *ask, const struct region *region)
{
    if (ask->names.nvalues > 0) {
        if (!filter_text(&ask->names, region->name))
            return false;
    } else if (region->disabled && !ask->all_regions) {
        return false;
    }
    for (size_t k = 0; k < ask->nfilters; k++) {
        if (!filter_text(&ask->filters[k], region->name))
            return false;
    }
    return true;
}

static void render_regions(struct pages *pages, const struct window *w,
                           struct xml *x)
{
    xml_list(x, "regionInfo");
    for (size_t i = 0; i < pages->world->nregions; i++) {
        const struct region *region = &pages->world->regions[i];

        if (selects_region(w->pr->ask, region))
            describe_region(x, region);
    }
    xml_close(x);
}

typedef void (*render_fn)(struct pages *pages, const struct window *w,
                          struct xml *x);

static const struct {
    const char *root;
    render_fn render;
} RENDERERS[ACTION_COUNT] = {
    [ACTION_INSTANCES] = {"DescribeInstancesResponse", render_instances},
    [ACTION_GROUPS] = {"DescribeSecurityGroupsResponse", render_groups},
    [ACTION_REGIONS] = {"DescribeRegionsResponse", render_regions},
};

/* The window of this page and its nextToken, "" where it is the last. */
static void open_window(struct pages *pages, struct window *w,
                        const unsigned char binding[BINDING_LEN],
                        char token[TOKEN_MAX])
{
    const struct page_request *pr = w->pr;
    struct position here = pr->position;
    struct position next = {0};
    size_t size = (size_t)page_size(pages, pr->ask);
    size_t left;

    w->first = (size_t)here.offset < w->listing->n ? (size_t)here.offset
                                                   : w->listing->n;
    left = w->listing->n - w->first;
    w->end = w->first + (left < size ? left : size);
    next.offset = here.offset + (long)size;
    token[0] = '\0';
    if (pages->world->empty_pages && !here.filled) {
        next = (struct position){.offset = here.offset, .filled = true};
        w->end = w->first;
    }
    if (pr->repeat_token)
        next = (struct position){.offset = (long)size};
    if (next.filled || left > size || pr->repeat_token)
        token_make(binding, &next, token);
}

static void format_request_id(const unsigned char key[CACHE_KEY_LEN],
                              char out[40])
{
    snprintf(out, 40,
             "%02x%02x%02x%02x-%02x%02x-4%x%02x-a%x%02x-%02x%02x%02x%02x%02x"
             "%02x",
             key[0], key[1], key[2], key[3], key[4], key[5], key[6] & 15u,
             key[7], key[8] & 15u, key[9], key[10], key[11], key[12], key[13],
             key[14], key[15]);
}

/* Text of a whole answer. */
static struct blob *render(struct pages *pages, struct window *w,
                           const unsigned char binding[BINDING_LEN],
                           const unsigned char key[CACHE_KEY_LEN])
{
    const struct world *world = pages->world;
    enum action action = w->pr->ask->action;
    char token[TOKEN_MAX] = "";
    char request_id[40];
    struct xml x = {0};
    struct blob *blob;
    bool has_token;

    format_request_id(key, request_id);
    if (action != ACTION_REGIONS)
        open_window(pages, w, binding, token);
    has_token = *token || (world->empty_token && action != ACTION_REGIONS);
    xml_begin(&x, world->shape, world->fleet.seed);
    xml_root(&x, RENDERERS[action].root, XMLNS);
    xml_leaf(&x, "requestId", request_id);
    if (world->restless)
        xml_leaf(&x, "revision", STAMP_REVISION);
    if (has_token && world->token_first)
        xml_leaf(&x, "nextToken", token);
    RENDERERS[action].render(pages, w, &x);
    if (has_token && !world->token_first)
        xml_leaf(&x, "nextToken", token);
    xml_close(&x);
    blob = blob_take(xml_take(&x));
    xml_release(&x);
    return blob;
}

/* EC2 names the things that do not exist; one of them is enough here. */
static bool check_found(struct pages *pages, const struct page_request *pr,
                        const struct listing *listing, struct problem *problem)
{
    const struct ask *ask = pr->ask;

    switch (ask->action) {
    case ACTION_INSTANCES:
        if (listing->n < ask->ids.nvalues)
            return problem_set(problem, 400, "InvalidInstanceID.NotFound",
                               "The instance ID '%.60s' does not exist",
                               ask->ids.values[0]);
        break;
    case ACTION_GROUPS:
        if (listing->n < ask->ids.nvalues)
            return problem_set(problem, 400, "InvalidGroup.NotFound",
                               "The security group '%.60s' does not exist",
                               ask->ids.values[0]);
        break;
    case ACTION_REGIONS:
        for (size_t i = 0; i < ask->names.nvalues; i++) {
            const char *name = ask->names.values[i];

            if (!world_region(pages->world, name, strlen(name)))
                return problem_set(problem, 400, "InvalidParameterValue",
                                   "Invalid region names: [%.60s]", name);
        }
        break;
    case ACTION_COUNT:
        break;
    }
    return true;
}

/* The page as it is kept, a reference for the caller; NULL: as pages_get(). */
static struct blob *keep_page(struct pages *pages,
                              const struct page_request *pr,
                              struct problem *problem)
{
    long size = page_size(pages, pr->ask);
    unsigned char binding[BINDING_LEN];
    unsigned char key[CACHE_KEY_LEN];
    struct listing listing = {0};
    struct window w = {.pr = pr, .listing = &listing};
    struct blob *kept = NULL;

    bind_listing(pages, pr->region, pr->ask, binding);
    key_of(binding, pr->gzip ? "gzip" : "plain", pr, size, key);
    kept = cache_get(pages->cache, key);
    if (kept)
        return kept;
    if (pr->ask->action != ACTION_REGIONS)
        make_listing(pages, pr, binding, &listing);
    if (check_found(pages, pr, &listing, problem)) {
        kept = stamp_split(render(pages, &w, binding, key), pr->gzip);
        cache_put(pages->cache, key, kept);
    }
    blob_unref(listing.indices);
    return kept;
}

struct blob *pages_get(struct pages *pages, const struct page_request *pr,
                       struct problem *problem)
{
    struct blob *kept = keep_page(pages, pr, problem);
    struct blob *answer;

    if (!kept)
        return NULL;
    answer = stamp_join(kept, atomic_fetch_add(&pages->nanswers, 1));
    blob_unref(kept);
    return answer;
}

void pages_warm(struct pages *pages)
{
    struct ask ask = {.action = ACTION_INSTANCES,
                      .max_results = ASK_MAX_RESULTS};
    struct problem problem = {0};

    for (size_t i = 0; i < pages->world->nregions; i++) {
        const struct region *region = &pages->world->regions[i];
        struct page_request pr = {.region = region, .ask = &ask, .gzip = true};
        long size = page_size(pages, &ask);

        do {
            blob_unref(keep_page(pages, &pr, &problem));
            pr.position.offset += size;
        } while (pr.position.offset < (long)region->instances);
    }
}
