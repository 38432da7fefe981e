/* See edges.h. An edge is moved as all text is (swap.c): what is its own is where its bytes come from.
 *
 * Nothing is ever replaced but the segment's own file: what is a gap is reserved first, if nobody else has
 * taken it by then; and all of it is looked at once more, and compared, right before the swap. */
#include "preload/remap/edges.h"

#include "common/elf_header.h"
#include "common/maps.h"
#include "common/sys.h"
#include "common/text.h"
#include "preload/remap/pagemap.h"
#include "profiler/signal_safe.h"

#define PAGE 4096u

/* A look at what there is. */
struct look {
    struct hpp_edge *edge;
    const struct hpp_segment *segment;
    struct hpp_elf_header header;
    uint64_t bias; /* of run-time addresses */
    uint64_t at;   /* looked at up to here */
    uint64_t end;
    int error; /* -errno of what was asked for it; 0: none failed */
};

static int is_within(uint64_t start, uint64_t end, uint64_t low, uint64_t high)
{
    return start >= low && end <= high;
}

static const char *add(struct look *look, enum hpp_edge_kind kind, uint64_t end, uint64_t offset,
                       int protection)
{
    struct hpp_edge *edge = look->edge;

    if (edge->count == HPP_EDGE_PIECES)
        return "too many mappings are beside it";
    edge->pieces[edge->count++] = (struct hpp_edge_piece){kind, look->at, end, offset, protection};
    look->at = end;
    return NULL;
}

/* A gap may be taken within an object's own span, which goes with it when it is unloaded; below the program
 * too, which is never; but not above it, where the heap grows. */
static const char *add_gap(struct look *look, uint64_t end)
{
    uint64_t low = look->segment->serial ? look->bias + look->header.low : HPP_HUGE_PAGE;

    if (!is_within(look->at, end, low, look->bias + look->header.high))
        return "the gap beside it is not its own";
    return add(look, HPP_EDGE_FREE, end, 0, PROT_NONE);
}

/* What is written to before main, and then perhaps read-only: RELRO. */
static int is_written(const struct look *look, const struct hpp_maps_line *line)
{
    for (unsigned i = 0; i < look->header.writable_count && i < HPP_ELF_SEGMENTS; i++) {
        const struct hpp_elf_segment *s = &look->header.writable[i];
        uint64_t start = look->bias + (s->address & ~(uint64_t)(PAGE - 1));
        if (line->start < look->bias + s->address + s->memory_size && line->end > start)
            return 1;
    }
    return look->header.writable_count > HPP_ELF_SEGMENTS;
}

static const char *refused(const struct look *look, const struct hpp_maps_line *line)
{
    const struct hpp_segment *segment = look->segment;

    if (line->inode != segment->image->inode || line->device != segment->image->device)
        return line->inode                            ? "another file is beside it"
               : hpp_text_equal(line->path, "[heap]") ? "the heap is beside it"
               : hpp_text_after(line->path, "[stack") ? "a stack is beside it"
               : line->executable                     ? "other code is beside it"
                                                      : "memory of the program's is beside it";
    if (line->writable)
        return "what is beside it is writable";
    if (line->start < segment->end && line->end > segment->start)
        return !line->executable || line->offset - segment->file_offset != line->start - segment->start
                   ? HPP_REMAP_NOT_ITS_FILE
                   : NULL;
    if (line->executable)
        return "other code is beside it";
    return is_written(look, line) ? "data that is written to before main (RELRO) is beside it" : NULL;
}

static const char *add_line(struct look *look, const struct hpp_maps_line *line)
{
    uint64_t end = line->end < look->end ? line->end : look->end;
    uint64_t offset = line->offset + (look->at - line->start);
    const char *reason = refused(look, line);

    if (reason)
        return reason;
    if (!line->readable && !line->executable)
        return add(look, HPP_EDGE_HELD, end, 0, PROT_NONE);
    if (!line->executable)
        look->edge->data += end - look->at;
    return add(look, HPP_EDGE_FILE, end, offset, PROT_READ | (line->executable ? PROT_EXEC : 0));
}

static const char *look_at(struct look *look)
{
    struct hpp_maps maps;
    struct hpp_maps_line line;
    const char *reason = NULL;
    int result = 1;

    look->error = hpp_maps_open(&maps);
    if (look->error)
        return HPP_REMAP_NO_MAPS;
    while (!reason && look->at < look->end && (result = hpp_maps_next(&maps, &line)) > 0) {
        if (line.end <= look->at)
            continue;
        if (line.start > look->at)
            reason = add_gap(look, line.start < look->end ? line.start : look->end);
        if (!reason && look->at < look->end)
            reason = add_line(look, &line);
    }
    hpp_maps_close(&maps);
    if (result < 0) {
        look->error = result;
        return HPP_REMAP_NO_MAPS;
    }
    return !reason && look->at < look->end ? add_gap(look, look->end) : reason;
}

static const char *look(struct hpp_edge *edge, const struct hpp_segment *segment, uint64_t start, int *error)
{
    const char *reason;
    struct look look = {.edge = edge,
                        .segment = segment,
                        .bias = segment->start - segment->link,
                        .at = start,
                        .end = start + HPP_HUGE_PAGE};
    struct hpp_elf_source source = {segment->image->header, -1};

    edge->text_start = start > segment->start ? start : segment->start;
    edge->text_end = look.end < segment->end ? look.end : segment->end;
    if (!source.memory || hpp_elf_header_read(&source, &look.header))
        return "its ELF header is not in memory";
    /* debuggers ask a core dump for the program headers to learn where a PIE was loaded */
    edge->dumped = !segment->serial && look.bias && source.memory >= start && source.memory < look.end;
    reason = look_at(&look);
    *error = look.error;
    return reason;
}

/* ---- what is there still ------------------------------------------------------------------------------- */

static int is_piece(const struct hpp_edge_piece *piece, const struct hpp_segment *segment,
                    const struct hpp_maps_line *line)
{
    if (piece->kind != HPP_EDGE_FILE)
        return !line->readable && !line->writable && !line->executable &&
               (line->inode != 0) == (piece->kind == HPP_EDGE_HELD);
    return line->readable && !line->writable && line->executable == !!(piece->protection & PROT_EXEC) &&
           line->inode == segment->image->inode && line->device == segment->image->device &&
           line->offset - piece->offset == line->start - piece->start;
}

struct pieces {
    const struct hpp_edge_piece *first;
    unsigned count;
    const struct hpp_segment *segment;
};

static int is_as_found(const void *context, const struct hpp_maps_line *line)
{
    const struct pieces *pieces = context;

    for (unsigned i = 0; i < pieces->count; i++)
        if (line->start < pieces->first[i].end && line->end > pieces->first[i].start &&
            !is_piece(&pieces->first[i], pieces->segment, line))
            return 0;
    return 1;
}

/* Whether each of COUNT pieces, of which one begins where the one before ends, is mapped as it was found, or
 * as we have reserved it; or -errno. */
static int are_there(const struct hpp_edge_piece *first, unsigned count, const struct hpp_segment *segment)
{
    return hpp_maps_all(first->start, first[count - 1].end, is_as_found,
                        &(struct pieces){first, count, segment});
}

/* ---- gaps ---------------------------------------------------------------------------------------------- */

/* What somebody has mapped there meanwhile (MAP_FIXED) is his. */
static void give_back(struct hpp_edge *edge, const struct hpp_segment *segment)
{
    for (unsigned i = 0; i < edge->count; i++)
        if (edge->pieces[i].kind == HPP_EDGE_RESERVED && are_there(&edge->pieces[i], 1, segment) > 0)
            hpp_sys_munmap(edge->pieces[i].start, edge->pieces[i].end - edge->pieces[i].start);
}

static const char *reserve(struct hpp_edge_piece *piece, int *error)
{
    long at = hpp_sys_mmap((void *)piece->start, piece->end - piece->start, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (!hpp_sys_failed(at) && (uint64_t)at != piece->start) /* before Linux 4.17: no more than a wish */
        hpp_sys_munmap((uint64_t)at, piece->end - piece->start);
    if ((uint64_t)at != piece->start) {
        *error = hpp_sys_failed(at) ? (int)at : 0;
        return "the gap beside it cannot be reserved";
    }
    piece->kind = HPP_EDGE_RESERVED;
    return NULL;
}

/* ---- for swap.c ---------------------------------------------------------------------------------------- */

const char *hpp_edge_fill(struct hpp_remap_move *move)
{
    for (unsigned i = 0; i < move->edge->count; i++) {
        const struct hpp_edge_piece *piece = &move->edge->pieces[i];
        uint64_t size = piece->kind == HPP_EDGE_FILE ? piece->end - piece->start : 0;
        for (uint64_t done = 0; done < size;) {
            long count = hpp_sys_pread(move->fd, (void *)(move->stage + (piece->start - move->start) + done),
                                       size - done, piece->offset + done);
            if (count < 0)
                return hpp_remap_failed(move, count, "the file could not be read");
            if (!count) /* behind its end the last page is 0 */
                break;
            done += (uint64_t)count;
        }
    }
    return NULL;
}

int hpp_edge_is_there(const struct hpp_remap_move *move)
{
    return are_there(move->edge->pieces, move->edge->count, move->segment);
}

int hpp_edge_differs(const struct hpp_remap_move *move)
{
    int differs = 0;

    for (unsigned i = 0; i < move->edge->count && !differs; i++)
        if (move->edge->pieces[i].kind == HPP_EDGE_FILE)
            differs = hpp_remap_differs(move, move->edge->pieces[i].start, move->edge->pieces[i].end);
    return differs;
}

void hpp_edge_describe(const struct hpp_edge *edge, struct hpp_remap_record *record)
{
    record->start = edge->text_start;
    record->end = edge->text_end;
    if (record->reason)
        return;
    record->locked = record->locked ? record->end - record->start : 0;
    record->absorbed = HPP_HUGE_PAGE - (record->end - record->start);
    record->data = edge->data;
    record->huge = record->huge ? record->end - record->start : 0; /* one page: all or nothing */
}

int hpp_edge_is_whole(const struct hpp_edge *edge)
{
    const struct hpp_edge_piece *first = edge->pieces;

    for (unsigned i = 0; i < edge->count; i++)
        if (first[i].kind != HPP_EDGE_FILE ||
            first[i].offset - first->offset != first[i].start - first->start)
            return 0;
    return 1;
}

int hpp_edge_restore(const struct hpp_remap_move *move)
{
    int error = 0;

    for (unsigned i = 0; i < move->edge->count; i++) {
        struct hpp_edge_piece *piece = &move->edge->pieces[i];
        long result = 0;
        if (piece->kind == HPP_EDGE_FILE)
            result = hpp_sys_mmap((void *)piece->start, piece->end - piece->start, piece->protection,
                                  MAP_PRIVATE | MAP_FIXED, move->fd, piece->offset);
        else if (piece->kind == HPP_EDGE_HELD)
            result = hpp_sys_mmap((void *)piece->start, piece->end - piece->start, PROT_NONE,
                                  MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        else /* it may be another's by now */
            piece->kind = HPP_EDGE_FREE;
        if (hpp_sys_failed(result))
            error = (int)result;
    }
    return error;
}

/* ---- for plan.c and hot.c ------------------------------------------------------------------------------ */

void hpp_edge_absorb(const struct hpp_remap_backend *const *backends, const struct hpp_segment *segment,
                     uint64_t start, struct hpp_remap_list *list)
{
    struct hpp_edge edge = {0};
    int error = 0;
    const char *reason = look(&edge, segment, start, &error);

    while (*backends && !(*backends)->no_execution) /* what makes no stage has nowhere to put the others */
        backends++;
    if (!reason && !*backends)
        reason = "the backend cannot absorb what is beside it";
    for (unsigned i = 0; !reason && i < edge.count; i++)
        if (edge.pieces[i].kind == HPP_EDGE_FREE)
            reason = reserve(&edge.pieces[i], &error);
    if (reason)
        hpp_remap_record(list, &(struct hpp_remap_record){.segment = segment,
                                                          .start = edge.text_start,
                                                          .end = edge.text_end,
                                                          .reason = reason,
                                                          .error = -error});
    else if (hpp_remap_edge(backends, segment, start, &edge, list))
        return;
    give_back(&edge, segment);
}

uint64_t hpp_edge_absorb_both(const struct hpp_remap_backend *const *backends,
                              const struct hpp_segment *segment, uint64_t start, uint64_t end, uint64_t left,
                              struct hpp_remap_list *list)
{
    uint64_t tried = 0;

    if (segment->start < start && left >= HPP_HUGE_PAGE) {
        hpp_edge_absorb(backends, segment, start - HPP_HUGE_PAGE, list);
        tried = HPP_HUGE_PAGE;
    }
    if (segment->file_end > end && left - tried >= HPP_HUGE_PAGE) {
        hpp_edge_absorb(backends, segment, end, list);
        tried += HPP_HUGE_PAGE;
    }
    return tried;
}
