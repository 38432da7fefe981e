/* Encodes and appends chunks, through protobuf-c. Writer. */
#include "profiler/pprof_append.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/pprof_file.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "proto/profile.pb-c.h"
#include "profiler/signal_safe.h"

#define NEW(scratch, type) ((type *)hpp_arena_allocate((scratch), sizeof(type)))

/* Makes room: of the comments that are in the file already the later half is not needed for another one. */
static void forget_comments(struct hpp_pprof_file *file)
{
    uint32_t to = HPP_COMMENTS_MAX / 2, from = file->comments;

    if (from <= to)
        return;
    while (from < file->comment_count)
        file->comment[to++] = file->comment[from++];
    file->comments = HPP_COMMENTS_MAX / 2;
    file->comment_count = to;
}

void hpp_pprof_comment(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate, const char *text)
{
    if (file->comment_count == HPP_COMMENTS_MAX)
        forget_comments(file);
    if (file->comment_count < HPP_COMMENTS_MAX)
        file->comment[file->comment_count++] = hpp_aggregate_string(aggregate, text);
}

/* ---- building the message; each part returns 0 or -ENOMEM ------------------------------------------ */

static Hpp__Pprof__ValueType *value_type(struct hpp_arena *scratch, struct hpp_aggregate *aggregate,
                                         const char *type, const char *unit)
{
    Hpp__Pprof__ValueType *value = NEW(scratch, Hpp__Pprof__ValueType);

    if (value) {
        hpp__pprof__value_type__init(value);
        value->type = hpp_aggregate_string(aggregate, type);
        value->unit = hpp_aggregate_string(aggregate, unit);
    }
    return value;
}

/* The first functions and the locations of the same ids: what the names stand for is in FORMAT.md. */
static int add_special(struct hpp_arena *scratch, struct hpp_aggregate *aggregate,
                       Hpp__Pprof__Profile *profile)
{
    static const char *const names[HPP_LOCATIONS_SPECIAL] = {"[unfinished]", "[truncated]", "[short-lived]",
                                                             "[signals blocked]", "[unsampled]"};

    profile->function =
        hpp_arena_allocate(scratch, sizeof names / sizeof names[0] * sizeof *profile->function);
    if (!profile->function)
        return -ENOMEM;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        Hpp__Pprof__Function *function = NEW(scratch, Hpp__Pprof__Function);
        if (!function)
            return -ENOMEM;
        hpp__pprof__function__init(function);
        function->id = i + 1;
        function->name = function->system_name = hpp_aggregate_string(aggregate, names[i]);
        profile->function[profile->n_function++] = function;
    }
    return 0;
}

static int add_head(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate,
                    Hpp__Pprof__Profile *profile)
{
    const struct hpp_event_kind *kind = &hpp_event_kinds[hpp_sampler.event];
    struct hpp_arena *scratch = &file->scratch;

    profile->sample_type = hpp_arena_allocate(scratch, 2 * sizeof *profile->sample_type);
    if (!profile->sample_type)
        return -ENOMEM;
    profile->sample_type[0] = value_type(scratch, aggregate, "samples", "count");
    profile->sample_type[1] = value_type(scratch, aggregate, kind->type, kind->unit);
    profile->period_type = value_type(scratch, aggregate, kind->type, kind->unit);
    if (!profile->sample_type[0] || !profile->sample_type[1] || !profile->period_type)
        return -ENOMEM;
    profile->n_sample_type = 2;
    profile->period = (int64_t)file->period;
    profile->time_nanos = (int64_t)file->started;
    return add_special(scratch, aggregate, profile);
}

static void put_build_id(struct hpp_text *text, const struct hpp_image *image)
{
    for (unsigned i = 0; i < image->build_id_size; i++) {
        hpp_text_put_hex(text, image->build_id[i] >> 4);
        hpp_text_put_hex(text, image->build_id[i] & 15);
    }
}

static int add_mappings(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate,
                        Hpp__Pprof__Profile *profile)
{
    uint32_t count = aggregate->segment_count - file->segments;

    profile->mapping = hpp_arena_allocate(&file->scratch, (count + 1) * sizeof *profile->mapping);
    if (!profile->mapping)
        return -ENOMEM;
    for (uint32_t i = file->segments; i < aggregate->segment_count; i++) {
        const struct hpp_segment *segment = aggregate->segments[i];
        Hpp__Pprof__Mapping *mapping = NEW(&file->scratch, Hpp__Pprof__Mapping);
        char hex[2 * HPP_BUILD_ID_MAX + 1];
        struct hpp_text build_id = HPP_TEXT(hex);

        if (!mapping)
            return -ENOMEM;
        hpp__pprof__mapping__init(mapping);
        mapping->id = i + 1;
        if (segment) {
            put_build_id(&build_id, segment->image);
            mapping->memory_start = segment->start;
            mapping->memory_limit = segment->end;
            mapping->file_offset = segment->file_offset;
            mapping->filename = hpp_aggregate_string(aggregate, segment->image->path);
            mapping->build_id = hpp_aggregate_string(aggregate, hex);
        }
        profile->mapping[profile->n_mapping++] = mapping;
    }
    return 0;
}

static int add_locations(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate,
                         Hpp__Pprof__Profile *profile)
{
    uint32_t count = aggregate->location_count - file->locations;

    profile->location = hpp_arena_allocate(&file->scratch, (count + 1) * sizeof *profile->location);
    if (!profile->location)
        return -ENOMEM;
    for (uint32_t i = file->locations; i < aggregate->location_count; i++) {
        const struct hpp_location *from = &aggregate->locations[i];
        Hpp__Pprof__Location *location = NEW(&file->scratch, Hpp__Pprof__Location);

        if (!location)
            return -ENOMEM;
        hpp__pprof__location__init(location);
        location->id = i + 1;
        if (i < HPP_LOCATIONS_SPECIAL) {
            Hpp__Pprof__Line *line = NEW(&file->scratch, Hpp__Pprof__Line);
            location->line = NEW(&file->scratch, Hpp__Pprof__Line *);
            if (!line || !location->line)
                return -ENOMEM;
            hpp__pprof__line__init(line);
            line->function_id = i + 1;
            location->line[location->n_line++] = line;
        } else {
            location->mapping_id = from->mapping;
            location->address = from->address;
        }
        profile->location[profile->n_location++] = location;
    }
    return 0;
}

static Hpp__Pprof__Label *label(struct hpp_arena *scratch, uint32_t key, uint32_t string, int64_t number)
{
    Hpp__Pprof__Label *made = NEW(scratch, Hpp__Pprof__Label);

    if (made) {
        hpp__pprof__label__init(made);
        made->key = key;
        made->str = string;
        made->num = number;
    }
    return made;
}

/* The labels of all samples of a chunk, as strings. */
struct label_strings {
    uint32_t thread, tid, time, seconds;
};

/* The labels of STACK: whose it is, when, and the program's own. Returns 0 or -ENOMEM. */
static int add_labels(struct hpp_arena *scratch, struct hpp_aggregate *aggregate,
                      const struct label_strings *strings, const struct hpp_stack *stack,
                      Hpp__Pprof__Sample *sample)
{
    Hpp__Pprof__Label *time = label(scratch, strings->time, 0, (int64_t)(aggregate->begun / 1000000000u));
    uint32_t key, value;

    sample->label = hpp_arena_allocate(scratch, 4 * sizeof *sample->label);
    if (!sample->label || !time)
        return -ENOMEM;
    time->num_unit = strings->seconds;
    if (!stack->booked_ns) { /* otherwise of many threads */
        sample->label[sample->n_label++] = label(scratch, strings->thread, stack->name, 0);
        sample->label[sample->n_label++] = label(scratch, strings->tid, 0, stack->tid);
    }
    sample->label[sample->n_label++] = time;
    if (stack->label && !hpp_aggregate_label(aggregate, stack->label, &key, &value))
        sample->label[sample->n_label++] = label(scratch, key, value, 0);
    for (size_t i = 0; i < sample->n_label; i++)
        if (!sample->label[i])
            return -ENOMEM;
    return 0;
}

static int add_samples(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate,
                       Hpp__Pprof__Profile *profile)
{
    struct hpp_arena *scratch = &file->scratch;
    struct label_strings strings = {
        hpp_aggregate_string(aggregate, "thread"), hpp_aggregate_string(aggregate, "tid"),
        hpp_aggregate_string(aggregate, "time"), hpp_aggregate_string(aggregate, "seconds")};

    profile->sample = hpp_arena_allocate(scratch, (aggregate->stack_count + 1) * sizeof *profile->sample);
    if (!profile->sample)
        return -ENOMEM;
    for (const struct hpp_stack *stack = aggregate->first; stack; stack = stack->next) {
        Hpp__Pprof__Sample *sample = NEW(scratch, Hpp__Pprof__Sample);

        if (!sample)
            return -ENOMEM;
        hpp__pprof__sample__init(sample);
        sample->location_id = hpp_arena_allocate(scratch, stack->count * sizeof *sample->location_id);
        sample->value = hpp_arena_allocate(scratch, 2 * sizeof *sample->value);
        if (!sample->location_id || !sample->value || add_labels(scratch, aggregate, &strings, stack, sample))
            return -ENOMEM;
        for (uint32_t i = 0; i < stack->count; i++)
            sample->location_id[i] = stack->locations[i];
        sample->value[0] = (int64_t)(stack->weight + (stack->booked_ns + file->period / 2) / file->period);
        sample->value[1] = (int64_t)(stack->weight * file->period + stack->booked_ns);
        sample->n_location_id = stack->count;
        sample->n_value = 2;
        profile->sample[profile->n_sample++] = sample;
    }
    return 0;
}

/* Comments, and last of all (everything else adds to them) the strings. */
static int add_strings(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate,
                       Hpp__Pprof__Profile *profile)
{
    uint32_t comments = file->comment_count - file->comments;
    uint32_t strings = aggregate->string_count - file->strings;

    profile->comment = hpp_arena_allocate(&file->scratch, (comments + 1) * sizeof *profile->comment);
    profile->string_table = hpp_arena_allocate(&file->scratch, (strings + 1) * sizeof *profile->string_table);
    if (!profile->comment || !profile->string_table)
        return -ENOMEM;
    for (uint32_t i = 0; i < comments; i++)
        profile->comment[profile->n_comment++] = file->comment[file->comments + i];
    for (uint32_t i = 0; i < strings; i++)
        profile->string_table[profile->n_string_table++] = (char *)aggregate->strings[file->strings + i];
    return 0;
}

/* ---- the chunk --------------------------------------------------------------------------------------- */

static int encode_and_write(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate)
{
    Hpp__Pprof__Profile profile = HPP__PPROF__PROFILE__INIT;
    size_t size;
    uint8_t *bytes;
    int error = 0;

    if (!file->has_head)
        error = add_head(file, aggregate, &profile);
    if (!error)
        error = add_mappings(file, aggregate, &profile);
    if (!error)
        error = add_locations(file, aggregate, &profile);
    if (!error)
        error = add_samples(file, aggregate, &profile);
    if (!error)
        error = add_strings(file, aggregate, &profile);
    if (error)
        return error;
    profile.duration_nanos = (int64_t)(hpp_sys_now(CLOCK_MONOTONIC) - file->begun);
    size = hpp__pprof__profile__get_packed_size(&profile);
    bytes = hpp_arena_allocate(&file->scratch, size);
    if (!bytes)
        return -ENOMEM;
    hpp__pprof__profile__pack(&profile, bytes);
    return hpp_pprof_write(file, bytes, size);
}

int hpp_pprof_append(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate)
{
    int error = hpp_pprof_restore(file);

    if (!error)
        error = encode_and_write(file, aggregate);
    hpp_arena_reset(&file->scratch);
    if (error == -EFBIG && file->max) {
        hpp_pprof_again(file, aggregate);
        error = encode_and_write(file, aggregate);
        hpp_arena_reset(&file->scratch);
    }
    file->last_error = error;
    if (error) {
        file->write_errors++;
        return error;
    }
    file->has_head = 1;
    file->samples = aggregate->samples;
    file->strings = aggregate->string_count;
    file->locations = aggregate->location_count;
    file->segments = aggregate->segment_count;
    file->comments = file->comment_count;
    hpp_aggregate_clear(aggregate);
    return 0;
}
