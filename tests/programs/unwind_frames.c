/* Code without frame pointers whose callers are known, as the first argument says: `chain` of C functions,
 * the same in a `thread`, `assembly` as in OpenSSL, `deep` recursion (third argument: how deep), `jit_fp` and
 * `jit_bare`, code made at run time with and without a frame pointer. The second argument gives seconds of
 * CPU. flags: -O2 -fomit-frame-pointer -pthread */
#include "burn.h"
#include "padding.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define FRAME(type) static BURN_OPAQUE type

static double budget_seconds;

BURN_FUNCTION(alpha_work, 3)
BURN_FUNCTION(beta_work, 5)

/* ---- chain ----------------------------------------------------------------------------------------- */

FRAME(void) alpha_step(double seconds, long a, long b, long c, long d)
{
    volatile long saved[4] = {a, b, c, d};
    alpha_work(seconds);
    for (int i = 0; i < 4; i++)
        burn_sink += (uint64_t)(saved[i] + a * b + c * d);
}

FRAME(void) alpha(double seconds, int turns)
{
    double each = seconds / turns;
    for (int i = 0; i < turns; i++)
        alpha_step(each, i, i + 1, turns, turns * i);
}

FRAME(void) beta(double seconds, int size)
{
    volatile char room[size]; /* a frame whose size only the frame pointer's register knows */
    room[0] = 1;
    beta_work(seconds);
    burn_sink += (uint64_t)room[0];
}

FRAME(void) drive(double seconds)
{
    for (int i = 0; i < 10; i++) {
        alpha(seconds * 0.07, 3);
        beta(seconds * 0.03, 100 + i);
    }
    burn_sink++;
}

static void *thread_start(void *argument)
{
    drive(budget_seconds);
    burn_sink++;
    return argument;
}

static void run_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_start, NULL))
        abort();
    pthread_join(thread, NULL);
}

/* ---- assembly -------------------------------------------------------------------------------------- */

/* As OpenSSL's: the CFA in rax, then on an aligned stack behind rsp, rbp a number like any other. */
void asm_outer(double seconds, void (*function)(double));
void asm_loop(long turns);
__asm__(".text\n.type asm_outer,@function\n.globl asm_outer\n.hidden asm_outer\n"
        "asm_outer:\n.cfi_startproc\n"
        "mov %rsp,%rax\n.cfi_def_cfa_register %rax\n"
        "push %rbp\n.cfi_offset %rbp,-16\n"
        "sub $96,%rsp\nand $-64,%rsp\nmov %rax,40(%rsp)\n"
        ".cfi_escape 0x0f,5,0x77,40,0x06,0x23,8\n" /* CFA = *(rsp + 40) + 8 */
        "mov $0x123456789,%rbp\n"
        "call *%rdi\n"
        "mov 40(%rsp),%rsi\n.cfi_def_cfa %rsi,8\n"
        "mov -8(%rsi),%rbp\n.cfi_restore %rbp\n"
        "mov %rsi,%rsp\n.cfi_def_cfa_register %rsp\n"
        "ret\n.cfi_endproc\n.size asm_outer,.-asm_outer\n"
        ".type asm_loop,@function\n.globl asm_loop\n.hidden asm_loop\n"
        "asm_loop:\n.cfi_startproc\n"
        "push %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_offset %rbp,-16\n"
        "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_offset %rbx,-24\n"
        "xor %ebp,%ebp\n"
        "1: lea 5(%rbp,%rdi),%rbp\nimul %rdi,%rbp\ndec %rdi\njnz 1b\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\n.cfi_restore %rbx\n"
        "pop %rbp\n.cfi_adjust_cfa_offset -8\n.cfi_restore %rbp\n"
        "ret\n.cfi_endproc\n.size asm_loop,.-asm_loop\n");

FRAME(void) asm_work(double seconds)
{
    for (struct burn burn = burn_for(seconds); burn_on(&burn);)
        asm_loop(100000);
    burn_sink++;
}

FRAME(void) run_assembly(double seconds)
{
    asm_outer(seconds, asm_work);
    burn_sink++;
}

/* ---- deep ------------------------------------------------------------------------------------------ */

FRAME(long) descend(long depth)
{
    if (depth <= 1) {
        beta_work(budget_seconds);
        return 1;
    }
    return descend(depth - 1) + (long)(burn_sink & 1);
}

static void *deep_start(void *argument)
{
    descend(*(long *)argument);
    burn_sink++;
    return argument;
}

/* A million frames need a larger stack than main's. */
FRAME(void) run_deep(long depth)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, (size_t)depth * 64 + (1 << 20));
    if (pthread_create(&thread, &attributes, deep_start, &depth))
        abort();
    pthread_join(thread, NULL);
}

/* ---- code made at run time ------------------------------------------------------------------------- */

static const unsigned char with_fp[] = {
    0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3, /* push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret */
};
static const unsigned char bare[] = {
    0x48, 0x83, 0xec, 0x08, 0xff, 0xd7, 0x48, 0x83, 0xc4, 0x08, 0xc3, /* sub $8,%rsp; call *%rdi; add; ret */
};

FRAME(void) jit_work(void)
{
    alpha_work(budget_seconds);
    burn_sink++;
}

FRAME(void) run_jit(const unsigned char *code, size_t size)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        abort();
    memcpy(page, code, size);
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC))
        abort();
    ((void (*)(void (*)(void)))page)(jit_work);
    munmap(page, 4096);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    budget_seconds = argc > 2 ? atof(argv[2]) : 0.3;
    if (!strcmp(what, "chain"))
        drive(budget_seconds);
    else if (!strcmp(what, "thread"))
        run_thread();
    else if (!strcmp(what, "assembly"))
        run_assembly(budget_seconds);
    else if (!strcmp(what, "deep"))
        run_deep(argc > 3 ? atol(argv[3]) : 100);
    else if (!strcmp(what, "jit_fp"))
        run_jit(with_fp, sizeof with_fp);
    else if (!strcmp(what, "jit_bare"))
        run_jit(bare, sizeof bare);
    else
        return 2;
    printf("%s done\n", what);
    return 0;
}
