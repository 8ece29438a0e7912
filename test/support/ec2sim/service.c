/*
 * service.c - from a request to its answer, without any network.
 */
#include "service.h"

#include <string.h>

#include "canned.h"

#define XML_TYPE "text/xml;charset=UTF-8"

/* A request on its way through the steps. */
struct work {
    struct service *service;
    const struct request *req;
    int64_t now;
    struct form form;
    struct ask ask;
    struct climate climate;
    struct problem problem;
    struct reply *out;
};

static void control(struct service *service, const struct request *req,
                    struct reply *out)
{
    const char *name = req->path + strlen("/_sim/");
    size_t len = req->path_len - strlen("/_sim/");
    bool post = strcmp(req->method, "POST") == 0;
    struct text text = {0};

    if (post && len == 6 && strncmp(name, "faults", len) == 0) {
        if (faults_replace(service->faults, req->body, req->body_len))
            canned_text(200, "text/plain", "ok\n", out);
        else
            canned_text(400, "text/plain", "a rule is not understood\n", out);
    } else if (post && len == 5 && strncmp(name, "reset", len) == 0) {
        faults_reset(service->faults);
        stats_reset(service->stats);
        canned_text(200, "text/plain", "ok\n", out);
    } else if (!post && len == 5 && strncmp(name, "stats", len) == 0) {
        stats_json(service->stats, &text);
        out->status = 200;
        out->type = "application/json";
        out->body = blob_take(text);
    } else {
        canned_text(404, "text/plain", "no such control request\n", out);
    }
}

/* By the host "ec2.REGION.…", else by the signature, else the first one. */
static const struct region *find_region(const struct world *world,
                                        const struct request *req)
{
    const char *host = request_header(req, "host");
    char scope[REGION_NAME_MAX];

    if (host && strncmp(host, "ec2.", 4) == 0)
        return world_region(world, host + 4, strcspn(host + 4, ".:"));
    if (auth_scope_region(req, scope, sizeof(scope)))
        return world_region(world, scope, strlen(scope));
    return &world->regions[0];
}

static bool wants_gzip(const struct service *service, const struct request *req)
{
    const char *accept = request_header(req, "accept-encoding");

    return !service->no_gzip && accept && strstr(accept, "gzip");
}

/* The page of the fleet, whole or broken off. */
static void answer_page(struct work *w, struct page_request *pr, bool truncate)
{
    struct blob *page;

    pr->gzip = wants_gzip(w->service, w->req);
    w->out->gzip = pr->gzip;
    if (truncate)
        pr->gzip = false;
    page = pages_get(w->service->pages, pr, &w->problem);
    if (!page) {
        w->out->gzip = false;
        return;
    }
    w->out->status = 200;
    w->out->type = XML_TYPE;
    w->out->body = page;
    if (!truncate)
        return;
    w->out->body = canned_truncate(page);
    blob_unref(page);
    if (w->out->gzip) {
        page = w->out->body;
        w->out->body = blob_gzip(page);
        blob_unref(page);
    }
}

static void answer_ask(struct work *w)
{
    struct service *service = w->service;
    struct page_request pr = {
        .region = w->out->region,
        .ask = &w->ask,
        .repeat_token = w->climate.repeat_token,
    };
    enum fault fault;
    long arg = 0;

    if (!pages_locate(service->pages, pr.region, &w->ask, &pr.position,
                      &w->problem))
        return;
    fault = faults_judge(service->faults, pr.region->name, w->ask.action,
                         pages_number(service->pages, &pr), &arg);
    if (fault != FAULT_NONE && fault != FAULT_TRUNCATE_XML)
        canned_fault(fault, arg, w->ask.action, w->out);
    else if (w->ask.dry_run)
        problem_set(&w->problem, 412, "DryRunOperation",
                    "Request would have succeeded, but DryRun flag is set.");
    else
        answer_page(w, &pr, fault == FAULT_TRUNCATE_XML);
}

static bool check_region(struct work *w)
{
    if (w->out->region->disabled)
        return problem_set(&w->problem, 401, "AuthFailure",
                           "AWS was not able to validate the provided access "
                           "credentials");
    return true;
}

/* Every step answers, sets the problem, or lets the next one try. */
/* As EC2 before April 2026. */
static bool check_age(struct work *w)
{
    static const char name[] = "IncludeManagedResources";

    if (!w->service->world->old_api || !form_get(&w->form, name))
        return true;
    return problem_set(&w->problem, 400, "UnknownParameter",
                       "The parameter %s is not recognized", name);
}

static void answer_region(struct work *w)
{
    const struct region *region = w->out->region;
    const char *name;
    enum action action = ACTION_COUNT;
    bool ok = form_parse(w->req, &w->form, &w->problem);

    name = form_get(&w->form, "Action");
    if (name)
        action = action_find(name);
    faults_climate(w->service->faults, region->name, action, &w->climate);
    w->out->clock_skew = w->climate.clock_skew;
    w->out->no_date = w->climate.no_date;
    if (ok &&
        auth_check(w->req, w->service->auth, region->name,
                   w->now + w->climate.clock_skew, &w->problem) &&
        check_region(w) && check_age(w) &&
        ask_parse(&w->form, &w->ask, &w->problem))
        answer_ask(w);
    if (w->problem.status)
        canned_problem(&w->problem, w->out);
    stats_answer(w->service->stats, region, action, w->out->status,
                 w->out->body->len);
    ask_release(&w->ask);
    form_release(&w->form);
}

void service_answer(struct service *service, const struct request *req,
                    int64_t now, struct reply *out)
{
    static const char control_path[] = "/_sim/";
    struct work w = {
        .service = service,
        .req = req,
        .now = now,
        .out = out,
    };

    *out = (struct reply){0};
    if (strncmp(req->path, control_path, sizeof(control_path) - 1) == 0) {
        control(service, req, out);
        return;
    }
    out->region = find_region(service->world, req);
    if (!out->region)
        canned_text(404, "text/plain", "no such region\n", out);
    else if (req->path_len != 1)
        canned_text(404, "text/plain", "no such path\n", out);
    else
        answer_region(&w);
}
