/* Uses CPU until a signal ends it; prints `a second` when it has used that much.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include <stdio.h>

BURN_FUNCTION(spin, 3)

int main(void)
{
    spin(1);
    puts("a second");
    fflush(stdout);
    for (;;)
        spin(1);
}
