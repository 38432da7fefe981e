/* What the caches of unwind tables (table_cache.h) and of copies of text (text_cache.h) have in common: a
 * folder, whom it and what is in it may belong to, and the names there. cache_room.h keeps it within bounds.
 * Start-up code, writer and offline; raw system calls only. */
#ifndef HPP_COMMON_CACHE_FOLDER_H
#define HPP_COMMON_CACHE_FOLDER_H

#include <stdint.h>
#include <sys/stat.h>

#include "common/elf_header.h"

/* A build-id's hex digits, at most 17 characters that the kind of cache adds, a dot and 16 hex digits behind
 * that while it is being made or removed, and 0. */
#define HPP_CACHE_NAME_SIZE (2 * HPP_BUILD_ID_MAX + 17 + 1 + 16 + 1)

/* What one cache is. */
struct hpp_cache_kind {
    mode_t type; /* of its entries: S_IFREG, or S_IFDIR, a folder of files */
    /* What follows the kind's own part of a name at AT, or NULL if it has none. */
    const char *(*skip)(const char *at);
    /* When the file NAME of an entry was last used (ns since 1970), as far as its STATUS tells. */
    int64_t (*used)(const char *name, const struct stat *status);
    /* An unfinished entry so old (ns) will never be finished. 0: any, as who makes one holds a lock on the
     * folder. */
    int64_t stale_after;
    int is_path_trusted; /* all folders above it must be such that nobody can put another one in its place */
};

/* An open one. */
struct hpp_cache_folder {
    const struct hpp_cache_kind *kind;
    int fd;
    unsigned owner; /* whose files are relied on, besides root's */
};

struct hpp_cache_entry {
    char name[HPP_CACHE_NAME_SIZE];
    uint8_t build_id[HPP_BUILD_ID_MAX];
    unsigned build_id_size;
    int partial; /* is being made, or removed, or was when who did that died */
    /* set by hpp_cache_list_read */
    int other;     /* has such a name, but is nothing of ours */
    int in_use;    /* left to the caller */
    uint64_t size; /* bytes */
    int64_t used;  /* ns since 1970 */
};

/* Opens NAME of the open folder ABOVE (or AT_FDCWD) for reading if it can be relied on: it is no symbolic
 * link but of TYPE (S_IFDIR or S_IFREG), root or OWNER owns it, and nobody else may write to it. Returns the
 * descriptor, *STATUS filled; or -errno, *REASON then says why in a constant text. */
int hpp_cache_open(int above, const char *name, mode_t type, unsigned owner, struct stat *status,
                   const char **reason);

/* Opens the folder DIRECTORY of a cache, in the same way, if it is root's or, where the present user's own is
 * good enough (IS_OWN), his. Returns 0 or -errno; hpp_sys_close(folder->fd) ends it. */
int hpp_cache_folder_open(struct hpp_cache_folder *folder, const struct hpp_cache_kind *kind,
                          const char *directory, int is_own, const char **reason);

/* Makes it, and at most two folders above it, where they are missing (mode 0700; 0755 by root). Returns 0 or
 * -errno and *REASON. */
int hpp_cache_folder_make(const char *directory, const char **reason);

/* Calls VISIT with every name in the open FOLDER, in no order, until it returns nonzero, which is then the
 * result; else 0 or -errno. VISIT may remove what has the name. */
typedef int hpp_cache_name_visitor(void *context, const char *name);
int hpp_cache_visit_names(int folder, hpp_cache_name_visitor *visit, void *context);

/* The same for every entry. */
typedef int hpp_cache_visitor(void *context, const struct hpp_cache_entry *entry);
int hpp_cache_visit(const struct hpp_cache_folder *folder, hpp_cache_visitor *visit, void *context);

/* Whether NAME is an entry's; fills what ENTRY has of it. */
int hpp_cache_read_name(const struct hpp_cache_kind *kind, const char *name, struct hpp_cache_entry *entry);

/* Steps over COUNT hex digits at *AT. Returns whether there are so many. */
int hpp_cache_skip_digits(const char **at, int count);

#endif
