/* Medians and spreads, for the programs of bench/. */
#ifndef HPP_BENCH_STATISTICS_H
#define HPP_BENCH_STATISTICS_H

#include <stdlib.h>
#include <string.h>

struct spread {
    double low, first, median, third, high; /* smallest, quartiles, largest */
};

static inline int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value a share AT (0..1) of the way through the COUNT sorted VALUES. */
static inline double quantile(const double *values, size_t count, double at)
{
    double place = at * (double)(count - 1);
    size_t below = (size_t)place, above = below + 1 < count ? below + 1 : below;
    return values[below] + (place - (double)below) * (values[above] - values[below]);
}

/* Of COUNT values, at least one; sorts them. */
static inline struct spread spread_of(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_numbers);
    return (struct spread){values[0], quantile(values, count, 0.25), quantile(values, count, 0.5),
                           quantile(values, count, 0.75), values[count - 1]};
}

#endif
