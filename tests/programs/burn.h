/* How the test programs use up processor time: functions of a known name that run for a given time
 * on their thread's own CPU clock, so that shares are true whatever else the machine does. */
#ifndef HPP_TESTS_BURN_H
#define HPP_TESTS_BURN_H

#include <stdint.h>
#include <time.h>

static volatile uint64_t burn_sink;

/* CPU time of the calling thread, in seconds. */
static inline double burn_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A function that no compiler clones, inlines or reasons about. */
#ifdef __clang__
#define BURN_OPAQUE __attribute__((noinline))
#else
#define BURN_OPAQUE __attribute__((noipa))
#endif

/* Defines `void NAME(double seconds)`. The clock is asked every 0.1 ms or so: a sample inside it
 * has libc on top. */
#define BURN_FUNCTION(name, factor)                     \
    static BURN_OPAQUE void name(double budget)         \
    {                                                   \
        double end = burn_clock() + budget;             \
        do {                                            \
            uint64_t value = burn_sink;                 \
            for (int i = 0; i < 100000; i++)            \
                value = value * (factor) + (uint64_t)i; \
            burn_sink = value;                          \
        } while (burn_clock() < end);                   \
    }

/* Defines `void NAME(double seconds)` that calls NEXT: a frame of a known name. */
#define BURN_CALLER(name, next)                 \
    static BURN_OPAQUE void name(double budget) \
    {                                           \
        next(budget);                           \
        burn_sink++;                            \
    }

/* A small generator of its own, so that runs can be repeated from a seed. */
static inline uint64_t burn_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

#endif
