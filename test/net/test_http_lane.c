/* Lanes by themselves, with handles of the library instead of transfers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "../../src/net/http_lane.h"
#include "base/clock.h"
#include "support/fail_alloc.h"
#include "support/local_server.h"

static const struct local_answer ANSWERS[] = {
    {"/plain", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, LOCAL_KEEP},
    {"/silent", "", 0, LOCAL_HANG},
};

/* As http_lane.c has it: one lane, or eight. */
#define LANES (LIBCURL_VERSION_NUM >= 0x081500 ? 8U : 1U)

struct world {
    struct local_server *server;
    struct http_lanes *lanes;
    CURL *easy;
    char url[64];
};

static int set_up(void **state)
{
    static const struct local_server_options OPTIONS = {
        .answers = ANSWERS,
        .nanswers = sizeof(ANSWERS) / sizeof(ANSWERS[0]),
    };
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), CURLE_OK);
    w->server = local_server_start(&OPTIONS);
    w->lanes = http_lanes_new(8);
    w->easy = curl_easy_init();
    assert_non_null(w->lanes);
    assert_non_null(w->easy);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    curl_easy_cleanup(w->easy);
    http_lanes_free(w->lanes);
    local_server_stop(w->server);
    curl_global_cleanup();
    free(w);
    return 0;
}

static struct http_lane *add(struct world *w, const char *path)
{
    struct http_lane *lane;

    (void)snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u%s",
                   local_server_port(w->server), path);
    assert_int_equal(curl_easy_setopt(w->easy, CURLOPT_URL, w->url), CURLE_OK);
    assert_int_equal(http_lanes_find(w->lanes, w->url, 0, &lane, NULL), ERR_OK);
    assert_int_equal(http_lane_add(lane, w->easy), CURLM_OK);
    return lane;
}

/* Runs every lane that is awake. */
static enum err_code run_awake(struct http_lanes *lanes)
{
    enum err_code rc = ERR_OK;
    struct http_lane *lane;
    size_t at = 0;

    while (!rc && (lane = http_lanes_awake(lanes, &at)) != NULL)
        rc = http_lane_run(lane, NULL);
    return rc;
}

/* Until the handle has ended, at most five seconds. */
static void finish(struct world *w, struct http_lane *lane, int code)
{
    int64_t until = clock_mono_ms(&CLOCK_SYSTEM) + 5000;
    struct http_lane_end end;

    assert_int_equal(run_awake(w->lanes), ERR_OK);
    while (!http_lane_ended(lane, &end)) {
        assert_true(clock_mono_ms(&CLOCK_SYSTEM) < until);
        assert_int_equal(http_lanes_wait(w->lanes, 60000, NULL), ERR_OK);
        assert_int_equal(run_awake(w->lanes), ERR_OK);
    }
    assert_ptr_equal(end.easy, w->easy);
    assert_int_equal(end.code, code);
}

static void test_http_lanes_find__gives_a_host_one_lane(void **state)
{
    static const char *const urls[] = {
        "https://h.example:1/", "https://h.example:1/a", "https://h.example:1",
        "https://h.example:1?a=/", "https://h.example:1/?b#c"};
    struct world *w = *state;
    struct http_lane *first;

    assert_int_equal(http_lanes_find(w->lanes, urls[0], 0, &first, NULL),
                     ERR_OK);
    for (size_t i = 1; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct http_lane *lane;

        assert_int_equal(http_lanes_find(w->lanes, urls[i], 0, &lane, NULL),
                         ERR_OK);
        assert_ptr_equal(lane, first);
    }
}

static void test_http_lanes_find__spreads_what_is_apart(void **state)
{
    static const char URL[] = "https://h.example:1/";
    struct world *w = *state;
    struct http_lane *lanes[16];

    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(http_lanes_find(w->lanes, URL, i, &lanes[i], NULL),
                         ERR_OK);
        for (unsigned k = 0; k < i; k++)
            assert_int_equal(lanes[k] == lanes[i], k % LANES == i % LANES);
    }
}

static void test_http_lane_run__lets_the_lane_sleep(void **state)
{
    struct world *w = *state;
    struct http_lane *lane = add(w, "/silent");
    size_t at = 0;

    assert_true(http_lane_is_awake(lane));
    assert_ptr_equal(http_lanes_awake(w->lanes, &at), lane);
    assert_null(http_lanes_awake(w->lanes, &at));
    assert_int_equal(http_lane_run(lane, NULL), ERR_OK);
    assert_false(http_lane_is_awake(lane));
    at = 0;
    assert_null(http_lanes_awake(w->lanes, &at));
    http_lane_remove(lane, w->easy);
}

static void test_http_lanes_wait__ends_when_a_socket_is_ready(void **state)
{
    struct world *w = *state;
    struct http_lane *lane = add(w, "/plain");

    finish(w, lane, CURLE_OK);
    http_lane_remove(lane, w->easy);
}

static void test_http_lanes_wait__ends_when_the_library_is_due(void **state)
{
    struct world *w = *state;
    int64_t from = clock_mono_ms(&CLOCK_SYSTEM);
    struct http_lane *lane;

    assert_int_equal(curl_easy_setopt(w->easy, CURLOPT_TIMEOUT_MS, 50L),
                     CURLE_OK);
    lane = add(w, "/silent");
    finish(w, lane, CURLE_OPERATION_TIMEDOUT);
    assert_true(clock_mono_ms(&CLOCK_SYSTEM) - from >= 50);
    http_lane_remove(lane, w->easy);
}

static void test_http_lanes_gather__waits_if_there_is_something(void **state)
{
    struct world *w = *state;
    struct http_lane *lane = add(w, "/plain");
    int64_t from;

    assert_int_equal(run_awake(w->lanes), ERR_OK);
    assert_int_equal(http_lanes_wait(w->lanes, 60000, NULL), ERR_OK);
    from = clock_mono_ms(&CLOCK_SYSTEM);
    assert_int_equal(http_lanes_gather(w->lanes, 80, NULL), ERR_OK);
    assert_in_range(clock_mono_ms(&CLOCK_SYSTEM) - from, 80, 5000);
    finish(w, lane, CURLE_OK);
    http_lane_remove(lane, w->easy);
    assert_int_equal(run_awake(w->lanes), ERR_OK);
    from = clock_mono_ms(&CLOCK_SYSTEM);
    assert_int_equal(http_lanes_gather(w->lanes, 1000, NULL), ERR_OK);
    assert_in_range(clock_mono_ms(&CLOCK_SYSTEM) - from, 0, 900);
}

static void test_http_lanes_wait__ends_at_its_limit(void **state)
{
    struct world *w = *state;
    int64_t from = clock_mono_ms(&CLOCK_SYSTEM);
    struct http_lane_end end;
    struct http_lane *lane;

    /* Nothing was asked yet. */
    assert_int_equal(http_lanes_wait(w->lanes, 20, NULL), ERR_OK);
    lane = add(w, "/silent");
    while (clock_mono_ms(&CLOCK_SYSTEM) - from < 80) {
        assert_int_equal(run_awake(w->lanes), ERR_OK);
        assert_int_equal(http_lanes_wait(w->lanes, 20, NULL), ERR_OK);
    }
    assert_true(clock_mono_ms(&CLOCK_SYSTEM) - from < 5000);
    assert_false(http_lane_ended(lane, &end));
    http_lane_remove(lane, w->easy);
}

static void test_http_lanes__failed_allocations_are_reported(void **state)
{
    struct world *w = *state;
    enum err_code rc = ERR_NOMEM;

    for (size_t n = 0; rc; n++) {
        struct http_lanes *lanes;
        struct http_lane *lane = NULL;
        bool failed;

        fail_alloc_at(n);
        lanes = http_lanes_new(1);
        rc = lanes ? http_lanes_find(lanes, w->url, 0, &lane, NULL) : ERR_NOMEM;
        if (!rc && http_lane_add(lane, w->easy))
            rc = ERR_NOMEM;
        if (!rc) {
            rc = run_awake(lanes);
            if (!rc)
                rc = http_lanes_wait(lanes, 0, NULL);
            http_lane_remove(lane, w->easy);
        }
        failed = fail_alloc_stop();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        http_lanes_free(lanes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_http_lanes_find__gives_a_host_one_lane, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_http_lanes_find__spreads_what_is_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_http_lane_run__lets_the_lane_sleep,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_http_lanes_wait__ends_when_a_socket_is_ready, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_http_lanes_wait__ends_when_the_library_is_due, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_http_lanes_gather__waits_if_there_is_something, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(test_http_lanes_wait__ends_at_its_limit,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_http_lanes__failed_allocations_are_reported, set_up,
            tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
