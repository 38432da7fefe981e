/* The file that chunks go to: made, written, put back where it was removed. Writer. */
#include "profiler/pprof_file.h"

#include <errno.h>
#include <sys/file.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/signal_safe.h"

/* 0 if what exists at PATH is a file to be spared, -errno if it is nothing that a name beside it could stand
 * for: a folder, a device. */
static int is_spared(const char *path)
{
    struct stat status;

    if (HPP_SYSCALL(newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW, 0, 0) ||
        S_ISREG(status.st_mode) || S_ISLNK(status.st_mode))
        return 0;
    return S_ISDIR(status.st_mode) ? -EISDIR : -EEXIST;
}

int hpp_pprof_open(struct hpp_pprof_file *file)
{
    size_t length = hpp_text_length(file->path);
    long fd = -EEXIST;

    if (file->folder) {
        long error = HPP_SYSCALL(mkdirat, AT_FDCWD, file->folder, 0700, 0, 0, 0);
        if (error && error != -EEXIST)
            return (int)error;
    }
    for (unsigned attempt = 0; fd == -EEXIST && attempt < 1000; attempt++) {
        struct hpp_text path = {file->path, sizeof file->path, length};
        file->path[length] = 0;
        if (attempt) {
            hpp_text_put(&path, ".");
            hpp_text_put_number(&path, attempt);
        }
        fd = hpp_sys_open(file->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (fd == -EEXIST && !attempt && is_spared(file->path))
            return is_spared(file->path);
    }
    if (fd < 0) {
        file->path[length] = 0;
        return (int)fd;
    }
    if (file->locked)
        HPP_SYSCALL(flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0, 0);
    file->fd = (int)fd;
    return 0;
}

int hpp_pprof_write_at(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        long count = HPP_SYSCALL(pwrite64, fd, bytes + done, size - done, offset + done, 0, 0);
        if (count > 0)
            done += (size_t)count;
        else if (count != -EINTR)
            return count ? (int)count : -ENOSPC;
    }
    return 0;
}

int hpp_pprof_write(struct hpp_pprof_file *file, const uint8_t *bytes, size_t size)
{
    int error = 0;

    if (file->limit < file->max)
        file->limit = file->max;
    file->refused = size;
    if (file->max && file->size + size > file->limit)
        return -EFBIG;
    if (file->fd < 0)
        error = hpp_pprof_open(file);
    if (error)
        return error;
    error = hpp_pprof_write_at(file->fd, bytes, size, file->size);
    if (error) {
        HPP_SYSCALL(ftruncate, file->fd, file->size, 0, 0, 0, 0);
        return error;
    }
    file->size += size;
    return 0;
}

/* Copies the file's whole chunks from descriptor FROM. */
static int copy(struct hpp_pprof_file *file, int from)
{
    uint8_t bytes[4096];
    int error = 0;

    for (uint64_t at = 0; !error && at < file->size;) {
        uint64_t left = file->size - at;
        long count = hpp_sys_pread(from, bytes, left < sizeof bytes ? left : sizeof bytes, at);
        if (count <= 0)
            return count ? (int)count : -EIO;
        error = hpp_pprof_write_at(file->fd, bytes, (size_t)count, at);
        at += (uint64_t)count;
    }
    return error;
}

int hpp_pprof_restore(struct hpp_pprof_file *file)
{
    struct stat status;
    int from = file->fd, error;

    if (from < 0 || hpp_sys_fstat(from, &status) || status.st_nlink)
        return 0;
    error = hpp_pprof_open(file);
    if (error)
        return error;
    error = copy(file, from);
    if (error) {
        HPP_SYSCALL(unlinkat, AT_FDCWD, file->path, 0, 0, 0, 0);
        hpp_sys_close(file->fd);
        file->fd = from;
        return error;
    }
    hpp_sys_close(from);
    return 0;
}

void hpp_pprof_close(struct hpp_pprof_file *file, int keep)
{
    if (file->fd < 0)
        return;
    if (!file->size && !keep)
        HPP_SYSCALL(unlinkat, AT_FDCWD, file->path, 0, 0, 0, 0);
    hpp_sys_close(file->fd);
    file->fd = -1;
}

void hpp_pprof_reopen(struct hpp_pprof_file *file)
{
    long fd;

    if (file->fd < 0)
        return;
    fd = hpp_sys_open(file->path, O_RDWR | O_NOFOLLOW, 0);
    if (fd < 0) {
        file->fd = -1;
        file->size = 0;
        file->has_head = 0;
        file->strings = file->locations = file->segments = file->comments = 0;
        return;
    }
    if (file->locked)
        HPP_SYSCALL(flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0, 0);
    file->fd = (int)fd;
}
