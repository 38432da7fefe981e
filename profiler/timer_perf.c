/* A perf event for each thread, opened by the writer. See source.h, which also says who calls what. */
#include <errno.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/adopt.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define MS          1000000ull
#define DESCRIPTORS (2 * HPP_SLOTS)
#define WAIT        (5 * MS) /* a thread for its event */
#define LEFT_OVER   16       /* descriptors for the profile and what else the writer opens */

#define CACHE(name, result) (PERF_COUNT_HW_CACHE_##name | PERF_COUNT_HW_CACHE_RESULT_##result << 16)

const struct hpp_event_kind hpp_event_kinds[HPP_EVENTS] = {
    {"cpu", "nanoseconds", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, 0},
    {"page-faults", "count", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 16},
    {"context-switches", "count", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, 16},
    {"cycles", "count", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 10000000},
    {"itlb-misses", "count", PERF_TYPE_HW_CACHE, CACHE(ITLB, MISS), 1000},
    {"cache-misses", "count", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES, 10000},
};

/* An open event, by its descriptor in the writer. */
struct event {
    _Atomic uint64_t value; /* of the slot; 0: not open */
    int tid;
};

/* Target and writer share it. */
static struct perf {
    _Atomic uint32_t asked;               /* moves when a thread wants its event */
    _Atomic uint32_t answered[HPP_SLOTS]; /* the generation that the writer has seen to; a futex */
    uint8_t refused[HPP_SLOTS];           /* it got no event */
    struct event events[DESCRIPTORS];
    /* the writer's own */
    uint32_t seen; /* of asked */
    int paused;    /* the events are disabled */
    long limit;    /* no descriptor at or above it is one of ours */
    int used;      /* no descriptor at or above it was ever one of ours */
    uint64_t ended_count;
} * the_perf;

static uint32_t generation_of(const struct hpp_slot *slot)
{
    return (uint32_t)(slot->value >> 16);
}

int hpp_timer_perf_init(void)
{
    if (the_perf) /* a fork child's copy of its parent's */
        hpp_sys_munmap((uint64_t)(uintptr_t)the_perf, sizeof *the_perf);
    the_perf = hpp_arena_map(sizeof *the_perf);
    return the_perf ? 0 : -ENOMEM;
}

static long open_event(int tid)
{
    const struct hpp_event_kind *kind = &hpp_event_kinds[hpp_sampler.event];
    struct perf_event_attr attributes = {
        .size = sizeof attributes,
        .type = kind->perf_type,
        .config = kind->perf_config,
        .sample_period = hpp_sampler.period * atomic_load(&hpp_sampler.multiplier),
        .disabled = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .remove_on_exec = 1, /* what the program executes has no handler */
    };

    return HPP_SYSCALL(perf_event_open, &attributes, tid, -1, -1, PERF_FLAG_FD_CLOEXEC, 0);
}

int hpp_timer_perf_try(void)
{
    long fd = open_event(0);

    if (fd < 0)
        return (int)fd;
    hpp_sys_close((int)fd);
    return 0;
}

/* ---- the target's side --------------------------------------------------------------------------------- */

void hpp_timer_perf_ask(void)
{
    if (the_perf)
        atomic_fetch_add(&the_perf->asked, 1);
}

int hpp_timer_perf_arm(struct hpp_slot *slot)
{
    _Atomic uint32_t *answered = &the_perf->answered[slot - hpp_sampler.slots];
    uint64_t until = hpp_sys_now(CLOCK_MONOTONIC) + WAIT;
    uint32_t present;

    if (!hpp_writer.pid)
        return -ESRCH;
    hpp_timer_perf_ask();
    atomic_fetch_add(&hpp_writer.wake, 1);
    hpp_sys_futex_wake(&hpp_writer.wake);
    while ((present = atomic_load(answered)) != generation_of(slot) && hpp_sys_now(CLOCK_MONOTONIC) < until)
        hpp_sys_futex_wait(answered, present, MS);
    /* a CPU timer until the first signal of the event, if one comes */
    if ((present != generation_of(slot) || hpp_timer_perf_is_refused(slot)) &&
        hpp_sampler.event == HPP_EVENT_CPU)
        return hpp_timer_cpu_arm(slot);
    return 0; /* where it cannot be opened, the writer counts that */
}

int hpp_timer_perf_is_refused(const struct hpp_slot *slot)
{
    return the_perf && the_perf->refused[slot - hpp_sampler.slots];
}

uint64_t hpp_timer_perf_value(int fd)
{
    return fd >= 0 && (unsigned)fd < DESCRIPTORS ? atomic_load(&the_perf->events[fd].value) : 0;
}

/* ---- the writer's side --------------------------------------------------------------------------------- */

void hpp_timer_perf_begin(void)
{
    struct rlimit limit = {1024, 1024};

    if (!the_perf)
        return;
    /* a limit of our own: this process shares the memory alone */
    if (!HPP_SYSCALL(prlimit64, 0, RLIMIT_NOFILE, NULL, &limit, 0, 0)) {
        limit.rlim_cur = limit.rlim_max;
        HPP_SYSCALL(prlimit64, 0, RLIMIT_NOFILE, &limit, NULL, 0, 0);
    }
    the_perf->limit =
        limit.rlim_max < DESCRIPTORS + LEFT_OVER ? (long)limit.rlim_max - LEFT_OVER : DESCRIPTORS;
    for (int fd = 0; fd < the_perf->used; fd++)
        atomic_store(&the_perf->events[fd].value, 0);
    for (uint32_t i = 0; i < atomic_load(&hpp_sampler.slots_used); i++)
        atomic_store(&the_perf->answered[i], 0);
    the_perf->seen = atomic_load(&the_perf->asked) - 1;
}

static uint64_t count_of(int fd)
{
    uint64_t count = 0;

    return hpp_sys_read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

void hpp_timer_perf_tidy(void)
{
    for (int fd = 0; the_perf && fd < the_perf->used; fd++) {
        struct event *event = &the_perf->events[fd];
        uint64_t value = atomic_load(&event->value);

        /* not sooner: a signal may still be on its way to the thread */
        if (!value || hpp_slot_of(value) ||
            HPP_SYSCALL(tgkill, hpp_writer.target, event->tid, 0, 0, 0, 0) != -ESRCH)
            continue;
        the_perf->ended_count += count_of(fd);
        atomic_store(&event->value, 0);
        hpp_sys_close(fd);
    }
}

/* The signal is to be SIGPROF, and for that thread alone. */
static long direct_signal(int fd, int tid)
{
    struct f_owner_ex owner = {F_OWNER_TID, tid};
    long error = HPP_SYSCALL(fcntl, fd, F_SETOWN_EX, &owner, 0, 0, 0);

    if (!error)
        error = HPP_SYSCALL(fcntl, fd, F_SETSIG, SIGPROF, 0, 0, 0);
    if (!error)
        error = HPP_SYSCALL(fcntl, fd, F_SETFL, O_ASYNC, 0, 0, 0);
    return error;
}

/* The same where there is a descriptor for it. */
static long open_within_limit(int tid)
{
    long fd = open_event(tid);

    if (fd < the_perf->limit)
        return fd;
    hpp_sys_close((int)fd);
    return -EMFILE;
}

/* A thread that was slow to begin was taken for one that had not begun with us, and got an event then, for a
 * slot that it gave up. Closed that will be when no signal of it can be on its way any more. */
static void silence_former(int tid)
{
    for (int fd = 0; fd < the_perf->used; fd++) {
        uint64_t value = atomic_load(&the_perf->events[fd].value);
        if (value && the_perf->events[fd].tid == tid && !hpp_slot_of(value))
            HPP_SYSCALL(ioctl, fd, PERF_EVENT_IOC_DISABLE, 0, 0, 0, 0);
    }
}

static long open_for(struct hpp_slot *slot)
{
    uint64_t value = slot->value;
    int tid = slot->tid;
    long fd, error;

    silence_former(tid);
    fd = open_within_limit(tid);
    if (fd == -EMFILE) {
        hpp_timer_perf_tidy();
        fd = open_within_limit(tid);
    }
    if (fd < 0)
        return fd;
    error = direct_signal((int)fd, tid);
    if (error) {
        hpp_sys_close((int)fd);
        return error;
    }
    if (fd >= the_perf->used)
        the_perf->used = (int)fd + 1;
    the_perf->events[fd].tid = tid;
    slot->multiplier = atomic_load(&hpp_sampler.multiplier);
    atomic_store(&the_perf->events[fd].value, value);
    if (!the_perf->paused)
        HPP_SYSCALL(ioctl, fd, PERF_EVENT_IOC_ENABLE, 0, 0, 0, 0);
    return 0;
}

/* Sampling was stopped, or begins again. */
static void pause_or_resume(void)
{
    int paused = atomic_load(&hpp_sampler.paused) || atomic_load(&hpp_sampler.stopped);

    if (paused == the_perf->paused)
        return;
    the_perf->paused = paused;
    for (int fd = 0; fd < the_perf->used; fd++)
        if (hpp_slot_of(atomic_load(&the_perf->events[fd].value)))
            HPP_SYSCALL(ioctl, fd, paused ? PERF_EVENT_IOC_DISABLE : PERF_EVENT_IOC_ENABLE, 0, 0, 0, 0);
}

/* SLOT's thread gets no event. It waits for the answer and makes a CPU timer itself, or has one made if it
 * did not begin with us. */
static void stand_in(struct hpp_slot *slot)
{
    if (hpp_sampler.event != HPP_EVENT_CPU) {
        atomic_fetch_add(&hpp_sampler.unsampled, 1);
        return;
    }
    if (!atomic_load(&hpp_writer.note))
        atomic_store(&hpp_writer.note, "perf gave no event for some threads: CPU timers stand in for them");
    /* not if the thread has begun meanwhile, and ended it */
    if (!slot->stack_end &&
        atomic_compare_exchange_strong(&slot->state, &(uint32_t){HPP_SLOT_ACTIVE}, HPP_SLOT_CLAIMED))
        hpp_adopt_post(slot, hpp_sys_now(CLOCK_MONOTONIC));
}

void hpp_timer_perf_serve(void)
{
    uint32_t asked, used;

    if (!the_perf)
        return;
    pause_or_resume();
    if ((asked = atomic_load(&the_perf->asked)) == the_perf->seen)
        return;
    the_perf->seen = asked;
    used = atomic_load(&hpp_sampler.slots_used);
    for (uint32_t i = 0; i < used; i++) {
        struct hpp_slot *slot = &hpp_sampler.slots[i];
        uint32_t generation = generation_of(slot);

        if (atomic_load(&slot->state) != HPP_SLOT_ACTIVE || atomic_load(&the_perf->answered[i]) == generation)
            continue;
        the_perf->refused[i] = open_for(slot) != 0;
        if (the_perf->refused[i])
            stand_in(slot);
        atomic_store(&the_perf->answered[i], generation);
        hpp_sys_futex_wake(&the_perf->answered[i]);
    }
}

void hpp_timer_perf_comment(void)
{
    uint64_t count = the_perf ? the_perf->ended_count : 0;
    char line[128];
    struct hpp_text text = HPP_TEXT(line);

    for (int fd = 0; the_perf && fd < the_perf->used; fd++)
        if (atomic_load(&the_perf->events[fd].value))
            count += count_of(fd);
    if (!count)
        return;
    hpp_text_put(&text, "hpprof.perf counted=");
    hpp_text_put_number(&text, count);
    hpp_text_put(&text, " signalled=");
    hpp_text_put_number(&text, (hpp_writer.aggregate.samples + atomic_load(&hpp_sampler.dropped)) *
                                   hpp_sampler.period);
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
}

void hpp_timer_perf_change(uint32_t multiplier)
{
    uint64_t period = hpp_sampler.period * multiplier;

    for (int fd = 0; the_perf && fd < the_perf->used; fd++) {
        struct hpp_slot *slot = hpp_slot_of(atomic_load(&the_perf->events[fd].value));
        if (slot && !HPP_SYSCALL(ioctl, fd, PERF_EVENT_IOC_PERIOD, &period, 0, 0, 0))
            slot->multiplier = multiplier;
    }
}
