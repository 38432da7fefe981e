/* Text that the program must not throw away: no file stands behind it any more. On the target's threads. */
#ifndef HPP_PRELOAD_REMAP_KEPT_H
#define HPP_PRELOAD_REMAP_KEPT_H

#include <stdint.h>

/* Finds [*FROM, *TO), the first part of [START, END) that was moved to anonymous pages and still holds the
 * bytes of its file. Returns whether there is any. */
int hpp_kept_find(uint64_t start, uint64_t end, uint64_t *from, uint64_t *to);

#endif
