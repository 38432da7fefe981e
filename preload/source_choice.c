/* See source_choice.h. */
#include "preload/source_choice.h"

#include <errno.h>

#include "common/options.h"
#include "common/sys.h"
#include "preload/tell.h"
#include "preload/threads.h"
#include "profiler/sampler.h"

static const char *reason_of(int error)
{
    switch (-error) {
    case ENOENT:
    case ENODEV:
    case EOPNOTSUPP:
        return "this machine does not count them";
    case EACCES:
    case EPERM:
        return "the kernel does not allow it (/proc/sys/kernel/perf_event_paranoid, or a filter)";
    case E2BIG:
    case EINVAL:
    case ENOSYS:
        return "this kernel's perf events cannot do it (Linux 5.13 can)";
    default:
        return hpp_text_error(-error);
    }
}

static char the_refusal[256];

const char *hpp_source_refusal(void)
{
    return the_refusal;
}

static void put_choice(struct hpp_text *text, enum hpp_option_id id, unsigned choice)
{
    size_t length;
    const char *word = hpp_option_word(&hpp_options[id], choice, &length);

    hpp_text_put_bytes(text, word, length);
}

/* Keeps what cannot be had, and why; TELL: says it, too. */
static void complain(enum hpp_option_id id, unsigned choice, const char *reason, const char *instead,
                     int tell)
{
    char line[sizeof the_refusal + 16];
    struct hpp_text refusal = HPP_TEXT(the_refusal), text = HPP_TEXT(line);

    hpp_text_put(&refusal, hpp_options[id].variable);
    hpp_text_put(&refusal, "=");
    put_choice(&refusal, id, choice);
    hpp_text_put(&refusal, ": ");
    hpp_text_put(&refusal, reason);
    hpp_text_put(&refusal, "; ");
    hpp_text_put(&refusal, instead);
    hpp_text_put(&text, "hpprof: ");
    hpp_text_put(&text, the_refusal);
    hpp_text_put(&text, "\n");
    if (tell)
        hpp_tell(&text);
}

/* Why EVENT cannot be had, or NULL. */
static const char *refusal_of(enum hpp_event event)
{
    int error;

    if (event == HPP_EVENT_CONTEXT_SWITCHES)
        return "they happen in the kernel, where a signal would interrupt the program's system calls";
    hpp_sampler.event = event;
    error = hpp_timer_perf_try();
    hpp_sampler.event = HPP_EVENT_CPU;
    return error ? reason_of(error) : NULL;
}

static void use_interval_timer(void)
{
    hpp_sampler.timer = HPP_TIMER_ITIMER;
    /* one that has fallen behind the ticks never catches up */
    if (hpp_sampler.period < 2 * hpp_sys_tick())
        hpp_sampler.period = 2 * hpp_sys_tick();
}

void hpp_source_choose(const struct hpp_agent_options *options)
{
    int uses_perf = options->event != HPP_EVENT_CPU || options->timer == HPP_TIMER_PERF;
    const char *refusal;

    hpp_sampler.max_cpu = options->max_cpu;
    hpp_sampler.period = 1000000000u / options->frequency;
    hpp_sampler.timer = options->timer == HPP_TIMER_ITIMER ? HPP_TIMER_ITIMER : HPP_TIMER_CPU;
    hpp_sampler.event = HPP_EVENT_CPU;
    if (!uses_perf) {
        if (hpp_sampler.timer == HPP_TIMER_ITIMER)
            use_interval_timer();
        return;
    }
    refusal = refusal_of(options->event);
    if (!refusal) {
        hpp_sampler.timer = HPP_TIMER_PERF;
        hpp_sampler.event = options->event;
        if (hpp_event_kinds[options->event].period)
            hpp_sampler.period = hpp_event_kinds[options->event].period;
        return;
    }
    if (options->event != HPP_EVENT_CPU)
        complain(HPP_OPT_EVENT, options->event, refusal, "CPU time is sampled, by CPU timers",
                 !options->first && !options->session);
    else
        complain(HPP_OPT_TIMER, options->timer, refusal, "CPU time is sampled, by CPU timers",
                 !options->first && !options->session);
}

void hpp_source_settle(const struct hpp_agent_options *options)
{
    int may_fall_back = options->timer == HPP_TIMER_AUTO && hpp_sampler.timer == HPP_TIMER_CPU &&
                        !atomic_load(&hpp_sampler.paused);
    int error = hpp_thread_prepare(may_fall_back);

    if (!error)
        return;
    use_interval_timer();
    complain(HPP_OPT_TIMER, HPP_TIMER_AUTO,
             error == -EAGAIN ? "no CPU timer can be made (ulimit -i limits them)"
                              : "the kernel makes no CPU timer",
             "one interval timer is used", 0);
}

void hpp_source_describe(struct hpp_text *text, const struct hpp_agent_options *options)
{
    uint64_t most = 1000000000u / hpp_sys_tick();

    hpp_text_put(text, " timer=");
    put_choice(text, HPP_OPT_TIMER, (unsigned)hpp_sampler.timer);
    hpp_text_put(text, " event=");
    put_choice(text, HPP_OPT_EVENT, (unsigned)hpp_sampler.event);
    if (hpp_sampler.timer == HPP_TIMER_PERF) {
        hpp_text_put(text, " limits='what happens in the kernel is not sampled'");
    } else if (hpp_sampler.timer == HPP_TIMER_ITIMER) {
        hpp_text_put(text, " limits='at most ");
        hpp_text_put_number(text, most / 2);
        hpp_text_put(text, " samples a second, unevenly spread over the threads'");
    } else if (options->frequency > most) {
        hpp_text_put(text, " limits='at most ");
        hpp_text_put_number(text, most);
        hpp_text_put(text, " signals a second and thread, each with the weight of what came since the last'");
    }
}
