/* Unwind tables on disk. Writer and offline; raw system calls only. */
#include "common/table_cache.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "common/arena.h"
#include "common/sys.h"
#include "common/table_folder.h"
#include "common/text.h"

#define SIZE_MAX_SANE (256u << 20) /* ten times what the largest programs need */
#define USE_EVERY     (24 * 3600ll)
#define TRIES         16

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

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

/* The open folder, if it can be relied on. */
static int open_folder(const char *directory, int make, const char **reason)
{
    struct stat status;
    int folder = make ? hpp_table_folder_make(directory) : hpp_table_folder_open(directory);
    long error;

    if (folder < 0) {
        *reason = folder == -ENOTDIR || folder == -ELOOP ? "the folder is a symbolic link, or no folder"
                                                         : hpp_text_error(folder);
        return folder;
    }
    error = hpp_sys_fstat(folder, &status);
    *reason = error ? hpp_text_error(error) : hpp_table_distrust(&status, S_IFDIR);
    if (!*reason)
        return folder;
    hpp_sys_close(folder);
    return error ? (int)error : -EPERM;
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

/* The SIZE bytes of the file: mapped shared, or copied where a mapping could bring SIGBUS. */
static int map_file(int fd, size_t size, void **bytes)
{
    size_t done = 0;
    long at, error;

    if (is_local(fd)) {
        at = hpp_sys_mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (hpp_sys_failed(at))
            return (int)at;
        *bytes = (void *)at;
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

/* What is wrong with the SIZE bytes at TABLE, at least a header; NULL if nothing is. */
static const char *find_fault(const struct hpp_unwind_table *table, uint64_t size, const uint8_t *build_id,
                              unsigned build_id_size)
{
    if (table->magic != HPP_UNWIND_MAGIC)
        return (table->magic ^ HPP_UNWIND_MAGIC) << 8 ? "it is no unwind table" : "it is of another version";
    if (table->size != size)
        return table->size > size ? "it is cut short" : "it is too long";
    if (!hpp_unwind_is_valid(table, size))
        return table->checksum == hpp_unwind_checksum(table) ? "a number is out of bounds"
                                                             : "its checksum is wrong";
    if (table->build_id_size != build_id_size)
        return "it is for another build-id";
    for (unsigned i = 0; i < build_id_size; i++)
        if (table->build_id[i] != build_id[i])
            return "it is for another build-id";
    return NULL;
}

/* The times of files that are never changed tell when they were last used: what is evicted goes by them. */
static void mark_use(int fd, const struct stat *status)
{
    int64_t age = (int64_t)(hpp_sys_now(CLOCK_REALTIME) / 1000000000u) - status->st_mtim.tv_sec;

    if (age > USE_EVERY || age < -USE_EVERY)
        HPP_SYSCALL(utimensat, fd, NULL, NULL, 0, 0, 0);
}

/* Maps the open file if it can be relied on. */
static int read_table(int fd, const uint8_t *build_id, unsigned build_id_size, int is_use, void **bytes,
                      const char **reason)
{
    struct stat status;
    int error = (int)hpp_sys_fstat(fd, &status);

    if (error) {
        *reason = hpp_text_error(error);
        return error;
    }
    *reason = hpp_table_distrust(&status, S_IFREG);
    if (*reason)
        return -EPERM;
    *reason = (uint64_t)status.st_size < sizeof(struct hpp_unwind_table) ? "it is cut short"
              : status.st_size > SIZE_MAX_SANE                           ? "it is too large"
                                                                         : NULL;
    if (*reason)
        return -EINVAL;
    error = map_file(fd, (size_t)status.st_size, bytes);
    if (error) {
        *reason = hpp_text_error(error);
        return error;
    }
    *reason = find_fault(*bytes, (uint64_t)status.st_size, build_id, build_id_size);
    if (*reason) {
        hpp_sys_munmap((uint64_t)(uintptr_t)*bytes, (size_t)status.st_size);
        return -EINVAL;
    }
    if (is_use)
        mark_use(fd, &status);
    return 0;
}

static int load(const char *directory, const uint8_t *build_id, unsigned build_id_size, int is_use,
                const struct hpp_unwind_table **table, const char **reason)
{
    char name[HPP_TABLE_NAME_SIZE];
    void *bytes;
    int folder, fd, error;

    *table = NULL;
    error = hpp_table_file_name(name, build_id, build_id_size);
    if (error) {
        *reason = "it has no build-id";
        return error;
    }
    folder = open_folder(directory, 0, reason);
    if (folder < 0)
        return folder;
    fd = (int)HPP_SYSCALL(openat, folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0,
                          0, 0);
    hpp_sys_close(folder);
    if (fd < 0) {
        *reason = fd == -ELOOP ? "it is a symbolic link" : hpp_text_error(fd);
        return fd;
    }
    error = read_table(fd, build_id, build_id_size, is_use, &bytes, reason);
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

int hpp_table_cache_check(const char *directory, const char **reason)
{
    int folder = open_folder(directory, 1, reason);
    long error;

    if (folder < 0)
        return folder;
    error = HPP_SYSCALL(faccessat, folder, ".", W_OK | X_OK, 0, 0, 0);
    if (error)
        *reason = hpp_text_error(error);
    hpp_sys_close(folder);
    return (int)error;
}

/* Makes a file of the open folder that nobody has; PARTIAL gets its name. */
static int make_file(int folder, const char *name, char partial[HPP_TABLE_NAME_SIZE])
{
    int fd = -EEXIST;

    for (int try = 0; try < TRIES && fd == -EEXIST; try++) {
        struct hpp_text text = {partial, HPP_TABLE_NAME_SIZE, 0};

        hpp_text_put(&text, name);
        hpp_table_file_partial(partial, hpp_arch_ticks() ^ (uint64_t)hpp_sys_gettid() << 40);
        fd = (int)HPP_SYSCALL(openat, folder, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                              0600, 0, 0);
    }
    return fd;
}

static int write_all(int fd, const void *bytes, uint64_t size)
{
    struct rlimit limit;

    /* Beyond the limit the kernel would send SIGXFSZ. */
    if (!HPP_SYSCALL(prlimit64, 0, RLIMIT_FSIZE, NULL, &limit, 0, 0) && size > limit.rlim_cur)
        return -EFBIG;
    for (uint64_t done = 0; done < size;) {
        long count = hpp_sys_write(fd, (const char *)bytes + done, size - done);
        if (count == -EINTR)
            continue;
        if (count <= 0)
            return count ? (int)count : -EIO;
        done += (uint64_t)count;
    }
    return (int)HPP_SYSCALL(fchmod, fd, 0444, 0, 0, 0, 0);
}

static int store(int folder, const char *name, const struct hpp_unwind_table *table)
{
    char partial[HPP_TABLE_NAME_SIZE];
    int fd = make_file(folder, name, partial), error;

    if (fd < 0)
        return fd;
    error = write_all(fd, table, table->size);
    hpp_sys_close(fd);
    if (!error)
        error = (int)HPP_SYSCALL(renameat, folder, partial, folder, name, 0, 0);
    if (error)
        hpp_table_file_remove(folder, partial);
    return error;
}

int hpp_table_cache_store(const char *directory, const struct hpp_unwind_table *table, uint64_t limit)
{
    char name[HPP_TABLE_NAME_SIZE];
    const char *reason;
    int folder, error = hpp_table_file_name(name, table->build_id, table->build_id_size);

    if (error)
        return error;
    if (table->size > limit || table->size > SIZE_MAX_SANE)
        return -E2BIG;
    folder = open_folder(directory, 1, &reason);
    if (folder < 0)
        return folder;
    error = store(folder, name, table);
    if (!error) /* afterwards: others may have stored at the same time */
        error = hpp_table_folder_evict(folder, limit);
    hpp_sys_close(folder);
    return error;
}
