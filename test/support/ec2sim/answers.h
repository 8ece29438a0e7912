/*
 * answers.h - the right answers to the three questions, without XML.
 *
 * An implementation of its own, straight from the fleet: it is what the
 * program's answers are held against.
 */
#ifndef EC2SIM_ANSWERS_H
#define EC2SIM_ANSWERS_H

#include <stdbool.h>

#include "pages.h"

/*
 * Prints the answer to "count", "owner" or "exposure" as a JSON array. regions
 * is a comma list that gives the order; NULL: all enabled ones by name. False
 * after a message on standard error.
 */
bool answers_print(const struct world *world, const char *question,
                   const char *regions);

#endif
