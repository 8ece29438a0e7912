/*
 * options.c - the command line of the simulator.
 */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INSTANCES 10000000L
#define MAX_GROUPS 100000L
#define MAX_REGIONS 1000
#define REGIONS_FILE_MAX ((size_t)64 * 1024)

enum kind {
    FLAG,
    NUMBER,
    TEXT,
    LIST,
};

struct setting {
    const char *name;
    enum kind kind;
    size_t at; /* in struct options */
    long min;
    long max;
    const char *help;
};

#define AT(field) offsetof(struct options, field)

static const struct setting SETTINGS[] = {
    {"port", NUMBER, AT(port), 0, 65535, "N  0 (default): any free one"},
    {"listen", TEXT, AT(listen), 0, 0, "ADDR  IPv4, default 127.0.0.1"},
    {"dir", TEXT, AT(dir), 0, 0, "DIR  where ca.pem goes; needed for TLS"},
    {"plain", FLAG, AT(plain), 0, 0, "http without TLS"},
    {"rsa", FLAG, AT(rsa), 0, 0, "RSA-2048 certificates, not P-256"},
    {"threads", NUMBER, AT(threads), 1, 64, "N  default 2"},
    {"cache-mb", NUMBER, AT(cache_mb), 0, 65536,
     "N  finished pages kept, default 512"},
    {"warm", FLAG, AT(warm), 0, 0, "make plain listings before ready"},
    {"stdin-lease", FLAG, AT(stdin_lease), 0, 0,
     "end when standard input is closed"},
    {"regions", TEXT, AT(regions), 0, 0,
     "A,B,…  default: the 34 commercial ones"},
    {"regions-file", TEXT, AT(regions_file), 0, 0, "FILE  one name a line"},
    {"disabled", TEXT, AT(disabled), 0, 0,
     "A,B,…  also there, but not opted in"},
    {"instances", NUMBER, AT(instances), 0, MAX_INSTANCES,
     "N  per region, default 100"},
    {"instances-in", LIST, AT(instances_in), 0, 0, "REGION=N  repeatable"},
    {"groups", NUMBER, AT(groups), 1, MAX_GROUPS,
     "N  security groups per region, default 12"},
    {"open", NUMBER, AT(open), 0, 100,
     "PERCENT  of groups open to the internet, default 25"},
    {"seed", NUMBER, AT(seed), 0, LONG_MAX, "N  default 1"},
    {"page", NUMBER, AT(page), 1, ASK_MAX_RESULTS,
     "N  most items on a page, default 1000"},
    {"pretty", FLAG, AT(pretty), 0, 0, "XML with newlines and indentation"},
    {"shuffle", FLAG, AT(shuffle), 0, 0, "fields in changing order"},
    {"token-first", FLAG, AT(token_first), 0, 0, "nextToken before the set"},
    {"empty-pages", FLAG, AT(empty_pages), 0, 0,
     "an empty page before each page"},
    {"empty-token", FLAG, AT(empty_token), 0, 0,
     "<nextToken/> on the last page"},
    {"late-filter", FLAG, AT(late_filter), 0, 0,
     "cut pages of instances before filtering them"},
    {"restless", FLAG, AT(restless), 0, 0,
     "no two answers alike, as if the fleet changed all the time"},
    {"no-gzip", FLAG, AT(no_gzip), 0, 0, "never compress"},
    {"h-close", FLAG, AT(h_close), 0, 0, "Connection: close on every answer"},
    {"no-auth", FLAG, AT(no_auth), 0, 0, "do not check signatures"},
    {"key", TEXT, AT(key), 0, 0, "ID  default TESTKEY"},
    {"secret", TEXT, AT(secret), 0, 0, "S  default not-a-real-secret"},
    {"token", TEXT, AT(token), 0, 0, "T  session token, default none"},
    {"fault", LIST, AT(faults), 0, 0,
     "REGION[/ACTION]=KIND[:ARG…]  repeatable, see below"},
    {"print-answers", TEXT, AT(print_answers), 0, 0,
     "count|owner|exposure|summary|find  print the right answer and exit"},
    {"regions-asked", TEXT, AT(asked.regions), 0, 0,
     "A,B,…  for that, in this order; default all by name"},
    {"states", TEXT, AT(asked.states), 0, 0, "A,B,…  for that"},
    {"tag", TEXT, AT(asked.tag), 0, 0, "KEY[=PATTERN]  for owner"},
    {"port-asked", TEXT, AT(asked.port), 0, 0,
     "N[-N][/tcp|/udp]|icmp  for exposure"},
    {"query", TEXT, AT(asked.query), 0, 0, "PATTERN  for find"},
    {"full", FLAG, AT(asked.full), 0, 0,
     "with the fields that only the object form has"},
    {"with-managed", FLAG, AT(asked.with_managed), 0, 0,
     "with the instances that --hide-managed hides"},
    {"hide-managed", FLAG, AT(hide_managed), 0, 0,
     "show managed instances only to IncludeManagedResources"},
    {"old-api", FLAG, AT(old_api), 0, 0,
     "IncludeManagedResources is an unknown parameter"},
    {"help", FLAG, AT(help), 0, 0, ""},
};

#define NSETTINGS (sizeof(SETTINGS) / sizeof(SETTINGS[0]))

void options_help(void)
{
    puts("usage: ec2sim [options]\n\n"
         "A simulated EC2 for tests. When it is ready it prints\n"
         "\"ec2sim ready port=N ca=FILE\" and serves until it is told to "
         "end.\n");
    for (size_t i = 0; i < NSETTINGS; i++)
        printf("  --%s %s\n", SETTINGS[i].name, SETTINGS[i].help);
    printf("\nKinds of fault:\n%s", faults_help());
}

static bool set(struct options *options, const struct setting *setting,
                const char *value)
{
    char *field = (char *)options + setting->at;
    struct option_list *list;

    switch (setting->kind) {
    case FLAG:
        *(bool *)(void *)field = true;
        break;
    case TEXT:
        *(const char **)(void *)field = value;
        break;
    case NUMBER:
        return text_number_str(value, setting->min, setting->max,
                               (long *)(void *)field);
    case LIST:
        list = (struct option_list *)(void *)field;
        list->v = must_resize(list->v, list->n + 1, sizeof(*list->v));
        list->v[list->n++] = value;
        break;
    }
    return true;
}

bool options_parse(int argc, char **argv, struct options *out)
{
    struct option longs[NSETTINGS + 1] = {0};
    int which;

    *out = (struct options){
        .threads = 2,
        .cache_mb = 512,
        .instances = 100,
        .groups = 12,
        .open = 25,
        .seed = 1,
        .page = ASK_MAX_RESULTS,
        .listen = "127.0.0.1",
        .key = "TESTKEY",
        .secret = "not-a-real-secret",
    };
    for (size_t i = 0; i < NSETTINGS; i++) {
        longs[i].name = SETTINGS[i].name;
        longs[i].has_arg =
            SETTINGS[i].kind == FLAG ? no_argument : required_argument;
        longs[i].val = (int)i;
    }
    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (which == '?')
            return false;
        if (!set(out, &SETTINGS[which], optarg)) {
            fprintf(stderr, "ec2sim: --%s: bad number %s\n",
                    SETTINGS[which].name, optarg);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "ec2sim: unexpected argument %s\n", argv[optind]);
        return false;
    }
    return true;
}

void options_release(struct options *options)
{
    free(options->instances_in.v);
    free(options->faults.v);
}

/* A name that can stand in a host name. */
static bool is_name(const char *s, size_t len)
{
    return len > 0 && len < REGION_NAME_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") >= len;
}

static bool add_region(struct world *world, const char *name, size_t len,
                       bool disabled)
{
    struct region *region;

    if (!is_name(name, len) || world_region(world, name, len) ||
        world->nregions == MAX_REGIONS) {
        fprintf(stderr, "ec2sim: bad or repeated region %.*s\n", (int)len,
                name);
        return false;
    }
    world->regions = must_resize(world->regions, world->nregions + 1,
                                 sizeof(*world->regions));
    region = &world->regions[world->nregions++];
    *region = (struct region){.disabled = disabled};
    memcpy(region->name, name, len);
    return true;
}

/* Names between commas, blanks or newlines. */
static bool add_regions(struct world *world, const char *list, bool disabled)
{
    static const char between[] = ", \t\r\n";

    while (*list) {
        size_t len = strcspn(list, between);

        if (len > 0 && !add_region(world, list, len, disabled))
            return false;
        list += len;
        list += strspn(list, between);
    }
    return true;
}

static bool add_regions_file(struct world *world, const char *path)
{
    char *text = must_calloc(REGIONS_FILE_MAX + 1, 1);
    FILE *file = fopen(path, "r");
    bool ok = false;

    if (file) {
        ok = fread(text, 1, REGIONS_FILE_MAX, file) > 0;
        fclose(file);
    }
    if (!ok)
        fprintf(stderr, "ec2sim: cannot read %s\n", path);
    ok = ok && add_regions(world, text, false);
    free(text);
    return ok;
}

static bool add_known(struct world *world)
{
    for (size_t i = 0; i < regions_known(); i++) {
        const char *name = regions_known_name(i);

        if (!add_region(world, name, strlen(name), false))
            return false;
    }
    return true;
}

/* "REGION=N" */
static bool set_size(struct world *world, const char *spec)
{
    size_t len = strcspn(spec, "=");
    const struct region *known = world_region(world, spec, len);
    long n;

    if (!known || !spec[len] ||
        !text_number_str(spec + len + 1, 0, MAX_INSTANCES, &n)) {
        fprintf(stderr, "ec2sim: --instances-in: bad value %s\n", spec);
        return false;
    }
    world->regions[known - world->regions].instances = (uint32_t)n;
    return true;
}

bool options_world(const struct options *options, struct world *out)
{
    bool ok;

    *out = (struct world){
        .fleet =
            {
                .seed = (uint64_t)options->seed,
                .ngroups = (uint32_t)options->groups,
                .open_percent = (uint32_t)options->open,
            },
        .page = options->page,
        .shape = {.pretty = options->pretty, .shuffle = options->shuffle},
        .token_first = options->token_first,
        .empty_pages = options->empty_pages,
        .empty_token = options->empty_token,
        .late_filter = options->late_filter,
        .restless = options->restless,
        .hide_managed = options->hide_managed,
        .old_api = options->old_api,
    };
    if (options->regions)
        ok = add_regions(out, options->regions, false);
    else if (options->regions_file)
        ok = add_regions_file(out, options->regions_file);
    else
        ok = add_known(out);
    if (ok && options->disabled)
        ok = add_regions(out, options->disabled, true);
    for (size_t i = 0; i < out->nregions; i++)
        out->regions[i].instances = (uint32_t)options->instances;
    for (size_t i = 0; ok && i < options->instances_in.n; i++)
        ok = set_size(out, options->instances_in.v[i]);
    if (ok && out->nregions == 0) {
        fputs("ec2sim: no region\n", stderr);
        ok = false;
    }
    return ok;
}

void world_release(struct world *world)
{
    free(world->regions);
    *world = (struct world){0};
}
