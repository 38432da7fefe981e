/* Backend anon: private anonymous pages, with MADV_HUGEPAGE. */
#include "common/sys.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "profiler/signal_safe.h"

#define NO_EXECUTION "anonymous memory may not be made executable here"

static const char *make(struct hpp_remap_move *move)
{
    uint64_t size = move->end - move->start;
    const char *reason = hpp_huge_pages_refused(&move->error);
    long error;

    if (!reason)
        reason = hpp_memory_headroom_refused(size);
    if (!reason)
        reason = hpp_remap_reserve(move);
    if (reason)
        return reason;
    /* asked before anything is filled: PR_SET_MDWE, SELinux's execmem */
    error = hpp_sys_mprotect(move->stage, size, PROT_READ | PROT_EXEC);
    if (error)
        return hpp_remap_failed(move, error, NO_EXECUTION);
    /* before it may be written to: that populates it after mlockall(MCL_FUTURE) */
    error = hpp_sys_madvise(move->stage, size, MADV_HUGEPAGE);
    if (error)
        return hpp_remap_failed(move, error, "the kernel refused MADV_HUGEPAGE");
    error = hpp_sys_mprotect(move->stage, size, PROT_READ | PROT_WRITE);
    if (error)
        return hpp_remap_failed(move, error, "the new pages could not be made writable");
    reason = hpp_remap_keep_apart(move);
    return reason ? reason : hpp_remap_fill(move);
}

const struct hpp_remap_backend hpp_remap_anon = {.name = "anon", .make = make, .no_execution = NO_EXECUTION};
