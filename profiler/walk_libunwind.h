/* Walks a stack with libunwind: the second opinion, HPPROF_UNWIND=libunwind. Called by the signal handler in
 * the place of hpp_walk_frames; preload/libunwind.c loads the library, before main.
 *
 * libunwind was not made for this. What is kept away:
 * - The loader's lock, which dl_iterate_phdr takes: while a walk asks, our function of that name answers from
 *   the image record (hpp_walk_libunwind_images).
 * - What happens at first use (the bindings, pthread_once, the making of caches and of a pipe): one walk is
 * made before main. The path that it uses has no thread-local storage and no malloc.
 * - The lock of libunwind's cache: it is held in handlers only, or with all signals blocked; fork and dlclose
 *   wait until no walk is under way (hpp_walk_libunwind_pause).
 * - What the cache says of unloaded libraries: dlclose flushes it.
 * - The pipe by which libunwind tests addresses: it gets high numbers, and before each walk it is looked
 *   whether they are still that pipe. A program that closes all its descriptors could have a file there.
 * - System calls under a seccomp filter.
 * Where one of these forbids it, hpp_walk_frames does the walk, and it is counted.
 *
 * What remains:
 * - libunwind tests an address and reads it afterwards, and it remembers a few addresses that were good:
 * where another thread unmaps just that memory, the program crashes. Sound call-frame information leads to no
 * such address on a sound stack, a corrupt frame pointer can.
 * - Code that is unmapped otherwise than by dlclose while it is being walked, the same.
 * - One cache for all threads, under a lock: threads wait for each other in their handlers.
 * - Versions configured to read .debug_frame open files and call malloc where a library has no .eh_frame_hdr;
 *   such libraries are not shown to it. */
#ifndef HPP_PROFILER_WALK_LIBUNWIND_H
#define HPP_PROFILER_WALK_LIBUNWIND_H

#include <link.h>

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include "profiler/walk.h"

/* The library's functions, and the two ends of its pipe. Filled before the first walk. */
struct hpp_libunwind {
    __typeof__(unw_init_local2) *init;
    __typeof__(unw_step) *step;
    __typeof__(unw_get_reg) *get_register;
    __typeof__(unw_is_signal_frame) *is_signal_frame;
    __typeof__(unw_get_proc_info_by_ip) *find;
    __typeof__(unw_flush_cache) *flush;
    unw_addr_space_t space; /* NULL: not loaded */
    int pipe[2];            /* -1: none */
    uint64_t pipe_device;
    uint64_t pipe_inode;
};
extern struct hpp_libunwind hpp_libunwind;

/* As hpp_walk_frames. WALK->context must be the signal's. Handler; also in normal context, before main. */
void hpp_walk_libunwind(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                        struct hpp_walk_result *result);

/* What dl_iterate_phdr(3) is to answer. *RESULT gets what it returns. Returns 0 if the calling thread is not
 * in a walk: then the real one is to be asked. Any context. */
int hpp_walk_libunwind_images(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data,
                              int *result);

/* No walk by libunwind is under way when this returns (or it did not end within 100 ms), and none begins
 * until as many calls of _resume. Does nothing where libunwind is not loaded. Normal context. */
void hpp_walk_libunwind_pause(void);

/* FORKED: this is the fork child, other threads' walks are not here. */
void hpp_walk_libunwind_resume(int forked);

/* Forgets what is cached of libraries that are gone. Normal context. */
void hpp_walk_libunwind_flush(void);

/* Walks that were not made by libunwind; only ever grows. */
uint64_t hpp_walk_libunwind_refused(void);

#endif
