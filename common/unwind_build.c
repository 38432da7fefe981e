/* From call-frame information to an unwind table. The entries of a section are counted, then read, sorted by
 * address, and their programs run in that order, so that rows come sorted. Writer and offline. */
#include "common/unwind_build.h"

#include <errno.h>

#include "common/sys.h"
#include "common/unwind_plt.h"
#include "common/unwind_rows.h"
#include "common/unwind_sections.h"

#define MEMORY_DEFAULT ((size_t)512 << 20)
#define SPAN_MAX       ((uint64_t)4 << 30) /* of all code: offsets have 32 bits */
#define WORK_PAUSE     (128u << 10)        /* bytes of entries, about a millisecond's */
#define RADIX_BITS     11u
#define RADIX          (1u << RADIX_BITS)

/* A description's code. */
struct extent {
    uint32_t start; /* from the builder's base */
    uint32_t size;
    uint32_t offset; /* of the entry in its section */
    uint32_t cie;    /* its number */
};

/* A section's entries. */
struct list {
    const struct hpp_cfi_section *section;
    uint64_t entries_max; /* descriptions in it at most */
    int is_open;          /* see hpp_unwind_sections */
    uint64_t end;         /* bytes of the section that are entries */
    uint32_t cies, extents;
    struct hpp_cfi_cie *cie;
    struct extent *extent; /* sorted by start */
};

struct builder {
    struct hpp_unwind_build *build;
    struct hpp_arena arena;
    struct hpp_unwind_sections sections;
    struct hpp_unwind_rows rows;
    uint64_t first, end; /* link-time, of all executable segments */
    uint64_t base;
    unsigned plt;  /* that is next */
    uint32_t work; /* bytes since the last pause */
};

static int fail(struct hpp_unwind_build *build, int error, const char *reason)
{
    if (!build->reason)
        build->reason = reason;
    return error;
}

static int no_memory(struct builder *builder)
{
    return fail(builder->build, -ENOMEM, "its unwind information needs more memory than allowed");
}

static int work(struct builder *builder, uint64_t bytes)
{
    builder->work += bytes < WORK_PAUSE ? (uint32_t)bytes : WORK_PAUSE;
    if (builder->work < WORK_PAUSE)
        return 0;
    builder->work = 0;
    return hpp_unwind_pause(builder->build);
}

/* The next entry of LIST at *AT: 1, 0 at the end, or -errno. */
static int next_entry(struct builder *builder, const struct list *list, uint64_t *at,
                      struct hpp_cfi_entry *entry)
{
    uint64_t before = *at;
    int result = hpp_cfi_next(list->section, at, entry);

    if (result < 0 && list->is_open)
        return 0;
    if (result < 0)
        return fail(builder->build, result, "an entry of its unwind information is longer than the rest");
    if (result > 0 && work(builder, (*at - before) / 4))
        return -ECANCELED;
    return result;
}

/* Counts the entries and reads the common ones. */
static int read_cies(struct builder *builder, struct list *list)
{
    struct hpp_cfi_entry entry;
    uint64_t at = 0;
    int result;

    while (list->extents < list->entries_max && (result = next_entry(builder, list, &at, &entry))) {
        if (result < 0)
            return result;
        list->end = at;
        *(entry.is_cie ? &list->cies : &list->extents) += 1;
    }
    list->cie = hpp_arena_allocate(&builder->arena, list->cies * sizeof *list->cie);
    list->extent = hpp_arena_allocate(&builder->arena, list->extents * sizeof *list->extent);
    if (!list->cie || !list->extent)
        return no_memory(builder);
    list->cies = 0;
    for (at = 0; at < list->end && (result = next_entry(builder, list, &at, &entry));) {
        if (result < 0)
            return result;
        if (entry.is_cie)
            hpp_cfi_read_cie(list->section, &entry, &list->cie[list->cies++]);
    }
    return 0;
}

/* The number of the common entry at OFFSET, or -1. HINT: the last answer. */
static int64_t find_cie(const struct list *list, uint64_t offset, uint32_t hint)
{
    uint32_t low = 0, high = list->cies;

    if (hint < list->cies && list->cie[hint].offset == offset)
        return hint;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->cie[middle].offset == offset)
            return middle;
        if (list->cie[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* Whether the code from START up to END lies in one executable segment. */
static int is_code(const struct builder *builder, uint64_t start, uint64_t end)
{
    const struct hpp_unwind_sections *sections = &builder->sections;

    for (unsigned i = 0; i < sections->segments; i++) {
        const Elf64_Phdr *p = &sections->segment[i];
        if (p->p_type == PT_LOAD && p->p_flags & PF_X && start >= p->p_vaddr &&
            end - p->p_vaddr <= p->p_memsz)
            return 1;
    }
    return 0;
}

/* Reads where the code of each description is. */
static int read_extents(struct builder *builder, struct list *list)
{
    struct hpp_cfi_entry entry;
    uint32_t hint = 0, count = 0;
    uint64_t at = 0;
    int result;

    while (at < list->end && (result = next_entry(builder, list, &at, &entry))) {
        struct hpp_cfi_description description;
        int64_t cie;
        if (result < 0)
            return result;
        if (entry.is_cie)
            continue;
        cie = find_cie(list, entry.cie, hint);
        if (cie < 0) {
            builder->build->skipped++;
            continue;
        }
        hint = (uint32_t)cie;
        if (hpp_cfi_read_description(list->section, &list->cie[cie], &entry, &description)) {
            builder->build->skipped++;
            continue;
        }
        if (is_code(builder, description.start, description.end))
            list->extent[count++] = (struct extent){(uint32_t)(description.start - builder->base),
                                                    (uint32_t)(description.end - description.start),
                                                    (uint32_t)entry.offset, hint};
    }
    list->extents = count;
    return 0;
}

/* Sorts by start; equal ones stay in the order of the file. Linkers leave most of them sorted. */
static int sort_extents(struct builder *builder, struct list *list)
{
    struct extent *from = list->extent, *to = NULL;
    uint32_t sorted = 1;

    while (sorted < list->extents && from[sorted - 1].start <= from[sorted].start)
        sorted++;
    if (sorted >= list->extents)
        return 0;
    to = hpp_arena_allocate(&builder->arena, list->extents * sizeof *to);
    if (!to)
        return no_memory(builder);
    for (unsigned shift = 0; shift < 32; shift += RADIX_BITS) {
        uint32_t place[RADIX] = {0}, sum = 0;
        struct extent *swap = from;
        if (builder->end - builder->base <= (uint64_t)1 << shift)
            break;
        for (uint32_t i = 0; i < list->extents; i++)
            place[from[i].start >> shift & (RADIX - 1)]++;
        for (uint32_t i = 0; i < RADIX; i++) {
            uint32_t count = place[i];
            place[i] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < list->extents; i++)
            to[place[from[i].start >> shift & (RADIX - 1)]++] = from[i];
        from = to;
        to = swap;
        if (work(builder, list->extents * 2ull))
            return -ECANCELED;
    }
    list->extent = from;
    return 0;
}

static int read_list(struct builder *builder, struct list *list)
{
    int error = read_cies(builder, list);

    if (!error)
        error = read_extents(builder, list);
    return error ? error : sort_extents(builder, list);
}

static void take(void *context, uint64_t from, uint64_t to, const struct hpp_unwind_rule *rule)
{
    struct builder *builder = context;

    hpp_unwind_rows_add(&builder->rows, from, to, rule);
}

/* Runs EXTENT's program, for its code up to END at most. */
static int run_extent(struct builder *builder, const struct list *list, const struct extent *extent,
                      uint64_t end)
{
    const struct hpp_cfi_cie *cie = &list->cie[extent->cie];
    struct hpp_unwind_build *build = builder->build;
    struct hpp_cfi_description description;
    struct hpp_cfi_entry entry;
    uint64_t at = extent->offset;
    uint32_t too_many = builder->rows.too_many;

    if (hpp_cfi_next(list->section, &at, &entry) <= 0 ||
        hpp_cfi_read_description(list->section, cie, &entry, &description))
        return 0; /* it could be read before */
    if (description.end > end)
        description.end = end;
    if (description.end <= builder->rows.covered)
        return 0; /* another entry's code */
    build->entries++;
    if (hpp_cfi_run(list->section, cie, &description, take, builder) || too_many != builder->rows.too_many)
        build->skipped++;
    return work(builder, at - extent->offset);
}

/* The procedure linkage tables that begin below END: what of them nothing else tells. */
static int run_plts(struct builder *builder, uint64_t end)
{
    const struct hpp_unwind_sections *sections = &builder->sections;
    int error = 0;

    for (; !error && builder->plt < sections->plts; builder->plt++) {
        const struct hpp_cfi_section *plt = &sections->plt[builder->plt];
        if (plt->address >= end)
            break;
        if (is_code(builder, plt->address, plt->address + plt->size))
            hpp_unwind_plt_run(plt, end, take, builder);
        error = work(builder, plt->size);
    }
    return error;
}

/* Runs all programs in the order of their code; where .eh_frame has an entry, .debug_frame has none. */
static int run_lists(struct builder *builder, const struct list *eh, const struct list *debug)
{
    uint32_t i = 0, j = 0;
    int error = 0;

    while (!error && !builder->rows.error && (i < eh->extents || j < debug->extents)) {
        uint64_t eh_start = i < eh->extents ? builder->base + eh->extent[i].start : UINT64_MAX;
        uint64_t debug_start = j < debug->extents ? builder->base + debug->extent[j].start : UINT64_MAX;
        error = run_plts(builder, eh_start < debug_start ? eh_start : debug_start);
        if (error)
            break;
        if (debug_start < eh_start)
            error = run_extent(builder, debug, &debug->extent[j++], eh_start);
        else
            error = run_extent(builder, eh, &eh->extent[i++], UINT64_MAX);
    }
    return error ? error : run_plts(builder, UINT64_MAX);
}

/* The bounds of all code. */
static int find_bounds(struct builder *builder)
{
    const struct hpp_unwind_sections *sections = &builder->sections;

    builder->first = UINT64_MAX;
    for (unsigned i = 0; i < sections->segments; i++) {
        const Elf64_Phdr *p = &sections->segment[i];
        uint64_t end = p->p_vaddr + p->p_memsz;
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || !p->p_memsz)
            continue;
        if (end < p->p_vaddr)
            return fail(builder->build, -EINVAL, "a segment of it ends before it begins");
        builder->first = p->p_vaddr < builder->first ? p->p_vaddr : builder->first;
        builder->end = end > builder->end ? end : builder->end;
    }
    builder->base = builder->first & ~(uint64_t)0xffff;
    if (builder->end <= builder->first)
        return fail(builder->build, -ENODATA, "it has no code");
    if (builder->end - builder->base > SPAN_MAX)
        return fail(builder->build, -EFBIG, "its code spans more than 4 GiB");
    return 0;
}

static int make(struct builder *builder, const struct hpp_unwind_table **table)
{
    struct hpp_unwind_sections *sections = &builder->sections;
    struct list eh = {.section = &sections->eh}, debug = {.section = &sections->debug};
    struct hpp_unwind_build *build = builder->build;
    int error = hpp_unwind_sections_read(sections);

    if (!error)
        error = find_bounds(builder);
    if (error)
        return error;
    eh.entries_max = sections->eh_entries;
    eh.is_open = sections->is_eh_open;
    debug.entries_max = UINT64_MAX;
    error = read_list(builder, &eh);
    if (!error)
        error = read_list(builder, &debug);
    if (error)
        return error;
    if (eh.is_open)
        build->frame_bytes -= sections->eh.size - eh.end;
    if (hpp_unwind_rows_start(&builder->rows, &builder->arena, builder->first, builder->end))
        return no_memory(builder);
    error = run_lists(builder, &eh, &debug);
    if (error)
        return error;
    error = hpp_unwind_rows_finish(&builder->rows, build, builder->first, &sections->header,
                                   builder->arena.limit - builder->arena.mapped, table);
    if (error == -ENODATA)
        return fail(build, error, "its unwind information says nothing about its code");
    return error == -ENOMEM ? no_memory(builder) : error;
}

int hpp_unwind_build(struct hpp_unwind_build *build, const struct hpp_unwind_table **table)
{
    struct builder builder;
    int error;

    build->reason = build->note = NULL;
    build->entries = build->skipped = 0;
    build->frame_bytes = 0;
    *table = NULL;
    __builtin_memset(&builder, 0, sizeof builder);
    builder.build = build;
    builder.arena.limit = build->memory_limit ? build->memory_limit : MEMORY_DEFAULT;
    builder.sections.build = build;
    builder.sections.arena = &builder.arena;
    error = make(&builder, table);
    hpp_arena_release(&builder.arena);
    return error;
}

void hpp_unwind_free(const struct hpp_unwind_table *table)
{
    if (table)
        hpp_sys_munmap((uint64_t)(uintptr_t)table, table->size);
}
