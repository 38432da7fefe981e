/* Hot remap. See hot.h.
 *
 * Samples are counted by the 2 MiB that their innermost address lies in. Each CPU-second of the process those
 * that hold a hundredth or more of it, since they were first seen, are moved, hottest first; each at most
 * once. The threads run on meanwhile: what they can see of it is that a page of their text is waited for. */
#include "preload/remap/hot.h"

#include <stdatomic.h>

#include "common/text.h"
#include "preload/remap/edges.h"
#include "preload/remap/hot_state.h"
#include "preload/remap/move_guard.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/mlock.h"
#include "preload/remap/move.h"
#include "profiler/handler.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define CPU_SECOND 1000000000ull
#define RUN_MAX    (2 * HPP_HUGE_PAGE) /* in one move: others may wait for it, some 0.4 ms */

struct hpp_hot hpp_hot;

/* ---- counting ------------------------------------------------------------------------------------------ */

/* Finds which move SLOT is of. */
static void find_range(struct hpp_hot_slot *slot)
{
    slot->range = HPP_HOT_UNMOVED;
    for (unsigned i = 0; i < hpp_hot.list->count; i++) {
        const struct hpp_remap_record *record = &hpp_hot.list->records[i];
        if (!record->reason && record->segment == slot->segment && slot->start < record->end &&
            slot->start + HPP_HUGE_PAGE > record->start)
            slot->range = i + 1;
    }
}

void hpp_hot_count(uint64_t address, uint64_t weight)
{
    const struct hpp_code_map *map = atomic_load(&hpp_sampler.code);
    const struct hpp_code_range *range = hpp_image_find(map, address);
    struct hpp_hot_slot *slot;

    hpp_hot.weight += weight;
    if (!range || range->segment->image->kind != HPP_IMAGE_FILE)
        return;
    slot = hpp_hot_slot(&hpp_hot.table, map, range->segment, address);
    if (!slot)
        return;
    slot->weight += weight;
    if (slot->huge)
        ((struct hpp_segment *)slot->segment)->on_huge += weight;
    if (!slot->range)
        find_range(slot);
    if (slot->range == HPP_HOT_UNMOVED && slot->huge && !slot->found) {
        slot->found = 1;
        hpp_hot_find(slot->segment);
        find_range(slot);
    }
    if (slot->range != HPP_HOT_UNMOVED)
        hpp_hot.list->records[slot->range - 1].samples += weight;
}

/* ---- moving -------------------------------------------------------------------------------------------- */

int hpp_hot_has(const struct hpp_segment *segment)
{
    const struct hpp_code_range *range = hpp_image_find(atomic_load(&hpp_sampler.code), segment->start);

    return range && range->segment == segment;
}

void hpp_hot_leave(const struct hpp_segment *segment, uint64_t start, uint64_t end, const char *reason)
{
    hpp_remap_record(hpp_hot.list, &(struct hpp_remap_record){
                                       .segment = segment, .start = start, .end = end, .reason = reason});
}

/* Moves [START, END) of SEGMENT. Nobody unmaps it meanwhile. */
static void move_range(const struct hpp_segment *segment, uint64_t start, uint64_t end)
{
    unsigned before = hpp_hot.list->count;

    if (start < segment->start || end > segment->file_end)
        hpp_edge_absorb(hpp_remap_chains[hpp_hot.options->how], segment, start, hpp_hot.list);
    else
        hpp_remap_range(hpp_remap_chains[hpp_hot.options->how], segment, start, end, hpp_hot.list);
    for (unsigned i = before; i < hpp_hot.list->count; i++)
        if (!hpp_hot.list->records[i].reason)
            hpp_hot.left -= hpp_hot.list->records[i].end - hpp_hot.list->records[i].start;
}

static uint64_t weight_of(const struct hpp_hot_slot *slot)
{
    return hpp_hot.by_former ? slot->former : slot->weight;
}

/* Whether SLOT is to be moved now: of SEGMENT, if that is not NULL. */
static int is_hot(const struct hpp_hot_slot *slot, const struct hpp_segment *segment)
{
    return slot->segment && !slot->settled && (!segment || slot->segment == segment) && weight_of(slot) &&
           weight_of(slot) * 100 >= (hpp_hot.by_former ? hpp_hot.former.weight : hpp_hot.weight);
}

/* How much to move at once: where not all that is hot may be moved, each 2 MiB by itself, so that none goes
 * along that is less hot than one that has no room then. */
static uint64_t most_at_once(void)
{
    uint64_t hot = 0;

    for (unsigned i = 0; i < HPP_HOT_SLOTS; i++)
        hot += is_hot(&hpp_hot.table.slots[i], NULL) ? HPP_HUGE_PAGE : 0;
    return hot <= hpp_hot.left ? RUN_MAX : HPP_HUGE_PAGE;
}

/* Moves what is hot around SLOT. Returns 0 if it cannot be done now. */
static int move_run(struct hpp_hot_slot *slot)
{
    const struct hpp_segment *segment = slot->segment;
    uint64_t start, end, from = slot->start, to = slot->start + HPP_HUGE_PAGE, most = most_at_once();
    int now;

    slot->settled = 1;
    if (!hpp_hot_has(segment) || hpp_remap_refused(segment, hpp_sampler.agent, hpp_hot.options, &start, &end))
        return 1;
    if (from < start || to > end) { /* an edge moves by itself */
        if (hpp_hot.options->edges != HPP_REMAP_ABSORB)
            return 1;
        start = from;
        end = to;
    }
    while (from > start && to - from < most &&
           is_hot(hpp_hot_place(&hpp_hot.table, segment, from - HPP_HUGE_PAGE), segment))
        from -= HPP_HUGE_PAGE;
    while (to < end && to - from < most && is_hot(hpp_hot_place(&hpp_hot.table, segment, to), segment))
        to += HPP_HUGE_PAGE;
    if (to - from > hpp_hot.left)
        return 0;
    if (!hpp_hot.no_more)
        hpp_hot.no_more = hpp_mappings_refused();
    if (hpp_hot.no_more) {
        hpp_hot_leave(segment, from, to, hpp_hot.no_more);
        for (uint64_t at = from; at < to; at += HPP_HUGE_PAGE)
            hpp_hot_place(&hpp_hot.table, segment, at)->settled = 1;
        return 1;
    }
    now = hpp_guard_begin_move(from, to);
    if (now)
        move_range(segment, from, to);
    now = hpp_guard_end_move() && now;
    for (uint64_t at = from; at < to; at += HPP_HUGE_PAGE) {
        slot = hpp_hot_place(&hpp_hot.table, segment, at);
        slot->huge = hpp_hot_is_huge(at);
        slot->settled = now || slot->huge;
        slot->range = 0;
    }
    return now;
}

static struct hpp_hot_slot *hottest(void)
{
    struct hpp_hot_slot *best = NULL;

    for (unsigned i = 0; i < HPP_HOT_SLOTS; i++)
        if (is_hot(&hpp_hot.table.slots[i], NULL) &&
            (!best || weight_of(&hpp_hot.table.slots[i]) > weight_of(best)))
            best = &hpp_hot.table.slots[i];
    return best;
}

/* What is said to be on huge pages shall be: kernels split and collapse them, text comes and goes. */
static void look_again(void)
{
    for (unsigned i = 0; i < HPP_HOT_SLOTS; i++) {
        struct hpp_hot_slot *slot = &hpp_hot.table.slots[i];
        if (!slot->segment || !slot->settled)
            continue;
        if (slot->weight * 100 >= hpp_hot.weight)
            slot->huge = hpp_hot_is_huge(slot->start);
        slot->weight = 0;
    }
}

/* Returns whether nothing is left that could be moved a little later. */
static int move_hottest(int by_former)
{
    struct hpp_hot_slot *slot = NULL;

    hpp_hot.by_former = by_former;

    while (!atomic_load(&hpp_writer.stop) && (slot = hottest()) && move_run(slot))
        ;
    return !slot;
}

/* ---- a former profile ---------------------------------------------------------------------------------- */

static int is_image(const struct hpp_former_image *former, const struct hpp_image *image)
{
    return hpp_build_id_equal(former->build_id, former->build_id_size, image->build_id, image->build_id_size);
}

/* Counts what the former profile has of SEGMENT. */
static void count_former(const struct hpp_code_map *map, const struct hpp_segment *segment)
{
    for (uint32_t i = 0; i < hpp_hot.former.place_count; i++) {
        const struct hpp_former_place *place = &hpp_hot.former.places[i];
        uint64_t into = place->offset - segment->file_offset;
        struct hpp_hot_slot *slot;
        if (!place->weight || into >= segment->end - segment->start ||
            !is_image(&hpp_hot.former.images[place->image - 1], segment->image))
            continue;
        slot = hpp_hot_slot(&hpp_hot.table, map, segment, segment->start + into);
        if (slot)
            slot->former += place->weight;
    }
}

/* Counts what was hot formerly of segments that are new. */
static void look_back(const struct hpp_code_map *map)
{
    if (!hpp_hot.former_read) {
        const char *reason = hpp_former_read(hpp_hot.options->profile, &hpp_hot.former);
        hpp_hot.former_read = 1;
        hpp_hot.refused = reason;
    }
    if (!hpp_hot.former.place_count) {
        hpp_hot.former_serials = UINT32_MAX;
        return;
    }
    for (uint32_t i = 0; i < map->count; i++)
        if (map->ranges[i].segment->serial >= hpp_hot.former_serials &&
            map->ranges[i].segment->image->kind == HPP_IMAGE_FILE)
            count_former(map, map->ranges[i].segment);
    hpp_hot.former_serials = map->serials;
    hpp_hot.former_due = 1;
}

static void look(void)
{
    const struct hpp_code_map *map = atomic_load(&hpp_sampler.code);

    if (hpp_hot.moves && *hpp_hot.options->profile && map && map->serials > hpp_hot.former_serials)
        look_back(map);
    if (hpp_hot.former_due)
        hpp_hot.former_due = !move_hottest(1);
    if (hpp_writer.books.total - hpp_hot.looked < CPU_SECOND || !hpp_hot.weight)
        return;
    hpp_hot.looked = hpp_writer.books.total;
    look_again();
    if (hpp_hot.moves)
        move_hottest(0);
    hpp_hot.weight = 0;
}

void hpp_hot_begin(const struct hpp_remap_options *options, struct hpp_remap_list *list, int moves)
{
    const struct hpp_code_map *map = atomic_load(&hpp_sampler.code);

    hpp_guard_init();
    hpp_remap_cache_in(options->text_cache);
    hpp_mlock_begin(options->lock);
    if (hpp_hot.table.used)
        hpp_hot.table = (struct hpp_hot_slots){0};
    hpp_hot.options = options;
    hpp_hot.list = list;
    hpp_hot.moves = moves;
    hpp_hot.weight = hpp_hot.looked = 0;
    hpp_hot.left = options->max;
    hpp_hot.former = (struct hpp_former){0};
    hpp_hot.former_read = hpp_hot.former_due = 0;
    hpp_hot.former_serials = list->hot ? UINT32_MAX : 0; /* a fork child has what was moved by it */
    hpp_hot.refused = hpp_hot.no_more = NULL;
    hpp_hot.arena = (struct hpp_arena){0};
    list->arena = &hpp_hot.arena;
    list->hot = 1;
    hpp_hot.put_backs = 0;
    for (unsigned i = 0; i < list->count; i++)
        list->records[i].samples = list->records[i].told_samples = list->records[i].put_back = 0;
    for (unsigned i = 0; i < list->count; i++)
        if (!list->records[i].reason && list->records[i].end - list->records[i].start <= hpp_hot.left)
            hpp_hot.left -= list->records[i].end - list->records[i].start;
    for (uint32_t i = 0; map && i < map->count; i++) {
        struct hpp_segment *segment = (struct hpp_segment *)map->ranges[i].segment;
        segment->on_huge = segment->told_on_huge = 0;
    }
    hpp_writer.sampled = hpp_hot_count;
    hpp_writer.look = look;
}
