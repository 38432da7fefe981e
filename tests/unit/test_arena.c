/* The agent's memory: zeroed, aligned, limited, given back. */
#include "common/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static int is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return 0;
    return 1;
}

static int is_mapped(const void *at)
{
    unsigned char there;
    return !mincore((void *)((uintptr_t)at & ~(uintptr_t)4095), 1, &there);
}

/* Many pieces: zeroed, aligned, apart from each other, and they keep what is written to them. */
static void test_pieces(void **state)
{
    enum { COUNT = 2000 };
    struct hpp_arena arena = {0};
    uint8_t *pieces[COUNT];
    size_t sizes[COUNT];

    (void)state;
    srandom(2);
    for (int i = 0; i < COUNT; i++) {
        sizes[i] = (size_t)random() % (i % 100 ? 300 : 100000);
        pieces[i] = hpp_arena_allocate(&arena, sizes[i]);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        assert_true(is_zero(pieces[i], sizes[i]));
        memset(pieces[i], i | 1, sizes[i]);
    }
    for (int i = 0; i < COUNT; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(pieces[i][j], (uint8_t)(i | 1));
    assert_true(arena.mapped > 1000000);
    hpp_arena_release(&arena);
    assert_int_equal(arena.mapped, 0);
    assert_null(arena.first);
    assert_false(is_mapped(pieces[0]));
    assert_false(is_mapped(pieces[COUNT - 1]));
}

/* Memory that it was given is used up before any is mapped, and never given back to the kernel. */
static void test_given(void **state)
{
    static _Alignas(16) uint8_t given[256];
    struct hpp_arena arena = {.at = given, .end = given + sizeof given};
    uint8_t *piece;

    (void)state;
    assert_ptr_equal(hpp_arena_allocate(&arena, 100), given);
    assert_ptr_equal(hpp_arena_allocate(&arena, 144), given + 112);
    assert_int_equal(arena.mapped, 0);
    piece = hpp_arena_allocate(&arena, 1);
    assert_non_null(piece);
    assert_false(piece >= given && piece < given + sizeof given);
    assert_true(arena.mapped > 0);
    given[0] = 1;
    hpp_arena_reset(&arena);
    assert_int_equal(given[0], 1);
    hpp_arena_release(&arena);
    assert_false(is_mapped(piece));
    assert_true(is_mapped(given));
}

static void test_copies(void **state)
{
    struct hpp_arena arena = {0};
    char *copy = hpp_arena_copy(&arena, "a path"), *empty = hpp_arena_copy(&arena, "");

    (void)state;
    assert_string_equal(copy, "a path");
    assert_string_equal(empty, "");
    hpp_arena_release(&arena);
}

/* Refused past the limit, and what was there before goes on working. */
static void test_limit(void **state)
{
    struct hpp_arena arena = {.limit = 1 << 20};
    unsigned count = 0;
    uint8_t *first = hpp_arena_allocate(&arena, 64), *last = first;

    (void)state;
    assert_non_null(first);
    assert_null(hpp_arena_allocate(&arena, 1 << 20)); /* too large even if nothing else were there */
    for (uint8_t *piece; (piece = hpp_arena_allocate(&arena, 4096)); last = piece)
        count++;
    assert_in_range(count, 240, 256);
    assert_in_range(arena.mapped, 1, 1 << 20);
    assert_non_null(hpp_arena_allocate(&arena, 16)); /* a small one still fits */
    memset(first, 1, 64);
    memset(last, 1, 4096);
    hpp_arena_reset(&arena);
    assert_non_null(hpp_arena_allocate(&arena, 4096));
    hpp_arena_release(&arena);
    assert_int_equal(arena.limit, 1 << 20);
}

static void test_absurd_sizes(void **state)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 16, SIZE_MAX - 4096, SIZE_MAX / 2, (size_t)1 << 60};
    struct hpp_arena arena = {0};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_null(hpp_arena_allocate(&arena, sizes[i]));
        assert_non_null(hpp_arena_allocate(&arena, 8));
        assert_null(hpp_arena_allocate(&arena, sizes[i]));
    }
    hpp_arena_release(&arena);
}

/* After a reset all memory is zeroed again, however full it was, and no more of it than one chunk. */
static void test_reset(void **state)
{
    static const size_t amounts[] = {0, 1, 1000, 200 << 10, 256 << 10, 300 << 10, 2 << 20};
    struct hpp_arena arena = {0};

    (void)state;
    hpp_arena_reset(&arena); /* nothing there yet */
    assert_int_equal(arena.mapped, 0);
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
        size_t kept;
        for (size_t done = 0; done < amounts[i]; done += 1000) {
            uint8_t *piece = hpp_arena_allocate(&arena, 1000);
            assert_true(is_zero(piece, 1000));
            memset(piece, 0xaa, 1000);
        }
        hpp_arena_reset(&arena);
        kept = arena.mapped;
        assert_in_range(kept, 0, 256 << 10);
        if (!kept)
            continue;
        for (size_t done = 0; done + 1100 < kept; done += 1008) {
            uint8_t *piece = hpp_arena_allocate(&arena, 1000);
            assert_true(is_zero(piece, 1000));
        }
        assert_int_equal(arena.mapped, kept); /* the same memory, used again */
        hpp_arena_reset(&arena);
    }
    hpp_arena_release(&arena);
}

/* A piece larger than a chunk is the oldest chunk: it is zeroed whole. */
static void test_reset_large(void **state)
{
    struct hpp_arena arena = {0};
    uint8_t *large = hpp_arena_allocate(&arena, 1 << 20), *again;

    (void)state;
    memset(large, 0xaa, 1 << 20);
    assert_non_null(hpp_arena_allocate(&arena, 512 << 10));
    hpp_arena_reset(&arena);
    again = hpp_arena_allocate(&arena, 1 << 20);
    assert_ptr_equal(again, large);
    assert_true(is_zero(again, 1 << 20));
    hpp_arena_release(&arena);
}

/* With no_fork a fork child does not have the memory. */
static void test_no_fork(void **state)
{
    struct hpp_arena arena = {.no_fork = 1}, shared = {0};
    void *private = hpp_arena_allocate(&arena, 16), *copied = hpp_arena_allocate(&shared, 16);
    int status;
    pid_t child = fork();

    (void)state;
    if (!child)
        _exit(is_mapped(private) || !is_mapped(copied));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    hpp_arena_release(&arena);
    assert_int_equal(arena.no_fork, 1);
    hpp_arena_release(&shared);
}

/* What is reserved is given out in whole pages, each once, and may be unmapped in parts; then the kernel is
 * asked again. */
static void test_reserve(void **state)
{
    uint8_t *first, *second, *later, *forgotten;

    (void)state;
    assert_int_equal(hpp_arena_reserve(5 * 4096), 0);
    first = hpp_arena_map(1);
    second = hpp_arena_map(2 * 4096);
    assert_ptr_equal(second, first + 4096);
    assert_true(is_zero(first, 3 * 4096));
    later = hpp_arena_map(3 * 4096); /* two pages are left */
    assert_non_null(later);
    assert_ptr_not_equal(later, second + 2 * 4096);
    assert_ptr_equal(hpp_arena_map(4096), second + 2 * 4096);
    assert_int_equal(munmap(second, 2 * 4096), 0);
    assert_true(is_mapped(first) && !is_mapped(second) && is_mapped(second + 2 * 4096));
    hpp_arena_reserve_forget();
    forgotten = hpp_arena_map(4096);
    assert_non_null(forgotten);
    assert_ptr_not_equal(forgotten, second + 3 * 4096);
    assert_null(hpp_arena_map(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_copies),
        cmocka_unit_test(test_limit),   cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_reset),   cmocka_unit_test(test_reset_large),
        cmocka_unit_test(test_no_fork), cmocka_unit_test(test_given),
        cmocka_unit_test(test_reserve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
