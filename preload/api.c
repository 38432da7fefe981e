/* The functions behind include/hpprof.h, and the signal that does the same. Called by the program, from any
 * thread; raw system calls only, so from signal handlers too. */
#include "preload/api.h"

#include <errno.h>

#include "common/sys.h"
#include "include/hpprof.h"
#include "preload/agent.h"
#include "profiler/labels.h"
#include "profiler/pause.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"

static __thread _Atomic uint32_t the_label __attribute__((tls_model("initial-exec")));

_Atomic uint32_t *hpp_api_label(void)
{
    return &the_label;
}

static uint32_t label_intern(const char *key, const char *value)
{
    return hpp_agent_is_active() ? hpp_labels_intern(key, value) : 0;
}

/* Only the thread itself, and its signal handlers, ever write it. */
static uint32_t label_swap(uint32_t label)
{
    uint32_t before = atomic_load_explicit(&the_label, memory_order_relaxed);

    atomic_store_explicit(&the_label, label, memory_order_relaxed);
    return before;
}

static int start(void)
{
    return hpp_agent_is_active() ? hpp_resume() : -ENOSYS;
}

static int stop(void)
{
    return hpp_agent_is_active() ? hpp_pause() : -ENOSYS;
}

static int flush(void)
{
    return hpp_agent_is_active() ? hpp_writer_flush_now() : -ENOSYS;
}

extern const struct hpprof_api hpprof_api;
__attribute__((visibility("default"))) const struct hpprof_api hpprof_api = {
    sizeof(struct hpprof_api), label_intern, label_swap, start, stop, flush};

/* ---- the signal --------------------------------------------------------------------------------------- */

static int the_signal;
static struct hpp_kernel_sigaction the_program_action;

static void toggle(int number)
{
    (void)number;
    if (!hpp_agent_is_active())
        return;
    if (atomic_load(&hpp_sampler.paused))
        hpp_resume();
    else
        hpp_pause();
}

int hpp_api_toggle_signal(void)
{
    return the_signal;
}

void hpp_api_toggle_action(const struct hpp_kernel_sigaction *new, struct hpp_kernel_sigaction *old)
{
    struct hpp_kernel_sigaction before = the_program_action;

    if (new)
        the_program_action = *new;
    *old = before;
}

void hpp_api_toggle_by(int number)
{
    struct hpp_kernel_sigaction action = {.handler = (void *)toggle,
                                          .flags = SA_RESTART | SA_ONSTACK | HPP_ARCH_SA_RESTORER,
                                          .restorer = hpp_arch_sigreturn,
                                          .mask = UINT64_MAX};
    if (number && !hpp_sys_sigaction(number, &action, &the_program_action))
        the_signal = number;
}
