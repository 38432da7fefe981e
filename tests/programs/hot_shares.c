/* Works in three functions, each at the start of 2 MiB of its own, one behind the other:
 *     hot_shares FIRST SECOND THIRD SECONDS [FIRST SECOND THIRD SECONDS…]
 * For so many seconds of CPU, the three get these shares (of 100) of it; then come the next seconds.
 * Prints how much memory is locked then, locked_kib=N.
 * flags: -no-pie -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include "own_maps.h"
#include <stdio.h>
#include <stdlib.h>

enum { FUNCTIONS = 3 };

/* Each counts down from its argument. What follows ours lies in the last of the 2 MiB. */
#define FUNCTION(name)                                                                     \
    ".globl " name "\n.type " name ", @function\n" name ":\n push %rbp\n mov %rsp, %rbp\n" \
    "1: dec %rdi\n jnz 1b\n pop %rbp\n ret\n.size " name ", . - " name "\n.balign 0x200000, 0xcc\n"
__asm__(".pushsection .text.unlikely.work, \"ax\", @progbits\n.balign 0x200000\n" FUNCTION("first_work")
            FUNCTION("second_work")
                FUNCTION("third_work") ".popsection\n"
                                       ".pushsection .text.zz_padding, \"ax\", @progbits\n.fill 2 << 20, 1, "
                                       "0xcc\n.popsection\n");
typedef void function(unsigned long);
extern function first_work, second_work, third_work;
static function *const functions[FUNCTIONS] = {first_work, second_work, third_work};

/* Calls the one that is furthest behind its share. */
static void work(const double share[FUNCTIONS], double seconds)
{
    double used[FUNCTIONS] = {0}, all = 0;

    while (all < seconds) {
        int next = 0;
        for (int i = 1; i < FUNCTIONS; i++)
            if (share[i] * all - 100 * used[i] > share[next] * all - 100 * used[next])
                next = i;
        if (share[next] <= 0) /* at the very begin all are level */
            for (int i = 0; i < FUNCTIONS; i++)
                next = share[i] > share[next] ? i : next;
        double before = burn_clock();
        functions[next](20000000); /* longer than between two ticks: see burn.h */
        double took = burn_clock() - before;
        used[next] += took;
        all += took;
    }
}

int main(int argc, char **argv)
{
    for (int at = 1; at + FUNCTIONS < argc; at += FUNCTIONS + 1) {
        double share[FUNCTIONS];
        for (int i = 0; i < FUNCTIONS; i++)
            share[i] = atof(argv[at + i]);
        work(share, atof(argv[at + FUNCTIONS]));
    }
    printf("locked_kib=%zu\n", status_kib("VmLck"));
    return 0;
}
