/* hpprof cache: list, warm, verify and clear, of either cache. Offline only. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { BUILD_ID_SHOWN = 40 };

int hpp_cache_open_folder(struct hpp_cache *cache, bool to_change, const char **reason)
{
    uint64_t ignored = 0;
    int error = hpp_cache_folder_open(&cache->folder, cache->contents->kind, cache->directory,
                                      cache->is_named, reason);

    if (!error && to_change && !cache->contents->kind->stale_after) {
        flock(cache->folder.fd, LOCK_EX);
        hpp_cache_clear(&cache->folder, 0, &ignored, &ignored);
    }
    return error;
}

/* The same; complains, but where there is none, which is in order. */
static int open_folder(struct hpp_cache *cache, bool to_change)
{
    const char *reason;
    int error = hpp_cache_open_folder(cache, to_change, &reason);

    if (error == -EPERM)
        hpp_complain("%s is not used: %s: `chown`, `chmod go-w` or remove it", cache->directory, reason);
    else if (error && error != -ENOENT)
        hpp_complain("%s: %s", cache->directory,
                     error == -ENOTDIR ? "it is a symbolic link, or no folder" : reason);
    return error;
}

static void close_folder(struct hpp_cache *cache)
{
    if (cache->folder.fd >= 0)
        close(cache->folder.fd);
}

/* The folder is root's, and nobody asked for a change of it in so many words. */
static bool is_left_to_root(const struct hpp_cache *cache)
{
    return !cache->is_asked_for && !cache->is_named && geteuid() != 0;
}

/* The most recently used first. */
static int compare(const void *a, const void *b)
{
    const struct hpp_cache_entry *one = a, *other = b;

    if (one->used != other->used)
        return one->used > other->used ? -1 : 1;
    return strcmp(one->name, other->name);
}

static void print_row(const struct hpp_cache *cache, const struct hpp_cache_entry *entry)
{
    char size[HPP_CACHE_SIZE_TEXT], day[32] = "";
    time_t used = (time_t)(entry->used / 1000000000);
    struct tm local;

    hpp_cache_print_size(size, entry->size);
    if (localtime_r(&used, &local))
        strftime(day, sizeof day, "%F", &local);
    printf("%-*.*s %7s  ", BUILD_ID_SHOWN, (int)(2 * entry->build_id_size), entry->name, size);
    cache->contents->print_row(cache, entry, day);
}

int hpp_cmd_cache_list(struct hpp_cache *cache, char **files)
{
    const struct hpp_cache_contents *contents = cache->contents;
    struct hpp_cache_list list = {0};
    char size[HPP_CACHE_SIZE_TEXT], limit[HPP_CACHE_SIZE_TEXT];
    int error = open_folder(cache, false);

    (void)files;
    if (error && error != -ENOENT)
        return HPP_EXIT_FAILED;
    error = error ? 0 : contents->read(&cache->folder, &list);
    if (error)
        hpp_complain("%s: %s", cache->directory, strerror(-error));
    if (list.count) {
        qsort(list.entries, list.count, sizeof *list.entries, compare);
        printf("%-*s %7s  %s\n", BUILD_ID_SHOWN, "build-id", "bytes", contents->columns);
    }
    for (size_t i = 0; i < list.count; i++)
        print_row(cache, &list.entries[i]);
    hpp_cache_print_size(size, list.total);
    hpp_cache_print_size(limit, contents->limit(cache));
    printf("%zu %s, %s of at most %s bytes, in %s\n", list.count, contents->entry[list.count != 1], size,
           limit, cache->directory);
    hpp_cache_list_free(&list);
    close_folder(cache);
    return error ? HPP_EXIT_FAILED : HPP_EXIT_OK;
}

int hpp_cmd_cache_clear(struct hpp_cache *cache, char **files)
{
    uint64_t count = 0, bytes = 0;
    char size[HPP_CACHE_SIZE_TEXT];
    const char *reason;
    int error;

    (void)files;
    if (is_left_to_root(cache))
        return HPP_EXIT_OK;
    error = hpp_cache_open_folder(cache, true, &reason);
    if (!error) {
        error = hpp_cache_clear(&cache->folder, 1, &count, &bytes);
        reason = strerror(-error);
    } else if (error == -ENOENT) {
        error = 0;
    }
    if (error)
        hpp_complain("cannot clear %s: %s", cache->directory, reason);
    hpp_cache_print_size(size, bytes);
    printf("removed %" PRIu64 " %s, %s bytes, from %s\n", count, cache->contents->removed[count != 1], size,
           cache->directory);
    close_folder(cache);
    return error ? HPP_EXIT_FAILED : HPP_EXIT_OK;
}

int hpp_cmd_cache_warm(struct hpp_cache *cache, char **files)
{
    int error;

    if (is_left_to_root(cache)) {
        printf("text is not copied: only root fills %s: name a folder of your own with --text-cache\n",
               cache->directory);
        return HPP_EXIT_OK;
    }
    error = open_folder(cache, true);
    if (error && error != -ENOENT)
        return HPP_EXIT_FAILED;
    hpp_cache_walk(cache, files, cache->contents->warm);
    printf("%" PRIu64 " made, %" PRIu64 " already there, %" PRIu64 " failed, in %s\n", cache->done,
           cache->there, cache->failed, cache->directory);
    close_folder(cache);
    if (error && !cache->done) /* made for what then could not be had: every program would look there */
        rmdir(cache->directory);
    return cache->failed ? HPP_EXIT_FAILED : HPP_EXIT_OK;
}

static int verify_one(void *context, const struct hpp_cache_entry *entry)
{
    struct hpp_cache *cache = context;
    char path[sizeof cache->directory + HPP_CACHE_NAME_SIZE + 1];
    const char *why = entry->partial ? NULL : cache->contents->verify(cache, entry);

    cache->done += !entry->partial && !why;
    if (why) {
        snprintf(path, sizeof path, "%s/%s", cache->directory, entry->name);
        hpp_cache_fail(cache, path, why);
    }
    return 0;
}

int hpp_cmd_cache_verify(struct hpp_cache *cache, char **files)
{
    int error = open_folder(cache, false);

    if (error && error != -ENOENT)
        return HPP_EXIT_FAILED;
    error = error ? 0 : hpp_cache_visit(&cache->folder, verify_one, cache);
    if (error)
        hpp_cache_fail(cache, cache->directory, strerror(-error));
    printf("%" PRIu64 " sound, %" PRIu64 " not used, in %s\n", cache->done, cache->failed, cache->directory);
    hpp_cache_walk(cache, files, cache->contents->compare);
    close_folder(cache);
    return cache->failed ? HPP_EXIT_FAILED : HPP_EXIT_OK;
}
