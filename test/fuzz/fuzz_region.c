/*
 * Names of regions and endpoint URLs: what becomes a URL must be taken apart
 * by libcurl into the host that is signed, and nothing else.
 *
 * Input: a byte for FIPS, dual-stack and whether there is a custom endpoint,
 * the name up to a line feed, then the custom endpoint.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/region.h"
#include "url.h"

#define HOST_SIZE (REGION_URL_MAX + 16)

static bool is_default_port(const struct url *url)
{
    return strcmp(url->port,
                  strcmp(url->scheme, "https") == 0 ? "443" : "80") == 0;
}

/*
 * An address can be written in several ways, of which libcurl sends one: then
 * the server refuses the signature, and nothing worse comes of it.
 */
static bool is_address(const char *host)
{
    return host[0] == '[' || strspn(host, "0123456789.") == strlen(host);
}

static void check_endpoint(const struct region_endpoint *endpoint)
{
    struct url url;
    char host[HOST_SIZE];

    FUZZ_CHECK(endpoint->url.len <= REGION_URL_MAX && endpoint->host.len > 0);
    /* What libcurl refuses is not connected to. */
    if (url_parse(endpoint->url.data, &url)) {
        FUZZ_CHECK(!url.user && !url.query && !url.fragment);
        FUZZ_CHECK(strcmp(url.path, "/") == 0);
        if (!url.port || is_default_port(&url))
            (void)snprintf(host, sizeof(host), "%s", url.host);
        else
            (void)snprintf(host, sizeof(host), "%s:%s", url.host, url.port);
        FUZZ_CHECK(is_address(url.host) ||
                   strcmp(host, endpoint->host.data) == 0);
    }
    url_release(&url);
}

/* Ordinary endpoints are AWS's, whatever the name is. */
static void check_suffix(struct span name,
                         const struct region_endpoint_options *options,
                         const struct region_endpoint *endpoint)
{
    const struct partition *partition = region_partition(name);
    const char *suffix = options->dual_stack ? partition->dual_stack_suffix
                                             : partition->dns_suffix;
    size_t len = strlen(suffix);

    FUZZ_CHECK(endpoint->host.len > len + 1);
    FUZZ_CHECK(strcmp(endpoint->host.data + endpoint->host.len - len, suffix) ==
               0);
    FUZZ_CHECK(endpoint->host.data[endpoint->host.len - len - 1] == '.');
    FUZZ_CHECK(span_starts_with(buf_span(&endpoint->url), "https://ec2"));
}

static void check_nearest(struct span name)
{
    const struct partition *partition = region_partition(SPAN_LIT("eu-west-1"));
    const char *out[4] = {NULL};
    size_t n =
        region_nearest(name, partition->regions, partition->nregions, out, 4);

    FUZZ_CHECK(n <= 4);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            FUZZ_CHECK(out[i] && out[i] != out[k]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span in = fuzz_input(data, len);
    unsigned how = fuzz_byte(&in);
    struct span text = fuzz_until(&in, '\n');
    char *block = fuzz_block(text);
    struct span name = {block, text.len};
    char *custom = fuzz_string(in);
    struct region_endpoint_options options = {
        .fips = how & 1,
        .dual_stack = how & 2,
        .url = how & 4 ? custom : NULL,
    };
    struct region_endpoint endpoint = REGION_ENDPOINT_INIT;
    struct err err = {0};
    enum err_code rc = region_endpoint(name, &options, &endpoint, &err);

    FUZZ_CHECK(rc == err.code);
    FUZZ_CHECK(region_is_well_formed(name) == (region_partition(name) != NULL));
    if (rc == ERR_OK) {
        FUZZ_CHECK(region_is_well_formed(name));
        check_endpoint(&endpoint);
        if (!options.url)
            check_suffix(name, &options, &endpoint);
    } else {
        FUZZ_CHECK(!fuzz_has_control(span_of(err.msg)));
        FUZZ_CHECK(endpoint.url.len + endpoint.host.len == 0);
    }
    check_nearest(name);
    region_endpoint_release(&endpoint);
    free(custom);
    free(block);
    return 0;
}
