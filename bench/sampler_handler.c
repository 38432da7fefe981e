/* What the agent's signal handler costs above an empty one, and what those of other samplers cost on the same
 * stack:
 *
 *   sampler_handler ROUNDS DEPTH FOLDER [libprofiler.so|- [libbench_pprof_rs.so|-]]
 *
 * The thread sends itself the signals, at a known depth, whole stacks by frame pointer, to each handler in
 * turn. Others' libraries are loaded and started at 1 Hz, and their timers taken away; what they write goes
 * to FOLDER. */
#include "bench/self_batch.h"
#include "bench/statistics.h"
#include "bench/verdict.h"
#include "profiler/walk.h"

#include <dlfcn.h>
#include <stdio.h>
#include <sys/time.h>

enum { BATCHES = 20 };
enum way { EMPTY, AUTO, PIPE, LIBPROFILER, PPROF_RS, WAYS };

/* As <gperftools/profiler.h> has it. */
struct profiler_state {
    int enabled;
    time_t start_time;
    char profile_name[1024];
    int samples_gathered;
};

static const char *const names[WAYS] = {"empty", "auto", "pipe", "libprofiler", "pprof-rs"};
static struct hpp_kernel_sigaction actions[WAYS];
static int there[WAYS] = {1, 1, 1};
static void (*libprofiler_state)(struct profiler_state *);
static int64_t (*pprof_rs_samples)(void);

static void empty_handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
}

/* ---- the others -------------------------------------------------------------------------------------- */

/* Keeps the handler that was just installed for WAY, and takes its timer away. */
static void keep(enum way way)
{
    const struct itimerval none = {0};

    setitimer(ITIMER_PROF, &none, NULL);
    hpp_sys_sigaction(SIGPROF, NULL, &actions[way]);
    signal(SIGPROF, SIG_DFL);
    there[way] = 1;
}

static void load_libprofiler(const char *path, const char *folder)
{
    void *library = dlopen(path, RTLD_NOW);
    int (*start)(const char *) = library ? (int (*)(const char *))dlsym(library, "ProfilerStart") : NULL;
    char file[4096];

    libprofiler_state =
        library ? (void (*)(struct profiler_state *))dlsym(library, "ProfilerGetCurrentState") : NULL;
    setenv("CPUPROFILE_FREQUENCY", "1", 1);
    snprintf(file, sizeof file, "%s/libprofiler", folder);
    if (start && libprofiler_state && start(file))
        keep(LIBPROFILER);
}

static void load_pprof_rs(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    int (*start)(int) = library ? (int (*)(int))dlsym(library, "bench_pprof_rs_start") : NULL;

    pprof_rs_samples = library ? (int64_t(*)(void))dlsym(library, "bench_pprof_rs_samples") : NULL;
    if (start && pprof_rs_samples && !start(1))
        keep(PPROF_RS);
}

/* ---- measuring --------------------------------------------------------------------------------------- */

/* Nanoseconds a signal, handled in this way. */
static double measure(enum way way, unsigned depth)
{
    double spent = 0;

    hpp_sampler.check_all = way == PIPE;
    hpp_sys_sigaction(SIGPROF, &actions[way], NULL);
    for (int i = 0; i < BATCHES; i++) {
        double start = cpu_ns();
        run_batch(depth);
        spent += cpu_ns() - start;
        drain(depth);
    }
    return spent / (BATCH * BATCHES);
}

/* The median of what WAY's signals cost more than the empty handler's of the same round. */
static double above_empty(double *const ns[WAYS], enum way way, size_t rounds)
{
    double *each = calloc(rounds, sizeof *each), median;

    for (size_t i = 0; i < rounds; i++)
        each[i] = ns[way][i] - ns[EMPTY][i];
    median = spread_of(each, rounds).median;
    free(each);
    return median;
}

/* Whether every signal became a sample of the whole stack, in all that can tell. */
static int all_sampled(size_t rounds, unsigned depth)
{
    unsigned long each = (rounds + 1) * BATCH * BATCHES;
    struct profiler_state state = {0};

    if (there[LIBPROFILER])
        libprofiler_state(&state);
    if (records_bad || records_good != 2 * each) {
        fprintf(stderr, "sampler_handler: %u whole stacks of %u frames, %u others\n", records_good, depth,
                records_bad);
        return 0;
    }
    printf("  samples of %lu signals each: auto and pipe all", each);
    if (there[LIBPROFILER])
        printf(", libprofiler %d", state.samples_gathered);
    if (there[PPROF_RS])
        printf(", pprof-rs %ld", (long)pprof_rs_samples());
    putchar('\n');
    return 1;
}

static void print(double *const ns[WAYS], size_t rounds, unsigned depth)
{
    double above[WAYS], all[WAYS];
    char what[64];

    for (int way = 0; way < WAYS; way++) {
        above[way] = there[way] ? above_empty(ns, way, rounds) : 0;
        all[way] = there[way] ? spread_of(ns[way], rounds).median : 0;
        if (there[way]) {
            snprintf(what, sizeof what, "a signal with %s, ns", names[way]);
            no_bound(what, all[way]);
        }
    }
    snprintf(what, sizeof what, "handler at depth %u above an empty one, ns", depth);
    at_most(what, above[AUTO], 150);
    at_least("every address by pipe / handler", above[PIPE] / above[AUTO], 50);
    if (there[LIBPROFILER])
        at_least("libprofiler / handler", above[LIBPROFILER] / above[AUTO], 10);
    if (there[PPROF_RS])
        at_least("pprof-rs / handler", above[PPROF_RS] / above[AUTO], 10);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 3 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned depth = argc > 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    double *ns[WAYS];

    hpp_sampler.no_tables = 1;
    if (!rounds || depth < 2 || set_up_sampler(HPP_DEPTH_MAX)) {
        fputs("sampler_handler: cannot set up (usage: sampler_handler ROUNDS DEPTH FOLDER [LIBRARY "
              "[LIBRARY]])\n",
              stderr);
        return 1;
    }
    actions[EMPTY] = action_with(empty_handler);
    actions[AUTO] = actions[PIPE] = agent_action;
    signal(SIGPROF, SIG_DFL); /* libprofiler takes no signal that is in use */
    if (argc > 4 && argv[4][0] != '-')
        load_libprofiler(argv[4], argv[3]);
    if (argc > 5 && argv[5][0] != '-')
        load_pprof_rs(argv[5]);
    for (int way = 0; way < WAYS; way++) {
        ns[way] = calloc(rounds, sizeof *ns[way]);
        if (there[way])
            measure(way, depth);
    }
    for (size_t round = 0; round < rounds; round++)
        for (int i = 0; i < WAYS; i++) {
            int way = (int)((round + (size_t)i) % WAYS);
            if (there[way])
                ns[way][round] = measure(way, depth);
        }
    if (!all_sampled(rounds, depth))
        return 1;
    print(ns, rounds, depth);
    return 0;
}
