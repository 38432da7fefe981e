/* Calls into 16,384 pages of code, one function a page, in an order that is random and always the same:
 *     remap_calls ROUNDS            prints the ns a call takes, the median of so many rounds of all
 *     remap_calls stalls SECONDS    calls them for so long, and prints the us that it stood still in one call
 *                                   at most, unless its processor was taken from it
 * and then the KiB of them that are on huge pages. For bench/remap.sh. x86-64. */
#include "bench/statistics.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

enum { PAGE = 4096, FUNCTIONS = 16384, LOOKS = 64 };

/* Number i returns its argument plus i. It lies in another line of its page than its neighbours do: the
 * functions share out the sets of the caches. */
__asm__(".pushsection .text.zz_functions, \"ax\", @progbits\n.balign 0x200000\nfunctions:\n.set number, 0\n"
        ".rept 16384\n.balign 4096, 0xcc\n.fill (number % 63) * 64, 1, 0xcc\n"
        " lea number(%rdi), %rax\n ret\n.set number, number + 1\n.endr\n.balign 4096, 0xcc\n.popsection\n");
extern const char functions[] __asm__("functions");

typedef uint64_t function(uint64_t);

static function *order[FUNCTIONS];

static void shuffle(void)
{
    uint64_t seed = 88172645463325252u;

    for (uint64_t i = 0; i < FUNCTIONS; i++) {
        uint64_t other;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        other = (seed >> 33) % (i + 1);
        order[i] = order[other];
        order[other] = (function *)(uintptr_t)(functions + i * PAGE + i % 63 * 64);
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* KiB of the functions on huge pages, of whatever kind. */
static long huge_kib(void)
{
    static const char *const kinds[] = {"AnonHugePages: %ld", "ShmemPmdMapped: %ld", "FilePmdMapped: %ld",
                                        "Shared_Hugetlb: %ld", "Private_Hugetlb: %ld"};
    FILE *smaps = fopen("/proc/self/smaps", "r");
    uintptr_t start, end, first = (uintptr_t)functions, last = first + (uintptr_t)FUNCTIONS * PAGE;
    long sum = 0, kib;
    int within = 0;
    char line[4352];

    while (smaps && fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%lx-%lx", &start, &end) == 2)
            within = start < last && end > first;
        for (size_t i = 0; within && i < sizeof kinds / sizeof kinds[0]; i++)
            if (sscanf(line, kinds[i], &kib) == 1)
                sum += kib;
    }
    if (smaps)
        fclose(smaps);
    return sum;
}

static uint64_t call_all(uint64_t value)
{
    for (size_t i = 0; i < FUNCTIONS; i++)
        value = order[i](value);
    return value;
}

static int measure(size_t rounds)
{
    double *each = calloc(rounds, sizeof *each);
    uint64_t value = call_all(0), once = value;

    for (size_t i = 0; i < rounds; i++) {
        double start = now();
        value = call_all(value);
        each[i] = (now() - start) / FUNCTIONS;
    }
    printf("%.2f %ld\n", spread_of(each, rounds).median, huge_kib());
    free(each);
    return once != (uint64_t)FUNCTIONS * (FUNCTIONS - 1) / 2 || value != once * (rounds + 1);
}

static long preempted(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static int stand_still(double seconds)
{
    double before = now(), end = before + seconds * 1e9, longest = 0;
    uint64_t value = 0, calls = 0, sum = 0;
    long switches = preempted();

    while (before < end) {
        function *next = order[calls % FUNCTIONS];
        double after;
        value = next(value);
        sum += ((uintptr_t)next - (uintptr_t)functions) / PAGE;
        after = now();
        if (after - before > longest) {
            long present = preempted();
            if (present == switches)
                longest = after - before;
            switches = present;
            after = now();
        }
        if (!(++calls % LOOKS)) { /* where one was long, no other may have been before */
            switches = preempted();
            after = now();
        }
        before = after;
    }
    printf("%.1f %ld\n", longest / 1e3, huge_kib());
    return value != sum;
}

int main(int argc, char **argv)
{
    shuffle();
    if (argc > 2)
        return stand_still(strtod(argv[2], NULL));
    return argc > 1 ? measure(strtoul(argv[1], NULL, 10)) : 2;
}
