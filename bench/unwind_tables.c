/* Unwind tables of ELF files: bytes a row, against what the file spends on the same, and how long building
 * takes.
 *
 *   unwind_tables ROUNDS FILE... */
#include "bench/statistics.h"
#include "bench/verdict.h"
#include "common/sys.h"
#include "common/unwind_build.h"

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Builds the table of PATH ROUNDS times and prints its figures. Returns 0, or 1 with a message. */
static int measure(const char *path, size_t rounds, double *each)
{
    struct hpp_elf_source source = {0, (int)hpp_sys_open(path, O_RDONLY, 0)};
    double size = 0, rows = 0, frames = 0;

    for (size_t i = 0; i < rounds; i++) {
        struct hpp_unwind_build build = {.source = source};
        const struct hpp_unwind_table *table;
        double start = cpu_ms();
        if (source.fd < 0 || hpp_unwind_build(&build, &table)) {
            fprintf(stderr, "unwind_tables: %s: %s\n", path, source.fd < 0 ? "cannot be read" : build.reason);
            return 1;
        }
        each[i] = (cpu_ms() - start) * 1e5 / table->rows;
        size = (double)table->size;
        rows = table->rows;
        frames = (double)build.frame_bytes;
        hpp_unwind_free(table);
    }
    hpp_sys_close(source.fd);
    printf("%s: %.0f rows\n", path, rows);
    at_most("bytes a row, rules and index included", size / rows, 6);
    at_most("bytes / .eh_frame and .eh_frame_hdr", size / frames, 1);
    at_most("ms of one core for 100,000 rows", spread_of(each, rounds).median, 10);
    return 0;
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    int failed = 0;

    if (!rounds) {
        fputs("usage: unwind_tables ROUNDS FILE...\n", stderr);
        return 2;
    }
    for (int i = 2; i < argc; i++)
        failed |= measure(argv[i], rounds, calloc(rounds, sizeof(double)));
    return failed;
}
