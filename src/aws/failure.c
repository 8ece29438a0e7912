#include "aws/failure.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct known_code {
    const char *code;
    enum failure_kind kind;
};

/*
 * Amazon EC2 API Reference, "Error codes"; the throttling and transient codes
 * are the SDKs' standard mode (botocore retries/standard.py).
 */
static const struct known_code KNOWN[] = {
    {"UnauthorizedOperation", FAILURE_DENIED},
    {"AccessDenied", FAILURE_DENIED},
    {"AccessDeniedException", FAILURE_DENIED},
    {"AuthFailure", FAILURE_AUTH},
    {"IncompleteSignature", FAILURE_AUTH},
    {"InvalidAccessKeyId", FAILURE_AUTH},
    {"InvalidClientTokenId", FAILURE_AUTH},
    {"InvalidSignatureException", FAILURE_AUTH},
    {"MissingAuthenticationToken", FAILURE_AUTH},
    {"SignatureDoesNotMatch", FAILURE_AUTH},
    {"UnrecognizedClientException", FAILURE_AUTH},
    {"OptInRequired", FAILURE_NOT_ENABLED},
    {"ExpiredToken", FAILURE_EXPIRED},
    {"ExpiredTokenException", FAILURE_EXPIRED},
    {"RequestExpired", FAILURE_EXPIRED},
    {"RequestInTheFuture", FAILURE_CLOCK},
    {"RequestTimeTooSkewed", FAILURE_CLOCK},
    {"BandwidthLimitExceeded", FAILURE_THROTTLED},
    {"EC2ThrottledException", FAILURE_THROTTLED},
    {"LimitExceededException", FAILURE_THROTTLED},
    {"PriorRequestNotComplete", FAILURE_THROTTLED},
    {"ProvisionedThroughputExceededException", FAILURE_THROTTLED},
    {"RequestLimitExceeded", FAILURE_THROTTLED},
    {"RequestThrottled", FAILURE_THROTTLED},
    {"RequestThrottledException", FAILURE_THROTTLED},
    {"SlowDown", FAILURE_THROTTLED},
    {"ThrottledException", FAILURE_THROTTLED},
    {"Throttling", FAILURE_THROTTLED},
    {"ThrottlingException", FAILURE_THROTTLED},
    {"TooManyRequestsException", FAILURE_THROTTLED},
    {"TransactionInProgressException", FAILURE_THROTTLED},
    {"InternalError", FAILURE_BUSY},
    {"InternalFailure", FAILURE_BUSY},
    {"RequestTimeout", FAILURE_BUSY},
    {"RequestTimeoutException", FAILURE_BUSY},
    {"ServerInternal", FAILURE_BUSY},
    {"ServiceUnavailable", FAILURE_BUSY},
    {"Unavailable", FAILURE_BUSY},
    {"InvalidNextToken", FAILURE_TOKEN},
    {"InvalidPaginationToken", FAILURE_TOKEN},
    /* 403 as well, but about the account, not about permissions */
    {"Blocked", FAILURE_REJECTED},
    {"PendingVerification", FAILURE_REJECTED},
};

static enum failure_kind classify_status(long status)
{
    if (status >= 500)
        return FAILURE_BUSY;
    if (status == 401)
        return FAILURE_AUTH;
    if (status == 403)
        return FAILURE_DENIED;
    if (status == 407)
        return FAILURE_PROXY;
    if (status >= 400)
        return FAILURE_REJECTED;
    if (status >= 300)
        return FAILURE_REDIRECT;
    return FAILURE_MALFORMED;
}

enum failure_kind failure_classify(struct span code, long status)
{
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
        if (span_eq_str(code, KNOWN[i].code))
            return KNOWN[i].kind;
    return classify_status(status);
}

static bool is_plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '_' ||
           c == '-';
}

static void copy_plain(char *out, size_t max, struct span from)
{
    size_t len = 0;

    for (size_t i = 0; i < from.len && len < max; i++)
        if (is_plain(from.p[i]))
            out[len++] = from.p[i];
    out[len] = '\0';
}

void failure_set_code(struct failure *f, struct span code)
{
    copy_plain(f->code, FAILURE_CODE_MAX, code);
}

void failure_set_request_id(struct failure *f, struct span id)
{
    copy_plain(f->request_id, FAILURE_ID_MAX, id);
}

enum failure_kind failure_of_error(enum err_code code)
{
    switch ((int)code) {
    case ERR_NOMEM:
        return FAILURE_NOMEM;
    case ERR_LIMIT:
        return FAILURE_LIMIT;
    case ERR_PARSE:
        return FAILURE_MALFORMED;
    case ERR_AUTH:
        return FAILURE_AUTH;
    default:
        return FAILURE_INTERNAL;
    }
}

void failure_set_text(struct failure *f, struct span text)
{
    size_t len = text.len;

    if (len > FAILURE_TEXT_MAX) {
        len = FAILURE_TEXT_MAX;
        /* Not between the bytes of one character (10xxxxxx continues one). */
        while (len > 0 && ((unsigned char)text.p[len] & 0xC0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++)
        f->text[i] = (char)(text.p[i] ? text.p[i] : ' ');
    f->text[len] = '\0';
}

const char *failure_kind_name(enum failure_kind kind)
{
    switch (kind) {
    case FAILURE_NONE:
        return "none";
    case FAILURE_DENIED:
        return "denied";
    case FAILURE_AUTH:
        return "auth";
    case FAILURE_NOT_ENABLED:
        return "not_enabled";
    case FAILURE_EXPIRED:
        return "expired";
    case FAILURE_CLOCK:
        return "clock";
    case FAILURE_THROTTLED:
        return "throttled";
    case FAILURE_BUSY:
        return "busy";
    case FAILURE_TOKEN:
        return "token";
    case FAILURE_REJECTED:
        return "rejected";
    case FAILURE_REDIRECT:
        return "redirect";
    case FAILURE_RESOLVE:
        return "resolve";
    case FAILURE_CONNECT:
        return "connect";
    case FAILURE_CONNECT_TIMEOUT:
        return "connect_timeout";
    case FAILURE_TLS:
        return "tls";
    case FAILURE_CERTIFICATE:
        return "certificate";
    case FAILURE_PROXY:
        return "proxy";
    case FAILURE_BROKEN:
        return "broken";
    case FAILURE_MALFORMED:
        return "malformed";
    case FAILURE_REPEATED:
        return "repeated";
    case FAILURE_LIMIT:
        return "limit";
    case FAILURE_SILENT:
        return "silent";
    case FAILURE_DEADLINE:
        return "deadline";
    case FAILURE_NOMEM:
        return "nomem";
    case FAILURE_INTERNAL:
        return "internal";
    }
    return "unknown";
}

/* What happened and, where something can be done, what. */
static const char *wording(enum failure_kind kind)
{
    switch (kind) {
    case FAILURE_NONE:
        return "no failure";
    case FAILURE_DENIED:
        return "access denied, possibly by a service control policy";
    case FAILURE_AUTH:
        return "credentials were not accepted";
    case FAILURE_NOT_ENABLED:
        return "region is not enabled in this account";
    case FAILURE_EXPIRED:
        return "credentials have expired, get new ones";
    case FAILURE_CLOCK:
        return "the clock of this machine is off, set it right";
    case FAILURE_THROTTLED:
        return "throttled";
    case FAILURE_BUSY:
        return "EC2 failed";
    case FAILURE_TOKEN:
        return "EC2 refused its own page token twice, ask again";
    case FAILURE_REJECTED:
        return "EC2 rejected the request";
    case FAILURE_REDIRECT:
        return "redirects are not followed, check the endpoint URL";
    case FAILURE_RESOLVE:
        return "host name not found";
    case FAILURE_CONNECT:
    case FAILURE_CONNECT_TIMEOUT:
        return "could not connect";
    case FAILURE_TLS:
        return "TLS handshake failed";
    case FAILURE_CERTIFICATE:
        return "certificate not acceptable";
    case FAILURE_PROXY:
        return "the proxy did not let the request through";
    case FAILURE_BROKEN:
        return "the connection broke off";
    case FAILURE_MALFORMED:
        return "the answer was not EC2's XML";
    case FAILURE_REPEATED:
        return "EC2 gave the same page token again, listing stopped";
    case FAILURE_LIMIT:
        return "the answer went past a limit of this program";
    case FAILURE_SILENT:
    case FAILURE_DEADLINE:
        return "no answer";
    case FAILURE_NOMEM:
        return "out of memory";
    case FAILURE_INTERNAL:
        return "internal error, see the log";
    }
    return "unknown failure";
}

/* Kinds whose sentence gives the HTTP status when EC2 sent no code. */
static bool has_status(enum failure_kind kind)
{
    return (kind >= FAILURE_DENIED && kind <= FAILURE_REDIRECT) ||
           kind == FAILURE_PROXY;
}

/* Kinds that may pass, so that the number of attempts says something. */
static bool may_pass(enum failure_kind kind)
{
    return kind == FAILURE_THROTTLED || kind == FAILURE_BUSY ||
           (kind >= FAILURE_RESOLVE && kind <= FAILURE_TLS) ||
           kind == FAILURE_PROXY || kind == FAILURE_BROKEN ||
           kind == FAILURE_MALFORMED;
}

/* Kinds that are about time, so that the time waited says something. */
static bool has_time(enum failure_kind kind)
{
    return kind == FAILURE_CONNECT_TIMEOUT || kind == FAILURE_SILENT ||
           kind == FAILURE_DEADLINE;
}

/* " in 3.1 s", " in 8 s" */
static void format_time(long ms, char *out, size_t size)
{
    long tenths = ms > 0 ? ms / 100 : 0;

    if (tenths % 10)
        (void)snprintf(out, size, " in %ld.%ld s", tenths / 10, tenths % 10);
    else
        (void)snprintf(out, size, " in %ld s", tenths / 10);
}

/* As much of text as the sentence has room for. */
static void append(char out[FAILURE_SENTENCE_MAX + 1], const char *text)
{
    size_t len = strlen(out);

    for (; *text && len < FAILURE_SENTENCE_MAX; text++)
        out[len++] = *text;
    out[len] = '\0';
}

void failure_sentence(const struct failure *f,
                      char out[FAILURE_SENTENCE_MAX + 1])
{
    char head[FAILURE_CODE_MAX + 3] = "";
    char time[32] = "";
    char tries[48] = "";

    if (f->code[0])
        (void)snprintf(head, sizeof(head), "%s: ", f->code);
    else if (f->status && has_status(f->kind))
        (void)snprintf(head, sizeof(head), "%ld: ", f->status);
    if (has_time(f->kind))
        format_time(f->waited_ms, time, sizeof(time));
    if (f->attempts > 1 && may_pass(f->kind))
        (void)snprintf(tries, sizeof(tries), ", gave up after %u attempts",
                       f->attempts);
    out[0] = '\0';
    append(out, head);
    append(out, wording(f->kind));
    append(out, time);
    append(out, tries);
}
