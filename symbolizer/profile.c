/* The profile model: creation, and adding so that equal things are kept once. Offline only. */
#include "symbolizer/profile.h"
#include "symbolizer/memory.h"

#include <stdlib.h>
#include <string.h>

struct hpp_profile *hpp_profile_new(void)
{
    struct hpp_profile *profile = hpp_memory_get(sizeof *profile);

    hpp_profile_add_string(profile, "");
    return profile;
}

void hpp_profile_free(struct hpp_profile *profile)
{
    if (!profile)
        return;
    free(profile->value_types);
    free(profile->mappings);
    free(profile->functions);
    free(profile->locations);
    free(profile->lines);
    free(profile->samples);
    free(profile->values);
    free(profile->comments);
    hpp_intern_free(&profile->strings);
    hpp_intern_free(&profile->stacks);
    hpp_intern_free(&profile->labels);
    hpp_intern_free(&profile->mapping_keys);
    hpp_intern_free(&profile->function_keys);
    hpp_intern_free(&profile->location_keys);
    hpp_intern_free(&profile->sample_keys);
    hpp_intern_free(&profile->comment_keys);
    free(profile);
}

uint32_t hpp_profile_add_bytes(struct hpp_profile *profile, const void *bytes, size_t size)
{
    return hpp_intern_add(&profile->strings, bytes, size);
}

uint32_t hpp_profile_add_string(struct hpp_profile *profile, const char *text)
{
    return hpp_profile_add_bytes(profile, text, strlen(text));
}

const char *hpp_profile_string(const struct hpp_profile *profile, uint32_t string)
{
    return hpp_intern_get(&profile->strings, string, NULL);
}

uint32_t hpp_profile_add_mapping(struct hpp_profile *profile, const struct hpp_mapping *mapping)
{
    profile->mappings = hpp_memory_room(profile->mappings, &profile->mapping_room, profile->mapping_count + 1,
                                        sizeof *profile->mappings);
    profile->mappings[profile->mapping_count] = *mapping;
    return (uint32_t)profile->mapping_count++;
}

uint32_t hpp_profile_add_function(struct hpp_profile *profile, const struct hpp_function *function)
{
    uint64_t key[] = {(uint64_t)function->name << 32 | function->system_name, function->filename,
                      (uint64_t)function->start_line};
    uint32_t index = hpp_intern_add(&profile->function_keys, key, sizeof key);

    if (index == profile->function_count) {
        profile->functions = hpp_memory_room(profile->functions, &profile->function_room,
                                             profile->function_count + 1, sizeof *profile->functions);
        profile->functions[profile->function_count++] = *function;
    }
    return index;
}

/* A location's key: address, mapping, folded, then each line. */
static uint32_t location_key(struct hpp_profile *profile, const struct hpp_location *location,
                             const struct hpp_line *lines)
{
    uint64_t few[2 + 3 * 8], *key = few;
    size_t words = 2 + 3 * (size_t)location->line_count;
    uint32_t index;

    if (words > sizeof few / sizeof few[0])
        key = hpp_memory_get(words * sizeof *key);
    key[0] = location->address;
    key[1] = (uint64_t)location->mapping << 1 | location->folded;
    for (size_t i = 0; i < location->line_count; i++) {
        key[2 + 3 * i] = lines[i].function;
        key[3 + 3 * i] = (uint64_t)lines[i].line;
        key[4 + 3 * i] = (uint64_t)lines[i].column;
    }
    index = hpp_intern_add(&profile->location_keys, key, words * sizeof *key);
    if (key != few)
        free(key);
    return index;
}

uint32_t hpp_profile_add_location(struct hpp_profile *profile, const struct hpp_location *location,
                                  const struct hpp_line *lines)
{
    uint32_t index = location_key(profile, location, lines);
    struct hpp_location *added;

    if (index < profile->location_count)
        return index;
    profile->locations = hpp_memory_room(profile->locations, &profile->location_room,
                                         profile->location_count + 1, sizeof *profile->locations);
    added = &profile->locations[profile->location_count++];
    *added = *location;
    added->first_line = hpp_profile_add_lines(profile, lines, location->line_count);
    return index;
}

uint32_t hpp_profile_add_lines(struct hpp_profile *profile, const struct hpp_line *lines, size_t count)
{
    uint32_t first = (uint32_t)profile->line_count;

    profile->lines =
        hpp_memory_room(profile->lines, &profile->line_room, profile->line_count + count, sizeof *lines);
    if (count)
        memcpy(profile->lines + first, lines, count * sizeof *lines);
    profile->line_count += count;
    return first;
}

/* Label sets are kept as words, so that no padding gets into a key. */
static uint32_t add_labels(struct hpp_profile *profile, const struct hpp_label *labels, size_t count)
{
    struct hpp_label few[8], *copy = few;
    uint32_t index;

    if (count > sizeof few / sizeof few[0])
        copy = hpp_memory_get(count * sizeof *copy);
    memset(copy, 0, count * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i].key = labels[i].key;
        copy[i].str = labels[i].str;
        copy[i].num = labels[i].num;
        copy[i].num_unit = labels[i].num_unit;
    }
    index = hpp_intern_add(&profile->labels, copy, count * sizeof *copy);
    if (copy != few)
        free(copy);
    return index;
}

int64_t hpp_clamped_sum(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

void hpp_profile_add_sample(struct hpp_profile *profile, const uint32_t *stack, size_t depth,
                            const struct hpp_label *labels, size_t label_count, const int64_t *values)
{
    struct hpp_sample sample = {.stack = hpp_intern_add(&profile->stacks, stack, depth * sizeof *stack),
                                .labels = add_labels(profile, labels, label_count)};
    uint32_t index = hpp_intern_add(&profile->sample_keys, &sample, sizeof sample);
    size_t columns = profile->value_count;

    if (index == profile->sample_count) {
        size_t count = ++profile->sample_count;
        profile->samples =
            hpp_memory_room(profile->samples, &profile->sample_room, count, sizeof *profile->samples);
        profile->values =
            hpp_memory_room(profile->values, &profile->value_room, count * columns, sizeof *profile->values);
        profile->samples[index] = sample;
        memset(profile->values + index * columns, 0, columns * sizeof *profile->values);
    }
    for (size_t i = 0; i < columns; i++)
        profile->values[index * columns + i] =
            hpp_clamped_sum(profile->values[index * columns + i], values[i]);
}

const uint32_t *hpp_profile_stack(const struct hpp_profile *profile, size_t sample, size_t *depth)
{
    size_t size;
    const void *stack = hpp_intern_get(&profile->stacks, profile->samples[sample].stack, &size);

    *depth = size / sizeof(uint32_t);
    return stack;
}

const struct hpp_label *hpp_profile_labels(const struct hpp_profile *profile, size_t sample, size_t *count)
{
    size_t size;
    const void *labels = hpp_intern_get(&profile->labels, profile->samples[sample].labels, &size);

    *count = size / sizeof(struct hpp_label);
    return labels;
}

int hpp_profile_value_index(const struct hpp_profile *profile, const char *type, const char *unit)
{
    for (size_t i = 0; i < profile->value_count; i++)
        if (!strcmp(hpp_profile_string(profile, profile->value_types[i].type), type) &&
            !strcmp(hpp_profile_string(profile, profile->value_types[i].unit), unit))
            return (int)i;
    return -1;
}
