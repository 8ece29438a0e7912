/*
 * url.h - a URL as libcurl takes it apart: the second opinion on what our own
 * checks let through, and the one that counts when a connection is made.
 */
#ifndef FUZZ_URL_H
#define FUZZ_URL_H

#include <stdbool.h>

/* Each part is allocated by the library; NULL: there is none. */
struct url {
    char *scheme;
    char *user;
    char *host;
    char *port;
    char *path;
    char *query;
    char *fragment;
};

/* False when libcurl takes it for no URL; *out is to be released anyway. */
bool url_parse(const char *text, struct url *out);
void url_release(struct url *url);

#endif
