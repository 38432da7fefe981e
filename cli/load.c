/* Reading a profile for a command, and saying what is wrong with it. Offline only. */
#include "cli/load.h"
#include "symbolizer/escape.h"

#include <inttypes.h>

struct hpp_profile *hpp_load(const char *path)
{
    struct hpp_profile *profile;
    char error[HPP_ERROR_SIZE];

    if (hpp_profile_read(path, &profile, error)) {
        hpp_complain("%s", error);
        return NULL;
    }
    if (profile->torn_bytes)
        hpp_complain("%s: its last chunk is torn: read up to there, %" PRIu64 " byte%s left out", path,
                     profile->torn_bytes, profile->torn_bytes == 1 ? "" : "s");
    return profile;
}

const char *hpp_input_path(const struct hpp_arguments *arguments)
{
    return arguments->operand_count ? arguments->operands[0] : HPP_DEFAULT_PROFILE;
}

bool hpp_needs_out(const struct hpp_arguments *arguments, const char *command)
{
    if (*arguments->text[HPP_OPT_OUT])
        return false;
    hpp_complain("%s: say where to write: -o FILE", command);
    return true;
}

void hpp_complain_line(const char *line)
{
    fflush(stdout);
    fputs("hpprof: ", stderr);
    hpp_escape_plain(stderr, line, 0);
    fputc('\n', stderr);
}
