/* The table of accounts. Threads at their ends, and handlers, add to it; the writer reads it. */
#include "profiler/accounts.h"

#include "common/sys.h"
#include "profiler/handler.h"
#include "profiler/source.h"
#include "profiler/signal_safe.h"

#define ROUTINES       256u /* a power of two */
/* On a crowded processor a thread may run, and pause, between ticks: 36 ms were seen. */
#define LATEST_NS      100000000u
#define PROFILE_SIGNAL (1ull << (SIGPROF - 1))

/* One start routine. */
struct entry {
    _Atomic uint64_t routine; /* 0: free */
    struct {
        _Atomic int64_t ns;
        _Atomic uint64_t count; /* how many amounts were added */
        int64_t booked;         /* the writer's */
    } kind[HPP_ACCOUNTS];
};

/* The last one is for routines that are not known or found no room. */
static struct entry the_entries[ROUTINES + 1];
static _Atomic uint64_t the_used[ROUTINES / 64 + 1]; /* a bit an entry: memory of the others is not touched */
static uint64_t the_cpu_begin = UINT64_MAX;          /* not begun */
static _Atomic uint64_t the_exec_cpu;
static uint64_t the_stopped;      /* CPU time of finished stops */
static uint64_t the_clocks_apart; /* the process's CPU clock from the calling thread's, at first */
static uint64_t the_tick;         /* of the kernel's, ns: CPU timers expire at them */
static _Atomic uint64_t the_pause = UINT64_MAX; /* the process's CPU clock when sampling stopped */

static int is_used(unsigned index)
{
    return atomic_load_explicit(&the_used[index / 64], memory_order_relaxed) >> index % 64 & 1;
}

void hpp_accounts_begin(uint64_t cpu_begin)
{
    for (unsigned i = 0; i <= ROUTINES; i++)
        if (is_used(i))
            the_entries[i] = (struct entry){0};
    for (unsigned i = 0; i <= ROUTINES / 64; i++)
        atomic_store(&the_used[i], 0);
    the_tick = hpp_sys_tick();
    the_cpu_begin = cpu_begin;
    the_clocks_apart = hpp_sys_now(CLOCK_THREAD_CPUTIME_ID);
    the_clocks_apart = hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID) - the_clocks_apart;
    atomic_store(&the_exec_cpu, 0);
    atomic_store(&the_pause, UINT64_MAX);
    the_stopped = 0;
}

static struct entry *find(uint64_t routine)
{
    uint32_t at = (uint32_t)(routine * 0x9e3779b97f4a7c15ull >> 32);

    for (unsigned i = 0; routine && i < ROUTINES; i++, at++) {
        struct entry *entry = &the_entries[at & (ROUTINES - 1)];
        uint64_t present = 0;
        if (atomic_compare_exchange_strong(&entry->routine, &present, routine) || present == routine)
            return entry;
    }
    return &the_entries[ROUTINES];
}

void hpp_account_add(enum hpp_account kind, uint64_t start_routine, int64_t ns)
{
    struct entry *entry = find(start_routine);
    unsigned index = (unsigned)(entry - the_entries);

    if (!is_used(index))
        atomic_fetch_or(&the_used[index / 64], 1ull << index % 64);
    atomic_fetch_add_explicit(&entry->kind[kind].count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&entry->kind[kind].ns, ns, memory_order_relaxed);
}

/* How many periods a signal may stand for that is NS late. */
static uint64_t periods(uint64_t ns)
{
    return hpp_sampler.period ? ns / hpp_sampler.period + 2 : UINT32_MAX;
}

/* The thread's clock shows NOW, and there will be no signal any more. */
static void close_account(struct hpp_slot *slot, uint64_t begin, uint64_t now, int is_blocked)
{
    uint64_t rest = is_blocked || !slot->weight ? 0 : hpp_timer_cpu_owed(slot, now);

    if (rest)
        hpp_handler_extend(slot, (uint32_t)(rest < periods(LATEST_NS) ? rest : periods(LATEST_NS)));
    hpp_account_add(is_blocked ? HPP_BLOCKED : HPP_SHORT_LIVED, slot->start_routine,
                    (int64_t)(now - begin - slot->untold) - (int64_t)(slot->weight * hpp_sampler.period));
}

void hpp_account_thread(struct hpp_slot *slot, uint64_t begin)
{
    uint64_t mask = 0;

    if (!hpp_timer_disarm(slot))
        return;
    hpp_sys_sigmask(SIG_BLOCK, NULL, &mask);
    close_account(slot, begin, hpp_sys_now(CLOCK_THREAD_CPUTIME_ID), (mask & PROFILE_SIGNAL) != 0);
}

void hpp_account_other_threads(const struct hpp_slot *own)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used; i++) {
        struct hpp_slot *slot = &hpp_sampler.slots[i];
        uint64_t now;
        if (slot == own || atomic_load(&slot->state) != HPP_SLOT_ACTIVE || !hpp_timer_disarm(slot))
            continue;
        now = hpp_sys_now(hpp_sys_thread_clock(slot->tid));
        if (now >= slot->cpu_begin) /* else it has gone */
            close_account(slot, slot->cpu_begin, now, hpp_timer_cpu_owed(slot, now) > periods(LATEST_NS));
    }
}

uint32_t hpp_account_only_thread(uint64_t now)
{
    const struct hpp_slot *slot = hpp_sampler.slots;
    uint64_t rest;

    if (atomic_load(&hpp_sampler.slots_used) != 1 || atomic_load(&slot->state) != HPP_SLOT_ACTIVE ||
        slot->timer < 0 || !slot->weight)
        return 0;
    rest = hpp_timer_cpu_owed(slot, now - the_clocks_apart);
    return rest <= periods(LATEST_NS) ? (uint32_t)rest : 0;
}

uint32_t hpp_account_late(const struct hpp_slot *slot, const ucontext_t *context, uint32_t weight)
{
    int ends_call;
    uint64_t bound;

    if (weight <= 2)
        return weight;
    ends_call = hpp_arch_ends_call(context);
    bound = periods(ends_call ? 2 * the_tick : LATEST_NS) + 2 * (slot->multiplier - 1);
    /* we block it around a fork, which took so long itself */
    if (hpp_sampler.agent && hpp_arch_pc(context) >= hpp_sampler.agent->start &&
        hpp_arch_pc(context) < hpp_sampler.agent->end)
        return weight;
    /* a call that took so long itself is the right place */
    if (weight <= bound || (ends_call && !hpp_arch_call_unblocks(context)))
        return weight;
    hpp_account_add(HPP_BLOCKED, slot->start_routine, (int64_t)((weight - bound) * hpp_sampler.period));
    return (uint32_t)bound;
}

void hpp_accounts_exec(int comes)
{
    atomic_store(&the_exec_cpu, comes ? hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID) : 0);
}

uint64_t hpp_accounts_exec_cpu(void)
{
    return atomic_load(&the_exec_cpu);
}

/* ---- the writer ------------------------------------------------------------------------------------- */

static int64_t square_root(uint64_t number)
{
    uint64_t root = 0;

    for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
        if ((root | bit) * (root | bit) <= number)
            root |= bit;
    return (int64_t)root;
}

int hpp_accounts_get(unsigned index, struct hpp_account_due *due)
{
    struct entry *entry = &the_entries[index / HPP_ACCOUNTS];
    enum hpp_account kind = index % HPP_ACCOUNTS;

    if (index / HPP_ACCOUNTS > ROUTINES)
        return 0;
    *due = (struct hpp_account_due){.kind = kind};
    if (!is_used(index / HPP_ACCOUNTS))
        return 1;
    *due = (struct hpp_account_due){
        .kind = kind,
        .start_routine = atomic_load(&entry->routine),
        .ns = atomic_load(&entry->kind[kind].ns) - entry->kind[kind].booked,
        .chance = 3 * (int64_t)(hpp_sampler.period * atomic_load(&hpp_sampler.multiplier)) *
                  square_root(atomic_load(&entry->kind[kind].count)),
        .booked = &entry->kind[kind].booked,
    };
    return 1;
}

void hpp_accounts_pause(uint64_t now)
{
    atomic_store(&the_pause, now);
}

void hpp_accounts_resume(uint64_t now)
{
    uint64_t stopped = hpp_accounts_stopped(now);

    the_cpu_begin += stopped - the_stopped;
    the_stopped = stopped;
    atomic_store(&the_pause, UINT64_MAX);
}

uint64_t hpp_accounts_stopped(uint64_t now)
{
    uint64_t pause = atomic_load(&the_pause);
    return the_stopped + (now > pause ? now - pause : 0);
}

uint64_t hpp_accounts_clock(uint64_t now)
{
    uint64_t pause = atomic_load(&the_pause);
    return now < pause ? now : pause;
}

uint64_t hpp_accounts_cpu_begin(void)
{
    return the_cpu_begin;
}
