#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "lambda/event.h"
#include "support/fail_alloc.h"
#include "survey/question.h"

#define ARGS_MAX 20
#define SEE_HELP " (see: bootstrap --help)"

struct row {
    const char *args[ARGS_MAX]; /* after the program's name, NULL ends them */
    enum err_code rc;
    enum cli_action action; /* when rc is ERR_OK */
    const char *text;       /* the event's file, or the error's text */
};

/* The arguments as main() gets them. */
struct arguments {
    char text[ARGS_MAX + 1][32];
    char *argv[ARGS_MAX + 2];
    int argc;
};

static void set_arguments(const struct row *row, struct arguments *out)
{
    *out = (struct arguments){.text = {"bootstrap"}, .argc = 1};
    out->argv[0] = out->text[0];
    for (; out->argc <= ARGS_MAX && row->args[out->argc - 1]; out->argc++) {
        out->argv[out->argc] = out->text[out->argc];
        (void)snprintf(out->text[out->argc], sizeof(out->text[0]), "%s",
                       row->args[out->argc - 1]);
    }
}

static const struct row ROWS[] = {
    {{NULL}, ERR_OK, CLI_NONE, NULL},
    {{"--help"}, ERR_OK, CLI_HELP, NULL},
    {{"-h"}, ERR_OK, CLI_HELP, NULL},
    {{"--version"}, ERR_OK, CLI_VERSION, NULL},
    {{"--version", "--help"}, ERR_OK, CLI_VERSION, NULL},
    {{"--event", "a", "--help"}, ERR_OK, CLI_HELP, NULL},
    {{"--event", "a.json"}, ERR_OK, CLI_EVENT, "a.json"},
    {{"--event=a.json"}, ERR_OK, CLI_EVENT, "a.json"},
    {{"--event", "-"}, ERR_OK, CLI_EVENT, "-"},
    {{"--event=-"}, ERR_OK, CLI_EVENT, "-"},
    {{"--event", "--odd"}, ERR_OK, CLI_EVENT, "--odd"},
    {{"--event"},
     ERR_ARG,
     CLI_NONE,
     "--event needs a file, or - for standard input (see: bootstrap "
     "--help)"},
    {{"--event="},
     ERR_ARG,
     CLI_NONE,
     "--event needs a file, or - for standard input (see: bootstrap "
     "--help)"},
    {{"--event", ""},
     ERR_ARG,
     CLI_NONE,
     "--event needs a file, or - for standard input (see: bootstrap "
     "--help)"},
    {{"--event", "a", "--event", "b"},
     ERR_ARG,
     CLI_EVENT,
     "--event is given twice (see: bootstrap --help)"},
    {{"--question"},
     ERR_ARG,
     CLI_NONE,
     "--question needs a name, such as count_instances" SEE_HELP},
    {{"--question", "a", "--event", "b"},
     ERR_ARG,
     CLI_NONE,
     "--event and --question exclude each other" SEE_HELP},
    {{"--regions", "all"},
     ERR_ARG,
     CLI_NONE,
     "--regions goes with --question" SEE_HELP},
    {{"--event", "a", "--format", "json"},
     ERR_ARG,
     CLI_NONE,
     "--format goes with --question" SEE_HELP},
    {{"--question", "a", "--format", "csv"},
     ERR_ARG,
     CLI_NONE,
     "--format=\"csv\": expected json or table" SEE_HELP},
    {{"--question", "a", "--tag="},
     ERR_ARG,
     CLI_NONE,
     "--tag needs a key, such as Owner" SEE_HELP},
    {{"--question", "a", "--port", "22", "--port=23"},
     ERR_ARG,
     CLI_NONE,
     "--port is given twice" SEE_HELP},
    {{"--questions", "a"},
     ERR_ARG,
     CLI_NONE,
     "unknown option \"--questions\"" SEE_HELP},
    {{"--events"},
     ERR_ARG,
     CLI_NONE,
     "unknown option \"--events\" (see: bootstrap --help)"},
    {{"-x"},
     ERR_ARG,
     CLI_NONE,
     "unknown option \"-x\" (see: bootstrap --help)"},
    {{"a.json"},
     ERR_ARG,
     CLI_NONE,
     "unexpected argument \"a.json\" (see: bootstrap --help)"},
    {{""},
     ERR_ARG,
     CLI_NONE,
     "unexpected argument \"\" (see: bootstrap --help)"},
    {{"--event", "-", "more"},
     ERR_ARG,
     CLI_EVENT,
     "unexpected argument \"more\" (see: bootstrap --help)"},
};

static void test_cli_parse__knows_its_arguments(void **state)
{

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct cli cli = {.action = CLI_EVENT, .event_file = "left over"};
        struct err err = {0};

        struct arguments args;

        set_arguments(&ROWS[i], &args);
        if (cli_parse(args.argc, args.argv, &cli, &err) != ROWS[i].rc)
            fail_msg("row %zu: %s", i, err.msg);
        if (ROWS[i].rc) {
            assert_string_equal(err.msg, ROWS[i].text);
            continue;
        }
        if (cli.action != ROWS[i].action)
            fail_msg("row %zu: action %d", i, (int)cli.action);
        if (!span_eq(span_of(cli.event_file), span_of(ROWS[i].text)))
            fail_msg("row %zu: file %s", i, cli.event_file);
    }
}

static void test_cli_parse__takes_a_question_apart(void **state)
{
    static const struct row row = {
        .args = {"--question=find_instances", "--regions", "us-*,!us-west-1",
                 "--states", "running", "--tag=Owner=a=b", "--port", "443/tcp",
                 "--query", "web-*", "--after", "us-east-1/i-0a", "--format",
                 "table"},
    };
    struct arguments args;
    struct cli cli;

    (void)state;
    set_arguments(&row, &args);
    assert_int_equal(cli_parse(args.argc, args.argv, &cli, NULL), ERR_OK);
    assert_int_equal(cli.action, CLI_QUESTION);
    assert_null(cli.event_file);
    assert_string_equal(cli.question, "find_instances");
    assert_int_equal(cli.format, CLI_TABLE);
    assert_true(span_eq_str(cli.parameters.regions, "us-*,!us-west-1"));
    assert_true(span_eq_str(cli.parameters.states, "running"));
    assert_true(span_eq_str(cli.parameters.tag, "Owner=a=b"));
    assert_true(span_eq_str(cli.parameters.port, "443/tcp"));
    assert_true(span_eq_str(cli.parameters.query, "web-*"));
    assert_true(span_eq_str(cli.parameters.after, "us-east-1/i-0a"));
}

static void test_cli_parse__leaves_out_what_is_not_given(void **state)
{
    static const struct row row = {.args = {"--question", "count_instances"}};
    struct arguments args;
    struct cli cli;

    (void)state;
    set_arguments(&row, &args);
    assert_int_equal(cli_parse(args.argc, args.argv, &cli, NULL), ERR_OK);
    assert_int_equal(cli.format, CLI_JSON);
    assert_int_equal(cli.parameters.regions.len, 0);
    assert_int_equal(cli.parameters.after.len, 0);
}

static void test_cli_print__ends_in_one_line_feed(void **state)
{
    static const struct {
        struct span text;
        const char *printed;
    } cases[] = {
        {{"a", 1}, "a\n"}, {{"a\nb\n", 4}, "a\nb\n"}, {{NULL, 0}, "\n"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *printed = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&printed, &len);

        assert_int_equal(cli_print(out, cases[i].text, NULL), ERR_OK);
        assert_string_equal(printed, cases[i].printed);
        (void)fclose(out);
        free(printed);
    }
}

static void test_cli_print__says_why_it_could_not(void **state)
{
    FILE *out = fopen("/dev/full", "w");
    struct err err = {0};

    (void)state;
    assert_non_null(out);
    assert_int_equal(cli_print(out, SPAN_LIT("text"), &err), ERR_IO);
    assert_string_equal(
        err.msg, "cannot write standard output: No space left on device");
    (void)fclose(out);
}

static void test_cli_parse__accepts_a_program_without_a_name(void **state)
{
    char *argv[] = {NULL};
    struct cli cli;
    struct err err = {0};

    (void)state;
    assert_int_equal(cli_parse(0, argv, &cli, &err), ERR_OK);
    assert_int_equal(cli.action, CLI_NONE);
}

static void test_cli_help_text__names_all_there_is(void **state)
{
    static const char *const NAMED[] = {
        "--event",   "--question", "--regions", "--states",
        "--tag",     "--port",     "--query",   "--after",
        "--format",  "--help",     "json",      "table",
        "--version", "AWS_REGION", "NO_COLOR",  "docs/configuration.md"};
    const char *text = cli_help_text();
    size_t n;
    const struct question *table = question_table(&n);

    (void)state;
    for (size_t i = 0; i < sizeof(NAMED) / sizeof(NAMED[0]); i++)
        if (!strstr(text, NAMED[i]))
            fail_msg("%s is not named", NAMED[i]);
    for (size_t i = 0; i < n; i++)
        if (!strstr(text, table[i].name))
            fail_msg("%s is not named", table[i].name);
}

static void test_cli_help_text__fits_a_screen(void **state)
{
    const char *text = cli_help_text();
    size_t nlines = 0;

    (void)state;
    for (const char *line = text; *line; nlines++) {
        size_t len = strcspn(line, "\n");

        assert_true(len < 80);
        assert_int_equal(line[len], '\n');
        line += len + 1;
    }
    assert_true(nlines <= 56);
}

/* A file of its own with these bytes; the path is in path. */
static void make_file(char path[], const void *data, size_t len)
{
    int fd = mkstemp(path);
    FILE *out = fdopen(fd, "wb");

    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

static void test_cli_read_event__reads_every_byte(void **state)
{
    static const size_t LENGTHS[] = {0, 1, 16383, 16384, 16385, 100000};
    char *data = malloc(100000);
    int next_fd = dup(STDIN_FILENO);

    (void)state;
    (void)close(next_fd);
    for (size_t i = 0; i < 100000; i++)
        data[i] = (char)(i * 7);
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
        char path[] = "/tmp/test_cli.XXXXXX";
        struct buf out = BUF_INIT(EVENT_SIZE_MAX);
        struct err err = {0};

        make_file(path, data, LENGTHS[i]);
        assert_int_equal(cli_read_event(path, &out, &err), ERR_OK);
        assert_int_equal(out.len, LENGTHS[i]);
        assert_memory_equal(out.data, data, LENGTHS[i]);
        buf_release(&out);
        assert_int_equal(unlink(path), 0);
    }
    free(data);
    /* The files are closed: their descriptor is free again. */
    assert_int_equal(dup(STDIN_FILENO), next_fd);
    (void)close(next_fd);
}

static void test_cli_read_event__reads_standard_input(void **state)
{
    char path[] = "/tmp/test_cli.XXXXXX";
    struct buf out = BUF_INIT(EVENT_SIZE_MAX);
    struct err err = {0};
    int saved = dup(STDIN_FILENO);

    (void)state;
    make_file(path, "{\"a\":1}\n", 8);
    assert_non_null(freopen(path, "rb", stdin));
    assert_int_equal(cli_read_event("-", &out, &err), ERR_OK);
    assert_string_equal(out.data, "{\"a\":1}\n");
    buf_release(&out);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    (void)close(saved);
    assert_int_equal(unlink(path), 0);
}

static void test_cli_read_event__says_why_it_cannot(void **state)
{
    struct buf out = BUF_INIT(EVENT_SIZE_MAX);
    struct err err = {0};

    (void)state;
    assert_int_equal(cli_read_event("/no/such/file", &out, &err), ERR_IO);
    assert_string_equal(err.msg,
                        "cannot read /no/such/file: No such file or directory");
    err = (struct err){0};
    assert_int_equal(cli_read_event("/tmp", &out, &err), ERR_IO);
    assert_string_equal(err.msg, "cannot read /tmp: Is a directory");
    buf_release(&out);
}

static void test_cli_read_event__stops_at_the_limit(void **state)
{
    char path[] = "/tmp/test_cli.XXXXXX";
    struct buf out = BUF_INIT(20000);
    struct err err = {0};
    char *data = calloc(1, 20001);
    char text[64];

    (void)state;
    make_file(path, data, 20001);
    assert_int_equal(cli_read_event(path, &out, &err), ERR_LIMIT);
    (void)snprintf(text, sizeof(text), "%s: longer than 20000 bytes", path);
    assert_string_equal(err.msg, text);
    buf_release(&out);
    assert_int_equal(unlink(path), 0);

    /* Without an end, too. */
    err = (struct err){0};
    assert_int_equal(cli_read_event("/dev/zero", &out, &err), ERR_LIMIT);
    buf_release(&out);
    free(data);
}

static void test_cli_read_event__reports_every_failed_allocation(void **state)
{
    char path[] = "/tmp/test_cli.XXXXXX";
    enum err_code rc;
    size_t n;

    (void)state;
    make_file(path, "{}", 2);
    for (n = 0;; n++) {
        struct buf out = BUF_INIT(100);
        struct err err = {0};
        bool failed;

        fail_alloc_at(n);
        rc = cli_read_event(path, &out, &err);
        failed = fail_alloc_stop();
        buf_release(&out);
        if (!failed)
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(n > 0);
    assert_int_equal(unlink(path), 0);
}

static void test_cli_progress__overwrites_its_line(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *terminal = open_memstream(&text, &len);

    (void)state;
    cli_progress(terminal, 0, 34, 0);
    cli_progress(terminal, 12, 34, 1);
    cli_progress(terminal, 34, 34, 2);
    cli_progress_clear(terminal);
    assert_string_equal(text, "\r\033[K0 of 34 regions"
                              "\r\033[K12 of 34 regions, 1 retry"
                              "\r\033[K34 of 34 regions, 2 retries"
                              "\r\033[K");
    (void)fclose(terminal);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_parse__knows_its_arguments),
        cmocka_unit_test(test_cli_parse__takes_a_question_apart),
        cmocka_unit_test(test_cli_parse__leaves_out_what_is_not_given),
        cmocka_unit_test(test_cli_print__ends_in_one_line_feed),
        cmocka_unit_test(test_cli_print__says_why_it_could_not),
        cmocka_unit_test(test_cli_parse__accepts_a_program_without_a_name),
        cmocka_unit_test(test_cli_help_text__names_all_there_is),
        cmocka_unit_test(test_cli_help_text__fits_a_screen),
        cmocka_unit_test(test_cli_read_event__reads_every_byte),
        cmocka_unit_test(test_cli_read_event__reads_standard_input),
        cmocka_unit_test(test_cli_read_event__says_why_it_cannot),
        cmocka_unit_test(test_cli_read_event__stops_at_the_limit),
        cmocka_unit_test(test_cli_read_event__reports_every_failed_allocation),
        cmocka_unit_test(test_cli_progress__overwrites_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
