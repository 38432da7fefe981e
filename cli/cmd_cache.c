/* hpprof cache: the unwind tables that are kept on disk: to list, make, check and remove them. */
#include "cli/cache.h"
#include "cli/commands.h"
#include "common/table_cache.h"
#include "common/table_folder.h"
#include "common/unwind_build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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
    hpp_complain("cache: %s=%s is not allowed, only %s", option->variable, variable, option->allowed);
    return -EINVAL;
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

int hpp_cache_open(const struct hpp_cache *cache)
{
    struct stat status;
    int folder = hpp_table_folder_open(cache->directory);
    const char *reason;

    if (folder == -ENOENT)
        return folder;
    if (folder >= 0 && fstat(folder, &status)) {
        int error = -errno;
        close(folder);
        folder = error;
    }
    if (folder < 0) {
        hpp_complain("%s: %s", cache->directory,
                     folder == -ENOTDIR ? "it is a symbolic link, or no folder" : strerror(-folder));
        return folder;
    }
    reason = hpp_table_distrust(&status, S_IFDIR);
    if (!reason)
        return folder;
    hpp_complain("%s is not used: %s: `chown`, `chmod go-w` or remove it", cache->directory, reason);
    close(folder);
    return -EPERM;
}

/* ---- list -------------------------------------------------------------------------------------------- */

struct listing {
    struct hpp_table_file *files;
    size_t count, room;
};

static int keep(void *context, const struct hpp_table_file *file)
{
    struct listing *listing = context;

    if (file->partial)
        return 0;
    if (listing->count == listing->room) {
        size_t room = listing->room ? 2 * listing->room : 64;
        void *files = reallocarray(listing->files, room, sizeof *listing->files);
        if (!files)
            return -ENOMEM;
        listing->files = files;
        listing->room = room;
    }
    listing->files[listing->count++] = *file;
    return 0;
}

/* The most recently used first. */
static int compare(const void *a, const void *b)
{
    const struct hpp_table_file *one = a, *other = b;

    if (one->used != other->used)
        return one->used > other->used ? -1 : 1;
    return strcmp(one->name, other->name);
}

static void print_file(const struct hpp_cache *cache, const struct hpp_table_file *file)
{
    const struct hpp_unwind_table *table;
    const char *reason;
    char size[HPP_CACHE_SIZE_TEXT], day[32] = "";
    time_t used = (time_t)(file->used / 1000000000);
    struct tm local;

    hpp_cache_print_size(size, file->size);
    printf("%-40.*s %7s  ", (int)(2 * file->build_id_size), file->name, size);
    if (hpp_table_cache_peek(cache->directory, file->build_id, file->build_id_size, &table, &reason)) {
        printf("%s\n", reason);
        return;
    }
    if (localtime_r(&used, &local))
        strftime(day, sizeof day, "%F", &local);
    printf("%8" PRIu32 "  %s\n", table->rows, day);
    hpp_unwind_free(table);
}

static int list(const struct hpp_cache *cache, char **files)
{
    struct listing listing = {0};
    uint64_t total = 0;
    char size[HPP_CACHE_SIZE_TEXT], limit[HPP_CACHE_SIZE_TEXT];
    int folder = hpp_cache_open(cache), error = 0;

    (void)files;
    if (folder < 0 && folder != -ENOENT)
        return HPP_EXIT_FAILED;
    if (folder >= 0) {
        error = hpp_table_folder_visit(folder, keep, &listing);
        close(folder);
    }
    if (error)
        hpp_complain("%s: %s", cache->directory, strerror(-error));
    if (listing.count) {
        qsort(listing.files, listing.count, sizeof *listing.files, compare);
        printf("%-40s %7s  %8s  %s\n", "build-id", "bytes", "rows", "last use");
    }
    for (size_t i = 0; i < listing.count; i++) {
        print_file(cache, &listing.files[i]);
        total += listing.files[i].size;
    }
    free(listing.files);
    hpp_cache_print_size(size, total);
    hpp_cache_print_size(limit, cache->limit);
    printf("%zu table%s, %s of at most %s bytes, in %s\n", listing.count, listing.count == 1 ? "" : "s", size,
           limit, cache->directory);
    return error ? HPP_EXIT_FAILED : HPP_EXIT_OK;
}

/* ---- clear ------------------------------------------------------------------------------------------- */

struct removal {
    int folder, error;
    uint64_t count, bytes;
};

static int remove_one(void *context, const struct hpp_table_file *file)
{
    struct removal *removal = context;
    int error;

    if (!file->regular || (file->partial && !hpp_table_file_is_stale(file)))
        return 0;
    error = hpp_table_file_remove(removal->folder, file->name);
    if (error == -ENOENT)
        return 0;
    if (error) {
        removal->error = error;
        return 0;
    }
    removal->count++;
    removal->bytes += file->size;
    return 0;
}

static int clear(const struct hpp_cache *cache, char **files)
{
    struct removal removal = {.folder = hpp_table_folder_open(cache->directory)};
    char size[HPP_CACHE_SIZE_TEXT];
    int error;

    (void)files;
    if (removal.folder >= 0) {
        error = hpp_table_folder_visit(removal.folder, remove_one, &removal);
        close(removal.folder);
        if (!error)
            error = removal.error;
    } else {
        error = removal.folder == -ENOENT ? 0 : removal.folder;
    }
    if (error)
        hpp_complain("cannot clear %s: %s", cache->directory, strerror(-error));
    hpp_cache_print_size(size, removal.bytes);
    printf("removed %" PRIu64 " file%s, %s bytes, from %s\n", removal.count, removal.count == 1 ? "" : "s",
           size, cache->directory);
    return error ? HPP_EXIT_FAILED : HPP_EXIT_OK;
}

/* ---- which ------------------------------------------------------------------------------------------- */

int hpp_cmd_cache(const struct hpp_arguments *arguments)
{
    static const struct {
        const char *name;
        int files_min, files_max;
        int (*run)(const struct hpp_cache *cache, char **files);
    } commands[] = {
        {"list", 0, 0, list},
        {"warm", 1, INT32_MAX, hpp_cache_warm},
        {"verify", 0, INT32_MAX, hpp_cache_verify},
        {"clear", 0, 0, clear},
    };
    const char *name = arguments->operands[0];
    int count = arguments->operand_count - 1, status;
    struct hpp_cache cache;

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
        status = find_cache(arguments, &cache);
        return status ? status : commands[i].run(&cache, arguments->operands + 1);
    }
    hpp_complain("cache: '%s' is none of list, warm, verify, clear", name);
    return HPP_EXIT_USAGE;
}
