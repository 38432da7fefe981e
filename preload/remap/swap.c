/* Stage, verify, swap: the flow of every backend. See move.h.
 *
 * The new pages are filled and compared at the stage, made executable there, and moved in by one
 * mremap: no byte of text is ever missing, and no page ever writable and executable at once. mremap
 * unmaps its destination before the last thing that can fail, so the file stays open to refill it.
 *
 * range_by has one backend try a range, and calls itself with the backends that are left for each part that
 * this one could not move (through swap_all, or keep_huge without a stage): as deep as they are many. */
#include <errno.h>

#include "common/maps.h"
#include "common/sys.h"
#include "preload/remap/edges.h"
#include "preload/remap/move_guard.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/mlock.h"
#include "preload/remap/move.h"
#include "preload/remap/put_back.h"
#include "profiler/signal_safe.h"

static void range_by(const struct hpp_remap_backend *const *backends, struct hpp_remap_move *from,
                     uint64_t start, uint64_t end, const char *reason);

/* ---- for the backends --------------------------------------------------------------------------------- */

const char *hpp_remap_reserve(struct hpp_remap_move *move)
{
    uint64_t size = move->end - move->start, from, to;
    const char *reason =
        move->list && move->list->hot ? hpp_address_space_refused(size + HPP_HUGE_PAGE) : NULL;
    long at;

    if (reason)
        return reason;
    at = hpp_sys_mmap(NULL, size + HPP_HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                      0);
    if (hpp_sys_failed(at))
        return hpp_remap_failed(move, at, "no address space for the new pages");
    from = (uint64_t)at;
    to = (from + HPP_HUGE_PAGE - 1) & ~(HPP_HUGE_PAGE - 1);
    if (to > from)
        hpp_sys_munmap(from, to - from);
    if (to + size < from + size + HPP_HUGE_PAGE)
        hpp_sys_munmap(to + size, from + HPP_HUGE_PAGE - to);
    move->stage = to;
    return NULL;
}

const char *hpp_remap_keep_apart(struct hpp_remap_move *move)
{
    uint64_t size = move->end - move->start;
    int is_dumped = move->edge && move->edge->dumped;
    long error = is_dumped ? 0 : hpp_sys_madvise(move->stage, size, MADV_DONTDUMP);

    if (error)
        return hpp_remap_failed(move, error, "the new pages could not be kept out of core dumps");
    error = hpp_sys_madvise(move->stage, size, MADV_DONTFORK);
    return error ? hpp_remap_failed(move, error, "the new pages could not be kept from fork children") : NULL;
}

/* 2 MiB at a time, so that they are in the processor's cache from being cleared to being written. */
static const char *fill_chunk(struct hpp_remap_move *move, uint64_t to, uint64_t offset)
{
    long error = hpp_sys_madvise(to, HPP_HUGE_PAGE, MADV_POPULATE_WRITE);

    if (error && error != -EINVAL) /* before Linux 5.14: filling populates */
        return hpp_remap_failed(move, error, "the kernel could not populate the new pages");
    if (move->edge)
        return hpp_edge_fill(move);
    for (uint64_t done = 0; done < HPP_HUGE_PAGE;) {
        long count = hpp_sys_pread(move->fd, (void *)(to + done), HPP_HUGE_PAGE - done, offset + done);
        if (count == -EINTR)
            continue;
        if (count < 0)
            return hpp_remap_failed(move, count, "the file could not be read");
        if (!count)
            return "the file ends before its text does";
        done += (uint64_t)count;
    }
    return NULL;
}

const char *hpp_remap_fill(struct hpp_remap_move *move)
{
    const char *reason = NULL;

    for (uint64_t at = move->start; at < move->end && !reason; at += HPP_HUGE_PAGE)
        reason = fill_chunk(move, move->stage + (at - move->start), hpp_remap_offset(move, at));
    return reason;
}

/* ---- records ------------------------------------------------------------------------------------------- */

static void record(struct hpp_remap_move *move, uint64_t start, uint64_t end, uint64_t huge,
                   const char *reason)
{
    uint64_t now = hpp_sys_now(CLOCK_MONOTONIC);
    struct hpp_remap_record made = {.segment = move->segment,
                                    .backend = reason ? NULL : move->backend->name,
                                    .start = start,
                                    .end = end,
                                    .huge = huge,
                                    .microseconds = (now - move->began) / 1000,
                                    .reason = reason,
                                    .error = reason ? (int)-move->error : 0};

    if (!reason)
        hpp_mlock_range(start, end, &made);
    else if (move->list->hot && hpp_guard_is_called_off()) /* it is tried again */
        return;
    if (move->edge)
        hpp_edge_describe(move->edge, &made);
    hpp_remap_record(move->list, &made);
    move->began = now;
}

/* Gives the stage of [START, END) back. Never more than that: where a part was moved away, another thread
 * may have mapped something since. */
static void discard(const struct hpp_remap_move *move, uint64_t start, uint64_t end)
{
    if (move->stage)
        hpp_sys_munmap(move->stage + (start - move->start), end - start);
}

/* ---- one backend --------------------------------------------------------------------------------------- */

/* What is at the path may have been replaced since, even by something that blocks. */
static const char *open_file(struct hpp_remap_move *move)
{
    struct stat status;
    long error;

    move->fd = (int)hpp_sys_open(move->segment->image->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (move->fd < 0)
        return hpp_remap_failed(move, move->fd, "its file cannot be opened");
    error = hpp_sys_fstat(move->fd, &status);
    if (error)
        return hpp_remap_failed(move, error, "fstat of its file failed");
    return S_ISREG(status.st_mode) ? NULL : "its path is no regular file any more";
}

/* Whether FD is the file that SEGMENT was found to be mapped from. Where a file system shows one device in
 * maps and another in fstat (btrfs), it is taken for another. */
static int is_its_file(int fd, const struct hpp_segment *segment)
{
    struct stat status;

    if (hpp_sys_fstat(fd, &status))
        return 0;
    /* include/linux/kdev_t.h: new_encode_dev */
    return status.st_ino == segment->image->inode &&
           ((status.st_dev & 0xfff00) << 24 | (status.st_dev & 0xff) | ((status.st_dev >> 12) & 0xfff00)) ==
               segment->image->device;
}

/* Whether LINE maps what the segment was found to map there, and it may not be written, here or elsewhere. */
static int is_its_text(const void *context, const struct hpp_maps_line *line)
{
    const struct hpp_segment *segment = context;

    return !line->writable && !line->shared && line->readable && line->executable &&
           line->device == segment->image->device && line->inode == segment->image->inode &&
           line->start - line->offset == segment->start - segment->file_offset;
}

/* Why [START, END) is not known to be what was found there; NULL: it is. */
static const char *not_there(struct hpp_remap_move *move, uint64_t start, uint64_t end)
{
    int result = move->edge ? hpp_edge_is_there(move) : hpp_maps_all(start, end, is_its_text, move->segment);

    if (result < 0)
        return hpp_remap_failed(move, result, HPP_REMAP_NO_MAPS);
    return result ? NULL : HPP_REMAP_NOT_ITS_FILE;
}

/* Which 2 MiB hold other bytes than the stage. Before main, pages that are still the file's, if that is what
 * the stage was filled from, need no look; later the file that bears the same numbers can be another one
 * (overlayfs, after it was written to). Returns 0, or -errno if not all could be read. */
static int find_differences(const struct hpp_remap_move *move, struct hpp_chunks *different)
{
    struct hpp_chunks own = {{0}};
    int is_known = !move->edge && !move->list->hot && is_its_file(move->fd, move->segment) &&
                   hpp_pagemap_find(move->start, move->end, HPP_PAGE_PRIVATE, &own) >= 0;

    for (uint64_t i = 0, at = move->start; at < move->end; i++, at += HPP_HUGE_PAGE) {
        int differs = 0;
        if (move->edge)
            differs = hpp_edge_differs(move);
        else if (!is_known || hpp_chunk_is(&own, i))
            differs = hpp_remap_differs(move, at, at + HPP_HUGE_PAGE);
        if (differs < 0)
            return differs;
        if (differs)
            hpp_chunk_set(different, i);
    }
    return 0;
}

/* After a failed mremap: puts the file's own pages back if the range was unmapped by then. Returns what to
 * say. */
static const char *restore(struct hpp_remap_move *move, uint64_t start, uint64_t end, long error)
{
    move->error = error;
    if (!HPP_SYSCALL(msync, start, end - start, MS_ASYNC, 0, 0, 0))
        return error == -EPERM ? "mremap failed: it may not be replaced (mseal)"
                               : "mremap failed: it is as it was";
    if (move->edge
            ? hpp_edge_restore(move)
            : hpp_sys_failed(hpp_sys_mmap((void *)start, end - start, PROT_READ | PROT_EXEC,
                                          MAP_PRIVATE | MAP_FIXED, move->fd, hpp_remap_offset(move, start))))
        return "mremap failed, and so did mapping the file again";
    return "mremap failed: its file was mapped again";
}

/* Moves the stage's pages at FROM to [START, END). Returns mremap's result; where that failed, *REASON is
 * what to say. */
static long put_in(struct hpp_remap_move *move, uint64_t start, uint64_t end, uint64_t from,
                   const char **reason)
{
    long result;

    if (move->list->hot && !hpp_guard_begin_swap())
        return -EAGAIN;
    if (move->backend == &hpp_remap_hugetlb)
        hpp_put_back_note(start, end);
    result = hpp_sys_mremap_fixed(from, end - start, start);
    if (hpp_sys_failed(result))
        *reason = restore(move, start, end, result);
    if (move->list->hot)
        hpp_guard_end_swap();
    return result;
}

/* Swaps [START, END), huge at the stage and found equal to it, in. Returns whether it is settled; else
 * *REASON is why the next backend is to try. */
static int swap_run(struct hpp_remap_move *move, uint64_t start, uint64_t end, const char **reason)
{
    uint64_t from = move->stage + (start - move->start), size = end - start;
    struct hpp_segment *segment = (struct hpp_segment *)move->segment;
    int was_moved = segment->moved, absorbed = segment->absorbed;
    const char *reason_left = "the program was about to change it";
    long result;

    *reason = move->backend->no_execution;
    move->error = hpp_sys_mprotect(from, size, PROT_READ | PROT_EXEC);
    if (move->error)
        return 0;
    /* text, once it is there, is every child's */
    *reason = "the new pages could not be handed to fork children";
    move->error = hpp_sys_madvise(from, size, MADV_DOFORK);
    if (move->error)
        return 0;
    *reason = "the program has pinned it, and the new pages could not be (RLIMIT_MEMLOCK)";
    move->error = hpp_mlock_like(from, start, size);
    if (move->error)
        return 0;
    segment->moved = 1; /* before: a fork child has what is true, or will be */
    segment->absorbed |= start < segment->start;
    result = put_in(move, start, end, from, &reason_left);
    if (hpp_sys_failed(result)) {
        segment->moved = was_moved;
        segment->absorbed = absorbed;
        record(move, start, end, 0, reason_left);
        discard(move, start, end);
        return 1;
    }
    if (move->edge)
        move->edge->moved = 1;
    record(move, start, end, hpp_huge_pages_in(start, end), NULL);
    return 1;
}

/* The end of the run of 2 MiB from AT on that A and B say the same of as of the one at AT. */
static uint64_t run_end(const struct hpp_remap_move *move, const struct hpp_chunks *a,
                        const struct hpp_chunks *b, uint64_t at)
{
    uint64_t i = (at - move->start) / HPP_HUGE_PAGE, count = (move->end - move->start) / HPP_HUGE_PAGE;
    int in_a = hpp_chunk_is(a, i), in_b = hpp_chunk_is(b, i);

    while (i < count && hpp_chunk_is(a, i) == in_a && hpp_chunk_is(b, i) == in_b)
        i++;
    return move->start + i * HPP_HUGE_PAGE;
}

/* Moves the runs of huge pages whose bytes are the file's; those that differ hold a breakpoint, a relocation
 * or a patch, and stay; but it may be a copy of the file that is wrong, so the next backends look too. */
static void swap_all(struct hpp_remap_move *move, const struct hpp_remap_backend *const *next)
{
    struct hpp_chunks different = {{0}}, huge;
    const char *reason;
    int error;

    hpp_huge_chunks(move->stage, move->stage + (move->end - move->start), &huge);
    error = find_differences(move, &different);
    /* asked last: what was mapped when it was compared may be gone */
    reason = not_there(move, move->start, move->end);
    if (!reason && error)
        reason = hpp_remap_failed(move, error, "the text in memory could not be read");
    if (reason) {
        record(move, move->start, move->end, 0, reason);
        discard(move, move->start, move->end);
        return;
    }
    for (uint64_t at = move->start, end; at < move->end; at = end) {
        uint64_t i = (at - move->start) / HPP_HUGE_PAGE;
        reason = "the kernel gave no huge pages";
        move->error = 0;
        end = run_end(move, &different, &huge, at);
        if (hpp_chunk_is(&different, i)) {
            discard(move, at, end);
            range_by(next, move, at, end, "the text in memory differs from the file");
        } else if (!hpp_chunk_is(&huge, i) || !swap_run(move, at, end, &reason)) {
            discard(move, at, end);
            range_by(next, move, at, end, reason);
        }
    }
}

/* The runs that lie on huge pages where they are; the others, which do not for REASON, are for the next
 * backends. */
static void keep_huge(struct hpp_remap_move *move, const struct hpp_remap_backend *const *next,
                      const char *reason)
{
    struct hpp_chunks huge;

    hpp_huge_chunks(move->start, move->end, &huge);
    for (uint64_t at = move->start, end; at < move->end; at = end) {
        end = run_end(move, &huge, &huge, at);
        if (hpp_chunk_is(&huge, (at - move->start) / HPP_HUGE_PAGE))
            record(move, at, end, end - at, NULL);
        else
            range_by(next, move, at, end, reason);
    }
}

/* REASON, and FROM's error: why the one before could not. */
static void range_by(const struct hpp_remap_backend *const *backends, struct hpp_remap_move *from,
                     uint64_t start, uint64_t end, const char *reason)
{
    struct hpp_remap_move move = {.segment = from->segment,
                                  .list = from->list,
                                  .edge = from->edge,
                                  .backend = *backends,
                                  .fd = -1,
                                  .start = start,
                                  .end = end,
                                  .began = hpp_sys_now(CLOCK_MONOTONIC)};

    if (!*backends) {
        record(from, start, end, 0, reason);
        return;
    }
    reason = open_file(&move);
    if (!reason)
        reason = move.backend->make(&move);
    if (!move.backend->no_execution) {
        keep_huge(&move, backends + 1, reason);
    } else if (reason) {
        discard(&move, start, end);
        range_by(backends + 1, &move, start, end, reason);
    } else {
        swap_all(&move, backends + 1);
    }
    if (move.fd >= 0)
        hpp_sys_close(move.fd);
}

void hpp_remap_range(const struct hpp_remap_backend *const *backends, const struct hpp_segment *segment,
                     uint64_t start, uint64_t end, struct hpp_remap_list *list)
{
    struct hpp_remap_move from = {.segment = segment, .list = list, .began = hpp_sys_now(CLOCK_MONOTONIC)};

    const char *reason = list->hot ? not_there(&from, start, end) : NULL;

    if (reason) {
        record(&from, start, end, 0, reason);
        return;
    }
    for (uint64_t next; start < end; start = next) {
        next = end - start > HPP_CHUNKS_MAX * HPP_HUGE_PAGE ? start + HPP_CHUNKS_MAX * HPP_HUGE_PAGE : end;
        range_by(backends, &from, start, next, NULL);
    }
}

int hpp_remap_edge(const struct hpp_remap_backend *const *backends, const struct hpp_segment *segment,
                   uint64_t start, struct hpp_edge *edge, struct hpp_remap_list *list)
{
    struct hpp_remap_move from = {.segment = segment, .list = list, .edge = edge};

    range_by(backends, &from, start, start + HPP_HUGE_PAGE, NULL);
    return edge->moved;
}
