/*
 * problem.h - why a request is refused, in EC2's words.
 */
#ifndef EC2SIM_PROBLEM_H
#define EC2SIM_PROBLEM_H

#define PROBLEM_TEXT_MAX 1536

/* Empty value: all zero, no problem. */
struct problem {
    int status; /* HTTP; 0: none */
    const char *code;
    const char *reason; /* for whoever debugs a client; NULL: none */
    char message[PROBLEM_TEXT_MAX];
};

/* Always returns false, so that a check can end with it. */
_Bool problem_set(struct problem *problem, int status, const char *code,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
