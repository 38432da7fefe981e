/* Walks stacks that are real but for a few words, while another thread maps and unmaps what these words point
 * at: `walks COUNT [SEED]`. The stacks are copies, taken in signal handlers at many depths of code with and
 * without frame pointers; in each a few words and registers are changed before each walk. A walk must end,
 * with frames that are code. Exit status 1 where one does not; a walk that reads what is not there ends the
 * program. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/arch.h"
#include "common/image.h"
#include "common/sys.h"
#include "common/unwind_build.h"
#include "profiler/checked_read.h"
#include "profiler/walk.h"

enum { LIMIT = 256, STACKS = 64, COPY = 1 << 16, PAGE = 4096, AREAS = 8, CHANGES = 8 };

/* A stack as it was: WORDS of COPY bytes, at the end of `at`, and the registers that belong to it. */
struct stack {
    char *at;
    size_t used;
    ucontext_t context;
    unsigned links[COPY / 8]; /* which words point into the stack or into code */
    unsigned linked;
};

extern void *__libc_stack_end;
static struct stack stacks[STACKS];
static unsigned stack_count;
static struct hpp_arena arena, map_arena;
static const struct hpp_code_map *code;
static char *area; /* AREAS pages that come and go */
static atomic_int stopped;
static _Atomic unsigned long flips;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "walks: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t any(void)
{
    static uint64_t z;
    z ^= z << 13, z ^= z >> 7, z ^= z << 17;
    return z += !z ? (uint64_t)random() + 1 : 0;
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static const struct hpp_unwind_table *build_table(const struct hpp_image *image)
{
    struct hpp_unwind_build build = {.source = {.memory = image->header, .fd = -1}};
    const struct hpp_unwind_table *table = NULL;

    if (image->kind == HPP_IMAGE_FILE) {
        build.source.memory = 0;
        build.source.fd = (int)hpp_sys_open(image->path, O_RDONLY, 0);
    }
    hpp_unwind_build(&build, &table); /* without one: by frame pointer */
    if (!build.source.memory)
        close(build.source.fd);
    return table;
}

static void build_tables(void)
{
    if (hpp_image_scan(&arena, &map_arena, NULL, (uint64_t)build_tables, &code))
        die("code map");
    for (uint32_t i = 0; i < code->count; i++) {
        struct hpp_segment *segment = (struct hpp_segment *)code->ranges[i].segment;
        if (!segment->table)
            segment->table = build_table(segment->image);
    }
}

/* ---- taking stacks --------------------------------------------------------------------------------- */

static uint64_t moved(const struct stack *stack, uint64_t low, uint64_t value)
{
    uint64_t size = (uint64_t)__libc_stack_end - low;
    return value - low <= size ? (uint64_t)stack->at + (COPY - size) + (value - low) : value;
}

static void take(int signal, siginfo_t *info, void *context)
{
    struct stack *stack = &stacks[stack_count];
    ucontext_t *interrupted = context;
    uint64_t low = (uint64_t)interrupted->uc_mcontext.gregs[REG_RSP];
    size_t size = (uint64_t)__libc_stack_end - low;

    (void)signal, (void)info;
    if (stack_count == STACKS || size > COPY - PAGE)
        return;
    stack_count++;
    stack->used = size;
    stack->context = *interrupted;
    for (int i = 0; i < NGREG; i++)
        stack->context.uc_mcontext.gregs[i] =
            (greg_t)moved(stack, low, (uint64_t)interrupted->uc_mcontext.gregs[i]);
    for (size_t i = 0; i < size / 8; i++) {
        uint64_t value = ((uint64_t *)low)[i], there = moved(stack, low, value);
        ((uint64_t *)(stack->at + (COPY - size)))[i] = there;
        if (there != value || hpp_image_find(code, value))
            stack->links[stack->linked++] = (unsigned)((COPY - size) / 8 + i);
    }
}

static __attribute__((noinline)) int descend(unsigned depth);

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b + 0 * descend((unsigned)*(const int *)a);
}

/* Through libc, which has no frame pointers, now and then. */
static int descend(unsigned depth)
{
    int numbers[2] = {(int)depth - 1, (int)depth - 2};
    volatile int sum = 0;

    if (depth % 3 == 0)
        raise(SIGUSR1);
    if (depth > 2 && depth % 7 == 0 && stack_count < STACKS)
        qsort(numbers, 2, sizeof numbers[0], compare);
    else if (depth > 1)
        sum = descend(depth - 1);
    return sum + numbers[0];
}

static void take_stacks(void)
{
    struct sigaction action = {.sa_sigaction = take, .sa_flags = SA_SIGINFO};

    for (int i = 0; i < STACKS; i++) {
        stacks[i].at = mmap(NULL, COPY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stacks[i].at == MAP_FAILED)
            die("memory");
    }
    sigaction(SIGUSR1, &action, NULL);
    for (unsigned depth = 4; stack_count < STACKS && depth < 200; depth += 5)
        descend(depth);
}

/* ---- the other thread ------------------------------------------------------------------------------ */

static char *area_at(uint64_t i)
{
    return area + i % AREAS * 2 * PAGE;
}

/* Frames, each pointing into the next area or further up in its own. */
static void fill(uint64_t *page, uint64_t i)
{
    for (unsigned word = 0; word < PAGE / 8; word += 2) {
        page[word] = word % 16 ? (uint64_t)(page + word + 4) : (uint64_t)area_at(i + 1) + word * 8;
        page[word + 1] = (uint64_t)take_stacks + word;
    }
}

static void *flip(void *unused)
{
    for (uint64_t i = 0; !stopped; i++, flips++) {
        void *page =
            mmap(area_at(i), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (page == MAP_FAILED)
            abort();
        fill(page, i);
        munmap(area_at(i + AREAS / 2), PAGE);
    }
    return unused;
}

/* ---- walking --------------------------------------------------------------------------------------- */

static uint64_t odd_value(const struct stack *stack)
{
    const struct hpp_code_range *range = &code->ranges[any() % code->count];

    switch (any() % 10) {
    case 0:
        return any();
    case 1:
        return any() & 0x7ffffffffff8;
    case 2:
        return (uint64_t)stack->at + any() % COPY;
    case 3:
    case 4:
        return (uint64_t)stack->at + any() % COPY / 8 * 8;
    case 5:
    case 6:
    case 7:
        return (uint64_t)area_at(any()) + any() % (2 * PAGE) / 8 * 8;
    case 8:
        return range->start + any() % (range->end - range->start);
    default:
        return (uint64_t[]){0, 8, UINT64_MAX, (uint64_t)1 << 63, (uint64_t)stack->at + COPY}[any() % 5];
    }
}

/* Changes words of STACK, and what they were goes to BEFORE. */
static unsigned change(struct stack *stack, unsigned *where, uint64_t *before)
{
    unsigned count = any() % 2 ? 1 : 1 + (unsigned)(any() % CHANGES);
    uint64_t *words = (uint64_t *)stack->at;

    for (unsigned i = 0; i < count; i++) {
        where[i] = any() % 4 ? stack->links[any() % stack->linked]
                             : (unsigned)((COPY - stack->used) / 8 + any() % (stack->used / 8));
        before[i] = words[where[i]];
        words[where[i]] = odd_value(stack);
    }
    return count;
}

/* One walk of four does not know the stack's bounds. */
static struct hpp_walk walk_of(const struct stack *stack, ucontext_t *context, struct hpp_walk_cache *cache)
{
    greg_t *registers = context->uc_mcontext.gregs;
    uint64_t low = any() % 4 ? (uint64_t)stack->at : 0;

    memcpy(registers, stack->context.uc_mcontext.gregs, sizeof context->uc_mcontext.gregs);
    for (int i = 0; i < 3; i++)
        if (any() % 16 == 0)
            registers[(int[]){REG_RBP, REG_RSP, (int)(any() % NGREG)}[i]] = (greg_t)odd_value(stack);
    return (struct hpp_walk){.pc = (uint64_t)registers[REG_RIP],
                             .sp = (uint64_t)registers[REG_RSP],
                             .fp = (uint64_t)registers[REG_RBP],
                             .context = context,
                             .stack_low = low,
                             .stack_end = low ? low + COPY : 0,
                             .code = code,
                             .cache = any() % 2 ? cache : NULL,
                             .check_all = any() % 16 == 0,
                             .no_tables = any() % 4 == 0};
}

/* Whether the walk's outcome is one that the sampler can have. */
static int is_sound(const struct hpp_walk *walk, const uint64_t *frames, const struct hpp_walk_result *result)
{
    if (result->count < 1 || result->count > LIMIT || result->end < HPP_WALK_ROOT ||
        result->end > HPP_WALK_NO_RULE || frames[0] != walk->pc)
        return 0;
    for (unsigned i = 1; i < result->count; i++)
        if (frames[i] != HPP_WALK_GAP && !hpp_image_find(code, frames[i] - 1))
            return 0;
    return 1;
}

/* Stacks that are whole when nothing was changed: nearly all must be. */
static unsigned whole_unchanged(void)
{
    unsigned whole = 0;

    for (unsigned i = 0; i < stack_count; i++) {
        const greg_t *registers = stacks[i].context.uc_mcontext.gregs;
        struct hpp_walk walk = {.pc = (uint64_t)registers[REG_RIP],
                                .sp = (uint64_t)registers[REG_RSP],
                                .fp = (uint64_t)registers[REG_RBP],
                                .context = &stacks[i].context,
                                .stack_low = (uint64_t)stacks[i].at,
                                .stack_end = (uint64_t)stacks[i].at + COPY,
                                .code = code};
        uint64_t frames[LIMIT];
        struct hpp_walk_result result;
        hpp_walk_frames(&walk, frames, LIMIT, &result);
        whole += result.end == HPP_WALK_ROOT;
    }
    return whole;
}

static unsigned long walk_all(unsigned long count, unsigned long *ends)
{
    static struct hpp_walk_cache cache;
    static ucontext_t context;
    unsigned long wrong = 0;

    for (unsigned long i = 0; i < count; i++) {
        struct stack *stack = &stacks[any() % stack_count];
        uint64_t frames[LIMIT], before[CHANGES];
        unsigned where[CHANGES], changes = change(stack, where, before);
        struct hpp_walk walk = walk_of(stack, &context, &cache);
        struct hpp_walk_result result;

        hpp_walk_frames(&walk, frames, LIMIT, &result);
        if (is_sound(&walk, frames, &result))
            ends[result.end]++;
        else
            wrong++;
        while (changes--)
            ((uint64_t *)stack->at)[where[changes]] = before[changes];
    }
    return wrong;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"",          "whole",      "too deep", "unaligned", "not rising",
                                        "off stack", "unreadable", "not code", "no frame",  "no rule"};
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, ends[HPP_WALK_NO_RULE + 1] = {0}, wrong;
    unsigned whole;
    pthread_t other;

    if (!count) {
        fputs("usage: walks COUNT [SEED]\n", stderr);
        return 2;
    }
    srandom(argc > 2 ? (unsigned)atoi(argv[2]) : 1);
    build_tables();
    take_stacks();
    area = mmap(NULL, (AREAS * 2 + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hpp_checked_read_open() || area == MAP_FAILED || pthread_create(&other, NULL, flip, NULL))
        die("preparing");
    whole = whole_unchanged();
    wrong = walk_all(count, ends);
    stopped = 1;
    pthread_join(other, NULL);
    printf(
        "%lu walks over %u stacks (%u whole before), %lu pages mapped and unmapped meanwhile: %lu wrong\n ",
        count, stack_count, whole, flips, wrong);
    for (int i = HPP_WALK_ROOT; i <= HPP_WALK_NO_RULE; i++)
        printf(" %s %lu%s", names[i], ends[i], i < HPP_WALK_NO_RULE ? "," : "\n");
    return wrong || whole < STACKS * 3 / 4;
}
