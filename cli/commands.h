/* The commands of hpprof and their parsed command lines. main.c parses by the table of options.def and
 * calls the command; a cmd_NAME.c is a thin page over symbolizer/. Offline only. */
#ifndef HPP_CLI_COMMANDS_H
#define HPP_CLI_COMMANDS_H

#include "common/options.h"

#include <stdbool.h>

enum { HPP_EXIT_OK = 0, HPP_EXIT_FAILED = 1, HPP_EXIT_USAGE = 2 };

/* A parsed command line. For each option of options.def that the command takes:
 *   text[id]    the argument as typed, else the row's default ("" for a switch)
 *   number[id]  the parsed NUMBER, SIZE (bytes) or CHOICE (index in `allowed`), default included
 *   given[id]   the option was typed
 * operands are what is left, NULL-terminated like argv; they point into the process's own argv. */
struct hpp_arguments {
    const char *text[HPP_OPTION_COUNT];
    uint64_t number[HPP_OPTION_COUNT];
    bool given[HPP_OPTION_COUNT];
    int operand_count;
    char **operands;
};

struct hpp_command {
    const char *name;
    unsigned user;        /* its bit in hpp_option.users */
    const char *synopsis; /* what follows `hpprof NAME` in the usage line */
    const char *summary;  /* one line for the list of commands */
    const char *detail;   /* more for its own help: what is read and written by default */
    int operands_min;     /* fewer or more operands are a usage error */
    int operands_max;
    bool stops_at_operand; /* options end at the first operand: the rest is another program's */
    int (*run)(const struct hpp_arguments *arguments); /* returns the exit status */
};

/* Parses ARGV (ARGV[0] is the command's name) for COMMAND. Returns 0, or -EINVAL after one line on
 * stderr that names the option and what is allowed; *HELP gets true when --help or -h was typed, and
 * nothing else is then checked. */
int hpp_arguments_parse(const struct hpp_command *command, int argc, char **argv,
                        struct hpp_arguments *arguments, bool *help);

/* Prints the command's usage and its options on stdout. */
void hpp_arguments_help(const struct hpp_command *command);

/* One line `hpprof: …` on stderr; the format brings no newline. */
void hpp_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

int hpp_cmd_record(const struct hpp_arguments *arguments);
int hpp_cmd_report(const struct hpp_arguments *arguments);
int hpp_cmd_flamegraph(const struct hpp_arguments *arguments);
int hpp_cmd_symbolize(const struct hpp_arguments *arguments);
int hpp_cmd_perf_map(const struct hpp_arguments *arguments);
int hpp_cmd_merge(const struct hpp_arguments *arguments);
int hpp_cmd_status(const struct hpp_arguments *arguments);
int hpp_cmd_dump(const struct hpp_arguments *arguments);
int hpp_cmd_unwind_table(const struct hpp_arguments *arguments);
int hpp_cmd_cache(const struct hpp_arguments *arguments);

#endif
