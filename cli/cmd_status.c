/* hpprof status: how the profiling of a running process goes. */
#include "cli/commands.h"
#include "cli/load.h"
#include "symbolizer/report.h"
#include "symbolizer/running.h"

#include <stdio.h>

static int print(const char *path)
{
    struct hpp_profile *profile = hpp_load(path);
    struct hpp_report report;

    if (!profile)
        return HPP_EXIT_FAILED;
    if (hpp_report_make(&report, profile, HPP_BY_PROCESS, HPP_SORT_FLAT)) {
        hpp_complain("%s is no profile of hpprof's", path);
        hpp_profile_free(profile);
        return HPP_EXIT_FAILED;
    }
    hpp_report_print_status(stdout, &report, profile, path);
    hpp_report_free(&report);
    hpp_profile_free(profile);
    return HPP_EXIT_OK;
}

int hpp_cmd_status(const struct hpp_arguments *arguments)
{
    const char *text = arguments->operands[0];
    char path[PATH_MAX], why[HPP_RUNNING_WHY];
    pid_t pid = hpp_running_pid(text);

    if (!pid) {
        hpp_complain("status: '%s' is no process id", text);
        return HPP_EXIT_USAGE;
    }
    if (hpp_running_profile(pid, path, why)) {
        hpp_complain_line(why);
        return HPP_EXIT_FAILED;
    }
    if (*path)
        return print(path);
    printf("process %d is profiled; it has no samples yet, and so no file\n", pid);
    return HPP_EXIT_OK;
}
