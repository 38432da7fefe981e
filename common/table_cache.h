/* Unwind tables on disk, by build-id: one file a table, HEXBUILDID.unwind, made atomically, never changed
 * afterwards, mapped shared by all processes. Only files that root or the present user owns and nobody else
 * may write are used, in a folder of which the same is true. Writer and offline; raw system calls only. */
#ifndef HPP_COMMON_TABLE_CACHE_H
#define HPP_COMMON_TABLE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "common/cache_folder.h"
#include "common/unwind_table.h"

extern const struct hpp_cache_kind hpp_table_cache_kind;

/* The folder where tables are kept, into DIRECTORY (SIZE bytes): `unwind` in SETTING (HPPROF_CACHE); where
 * that is NULL or "", in /var/cache/hpprof for root (EUID 0), otherwise in hpprof in CACHE_HOME
 * (XDG_CACHE_HOME), otherwise in .cache/hpprof in HOME; either may be NULL and counts if it is absolute.
 * Returns 0; -ENOENT: tables are not kept, because SETTING is "off" or there is no home; -EINVAL: SETTING is
 * not absolute; -ENAMETOOLONG. Unless it is 0, DIRECTORY is "". Any context. */
int hpp_table_cache_directory(char *directory, size_t size, const char *setting, unsigned euid,
                              const char *cache_home, const char *home);

/* Maps the table for BUILD_ID from the folder DIRECTORY (absolute). *TABLE gets it, checked
 * (hpp_unwind_is_intact, which since the boot some process must have found, and it is for this build-id) and
 * in memory; hpp_unwind_free gives it back. Counts as a use of the file. Returns 0; -ENOENT: not there; other
 * -errno: it is not used. Unless it is 0, *TABLE is NULL and *REASON says why in a constant text ("it belongs
 * to another user", "its checksum is wrong"). */
int hpp_table_cache_load(const char *directory, const uint8_t *build_id, unsigned build_id_size,
                         const struct hpp_unwind_table **table, const char **reason);

/* The same, but is no use of the file, and all of it is checked. */
int hpp_table_cache_peek(const char *directory, const uint8_t *build_id, unsigned build_id_size,
                         const struct hpp_unwind_table **table, const char **reason);

/* Whether tables can be put there, as far as can be seen beforehand: makes the folder where it is missing.
 * Returns 0, or -errno with *REASON set as above. */
int hpp_table_cache_check(const char *directory, const char **reason);

/* Puts TABLE (which has a build-id) there, in place of whatever file has its name. DIRECTORY, and at most
 * two folders above it, are made where they are missing (mode 0700; 0755 by root). LIMIT: bytes that all
 * tables there may take; the least recently used go first. Returns 0; -EINVAL: it has no build-id; -E2BIG: it
 * is larger than LIMIT; -EPERM: the folder is not to be relied on; or other -errno. Leaves nothing behind
 * when it fails; sends no SIGXFSZ. */
int hpp_table_cache_store(const char *directory, const struct hpp_unwind_table *table, uint64_t limit);

#endif
