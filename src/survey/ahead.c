#include "survey/ahead.h"

#include <stdlib.h>

#include "survey/scope.h"

/* The least that EC2 takes for MaxResults. */
#define CONNECT_PAGE_MAX 5

/* Instances in a region, as a mean of those that have answered: with more, the
 * far regions' answers are read in INIT. On a fourteenth of a CPU their 40 us
 * each would cost all questions more than those about near regions gain. */
#define LIGHT_MAX 20

struct ahead {
    struct ahead_options options;
    struct criteria criteria; /* of a question without parameters */
    const struct fold *folds[SWEEP_FOLDS_MAX];
    size_t nfolds;
    struct sweep *sweep; /* NULL: nothing to give */
    int64_t patience_ms; /* that EC2 has from then on */
    int64_t asked_boot_ms;
    int64_t asked_real_ms;
    bool given; /* a question had its chance */
};

static const struct clock *clock_of(const struct ahead *ahead)
{
    return aws_client_options(ahead->options.client)->clock;
}

static void add_fold(struct ahead *ahead, const struct fold *fold)
{
    for (size_t i = 0; i < ahead->nfolds; i++)
        if (ahead->folds[i] == fold)
            return;
    if (ahead->nfolds < SWEEP_FOLDS_MAX)
        ahead->folds[ahead->nfolds++] = fold;
}

/* The criteria of the first question when it is asked without parameters, and
 * the folds of all that can be asked with the same. */
static void add_questions(struct ahead *ahead)
{
    static const struct criteria_text SILENCE = {0};
    size_t n;
    const struct question *table = question_table(&n);

    for (size_t i = 0; i < n; i++) {
        struct criteria criteria;

        if (criteria_parse(&ahead->options.criteria, &table[i], &SILENCE,
                           &criteria, NULL))
            continue;
        if (ahead->nfolds == 0)
            ahead->criteria = criteria;
        if (!criteria_equal(&criteria, &ahead->criteria))
            continue;
        for (size_t k = 0; k < table[i].nfolds; k++)
            add_fold(ahead, table[i].folds[k]);
    }
}

enum err_code ahead_new(const struct ahead_options *options, struct ahead **out,
                        struct err *err)
{
    struct ahead *ahead = calloc(1, sizeof(*ahead));

    if (!ahead)
        return err_nomem(err, "ahead");
    ahead->options = *options;
    add_questions(ahead);
    *out = ahead;
    return ERR_OK;
}

void ahead_free(struct ahead *ahead)
{
    if (ahead)
        sweep_free(ahead->sweep);
    free(ahead);
}

static void drop(struct ahead *ahead)
{
    sweep_free(ahead->sweep);
    ahead->sweep = NULL;
}

/* Whether it is good to wait for the rest: it is much, or keeps nobody. */
static bool is_worth_waiting(const struct sweep *sweep)
{
    uint64_t ninstances;
    size_t n = sweep_nanswered(sweep, &ninstances);

    return n == 0 || ninstances > LIGHT_MAX * (uint64_t)n;
}

static enum err_code ask_all(struct ahead *ahead, struct err *err)
{
    enum err_code rc;

    if (!ahead->options.max_age_ms)
        return sweep_run(ahead->sweep, err);
    rc = sweep_connect(ahead->sweep, err);
    if (!rc && is_worth_waiting(ahead->sweep))
        rc = sweep_await(ahead->sweep, err);
    return rc;
}

static enum err_code run_over(struct ahead *ahead, const char *const *names,
                              size_t n, int64_t until_ms, struct err *err)
{
    const struct sweep_options options = {
        .client = ahead->options.client,
        .folds = ahead->folds,
        .nfolds = ahead->nfolds,
        .limits = ahead->options.limits,
        .criteria = &ahead->criteria,
        .include_managed = ahead->options.include_managed,
        .ahead_max =
            ahead->options.max_age_ms ? AHEAD_PAGE_MAX : CONNECT_PAGE_MAX,
        .deadline_ms = until_ms,
    };
    enum err_code rc = sweep_new(&options, names, n, &ahead->sweep, err);

    if (rc)
        return rc;
    ahead->patience_ms = until_ms - clock_mono_ms(clock_of(ahead));
    ahead->asked_boot_ms = clock_boot_ms(clock_of(ahead));
    ahead->asked_real_ms = clock_real_ms(clock_of(ahead));
    rc = ask_all(ahead, err);
    if (rc || !ahead->options.max_age_ms)
        drop(ahead);
    return rc;
}

enum err_code ahead_run(struct ahead *ahead, int64_t until_ms, struct err *err)
{
    struct scope scope = SCOPE_INIT;
    const char **names = NULL;
    size_t n = 0;
    enum err_code rc = scope_parse(SPAN_LIT("all"), &scope, err);

    if (!rc)
        rc = scope_resolve(&scope, ahead->options.atlas, err);
    if (rc)
        goto out;
    names = calloc(scope.n ? scope.n : 1, sizeof(*names));
    if (!names) {
        rc = err_nomem(err, "ahead");
        goto out;
    }
    for (size_t i = 0; i < scope.n; i++)
        if (scope.entries[i].kind == SCOPE_REGION)
            names[n++] = scope.entries[i].name;
    rc = run_over(ahead, names, n, until_ms, err);

out:
    free(names);
    scope_release(&scope);
    return rc;
}

/* A suspended machine shows in one clock, one set back in the other. */
static int64_t age_ms(const struct ahead *ahead)
{
    int64_t boot_ms = clock_boot_ms(clock_of(ahead)) - ahead->asked_boot_ms;
    int64_t real_ms = clock_real_ms(clock_of(ahead)) - ahead->asked_real_ms;

    return boot_ms > real_ms ? boot_ms : real_ms;
}

void ahead_give(struct ahead *ahead, const struct criteria *criteria,
                struct sweep *sweep)
{
    if (!ahead->sweep)
        return;
    sweep_adopt(sweep, ahead->sweep,
                !ahead->given && age_ms(ahead) <= ahead->options.max_age_ms &&
                    criteria_equal(criteria, &ahead->criteria));
    ahead->given = true;
    /* Suspended in between: the peers may be gone, nobody waits for them. */
    if (age_ms(ahead) > ahead->patience_ms)
        sweep_expire(ahead->sweep);
    ahead_tidy(ahead);
}

void ahead_tidy(struct ahead *ahead)
{
    if (ahead->given && ahead->sweep && sweep_is_done(ahead->sweep))
        drop(ahead);
}

int64_t ahead_real_ms(const struct ahead *ahead)
{
    return ahead->asked_real_ms;
}
