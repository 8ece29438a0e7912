/*
 * analyzer.h - what gcc's analyser cannot know of other files; for
 * `make analyze` only.
 *
 * err_set() and err_nomem() return the code that they are given. Without that
 * knowledge a failure could be taken for success, with nothing set.
 */
#ifndef ANALYZER_H
#define ANALYZER_H

#include "base/err.h"

#define err_set(err, code, ...)                                                \
    __extension__({                                                            \
        const enum err_code analyzer_code = (code);                            \
        (void)err_set((err), analyzer_code, __VA_ARGS__);                      \
        analyzer_code;                                                         \
    })
#define err_nomem(err, who)                                                    \
    __extension__({                                                            \
        (void)err_nomem((err), (who));                                         \
        (enum err_code) ERR_NOMEM;                                             \
    })

#endif
