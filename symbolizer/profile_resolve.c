/* Turns a file's own ids and string indices into those of the model, and refuses what does not resolve.
 * Offline only. */
#include "symbolizer/profile_raw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The index of ID among IDS, or HPP_NONE. Ids are mostly 1, 2, 3, …: look there first. */
static uint32_t index_of(const struct hpp_intern *ids, uint64_t id)
{
    if (id - 1 < ids->count && !memcmp(hpp_intern_get(ids, (uint32_t)(id - 1), NULL), &id, sizeof id))
        return (uint32_t)(id - 1);
    return hpp_intern_find(ids, &id, sizeof id);
}

static bool string_of(const struct hpp_raw *raw, int64_t index, uint32_t *string)
{
    if (index < 0 || (uint64_t)index >= raw->string_count)
        return false;
    *string = raw->strings[index];
    return true;
}

static const char *resolve_head(const struct hpp_raw *raw, struct hpp_profile *profile)
{
    static const char bad[] = "a string it refers to is not there";

    if (!raw->type_count)
        return "it has no sample types";
    if (!raw->string_count || raw->strings[0] != 0)
        return "its string table does not begin with the empty string";
    if (raw->value_count && raw->value_count != raw->type_count)
        return "a sample's values do not match the sample types";
    profile->value_count = raw->type_count;
    profile->value_types = hpp_memory_get(raw->type_count * sizeof *profile->value_types);
    for (size_t i = 0; i < raw->type_count; i++)
        if (!string_of(raw, raw->types[i].type, &profile->value_types[i].type) ||
            !string_of(raw, raw->types[i].unit, &profile->value_types[i].unit))
            return bad;
    if (!string_of(raw, raw->period_type.type, &profile->period_type.type) ||
        !string_of(raw, raw->period_type.unit, &profile->period_type.unit) ||
        !string_of(raw, raw->drop_frames, &profile->drop_frames) ||
        !string_of(raw, raw->keep_frames, &profile->keep_frames) ||
        !string_of(raw, raw->default_sample_type, &profile->default_sample_type) ||
        !string_of(raw, raw->doc_url, &profile->doc_url))
        return bad;
    profile->period = raw->period;
    profile->time_nanos = raw->time_nanos;
    profile->duration_nanos = raw->duration_nanos;
    for (size_t i = 0; i < raw->comment_count; i++) {
        uint32_t string;
        if (!string_of(raw, raw->comments[i], &string))
            return bad;
        hpp_profile_add_comment(profile, hpp_profile_string(profile, string));
    }
    return NULL;
}

static const char *resolve_mappings(const struct hpp_raw *raw, struct hpp_profile *profile)
{
    for (size_t i = 0; i < raw->mapping_ids.count; i++) {
        struct hpp_mapping mapping = raw->mappings[i].mapping;
        if (!string_of(raw, raw->mappings[i].filename, &mapping.filename) ||
            !string_of(raw, raw->mappings[i].build_id, &mapping.build_id))
            return "a mapping's file name or build-id is not there";
        hpp_profile_add_mapping(profile, &mapping);
    }
    return NULL;
}

/* Fills FUNCTIONS: of each function of the file, its index in the model. */
static const char *resolve_functions(const struct hpp_raw *raw, struct hpp_profile *profile,
                                     uint32_t *functions)
{
    for (size_t i = 0; i < raw->function_ids.count; i++) {
        const struct hpp_raw_function *from = &raw->functions[i];
        struct hpp_function function = {.start_line = from->start_line};
        if (!string_of(raw, from->name, &function.name) ||
            !string_of(raw, from->system_name, &function.system_name) ||
            !string_of(raw, from->filename, &function.filename))
            return "a function's name is not there";
        functions[i] = hpp_profile_add_function(profile, &function);
    }
    return NULL;
}

/* Fills LOCATIONS likewise. LINES has room for the longest location's. */
static const char *resolve_locations(const struct hpp_raw *raw, struct hpp_profile *profile,
                                     const uint32_t *functions, uint32_t *locations, struct hpp_line *lines)
{
    for (size_t i = 0; i < raw->location_ids.count; i++) {
        const struct hpp_raw_location *from = &raw->locations[i];
        struct hpp_location location = {.address = from->address,
                                        .mapping = HPP_NONE,
                                        .line_count = from->line_count,
                                        .folded = from->folded};
        if (from->mapping_id &&
            (location.mapping = index_of(&raw->mapping_ids, from->mapping_id)) == HPP_NONE)
            return "a location's mapping is not there";
        for (uint32_t j = 0; j < from->line_count; j++) {
            const struct hpp_raw_line *line = &raw->lines[from->first_line + j];
            uint32_t function = index_of(&raw->function_ids, line->function_id);
            if (function == HPP_NONE)
                return "a location's function is not there";
            lines[j] = (struct hpp_line){functions[function], line->line, line->column};
        }
        locations[i] = hpp_profile_add_location(profile, &location, lines);
    }
    return NULL;
}

/* Resolves the ids of each stack in place: they shrink from 8 bytes to 4. */
static const char *resolve_stacks(struct hpp_raw *raw, const uint32_t *locations)
{
    for (uint32_t i = 0; i < raw->stacks.count; i++) {
        size_t size;
        const char *ids = hpp_intern_get(&raw->stacks, i, &size);
        for (size_t j = 0; j < size / sizeof(uint64_t); j++) {
            uint64_t id;
            uint32_t index;
            memcpy(&id, ids + j * sizeof id, sizeof id);
            index = index_of(&raw->location_ids, id);
            if (index == HPP_NONE)
                return "a sample's location is not there";
            memcpy((char *)(uintptr_t)ids + j * sizeof index, &locations[index], sizeof index);
        }
    }
    return NULL;
}

static const char *resolve_labels(const struct hpp_raw *raw, uint32_t set, struct hpp_label *labels,
                                  size_t *count)
{
    size_t size;
    const struct hpp_raw_label *from = hpp_intern_get(&raw->labels, set, &size);

    *count = size / sizeof *from;
    for (size_t i = 0; i < *count; i++) {
        labels[i] = (struct hpp_label){.num = from[i].num};
        if (!string_of(raw, from[i].key, &labels[i].key) || !string_of(raw, from[i].str, &labels[i].str) ||
            !string_of(raw, from[i].num_unit, &labels[i].num_unit))
            return "a label's key or text is not there";
    }
    return NULL;
}

static size_t longest(const struct hpp_intern *intern, size_t item)
{
    size_t most = 0, size;

    for (uint32_t i = 0; i < intern->count; i++) {
        hpp_intern_get(intern, i, &size);
        most = size > most ? size : most;
    }
    return most / item;
}

static const char *resolve_samples(struct hpp_raw *raw, struct hpp_profile *profile, struct hpp_label *labels)
{
    for (uint32_t i = 0; i < raw->sample_keys.count; i++) {
        const uint32_t *key = hpp_intern_get(&raw->sample_keys, i, NULL);
        size_t label_count, size;
        const char *reason = resolve_labels(raw, key[1], labels, &label_count);
        const uint32_t *stack = hpp_intern_get(&raw->stacks, key[0], &size);
        if (reason)
            return reason;
        hpp_profile_add_sample(profile, stack, size / sizeof(uint64_t), labels, label_count,
                               raw->values + i * raw->type_count);
    }
    return NULL;
}

int hpp_raw_resolve(struct hpp_raw *raw, struct hpp_profile *profile, const char **reason)
{
    uint32_t *functions = hpp_memory_get(raw->function_ids.count * sizeof *functions);
    uint32_t *locations = hpp_memory_get(raw->location_ids.count * sizeof *locations);
    struct hpp_label *labels =
        hpp_memory_get(longest(&raw->labels, sizeof(struct hpp_raw_label)) * sizeof *labels);
    struct hpp_line *lines = hpp_memory_get(raw->line_count * sizeof *lines);

    if (!(*reason = resolve_head(raw, profile)) && !(*reason = resolve_mappings(raw, profile)) &&
        !(*reason = resolve_functions(raw, profile, functions)) &&
        !(*reason = resolve_locations(raw, profile, functions, locations, lines)) &&
        !(*reason = resolve_stacks(raw, locations)))
        *reason = resolve_samples(raw, profile, labels);
    free(functions);
    free(locations);
    free(labels);
    free(lines);
    return *reason ? -EBADMSG : 0;
}
