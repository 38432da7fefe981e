/* Finds libunwind, and makes it ready for the signal handler. Start-up code. */
#include "preload/libunwind.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <ucontext.h>

#include "common/arch.h"
#include "common/sys.h"
#include "preload/next_symbol.h"
#include "profiler/sampler.h"
#include "profiler/walk_libunwind.h"

#define LIBRARY "libunwind.so.8"

/* A function's name in the library is what its header makes of it. */
#define TEXT_OF(word)  #word
#define NAME_OF(macro) TEXT_OF(macro)

/* libunwind's pipe gets no number below this, if the limit allows: programs take the lowest. */
#define HIGH_DESCRIPTOR 200

/* States of registers that libunwind remembers, for as many addresses (the log of it); its default is 7. */
#define CACHE_LOG 11

/* ---- the library ------------------------------------------------------------------------------------- */

typedef void *open_function(const char *, int);
typedef void *find_function(void *, const char *);

/* libc's function: in libc.so or, before glibc 2.34, maybe not loaded; then what iconv uses. */
static void *loader_function(const char *name, const char *private_name)
{
    void *function = hpp_next_symbol(name);

    return function ? function : hpp_next_symbol(private_name);
}

/* What must be there before the first walk only. */
struct settings {
    __typeof__(unw_set_caching_policy) *set_policy;
    __typeof__(unw_set_cache_size) *set_size;
    unw_addr_space_t *space;
};

static const char *load(struct settings *settings)
{
    open_function *open_library = (open_function *)loader_function("dlopen", "__libc_dlopen_mode");
    find_function *find = (find_function *)loader_function("dlsym", "__libc_dlsym");
    void *library;

    /* bound now: to bind at the first call takes the loader's lock */
    library = open_library && find ? open_library(LIBRARY, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library)
        return LIBRARY " cannot be loaded; install it (Debian: libunwind8)";
    hpp_libunwind.init = find(library, NAME_OF(unw_init_local2));
    hpp_libunwind.step = find(library, NAME_OF(unw_step));
    hpp_libunwind.get_register = find(library, NAME_OF(unw_get_reg));
    hpp_libunwind.is_signal_frame = find(library, NAME_OF(unw_is_signal_frame));
    hpp_libunwind.find = find(library, NAME_OF(unw_get_proc_info_by_ip));
    hpp_libunwind.flush = find(library, NAME_OF(unw_flush_cache));
    settings->set_policy = find(library, NAME_OF(unw_set_caching_policy));
    settings->set_size = find(library, NAME_OF(unw_set_cache_size));
    settings->space = find(library, NAME_OF(unw_local_addr_space));
    if (!hpp_libunwind.init || !hpp_libunwind.step || !hpp_libunwind.get_register ||
        !hpp_libunwind.is_signal_frame || !hpp_libunwind.find || !hpp_libunwind.flush ||
        !settings->set_policy || !settings->set_size || !settings->space)
        return LIBRARY " is too old; version 1.3 or newer is needed";
    return NULL;
}

/* ---- its pipe ---------------------------------------------------------------------------------------- */

/* The low numbers that were free, taken for a while. */
struct low_numbers {
    int taken[HIGH_DESCRIPTOR];
    unsigned count;
};

static int next_number(int like)
{
    return (int)HPP_SYSCALL(fcntl, like, F_DUPFD_CLOEXEC, 0, 0, 0, 0);
}

static void give_back(struct low_numbers *low)
{
    while (low->count)
        hpp_sys_close(low->taken[--low->count]);
}

/* Takes them all, if there are others, and foretells which two numbers a pipe will get. */
static void take_low_numbers(struct low_numbers *low, int pipe[2])
{
    int fd = (int)hpp_sys_open("/", O_PATH, 0), first, second;

    low->count = 0;
    pipe[0] = pipe[1] = -1;
    for (; fd >= 0 && fd < HIGH_DESCRIPTOR; fd = next_number(low->taken[0]))
        low->taken[low->count++] = fd;
    if (fd < 0 && low->count) {
        give_back(low);
        fd = (int)hpp_sys_open("/", O_PATH, 0);
    }
    if (fd < 0)
        return;
    first = fd;
    second = next_number(first);
    hpp_sys_close(first);
    if (second < 0)
        return;
    hpp_sys_close(second);
    pipe[0] = first;
    pipe[1] = second;
}

/* Whether the two numbers foretold are the ends of a pipe; not every version makes one. */
static void look_for_pipe(const int pipe[2])
{
    struct stat ends[2];

    for (int i = 0; i < 2; i++)
        if (pipe[i] < 0 || hpp_sys_fstat(pipe[i], &ends[i]) || !S_ISFIFO(ends[i].st_mode))
            return;
    if (ends[0].st_ino != ends[1].st_ino || ends[0].st_dev != ends[1].st_dev)
        return;
    hpp_libunwind.pipe_device = ends[0].st_dev;
    hpp_libunwind.pipe_inode = ends[0].st_ino;
    hpp_libunwind.pipe[0] = pipe[0];
    hpp_libunwind.pipe[1] = pipe[1];
}

/* ---- the first walk ---------------------------------------------------------------------------------- */

/* From here outward; the loader called us. */
static __attribute__((noinline)) int can_walk(void)
{
    uint64_t frames[16];
    struct hpp_walk_result result;
    struct hpp_walk walk = {.code = atomic_load(&hpp_sampler.code)};
    ucontext_t context;

    if (getcontext(&context))
        return 0;
    walk.context = &context;
    walk.pc = hpp_arch_pc(&context);
    walk.sp = hpp_arch_sp(&context);
    walk.fp = hpp_arch_fp(&context);
    hpp_walk_libunwind(&walk, frames, sizeof frames / sizeof frames[0], &result);
    return result.count > 2;
}

/* One cache for all threads: one of each thread would be made at its first use, in the handler. */
static const char *make_ready(const struct settings *settings)
{
    if (settings->set_policy(*settings->space, UNW_CACHE_GLOBAL) ||
        settings->set_size(*settings->space, 1u << CACHE_LOG, 0))
        return LIBRARY " has no cache";
    hpp_libunwind.space = *settings->space;
    return can_walk() ? NULL : LIBRARY " cannot unwind this program's start";
}

const char *hpp_libunwind_load(void)
{
    struct settings settings;
    struct low_numbers low;
    int pipe[2];
    const char *reason = load(&settings);

    if (reason)
        return reason;
    take_low_numbers(&low, pipe);
    reason = make_ready(&settings);
    if (reason)
        hpp_libunwind.space = NULL;
    look_for_pipe(pipe);
    give_back(&low);
    return reason;
}
