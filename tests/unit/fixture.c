/* See fixture.h. */
#include "tests/unit/fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ADD(chunk, field, item)                                                                      \
    do {                                                                                             \
        (chunk)->field = realloc((chunk)->field, ((chunk)->n_##field + 1) * sizeof *(chunk)->field); \
        (chunk)->field[(chunk)->n_##field++] = (item);                                               \
    } while (0)

static Hpp__Pprof__ValueType *value_type(struct fixture *fixture, const char *type, const char *unit)
{
    Hpp__Pprof__ValueType *made = malloc(sizeof *made);

    hpp__pprof__value_type__init(made);
    made->type = fixture_string(fixture, type);
    made->unit = fixture_string(fixture, unit);
    return made;
}

void fixture_begin(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    hpp__pprof__profile__init(&fixture->chunk);
    fixture_string(fixture, "");
    ADD(&fixture->chunk, sample_type, value_type(fixture, "samples", "count"));
    ADD(&fixture->chunk, sample_type, value_type(fixture, "cpu", "nanoseconds"));
    fixture->chunk.period_type = value_type(fixture, "cpu", "nanoseconds");
    fixture->chunk.period = FIXTURE_PERIOD;
    fixture->chunk.time_nanos = 1000000000;
}

void fixture_end_chunk(struct fixture *fixture)
{
    size_t size;

    fixture->chunk.duration_nanos = (int64_t)(fixture->chunk_count + 1) * 1000000000;
    size = hpp__pprof__profile__get_packed_size(&fixture->chunk);
    fixture->bytes = realloc(fixture->bytes, fixture->size + size);
    fixture->size += hpp__pprof__profile__pack(&fixture->chunk, fixture->bytes + fixture->size);
    fixture->ends[fixture->chunk_count++] = fixture->size;
    for (size_t i = 0; i < fixture->chunk.n_string_table; i++)
        fixture->chunk.string_table[i] = NULL; /* owned by strings[] */
    fixture->chunk.n_string_table = 0;
    free(fixture->chunk.string_table);
    fixture->chunk.string_table = NULL;
    Hpp__Pprof__Profile *copy = malloc(sizeof *copy);
    *copy = fixture->chunk;
    hpp__pprof__profile__free_unpacked(copy, NULL);
    hpp__pprof__profile__init(&fixture->chunk);
}

void fixture_free(struct fixture *fixture)
{
    free(fixture->bytes);
    for (size_t i = 0; i < fixture->string_count; i++)
        free(fixture->strings[i]);
}

int64_t fixture_string(struct fixture *fixture, const char *text)
{
    for (size_t i = 0; i < fixture->string_count; i++)
        if (!strcmp(fixture->strings[i], text))
            return (int64_t)i;
    assert_true(fixture->string_count < FIXTURE_ROOM * 4);
    fixture->strings[fixture->string_count] = strdup(text);
    ADD(&fixture->chunk, string_table, fixture->strings[fixture->string_count]);
    return (int64_t)fixture->string_count++;
}

uint64_t fixture_mapping(struct fixture *fixture, uint64_t start, uint64_t size, uint64_t offset,
                         const char *path, const char *build_id)
{
    Hpp__Pprof__Mapping *mapping = malloc(sizeof *mapping);

    hpp__pprof__mapping__init(mapping);
    mapping->id = ++fixture->mappings;
    mapping->memory_start = start;
    mapping->memory_limit = start + size;
    mapping->file_offset = offset;
    mapping->filename = fixture_string(fixture, path);
    mapping->build_id = fixture_string(fixture, build_id);
    ADD(&fixture->chunk, mapping, mapping);
    return mapping->id;
}

uint64_t fixture_location(struct fixture *fixture, uint64_t mapping, uint64_t address)
{
    Hpp__Pprof__Location *location = malloc(sizeof *location);

    hpp__pprof__location__init(location);
    location->id = ++fixture->locations;
    location->mapping_id = mapping;
    location->address = address;
    ADD(&fixture->chunk, location, location);
    return location->id;
}

uint64_t fixture_named(struct fixture *fixture, uint64_t mapping, uint64_t address, const char *name)
{
    Hpp__Pprof__Function *function = malloc(sizeof *function);
    Hpp__Pprof__Line *line = malloc(sizeof *line);
    uint64_t id = fixture_location(fixture, mapping, address);

    hpp__pprof__function__init(function);
    function->id = ++fixture->functions;
    function->name = function->system_name = fixture_string(fixture, name);
    ADD(&fixture->chunk, function, function);
    hpp__pprof__line__init(line);
    line->function_id = function->id;
    ADD(fixture->chunk.location[fixture->chunk.n_location - 1], line, line);
    return id;
}

void fixture_sample(struct fixture *fixture, int64_t weight, const char *thread, int64_t tid, size_t depth,
                    const uint64_t *locations)
{
    Hpp__Pprof__Sample *sample = malloc(sizeof *sample);
    Hpp__Pprof__Label *name = malloc(sizeof *name), *number = malloc(sizeof *number);

    hpp__pprof__sample__init(sample);
    for (size_t i = 0; i < depth; i++)
        ADD(sample, location_id, locations[i]);
    ADD(sample, value, weight);
    ADD(sample, value, weight * FIXTURE_PERIOD);
    hpp__pprof__label__init(name);
    name->key = fixture_string(fixture, "thread");
    name->str = fixture_string(fixture, thread);
    ADD(sample, label, name);
    hpp__pprof__label__init(number);
    number->key = fixture_string(fixture, "tid");
    number->num = tid;
    ADD(sample, label, number);
    ADD(&fixture->chunk, sample, sample);
}

void fixture_comment(struct fixture *fixture, const char *text)
{
    ADD(&fixture->chunk, comment, fixture_string(fixture, text));
}

void fixture_program(struct fixture *fixture, int64_t pid, const char *path, const char *build_id,
                     uint64_t base)
{
    char process[512];
    uint64_t image, anon, leaf, middle, top, jit;

    fixture_begin(fixture);
    image = fixture_mapping(fixture, base, 0x10000, 0x1000, path, build_id);
    anon = fixture_mapping(fixture, 0x7f0000000000, 0x1000, 0, "//anon", "");
    leaf = fixture_location(fixture, image, base + 0x10);
    middle = fixture_location(fixture, image, base + 0x20);
    top = fixture_named(fixture, 0, 0, HPP_NAME_UNFINISHED);
    fixture_sample(fixture, 3, "main", pid, 2, (uint64_t[]){leaf, middle});
    fixture_sample(fixture, 1, "main", pid, 3, (uint64_t[]){leaf, middle, top});
    snprintf(process, sizeof process, "hpprof.process pid=%lld started=%lld freq=99 timer=cpu image=%s",
             (long long)pid, (long long)pid * 7, path);
    fixture_comment(fixture, "hpprof version=0.1.0 format=1");
    fixture_comment(fixture, process);
    fixture_end_chunk(fixture);
    jit = fixture_location(fixture, anon, 0x7f0000000040);
    fixture_sample(fixture, 2, "main", pid, 2, (uint64_t[]){leaf, middle});
    fixture_sample(fixture, 5, "worker", pid + 1, 2, (uint64_t[]){jit, middle});
    fixture_comment(fixture, "hpprof.lost dropped=4 stale=1");
    fixture_comment(fixture, "hpprof.end cause=exit");
    fixture_end_chunk(fixture);
}

struct hpp_profile *fixture_profile(const struct fixture *fixture)
{
    struct hpp_profile *profile;
    char error[HPP_ERROR_SIZE] = "";

    if (hpp_profile_parse(fixture->bytes, fixture->size, "fixture", &profile, error))
        fail_msg("%s", error);
    return profile;
}

int64_t fixture_total(const struct hpp_profile *profile, size_t column)
{
    int64_t total = 0;

    for (size_t i = 0; i < profile->sample_count; i++)
        total += profile->values[i * profile->value_count + column];
    return total;
}
