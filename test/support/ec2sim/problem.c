/*
 * problem.c - why a request is refused, in EC2's words.
 */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

_Bool problem_set(struct problem *problem, int status, const char *code,
                  const char *fmt, ...)
{
    va_list ap;

    problem->status = status;
    problem->code = code;
    va_start(ap, fmt);
    vsnprintf(problem->message, sizeof(problem->message), fmt, ap);
    va_end(ap);
    return 0;
}
