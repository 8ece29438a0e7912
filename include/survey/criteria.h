/*
 * criteria.h - what the caller wants of the instances, checked once; pure.
 *
 * The texts come from outside. A text that cannot be used is told in a
 * sentence which goes back to a language model or a person, who corrects
 * the question by it: it names the parameter, its value and what it may be.
 */
#ifndef SURVEY_CRITERIA_H
#define SURVEY_CRITERIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/ec2_types.h"
#include "base/err.h"
#include "base/span.h"
#include "survey/question.h"

struct scope;

/* Longest text of one parameter but regions, bytes. */
#define CRITERIA_TEXT_MAX ((size_t)512)

/* States as bits, 1 << its place in EC2's list; see criteria_state_name(). */
#define CRITERIA_NSTATES 6
#define CRITERIA_STATES_ALL ((1U << CRITERIA_NSTATES) - 1)

/* What holds where the caller says nothing. All zero: every state, names. */
struct criteria_options {
    unsigned default_states; /* bits, 0: all */
    bool names_off;          /* instance and group names stay out */
};

/* Parameters as text; the empty span: not given. */
struct criteria_text {
    struct span regions; /* for scope_parse(), not read here */
    struct span states;
    struct span tag;
    struct span port;
    struct span query;
    struct span after;
};

enum criteria_protocol {
    CRITERIA_ANY_PORT, /* no parameter port */
    CRITERIA_TCP_UDP,
    CRITERIA_TCP,
    CRITERIA_UDP,
    CRITERIA_ICMP, /* ICMP and ICMPv6 */
    CRITERIA_ICMPV6,
};

/* All zero: every instance. Spans are borrowed from the text. */
struct criteria {
    unsigned states;       /* bits, 0: all, also such as EC2 may add */
    struct span tag_key;   /* empty: "Owner" */
    struct span tag_value; /* a pattern; empty: any value but the empty one */
    enum criteria_protocol protocol;
    int32_t from_port; /* the ports, both included */
    int32_t to_port;
    struct span query;        /* a pattern for ids, names and addresses */
    struct span after_region; /* empty: from the beginning */
    struct span after_id;
    size_t after_position; /* set by criteria_place() */
    bool after_is_there;   /* likewise: after_region is at after_position */
    bool names_off;
    bool brief; /* no row tells of type and launch time, unless it must */
};

/*
 * Reads the parameters of question. ERR_ARG: a value that cannot be used, a
 * parameter that the question does not take, or one that it needs and lacks.
 * *out is written on success only and borrows from *text.
 */
NODISCARD enum err_code criteria_parse(const struct criteria_options *defaults,
                                       const struct question *question,
                                       const struct criteria_text *text,
                                       struct criteria *out, struct err *err);

/* ERR_ARG, always: question takes no parameter called name; the text says which
 * it takes. */
enum err_code criteria_refuse(const struct question *question, struct span name,
                              struct err *err);

/*
 * Finds the place of "after" among the regions to be asked, in their order; to
 * be called once the scope is resolved. A region that "all" does not hold any
 * more is where its name would be. ERR_ARG: it is not in a list of names.
 */
NODISCARD enum err_code criteria_place(struct criteria *criteria,
                                       const struct scope *scope,
                                       struct err *err);

/* Whether the same instances are wanted, told in the same way, brief or not. */
bool criteria_equal(const struct criteria *a, const struct criteria *b);

/* A comma list of states in any letter case as bits. ERR_ARG names them. */
NODISCARD enum err_code criteria_parse_states(struct span list, unsigned *out,
                                              struct err *err);

/* State i of CRITERIA_NSTATES, as EC2 writes it; the bit of a state in any
 * letter case, 0 when there is none. */
const char *criteria_state_name(size_t i);
unsigned criteria_state_bit(struct span name);

/* Whether text may be an instance's id: a-z 0-9 -, so that "after" takes it. */
bool criteria_is_instance_id(struct span text);

#endif
