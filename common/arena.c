/* The agent's memory. Start-up code and writer. */
#include "common/arena.h"

#include <stdatomic.h>
#include <sys/prctl.h>

#include "common/sys.h"

#define CHUNK (128u << 10)
#define PAGE  4096u

#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

struct hpp_arena_chunk {
    struct hpp_arena_chunk *before;
    size_t size;
};

/* What hpp_arena_reserve has mapped and nobody has yet. */
static struct {
    _Atomic(uint8_t *) at;
    uint8_t *end;
} the_reserve;

static void *map(size_t size)
{
    static int is_refused; /* kernels without names refuse all */
    long at = hpp_sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (hpp_sys_failed(at))
        return NULL;
    hpp_sys_madvise((uint64_t)at, size, MADV_DONTDUMP);
    if (!is_refused && HPP_SYSCALL(prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, size, "hpprof", 0))
        is_refused = 1;
    return (void *)at;
}

int hpp_arena_reserve(size_t size)
{
    uint8_t *at = map(size);

    if (!at)
        return -1;
    /* little of it is touched: not 2 MiB at once where the kernel would like that */
    hpp_sys_madvise((uint64_t)(uintptr_t)at, size, MADV_NOHUGEPAGE);
    the_reserve.end = at + size;
    atomic_store(&the_reserve.at, at);
    return 0;
}

void hpp_arena_reserve_forget(void)
{
    atomic_store(&the_reserve.at, NULL);
}

void *hpp_arena_map(size_t size)
{
    size_t whole = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
    uint8_t *at = atomic_load(&the_reserve.at);

    while (at && whole >= size && whole <= (size_t)(the_reserve.end - at))
        if (atomic_compare_exchange_weak(&the_reserve.at, &at, at + whole))
            return at;
    return map(size);
}

static int add_chunk(struct hpp_arena *arena, size_t need)
{
    size_t size = (need + sizeof(struct hpp_arena_chunk) + 31 + CHUNK - 1) & ~(size_t)(CHUNK - 1);
    struct hpp_arena_chunk *chunk;

    if (size < need || (arena->limit && arena->mapped + size > arena->limit))
        return -1;
    chunk = hpp_arena_map(size);
    if (!chunk)
        return -1;
    if (arena->no_fork)
        hpp_sys_madvise((uint64_t)(uintptr_t)chunk, size, MADV_DONTFORK);
    chunk->before = arena->first;
    chunk->size = size;
    arena->first = chunk;
    arena->mapped += size;
    arena->at = (uint8_t *)(chunk + 1);
    arena->end = (uint8_t *)chunk + size;
    return 0;
}

void *hpp_arena_allocate(struct hpp_arena *arena, size_t size)
{
    uint8_t *at = (uint8_t *)(((uintptr_t)arena->at + 15) & ~(uintptr_t)15);

    if (!arena->at || at > arena->end || size > (size_t)(arena->end - at)) {
        if (add_chunk(arena, size))
            return NULL;
        at = (uint8_t *)(((uintptr_t)arena->at + 15) & ~(uintptr_t)15);
    }
    arena->at = at + size;
    return at;
}

void *hpp_arena_allocate_written(struct hpp_arena *arena, size_t size)
{
    volatile uint8_t *bytes = hpp_arena_allocate(arena, size);

    for (size_t at = 0; bytes && at < size; at += PAGE)
        bytes[at] = 0;
    return (void *)bytes;
}

char *hpp_arena_copy(struct hpp_arena *arena, const char *string)
{
    size_t size = 1;
    char *copy;

    while (string[size - 1])
        size++;
    copy = hpp_arena_allocate(arena, size);
    for (size_t i = 0; copy && i < size; i++)
        copy[i] = string[i];
    return copy;
}

void hpp_arena_reset(struct hpp_arena *arena)
{
    struct hpp_arena_chunk *chunk = arena->first;
    uint8_t *dirty;

    if (!chunk)
        return;
    while (chunk->before) {
        struct hpp_arena_chunk *before = chunk->before;
        arena->mapped -= chunk->size;
        hpp_sys_munmap((uint64_t)(uintptr_t)chunk, chunk->size);
        chunk = before;
    }
    arena->first = chunk;
    /* Newer chunks were used after the oldest was full: then all of it is dirty. */
    dirty = arena->end == (uint8_t *)chunk + chunk->size ? arena->at : (uint8_t *)chunk + chunk->size;
    for (uint8_t *byte = (uint8_t *)(chunk + 1); byte < dirty; byte++)
        *byte = 0;
    arena->at = (uint8_t *)(chunk + 1);
    arena->end = (uint8_t *)chunk + chunk->size;
}

void hpp_arena_release(struct hpp_arena *arena)
{
    struct hpp_arena_chunk *chunk = arena->first;

    while (chunk) {
        struct hpp_arena_chunk *before = chunk->before;
        hpp_sys_munmap((uint64_t)(uintptr_t)chunk, chunk->size);
        chunk = before;
    }
    *arena = (struct hpp_arena){.limit = arena->limit, .no_fork = arena->no_fork};
}
