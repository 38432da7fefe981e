/* Runs a loop with a frame pointer that is no frame pointer: random, unaligned, unmapped, decreasing,
 * pointing to itself, or into memory that another thread maps and unmaps all the time. Some of the
 * false frames hold a plausible return address. Argument: seconds of CPU for the loop (default 4.5).
 * Prints `passes: the kinds of value used`, to be the same in every run.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { KINDS = 8, FLIP_SIZE = 16 * 4096 };

int main(int argc, char **argv);

static _Atomic uint64_t flip_address;
static atomic_bool flip_stop;

/* Maps and unmaps an area, with a plausible frame in it each time. */
static void *flip(void *unused)
{
    (void)unused;
    while (!flip_stop) {
        uint64_t *area = mmap(NULL, FLIP_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            abort();
        area[0] = (uint64_t)(area + 2);
        area[1] = (uint64_t)main + 8;
        flip_address = (uint64_t)area;
        munmap(area, FLIP_SIZE);
    }
    return NULL;
}

/* The loop: FRAME in rbp for COUNT rounds, touching no memory. The symbol corrupt_loop is what runs with the
 * false frame pointer, no instruction before or behind it: there a sample has its callers. */
void corrupt_enter(uint64_t frame, uint64_t count);
__asm__(".text\n.p2align 4\n.globl corrupt_enter, corrupt_loop\n"
        ".type corrupt_enter, @function\n.type corrupt_loop, @function\n"
        "corrupt_enter:\n"
        "    push %rbp\n"
        "    mov %rdi, %rbp\n"
        ".size corrupt_enter, .-corrupt_enter\n"
        "corrupt_loop:\n"
        "    imul $0x10dcd, %rdi, %rdi\n"
        "    inc %rdi\n"
        "    dec %rsi\n"
        "    jnz corrupt_loop\n"
        "    pop %rbp\n"
        ".size corrupt_loop, .-corrupt_loop\n"
        "    ret\n");

static uint64_t false_frame(int kind, uint64_t *state, volatile uint64_t *stack)
{
    uint64_t plausible = (uint64_t)main + 8;
    switch (kind) {
    case 0: /* random, aligned, canonical */
        return burn_random(state) << 15 & 0x7ffffffffff8;
    case 1: /* random, any bits */
        return burn_random(state) << 33 ^ burn_random(state);
    case 2: /* on the stack, but not aligned */
        return (uint64_t)stack + 1 + burn_random(state) % 7;
    case 3: /* unmapped: page zero, or past user memory */
        return burn_random(state) % 2 ? 64 : 0xffff800000000000;
    case 4: /* decreasing: each frame lies below the one before */
        stack[4] = (uint64_t)&stack[2];
        stack[5] = plausible;
        stack[2] = (uint64_t)&stack[0];
        stack[3] = plausible;
        return (uint64_t)&stack[4];
    case 5: /* pointing to itself, on the stack */
        stack[6] = (uint64_t)&stack[6];
        stack[7] = plausible;
        return (uint64_t)&stack[6];
    case 6: /* below the stack pointer */
        return (uint64_t)stack - 0x8000;
    default: /* memory that comes and goes */
        return flip_address;
    }
}

static __attribute__((noinline)) void drive(double seconds)
{
    uint64_t state = 1;
    volatile uint64_t stack[8] = {0};
    int pass = 0;
    for (struct burn burn = burn_for(seconds); burn_on(&burn); pass++)
        corrupt_enter(false_frame(pass % KINDS, &state, stack), 200000 + burn_random(&state) % 400000);
}

int main(int argc, char **argv)
{
    pthread_t flipper;
    if (pthread_create(&flipper, NULL, flip, NULL))
        return 1;
    drive(argc > 1 ? atof(argv[1]) : 4.5);
    flip_stop = 1;
    pthread_join(flipper, NULL);
    printf("passes: %d kinds\n", KINDS);
    return 0;
}
