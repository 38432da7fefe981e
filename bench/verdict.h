/* Prints a figure, the bound that it must keep, and whether it does. */
#ifndef HPP_BENCH_VERDICT_H
#define HPP_BENCH_VERDICT_H

#include <stdio.h>

static inline void no_bound(const char *what, double value)
{
    printf("  %-48s %9.2f\n", what, value);
}

static inline void at_most(const char *what, double value, double bound)
{
    printf("  %-48s %9.2f  at most %-5g %s\n", what, value, bound, value <= bound ? "ok" : "MISSED");
}

static inline void at_least(const char *what, double value, double bound)
{
    printf("  %-48s %9.2f  at least %-4g %s\n", what, value, bound, value >= bound ? "ok" : "MISSED");
}

#endif
