#include "tally.h"

#include <string.h>

#include "fuzz.h"

#define ALL_PARTS ((1U << SCRIPT_NPARTS) - 1)
#define HOST_BEGIN "ec2."
#define HOST_END ".amazonaws.com"

void tally_begin(struct tally *tally, const struct tally_wish *wish)
{
    tally->wish = *wish;
    tally->nregions = 0;
}

struct tally_region *tally_find(struct tally *tally, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < tally->nregions; i++) {
        const char *host = tally->regions[i].host + strlen(HOST_BEGIN);

        if (strncmp(host, name, len) == 0 && strcmp(host + len, HOST_END) == 0)
            return &tally->regions[i];
    }
    return NULL;
}

static struct tally_region *region_of(struct tally *tally, const char *host)
{
    struct tally_region *region;
    struct span name = {host + strlen(HOST_BEGIN), 0};

    for (size_t i = 0; i < tally->nregions; i++)
        if (strcmp(tally->regions[i].host, host) == 0)
            return &tally->regions[i];
    FUZZ_CHECK(tally->nregions < TALLY_REGIONS_MAX);
    region = &tally->regions[tally->nregions++];
    FUZZ_CHECK(strlen(host) < sizeof(region->host));
    *region = (struct tally_region){.host = ""};
    memcpy(region->host, host, strlen(host));
    name.len = strcspn(name.p, ".");
    FUZZ_CHECK(aws_client_region(tally->client, name, &region->known, NULL) ==
               ERR_OK);
    region->size = region->known->ninstances;
    return region;
}

static enum tally_listing listing_of(const struct fake_request *request)
{
    static const char *const SIGNS[TALLY_NLISTINGS] = {
        [TALLY_GROUPS] = "Action=DescribeSecurityGroups&",
        [TALLY_BY_INTERFACE] = "Filter.1.Name=network-interface.group-id&",
        [TALLY_BY_INSTANCE] = "Filter.1.Name=instance.group-id&",
    };

    for (size_t i = 0; i < TALLY_NLISTINGS; i++)
        if (SIGNS[i] && strstr(request->body, SIGNS[i]))
            return (enum tally_listing)i;
    FUZZ_CHECK(!strstr(request->body, "Filter.") ||
               script_part_of(request) >= 0);
    return strstr(request->body, "Action=DescribeInstances&") ? TALLY_INSTANCES
                                                              : TALLY_NONE;
}

static bool matches(enum tally_query query, const struct script_record *r)
{
    switch (query) {
    case TALLY_ALL:
        return true;
    case TALLY_BEGIN_A:
        return r->id == 0xA || r->id / 16 == 0xA;
    case TALLY_END_7:
        return r->id % 16 == 7;
    case TALLY_ID_5:
        return r->id == 5;
    case TALLY_NAMED:
        return r->has_name;
    case TALLY_NOBODY:
        break;
    }
    return false;
}

static bool is_found(const struct tally_wish *wish,
                     const struct script_record *r)
{
    if (wish->question == TALLY_FIND)
        return matches(wish->query, r);
    return wish->by_name ? !r->has_name : !r->has_owner;
}

static void add_instance(struct tally_pages *pages,
                         const struct tally_wish *wish,
                         const struct script_record *r)
{
    pages->nall++;
    if (!(wish->states & 1U << r->state))
        return;
    pages->by_state[r->state]++;
    pages->by_type[SCRIPT_TYPE(r->id)]++;
    pages->found[r->id] |= is_found(wish, r);
    pages->groups_of[r->id] |= (unsigned short)(1U << r->group);
    pages->groups_ever[r->id] |= pages->groups_of[r->id];
}

static void add_group(struct tally_pages *pages, const struct tally_wish *wish,
                      const struct script_record *r)
{
    if (wish->by_ssh ? r->is_open_ssh : r->is_open)
        pages->open_groups |= 1U << r->group;
}

/* A listing begins, for the first time or anew: nothing of it counts. */
static void begin(struct tally_pages *pages)
{
    struct tally_pages before = *pages;

    *pages = (struct tally_pages){
        .was_asked = true,
        .was_uncertain = before.was_uncertain || before.is_uncertain,
    };
    memcpy(pages->groups_ever, before.groups_ever, sizeof(before.groups_ever));
}

static void begin_part(struct tally_region *region, unsigned part)
{
    struct tally_parts *parts = &region->parts;

    if (!parts->running) {
        begin(&region->pages[TALLY_INSTANCES]);
        *parts = (struct tally_parts){.running = true, .wanted = parts->wanted};
    }
    /* It has begun anew, and what it had counts already. */
    parts->was_broken |= (parts->committed | parts->ended) & 1U << part;
}

static void end_part_page(struct tally_parts *parts, unsigned part,
                          const struct script_page *page)
{
    parts->committed |= 1U << part;
    for (size_t i = 0; i < page->nrecords; i++) {
        parts->held |= 1U << part;
        parts->was_broken |= page->records[i].id % SCRIPT_NPARTS != part;
    }
    if (page->next_token.len == 0)
        parts->ended |= 1U << part;
}

/* Which parts must have instances, as the first page knows. */
static void note_first_page(struct tally_parts *parts,
                            const struct script_page *page)
{
    if (page->verdict != SCRIPT_GOOD)
        return;
    for (size_t i = 0; i < page->nrecords; i++)
        parts->wanted |= 1U << page->records[i].id % SCRIPT_NPARTS;
}

/* A request for instances, all of them or a part. */
static void take_instances(struct tally *tally, struct tally_region *region,
                           int part, const struct script_page *page)
{
    bool is_first = tally->token.len == 0;

    if (part >= 0) {
        FUZZ_CHECK(tally->wish.has_parts);
        if (is_first)
            begin_part(region, (unsigned)part);
        FUZZ_CHECK(region->parts.running);
        if (page->verdict == SCRIPT_GOOD)
            end_part_page(&region->parts, (unsigned)part, page);
        return;
    }
    FUZZ_CHECK(is_first || !region->parts.running);
    if (!is_first)
        return;
    begin(&region->pages[TALLY_INSTANCES]);
    region->parts = (struct tally_parts){.running = false};
    note_first_page(&region->parts, page);
}

void tally_take(struct tally *tally, const struct fake_request *request,
                const struct script_page *page)
{
    struct tally_region *region = region_of(tally, request->host);
    enum tally_listing listing = listing_of(request);
    struct tally_pages *pages;

    if (listing == TALLY_NONE)
        return;
    pages = &region->pages[listing];
    script_token_of(request, &tally->token);
    if (listing == TALLY_INSTANCES)
        take_instances(tally, region, script_part_of(request), page);
    else if (tally->token.len == 0)
        begin(pages);
    if (page->verdict == SCRIPT_UNKNOWN)
        pages->is_uncertain = true;
    if (page->verdict != SCRIPT_GOOD)
        return;
    for (size_t i = 0; i < page->nrecords; i++) {
        if (listing == TALLY_GROUPS)
            add_group(pages, &tally->wish, &page->records[i]);
        else
            add_instance(pages, &tally->wish, &page->records[i]);
    }
}

bool tally_was_asked(const struct tally_region *region)
{
    return region->pages[TALLY_INSTANCES].was_asked ||
           region->pages[TALLY_GROUPS].was_asked;
}

bool tally_is_certain(const struct tally *tally,
                      const struct tally_region *region)
{
    for (size_t i = 0; i < TALLY_NLISTINGS; i++)
        if (region->pages[i].is_uncertain)
            return false;
    return !tally->wish.trims ||
           !region->pages[TALLY_BY_INSTANCE].was_uncertain;
}

/* Whether instance i is in an open group, by the listings that count: all
 * instances, or, when these found no room, those of the follow-ups. */
static bool is_exposed(const struct tally_region *region, size_t i, bool ever)
{
    const struct tally_pages *p = region->pages;
    const struct tally_pages *last = &p[TALLY_BY_INSTANCE];
    unsigned groups = p[TALLY_INSTANCES].groups_of[i];

    if (p[TALLY_BY_INTERFACE].was_asked || last->was_asked)
        groups = p[TALLY_BY_INTERFACE].groups_of[i] |
                 (ever ? last->groups_ever[i] : last->groups_of[i]);
    return (groups & p[TALLY_GROUPS].open_groups) != 0;
}

static bool is_row(const struct tally_region *region,
                   enum tally_question question, size_t i, bool ever)
{
    if (question == TALLY_EXPOSURE)
        return is_exposed(region, i, ever);
    return region->pages[TALLY_INSTANCES].found[i];
}

struct tally_bounds tally_number(const struct tally *tally,
                                 const struct tally_region *region,
                                 enum tally_question question)
{
    struct tally_bounds bounds = {0};

    if (question == TALLY_COUNT)
        return (struct tally_bounds){1, 1};
    for (size_t i = 0; i < SCRIPT_NINSTANCES; i++) {
        bounds.min += is_row(region, question, i, false);
        bounds.max += is_row(region, question, i, tally->wish.trims);
    }
    return bounds;
}

bool tally_has(const struct tally *tally, const struct tally_region *region,
               size_t id)
{
    return is_row(region, tally->wish.question, id, tally->wish.trims);
}

size_t tally_total(const struct tally_region *region)
{
    size_t n = 0;

    for (size_t i = 0; i < SCRIPT_NSTATES; i++)
        n += region->pages[TALLY_INSTANCES].by_state[i];
    return n;
}

/* Both filters, or none; and whoever was not listed must be asked for. */
static void check_follow_ups(const struct tally_region *region)
{
    const struct tally_pages *p = region->pages;

    FUZZ_CHECK(p[TALLY_BY_INTERFACE].was_asked ==
               p[TALLY_BY_INSTANCE].was_asked);
    FUZZ_CHECK(p[TALLY_INSTANCES].was_asked || p[TALLY_BY_INSTANCE].was_asked ||
               p[TALLY_GROUPS].is_uncertain ||
               p[TALLY_GROUPS].open_groups == 0);
}

void tally_check_end(const struct tally *tally,
                     const struct tally_region *region)
{
    const struct tally_pages *all = &region->pages[TALLY_INSTANCES];
    const struct tally_parts *parts = &region->parts;

    check_follow_ups(region);
    if (tally->wish.question == TALLY_EXPOSURE) {
        /* By group, only where the region was seen to be large. */
        FUZZ_CHECK(all->was_asked ||
                   (tally->wish.by_group_min > 0 &&
                    region->size >= tally->wish.by_group_min));
        /* It may want no more pages, so the parts may be cut short. */
        return;
    }
    FUZZ_CHECK(all->was_asked);
    if (all->is_uncertain)
        return;
    FUZZ_CHECK(region->known->ninstances == all->nall);
    if (!parts->running)
        return;
    FUZZ_CHECK(!parts->was_broken);
    FUZZ_CHECK(parts->ended == ALL_PARTS);
    FUZZ_CHECK((parts->wanted & ~parts->held) == 0);
}
