/* setitimer, getitimer: where samples come by ITIMER_PROF (HPPROF_TIMER=itimer), the program neither sees our
 * timer nor has to share it. Runs on the target's threads, in place of the real functions, which it calls. */
#include <sys/time.h>

#include "preload/agent.h"
#include "preload/interpose.h"
#include "profiler/source.h"

static int is_about_ours(__itimer_which_t which)
{
    return which == ITIMER_PROF && hpp_timer_itimer_is_ours() && hpp_agent_is_active();
}

/* The first time that the program sets it is the end of ours: what it gets as the old value is none then. */
EXPORT int setitimer(__itimer_which_t which, const struct itimerval *new, struct itimerval *old)
{
    if (is_about_ours(which)) {
        if (new && (new->it_value.tv_sec || new->it_value.tv_usec))
            hpp_timer_itimer_give_up();
        else
            return getitimer(which, old ? old : &(struct itimerval){0});
    }
    return REAL(setitimer)(which, new, old);
}

EXPORT int getitimer(__itimer_which_t which, struct itimerval *value)
{
    int is_ours = is_about_ours(which), status = REAL(getitimer)(which, value);

    if (is_ours && !status)
        *value = (struct itimerval){0};
    return status;
}
