/* hpprof cache warm and verify: what the tables in the cache and the ELF files have to do with each other.
 * Offline only. */
#include "cli/cache.h"
#include "cli/commands.h"
#include "common/table_cache.h"
#include "common/table_folder.h"
#include "common/unwind_build.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The work under way, which nftw(3) has no way to hand on. */
static struct job {
    const struct hpp_cache *cache;
    void (*run)(const char *path, int fd, const struct hpp_elf_header *header);
    uint64_t done, there, failed;
} job;

static void fail(const char *path, const char *why)
{
    hpp_complain("%s: %s", path, why);
    job.failed++;
}

/* Runs the job on the ELF file PATH. IS_FOUND: it was met in a folder, where what cannot be loaded is passed
 * over. */
static void run_on_file(const char *path, bool is_found)
{
    struct hpp_elf_source source = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    struct hpp_elf_header header;
    struct stat status;
    int error;

    if (source.fd < 0 || fstat(source.fd, &status)) {
        fail(path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        fail(path, "it is not a regular file");
    } else if ((error = hpp_elf_header_read(&source, &header))) {
        if (!is_found || error != -ENOEXEC)
            fail(path, error == -ENOEXEC ? "it is no 64-bit ELF program or library" : strerror(-error));
    } else if (!header.build_id_size) {
        fail(path, "it has no build-id, so its table cannot be kept");
    } else {
        job.run(path, source.fd, &header);
    }
    if (source.fd >= 0)
        close(source.fd);
}

static int visit(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    if (kind == FTW_DNR)
        fail(path, "cannot read the folder");
    else if (kind == FTW_NS)
        fail(path, "cannot be looked at");
    else if (kind == FTW_F && S_ISREG(status->st_mode))
        run_on_file(path, true);
    return 0;
}

static void run_on_all(char **files)
{
    for (; *files; files++) {
        struct stat status;

        if (stat(*files, &status) || !S_ISDIR(status.st_mode))
            run_on_file(*files, false);
        else if (nftw(*files, visit, 16, FTW_PHYS))
            fail(*files, strerror(errno));
    }
}

/* The table of the open file, or NULL after complaining. */
static const struct hpp_unwind_table *build(const char *path, int fd)
{
    struct hpp_unwind_build work = {.source = {.fd = fd}};
    const struct hpp_unwind_table *table;
    int error = hpp_unwind_build(&work, &table);

    if (!error)
        return table;
    fail(path, work.reason ? work.reason : strerror(-error));
    return NULL;
}

/* ---- warm -------------------------------------------------------------------------------------------- */

static void complain_of_store(const char *path, const struct hpp_unwind_table *table, int error)
{
    if (error == -E2BIG)
        hpp_complain("%s: its table of %" PRIu64 " bytes is larger than the cache may be: raise --cache-max",
                     path, table->size);
    else
        hpp_complain("%s: cannot keep its table in %s: %s", path, job.cache->directory, strerror(-error));
    job.failed++;
}

static void warm_one(const char *path, int fd, const struct hpp_elf_header *header)
{
    const struct hpp_unwind_table *table;
    const char *reason;
    char size[HPP_CACHE_SIZE_TEXT];
    int error;

    if (!hpp_table_cache_load(job.cache->directory, header->build_id, header->build_id_size, &table,
                              &reason)) {
        printf("%s: already there\n", path);
        job.there++;
        hpp_unwind_free(table);
        return;
    }
    table = build(path, fd);
    if (!table)
        return;
    error = hpp_table_cache_store(job.cache->directory, table, job.cache->limit);
    if (error) {
        complain_of_store(path, table, error);
    } else {
        hpp_cache_print_size(size, table->size);
        printf("%s: %" PRIu32 " rows, %s bytes\n", path, table->rows, size);
        job.done++;
    }
    hpp_unwind_free(table);
}

int hpp_cache_warm(const struct hpp_cache *cache, char **files)
{
    int folder = hpp_cache_open(cache);

    if (folder < 0 && folder != -ENOENT)
        return HPP_EXIT_FAILED;
    if (folder >= 0)
        close(folder);
    job = (struct job){.cache = cache, .run = warm_one};
    run_on_all(files);
    printf("%" PRIu64 " made, %" PRIu64 " already there, %" PRIu64 " failed\n", job.done, job.there,
           job.failed);
    return job.failed ? HPP_EXIT_FAILED : HPP_EXIT_OK;
}

/* ---- verify ------------------------------------------------------------------------------------------ */

static int verify_file(void *context, const struct hpp_table_file *file)
{
    const struct hpp_unwind_table *table;
    const char *reason;

    (void)context;
    if (file->partial)
        return 0;
    if (!hpp_table_cache_peek(job.cache->directory, file->build_id, file->build_id_size, &table, &reason)) {
        hpp_unwind_free(table);
        job.done++;
        return 0;
    }
    hpp_complain("%s/%s: %s", job.cache->directory, file->name, reason);
    job.failed++;
    return 0;
}

/* The table in the cache must be what the file gives today, byte for byte. */
static void compare_one(const char *path, int fd, const struct hpp_elf_header *header)
{
    const struct hpp_unwind_table *kept, *built;
    const char *reason;

    if (hpp_table_cache_peek(job.cache->directory, header->build_id, header->build_id_size, &kept, &reason)) {
        hpp_complain("%s: its table in the cache: %s: `hpprof cache warm` makes it", path, reason);
        job.failed++;
        return;
    }
    built = build(path, fd);
    if (built && (built->size != kept->size || memcmp(built, kept, kept->size)))
        fail(path, "its table in the cache is not the one that the file gives: clear the cache");
    else if (built)
        printf("%s: as the file gives it\n", path);
    if (built)
        hpp_unwind_free(built);
    hpp_unwind_free(kept);
}

int hpp_cache_verify(const struct hpp_cache *cache, char **files)
{
    int folder = hpp_cache_open(cache), error = 0;

    if (folder < 0 && folder != -ENOENT)
        return HPP_EXIT_FAILED;
    job = (struct job){.cache = cache, .run = compare_one};
    if (folder >= 0) {
        error = hpp_table_folder_visit(folder, verify_file, NULL);
        close(folder);
    }
    if (error)
        fail(cache->directory, strerror(-error));
    printf("%" PRIu64 " sound, %" PRIu64 " not used, in %s\n", job.done, job.failed, cache->directory);
    run_on_all(files);
    return job.failed ? HPP_EXIT_FAILED : HPP_EXIT_OK;
}
