/* The sampler's shared state: what start-up code sets up, the handlers fill and the writer drains. One
 * a process, in memory that target and writer share. */
#ifndef HPP_PROFILER_SAMPLER_H
#define HPP_PROFILER_SAMPLER_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/image.h"
#include "profiler/ring.h"
#include "profiler/walk.h"

#define HPP_SLOTS       16384u
#define HPP_THREAD_NAME 16

enum hpp_slot_state {
    HPP_SLOT_FREE,
    HPP_SLOT_CLAIMED, /* a thread is setting it up */
    HPP_SLOT_ACTIVE,  /* a timer may run */
    HPP_SLOT_ENDING,  /* no more samples */
    HPP_SLOT_ENDED,   /* the thread is gone, rings hold samples of it */
};

/* One sampled thread. */
struct hpp_slot {
    /* what the handler needs first */
    _Alignas(64) _Atomic uint32_t state;
    uint32_t home;  /* index of the ring that its samples go to if it can be had */
    uint64_t value; /* what its timer's signals carry: mark, generation, index */
    uint64_t stack_low;
    uint64_t stack_end;
    uint64_t start_sp;
    uint64_t root_fp;
    uint32_t multiplier;        /* its timer's period is so many periods (budget.h) */
    _Atomic uint32_t put;       /* records put into rings; the thread's */
    uint64_t signals, ticks;    /* of all threads that had this slot: handled, and the time that took */
    uint64_t weight;            /* of all signals of this thread, dropped or not; the thread's */
    _Atomic uint32_t *label_at; /* where the thread keeps its present label, or NULL */
    int tid;
    int timer;                  /* kernel timer id, -1 if none */
    uint64_t cpu_begin;         /* the thread's CPU clock when its timer was armed, ns */
    uint64_t first_at;          /* the same clock, when its timer was to expire first */
    uint64_t first_weight;      /* what weight was when it was armed */
    uint64_t start_routine;     /* address of the thread's first function; 0: not known */
    uint64_t untold_from;       /* the thread's CPU clock when sampling was stopped (pause.h), ns */
    uint64_t untold;            /* what it used while that was so */
    uint8_t unblocked;          /* SIGPROF was blocked when it began, and is not, by our doing */
    uint8_t is_new;             /* adopted, and never had another slot */
    char name[HPP_THREAD_NAME]; /* as the thread saw it when it began, and when it ended */
    /* the writer's own */
    _Atomic uint32_t taken; /* records taken out of rings */
    uint32_t name_index;    /* the name as a string of the profile */
    uint32_t head;          /* periods before its timer, for which its first sample is to stand (adopt.h) */
    uint64_t named_at;      /* in which flush it was asked for */
    struct hpp_stack *last; /* the last sample's; valid till the flush after that one */
};

_Static_assert(sizeof(struct hpp_slot) <= 192, "there are many of them, and all are mapped");

struct hpp_sampler {
    _Atomic(const struct hpp_code_map *) code;
    const struct hpp_segment *agent;   /* the segment of our own code */
    struct hpp_slot *slots;            /* HPP_SLOTS of them */
    _Atomic uint32_t slots_used;       /* no slot at or above this was ever claimed */
    _Atomic(struct hpp_ring *) *rings; /* the pool, for all threads; NULL: not mapped yet */
    uint32_t ring_count;
    _Atomic uint32_t rings_used; /* no ring at or above this was ever mapped */
    uint64_t period;             /* ns of CPU time, or events, that a weight of 1 stands for */
    int timer;                   /* enum hpp_timer, never AUTO */
    int event;                   /* enum hpp_event */
    unsigned max_cpu;            /* per cent that profiling may cost; 0: whatever it does */
    _Atomic uint32_t multiplier; /* timers' periods are so many periods */
    int check_all;               /* HPPROF_VALIDATE=pipe */
    unsigned depth;              /* frames recorded of one stack (HPPROF_DEPTH) */
    int no_tables;               /* HPPROF_UNWIND=fp */
    int libunwind;               /* HPPROF_UNWIND=libunwind, and it is loaded */
    int pid;                     /* the process this state belongs to: a vfork child has another */
    _Atomic uint64_t dropped;    /* weight of samples for which there was no ring with room */
    _Atomic uint64_t stale;      /* signals for a thread that had ended */
    _Atomic uint64_t unsampled;  /* threads that got no timer */
    _Atomic uint32_t epoch;      /* moves before and after each dlclose */
    atomic_int forking;          /* threads in fork(2): the present code map must stay as it is */
    atomic_int sandboxed;        /* a seccomp filter stands: no system calls in the program */
    atomic_int paused;           /* no timer runs for now (pause.h) */
    atomic_int stopped;          /* no thread may be armed any more */
};

extern struct hpp_sampler hpp_sampler;

#define HPP_RINGS_TRIED    4u           /* a handler tries its home ring and those behind it */
#define HPP_MEMORY_DEFAULT (4ull << 20) /* as in options.def */

/* Makes the slots for this process, and room for MEMORY bytes of rings, with what walks remember, but at
 * least two. Rings are mapped by hpp_ring_map. Start-up code. Returns 0 or -ENOMEM. */
int hpp_sampler_init(uint64_t memory);

/* Forgets all threads: in a fork child they do not exist. CODE is the map that was there before the fork:
 * a later one may have been published while the memory was being copied. */
void hpp_sampler_after_fork(const struct hpp_code_map *code);

/* A slot for the calling thread, CLAIMED; NULL if there is none (counted). The caller fills the stack's
 * bounds in and arms it. */
struct hpp_slot *hpp_slot_claim(void);

/* The same for thread TID of the process. Its stack's bounds are empty: all of it is read through the kernel.
 * A timer that was left in it is for hpp_timer_disarm, by a thread of the process. Writer. */
struct hpp_slot *hpp_slot_claim_for(int tid);

/* Gives the slot up: its timer must be disarmed. It is free at once if no ring holds a sample of it, else
 * when the writer has read them all (hpp_slot_taken). Called by the thread itself, or by the writer for a
 * thread that is gone. */
void hpp_slot_end(struct hpp_slot *slot);

/* One more record of the slot's has been read, or (COUNT 0) may have been when it ended. Writer only. */
void hpp_slot_taken(struct hpp_slot *slot, uint32_t count);

/* Maps the ring INDEX, if it is not there yet; where there is no memory for it, the next ones must do. A
 * thread at its start, or the writer, where another ring gets full. */
void hpp_ring_map(uint32_t index);

/* The slot that a signal's value names, or NULL if its thread has ended or the value is not ours. */
struct hpp_slot *hpp_slot_of(uint64_t value);

/* Whether VALUE was made by us. */
int hpp_slot_is_value(uint64_t value);

/* A value of ours that names no slot. */
#define HPP_SLOT_NOBODY 0x487000000000ffffull

/* Starts the slot's thread's signals (source.h); of a timer, the first after a random part of the period.
 * Called by that thread. Returns 0, or -errno: then the thread is counted as unsampled, but keeps its
 * slot. */
int hpp_timer_arm(struct hpp_slot *slot);

/* Stops and deletes the timer. Returns whether there was one. Any thread of the process. */
int hpp_timer_disarm(struct hpp_slot *slot);

/* Stops the timers of all threads for good. Any thread of the process. */
void hpp_sampler_stop(void);

#endif
