#include "survey/kinds.h"

#include <stdbool.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/arena.h"
#include "survey/fold.h"
#include "survey/match.h"

/* Longest name of a type, bytes; EC2's have some 20. */
#define TYPE_LEN_MAX ((size_t)64)
/* Bytes of the names of types, which an arena aligns. */
#define NAMES_MAX ((KINDS_TYPES_MAX + 1) * (TYPE_LEN_MAX + 16))
#define NSTATES (CRITERIA_NSTATES + 1)
#define OTHER SPAN_LIT("other")

struct kinds {
    const struct criteria *criteria;
    struct arena names;
    struct kinds_entry states[NSTATES]; /* the last: a state that is none */
    struct kinds_entry *types;          /* the first: "other" */
    size_t ntypes;
    size_t cap;
};

static void kinds_free(void *state)
{
    struct kinds *s = state;

    if (!s)
        return;
    free(s->types);
    arena_release(&s->names);
    free(s);
}

/* A new type without instances at the end; NULL: no memory. */
static struct kinds_entry *add_type(struct kinds *s, struct span name)
{
    size_t cap = s->cap ? s->cap * 2 : 32;
    struct kinds_entry *type;

    if (!s->types || s->ntypes == s->cap) {
        type = realloc(s->types, cap * sizeof(*type));
        if (!type)
            return NULL;
        s->types = type;
        s->cap = cap;
    }
    type = &s->types[s->ntypes];
    *type = (struct kinds_entry){.name = arena_copy(&s->names, name)};
    if (!type->name.p)
        return NULL;
    s->ntypes++;
    return type;
}

static enum err_code kinds_begin(const struct fold_options *options,
                                 void **state, struct err *err)
{
    struct kinds *s = calloc(1, sizeof(*s));

    if (!s)
        return err_nomem(err, "kinds");
    s->criteria = options->criteria;
    s->names = (struct arena)ARENA_INIT(NAMES_MAX);
    for (size_t i = 0; i < CRITERIA_NSTATES; i++)
        s->states[i].name = span_of(criteria_state_name(i));
    s->states[CRITERIA_NSTATES].name = OTHER;
    if (!add_type(s, OTHER)) {
        kinds_free(s);
        return err_nomem(err, "kinds");
    }
    *state = s;
    return ERR_OK;
}

static struct kinds_entry *find(struct kinds_entry *entries, size_t n,
                                struct span name)
{
    for (size_t i = 0; i < n; i++)
        if (span_eq(entries[i].name, name))
            return &entries[i];
    return NULL;
}

/* Whether it looks like "m7g.xlarge": letters, digits, '.' and '-'. */
static bool is_type(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' &&
            c != '-')
            return false;
    }
    return name.len > 0 && name.len <= TYPE_LEN_MAX;
}

static enum err_code kinds_instance(void *state,
                                    const struct ec2_instance *instance,
                                    struct err *err)
{
    struct kinds *s = state;
    struct kinds_entry *of_state = find(s->states, NSTATES, instance->state);
    struct kinds_entry *type = find(s->types, s->ntypes, instance->type);

    if (!criteria_wants_state(s->criteria, instance->state))
        return ERR_OK;
    if (!of_state)
        of_state = &s->states[CRITERIA_NSTATES];
    if (!type && (s->ntypes > KINDS_TYPES_MAX || !is_type(instance->type)))
        type = &s->types[0];
    if (!type)
        type = add_type(s, instance->type);
    if (!type)
        return err_nomem(err, "kinds");
    of_state->n++;
    type->n++;
    return ERR_OK;
}

static void set_all(struct kinds_entry *entries, size_t n,
                    enum fold_event event)
{
    for (size_t i = 0; i < n; i++) {
        if (event == FOLD_PAGE_COMMIT)
            entries[i].committed = entries[i].n;
        if (event == FOLD_LISTING_BEGIN || event == FOLD_LISTING_RESTART)
            entries[i].committed = 0;
        entries[i].n = entries[i].committed;
    }
}

static void kinds_event(void *state, enum fold_listing listing,
                        enum fold_event event)
{
    struct kinds *s = state;

    if (listing != FOLD_INSTANCES)
        return;
    set_all(s->states, NSTATES, event);
    set_all(s->types, s->ntypes, event);
}

static enum err_code kinds_end(void *state, struct fold_follow_up *out,
                               struct err *err)
{
    (void)state;
    (void)out;
    (void)err;
    return ERR_OK;
}

/* It has no rows of its own: summary.c makes one of all regions. */
static struct fold_tally kinds_tally(const void *state)
{
    (void)state;
    return (struct fold_tally){0};
}

const struct kinds_entry *kinds_states(const void *state, size_t *n)
{
    *n = NSTATES;
    return ((const struct kinds *)state)->states;
}

const struct kinds_entry *kinds_types(const void *state, size_t *n)
{
    const struct kinds *s = state;

    *n = s->ntypes;
    return s->types;
}

const struct fold FOLD_KINDS = {
    .needs = FOLD_NEEDS(FOLD_INSTANCES),
    .region_begin = kinds_begin,
    .region_free = kinds_free,
    .instance = kinds_instance,
    .event = kinds_event,
    .region_end = kinds_end,
    .tally = kinds_tally,
};
