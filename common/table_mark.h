/* Tables that were found intact are marked, so that the many short processes of a build need not go through
 * theirs again. The mark is the nanoseconds of the file's mtime: whoever changes a file changes those as
 * well. It is another one after each boot, as a crash may tear a file, and in each file. Its seconds say, to
 * a day, when the file was last used. Writer and offline. */
#ifndef HPP_COMMON_TABLE_MARK_H
#define HPP_COMMON_TABLE_MARK_H

#include <stdint.h>
#include <sys/stat.h>

/* Whether the file with STATUS is marked. */
int hpp_table_is_marked(const struct stat *status);

/* Marks the open file FD with STATUS as intact (IS_INTACT) and used (IS_USE), as far as it is not; only its
 * owner can. */
void hpp_table_mark(int fd, const struct stat *status, int is_intact, int is_use);

#endif
