/* Whether text is what a stage has of it. See move.h. */
#include <errno.h>

#include "common/sys.h"
#include "preload/remap/move.h"
#include "profiler/signal_safe.h"

#define PIECE (32u << 10)

static int words_differ(const uint64_t *left, const uint64_t *right, uint64_t size)
{
    for (uint64_t i = 0; i < size / 8; i += 8) {
        uint64_t any = (left[i] ^ right[i]) | (left[i + 1] ^ right[i + 1]) | (left[i + 2] ^ right[i + 2]) |
                       (left[i + 3] ^ right[i + 3]) | (left[i + 4] ^ right[i + 4]) |
                       (left[i + 5] ^ right[i + 5]) | (left[i + 6] ^ right[i + 6]) |
                       (left[i + 7] ^ right[i + 7]);
        if (any)
            return 1;
    }
    return 0;
}

int hpp_remap_differs(const struct hpp_remap_move *move, uint64_t start, uint64_t end)
{
    static uint64_t piece[PIECE / 8];
    uint64_t stage = move->stage + (start - move->start);

    if (!move->list->hot && !move->edge)
        return words_differ((const uint64_t *)start, (const uint64_t *)stage, end - start);
    /* what others can unmap meanwhile, or what is behind the file's end */
    for (uint64_t size; start < end; start += size, stage += size) {
        long count;
        size = end - start < PIECE ? end - start : PIECE;
        count = hpp_sys_copy_own_memory(piece, start, size);
        if (count != (long)size)
            return count < 0 ? (int)count : -EFAULT;
        if (words_differ(piece, (const uint64_t *)stage, size))
            return 1;
    }
    return 0;
}
