/* Backend anon: stage, verify, swap. Start-up code. Nothing here calls libc or anything else that could
 * lie in the text being moved; the agent's own text never is.
 *
 * The new pages are filled and compared at the stage, made executable there, and moved in by one
 * mremap: no byte of text is ever missing, and no page ever writable and executable at once. mremap
 * unmaps its destination before the last thing that can fail, so the file stays open to refill it. */
#include "preload/remap.h"

#include <errno.h>

#include "common/sys.h"
#include "preload/huge_pages.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct move {
    const struct hpp_segment *segment;
    struct hpp_remap_list *list;
    int fd;
    uint64_t start; /* the text */
    uint64_t end;
    uint64_t stage; /* where its copy is made; a multiple of HPP_HUGE_PAGE */
    uint64_t began; /* ns */
};

static void record(struct move *move, uint64_t start, uint64_t end, uint64_t huge, const char *reason)
{
    uint64_t now = hpp_sys_now(CLOCK_MONOTONIC);

    hpp_remap_record(move->list, &(struct hpp_remap_record){.segment = move->segment,
                                                            .start = start,
                                                            .end = end,
                                                            .huge = huge,
                                                            .microseconds = (now - move->began) / 1000,
                                                            .reason = reason});
    move->began = now;
}

/* Makes the stage: writable, populated, on huge pages if the kernel has them. */
static const char *make_stage(struct move *move)
{
    uint64_t size = move->end - move->start;
    long at = hpp_sys_mmap(NULL, size + HPP_HUGE_PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t from = (uint64_t)at, to;
    long error;

    if (hpp_sys_failed(at))
        return "no address space for the new pages";
    to = (from + HPP_HUGE_PAGE - 1) & ~(HPP_HUGE_PAGE - 1);
    if (to > from)
        hpp_sys_munmap(from, to - from);
    if (to + size < from + size + HPP_HUGE_PAGE)
        hpp_sys_munmap(to + size, from + HPP_HUGE_PAGE - to);
    move->stage = to;
    if (hpp_sys_madvise(to, size, MADV_HUGEPAGE))
        return "the kernel refused MADV_HUGEPAGE";
    error = hpp_sys_madvise(to, size, MADV_POPULATE_WRITE);
    if (error == -EINVAL) { /* before Linux 5.14: pread populates */
        return NULL;
    }
    return error ? "the kernel could not populate the new pages" : NULL;
}

/* What is at the path may have been replaced since, even by something that blocks. */
static const char *open_file(struct move *move)
{
    struct stat status;

    move->fd = (int)hpp_sys_open(move->segment->image->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (move->fd < 0)
        return "its file cannot be opened";
    if (hpp_sys_fstat(move->fd, &status) || !S_ISREG(status.st_mode))
        return "its path is no regular file any more";
    return NULL;
}

static const char *fill_stage(struct move *move)
{
    uint64_t size = move->end - move->start;
    uint64_t offset = move->segment->file_offset + (move->start - move->segment->start);
    uint64_t done = 0;

    while (done < size) {
        long count = hpp_sys_pread(move->fd, (void *)(move->stage + done), size - done, offset + done);
        if (count == -EINTR)
            continue;
        if (count <= 0)
            return "the file could not be read";
        done += (uint64_t)count;
    }
    return NULL;
}

static int differs(uint64_t a, uint64_t b, uint64_t size)
{
    const uint64_t *left = (const uint64_t *)a, *right = (const uint64_t *)b;

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

/* Puts the file's own pages back where a failed mremap may have left nothing. */
static int refill(struct move *move, uint64_t start, uint64_t end)
{
    uint64_t offset = move->segment->file_offset + (start - move->segment->start);
    long at = hpp_sys_mmap((void *)start, end - start, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED,
                           move->fd, offset);
    return hpp_sys_failed(at) ? (int)at : 0;
}

/* Gives the stage of [START, END) back. Never more than that: where a part was moved away, another thread
 * may have mapped something since. */
static void discard(const struct move *move, uint64_t start, uint64_t end)
{
    if (move->stage)
        hpp_sys_munmap(move->stage + (start - move->start), end - start);
}

/* Leaves [START, END) where it is. */
static void leave(struct move *move, uint64_t start, uint64_t end, const char *reason)
{
    record(move, start, end, 0, reason);
    discard(move, start, end);
}

/* Swaps [START, END), found equal to the stage, in. */
static void swap_run(struct move *move, uint64_t start, uint64_t end)
{
    uint64_t from = move->stage + (start - move->start);
    uint64_t size = end - start;

    if (!hpp_huge_pages_in(from, from + size)) {
        leave(move, start, end, "the kernel gave no huge pages");
        return;
    }
    if (hpp_sys_mprotect(from, size, PROT_READ | PROT_EXEC)) {
        leave(move, start, end, "anonymous memory may not be made executable here");
        return;
    }
    if (hpp_sys_failed(hpp_sys_mremap_fixed(from, size, start))) {
        int error = refill(move, start, end);
        leave(move, start, end, error ? "mremap failed, and so did mapping the file again" : "mremap failed");
        return;
    }
    hpp_sys_madvise(start, size, MADV_DONTDUMP);
    ((struct hpp_segment *)move->segment)->moved = 1;
    record(move, start, end, hpp_huge_pages_in(start, end), NULL);
}

/* Moves the runs of huge pages whose bytes are the file's; the others hold a breakpoint, a relocation
 * or a patch, and stay. */
static void swap_all(struct move *move)
{
    uint64_t run = move->start;
    int run_differs = -1;

    for (uint64_t at = move->start; at <= move->end; at += HPP_HUGE_PAGE) {
        int now = at < move->end ? differs(at, move->stage + (at - move->start), HPP_HUGE_PAGE) : -1;
        if (now == run_differs)
            continue;
        if (run_differs == 1)
            leave(move, run, at, "the text in memory differs from the file");
        else if (run_differs == 0)
            swap_run(move, run, at);
        run = at;
        run_differs = now;
    }
}

void hpp_remap_anonymous(const struct hpp_segment *segment, uint64_t start, uint64_t end,
                         struct hpp_remap_list *list)
{
    struct move move = {
        .segment = segment, .list = list, .start = start, .end = end, .began = hpp_sys_now(CLOCK_MONOTONIC)};
    const char *reason = NULL;

    reason = open_file(&move);
    if (!reason)
        reason = make_stage(&move);
    if (!reason)
        reason = fill_stage(&move);
    if (reason)
        leave(&move, start, end, reason);
    else
        swap_all(&move);
    if (move.fd >= 0)
        hpp_sys_close(move.fd);
}
