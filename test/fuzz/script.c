#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"

#define BODY_MAX ((size_t)256 * 1024)
#define TOKEN_MAX ((size_t)1024)

/* What becomes of an answer; the first is what the end of the input gives. */
enum act {
    ACT_PAGE,
    ACT_PAGE_AGAIN, /* twice, so that listings become long */
    ACT_PAGE_TOO,
    ACT_REFUSE,
    ACT_UNREACHED, /* fails before a byte came */
    ACT_BREAK,     /* the transfer fails after a part, or after all of it */
    ACT_CUT,       /* a part of the page, as if it were all */
    ACT_HANG,      /* a part, and then nothing */
    ACT_NOISE,     /* bytes of the input instead of a page */
    ACT_DAMAGE,    /* one byte of the page is another */
    ACT_STATUS,    /* a page whose status is not 200 */
    ACT_EMPTY,
    ACT_INSERT, /* bytes of the input in a page's text */
    NACTS,
};

void script_init(struct script *script, struct span in, struct fake_clock *fake)
{
    *script = (struct script){
        .rest = in,
        .fake = fake,
        .page = {.next_token = BUF_INIT(TOKEN_MAX)},
        .body = BUF_INIT(BODY_MAX),
    };
}

static void forget_headers(struct script *script)
{
    for (size_t i = 0; i < script->nheaders; i++)
        free(script->values[i]);
    script->nheaders = 0;
}

void script_release(struct script *script)
{
    forget_headers(script);
    buf_release(&script->body);
    buf_release(&script->page.next_token);
}

static void add_header(struct script *script, const char *name,
                       struct span value)
{
    char *copy = fuzz_string(value);

    script->values[script->nheaders] = copy;
    script->headers[script->nheaders++] = (struct http_header){name, copy};
}

static void add_date(struct script *script, int64_t off_ms)
{
    time_t now = (time_t)((script->fake->real_ms + off_ms) / 1000);
    struct tm tm;

    FUZZ_CHECK(gmtime_r(&now, &tm));
    FUZZ_CHECK(strftime(script->date, sizeof(script->date),
                        "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
    add_header(script, "Date", span_of(script->date));
}

static void add_headers(struct script *script)
{
    static const int64_t OFF_MS[] = {0, 3600000, -3600000, 241000, -239000};
    unsigned which = fuzz_byte(&script->rest);

    forget_headers(script);
    if (which & 1)
        add_date(script, FUZZ_PICK(&script->rest, OFF_MS));
    else if (which & 2)
        add_header(script, "Date", fuzz_until(&script->rest, '\n'));
    if (which & 4)
        add_header(script, "x-amz-retry-after",
                   fuzz_until(&script->rest, '\n'));
    if (which & 8)
        add_header(script, "Age", SPAN_LIT("1"));
}

/* A rule on some ports; it is open, be it by IPv6, or not. */
static void add_rule(struct script *script, struct script_record *record)
{
    static const char *const CIDRS[] = {"0.0.0.0/0", "10.0.0.0/8", "::/0", ""};
    static const char *const PORTS[] = {
        "<ipProtocol>tcp</ipProtocol><fromPort>22</fromPort>"
        "<toPort>22</toPort>",
        "<ipProtocol>-1</ipProtocol>",
        "<ipProtocol>icmp</ipProtocol><fromPort>-1</fromPort>"
        "<toPort>-1</toPort>",
        "<ipProtocol>50</ipProtocol><toPort>2147483647</toPort>",
    };
    unsigned choice = fuzz_byte(&script->rest);

    buf_addf(&script->body,
             "<item>%s<ipRanges><item><cidrIp>%s</cidrIp></item></ipRanges>"
             "</item>",
             PORTS[choice % 4], CIDRS[choice / 4 % 4]);
    record->is_open |= choice / 4 % 2 == 0;
    /* By the first two of PORTS. */
    record->is_open_ssh |= choice / 4 % 2 == 0 && choice % 4 < 2;
}

static void add_instance(struct script *script, unsigned id,
                         struct script_record *record)
{
    static const char *const STATES[SCRIPT_NSTATES] = {"running", "stopped",
                                                       "unheard-of"};
    static const char *const TAGS[] = {
        "", "<item><key>Owner</key><value>a&amp;b</value></item>",
        "<item><key>owner</key><value/></item>",
        "<item><key>Name</key><value>&#10;\xc3\xa9</value></item>"};
    unsigned choice = fuzz_byte(&script->rest);

    record->group = (unsigned char)(choice >> 4);
    record->state = (enum script_state)(choice % SCRIPT_NSTATES);
    record->has_owner = choice / 4 % 4 == 1;
    record->has_name = choice / 4 % 4 == 3;
    buf_addf(&script->body,
             "<item><instanceId>i-%x</instanceId><instanceState><name>%s"
             "</name></instanceState><tagSet>%s</tagSet><groupSet><item>"
             "<groupId>sg-%x</groupId></item></groupSet>",
             id, STATES[record->state], TAGS[choice / 4 % 4], choice >> 4);
    if (SCRIPT_TYPE(id) + 1 < SCRIPT_NTYPES)
        buf_addf(&script->body, "<instanceType>m%x.large</instanceType>",
                 SCRIPT_TYPE(id));
    buf_add_str(&script->body, "</item>");
}

static void add_group(struct script *script, unsigned id,
                      struct script_record *record)
{
    record->group = (unsigned char)(id % SCRIPT_NGROUPS);
    buf_addf(&script->body,
             "<item><groupId>sg-%x</groupId><groupName>g%x</groupName>"
             "<ipPermissions>",
             id % SCRIPT_NGROUPS, id);
    add_rule(script, record);
    add_rule(script, record);
    buf_add_str(&script->body, "</ipPermissions></item>");
}

static void add_region(struct script *script, unsigned id,
                       struct script_record *record)
{
    static const char *const REGIONS[] = {"us-east-1", "eu-west-1", "ap-east-1",
                                          "xx-new-1",  "evil.com",  ""};

    (void)record;
    buf_addf(&script->body,
             "<item><regionName>%s</regionName><optInStatus>%s</optInStatus>"
             "</item>",
             REGIONS[id % 6], id & 64 ? "not-opted-in" : "opted-in");
}

/* The token of the next page: none, a new one, the same as asked with. */
static void add_token(struct script *script, unsigned kind,
                      const struct fake_request *request)
{
    struct buf *token = &script->page.next_token;

    buf_reset(token);
    if (kind == 3 || kind == 4)
        buf_addf(token, "t%u", ++script->ntokens);
    else if (kind == 5)
        buf_addf(token, "=/+ \xc3\xa9%%%u", ++script->ntokens);
    else if (kind == 6)
        script_token_of(request, token);
    else if (kind != 7)
        return;
    buf_addf(&script->body, "<nextToken>%s</nextToken>", token->data);
}

/* How one action's page is written. */
struct form {
    const char *action;
    const char *begin;
    void (*item)(struct script *script, unsigned id,
                 struct script_record *record);
    const char *end;
    const char *foreign; /* a record in the pages of the other actions */
};

static const struct form FORMS[] = {
    {"DescribeInstances", "<reservationSet><item><instancesSet>", add_instance,
     "</instancesSet></item></reservationSet>",
     "<item><instanceId>i-none</instanceId></item>"},
    {"DescribeSecurityGroups", "<securityGroupInfo>", add_group,
     "</securityGroupInfo>", "<item><groupId>sg-none</groupId></item>"},
    {"DescribeRegions", "<regionInfo>", add_region, "</regionInfo>",
     "<item><regionName>xx-none-1</regionName></item>"},
};

static const struct form *form_of(const struct fake_request *request)
{
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
        size_t len = strlen(FORMS[i].action);

        if (strncmp(request->body, "Action=", 7) == 0 &&
            strncmp(request->body + 7, FORMS[i].action, len) == 0 &&
            request->body[7 + len] == '&')
            return &FORMS[i];
    }
    fuzz_broken("the action is one of ours", __FILE__, __LINE__);
}

/* Records that nobody asked for, and that must not be taken. */
static void add_foreign(struct script *script, const struct form *own)
{
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++)
        if (&FORMS[i] != own)
            buf_addf(&script->body, "%s%s%s", FORMS[i].begin, FORMS[i].foreign,
                     FORMS[i].end);
}

/* A page; insert (if not empty) goes to where text of no interest is. */
static void write_page(struct script *script,
                       const struct fake_request *request, struct span insert)
{
    const struct form *form = form_of(request);
    unsigned shape = fuzz_byte(&script->rest);
    /* Some pages have what the filter should have kept out. */
    int part = shape / 64 == 3 ? -1 : script_part_of(request);

    buf_addf(&script->body, "<%sResponse><requestId>", form->action);
    buf_add_span(&script->body, insert);
    buf_addf(&script->body, "</requestId>%s", form->begin);
    script->page.nrecords = shape % (SCRIPT_RECORDS_MAX + 1);
    for (size_t i = 0; i < script->page.nrecords; i++) {
        struct script_record *record = &script->page.records[i];
        unsigned id = fuzz_byte(&script->rest);

        if (part >= 0)
            id = (id & 0xF0) | (unsigned)part;
        *record = (struct script_record){.id = (unsigned char)id};
        form->item(script, id, record);
    }
    buf_add_str(&script->body, form->end);
    add_foreign(script, form);
    add_token(script, shape / 8 % 8, request);
    buf_addf(&script->body, "</%sResponse>", form->action);
}

static void write_refusal(struct script *script, struct fake_answer *out)
{
    static const struct {
        long status;
        const char *code;
    } REFUSALS[] = {
        {503, "RequestLimitExceeded"},
        {503, "Unavailable"},
        {403, "UnauthorizedOperation"},
        {401, "AuthFailure"},
        {401, "OptInRequired"},
        {400, "RequestExpired"},
        {400, "InvalidPaginationToken"},
        {500, "InternalError"},
        {400, "Blocked"},
        {400, "RequestTimeTooSkewed"},
        {302, ""},
        {599, ""},
        {200, "Throttling"},
    };
    size_t which =
        fuzz_byte(&script->rest) % (sizeof(REFUSALS) / sizeof(REFUSALS[0]));

    out->status = REFUSALS[which].status;
    buf_addf(&script->body,
             "<Response><Errors><Error><Code>%s</Code><Message>\xc3\xa9 no"
             "</Message></Error></Errors><RequestID>r-%u</RequestID>"
             "</Response>",
             REFUSALS[which].code, script->ntokens);
}

/* Keeps a part of the body, at most all but less bytes. */
static void cut(struct script *script, size_t less)
{
    size_t len = script->body.len * fuzz_byte(&script->rest) / 255;

    if (len + less > script->body.len)
        len = script->body.len - less;
    buf_truncate(&script->body, len);
}

static void damage(struct script *script)
{
    size_t at = fuzz_byte(&script->rest) << 8 | fuzz_byte(&script->rest);

    script->body.data[at % script->body.len] = (char)fuzz_byte(&script->rest);
}

/* Pages that something happens to. */
static void spoil_page(struct script *script, enum act act,
                       struct fake_answer *out)
{
    static const long STATUSES[] = {204, 201, 302, 403, 404, 500, 503, 100};

    script->page.verdict = SCRIPT_BAD;
    if (act == ACT_BREAK) {
        cut(script, 0);
        out->failure = HTTP_BROKEN;
    } else if (act == ACT_CUT) {
        cut(script, 1);
    } else if (act == ACT_HANG) {
        cut(script, 0);
        out->hangs = true;
    } else if (act == ACT_STATUS) {
        out->status = FUZZ_PICK(&script->rest, STATUSES);
    } else {
        script->page.verdict = SCRIPT_UNKNOWN;
        if (act == ACT_DAMAGE)
            damage(script);
    }
}

static void write_answer(struct script *script, enum act act,
                         const struct fake_request *request,
                         struct fake_answer *out)
{
    static const enum http_failure FAILURES[] = {
        HTTP_RESOLVE,     HTTP_CONNECT, HTTP_CONNECT_TIMEOUT, HTTP_TLS,
        HTTP_CERTIFICATE, HTTP_PROXY,   HTTP_NOMEM,           HTTP_OTHER,
    };
    struct span insert = {NULL, 0};

    script->page.verdict = SCRIPT_BAD;
    if (act == ACT_REFUSE) {
        write_refusal(script, out);
    } else if (act == ACT_UNREACHED) {
        out->failure = FUZZ_PICK(&script->rest, FAILURES);
    } else if (act == ACT_NOISE) {
        script->page.verdict = SCRIPT_UNKNOWN;
        buf_add_span(&script->body, fuzz_until(&script->rest, '\n'));
    } else if (act != ACT_EMPTY) {
        if (act == ACT_INSERT)
            insert = fuzz_until(&script->rest, '\n');
        write_page(script, request, insert);
        script->page.verdict = SCRIPT_GOOD;
        if (act > ACT_PAGE_TOO)
            spoil_page(script, act, out);
    }
}

/* When the pieces come; small ones of a long body would take for ever. */
static void set_pace(struct script *script, struct fake_answer *out)
{
    static const int64_t AFTER_MS[] = {0, 1, 250, 7999, 8001, 60000};
    static const int64_t GAP_MS[] = {0, 0, 10, 5000};
    static const size_t PIECES[] = {0, 1, 7, 100, 4096};

    out->after_ms = FUZZ_PICK(&script->rest, AFTER_MS);
    out->gap_ms = FUZZ_PICK(&script->rest, GAP_MS);
    out->piece = FUZZ_PICK(&script->rest, PIECES);
}

void script_answer(struct script *script, const struct fake_request *request,
                   struct fake_answer *out)
{
    unsigned byte = fuzz_byte(&script->rest);

    *out = (struct fake_answer){0};
    buf_reset(&script->body);
    buf_reset(&script->page.next_token);
    script->page.nrecords = 0;
    forget_headers(script);
    if (byte & 64)
        add_headers(script);
    if (byte & 128) {
        set_pace(script, out);
        script->fake->random = (uint32_t)fuzz_byte(&script->rest) << 24;
    }
    write_answer(script, (enum act)((byte & 63) % NACTS), request, out);
    FUZZ_CHECK(buf_check(&script->body, "script", NULL) == ERR_OK);
    out->headers = script->headers;
    out->nheaders = script->nheaders;
    out->body = script->body.data;
    out->body_len = script->body.len;
}

static unsigned hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

int script_part_of(const struct fake_request *request)
{
    static const char FILTER[] =
        "&Filter.1.Name=instance-id&Filter.1.Value.1=i-%2A";
    static const char DIGITS[] = "0123456789abcdef";
    const char *at = strstr(request->body, FILTER);
    const char *digit = at ? strchr(DIGITS, at[strlen(FILTER)]) : NULL;

    FUZZ_CHECK(!at || (digit && *digit));
    return digit ? (int)(digit - DIGITS) : -1;
}

void script_token_of(const struct fake_request *request, struct buf *out)
{
    const char *p = strstr(request->body, "&NextToken=");

    buf_reset(out);
    for (p = p ? p + strlen("&NextToken=") : ""; *p && *p != '&'; p++) {
        if (*p == '%') {
            buf_add_char(out, (char)(hex(p[1]) << 4 | hex(p[2])));
            p += 2;
        } else {
            buf_add_char(out, *p);
        }
    }
}
