#include "support/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"

/* The look-up that the client is given has no argument of its own. */
static bool have_credentials;

static const char *lookup(const char *name)
{
    if (have_credentials && strcmp(name, "AWS_ACCESS_KEY_ID") == 0)
        return "TESTKEY";
    if (have_credentials && strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0)
        return "not-a-real-secret";
    return NULL;
}

void stage_have_credentials(bool there)
{
    have_credentials = there;
}

static void start_log(struct stage *s)
{
    s->log = open_memstream(&s->log_text, &s->log_len);
    assert_non_null(s->log);
    log_setup(&(struct log_options){
        .out = s->log,
        .clock = &s->fake.clock,
        .min = LOG_INFO,
        .json = true,
    });
}

void stage_init(struct stage *s)
{
    struct http_options http_options = {.clock = &s->fake.clock};
    struct aws_client_options options = {
        .clock = &s->fake.clock,
        .lookup = lookup,
        .max_attempts = RETRY_DEFAULT_ATTEMPTS,
        .no_progress_ms = STAGE_NO_PROGRESS_MS,
    };

    *s = (struct stage){0};
    have_credentials = true;
    fake_clock_init(&s->fake);
    start_log(s);
    assert_int_equal(http_new(&http_options, &s->http, NULL), ERR_OK);
    options.http = s->http;
    assert_int_equal(aws_client_new(&options, &s->client, NULL), ERR_OK);
    assert_int_equal(
        aws_client_load_credentials(s->client, s->fake.mono_ms, NULL), ERR_OK);
}

void stage_release(struct stage *s)
{
    assert_int_equal(fake_http_in_flight(s->http), 0);
    aws_client_free(s->client);
    http_free(s->http);
    log_setup(&(struct log_options){.clock = &CLOCK_SYSTEM});
    (void)fclose(s->log);
    free(s->log_text);
}

static void host_of(const char *region, char *out, size_t size)
{
    (void)snprintf(out, size, "ec2.%s.amazonaws.com", region);
}

void stage_answer(struct stage *s, const char *region,
                  struct fake_answer answer)
{
    char host[128];

    host_of(region, host, sizeof(host));
    answer.host = host;
    fake_http_answer(s->http, &answer);
}

size_t stage_nrequests(const struct stage *s, const char *region,
                       const char *body_has)
{
    char host[128];
    size_t n = 0;

    host_of(region ? region : "", host, sizeof(host));
    for (size_t i = 0; i < fake_http_nrequests(s->http); i++) {
        const struct fake_request *r = fake_http_request(s->http, i);

        n += (!region || strcmp(r->host, host) == 0) &&
             strstr(r->body, body_has) != NULL;
    }
    return n;
}

const char *stage_log(struct stage *s)
{
    assert_int_equal(fflush(s->log), 0);
    return s->log_text;
}
