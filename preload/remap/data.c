/* See data.h. Start-up code: nobody else runs, and signals are blocked, so that the bytes copied to the stage
 * are those that are there when it is moved in.
 *
 * RELRO comes first in its segment and is no part of this; nor is the last partial 2 MiB, which the heap may
 * share. What nobody has touched yet is not copied: the kernel is asked to give huge pages for it. */
#include "preload/remap/data.h"

#include <errno.h>
#include <link.h>

#include "common/maps.h"
#include "common/sys.h"
#include "common/text.h"
#include "common/proc_file.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "profiler/pprof_append.h"

#define PAGE  4096u
#define AREAS 4u

/* The whole huge pages of a writable segment. */
struct area {
    uint64_t start, end;
    uint64_t unfiled; /* from here on they come from no file */
};
struct areas {
    unsigned count;
    struct area area[AREAS];
};

static struct hpp_remap_data the_data;

static uint64_t up(uint64_t address, uint64_t to)
{
    return (address + to - 1) & ~(to - 1);
}

/* Of the program, which the loader names first. */
static int find_areas(struct dl_phdr_info *program, size_t size, void *found)
{
    struct areas *areas = found;
    uint64_t relro = 0;

    (void)size;
    for (unsigned i = 0; i < program->dlpi_phnum; i++)
        if (program->dlpi_phdr[i].p_type == PT_GNU_RELRO)
            relro = program->dlpi_addr + program->dlpi_phdr[i].p_vaddr + program->dlpi_phdr[i].p_memsz;
    for (unsigned i = 0; i < program->dlpi_phnum && areas->count < AREAS; i++) {
        const ElfW(Phdr) *p = &program->dlpi_phdr[i];
        uint64_t start = program->dlpi_addr + p->p_vaddr, end = start + p->p_memsz;
        uint64_t unfiled = up(start + p->p_filesz, PAGE);
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_W))
            continue;
        if (relro > start && relro <= end)
            start = relro;
        start = up(start, HPP_HUGE_PAGE);
        end &= ~(HPP_HUGE_PAGE - 1);
        if (start < end)
            areas->area[areas->count++] = (struct area){start, end, unfiled};
    }
    return 1;
}

/* May be read and written, not executed, and is the process's own. */
static int is_plain(const void *unused, const struct hpp_maps_line *line)
{
    (void)unused;
    return line->readable && line->writable && !line->executable && !line->shared;
}

static int matches(const char *pattern)
{
    char path[HPP_PATH_MAX];
    long length = HPP_SYSCALL(readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof path - 1, 0, 0);

    path[length > 0 ? length : 0] = 0;
    return hpp_text_matches(pattern, path);
}

static int is_alone(void)
{
    char text[4096];
    const char *threads = hpp_proc_file_read("/proc/self/status", text, sizeof text) > 0
                              ? hpp_proc_file_line(text, "Threads:")
                              : NULL;

    return threads && hpp_proc_file_number(threads) == 1;
}

/* No call: memcpy could be the program's, with data of its own. */
static void copy(uint64_t to, uint64_t from, uint64_t size)
{
    for (uint64_t i = 0; i < size / 8; i++)
        ((volatile uint64_t *)to)[i] = ((const uint64_t *)from)[i];
}

/* A stage with the bytes of [move->start, move->end). Returns NULL, or why there is none. */
static const char *make_stage(struct hpp_remap_move *move)
{
    uint64_t size = move->end - move->start;
    const char *reason = hpp_memory_headroom_refused(size);
    long error;

    if (!reason)
        reason = hpp_remap_reserve(move);
    if (reason)
        return reason;
    error = hpp_sys_mmap((void *)move->stage, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (hpp_sys_failed(error))
        return hpp_remap_failed(move, error, "no address space for the new pages");
    error = hpp_sys_madvise(move->stage, size, MADV_HUGEPAGE);
    if (error)
        return hpp_remap_failed(move, error, "the kernel refused MADV_HUGEPAGE");
    error = hpp_sys_madvise(move->stage, size, MADV_POPULATE_WRITE);
    if (error && error != -EINVAL) /* before Linux 5.14: copying populates */
        return hpp_remap_failed(move, error, "the kernel could not populate the new pages");
    copy(move->stage, move->start, size);
    return NULL;
}

/* After a failed mremap to AT: the 2 MiB are made anew from the stage at FROM if they were unmapped. */
static const char *restore(uint64_t from, uint64_t at)
{
    if (!HPP_SYSCALL(msync, at, HPP_HUGE_PAGE, MS_ASYNC, 0, 0, 0))
        return "mremap failed: it is as it was";
    if (hpp_sys_failed(hpp_sys_mmap((void *)at, HPP_HUGE_PAGE, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)))
        return "mremap failed, and so did mapping it again";
    copy(at, from, HPP_HUGE_PAGE);
    return "mremap failed: it was put back";
}

static void move_run(struct hpp_remap_data *data, uint64_t start, uint64_t end)
{
    struct hpp_remap_move move = {.start = start, .end = end};
    const char *reason = make_stage(&move);
    struct hpp_chunks huge;

    if (!reason)
        hpp_huge_chunks(move.stage, move.stage + (end - start), &huge);
    for (uint64_t at = start; at < end && !reason; at += HPP_HUGE_PAGE) {
        uint64_t from = move.stage + (at - start);
        if (!hpp_chunk_is(&huge, (at - start) / HPP_HUGE_PAGE))
            reason = "the kernel gave no huge pages";
        else if (hpp_sys_failed(move.error = hpp_sys_mremap_fixed(from, HPP_HUGE_PAGE, at)))
            reason = restore(from, at);
        else
            move.error = 0;
    }
    data->huge += hpp_huge_pages_in(start, end);
    if (!reason)
        return;
    data->reason = reason;
    data->error = move.error;
    if (move.stage) /* nobody else has mapped anything since in what was moved away */
        hpp_sys_munmap(move.stage, end - start);
}

/* Of [START, END) of AREA, which is not larger than struct hpp_chunks tells of. */
static void move_area(struct hpp_remap_data *data, const struct area *area, uint64_t start, uint64_t end)
{
    struct hpp_chunks own = {{0}};
    int is_known = hpp_pagemap_find(start, end, HPP_PAGE_PRIVATE, &own) >= 0;

    for (uint64_t at = start, to; at < end; at = to) {
        int is_untouched = 0;
        long error = 0;
        for (to = at; to < end; to += HPP_HUGE_PAGE) {
            int is = is_known && to >= area->unfiled && !hpp_chunk_is(&own, (to - start) / HPP_HUGE_PAGE);
            if (to == at)
                is_untouched = is;
            if (is != is_untouched)
                break;
        }
        if (!is_untouched)
            move_run(data, at, to);
        else if (!(error = hpp_sys_madvise(at, to - at, MADV_HUGEPAGE)))
            data->advised += to - at;
        if (error) {
            data->reason = "the kernel refused MADV_HUGEPAGE";
            data->error = error;
        }
    }
}

const struct hpp_remap_data *hpp_remap_data(void)
{
    return &the_data;
}

void hpp_remap_data_move(const struct hpp_remap_options *options)
{
    struct hpp_remap_data *data = &the_data;
    uint64_t all = UINT64_MAX, old, began = hpp_sys_now(CLOCK_MONOTONIC);
    struct areas areas = {0};

    if (!options->data || options->how == HPP_REMAP_OFF)
        return;
    dl_iterate_phdr(find_areas, &areas);
    for (unsigned i = 0; i < areas.count; i++)
        data->eligible += areas.area[i].end - areas.area[i].start;
    data->reason = !data->eligible ? "no whole aligned 2 MiB of data" : options->refused;
    if (!data->reason && !matches(options->match))
        data->reason = "HPPROF_REMAP_MATCH does not match the program";
    if (!data->reason)
        data->reason = hpp_huge_pages_refused(&data->error);
    if (!data->reason && !is_alone())
        data->reason = "another thread runs already";
    if (data->reason || hpp_sys_sigmask(SIG_SETMASK, &all, &old))
        return;
    for (unsigned i = 0; i < areas.count; i++) {
        const struct area *area = &areas.area[i];
        uint64_t step = HPP_CHUNKS_MAX * HPP_HUGE_PAGE;
        int plain = hpp_maps_all(area->start, area->end, is_plain, NULL);
        if (plain <= 0) {
            data->reason = plain ? HPP_REMAP_NO_MAPS : "part of it is not writable, or shared";
            data->error = plain;
            continue;
        }
        for (uint64_t at = area->start; at < area->end; at += step)
            move_area(data, area, at, area->end - at < step ? area->end : at + step);
    }
    hpp_sys_sigmask(SIG_SETMASK, &old, NULL);
    data->microseconds = (hpp_sys_now(CLOCK_MONOTONIC) - began) / 1000;
}
