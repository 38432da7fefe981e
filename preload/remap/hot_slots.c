/* See hot_slots.h: a bounded table, by address. */
#include "preload/remap/hot_slots.h"

#include "preload/remap/hot_state.h"
#include "preload/remap/huge_pages.h"
#include "profiler/signal_safe.h"

int hpp_hot_is_huge(uint64_t start)
{
    return hpp_huge_pages_in(start, start + HPP_HUGE_PAGE) == HPP_HUGE_PAGE;
}

struct hpp_hot_slot *hpp_hot_place(struct hpp_hot_slots *table, const struct hpp_segment *segment,
                                   uint64_t start)
{
    uint32_t at = (uint32_t)(start >> 21 ^ (uint64_t)segment->serial << 5) & (HPP_HOT_SLOTS - 1);

    while (table->slots[at].segment &&
           (table->slots[at].segment != segment || table->slots[at].start != start))
        at = (at + 1) & (HPP_HOT_SLOTS - 1);
    return &table->slots[at];
}

/* Keeps the slots of segments that are still there. */
static void forget_unloaded(struct hpp_hot_slots *table, const struct hpp_code_map *map)
{
    static struct hpp_hot_slot before[HPP_HOT_SLOTS];

    for (unsigned i = 0; i < HPP_HOT_SLOTS; i++) {
        before[i] = table->slots[i];
        table->slots[i] = (struct hpp_hot_slot){0};
    }
    table->used = 0;
    for (unsigned i = 0; i < HPP_HOT_SLOTS; i++) {
        const struct hpp_code_range *range =
            before[i].segment ? hpp_image_find(map, before[i].segment->start) : NULL;
        if (!range || range->segment != before[i].segment)
            continue;
        *hpp_hot_place(table, before[i].segment, before[i].start) = before[i];
        table->used++;
    }
}

/* A huge page is one mapping's: most libraries need not be asked about. */
static int may_be_huge(const struct hpp_segment *segment, uint64_t start)
{
    return hpp_hot.options->edges == HPP_REMAP_ABSORB ||
           (start >= segment->start && start + HPP_HUGE_PAGE <= segment->end);
}

struct hpp_hot_slot *hpp_hot_slot(struct hpp_hot_slots *table, const struct hpp_code_map *map,
                                  const struct hpp_segment *segment, uint64_t address)
{
    uint64_t start = address & ~(HPP_HUGE_PAGE - 1);
    struct hpp_hot_slot *slot = hpp_hot_place(table, segment, start);

    if (slot->segment)
        return slot;
    if (table->used >= HPP_HOT_SLOTS * 3 / 4) {
        forget_unloaded(table, map);
        slot = hpp_hot_place(table, segment, start);
        if (table->used >= HPP_HOT_SLOTS * 3 / 4)
            return NULL;
    }
    table->used++;
    *slot = (struct hpp_hot_slot){.segment = segment, .start = start};
    slot->huge = may_be_huge(segment, start) && hpp_hot_is_huge(start);
    slot->settled = slot->huge;
    return slot;
}
