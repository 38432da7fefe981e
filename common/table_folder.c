/* The folder of the unwind tables' cache. Writer and offline; raw system calls only. */
#include "common/table_folder.h"

#include <errno.h>
#include <stddef.h>

#include "common/sys.h"
#include "common/text.h"

#define OPEN_FOLDER  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define LEVELS       3 /* $HOME/.cache, hpprof in it, and the tables' own folder */
#define STALE_AFTER  (600 * 1000000000ll)
#define OLDEST_COUNT 32
#define LISTING_SIZE 4096
#define PATH_SIZE    4096
#define SUFFIX       ".unwind"
#define RANDOM_SIZE  16

/* getdents64(2) */
struct directory_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

int hpp_table_folder_open(const char *directory)
{
    return (int)HPP_SYSCALL(openat, AT_FDCWD, directory, OPEN_FOLDER, 0, 0, 0);
}

/* Whatever the umask is, root's folder can be read by all: its tables serve everybody. */
static void set_mode(const char *directory, int mode)
{
    int fd = hpp_table_folder_open(directory);

    if (fd < 0)
        return;
    HPP_SYSCALL(fchmod, fd, mode, 0, 0, 0, 0);
    hpp_sys_close(fd);
}

int hpp_table_folder_make(const char *directory)
{
    int mode = HPP_SYSCALL(geteuid, 0, 0, 0, 0, 0, 0) ? 0700 : 0755;
    char path[PATH_SIZE];
    struct hpp_text text = HPP_TEXT(path);
    size_t cuts[LEVELS];
    int fd = hpp_table_folder_open(directory), count = 0;
    long error;

    if (fd != -ENOENT)
        return fd;
    hpp_text_put(&text, directory);
    if (text.used + 1 == text.size)
        return -ENAMETOOLONG;
    /* Up to the first folder that can be made, then down again. */
    while ((error = HPP_SYSCALL(mkdirat, AT_FDCWD, path, mode, 0, 0, 0)) == -ENOENT) {
        while (text.used && path[--text.used] != '/')
            ;
        if (count == LEVELS - 1 || !text.used)
            return -ENOENT;
        path[cuts[count++] = text.used] = 0;
    }
    for (;;) {
        if (error && error != -EEXIST)
            return (int)error;
        if (!error)
            set_mode(path, mode);
        if (!count)
            return hpp_table_folder_open(directory);
        path[cuts[--count]] = '/';
        error = HPP_SYSCALL(mkdirat, AT_FDCWD, path, mode, 0, 0, 0);
    }
}

const char *hpp_table_distrust(const struct stat *status, mode_t kind)
{
    int folder = kind == S_IFDIR;

    if ((status->st_mode & S_IFMT) != kind)
        return folder ? "it is no folder" : "it is not a regular file";
    if (status->st_uid && status->st_uid != (uid_t)HPP_SYSCALL(geteuid, 0, 0, 0, 0, 0, 0))
        return folder ? "the folder belongs to another user" : "it belongs to another user";
    if (status->st_mode & (S_IWGRP | S_IWOTH))
        return folder ? "others may write to the folder" : "others may write to it";
    return NULL;
}

int hpp_table_file_name(char name[HPP_TABLE_NAME_SIZE], const uint8_t *build_id, unsigned build_id_size)
{
    struct hpp_text text = {name, HPP_TABLE_NAME_SIZE, 0};

    if (!build_id_size || build_id_size > HPP_BUILD_ID_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < build_id_size; i++) {
        hpp_text_put_hex(&text, build_id[i] >> 4);
        hpp_text_put_hex(&text, build_id[i] & 15);
    }
    hpp_text_put(&text, SUFFIX);
    return 0;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whether NAME is that of a file of ours; fills FILE's name, build-id and whether it is partial. */
static int parse_name(const char *name, struct hpp_table_file *file)
{
    struct hpp_text text = HPP_TEXT(file->name);
    const char *at = name;
    unsigned size = 0;

    while (size < HPP_BUILD_ID_MAX && digit_of(at[0]) >= 0 && digit_of(at[1]) >= 0) {
        file->build_id[size++] = (uint8_t)(digit_of(at[0]) << 4 | digit_of(at[1]));
        at += 2;
    }
    file->build_id_size = size;
    at = hpp_text_after(at, SUFFIX);
    if (!size || !at)
        return 0;
    file->partial = *at == '.';
    if (file->partial) {
        int digits = 0;
        while (digits < RANDOM_SIZE && digit_of(at[1 + digits]) >= 0)
            digits++;
        if (digits < RANDOM_SIZE)
            return 0;
        at += 1 + RANDOM_SIZE;
    }
    hpp_text_put(&text, name);
    return !*at;
}

void hpp_table_file_partial(char name[HPP_TABLE_NAME_SIZE], uint64_t random)
{
    struct hpp_text text = {name, HPP_TABLE_NAME_SIZE, hpp_text_length(name)};

    hpp_text_put(&text, ".");
    for (int shift = 4 * RANDOM_SIZE - 4; shift >= 0; shift -= 4)
        hpp_text_put_hex(&text, random >> shift & 15);
}

int hpp_table_folder_visit(int folder, hpp_table_visit *visit, void *context)
{
    char listing[LISTING_SIZE] __attribute__((aligned(8)));
    struct hpp_table_file file;
    struct stat status;
    long size = HPP_SYSCALL(lseek, folder, 0, SEEK_SET, 0, 0, 0);

    while (size >= 0 && (size = HPP_SYSCALL(getdents64, folder, listing, sizeof listing, 0, 0, 0)) > 0) {
        for (const char *at = listing; at < listing + size;) {
            const struct directory_entry *entry = (const struct directory_entry *)at;
            int result;

            at += entry->size;
            if (!parse_name(entry->name, &file) ||
                HPP_SYSCALL(newfstatat, folder, file.name, &status, AT_SYMLINK_NOFOLLOW, 0, 0))
                continue;
            file.regular = S_ISREG(status.st_mode);
            file.size = file.regular ? (uint64_t)status.st_size : 0;
            file.used = status.st_mtim.tv_sec * 1000000000ll + status.st_mtim.tv_nsec;
            result = visit(context, &file);
            if (result)
                return result;
        }
    }
    return (int)size;
}

int hpp_table_file_is_stale(const struct hpp_table_file *file)
{
    return file->partial && file->regular && file->used + STALE_AFTER < (int64_t)hpp_sys_now(CLOCK_REALTIME);
}

int hpp_table_file_remove(int folder, const char *name)
{
    return (int)HPP_SYSCALL(unlinkat, folder, name, 0, 0, 0, 0);
}

/* What one pass over the folder finds: the bytes of all tables, and those of the oldest. */
struct pass {
    int folder;
    uint64_t total;
    unsigned count;
    struct {
        char name[HPP_TABLE_NAME_SIZE];
        uint64_t size;
        int64_t used;
    } oldest[OLDEST_COUNT]; /* oldest first */
};

static int note(void *context, const struct hpp_table_file *file)
{
    struct pass *pass = context;
    unsigned at;

    if (hpp_table_file_is_stale(file))
        hpp_table_file_remove(pass->folder, file->name);
    if (file->partial || !file->regular)
        return 0;
    pass->total += file->size;
    for (at = pass->count; at && pass->oldest[at - 1].used > file->used; at--)
        if (at < OLDEST_COUNT)
            pass->oldest[at] = pass->oldest[at - 1];
    if (at == OLDEST_COUNT)
        return 0;
    for (size_t i = 0; i < sizeof file->name; i++)
        pass->oldest[at].name[i] = file->name[i];
    pass->oldest[at].size = file->size;
    pass->oldest[at].used = file->used;
    pass->count += pass->count < OLDEST_COUNT;
    return 0;
}

int hpp_table_folder_evict(int folder, uint64_t limit)
{
    struct pass pass;

    do {
        int error;

        pass.folder = folder;
        pass.total = pass.count = 0;
        error = hpp_table_folder_visit(folder, note, &pass);
        if (error)
            return error;
        for (unsigned i = 0; i < pass.count && pass.total > limit; i++) {
            error = hpp_table_file_remove(folder, pass.oldest[i].name);
            if (error && error != -ENOENT) /* another process was faster */
                return error;
            pass.total -= pass.oldest[i].size;
        }
    } while (pass.total > limit);
    return 0;
}
