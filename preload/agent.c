/* The agent's life: start before main, a new life in fork children, the end at exit. Runs on the
 * target's threads; refuses quietly where it must not be. */
#include "preload/agent.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/sys.h"
#include "common/table_cache.h"
#include "common/text.h"
#include "preload/api.h"
#include "preload/exec_mark.h"
#include "preload/head_comments.h"
#include "preload/libunwind.h"
#include "preload/options.h"
#include "preload/output_path.h"
#include "preload/own_images.h"
#include "preload/refusal.h"
#include "preload/remap/data.h"
#include "preload/remap/hot.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/remap.h"
#include "preload/source_choice.h"
#include "preload/tell.h"
#include "preload/threads.h"
#include "profiler/accounts.h"
#include "profiler/checked_read.h"
#include "profiler/handler.h"
#include "profiler/pause.h"
#include "profiler/sampler.h"
#include "profiler/sandbox.h"
#include "profiler/tables.h"
#include "profiler/walk_libunwind.h"
#include "profiler/writer.h"

#define STACK_SPAN_MAX (128ull << 20) /* the kernel maps nothing closer below the main stack */

static struct {
    int started;
    struct hpp_agent_options options;
    struct hpp_arena arena;
    struct hpp_remap_list remap;
    const char *program;  /* its file's name */
    const char *folder;   /* for descendants' profiles; NULL: none is known */
    const char *tables;   /* the folder of unwind tables, or "" */
    uint8_t memory[2048]; /* the arena's first: what all need, so that few need more */
} agent;

int hpp_agent_is_active(void)
{
    return agent.started && !atomic_load(&hpp_sampler.stopped) && !atomic_load(&hpp_sampler.sandboxed) &&
           hpp_sys_getpid() == hpp_sampler.pid;
}

/* The record of all images, before any moves. */
static int find_images(void)
{
    const struct hpp_code_map *map;
    const struct hpp_code_range *own;
    int error =
        hpp_image_scan(&hpp_writer.image_arena, &hpp_writer.map_arena[0], NULL, getauxval(AT_ENTRY), &map);

    if (error)
        return error;
    own = hpp_image_find(map, (uint64_t)(uintptr_t)&hpp_handler);
    hpp_sampler.agent = own ? own->segment : NULL;
    own = hpp_image_find(map, getauxval(AT_ENTRY));
    agent.program = own ? hpp_text_base_name(own->segment->image->path) : "unknown";
    atomic_store(&hpp_sampler.code, map);
    return 0;
}

/* Sets the writer up for this process and starts it. FOLDER is as for hpp_output_path. */
static int start_writer(const char *folder, int inherited)
{
    struct hpp_writer *writer = &hpp_writer;
    const struct hpp_code_map *map = atomic_load(&hpp_sampler.code);

    hpp_aggregate_init(&writer->aggregate);
    if (map && hpp_aggregate_segments(&writer->aggregate, map))
        return -ENOMEM;
    hpp_source_settle(&agent.options);
    writer->entry = getauxval(AT_ENTRY);
    writer->file.fd = -1;
    writer->file.period = hpp_sampler.period;
    writer->file.started = hpp_sys_now(CLOCK_REALTIME);
    writer->file.begun = hpp_sys_now(CLOCK_MONOTONIC);
    writer->file.scratch.no_fork = 1;
    writer->always_write = agent.options.session != NULL;
    writer->file.max = agent.options.file_max;
    writer->flush_interval = agent.options.flush * 1000000000ull;
    hpp_output_path(&writer->file, &agent.options, folder, agent.program, hpp_sampler.pid);
    if (hpp_sampler.timer == HPP_TIMER_PERF && hpp_timer_perf_init())
        return -ENOMEM;
    hpp_tables_init(agent.tables, agent.options.cache_max);
    hpp_head_comments(&agent.options, &agent.remap, inherited);
    if (agent.options.remap.how != HPP_REMAP_OFF)
        hpp_hot_begin(&agent.options.remap, &agent.remap, !hpp_remap_at_start(&agent.options.remap));
    /* In a session the file is there from the start, locked as long as its writer lives: so hpprof record
     * knows whom to wait for. The lock goes with the open file, which the writer inherits. */
    writer->file.locked = agent.options.session != NULL;
    if (agent.options.session)
        hpp_pprof_open(&writer->file);
    if (!hpp_writer_start()) {
        if (writer->file.fd >= 0)
            hpp_sys_close(writer->file.fd); /* the writer has its own */
        return 0;
    }
    atomic_store(&writer->note,
                 "no writer process could be made: samples were written at exit, as far as memory held them");
    if (map || find_images())
        return 0;
    return hpp_aggregate_segments(&writer->aggregate, atomic_load(&hpp_sampler.code));
}

/* ---- fork -------------------------------------------------------------------------------------------- */

static void before_fork(void)
{
    if (!agent.started || atomic_load(&hpp_sampler.sandboxed))
        return;
    hpp_walk_libunwind_pause();
    hpp_thread_before_fork();
}

static void after_fork_in_parent(void)
{
    if (!agent.started || atomic_load(&hpp_sampler.sandboxed))
        return;
    hpp_thread_after_fork_in_parent();
    hpp_walk_libunwind_resume(0);
}

/* The child has copies of everything but the writer, the timers and the other threads. What the
 * parent's writer was changing at that moment is not looked at: only what it had published. */
static void after_fork_in_child(void)
{
    int sampled;

    if (atomic_load(&hpp_sampler.sandboxed))
        agent.started = 0;
    if (!agent.started)
        return;
    hpp_walk_libunwind_resume(1);
    hpp_sampler_after_fork(hpp_thread_code_before_fork());
    hpp_checked_read_after_fork();
    hpp_writer = (struct hpp_writer){0};
    hpp_accounts_begin(0);
    hpp_pause_after_fork();
    sampled = !atomic_load(&hpp_sampler.stopped) && !start_writer(agent.folder, 1);
    agent.started = sampled;
    hpp_thread_after_fork_in_child(sampled);
}

/* ---- start ------------------------------------------------------------------------------------------- */

/* The record of all images, or where nothing could be moved only what cannot wait for the writer to make
 * that. */
static int look_around(char **arguments)
{
    static struct hpp_segment own;
    char line[HPP_PATH_MAX];
    struct hpp_text name = HPP_TEXT(line);
    int is_large = hpp_own_images_look(&own, HPP_HUGE_PAGE);

    if ((is_large && hpp_remap_before_main(&agent.options.remap)) ||
        agent.options.unwind == HPP_UNWIND_LIBUNWIND || hpp_own_images_name(arguments, &name) ||
        !(agent.program = hpp_arena_copy(&agent.arena, line)))
        return find_images();
    hpp_sampler.agent = &own;
    if (agent.options.remap.how != HPP_REMAP_OFF && !is_large)
        hpp_remap_leave_small(&agent.remap);
    return 0;
}

/* Whether ERROR is one, for which the program runs without a profile: the first process says so. */
static int fails(const char *what, int error)
{
    char line[128];
    struct hpp_text text = HPP_TEXT(line);

    if (!error || agent.options.first)
        return error;
    hpp_text_put(&text, "hpprof: no profile: ");
    hpp_text_put(&text, what);
    hpp_text_put(&text, ": ");
    hpp_text_put(&text, hpp_text_error(error));
    hpp_text_put(&text, "\n");
    hpp_tell(&text);
    return error;
}

/* Sampling of the main thread, on the stack that ends with the kernel's strings. */
static void begin_main_thread(char **argv)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    uint64_t end = getauxval(AT_EXECFN) & ~7ull;
    uint64_t span;

    HPP_SYSCALL(prlimit64, 0, RLIMIT_STACK, NULL, &limit, 0, 0);
    span = limit.rlim_cur < STACK_SPAN_MAX ? limit.rlim_cur : STACK_SPAN_MAX;
    /* the kernel starts a process with the stack pointer at the number of arguments */
    hpp_thread_begin(&(struct hpp_thread_stack){end - span, end, (uint64_t)(uintptr_t)(argv - 1), 0, 0});
}

/* What descendants that execute another program must know: they write beside us. Not by setenv, so that a
 * program that needs no malloc gets none. */
static void tell_descendants(void)
{
    static const char name[] = "HPPROF_FIRST=";
    char line[sizeof name + HPP_PATH_MAX], *variable;
    struct hpp_text text = HPP_TEXT(line);
    size_t count = 0;
    char **longer;

    if (agent.options.session || agent.options.first)
        return;
    hpp_text_put(&text, name);
    hpp_output_folder(hpp_writer.file.path, line + text.used, sizeof line - text.used);
    variable = hpp_arena_copy(&agent.arena, line);
    if (!variable)
        return;
    agent.folder = variable + text.used;
    while (environ && environ[count])
        count++;
    longer = hpp_arena_allocate(&agent.arena, (count + 2) * sizeof *longer);
    if (!longer)
        return;
    for (size_t i = 0; i < count; i++)
        longer[i] = environ[i];
    longer[count] = variable;
    environ = longer;
}

/* The program may overwrite its environment (setproctitle): keep what later needs. */
static int keep_options(void)
{
    struct hpp_agent_options *o = &agent.options;
    const char **texts[] = {&o->session,     &o->first,         &o->out,
                            &o->remap.match, &o->remap.profile, &o->remap.text_cache};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (*texts[i] && !(*texts[i] = hpp_arena_copy(&agent.arena, *texts[i])))
            return -ENOMEM;
    agent.folder = o->first;
    return 0;
}

/* Where unwind tables are kept. */
static void choose_tables(void)
{
    const struct hpp_agent_options *options = &agent.options;
    char line[HPP_PATH_MAX];
    const char *folder;

    hpp_table_cache_directory(line, sizeof line, options->cache,
                              (unsigned)HPP_SYSCALL(geteuid, 0, 0, 0, 0, 0, 0), options->cache_home,
                              options->home);
    folder = hpp_arena_copy(&agent.arena, line);
    agent.tables = folder ? folder : "";
}

/* The walker that was asked for, or auto. */
static void choose_walker(void)
{
    const char *reason;
    char line[160];
    struct hpp_text text = HPP_TEXT(line);

    if (agent.options.unwind != HPP_UNWIND_LIBUNWIND)
        return;
    reason = hpp_libunwind_load();
    hpp_sampler.libunwind = !reason;
    if (!reason)
        return;
    agent.options.unwind = HPP_UNWIND_AUTO;
    if (agent.options.first)
        return; /* the first process has said it */
    hpp_text_put(&text, "hpprof: HPPROF_UNWIND=libunwind: ");
    hpp_text_put(&text, reason);
    hpp_text_put(&text, "; auto is used\n");
    hpp_tell(&text);
}

__attribute__((constructor)) static void start(int argc, char **argv, char **environment)
{
    (void)argc;
    if (hpp_agent_is_refused(environment))
        return;
    hpp_tell_init();
    hpp_agent_options_read(environment, &agent.options);
    agent.arena.at = agent.memory;
    agent.arena.end = agent.memory + sizeof agent.memory;
    if (fails("memory for samples", keep_options() ? -ENOMEM : hpp_sampler_init(agent.options.memory)))
        return;
    agent.remap.arena = &agent.arena;
    if (fails("/proc/self/maps", look_around(argv)))
        return;
    if (!hpp_text_matches(agent.options.programs, agent.program))
        return;
    hpp_source_choose(&agent.options);
    choose_tables();
    hpp_sampler.depth = agent.options.depth;
    hpp_sampler.no_tables = agent.options.unwind == HPP_UNWIND_FP;
    hpp_sampler.check_all = agent.options.validate == HPP_VALIDATE_PIPE;
    if (hpp_sampler.check_all)
        hpp_checked_read_open();
    choose_walker();
    hpp_remap_data_move(&agent.options.remap);
    hpp_own_images_ask_huge(&agent.options.remap);
    if (atomic_load(&hpp_sampler.code))
        hpp_remap_text(atomic_load(&hpp_sampler.code), hpp_sampler.agent, &agent.options.remap, &agent.remap);
    hpp_accounts_begin(hpp_exec_mark_take(environment));
    if (!agent.options.start)
        hpp_pause_from_start();
    if (fails("memory for the writer", start_writer(agent.options.first, 0)))
        return;
    tell_descendants();
    if (fails("the handler of SIGPROF", hpp_handler_install()) ||
        fails("memory for fork's functions",
              -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child)))
        return;
    hpp_sandbox_begin(hpp_sampler.pid);
    agent.started = 1;
    hpp_api_toggle_by(agent.options.toggle_signal);
    begin_main_thread(argv);
}

/* ---- end --------------------------------------------------------------------------------------------- */

static void complain(int error)
{
    const struct hpp_writer *writer = &hpp_writer;
    char line[HPP_PATH_MAX + 256];
    struct hpp_text text = HPP_TEXT(line);

    hpp_text_put(&text, "hpprof: cannot write ");
    hpp_text_put(&text, writer->file.path);
    hpp_text_put(&text, ": ");
    hpp_text_put(&text, error == -ETIMEDOUT ? "the writer did not finish in time"
                        : error == -ECHILD  ? "the writer was killed"
                                            : hpp_text_error(error));
    hpp_text_put(&text, "; ");
    hpp_text_put_number(&text,
                        writer->aggregate.samples - writer->file.samples + writer->aggregate.lost_weight);
    hpp_text_put(&text, " samples are lost\n");
    hpp_tell(&text);
}

/* Where there is no profile to say it in. */
static void tell_unsampled(void)
{
    uint64_t threads = atomic_load(&hpp_sampler.unsampled);
    char line[160];
    struct hpp_text text = HPP_TEXT(line);

    if (!threads || hpp_writer.file.size)
        return;
    hpp_text_put(&text, "hpprof: no profile: no timer could be made for ");
    hpp_text_put_number(&text, threads);
    hpp_text_put(&text, threads == 1 ? " thread" : " threads");
    hpp_text_put(&text, " (ulimit -i limits them)\n");
    hpp_tell(&text);
}

/* In a sandbox the writer learns of the end by itself, as it does of a crash. */
__attribute__((destructor)) static void finish(void)
{
    int error;

    if (!agent.started || atomic_load(&hpp_sampler.sandboxed) || hpp_sys_getpid() != hpp_sampler.pid)
        return;
    agent.started = 0;
    hpp_handler_watch();
    hpp_thread_account();
    hpp_sampler_stop();
    error = hpp_writer_finish();
    if (agent.options.session)
        return;
    if (error)
        complain(error);
    else
        tell_unsampled();
}
