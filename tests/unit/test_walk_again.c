/* What a thread remembers of its walks changes no result: stacks that are partly those of the walk before,
 * walked with and without that memory. */
#include "profiler/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { WORDS = 4096, LIMIT = 64, CODE = 0x10000, FUNCTION = 0x100, AGENT = 0x40000, TURNS = 20000 };

/* Function N of the code is at CODE + N * FUNCTION, and rule N + 1 holds there. */
enum { LEAF, ONE_WORD, MANY_WORDS, SAVES_FP, BY_FP, NONE, FUNCTIONS };

static uint64_t table_memory[64];
static struct hpp_unwind_table *const table = (struct hpp_unwind_table *)table_memory;
static const struct hpp_image image = {.kind = HPP_IMAGE_FILE, .path = "/app"};
static struct hpp_segment app = {.image = &image, .start = CODE, .end = CODE + 0x8000, .link = CODE};
static const struct hpp_segment agent = {.image = &image, .start = AGENT, .end = AGENT + 0x1000};
static struct hpp_code_map *code;
static uint64_t stack[WORDS];
static struct hpp_walk_cache cache;
static uint64_t seed = 1;

static unsigned draw(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static uint64_t address(unsigned word)
{
    return (uint64_t)(uintptr_t)(stack + word);
}

static void set_rule(unsigned function, enum hpp_cfa cfa, int32_t words, int32_t fp_words)
{
    table->rule[function + 1] = (struct hpp_unwind_rule){.cfa = (uint8_t)cfa,
                                                         .cfa_offset = 8 * words,
                                                         .fp = fp_words ? HPP_SAVED_AT_CFA : HPP_SAVED_SAME,
                                                         .fp_offset = -8 * fp_words,
                                                         .ra = HPP_SAVED_AT_CFA,
                                                         .ra_offset = -8};
}

static int setup(void **state)
{
    (void)state;
    code = calloc(1, sizeof *code + 2 * sizeof code->ranges[0]);
    code->count = 2;
    code->ranges[0] = (struct hpp_code_range){app.start, app.end, &app};
    code->ranges[1] = (struct hpp_code_range){agent.start, agent.end, &agent};
    *table = (struct hpp_unwind_table){
        .base = CODE, .pages = 1, .shift = 16, .rules = FUNCTIONS + 1, .rows = FUNCTIONS};
    hpp_unwind_set_first(table, 0, 0);
    hpp_unwind_set_first(table, 1, FUNCTIONS);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        ((uint32_t *)hpp_unwind_rows(table))[i] = (i * FUNCTION) << 16 | (i + 1);
    set_rule(LEAF, HPP_CFA_SP, 2, 0);
    set_rule(ONE_WORD, HPP_CFA_SP, 1, 0);
    set_rule(MANY_WORDS, HPP_CFA_SP, 12, 0);
    set_rule(SAVES_FP, HPP_CFA_SP, 5, 3);
    set_rule(BY_FP, HPP_CFA_FP, 2, 2);
    table->rule[NONE + 1] = table->rule[0];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(code);
    return 0;
}

/* Calls from FRAMES functions, drawn by SHAPE so that the same shape and number give the same stack, the
 * rootmost first; the stack's lowest words are the leaf's. Returns the walk from there. */
static struct hpp_walk make_stack(const unsigned *shape, unsigned frames)
{
    unsigned sp = WORDS - 8, root = WORDS - 4;
    uint64_t fp = address(root), caller = AGENT + 0x20;

    for (unsigned i = 0; i < frames; i++) {
        unsigned function = 1 + shape[i] % (FUNCTIONS - 1);
        stack[--sp] = caller;
        if (function == BY_FP || function == NONE) {
            stack[--sp] = fp;
            fp = address(sp);
            sp -= shape[i] / 16 % 5;
        } else if (function == SAVES_FP) {
            stack[sp - 2] = fp;
            sp -= 4;
            fp = shape[i]; /* used for something else */
        } else if (function == MANY_WORDS) {
            sp -= 11;
        }
        caller = CODE + function * FUNCTION + 1 + shape[i] / 128 % 100;
    }
    stack[--sp] = caller;
    sp--;
    return (struct hpp_walk){.pc = CODE + LEAF * FUNCTION + draw(8),
                             .sp = address(sp),
                             .fp = fp,
                             .stack_low = address(0),
                             .stack_end = address(WORDS),
                             .root_fp = address(root),
                             .code = code,
                             .agent = &agent};
}

/* Walks with and without memory. Returns whether the root was reached. */
static int compare(struct hpp_walk walk)
{
    uint64_t frames[LIMIT], others[LIMIT];
    struct hpp_walk_result result, other;

    hpp_walk_frames(&walk, frames, LIMIT, &result);
    walk.cache = &cache;
    hpp_walk_frames(&walk, others, LIMIT, &other);
    assert_int_equal(other.end, result.end);
    assert_int_equal(other.stop, result.stop);
    assert_int_equal(other.untold, result.untold);
    assert_int_equal(other.count, result.count);
    assert_memory_equal(others, frames, result.count * sizeof frames[0]);
    return result.end == HPP_WALK_ROOT;
}

static void test_again(void **state)
{
    static unsigned shape[300];
    unsigned frames = 0, roots = 0;

    (void)state;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        struct hpp_walk walk;
        if (turn % 1000 == 0) { /* the code map changes; the table comes late */
            code->generation++;
            app.table = NULL;
        } else if (turn % 1000 == 20) {
            app.table = table;
        }
        frames = draw(3) ? frames : draw(20) ? draw(40) : draw(300);
        for (unsigned changes = draw(4); changes; changes--)
            shape[draw(draw(2) ? 300 : frames + 1)] = draw(1 << 16);
        walk = make_stack(shape, frames);
        if (!draw(10)) /* whatever the stack holds, both must say the same of it */
            stack[WORDS - 1 - draw(WORDS / 8)] = draw(2) ? address(draw(WORDS)) : CODE + draw(0x600);
        roots += compare(walk);
        roots += compare(walk);
    }
    assert_true(roots > TURNS);
}

/* What was walked by frame pointer for want of a table is not remembered so. */
static void test_late_table(void **state)
{
    static const unsigned shape[] = {BY_FP - 1, MANY_WORDS - 1, BY_FP - 1};
    struct hpp_walk walk = make_stack(shape, 3);

    (void)state;
    app.table = NULL;
    code->generation++;
    compare(walk);
    compare(walk);
    app.table = table;
    assert_true(compare(walk));
    assert_true(compare(walk));
}

/* The root's frame is another one, as in another thread's that has got the memory. */
static void test_another_root(void **state)
{
    static const unsigned shape[10];
    struct hpp_walk walk = make_stack(shape, 10);

    (void)state;
    app.table = table;
    code->generation++;
    assert_true(compare(walk));
    assert_true(compare(walk));
    walk.root_fp = 0;
    assert_false(compare(walk));
    assert_false(compare(walk));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_late_table),
        cmocka_unit_test(test_another_root),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
