/* hpprof cache: the unwind tables that are kept on disk. Offline only. */
#include "cli/cache.h"
#include "cli/commands.h"
#include "common/table_cache.h"
#include "common/unwind_build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t limit(const struct hpp_cache *cache)
{
    return cache->limit;
}

static void print_row(const struct hpp_cache *cache, const struct hpp_cache_entry *entry, const char *day)
{
    const struct hpp_unwind_table *table;
    const char *reason;

    if (hpp_table_cache_peek(cache->directory, entry->build_id, entry->build_id_size, &table, &reason)) {
        printf("%s\n", reason);
        return;
    }
    printf("%8" PRIu32 "  %s\n", table->rows, day);
    hpp_unwind_free(table);
}

static const char *verify(const struct hpp_cache *cache, const struct hpp_cache_entry *entry)
{
    const struct hpp_unwind_table *table;
    const char *reason;

    if (hpp_table_cache_peek(cache->directory, entry->build_id, entry->build_id_size, &table, &reason))
        return reason;
    hpp_unwind_free(table);
    return NULL;
}

/* The table of the open file, or NULL after complaining. */
static const struct hpp_unwind_table *build(struct hpp_cache *cache, const char *path, int fd)
{
    struct hpp_unwind_build work = {.source = {.fd = fd}};
    const struct hpp_unwind_table *table;
    int error = hpp_unwind_build(&work, &table);

    if (!error)
        return table;
    hpp_cache_fail(cache, path, work.reason ? work.reason : strerror(-error));
    return NULL;
}

static void complain_of_store(struct hpp_cache *cache, const char *path, const struct hpp_unwind_table *table,
                              int error)
{
    if (error == -E2BIG)
        hpp_complain("%s: its table of %" PRIu64 " bytes is larger than the cache may be: raise --cache-max",
                     path, table->size);
    else
        hpp_complain("%s: cannot keep its table in %s: %s", path, cache->directory, strerror(-error));
    cache->failed++;
}

static void warm(struct hpp_cache *cache, const char *path, int fd, const struct hpp_elf_header *header)
{
    const struct hpp_unwind_table *table;
    const char *reason;
    char size[HPP_CACHE_SIZE_TEXT];
    int error;

    if (!hpp_table_cache_load(cache->directory, header->build_id, header->build_id_size, &table, &reason)) {
        printf("%s: already there\n", path);
        cache->there++;
        hpp_unwind_free(table);
        return;
    }
    table = build(cache, path, fd);
    if (!table)
        return;
    error = hpp_table_cache_store(cache->directory, table, cache->limit);
    if (error) {
        complain_of_store(cache, path, table, error);
    } else {
        hpp_cache_print_size(size, table->size);
        printf("%s: %" PRIu32 " rows, %s bytes\n", path, table->rows, size);
        cache->done++;
    }
    hpp_unwind_free(table);
}

/* The table in the cache must be what the file gives today, byte for byte. */
static void compare(struct hpp_cache *cache, const char *path, int fd, const struct hpp_elf_header *header)
{
    const struct hpp_unwind_table *kept, *built;
    const char *reason;

    if (hpp_table_cache_peek(cache->directory, header->build_id, header->build_id_size, &kept, &reason)) {
        hpp_complain("%s: its table in the cache: %s: `hpprof cache warm` makes it", path, reason);
        cache->failed++;
        return;
    }
    built = build(cache, path, fd);
    if (built && (built->size != kept->size || memcmp(built, kept, kept->size)))
        hpp_cache_fail(cache, path,
                       "its table in the cache is not the one that the file gives: clear the cache");
    else if (built)
        printf("%s: as the file gives it\n", path);
    if (built)
        hpp_unwind_free(built);
    hpp_unwind_free(kept);
}

const struct hpp_cache_contents hpp_cache_tables = {
    .kind = &hpp_table_cache_kind,
    .entry = {"table", "tables"},
    .removed = {"file", "files"},
    .columns = "    rows  last use",
    .no_build_id = "it has no build-id, so its table cannot be kept",
    .read = hpp_cache_list_read,
    .limit = limit,
    .print_row = print_row,
    .verify = verify,
    .warm = warm,
    .compare = compare,
};
