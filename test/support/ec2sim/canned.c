/*
 * canned.c - answers that do not come from the fleet.
 */
#include "canned.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "xml.h"

#define XML_TYPE "text/xml;charset=UTF-8"
#define HTML_TYPE "text/html"

static const char HTML[] =
    "<html><head><title>Service Unavailable</title></head>\n"
    "<body><center><h1>The proxy got no answer</h1></center><hr>\n"
    "</body></html>\n";

/* Nested entities: some 10^9 characters if a parser lets itself in for it. */
static const char DOCTYPE[] =
    "<?xml version=\"1.0\"?>\n"
    "<!DOCTYPE lolz [\n"
    "<!ENTITY a \"lollollollollollollollollollol\">\n"
    "<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\n"
    "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">\n"
    "<!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">\n"
    "<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\">\n"
    "<!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">\n"
    "<!ENTITY g \"&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;\">\n"
    "<!ENTITY h \"&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;\">\n"
    "<!ENTITY i \"&h;&h;&h;&h;&h;&h;&h;&h;&h;&h;\">\n"
    "]>\n"
    "<DescribeInstancesResponse "
    "xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
    "<requestId>&i;</requestId><reservationSet/>"
    "</DescribeInstancesResponse>";

/* Faults that are EC2 errors; message NULL: made below. */
static const struct {
    enum fault fault;
    int status;
    const char *code;
    const char *message;
} ERRORS[] = {
    {FAULT_AUTH_FAILURE, 401, "AuthFailure",
     "AWS was not able to validate the provided access credentials"},
    {FAULT_DENIED, 403, "UnauthorizedOperation", NULL},
    {FAULT_EXPIRED, 400, "RequestExpired", "Request has expired."},
    {FAULT_EXPIRE_TOKEN, 400, "InvalidPaginationToken",
     "The specified pagination token has expired."},
    {FAULT_INTERNAL, 500, "InternalError", "An internal error has occurred"},
    {FAULT_OPT_IN, 403, "OptInRequired",
     "You are not subscribed to this service. Please go to "
     "http://aws.amazon.com to subscribe."},
    {FAULT_THROTTLE, 503, "RequestLimitExceeded", "Request limit exceeded."},
};

/* Faults that are other answers; status 0: the fault's argument. */
static const struct {
    enum fault fault;
    unsigned status;
    const char *type;
    const char *text;
    const char *location;
} TEXTS[] = {
    {FAULT_DOCTYPE, 200, XML_TYPE, DOCTYPE, NULL},
    {FAULT_EMPTY200, 200, XML_TYPE, "", NULL},
    {FAULT_ERROR, 0, HTML_TYPE, HTML, NULL},
    {FAULT_ERROR_EMPTY, 0, HTML_TYPE, "", NULL},
    {FAULT_HTML200, 200, HTML_TYPE, HTML, NULL},
    {FAULT_REDIRECT, 302, HTML_TYPE, HTML, "https://elsewhere.example/"},
};

void canned_text(unsigned status, const char *type, const char *text,
                 struct reply *out)
{
    struct text body = {0};

    text_str(&body, text);
    out->status = status;
    out->type = type;
    out->body = blob_take(body);
}

void canned_problem(const struct problem *problem, struct reply *out)
{
    static atomic_ulong count;
    unsigned long n = atomic_fetch_add(&count, 1) + 1;
    struct xml x = {0};
    char id[40];

    snprintf(id, sizeof(id), "00000000-0000-4000-a000-%012lx",
             n & 0xffffffffffffUL);
    xml_begin(&x, (struct xml_shape){0}, 0);
    xml_root(&x, "Response", NULL);
    xml_list(&x, "Errors");
    xml_open(&x, "Error");
    xml_leaf(&x, "Code", problem->code);
    xml_leaf(&x, "Message", problem->message);
    xml_close(&x);
    xml_close(&x);
    xml_leaf(&x, "RequestID", id);
    xml_close(&x);
    out->status = (unsigned)problem->status;
    out->type = XML_TYPE;
    out->body = blob_take(xml_take(&x));
    out->reason = problem->reason;
    xml_release(&x);
}

/* As long as real ones: an ARN, a policy and an encoded kilobyte. */
static void set_denied(struct problem *problem, enum action action)
{
    static const char letters[] =
        "Mz3kQpZ7_vW1xR-tY8bN2cL5hJ9gF4dS6aKeUiOoPwEqXyTrVuBmHnGlCsDfIjAZ";
    char encoded[1025];

    for (size_t i = 0; i < sizeof(encoded) - 1; i++)
        encoded[i] = letters[(i * i + 7 * i) % (sizeof(letters) - 1)];
    encoded[sizeof(encoded) - 1] = '\0';
    problem_set(problem, 403, "UnauthorizedOperation",
                "You are not authorized to perform this operation. User: "
                "arn:aws:sts::" FLEET_ACCOUNT
                ":assumed-role/survey/survey is not authorized to perform: "
                "ec2:%s with an explicit deny in a service control policy. "
                "Encoded authorization failure message: %s",
                action_name(action), encoded);
}

static bool as_error(enum fault fault, enum action action, struct reply *out)
{
    for (size_t i = 0; i < sizeof(ERRORS) / sizeof(ERRORS[0]); i++) {
        struct problem problem = {0};

        if (ERRORS[i].fault != fault)
            continue;
        if (ERRORS[i].message)
            problem_set(&problem, ERRORS[i].status, ERRORS[i].code, "%s",
                        ERRORS[i].message);
        else
            set_denied(&problem, action);
        canned_problem(&problem, out);
        return true;
    }
    return false;
}

void canned_fault(enum fault fault, long arg, enum action action,
                  struct reply *out)
{
    if (fault == FAULT_THROTTLE)
        out->retry_after_ms = arg;
    if (as_error(fault, action, out))
        return;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        if (TEXTS[i].fault != fault)
            continue;
        canned_text(TEXTS[i].status ? TEXTS[i].status : (unsigned)arg,
                    TEXTS[i].type, TEXTS[i].text, out);
        out->location = TEXTS[i].location;
    }
}

struct blob *canned_truncate(const struct blob *page)
{
    size_t cut = page->len * 3 / 5;
    struct text out = {0};

    while (cut > 0 && page->p[cut] != '<')
        cut--;
    text_add(&out, page->p, cut + 2);
    return blob_take(out);
}
