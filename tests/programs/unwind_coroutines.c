/* Coroutines without frame pointers on stacks from malloc: `makecontext`, or `switch` by a few instructions
 * of our own. The second argument gives seconds of CPU (default 0.3). flags: -O2 -fomit-frame-pointer */
#include "burn.h"
#include "padding.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { COROUTINES = 8, STACK_SIZE = 64 * 1024 };

static double budget_seconds;

BURN_FUNCTION(work_outside, 3)
BURN_FUNCTION(work_inside, 5)

static ucontext_t outside, inside[COROUTINES];
static void *outside_sp, *inside_sp[COROUTINES];
static int current;
static int by_hand;

/* void switch_to(void **save, void *to) */
void switch_to(void **save, void *to);
__asm__(".text\n.type switch_to,@function\n.globl switch_to\n.hidden switch_to\n"
        "switch_to:\n.cfi_startproc\n"
        "push %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbp,0\n"
        "push %rbx\n.cfi_adjust_cfa_offset 8\npush %r12\n.cfi_adjust_cfa_offset 8\n"
        "push %r13\n.cfi_adjust_cfa_offset 8\npush %r14\n.cfi_adjust_cfa_offset 8\n"
        "push %r15\n.cfi_adjust_cfa_offset 8\n"
        "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
        "pop %r15\n.cfi_adjust_cfa_offset -8\npop %r14\n.cfi_adjust_cfa_offset -8\n"
        "pop %r13\n.cfi_adjust_cfa_offset -8\npop %r12\n.cfi_adjust_cfa_offset -8\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\n"
        "pop %rbp\n.cfi_adjust_cfa_offset -8\n.cfi_restore %rbp\n"
        "ret\n.cfi_endproc\n.size switch_to,.-switch_to\n");

static BURN_OPAQUE void yield(void)
{
    if (by_hand)
        switch_to(&inside_sp[current], outside_sp);
    else
        swapcontext(&inside[current], &outside);
    burn_sink++;
}

static BURN_OPAQUE void generate(int depth)
{
    if (depth)
        generate(depth - 1);
    else
        work_inside(0.002);
    yield();
    burn_sink++;
}

static void coroutine(void)
{
    for (;;)
        generate(5);
}

static BURN_OPAQUE void resume(int which)
{
    current = which;
    if (by_hand)
        switch_to(&outside_sp, inside_sp[which]);
    else
        swapcontext(&outside, &inside[which]);
    burn_sink++;
}

static void make(int which)
{
    char *stack = malloc(STACK_SIZE);

    memset(stack, 0x5a, STACK_SIZE); /* nothing that was there may be taken for a frame */
    if (by_hand) {
        void **sp = (void **)(((uintptr_t)stack + STACK_SIZE - 64) & ~(uintptr_t)15);
        *--sp = NULL; /* the coroutine returns to nowhere */
        *--sp = (void *)coroutine;
        sp -= 6;
        memset(sp, 0, 6 * sizeof *sp);
        inside_sp[which] = sp;
    } else {
        getcontext(&inside[which]);
        inside[which].uc_stack.ss_sp = stack;
        inside[which].uc_stack.ss_size = STACK_SIZE;
        inside[which].uc_link = &outside;
        makecontext(&inside[which], coroutine, 0);
    }
}

int main(int argc, char **argv)
{
    double end;
    int turn = 0;

    by_hand = argc > 1 && !strcmp(argv[1], "switch");
    budget_seconds = argc > 2 ? atof(argv[2]) : 0.3;
    for (int i = 0; i < COROUTINES; i++)
        make(i);
    for (end = burn_clock() + budget_seconds; burn_clock() < end; turn++) {
        resume(turn % COROUTINES);
        work_outside(0.0005);
    }
    printf("%s\n", turn ? "switched" : "no time");
    return 0;
}
