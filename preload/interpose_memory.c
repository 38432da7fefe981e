/* munmap, mprotect and their kin: whoever unloads, replaces, patches or throws away text by himself. Runs on
 * the target's threads, in signal handlers too, in place of the real functions, which it always calls. */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "preload/interpose.h"
#include "preload/remap/move_guard.h"
#include "preload/remap/kept.h"
#include "preload/remap/put_back.h"

#define DONTNEED_LOCKED 24 /* MADV_DONTNEED_LOCKED, Linux 5.18 */
#define FAILED(got)     ((long)(got) == -1)

#define CHANGES(at, size, call) CHANGES_TO(0, at, size, call)

/* CALL, which changes the SIZE bytes at AT, and gives them PROTECTION, or has them no more writable. */
#define CHANGES_TO(protection, at, size, call)                                           \
    ({                                                                                   \
        const uintptr_t change_from = (uintptr_t)(at), change_to = change_from + (size); \
        unsigned change = hpp_guard_before_change(change_from, change_to);               \
        int errno_before = errno;                                                        \
        if ((protection)&PROT_WRITE)                                                     \
            hpp_put_back_all(change_from, change_to);                                    \
        __typeof__(call) got = (call);                                                   \
        if (FAILED(got) && errno == EINVAL && hpp_put_back(change_from, change_to)) {    \
            got = (call);                                                                \
            errno = FAILED(got) ? errno : errno_before;                                  \
        }                                                                                \
        hpp_guard_after_change(change);                                                  \
        got;                                                                             \
    })

EXPORT int munmap(void *start, size_t size)
{
    return CHANGES(start, size, REAL(munmap)(start, size));
}

EXPORT int mprotect(void *start, size_t size, int protection)
{
    return CHANGES_TO(protection, start, size, REAL(mprotect)(start, size, protection));
}

int pkey_mprotect(void *start, size_t size, int protection, int key); /* glibc 2.27 */

EXPORT int pkey_mprotect(void *start, size_t size, int protection, int key)
{
    if (!REAL(pkey_mprotect)) {
        errno = ENOSYS;
        return -1;
    }
    return CHANGES_TO(protection, start, size, REAL(pkey_mprotect)(start, size, protection, key));
}

/* Only where it replaces something. */
EXPORT void *mmap(void *start, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (!(flags & MAP_FIXED))
        return REAL(mmap)(start, size, protection, flags, fd, offset);
    return CHANGES(start, size, REAL(mmap)(start, size, protection, flags, fd, offset));
}

EXPORT void *mmap64(void *start, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (!(flags & MAP_FIXED))
        return REAL(mmap64)(start, size, protection, flags, fd, offset);
    return CHANGES(start, size, REAL(mmap64)(start, size, protection, flags, fd, offset));
}

EXPORT void *mremap(void *start, size_t size, size_t new_size, int flags, ...)
{
    void *to, *result;
    unsigned place;
    va_list list;

    va_start(list, flags);
    to = va_arg(list, void *);
    va_end(list);
    if (!(flags & MREMAP_FIXED))
        return CHANGES(start, size, REAL(mremap)(start, size, new_size, flags));
    place = hpp_guard_before_change((uintptr_t)to, (uintptr_t)to + new_size);
    result = CHANGES(start, size, REAL(mremap)(start, size, new_size, flags, to));
    hpp_guard_after_change(place);
    return result;
}

/* Pages thrown away are read from their file again: of text that is anonymous now there is nothing to be
 * read. */
static int throw_away(uint64_t start, uint64_t end, int advice)
{
    uint64_t from, to;
    int result = 0;

    while (!result && start < end && hpp_kept_find(start, end, &from, &to)) {
        if (advice == MADV_FREE) { /* a file's pages cannot be */
            errno = EINVAL;
            return -1;
        }
        if (from > start)
            result = REAL(madvise)((void *)start, from - start, advice);
        start = to;
    }
    return !result && start < end ? REAL(madvise)((void *)start, end - start, advice) : result;
}

EXPORT int madvise(void *start, size_t size, int advice)
{
    uint64_t from = (uintptr_t)start;
    unsigned change;
    int result;

    if (!size || (advice != MADV_DONTNEED && advice != MADV_FREE && advice != DONTNEED_LOCKED))
        return REAL(madvise)(start, size, advice);
    change = hpp_guard_before_change(from, from + size);
    result = throw_away(from, from + size, advice);
    hpp_guard_after_change(change);
    return result;
}
