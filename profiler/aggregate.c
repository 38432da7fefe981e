/* Distinct stacks, locations and strings. Writer. */
#include "profiler/aggregate.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/labels.h"
#include "profiler/ring.h"
#include "profiler/walk.h"
#include "profiler/signal_safe.h"

#define STACK_SLOTS  512u
#define STACK_MEMORY (8u << 20) /* between two flushes; more is lost, and counted */
#define TABLE_MEMORY (64u << 20)
#define SPECIAL      UINT32_MAX /* instead of a mapping */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

/* An array twice as large in *ARRAY; the old one stays in the arena, at most as much again. */
static int grow(struct hpp_arena *arena, void **array, uint32_t *capacity, uint32_t first, size_t size)
{
    uint32_t bigger = *capacity ? *capacity * 2 : first;
    uint8_t *to = hpp_arena_allocate(arena, bigger * size);
    const uint8_t *from = *array;

    if (!to)
        return -ENOMEM;
    for (size_t i = 0; i < *capacity * size; i++)
        to[i] = from[i];
    *array = to;
    *capacity = bigger;
    return 0;
}

static void make_utf8(char *string)
{
    while (*string) {
        unsigned length = hpp_text_utf8_length(string);
        if (!length)
            *string = '?';
        string += length ? length : 1;
    }
}

/* Whether make_utf8 makes MADE of STRING. */
static int is_made_of(const char *made, const char *string)
{
    while (*string) {
        unsigned length = hpp_text_utf8_length(string);
        if (!length && *made++ != '?')
            return 0;
        for (unsigned i = 0; i < length; i++)
            if (*made++ != string[i])
                return 0;
        string += length ? length : 1;
    }
    return !*made;
}

/* Makes the table, with the string that has to come first. */
static int begin_strings(struct hpp_aggregate *aggregate)
{
    int error = grow(&aggregate->arena, (void **)&aggregate->strings, &aggregate->string_capacity, 256,
                     sizeof(char *));

    if (!error)
        aggregate->strings[aggregate->string_count++] = "";
    return error;
}

/* Adds STRING to the table, whether it is there or not. */
static uint32_t add_string(struct hpp_aggregate *aggregate, const char *string)
{
    char *copy;

    if (aggregate->string_count == aggregate->string_capacity &&
        grow(&aggregate->arena, (void **)&aggregate->strings, &aggregate->string_capacity, 256,
             sizeof(char *)))
        return 0;
    copy = hpp_arena_copy(&aggregate->arena, string);
    if (!copy)
        return 0;
    make_utf8(copy);
    aggregate->strings[aggregate->string_count] = copy;
    return aggregate->string_count++;
}

uint32_t hpp_aggregate_string(struct hpp_aggregate *aggregate, const char *string)
{
    if (!aggregate->string_count && begin_strings(aggregate))
        return 0;
    for (uint32_t i = aggregate->string_count; i-- > 0;)
        if (is_made_of(aggregate->strings[i], string))
            return i;
    return add_string(aggregate, string);
}

int hpp_aggregate_label(struct hpp_aggregate *aggregate, uint32_t number, uint32_t *key, uint32_t *value)
{
    const char *key_text, *value_text;
    uint32_t *known;

    if (!hpp_labels_get(number, &key_text, &value_text))
        return -ENOENT;
    if (!aggregate->labels)
        aggregate->labels = hpp_arena_allocate(&aggregate->arena, HPP_LABELS * sizeof *aggregate->labels);
    if (!aggregate->labels)
        return -ENOENT;
    known = aggregate->labels[number];
    if (!known[0]) {
        /* a search among many values takes long: keys are few, and values come once */
        if (!aggregate->last_key || !is_made_of(aggregate->strings[aggregate->last_key], key_text))
            aggregate->last_key = hpp_aggregate_string(aggregate, key_text);
        known[1] = *value_text ? add_string(aggregate, value_text) : 0;
        known[0] = aggregate->last_key;
    }
    *key = known[0];
    *value = known[1];
    return *key ? 0 : -ENOENT;
}

int hpp_aggregate_segments(struct hpp_aggregate *aggregate, const struct hpp_code_map *map)
{
    while (aggregate->segment_capacity < map->serials)
        if (grow(&aggregate->arena, (void **)&aggregate->segments, &aggregate->segment_capacity, 128,
                 sizeof(void *)))
            return -ENOMEM;
    for (uint32_t i = 0; i < map->count; i++)
        aggregate->segments[map->ranges[i].segment->serial] = map->ranges[i].segment;
    aggregate->segment_count = map->serials;
    return 0;
}

/* Makes room for twice as many locations: the table if it is not that large already, then its index. */
static int grow_locations(struct hpp_aggregate *aggregate)
{
    uint32_t slots = aggregate->location_slots ? aggregate->location_slots * 2 : 2048;
    uint32_t *index;

    if (aggregate->location_capacity < slots / 2 &&
        grow(&aggregate->arena, (void **)&aggregate->locations, &aggregate->location_capacity, slots / 2,
             sizeof(struct hpp_location)))
        return -ENOMEM;
    index = hpp_arena_allocate_written(&aggregate->arena, slots * sizeof *index);
    if (!index)
        return -ENOMEM;
    for (uint32_t i = 0; i < aggregate->location_count; i++) {
        const struct hpp_location *location = &aggregate->locations[i];
        uint32_t at = (uint32_t)mix(location->mapping, location->address) & (slots - 1);
        while (index[at])
            at = (at + 1) & (slots - 1);
        index[at] = i + 1;
    }
    aggregate->location_index = index;
    aggregate->location_slots = slots;
    return 0;
}

/* The index slot of the location, or of the free place where it belongs. */
static uint32_t location_slot(const struct hpp_aggregate *aggregate, uint64_t address, uint32_t mapping)
{
    uint32_t at = (uint32_t)mix(mapping, address) & (aggregate->location_slots - 1);

    for (; aggregate->location_index[at]; at = (at + 1) & (aggregate->location_slots - 1)) {
        const struct hpp_location *location = &aggregate->locations[aggregate->location_index[at] - 1];
        if (location->address == address && location->mapping == mapping)
            break;
    }
    return at;
}

static uint32_t add_location(struct hpp_aggregate *aggregate, uint32_t at, uint64_t address, uint32_t mapping)
{
    aggregate->locations[aggregate->location_count++] = (struct hpp_location){address, mapping};
    return aggregate->location_index[at] = aggregate->location_count;
}

/* Makes the table, with the locations that stand for no address: theirs only tell them apart, and are not
 * written. */
static int begin_locations(struct hpp_aggregate *aggregate)
{
    int error = grow_locations(aggregate);

    for (uint32_t id = 1; !error && id <= HPP_LOCATIONS_SPECIAL; id++)
        add_location(aggregate, location_slot(aggregate, id, SPECIAL), id, SPECIAL);
    return error;
}

/* The id of the location, added if new; 0 where there is no memory. */
static uint32_t location_id(struct hpp_aggregate *aggregate, uint64_t address, uint32_t mapping)
{
    uint32_t at;

    if (!aggregate->location_slots && begin_locations(aggregate))
        return 0;
    at = location_slot(aggregate, address, mapping);
    if (aggregate->location_index[at])
        return aggregate->location_index[at];
    if (aggregate->location_count * 2 == aggregate->location_slots) {
        if (grow_locations(aggregate))
            return 0;
        at = location_slot(aggregate, address, mapping);
    }
    return add_location(aggregate, at, address, mapping);
}

void hpp_aggregate_init(struct hpp_aggregate *aggregate)
{
    *aggregate = (struct hpp_aggregate){.arena = {.limit = TABLE_MEMORY, .no_fork = 1},
                                        .stack_arena = {.limit = STACK_MEMORY, .no_fork = 1},
                                        .before_arena = {.limit = STACK_MEMORY, .no_fork = 1}};
    aggregate->last = &aggregate->first;
}

/* Writes the record's location ids to IDS. Returns their number, or 0 where there is no memory. */
static uint32_t resolve(struct hpp_aggregate *aggregate, const struct hpp_code_map *map,
                        const uint64_t *record, uint32_t *ids)
{
    uint32_t count = HPP_RECORD_FRAMES(record[0]);
    enum hpp_walk_end end = HPP_RECORD_END(record[0]);

    for (uint32_t i = 0; i < count; i++) {
        /* a return address may be the first byte of the next function: the call is before it */
        uint64_t address = record[HPP_RECORD_WORDS + i] - (i > 0);
        const struct hpp_code_range *range;
        if (i > 0 && record[HPP_RECORD_WORDS + i] == HPP_WALK_GAP) {
            ids[i] = HPP_LOCATION_TRUNCATED;
            continue;
        }
        range = hpp_image_find(map, address);
        ids[i] = location_id(aggregate, address, range ? range->segment->serial + 1 : 0);
        if (!ids[i])
            return 0;
    }
    if (end == HPP_WALK_TRUNCATED)
        ids[count++] = HPP_LOCATION_TRUNCATED;
    else if (end != HPP_WALK_ROOT)
        ids[count++] = HPP_LOCATION_UNFINISHED;
    return count;
}

/* What tells stacks apart besides their locations. */
struct owner {
    int tid;
    uint32_t name;
    uint32_t label;
};

static int is_stack(const struct hpp_stack *stack, uint64_t hash, struct owner owner, uint32_t count,
                    const uint32_t *ids)
{
    if (stack->hash != hash || stack->tid != owner.tid || stack->name != owner.name ||
        stack->label != owner.label || stack->count != count)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (stack->locations[i] != ids[i])
            return 0;
    return 1;
}

/* Makes the index of stacks anew, for twice as many. */
static int grow_stacks(struct hpp_aggregate *aggregate)
{
    uint32_t slots = aggregate->stack_slots ? aggregate->stack_slots * 2 : STACK_SLOTS;
    struct hpp_stack **index = hpp_arena_allocate_written(&aggregate->stack_arena, slots * sizeof *index);

    if (!index)
        return -ENOMEM;
    for (struct hpp_stack *stack = aggregate->first; stack; stack = stack->next) {
        uint32_t at = (uint32_t)stack->hash & (slots - 1);
        while (index[at])
            at = (at + 1) & (slots - 1);
        index[at] = stack;
    }
    aggregate->stack_index = index;
    aggregate->stack_slots = slots;
    return 0;
}

/* The index slot of the stack, or of the free place where it belongs. */
static uint32_t stack_slot(const struct hpp_aggregate *aggregate, uint64_t hash, struct owner owner,
                           uint32_t count, const uint32_t *ids)
{
    uint32_t at = (uint32_t)hash & (aggregate->stack_slots - 1);

    while (aggregate->stack_index[at] && !is_stack(aggregate->stack_index[at], hash, owner, count, ids))
        at = (at + 1) & (aggregate->stack_slots - 1);
    return at;
}

/* The stack, added if new; NULL where there is no memory. */
static struct hpp_stack *find_stack(struct hpp_aggregate *aggregate, struct owner owner, uint32_t count,
                                    const uint32_t *ids)
{
    uint64_t hash = mix((uint64_t)owner.tid << 32 | owner.name, owner.label);
    struct hpp_stack *stack;
    uint32_t at;

    for (uint32_t i = 0; i < count; i++)
        hash = mix(hash, ids[i]);
    if (!aggregate->stack_slots && grow_stacks(aggregate))
        return NULL;
    at = stack_slot(aggregate, hash, owner, count, ids);
    if (aggregate->stack_index[at])
        return aggregate->stack_index[at];
    if (aggregate->stack_count * 2 >= aggregate->stack_slots) {
        if (grow_stacks(aggregate))
            return NULL;
        at = stack_slot(aggregate, hash, owner, count, ids);
    }
    stack = hpp_arena_allocate(&aggregate->stack_arena, sizeof *stack + count * sizeof ids[0]);
    if (!stack)
        return NULL;
    *stack = (struct hpp_stack){
        .hash = hash, .tid = owner.tid, .name = owner.name, .label = owner.label, .count = count};
    for (uint32_t i = 0; i < count; i++)
        stack->locations[i] = ids[i];
    if (!aggregate->first)
        aggregate->begun = hpp_sys_now(CLOCK_REALTIME);
    *aggregate->last = stack;
    aggregate->last = &stack->next;
    aggregate->stack_index[at] = stack;
    aggregate->stack_count++;
    return stack;
}

/* Adds WEIGHT to STACK, if that could be had. */
static struct hpp_stack *add_weight(struct hpp_aggregate *aggregate, struct hpp_stack *stack, uint32_t weight)
{
    if (!stack) {
        aggregate->lost_weight += weight;
        return NULL;
    }
    stack->weight += weight;
    aggregate->samples += weight;
    return stack;
}

struct hpp_stack *hpp_aggregate_add(struct hpp_aggregate *aggregate, const struct hpp_code_map *map,
                                    const uint64_t *record, int tid, uint32_t name)
{
    uint32_t ids[HPP_DEPTH_MAX + 1];
    uint32_t count = resolve(aggregate, map, record, ids);
    struct owner owner = {tid, name, HPP_RECORD_LABEL(record[2])};

    return add_weight(aggregate, count ? find_stack(aggregate, owner, count, ids) : NULL,
                      HPP_RECORD_WEIGHT(record[0]));
}

void hpp_aggregate_extend(struct hpp_aggregate *aggregate, const struct hpp_stack *stack, uint32_t weight)
{
    struct owner owner = {stack->tid, stack->name, stack->label};

    add_weight(aggregate, find_stack(aggregate, owner, stack->count, stack->locations), weight);
}

int hpp_aggregate_book(struct hpp_aggregate *aggregate, const struct hpp_code_map *map, uint32_t leaf,
                       uint64_t start_routine, uint64_t ns)
{
    const struct hpp_code_range *range = map ? hpp_image_find(map, start_routine) : NULL;
    uint32_t ids[2] = {location_id(aggregate, leaf, SPECIAL), 0};
    struct hpp_stack *stack;

    if (!ids[0])
        return -ENOMEM;
    if (start_routine)
        ids[1] = location_id(aggregate, start_routine, range ? range->segment->serial + 1 : 0);
    stack = find_stack(aggregate, (struct owner){0}, ids[1] ? 2 : 1, ids);
    if (!stack)
        return -ENOMEM;
    stack->booked_ns += ns;
    return 0;
}

void hpp_aggregate_clear(struct hpp_aggregate *aggregate)
{
    struct hpp_arena oldest = aggregate->before_arena;

    hpp_arena_reset(&oldest);
    aggregate->before_arena = aggregate->stack_arena;
    aggregate->stack_arena = oldest;
    aggregate->first = NULL;
    aggregate->last = &aggregate->first;
    aggregate->stack_index = NULL;
    aggregate->stack_slots = 0;
    aggregate->stack_count = 0;
}
