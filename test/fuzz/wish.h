/*
 * wish.h - what one event asks for, as the tally and the checks see it.
 */
#ifndef FUZZ_WISH_H
#define FUZZ_WISH_H

#include <stdbool.h>
#include <stdint.h>

/* In the order of the program's own table. */
enum tally_question {
    TALLY_COUNT,
    TALLY_TAG,
    TALLY_EXPOSURE,
    TALLY_SUMMARY,
    TALLY_FIND,
    TALLY_NQUESTIONS,
};

enum tally_query {
    TALLY_ALL,     /* "*" */
    TALLY_BEGIN_A, /* "i-a*" */
    TALLY_END_7,   /* "*7" */
    TALLY_ID_5,    /* "i-5" */
    TALLY_NAMED,   /* "*é" */
    TALLY_NOBODY,
};

/* What one event asks for. */
struct tally_wish {
    enum tally_question question;
    unsigned states; /* 1 << enum script_state */
    enum tally_query query;
    bool by_name; /* who lacks the tag Name, instead of Owner */
    bool by_ssh;  /* whose port 22 is open, instead of any */
    /* Rows are cut while pages come. Then what the last follow-up has may stay
     * counted when it begins anew: it cannot be told from the one before. */
    bool trims;
    bool has_parts;
    uint64_t by_group_min; /* 0: never */
};

#endif
