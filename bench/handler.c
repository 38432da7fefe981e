/* What the agent's signal handler costs above an empty one: sends this thread the signals that its CPU timer
 * would send, at a known depth, to an empty handler and to the agent's own in both validations, interleaved.
 *
 *   handler [ROUNDS] [DEPTH]
 */
#include "bench/self_batch.h"
#include "bench/statistics.h"
#include "profiler/walk.h"

#include <stdio.h>

enum { BATCHES = 20, WAYS = 3 };

static const char *const ways[WAYS] = {"empty", "auto", "pipe"};
static struct hpp_kernel_sigaction empty_action;

static void empty_handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
}

/* Nanoseconds a signal, handled in this way. */
static double measure(int way, unsigned depth)
{
    double spent = 0;

    hpp_sampler.check_all = way == 2;
    hpp_sys_sigaction(SIGPROF, way == 0 ? &empty_action : &agent_action, NULL);
    for (int i = 0; i < BATCHES; i++) {
        double start = cpu_ns();
        run_batch(depth);
        spent += cpu_ns() - start;
        drain(depth);
    }
    return spent / (BATCH * BATCHES);
}

/* Walks by frame pointer: this program has them, and no tables are made for it. */
static int set_up(void)
{
    hpp_sampler.no_tables = 1;
    if (set_up_sampler(HPP_DEPTH_MAX))
        return -1;
    empty_action = action_with(empty_handler);
    return 0;
}

/* A line of the table; what is above EMPTY is taken within each round, and so is its spread. */
static void print(const char *name, const double *ns, const double *empty, size_t rounds)
{
    double *each = calloc(rounds, sizeof *each), ratio;
    struct spread above;

    printf("  %-12s %8.0f ns", name, spread_of(memcpy(each, ns, rounds * sizeof *each), rounds).median);
    for (size_t i = 0; i < rounds; i++)
        each[i] = ns[i] / empty[i];
    ratio = spread_of(each, rounds).median;
    for (size_t i = 0; i < rounds; i++)
        each[i] = ns[i] - empty[i];
    above = spread_of(each, rounds);
    if (ns != empty)
        printf(" %+9.0f ns  %6.3f  %6.0f..%-6.0f %6.0f..%.0f", above.median, ratio, above.first, above.third,
               above.low, above.high);
    putchar('\n');
    free(each);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 101;
    unsigned depth = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20;
    double *ns[WAYS];

    if (!rounds || depth < 2 || set_up()) {
        fputs("handler: cannot set up (usage: handler [ROUNDS] [DEPTH of 2 or more])\n", stderr);
        return 1;
    }
    for (int way = 0; way < WAYS; way++) {
        ns[way] = calloc(rounds, sizeof *ns[way]);
        measure(way, depth);
    }
    for (size_t round = 0; round < rounds; round++)
        for (int i = 0; i < WAYS; i++) {
            int way = (int)((round + (size_t)i) % WAYS);
            ns[way][round] = measure(way, depth);
        }
    if (records_bad || records_good != 2 * (rounds + 1) * BATCH * BATCHES) {
        fprintf(stderr, "handler: %u whole stacks of %u frames, %u others\n", records_good, depth,
                records_bad);
        return 1;
    }
    printf("  %-12s %11s %12s  %6s  %-14s %s\n", "a signal", "median", "above empty", "ratio",
           " quartiles, ns", " all, ns");
    for (int way = 0; way < WAYS; way++)
        print(ways[way], ns[way], ns[0], rounds);
    printf("  (medians of %zu rounds of %d signals that the thread sends itself)\n", rounds, BATCH * BATCHES);
    return 0;
}
