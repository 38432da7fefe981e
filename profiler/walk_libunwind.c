/* The walk by libunwind's cursor. Signal handler; pause, resume and flush run in normal context. */
#include "profiler/walk_libunwind.h"

#include <elf.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "common/arch.h"
#include "common/arch_dwarf.h"
#include "common/sys.h"
#include "profiler/checked_read.h"
#include "profiler/kept_frames.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

#define PAGE 4096u

#define PAUSE_STEP_NS 1000000u
#define PAUSE_STEPS   100u

struct hpp_libunwind hpp_libunwind = {.pipe = {-1, -1}};

static atomic_int walking; /* walks under way */
static atomic_int paused;
static _Atomic uint64_t refused;

/* What the calling thread's walk asks libunwind about now; NULL outside of a walk. */
static __thread struct question {
    const struct hpp_code_map *code;
    uint64_t address;
} * question __attribute__((tls_model("initial-exec")));

/* ---- images ------------------------------------------------------------------------------------------ */

/* The program headers of the image whose byte 0 lies at HEADER, which may be gone by now. They are used only
 * if they lie in its first page, as linkers put them. Returns 0 if there are none. */
static int describe(const struct hpp_image *image, struct dl_phdr_info *info)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image->header;
    const Elf64_Phdr *segments;
    uint64_t first, second;
    int has_frames = 0, has_start = 0;

    if (!header || hpp_checked_read(image->header, &first, &second) || memcmp(&first, ELFMAG, SELFMAG) != 0 ||
        header->e_phentsize != sizeof *segments || header->e_phoff > PAGE ||
        header->e_phnum > (PAGE - header->e_phoff) / sizeof *segments)
        return 0;
    segments = (const Elf64_Phdr *)(image->header + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        has_frames |= segments[i].p_type == PT_GNU_EH_FRAME;
        if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0) {
            has_start = 1;
            info->dlpi_addr = image->header - segments[i].p_vaddr;
        }
    }
    info->dlpi_name = image->path;
    info->dlpi_phdr = segments;
    info->dlpi_phnum = header->e_phnum;
    return has_frames && has_start;
}

int hpp_walk_libunwind_images(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data, int *result)
{
    struct dl_phdr_info info = {0};
    const struct hpp_code_range *range;

    if (!question)
        return 0;
    *result = 0;
    /* the one image that can matter */
    range = hpp_image_find(question->code, question->address);
    if (range && describe(range->segment->image, &info))
        *result = callback(&info, offsetof(struct dl_phdr_info, dlpi_adds), data);
    return 1;
}

/* ---- the walk ---------------------------------------------------------------------------------------- */

static int pipe_is_ours(void)
{
    struct stat status;

    for (int i = 0; i < 2; i++)
        if (hpp_libunwind.pipe[i] >= 0 &&
            (hpp_sys_fstat(hpp_libunwind.pipe[i], &status) || status.st_dev != hpp_libunwind.pipe_device ||
             status.st_ino != hpp_libunwind.pipe_inode))
            return 0;
    return 1;
}

static uint64_t register_of(unw_cursor_t *cursor, int number)
{
    unw_word_t value = 0;

    hpp_libunwind.get_register(cursor, number, &value);
    return value;
}

static int is_root(const struct hpp_walk *walk, unw_cursor_t *cursor, uint64_t pc)
{
    return walk->agent && pc > walk->agent->start && pc <= walk->agent->end &&
           register_of(cursor, HPP_ARCH_DWARF_FP) == walk->root_fp;
}

/* The cursor went no further from the code at ADDRESS: because its call-frame information says that this is
 * the outermost frame, or because there is none. */
static enum hpp_walk_end end_at(uint64_t address)
{
    unw_proc_info_t info;

    return hpp_libunwind.find(hpp_libunwind.space, address, &info, NULL) ? HPP_WALK_NO_RULE : HPP_WALK_ROOT;
}

static enum hpp_walk_end walk_on(const struct hpp_walk *walk, struct hpp_kept_frames *kept,
                                 struct question *asked, uint64_t *stop)
{
    uint64_t pc = walk->pc, sp = walk->sp, last_sp;
    unw_cursor_t cursor;
    int exact = 1, moved;

    *stop = sp;
    if (hpp_libunwind.init(&cursor, (unw_context_t *)(uintptr_t)walk->context, UNW_INIT_SIGNAL_FRAME))
        return HPP_WALK_NO_RULE;
    for (unsigned steps = HPP_WALK_STEPS;; steps--) {
        hpp_kept_add(kept, pc + (exact && kept->count));
        if (!steps)
            return HPP_WALK_TRUNCATED;
        asked->address = pc - !exact;
        moved = hpp_libunwind.step(&cursor);
        *stop = last_sp = sp;
        if (moved <= 0)
            return moved ? HPP_WALK_NO_RULE : end_at(asked->address);
        pc = register_of(&cursor, UNW_REG_IP);
        sp = register_of(&cursor, UNW_REG_SP);
        exact = hpp_libunwind.is_signal_frame(&cursor) > 0; /* as signals have left it */
        if (is_root(walk, &cursor, pc))
            return HPP_WALK_ROOT;
        *stop = pc;
        if (!hpp_image_find(walk->code, pc - !exact))
            return HPP_WALK_NOT_CODE;
        *stop = sp;
        if (sp <= last_sp && !exact)
            return HPP_WALK_NOT_RISING;
    }
}

/* Whether libunwind may be used now. */
static int may_walk(const struct hpp_walk *walk)
{
    return hpp_libunwind.space && walk->context && !atomic_load(&paused) &&
           !atomic_load(&hpp_sampler.sandboxed) && pipe_is_ours();
}

void hpp_walk_libunwind(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                        struct hpp_walk_result *result)
{
    struct hpp_kept_frames kept = {frames, limit, 0};
    struct question asked = {walk->code, walk->pc};
    int old_errno = errno;

    atomic_fetch_add(&walking, 1);
    if (may_walk(walk)) {
        question = &asked;
        result->end = walk_on(walk, &kept, &asked, &result->stop);
        question = NULL;
        result->count = result->end == HPP_WALK_TRUNCATED ? hpp_kept_give_up(&kept)
                                                          : hpp_kept_finish(&kept, HPP_WALK_GAP);
        result->untold = 0;
    } else {
        atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
        hpp_walk_frames(walk, frames, limit, result);
    }
    atomic_fetch_sub(&walking, 1);
    errno = old_errno;
}

uint64_t hpp_walk_libunwind_refused(void)
{
    return atomic_load_explicit(&refused, memory_order_relaxed);
}

/* ---- normal context ---------------------------------------------------------------------------------- */

void hpp_walk_libunwind_pause(void)
{
    int under_way;

    if (!hpp_libunwind.space)
        return;
    atomic_fetch_add(&paused, 1);
    for (unsigned i = 0; i < PAUSE_STEPS && (under_way = atomic_load(&walking)) > 0; i++)
        hpp_sys_futex_wait(&walking, (uint32_t)under_way, PAUSE_STEP_NS);
}

void hpp_walk_libunwind_resume(int forked)
{
    if (!hpp_libunwind.space)
        return;
    if (forked)
        atomic_store(&walking, 0);
    atomic_fetch_sub(&paused, 1);
}

void hpp_walk_libunwind_flush(void)
{
    if (hpp_libunwind.space)
        hpp_libunwind.flush(hpp_libunwind.space, 0, 0);
}
