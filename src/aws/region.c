#include "aws/region.h"

#include <string.h>

#define PORT_MAX 65535

struct entry {
    struct partition partition;
    /*
     * What begins the names of the partition, each followed by one word, '-'
     * and digits: its regionRegex in botocore's partitions.json.
     */
    const char *prefixes;
    bool plain_fips; /* FIPS hosts have the ordinary names */
};

#define LIST(names) (names), sizeof(names) / sizeof((names)[0])

/* Where EC2 answers; partitions.json names regions that it is not in yet. */
static const char *const AWS[] = {
    "af-south-1",     "ap-east-1",      "ap-east-2",      "ap-northeast-1",
    "ap-northeast-2", "ap-northeast-3", "ap-south-1",     "ap-south-2",
    "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
    "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1",
    "ca-west-1",      "eu-central-1",   "eu-central-2",   "eu-north-1",
    "eu-south-1",     "eu-south-2",     "eu-west-1",      "eu-west-2",
    "eu-west-3",      "il-central-1",   "me-central-1",   "me-south-1",
    "mx-central-1",   "sa-east-1",      "us-east-1",      "us-east-2",
    "us-west-1",      "us-west-2",
};
static const char *const AWS_CN[] = {"cn-north-1", "cn-northwest-1"};
static const char *const AWS_EUSC[] = {"eusc-de-east-1"};
static const char *const AWS_ISO[] = {"us-iso-east-1", "us-iso-west-1"};
static const char *const AWS_ISO_B[] = {"us-isob-east-1", "us-isob-west-1"};
static const char *const AWS_ISO_E[] = {"eu-isoe-west-1"};
static const char *const AWS_ISO_F[] = {"us-isof-east-1", "us-isof-south-1"};
static const char *const AWS_US_GOV[] = {"us-gov-east-1", "us-gov-west-1"};

/* The first one is what a name that fits none belongs to. */
static const struct entry ENTRIES[] = {
    {{"aws", "amazonaws.com", "api.aws", LIST(AWS)},
     "us-,eu-,ap-,sa-,ca-,me-,af-,il-,mx-",
     false},
    {{"aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn",
      LIST(AWS_CN)},
     "cn-",
     false},
    {{"aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", LIST(AWS_EUSC)},
     "eusc-de-",
     false},
    {{"aws-iso", "c2s.ic.gov", "api.aws.ic.gov", LIST(AWS_ISO)},
     "us-iso-",
     false},
    {{"aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", LIST(AWS_ISO_B)},
     "us-isob-",
     false},
    {{"aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", LIST(AWS_ISO_E)},
     "eu-isoe-",
     false},
    {{"aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", LIST(AWS_ISO_F)},
     "us-isof-",
     false},
    {{"aws-us-gov", "amazonaws.com", "api.aws", LIST(AWS_US_GOV)},
     "us-gov-",
     true},
};

#define NENTRIES (sizeof(ENTRIES) / sizeof(ENTRIES[0]))

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_all(struct span s, char first, char last)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < first || s.p[i] > last)
            return false;
    return s.len > 0;
}

bool region_is_well_formed(struct span name)
{
    struct span rest = name;
    struct span part = {NULL, 0};
    size_t nwords = 0;

    if (name.len > REGION_NAME_MAX)
        return false;
    while (span_split(&rest, '-', &part) && is_all(part, 'a', 'z'))
        nwords++;
    /* What ended the words must be the last part: digits. */
    return !rest.p && (nwords == 2 || nwords == 3) && is_all(part, '0', '9');
}

static bool is_listed(const struct partition *partition, struct span name)
{
    for (size_t i = 0; i < partition->nregions; i++)
        if (span_eq_str(name, partition->regions[i]))
            return true;
    return false;
}

/* Whether prefix is followed in name by one word and the number. */
static bool fits_prefix(struct span name, struct span prefix)
{
    size_t ndashes = 0;

    if (name.len < prefix.len ||
        !span_eq((struct span){name.p, prefix.len}, prefix))
        return false;
    for (size_t i = prefix.len; i < name.len; i++)
        ndashes += name.p[i] == '-';
    return ndashes == 1;
}

static bool fits_pattern(const struct entry *entry, struct span name)
{
    struct span rest = span_of(entry->prefixes);
    struct span prefix;

    while (span_split(&rest, ',', &prefix))
        if (fits_prefix(name, prefix))
            return true;
    return false;
}

static const struct entry *find_entry(struct span name)
{
    for (size_t i = 0; i < NENTRIES; i++)
        if (is_listed(&ENTRIES[i].partition, name))
            return &ENTRIES[i];
    for (size_t i = 0; i < NENTRIES; i++)
        if (fits_pattern(&ENTRIES[i], name))
            return &ENTRIES[i];
    return &ENTRIES[0];
}

const struct partition *region_partition(struct span name)
{
    return region_is_well_formed(name) ? &find_entry(name)->partition : NULL;
}

void region_endpoint_release(struct region_endpoint *endpoint)
{
    buf_release(&endpoint->url);
    buf_release(&endpoint->host);
}

/* A custom endpoint taken apart; borrows from its text. */
struct base_url {
    bool tls;
    struct span host;      /* an IPv6 address with its brackets */
    struct span authority; /* host[:port] */
    int64_t port;          /* -1: none given */
};

static bool is_host(struct span host)
{
    bool literal = host.len > 2 && host.p[0] == '[';
    const char *good = literal ? "0123456789abcdef:."
                               : "0123456789abcdefghijklmnopqrstuvwxyz-_.";

    if (literal)
        host = (struct span){host.p + 1, host.len - 2};
    for (size_t i = 0; i < host.len; i++)
        if (!host.p[i] || !strchr(good, host.p[i]))
            return false;
    return host.len > 0;
}

/* Splits "host" or "host:port"; the ']' ends an IPv6 address. */
static bool split_port(struct span authority, struct base_url *out)
{
    size_t at = 0;

    out->authority = authority;
    out->port = -1;
    if (authority.len > 0 && authority.p[0] == '[')
        while (at < authority.len && authority.p[at] != ']')
            at++;
    while (at < authority.len && authority.p[at] != ':')
        at++;
    out->host = (struct span){authority.p, at};
    if (authority.len > 0 && authority.p[0] == '[' &&
        (at == 0 || authority.p[at - 1] != ']'))
        return false;
    if (at == authority.len)
        return true;
    return span_int64(
               (struct span){authority.p + at + 1, authority.len - at - 1},
               &out->port) &&
           /* The signed text is what is sent, and libcurl drops zeros. */
           authority.p[at + 1] != '0' && out->port >= 1 &&
           out->port <= PORT_MAX;
}

/* http(s)://host[:port] with at most one '/' behind it, in lower case. */
static bool parse_base_url(struct span url, struct base_url *out)
{
    size_t scheme_len;

    out->tls = span_starts_with(url, "https://");
    if (!out->tls && !span_starts_with(url, "http://"))
        return false;
    scheme_len = strlen(out->tls ? "https://" : "http://");
    url.p += scheme_len;
    url.len -= scheme_len;
    if (url.len > 0 && url.p[url.len - 1] == '/')
        url.len--;
    return split_port(url, out) && is_host(out->host);
}

/* Appends form in lower case, with name for each "{region}". */
static void add_expanded(struct buf *out, struct span form, struct span name)
{
    static const char PLACE[] = "{region}";

    while (form.len > 0) {
        size_t taken = 1;

        if (span_starts_with(form, PLACE)) {
            buf_add_span(out, name);
            taken = sizeof(PLACE) - 1;
        } else {
            buf_add_char(out, lower(form.p[0]));
        }
        form.p += taken;
        form.len -= taken;
    }
}

static enum err_code custom_endpoint(struct span name,
                                     const struct region_endpoint_options *opt,
                                     struct region_endpoint *out,
                                     struct err *err)
{
    const char *variable = opt->variable ? opt->variable : "the endpoint URL";
    struct buf text = BUF_INIT(REGION_URL_MAX);
    struct base_url base;
    enum err_code rc;

    if (opt->fips || opt->dual_stack)
        return err_set(err, ERR_CONFIG,
                       "region: %s goes with neither FIPS nor dual-stack "
                       "endpoints",
                       variable);
    add_expanded(&text, span_of(opt->url), name);
    rc = buf_check(&text, "region: endpoint URL", err);
    if (rc)
        goto out;
    if (!parse_base_url(buf_span(&text), &base)) {
        rc = err_set(err, ERR_CONFIG,
                     "region: %s must be http(s)://host[:port]", variable);
        goto out;
    }
    buf_addf(&out->url, "http%s://%.*s/", base.tls ? "s" : "",
             SPAN_ARG(base.authority));
    buf_add_span(&out->host, base.port == (base.tls ? 443 : 80)
                                 ? base.host
                                 : base.authority);

out:
    buf_release(&text);
    return rc;
}

static void regional_endpoint(struct span name,
                              const struct region_endpoint_options *opt,
                              struct region_endpoint *out)
{
    const struct entry *entry = find_entry(name);
    bool fips = opt->fips && (opt->dual_stack || !entry->plain_fips);

    buf_addf(&out->host, "ec2%s.%.*s.%s", fips ? "-fips" : "", SPAN_ARG(name),
             opt->dual_stack ? entry->partition.dual_stack_suffix
                             : entry->partition.dns_suffix);
    buf_addf(&out->url, "https://%s/", out->host.data);
}

enum err_code region_endpoint(struct span name,
                              const struct region_endpoint_options *options,
                              struct region_endpoint *out, struct err *err)
{
    enum err_code rc = ERR_OK;

    buf_reset(&out->url);
    buf_reset(&out->host);
    if (!region_is_well_formed(name))
        return err_set(err, ERR_ARG, "region: not a region's name");
    if (options->url)
        rc = custom_endpoint(name, options, out, err);
    else
        regional_endpoint(name, options, out);
    if (!rc)
        rc = buf_check(&out->host, "region: host", err);
    if (!rc)
        rc = buf_check(&out->url, "region: endpoint URL", err);
    if (rc)
        region_endpoint_release(out);
    return rc;
}

/* Levenshtein's distance, letter case apart; b is at most REGION_NAME_MAX
 * bytes long. */
static unsigned edit_distance(struct span a, struct span b)
{
    unsigned row[REGION_NAME_MAX + 1];

    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = lower(a.p[i - 1]) == lower(b.p[j - 1]);
            unsigned best = diagonal + (same ? 0 : 1);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.len];
}

size_t region_nearest(struct span name, const char *const *known, size_t nknown,
                      const char **out, size_t max)
{
    size_t n = 0;

    /* Too far from any name, and not worth the time. */
    if (name.len > REGION_NAME_MAX + REGION_EDITS_MAX)
        return 0;
    for (unsigned edits = 0; edits <= REGION_EDITS_MAX; edits++) {
        for (size_t i = 0; i < nknown && n < max; i++) {
            struct span candidate = span_of(known[i]);

            if (candidate.len <= REGION_NAME_MAX &&
                edit_distance(name, candidate) == edits)
                out[n++] = known[i];
        }
    }
    return n;
}
