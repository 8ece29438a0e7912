#include "aws/client.h"

#include <stdlib.h>
#include <string.h>

#include "aws/ec2_memo.h"
#include "aws/sigv4.h"
#include "base/log.h"
#include "base/wipe.h"

#define SERVICE "ec2"
#define CONTENT_TYPE "application/x-www-form-urlencoded; charset=utf-8"

/* Container credentials: the SDKs' time-out and tries. */
#define CONTAINER_TIMEOUT_MS 2000
#define CONTAINER_TRIES 3
/* Credentials that end sooner than this are fetched anew. */
#define CREDENTIALS_MIN_LIFE_MS ((int64_t)10 * 60 * 1000)
/* An answer that took longer says nothing about the clock. */
#define CLOCK_MAX_TRIP_MS ((int64_t)15 * 60 * 1000)

/* Length of the date in a stamp, "YYYYMMDD". */
#define DATE_LEN 8

/* A region's signing key: good for one day and one set of credentials. */
struct aws_key_cache {
    struct sigv4_key key;
    char date[DATE_LEN + 1];
    unsigned generation;
};

struct aws_client {
    struct aws_client_options options;
    struct credentials creds;
    unsigned generation; /* of creds; changes with the secret */
    unsigned proven;     /* the generation that EC2 accepted last, 0: none */
    unsigned nkeys;
    struct aws_region *regions;
};

enum err_code aws_client_new(const struct aws_client_options *options,
                             struct aws_client **out, struct err *err)
{
    struct aws_client *client = calloc(1, sizeof(*client));

    if (!client)
        return err_nomem(err, "client");
    client->options = *options;
    credentials_init(&client->creds);
    *out = client;
    return ERR_OK;
}

static void region_free(struct aws_region *region)
{
    if (!region)
        return;
    if (region->key)
        wipe(region->key, sizeof(*region->key));
    free(region->key);
    for (size_t i = 0; i < EC2_NACTIONS; i++)
        ec2_memo_free(region->memos[i]);
    region_endpoint_release(&region->endpoint);
    free(region);
}

void aws_client_free(struct aws_client *client)
{
    if (!client)
        return;
    while (client->regions) {
        struct aws_region *next = client->regions->next;

        region_free(client->regions);
        client->regions = next;
    }
    credentials_release(&client->creds);
    free(client);
}

const struct aws_client_options *aws_client_options(const struct aws_client *c)
{
    return &c->options;
}

void aws_client_accepted(struct aws_client *client, struct aws_region *region)
{
    client->proven = client->generation;
    region->accepted = client->generation;
}

void aws_client_refused(struct aws_client *client,
                        const struct aws_region *region)
{
    if (region->accepted == client->generation)
        client->proven = 0;
}

bool aws_client_is_proven(const struct aws_client *client)
{
    return client->proven != 0 && client->proven == client->generation;
}

unsigned aws_client_nkeys(const struct aws_client *client)
{
    return client->nkeys;
}

/* Takes fresh into use; signing keys of other credentials are void. */
static void adopt_credentials(struct aws_client *client,
                              struct credentials *fresh)
{
    struct credentials *creds = &client->creds;
    bool same = span_eq(buf_span(&creds->key_id), buf_span(&fresh->key_id)) &&
                span_eq(buf_span(&creds->secret), buf_span(&fresh->secret));

    if (!same)
        client->generation++;
    credentials_release(creds);
    *creds = *fresh;
    credentials_init(fresh);
}

/* One fetch from the container endpoint. */
struct container_fetch {
    struct buf document;
    enum http_failure failure;
    long status;
    bool done;
};

static bool on_document(void *arg, const char *data, size_t len)
{
    struct container_fetch *fetch = arg;

    buf_add(&fetch->document, data, len);
    return !fetch->document.failed;
}

static void on_document_done(void *arg, const struct http_result *result)
{
    struct container_fetch *fetch = arg;

    fetch->failure = result->failure;
    fetch->status = result->status;
    fetch->done = true;
}

static enum err_code fetch_once(struct aws_client *client,
                                const struct credentials_container *source,
                                int64_t deadline_ms,
                                struct container_fetch *fetch, struct err *err)
{
    struct http *http = client->options.http;
    const struct http_header authorization = {"Authorization",
                                              source->authorization.data};
    struct http_transfer *transfer = NULL;
    const struct http_request request = {
        .method = "GET",
        .url = source->url.data,
        .headers = &authorization,
        .nheaders = source->authorization.len ? 1 : 0,
        .route = HTTP_DIRECT,
        .on_body = on_document,
        .on_done = on_document_done,
        .arg = fetch,
    };
    int64_t until = clock_mono_ms(client->options.clock) + CONTAINER_TIMEOUT_MS;
    enum err_code rc;

    fetch->done = false;
    buf_reset(&fetch->document);
    rc = http_start(http, &request, &transfer, err);
    if (rc)
        return rc;
    rc = http_run(http, until < deadline_ms ? until : deadline_ms, &fetch->done,
                  err);
    if (!fetch->done)
        http_cancel(transfer);
    if (!rc)
        rc = buf_check(&fetch->document, "credentials: the container's answer",
                       err);
    if (rc)
        return rc;
    if (!fetch->done || fetch->failure != HTTP_OK)
        return err_set(err, ERR_AUTH,
                       "credentials: the container endpoint does not answer");
    if (fetch->status != 200)
        return err_set(err, ERR_AUTH,
                       "credentials: the container endpoint answers %ld",
                       fetch->status);
    return ERR_OK;
}

/* The container endpoint's credentials, in CONTAINER_TRIES tries. */
static enum err_code fetch_credentials(struct aws_client *client,
                                       int64_t deadline_ms,
                                       struct credentials *out, struct err *err)
{
    struct credentials_container source;
    struct container_fetch fetch = {
        .document = BUF_INIT(CREDENTIALS_DOCUMENT_MAX),
    };
    struct err tried = {0};
    enum err_code rc;

    credentials_container_init(&source);
    rc = credentials_container_source(client->options.lookup, &source, err);
    /* All room at once, so that growing leaves no copy of a secret behind. */
    buf_reserve(&fetch.document, CREDENTIALS_DOCUMENT_MAX);
    if (!rc)
        rc = buf_check(&fetch.document, "credentials", err);
    if (rc)
        goto out;
    for (int i = 0; i < CONTAINER_TRIES; i++) {
        tried = (struct err){0};
        rc = fetch_once(client, &source, deadline_ms, &fetch, &tried);
        if (!rc)
            rc = credentials_from_document(buf_span(&fetch.document), out,
                                           &tried);
        if (rc != ERR_AUTH ||
            clock_mono_ms(client->options.clock) >= deadline_ms)
            break;
    }
    if (rc)
        rc = err_set(err, rc, "%s", err_text(&tried));

out:
    buf_wipe(&fetch.document);
    credentials_container_release(&source);
    return rc;
}

/* Whether what is held came from a container and is good for so long. */
static bool has_credentials_for(const struct aws_client *client, int64_t ms)
{
    int64_t now = clock_real_ms(client->options.clock);

    return credentials_are_set(&client->creds) &&
           client->creds.expires_ms != CLOCK_NEVER &&
           client->creds.expires_ms - now > ms;
}

static bool has_container_source(const struct aws_client *client)
{
    credentials_lookup_fn lookup = client->options.lookup;

    return lookup("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
           lookup("AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

enum err_code aws_client_load_credentials(struct aws_client *client,
                                          int64_t deadline_ms, struct err *err)
{
    struct credentials fresh;
    struct err env_err = {0};
    struct err fetch_err = {0};
    int64_t until = clock_mono_ms(client->options.clock) + CONTAINER_TIMEOUT_MS;
    enum err_code rc;

    credentials_init(&fresh);
    rc = credentials_from_environment(client->options.lookup, &fresh, &env_err);
    if (!rc) {
        adopt_credentials(client, &fresh);
        return ERR_OK;
    }
    if (rc != ERR_AUTH || !has_container_source(client))
        return err_set(err, rc, "%s", err_text(&env_err));
    if (has_credentials_for(client, CREDENTIALS_MIN_LIFE_MS))
        return ERR_OK;
    /* Those that are still good need not be waited for so long. */
    if (has_credentials_for(client, 0) && until < deadline_ms)
        deadline_ms = until;
    rc = fetch_credentials(client, deadline_ms, &fresh, &fetch_err);
    if (!rc)
        adopt_credentials(client, &fresh);
    credentials_release(&fresh);
    if (!rc)
        return ERR_OK;
    if (!has_credentials_for(client, 0))
        return err_set(err, rc, "%s", err_text(&fetch_err));
    log_write(LOG_WARN, "credentials were not renewed, using those at hand",
              LOG_FIELDS(LOG_STR("error", err_text(&fetch_err))));
    return ERR_OK;
}

static enum err_code region_new(struct aws_client *client, struct span name,
                                struct aws_region **out, struct err *err)
{
    struct aws_region *region = calloc(1, sizeof(*region));
    enum err_code rc;

    if (!region)
        return err_nomem(err, "client");
    region->endpoint = (struct region_endpoint)REGION_ENDPOINT_INIT;
    region->missed_ms = INT64_MIN;
    retry_quota_init(&region->quota);
    region->key = calloc(1, sizeof(*region->key));
    if (!region->key)
        rc = err_nomem(err, "client");
    else
        rc = region_endpoint(name, &client->options.endpoint, &region->endpoint,
                             err);
    if (rc) {
        region_free(region);
        return rc;
    }
    /* region_endpoint() has refused names that are too long. */
    memcpy(region->name, name.p, name.len);
    *out = region;
    return ERR_OK;
}

enum err_code aws_client_region(struct aws_client *client, struct span name,
                                struct aws_region **out, struct err *err)
{
    enum err_code rc;

    for (struct aws_region *r = client->regions; r; r = r->next) {
        if (span_eq_str(name, r->name)) {
            *out = r;
            return ERR_OK;
        }
    }
    rc = region_new(client, name, out, err);
    if (rc)
        return rc;
    (*out)->next = client->regions;
    client->regions = *out;
    return ERR_OK;
}

/* The region's signing key for the day of scope, derived when needed. */
static enum err_code signing_key(struct aws_client *client,
                                 struct aws_region *region,
                                 const struct sigv4_scope *scope,
                                 struct err *err)
{
    struct aws_key_cache *cache = region->key;
    enum err_code rc;

    if (cache->generation == client->generation &&
        memcmp(cache->date, scope->timestamp, DATE_LEN) == 0)
        return ERR_OK;
    rc = sigv4_derive_key(scope, client->creds.secret.data, &cache->key, err);
    if (rc) {
        cache->date[0] = '\0';
        return rc;
    }
    cache->generation = client->generation;
    memcpy(cache->date, scope->timestamp, DATE_LEN);
    client->nkeys++;
    return ERR_OK;
}

/* Fills the headers that are signed; Authorization comes after. */
static size_t signed_headers(const struct aws_client *client,
                             const struct aws_region *region,
                             const struct aws_signed *s,
                             struct sigv4_header out[AWS_SIGNED_HEADERS])
{
    size_t n = 0;

    out[n++] = (struct sigv4_header){"content-type", CONTENT_TYPE};
    out[n++] = (struct sigv4_header){"host", region->endpoint.host.data};
    out[n++] = (struct sigv4_header){"x-amz-date", s->stamp};
    if (client->creds.token.len)
        out[n++] = (struct sigv4_header){"x-amz-security-token",
                                         client->creds.token.data};
    return n;
}

/* What goes on the wire: Host is the transport's own, from the same URL. */
static void wire_headers(const struct aws_client *client, struct aws_signed *s)
{
    s->nheaders = 0;
    s->headers[s->nheaders++] =
        (struct http_header){"Content-Type", CONTENT_TYPE};
    s->headers[s->nheaders++] = (struct http_header){"X-Amz-Date", s->stamp};
    s->headers[s->nheaders++] =
        (struct http_header){"Authorization", s->authorization.data};
    if (client->creds.token.len)
        s->headers[s->nheaders++] = (struct http_header){
            "X-Amz-Security-Token", client->creds.token.data};
}

enum err_code aws_client_sign(struct aws_client *client,
                              struct aws_region *region, struct span body,
                              struct aws_signed *out, struct err *err)
{
    struct sigv4_header headers[AWS_SIGNED_HEADERS];
    struct sigv4_request request = {
        .method = "POST",
        .path = "/",
        .query = "",
        .headers = headers,
        .body = body.p,
        .body_len = body.len,
    };
    struct sigv4_scope scope = {
        .timestamp = out->stamp,
        .region = region->name,
        .service = SERVICE,
    };
    enum err_code rc;

    *out = (struct aws_signed){.authorization = BUF_INIT(SIGV4_MAX_TEXT)};
    if (!credentials_are_set(&client->creds))
        return err_set(err, ERR_AUTH, "client: no credentials loaded");
    out->skew_ms = region->skew_ms;
    clock_utc_basic(clock_real_ms(client->options.clock) + out->skew_ms,
                    out->stamp);
    request.nheaders = signed_headers(client, region, out, headers);
    rc = signing_key(client, region, &scope, err);
    if (!rc)
        rc = sigv4_sign(&request, &scope, client->creds.key_id.data,
                        &region->key->key, &out->authorization, err);
    if (rc) {
        aws_signed_release(out);
        return rc;
    }
    wire_headers(client, out);
    return ERR_OK;
}

void aws_signed_release(struct aws_signed *s)
{
    buf_wipe(&s->authorization);
    s->nheaders = 0;
}

bool aws_client_observe_clock(struct aws_client *client,
                              struct aws_region *region,
                              const struct http_transfer *transfer,
                              int64_t sent_real_ms, int64_t used_skew_ms)
{
    int64_t now = clock_real_ms(client->options.clock);
    int64_t date;
    struct span text;

    if (http_response_header(transfer, "age", &text) ||
        !http_response_header(transfer, "date", &text) ||
        !http_date_ms(text, &date) || now - sent_real_ms > CLOCK_MAX_TRIP_MS)
        return false;
    region->skew_ms = date - (sent_real_ms + (now - sent_real_ms) / 2);
    return llabs(used_skew_ms - region->skew_ms) > AWS_CLOCK_SKEW_MS;
}
