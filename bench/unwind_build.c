/* Measures the builder of unwind tables on large files of the system:
 *
 *   unwind_build [ROUNDS]
 *
 * For libc, libstdc++, libLLVM and cc1: rows, bytes a row with rules and index, the table's size over that of
 * .eh_frame and .eh_frame_hdr, and CPU time for 100,000 rows, the median of ROUNDS (15). Exit status 1 if a
 * bound is missed. */
#include "bench/statistics.h"
#include "bench/verdict.h"
#include "common/unwind_build.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 15, ROUNDS_MAX = 1000 };

static double cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Builds the table of the first file that PATTERN matches, ROUNDS times. Returns 0, or 1 where it misses what
 * is asked of it. */
static int measure(const char *pattern, size_t rounds)
{
    static double times[ROUNDS_MAX], checks[ROUNDS_MAX];
    struct hpp_unwind_build build = {0};
    struct hpp_unwind_table head = {0};
    struct spread spread, check;
    double ratio, bytes;
    glob_t found;

    if (glob(pattern, 0, NULL, &found)) {
        printf("%s: not on this machine\n", pattern);
        return 0;
    }
    build.source.fd = open(found.gl_pathv[0], O_RDONLY);
    for (size_t i = 0; i < rounds; i++) {
        const struct hpp_unwind_table *table;
        double start = cpu_ms();
        if (hpp_unwind_build(&build, &table)) {
            printf("%s: %s\n", found.gl_pathv[0], build.reason);
            return 1;
        }
        times[i] = (cpu_ms() - start) * 1e5 / table->rows;
        head = *table;
        start = cpu_ms();
        if (!hpp_unwind_is_valid(table, table->size))
            return 1;
        checks[i] = (cpu_ms() - start) * 1e5 / table->rows;
        hpp_unwind_free(table);
    }
    close(build.source.fd);
    spread = spread_of(times, rounds);
    check = spread_of(checks, rounds);
    bytes = (double)head.size / head.rows;
    ratio = (double)head.size / (double)build.frame_bytes;
    printf("%s: %u rows, %u rules\n", found.gl_pathv[0], head.rows, head.rules);
    at_most("bytes a row, all included", bytes, 6);
    at_most("its size / that of .eh_frame and .eh_frame_hdr", ratio, 1);
    at_most("building 100,000 rows, ms of CPU time", spread.median, 10);
    no_bound("checking 100,000 rows, ms of CPU time", check.median);
    globfree(&found);
    return bytes > 6 || ratio >= 1 || spread.median > 10;
}

int main(int argc, char **argv)
{
    static const char *const patterns[] = {
        "/lib/*-linux-gnu/libc.so.6",
        "/usr/lib/*-linux-gnu/libstdc++.so.6",
        "/usr/lib/*-linux-gnu/libLLVM-1[0-9].so.1",
        "/usr/lib/gcc/*/*/cc1",
    };
    long rounds = argc > 1 ? atol(argv[1]) : ROUNDS;
    int misses = 0;

    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: unwind_build [ROUNDS]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        misses += measure(patterns[i], (size_t)rounds);
    return misses ? 1 : 0;
}
