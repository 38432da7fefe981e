/* Takes two pages out of its own text, from the middle of what nobody executes, and puts them back: what
 * tests of the agent's moves must notice.
 * flags: -fno-omit-frame-pointer */
#include "padding.h"
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

__asm__(
    ".pushsection .text.zz_hole, \"ax\", @progbits\n.p2align 12\nhole: .fill 8192, 1, 0xcc\n.popsection\n");
extern unsigned char hole[] __attribute__((visibility("hidden")));

int main(void)
{
    int memory = open("/dev/zero", O_RDONLY);

    if (munmap(hole, 8192) ||
        mmap(hole, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, memory, 0) != (void *)hole)
        return 1;
    return close(memory) != 0;
}
