/* What comes into the folder of a cache and what goes: what is oldest first. The writer, and offline; raw
 * system calls only. */
#ifndef HPP_COMMON_CACHE_ROOM_H
#define HPP_COMMON_CACHE_ROOM_H

#include <stddef.h>

#include "common/cache_folder.h"

/* All entries that are finished. */
struct hpp_cache_list {
    struct hpp_cache_entry *entries; /* in no order */
    size_t count, room;
    uint64_t total; /* bytes */
};

/* Reads FOLDER. Returns 0 or -errno; hpp_cache_list_free in either case. */
int hpp_cache_list_read(const struct hpp_cache_folder *folder, struct hpp_cache_list *list);
void hpp_cache_list_free(struct hpp_cache_list *list);

/* The least recently used that may be removed: it is ours, and not in use. NULL if there is none. */
struct hpp_cache_entry *hpp_cache_list_oldest(const struct hpp_cache_list *list);

/* Removes the least recently used until NEED bytes more fit into LIMIT. Returns 0; -ENOSPC: they do not fit
 * beside what is in use; or other -errno. */
int hpp_cache_evict(const struct hpp_cache_folder *folder, struct hpp_cache_list *list, uint64_t need,
                    uint64_t limit);

/* Removes what was begun and will never be finished, and, with ALL, what is finished; both are added to
 * *COUNT and *BYTES. Returns 0 or the last -errno. */
int hpp_cache_clear(const struct hpp_cache_folder *folder, int all, uint64_t *count, uint64_t *bytes);

/* Removes the entry NAME; processes that have it mapped keep it. Returns 0 or -errno. */
int hpp_cache_remove(const struct hpp_cache_folder *folder, const char *name);

/* Makes the beginning of an entry that will have such a NAME; PARTIAL gets its name until then, for renameat
 * or hpp_cache_remove. Returns the file open for writing, or the folder, or -errno. */
int hpp_cache_begin(const struct hpp_cache_folder *folder, const char *name,
                    char partial[HPP_CACHE_NAME_SIZE]);

/* Writes all of it. Returns 0 or -errno. */
int hpp_cache_write(int fd, const void *bytes, uint64_t size);

#endif
