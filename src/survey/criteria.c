#include "survey/criteria.h"

#include <stdio.h>

#include "aws/region.h"
#include "survey/scope.h"

#define PORT_MAX 65535
/* A wrong value is quoted up to this many bytes. */
#define QUOTED_MAX 64
#define QUOTE(s) (int)((s).len > QUOTED_MAX ? QUOTED_MAX : (s).len), (s).p

static const char *const STATES[CRITERIA_NSTATES] = {
    "pending", "running", "shutting-down", "terminated", "stopping", "stopped",
};

const char *criteria_state_name(size_t i)
{
    return STATES[i];
}

unsigned criteria_state_bit(struct span name)
{
    for (size_t i = 0; i < CRITERIA_NSTATES; i++)
        if (span_eq_nocase(name, span_of(STATES[i])))
            return 1U << i;
    return 0;
}

enum err_code criteria_parse_states(struct span list, unsigned *out,
                                    struct err *err)
{
    unsigned states = 0;
    struct span part;

    while (span_split(&list, ',', &part)) {
        unsigned bit;

        part = span_trim(part);
        if (part.len == 0)
            continue;
        bit = criteria_state_bit(part);
        if (span_eq_nocase(part, SPAN_LIT("all")))
            bit = CRITERIA_STATES_ALL;
        if (!bit)
            return err_set(err, ERR_ARG,
                           "states: \"%.*s\" is no state of an instance; use "
                           "a comma list of pending, running, shutting-down, "
                           "terminated, stopping, stopped, or \"all\"",
                           QUOTE(part));
        states |= bit;
    }
    /* Every state, and those that EC2 may add. */
    *out = states == CRITERIA_STATES_ALL ? 0 : states;
    return ERR_OK;
}

static enum err_code parse_tag(struct span text, struct criteria *out,
                               struct err *err)
{
    struct span rest = text;
    struct span key = {NULL, 0};

    (void)span_split(&rest, '=', &key);
    key = span_trim(key);
    if (key.len == 0 || (rest.p && span_trim(rest).len == 0))
        return err_set(err, ERR_ARG,
                       "tag: \"%.*s\" is no tag; use a key such as Owner, or a "
                       "key and a value that may hold *, such as "
                       "Owner=*@example.com",
                       QUOTE(text));
    out->tag_key = key;
    out->tag_value = rest.p ? span_trim(rest) : (struct span){NULL, 0};
    return ERR_OK;
}

static bool parse_protocol(struct span text, enum criteria_protocol *out)
{
    static const struct {
        const char *name;
        enum criteria_protocol protocol;
    } PROTOCOLS[] = {
        {"tcp", CRITERIA_TCP},
        {"udp", CRITERIA_UDP},
        {"icmp", CRITERIA_ICMP},
        {"icmpv6", CRITERIA_ICMPV6},
    };

    for (size_t i = 0; i < sizeof(PROTOCOLS) / sizeof(PROTOCOLS[0]); i++) {
        if (!span_eq_nocase(text, span_of(PROTOCOLS[i].name)))
            continue;
        *out = PROTOCOLS[i].protocol;
        return true;
    }
    return false;
}

static bool parse_number(struct span text, int32_t *out)
{
    int64_t number;

    if (!span_int64(span_trim(text), &number) || number < 0 ||
        number > PORT_MAX)
        return false;
    *out = (int32_t)number;
    return true;
}

/* "22" or "8000-8080". */
static bool parse_range(struct span text, struct criteria *out)
{
    struct span rest = text;
    struct span from;

    if (!span_split(&rest, '-', &from) || !parse_number(from, &out->from_port))
        return false;
    out->to_port = out->from_port;
    return !rest.p || (parse_number(rest, &out->to_port) &&
                       out->from_port <= out->to_port);
}

/* A protocol alone, or ports with or without one behind a slash. */
static bool read_port(struct span text, struct criteria *out)
{
    struct span rest = text;
    struct span ports;

    out->from_port = 0;
    out->to_port = PORT_MAX;
    if (parse_protocol(text, &out->protocol))
        return true;
    out->protocol = CRITERIA_TCP_UDP;
    return span_split(&rest, '/', &ports) && parse_range(ports, out) &&
           (!rest.p ||
            (parse_protocol(span_trim(rest), &out->protocol) &&
             (out->protocol == CRITERIA_TCP || out->protocol == CRITERIA_UDP)));
}

static enum err_code parse_port(struct span text, struct criteria *out,
                                struct err *err)
{
    if (read_port(text, out))
        return ERR_OK;
    return err_set(err, ERR_ARG,
                   "port: \"%.*s\" is no port; use one from 0 to 65535 such as "
                   "22, a range such as 8000-8080, either with /tcp or /udp "
                   "behind it, or tcp, udp, icmp or icmpv6",
                   QUOTE(text));
}

static enum err_code parse_query(struct span text, struct criteria *out,
                                 struct err *err)
{
    (void)err;
    out->query = text;
    return ERR_OK;
}

bool criteria_is_instance_id(struct span id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!((id.p[i] >= 'a' && id.p[i] <= 'z') ||
              (id.p[i] >= '0' && id.p[i] <= '9') || id.p[i] == '-'))
            return false;
    return id.len > 0;
}

static enum err_code parse_after(struct span text, struct criteria *out,
                                 struct err *err)
{
    struct span id = text;
    struct span region;

    if (!span_split(&id, '/', &region) || !region_is_well_formed(region) ||
        !criteria_is_instance_id(id))
        return err_set(
            err, ERR_ARG,
            "after: \"%.*s\" is no place to go on from; use \"next\" "
            "of the answer before, such as us-east-1/i-0abc, or "
            "leave it out to begin at the beginning",
            QUOTE(text));
    out->after_region = region;
    out->after_id = id;
    return ERR_OK;
}

static enum err_code parse_states(struct span text, struct criteria *out,
                                  struct err *err)
{
    return criteria_parse_states(text, &out->states, err);
}

/* The parameters but regions. */
static const struct parameter {
    const char *name;
    enum question_param param;
    size_t at; /* in struct criteria_text */
    enum err_code (*parse)(struct span text, struct criteria *out,
                           struct err *err);
} PARAMETERS[] = {
    {"states", QUESTION_STATES, offsetof(struct criteria_text, states),
     parse_states},
    {"tag", QUESTION_TAG, offsetof(struct criteria_text, tag), parse_tag},
    {"port", QUESTION_PORT, offsetof(struct criteria_text, port), parse_port},
    {"query", QUESTION_QUERY, offsetof(struct criteria_text, query),
     parse_query},
    {"after", QUESTION_AFTER, offsetof(struct criteria_text, after),
     parse_after},
};

enum err_code criteria_refuse(const struct question *question, struct span name,
                              struct err *err)
{
    char list[128] = "regions";
    size_t len = sizeof("regions") - 1;

    for (size_t i = 0; i < sizeof(PARAMETERS) / sizeof(PARAMETERS[0]); i++)
        if (question->params & PARAMETERS[i].param && len < sizeof(list))
            len += (size_t)snprintf(list + len, sizeof(list) - len, ", %s",
                                    PARAMETERS[i].name);
    return err_set(err, ERR_ARG,
                   "%.*s: %s takes no such parameter; it takes %s", QUOTE(name),
                   question->name, list);
}

static enum err_code parse_parameter(const struct parameter *p,
                                     const struct question *question,
                                     struct span text, struct criteria *out,
                                     struct err *err)
{
    text = span_trim(text);
    if (text.len == 0) {
        if (question->params & p->param && p->param == QUESTION_QUERY)
            return err_set(err, ERR_ARG,
                           "query: missing; give an instance id, a name that "
                           "may hold *, or an IP address");
        return ERR_OK;
    }
    if (!(question->params & p->param))
        return criteria_refuse(question, span_of(p->name), err);
    if (text.len > CRITERIA_TEXT_MAX)
        return err_set(err, ERR_ARG, "%s: longer than %zu bytes", p->name,
                       CRITERIA_TEXT_MAX);
    return p->parse(text, out, err);
}

enum err_code criteria_parse(const struct criteria_options *defaults,
                             const struct question *question,
                             const struct criteria_text *text,
                             struct criteria *out, struct err *err)
{
    struct criteria criteria = {.names_off = defaults->names_off};

    if (question->params & QUESTION_STATES)
        criteria.states = defaults->default_states;
    for (size_t i = 0; i < sizeof(PARAMETERS) / sizeof(PARAMETERS[0]); i++) {
        const struct parameter *p = &PARAMETERS[i];
        struct span value =
            *(const struct span *)(const void *)((const char *)text + p->at);
        enum err_code rc = parse_parameter(p, question, value, &criteria, err);

        if (rc)
            return rc;
    }
    *out = criteria;
    return ERR_OK;
}

bool criteria_equal(const struct criteria *a, const struct criteria *b)
{
    return a->states == b->states && span_eq(a->tag_key, b->tag_key) &&
           span_eq(a->tag_value, b->tag_value) && a->protocol == b->protocol &&
           a->from_port == b->from_port && a->to_port == b->to_port &&
           span_eq(a->query, b->query) &&
           span_eq(a->after_region, b->after_region) &&
           span_eq(a->after_id, b->after_id) && a->names_off == b->names_off;
}

enum err_code criteria_place(struct criteria *criteria,
                             const struct scope *scope, struct err *err)
{
    struct span region = criteria->after_region;
    size_t position = 0;

    criteria->after_position = 0;
    criteria->after_is_there = false;
    if (region.len == 0)
        return ERR_OK;
    for (size_t i = 0; i < scope->n; i++) {
        const struct scope_entry *entry = &scope->entries[i];
        bool is_asked = entry->kind == SCOPE_REGION;

        if (span_eq_str(region, entry->name)) {
            criteria->after_position = position;
            criteria->after_is_there = is_asked;
            return ERR_OK;
        }
        position += is_asked;
        /* "all" is by name: so many regions are before that one. */
        if (scope->all && span_cmp(span_of(entry->name), region) < 0)
            criteria->after_position = position;
    }
    if (scope->all)
        return ERR_OK;
    return err_set(err, ERR_ARG,
                   "after: region %.*s is not among those asked; ask for the "
                   "same regions as before",
                   QUOTE(region));
}
