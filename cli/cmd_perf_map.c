/* hpprof perf-map: names of moved text, where perf looks for them. */
#include "cli/commands.h"
#include "cli/load.h"
#include "symbolizer/output.h"
#include "symbolizer/perf_map.h"
#include "symbolizer/running.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* /tmp is everyone's: what stands at PATH must be a file of ours, or nothing. */
static bool may_replace(const char *path)
{
    struct stat status;

    if (lstat(path, &status))
        return true; /* creating it will say what is wrong, if anything is */
    if (S_ISLNK(status.st_mode))
        hpp_complain("%s is a symbolic link, which is not followed: remove it, or write elsewhere with -o",
                     path);
    else if (!S_ISREG(status.st_mode))
        hpp_complain("%s is not a regular file: write elsewhere with -o", path);
    else if (status.st_uid != geteuid())
        hpp_complain("%s belongs to another user: write elsewhere with -o", path);
    else
        return true;
    return false;
}

static int write_map(const struct hpp_profile *profile, const char *input, const char *path)
{
    char error[HPP_ERROR_SIZE];
    struct hpp_output output;
    size_t ranges;

    if (!may_replace(path))
        return HPP_EXIT_FAILED;
    if (hpp_output_open(&output, path, 0600, false, error)) {
        hpp_complain("%s", error);
        return HPP_EXIT_FAILED;
    }
    ranges = hpp_perf_map_print(output.file, profile, hpp_complain_line);
    if (hpp_output_close(&output, 0, error)) {
        hpp_complain("%s", error);
        return HPP_EXIT_FAILED;
    }
    if (!ranges)
        hpp_complain("%s: no text was moved, so perf needs no names from here: %s is empty", input, path);
    return HPP_EXIT_OK;
}

/* The profile at INPUT, or of the process that it is the number of: then PATH gets its place. */
static struct hpp_profile *load(const char **input, char path[PATH_MAX])
{
    pid_t pid = hpp_running_pid(*input);
    char why[HPP_RUNNING_WHY];

    if (!pid || !access(*input, F_OK))
        return hpp_load(*input);
    if (hpp_running_profile(pid, path, why)) {
        hpp_complain_line(why);
        return NULL;
    }
    if (!*path) {
        hpp_complain("process %d has no samples yet, and so no profile that tells what was moved", pid);
        return NULL;
    }
    *input = path;
    return hpp_load(path);
}

int hpp_cmd_perf_map(const struct hpp_arguments *arguments)
{
    const char *input = arguments->operands[0], *path = arguments->text[HPP_OPT_OUT];
    char program[256], place[64], running[PATH_MAX];
    struct hpp_profile *profile = load(&input, running);
    int64_t pid;
    int status = HPP_EXIT_FAILED;

    if (!profile)
        return HPP_EXIT_FAILED;
    if (hpp_profile_process(profile, &pid, program, sizeof program)) {
        snprintf(place, sizeof place, "/tmp/perf-%lld.map", (long long)pid);
        status = write_map(profile, input, *path ? path : place);
    } else if (hpp_profile_count(profile, "hpprof.process")) {
        hpp_complain(
            "%s holds %zu processes: perf-map takes the profile of one (record --separate keeps them apart)",
            input, hpp_profile_count(profile, "hpprof.process"));
    } else {
        hpp_complain("%s does not say whose profile it is: perf-map takes what libhpprof.so wrote", input);
    }
    hpp_profile_free(profile);
    return status;
}
