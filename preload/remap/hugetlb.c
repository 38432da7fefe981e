/* Backend hugetlb: pages that the operator has reserved (vm.nr_hugepages). The stage is moved in, so that a
 * failure leaves no hole (mremap of such pages: Linux 5.16). */
#include <errno.h>

#include "common/sys.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "profiler/signal_safe.h"

#define HUGE_2M (21 << 26) /* MAP_HUGE_2MB: include/uapi/asm-generic/hugetlb_encode.h */

static const char *make(struct hpp_remap_move *move)
{
    const char *reason = hpp_remap_reserve(move);
    long at;

    if (reason)
        return reason;
    at = hpp_sys_mmap((void *)move->stage, move->end - move->start, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | HUGE_2M | MAP_FIXED, -1, 0);
    if (hpp_sys_failed(at))
        return hpp_remap_failed(move, at,
                                at == -ENOMEM ? "not enough reserved huge pages of 2 MiB (vm.nr_hugepages)"
                                              : "reserved huge pages of 2 MiB cannot be mapped");
    /* populated at the stage, with errors seen: a page that is missing at its first touch is a SIGBUS */
    reason = hpp_remap_keep_apart(move);
    return reason ? reason : hpp_remap_fill(move);
}

const struct hpp_remap_backend hpp_remap_hugetlb = {
    .name = "hugetlb",
    .make = make,
    .no_execution = "reserved huge pages may not be made executable here",
};
