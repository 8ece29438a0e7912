/*
 * faults.h - what a region does wrong, by request of a test.
 *
 * A table of rules "REGION[/ACTION]=KIND[:ARG…]", where REGION may be "*".
 * Some kinds colour every answer of their region (climate), the others answer
 * a request in place of the fleet: the first rule in order that still has
 * something to do does. Byte- and TCP-shaped faults are not made here.
 */
#ifndef EC2SIM_FAULTS_H
#define EC2SIM_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include "ask.h"

enum fault {
    FAULT_NONE,
    FAULT_AUTH_FAILURE,
    FAULT_CLOCK_SKEW, /* climate */
    FAULT_DENIED,
    FAULT_DOCTYPE,
    FAULT_EMPTY200,
    FAULT_ERROR,
    FAULT_ERROR_EMPTY,
    FAULT_EXPIRED,
    FAULT_EXPIRE_TOKEN,
    FAULT_HTML200,
    FAULT_INTERNAL,
    FAULT_NO_DATE, /* climate */
    FAULT_OPT_IN,
    FAULT_REDIRECT,
    FAULT_REPEAT_TOKEN, /* climate */
    FAULT_THROTTLE,
    FAULT_TRUNCATE_XML,
};

struct climate {
    long clock_skew; /* seconds */
    bool no_date;
    bool repeat_token;
};

struct faults; /* safe to use from several threads */

struct faults *faults_new(void);
void faults_free(struct faults *faults);

/* Adds one rule; false: not one, and nothing was added. */
bool faults_add(struct faults *faults, const char *rule);

/* Lines of rules instead of those there are; false: one is wrong, no change. */
bool faults_replace(struct faults *faults, const char *lines, size_t len);

/* As if no request had come yet. */
void faults_reset(struct faults *faults);

/* action may be ACTION_COUNT: one that is not known. */
void faults_climate(struct faults *faults, const char *region,
                    enum action action, struct climate *out);

/* What to do with a request for that page (from 1); *arg belongs to it. */
enum fault faults_judge(struct faults *faults, const char *region,
                        enum action action, long page, long *arg);

/* The table of kinds, one a line, for --help. */
const char *faults_help(void);

#endif
