/* Prints a figure, the bound that it must keep, and whether it does. */
#ifndef HPP_BENCH_VERDICT_H
#define HPP_BENCH_VERDICT_H

#include <stdio.h>

static inline void at_most(const char *what, double value, double bound)
{
    printf("  %-44s %10.2f  must be at most %g: %s\n", what, value, bound,
           value <= bound ? "holds" : "MISSED");
}

static inline void at_least(const char *what, double value, double bound)
{
    printf("  %-44s %10.2f  must be at least %g: %s\n", what, value, bound,
           value >= bound ? "holds" : "MISSED");
}

static inline void no_bound(const char *what, double value)
{
    printf("  %-44s %10.2f\n", what, value);
}

#endif
