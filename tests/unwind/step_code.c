/* What tests/unwind/step steps through: compiled with -O2 -fomit-frame-pointer and bound lazily. Test
 * only. */
#include "tests/unwind/step.h"

#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif
#define KEEP __asm__ volatile("" ::: "memory")

static volatile long sink;

static NOINLINE int leaf(int x)
{
    KEEP;
    return x * 3 + 1;
}

/* ---- prologues and epilogues ---------------------------------------------------------------------- */

/* All callee-saved registers live over calls; ways out before and after they are saved. */
static NOINLINE int pushes(int a, int b, int c, int d)
{
    if (a > 100)
        return b;
    int e = leaf(a), f = leaf(b), g = leaf(c), h = leaf(d);
    if (e > 50)
        return leaf(f) + g;
    for (int i = 0; i < 2; i++)
        e += leaf(f + i) * leaf(g + h);
    return e + f + g + h + a + b + c + d;
}

static NOINLINE long recursion(int depth, long a, long b)
{
    if (depth == 0)
        return leaf((int)a);
    long result = recursion(depth - 1, a + 1, b ^ a) + b;
    return depth & 1 ? result + leaf(depth) : result;
}

static NOINLINE int many_arguments(int a, int b, int c, int d, int e, int f, int g, int h, int i)
{
    return leaf(a + b + c + d) + leaf(e + f + g) * h - i;
}

static NOINLINE int big_frame(int x)
{
    volatile char room[20000];
    room[x] = 1;
    return leaf(room[x]) + leaf(x);
}

static void run_prologues(void)
{
    sink += pushes(1, 2, 3, 4) + pushes(101, 2, 3, 4) + pushes(40, 1, 1, 1);
    sink += recursion(12, 3, 4) + many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 9) + big_frame(7);
}

/* ---- stacks that are realigned or of variable size ------------------------------------------------ */

static NOINLINE int realigned(int x)
{
    volatile char line[64] __attribute__((aligned(64)));
    line[x & 63] = (char)x;
    return leaf(line[x & 63]) + leaf(x);
}

static NOINLINE __attribute__((force_align_arg_pointer)) int realigned_arguments(int a, int b, int c, int d,
                                                                                 int e, int f, int g, int h)
{
    volatile char line[128] __attribute__((aligned(128)));
    char *more = alloca((size_t)leaf(a) * 8);
    more[0] = (char)h;
    line[0] = more[0];
    return leaf(a + b + c) + leaf(d + e) + leaf(f + g + line[0]);
}

static NOINLINE int variable(int size)
{
    volatile int array[size];
    array[0] = leaf(size);
    array[size - 1] = leaf(array[0]);
    return array[size - 1] + leaf(array[0]);
}

static void run_realigned(void)
{
    for (int i = 1; i < 4; i++)
        sink += realigned(i) + realigned_arguments(i, 2, 3, 4, 5, 6, 7, 8) + variable(i * 33);
}

/* ---- tail calls ------------------------------------------------------------------------------------ */

static NOINLINE int tail_last(int x)
{
    int a = leaf(x);
    return leaf(a) + a;
}

static NOINLINE int tail_middle(int x)
{
    sink += leaf(x);
    return tail_last(x + 1);
}

static NOINLINE int tail_first(int x)
{
    sink += leaf(x) + leaf(x + 1);
    return tail_middle(x);
}

static void run_tails(void)
{
    sink += tail_first(1) + tail_first(2);
}

/* ---- PLT ------------------------------------------------------------------------------------------- */

static NOINLINE int called_back(int x)
{
    return leaf(x) + step_library_add(x, 1);
}

static void run_plt(void)
{
    for (int i = 0; i < 3; i++) { /* the first time through the dynamic linker */
        sink += step_library_add(i, 2);
        sink += step_library_call(called_back, i);
        sink += (long)step_library_many(1, 2, 3, 4, 5, 6, 7, 8, 1.5, 2.5);
    }
}

/* ---- libc ------------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void run_libc(void)
{
    static char from[5000], to[5000];
    static volatile size_t sizes[] = {0, 1, 7, 15, 33, 100, 300, 1000, 2100, 4999};
    int numbers[] = {5, 3, 9, 1, 7};
    char text[64];

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(from, 'a', sizes[i]);
        from[sizes[i]] = 0;
        memcpy(to, from, sizes[i] + 1);
        memmove(to + 1, to, sizes[i]);
        sink += (long)strlen(to) + memcmp(from, to, sizes[i]) + (strchr(from, 'b') != NULL);
        sink += strcmp(from, to);
    }
    qsort(numbers, 5, sizeof numbers[0], compare);
    sink += snprintf(text, sizeof text, "%d %s %.3f", numbers[0], "word", 1.25);
    sink += (long)strtod("3.25e2", NULL);
    for (size_t size = 8; size < 200000; size *= 9) {
        void *volatile memory = malloc(size);
        free(memory);
    }
}

static void run_vdso(void)
{
    struct timespec now;
    for (int id = 0; id < 8; id++) {
        clock_gettime(id, &now);
        sink += now.tv_nsec;
    }
    sink += time(NULL);
}

/* ---- assembly -------------------------------------------------------------------------------------- */

static void run_assembly(void)
{
    for (long i = 0; i < 4; i++) {
        sink += step_asm_pushes(i) + step_asm_states(i) + step_asm_cfa_register(i);
        sink += step_asm_frame_pointer_late(i) + step_asm_get_pc(i) + step_asm_tail(i);
        sink += step_asm_enter_leave(i) + step_asm_fp_as_data(i) + step_asm_far_call(i);
    }
}

/* ---- signals --------------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    sink += leaf(number);
}

static void on_alternate(int number, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    sink += recursion(2, number, 1);
}

static void run_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    action.sa_sigaction = on_alternate;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}

/* From now on the tracer sends signals where it likes: every instruction may be the interrupted one. */
static void want_signals(int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

    sigaction(SIGUSR2, &action, NULL);
    step_shared->want_signals = 1;
}

/* ---- jumps between frames and stacks --------------------------------------------------------------- */

static jmp_buf *back;

static NOINLINE void jumps(int depth)
{
    if (depth == 0)
        longjmp(*back, 7);
    if (sink != -1) /* always, but no compiler knows */
        jumps(depth - 1);
    sink++;
}

static void run_longjmp(void)
{
    static jmp_buf elsewhere;
    jmp_buf on_stack;

    for (volatile int i = 0; i < 4; i++) {
        back = i & 1 ? &on_stack : &elsewhere;
        if (!setjmp(*back))
            jumps(i * 2);
        sink += leaf(1);
    }
}

static ucontext_t outside, inside;

static NOINLINE void yields(int x)
{
    sink += leaf(x);
    swapcontext(&inside, &outside);
    sink += leaf(x);
}

static void coroutine(void)
{
    yields(1);
    yields(2);
}

static void run_makecontext(void)
{
    getcontext(&inside);
    inside.uc_stack.ss_sp = step_shared->stack[STEP_COROUTINE_A];
    inside.uc_stack.ss_size = STEP_STACK_SIZE - 256;
    inside.uc_link = &outside;
    makecontext(&inside, coroutine, 0);
    step_shared->base[STEP_COROUTINE_A] = (uint64_t)inside.uc_mcontext.gregs[REG_RSP];
    for (int i = 0; i < 3; i++) {
        swapcontext(&outside, &inside);
        sink += leaf(i);
    }
}

static uint64_t outside_sp, inside_sp;

static void switched(void)
{
    for (int i = 0;; i++) {
        sink += recursion(2, i, 2);
        step_switch(&inside_sp, outside_sp);
    }
}

static void run_switch(void)
{
    uint64_t *sp = (uint64_t *)(step_shared->stack[STEP_COROUTINE_B] + STEP_STACK_SIZE - 256);

    *--sp = 0; /* where a return address would be: none */
    *--sp = (uint64_t)switched;
    sp -= 6; /* registers */
    memset(sp, 0, 6 * sizeof *sp);
    inside_sp = (uint64_t)sp;
    for (int i = 0; i < 3; i++)
        step_switch(&outside_sp, inside_sp);
}

/* ---- all ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    {"prologues", run_prologues}, {"realigned", run_realigned},
    {"tail calls", run_tails},    {"PLT", run_plt},
    {"libc", run_libc},           {"vdso", run_vdso},
    {"assembly", run_assembly},   {"signals", run_signals},
    {"longjmp", run_longjmp},     {"makecontext", run_makecontext},
    {"switch", run_switch},       {"exceptions", step_throw_all},
};

static void run_scenarios(const char *how, size_t count)
{
    step_shared->how = how;
    for (size_t i = 0; i < count; i++) {
        step_shared->scenario = scenarios[i].name;
        step_shared->base[STEP_COROUTINE_A] = 0;
        scenarios[i].run();
    }
}

void step_all(void)
{
    const size_t all = sizeof scenarios / sizeof scenarios[0];
    stack_t alternate = {.ss_sp = step_shared->stack[STEP_ALTERNATE], .ss_size = STEP_STACK_SIZE - 256};

    sigaltstack(&alternate, NULL);
    run_scenarios("", all);
    want_signals(0);
    run_scenarios(", interrupted", all);
    want_signals(SA_ONSTACK);
    run_scenarios(", interrupted on an alternate stack", all - 1); /* exceptions take the most steps */
    step_shared->want_signals = 0;
}
