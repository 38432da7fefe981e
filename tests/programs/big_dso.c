/* A shared object with 12 MiB of text: for programs that have it loaded with them. (The file is
 * named big_dso, without .so: a program takes it by LD_PRELOAD or dlopen.)
 * flags: -shared -fPIC -Wl,-soname,big_dso */
#include <stdint.h>

uint64_t big_dso_value(uint64_t value);

__asm__(".pushsection .text.unlikely.big, \"ax\", @progbits\n"
        ".set big_i, 0\n"
        ".rept 3072\n .fill 4088, 1, 0xcc\n .quad big_i\n .set big_i, big_i + 1\n .endr\n"
        ".popsection\n");

uint64_t big_dso_value(uint64_t value)
{
    return value * 3 + 1;
}
