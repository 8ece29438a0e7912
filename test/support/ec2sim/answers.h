/*
 * answers.h - the right answers to the questions, without XML.
 *
 * An implementation of its own, straight from the fleet: it is what the
 * program's answers are held against.
 */
#ifndef EC2SIM_ANSWERS_H
#define EC2SIM_ANSWERS_H

#include <stdbool.h>

#include "pages.h"

/* What is asked for, the program's parameters; NULL: not given. */
struct answers_ask {
    const char *regions; /* a comma list, in order; NULL: all, by name */
    const char *states;  /* a comma list in lower case */
    const char *tag;
    const char *port;
    const char *query;
    bool full;         /* with the fields that only the object form has */
    bool with_managed; /* instances too that are hidden by default */
};

/*
 * Prints the answer to "count", "owner", "exposure", "summary" or "find" as a
 * JSON array: the rows, or one element with the sums. False after a message on
 * standard error.
 */
bool answers_print(const struct world *world, const char *question,
                   const struct answers_ask *ask);

#endif
