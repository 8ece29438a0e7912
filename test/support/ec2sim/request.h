/*
 * request.h - a request as it came, and its form parameters.
 */
#ifndef EC2SIM_REQUEST_H
#define EC2SIM_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"
#include "text.h"

#define REQUEST_MAX_HEADERS 64

struct header {
    const char *name;
    const char *value;
};

/* Everything is borrowed from the connection. */
struct request {
    const char *method;
    const char *path; /* raw, without the query */
    size_t path_len;
    const char *query; /* raw, "" for none */
    struct header headers[REQUEST_MAX_HEADERS];
    size_t nheaders;
    const char *body;
    size_t body_len;
};

struct param {
    char *name;
    char *value;
};

struct form {
    struct param *v;
    size_t n;
};

/* The first header of that name in any letter case; NULL: none. */
const char *request_header(const struct request *req, const char *name);

/* Takes percent-encoding and '+' out; false: badly encoded or with a NUL. */
bool request_decode(const char *s, size_t len, bool plus, struct text *out);

/*
 * The parameters of a GET's query or of a POST's form body. On false problem
 * says why; form is always good for form_release().
 */
bool form_parse(const struct request *req, struct form *form,
                struct problem *problem);
const char *form_get(const struct form *form, const char *name);
void form_release(struct form *form);

#endif
