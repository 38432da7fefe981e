/* The file below pprof_append.h: whole chunks or none, put back where it was removed, and aggregated anew
 * where it has become too large. Writer only. Functions return 0 or -errno. */
#ifndef HPP_PROFILER_PPROF_FILE_H
#define HPP_PROFILER_PPROF_FILE_H

#include <stddef.h>

#include "profiler/pprof_append.h"

/* Appends one chunk, making the file if need be. All of it is written, or nothing: the file is cut back to
 * what it was. -EFBIG where it would be larger than file->limit, or than the kernel allows. */
int hpp_pprof_write(struct hpp_pprof_file *file, const uint8_t *bytes, size_t size);

/* Writes all SIZE bytes at OFFSET of FD. */
int hpp_pprof_write_at(int fd, const uint8_t *bytes, size_t size, uint64_t offset);

/* If the file was removed while it was open: makes it again, with all that it held. */
int hpp_pprof_restore(struct hpp_pprof_file *file);

/* Rewrites the file, beside itself and then in its own place, so that equal stacks are one sample again:
 * their times made coarser, or more left out, until it is well below file->max. What has been left out
 * is told in a comment. The sum of all samples stays the same. Where the file cannot be made as small,
 * file->limit rises: at the next call it is a quarter larger at least. */
void hpp_pprof_again(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate);

#endif
