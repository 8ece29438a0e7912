#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "support/fake_clock.h"

#define STAMP "2030-01-02T03:04:05.000Z"

/* Where the lines go: a stream in memory. */
struct sink {
    struct fake_clock fake;
    struct log_options options;
    char *text;
    size_t len;
};

/* An empty stream in place of the last one. */
static void empty_sink(struct sink *sink)
{
    if (sink->options.out)
        assert_int_equal(fclose(sink->options.out), 0);
    free(sink->text);
    sink->text = NULL;
    sink->options.out = open_memstream(&sink->text, &sink->len);
    assert_non_null(sink->options.out);
    log_setup(&sink->options);
}

static int set_up(void **state)
{
    struct sink *sink = calloc(1, sizeof(*sink));

    assert_non_null(sink);
    fake_clock_init(&sink->fake);
    sink->options.clock = &sink->fake.clock;
    sink->options.min = LOG_INFO;
    sink->options.json = true;
    empty_sink(sink);
    *state = sink;
    return 0;
}

static int tear_down(void **state)
{
    struct sink *sink = *state;

    log_set_ids(NULL, NULL);
    log_setup(&(struct log_options){0});
    (void)fclose(sink->options.out);
    free(sink->text);
    free(sink);
    return 0;
}

static void be_text(struct sink *sink)
{
    sink->options.json = false;
    log_setup(&sink->options);
}

/* What was written since the last call must be this. */
static void assert_written(struct sink *sink, const char *text)
{
    assert_string_equal(sink->text ? sink->text : "", text);
    empty_sink(sink);
}

static void test_log_write__json_has_lambdas_keys(void **state)
{
    struct sink *sink = *state;

    log_write(LOG_WARN, "region failed", NULL);
    assert_written(sink, "{\"timestamp\":\"" STAMP "\",\"level\":\"WARN\","
                         "\"message\":\"region failed\"}\n");
    log_write(LOG_INFO, "m",
              LOG_FIELDS(LOG_STR("region", "eu-test-1"), LOG_INT("ms", -7),
                         LOG_SPAN("part", SPAN_LIT("abc")),
                         LOG_STR("none", NULL)));
    assert_written(sink, "{\"timestamp\":\"" STAMP "\",\"level\":\"INFO\","
                         "\"message\":\"m\",\"region\":\"eu-test-1\",\"ms\":-7,"
                         "\"part\":\"abc\",\"none\":\"\"}\n");
}

static void test_log_write__text_is_one_line_that_splits(void **state)
{
    struct sink *sink = *state;

    be_text(sink);
    log_write(LOG_ERROR, "region failed",
              LOG_FIELDS(LOG_STR("region", "eu-test-1"),
                         LOG_STR("why", "no answer"), LOG_STR("empty", ""),
                         LOG_INT("ms", 12)));
    assert_written(sink, STAMP " ERROR region failed region=eu-test-1 "
                               "why=\"no answer\" empty=\"\" ms=12\n");
}

static void test_log_write__levels_have_their_names(void **state)
{
    static const char *const names[] = {"TRACE", "DEBUG", "INFO",
                                        "WARN",  "ERROR", "FATAL"};
    struct sink *sink = *state;

    be_text(sink);
    sink->options.min = LOG_TRACE;
    log_setup(&sink->options);
    for (int level = LOG_TRACE; level <= LOG_FATAL; level++) {
        char line[64];

        log_write((enum log_level)level, "m", NULL);
        (void)snprintf(line, sizeof(line), STAMP " %s m\n", names[level]);
        assert_written(sink, line);
    }
}

static void test_log_write__drops_what_is_below_the_minimum(void **state)
{
    struct sink *sink = *state;

    be_text(sink);
    assert_false(log_is_on(LOG_DEBUG));
    assert_true(log_is_on(LOG_INFO));
    log_write(LOG_DEBUG, "quiet", NULL);
    log_write(LOG_INFO, "loud", NULL);
    assert_written(sink, STAMP " INFO loud\n");
}

static void test_log_write__says_nothing_before_the_setup(void **state)
{
    struct sink *sink = *state;

    log_setup(&(struct log_options){0});
    assert_false(log_is_on(LOG_FATAL));
    log_write(LOG_FATAL, "m", NULL);
    assert_int_equal(fflush(sink->options.out), 0);
    assert_string_equal(sink->text, "");
}

/* RFC 8259 §7 for what is escaped, RFC 3629 §4 for what is no UTF-8. */
static void test_log_write__escapes_and_replaces(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"\"\\/", "\\\"\\\\/"},
        {"a\nb\r\t\x01\x1f", "a\\u000ab\\u000d\\u0009\\u0001\\u001f"},
        {"\x7f", "\\u007f"},
        {"\xC3\xA4\xE2\x82\xAC", "\xC3\xA4\xE2\x82\xAC"},
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        {"\xED\x9F\xBF\xEE\x80\x80", "\xED\x9F\xBF\xEE\x80\x80"},
        /* A lone trail, a lone head, one cut short. */
        {"\x80", "\xEF\xBF\xBD"},
        {"\xC3", "\xEF\xBF\xBD"},
        {"\xC3(", "\xEF\xBF\xBD("},
        {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE2\x82(", "\xEF\xBF\xBD\xEF\xBF\xBD("},
        /* Not the shortest form, a surrogate, above U+10FFFF, no UTF-8. */
        {"\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE0\x9F\xBF", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF0\x8F\x80\x80",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF4\x90\x80\x80",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xFF", "\xEF\xBF\xBD"},
    };
    struct sink *sink = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[256];

        log_write(LOG_INFO, rows[i].in, LOG_FIELDS(LOG_STR("v", rows[i].in)));
        (void)snprintf(expected, sizeof(expected),
                       "{\"timestamp\":\"" STAMP "\",\"level\":\"INFO\","
                       "\"message\":\"%s\",\"v\":\"%s\"}\n",
                       rows[i].out, rows[i].out);
        assert_written(sink, expected);
    }
}

/* The text ends in the middle of its block, which holds more. */
static void test_log_write__reads_no_further_than_the_span(void **state)
{
    struct sink *sink = *state;
    char *exact = malloc(2);

    assert_non_null(exact);
    memcpy(exact, "a\xE2", 2);
    log_write(LOG_INFO, "m",
              LOG_FIELDS(LOG_SPAN("v", ((struct span){exact, 2}))));
    assert_written(sink, "{\"timestamp\":\"" STAMP "\",\"level\":\"INFO\","
                         "\"message\":\"m\",\"v\":\"a\xEF\xBF\xBD\"}\n");
    free(exact);
}

static void test_log_write__cuts_a_long_value(void **state)
{
    struct sink *sink = *state;
    char value[LOG_VALUE_MAX + 2];
    const char *v;

    memset(value, 'x', sizeof(value));
    log_write(LOG_INFO, "m",
              LOG_FIELDS(LOG_SPAN("v", ((struct span){value, LOG_VALUE_MAX}))));
    assert_null(strstr(sink->text, "..."));
    assert_non_null(strstr(sink->text, "x\"}\n"));
    empty_sink(sink);
    log_write(
        LOG_INFO, "m",
        LOG_FIELDS(LOG_SPAN("v", ((struct span){value, LOG_VALUE_MAX + 1}))));
    v = strstr(sink->text, "\"v\":\"");
    assert_non_null(v);
    assert_int_equal(strspn(v + 5, "x"), LOG_VALUE_MAX);
    assert_memory_equal(v + 5 + LOG_VALUE_MAX, "...\"}\n", 6);
}

static void test_log_write__leaves_a_whole_value_whole(void **state)
{
    struct sink *sink = *state;
    char value[LOG_VALUE_MAX + 100];
    const char *v;

    memset(value, 'x', sizeof(value));
    log_write(
        LOG_INFO, "m",
        LOG_FIELDS(LOG_WHOLE("v", ((struct span){value, sizeof(value)}))));
    v = strstr(sink->text, "\"v\":\"");
    assert_non_null(v);
    assert_int_equal(strspn(v + 5, "x"), sizeof(value));
    assert_memory_equal(v + 5 + sizeof(value), "\"}\n", 3);
}

static void test_log_raw__writes_a_line_as_it_is(void **state)
{
    struct sink *sink = *state;

    sink->options.min = LOG_FATAL;
    empty_sink(sink);
    log_set_ids("an-id", NULL);
    log_raw(SPAN_LIT("{\"_aws\":\t{}}"));
    assert_string_equal(sink->text, "{\"_aws\":\t{}}\n");
    /* Before the set-up nothing is written. */
    log_setup(&(struct log_options){0});
    log_raw(SPAN_LIT("x"));
}

static void test_log_set_ids__stand_in_every_line(void **state)
{
    struct sink *sink = *state;
    char id[] = "req-1";

    be_text(sink);
    log_set_ids(id, "Root=1-2");
    memset(id, '#', 5);
    log_write(LOG_INFO, "m", LOG_FIELDS(LOG_INT("n", 1)));
    assert_written(sink,
                   STAMP " INFO m requestId=req-1 traceId=Root=1-2 n=1\n");
    log_set_ids("req-2", NULL);
    log_write(LOG_INFO, "m", NULL);
    assert_written(sink, STAMP " INFO m requestId=req-2\n");
    log_set_ids(NULL, NULL);
    log_write(LOG_INFO, "m", NULL);
    assert_written(sink, STAMP " INFO m\n");
}

static void test_log_set_ids__cuts_a_long_id(void **state)
{
    struct sink *sink = *state;
    char id[300];
    const char *seen;

    be_text(sink);
    memset(id, 'i', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    log_set_ids(id, NULL);
    log_write(LOG_INFO, "m", NULL);
    seen = strstr(sink->text, "requestId=");
    assert_non_null(seen);
    assert_int_equal(strspn(seen + strlen("requestId="), "i"), 127);
}

static void test_log_level_parse__knows_lambdas_names(void **state)
{
    static const struct {
        const char *name;
        enum log_level level;
    } rows[] = {
        {"TRACE", LOG_TRACE}, {"debug", LOG_DEBUG},  {"Info", LOG_INFO},
        {"WARN", LOG_WARN},   {"warning", LOG_WARN}, {"WARNING", LOG_WARN},
        {"ERROR", LOG_ERROR}, {"FATAL", LOG_FATAL},
    };
    static const char *const others[] = {"", "INF", "INFO ", "ALL", "0"};
    enum log_level level = LOG_ERROR;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(log_level_parse(span_of(others[i]), &level));
    assert_int_equal(level, LOG_ERROR);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(log_level_parse(span_of(rows[i].name), &level));
        assert_int_equal(level, rows[i].level);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log_write__json_has_lambdas_keys,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_log_write__text_is_one_line_that_splits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_write__levels_have_their_names,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_log_write__drops_what_is_below_the_minimum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_log_write__says_nothing_before_the_setup, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_write__escapes_and_replaces,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_log_write__reads_no_further_than_the_span, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_write__cuts_a_long_value,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_log_write__leaves_a_whole_value_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_raw__writes_a_line_as_it_is,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_set_ids__stand_in_every_line,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_set_ids__cuts_a_long_id,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_log_level_parse__knows_lambdas_names, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
