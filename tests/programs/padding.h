/* Included once by a test program, puts 2 MiB of text before its code and 2 MiB after it: the whole
 * aligned 2 MiB that hold the code can then be moved to huge pages, wherever the program is loaded. */
#ifndef HPP_TESTS_PADDING_H
#define HPP_TESTS_PADDING_H

/* The linker puts .text.unlikely before .text, and .text.* of a file after its .text. Some bytes
 * that differ, so that a page in the wrong place would show. */
__asm__(".pushsection .text.unlikely.padding, \"ax\", @progbits\n"
        ".set padding_i, 0\n"
        ".rept 512\n .fill 4088, 1, 0xcc\n .quad padding_i\n .set padding_i, padding_i + 1\n .endr\n"
        ".popsection\n"
        ".pushsection .text.zz_padding, \"ax\", @progbits\n"
        ".rept 512\n .fill 4088, 1, 0xcc\n .quad padding_i\n .set padding_i, padding_i + 1\n .endr\n"
        ".popsection\n");

#endif
