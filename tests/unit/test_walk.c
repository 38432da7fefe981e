/* The frame-pointer walk, over stacks made by hand that end at pages without access. */
#include "profiler/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

enum { PAGE = 4096, WORDS = PAGE / 8, LIMIT = 64 };
enum { CODE = 0x10000, AGENT = 0x30000 };

static const struct hpp_image image = {.kind = HPP_IMAGE_FILE, .path = "/app"};
static const struct hpp_segment app = {
    .image = &image, .start = CODE, .end = CODE + 0x8000, .file_end = CODE + 0x8000, .serial = 0};
static const struct hpp_segment agent = {
    .image = &image, .start = AGENT, .end = AGENT + 0x1000, .file_end = AGENT + 0x1000, .serial = 1};
static struct hpp_code_map *code;
static uint64_t *own, *alternate; /* a page each, between two without access */

static uint64_t *guarded_page(void)
{
    char *at = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(at, MAP_FAILED);
    mprotect(at + PAGE, PAGE, PROT_READ | PROT_WRITE);
    return (uint64_t *)(at + PAGE);
}

static int setup(void **state)
{
    (void)state;
    code = malloc(sizeof *code + 2 * sizeof code->ranges[0]);
    code->count = code->serials = 2;
    code->ranges[0] = (struct hpp_code_range){app.start, app.end, &app};
    code->ranges[1] = (struct hpp_code_range){agent.start, agent.end, &agent};
    own = guarded_page();
    alternate = guarded_page();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(code);
    return 0;
}

static uint64_t address(const uint64_t *word)
{
    return (uint64_t)(uintptr_t)word;
}

/* The frame at word AT of STACK: what its first two words hold. */
static void frame(uint64_t *stack, unsigned at, uint64_t fp, uint64_t ra)
{
    stack[at] = fp;
    stack[at + 1] = ra;
}

/* Frames every ten words from the 10th: COUNT of them, then the agent's own, called from which it is. */
static struct hpp_walk make_stack(unsigned count)
{
    unsigned at = 10;

    memset(own, 0, PAGE);
    for (unsigned i = 0; i < count; i++, at += 10)
        frame(own, at, address(own + at + 10), i + 1 < count ? CODE + 0x100 * (i + 1) : AGENT + 0x20);
    return (struct hpp_walk){.pc = CODE + 8,
                             .sp = address(own + 4),
                             .fp = address(own + 10),
                             .stack_low = address(own) - PAGE,
                             .stack_end = address(own + WORDS),
                             .root_fp = address(own + at),
                             .code = code,
                             .agent = &agent};
}

/* Walks, reading directly and through the pipe: the frames must be the same, and so must the end. */
static unsigned walk(struct hpp_walk *w, uint64_t *frames, enum hpp_walk_end *end, uint64_t *stop)
{
    uint64_t others[LIMIT];
    struct hpp_walk_result direct = {0}, checked = {0};

    w->check_all = 1;
    hpp_walk_frames(w, others, LIMIT, &checked);
    w->check_all = 0;
    hpp_walk_frames(w, frames, LIMIT, &direct);
    assert_int_equal(direct.count, checked.count);
    assert_in_range(direct.count, 1, LIMIT);
    assert_memory_equal(frames, others, direct.count * sizeof frames[0]);
    assert_int_equal(direct.stop, checked.stop);
    assert_int_equal(direct.end, checked.end);
    *end = direct.end;
    *stop = direct.stop;
    return direct.count;
}

static void expect(struct hpp_walk *w, unsigned count, enum hpp_walk_end end, uint64_t stop)
{
    uint64_t frames[LIMIT], stopped;
    enum hpp_walk_end ended;

    assert_int_equal(walk(w, frames, &ended, &stopped), count);
    assert_int_equal(ended, end);
    assert_int_equal(stopped, stop);
    assert_int_equal(frames[0], w->pc);
    for (unsigned i = 1; i < count; i++)
        assert_int_equal(frames[i], CODE + 0x100 * i);
}

static void test_whole(void **state)
{
    (void)state;
    for (unsigned count = 1; count < 40; count++) {
        struct hpp_walk w = make_stack(count);
        expect(&w, count, HPP_WALK_ROOT, address(own + 10 * count)); /* the agent's own frame is left out */
    }
}

/* Only a return into the agent, and only at the root's frame, is the root. */
static void test_root(void **state)
{
    struct hpp_walk w = make_stack(3);

    (void)state;
    w.agent = NULL;
    own[31] = CODE + 0x300;
    expect(&w, 4, HPP_WALK_NO_FRAME, w.root_fp);
    w = make_stack(3);
    w.root_fp = 0; /* not known */
    own[31] = CODE + 0x300;
    expect(&w, 4, HPP_WALK_NOT_CODE, 0); /* beyond it there are zeros */
    w = make_stack(3);
    w.fp = w.root_fp; /* interrupted before main */
    expect(&w, 1, HPP_WALK_NO_FRAME, w.root_fp);
    w = make_stack(3);
    w.fp = 0;
    w.root_fp = 0;
    expect(&w, 1, HPP_WALK_NO_FRAME, 0);
}

static void test_bad_frame_pointers(void **state)
{
    const uint64_t first = address(own + 10), second = address(own + 20), third = address(own + 30);
    const struct {
        uint64_t fp; /* in place of the third frame */
        enum hpp_walk_end end;
    } cases[] = {
        {third + 1, HPP_WALK_UNALIGNED},
        {third + 4, HPP_WALK_UNALIGNED},
        {second, HPP_WALK_NOT_RISING}, /* itself */
        {first, HPP_WALK_NOT_RISING},
        {first + 3, HPP_WALK_UNALIGNED},
        {0, HPP_WALK_NOT_RISING},
        {second + 8, HPP_WALK_NOT_RISING},              /* overlaps the frame before */
        {address(own + WORDS), HPP_WALK_OFF_STACK},     /* one behind the end */
        {address(own + WORDS - 1), HPP_WALK_OFF_STACK}, /* half behind the end */
        {address(own + WORDS) + 7, HPP_WALK_UNALIGNED},
        {(uint64_t)1 << 63, HPP_WALK_OFF_STACK},
        {UINT64_MAX - 7, HPP_WALK_OFF_STACK},
        {UINT64_MAX, HPP_WALK_UNALIGNED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hpp_walk w = make_stack(5);
        uint64_t frames[LIMIT], stop;
        enum hpp_walk_end end;
        own[20] = cases[i].fp;
        assert_int_equal(walk(&w, frames, &end, &stop), 3);
        assert_int_equal(end, cases[i].end);
        assert_int_equal(stop, cases[i].fp);
        assert_int_equal(frames[2], CODE + 0x200);
    }
    /* in the register itself */
    for (size_t i = 6; i < sizeof cases / sizeof cases[0]; i++) {
        struct hpp_walk w = make_stack(5);
        w.fp = i == 6 ? w.sp - 8 : cases[i].fp;
        expect(&w, 1, cases[i].end, w.fp);
    }
}

static void test_bad_return_addresses(void **state)
{
    static const uint64_t addresses[] = {
        0, 1, CODE, CODE + 0x8001, AGENT - 1, AGENT + 0x1001, UINT64_MAX, CODE - 1, (uint64_t)1 << 63};

    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct hpp_walk w = make_stack(5);
        own[21] = addresses[i];
        expect(&w, 2, HPP_WALK_NOT_CODE, addresses[i]);
    }
    /* a call as the last instruction of its segment returns behind it */
    struct hpp_walk w = make_stack(3);
    own[11] = CODE + 0x8000;
    uint64_t frames[LIMIT], stop;
    enum hpp_walk_end end;
    assert_int_equal(walk(&w, frames, &end, &stop), 3);
    assert_int_equal(end, HPP_WALK_ROOT);
    struct hpp_walk_result result;
    hpp_walk_frames(&w, frames, LIMIT, &result);
    assert_int_equal(result.untold, 3);
    w.code = NULL; /* no image is known yet */
    hpp_walk_frames(&w, frames, LIMIT, &result);
    assert_int_equal(result.count, 1);
    assert_int_equal(result.end, HPP_WALK_NOT_CODE);
    assert_int_equal(result.untold, 1);
}

/* Of a stack deeper than the limit, the leafmost half and the rootmost rest, with a gap between. */
static void test_deep(void **state)
{
    struct hpp_walk w = make_stack(30);

    (void)state;
    for (unsigned limit = 4; limit < 40; limit++) {
        unsigned count = limit < 30 ? limit : 30, left_out = 30 - count, gap = limit / 2;
        struct hpp_walk_result result;
        uint64_t frames[LIMIT];

        memset(frames, 0x55, sizeof frames);
        hpp_walk_frames(&w, frames, limit, &result);
        assert_int_equal(result.count, count);
        assert_int_equal(result.end, HPP_WALK_ROOT);
        assert_int_equal(frames[count], 0x5555555555555555);
        assert_int_equal(frames[0], w.pc);
        for (unsigned i = 1; i < count; i++)
            assert_int_equal(frames[i], left_out && i == gap ? HPP_WALK_GAP
                                        : i < gap            ? CODE + 0x100 * i
                                                             : CODE + 0x100 * (i + left_out));
    }
}

/* A stack whose bounds nobody knows: everything through the check, so what is not there is an end. */
static void test_unknown_stack(void **state)
{
    struct hpp_walk w = make_stack(5);

    (void)state;
    w.stack_low = w.stack_end = 0;
    expect(&w, 5, HPP_WALK_ROOT, address(own + 50));
    own[20] = address(own + WORDS); /* a page without access */
    expect(&w, 3, HPP_WALK_UNREADABLE, address(own + WORDS));
    own[20] = address(own + WORDS - 1); /* half on it */
    expect(&w, 3, HPP_WALK_UNREADABLE, address(own + WORDS - 1));
    own[20] = address(own + 20) + (16 << 20); /* too far to be the same stack */
    expect(&w, 3, HPP_WALK_OFF_STACK, own[20]);
    own[20] = address(own + 20);
    expect(&w, 3, HPP_WALK_NOT_RISING, own[20]);
    w.sp = UINT64_MAX - 7; /* a program may use the register for something else */
    expect(&w, 1, HPP_WALK_NOT_RISING, w.fp);
    w.sp = w.fp = 0x1000;
    expect(&w, 1, HPP_WALK_UNREADABLE, 0x1000);
}

/* A handler on an alternate stack: its caller's frames are on the thread's own. */
static void test_alternate_stack(void **state)
{
    struct hpp_walk w = make_stack(5);

    (void)state;
    memset(alternate, 0, PAGE);
    for (unsigned i = 0; i < 5; i++) /* on the own stack the return addresses go on counting from 4 */
        if (i < 4)
            own[10 * (i + 1) + 1] = CODE + 0x100 * (i + 4);
    frame(alternate, 100, address(alternate + 110), CODE + 0x100);
    frame(alternate, 110, address(alternate + 120), CODE + 0x200);
    frame(alternate, 120, address(own + 10), CODE + 0x300);
    w.sp = address(alternate + 90);
    w.fp = address(alternate + 100);
    expect(&w, 8, HPP_WALK_ROOT, address(own + 50));
    /* once there, the same rules hold as ever */
    own[20] = address(own + 20);
    expect(&w, 6, HPP_WALK_NOT_RISING, own[20]);
    own[20] = address(own + 10);
    expect(&w, 6, HPP_WALK_NOT_RISING, own[20]);
    own[20] = address(alternate + 100);
    expect(&w, 6, own[20] > address(own + 20) ? HPP_WALK_OFF_STACK : HPP_WALK_NOT_RISING, own[20]);
    own[20] = address(own + WORDS);
    expect(&w, 6, HPP_WALK_OFF_STACK, own[20]);
    /* below the recorded bounds' mapped part: checked, not touched */
    alternate[120] = address(own) - PAGE;
    expect(&w, 4, HPP_WALK_UNREADABLE, alternate[120]);
}

/* Random changes to whole stacks: every walk ends within its limit, its frames are code, and nothing is
 * touched below the stack pointer or behind the end: there is nothing there. */
static void test_random(void **state)
{
    (void)state;
    srandom(6);
    for (int round = 0; round < 100000; round++) {
        struct hpp_walk w = make_stack(1 + (unsigned)random() % 40);
        uint64_t frames[LIMIT], stop;
        enum hpp_walk_end end;
        unsigned count;

        w.sp = random() % 2 ? address(own) : w.sp;
        for (long i = random() % 6; i > 0; i--) {
            uint64_t values[] = {address(own) + (uint64_t)random() % (2 * PAGE) - PAGE / 2,
                                 address(own + random() % WORDS),
                                 address(alternate + random() % WORDS),
                                 CODE + (uint64_t)random() % 0x9000,
                                 (uint64_t)random() << 33 | (uint64_t)random(),
                                 0};
            uint64_t value = values[random() % 6];
            if (random() % 8 == 0)
                w.fp = value;
            else if (random() % 8 == 0 && (value - address(own) < PAGE || value >= w.stack_end))
                w.sp = value; /* that far down a live stack is always there */
            else
                own[10 * (1 + random() % 40) + random() % 2] = value;
        }
        count = walk(&w, frames, &end, &stop);
        assert_in_range(end, HPP_WALK_ROOT, HPP_WALK_NO_FRAME);
        for (unsigned i = 1; i < count; i++)
            assert_non_null(hpp_image_find(code, frames[i] - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_bad_frame_pointers),
        cmocka_unit_test(test_bad_return_addresses),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_unknown_stack),
        cmocka_unit_test(test_alternate_stack),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
