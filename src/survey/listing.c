#include "listing.h"

#include <stdlib.h>

enum err_code listing_begin(const struct fold_options *options, unsigned parts,
                            void **state, struct err *err)
{
    struct listing *s = calloc(1, sizeof(*s));

    if (!s)
        return err_nomem(err, "listing");
    s->criteria = options->criteria;
    findings_init(&s->findings, options, parts);
    *state = s;
    return ERR_OK;
}

void listing_free(void *state)
{
    struct listing *s = state;

    if (s)
        findings_release(&s->findings);
    free(s);
}

void listing_event(void *state, enum fold_listing listing,
                   enum fold_event event)
{
    struct findings *f = &((struct listing *)state)->findings;

    if (listing != FOLD_INSTANCES)
        return;
    switch (event) {
    case FOLD_LISTING_BEGIN:
        findings_begin(f);
        break;
    case FOLD_PAGE_COMMIT:
        findings_commit(f);
        if (findings_are_over(f))
            findings_trim(f);
        break;
    case FOLD_PAGE_ROLLBACK:
        findings_rollback(f);
        break;
    case FOLD_LISTING_RESTART:
        findings_restart(f);
        break;
    case FOLD_LISTING_END:
        findings_end(f);
        break;
    }
}

enum err_code listing_end(void *state, struct fold_follow_up *out,
                          struct err *err)
{
    (void)state;
    (void)out;
    (void)err;
    return ERR_OK;
}

struct fold_tally listing_tally(const void *state)
{
    return findings_tally(&((const struct listing *)state)->findings);
}

struct span listing_row(const void *state, const struct fold_row *which,
                        struct buf *out)
{
    const struct listing *s = state;
    struct span id = findings_begin_row(&s->findings, which, out);

    buf_add_char(out, '}');
    return id;
}
