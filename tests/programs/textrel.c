/* A program whose text the loader changes at start (text relocations, right in the 2 MiB that hold its
 * code): what is in memory is not what is in the file, and a remap must leave it alone. Prints whether
 * the relocated words are right before and after its work; argument: seconds of CPU (default 0.3).
 * flags: -fno-omit-frame-pointer -Wl,-z,notext */
#include "burn.h"
#include "padding.h"
#include <stdio.h>
#include <stdlib.h>

BURN_FUNCTION(work, 3)

int main(int argc, char **argv);

__asm__(".text\n.p2align 3\ntext_words: .rept 8\n .quad main\n .endr\n");
extern const uint64_t text_words[8] __attribute__((visibility("hidden")));

static int right(void)
{
    int count = 0;
    for (int i = 0; i < 8; i++)
        count += ((const volatile uint64_t *)text_words)[i] == (uint64_t)main;
    return count;
}

int main(int argc, char **argv)
{
    int before = right();
    work(argc > 1 ? atof(argv[1]) : 0.3);
    printf("%d words right, then %d\n", before, right());
    return 0;
}
