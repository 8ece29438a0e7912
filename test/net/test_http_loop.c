/* The loop: timers, limits of time, and callbacks that start and cancel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curlver.h>

#include "net/http.h"
#include "support/exchange.h"
#include "support/local_server.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static const struct local_answer ANSWERS[] = {
    {"/plain", OK_HEAD "Content-Length: 5\r\n\r\nhello", 0, LOCAL_KEEP},
    {"/chunked",
     OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
     0, LOCAL_KEEP},
    {"/later", OK_HEAD "Content-Length: 5\r\n\r\nhello", 0, LOCAL_LATE},
    {"/silent", "", 0, LOCAL_HANG},
    {"/half", OK_HEAD "Content-Length: 9\r\n\r\nhalf", 0, LOCAL_HANG},
};

/* The machine's clock, put forward at will: time in which we were busy. */
struct shifted_clock {
    struct clock clock;
    int64_t shift_ms;
};

struct world {
    struct shifted_clock shifted;
    struct local_server *server;
    struct http *http;
    char url[4][128];
    char log[64]; /* what fired, in order */
};

static int64_t shifted_mono_ms(void *arg)
{
    return clock_mono_ms(&CLOCK_SYSTEM) +
           ((struct shifted_clock *)arg)->shift_ms;
}

static int64_t shifted_real_ms(void *arg)
{
    return clock_real_ms(&CLOCK_SYSTEM) +
           ((struct shifted_clock *)arg)->shift_ms;
}

static const char *url_of(struct world *w, size_t slot, const char *path)
{
    (void)snprintf(w->url[slot], sizeof(w->url[slot]), "http://127.0.0.1:%u%s",
                   local_server_port(w->server), path);
    return w->url[slot];
}

static int set_up(void **state)
{
    static const struct local_server_options OPTIONS = {
        .answers = ANSWERS,
        .nanswers = sizeof(ANSWERS) / sizeof(ANSWERS[0]),
    };
    struct world *w = calloc(1, sizeof(*w));
    struct http_options options = {.max_connections = 16};

    assert_non_null(w);
    w->shifted.clock = (struct clock){
        .mono_ms = shifted_mono_ms,
        .real_ms = shifted_real_ms,
        .arg = &w->shifted,
    };
    w->server = local_server_start(&OPTIONS);
    options.clock = &w->shifted.clock;
    assert_int_equal(http_new(&options, &w->http, NULL), ERR_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    http_free(w->http);
    local_server_stop(w->server);
    free(w);
    return 0;
}

static int64_t now(const struct world *w)
{
    return clock_mono_ms(&w->shifted.clock);
}

/* Runs for ms milliseconds, whatever happens. */
static void run_for(struct world *w, int64_t ms)
{
    bool stop = false;

    assert_int_equal(http_run(w->http, now(w) + ms, &stop, NULL), ERR_OK);
}

static void start(struct world *w, struct exchange *x, const char *path)
{
    const struct http_request request = {.method = "GET",
                                         .url = url_of(w, 0, path)};

    assert_int_equal(exchange_start(x, w->http, &request), ERR_OK);
}

/* --- timers ----------------------------------------------------------------*/

struct tick {
    struct http_timer timer;
    struct world *world;
    char letter;
    void (*then)(struct tick *tick);
    struct tick *other;
};

static void on_tick(void *arg)
{
    struct tick *tick = arg;
    size_t len = strlen(tick->world->log);

    assert_int_equal(tick->timer.due_ms, CLOCK_NEVER);
    assert_true(len + 1 < sizeof(tick->world->log));
    tick->world->log[len] = tick->letter;
    if (tick->then)
        tick->then(tick);
}

/* Until so many letters are in the log; no more may come then. */
static void run_until_logged(struct world *w, size_t n)
{
    for (int i = 0; i < 1000 && strlen(w->log) < n; i++)
        run_for(w, 3);
    run_for(w, 3);
}

/* Letters from 'a' on; each knows the next one. */
static void init_ticks(struct world *w, struct tick *ticks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ticks[i] = (struct tick){.world = w,
                                 .letter = (char)('a' + i),
                                 .other = &ticks[(i + 1) % n]};
        http_timer_init(&ticks[i].timer, on_tick, &ticks[i]);
    }
}

static void test_http_timer_set__timers_fire_in_order_of_time(void **state)
{
    struct world *w = *state;
    struct tick t[5];
    int64_t base = now(w);

    init_ticks(w, t, 5);
    http_timer_set(w->http, &t[0].timer, base + 4);
    http_timer_set(w->http, &t[1].timer, base + 2);
    http_timer_set(w->http, &t[2].timer, base + 4);
    http_timer_set(w->http, &t[3].timer, base - 5);
    http_timer_set(w->http, &t[4].timer, base + 1000000);
    run_for(w, 10);
    assert_string_equal(w->log, "dbac");
    http_timer_cancel(w->http, &t[4].timer);
}

static void test_http_timer_set__does_not_fire_early(void **state)
{
    struct world *w = *state;
    struct tick t[1];
    int64_t due = now(w) + 20;

    init_ticks(w, t, 1);
    http_timer_set(w->http, &t[0].timer, due);
    while (w->log[0] == '\0') {
        assert_true(now(w) < due + 5000);
        run_for(w, 1);
    }
    assert_true(now(w) >= due);
    run_for(w, 30);
    assert_string_equal(w->log, "a");
}

static void test_http_timer_set__setting_anew_moves_it(void **state)
{
    struct world *w = *state;
    struct tick t[2];
    int64_t base = now(w);

    init_ticks(w, t, 2);
    http_timer_set(w->http, &t[0].timer, base + 1);
    http_timer_set(w->http, &t[1].timer, base + 2);
    http_timer_set(w->http, &t[0].timer, base + 3);
    run_for(w, 8);
    assert_string_equal(w->log, "ba");
    http_timer_set(w->http, &t[0].timer, base);
    http_timer_set(w->http, &t[0].timer, CLOCK_NEVER);
    http_timer_cancel(w->http, &t[1].timer);
    run_for(w, 2);
    assert_string_equal(w->log, "ba");
}

static void cancel_other(struct tick *tick)
{
    http_timer_cancel(tick->world->http, &tick->other->timer);
}

static void set_other_now(struct tick *tick)
{
    http_timer_set(tick->world->http, &tick->other->timer, now(tick->world));
    tick->then = NULL;
}

static void set_self_now(struct tick *tick)
{
    if (strlen(tick->world->log) < 4)
        http_timer_set(tick->world->http, &tick->timer, now(tick->world));
}

static void test_http_timer_cancel__works_between_two_that_are_due(void **state)
{
    struct world *w = *state;
    struct tick t[3];
    int64_t base = now(w);

    init_ticks(w, t, 3);
    for (size_t i = 0; i < 3; i++)
        http_timer_set(w->http, &t[i].timer, base);
    t[0].then = cancel_other;
    run_until_logged(w, 2);
    assert_string_equal(w->log, "ac");
}

static void test_http_timer_set__works_in_a_timer(void **state)
{
    struct world *w = *state;
    struct tick t[3];
    int64_t base = now(w);

    init_ticks(w, t, 3);
    /* b is due already; set anew by a it comes after c. */
    for (size_t i = 0; i < 3; i++)
        http_timer_set(w->http, &t[i].timer, base);
    t[0].then = set_other_now;
    run_until_logged(w, 3);
    assert_string_equal(w->log, "acb");
    memset(w->log, 0, sizeof(w->log));
    t[0].then = set_self_now;
    http_timer_set(w->http, &t[0].timer, base);
    run_until_logged(w, 4);
    assert_string_equal(w->log, "aaaa");
}

/* --- the limits of a run ---------------------------------------------------*/

static void test_http_run__ends_at_its_time(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    int64_t from = now(w);

    start(w, &x, "/silent");
    run_for(w, 30);
    assert_in_range(now(w) - from, 30, 5000);
    assert_int_equal(x.ndone, 0);
    http_cancel(x.transfer);
    exchange_release(&x);
}

static void test_http_run__reads_what_is_there_though_time_is_over(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    bool stop = true;

    start(w, &x, "/plain");
    while (!x.ended) {
        assert_int_equal(http_run(w->http, 0, &stop, NULL), ERR_OK);
        assert_true(local_server_connections(w->server) < 2);
    }
    assert_int_equal(x.result.failure, HTTP_OK);
    exchange_release(&x);
}

static void test_http_waited_ms__counts_waiting_and_not_work(void **state)
{
    struct world *w = *state;
    int64_t before;

    /* A machine that is very busy oversleeps, which is no waiting. */
    for (int i = 0; i < 50 && http_waited_ms(w->http) < 15; i++)
        run_for(w, 20);
    assert_in_range(http_waited_ms(w->http), 15, 5000);
    before = http_waited_ms(w->http);
    w->shifted.shift_ms += 60000;
    run_for(w, 0);
    assert_in_range(http_waited_ms(w->http) - before, 0, 1000);
}

/* --- lanes -----------------------------------------------------------------*/

/* As http_lane.c has it: with an older library there is but one. */
#define HAS_LANES (LIBCURL_VERSION_NUM >= 0x081500)

/* Two answers by lanes of their own, and what follows the first of them. */
struct race {
    struct world *world;
    struct exchange first;
    struct exchange other;
    struct exchange next;
    unsigned apart; /* of the first and the next */
    bool met;       /* both ended in one turn, in this order */
    bool overdue;   /* and the next had not gone out in between */
};

static void start_apart(struct world *w, struct exchange *x, unsigned apart)
{
    const struct http_request request = {
        .method = "GET",
        .url = url_of(w, apart, "/plain"),
        .apart = apart,
    };

    assert_int_equal(exchange_start(x, w->http, &request), ERR_OK);
}

static void start_next(struct exchange *x)
{
    struct race *race = x->arg;

    start_apart(race->world, &race->next, race->apart);
}

static void look_for_next(struct exchange *x)
{
    struct race *race = x->arg;

    race->met = race->next.transfer != NULL && !race->next.ended;
    race->overdue = race->met && !http_is_connected(race->next.transfer);
}

/* Both requests go out in one turn, and both answers are there in the next,
 * unless one was so quick that it came in the first. */
static void run_race(struct world *w, struct race *race, unsigned apart)
{
    size_t nanswers = local_server_answers(w->server) + 2;

    *race = (struct race){.world = w, .apart = apart};
    race->first.in_done = start_next;
    race->first.arg = race;
    race->other.in_done = look_for_next;
    race->other.arg = race;
    start_apart(w, &race->first, apart);
    start_apart(w, &race->other, 1 - apart);
    run_for(w, 0);
    for (int i = 0; i < 5000 && local_server_answers(w->server) < nanswers; i++)
        (void)poll(NULL, 0, 1);
    run_for(w, 0);
    exchange_finish(&race->first);
    exchange_finish(&race->other);
    exchange_finish(&race->next);
    exchange_release(&race->first);
    exchange_release(&race->other);
    exchange_release(&race->next);
}

static void test_http_run__sends_what_follows_before_it_reads_on(void **state)
{
    struct world *w = *state;
    struct race race;

    if (!HAS_LANES)
        skip();
    /* Which of two lanes runs first is not ours to say. */
    race.met = false;
    for (unsigned i = 0; i < 100 && !race.met; i++)
        run_race(w, &race, i % 2);
    assert_true(race.met);
    assert_false(race.overdue);
}

/* --- the time to connect ---------------------------------------------------*/

/*
 * A listener whose queue is full leaves a SYN without an answer (Linux). The
 * queue takes one more than told.
 */
struct full_listener {
    int listener;
    int clients[2];
    unsigned port;
};

static void full_listener_init(struct full_listener *full)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof(address);

    full->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(full->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(full->listener, 0), 0);
    assert_int_equal(
        getsockname(full->listener, (struct sockaddr *)&address, &len), 0);
    full->port = ntohs(address.sin_port);
    for (size_t i = 0; i < 2; i++) {
        full->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(full->clients[i], (struct sockaddr *)&address, len);
    }
}

static void full_listener_release(struct full_listener *full)
{
    (void)close(full->clients[0]);
    (void)close(full->clients[1]);
    (void)close(full->listener);
}

static void start_on(struct world *w, struct exchange *x, unsigned port,
                     int64_t connect_timeout_ms)
{
    struct http_request request = {.method = "GET",
                                   .url = w->url[1],
                                   .connect_timeout_ms = connect_timeout_ms};

    (void)snprintf(w->url[1], sizeof(w->url[1]), "http://127.0.0.1:%u/plain",
                   port);
    assert_int_equal(exchange_start(x, w->http, &request), ERR_OK);
}

static void test_http_start__no_connection_in_time_fails(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    struct exchange y = {0};
    struct full_listener full;
    int64_t from;

    full_listener_init(&full);
    /* What was waited before does not count. */
    run_for(w, 80);
    from = now(w);
    start_on(w, &x, full.port, 60);
    start_on(w, &y, full.port, 30);
    exchange_finish(&x);
    assert_int_equal(x.result.failure, HTTP_CONNECT_TIMEOUT);
    assert_int_equal(y.result.failure, HTTP_CONNECT_TIMEOUT);
    assert_string_equal(x.detail, "no connection in 60 ms");
    assert_string_equal(y.detail, "no connection in 30 ms");
    assert_int_equal(x.result.sent_real_ms, 0);
    assert_in_range(now(w) - from, 60, 5000);
    exchange_release(&x);
    exchange_release(&y);
    full_listener_release(&full);
}

static void be_busy(struct exchange *x)
{
    ((struct world *)x->arg)->shifted.shift_ms += 100000;
}

/*
 * The first answer keeps us busy for 100 s, so that all clocks say that the
 * second should have connected long ago. Only waiting counts.
 */
static void test_http_start__being_busy_is_no_time_to_connect(void **state)
{
    struct world *w = *state;
    struct exchange x = {.in_body = be_busy, .arg = w};
    struct exchange y = {0};
    struct exchange z = {0};
    struct full_listener full;

    full_listener_init(&full);
    start_on(w, &y, full.port, 3000);
    start(w, &x, "/plain");
    while (!x.ended)
        run_for(w, 1);
    start_on(w, &z, local_server_port(w->server), 3000);
    while (!z.ended)
        run_for(w, 1);
    assert_int_equal(z.result.failure, HTTP_OK);
    assert_int_equal(y.ndone, 0);
    http_cancel(y.transfer);
    exchange_release(&x);
    exchange_release(&y);
    exchange_release(&z);
    full_listener_release(&full);
}

static void test_http_start__connected_in_time_may_be_silent(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    struct http_request request = {.method = "GET",
                                   .url = url_of(w, 0, "/silent"),
                                   .connect_timeout_ms = 20};

    assert_int_equal(exchange_start(&x, w->http, &request), ERR_OK);
    run_for(w, 60);
    assert_int_equal(x.ndone, 0);
    http_cancel(x.transfer);
    exchange_release(&x);
}

/* --- who is connected ------------------------------------------------------*/

static void test_http_all_connected__tells_who_is_on_the_way(void **state)
{
    struct world *w = *state;
    const bool *all = http_all_connected(w->http);
    struct exchange x = {0};
    struct exchange y = {0};
    struct full_listener full;
    int64_t from = now(w);

    full_listener_init(&full);
    assert_true(*all);
    start(w, &x, "/silent");
    assert_false(*all);
    assert_int_equal(http_run(w->http, from + 5000, all, NULL), ERR_OK);
    assert_true(*all);
    assert_true(http_is_connected(x.transfer));
    assert_in_range(now(w) - from, 0, 4000);
    /* One that fails is on its way no more. */
    start_on(w, &y, full.port, 60);
    run_for(w, 1);
    assert_false(*all);
    assert_int_equal(http_run(w->http, now(w) + 5000, all, NULL), ERR_OK);
    assert_int_equal(y.result.failure, HTTP_CONNECT_TIMEOUT);
    assert_true(*all);
    http_cancel(x.transfer);
    exchange_release(&x);
    exchange_release(&y);
    full_listener_release(&full);
}

static void test_http_all_connected__cancelling_is_no_way_to_connect(void **s)
{
    struct world *w = *s;
    struct exchange x = {0};

    start(w, &x, "/plain");
    http_cancel(x.transfer);
    assert_true(*http_all_connected(w->http));
    exchange_release(&x);
}

/* --- callbacks that start and cancel ---------------------------------------*/

static void cancel_the_other(struct exchange *x)
{
    struct exchange *other = x->arg;

    if (other->transfer)
        http_cancel(other->transfer);
    other->transfer = NULL;
}

static void test_http_cancel__of_another_in_its_callbacks(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    struct exchange in_done = {.in_done = cancel_the_other, .arg = &x};
    struct exchange in_body = {.in_body = cancel_the_other, .arg = &x};

    start(w, &x, "/half");
    start(w, &in_done, "/plain");
    exchange_finish(&in_done);
    assert_int_equal(in_done.result.failure, HTTP_OK);
    start(w, &x, "/half");
    start(w, &in_body, "/plain");
    exchange_finish(&in_body);
    assert_int_equal(in_body.result.failure, HTTP_OK);
    run_for(w, 5);
    assert_int_equal(x.ndone, 0);
    exchange_release(&x);
    exchange_release(&in_body);
    exchange_release(&in_done);
}

static void cancel_itself(struct exchange *x)
{
    http_cancel(x->transfer);
    x->arg = x->transfer;
    x->transfer = NULL;
}

static void test_http_cancel__of_itself(void **state)
{
    struct world *w = *state;
    struct exchange in_body = {.in_body = cancel_itself};
    struct exchange in_done = {.in_done = cancel_itself};

    /* More of the body is there already, but nobody wants it. */
    start(w, &in_body, "/chunked");
    while (!in_body.arg)
        run_for(w, 1);
    run_for(w, 5);
    assert_int_equal(in_body.npieces, 1);
    assert_int_equal(in_body.ndone, 0);
    start(w, &in_done, "/plain");
    exchange_finish(&in_done);
    assert_int_equal(in_done.ndone, 1);
    assert_int_equal(in_done.result.failure, HTTP_OK);
    exchange_release(&in_body);
    exchange_release(&in_done);
}

static void test_http_cancel__before_it_went_out(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    start(w, &x, "/plain");
    http_cancel(x.transfer);
    run_for(w, 5);
    assert_int_equal(x.ndone, 0);
    assert_int_equal(local_server_connections(w->server), 0);
    exchange_release(&x);
}

static void start_the_other(struct exchange *x)
{
    struct exchange *other = x->arg;
    const struct http_request request = {.method = "GET", .url = other->arg};

    if (!other->http)
        assert_int_equal(exchange_start(other, x->http, &request), ERR_OK);
}

static void test_http_start__works_in_callbacks(void **state)
{
    struct world *w = *state;
    char *url = w->url[2];
    struct exchange third = {.arg = url};
    struct exchange second = {.in_done = start_the_other, .arg = &third};
    struct exchange first = {.in_body = start_the_other, .arg = &third};

    (void)url_of(w, 2, "/plain");
    start(w, &second, "/plain");
    exchange_finish(&second);
    exchange_finish(&third);
    assert_int_equal(third.result.failure, HTTP_OK);
    third.http = NULL;
    start(w, &first, "/plain");
    exchange_finish(&first);
    exchange_finish(&third);
    assert_int_equal(third.ndone, 2);
    assert_string_equal(third.body.data, "hello");
    exchange_release(&first);
    exchange_release(&second);
    exchange_release(&third);
}

/* Both are late in the same turn; the first takes the second with it. */
static void test_http_cancel__of_one_that_is_about_to_fail(void **state)
{
    struct world *w = *state;
    struct exchange y = {0};
    struct exchange x = {.in_done = cancel_the_other, .arg = &y};
    struct full_listener full;

    full_listener_init(&full);
    start_on(w, &x, full.port, 20);
    start_on(w, &y, full.port, 20);
    exchange_finish(&x);
    assert_int_equal(x.result.failure, HTTP_CONNECT_TIMEOUT);
    run_for(w, 40);
    assert_int_equal(y.ndone, 0);
    exchange_release(&x);
    exchange_release(&y);
    full_listener_release(&full);
}

static void test_http_free__ends_what_is_in_flight(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    struct exchange y = {0};

    start(w, &x, "/half");
    while (x.npieces == 0)
        run_for(w, 1);
    start(w, &y, "/plain");
    http_free(w->http);
    w->http = NULL;
    assert_int_equal(x.ndone + y.ndone, 0);
    exchange_release(&x);
    exchange_release(&y);
}

/* --- many hosts, which are in different lanes ------------------------------*/

#define HOSTS 10

static void start_at(struct world *w, int host, struct exchange *x,
                     const char *path)
{
    char url[64];
    const struct http_request request = {.method = "GET", .url = url};

    (void)snprintf(url, sizeof(url), "http://%c.localhost:%u%s", 'a' + host,
                   local_server_port(w->server), path);
    assert_int_equal(exchange_start(x, w->http, &request), ERR_OK);
}

static void release_all(struct exchange *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        exchange_release(&x[i]);
}

static void test_http_run__asks_many_hosts_at_once(void **state)
{
    struct world *w = *state;
    struct exchange x[2 * HOSTS] = {0};

    for (int round = 0; round < 2; round++) {
        release_all(x, 2 * HOSTS);
        memset(x, 0, sizeof(x));
        for (int i = 0; i < 2 * HOSTS; i++)
            start_at(w, i / 2, &x[i], i % 2 ? "/chunked" : "/plain");
        for (int i = 0; i < 2 * HOSTS; i++) {
            exchange_finish(&x[i]);
            assert_int_equal(x[i].result.failure, HTTP_OK);
            assert_string_equal(x[i].body.data, i % 2 ? "abc" : "hello");
        }
    }
    release_all(x, 2 * HOSTS);
}

/* Most of the time is spent in the poll, once all requests are out. */
static void test_http_run__rests_while_all_hosts_are_silent(void **state)
{
    struct world *w = *state;
    struct exchange x[HOSTS] = {0};
    bool rests = false;

    for (int i = 0; i < HOSTS; i++)
        start_at(w, i, &x[i], "/silent");
    for (int i = 0; i < 50 && !rests; i++) {
        int64_t before = http_waited_ms(w->http);

        run_for(w, 100);
        rests = http_waited_ms(w->http) - before >= 90;
    }
    assert_true(rests);
    release_all(x, HOSTS);
}

/* Where nothing is urgent, what has come is left for a while. */
static void test_http_be_patient__gathers_for_longer(void **state)
{
    struct world *w = *state;
    struct exchange silent[4] = {0};
    struct exchange x = {0};
    int64_t before;

    for (int i = 0; i < 4; i++)
        start_at(w, i, &silent[i], "/silent");
    /* The connection of the second is there already. */
    for (int i = 0; i < 2; i++) {
        exchange_release(&x);
        x = (struct exchange){0};
        http_be_patient(w->http, now(w) + 60000);
        before = http_waited_ms(w->http);
        start_at(w, 4, &x, "/later");
        exchange_finish(&x);
    }
    assert_in_range(http_waited_ms(w->http) - before, 15, 10000);
    exchange_release(&x);
    release_all(silent, 4);
}

struct pair {
    struct exchange x[2];
    struct world *world;
    size_t nanswers; /* that the server has sent once both are on their way */
    struct http_timer timer;
    int64_t due_ms;
    bool fired;
    bool busy;
    bool both; /* the other's answer waited while one was read in time */
};

/* In the first of the two: until the other's answer waits, and time is over. */
static void outlast_the_other(struct exchange *x)
{
    struct pair *pair = x->arg;
    struct world *w = pair->world;
    int64_t left = pair->due_ms - now(w);

    if (pair->busy)
        return;
    pair->busy = true;
    /* Else this turn began when the timer was due already, or the other has not
     * been asked yet. */
    for (int i = 0; left > 0 && i < 25 && !pair->both; i++) {
        (void)poll(NULL, 0, 2);
        pair->both = local_server_answers(w->server) == pair->nanswers;
    }
    (void)poll(NULL, 0, 20);
    w->shifted.shift_ms += left > 0 ? left : 0;
}

static void on_pair_due(void *arg)
{
    struct pair *pair = arg;

    pair->fired = true;
    if (pair->both)
        assert_true(pair->x[0].ended && pair->x[1].ended);
}

/* Connections to all hosts, so that a request goes out as it is started. */
static void connect_all(struct world *w)
{
    struct exchange x = {0};

    for (int i = 0; i < HOSTS; i++) {
        start_at(w, i, &x, "/plain");
        exchange_finish(&x);
    }
    exchange_release(&x);
}

#define PAIR_MS 400

static void start_pair(struct world *w, struct pair *pair, int round)
{
    *pair = (struct pair){.world = w, .due_ms = now(w) + PAIR_MS};
    for (int i = 0; i < 2; i++) {
        pair->x[i].in_body = outlast_the_other;
        pair->x[i].arg = pair;
        start_at(w, (round + i) % HOSTS, &pair->x[i], "/plain");
    }
    /* Each request before has been answered, if it is not counted yet. */
    pair->nanswers = local_server_requests(w->server) + 2;
    http_timer_init(&pair->timer, on_pair_due, pair);
    http_timer_set(w->http, &pair->timer, pair->due_ms);
}

static void test_http_timer_set__waits_for_what_came_from_any_host(void **state)
{
    struct world *w = *state;
    int nboth = 0;

    connect_all(w);
    for (int round = 0; round < 2 * HOSTS; round++) {
        struct pair pair;

        start_pair(w, &pair, round);
        exchange_finish(&pair.x[0]);
        exchange_finish(&pair.x[1]);
        run_for(w, 60);
        assert_true(pair.fired);
        nboth += pair.both;
        release_all(pair.x, 2);
    }
    assert_true(nboth > 0);
}

static void ignore(void *arg)
{
    (void)arg;
}

/* One that falls due in a turn is not fired beside one that was due before. */
static void test_http_timer_set__waits_though_another_is_due(void **state)
{
    struct world *w = *state;
    struct http_timer other;

    connect_all(w);
    http_timer_init(&other, ignore, NULL);
    for (int round = 0; round < 2 * HOSTS; round++) {
        struct pair pair;

        start_pair(w, &pair, round);
        while (!pair.fired) {
            http_timer_set(w->http, &other, now(w));
            run_for(w, 0);
        }
        http_timer_cancel(w->http, &other);
        exchange_finish(&pair.x[0]);
        exchange_finish(&pair.x[1]);
        release_all(pair.x, 2);
    }
}

static void
test_http_run__reads_and_fires_all_when_its_time_is_over(void **state)
{
    struct world *w = *state;

    connect_all(w);
    for (int round = 0; round < 2 * HOSTS; round++) {
        struct pair pair;

        start_pair(w, &pair, round);
        run_for(w, PAIR_MS);
        assert_true(pair.fired);
        if (pair.both)
            assert_true(pair.x[0].ended && pair.x[1].ended);
        exchange_finish(&pair.x[0]);
        exchange_finish(&pair.x[1]);
        release_all(pair.x, 2);
    }
}

static void cancel_all_others(struct exchange *x)
{
    struct exchange *others = x->arg;

    for (int i = 1; i < HOSTS; i++) {
        http_cancel(others[i].transfer);
        others[i].transfer = NULL;
    }
}

static void test_http_cancel__of_those_of_other_hosts(void **state)
{
    struct world *w = *state;
    struct exchange x[HOSTS] = {0};

    x[0].in_body = cancel_all_others;
    x[0].arg = x;
    for (int i = 1; i < HOSTS; i++)
        start_at(w, i, &x[i], "/half");
    run_for(w, 20);
    start_at(w, 0, &x[0], "/plain");
    exchange_finish(&x[0]);
    run_for(w, 5);
    for (int i = 1; i < HOSTS; i++)
        assert_int_equal(x[i].ndone, 0);
    for (int i = 1; i < HOSTS; i++) {
        start_at(w, i, &x[i], "/plain");
        exchange_finish(&x[i]);
        assert_int_equal(x[i].result.failure, HTTP_OK);
    }
    release_all(x, HOSTS);
}

static const struct CMUnitTest TESTS[] = {
    cmocka_unit_test_setup_teardown(
        test_http_timer_set__timers_fire_in_order_of_time, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_timer_set__does_not_fire_early,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_timer_set__setting_anew_moves_it,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_timer_cancel__works_between_two_that_are_due, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_http_timer_set__works_in_a_timer,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_run__ends_at_its_time, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_run__reads_what_is_there_though_time_is_over, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_run__sends_what_follows_before_it_reads_on, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_waited_ms__counts_waiting_and_not_work, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__no_connection_in_time_fails, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__being_busy_is_no_time_to_connect, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__connected_in_time_may_be_silent, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_all_connected__tells_who_is_on_the_way, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_all_connected__cancelling_is_no_way_to_connect, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_cancel__of_another_in_its_callbacks, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_cancel__of_itself, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_http_cancel__before_it_went_out,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__works_in_callbacks, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_cancel__of_one_that_is_about_to_fail, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_free__ends_what_is_in_flight,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_run__asks_many_hosts_at_once,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_be_patient__gathers_for_longer,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_run__rests_while_all_hosts_are_silent, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_timer_set__waits_for_what_came_from_any_host, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_timer_set__waits_though_another_is_due, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_run__reads_and_fires_all_when_its_time_is_over, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_http_cancel__of_those_of_other_hosts,
                                    set_up, tear_down),
};

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
