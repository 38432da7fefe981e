/* Memory of the agent's own: a bump allocator over anonymous mappings, so that neither start-up code
 * nor the writer touches the target's malloc. Not for the handler. One user at a time. */
#ifndef HPP_COMMON_ARENA_H
#define HPP_COMMON_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct hpp_arena {
    struct hpp_arena_chunk *first; /* newest chunk; each links to the one before; NULL: none yet */
    uint8_t *at;                   /* what is left of that, or of memory that it was given to begin with */
    uint8_t *end;
    size_t mapped; /* bytes in all chunks */
    size_t limit;  /* mapped never exceeds this; 0 is no limit */
    int no_fork;   /* fork children do not get it */
};

/* SIZE zeroed bytes, aligned to 16, or NULL where the kernel or the limit refuses. They live until the
 * arena is reset or released. */
void *hpp_arena_allocate(struct hpp_arena *arena, size_t size);

/* The same, for what is read before it is written, as an index is: the kernel would map each page for the
 * read, and for the write again, and then tell all processors of the target. */
void *hpp_arena_allocate_written(struct hpp_arena *arena, size_t size);

/* A copy of STRING, or NULL. */
char *hpp_arena_copy(struct hpp_arena *arena, const char *string);

/* Gives everything back but the oldest chunk, which is zeroed and used again. */
void hpp_arena_reset(struct hpp_arena *arena);

/* Gives everything back. */
void hpp_arena_release(struct hpp_arena *arena);

/* SIZE bytes of zeroed memory from the kernel, named hpprof in /proc/PID/maps where it can be, not in
 * core dumps; NULL if refused. Any part of it may be unmapped. Any thread. */
void *hpp_arena_map(size_t size);

/* Maps SIZE bytes, whole pages, that the next calls of hpp_arena_map share out: a mapping for each would take
 * more time. Once, by start-up code. Returns 0, or -1 if refused. */
int hpp_arena_reserve(size_t size);

/* The rest is given to nobody: in a fork child, where pages of it may have been written before they were
 * copied, after it was copied how far it had been given. */
void hpp_arena_reserve_forget(void);

#endif
