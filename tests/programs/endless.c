/* Uses CPU until a signal ends it.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include <stdio.h>

BURN_FUNCTION(spin, 3)

int main(void)
{
    puts("started");
    fflush(stdout);
    for (;;)
        spin(1);
}
