/* Runs a command in several variants, interleaved, and compares each variant with the first:
 *
 *   pairs ROUNDS cpu|wall NAME [VARIABLE=VALUE...] [WORD...] : NAME ... [-- WORD...]
 *
 * A round runs every variant once, the first in line changing from round to round; a variant's ratio is
 * taken within the round, and so is the difference. A command is the variant's words followed by those behind
 * `--`; its output goes to /dev/null. cpu: CPU time of the whole process tree, writers that outlive their
 * program included (they come to us, their subreaper); wall: until the command itself has ended. Exit status
 * 1 if a command fails. */
#include "bench/statistics.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VARIANTS = 8, WORDS = 64 };

struct variant {
    const char *name;
    char *assignments[WORDS]; /* NULL-terminated, as words is */
    char *words[WORDS];
    double *seconds; /* of each round */
};

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double cpu_of_children(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

static double wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void become(const struct variant *variant)
{
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
    for (int i = 0; variant->assignments[i]; i++)
        putenv(variant->assignments[i]);
    execvp(variant->words[0], variant->words);
    _exit(127);
}

/* Returns the seconds it took; ends the benchmark if it failed. */
static double run(const struct variant *variant, bool wall)
{
    double cpu = cpu_of_children(), start = wall_clock(), end = 0;
    int status = 0, child_status = 0;
    pid_t child = fork(), ended;

    if (child == 0)
        become(variant);
    while ((ended = waitpid(-1, &status, __WALL)) > 0)
        if (ended == child) {
            end = wall_clock();
            child_status = status;
        }
    if (child < 0 || child_status) {
        fprintf(stderr, "pairs: variant %s: %s failed (status 0x%x)\n", variant->name, variant->words[0],
                child_status);
        exit(1);
    }
    return wall ? end - start : cpu_of_children() - cpu;
}

static const char *unit_of(double *seconds)
{
    double scale = *seconds < 1e-3 ? 1e6 : *seconds < 1 ? 1e3 : 1;
    *seconds *= scale;
    return scale == 1 ? "s" : scale == 1e3 ? "ms" : "us";
}

/* A line of the table: the median, then what is taken within each round: ratios to BASE, differences. */
static void print(const struct variant *variant, const struct variant *base, size_t rounds)
{
    double *each = calloc(rounds, sizeof *each), median;
    struct spread ratio;
    const char *unit;

    median = spread_of(memcpy(each, variant->seconds, rounds * sizeof *each), rounds).median;
    unit = unit_of(&median);
    printf("  %-13s %8.3f %s", variant->name, median, unit);
    for (size_t i = 0; i < rounds; i++)
        each[i] = variant->seconds[i] / base->seconds[i];
    ratio = spread_of(each, rounds);
    for (size_t i = 0; i < rounds; i++)
        each[i] = (variant->seconds[i] - base->seconds[i]) * 1e3;
    if (variant != base)
        printf("%*s%+10.3f ms  %6.3f  %6.3f..%-6.3f %6.3f..%.3f", unit[1] ? 1 : 2, "",
               spread_of(each, rounds).median, ratio.median, ratio.first, ratio.third, ratio.low, ratio.high);
    putchar('\n');
    free(each);
}

static bool is_assignment(const char *word)
{
    const char *equals = strchr(word, '=');
    return equals && !memchr(word, '/', (size_t)(equals - word)) && *word != '-';
}

/* Returns the number of variants, 0 if the command line makes no sense. */
static int parse(char **words, struct variant *variants)
{
    int count = 0;

    while (*words && strcmp(*words, "--") && count < VARIANTS) {
        struct variant *variant = &variants[count++];
        int assignments = 0, own = 0;
        variant->name = *words++;
        while (*words && is_assignment(*words) && assignments < WORDS - 1)
            variant->assignments[assignments++] = *words++;
        while (*words && strcmp(*words, ":") && strcmp(*words, "--") && own < WORDS - 1)
            variant->words[own++] = *words++;
        if (*words && !strcmp(*words, ":"))
            words++;
    }
    for (int i = 0; i < count; i++) {
        int own = 0;
        while (variants[i].words[own])
            own++;
        for (char **word = words; *word && word[1] && own < WORDS - 1; word++)
            variants[i].words[own++] = word[1];
        if (!own)
            return 0;
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct variant variants[VARIANTS];
    int count = argc > 3 ? parse(argv + 3, variants) : 0;
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    bool wall = argc > 2 && !strcmp(argv[2], "wall");

    if (count < 2 || !rounds || (!wall && strcmp(argv[2], "cpu"))) {
        fputs("usage: pairs ROUNDS cpu|wall NAME [VARIABLE=VALUE...] [WORD...] : NAME ... [-- WORD...]\n",
              stderr);
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < count; i++) {
        variants[i].seconds = calloc(rounds, sizeof *variants[i].seconds);
        run(&variants[i], wall); /* not counted: fills caches */
    }
    for (size_t round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++) {
            struct variant *variant = &variants[(round + (size_t)i) % (size_t)count];
            variant->seconds[round] = run(variant, wall);
        }
    printf("  %-13s %11s %13s  %6s  %-14s %s\n", wall ? "wall clock" : "CPU time", "median", "difference",
           "ratio", " quartiles", " all");
    for (int i = 0; i < count; i++)
        print(&variants[i], &variants[0], rounds);
    printf("  (differences and ratios to %s, medians of %zu pairs)\n", variants[0].name, rounds);
    return 0;
}
