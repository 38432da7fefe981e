/* What start-up asks the loader, so that it need not read the whole memory map: the writer does that, beside
 * the program. Start-up code only (the loader's lock is taken). */
#ifndef HPP_PRELOAD_OWN_IMAGES_H
#define HPP_PRELOAD_OWN_IMAGES_H

#include <stddef.h>

#include "common/image.h"
#include "common/text.h"
#include "preload/remap/remap.h"

/* Finds our own executable segment: its bounds go to OWN. Returns whether some loaded file has an executable
 * segment of SIZE bytes or more. */
int hpp_own_images_look(struct hpp_segment *own, size_t size);

/* Of `auto` before it knows what is hot: asks the kernel to read what is not in memory yet of large text into
 * large folios, when it is used (one madvise a segment; what is cached in such it maps so by itself). */
void hpp_own_images_ask_huge(const struct hpp_remap_options *options);

/* The name of the program's file into NAME; ARGUMENTS are main's. Returns 0, or -errno; -ENOEXEC if the
 * process was begun as the loader's own (`ld.so PROGRAM`), where that would be the loader. */
int hpp_own_images_name(char **arguments, struct hpp_text *name);

#endif
