/*
 * finding.h - one instance worth telling, packed: some thousands of them are
 * kept, so that its texts and group ids lie in one piece of memory. Pure.
 */
#ifndef SURVEY_FINDING_H
#define SURVEY_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/ec2_types.h"
#include "base/arena.h"
#include "base/span.h"

/* The texts, in the order in which they are packed. */
enum finding_field {
    FINDING_ID,
    FINDING_NAME, /* the tag Name */
    FINDING_STATE,
    FINDING_TYPE,
    FINDING_LAUNCH_TIME,
    FINDING_PRIVATE_IP,
    FINDING_PUBLIC_IP,
    FINDING_IPV6,
    FINDING_NTEXTS,
};

/* The texts that every finding has, as a set of 1U << FINDING_... */
#define FINDING_ALWAYS (1U << FINDING_ID | 1U << FINDING_STATE)

/* Read it by the functions below. */
struct finding {
    char *packed;  /* terminated texts, then terminated group ids */
    uint32_t kept; /* which texts */
    uint32_t ngroup_ids;
};

/*
 * Packs the texts that are wanted (FINDING_ALWAYS among them), each as
 * label_clean() makes it, and these group ids, as they are, into memory of the
 * arena. False when it gives none: *out is as it was.
 */
NODISCARD bool finding_pack(struct arena *arena,
                            const struct ec2_instance *instance,
                            unsigned wanted, const struct span *group_ids,
                            size_t ngroup_ids, struct finding *out);

/* Moves what it says to another arena; false when that gives no memory. */
NODISCARD bool finding_move(struct arena *arena, struct finding *finding);

/* A text, terminated; .p is NULL when it is not kept. */
struct span finding_text(const struct finding *finding,
                         enum finding_field which);

/* memcmp order of the ids. */
int finding_compare(const struct finding *a, const struct finding *b);

/* Bytes of all that it says. */
size_t finding_size(const struct finding *finding);

/* The group ids one after the other, terminated; false after the last. */
struct finding_groups {
    const char *at;
    size_t left;
};
struct finding_groups finding_groups(const struct finding *finding);
bool finding_groups_next(struct finding_groups *groups, struct span *id);

/* Forgets the other group ids than those that keep() says to keep. */
void finding_filter_groups(struct finding *finding,
                           bool (*keep)(const void *arg, struct span id),
                           const void *arg);

#endif
