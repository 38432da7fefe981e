/* Makes the unwind table of an ELF file from its call-frame information: .eh_frame, and .debug_frame where
 * .eh_frame has no entry; from code itself for procedure linkage tables that neither tells of. The file is
 * not trusted: whatever it holds, the result is a valid table or a reason, in bounded time and memory. Writer
 * and offline; no libc state, no malloc, no errno. */
#ifndef HPP_COMMON_UNWIND_BUILD_H
#define HPP_COMMON_UNWIND_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "common/elf_header.h"
#include "common/unwind_table.h"

struct hpp_unwind_build {
    struct hpp_elf_source source; /* an open file, or the address where its byte 0 is mapped */
    size_t memory_limit;          /* bytes of working memory and table at most; 0: a sensible default */
    /* Called about once a millisecond; nonzero: give up. NULL: never. */
    int (*pause)(void *context);
    void *context;

    /* results */
    const char *reason;   /* a constant text: why there is no table, or NULL */
    const char *note;     /* a constant text: what was not used, or NULL */
    uint32_t entries;     /* frame description entries that gave rows */
    uint32_t skipped;     /* that could not be used, or not wholly; that code has rule 0 */
    uint64_t frame_bytes; /* size of .eh_frame and .eh_frame_hdr together, for comparison */
};

/* *TABLE gets the table, in memory of its own that hpp_unwind_free gives back. Returns 0, or -errno with
 * BUILD->reason set; -ECANCELED where pause gave up. */
int hpp_unwind_build(struct hpp_unwind_build *build, const struct hpp_unwind_table **table);

/* Unmaps a table that hpp_unwind_build made or hpp_table_cache_load mapped. */
void hpp_unwind_free(const struct hpp_unwind_table *table);

/* Test only: one deliberate mistake, to show that the tests find it. 0: none. */
enum hpp_unwind_bug {
    HPP_UNWIND_BUG_NONE,
    HPP_UNWIND_BUG_RESTORE_STATE, /* DW_CFA_restore_state gives the initial rules */
    HPP_UNWIND_BUG_LOCATION,      /* an advance takes effect one byte late */
    HPP_UNWIND_BUG_OFFSET,        /* the frame pointer's saved place is 8 bytes off */
};
extern enum hpp_unwind_bug hpp_unwind_bug;

#endif
