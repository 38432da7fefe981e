/* The folder of the unwind tables' cache: whom it may belong to, which files in it are ours, and keeping it
 * within bounds. Beneath common/table_cache.c, and for `hpprof cache`. Writer and offline; raw system calls.
 */
#ifndef HPP_COMMON_TABLE_FOLDER_H
#define HPP_COMMON_TABLE_FOLDER_H

#include <stdint.h>
#include <sys/stat.h>

#include "common/elf_header.h"

/* HEXBUILDID.unwind, a dot and 16 hex digits behind that while it is being written, and 0. */
#define HPP_TABLE_NAME_SIZE (2 * HPP_BUILD_ID_MAX + 7 + 1 + 16 + 1)

/* A file of ours. */
struct hpp_table_file {
    char name[HPP_TABLE_NAME_SIZE];
    uint8_t build_id[HPP_BUILD_ID_MAX];
    unsigned build_id_size;
    int partial;   /* is being written, or was when its writer died */
    int regular;   /* otherwise it has our name, but something else stands there */
    uint64_t size; /* bytes */
    int64_t used;  /* ns since 1970: when it was last used, to the day, or made */
};

/* Opens DIRECTORY, which must be no symbolic link. Returns its descriptor or -errno. */
int hpp_table_folder_open(const char *directory);

/* The same; makes it, and at most two folders above it, where they are missing. */
int hpp_table_folder_make(const char *directory);

/* NULL if what has this STATUS can be relied on: it is of KIND (S_IFDIR or S_IFREG), root or the present
 * effective user owns it, and nobody else may write to it. Otherwise what is wrong, a constant text. */
const char *hpp_table_distrust(const struct stat *status, mode_t kind);

/* NAME gets the name of the table for that build-id. Returns -EINVAL if there can be none. */
int hpp_table_file_name(char name[HPP_TABLE_NAME_SIZE], const uint8_t *build_id, unsigned build_id_size);

/* Turns the name of a table into that of one that is being written. */
void hpp_table_file_partial(char name[HPP_TABLE_NAME_SIZE], uint64_t random);

/* Removes the file NAME of the open folder; processes that have it mapped keep it. Returns 0 or -errno. */
int hpp_table_file_remove(int folder, const char *name);

/* Calls VISIT for every file of ours in the open folder, in no order, until it returns nonzero, which is
 * then the result; else 0 or -errno. VISIT may remove the file. */
typedef int hpp_table_visit(void *context, const struct hpp_table_file *file);
int hpp_table_folder_visit(int folder, hpp_table_visit *visit, void *context);

/* Removes the least recently used tables until all take at most LIMIT bytes, and what writers that died
 * left behind. Returns 0 or -errno. */
int hpp_table_folder_evict(int folder, uint64_t limit);

/* Whether what FILE's writer began will never be finished. */
int hpp_table_file_is_stale(const struct hpp_table_file *file);

#endif
