/* A program whose text segment is writable, as old and packed ones have it, and that writes to it: such
 * text must be left alone. Argument: seconds of CPU (default 0.3).
 * flags: -fno-omit-frame-pointer -Wl,--no-warn-rwx-segments */
#include "burn.h"
#include <stdio.h>
#include <stdlib.h>

BURN_FUNCTION(work, 3)

/* 6 MiB in a section that is all of it: allocated, writable, executable. */
__asm__(".pushsection .own_text, \"awx\", @progbits\n.p2align 12\nown_text: .fill 6 << 20, 1, "
        "0xcc\n.popsection\n");
extern volatile unsigned char own_text[6 << 20] __attribute__((visibility("hidden")));

int main(int argc, char **argv)
{
    work(argc > 1 ? atof(argv[1]) : 0.3);
    for (size_t i = 0; i < sizeof(own_text); i += 4096)
        own_text[i]++;
    printf("wrote to its text\n");
    return own_text[3 << 20] != 0xcd;
}
