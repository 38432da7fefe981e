/* hpprof dump: every thread's stack right now. */
#include "cli/commands.h"
#include "cli/load.h"
#include "symbolizer/dump.h"

#include <stdlib.h>

enum { PID_LIMIT = 1 << 22 /* kernel, include/linux/threads.h */ };

int hpp_cmd_dump(const struct hpp_arguments *arguments)
{
    const char *text = arguments->operands[0];
    char *end;
    long pid = strtol(text, &end, 10);
    pid_t tid = (pid_t)arguments->number[HPP_OPT_TID];
    struct hpp_process process;
    char why[HPP_PROCESS_WHY];
    int status = HPP_EXIT_OK;

    if (end == text || *end || pid <= 0 || pid > PID_LIMIT) {
        hpp_complain("dump: '%s' is no process id", text);
        return HPP_EXIT_USAGE;
    }
    if (hpp_process_check((pid_t)pid, why)) {
        hpp_complain_line(why);
        return HPP_EXIT_FAILED;
    }
    if (hpp_process_take(&process, (pid_t)pid, tid, why)) {
        hpp_complain_line(why);
        status = HPP_EXIT_FAILED;
    } else {
        hpp_dump_print(stdout, &process, hpp_complain_line);
        for (size_t i = 0; i < process.thread_count; i++)
            if (process.threads[i].missing) {
                hpp_complain("no stack of thread %d: %s", process.threads[i].tid, process.threads[i].missing);
                status = HPP_EXIT_FAILED;
            }
    }
    hpp_process_free(&process);
    return status;
}
