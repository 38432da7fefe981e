// C++ for tests/unwind/step: cleanups, and exceptions thrown through frames without frame pointers. Test only.
#include "tests/unwind/step.h"

#include <stdexcept>
#include <string>

static volatile long sink;

struct cleanup {
    long value;
    explicit cleanup(long v) : value(v) {}
    __attribute__((noinline)) ~cleanup() { sink = sink + value; }
};

static __attribute__((noinline)) long inner(long depth)
{
    cleanup first(depth);
    std::string text(static_cast<size_t>(depth + 20), 'x');
    if (depth == 0)
        throw std::runtime_error(text);
    if (depth == -1)
        return static_cast<long>(text.size());
    return inner(depth - 1) + first.value;
}

static __attribute__((noinline)) long catches(long depth)
{
    cleanup outer(1);
    try {
        return inner(depth);
    } catch (const std::exception &error) {
        sink = sink + error.what()[0];
    }
    return sink;
}

void step_throw_all(void)
{
    sink = sink + catches(-1) + catches(3);
    sink = sink + catches(0);
}
