/* Maps pages until vm.max_map_count leaves room for N more mappings, works for 2.5 s of CPU in its padded
 * text, so that the agent wants to move it, and prints `same`, or `changed`, of that text; `many_maps N`.
 * flags: -no-pie -fno-omit-frame-pointer -Wl,-z,max-page-size=0x200000 */
#include "burn.h"
#include "padding.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

extern const char __executable_start[], etext[];

BURN_FUNCTION(work, 3)

enum { PAGE = 4096 };

static uint64_t sum_of_text(void)
{
    uint64_t sum = 0;

    for (const char *at = __executable_start + 512 * PAGE; at + 8 <= etext; at += 8)
        sum = sum * 31 + *(const uint64_t *)(const void *)at;
    return sum;
}

/* Every other page of one mapping gets another permission: two mappings more each, and back to give some up.
 */
static int fill(long room)
{
    const size_t pages = 1 << 18;
    char *all = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t at = 1;

    if (all == MAP_FAILED)
        return -1;
    while (at < pages && !mprotect(all + at * PAGE, PAGE, PROT_READ))
        at += 2;
    if (at >= pages)
        return -1;
    for (; room > 0 && at > 2; room -= 2) {
        at -= 2;
        mprotect(all + at * PAGE, PAGE, PROT_NONE);
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t before = sum_of_text();

    if (fill(argc > 1 ? atol(argv[1]) : 0)) {
        puts("vm.max_map_count is too large");
        return 77;
    }
    work(2.5);
    puts(sum_of_text() == before ? "same" : "changed");
    return 0;
}
