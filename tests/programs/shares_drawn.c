/* Draws the shares of twelve functions and the depth of the recursion that calls each, spends its
 * time so, and prints each name, its share on the CPU clock in per cent, and the depth.
 * Arguments: seconds of CPU (default 4.5), seed (default: drawn and printed on stderr).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include "padding.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

typedef void work_fn(double seconds);

BURN_FUNCTION(parse, 3)
BURN_FUNCTION(plan, 5)
BURN_FUNCTION(scan, 7)
BURN_FUNCTION(probe, 11)
BURN_FUNCTION(hash, 13)
BURN_FUNCTION(sort, 17)
BURN_FUNCTION(merge, 19)
BURN_FUNCTION(fold, 23)
BURN_FUNCTION(encode, 29)
BURN_FUNCTION(compress, 31)
BURN_FUNCTION(check, 37)
BURN_FUNCTION(emit, 41)

#define WORK(name)           \
    {                        \
#name, name, 0, 0, 0 \
    }
static struct {
    const char *name;
    work_fn *call;
    double share, used;
    int depth;
} works[] = {
    WORK(parse), WORK(plan), WORK(scan), WORK(probe),  WORK(hash),     WORK(sort),
    WORK(merge), WORK(fold), WORK(emit), WORK(encode), WORK(compress), WORK(check),
};

enum { WORKS = sizeof(works) / sizeof(works[0]) };

/* A frame of this name for each level above the work. */
static __attribute__((noinline)) void descend(int depth, work_fn *work, double seconds)
{
    if (depth > 1)
        descend(depth - 1, work, seconds);
    else
        work(seconds);
    burn_sink++;
}

static __attribute__((noinline)) void serve(double seconds, uint64_t state)
{
    for (double all = 0; all < seconds;) {
        int next = 0;
        for (int i = 1; i < WORKS; i++)
            if (works[i].share * all - works[i].used > works[next].share * all - works[next].used)
                next = i;
        double start = burn_clock();
        descend(works[next].depth, works[next].call, 0.001 * (double)(2 + burn_random(&state) % 12));
        double took = burn_clock() - start;
        works[next].used += took;
        all += took;
    }
}

int main(int argc, char **argv)
{
    uint64_t state;
    if (getrandom(&state, sizeof(state), 0) != sizeof(state))
        return 1;
    if (argc > 2)
        state = strtoull(argv[2], NULL, 0);
    fprintf(stderr, "seed %#llx\n", (unsigned long long)state);

    double all = 0;
    for (int i = 0; i < WORKS; i++) {
        works[i].share = 1 + (double)(burn_random(&state) % 100);
        works[i].depth = 1 + (int)(burn_random(&state) % 20);
        all += works[i].share;
    }
    for (int i = 0; i < WORKS; i++)
        works[i].share /= all;
    serve(argc > 1 ? atof(argv[1]) : 4.5, state);

    all = 0;
    for (int i = 0; i < WORKS; i++)
        all += works[i].used;
    for (int i = 0; i < WORKS; i++)
        printf("%s %.2f %d\n", works[i].name, 100 * works[i].used / all, works[i].depth);
    return 0;
}
