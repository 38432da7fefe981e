/* What a frame costs in the signal handler, in code without frame pointers: by unwind tables, on the same
 * stack again and on 10,000 stacks over a hundred MiB of text; on the same stacks with libunwind's cursor and
 * with unw_backtrace; and by frame pointers, as deep. Every round does all of these in turn, above an empty
 * handler.
 *
 *   unwind [ROUNDS]
 *
 * Each line ends with the bound that the figure must keep. Exit status 1 if a walk was wrong. */
#include "bench/self_signal.h"
#include "bench/statistics.h"
#include "bench/verdict.h"
#include "common/arch.h"
#include "common/unwind_build.h"
#include "profiler/walk.h"

#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <stdio.h>

enum { DEPTH_MAX = 40, COLD_DEPTH = 20, COLD_STACKS = 10000, BATCH = 100, BATCHES = 10 };
enum { SWEEP = 64 << 20 };
enum way { EMPTY, TABLES, WALK, CURSOR, BACKTRACE, FRAME_POINTERS, WAYS };

/* Functions of which each calls the next, and behind them the one that sends. */
struct chain {
    void *functions[DEPTH_MAX];
};

extern const struct {
    const int32_t *first, *end; /* each is a function's distance from itself */
} bench_text;

static struct kernel_actions {
    struct hpp_kernel_sigaction of[WAYS];
} actions;
static unsigned depth;               /* frames of the stack that is walked */
static int batch;                    /* signals sent at the bottom of a chain */
static uint64_t expected[DEPTH_MAX]; /* what the tables found in the present stack */
static void *seen[DEPTH_MAX + 16];   /* what libunwind did, and how much */
static unsigned seen_count;
static unsigned long wrong;

/* ---- handlers ---------------------------------------------------------------------------------------- */

static void handle_empty(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
}

/* Our walk alone, in a handler that does no more than those of libunwind. */
static void handle_by_walk(int signal, siginfo_t *info, void *context)
{
    struct hpp_walk walk = {.pc = hpp_arch_pc(context),
                            .sp = hpp_arch_sp(context),
                            .fp = hpp_arch_fp(context),
                            .context = context,
                            .stack_low = slot->stack_low,
                            .stack_end = slot->stack_end,
                            .root_fp = slot->root_fp,
                            .code = atomic_load(&hpp_sampler.code),
                            .agent = hpp_sampler.agent,
                            .cache = &hpp_sampler.rings[slot->home]->cache};
    struct hpp_walk_result result;

    (void)signal, (void)info;
    hpp_walk_frames(&walk, (uint64_t *)seen, DEPTH_MAX, &result);
    seen_count = result.count;
}

static void handle_by_cursor(int signal, siginfo_t *info, void *context)
{
    unw_cursor_t cursor;
    unw_word_t pc;
    unsigned count = 0;

    (void)signal, (void)info;
    unw_init_local2(&cursor, context, UNW_INIT_SIGNAL_FRAME);
    do {
        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        seen[count++] = (void *)pc;
    } while (count < depth && unw_step(&cursor) > 0);
    seen_count = count;
}

/* It begins with this handler's own frame and the signal's. */
static void handle_by_backtrace(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    seen_count = (unsigned)unw_backtrace(seen, (int)depth + 2);
}

/* ---- stacks ------------------------------------------------------------------------------------------ */

static void send_batch(void **unused)
{
    (void)unused;
    send_signals(batch);
    __asm__ volatile("");
}

static __attribute__((noinline)) void descend(unsigned frames)
{
    if (frames > 1)
        descend(frames - 1);
    else
        send_signals(batch);
    __asm__ volatile("");
}

static ROOT void run(const struct chain *chain, int by_frame_pointer)
{
    slot->root_fp = (uint64_t)__builtin_frame_address(0);
    if (by_frame_pointer)
        descend(depth);
    else
        ((void (*)(void *const *))chain->functions[0])(chain->functions + 1);
    __asm__ volatile("");
}

static void make_chain(struct chain *chain, uint64_t *seed)
{
    uint64_t functions = (uint64_t)(bench_text.end - bench_text.first);

    for (unsigned i = 0; i + 1 < depth; i++) {
        const int32_t *entry;
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        entry = bench_text.first + (*seed >> 33) % functions;
        chain->functions[i] = (char *)entry + *entry;
    }
    chain->functions[depth - 1] = (void *)send_batch;
}

/* Empties the ring; every record in it must be a whole stack. That of the tables is expected of libunwind. */
static void drain(enum way way)
{
    struct hpp_ring *ring = hpp_sampler.rings[slot->home];
    const uint64_t *record;

    while ((record = hpp_ring_peek(ring))) {
        if (HPP_RECORD_FRAMES(*record) != depth || HPP_RECORD_END(*record) != HPP_WALK_ROOT)
            wrong++;
        else if (way == TABLES)
            memcpy(expected, record + HPP_RECORD_WORDS, depth * sizeof expected[0]);
        hpp_ring_consume(ring, record);
    }
}

/* Whether libunwind saw the same frames. */
static void compare(unsigned skip)
{
    if (seen_count != depth + skip || memcmp(seen + skip, expected, depth * sizeof expected[0]) != 0)
        wrong++;
}

/* ---- measuring --------------------------------------------------------------------------------------- */

static void use(enum way way)
{
    hpp_sampler.no_tables = way == FRAME_POINTERS;
    hpp_sys_sigaction(SIGPROF, &actions.of[way], NULL);
}

/* Nanoseconds a signal on the one stack. */
static double measure_again(enum way way, const struct chain *chain)
{
    double spent = 0;

    use(way);
    batch = BATCH;
    seen_count = 0;
    for (int i = 0; i < BATCHES; i++) {
        double start = cpu_ns();
        run(chain, way == FRAME_POINTERS);
        spent += cpu_ns() - start;
        if (way == TABLES || way == FRAME_POINTERS)
            drain(way);
    }
    if (way == WALK || way == CURSOR || way == BACKTRACE)
        compare(way == BACKTRACE ? 2 : 0);
    return spent / (BATCH * BATCHES);
}

static void sweep_caches(void)
{
    static char *memory;
    if (!memory)
        memory = malloc(SWEEP);
    memset(memory, memory[1] + 1, SWEEP);
}

/* Nanoseconds a signal, one on each stack, with processor caches that hold none of it at first. */
static double measure_cold(enum way way, const struct chain *chains)
{
    double spent = 0;

    use(way);
    batch = 1;
    sweep_caches();
    memset(&hpp_sampler.rings[slot->home]->cache, 0, sizeof(struct hpp_walk_cache));
    for (int i = 0; i < COLD_STACKS;) {
        double start = cpu_ns();
        for (int end = i + 100; i < end; i++) /* as many as the ring takes */
            run(&chains[i], 0);
        spent += cpu_ns() - start;
        if (way == TABLES)
            drain(way);
    }
    return spent / COLD_STACKS;
}

static void shuffle(struct chain *chains, uint64_t *seed)
{
    for (unsigned i = COLD_STACKS; i > 1; i--) {
        struct chain swapped = chains[i - 1];
        unsigned other;
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        other = (unsigned)((*seed >> 33) % i);
        chains[i - 1] = chains[other];
        chains[other] = swapped;
    }
}

/* The median over ROUNDS of (ns[WAY] - ns[EMPTY]) / depth. */
static double above(double **ns, enum way way, size_t rounds, double *each)
{
    for (size_t i = 0; i < rounds; i++)
        each[i] = (ns[way][i] - ns[EMPTY][i]) / depth;
    return spread_of(each, rounds).median;
}

static double ratio(double **ns, enum way way, size_t rounds, double *each)
{
    for (size_t i = 0; i < rounds; i++)
        each[i] = (ns[way][i] - ns[EMPTY][i]) / (ns[WALK][i] - ns[EMPTY][i]);
    return spread_of(each, rounds).median;
}

static void report_libunwind(double **ns, size_t rounds, double *each, int bounded)
{
    double cursor = ratio(ns, CURSOR, rounds, each), backtrace = ratio(ns, BACKTRACE, rounds, each);

    no_bound("the walk alone, ns a frame", above(ns, WALK, rounds, each));
    no_bound("libunwind's cursor, ns a frame", above(ns, CURSOR, rounds, each));
    no_bound("unw_backtrace, ns a frame", above(ns, BACKTRACE, rounds, each));
    if (bounded) {
        at_least("libunwind's cursor / the walk alone", cursor, 10);
        at_least("unw_backtrace / the walk alone", backtrace, 3);
    } else { /* whose caches hold these stacks from the rounds before */
        no_bound("libunwind's cursor / the walk alone", cursor);
        no_bound("unw_backtrace / the walk alone", backtrace);
    }
}

static void bench_again(unsigned frames, size_t rounds, double **ns, double *each, uint64_t *seed)
{
    struct chain chain;

    depth = frames;
    make_chain(&chain, seed);
    for (enum way way = EMPTY; way < WAYS; way++)
        measure_again(way, &chain);
    for (size_t round = 0; round < rounds; round++)
        for (unsigned i = 0; i < WAYS; i++) {
            enum way way = (enum way)((round + i) % WAYS);
            ns[way][round] = measure_again(way, &chain);
        }
    memcpy(each, ns[EMPTY], rounds * sizeof *each);
    printf("\nThe same stack again, %u frames (an empty handler: %.0f ns a signal):\n", depth,
           spread_of(each, rounds).median);
    at_most("by tables, ns a frame", above(ns, TABLES, rounds, each), 15);
    no_bound("by frame pointers, ns a frame", above(ns, FRAME_POINTERS, rounds, each));
    report_libunwind(ns, rounds, each, 1);
}

static void bench_cold(size_t rounds, double **ns, double *each, uint64_t *seed)
{
    struct chain *chains = malloc(COLD_STACKS * sizeof *chains);

    depth = COLD_DEPTH;
    for (unsigned i = 0; i < COLD_STACKS; i++)
        make_chain(&chains[i], seed);
    measure_cold(EMPTY, chains); /* the text's pages */
    for (enum way way = TABLES; way < FRAME_POINTERS; way++)
        measure_cold(way, chains);
    for (size_t round = 0; round < rounds; round++) {
        shuffle(chains, seed);
        for (unsigned i = 0; i < FRAME_POINTERS; i++) {
            enum way way = (enum way)((round + i) % FRAME_POINTERS);
            ns[way][round] = measure_cold(way, chains);
        }
    }
    printf("\n%d stacks of %u frames, each once, in random order:\n", COLD_STACKS, depth);
    at_most("by tables, ns a frame", above(ns, TABLES, rounds, each), 60);
    report_libunwind(ns, rounds, each, 0);
    free(chains);
}

/* ---- start ------------------------------------------------------------------------------------------- */

/* The table for the file at ADDRESS, as the writer would make it. */
static int give_table(uint64_t address, const char *name)
{
    const struct hpp_code_range *range = hpp_image_find(atomic_load(&hpp_sampler.code), address);
    struct hpp_unwind_build build = {0};
    const struct hpp_unwind_table *table;
    double start = cpu_ns();

    build.source.fd = range ? (int)hpp_sys_open(range->segment->image->path, O_RDONLY, 0) : -1;
    if (build.source.fd < 0 || hpp_unwind_build(&build, &table)) {
        fprintf(stderr, "unwind: no table for %s: %s\n", name, build.reason ? build.reason : "no such file");
        return -1;
    }
    printf("%s: %.1f MiB of text, %u rows and %u rules made in %.1f ms\n", name,
           (double)(range->end - range->start) / (1 << 20), table->rows, table->rules,
           (cpu_ns() - start) / 1e6);
    hpp_sys_close(build.source.fd);
    atomic_store((_Atomic(const struct hpp_unwind_table *) *)&range->segment->table, table);
    return 0;
}

static int set_up(void)
{
    if (set_up_sampler(HPP_DEPTH_MAX) || give_table((uint64_t)(uintptr_t)set_up, "this program") ||
        give_table((uint64_t)(uintptr_t)bench_text.first + (uint64_t)(int64_t)*bench_text.first,
                   "generated code"))
        return -1;
    for (enum way way = EMPTY; way < WAYS; way++)
        actions.of[way] = agent_action;
    /* libunwind knows libc's signal return by its call-frame information */
    sigaction(SIGPROF, &(struct sigaction){.sa_sigaction = handle_empty, .sa_flags = SA_SIGINFO}, NULL);
    hpp_sys_sigaction(SIGPROF, NULL, &agent_action);
    actions.of[EMPTY] = action_with(handle_empty);
    actions.of[WALK] = action_with(handle_by_walk);
    actions.of[CURSOR] = action_with(handle_by_cursor);
    actions.of[BACKTRACE] = action_with(handle_by_backtrace);
    return unw_set_caching_policy(unw_local_addr_space, UNW_CACHE_GLOBAL) ||
           unw_set_cache_size(unw_local_addr_space, 1024, 0);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 31;
    double *ns[WAYS], *each = calloc(rounds, sizeof *each);
    uint64_t seed = 1;

    if (!rounds || set_up()) {
        fputs("unwind: cannot set up (usage: unwind [ROUNDS])\n", stderr);
        return 1;
    }
    for (enum way way = EMPTY; way < WAYS; way++)
        ns[way] = calloc(rounds, sizeof *ns[way]);
    bench_again(20, rounds, ns, each, &seed);
    bench_again(40, rounds, ns, each, &seed);
    bench_cold(rounds, ns, each, &seed);
    if (wrong) {
        fprintf(stderr, "unwind: %lu walks were wrong\n", wrong);
        return 1;
    }
    return 0;
}
