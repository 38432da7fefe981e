/* Work in a sandbox, where the clock may not be asked any more: rounds are counted before. */
#ifndef HPP_TESTS_COUNTED_H
#define HPP_TESTS_COUNTED_H

#include "burn.h"

static __attribute__((noinline)) void work_in_sandbox(uint64_t rounds)
{
    uint64_t value = burn_sink;
    for (uint64_t i = 0; i < rounds; i++)
        value = value * 3 + i;
    burn_sink = value;
}

/* How many rounds take so long. */
static uint64_t rounds_to_work(double seconds)
{
    uint64_t rounds = 0;
    for (struct burn burn = burn_for(seconds); burn_on(&burn); rounds += 100000)
        work_in_sandbox(100000);
    return rounds;
}

#endif
