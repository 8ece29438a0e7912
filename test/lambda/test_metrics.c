#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lambda/metrics.h"
#include "support/fail_alloc.h"

/* 2026-08-30T12:34:56.789Z */
#define REAL_MS 1788093296789

static struct metrics metrics_of(const char *function_name)
{
    return (struct metrics){
        .real_ms = REAL_MS,
        .function_name = span_of(function_name),
        .request_id = SPAN_LIT("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        .question = "count_instances",
        .http_status = 200,
        .duration_ms = 412,
        .regions_asked = 34,
        .regions_failed = 1,
        .retries = 3,
        .throttles = 2,
        .instances = 56,
    };
}

/* By hand, from the specification: the names in the directive are those of
 * members of the root, and a dimension's value is text. */
static void test_metrics_write__is_the_embedded_metric_format(void **state)
{
    const struct metrics m = metrics_of("ec2sweep-prod");
    struct buf out = BUF_INIT(4096);

    (void)state;
    buf_add_str(&out, "left over");
    assert_int_equal(metrics_write(&m, &out, NULL), ERR_OK);
    assert_string_equal(
        out.data,
        "{\"_aws\":{\"Timestamp\":1788093296789,\"CloudWatchMetrics\":["
        "{\"Namespace\":\"ec2sweep\",\"Dimensions\":[[\"FunctionName\"]],"
        "\"Metrics\":[{\"Name\":\"Duration\",\"Unit\":\"Milliseconds\"},"
        "{\"Name\":\"RegionsFailed\",\"Unit\":\"Count\"},"
        "{\"Name\":\"Retries\",\"Unit\":\"Count\"},"
        "{\"Name\":\"Throttles\",\"Unit\":\"Count\"},"
        "{\"Name\":\"Instances\",\"Unit\":\"Count\"}]}]},"
        "\"FunctionName\":\"ec2sweep-prod\",\"Duration\":412,"
        "\"RegionsFailed\":1,\"Retries\":3,\"Throttles\":2,\"Instances\":56,"
        "\"question\":\"count_instances\",\"status\":200,\"regionsAsked\":34,"
        "\"requestId\":\"8476a536-e9f4-11e8-9739-2dfe598c3fcd\"}");
    buf_release(&out);
}

static void check_name(const char *name, const char *expected)
{
    const struct metrics m = metrics_of(name);
    struct buf out = BUF_INIT(4096);
    json_t *line;

    assert_int_equal(metrics_write(&m, &out, NULL), ERR_OK);
    line = json_loads(out.data, 0, NULL);
    assert_string_equal(
        json_string_value(json_object_get(line, "FunctionName")), expected);
    json_decref(line);
    buf_release(&out);
}

static void test_metrics_write__makes_any_name_fit_a_dimension(void **state)
{
    char lengthy[1000];

    (void)state;
    check_name(NULL, "ec2sweep");
    check_name("", "ec2sweep");
    check_name("a\xFF\n b", "a???b");
    memset(lengthy, 'x', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = '\0';
    check_name(lengthy, lengthy + sizeof(lengthy) - 1 - 255);
}

static void
test_metrics_write__leaves_out_a_request_id_that_is_none(void **state)
{
    struct metrics m = metrics_of("f");
    struct buf out = BUF_INIT(4096);

    (void)state;
    m.request_id = (struct span){NULL, 0};
    assert_int_equal(metrics_write(&m, &out, NULL), ERR_OK);
    assert_null(strstr(out.data, "requestId"));
    buf_release(&out);
}

static void test_metrics_write__says_when_there_is_no_room(void **state)
{
    const struct metrics m = metrics_of("f");
    struct buf out = BUF_INIT(100);
    struct err err = {0};

    (void)state;
    assert_int_equal(metrics_write(&m, &out, &err), ERR_LIMIT);
    buf_release(&out);
}

static void test_metrics_write__reports_every_failed_allocation(void **state)
{
    const struct metrics m = metrics_of("f");
    bool failed = true;
    size_t n = 0;

    (void)state;
    for (; failed; n++) {
        struct buf out = BUF_INIT(4096);
        struct err err = {0};
        enum err_code rc;

        fail_alloc_at(n);
        rc = metrics_write(&m, &out, &err);
        failed = fail_alloc_stop();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        buf_release(&out);
    }
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_write__is_the_embedded_metric_format),
        cmocka_unit_test(test_metrics_write__makes_any_name_fit_a_dimension),
        cmocka_unit_test(
            test_metrics_write__leaves_out_a_request_id_that_is_none),
        cmocka_unit_test(test_metrics_write__says_when_there_is_no_room),
        cmocka_unit_test(test_metrics_write__reports_every_failed_allocation),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
