#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "support/stage.h"
#include "survey/atlas.h"

#define HOME "us-east-1"
#define MINUTE_MS ((int64_t)60 * 1000)

static const char THREE_REGIONS[] =
    XML_REGIONS(XML_REGION("us-east-1", "opt-in-not-required")
                    XML_REGION("eu-west-1", "opt-in-not-required")
                        XML_REGION("af-south-1", "opted-in"));

static struct atlas *new_atlas(struct stage *s, const char *configured)
{
    const struct atlas_options options = {
        .client = s->client,
        .home_region = HOME,
        .configured = configured,
    };
    struct atlas *atlas = NULL;
    struct err err = {0};

    if (atlas_new(&options, &atlas, &err))
        fail_msg("atlas_new: %s", err.msg);
    return atlas;
}

/* Starts a refresh and waits for its end. */
static void refresh(struct stage *s, struct atlas *atlas)
{
    struct ec2_stats stats = {0};
    int64_t deadline = s->fake.mono_ms + MINUTE_MS;

    atlas_refresh(atlas, &stats, deadline);
    assert_int_equal(http_run(s->http, deadline, atlas_is_settled(atlas), NULL),
                     ERR_OK);
    assert_true(*atlas_is_settled(atlas));
}

static void answer_home(struct stage *s, const char *body)
{
    stage_answer(s, HOME,
                 (struct fake_answer){.body_has = "Action=DescribeRegions&",
                                      .after_ms = 10,
                                      .body = body});
}

static void refuse_home(struct stage *s, long status, const char *body)
{
    stage_answer(
        s, HOME,
        (struct fake_answer){.after_ms = 10, .status = status, .body = body});
}

/* The names, a blank behind each. */
static void assert_names(const struct atlas *atlas, const char *expected)
{
    size_t n = 0;
    const char *const *names = atlas_regions(atlas, &n);
    char text[2048] = "";
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "%s ", names[i]);
        assert_true(len < sizeof(text));
        assert_true(atlas_knows(atlas, span_of(names[i])));
    }
    assert_string_equal(text, expected);
}

static void test_atlas_new__begins_with_the_partition(void **state)
{
    static const struct {
        const char *home;
        const char *names;
    } cases[] = {
        {"cn-north-1", "cn-north-1 cn-northwest-1 "},
        {"us-gov-west-1", "us-gov-east-1 us-gov-west-1 "},
    };
    struct stage s;
    struct atlas *atlas = NULL;

    (void)state;
    stage_init(&s);
    for (size_t i = 0; i < 2; i++) {
        const struct atlas_options options = {
            .client = s.client,
            .home_region = cases[i].home,
        };

        assert_int_equal(atlas_new(&options, &atlas, NULL), ERR_OK);
        assert_names(atlas, cases[i].names);
        assert_int_equal(atlas_get_source(atlas), ATLAS_BUILT_IN);
        assert_true(atlas_is_older_than(atlas, INT64_MAX));
        assert_true(atlas_asked_ms(atlas) == INT64_MIN);
        assert_true(*atlas_is_settled(atlas));
        atlas_free(atlas);
    }
    stage_release(&s);
}

static void test_atlas_knows__only_whole_names(void **state)
{
    struct stage s;
    struct atlas *atlas;

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    assert_true(atlas_knows(atlas, SPAN_LIT("us-east-1")));
    assert_true(atlas_knows(atlas, (struct span){"us-east-12", 9}));
    assert_false(atlas_knows(atlas, SPAN_LIT("us-east-12")));
    assert_false(atlas_knows(atlas, SPAN_LIT("us-east-")));
    assert_false(atlas_knows(atlas, SPAN_LIT("US-EAST-1")));
    assert_false(atlas_knows(atlas, SPAN_LIT("us-east-1\0")));
    assert_false(atlas_knows(atlas, (struct span){NULL, 0}));
    atlas_free(atlas);
    stage_release(&s);
}

static void test_atlas_refresh__takes_the_list_of_the_account(void **state)
{
    struct stage s;
    struct atlas *atlas;
    int64_t began;

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    began = s.fake.mono_ms;
    answer_home(&s, THREE_REGIONS);
    refresh(&s, atlas);
    assert_names(atlas, "af-south-1 eu-west-1 us-east-1 ");
    assert_int_equal(atlas_get_source(atlas), ATLAS_ACCOUNT);
    assert_int_equal(atlas_asked_ms(atlas), began);
    /* It is asked at home, and for the whole list. */
    assert_int_equal(stage_nrequests(&s, HOME, "Action=DescribeRegions&"), 1);
    assert_int_equal(stage_nrequests(&s, NULL, ""), 1);
    assert_string_equal(stage_log(&s), "");
    atlas_free(atlas);
    stage_release(&s);
}

static void test_atlas_refresh__leaves_out_regions_not_opted_in(void **state)
{
    struct stage s;
    struct atlas *atlas;

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    answer_home(&s, XML_REGIONS(XML_REGION("eu-west-1", "opted-in")
                                    XML_REGION("af-south-1", "not-opted-in")
                                        XML_REGION("us-east-1", "")));
    refresh(&s, atlas);
    assert_names(atlas, "eu-west-1 us-east-1 ");
    atlas_free(atlas);
    stage_release(&s);
}

static void
test_atlas_refresh__drops_names_without_the_shape_of_one(void **state)
{
    struct stage s;
    struct atlas *atlas;

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    answer_home(&s,
                XML_REGIONS(XML_REGION("us-east-1", "opted-in") XML_REGION(
                    "evil.example/", "opted-in") XML_REGION("", "opted-in")
                                XML_REGION("us-east-1", "opted-in") XML_REGION(
                                    "xx-a-very-long-name-indeed-much-too-1",
                                    "opted-in")));
    refresh(&s, atlas);
    assert_names(atlas, "us-east-1 ");
    assert_non_null(strstr(stage_log(&s), "\"region\":\"evil.example/\""));
    atlas_free(atlas);
    stage_release(&s);
}

static void test_atlas_refresh__keeps_the_list_when_refused(void **state)
{
    static const char BUILT_IN[] = "cn-north-1 cn-northwest-1 ";
    const struct atlas_options options = {.home_region = "cn-north-1"};
    struct atlas_options with_client = options;
    const struct fake_answer denied = {
        .host = "ec2.cn-north-1.amazonaws.com.cn",
        .times = FAKE_ALWAYS,
        .status = 403,
        .body = XML_ERROR("UnauthorizedOperation", "You are not authorized"),
    };
    struct stage s;
    struct atlas *atlas = NULL;

    (void)state;
    stage_init(&s);
    with_client.client = s.client;
    assert_int_equal(atlas_new(&with_client, &atlas, NULL), ERR_OK);
    fake_http_answer(s.http, &denied);
    refresh(&s, atlas);
    assert_names(atlas, BUILT_IN);
    assert_int_equal(atlas_get_source(atlas), ATLAS_BUILT_IN);
    assert_non_null(strstr(stage_log(&s), "using the built-in region list"));
    assert_non_null(strstr(
        stage_log(&s), "UnauthorizedOperation: access denied, possibly by a "
                       "service control policy"));
    assert_non_null(strstr(stage_log(&s), "\"ec2RequestId\":\"r-4\""));
    assert_non_null(strstr(stage_log(&s), "You are not authorized"));
    atlas_free(atlas);
    stage_release(&s);
}

static void
test_atlas_refresh__keeps_that_of_the_account_when_refused(void **state)
{
    struct stage s;
    struct atlas *atlas;

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    answer_home(&s, THREE_REGIONS);
    refresh(&s, atlas);
    refuse_home(&s, 403, XML_ERROR("UnauthorizedOperation", "no"));
    refresh(&s, atlas);
    assert_names(atlas, "af-south-1 eu-west-1 us-east-1 ");
    assert_int_equal(atlas_get_source(atlas), ATLAS_ACCOUNT);
    assert_non_null(strstr(stage_log(&s), "keeping the list at hand"));
    /* An answer without any region is none either. */
    answer_home(&s, XML_REGIONS(""));
    refresh(&s, atlas);
    assert_names(atlas, "af-south-1 eu-west-1 us-east-1 ");
    assert_non_null(strstr(stage_log(&s), "the answer names no region"));
    atlas_free(atlas);
    stage_release(&s);
}

/* A page that breaks off is asked again, and what it had does not count. */
static void test_atlas_refresh__forgets_a_page_that_broke_off(void **state)
{
    struct stage s;
    struct atlas *atlas;

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    stage_answer(&s, HOME,
                 (struct fake_answer){
                     .body = THREE_REGIONS,
                     .body_len = (size_t)(strstr(THREE_REGIONS, "af-south-1") -
                                          THREE_REGIONS),
                     .failure = HTTP_BROKEN});
    answer_home(&s, XML_REGIONS(XML_REGION("us-west-2", "opted-in")));
    refresh(&s, atlas);
    assert_names(atlas, "us-west-2 ");
    atlas_free(atlas);
    stage_release(&s);
}

static void
test_atlas_is_older_than__counts_from_the_last_good_answer(void **state)
{
    struct stage s;
    struct atlas *atlas;

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    answer_home(&s, THREE_REGIONS);
    refresh(&s, atlas);
    assert_false(atlas_is_older_than(atlas, 0));
    fake_clock_advance(&s.fake, ATLAS_MAX_AGE_MS);
    assert_false(atlas_is_older_than(atlas, ATLAS_MAX_AGE_MS));
    fake_clock_advance(&s.fake, 1);
    assert_true(atlas_is_older_than(atlas, ATLAS_MAX_AGE_MS));

    refuse_home(&s, 403, XML_ERROR("UnauthorizedOperation", "no"));
    refresh(&s, atlas);
    assert_true(atlas_is_older_than(atlas, ATLAS_MAX_AGE_MS));
    assert_int_equal(atlas_asked_ms(atlas), s.fake.mono_ms - 10);
    answer_home(&s, THREE_REGIONS);
    refresh(&s, atlas);
    assert_false(atlas_is_older_than(atlas, ATLAS_MAX_AGE_MS));
    atlas_free(atlas);
    stage_release(&s);
}

static void test_atlas_refresh__runs_once_at_a_time(void **state)
{
    struct stage s;
    struct atlas *atlas;
    struct ec2_stats stats = {0};

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    answer_home(&s, THREE_REGIONS);
    atlas_refresh(atlas, &stats, CLOCK_NEVER);
    assert_false(*atlas_is_settled(atlas));
    atlas_refresh(atlas, &stats, CLOCK_NEVER);
    assert_int_equal(stats.requests, 1);
    assert_int_equal(
        http_run(s.http, CLOCK_NEVER, atlas_is_settled(atlas), NULL), ERR_OK);
    assert_int_equal(stage_nrequests(&s, NULL, ""), 1);
    atlas_free(atlas);
    stage_release(&s);
}

static void test_atlas_cancel_refresh__leaves_the_list_as_it_was(void **state)
{
    const struct fake_answer half = {
        .body = THREE_REGIONS,
        .body_len = sizeof(THREE_REGIONS) - 40,
        .hangs = true,
    };
    struct stage s;
    struct atlas *atlas;
    struct ec2_stats stats = {0};
    int64_t until;

    (void)state;
    stage_init(&s);
    until = s.fake.mono_ms + 100;
    atlas = new_atlas(&s, NULL);
    atlas_cancel_refresh(atlas);
    stage_answer(&s, HOME, half);
    atlas_refresh(atlas, &stats, CLOCK_NEVER);
    assert_int_equal(http_run(s.http, until, atlas_is_settled(atlas), NULL),
                     ERR_OK);
    assert_false(*atlas_is_settled(atlas));
    atlas_cancel_refresh(atlas);
    assert_true(*atlas_is_settled(atlas));
    assert_int_equal(atlas_get_source(atlas), ATLAS_BUILT_IN);
    assert_int_equal(fake_http_in_flight(s.http), 0);
    assert_false(atlas_asked_ms(atlas) == INT64_MIN);
    atlas_ask_again(atlas);
    assert_true(atlas_asked_ms(atlas) == INT64_MIN);

    /* Nothing of the one that was cancelled is left for the next. */
    answer_home(&s, XML_REGIONS(XML_REGION("us-west-2", "opted-in")));
    refresh(&s, atlas);
    assert_names(atlas, "us-west-2 ");

    /* One that still runs ends with the atlas. */
    stage_answer(&s, HOME, half);
    atlas_refresh(atlas, &stats, CLOCK_NEVER);
    assert_int_equal(fake_http_in_flight(s.http), 1);
    atlas_free(atlas);
    stage_release(&s);
}

static void test_atlas_refresh__says_so_when_it_cannot_start(void **state)
{
    struct stage s;
    struct atlas *atlas = NULL;
    struct ec2_stats stats = {0};
    struct aws_client_options options;
    struct aws_client *bare = NULL;

    (void)state;
    stage_init(&s);
    options = *aws_client_options(s.client);
    assert_int_equal(aws_client_new(&options, &bare, NULL), ERR_OK);
    assert_int_equal(
        atlas_new(&(struct atlas_options){.client = bare, .home_region = HOME},
                  &atlas, NULL),
        ERR_OK);
    atlas_refresh(atlas, &stats, CLOCK_NEVER);
    assert_true(*atlas_is_settled(atlas));
    assert_int_equal(atlas_asked_ms(atlas), s.fake.mono_ms);
    assert_non_null(strstr(stage_log(&s), "no credentials loaded"));
    atlas_free(atlas);
    aws_client_free(bare);
    stage_release(&s);
}

static void test_atlas_new__takes_a_configured_list_as_final(void **state)
{
    struct stage s;
    struct atlas *atlas;
    struct ec2_stats stats = {0};

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, " us-west-2,,eu-west-1 ,us-west-2,xx-new-1,");
    assert_names(atlas, "eu-west-1 us-west-2 xx-new-1 ");
    assert_int_equal(atlas_get_source(atlas), ATLAS_CONFIGURED);
    fake_clock_advance(&s.fake, 100 * ATLAS_MAX_AGE_MS);
    assert_false(atlas_is_older_than(atlas, 0));
    atlas_refresh(atlas, &stats, CLOCK_NEVER);
    assert_true(*atlas_is_settled(atlas));
    assert_int_equal(stage_nrequests(&s, NULL, ""), 0);
    atlas_free(atlas);
    stage_release(&s);
}

static void test_atlas_new__refuses_a_bad_configured_list(void **state)
{
    static const struct {
        const char *list;
        const char *msg;
    } cases[] = {
        {"", "REGIONS: no region name in it"},
        {" , ,", "REGIONS: no region name in it"},
        {"all", "REGIONS: \"all\" is not a region name"},
        {"us-east-1,evil.example",
         "REGIONS: \"evil.example\" is not a region name"},
        {"US-EAST-1", "REGIONS: \"US-EAST-1\" is not a region name"},
        {"us-east-1;eu-west-1",
         "REGIONS: \"us-east-1;eu-west-1\" is not a region name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct atlas_options options = {
            .home_region = HOME,
            .configured = cases[i].list,
        };
        struct atlas *atlas = NULL;
        struct err err = {0};

        assert_int_equal(atlas_new(&options, &atlas, &err), ERR_CONFIG);
        assert_string_equal(err.msg, cases[i].msg);
        assert_null(atlas);
    }
}

static void test_atlas_new__refuses_a_bad_list_of_allowed(void **state)
{
    static const struct {
        const char *list;
        const char *msg;
    } cases[] = {
        {" , ,", "REGIONS_ALLOWED: no region in it"},
        {"all", "REGIONS_ALLOWED: \"all\" is neither a region name nor a "
                "pattern such as eu-*"},
        {"eu-*,!us-*", "REGIONS_ALLOWED: \"!us-*\" is neither a region name "
                       "nor a pattern such as eu-*"},
        {"EU-*", "REGIONS_ALLOWED: \"EU-*\" is neither a region name nor a "
                 "pattern such as eu-*"},
        {"eu", "REGIONS_ALLOWED: \"eu\" is neither a region name nor a "
               "pattern such as eu-*"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct atlas_options options = {
            .home_region = HOME,
            .allowed = cases[i].list,
        };
        struct atlas *atlas = NULL;
        struct err err = {0};

        assert_int_equal(atlas_new(&options, &atlas, &err), ERR_CONFIG);
        assert_string_equal(err.msg, cases[i].msg);
        assert_null(atlas);
    }
}

static void test_atlas_allows__names_and_patterns(void **state)
{
    const struct atlas_options options = {
        .home_region = HOME,
        .allowed = " us-east-1 , eu-* ,",
    };
    struct atlas *atlas = NULL;

    (void)state;
    assert_int_equal(atlas_new(&options, &atlas, NULL), ERR_OK);
    assert_true(atlas_allows(atlas, SPAN_LIT("us-east-1")));
    assert_true(atlas_allows(atlas, SPAN_LIT("eu-new-7")));
    assert_false(atlas_allows(atlas, SPAN_LIT("us-east-2")));
    assert_false(atlas_allows(atlas, SPAN_LIT("eu")));
    /* It bounds what is asked, and not what is known. */
    assert_true(atlas_knows(atlas, SPAN_LIT("us-east-2")));
    atlas_free(atlas);
}

/* n regions; the text is the caller's. */
static char *regions_xml(int n)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    (void)fputs("<DescribeRegionsResponse><regionInfo>", out);
    for (int i = 0; i < n; i++)
        (void)fprintf(out, "<item><regionName>aa-bb-%d</regionName></item>", i);
    (void)fputs("</regionInfo></DescribeRegionsResponse>", out);
    (void)fclose(out);
    return text;
}

static void test_atlas_refresh__takes_so_many_regions_and_no_more(void **state)
{
    char *most = regions_xml(ATLAS_REGIONS_MAX);
    char *too_many = regions_xml(ATLAS_REGIONS_MAX + 1);
    struct stage s;
    struct atlas *atlas;
    size_t n = 0;

    (void)state;
    stage_init(&s);
    atlas = new_atlas(&s, NULL);
    answer_home(&s, too_many);
    refresh(&s, atlas);
    assert_int_equal(atlas_get_source(atlas), ATLAS_BUILT_IN);
    assert_non_null(strstr(stage_log(&s), "atlas: more than 256 regions"));
    answer_home(&s, most);
    refresh(&s, atlas);
    (void)atlas_regions(atlas, &n);
    assert_int_equal(n, 256);
    atlas_free(atlas);
    stage_release(&s);
    free(most);
    free(too_many);
}

static void test_atlas_new__reports_every_failed_allocation(void **state)
{
    static const char *const lists[] = {NULL, "us-east-1,eu-west-1"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct atlas_options options = {
            .home_region = HOME,
            .configured = lists[i],
        };
        size_t n;

        for (n = 0;; n++) {
            struct atlas *atlas = NULL;
            struct err err = {0};
            enum err_code rc;

            fail_alloc_at(n);
            rc = atlas_new(&options, &atlas, &err);
            atlas_free(atlas);
            if (!fail_alloc_stop()) {
                assert_int_equal(rc, ERR_OK);
                break;
            }
            assert_int_equal(rc, ERR_NOMEM);
            assert_null(atlas);
        }
        assert_true(n >= 4);
    }
}

static void test_atlas_refresh__survives_every_failed_allocation(void **state)
{
    struct stage s;
    size_t n;

    (void)state;
    stage_init(&s);
    stage_answer(
        &s, HOME,
        (struct fake_answer){.times = FAKE_ALWAYS, .body = THREE_REGIONS});
    for (n = 0;; n++) {
        struct atlas *atlas = new_atlas(&s, NULL);
        bool failed;

        fail_alloc_at(n);
        refresh(&s, atlas);
        failed = fail_alloc_stop();
        assert_int_equal(atlas_get_source(atlas),
                         failed ? ATLAS_BUILT_IN : ATLAS_ACCOUNT);
        atlas_free(atlas);
        if (!failed)
            break;
    }
    assert_true(n > 10);
    stage_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_atlas_new__begins_with_the_partition),
        cmocka_unit_test(test_atlas_knows__only_whole_names),
        cmocka_unit_test(test_atlas_refresh__takes_the_list_of_the_account),
        cmocka_unit_test(test_atlas_refresh__leaves_out_regions_not_opted_in),
        cmocka_unit_test(
            test_atlas_refresh__drops_names_without_the_shape_of_one),
        cmocka_unit_test(test_atlas_refresh__keeps_the_list_when_refused),
        cmocka_unit_test(
            test_atlas_refresh__keeps_that_of_the_account_when_refused),
        cmocka_unit_test(test_atlas_refresh__forgets_a_page_that_broke_off),
        cmocka_unit_test(
            test_atlas_is_older_than__counts_from_the_last_good_answer),
        cmocka_unit_test(test_atlas_refresh__runs_once_at_a_time),
        cmocka_unit_test(test_atlas_cancel_refresh__leaves_the_list_as_it_was),
        cmocka_unit_test(test_atlas_refresh__says_so_when_it_cannot_start),
        cmocka_unit_test(test_atlas_new__takes_a_configured_list_as_final),
        cmocka_unit_test(test_atlas_new__refuses_a_bad_configured_list),
        cmocka_unit_test(test_atlas_new__refuses_a_bad_list_of_allowed),
        cmocka_unit_test(test_atlas_allows__names_and_patterns),
        cmocka_unit_test(test_atlas_refresh__takes_so_many_regions_and_no_more),
        cmocka_unit_test(test_atlas_new__reports_every_failed_allocation),
        cmocka_unit_test(test_atlas_refresh__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
