/* Backend memfd: a sealed image of the ELF file in memory, mapped without ever being writable where it is
 * executable: for where anonymous memory may not become executable (PR_SET_MDWE, SELinux). The text lies at
 * its original offset there if address and offset agree, and the file's head with it, so that perf finds the
 * build-id. */
#include <errno.h>
#include <linux/memfd.h>
#include <sys/resource.h>

#include "common/sys.h"
#include "common/text.h"
#include "preload/remap/edges.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "profiler/signal_safe.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010u /* Linux 6.3 */
#endif
#define HEAD       8192u
#define SEAL_TRIES 3

static long create(const char *path)
{
    const char *name = hpp_text_base_name(path);
    long fd = HPP_SYSCALL(memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC, 0, 0, 0, 0);

    return fd == -EINVAL ? HPP_SYSCALL(memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0, 0) : fd;
}

/* The file's first bytes, for who looks for its build-id. */
static void copy_head(const struct hpp_remap_move *move, int fd)
{
    uint64_t head[HEAD / 8];
    long count = hpp_sys_pread(move->fd, head, sizeof head, 0);

    if (count > 0)
        HPP_SYSCALL(pwrite64, fd, head, count, 0, 0, 0);
}

/* Whether a file of SIZE bytes is more than RLIMIT_FSIZE allows: that would be a signal, SIGXFSZ. */
static int is_too_large(uint64_t size)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    return !HPP_SYSCALL(prlimit64, 0, RLIMIT_FSIZE, NULL, &limit, 0, 0) && size > limit.rlim_cur;
}

/* The image's text at OFFSET of FD, and its pages for good. */
static const char *write_image(struct hpp_remap_move *move, int fd, uint64_t offset)
{
    uint64_t size = move->end - move->start;
    const char *reason;
    long result;

    if (is_too_large(offset + size))
        return "RLIMIT_FSIZE allows no image of its file";
    result = HPP_SYSCALL(ftruncate, fd, offset + size, 0, 0, 0, 0);
    if (result)
        return hpp_remap_failed(move, result, "the image of its file cannot have its size (ftruncate)");
    result =
        hpp_sys_mmap((void *)move->stage, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
    if (hpp_sys_failed(result))
        return hpp_remap_failed(move, result, "the image of its file cannot be mapped");
    hpp_sys_madvise(move->stage, size, MADV_HUGEPAGE);
    reason = hpp_remap_keep_apart(move);
    if (!reason)
        reason = hpp_remap_fill(move);
    if (!reason && offset >= HEAD)
        copy_head(move, fd);
    return reason;
}

/* The kernel may hold one of the pages for a moment (memfd_wait_for_pins in mm/memfd.c): then it is busy. */
static long seal(int fd)
{
    const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    long result = -EBUSY;

    for (int tries = 0; tries < SEAL_TRIES && result == -EBUSY; tries++)
        result = HPP_SYSCALL(fcntl, fd, F_ADD_SEALS, seals, 0, 0, 0);
    return result;
}

static const char *make_from(struct hpp_remap_move *move, int fd)
{
    uint64_t size = move->end - move->start, offset = hpp_remap_offset(move, move->start);
    const char *reason;
    long result;

    if ((offset ^ move->start) & (HPP_HUGE_PAGE - 1))
        offset = 0;
    reason = write_image(move, fd, offset);
    if (reason)
        return reason;
    /* no writable mapping may be left for the seal: this one takes its place */
    result = hpp_sys_mmap((void *)move->stage, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, offset);
    if (hpp_sys_failed(result))
        return hpp_remap_failed(move, result, "the image of its file cannot be mapped");
    result = seal(fd);
    if (result)
        return hpp_remap_failed(move, result, "the image of its file cannot be sealed");
    result =
        hpp_sys_mmap((void *)move->stage, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, offset);
    if (hpp_sys_failed(result))
        return hpp_remap_failed(move, result, "the image of its file may not be mapped as text");
    reason = hpp_remap_keep_apart(move);
    if (reason)
        return reason;
    hpp_sys_madvise(move->stage, size, MADV_HUGEPAGE);
    hpp_sys_madvise(move->stage, size, MADV_POPULATE_READ);
    if (hpp_huge_pages_in(move->stage, move->stage + size) == size)
        return NULL;
    result = hpp_huge_collapse(move->stage, size); /* also where shmem_enabled is never */
    if (result && !hpp_huge_pages_in(move->stage, move->stage + size))
        return hpp_remap_failed(move, result, "the kernel gave no huge pages (MADV_COLLAPSE)");
    return NULL;
}

static const char *make(struct hpp_remap_move *move)
{
    const char *reason = hpp_huge_pages_disabled();
    long fd;

    /* of a file core dumps have the ELF header alone, and only where it is mapped first */
    if (!reason && move->edge && move->edge->dumped && !hpp_edge_is_whole(move->edge))
        reason = "core dumps would lack its ELF header";
    if (!reason)
        reason = hpp_memory_headroom_refused(2 * (move->end - move->start));
    if (!reason)
        reason = hpp_remap_reserve(move);
    if (reason)
        return reason;
    fd = create(move->segment->image->path);
    if (fd < 0)
        return hpp_remap_failed(move, fd, "the kernel refused memfd_create");
    reason = make_from(move, (int)fd);
    hpp_sys_close((int)fd);
    return reason;
}

const struct hpp_remap_backend hpp_remap_memfd = {
    .name = "memfd",
    .make = make,
    .no_execution = "the image of its file may not be executable here",
};
