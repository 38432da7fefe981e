/* See refusal.h. */
#include "preload/refusal.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "common/arch.h"
#include "common/sys.h"
#include "preload/options.h"
#include "preload/sanitizer.h"

/* Exported, so that all copies of this library in a process share one: preloaded twice, only one starts. */
__attribute__((visibility("default"))) int hpprof_agent_is_here;

static int is_second_copy(void)
{
    return __atomic_exchange_n(&hpprof_agent_is_here, 1, __ATOMIC_RELAXED);
}

/* The kill switch: nothing is done, and all this costs is to ask for one file. */
static int is_switched_off(char **environment)
{
    return !HPP_SYSCALL(faccessat, AT_FDCWD, hpp_agent_off_file(environment), F_OK, 0, 0, 0);
}

int hpp_agent_is_refused(char **environment)
{
    return getauxval(AT_SECURE) || hpp_arch_is_valgrind() || hpp_sanitizer_is_of_threads() ||
           is_second_copy() || is_switched_off(environment);
}
