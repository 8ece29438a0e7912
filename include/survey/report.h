/*
 * report.h - what was found, as the JSON of the answer, in one of two forms.
 *
 * REPORT_ARRAY: an element for each row and {"region", "error"} for each
 * region without an answer; one that was cut ends in {"omitted": {"total",
 * "shown", "failures", "next"}}.
 * REPORT_OBJECT: {"account", "asOf", "regionsAsked", "regionsAnswered",
 * "states", "total", "shown", "items", "failed": [{"regions", "error"}],
 * "failuresOmitted", "next"}, with the regions of one error together.
 *
 * Rows are in the order of the regions as asked for, then as the fold orders
 * them, and are cut whole. "total" is what there is, whatever is shown; "next"
 * is there only when rows are left, and is what "after" takes. Failures have
 * room before rows, but for that of one row. A row that is too long for an
 * answer of its own has its list cut, and says so.
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

/* With this budget and more each answer has a row, so that a walk by "next"
 * comes to its end. */
#define REPORT_BUDGET_MIN ((size_t)1500)

/*
 * Empties *out, which must hold the budget, and writes the report. ERR_NOMEM,
 * ERR_LIMIT when not even the word of omissions fits.
 */
NODISCARD enum err_code report_render(const struct report_input *input,
                                      struct buf *out,
                                      struct report_summary *summary,
                                      struct err *err);

#endif
