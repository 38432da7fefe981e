/* Throws exceptions through 50 frames without frame pointers, over and over; the first argument gives seconds
 * of CPU (default 0.3). flags: -O2 -fomit-frame-pointer */
#include "burn.h"
#include "padding.h"
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

struct cleanup {
    uint64_t value;
    __attribute__((noinline)) ~cleanup()
    {
        burn_sink = burn_sink + value;
    }
};

static BURN_OPAQUE uint64_t pass(int depth)
{
    cleanup guard = {static_cast<uint64_t>(depth)};
    if (depth == 0)
        throw std::runtime_error("thrown");
    return pass(depth - 1) + guard.value;
}

static BURN_OPAQUE int catches(int depth)
{
    try {
        return static_cast<int>(pass(depth));
    } catch (const std::runtime_error &error) {
        return error.what()[0] == 't';
    }
}

int main(int argc, char **argv)
{
    bool good = true;
    for (struct burn burn = burn_for(argc > 1 ? atof(argv[1]) : 0.3); burn_on(&burn);)
        good = good && catches(50) == 1;
    printf("%s\n", good ? "all caught" : "lost");
    return !good;
}
