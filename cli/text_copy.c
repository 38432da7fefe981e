/* Makes copies of text, and removes them. Who makes or removes holds a lock on the folder. Offline only. */
#include "cli/text_copy.h"
#include "cli/sha256.h"
#include "cli/text_in_use.h"
#include "common/cache_room.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

#define SETTLED 2000000000ll /* ns: no file system's times are coarser */

int hpp_text_copy_hash(int fd, uint8_t hash[HPP_TEXT_HASH_SIZE])
{
    struct hpp_sha256 sum;
    char *buffer = malloc(BUFFER);
    off_t done = 0;
    ssize_t count = buffer ? 1 : -1;

    hpp_sha256_begin(&sum);
    while (buffer && (count = pread(fd, buffer, BUFFER, done)) > 0) {
        hpp_sha256_add(&sum, buffer, (size_t)count);
        done += count;
    }
    count = count < 0 ? -errno : 0;
    hpp_sha256_end(&sum, hash);
    free(buffer);
    return (int)count;
}

/* ---- room ---------------------------------------------------------------------------------------------- */

uint64_t hpp_text_copy_limit(const struct hpp_cache_folder *cache, uint64_t limit)
{
    struct statvfs status;
    uint64_t all;

    if (fstatvfs(cache->fd, &status) || __builtin_mul_overflow(status.f_blocks, status.f_frsize, &all))
        return limit;
    return all && all < limit ? all : limit;
}

/* Removes the least recently used until NEED bytes more fit into LIMIT, and into the file system if all of it
 * is ours. */
static int make_room(const struct hpp_cache_folder *cache, uint64_t need, uint64_t limit, const char **reason)
{
    uint64_t possible = hpp_text_copy_limit(cache, limit);
    struct hpp_cache_list list;
    int error;

    if (need > limit) {
        *reason = "it is larger than the cache may be: raise --text-cache-max";
        return -E2BIG;
    }
    if (need > possible)
        return -ENOSPC;
    error = hpp_text_uses_read(cache, &list);
    if (!error && (error = hpp_cache_evict(cache, &list, need, possible)) == -ENOSPC)
        *reason = "it does not fit beside the copies that processes have mapped: raise --text-cache-max";
    hpp_cache_list_free(&list);
    return error;
}

/* Removes the least recently used copy where the file system is full, though by what we count NEED bytes fit:
 * others fill it too, and small files take a huge page each. Returns whether that can help. */
static bool free_one(const struct hpp_cache_folder *cache, uint64_t need)
{
    const struct hpp_cache_entry *oldest;
    struct hpp_cache_list list;
    struct statvfs status;
    uint64_t possible;
    bool freed = false;

    if (fstatvfs(cache->fd, &status))
        return false;
    possible = status.f_bavail * status.f_frsize;
    if (!hpp_text_uses_read(cache, &list)) {
        for (size_t i = 0; i < list.count; i++)
            possible += list.entries[i].in_use ? 0 : list.entries[i].size;
        oldest = hpp_cache_list_oldest(&list);
        freed = oldest && possible >= need && !hpp_cache_remove(cache, oldest->name);
    }
    hpp_cache_list_free(&list);
    return freed;
}

/* ---- making -------------------------------------------------------------------------------------------- */

static int copy_bytes(int from, int to, uint8_t hash[HPP_TEXT_HASH_SIZE])
{
    struct hpp_sha256 sum;
    char *buffer = malloc(BUFFER);
    off_t done = 0;
    ssize_t count = 0;
    int error = buffer ? 0 : -ENOMEM;

    hpp_sha256_begin(&sum);
    while (!error && (count = pread(from, buffer, BUFFER, done)) > 0) {
        hpp_sha256_add(&sum, buffer, (size_t)count);
        error = hpp_cache_write(to, buffer, (size_t)count);
        done += count;
    }
    if (!error && count < 0)
        error = -errno;
    hpp_sha256_end(&sum, hash);
    free(buffer);
    return error;
}

static int create(int folder, const char *name)
{
    return openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* The copy in the open FOLDER: on disk, and out of memory, so that it comes back on huge pages. */
static int put_copy(int folder, int from, struct hpp_text_record *record)
{
    int fd = create(folder, record->name), error;
    struct stat status;

    if (fd < 0)
        return -errno;
    error = copy_bytes(from, fd, record->hash);
    if (!error && (fchmod(fd, 0444) || fsync(fd) || fstat(fd, &status)))
        error = -errno;
    if (!error) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        hpp_text_identify(&status, &record->copy);
        record->copy.device = 0;
    }
    close(fd);
    return error;
}

/* The record in the open FOLDER, in the place of one that may be there. */
static int put_record(int folder, const struct hpp_text_record *record)
{
    static const char partial[] = HPP_TEXT_CACHE_RECORD ".new";
    int fd, error;

    unlinkat(folder, partial, 0);
    fd = create(folder, partial);
    if (fd < 0)
        return -errno;
    error = hpp_cache_write(fd, record, sizeof *record);
    if (!error && (fchmod(fd, 0444) || fsync(fd) || renameat(folder, partial, folder, HPP_TEXT_CACHE_RECORD)))
        error = -errno;
    close(fd);
    return error;
}

/* What is known of the original: nothing where another change could still bear the same times. */
static void identify_original(const struct stat *status, struct hpp_text_identity *identity)
{
    struct timespec now;

    hpp_text_identify(status, identity);
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec * 1000000000ll + now.tv_nsec - identity->changed < SETTLED)
        *identity = (struct hpp_text_identity){0};
}

static void name_entry(char name[HPP_CACHE_NAME_SIZE], const struct hpp_elf_header *header,
                       const uint8_t *hash)
{
    for (unsigned i = 0; i < header->build_id_size; i++)
        name += sprintf(name, "%02x", header->build_id[i]);
    *name++ = '-';
    for (unsigned i = 0; i < HPP_TEXT_HASH_SHOWN; i++)
        name += sprintf(name, "%02x", hash[i]);
}

/* The entry NAME, if it is sound, is a copy of this original too. */
static int adopt(const struct hpp_cache_folder *cache, const char *name, const struct hpp_text_record *made)
{
    struct hpp_text_record record;
    const char *reason;
    int fd = hpp_text_cache_load(cache, name, &record, &reason), folder, error;

    if (fd < 0)
        return fd;
    close(fd);
    if (memcmp(record.hash, made->hash, sizeof record.hash))
        return -EEXIST;
    record.original = made->original;
    memcpy(record.path, made->path, sizeof record.path);
    folder = openat(cache->fd, name, OPEN_FOLDER);
    if (folder < 0)
        return -errno;
    error = put_record(folder, &record);
    close(folder);
    return error;
}

/* Fills the open FOLDER. */
static int fill(int folder, const char *path, int from, struct hpp_text_record *record, const char **reason)
{
    struct stat before, after;
    struct hpp_text_identity one, other;
    int error;

    *record = (struct hpp_text_record){.magic = HPP_TEXT_CACHE_MAGIC};
    snprintf(record->name, sizeof record->name, "%s", hpp_text_base_name(path));
    snprintf(record->path, sizeof record->path, "%s", path);
    if (!strncmp(record->name, HPP_TEXT_CACHE_RECORD, strlen(HPP_TEXT_CACHE_RECORD)))
        strcpy(record->name, "text");
    if (fstat(from, &before))
        return -errno;
    error = put_copy(folder, from, record);
    if (error)
        return error;
    if (fstat(from, &after))
        return -errno;
    hpp_text_identify(&before, &one);
    hpp_text_identify(&after, &other);
    if (!hpp_text_identity_equal(&one, &other) || record->copy.size != one.size) {
        *reason = "it was changed while it was copied";
        return -EAGAIN;
    }
    identify_original(&after, &record->original);
    error = put_record(folder, record);
    if (!error && (fchmod(folder, 0755) || fsync(folder)))
        error = -errno;
    return error;
}

/* Makes it where there is room. */
static int make(const struct hpp_cache_folder *cache, const char *path, int fd,
                const struct hpp_elf_header *header, char name[HPP_CACHE_NAME_SIZE], int *is_new,
                const char **reason)
{
    static const uint8_t no_hash[HPP_TEXT_HASH_SHOWN];
    struct hpp_text_record record;
    char partial[HPP_CACHE_NAME_SIZE];
    int folder, error;

    name_entry(name, header, no_hash);
    folder = hpp_cache_begin(cache, name, partial);
    if (folder < 0)
        return folder;
    error = fill(folder, path, fd, &record, reason);
    close(folder);
    if (!error) {
        name_entry(name, header, record.hash);
        *is_new = adopt(cache, name, &record) != 0;
        if (*is_new)
            hpp_cache_remove(cache, name); /* there is none, or one that is not sound */
        if (*is_new && renameat(cache->fd, partial, cache->fd, name))
            error = -errno;
        fsync(cache->fd);
    }
    if (error || !*is_new)
        hpp_cache_remove(cache, partial);
    return error;
}

int hpp_text_copy_make(const struct hpp_cache_folder *cache, const char *path, int fd,
                       const struct hpp_elf_header *header, uint64_t limit, char name[HPP_CACHE_NAME_SIZE],
                       int *is_new, const char **reason)
{
    struct stat status;
    uint64_t need;
    int error;

    if (fstat(fd, &status))
        return -errno;
    need = (uint64_t)status.st_size + sizeof(struct hpp_text_record);
    error = make_room(cache, need, limit, reason);
    if (error)
        return error;
    do
        error = make(cache, path, fd, header, name, is_new, reason);
    while (error == -ENOSPC && free_one(cache, need));
    return error;
}
