#include "url.h"

#include <stddef.h>

#include <curl/curl.h>

bool url_parse(const char *text, struct url *out)
{
    CURLU *handle = curl_url();
    bool ok = handle && curl_url_set(handle, CURLUPART_URL, text, 0) == 0;

    *out = (struct url){0};
    if (ok) {
        (void)curl_url_get(handle, CURLUPART_SCHEME, &out->scheme, 0);
        (void)curl_url_get(handle, CURLUPART_USER, &out->user, 0);
        (void)curl_url_get(handle, CURLUPART_HOST, &out->host, 0);
        (void)curl_url_get(handle, CURLUPART_PORT, &out->port, 0);
        (void)curl_url_get(handle, CURLUPART_PATH, &out->path, 0);
        (void)curl_url_get(handle, CURLUPART_QUERY, &out->query, 0);
        (void)curl_url_get(handle, CURLUPART_FRAGMENT, &out->fragment, 0);
    }
    curl_url_cleanup(handle);
    return ok;
}

void url_release(struct url *url)
{
    curl_free(url->scheme);
    curl_free(url->user);
    curl_free(url->host);
    curl_free(url->port);
    curl_free(url->path);
    curl_free(url->query);
    curl_free(url->fragment);
}
