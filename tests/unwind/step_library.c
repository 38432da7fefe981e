/* A library whose functions tests/unwind/step calls through lazily bound PLT entries. Test only. */
#include "tests/unwind/step.h"

int step_library_add(int a, int b)
{
    return a + b;
}

int step_library_call(int (*function)(int), int value)
{
    return step_library_add(function(value), 1) + function(value + 1);
}

double step_library_many(int a, int b, int c, int d, int e, int f, int g, int h, double x, double y)
{
    return a + b + c + d + e + f + g + h + x * y;
}
