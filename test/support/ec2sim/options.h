/*
 * options.h - the command line of the simulator.
 */
#ifndef EC2SIM_OPTIONS_H
#define EC2SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "answers.h"
#include "faults.h"
#include "pages.h"

struct option_list {
    const char **v;
    size_t n;
};

/* Strings are the command line's. */
struct options {
    long port, threads, cache_mb;
    long instances, groups, open, seed, page;
    bool plain, rsa, pretty, shuffle, token_first, empty_pages, empty_token;
    bool late_filter, restless;
    bool no_gzip, h_close, no_auth, warm, stdin_lease, help;
    const char *listen, *dir, *regions, *regions_file, *disabled;
    const char *key, *secret, *token;
    const char *print_answers;
    struct answers_ask asked;
    bool hide_managed, old_api;
    struct option_list instances_in, faults;
};

/* False after a message on standard error. */
bool options_parse(int argc, char **argv, struct options *out);
void options_release(struct options *options);
void options_help(void);

/* The world they describe; false after a message. For world_release(). */
bool options_world(const struct options *options, struct world *out);
void world_release(struct world *world);

#endif
