/* Which peers are believed, and the system's roots as the second try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/net/http_private.h"
#include "../../src/net/trust_private.h"
#include "net/http.h"
#include "support/certificate.h"
#include "support/exchange.h"
#include "support/local_server.h"

static const struct local_answer ANSWERS[] = {
    {"/", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret", 0, LOCAL_KEEP},
};

/* What the tests have in common; made once, for keys cost time. */
struct world {
    struct certificate ca;
    struct certificate other_ca;
    struct certificate leaf;      /* of ca, for the loopback */
    struct certificate foreign;   /* of other_ca, for the loopback */
    struct certificate elsewhere; /* of ca, for another host */
    struct certificate own;       /* signed by itself, for the loopback */
    char ca_file[32];
    char other_file[32];
    const char *system_files[3];
};

static void write_pem(const struct certificate *certificate, char path[32])
{
    char *pem = certificate_pem(certificate);
    FILE *file;
    int fd;

    (void)snprintf(path, 32, "/tmp/ec2sweep-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    assert_non_null(file);
    assert_true(fputs(pem, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(pem);
}

static struct certificate make_leaf(const char *san,
                                    const struct certificate *issuer)
{
    return certificate_make(&(struct certificate_request){
        .name = "leaf", .san = san, .issuer = issuer});
}

static int set_up(void **state)
{
    static const char LOOPBACK[] = "IP:127.0.0.1,DNS:ec2.localhost";
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->ca = certificate_make(
        &(struct certificate_request){.name = "ca", .is_ca = true});
    w->other_ca = certificate_make(
        &(struct certificate_request){.name = "other ca", .is_ca = true});
    w->leaf = make_leaf(LOOPBACK, &w->ca);
    w->foreign = make_leaf(LOOPBACK, &w->other_ca);
    w->elsewhere = make_leaf("DNS:ec2.eu-test-1.example", &w->ca);
    w->own = make_leaf(LOOPBACK, NULL);
    write_pem(&w->ca, w->ca_file);
    write_pem(&w->other_ca, w->other_file);
    w->system_files[0] = "/nonexistent/bundle.pem";
    w->system_files[1] = w->other_file;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    (void)unlink(w->ca_file);
    (void)unlink(w->other_file);
    certificate_release(&w->ca);
    certificate_release(&w->other_ca);
    certificate_release(&w->leaf);
    certificate_release(&w->foreign);
    certificate_release(&w->elsewhere);
    certificate_release(&w->own);
    free(w);
    return 0;
}

static struct local_server *serve(const struct certificate *certificates,
                                  size_t n)
{
    return local_server_start(&(struct local_server_options){
        .answers = ANSWERS,
        .nanswers = sizeof(ANSWERS) / sizeof(ANSWERS[0]),
        .certificates = certificates,
        .ncertificates = n,
    });
}

static struct http *believe(const char *ca_bundle)
{
    const struct http_options options = {.clock = &CLOCK_SYSTEM,
                                         .ca_bundle = ca_bundle};
    struct http *http = NULL;

    assert_int_equal(http_new(&options, &http, NULL), ERR_OK);
    return http;
}

static void url_to(const struct local_server *server, const char *host,
                   char url[64])
{
    (void)snprintf(url, 64, "https://%s:%u/", host, local_server_port(server));
}

static void get(struct exchange *x, struct http *http,
                const struct local_server *server, const char *host)
{
    char url[64];

    url_to(server, host, url);
    exchange_get(x, http, url);
}

static void test_http_start__chain_of_the_bundle_is_believed(void **state)
{
    struct world *w = *state;
    struct local_server *server = serve(&w->leaf, 1);
    struct http *http = believe(w->ca_file);
    struct exchange x = {0};

    get(&x, http, server, "127.0.0.1");
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_string_equal(x.body.data, "secret");
    get(&x, http, server, "ec2.localhost");
    assert_int_equal(x.result.failure, HTTP_OK);
    get(&x, http, server, "127.0.0.1");
    get(&x, http, server, "ec2.localhost");
    assert_int_equal(http_get_stats(http).connections, 2);
    assert_int_equal(http_get_stats(http).handshakes, 2);
    assert_int_equal(http_get_stats(http).reused, 2);
    assert_int_equal(http_get_stats(http).roots, 1);
    exchange_release(&x);
    http_free(http);
    local_server_stop(server);
}

/* No request may go out to any of them. */
static void test_http_start__other_certificates_are_refused(void **state)
{
    struct world *w = *state;
    const struct {
        const char *what;
        const struct certificate *certificate;
        const char *ca_bundle;
    } rows[] = {
        {"another host", &w->elsewhere, w->ca_file},
        {"unknown issuer", &w->foreign, w->ca_file},
        {"self-signed", &w->own, w->ca_file},
        {"not one of the built-in roots", &w->leaf, NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct local_server *server = serve(rows[i].certificate, 1);
        struct http *http = believe(rows[i].ca_bundle);
        struct exchange x = {0};

        get(&x, http, server, "127.0.0.1");
        if (x.result.failure != HTTP_CERTIFICATE || !x.detail[0] ||
            x.ndone != 1)
            fail_msg("%s: %d %s", rows[i].what, (int)x.result.failure,
                     x.detail);
        assert_int_equal(x.result.sent_real_ms, 0);
        assert_int_equal(local_server_requests(server), 0);
        exchange_release(&x);
        http_free(http);
        local_server_stop(server);
    }
}

static void test_http_start__peer_without_tls_is_tls(void **state)
{
    struct world *w = *state;
    struct local_server *server = serve(NULL, 0);
    struct http *http = believe(w->ca_file);
    struct exchange x = {0};

    get(&x, http, server, "127.0.0.1");
    assert_int_equal(x.result.failure, HTTP_TLS);
    exchange_release(&x);
    http_free(http);
    local_server_stop(server);
}

/* Puts roots in place of the built-in ones, and files of the system's. */
static struct http *believe_at_first(const struct world *w)
{
    struct http *http = believe(NULL);
    char *pem = certificate_pem(&w->ca);

    trust_free(http->trust);
    http->trust = NULL;
    assert_int_equal(trust_from_pem(pem, w->system_files, &http->trust, NULL),
                     ERR_OK);
    free(pem);
    return http;
}

static void test_http_start__systems_roots_are_the_second_try(void **state)
{
    struct world *w = *state;
    struct local_server *server = serve(&w->foreign, 1);
    struct http *http = believe_at_first(w);
    struct exchange x = {0};

    get(&x, http, server, "127.0.0.1");
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_string_equal(x.body.data, "secret");
    assert_int_equal(x.ndone, 1);
    assert_int_equal(http_get_stats(http).requests, 1);
    assert_int_equal(http_get_stats(http).connections, 1);
    assert_int_equal(http_get_stats(http).handshakes, 2);
    assert_int_equal(http_get_stats(http).roots, 2);
    assert_int_equal(local_server_connections(server), 2);
    assert_int_equal(local_server_requests(server), 1);
    exchange_release(&x);
    http_free(http);
    local_server_stop(server);
}

/* All were refused by the same handshake's verdict before roots were added. */
static void test_http_start__all_that_failed_get_a_second_try(void **state)
{
    enum {
        N = 6
    };
    struct world *w = *state;
    struct local_server *server = serve(&w->foreign, 1);
    struct http *http = believe_at_first(w);
    struct exchange x[N] = {0};
    char url[64];
    const struct http_request request = {.method = "GET", .url = url};

    url_to(server, "127.0.0.1", url);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(exchange_start(&x[i], http, &request), ERR_OK);
    for (size_t i = 0; i < N; i++) {
        exchange_finish(&x[i]);
        assert_int_equal(x[i].result.failure, HTTP_OK);
        assert_int_equal(x[i].ndone, 1);
        exchange_release(&x[i]);
    }
    http_free(http);
    local_server_stop(server);
}

static void test_http_start__second_try_is_the_last(void **state)
{
    struct world *w = *state;
    const struct certificate unknown[] = {w->own, w->foreign, w->own};
    struct local_server *server = serve(unknown, 3);
    struct http *http = believe_at_first(w);
    struct exchange x = {0};

    /* Signed by itself: no roots can help, none are added. */
    get(&x, http, server, "127.0.0.1");
    assert_int_equal(x.result.failure, HTTP_CERTIFICATE);
    assert_int_equal(local_server_connections(server), 1);
    /* The second handshake meets a peer that is worse still. */
    get(&x, http, server, "127.0.0.1");
    assert_int_equal(x.result.failure, HTTP_CERTIFICATE);
    assert_int_equal(x.ndone, 2);
    assert_int_equal(local_server_connections(server), 3);
    exchange_release(&x);
    http_free(http);
    local_server_stop(server);
}

static void cancel_all_others(struct exchange *x)
{
    struct exchange *others = x->arg;

    for (size_t i = 0; i < 3; i++) {
        if (&others[i] != x && others[i].transfer) {
            http_cancel(others[i].transfer);
            others[i].transfer = NULL;
        }
    }
}

static void test_http_cancel__of_handshakes(void **state)
{
    struct world *w = *state;
    struct local_server *server = serve(&w->leaf, 1);
    struct http *http = believe(w->ca_file);
    struct exchange x[3];
    char url[64];
    const struct http_request request = {.method = "GET", .url = url};
    unsigned ndone = 0;

    url_to(server, "127.0.0.1", url);
    for (size_t i = 0; i < 3; i++) {
        x[i] = (struct exchange){.in_done = cancel_all_others, .arg = x};
        assert_int_equal(exchange_start(&x[i], http, &request), ERR_OK);
    }
    while (ndone == 0) {
        bool stop = false;

        assert_int_equal(
            http_run(http, clock_mono_ms(&CLOCK_SYSTEM) + 1, &stop, NULL),
            ERR_OK);
        for (size_t i = 0; i < 3; i++)
            ndone += x[i].ndone;
    }
    assert_int_equal(ndone, 1);
    for (size_t i = 0; i < 3; i++)
        exchange_release(&x[i]);
    http_free(http);
    local_server_stop(server);
}

static void test_http_new__bundle_that_is_none_is_config(void **state)
{
    const struct http_options options = {
        .clock = &CLOCK_SYSTEM, .ca_bundle = "/nonexistent/bundle.pem"};
    struct http *http = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(http_new(&options, &http, &err), ERR_CONFIG);
    assert_null(http);
    assert_non_null(strstr(err.msg, "AWS_CA_BUNDLE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_start__chain_of_the_bundle_is_believed),
        cmocka_unit_test(test_http_start__other_certificates_are_refused),
        cmocka_unit_test(test_http_start__peer_without_tls_is_tls),
        cmocka_unit_test(test_http_start__systems_roots_are_the_second_try),
        cmocka_unit_test(test_http_start__all_that_failed_get_a_second_try),
        cmocka_unit_test(test_http_start__second_try_is_the_last),
        cmocka_unit_test(test_http_cancel__of_handshakes),
        cmocka_unit_test(test_http_new__bundle_that_is_none_is_config),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
