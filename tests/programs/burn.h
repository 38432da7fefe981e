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

/* Work for so many seconds of the thread's CPU clock: `for (struct burn burn = burn_for(seconds);
 * burn_on(&burn);)`. The clock is asked ever so seldom: when it is, the kernel looks whether others may have
 * the processor now, so on a crowded one a thread that asks all the time would never be the one that runs at
 * a tick, and no timer would see it. */
struct burn {
    double end, then;
    double rounds, left; /* between then and the next look at the clock */
};

static inline struct burn burn_for(double seconds)
{
    struct burn burn = {0, burn_clock(), 0, 0};
    burn.end = burn.then + seconds;
    return burn;
}

/* Each time for as many rounds as bring us half the way to the end, by what the last ones took. */
static inline int burn_on(struct burn *burn)
{
    double now, half;

    if (--burn->left > 0)
        return 1;
    now = burn_clock();
    half = burn->rounds * (burn->end - now) / (now - burn->then) / 2;
    burn->left = half > 8 * burn->rounds ? 8 * burn->rounds : half;
    if (!(burn->left >= 1))
        burn->left = 1;
    burn->rounds = burn->left;
    burn->then = now;
    return now < burn->end;
}

/* Defines `void NAME(double seconds)`. A round takes 0.1 ms or so; a sample inside the clock has libc on
 * top. */
#define BURN_FUNCTION(name, factor)                                  \
    static BURN_OPAQUE void name(double budget)                      \
    {                                                                \
        for (struct burn burn = burn_for(budget); burn_on(&burn);) { \
            uint64_t value = burn_sink;                              \
            for (int i = 0; i < 100000; i++)                         \
                value = value * (factor) + (uint64_t)i;              \
            burn_sink = value;                                       \
        }                                                            \
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
