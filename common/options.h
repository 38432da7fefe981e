/* The option table, made from proto/options.def: one row an option of the agent or of a command.
 * Used by the agent (environment) and by cli/ (flags, --help). Only constants: any context. */
#ifndef HPP_COMMON_OPTIONS_H
#define HPP_COMMON_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum hpp_option_user {
    HPP_AGENT_OPTION = 1 << 0,
    HPP_RECORD_OPTION = 1 << 1,
    HPP_REPORT_OPTION = 1 << 2,
    HPP_FLAMEGRAPH_OPTION = 1 << 3,
    HPP_SYMBOLIZE_OPTION = 1 << 4,
    HPP_PERF_MAP_OPTION = 1 << 5,
    HPP_MERGE_OPTION = 1 << 6,
    HPP_CACHE_OPTION = 1 << 7,
    HPP_DUMP_OPTION = 1 << 8,
    HPP_UNWIND_TABLE_OPTION = 1 << 9,
};

enum hpp_option_kind {
    HPP_OPTION_CHOICE,
    HPP_OPTION_NUMBER,
    HPP_OPTION_SIZE,
    HPP_OPTION_FOLDER,
    HPP_OPTION_TEXT,
    HPP_OPTION_GLOB,
    HPP_OPTION_SWITCH,
};

enum hpp_option_id {
#define OPTION(id, ...) HPP_OPT_##id,
#include "proto/options.def"
#undef OPTION
    HPP_OPTION_COUNT
};

/* One row of options.def; the fields mean what the head of that file says. */
struct hpp_option {
    const char *variable;
    const char *flag;
    const char *argument;
    const char *initial;
    const char *allowed;
    const char *help;
    int letter;
    enum hpp_option_kind kind;
    unsigned users;
};

extern const struct hpp_option hpp_options[HPP_OPTION_COUNT];

/* Parses TEXT as a value of OPTION. *NUMBER gets the number, the size in bytes, or the index of the
 * chosen word; nothing for FOLDER, TEXT and GLOB. Returns 0, or -EINVAL if the value is not allowed.
 * Any context: no allocation, no libc state. */
int hpp_option_parse(const struct hpp_option *option, const char *text, uint64_t *number);

/* What to say before what is allowed: "one of ", "a number in " or nothing. Any context. */
const char *hpp_option_kind(const struct hpp_option *option);

/* What to say behind what is allowed: the unit of sizes, or nothing. Any context. */
const char *hpp_option_unit(const struct hpp_option *option);

/* The word of a CHOICE's list at INDEX, *LENGTH bytes of it, not terminated. Any context. */
const char *hpp_option_word(const struct hpp_option *option, unsigned index, size_t *length);

#endif
