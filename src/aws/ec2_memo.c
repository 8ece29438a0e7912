#include "aws/ec2_memo.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

/* The request id comes second in EC2's answers, after the root element. */
#define REQUEST_ID_TAG "<requestId>"
#define HEAD_MAX ((size_t)512)
#define REQUEST_ID_MAX 64

#define KEY_LEN 16
#define DIGEST_LEN 16
#define NONCE_LEN 12

/* A record and, behind it, all that it points at. */
struct kept {
    struct kept *next;
    union {
        struct ec2_instance instance;
        struct ec2_group group;
        struct ec2_region region;
    } as;
    struct span rest[]; /* aligned as all arrays of a record are */
};

struct ec2_memo {
    unsigned char key[KEY_LEN];
    enum ec2_action action;
    unsigned char digest[DIGEST_LEN];
    bool whole; /* digest's document has ended, and all records are here */
    bool adds;  /* they are being added */
    char request_id[REQUEST_ID_MAX + 1]; /* of that document */
    size_t document_len;                 /* of the last one, kept or not */
    size_t nbytes;
    struct kept *first;
    struct kept **end;
};

enum err_code ec2_memo_new(struct ec2_memo **out, struct err *err)
{
    struct ec2_memo *memo = calloc(1, sizeof(*memo));

    if (!memo)
        return err_nomem(err, "ec2_memo");
    memo->end = &memo->first;
    if (RAND_bytes(memo->key, KEY_LEN) != 1) {
        free(memo);
        return err_set(err, ERR_CRYPTO, "ec2_memo: no random bytes");
    }
    *out = memo;
    return ERR_OK;
}

void ec2_memo_forget(struct ec2_memo *memo)
{
    while (memo->first) {
        struct kept *next = memo->first->next;

        free(memo->first);
        memo->first = next;
    }
    memo->end = &memo->first;
    memo->nbytes = 0;
    memo->whole = false;
    memo->adds = false;
}

void ec2_memo_free(struct ec2_memo *memo)
{
    if (!memo)
        return;
    ec2_memo_forget(memo);
    free(memo);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_id_byte(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-';
}

static bool is_plain(char c)
{
    return (c >= ' ' && c <= '~') || c == '\t' || c == '\n' || c == '\r';
}

/* Takes the bytes before the next word off *rest; false: there is none, or a
 * byte that is not plain before it. */
static bool skip_to(struct span *rest, const char *word)
{
    while (rest->len && (*rest->p != *word || !span_starts_with(*rest, word))) {
        if (!is_plain(*rest->p))
            return false;
        rest->p++;
        rest->len--;
    }
    return rest->len > 0;
}

/*
 * The text of <requestId>, the one thing in which two answers about the same
 * fleet differ. It is passed over only where nothing else can be in its place:
 * in a document that begins with the declaration, perhaps, the root's tag and
 * this one. Plain bytes up to there are no other encoding that libxml2 detects
 * (XML 1.0, appendix F), so these bytes are what the parser sees too.
 */
static bool find_request_id(struct span document, struct span *id)
{
    struct span rest = document;
    size_t head_len;

    if (span_starts_with(rest, "<?xml ") && !skip_to(&rest, "?>"))
        return false;
    if (!skip_to(&rest, "<") || rest.len < 2 || !is_letter(rest.p[1]))
        return false;
    rest.p++;
    rest.len--;
    if (!skip_to(&rest, "<") || !span_starts_with(rest, REQUEST_ID_TAG))
        return false;
    head_len = document.len - rest.len;
    rest.p += sizeof(REQUEST_ID_TAG) - 1;
    rest.len -= sizeof(REQUEST_ID_TAG) - 1;
    *id = (struct span){rest.p, 0};
    while (id->len < rest.len && is_id_byte(rest.p[id->len]))
        id->len++;
    return head_len <= HEAD_MAX && id->len > 0 && id->len <= REQUEST_ID_MAX &&
           id->len < rest.len && rest.p[id->len] == '<';
}

/*
 * GMAC (NIST SP 800-38D) of the document without the request id. The nonce may
 * be the same each time because no digest is ever shown to anybody.
 */
static bool digest_of(const struct ec2_memo *memo, struct span document,
                      struct span id, unsigned char *digest)
{
    static const unsigned char NONCE[NONCE_LEN] = {0};
    const unsigned char *head = (const unsigned char *)document.p;
    const unsigned char *tail = (const unsigned char *)id.p + id.len;
    size_t head_len = (size_t)(id.p - document.p);
    size_t tail_len = document.len - head_len - id.len;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char none[DIGEST_LEN];
    int len;
    bool ok;

    ok = ctx &&
         EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, memo->key, NONCE) &&
         EVP_EncryptUpdate(ctx, NULL, &len, head, (int)head_len) &&
         EVP_EncryptUpdate(ctx, NULL, &len, tail, (int)tail_len) &&
         EVP_EncryptFinal_ex(ctx, none, &len) &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, DIGEST_LEN, digest);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool ec2_memo_recall(struct ec2_memo *memo, enum ec2_action action,
                     struct span document, struct span *request_id)
{
    unsigned char digest[DIGEST_LEN];
    struct span id;
    bool can =
        find_request_id(document, &id) && digest_of(memo, document, id, digest);

    memo->document_len = document.len;
    if (can && memo->whole && memo->action == action &&
        memcmp(memo->digest, digest, DIGEST_LEN) == 0) {
        *request_id = id;
        return true;
    }
    ec2_memo_forget(memo);
    if (can) {
        memo->adds = true;
        memo->action = action;
        memcpy(memo->request_id, id.p, id.len);
        memo->request_id[id.len] = '\0';
        memcpy(memo->digest, digest, DIGEST_LEN);
    }
    return false;
}

size_t ec2_memo_document_len(const struct ec2_memo *memo)
{
    return memo->document_len;
}

/* A record with room for so many bytes behind it; *out is NULL when nothing is
 * kept. */
static enum err_code add(struct ec2_memo *memo, size_t rest, struct kept **out,
                         struct err *err)
{
    struct kept *kept;

    *out = NULL;
    if (!memo->adds)
        return ERR_OK;
    if (rest > EC2_MEMO_MAX ||
        rest + sizeof(*kept) > EC2_MEMO_MAX - memo->nbytes) {
        ec2_memo_forget(memo);
        return ERR_OK;
    }
    kept = calloc(1, sizeof(*kept) + rest);
    if (!kept)
        return err_nomem(err, "ec2_memo");
    memo->nbytes += sizeof(*kept) + rest;
    *memo->end = kept;
    memo->end = &kept->next;
    *out = kept;
    return ERR_OK;
}

/* Copies n bytes to *to, which moves on. */
static void *put(char **to, const void *from, size_t n)
{
    char *copy = *to;

    if (n)
        memcpy(copy, from, n);
    *to += n;
    return copy;
}

static void put_text(char **to, struct span *text)
{
    if (text->p)
        text->p = put(to, text->p, text->len);
}

static size_t texts_len(const struct span *texts, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++)
        len += texts[i].len;
    return len;
}

static size_t instance_len(const struct ec2_instance *in)
{
    size_t len = in->id.len + in->state.len + in->type.len +
                 in->launch_time.len + texts_len(in->group_ids, in->ngroup_ids);

    for (size_t i = 0; i < in->ntags; i++)
        len += in->tags[i].key.len + in->tags[i].value.len;
    for (size_t i = 0; i < in->naddresses; i++)
        len += in->addresses[i].text.len;
    return len + in->ntags * sizeof(*in->tags) +
           in->ngroup_ids * sizeof(*in->group_ids) +
           in->naddresses * sizeof(*in->addresses);
}

enum err_code ec2_memo_add_instance(struct ec2_memo *memo,
                                    const struct ec2_instance *instance,
                                    struct err *err)
{
    struct kept *kept;
    enum err_code rc = add(memo, instance_len(instance), &kept, err);
    struct ec2_instance *in;
    struct ec2_tag *tags;
    struct span *ids;
    struct ec2_address *addresses;
    char *to;

    if (!kept)
        return rc;
    in = &kept->as.instance;
    *in = *instance;
    /* Arrays first, as they are aligned alike and texts are not. */
    to = (char *)kept->rest;
    in->tags = tags = put(&to, in->tags, in->ntags * sizeof(*tags));
    in->group_ids = ids =
        put(&to, in->group_ids, in->ngroup_ids * sizeof(*ids));
    in->addresses = addresses =
        put(&to, in->addresses, in->naddresses * sizeof(*addresses));
    put_text(&to, &in->id);
    put_text(&to, &in->state);
    put_text(&to, &in->type);
    put_text(&to, &in->launch_time);
    for (size_t i = 0; i < in->ntags; i++) {
        put_text(&to, &tags[i].key);
        put_text(&to, &tags[i].value);
    }
    for (size_t i = 0; i < in->ngroup_ids; i++)
        put_text(&to, &ids[i]);
    for (size_t i = 0; i < in->naddresses; i++)
        put_text(&to, &addresses[i].text);
    return ERR_OK;
}

static size_t group_len(const struct ec2_group *group)
{
    size_t len = group->id.len + group->name.len +
                 texts_len(group->cidrs, group->ncidrs);

    for (size_t i = 0; i < group->npermissions; i++)
        len += group->permissions[i].protocol.len;
    return len + group->npermissions * sizeof(*group->permissions) +
           group->ncidrs * sizeof(*group->cidrs);
}

enum err_code ec2_memo_add_group(struct ec2_memo *memo,
                                 const struct ec2_group *group, struct err *err)
{
    struct kept *kept;
    enum err_code rc = add(memo, group_len(group), &kept, err);
    struct ec2_group *g;
    struct ec2_permission *permissions;
    struct span *cidrs;
    char *to;

    if (!kept)
        return rc;
    g = &kept->as.group;
    *g = *group;
    to = (char *)kept->rest;
    g->permissions = permissions =
        put(&to, g->permissions, g->npermissions * sizeof(*permissions));
    g->cidrs = cidrs = put(&to, g->cidrs, g->ncidrs * sizeof(*cidrs));
    put_text(&to, &g->id);
    put_text(&to, &g->name);
    for (size_t i = 0; i < g->npermissions; i++)
        put_text(&to, &permissions[i].protocol);
    for (size_t i = 0; i < g->ncidrs; i++)
        put_text(&to, &cidrs[i]);
    return ERR_OK;
}

enum err_code ec2_memo_add_region(struct ec2_memo *memo,
                                  const struct ec2_region *region,
                                  struct err *err)
{
    struct kept *kept;
    enum err_code rc =
        add(memo, region->name.len + region->opt_in_status.len, &kept, err);
    char *to;

    if (!kept)
        return rc;
    kept->as.region = *region;
    to = (char *)kept->rest;
    put_text(&to, &kept->as.region.name);
    put_text(&to, &kept->as.region.opt_in_status);
    return ERR_OK;
}

void ec2_memo_keep(struct ec2_memo *memo, struct span request_id)
{
    if (memo->adds && span_eq_str(request_id, memo->request_id)) {
        memo->adds = false;
        memo->whole = true;
        return;
    }
    ec2_memo_forget(memo);
}

static enum err_code tell(const struct ec2_memo *memo, const struct kept *kept,
                          const struct ec2_records *records, void *arg,
                          struct err *err)
{
    switch (memo->action) {
    case EC2_DESCRIBE_INSTANCES:
        if (records->instance)
            return records->instance(arg, &kept->as.instance, err);
        break;
    case EC2_DESCRIBE_SECURITY_GROUPS:
        if (records->group)
            return records->group(arg, &kept->as.group, err);
        break;
    case EC2_DESCRIBE_REGIONS:
        if (records->region)
            return records->region(arg, &kept->as.region, err);
        break;
    }
    return ERR_OK;
}

enum err_code ec2_memo_tell(const struct ec2_memo *memo,
                            const struct ec2_records *records, void *arg,
                            struct err *err)
{
    enum err_code rc = ERR_OK;

    for (const struct kept *kept = memo->first; kept && !rc; kept = kept->next)
        rc = tell(memo, kept, records, arg, err);
    return rc;
}
