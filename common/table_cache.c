/* Unwind tables on disk. Writer and offline; raw system calls only. */
#include "common/table_cache.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "common/arena.h"
#include "common/cache_room.h"
#include "common/sys.h"
#include "common/table_mark.h"
#include "common/text.h"

#define SIZE_MAX_SANE (256u << 20) /* ten times what the largest programs need */
#define PAGE          4096u
#define SUFFIX        ".unwind"

static const char *skip_suffix(const char *at)
{
    return hpp_text_after(at, SUFFIX);
}

/* To the day (table_mark.c). */
static int64_t last_use(const char *name, const struct stat *status)
{
    (void)name;
    return status->st_mtim.tv_sec * 1000000000ll + status->st_mtim.tv_nsec;
}

const struct hpp_cache_kind hpp_table_cache_kind = {
    .type = S_IFREG,
    .skip = skip_suffix,
    .used = last_use,
    .stale_after = 600 * 1000000000ll,
};

/* NAME gets that of the table for the build-id. */
static int name_file(char name[HPP_CACHE_NAME_SIZE], const uint8_t *build_id, unsigned build_id_size)
{
    struct hpp_text text = {name, HPP_CACHE_NAME_SIZE, 0};

    if (!build_id_size || build_id_size > HPP_BUILD_ID_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < build_id_size; i++) {
        hpp_text_put_hex(&text, build_id[i] >> 4);
        hpp_text_put_hex(&text, build_id[i] & 15);
    }
    hpp_text_put(&text, SUFFIX);
    return 0;
}

int hpp_table_cache_directory(char *directory, size_t size, const char *setting, unsigned euid,
                              const char *cache_home, const char *home)
{
    struct hpp_text text = {directory, size, 0};
    int given = setting && *setting;

    directory[0] = 0;
    if (given && hpp_text_equal(setting, "off"))
        return -ENOENT;
    if (given && *setting != '/')
        return -EINVAL;
    if (given) {
        hpp_text_put(&text, setting);
    } else if (!euid) {
        hpp_text_put(&text, "/var/cache/hpprof");
    } else if (cache_home && *cache_home == '/') {
        hpp_text_put(&text, cache_home);
        hpp_text_put(&text, "/hpprof");
    } else if (home && *home == '/') {
        hpp_text_put(&text, home);
        hpp_text_put(&text, "/.cache/hpprof");
    } else {
        return -ENOENT;
    }
    while (text.used && directory[text.used - 1] == '/')
        text.used--;
    hpp_text_put(&text, "/unwind");
    if (text.used + 1 < text.size)
        return 0;
    directory[0] = 0;
    return -ENAMETOOLONG;
}

/* Whether a file that others remove or a server that goes away leaves its mapped pages readable: true of
 * what keeps its files on this machine. */
static int is_local(int fd)
{
    static const uint32_t kinds[] = {
        0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0xf2f52010, 0x2fc12fc1, 0xca451a4e,
    }; /* statfs(2): ext, xfs, btrfs, tmpfs, overlayfs, f2fs, zfs, bcachefs */
    struct statfs status;

    if (HPP_SYSCALL(fstatfs, fd, &status, 0, 0, 0, 0))
        return 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i] == (uint32_t)status.f_type)
            return 1;
    return 0;
}

/* The SIZE bytes of the file: mapped shared, or copied where a mapping could bring SIGBUS. What IS_KNOWN is
 * not gone through, and need be in memory only. */
static int map_file(int fd, size_t size, int is_known, void **bytes)
{
    size_t done = 0;
    long at, error;

    if (is_local(fd)) {
        at = hpp_sys_mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (hpp_sys_failed(at))
            return (int)at;
        *bytes = (void *)at;
        if (is_known && hpp_sys_cached_pages(fd, 0, size) >= (long)((size + PAGE - 1) / PAGE))
            return 0;
        error = hpp_sys_madvise((uint64_t)at, size, MADV_POPULATE_READ);
        if (!error || error == -EINVAL) /* an older kernel: the check of the contents touches all of it */
            return 0;
        hpp_sys_munmap((uint64_t)at, size);
        return -EIO;
    }
    *bytes = hpp_arena_map(size);
    if (!*bytes)
        return -ENOMEM;
    while (done < size) {
        long count = hpp_sys_pread(fd, (char *)*bytes + done, size - done, done);
        if (count == -EINTR)
            continue;
        if (count <= 0) {
            hpp_sys_munmap((uint64_t)(uintptr_t)*bytes, size);
            return count ? (int)count : -EIO;
        }
        done += (size_t)count;
    }
    hpp_sys_mprotect((uint64_t)(uintptr_t)*bytes, size, PROT_READ);
    return 0;
}

/* What is wrong with the SIZE bytes at TABLE, at least a header, and IS_KNOWN to be intact or not; NULL if
 * nothing is. */
static const char *find_fault(const struct hpp_unwind_table *table, uint64_t size, int is_known,
                              const uint8_t *build_id, unsigned build_id_size)
{
    if (table->magic != HPP_UNWIND_MAGIC)
        return (table->magic ^ HPP_UNWIND_MAGIC) << 8 ? "it is no unwind table" : "it is of another version";
    if (table->size != size)
        return table->size > size ? "it is cut short" : "it is too long";
    if (!(is_known ? hpp_unwind_is_bounded(table, size) : hpp_unwind_is_intact(table, size)))
        return table->checksum == hpp_unwind_checksum(table) ? "a number is out of bounds"
                                                             : "its checksum is wrong";
    if (!hpp_build_id_equal(table->build_id, table->build_id_size, build_id, build_id_size))
        return "it is for another build-id";
    return NULL;
}

/* Maps the open file with that STATUS if it holds what it should. */
static int read_table(int fd, const struct stat *status, const uint8_t *build_id, unsigned build_id_size,
                      int is_use, void **bytes, const char **reason)
{
    int is_known = is_use && hpp_table_is_marked(status), error; /* who only looks wants to know */

    *reason = (uint64_t)status->st_size < sizeof(struct hpp_unwind_table) ? "it is cut short"
              : status->st_size > SIZE_MAX_SANE                           ? "it is too large"
                                                                          : NULL;
    if (*reason)
        return -EINVAL;
    error = map_file(fd, (size_t)status->st_size, is_known, bytes);
    if (error) {
        *reason = hpp_text_error(error);
        return error;
    }
    *reason = find_fault(*bytes, (uint64_t)status->st_size, is_known, build_id, build_id_size);
    if (*reason) {
        hpp_sys_munmap((uint64_t)(uintptr_t)*bytes, (size_t)status->st_size);
        return -EINVAL;
    }
    hpp_table_mark(fd, status, !is_known, is_use);
    return 0;
}

static int load(const char *directory, const uint8_t *build_id, unsigned build_id_size, int is_use,
                const struct hpp_unwind_table **table, const char **reason)
{
    struct hpp_cache_folder folder;
    char name[HPP_CACHE_NAME_SIZE];
    struct stat status;
    void *bytes;
    int fd, error;

    *table = NULL;
    error = name_file(name, build_id, build_id_size);
    if (error) {
        *reason = "it has no build-id";
        return error;
    }
    error = hpp_cache_folder_open(&folder, &hpp_table_cache_kind, directory, 1, reason);
    if (error)
        return error;
    fd = hpp_cache_open(folder.fd, name, S_IFREG, folder.owner, &status, reason);
    hpp_sys_close(folder.fd);
    if (fd < 0)
        return fd;
    error = read_table(fd, &status, build_id, build_id_size, is_use, &bytes, reason);
    hpp_sys_close(fd);
    if (!error)
        *table = bytes;
    return error;
}

int hpp_table_cache_load(const char *directory, const uint8_t *build_id, unsigned build_id_size,
                         const struct hpp_unwind_table **table, const char **reason)
{
    return load(directory, build_id, build_id_size, 1, table, reason);
}

int hpp_table_cache_peek(const char *directory, const uint8_t *build_id, unsigned build_id_size,
                         const struct hpp_unwind_table **table, const char **reason)
{
    return load(directory, build_id, build_id_size, 0, table, reason);
}

/* Opens the folder, made where it is missing. */
static int open_to_fill(struct hpp_cache_folder *folder, const char *directory, const char **reason)
{
    int error = hpp_cache_folder_open(folder, &hpp_table_cache_kind, directory, 1, reason);

    if (error != -ENOENT)
        return error;
    error = hpp_cache_folder_make(directory, reason);
    return error ? error : hpp_cache_folder_open(folder, &hpp_table_cache_kind, directory, 1, reason);
}

int hpp_table_cache_check(const char *directory, const char **reason)
{
    struct hpp_cache_folder folder;
    long error = open_to_fill(&folder, directory, reason);

    if (error)
        return (int)error;
    error = HPP_SYSCALL(faccessat, folder.fd, ".", W_OK | X_OK, 0, 0, 0);
    if (error)
        *reason = hpp_text_error(error);
    hpp_sys_close(folder.fd);
    return (int)error;
}

static int write_table(int fd, const struct hpp_unwind_table *table)
{
    struct rlimit limit;
    int error;

    /* Beyond the limit the kernel would send SIGXFSZ. */
    if (!HPP_SYSCALL(prlimit64, 0, RLIMIT_FSIZE, NULL, &limit, 0, 0) && table->size > limit.rlim_cur)
        return -EFBIG;
    error = hpp_cache_write(fd, table, table->size);
    return error ? error : (int)HPP_SYSCALL(fchmod, fd, 0444, 0, 0, 0, 0);
}

static int store(const struct hpp_cache_folder *folder, const char *name,
                 const struct hpp_unwind_table *table)
{
    char partial[HPP_CACHE_NAME_SIZE];
    int fd = hpp_cache_begin(folder, name, partial), error;

    if (fd < 0)
        return fd;
    error = write_table(fd, table);
    hpp_sys_close(fd);
    if (!error)
        error = (int)HPP_SYSCALL(renameat, folder->fd, partial, folder->fd, name, 0, 0);
    if (error)
        hpp_cache_remove(folder, partial);
    return error;
}

/* Keeps the folder within LIMIT. */
static int evict(const struct hpp_cache_folder *folder, uint64_t limit)
{
    struct hpp_cache_list list;
    uint64_t count = 0, bytes = 0;
    int error;

    hpp_cache_clear(folder, 0, &count, &bytes); /* what cannot be removed keeps no table out */
    error = hpp_cache_list_read(folder, &list);
    if (!error)
        error = hpp_cache_evict(folder, &list, 0, limit);
    hpp_cache_list_free(&list);
    return error;
}

int hpp_table_cache_store(const char *directory, const struct hpp_unwind_table *table, uint64_t limit)
{
    struct hpp_cache_folder folder;
    char name[HPP_CACHE_NAME_SIZE];
    const char *reason;
    int error = name_file(name, table->build_id, table->build_id_size);

    if (error)
        return error;
    if (table->size > limit || table->size > SIZE_MAX_SANE)
        return -E2BIG;
    error = open_to_fill(&folder, directory, &reason);
    if (error)
        return error;
    error = store(&folder, name, table);
    if (!error) /* afterwards: others may have stored at the same time */
        error = evict(&folder, limit);
    hpp_sys_close(folder.fd);
    return error;
}
