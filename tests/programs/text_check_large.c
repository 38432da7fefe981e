/* text_check with 16 MiB of text more, at a fixed address: whole 2 MiB that nothing has touched before main.
 * flags: -no-pie -fno-omit-frame-pointer */
#include "text_check.c"

__asm__(".pushsection .text.unlikely.large, \"ax\", @progbits\n"
        ".set large_i, 0\n"
        ".rept 4096\n .fill 4088, 1, 0xcc\n .quad large_i\n .set large_i, large_i + 1\n .endr\n"
        ".popsection\n");
