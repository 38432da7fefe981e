/* Seccomp filters of the target. Start-up code and writer. */
#include "profiler/sandbox.h"

#include <sys/prctl.h>

#include "common/proc_file.h"
#include "common/sys.h"
#include "common/text.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

/* The number behind KEY in TEXT, 0 if it is not there. */
static int field(const char *text, const char *key)
{
    const char *value = hpp_proc_file_line(text, key);
    uint64_t number = value ? hpp_proc_file_number(value) : UINT64_MAX;

    return number == UINT64_MAX ? 0 : (int)number;
}

/* The process that is looked at, and what it had when the agent began there. */
static int first_pid, first;

void hpp_sandbox_begin(int pid)
{
    first_pid = 0;
    /* asked first, as it costs a hundredth of reading the file */
    if (HPP_SYSCALL(prctl, PR_GET_SECCOMP, 0, 0, 0, 0, 0)) {
        hpp_sandbox_look(pid);
        return;
    }
    first_pid = pid;
    first = 0;
}

void hpp_sandbox_look(int pid)
{
    char path[64], text[4096];
    struct hpp_text name = HPP_TEXT(path);
    int now;

    hpp_text_put(&name, "/proc/");
    hpp_text_put_number(&name, (uint64_t)pid);
    hpp_text_put(&name, "/status");
    if (hpp_proc_file_read(path, text, sizeof text) <= 0)
        return;
    now = field(text, "Seccomp:") * 1000 + field(text, "Seccomp_filters:");
    if (first_pid != pid) {
        first_pid = pid;
        first = now;
    } else if (now > first) {
        atomic_store(&hpp_sampler.sandboxed, 1);
    }
}
