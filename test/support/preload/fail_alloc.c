/*
 * fail_alloc.c - makes one chosen allocation of a whole program fail, those of
 * its shared libraries too: to be preloaded (ld.so(8), LD_PRELOAD).
 *
 * The file that FAIL_ALLOC_FILE names is shared with the test that steers:
 * four numbers of 64 bits, see struct control. Without it nothing fails. For
 * programs of one thread, with glibc.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct control {
    volatile uint64_t nth;    /* this one fails, counted from 1; 0: none */
    volatile uint64_t seen;   /* allocations since nth was set */
    volatile uint64_t failed; /* whether it did */
    volatile int64_t live;    /* blocks that are not yet freed */
};

static struct control unused;
static struct control *control = &unused;

__attribute__((constructor)) static void share_control(void)
{
    const char *name = getenv("FAIL_ALLOC_FILE");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *shared;

    if (fd < 0)
        return;
    shared =
        mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED)
        control = shared;
    (void)close(fd);
}

static int must_fail(void)
{
    if (!control->nth || ++control->seen != control->nth)
        return 0;
    control->failed = 1;
    errno = ENOMEM;
    return 1;
}

/* What stands behind the usual names in glibc. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static void *counted(void *p)
{
    control->live += p != NULL;
    return p;
}

void *malloc(size_t size)
{
    return must_fail() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
    void *q;

    if (must_fail())
        return NULL;
    q = __libc_realloc(p, size);
    control->live += (q != NULL) - (p != NULL && (q != NULL || size == 0));
    return q;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p = aligned_alloc(alignment, size);

    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

void free(void *p)
{
    control->live -= p != NULL;
    __libc_free(p);
}
