/* The folders of the caches: trust and names. Start-up code, writer and offline; raw system calls only. */
#include "common/cache_folder.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"

#define LEVELS       3 /* $HOME/.cache, hpprof in it, and the tables' own folder */
#define LEVELS_ABOVE 256
#define LISTING_SIZE 4096
#define PATH_SIZE    4096
#define RANDOM_SIZE  16

/* ---- trust --------------------------------------------------------------------------------------------- */

/* NULL if what has this STATUS can be relied on, otherwise what is wrong. */
static const char *distrust(const struct stat *status, mode_t type, unsigned owner)
{
    int folder = type == S_IFDIR;

    if ((status->st_mode & S_IFMT) != type)
        return folder ? "it is no folder" : "it is not a regular file";
    if (status->st_uid && status->st_uid != owner)
        return folder ? "the folder belongs to another user" : "it belongs to another user";
    if (status->st_mode & (S_IWGRP | S_IWOTH))
        return folder ? "others may write to the folder" : "others may write to it";
    return NULL;
}

static const char *explain(long error, mode_t type)
{
    if (type == S_IFDIR && (error == -ENOTDIR || error == -ELOOP))
        return "the folder is a symbolic link, or no folder";
    return error == -ELOOP ? "it is a symbolic link" : hpp_text_error(error);
}

int hpp_cache_open(int above, const char *name, mode_t type, unsigned owner, struct stat *status,
                   const char **reason)
{
    int flags = type == S_IFDIR ? O_DIRECTORY : O_NONBLOCK | O_NOCTTY;
    long fd = HPP_SYSCALL(openat, above, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | flags, 0, 0, 0), error;

    if (fd < 0) {
        *reason = explain(fd, type);
        return (int)fd;
    }
    error = hpp_sys_fstat((int)fd, status);
    *reason = error ? hpp_text_error(error) : distrust(status, type, owner);
    if (!*reason)
        return (int)fd;
    hpp_sys_close((int)fd);
    return error ? (int)error : -EPERM;
}

/* NULL if nobody else can put another folder in the place of the open one with this STATUS: in those above it
 * others may make files only where they cannot remove those of their owners. */
static const char *distrust_above(int folder, struct stat below, unsigned owner)
{
    const char *reason = "the folders above it cannot be looked at";
    struct stat status;
    int fd = folder;

    for (int level = 0; level < LEVELS_ABOVE; level++) {
        int up = (int)HPP_SYSCALL(openat, fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
        if (fd != folder)
            hpp_sys_close(fd);
        if (up < 0)
            return reason;
        fd = up;
        if (hpp_sys_fstat(fd, &status))
            break;
        if (status.st_ino == below.st_ino && status.st_dev == below.st_dev) {
            reason = NULL; /* the root is above itself */
            break;
        }
        if (status.st_mode & S_ISVTX)
            status.st_mode &= ~(mode_t)(S_IWGRP | S_IWOTH);
        if (distrust(&status, S_IFDIR, owner)) {
            reason = "a folder above it belongs to another user, or others may write to it";
            break;
        }
        below = status;
    }
    hpp_sys_close(fd);
    return reason;
}

int hpp_cache_folder_open(struct hpp_cache_folder *folder, const struct hpp_cache_kind *kind,
                          const char *directory, int is_own, const char **reason)
{
    struct stat status;

    folder->kind = kind;
    folder->owner = is_own ? (unsigned)HPP_SYSCALL(geteuid, 0, 0, 0, 0, 0, 0) : 0;
    folder->fd = hpp_cache_open(AT_FDCWD, directory, S_IFDIR, folder->owner, &status, reason);
    if (folder->fd < 0)
        return folder->fd;
    *reason = kind->is_path_trusted ? distrust_above(folder->fd, status, folder->owner) : NULL;
    if (!*reason)
        return 0;
    hpp_sys_close(folder->fd);
    return folder->fd = -EPERM;
}

/* ---- making -------------------------------------------------------------------------------------------- */

/* Makes the folder PATH if it is missing. Whatever the umask is, root's can be read by all: it serves
 * everybody. */
static long make_one(const char *path)
{
    int mode = HPP_SYSCALL(geteuid, 0, 0, 0, 0, 0, 0) ? 0700 : 0755;
    long error = HPP_SYSCALL(mkdirat, AT_FDCWD, path, mode, 0, 0, 0), fd;

    if (error)
        return error == -EEXIST ? 0 : error;
    fd = hpp_sys_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd >= 0) {
        HPP_SYSCALL(fchmod, fd, mode, 0, 0, 0, 0);
        hpp_sys_close((int)fd);
    }
    return 0;
}

int hpp_cache_folder_make(const char *directory, const char **reason)
{
    char path[PATH_SIZE];
    struct hpp_text text = HPP_TEXT(path);
    size_t cuts[LEVELS];
    int count = 0;
    long error;

    hpp_text_put(&text, directory);
    if (text.used + 1 == text.size) {
        *reason = hpp_text_error(-ENAMETOOLONG);
        return -ENAMETOOLONG;
    }
    /* Up to the first folder that can be made, then down again. */
    while ((error = make_one(path)) == -ENOENT) {
        while (text.used && path[--text.used] != '/')
            ;
        if (count == LEVELS - 1 || !text.used) {
            *reason = "more than the last three folders of it are missing: make those above it first";
            return -ENOENT;
        }
        path[cuts[count++] = text.used] = 0;
    }
    while (!error && count) {
        path[cuts[--count]] = '/';
        error = make_one(path);
    }
    if (error)
        *reason = explain(error, S_IFDIR);
    return (int)error;
}

/* ---- names --------------------------------------------------------------------------------------------- */

int hpp_cache_visit_names(int folder, hpp_cache_name_visitor *visit, void *context)
{
    char listing[LISTING_SIZE] __attribute__((aligned(8)));
    long size = HPP_SYSCALL(lseek, folder, 0, SEEK_SET, 0, 0, 0);

    while (size >= 0 && (size = HPP_SYSCALL(getdents64, folder, listing, sizeof listing, 0, 0, 0)) > 0) {
        for (const char *at = listing; at < listing + size;) {
            const struct hpp_kernel_directory_entry *entry = (const struct hpp_kernel_directory_entry *)at;
            int result = 0;

            at += entry->size;
            if (!hpp_text_equal(entry->name, ".") && !hpp_text_equal(entry->name, ".."))
                result = visit(context, entry->name);
            if (result)
                return result;
        }
    }
    return (int)size;
}

int hpp_cache_skip_digits(const char **at, int count)
{
    while (count && hpp_text_hex_digit(**at) >= 0) {
        ++*at;
        count--;
    }
    return !count;
}

int hpp_cache_read_name(const struct hpp_cache_kind *kind, const char *name, struct hpp_cache_entry *entry)
{
    struct hpp_text text;
    const char *at = name;

    *entry = (struct hpp_cache_entry){0};
    text = HPP_TEXT(entry->name);
    hpp_text_put(&text, name);
    entry->build_id_size = hpp_text_read_hex(&at, entry->build_id, HPP_BUILD_ID_MAX);
    at = entry->build_id_size ? kind->skip(at) : NULL;
    if (!at)
        return 0;
    entry->partial = *at == '.';
    if (entry->partial && (at++, !hpp_cache_skip_digits(&at, RANDOM_SIZE)))
        return 0;
    return !*at;
}

struct visiting {
    const struct hpp_cache_kind *kind;
    hpp_cache_visitor *visit;
    void *context;
};

static int visit_name(void *context, const char *name)
{
    const struct visiting *visiting = context;
    struct hpp_cache_entry entry;

    return hpp_cache_read_name(visiting->kind, name, &entry) ? visiting->visit(visiting->context, &entry) : 0;
}

int hpp_cache_visit(const struct hpp_cache_folder *folder, hpp_cache_visitor *visit, void *context)
{
    return hpp_cache_visit_names(folder->fd, visit_name, &(struct visiting){folder->kind, visit, context});
}
