/* hpprof cache: which sub-command, on what, in which folder: unwind tables (cache_tables.c) or copies of text
 * (cache_text.c). Offline only. */
#include "cli/cache.h"
#include "cli/commands.h"
#include "common/table_cache.h"
#include "common/text_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An option's value: typed, or from its variable, or the default. Returns -EINVAL after complaining. */
static int read_option(const struct hpp_arguments *arguments, enum hpp_option_id id, const char **text,
                       uint64_t *number)
{
    const struct hpp_option *option = &hpp_options[id];
    const char *variable = getenv(option->variable);

    *text = arguments->text[id];
    *number = arguments->number[id];
    if (arguments->given[id] || !variable || !*variable)
        return 0;
    *text = variable;
    if (!hpp_option_parse(option, variable, number))
        return 0;
    hpp_complain("cache: %s=%s is not allowed, only %s%s", option->variable, variable, option->allowed,
                 hpp_option_unit(option));
    return -EINVAL;
}

/* The same of the copies of text. Where there is to be no cache, and nobody asked for it, directory is "". */
static int find_text_cache(const struct hpp_arguments *arguments, struct hpp_cache *cache)
{
    const char *setting, *text;
    uint64_t ignored;
    int error;

    if (read_option(arguments, HPP_OPT_TEXT_CACHE, &setting, &ignored) ||
        read_option(arguments, HPP_OPT_TEXT_CACHE_MAX, &text, &cache->limit))
        return HPP_EXIT_USAGE;
    cache->is_named = *setting;
    error = hpp_text_cache_directory(cache->directory, sizeof cache->directory, setting);
    if (!error)
        return HPP_EXIT_OK;
    *cache->directory = 0;
    if (error == -ENOENT && !cache->is_asked_for)
        return HPP_EXIT_OK;
    if (error == -ENOENT)
        hpp_complain("cache: HPPROF_TEXT_CACHE is off: there is no cache");
    else
        hpp_complain("cache: %.40s…: %s", setting, strerror(-error));
    return HPP_EXIT_FAILED;
}

/* Where the cache is and how large it may be. Returns the exit status, after complaining if it is not 0. */
static int find_cache(const struct hpp_arguments *arguments, struct hpp_cache *cache)
{
    const char *setting, *text;
    uint64_t ignored;
    int error;

    if (read_option(arguments, HPP_OPT_CACHE, &setting, &ignored) ||
        read_option(arguments, HPP_OPT_CACHE_MAX, &text, &cache->limit))
        return HPP_EXIT_USAGE;
    error = hpp_table_cache_directory(cache->directory, sizeof cache->directory, setting, geteuid(),
                                      getenv("XDG_CACHE_HOME"), getenv("HOME"));
    if (!error)
        return HPP_EXIT_OK;
    if (error == -ENOENT && !strcmp(setting, "off"))
        hpp_complain("cache: HPPROF_CACHE is off: there is no cache");
    else if (error == -ENOENT)
        hpp_complain("cache: there is no home folder: name one in HOME, or a folder with --cache");
    else
        hpp_complain("cache: %.40s…: %s", setting, strerror(-error));
    return HPP_EXIT_FAILED;
}

void hpp_cache_print_size(char text[HPP_CACHE_SIZE_TEXT], uint64_t bytes)
{
    static const char units[] = "KMGT";
    double size = (double)bytes / 1024;
    int unit = 0;

    for (; size >= 999.95 && unit < 3; unit++)
        size /= 1024;
    if (bytes < 1024)
        snprintf(text, HPP_CACHE_SIZE_TEXT, "%" PRIu64, bytes);
    else
        snprintf(text, HPP_CACHE_SIZE_TEXT, "%.1f%c", size, units[unit]);
}

/* ---- which ------------------------------------------------------------------------------------------- */

struct command {
    const char *name;
    int files_min, files_max;
    bool is_of_tables;
    int (*run)(struct hpp_cache *cache, char **files);
};

/* On the kinds that were asked for; without an option on both, copies of text where there can be any. */
static int run(const struct command *command, const struct hpp_arguments *arguments)
{
    bool of_text = arguments->given[HPP_OPT_TEXT] || !command->is_of_tables;
    bool of_tables = arguments->given[HPP_OPT_TABLES];
    char **files = arguments->operands + 1;
    struct hpp_cache tables = {.contents = &hpp_cache_tables, .folder = {.fd = -1}, .is_named = true},
                     text = {.contents = &hpp_cache_text, .folder = {.fd = -1}, .is_asked_for = of_text};
    int status = HPP_EXIT_OK, of_copies;

    if (of_tables && !command->is_of_tables) {
        hpp_complain("cache %s: it is for copies of text, not for --tables", command->name);
        return HPP_EXIT_USAGE;
    }
    if (of_tables || !of_text) {
        status = find_cache(arguments, &tables);
        if (!status)
            status = command->run(&tables, files);
    }
    if (status == HPP_EXIT_USAGE || (of_tables && !of_text))
        return status;
    of_copies = find_text_cache(arguments, &text);
    if (!of_copies && *text.directory)
        of_copies = command->run(&text, files);
    return of_copies ? of_copies : status;
}

int hpp_cmd_cache(const struct hpp_arguments *arguments)
{
    static const struct command commands[] = {
        {"list", 0, 0, true, hpp_cmd_cache_list},
        {"warm", 1, INT32_MAX, true, hpp_cmd_cache_warm},
        {"verify", 0, INT32_MAX, true, hpp_cmd_cache_verify},
        {"clear", 0, 0, true, hpp_cmd_cache_clear},
        {"mount", 0, 1, false, hpp_cmd_cache_mount},
    };
    const char *name = arguments->operands[0];
    int count = arguments->operand_count - 1;

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name))
            continue;
        if (count < commands[i].files_min) {
            hpp_complain("cache %s: missing argument: hpprof cache %s FILE...", name, name);
            return HPP_EXIT_USAGE;
        }
        if (count > commands[i].files_max) {
            hpp_complain("cache %s: '%s' is one argument too many", name,
                         arguments->operands[1 + commands[i].files_max]);
            return HPP_EXIT_USAGE;
        }
        return run(&commands[i], arguments);
    }
    hpp_complain("cache: '%s' is none of list, warm, verify, clear, mount", name);
    return HPP_EXIT_USAGE;
}
