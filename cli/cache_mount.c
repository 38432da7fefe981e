/* hpprof cache mount: a file system whose pages are huge, for copies of text. Offline only. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_PAGE (2u << 20)

static bool is_mount_point(int folder)
{
    struct stat status, above;
    struct statx known;

    if (!statx(folder, "", AT_EMPTY_PATH, 0, &known) && known.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
        return known.stx_attributes & STATX_ATTR_MOUNT_ROOT;
    return !fstat(folder, &status) && !fstatat(folder, "..", &above, 0) && status.st_dev != above.st_dev;
}

static bool is_empty(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry = NULL;

    if (!listing) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while ((entry = readdir(listing)) && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")))
        ;
    closedir(listing);
    return !entry;
}

/* NULL if nothing that is there would be hidden, else why nothing is mounted. */
static const char *find_hidden(const char *directory)
{
    const char *reason = NULL;
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (folder < 0)
        return errno == ENOENT    ? NULL
               : errno == ENOTDIR ? "it is a symbolic link, or no folder"
                                  : strerror(errno);
    if (is_mount_point(folder))
        reason = "something is mounted there already: `umount` ends that, `hpprof cache warm` fills it";
    else if (!is_empty(folder))
        reason = "it is not empty, and what is in it would be hidden: clear it, or name another folder";
    close(folder);
    return reason;
}

static const char *explain(int error)
{
    return error == EPERM
               ? "mounting is not allowed here: it takes CAP_SYS_ADMIN (root, and no container that "
                 "takes that away)"
           : error == EINVAL ? "this kernel has no huge pages for tmpfs (CONFIG_TRANSPARENT_HUGEPAGE)"
                             : strerror(error);
}

int hpp_cmd_cache_mount(struct hpp_cache *cache, char **files)
{
    const char *directory = *files ? *files : cache->directory, *reason;
    char options[64], size[HPP_CACHE_SIZE_TEXT];

    if (*directory != '/') {
        hpp_complain("cache mount: '%s' is not an absolute path", directory);
        return HPP_EXIT_USAGE;
    }
    if (cache->limit < HUGE_PAGE) { /* to tmpfs 0 is no limit */
        hpp_complain("cache mount: --text-cache-max is less than one huge page, 2M");
        return HPP_EXIT_USAGE;
    }
    reason = find_hidden(directory);
    if (reason) {
        hpp_complain("%s: %s", directory, reason);
        return HPP_EXIT_FAILED;
    }
    if (hpp_cache_folder_make(directory, &reason)) {
        hpp_complain("%s: %s", directory, reason);
        return HPP_EXIT_FAILED;
    }
    snprintf(options, sizeof options, "huge=always,mode=0755,size=%" PRIu64, cache->limit);
    if (mount("hpprof", directory, "tmpfs", MS_NOSUID | MS_NODEV, options)) {
        hpp_complain("%s: %s", directory, explain(errno));
        return HPP_EXIT_FAILED;
    }
    hpp_cache_print_size(size, cache->limit);
    printf("%s: a tmpfs of at most %s bytes on huge pages, which stay in memory: `hpprof cache warm` "
           "fills it, `umount` ends it\n",
           directory, size);
    return HPP_EXIT_OK;
}
