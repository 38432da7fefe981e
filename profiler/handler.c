/* The SIGPROF handler: one sample of the interrupted thread. */
#include "profiler/handler.h"

#include <stdatomic.h>
#include <ucontext.h>

#include "common/sys.h"
#include "profiler/accounts.h"
#include "profiler/adopt.h"
#include "profiler/budget.h"
#include "profiler/foreign.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "profiler/walk.h"
#include "profiler/walk_libunwind.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define ALL_SIGNALS    UINT64_MAX
#define PROFILE_SIGNAL (1ull << (SIGPROF - 1))

/* Tests have an agent that keeps what another unwinder needs to form its own opinion. */
#ifdef HPP_SECOND_OPINION
void hpp_second_opinion(const struct hpp_walk *walk, const uint64_t *frames,
                        const struct hpp_walk_result *result, const void *context);
#define SECOND_OPINION hpp_second_opinion
#else
#define SECOND_OPINION(...) ((void)0)
#endif

static struct hpp_kernel_sigaction the_program_action;
static int the_stack_is_own; /* the handler runs on the interrupted stack, never on an alternate one */

/* A ring for a sample of SLOT's thread, taken, and room in it (*RECORD); or NULL. */
static struct hpp_ring *find_ring(const struct hpp_slot *slot, uint64_t **record)
{
    uint32_t index = slot->home;

    for (unsigned tries = 0; tries < HPP_RINGS_TRIED && tries < hpp_sampler.ring_count; tries++) {
        struct hpp_ring *ring = atomic_load_explicit(&hpp_sampler.rings[index], memory_order_acquire);
        if (ring && hpp_ring_take(ring)) {
            *record = hpp_ring_reserve(ring, hpp_sampler.depth);
            if (*record)
                return ring;
            hpp_ring_release(ring);
        }
        index = index + 1 < hpp_sampler.ring_count ? index + 1 : 0;
    }
    return NULL;
}

/* A signal that was held back while the agent's own code ran, as around a fork, comes there: the sample is of
 * the call that led there. Returns how many of the COUNT frames are left. */
static unsigned leave_own_code(uint64_t *frames, unsigned count)
{
    const struct hpp_segment *own = hpp_sampler.agent;
    unsigned first = 0;

    if (!own || frames[0] < own->start || frames[0] >= own->end)
        return count;
    while (first < count && frames[first] > own->start && frames[first] <= own->end)
        first++;
    if (!first || first == count || frames[first] == HPP_WALK_GAP)
        return count; /* a thread that begins: nothing of the program's is there yet */
    for (unsigned i = first; i < count; i++)
        frames[i - first] = frames[i];
    frames[0]--; /* in the call, not behind it */
    return count - first;
}

/* Writes the sample into a ring. */
static void take_sample(struct hpp_slot *slot, const ucontext_t *context, uint32_t weight)
{
    uint64_t *record;
    struct hpp_ring *ring;
    struct hpp_walk walk = {
        .pc = hpp_arch_pc(context),
        .sp = hpp_arch_sp(context),
        .fp = hpp_arch_fp(context),
        .context = context,
        .stack_low = slot->stack_low,
        .stack_end = slot->stack_end,
        .start_sp = slot->start_sp,
        .root_fp = slot->root_fp,
        .agent = hpp_sampler.agent,
        .check_all = hpp_sampler.check_all,
        .no_tables = hpp_sampler.no_tables,
    };
    uint32_t epoch = atomic_load(&hpp_sampler.epoch);
    struct hpp_walk_result result;

    slot->weight += weight;
    weight = hpp_account_late(slot, context, weight) + slot->head;
    slot->head = 0;
    ring = find_ring(slot, &record); /* waits for all stores before it: so what can be done by then is */
    if (!ring) {
        atomic_fetch_add_explicit(&hpp_sampler.dropped, weight, memory_order_relaxed);
        return;
    }
    /* the ring was taken before the map is read: the writer frees an old map only when no handler has it */
    walk.cache = &ring->cache;
    walk.code = atomic_load(&hpp_sampler.code);
    (hpp_sampler.libunwind ? hpp_walk_libunwind : hpp_walk_frames)(&walk, record + HPP_RECORD_WORDS,
                                                                   hpp_sampler.depth, &result);
    SECOND_OPINION(&walk, record + HPP_RECORD_WORDS, &result, context);
    result.count = leave_own_code(record + HPP_RECORD_WORDS, result.count);
    record[0] = HPP_RECORD(result.count, result.end, weight) | HPP_RECORD_AT(epoch) |
                (result.untold ? HPP_RECORD_UNTOLD : 0);
    record[1] = result.stop;
    record[2] =
        HPP_RECORD_OF(slot - hpp_sampler.slots,
                      slot->label_at ? atomic_load_explicit(slot->label_at, memory_order_relaxed) : 0);
    /* counted before it can be read; nobody else counts */
    atomic_store_explicit(&slot->put, atomic_load_explicit(&slot->put, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    hpp_ring_commit(ring, HPP_RECORD_WORDS + result.count);
    hpp_ring_release(ring);
}

int hpp_handler_extend(struct hpp_slot *slot, uint32_t weight)
{
    uint64_t *record;
    struct hpp_ring *ring = find_ring(slot, &record);

    if (!ring)
        return 0;
    record[0] = HPP_RECORD(0, HPP_WALK_ROOT, weight) | HPP_RECORD_AT(atomic_load(&hpp_sampler.epoch));
    record[1] = 0;
    record[2] = HPP_RECORD_OF(slot - hpp_sampler.slots, 0);
    atomic_fetch_add(&slot->put, 1);
    slot->weight += weight;
    hpp_ring_commit(ring, HPP_RECORD_WORDS);
    hpp_ring_release(ring);
    return 1;
}

/* Does what this SIGPROF would have done without us: the program sent it or set a timer of its own. */
static void pass_on(siginfo_t *info, ucontext_t *context)
{
    struct hpp_kernel_sigaction action = the_program_action;
    uint64_t mask;

    if (action.handler == (void *)SIG_IGN)
        return;
    if (action.handler == (void *)SIG_DFL) {
        /* the default ends the process, as soon as this handler returns and unblocks the signal */
        hpp_sys_sigaction(SIGPROF, &action, NULL);
        HPP_SYSCALL(tgkill, hpp_sys_getpid(), hpp_sys_gettid(), SIGPROF, 0, 0, 0);
        return;
    }
    if (action.flags & SA_RESETHAND)
        the_program_action.handler = (void *)SIG_DFL;
    /* the mask that the kernel would have set for it; the return from our handler restores the old one */
    mask = *(const uint64_t *)&context->uc_sigmask | action.mask |
           (action.flags & SA_NODEFER ? 0 : PROFILE_SIGNAL);
    hpp_sys_sigmask(SIG_SETMASK, &mask, NULL);
    if (action.flags & SA_SIGINFO)
        ((void (*)(int, siginfo_t *, void *))action.handler)(SIGPROF, info, context);
    else
        ((void (*)(int))action.handler)(SIGPROF);
}

void hpp_handler(int signal, siginfo_t *info, void *context)
{
    uint64_t begin = hpp_budget_ticks();
    uint32_t weight;
    uint64_t value = hpp_source_value(info, &weight);
    struct hpp_slot *slot;

    (void)signal;
    if (!value) {
        if (!hpp_foreign_send_away(info, context))
            pass_on(info, context);
        return;
    }
    slot = hpp_slot_of(value);
    if (slot) {
        take_sample(slot, context, weight * slot->multiplier);
        if (slot->multiplier != atomic_load_explicit(&hpp_sampler.multiplier, memory_order_relaxed))
            hpp_budget_follow(slot);
        hpp_budget_spent(slot, begin);
    } else {
        atomic_fetch_add_explicit(&hpp_sampler.stale, weight != 0, memory_order_relaxed);
    }
    if (atomic_load_explicit(&hpp_adopt_waiting, memory_order_relaxed))
        hpp_adopt_serve();
}

/* Ours in the kernel's table. Whether a foreign SIGPROF restarts system calls is the program's choice;
 * timers of CPU time interrupt none. */
static int install(unsigned long restart, struct hpp_kernel_sigaction *old)
{
    struct hpp_kernel_sigaction action = {.handler = (void *)hpp_handler,
                                          .flags = SA_SIGINFO | HPP_ARCH_SA_RESTORER | restart |
                                                   (the_stack_is_own ? 0 : SA_ONSTACK),
                                          .restorer = hpp_arch_sigreturn,
                                          .mask = ALL_SIGNALS};
    return (int)hpp_sys_sigaction(SIGPROF, &action, old);
}

int hpp_handler_install(void)
{
    return install(SA_RESTART, &the_program_action);
}

int hpp_handler_watch(void)
{
    struct hpp_kernel_sigaction present;

    if (atomic_load(&hpp_sampler.stopped) || hpp_sys_sigaction(SIGPROF, NULL, &present) ||
        present.handler == (void *)hpp_handler)
        return 1;
    atomic_store(&hpp_writer.note,
                 "the program has replaced the handler of SIGPROF by the raw system call: no samples since");
    hpp_sampler_stop();
    return 0;
}

int hpp_handler_program_action(const struct hpp_kernel_sigaction *new, struct hpp_kernel_sigaction *old)
{
    const uint64_t blocked = PROFILE_SIGNAL;
    struct hpp_kernel_sigaction before;
    uint64_t mask;
    int error = 0;

    hpp_sys_sigmask(SIG_BLOCK, &blocked, &mask);
    before = the_program_action;
    if (new) {
        int has_handler = new->handler != (void *)SIG_DFL &&new->handler != (void *)SIG_IGN;
        the_program_action = *new;
        error = install(has_handler ? new->flags &SA_RESTART : SA_RESTART, NULL);
    }
    hpp_sys_sigmask(SIG_SETMASK, &mask, NULL);
    if (old)
        *old = before;
    return error;
}

/* Whether the program ignores SIGPROF and the kernel is to know. */
static int hides_ignored(void)
{
    return the_program_action.handler == (void *)SIG_IGN && hpp_sampler.pid &&
           !atomic_load(&hpp_sampler.sandboxed);
}

void hpp_handler_before_exec(void)
{
    const struct hpp_kernel_sigaction ignore = {.handler = (void *)SIG_IGN};

    if (hides_ignored())
        hpp_sys_sigaction(SIGPROF, &ignore, NULL);
}

void hpp_handler_after_exec(void)
{
    if (hides_ignored())
        install(SA_RESTART, NULL);
}

void hpp_handler_avoid_alternate_stacks(void)
{
    struct hpp_kernel_sigaction present;

    the_stack_is_own = 1;
    if (!hpp_sys_sigaction(SIGPROF, NULL, &present) && present.handler == (void *)hpp_handler)
        install(present.flags & SA_RESTART, NULL);
}
