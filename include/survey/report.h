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
#include "survey/question.h"
#include "survey/scope.h"
#include "survey/sweep.h"

struct report_input {
    const struct question *question; /* its fold is the sweep's first */
    const struct scope *scope;       /* resolved */
    const struct sweep *sweep; /* over the SCOPE_REGION entries, in order */
    const struct atlas *atlas; /* for the names to suggest */
    size_t budget;             /* bytes of the array once it is a JSON string */
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
