/* Decodes pprof fields through protobuf-c, a slice of the file at a time, so that a large file never stands
 * in memory as a tree of messages. Offline only. */
#include "symbolizer/profile_raw.h"
#include "proto/profile.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *pool_get(void *pool, size_t size)
{
    return hpp_pool_get(pool, size);
}

static void pool_keep(void *pool, void *piece)
{
    (void)pool;
    (void)piece;
}

/* Remembers ID as the next one of IDS. False: it is 0, or was there before. */
static bool new_id(struct hpp_intern *ids, uint64_t id)
{
    size_t before = ids->count;

    return id && hpp_intern_add(ids, &id, sizeof id) == before;
}

static bool add_mapping(struct hpp_raw *raw, const Hpp__Pprof__Mapping *from)
{
    size_t index = raw->mapping_ids.count;

    if (!new_id(&raw->mapping_ids, from->id))
        return false;
    raw->mappings = hpp_memory_room(raw->mappings, &raw->mapping_room, index + 1, sizeof *raw->mappings);
    raw->mappings[index] = (struct hpp_raw_mapping){
        .filename = from->filename,
        .build_id = from->build_id,
        .mapping = {.start = from->memory_start,
                    .limit = from->memory_limit,
                    .file_offset = from->file_offset,
                    .has_functions = from->has_functions,
                    .has_filenames = from->has_filenames,
                    .has_line_numbers = from->has_line_numbers,
                    .has_inline_frames = from->has_inline_frames},
    };
    return true;
}

static bool add_function(struct hpp_raw *raw, const Hpp__Pprof__Function *from)
{
    size_t index = raw->function_ids.count;

    if (!new_id(&raw->function_ids, from->id))
        return false;
    raw->functions = hpp_memory_room(raw->functions, &raw->function_room, index + 1, sizeof *raw->functions);
    raw->functions[index] =
        (struct hpp_raw_function){from->name, from->system_name, from->filename, from->start_line};
    return true;
}

static bool add_location(struct hpp_raw *raw, const Hpp__Pprof__Location *from)
{
    size_t index = raw->location_ids.count;

    if (!new_id(&raw->location_ids, from->id))
        return false;
    raw->locations = hpp_memory_room(raw->locations, &raw->location_room, index + 1, sizeof *raw->locations);
    raw->locations[index] = (struct hpp_raw_location){.mapping_id = from->mapping_id,
                                                      .address = from->address,
                                                      .first_line = raw->line_count,
                                                      .line_count = (uint32_t)from->n_line,
                                                      .folded = from->is_folded};
    raw->lines =
        hpp_memory_room(raw->lines, &raw->line_room, raw->line_count + from->n_line, sizeof *raw->lines);
    for (size_t i = 0; i < from->n_line; i++)
        raw->lines[raw->line_count++] =
            (struct hpp_raw_line){from->line[i]->function_id, from->line[i]->line, from->line[i]->column};
    return true;
}

/* The label set of FROM: interned as it stands. */
static uint32_t add_labels(struct hpp_raw *raw, const Hpp__Pprof__Sample *from)
{
    struct hpp_raw_label *labels = hpp_pool_get(&raw->pool, from->n_label * sizeof *labels);

    for (size_t i = 0; i < from->n_label; i++)
        labels[i] = (struct hpp_raw_label){from->label[i]->key, from->label[i]->str, from->label[i]->num,
                                           from->label[i]->num_unit};
    return hpp_intern_add(&raw->labels, labels, from->n_label * sizeof *labels);
}

static bool add_sample(struct hpp_raw *raw, const Hpp__Pprof__Sample *from)
{
    size_t columns = from->n_value, count = raw->sample_keys.count;
    uint32_t key[2], index;

    if (!columns || columns > HPP_VALUE_MAX || (raw->value_count && raw->value_count != columns))
        return false;
    raw->value_count = columns;
    key[0] = hpp_intern_add(&raw->stacks, from->location_id, from->n_location_id * sizeof *from->location_id);
    key[1] = add_labels(raw, from);
    index = hpp_intern_add(&raw->sample_keys, key, sizeof key);
    if (index == count) {
        raw->values =
            hpp_memory_room(raw->values, &raw->value_room, (count + 1) * columns, sizeof *raw->values);
        memcpy(raw->values + index * columns, from->value, columns * sizeof *raw->values);
        return true;
    }
    for (size_t i = 0; i < columns; i++) {
        int64_t *value = &raw->values[index * columns + i];
        if (__builtin_add_overflow(*value, from->value[i], value))
            return false;
    }
    return true;
}

static void add_scalars(struct hpp_raw *raw, const Hpp__Pprof__Profile *from)
{
    const struct {
        int64_t *to, from;
    } scalars[] = {{&raw->period, from->period},
                   {&raw->time_nanos, from->time_nanos},
                   {&raw->duration_nanos, from->duration_nanos},
                   {&raw->drop_frames, from->drop_frames},
                   {&raw->keep_frames, from->keep_frames},
                   {&raw->default_sample_type, from->default_sample_type},
                   {&raw->doc_url, from->doc_url}};

    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++)
        if (scalars[i].from)
            *scalars[i].to = scalars[i].from;
    if (from->period_type)
        raw->period_type = (struct hpp_raw_value_type){from->period_type->type, from->period_type->unit};
    raw->comments = hpp_memory_room(raw->comments, &raw->comment_room, raw->comment_count + from->n_comment,
                                    sizeof *raw->comments);
    for (size_t i = 0; i < from->n_comment; i++)
        raw->comments[raw->comment_count++] = from->comment[i];
}

static const char twice[] =
    "an id is 0 or used twice (two profiles in a row? `hpprof merge` makes one of them)";

static const char *add_message(struct hpp_raw *raw, struct hpp_profile *profile,
                               const Hpp__Pprof__Profile *from)
{
    for (size_t i = 0; i < from->n_sample_type; i++) {
        if (raw->type_count == HPP_VALUE_MAX)
            return "it has too many sample types";
        raw->types[raw->type_count++] =
            (struct hpp_raw_value_type){from->sample_type[i]->type, from->sample_type[i]->unit};
    }
    for (size_t i = 0; i < from->n_mapping; i++)
        if (!add_mapping(raw, from->mapping[i]))
            return twice;
    for (size_t i = 0; i < from->n_location; i++)
        if (!add_location(raw, from->location[i]))
            return twice;
    for (size_t i = 0; i < from->n_function; i++)
        if (!add_function(raw, from->function[i]))
            return twice;
    raw->strings = hpp_memory_room(raw->strings, &raw->string_room, raw->string_count + from->n_string_table,
                                   sizeof *raw->strings);
    for (size_t i = 0; i < from->n_string_table; i++)
        raw->strings[raw->string_count++] = hpp_profile_add_string(profile, from->string_table[i]);
    for (size_t i = 0; i < from->n_sample; i++)
        if (!add_sample(raw, from->sample[i]))
            return "a sample's values do not match the sample types";
    add_scalars(raw, from);
    return NULL;
}

int hpp_raw_add(struct hpp_raw *raw, struct hpp_profile *profile, const void *bytes, size_t size,
                const char **reason)
{
    ProtobufCAllocator allocator = {pool_get, pool_keep, &raw->pool};
    Hpp__Pprof__Profile *message;

    hpp_pool_reset(&raw->pool);
    message = hpp__pprof__profile__unpack(&allocator, size, bytes);
    *reason = message ? add_message(raw, profile, message) : "its fields cannot be decoded";
    return *reason == twice ? -EEXIST : *reason ? -EBADMSG : 0;
}

void hpp_raw_free(struct hpp_raw *raw)
{
    free(raw->strings);
    free(raw->mappings);
    free(raw->functions);
    free(raw->locations);
    free(raw->lines);
    free(raw->values);
    free(raw->comments);
    hpp_intern_free(&raw->mapping_ids);
    hpp_intern_free(&raw->function_ids);
    hpp_intern_free(&raw->location_ids);
    hpp_intern_free(&raw->stacks);
    hpp_intern_free(&raw->labels);
    hpp_intern_free(&raw->sample_keys);
    hpp_pool_free(&raw->pool);
}
