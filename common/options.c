/* The option table and the parser of values. Called by the agent at start and by the commands. */
#include "common/options.h"

#include <errno.h>

#include "common/text.h"

#define AGENT        HPP_AGENT_OPTION
#define RECORD       HPP_RECORD_OPTION
#define REPORT       HPP_REPORT_OPTION
#define FLAMEGRAPH   HPP_FLAMEGRAPH_OPTION
#define SYMBOLIZE    HPP_SYMBOLIZE_OPTION
#define PERF_MAP     HPP_PERF_MAP_OPTION
#define MERGE        HPP_MERGE_OPTION
#define CACHE        HPP_CACHE_OPTION
#define DUMP         HPP_DUMP_OPTION
#define UNWIND_TABLE HPP_UNWIND_TABLE_OPTION

const struct hpp_option hpp_options[HPP_OPTION_COUNT] = {
#define OPTION(id, variable, flag, letter, argument, kind, initial, allowed, users, help) \
    [HPP_OPT_##id] = {variable, flag, argument, initial, allowed, help, letter, HPP_OPTION_##kind, users},
#include "proto/options.def"
#undef OPTION
};

/* Digits, at most one K, M or G if SUFFIX. Stops at the first other character, which *END gets. */
static int parse_digits(const char *text, int suffix, uint64_t *number, const char **end)
{
    uint64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return -EINVAL;
    if (at == text)
        return -EINVAL;
    if (suffix) {
        unsigned shift = 0;
        switch (*at) {
        case 'k':
        case 'K':
            shift = 10;
            break;
        case 'm':
        case 'M':
            shift = 20;
            break;
        case 'g':
        case 'G':
            shift = 30;
            break;
        }
        if (shift) {
            if (value > UINT64_MAX >> shift)
                return -EINVAL;
            value <<= shift;
            at++;
        }
    }
    *number = value;
    *end = at;
    return 0;
}

/* The index of TEXT among the words of ALLOWED, parted by '|'. */
static int parse_choice(const char *allowed, const char *text, uint64_t *number)
{
    for (uint64_t index = 0;; index++) {
        const char *at = text;
        while (*allowed && *allowed != '|' && *allowed == *at)
            allowed++, at++;
        if (!*at && (!*allowed || *allowed == '|') && at != text) {
            *number = index;
            return 0;
        }
        while (*allowed && *allowed != '|')
            allowed++;
        if (!*allowed)
            return -EINVAL;
        allowed++;
    }
}

int hpp_option_parse(const struct hpp_option *option, const char *text, uint64_t *number)
{
    const char *end;
    uint64_t low, high;

    switch (option->kind) {
    case HPP_OPTION_CHOICE:
        return parse_choice(option->allowed, text, number);
    case HPP_OPTION_NUMBER:
    case HPP_OPTION_SIZE:
        if (parse_digits(option->allowed, 1, &low, &end) || parse_digits(end + 2, 1, &high, &end))
            return -EINVAL;
        if (parse_digits(text, option->kind == HPP_OPTION_SIZE, number, &end) || *end)
            return -EINVAL;
        return *number < low || *number > high ? -EINVAL : 0;
    case HPP_OPTION_FOLDER:
        return *text == '/' || hpp_text_equal(text, "off") ? 0 : -EINVAL;
    case HPP_OPTION_GLOB:
        return hpp_text_is_pattern(text) ? 0 : -EINVAL;
    default:
        return 0;
    }
}

const char *hpp_option_kind(const struct hpp_option *option)
{
    switch (option->kind) {
    case HPP_OPTION_CHOICE:
        return "one of ";
    case HPP_OPTION_NUMBER:
    case HPP_OPTION_SIZE:
        return "a number in ";
    default:
        return "";
    }
}

const char *hpp_option_unit(const struct hpp_option *option)
{
    return option->kind == HPP_OPTION_SIZE ? " bytes (K, M, G)" : "";
}

const char *hpp_option_word(const struct hpp_option *option, unsigned index, size_t *length)
{
    const char *at = option->allowed;

    for (; index && *at; at++)
        index -= *at == '|';
    for (*length = 0; at[*length] && at[*length] != '|';)
        ++*length;
    return at;
}
