/* Adds one profile to another: same images, names, stacks and labels become one. Offline only. */
#include "symbolizer/profile.h"
#include "symbolizer/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the indices of FROM are in INTO. */
struct merge {
    struct hpp_profile *into;
    const struct hpp_profile *from;
    uint32_t *strings, *mappings, *functions, *locations;
    bool one_process;
    int64_t pid;
    char program[256];
};

static uint32_t map_string(struct merge *merge, uint32_t string)
{
    if (merge->strings[string] == HPP_NONE) {
        size_t size;
        const void *bytes = hpp_intern_get(&merge->from->strings, string, &size);
        merge->strings[string] = hpp_profile_add_bytes(merge->into, bytes, size);
    }
    return merge->strings[string];
}

static int merge_types(struct merge *merge)
{
    struct hpp_profile *into = merge->into;
    const struct hpp_profile *from = merge->from;

    if (!into->value_count) {
        into->value_count = from->value_count;
        into->value_types = hpp_memory_get(from->value_count * sizeof *into->value_types);
        for (size_t i = 0; i < from->value_count; i++) {
            into->value_types[i].type = map_string(merge, from->value_types[i].type);
            into->value_types[i].unit = map_string(merge, from->value_types[i].unit);
        }
        into->period_type.type = map_string(merge, from->period_type.type);
        into->period_type.unit = map_string(merge, from->period_type.unit);
        into->period = from->period;
        into->drop_frames = map_string(merge, from->drop_frames);
        into->keep_frames = map_string(merge, from->keep_frames);
        into->default_sample_type = map_string(merge, from->default_sample_type);
        into->doc_url = map_string(merge, from->doc_url);
    }
    if (into->value_count != from->value_count)
        return -EINVAL;
    for (size_t i = 0; i < from->value_count; i++)
        if (into->value_types[i].type != map_string(merge, from->value_types[i].type) ||
            into->value_types[i].unit != map_string(merge, from->value_types[i].unit))
            return -EINVAL;
    return 0;
}

/* Time covered: the union where the two overlap, else both added up from the earlier start. */
static void merge_times(struct hpp_profile *into, const struct hpp_profile *from)
{
    int64_t into_end, from_end, start, end;

    if (!from->time_nanos && !from->duration_nanos)
        return;
    if (__builtin_add_overflow(into->time_nanos, into->duration_nanos, &into_end) ||
        __builtin_add_overflow(from->time_nanos, from->duration_nanos, &from_end))
        return;
    if (!into->time_nanos && !into->duration_nanos) {
        into->time_nanos = from->time_nanos;
        into->duration_nanos = from->duration_nanos;
        return;
    }
    start = into->time_nanos < from->time_nanos ? into->time_nanos : from->time_nanos;
    end = into_end > from_end ? into_end : from_end;
    if (from->time_nanos <= into_end && into->time_nanos <= from_end)
        __builtin_sub_overflow(end, start, &into->duration_nanos);
    else
        __builtin_add_overflow(into->duration_nanos, from->duration_nanos, &into->duration_nanos);
    into->time_nanos = start;
}

/* Whether the mapping is of a file, so that the same build-id and segment mean the same bytes. */
static bool is_image(const struct hpp_profile *profile, const struct hpp_mapping *mapping)
{
    const char *path = hpp_profile_string(profile, mapping->filename);

    return mapping->build_id || (*path && strncmp(path, "//anon", 6));
}

static void merge_mappings(struct merge *merge)
{
    struct hpp_profile *into = merge->into;

    for (size_t i = 0; i < merge->from->mapping_count; i++) {
        struct hpp_mapping mapping = merge->from->mappings[i];
        bool image = is_image(merge->from, &mapping);
        uint32_t file = map_string(merge, mapping.filename), build_id = map_string(merge, mapping.build_id);
        /* An image: what it is, and its segment. Other memory: where it is in which process, or, if that is
         * not known, a number that no other has. */
        uint64_t key[4] = {build_id ? (uint64_t)build_id << 1 : (uint64_t)file << 1 | 1, mapping.file_offset,
                           mapping.limit - mapping.start, 0};
        uint32_t number;
        if (!image) {
            key[1] = mapping.start;
            key[3] =
                merge->one_process ? (uint64_t)merge->pid << 1 | 1 : (uint64_t)into->mapping_keys.count + 1;
            key[3] |= 1ull << 63;
        }
        number = hpp_intern_add(&into->mapping_keys, key, sizeof key);
        if (number == into->mapping_count) {
            mapping.filename = file;
            mapping.build_id = build_id;
            hpp_profile_add_mapping(into, &mapping);
        } else {
            into->mappings[number].has_functions &= mapping.has_functions;
            into->mappings[number].has_filenames &= mapping.has_filenames;
            into->mappings[number].has_line_numbers &= mapping.has_line_numbers;
            into->mappings[number].has_inline_frames &= mapping.has_inline_frames;
        }
        merge->mappings[i] = number;
    }
}

static void merge_locations(struct merge *merge)
{
    const struct hpp_profile *from = merge->from;
    struct hpp_line *lines = hpp_memory_get(from->line_count * sizeof *lines);

    for (size_t i = 0; i < from->function_count; i++) {
        const struct hpp_function *function = &from->functions[i];
        merge->functions[i] = hpp_profile_add_function(
            merge->into, &(struct hpp_function){.name = map_string(merge, function->name),
                                                .system_name = map_string(merge, function->system_name),
                                                .filename = map_string(merge, function->filename),
                                                .start_line = function->start_line});
    }
    for (size_t i = 0; i < from->location_count; i++) {
        struct hpp_location location = from->locations[i];
        if (location.mapping != HPP_NONE) {
            uint32_t number = merge->mappings[location.mapping];
            location.address += merge->into->mappings[number].start - from->mappings[location.mapping].start;
            location.mapping = number;
        }
        for (uint32_t j = 0; j < location.line_count; j++) {
            lines[j] = from->lines[location.first_line + j];
            lines[j].function = merge->functions[lines[j].function];
        }
        merge->locations[i] = hpp_profile_add_location(merge->into, &location, lines);
    }
    free(lines);
}

/* Labels of sample INDEX, and process and pid when they are wanted and missing, into LABELS. Returns how
 * many. */
static size_t merge_labels(struct merge *merge, size_t index, bool label, struct hpp_label **labels,
                           size_t *room)
{
    size_t count;
    const struct hpp_label *from = hpp_profile_labels(merge->from, index, &count);
    uint32_t process = label ? hpp_profile_add_string(merge->into, "process") : 0;
    uint32_t pid = label ? hpp_profile_add_string(merge->into, "pid") : 0;

    *labels = hpp_memory_room(*labels, room, count + 2, sizeof **labels);
    for (size_t i = 0; i < count; i++) {
        struct hpp_label *to = &(*labels)[i];
        *to = (struct hpp_label){.key = map_string(merge, from[i].key),
                                 .str = map_string(merge, from[i].str),
                                 .num = from[i].num,
                                 .num_unit = map_string(merge, from[i].num_unit)};
        label &= to->key != process && to->key != pid;
    }
    if (!label)
        return count;
    (*labels)[count++] =
        (struct hpp_label){.key = process, .str = hpp_profile_add_string(merge->into, merge->program)};
    (*labels)[count++] = (struct hpp_label){.key = pid, .num = merge->pid};
    return count;
}

static void merge_samples(struct merge *merge, bool label)
{
    const struct hpp_profile *from = merge->from;
    uint32_t *stack = NULL;
    struct hpp_label *labels = NULL;
    size_t stack_room = 0, label_room = 0;

    for (size_t i = 0; i < from->sample_count; i++) {
        size_t depth, label_count = merge_labels(merge, i, label, &labels, &label_room);
        const uint32_t *old = hpp_profile_stack(from, i, &depth);
        stack = hpp_memory_room(stack, &stack_room, depth, sizeof *stack);
        for (size_t j = 0; j < depth; j++)
            stack[j] = merge->locations[old[j]];
        hpp_profile_add_sample(merge->into, stack, depth, labels, label_count,
                               from->values + i * from->value_count);
    }
    free(stack);
    free(labels);
}

static void merge_comments(struct merge *merge)
{
    static const char *const kept[] = {"hpprof.process", "hpprof.remap", "hpprof.range",
                                       "hpprof.data",    "hpprof.huge",  "hpprof.lost",
                                       "hpprof.unwind",  "hpprof.cpu",   "hpprof.end"};

    for (size_t i = 0; i < merge->from->comment_count; i++) {
        const char *text = hpp_profile_comment(merge->from, i);
        bool wanted = !hpp_profile_has_comment(merge->into, text);
        for (size_t j = 0; j < sizeof kept / sizeof kept[0]; j++)
            wanted |= hpp_comment_is(text, kept[j]);
        if (wanted)
            hpp_profile_add_comment(merge->into, text);
    }
}

int hpp_profile_merge(struct hpp_profile *into, const struct hpp_profile *from, bool label)
{
    struct merge merge = {.into = into, .from = from};
    int result;

    merge.one_process = hpp_profile_process(from, &merge.pid, merge.program, sizeof merge.program);
    merge.strings = hpp_memory_get(from->strings.count * sizeof *merge.strings);
    merge.mappings = hpp_memory_get(from->mapping_count * sizeof *merge.mappings);
    merge.functions = hpp_memory_get(from->function_count * sizeof *merge.functions);
    merge.locations = hpp_memory_get(from->location_count * sizeof *merge.locations);
    memset(merge.strings, 0xff, from->strings.count * sizeof *merge.strings);
    result = merge_types(&merge);
    if (!result) {
        merge_times(into, from);
        merge_mappings(&merge);
        merge_locations(&merge);
        merge_samples(&merge, label && merge.one_process);
        merge_comments(&merge);
        if (from->torn_bytes)
            hpp_profile_add_comment(into, "hpprof.note text='a torn last chunk was left out'");
    }
    free(merge.strings);
    free(merge.mappings);
    free(merge.functions);
    free(merge.locations);
    return result;
}
