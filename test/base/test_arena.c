#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "support/fail_alloc.h"

#define ROOMY ((size_t)64 * 1024 * 1024)
#define NPIECES 8

/* Pieces with a byte of their own in each, to see who treads on whom. */
struct pieces {
    struct {
        unsigned char *p;
        size_t len;
        unsigned char byte;
    } piece[NPIECES];
    size_t n;
};

static void add_piece(struct pieces *pieces, struct arena *arena, size_t len,
                      unsigned char byte)
{
    unsigned char *p = arena_alloc(arena, len);

    assert_non_null(p);
    assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
    memset(p, byte, len);
    pieces->piece[pieces->n].p = p;
    pieces->piece[pieces->n].len = len;
    pieces->piece[pieces->n].byte = byte;
    pieces->n++;
}

static void check_pieces(const struct pieces *pieces)
{
    for (size_t i = 0; i < pieces->n; i++)
        for (size_t k = 0; k < pieces->piece[i].len; k++)
            assert_int_equal(pieces->piece[i].p[k], pieces->piece[i].byte);
}

static void test_arena_alloc__gives_aligned_pieces_that_stay(void **state)
{
    static const size_t sizes[NPIECES] = {0,     1,     17,    16384,
                                          16385, 15000, 15000, 100000};
    struct arena arena = ARENA_INIT(ROOMY);
    struct pieces pieces = {0};

    (void)state;
    for (size_t i = 0; i < NPIECES; i++)
        add_piece(&pieces, &arena, sizes[i], (unsigned char)(i + 1));
    check_pieces(&pieces);
    arena_release(&arena);
}

static void
test_arena_alloc__gives_empty_pieces_a_place_of_their_own(void **state)
{
    struct arena arena = ARENA_INIT(ROOMY);
    void *a = arena_alloc(&arena, 0);
    void *b = arena_alloc(&arena, 0);

    (void)state;
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    arena_release(&arena);
}

static void test_arena_alloc__refuses_what_goes_past_the_maximum(void **state)
{
    const size_t unit = alignof(max_align_t);
    struct arena arena = ARENA_INIT(4 * unit);

    (void)state;
    assert_non_null(arena_alloc(&arena, 3 * unit));
    assert_null(arena_alloc(&arena, unit + 1));
    assert_int_equal(arena_total(&arena), 3 * unit);
    assert_non_null(arena_alloc(&arena, 1));
    assert_int_equal(arena_total(&arena), 4 * unit);
    assert_null(arena_alloc(&arena, 0));
    arena_release(&arena);
}

static void test_arena_alloc__refuses_sizes_that_overflow(void **state)
{
    struct arena arena = ARENA_INIT(SIZE_MAX);

    (void)state;
    /* One unit less could be asked of malloc(). */
    for (size_t less = 0; less < 2 * alignof(max_align_t) - 1; less++)
        assert_null(arena_alloc(&arena, SIZE_MAX - less));
    assert_null(arena_copy(&arena, (struct span){"", SIZE_MAX}).p);
    assert_int_equal(arena_total(&arena), 0);
    arena_release(&arena);
}

static void test_arena_alloc__survives_a_failed_allocation(void **state)
{
    struct arena arena = ARENA_INIT(ROOMY);
    void *p;

    (void)state;
    fail_alloc_at(0);
    p = arena_alloc(&arena, 10);
    assert_true(fail_alloc_stop());
    assert_null(p);
    assert_int_equal(arena_total(&arena), 0);
    assert_non_null(arena_alloc(&arena, 10));

    fail_alloc_at(0);
    p = arena_alloc(&arena, 20000);
    assert_true(fail_alloc_stop());
    assert_null(p);
    assert_non_null(arena_alloc(&arena, 20000));
    arena_release(&arena);
}

/* Texts lie one behind the other, and what comes after them is aligned. */
static void test_arena_alloc_text__leaves_no_gaps(void **state)
{
    struct arena arena = ARENA_INIT(100);
    char *a = arena_alloc_text(&arena, 3);
    char *b = arena_alloc_text(&arena, 0);
    char *c = arena_alloc_text(&arena, 1);
    char *d = arena_alloc(&arena, 20);

    (void)state;
    assert_ptr_equal(b, a + 3);
    assert_ptr_equal(c, b + 1);
    assert_ptr_equal(d, a + alignof(max_align_t));
    assert_int_equal(arena_total(&arena), 48);
    assert_non_null(arena_alloc_text(&arena, 51));
    assert_null(arena_alloc(&arena, 0));
    assert_null(arena_alloc_text(&arena, 2));
    assert_non_null(arena_alloc_text(&arena, 1));
    assert_null(arena_alloc_text(&arena, 1));
    assert_int_equal(arena_total(&arena), 100);
    arena_release(&arena);
}

static void test_arena_alloc_text__overflows_nothing(void **state)
{
    struct arena arena = ARENA_INIT(SIZE_MAX);

    (void)state;
    assert_null(arena_alloc_text(&arena, SIZE_MAX));
    assert_non_null(arena_alloc_text(&arena, 1));
    assert_null(arena_alloc_text(&arena, SIZE_MAX - 1));
    assert_null(arena_alloc(&arena, SIZE_MAX - 20));
    assert_int_equal(arena_total(&arena), 1);
    arena_release(&arena);
}

static void test_arena_copy__terminates_a_copy(void **state)
{
    struct arena arena = ARENA_INIT(ROOMY);
    const char text[3] = {'a', '\0', 'c'};
    struct span copy = arena_copy(&arena, (struct span){text, sizeof(text)});
    struct span none = arena_copy(&arena, (struct span){NULL, 0});

    (void)state;
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.p, "a\0c", 4);
    assert_ptr_not_equal(copy.p, text);
    assert_non_null(none.p);
    assert_int_equal(none.len, 0);
    assert_string_equal(none.p, "");
    arena_release(&arena);
}

static void test_arena_copy__gives_null_when_it_does_not_fit(void **state)
{
    struct arena arena = ARENA_INIT(alignof(max_align_t));
    char text[alignof(max_align_t)];

    (void)state;
    memset(text, 'x', sizeof(text));
    /* With its terminator it is one byte too long. */
    assert_null(arena_copy(&arena, (struct span){text, sizeof(text)}).p);
    assert_non_null(
        arena_copy(&arena, (struct span){text, sizeof(text) - 1}).p);
    arena_release(&arena);
}

static void test_arena_rollback__keeps_the_memory_for_reuse(void **state)
{
    struct arena arena = ARENA_INIT(ROOMY);
    struct arena_mark mark;
    size_t before;

    (void)state;
    assert_non_null(arena_alloc(&arena, 100));
    mark = arena_mark(&arena);
    before = arena_total(&arena);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++)
            assert_non_null(arena_alloc(&arena, 10000));
        assert_true(arena_total(&arena) >= before + 100000);
        arena_rollback(&arena, mark);
        assert_int_equal(arena_total(&arena), before);
        fail_alloc_from(0);
    }
    assert_false(fail_alloc_stop());
    arena_release(&arena);
}

static void test_arena_reset__gives_back_everything(void **state)
{
    struct arena arena = ARENA_INIT((size_t)20000);
    void *first = arena_alloc(&arena, 20000);

    (void)state;
    assert_null(arena_alloc(&arena, 1));
    arena_reset(&arena);
    assert_int_equal(arena_total(&arena), 0);
    assert_ptr_equal(arena_alloc(&arena, 20000), first);
    arena_release(&arena);
}

static void test_arena_release__leaves_an_arena_that_can_be_used(void **state)
{
    struct arena arena = ARENA_INIT((size_t)32);

    (void)state;
    assert_non_null(arena_alloc(&arena, 32));
    arena_release(&arena);
    assert_int_equal(arena_total(&arena), 0);
    assert_null(arena_alloc(&arena, 33));
    assert_non_null(arena_alloc(&arena, 32));
    arena_release(&arena);
    arena_release(&arena);
}

/*
 * A seventh of all sequences of these, NPIECES long: what was not rolled back
 * stays as it was written.
 */
enum op {
    SMALL,
    LARGE,
    MARK,
    ROLLBACK,
    NOPS,
};

static void run_ops(unsigned long code)
{
    struct arena arena = ARENA_INIT(ROOMY);
    struct arena_mark mark = arena_mark(&arena);
    struct pieces pieces = {0};
    size_t nmarked = 0;

    for (unsigned char i = 0; i < NPIECES; i++, code /= NOPS) {
        switch ((enum op)(code % NOPS)) {
        case SMALL:
            add_piece(&pieces, &arena, 100, (unsigned char)(i + 1));
            break;
        case LARGE:
            add_piece(&pieces, &arena, 17000, (unsigned char)(i + 1));
            break;
        case MARK:
            mark = arena_mark(&arena);
            nmarked = pieces.n;
            break;
        case ROLLBACK:
        case NOPS:
            arena_rollback(&arena, mark);
            pieces.n = nmarked;
            break;
        }
    }
    check_pieces(&pieces);
    arena_release(&arena);
}

static void test_arena_rollback__leaves_what_came_before_the_mark(void **state)
{
    (void)state;
    for (unsigned long code = 0; code < 1UL << (2 * NPIECES); code += 7)
        run_ops(code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_alloc__gives_aligned_pieces_that_stay),
        cmocka_unit_test(
            test_arena_alloc__gives_empty_pieces_a_place_of_their_own),
        cmocka_unit_test(test_arena_alloc__refuses_what_goes_past_the_maximum),
        cmocka_unit_test(test_arena_alloc__refuses_sizes_that_overflow),
        cmocka_unit_test(test_arena_alloc__survives_a_failed_allocation),
        cmocka_unit_test(test_arena_alloc_text__leaves_no_gaps),
        cmocka_unit_test(test_arena_alloc_text__overflows_nothing),
        cmocka_unit_test(test_arena_copy__terminates_a_copy),
        cmocka_unit_test(test_arena_copy__gives_null_when_it_does_not_fit),
        cmocka_unit_test(test_arena_rollback__keeps_the_memory_for_reuse),
        cmocka_unit_test(test_arena_reset__gives_back_everything),
        cmocka_unit_test(test_arena_release__leaves_an_arena_that_can_be_used),
        cmocka_unit_test(test_arena_rollback__leaves_what_came_before_the_mark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
