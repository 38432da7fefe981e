/* Backend file: the page cache's own huge pages, where the text is. Nothing is copied, nothing moves: the
 * kernel maps a large folio by one entry where address and offset agree (ext4 since Linux 6.16, XFS; small
 * ones become one by MADV_COLLAPSE under CONFIG_READ_ONLY_THP_FOR_FS).
 *
 * Where this cannot work it must cost next to nothing. So of what is cached one page in each 2 MiB is
 * touched: that maps what lies on a large folio. Of what is not cached one 2 MiB is read, and the rest only
 * if that became a large folio; of what is cached in small pages one 2 MiB is to collapse first. */
#include <errno.h>

#include "common/sys.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "profiler/signal_safe.h"

#define PAGE 4096u

static int is_huge(uint64_t at)
{
    return hpp_huge_pages_in(at, at + HPP_HUGE_PAGE) == HPP_HUGE_PAGE;
}

/* Has SIZE bytes at AT mapped, and with the first the large folio that it lies on. */
static long populate(struct hpp_remap_move *move, uint64_t at, uint64_t size)
{
    long error = hpp_sys_madvise(at, size, MADV_POPULATE_READ);

    if (error && !move->error)
        move->error = error;
    return error;
}

/* Returns whether the kernel had to read the page at AT, and did not read it into a large folio. */
static int touch(struct hpp_remap_move *move, uint64_t at)
{
    long before = hpp_faults_with_reads();

    return !populate(move, at, PAGE) && hpp_faults_with_reads() != before && !is_huge(at);
}

/* Reads what is not cached of the text into large folios, and then has that mapped which is on such: to touch
 * what is cached first would have the kernel read on from there, in small ones. Returns what is not mapped so
 * in SMALL, and whether it could not be read so. */
static int map_folios(struct hpp_remap_move *move, struct hpp_chunks *small)
{
    int no_reads = 0;

    for (uint64_t at = move->start; at < move->end; at += HPP_HUGE_PAGE) {
        if (hpp_sys_cached_pages(move->fd, hpp_remap_offset(move, at), HPP_HUGE_PAGE))
            hpp_chunk_set(small, (at - move->start) / HPP_HUGE_PAGE);
        else if (!no_reads)
            no_reads = populate(move, at, HPP_HUGE_PAGE) || !is_huge(at);
    }
    for (uint64_t at = move->start; at < move->end; at += HPP_HUGE_PAGE) {
        int64_t cached = hpp_sys_cached_pages(move->fd, hpp_remap_offset(move, at), PAGE);
        if (hpp_chunk_is(small, (at - move->start) / HPP_HUGE_PAGE) && cached && touch(move, at) &&
            cached < 0)
            return 1;
    }
    return no_reads;
}

static const char *make(struct hpp_remap_move *move)
{
    const char *reason = hpp_huge_pages_refused(&move->error);
    struct hpp_chunks small = {{0}}, huge;
    long error;
    int no_reads;

    if (reason)
        return reason;
    if ((hpp_remap_offset(move, move->start) ^ move->start) & (HPP_HUGE_PAGE - 1))
        return "its addresses and its offsets in the file differ by no multiple of 2 MiB";
    error = hpp_sys_madvise(move->start, move->end - move->start, MADV_HUGEPAGE);
    if (error)
        return hpp_remap_failed(move, error, "the kernel refused MADV_HUGEPAGE for its file");
    no_reads = map_folios(move, &small);
    hpp_huge_chunks(move->start, move->end, &huge);
    if (move->error == -EINVAL) /* before Linux 5.14 */
        move->error = 0;
    for (uint64_t at = move->start, i = 0; at < move->end && !error; at += HPP_HUGE_PAGE, i++)
        if (hpp_chunk_is(&small, i) && !hpp_chunk_is(&huge, i))
            error = hpp_huge_collapse(at, HPP_HUGE_PAGE);
    if (move->error)
        return "its pages could not be populated";
    if (!no_reads && error != -EINVAL) /* which says that it cannot be done here */
        move->error = error;
    return no_reads ? "its file system gave no huge pages" : "its file is cached in small pages";
}

const struct hpp_remap_backend hpp_remap_file = {.name = "file", .make = make};
