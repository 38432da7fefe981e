/* The walk by unwind tables, over tables, code and stacks made by hand: each kind of rule, what must not be
 * believed, and how much of a deep stack is kept. */
#include "profiler/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <cmocka.h>

enum { PAGE = 4096, STACK = 4 << 20, LIMIT = 64, CODE = 0x10000, FUNCTION = 0x100, RBX = 3, RDI = 5, R9 = 9 };

/* Function N of the code is at CODE + N * FUNCTION, and rule N + 1 holds there. */
enum { RULES = 16, ROWS = RULES - 1 };
static uint64_t table_memory[256];
static struct hpp_unwind_table *const table = (struct hpp_unwind_table *)table_memory;

static const struct hpp_image image = {.kind = HPP_IMAGE_FILE, .path = "/app"};
static struct hpp_segment app = {.image = &image, .start = CODE, .end = CODE + 0x8000, .link = CODE};
static struct hpp_code_map *code;
static uint64_t *stack; /* STACK bytes */
static ucontext_t context;
static uint64_t frames[LIMIT];
static struct hpp_walk_result result;

static uint64_t function(unsigned number, unsigned at)
{
    return CODE + number * FUNCTION + at;
}

static uint64_t address(const uint64_t *word)
{
    return (uint64_t)(uintptr_t)word;
}

static void set_rule(unsigned number, struct hpp_unwind_rule rule)
{
    table->rule[number + 1] = rule;
}

/* The rules that most tests use. */
enum { ROOT, SIMPLE, SAVES_FP, BY_FP, NONE, OTHER };

static int setup(void **state)
{
    (void)state;
    code = calloc(1, sizeof *code + sizeof code->ranges[0]);
    code->count = code->serials = 1;
    code->generation = 1;
    code->ranges[0] = (struct hpp_code_range){app.start, app.end, &app};
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *table = (struct hpp_unwind_table){.base = CODE, .pages = 1, .shift = 16, .rules = RULES, .rows = ROWS};
    hpp_unwind_set_first(table, 0, 0);
    hpp_unwind_set_first(table, 1, ROWS);
    for (unsigned i = 0; i < ROWS; i++)
        ((uint32_t *)hpp_unwind_rows(table))[i] = (i * FUNCTION) << 16 | (i + 1);
    return 0;
}

static int each(void **state)
{
    (void)state;
    memset(stack, 0, 64 * PAGE);
    memset(&context, 0, sizeof context);
    app.table = table;
    set_rule(ROOT, (struct hpp_unwind_rule){.cfa = HPP_CFA_END});
    set_rule(SIMPLE, (struct hpp_unwind_rule){
                         .cfa = HPP_CFA_SP, .cfa_offset = 16, .ra = HPP_SAVED_AT_CFA, .ra_offset = -8});
    set_rule(SAVES_FP, (struct hpp_unwind_rule){.cfa = HPP_CFA_SP,
                                                .cfa_offset = 32,
                                                .fp = HPP_SAVED_AT_CFA,
                                                .fp_offset = -16,
                                                .ra = HPP_SAVED_AT_CFA,
                                                .ra_offset = -8});
    set_rule(BY_FP, (struct hpp_unwind_rule){.cfa = HPP_CFA_FP,
                                             .cfa_offset = 16,
                                             .fp = HPP_SAVED_AT_CFA,
                                             .fp_offset = -16,
                                             .ra = HPP_SAVED_AT_CFA,
                                             .ra_offset = -8});
    set_rule(NONE, (struct hpp_unwind_rule){.cfa = HPP_CFA_NONE});
    return 0;
}

/* Interrupted at PC, with the stack pointer at word 100 of the stack and the frame pointer FP. */
static struct hpp_walk interrupted(uint64_t pc, uint64_t fp)
{
    return (struct hpp_walk){.pc = pc,
                             .sp = address(stack + 100),
                             .fp = fp,
                             .context = &context,
                             .stack_low = address(stack),
                             .stack_end = address(stack) + STACK,
                             .code = code};
}

/* Walks directly, through the pipe and with a cache, twice: all must say the same. */
static void walk(struct hpp_walk w)
{
    static struct hpp_walk_cache cache;
    uint64_t others[LIMIT];
    struct hpp_walk_result other;

    memset(&cache, 0, sizeof cache);
    hpp_walk_frames(&w, frames, LIMIT, &result);
    assert_in_range(result.count, 1, LIMIT);
    for (int turn = 0; turn < 3; turn++) {
        w.check_all = turn == 0;
        w.cache = turn ? &cache : NULL;
        hpp_walk_frames(&w, others, LIMIT, &other);
        if (w.check_all && other.end == HPP_WALK_TRUNCATED)
            continue; /* asking the kernel for each word ends sooner */
        assert_int_equal(other.count, result.count);
        assert_memory_equal(others, frames, result.count * sizeof frames[0]);
        if (turn)
            assert_int_equal(other.end, result.end);
    }
}

static void expect(enum hpp_walk_end end, unsigned count, const uint64_t *callers)
{
    assert_int_equal(result.end, end);
    assert_int_equal(result.count, count + 1);
    assert_memory_equal(frames + 1, callers, count * sizeof *callers);
}

#define EXPECT(end, ...)                                           \
    do {                                                           \
        uint64_t callers_[] = {__VA_ARGS__};                       \
        expect(end, sizeof callers_ / sizeof *callers_, callers_); \
    } while (0)

static void test_plain(void **state)
{
    (void)state;
    stack[101] = function(SAVES_FP, 5); /* of SIMPLE: CFA is word 102 */
    stack[102 + 2] = address(stack + 150);
    stack[102 + 3] = function(BY_FP, 9); /* CFA is word 106; the frame pointer is restored */
    stack[150] = 0;
    stack[151] = function(ROOT, 3);
    walk(interrupted(function(SIMPLE, 1), 7));
    EXPECT(HPP_WALK_ROOT, function(SAVES_FP, 5), function(BY_FP, 9), function(ROOT, 3));
    assert_int_equal(result.untold, 0);
}

/* A call may be a function's last instruction: its return address belongs to the next. */
static void test_call_at_end(void **state)
{
    (void)state;
    stack[101] = function(SIMPLE + 1, 0);
    stack[103] = function(ROOT + 1, 0);
    walk(interrupted(function(SIMPLE, 1), 7));
    EXPECT(HPP_WALK_ROOT, function(SIMPLE + 1, 0), function(ROOT + 1, 0));
}

/* But the interrupted code is where it is. */
static void test_first_instruction(void **state)
{
    (void)state;
    stack[103] = function(ROOT, 1); /* SAVES_FP, not SIMPLE: CFA is word 104 */
    walk(interrupted(function(SAVES_FP, 0), 7));
    EXPECT(HPP_WALK_ROOT, function(ROOT, 1));
}

static void test_plt(void **state)
{
    (void)state;
    set_rule(
        OTHER,
        (struct hpp_unwind_rule){
            .cfa = HPP_CFA_PLT, .cfa_offset = 8, .cfa_add = 11, .ra = HPP_SAVED_AT_CFA, .ra_offset = -8});
    stack[100] = function(ROOT, 1);
    stack[101] = function(ROOT, 2);
    for (unsigned at = 0; at < 32; at++) {
        walk(interrupted(function(OTHER, at), 7));
        EXPECT(HPP_WALK_ROOT, function(ROOT, at % 16 < 11 ? 1 : 2));
    }
}

static void test_registers(void **state)
{
    struct hpp_unwind_rule rule = {
        .cfa = HPP_CFA_REGISTER, .base = RBX, .cfa_offset = 24, .ra = HPP_SAVED_AT_CFA, .ra_offset = -8};

    (void)state;
    set_rule(OTHER, rule);
    context.uc_mcontext.gregs[REG_RBX] = (greg_t)address(stack + 200);
    stack[202] = function(ROOT, 1);
    walk(interrupted(function(OTHER, 1), 7));
    EXPECT(HPP_WALK_ROOT, function(ROOT, 1));
    /* not the interrupted code's any more */
    stack[101] = function(OTHER, 2);
    walk(interrupted(function(SIMPLE, 1), 7));
    EXPECT(HPP_WALK_NO_RULE, function(OTHER, 2));
    /* by dereference, CFA = *(rdi + 8) + 16 */
    rule = (struct hpp_unwind_rule){.cfa = HPP_CFA_DEREF,
                                    .base = RDI,
                                    .cfa_offset = 8,
                                    .cfa_add = 16,
                                    .ra = HPP_SAVED_AT_CFA,
                                    .ra_offset = -8};
    set_rule(OTHER, rule);
    context.uc_mcontext.gregs[REG_RDI] = (greg_t)address(stack + 120);
    stack[121] = address(stack + 300);
    stack[301] = function(ROOT, 4);
    walk(interrupted(function(OTHER, 1), 7));
    EXPECT(HPP_WALK_ROOT, function(ROOT, 4));
    /* what does not lead up is not followed */
    stack[121] = address(stack + 90) - 16;
    walk(interrupted(function(OTHER, 1), 7));
    assert_int_equal(result.count, 1);
    assert_int_not_equal(result.end, HPP_WALK_ROOT);
}

/* OpenSSL's: CFA = *(rsp + 8 + r9 * 8) + 8. */
static void test_indexed(void **state)
{
    static const greg_t bad[] = {-200, 1 << 20, INT64_MAX, INT64_MIN + 1, 6};

    (void)state;
    set_rule(OTHER, (struct hpp_unwind_rule){.cfa = HPP_CFA_INDEXED,
                                             .base = R9,
                                             .cfa_offset = 8,
                                             .cfa_add = 8,
                                             .ra = HPP_SAVED_AT_CFA,
                                             .ra_offset = -8});
    stack[101 + 5] = address(stack + 300);
    stack[101 + 6] = address(stack + 90);
    stack[300] = function(BY_FP, 2);
    stack[401] = function(ROOT, 1);
    context.uc_mcontext.gregs[REG_R9] = 5;
    walk(interrupted(function(OTHER, 1), address(stack + 400)));
    EXPECT(HPP_WALK_ROOT, function(BY_FP, 2), function(ROOT, 1));
    /* off the stack, unreadable, or not leading up */
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        context.uc_mcontext.gregs[REG_R9] = bad[i];
        walk(interrupted(function(OTHER, 1), 7));
        assert_int_equal(result.count, 1);
        assert_int_not_equal(result.end, HPP_WALK_ROOT);
    }
    /* not the interrupted code's any more */
    context.uc_mcontext.gregs[REG_R9] = 5;
    stack[101] = function(OTHER, 2);
    walk(interrupted(function(SIMPLE, 1), 7));
    EXPECT(HPP_WALK_NO_RULE, function(OTHER, 2));
}

/* A popped frame pointer is still there, in the red zone below the stack pointer; no further. */
static void test_red_zone(void **state)
{
    struct hpp_unwind_rule rule = {.cfa = HPP_CFA_SP,
                                   .cfa_offset = 8,
                                   .fp = HPP_SAVED_AT_CFA,
                                   .fp_offset = -16,
                                   .ra = HPP_SAVED_AT_CFA,
                                   .ra_offset = -8};

    (void)state;
    set_rule(OTHER, rule);
    stack[99] = address(stack + 150);
    stack[100] = function(BY_FP, 1);
    stack[151] = function(ROOT, 1);
    walk(interrupted(function(OTHER, 1), 7));
    EXPECT(HPP_WALK_ROOT, function(BY_FP, 1), function(ROOT, 1));
    rule.fp_offset = -200;
    set_rule(OTHER, rule);
    stack[101 - 25] = address(stack + 150);
    walk(interrupted(function(OTHER, 1), 7));
    EXPECT(HPP_WALK_NO_RULE, function(BY_FP, 1));
}

/* Behind a signal frame is code that was interrupted, maybe on another stack: told plus 1. */
static void test_signal(void **state)
{
    (void)state;
    set_rule(OTHER, (struct hpp_unwind_rule){
                        .cfa = HPP_CFA_SIGNAL, .cfa_offset = 40, .fp_offset = 48, .ra_offset = 56});
    stack[101] = function(OTHER, 0); /* the handler returns there; the frame is at word 102 */
    stack[107] = address(stack + 300);
    stack[108] = address(stack + 400);
    stack[109] = function(BY_FP, 0); /* interrupted at its first instruction */
    stack[401] = function(ROOT, 1);
    set_rule(OTHER - 1, table->rule[OTHER + 1]); /* the byte before it belongs to it, too */
    walk(interrupted(function(SIMPLE, 1), 7));
    EXPECT(HPP_WALK_ROOT, function(OTHER, 0), function(BY_FP, 0) + 1, function(ROOT, 1));
}

/* Code without a rule: the frame pointer, if it can be one. Without a table that is counted. */
static void test_no_rule(void **state)
{
    const uint64_t bad[] = {
        0, 8, address(stack + 99), address(stack) + STACK, address(stack + 200) + 4, UINT64_MAX - 7};

    (void)state;
    stack[200] = address(stack + 210);
    stack[201] = function(ROOT, 1);
    walk(interrupted(function(NONE, 1), address(stack + 200)));
    EXPECT(HPP_WALK_ROOT, function(ROOT, 1));
    assert_int_equal(result.untold, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        walk(interrupted(function(NONE, 1), bad[i]));
        assert_int_equal(result.count, 1);
        assert_int_not_equal(result.end, HPP_WALK_ROOT);
    }
    app.table = NULL;
    walk(interrupted(function(SIMPLE, 1), address(stack + 200)));
    assert_int_equal(frames[1], function(ROOT, 1));
    assert_true(result.untold > 0);
}

/* A return address that is no code ends the walk, and is not told. */
static void test_no_code(void **state)
{
    const uint64_t bad[] = {1, CODE, CODE + 0x8001, 0xdeadbeefdeadbeef};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        stack[101] = bad[i];
        walk(interrupted(function(SIMPLE, 1), 7));
        assert_int_equal(result.count, 1);
        assert_int_equal(result.end, HPP_WALK_NOT_CODE);
        assert_int_equal(result.stop, bad[i]);
    }
}

/* The stack's end is not passed. */
static void test_stack_end(void **state)
{
    struct hpp_walk w = interrupted(function(SIMPLE, 1), 7);

    (void)state;
    w.stack_end = address(stack + 101);
    stack[101] = function(ROOT, 1);
    walk(w);
    assert_int_equal(result.count, 1);
    assert_int_equal(result.end, HPP_WALK_OFF_STACK);
}

/* COUNT frames of SIMPLE, the I-th from the leaf returning to byte I % 200 + 1. */
static void recurse(unsigned count)
{
    for (unsigned i = 1; i <= count; i++)
        stack[99 + 2 * i] = i < count ? function(SIMPLE, i % 200 + 1) : function(ROOT, 1);
    walk(interrupted(function(SIMPLE, 0), 7));
}

static void test_deep(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 5000; count = count < 200 ? count + 1 : count * 3) {
        unsigned kept = count + 1 > LIMIT ? LIMIT : count + 1, gap = count + 1 > LIMIT ? LIMIT / 2 : 0;
        recurse(count);
        assert_int_equal(result.end, HPP_WALK_ROOT);
        assert_int_equal(result.count, kept);
        assert_int_equal(frames[kept - 1], function(ROOT, 1));
        for (unsigned i = 1; i + 1 < kept; i++) {
            unsigned from_leaf = gap && i > gap ? count + 1 - (kept - i) : i;
            if (gap && i == gap)
                assert_int_equal(frames[i], HPP_WALK_GAP);
            else
                assert_int_equal(frames[i], function(SIMPLE, from_leaf % 200 + 1));
        }
    }
    /* no more is looked at than the bound: the leafmost frames remain */
    recurse(HPP_WALK_STEPS + 100);
    assert_int_equal(result.end, HPP_WALK_TRUNCATED);
    assert_int_equal(frames[1], function(SIMPLE, 2));
    assert_in_range(result.count, LIMIT / 2, LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plain, each),
        cmocka_unit_test_setup(test_call_at_end, each),
        cmocka_unit_test_setup(test_first_instruction, each),
        cmocka_unit_test_setup(test_plt, each),
        cmocka_unit_test_setup(test_registers, each),
        cmocka_unit_test_setup(test_indexed, each),
        cmocka_unit_test_setup(test_red_zone, each),
        cmocka_unit_test_setup(test_signal, each),
        cmocka_unit_test_setup(test_no_rule, each),
        cmocka_unit_test_setup(test_no_code, each),
        cmocka_unit_test_setup(test_stack_end, each),
        cmocka_unit_test_setup(test_deep, each),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
