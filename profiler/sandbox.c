/* Seccomp filters of the target. Start-up code and writer. */
#include "profiler/sandbox.h"

#include <sys/prctl.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

/* The number behind KEY in TEXT where it begins a line, 0 if it is not there. */
static int field(const char *text, const char *key)
{
    int number = 0;

    for (; *text; text++) {
        const char *after = hpp_text_after(text, key);
        if (!after)
            continue;
        while (*after == ' ' || *after == '\t')
            after++;
        for (; *after >= '0' && *after <= '9'; after++)
            number = number * 10 + (*after - '0');
        return number;
    }
    return 0;
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
    long fd, count;
    int now;

    hpp_text_put(&name, "/proc/");
    hpp_text_put_number(&name, (uint64_t)pid);
    hpp_text_put(&name, "/status");
    fd = hpp_sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return;
    count = hpp_sys_read((int)fd, text, sizeof text - 1);
    hpp_sys_close((int)fd);
    if (count <= 0)
        return;
    text[count] = 0;
    now = field(text, "\nSeccomp:") * 1000 + field(text, "\nSeccomp_filters:");
    if (first_pid != pid) {
        first_pid = pid;
        first = now;
    } else if (now > first) {
        atomic_store(&hpp_sampler.sandboxed, 1);
    }
}
