/* See move_guard.h. Runs in the writer, and on the target's threads.
 *
 * Whoever changes memory says what of it in a place of the table, then looks whether that is being moved; the
 * mover says what it moves, then looks into the table. So one of two that overlap sees the other, and calls
 * elsewhere, however many, are waited for by nobody. A move that takes long (its file may be on a server that
 * does not answer) is called off by who waits for it, until the moment of the swap itself. A handler that
 * leaves a call by longjmp leaves its place taken, until its thread needs one when no other is free. */
#include "preload/remap/move_guard.h"

#include <stdatomic.h>

#include "common/sys.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

#define MS          1000000ull
#define WAIT_MAX    (5000 * MS)
#define PATIENCE    (50 * MS)
#define SPIN_MAX    (1u << 28)
#define BEGIN_SPINS (1u << 16)

/* The 2 MiB of an address; their first and the one behind their last make a range: RANGE, 0 is none. */
#define UNIT_BITS            21
#define UNITS_MAX            UINT32_MAX
#define RANGE(from, to)      ((uint64_t)(from) << 32 | (to))
#define RANGE_FROM(r)        ((uint32_t)((r) >> 32))
#define RANGE_TO(r)          ((uint32_t)(r))
#define OVERLAPS(one, other) (RANGE_FROM(one) < RANGE_TO(other) && RANGE_FROM(other) < RANGE_TO(one))

static _Atomic uint64_t moving_range; /* what the writer moves, */
static _Atomic uint32_t moving;       /* futex: how far that is */
enum { NOTHING, PREPARING, SWAPPING, CALLED_OFF };
static struct change {
    _Atomic uint64_t range;
    _Atomic uintptr_t thread, frame; /* the call's, while it goes on */
} changing[HPP_CHANGES_MAX];         /* calls under way */
static atomic_int others;            /* calls for which there was no place */

static uint64_t range_of(uint64_t start, uint64_t end)
{
    uint64_t from = start >> UNIT_BITS, to = end ? ((end - 1) >> UNIT_BITS) + 1 : 0;

    return RANGE(from < UNITS_MAX ? from : UNITS_MAX, to < UNITS_MAX ? to : UNITS_MAX);
}

/* Who comes later sees what is moved, and waits if that is his. */
int hpp_guard_begin_move(uint64_t start, uint64_t end)
{
    uint64_t range = range_of(start, end);
    unsigned spins = 0;

    atomic_store(&moving_range, range);
    atomic_store(&moving, PREPARING);
    for (unsigned i = 0; i < HPP_CHANGES_MAX; i++)
        while (OVERLAPS(atomic_load(&changing[i].range), range))
            if (++spins == BEGIN_SPINS)
                return 0;
    while (atomic_load(&others) > 0)
        if (++spins == BEGIN_SPINS)
            return 0;
    return 1;
}

int hpp_guard_begin_swap(void)
{
    uint32_t seen = PREPARING;

    return atomic_compare_exchange_strong(&moving, &seen, SWAPPING);
}

void hpp_guard_end_swap(void)
{
    uint32_t seen = SWAPPING;

    atomic_compare_exchange_strong(&moving, &seen, PREPARING);
    hpp_sys_futex_wake(&moving);
}

int hpp_guard_is_called_off(void)
{
    return atomic_load(&moving) != PREPARING;
}

int hpp_guard_end_move(void)
{
    int called_off = atomic_exchange(&moving, NOTHING) != PREPARING;

    hpp_sys_futex_wake(&moving);
    return !called_off;
}

/* Finds a place for RANGE, at best the thread's own, so that threads keep out of each other's cache lines. */
static unsigned take_place(uint64_t range)
{
    uintptr_t thread = (uintptr_t)__builtin_thread_pointer(), frame = (uintptr_t)&range;

    for (int left = 0; left <= 1; left++) /* then also what this thread has left further in, or here */
        for (unsigned i = 0; i < HPP_CHANGES_MAX; i++) {
            unsigned place = (unsigned)((thread >> 12) * 4 + i) % HPP_CHANGES_MAX;
            struct change *change = &changing[place];
            uint64_t had = atomic_load(&change->range);
            if ((!had ||
                 (left && atomic_load(&change->thread) == thread && atomic_load(&change->frame) <= frame)) &&
                atomic_compare_exchange_strong(&change->range, &had, range)) {
                atomic_store(&change->frame, frame);
                atomic_store(&change->thread, thread);
                return place;
            }
        }
    atomic_fetch_add(&others, 1);
    return HPP_CHANGES_MAX;
}

/* As long as the move is at STAGE, for at most NS. */
static void wait_while(uint32_t stage, uint64_t ns)
{
    uint64_t until;

    if (atomic_load(&hpp_sampler.sandboxed)) { /* no system call */
        for (unsigned i = 0; i < SPIN_MAX && stage == SWAPPING && atomic_load(&moving) == stage; i++)
            ;
        return;
    }
    until = hpp_sys_now(CLOCK_MONOTONIC) + ns;
    while (atomic_load(&moving) == stage && hpp_sys_now(CLOCK_MONOTONIC) < until)
        hpp_sys_futex_wait(&moving, stage, 10 * MS);
}

static void wait_for_move(void)
{
    uint32_t stage = PREPARING;

    wait_while(PREPARING, PATIENCE);
    if (atomic_compare_exchange_strong(&moving, &stage, CALLED_OFF) || stage != SWAPPING)
        return;
    wait_while(SWAPPING, WAIT_MAX);
    /* where the writer was killed in between, only one has waited */
    atomic_compare_exchange_strong(&moving, &stage, CALLED_OFF);
}

static int is_moving(uint64_t range)
{
    uint32_t stage = atomic_load(&moving);

    return (stage == PREPARING || stage == SWAPPING) && OVERLAPS(range, atomic_load(&moving_range));
}

unsigned hpp_guard_before_change(uint64_t start, uint64_t end)
{
    uint64_t range = range_of(start, end);

    for (;;) {
        unsigned place = take_place(range);
        if (!is_moving(range))
            return place;
        hpp_guard_after_change(place);
        wait_for_move();
    }
}

void hpp_guard_after_change(unsigned place)
{
    if (place == HPP_CHANGES_MAX) {
        atomic_fetch_sub(&others, 1);
        return;
    }
    atomic_store(&changing[place].thread, 0);
    atomic_store(&changing[place].range, 0);
}

void hpp_guard_init(void)
{
    atomic_store(&moving, NOTHING);
    atomic_store(&others, 0);
    for (unsigned i = 0; i < HPP_CHANGES_MAX; i++)
        atomic_store(&changing[i].range, 0);
}
