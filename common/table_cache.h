/* Unwind tables on disk, by build-id: one file a table, HEXBUILDID.unwind, made atomically, never changed
 * afterwards, mapped shared by all processes. Only files that root or the present user owns and nobody else
 * may write are used, in a directory of which the same is true. Writer and offline; raw system calls only. */
#ifndef HPP_COMMON_TABLE_CACHE_H
#define HPP_COMMON_TABLE_CACHE_H

#include <stdint.h>

#include "common/unwind_table.h"

/* Maps the table for BUILD_ID from the folder DIRECTORY (absolute). *TABLE gets it, checked
 * (hpp_unwind_is_valid, and it is for this build-id) and populated. Returns 0; -ENOENT: not there; other
 * -errno: *REASON says in a constant text why it is not used (owner, mode, damaged, other version). */
int hpp_table_cache_load(const char *directory, const uint8_t *build_id, unsigned build_id_size,
                         const struct hpp_unwind_table **table, const char **reason);

/* Puts TABLE (which has a build-id) there, making DIRECTORY (mode 0700; 0755 for root) if it is missing but
 * its parent is there. LIMIT: bytes that all files there may take; the least recently used go first. Returns
 * 0 or -errno. */
int hpp_table_cache_store(const char *directory, const struct hpp_unwind_table *table, uint64_t limit);

#endif
