/* hpprof merge: several profiles as one. */
#include "cli/commands.h"
#include "cli/load.h"
#include "symbolizer/booked.h"

int hpp_cmd_merge(const struct hpp_arguments *arguments)
{
    struct hpp_profile *all = hpp_profile_new();
    char error[HPP_ERROR_SIZE];
    int status = HPP_EXIT_OK;

    if (hpp_needs_out(arguments, "merge"))
        status = HPP_EXIT_USAGE;
    for (int i = 0; i < arguments->operand_count && status == HPP_EXIT_OK; i++) {
        struct hpp_profile *one = hpp_load(arguments->operands[i]);
        if (!one) {
            status = HPP_EXIT_FAILED;
        } else if (hpp_profile_merge(all, one, true)) {
            hpp_complain("%s holds other kinds of values than %s: they cannot be merged",
                         arguments->operands[i], arguments->operands[0]);
            status = HPP_EXIT_FAILED;
        }
        hpp_profile_free(one);
    }
    hpp_booked_settle(all);
    if (status == HPP_EXIT_OK && hpp_profile_write(all, arguments->text[HPP_OPT_OUT], error)) {
        hpp_complain("%s", error);
        status = HPP_EXIT_FAILED;
    }
    hpp_profile_free(all);
    return status;
}
