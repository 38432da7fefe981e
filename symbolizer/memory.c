/* Growing arrays and the bump pool of the operator's side. Offline only. */
#include "symbolizer/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_BLOCK = 256 << 10, POOL_ALIGN = 16 };

struct hpp_pool_block {
    struct hpp_pool_block *next;
    size_t size, used;
    _Alignas(16) char bytes[];
};

static void *checked(void *memory)
{
    if (!memory) {
        fputs("hpprof: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

void *hpp_memory_get(size_t size)
{
    return checked(calloc(1, size ? size : 1));
}

void *hpp_memory_copy(const void *bytes, size_t size)
{
    void *copy = hpp_memory_get(size);

    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

void *hpp_memory_room(void *array, size_t *capacity, size_t count, size_t size)
{
    size_t room = *capacity ? *capacity : 16;

    if (count <= *capacity && array)
        return array;
    while (room < count) {
        if (room > SIZE_MAX / 2 / size)
            checked(NULL);
        room *= 2;
    }
    *capacity = room;
    return checked(realloc(array, room * size));
}

void *hpp_pool_get(struct hpp_pool *pool, size_t size)
{
    struct hpp_pool_block *block = pool->blocks;
    size_t rounded = (size + POOL_ALIGN - 1) & ~(size_t)(POOL_ALIGN - 1);

    if (rounded < size)
        checked(NULL);
    if (!block || block->size - block->used < rounded) {
        size_t room = rounded > POOL_BLOCK ? rounded : POOL_BLOCK;
        block = checked(room > SIZE_MAX - sizeof *block ? NULL : malloc(sizeof *block + room));
        block->next = pool->blocks;
        block->size = room;
        block->used = 0;
        pool->blocks = block;
    }
    block->used += rounded;
    return block->bytes + block->used - rounded;
}

static void free_blocks(struct hpp_pool_block *block)
{
    while (block) {
        struct hpp_pool_block *next = block->next;
        free(block);
        block = next;
    }
}

void hpp_pool_reset(struct hpp_pool *pool)
{
    if (!pool->blocks)
        return;
    free_blocks(pool->blocks->next);
    pool->blocks->next = NULL;
    pool->blocks->used = 0;
}

void hpp_pool_free(struct hpp_pool *pool)
{
    free_blocks(pool->blocks);
    pool->blocks = NULL;
}
