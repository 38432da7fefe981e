/* dl_iterate_phdr: libunwind calls it, and in the signal handler it must not wait for the loader's lock. Runs
 * in any context; outside of a walk by libunwind it is the real function. */
#include <link.h>

#include "preload/interpose.h"
#include "profiler/walk_libunwind.h"

EXPORT int dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
    int result;

    if (hpp_walk_libunwind_images(callback, data, &result))
        return result;
    return REAL(dl_iterate_phdr)(callback, data);
}
