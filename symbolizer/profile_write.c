/* Writes a profile as pprof: mappings, names and strings first, then the samples in slices, so that a large
 * profile never stands in memory as a tree of messages. Messages that follow each other are one (protobuf).
 * Offline only. */
#include "symbolizer/memory.h"
#include "symbolizer/output.h"
#include "symbolizer/profile.h"
#include "symbolizer/escape.h"
#include "proto/profile.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { SLICE = 4096 /* samples in a message */ };

struct writer {
    FILE *out;
    gzFile packed; /* instead of out, if not NULL */
    struct hpp_pool pool;
    uint8_t *bytes;
    size_t room;
};

/* TEXT with `?` for each byte that is not UTF-8; in the pool. */
static char *clean_text(struct writer *writer, const char *text)
{
    size_t size = strlen(text) + 1;
    char *clean = memcpy(hpp_pool_get(&writer->pool, size), text, size);

    for (char *at = clean; *at;) {
        size_t length = hpp_escape_utf8(at);
        if (!length)
            *at = '?';
        at += length ? length : 1;
    }
    return clean;
}

static int emit(struct writer *writer, const Hpp__Pprof__Profile *message)
{
    size_t size = hpp__pprof__profile__get_packed_size(message);

    writer->bytes = hpp_memory_room(writer->bytes, &writer->room, size, 1);
    hpp__pprof__profile__pack(message, writer->bytes);
    for (size_t at = 0; at < size;) {
        size_t left = size - at < 1u << 30 ? size - at : 1u << 30;
        if (writer->packed ? gzwrite(writer->packed, writer->bytes + at, (unsigned)left) != (int)left
                           : fwrite(writer->bytes + at, 1, left, writer->out) != left)
            return errno ? -errno : -EIO;
        at += left;
    }
    return 0;
}

/* COUNT pointers to COUNT messages of SIZE bytes, all in the pool; each message is to be initialised. */
static void *messages(struct writer *writer, size_t count, size_t size)
{
    char *bodies = hpp_pool_get(&writer->pool, count * size);
    void **pointers = hpp_pool_get(&writer->pool, count * sizeof *pointers);

    for (size_t i = 0; i < count; i++)
        pointers[i] = bodies + i * size;
    return pointers;
}

static Hpp__Pprof__ValueType *value_type(struct writer *writer, struct hpp_value_type from)
{
    Hpp__Pprof__ValueType *type = hpp_pool_get(&writer->pool, sizeof *type);

    hpp__pprof__value_type__init(type);
    type->type = from.type;
    type->unit = from.unit;
    return type;
}

static void put_mappings(struct writer *writer, const struct hpp_profile *profile,
                         Hpp__Pprof__Profile *message)
{
    Hpp__Pprof__Mapping **mappings = messages(writer, profile->mapping_count, sizeof **mappings);

    for (size_t i = 0; i < profile->mapping_count; i++) {
        const struct hpp_mapping *from = &profile->mappings[i];
        hpp__pprof__mapping__init(mappings[i]);
        mappings[i]->id = i + 1;
        mappings[i]->memory_start = from->start;
        mappings[i]->memory_limit = from->limit;
        mappings[i]->file_offset = from->file_offset;
        mappings[i]->filename = from->filename;
        mappings[i]->build_id = from->build_id;
        mappings[i]->has_functions = from->has_functions;
        mappings[i]->has_filenames = from->has_filenames;
        mappings[i]->has_line_numbers = from->has_line_numbers;
        mappings[i]->has_inline_frames = from->has_inline_frames;
    }
    message->n_mapping = profile->mapping_count;
    message->mapping = mappings;
}

static Hpp__Pprof__Line **put_lines(struct writer *writer, const struct hpp_line *from, size_t count)
{
    Hpp__Pprof__Line **lines = messages(writer, count, sizeof **lines);

    for (size_t i = 0; i < count; i++) {
        hpp__pprof__line__init(lines[i]);
        lines[i]->function_id = (uint64_t)from[i].function + 1;
        lines[i]->line = from[i].line;
        lines[i]->column = from[i].column;
    }
    return lines;
}

static void put_locations(struct writer *writer, const struct hpp_profile *profile,
                          Hpp__Pprof__Profile *message)
{
    Hpp__Pprof__Location **locations = messages(writer, profile->location_count, sizeof **locations);

    for (size_t i = 0; i < profile->location_count; i++) {
        const struct hpp_location *from = &profile->locations[i];
        hpp__pprof__location__init(locations[i]);
        locations[i]->id = i + 1;
        locations[i]->mapping_id = from->mapping == HPP_NONE ? 0 : (uint64_t)from->mapping + 1;
        locations[i]->address = from->address;
        locations[i]->is_folded = from->folded;
        locations[i]->n_line = from->line_count;
        locations[i]->line = put_lines(writer, profile->lines + from->first_line, from->line_count);
    }
    message->n_location = profile->location_count;
    message->location = locations;
}

static void put_functions(struct writer *writer, const struct hpp_profile *profile,
                          Hpp__Pprof__Profile *message)
{
    Hpp__Pprof__Function **functions = messages(writer, profile->function_count, sizeof **functions);

    for (size_t i = 0; i < profile->function_count; i++) {
        const struct hpp_function *from = &profile->functions[i];
        hpp__pprof__function__init(functions[i]);
        functions[i]->id = i + 1;
        functions[i]->name = from->name;
        functions[i]->system_name = from->system_name;
        functions[i]->filename = from->filename;
        functions[i]->start_line = from->start_line;
    }
    message->n_function = profile->function_count;
    message->function = functions;
}

static int write_head(struct writer *writer, const struct hpp_profile *profile)
{
    Hpp__Pprof__Profile message = HPP__PPROF__PROFILE__INIT;
    size_t types = profile->value_count, strings = profile->strings.count;

    message.n_sample_type = types;
    message.sample_type = hpp_pool_get(&writer->pool, types * sizeof *message.sample_type);
    for (size_t i = 0; i < types; i++)
        message.sample_type[i] = value_type(writer, profile->value_types[i]);
    put_mappings(writer, profile, &message);
    put_locations(writer, profile, &message);
    put_functions(writer, profile, &message);
    message.n_string_table = strings;
    message.string_table = hpp_pool_get(&writer->pool, strings * sizeof *message.string_table);
    for (size_t i = 0; i < strings; i++)
        message.string_table[i] = clean_text(writer, hpp_profile_string(profile, (uint32_t)i));
    message.drop_frames = profile->drop_frames;
    message.keep_frames = profile->keep_frames;
    message.time_nanos = profile->time_nanos;
    message.duration_nanos = profile->duration_nanos;
    message.period_type = value_type(writer, profile->period_type);
    message.period = profile->period;
    message.default_sample_type = profile->default_sample_type;
    message.doc_url = profile->doc_url;
    message.n_comment = profile->comment_count;
    message.comment = hpp_pool_get(&writer->pool, profile->comment_count * sizeof *message.comment);
    for (size_t i = 0; i < profile->comment_count; i++)
        message.comment[i] = profile->comments[i];
    return emit(writer, &message);
}

static void put_sample(struct writer *writer, const struct hpp_profile *profile, size_t index,
                       Hpp__Pprof__Sample *sample)
{
    size_t depth, count;
    const uint32_t *stack = hpp_profile_stack(profile, index, &depth);
    const struct hpp_label *from = hpp_profile_labels(profile, index, &count);
    Hpp__Pprof__Label **labels = messages(writer, count, sizeof **labels);

    hpp__pprof__sample__init(sample);
    sample->n_location_id = depth;
    sample->location_id = hpp_pool_get(&writer->pool, depth * sizeof *sample->location_id);
    for (size_t i = 0; i < depth; i++)
        sample->location_id[i] = (uint64_t)stack[i] + 1;
    sample->n_value = profile->value_count;
    sample->value = profile->values + index * profile->value_count;
    sample->n_label = count;
    sample->label = labels;
    for (size_t i = 0; i < count; i++) {
        hpp__pprof__label__init(labels[i]);
        labels[i]->key = from[i].key;
        labels[i]->str = from[i].str;
        labels[i]->num = from[i].num;
        labels[i]->num_unit = from[i].num_unit;
    }
}

static int write_samples(struct writer *writer, const struct hpp_profile *profile)
{
    int result = 0;

    for (size_t from = 0; from < profile->sample_count && !result; from += SLICE) {
        Hpp__Pprof__Profile message = HPP__PPROF__PROFILE__INIT;
        size_t left = profile->sample_count - from, count = left < SLICE ? left : SLICE;
        hpp_pool_reset(&writer->pool);
        Hpp__Pprof__Sample **samples = messages(writer, count, sizeof **samples);
        for (size_t i = 0; i < count; i++)
            put_sample(writer, profile, from + i, samples[i]);
        message.n_sample = count;
        message.sample = samples;
        result = emit(writer, &message);
    }
    return result;
}

static int write_profile(FILE *out, const struct hpp_profile *profile, bool gzip)
{
    struct writer writer = {.out = out};
    int result;

    if (gzip) {
        int descriptor = dup(fileno(out));
        writer.packed = descriptor < 0 ? NULL : gzdopen(descriptor, "wb6");
        if (!writer.packed)
            return -ENOMEM;
    }
    errno = 0;
    result = write_head(&writer, profile);
    if (!result)
        result = write_samples(&writer, profile);
    if (writer.packed && gzclose(writer.packed) != Z_OK && !result)
        result = errno ? -errno : -EIO;
    hpp_pool_free(&writer.pool);
    free(writer.bytes);
    return result;
}

int hpp_profile_write(const struct hpp_profile *profile, const char *path, char error[HPP_ERROR_SIZE])
{
    size_t length = strlen(path);
    bool gzip = length > 3 && !strcmp(path + length - 3, ".gz");
    struct hpp_output output;
    int result = hpp_output_open(&output, path, 0600, true, error);

    if (result)
        return result;
    return hpp_output_close(&output, write_profile(output.file, profile, gzip), error);
}
