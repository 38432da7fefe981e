/* See budget.h. */
#include "profiler/budget.h"

#include "common/sys.h"
#include "common/text.h"
#include "profiler/source.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define MS          1000000ull
#define LOOKS       (200 * MS)
#define WINDOW      (500 * MS)  /* CPU time of the process that a judgement needs */
#define SIGNAL_NS   2000u       /* signal and return without a handler */
#define PERIOD_MAX  (1000 * MS) /* the rate is not lowered below one a second */
#define CHANGES_MAX 200u        /* that the profile tells of */

void hpp_budget_follow(struct hpp_slot *slot)
{
    uint32_t multiplier = atomic_load(&hpp_sampler.multiplier);

    /* of perf events the writer changes the period */
    if (hpp_sampler.timer == HPP_TIMER_PERF || atomic_load(&hpp_sampler.sandboxed) ||
        atomic_load(&hpp_sampler.stopped))
        return;
    if (hpp_sampler.timer == HPP_TIMER_ITIMER)
        hpp_timer_itimer_change(multiplier);
    else
        hpp_timer_cpu_change(slot, multiplier);
}

/* ---- the writer --------------------------------------------------------------------------------------- */

static struct {
    uint64_t last;              /* look */
    uint64_t paused_at, paused; /* the writer's own CPU time, ns; paused_at not 0: now */
    uint64_t begun_ns, begun_ticks;
    uint64_t cpu, cost; /* at the last judgement, ns */
    unsigned changes;
} the_budget;

static uint64_t own_cpu(void)
{
    return hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t target_cpu(void)
{
    return hpp_sys_now(hpp_sys_process_clock(hpp_writer.target));
}

/* What profiling has cost since the beginning, ns. */
static uint64_t cost(uint64_t now)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);
    uint64_t ticks = 0, signals = 0;
    uint64_t ticks_per_us =
        (hpp_arch_ticks() - the_budget.begun_ticks) / ((now - the_budget.begun_ns) / 1000 + 1) + 1;

    for (uint32_t i = 0; i < used; i++) {
        ticks += *(volatile uint64_t *)&hpp_sampler.slots[i].ticks;
        signals += *(volatile uint64_t *)&hpp_sampler.slots[i].signals;
    }
    return ticks * 1000 / ticks_per_us + signals * SIGNAL_NS + own_cpu() - the_budget.paused;
}

void hpp_budget_begin(void)
{
    uint64_t now = hpp_sys_now(CLOCK_MONOTONIC);

    the_budget.last = the_budget.begun_ns = now;
    the_budget.begun_ticks = hpp_arch_ticks();
    the_budget.paused_at = 0;
    the_budget.paused = own_cpu();
    the_budget.cpu = target_cpu();
    the_budget.cost = cost(now);
}

void hpp_budget_pause(void)
{
    if (hpp_sampler.max_cpu)
        the_budget.paused_at = own_cpu();
}

void hpp_budget_resume(void)
{
    if (!hpp_sampler.max_cpu)
        return;
    the_budget.paused += own_cpu() - the_budget.paused_at;
    the_budget.paused_at = 0;
}

static void comment(uint32_t multiplier, uint64_t spent, uint64_t cpu)
{
    char line[96];
    struct hpp_text text = HPP_TEXT(line);

    if (the_budget.changes++ >= CHANGES_MAX)
        return;
    hpp_text_put(&text, "hpprof.rate multiplier=");
    hpp_text_put_number(&text, multiplier);
    hpp_text_put(&text, " cost_percent=");
    hpp_text_put_thousandths(&text, spent * 100000 / cpu);
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
}

/* A longer period than PRESENT times the period: below the kernel's tick it makes no difference to CPU
 * timers. */
static uint32_t longer(uint32_t present)
{
    uint32_t multiplier = present * 2;
    uint64_t tick = hpp_sampler.timer == HPP_TIMER_CPU ? hpp_sys_tick() : 0;

    while (multiplier * hpp_sampler.period <= tick)
        multiplier *= 2;
    return multiplier;
}

void hpp_budget_look(uint64_t now)
{
    uint32_t present = atomic_load(&hpp_sampler.multiplier), multiplier = present;
    uint64_t cpu, spent, allowed;

    if (!hpp_sampler.max_cpu || the_budget.paused_at || !hpp_writer.pid || now - the_budget.last < LOOKS)
        return;
    the_budget.last = now;
    cpu = target_cpu();
    if (cpu < the_budget.cpu + WINDOW)
        return;
    cpu -= the_budget.cpu;
    spent = cost(now) - the_budget.cost;
    the_budget.cpu += cpu;
    the_budget.cost += spent;
    allowed = cpu / 100 * hpp_sampler.max_cpu;
    if (spent > allowed)
        multiplier = longer(present);
    else if (present > 1 && spent * 2 < allowed / 5 * 4)
        multiplier = present / 2;
    if (multiplier == present || (multiplier > present && hpp_sampler.event == HPP_EVENT_CPU &&
                                  multiplier * hpp_sampler.period > PERIOD_MAX))
        return;
    atomic_store(&hpp_sampler.multiplier, multiplier);
    hpp_timer_perf_change(multiplier);
    comment(multiplier, spent, cpu);
}
