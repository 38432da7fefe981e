/* What the commands that take a profile share: reading it, with its messages. Offline only. */
#ifndef HPP_CLI_LOAD_H
#define HPP_CLI_LOAD_H

#include "cli/commands.h"
#include "symbolizer/profile.h"

#define HPP_DEFAULT_PROFILE "hpprof.pb"

/* The profile in PATH, or NULL after one line on stderr. A torn last chunk is told there too. */
struct hpp_profile *hpp_load(const char *path);

/* The first operand, or hpprof.pb. */
const char *hpp_input_path(const struct hpp_arguments *arguments);

/* True, after one line on stderr, when the command line brings no --out. */
bool hpp_needs_out(const struct hpp_arguments *arguments, const char *command);

/* LINE on stderr as hpp_complain; it may hold text from a profile, which cannot act on the terminal here. */
void hpp_complain_line(const char *line);

#endif
