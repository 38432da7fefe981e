/* Memory for the operator's side: growing arrays and a bump pool. A command that runs out of memory has
 * nothing left to try, so these end the process with one line and status 1. Offline only. */
#ifndef HPP_SYMBOLIZER_MEMORY_H
#define HPP_SYMBOLIZER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *hpp_memory_get(size_t size);                     /* zeroed; free() it */
void *hpp_memory_copy(const void *bytes, size_t size); /* free() it */

/* ARRAY with room for at least COUNT items of SIZE bytes, moved if it must be; *CAPACITY in items. */
void *hpp_memory_room(void *array, size_t *capacity, size_t count, size_t size);

/* Many small pieces that are all dropped together; zero-initialised is empty. */
struct hpp_pool {
    struct hpp_pool_block *blocks;
};
void *hpp_pool_get(struct hpp_pool *pool, size_t size); /* aligned to 16, not zeroed */
void hpp_pool_reset(struct hpp_pool *pool);             /* drops every piece, keeps one block to reuse */
void hpp_pool_free(struct hpp_pool *pool);

#endif
