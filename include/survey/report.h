/*
 * report.h - what was found, as the JSON array of the answer.
 *
 * Order: regions as asked for, then as the fold orders its rows. A region
 * without an answer is an element {"region", "error"}. Past the budget the
 * array is cut at a whole row and ends in {"omitted": {"total", "shown"}}.
 */
#ifndef SURVEY_REPORT_H
#define SURVEY_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "survey/atlas.h"
#include "survey/criteria.h"
#include "survey/question.h"
#include "survey/scope.h"
#include "survey/sweep.h"

enum report_form {
    REPORT_ARRAY,  /* of elements, as the program that this one replaces */
    REPORT_OBJECT, /* one object that says what was asked, and what is shown */
};

struct report_input {
    enum report_form form;
    const struct question *question; /* its folds are the sweep's */
    const struct scope *scope;       /* resolved */
    const struct sweep *sweep; /* over the SCOPE_REGION entries, in order */
    const struct atlas *atlas; /* for the names to suggest */
    const struct criteria *criteria;
    struct span account; /* of the object; empty: not known */
    struct span as_of;   /* likewise: UTC, "2026-08-30T12:34:56Z" */
    size_t budget;       /* bytes of the report as it will be sent */
    bool in_string;      /* it will be put into a JSON string: escapes count */
};

struct report_summary {
    size_t nfailed; /* regions without an answer, ill-named ones included */
    size_t total;   /* rows found */
    size_t shown;   /* rows written */
};

/*
 * Empties *out, which must hold the budget, and writes the array. ERR_NOMEM,
 * ERR_LIMIT when not even the failures and the word of omissions fit.
 */
NODISCARD enum err_code report_render(const struct report_input *input,
                                      struct buf *out,
                                      struct report_summary *summary,
                                      struct err *err);

#endif
