/*
 * match.h - what fits the criteria: instances, tags, rules; pure.
 */
#ifndef SURVEY_MATCH_H
#define SURVEY_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "aws/ec2_types.h"
#include "base/span.h"
#include "survey/criteria.h"

/* Whether instances in that state are wanted. */
bool criteria_wants_state(const struct criteria *criteria, struct span state);

/* Whether a tag of the instance has the key, and a value that will do. */
bool criteria_has_tag(const struct criteria *criteria,
                      const struct ec2_instance *instance);

/* Whether the query fits the instance's id, its tag Name or an address of it:
 * the whole of it, letter case apart; an IPv6 address however it is written. */
bool criteria_matches_query(const struct criteria *criteria,
                            const struct ec2_instance *instance);

/* Whether the instance with that id, in the region at that position among
 * those asked, is at "after" or before. */
bool criteria_is_before(const struct criteria *criteria, size_t position,
                        struct span id);

/* Whether the rule lets in what the parameter port asks about. */
bool criteria_covers(const struct criteria *criteria,
                     const struct ec2_permission *rule);

#endif
