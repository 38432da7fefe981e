/* hpprof symbolize: the profile with names in it. */
#include "cli/commands.h"
#include "cli/load.h"
#include "symbolizer/symbolize.h"

int hpp_cmd_symbolize(const struct hpp_arguments *arguments)
{
    struct hpp_profile *profile;
    char error[HPP_ERROR_SIZE];
    int status = HPP_EXIT_OK;

    if (hpp_needs_out(arguments, "symbolize"))
        return HPP_EXIT_USAGE;
    profile = hpp_load(arguments->operands[0]);
    if (!profile)
        return HPP_EXIT_FAILED;
    hpp_symbolize(profile, false, hpp_complain_line);
    if (hpp_profile_write(profile, arguments->text[HPP_OPT_OUT], error)) {
        hpp_complain("%s", error);
        status = HPP_EXIT_FAILED;
    }
    hpp_profile_free(profile);
    return status;
}
