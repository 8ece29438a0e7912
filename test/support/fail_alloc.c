#include "support/fail_alloc.h"

#include <errno.h>

static struct {
    bool on;
    bool lasting; /* all after the first fail, too */
    size_t first; /* number of the first that fails */
    size_t seen;
    size_t failed;
} state;

void fail_alloc_at(size_t n)
{
    state.on = true;
    state.lasting = false;
    state.first = n;
    state.seen = 0;
    state.failed = 0;
}

void fail_alloc_from(size_t n)
{
    fail_alloc_at(n);
    state.lasting = true;
}

bool fail_alloc_stop(void)
{
    state.on = false;
    return state.failed > 0;
}

size_t fail_alloc_count(void)
{
    return state.seen;
}

static bool must_fail(void)
{
    size_t n;

    if (!state.on)
        return false;
    n = state.seen++;
    if (n != state.first && !(state.lasting && n > state.first))
        return false;
    state.failed++;
    errno = ENOMEM; /* as malloc(3) says */
    return true;
}

/* The names are the linker's: ld(1), --wrap. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return must_fail() ? NULL : __real_realloc(p, size);
}
