/* hpprof flamegraph: the stacks as a picture, or as folded lines. */
#include "cli/commands.h"
#include "cli/load.h"
#include "symbolizer/flamegraph.h"
#include "symbolizer/output.h"
#include "symbolizer/symbolize.h"

#define DEFAULT_OUT "hpprof.svg"

static void make_title(const struct hpp_arguments *arguments, const struct hpp_profile *profile, char *title,
                       size_t size)
{
    const char *event;
    char program[256];
    int64_t pid;

    hpp_profile_sampled_index(profile, &event);
    if (!event)
        event = "CPU time";

    if (arguments->given[HPP_OPT_TITLE])
        snprintf(title, size, "%s", arguments->text[HPP_OPT_TITLE]);
    else if (hpp_profile_process(profile, &pid, program, sizeof program))
        snprintf(title, size, "%s of %s (pid %lld)", event, program, (long long)pid);
    else
        snprintf(title, size, "%s: %s", event, hpp_base_name(hpp_input_path(arguments)));
}

static int write_out(const struct hpp_arguments *arguments, const struct hpp_flame *flame)
{
    const char *path = arguments->text[HPP_OPT_OUT];
    bool folded = arguments->given[HPP_OPT_FOLDED];
    char title[1024], error[HPP_ERROR_SIZE];
    struct hpp_output output;

    if (folded && !*path) {
        hpp_flame_print_folded(stdout, flame);
        return HPP_EXIT_OK;
    }
    make_title(arguments, flame->profile, title, sizeof title);
    if (!hpp_output_open(&output, *path ? path : DEFAULT_OUT, 0666, true, error)) {
        if (folded)
            hpp_flame_print_folded(output.file, flame);
        else
            hpp_flame_print_svg(output.file, flame, title);
        if (!hpp_output_close(&output, 0, error))
            return HPP_EXIT_OK;
    }
    hpp_complain("%s", error);
    return HPP_EXIT_FAILED;
}

int hpp_cmd_flamegraph(const struct hpp_arguments *arguments)
{
    struct hpp_profile *profile = hpp_load(hpp_input_path(arguments));
    struct hpp_flame flame;
    int status = HPP_EXIT_FAILED;

    if (!profile)
        return HPP_EXIT_FAILED;
    hpp_symbolize(profile, true, hpp_complain_line);
    if (hpp_flame_make(&flame, profile))
        hpp_complain("%s holds no CPU samples (samples/count, cpu/nanoseconds)", hpp_input_path(arguments));
    else if (!profile->sample_count)
        hpp_complain("%s holds no samples: there is nothing to draw", hpp_input_path(arguments));
    else
        status = write_out(arguments, &flame);
    hpp_flame_free(&flame);
    hpp_profile_free(profile);
    return status;
}
