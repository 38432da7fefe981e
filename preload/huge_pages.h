/* What the kernel says about transparent huge pages. Start-up code. */
#ifndef HPP_PRELOAD_HUGE_PAGES_H
#define HPP_PRELOAD_HUGE_PAGES_H

#include <stdint.h>

#define HPP_HUGE_PAGE (2ull << 20)

/* NULL if a private anonymous range with MADV_HUGEPAGE can get huge pages here, else why not. */
const char *hpp_huge_pages_refused(void);

/* How many bytes of [START, END) lie on huge pages now. 0 where the kernel does not tell. */
uint64_t hpp_huge_pages_in(uint64_t start, uint64_t end);

/* NULL if SIZE more bytes fit into memory without endangering anyone (this machine's available memory,
 * the memory limits of our control groups), else why not: populating under a tight limit brings the OOM
 * killer, not an error. */
const char *hpp_memory_headroom_refused(uint64_t size);

#endif
