/* What a new thread is to do, on the way from the thread that makes it to the thread itself. Not from the
 * program's malloc: a thread that frees something gets a malloc arena of its own, 64 MiB of address space,
 * even if it never needed one. */
#ifndef HPP_PRELOAD_START_RECORD_H
#define HPP_PRELOAD_START_RECORD_H

#include <stdatomic.h>
#include <stddef.h>
#include <threads.h>

struct hpp_start_record {
    void *(*routine)(void *);
    thrd_start_t c11_routine; /* instead of routine, if not NULL */
    void *argument;
    size_t stack_size;
    int blocked; /* hpp_thread_is_unblocked in the thread that makes it: this one would inherit that */
    atomic_int taken;
};

/* A record for the calling thread to fill, or NULL where the kernel refuses memory. Any thread, no lock. */
struct hpp_start_record *hpp_start_record_take(void);

/* Gives RECORD back, in whatever thread. */
void hpp_start_record_give_back(struct hpp_start_record *record);

#endif
