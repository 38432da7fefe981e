/* Spends its time 60/30/10 % in three functions, each called by a chain of its own from main, and
 * prints what share each had on the CPU clock. Argument: seconds of CPU (default 4.5).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include "padding.h"
#include <stdio.h>
#include <stdlib.h>

BURN_FUNCTION(alpha_work, 6364136223846793005u)
BURN_CALLER(alpha_step, alpha_work)
BURN_CALLER(alpha, alpha_step)
BURN_FUNCTION(beta_work, 2862933555777941757u)
BURN_CALLER(beta, beta_work)
BURN_FUNCTION(gamma_work, 3202034522624059733u)

static const struct {
    const char *name;
    void (*call)(double seconds);
    double share;
} branches[] = {
    {"alpha_work", alpha, 0.6},
    {"beta_work", beta, 0.3},
    {"gamma_work", gamma_work, 0.1},
};

enum { BRANCHES = sizeof(branches) / sizeof(branches[0]) };

/* Calls the branch that is furthest behind its share, for a drawn time: no rhythm that a timer
 * could fall in step with. */
static __attribute__((noinline)) void drive(double seconds, double used[BRANCHES])
{
    uint64_t state = 1;
    double all = 0;
    while (all < seconds) {
        int next = 0;
        for (int i = 1; i < BRANCHES; i++)
            if (branches[i].share * all - used[i] > branches[next].share * all - used[next])
                next = i;
        double start = burn_clock();
        branches[next].call(0.001 * (double)(3 + burn_random(&state) % 20));
        double took = burn_clock() - start;
        used[next] += took;
        all += took;
    }
}

int main(int argc, char **argv)
{
    double used[BRANCHES] = {0}, all = 0;
    drive(argc > 1 ? atof(argv[1]) : 4.5, used);
    for (int i = 0; i < BRANCHES; i++)
        all += used[i];
    for (int i = 0; i < BRANCHES; i++)
        printf("%s %.2f\n", branches[i].name, 100 * used[i] / all);
    return 0;
}
