/* What the kernel says about huge pages, and about memory for them. Start-up code and writer. */
#ifndef HPP_PRELOAD_REMAP_HUGE_PAGES_H
#define HPP_PRELOAD_REMAP_HUGE_PAGES_H

#include <stdint.h>

#include "preload/remap/pagemap.h"

/* NULL, or that this process has said that it wants none: then no kind can be had but reserved ones. */
const char *hpp_huge_pages_disabled(void);

/* NULL if a private anonymous range with MADV_HUGEPAGE can get huge pages here, else why not; *ERROR is
 * -errno then if a call has failed. */
const char *hpp_huge_pages_refused(long *error);

/* How many bytes of [START, END), whole 2 MiB, lie on huge pages now. 0 where the kernel does not tell. */
uint64_t hpp_huge_pages_in(uint64_t start, uint64_t end);

/* Which 2 MiB of [START, END) do. */
void hpp_huge_chunks(uint64_t start, uint64_t end, struct hpp_chunks *chunks);

/* Has the kernel make huge pages of the file pages that lie at [AT, AT + SIZE) (Linux 6.1). Returns 0 or
 * -errno; pages that someone holds for a moment are asked for again. */
long hpp_huge_collapse(uint64_t at, uint64_t size);

/* How often this thread has waited for a page that had to be read. */
long hpp_faults_with_reads(void);

/* NULL if SIZE more bytes fit into memory without endangering anyone (this machine's available memory,
 * the memory limits of our control groups), else why not: populating under a tight limit brings the OOM
 * killer, not an error. */
const char *hpp_memory_headroom_refused(uint64_t size);

/* NULL if SIZE bytes of address space, for a moment, are little beside what its limits leave the program,
 * else why not: what it maps itself meanwhile shall not fail for that. Writer. */
const char *hpp_address_space_refused(uint64_t size);

/* NULL if more than a sixteenth of the mappings that vm.max_map_count allows is free (a move takes three at
 * most), else why not. Writer. */
const char *hpp_mappings_refused(void);

#endif
